"""Supervision: a part that fails starts again alone, and nothing outlives its owner."""

import asyncio

import pytest

from bridge import supervise
from bridge.supervise import Supervisor
from tests.eventually import eventually

SOON = (0.001, 0.002)


class Failing:
    """Fails `times` times, then runs until cancelled."""

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        self.starts = 0
        self.cancelled = False
        self._times = times
        self._error = error or OSError("the line is dead")

    async def run(self) -> None:
        self.starts += 1
        if self.starts <= self._times:
            raise self._error
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_a_part_that_fails_starts_again_and_the_others_run_on(caplog: pytest.LogCaptureFixture):
    bad, good = Failing(3), Failing(0)
    async with Supervisor(backoff=SOON) as supervisor:
        supervisor.start("courier email", bad.run)
        supervisor.start("clock", good.run)
        await eventually(lambda: bad.starts == 4)
        assert good.starts == 1
        assert supervisor.down == {}
    assert good.cancelled
    assert bad.cancelled
    assert "courier email failed" in caplog.text
    assert "OSError: the line is dead" in caplog.text
    assert "clock failed" not in caplog.text


async def test_what_is_down_is_known_with_its_reason():
    async with Supervisor(backoff=(60.0,)) as supervisor:
        supervisor.start("courier email", Failing(1).run)
        await eventually(lambda: supervisor.down == {"courier email": "OSError: the line is dead"})


async def test_leaving_cancels_a_part_that_waits_for_its_next_start():
    part = Failing(1)
    async with Supervisor(backoff=(3600.0,)) as supervisor:
        supervisor.start("part", part.run)
        await eventually(lambda: supervisor.down)
    assert part.starts == 1


async def test_leaving_waits_for_what_a_part_has_to_finish():
    finished = False

    async def part() -> None:
        nonlocal finished
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            finished = True

    async with Supervisor() as supervisor:
        supervisor.start("part", part)
        await asyncio.sleep(0)
    assert finished


async def test_a_part_that_returns_is_done():
    calls = 0

    async def part() -> None:
        nonlocal calls
        calls += 1

    async with Supervisor(backoff=SOON) as supervisor:
        supervisor.start("part", part)
        await eventually(lambda: calls)
    assert calls == 1


async def test_a_cancellation_that_leaks_out_of_a_part_is_a_fault():
    part = Failing(1, asyncio.CancelledError("something inside was cancelled"))
    async with Supervisor(backoff=SOON) as supervisor:
        supervisor.start("part", part.run)
        await eventually(lambda: part.starts == 2)


async def test_an_error_of_the_owner_ends_everything():
    part = Failing(0)

    async def own() -> None:
        async with Supervisor() as supervisor:
            supervisor.start("part", part.run)
            await eventually(lambda: part.starts)
            raise LookupError("the owner is gone")

    with pytest.raises(BaseExceptionGroup) as caught:
        await own()
    assert caught.group_contains(LookupError)
    assert part.cancelled


async def test_waits_grow_and_begin_anew_after_a_good_run(monkeypatch: pytest.MonkeyPatch):
    now, waits, done = 0.0, [], asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(supervise.asyncio, "sleep", sleep)
    monkeypatch.setattr(supervise, "JITTER", 0.0)
    runs = iter([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 59.0, 61.0, 1.0])

    async def part() -> None:
        nonlocal now
        lasted = next(runs, None)
        if lasted is not None:
            now += lasted
            raise OSError("gone")
        done.set()

    async with Supervisor(clock=lambda: now) as supervisor:
        supervisor.start("part", part)
        await done.wait()
    assert waits == [1, 2, 4, 8, 15, 30, 30, 30, 1, 2]


@pytest.mark.parametrize("failures", range(8))
def test_waits_are_spread(failures: int):
    supervisor = Supervisor()
    usual = supervise.BACKOFF[min(failures, 5)]
    found = {supervisor._wait(failures) for _ in range(50)}
    assert usual / 2 <= min(found) < max(found) <= usual * 1.5
