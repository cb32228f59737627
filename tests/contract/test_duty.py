"""Duties: one process at a time, kept while it lives, and taken over when it does not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
import time

import pytest

from bridge import duty as duties
from bridge.duty import Held, alone, held
from bridge.errors import LeaseLost, StoreError
from bridge.store import Store
from bridge.supervise import Supervisor
from tests.eventually import PATIENCE, eventually
from tests.processes import SHARED, SharedMemory, shared
from tests.redises import RedisServer
from tests.stores import ENGINES, Place

UNIT = PATIENCE / 100


@pytest.fixture(params=SHARED)
async def stores(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[tuple[Store, Store]]:
    async with shared(request.param, redis_server, tmp_path) as pair:
        yield pair


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "LIVES", 5 * UNIT)
    monkeypatch.setattr(duties, "RENEW", UNIT)
    monkeypatch.setattr(duties, "AGAIN", UNIT / 10)


class Clock:
    """The monotonic clock of this process, which the test may let jump."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


class Part:
    """What is to run in one process at a time."""

    def __init__(self, store: Store, owner: str) -> None:
        self.starts = 0
        self.running = False
        self.fails = False
        self._store = store
        self._owner = owner
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await alone(self._store, "poll", owner=self._owner, part=self.part)

    async def part(self) -> None:
        self.starts += 1
        self.running = True
        try:
            while not self.fails:
                await asyncio.sleep(0.005)
            raise RuntimeError("trouble")
        finally:
            self.running = False

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError, RuntimeError):
            await self.task


async def test_one_at_a_time_and_let_go_at_once(stores: tuple[Store, Store]):
    one, two = stores
    async with held(one, "poll", owner="one") as mine:
        assert mine is not None
        async with held(two, "poll", owner="two") as theirs:
            assert theirs is None
        async with held(two, "another", owner="two") as another:
            assert another is not None
        mine.check()
    async with held(two, "poll", owner="two") as theirs:
        assert theirs is not None
        assert theirs.fence > mine.fence
        assert theirs.lease == ("poll", theirs.fence)


async def test_who_looks_on_lets_nothing_go(stores: tuple[Store, Store]):
    one, two = stores
    async with held(one, "poll", owner="one"):
        for _ in range(3):
            async with held(two, "poll", owner="two") as theirs:
                assert theirs is None


@pytest.mark.usefixtures("brief")
async def test_a_duty_is_kept_for_as_long_as_it_takes(stores: tuple[Store, Store]):
    one, two = stores
    async with held(one, "poll", owner="one") as mine:
        assert mine is not None
        until = time.monotonic() + 3 * duties.LIVES
        while time.monotonic() < until:
            async with held(two, "poll", owner="two") as theirs:
                assert theirs is None
            mine.check()
            await asyncio.sleep(UNIT / 5)


