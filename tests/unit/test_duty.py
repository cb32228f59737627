"""A duty that is lost while work is under way: the work ends before another process begins."""

import asyncio

import pytest

from bridge import duty
from bridge.duty import Held
from bridge.errors import LeaseLost
from bridge.store.memory import MemoryStore
from tests.virtual import virtually


class LoopTime:
    """What `duty` reads for the time of day of this machine: that of the loop, which is virtual here."""

    @staticmethod
    def monotonic() -> float:
        return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def _virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duty, "time", LoopTime)


def taken() -> Held:
    return Held(duty="slack/c", fence=1, asked=LoopTime.monotonic())


@virtually
async def test_what_is_done_in_time_is_done():
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await taken().during(work()) == "done"


@virtually
async def test_what_lasts_longer_than_the_lease_is_cancelled_before_another_can_have_it():
    ended: list[float] = []
    began = LoopTime.monotonic()

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(LoopTime.monotonic() - began)

    with pytest.raises(LeaseLost):
        await taken().during(work())
    assert ended[0] < duty.LIVES


@virtually
async def test_who_renews_goes_on():
    mine = taken()

    async def work() -> str:
        for _ in range(4):
            await asyncio.sleep(duty.LIVES / 2)
            mine.renewed(LoopTime.monotonic())
        return "done"

    assert await mine.during(work()) == "done"


@virtually
async def test_nothing_is_begun_with_a_lease_that_is_lost():
    mine, begun = taken(), []
    mine.lose()

    async def work() -> None:
        begun.append(1)

    with pytest.raises(LeaseLost):
        await mine.during(work())
    assert begun == []


@virtually
async def test_what_fails_fails_as_it_does():
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await taken().during(work())


@virtually
async def test_who_is_cancelled_takes_the_work_along():
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    mine = taken()
    task = asyncio.create_task(mine.during(work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


class Deaf(MemoryStore):
    """Overhears a cancellation while a lease is renewed, as a client on Python 3.11 may."""

    def __init__(self) -> None:
        super().__init__()
        self.renewing = asyncio.Event()
        self.overheard = 0

    async def lease(self, name: str, *, owner: str, lives: float) -> int | None:
        if self.renewing.is_set():
            return await super().lease(name, owner=owner, lives=lives)
        fence = await super().lease(name, owner=owner, lives=lives)
        if self.overheard == 0 and fence is not None and self._first:
            self.renewing.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.overheard += 1
        self._first = True
        return fence

    _first = False


@virtually
async def test_a_duty_ends_even_where_a_cancellation_is_overheard(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duty, "RENEW", 0.01)
    monkeypatch.setattr(duty, "DEAF", 0.05)
    store = Deaf()

    async with asyncio.timeout(5):
        async with duty.held(store, "slack/c", owner="one") as mine:
            assert mine is not None
            await store.renewing.wait()

    assert store.overheard == 1
    assert await store.lease("slack/c", owner="two", lives=60) is not None, "it was let go of"


@virtually
async def test_a_duty_is_let_go_of_though_its_holder_is_cancelled_at_the_very_end(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(duty, "RENEW", 0.01)
    store = Deaf()

    async def work() -> None:
        async with duty.held(store, "slack/c", owner="one"):
            await store.renewing.wait()

    working = asyncio.create_task(work())
    await store.renewing.wait()
    while store.overheard == 0:
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)  # it waits for the one that is deaf
    assert not working.done()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await store.lease("slack/c", owner="two", lives=60) is not None
