"""A duty that is lost while work is under way: the work ends before another process begins."""

import asyncio
import time

import pytest

from bridge import duty
from bridge.duty import Held
from bridge.errors import LeaseLost


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duty, "LIVES", 0.2)


def taken() -> Held:
    return Held(duty="slack/c", fence=1, asked=time.monotonic())


async def test_what_is_done_in_time_is_done():
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await taken().during(work()) == "done"


async def test_what_lasts_longer_than_the_lease_is_cancelled_before_another_can_have_it():
    ended: list[float] = []
    began = time.monotonic()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(time.monotonic() - began)

    with pytest.raises(LeaseLost):
        await taken().during(work())
    assert ended[0] < duty.LIVES


async def test_who_renews_goes_on():
    mine = taken()

    async def work() -> str:
        for _ in range(4):
            await asyncio.sleep(duty.LIVES / 2)
            mine.renewed(time.monotonic())
        return "done"

    assert await mine.during(work()) == "done"


async def test_nothing_is_begun_with_a_lease_that_is_lost():
    mine, begun = taken(), []
    mine.lose()

    async def work() -> None:
        begun.append(1)

    with pytest.raises(LeaseLost):
        await mine.during(work())
    assert begun == []


async def test_what_fails_fails_as_it_does():
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await taken().during(work())


async def test_who_is_cancelled_takes_the_work_along():
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    mine = taken()
    task = asyncio.create_task(mine.during(work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