@pytest.mark.usefixtures("brief")
async def test_who_was_stopped_finds_it_lost(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stands still for longer than a duty lives; the next thing it does is look."""
    one, two = stores
    async with held(one, "poll", owner="one") as mine:
        assert mine is not None
        time.sleep(duties.LIVES + UNIT)
        with pytest.raises(LeaseLost, match="poll"):
            mine.check()
        async with held(two, "poll", owner="two") as theirs:
            assert theirs is not None
            await asyncio.sleep(2 * UNIT)
            with pytest.raises(LeaseLost):
                mine.check()
            theirs.check()
    clock = Clock()
    monkeypatch.setattr(duties, "time", clock)
    async with held(one, "poll", owner="one") as mine:
        assert mine is not None
        clock.ahead = duties.LIVES - UNIT
        mine.check()
        clock.ahead = duties.LIVES + UNIT
        with pytest.raises(LeaseLost):
            mine.check()


class Slow(SharedMemory):
    """Whose answer to a lease may take a while, or not come."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = 0.0
        self.down = False

    async def lease(self, duty: str, *, owner: str, lives: float) -> int | None:
        if self.down:
            raise StoreError("out of reach")
        fence = await super().lease(duty, owner=owner, lives=lives)
        await asyncio.sleep(self.takes)
        return fence


@pytest.mark.usefixtures("brief")
async def test_the_time_counts_from_when_it_was_asked():
    store = Slow()
    store.takes = duties.LIVES + UNIT / 5
    async with held(store, "poll", owner="one") as mine:
        assert mine is not None
        with pytest.raises(LeaseLost):
            mine.check()


@pytest.mark.usefixtures("brief")
async def test_a_duty_is_lost_when_the_store_is_out_of_reach_for_long_and_not_before():
    store = Slow()

    def lost(mine: Held) -> bool:
        with suppress(LeaseLost):
            mine.check()
            return False
        return True

    async with held(store, "poll", owner="one") as mine:
        assert mine is not None
        store.down = True
        await asyncio.sleep(1.5 * UNIT)
        assert not lost(mine)
        store.down = False
        await asyncio.sleep(3 * UNIT)
        assert not lost(mine)
        store.down = True
        await eventually(lambda: lost(mine))
        store.down = False


# --- Parts that run alone ------------------------------------------------------------------------


async def test_where_there_is_one_process_the_part_just_runs(tmp_path: Path):
    store = await ENGINES["sqlite"](Place(tmp_path, ""))
    part = Part(store, "one")
    await eventually(lambda: part.running)
    assert await store.lease("poll", owner="two", lives=60) is not None
    await part.stop()
    await store.close()


@pytest.mark.usefixtures("brief")
async def test_another_goes_on_when_one_ends(stores: tuple[Store, Store]):
    one = Part(stores[0], "one")
    await eventually(lambda: one.running)
    two = Part(stores[1], "two")
    await asyncio.sleep(2 * duties.LIVES)
    assert (one.starts, two.starts, one.running) == (1, 0, True)
    began = time.monotonic()
    await one.stop()
    await eventually(lambda: two.running)
    assert time.monotonic() - began < duties.LIVES, "it was let go, and did not run out"
    await two.stop()


@pytest.mark.usefixtures("brief")
async def test_what_a_dead_process_had_is_taken_over_in_time(stores: tuple[Store, Store]):
    await stores[0].lease("poll", owner="dead", lives=duties.LIVES)
    began = time.monotonic()
    two = Part(stores[1], "two")
    await eventually(lambda: two.running)
    assert duties.LIVES * 0.9 < time.monotonic() - began < duties.LIVES + 5 * UNIT
    await two.stop()


@pytest.mark.usefixtures("brief")
async def test_a_part_that_is_lost_stops_here_and_starts_there(stores: tuple[Store, Store]):
    one = Part(stores[0], "one")
    await eventually(lambda: one.running)
    two = Part(stores[1], "two")
    time.sleep(duties.LIVES + UNIT)
    await stores[0].lease("poll", owner="third", lives=10 * UNIT)
    await eventually(lambda: not one.running)
    assert not two.running
    await eventually(lambda: one.running or two.running, what="it starts again once the third has let go")
    assert not (one.running and two.running)
    await one.stop()
    await two.stop()


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_part_that_fails_starts_again(stores: tuple[Store, Store], elsewhere: bool):
    one = Part(stores[0], "one")
    await eventually(lambda: one.running)
    two = Part(stores[1], "two") if elsewhere else None
    one.fails = True
    with pytest.raises(RuntimeError):
        await one.task
    if two is not None:
        await eventually(lambda: two.running)
        await two.stop()
        return
    one.fails = False

    async def again() -> None:
        await alone(stores[0], "poll", owner="one", part=one.part)

    async with Supervisor(backoff=(0.01,)) as supervisor:
        supervisor.start("poll", again)
        await eventually(lambda: one.running)
        one.fails = True
        await eventually(lambda: not one.running)
        one.fails = False
        await eventually(lambda: one.running and one.starts >= 3)


async def test_of_many_one_runs(stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duties, "AGAIN", 0.01)
    parts = [Part(stores[n % 2], f"{n}") for n in range(10)]
    running: Callable[[], list[Part]] = lambda: [part for part in parts if part.running]  # noqa: E731
    while parts:
        await eventually(running)
        for _ in range(10):
            await asyncio.sleep(0.005)
            assert len(running()) == 1
        (first,) = running()
        await first.stop()
        parts.remove(first)
