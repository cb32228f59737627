"""An inbox that two processes share: each item handled once, in its lane's order, though one of them dies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge import duty as duties
from bridge.errors import StoreError
from bridge.store import Store
from connectors.threads import inbox as inboxes
from connectors.threads.inbox import Inbox, Item
from tests.eventually import PATIENCE, eventually
from tests.processes import SHARED, shared
from tests.redises import RedisServer

UNIT = PATIENCE / 100


class Process:
    """`obey` is what handling does beside being noted, in a list that all processes share."""

    def __init__(self, store: Store, name: str, handled: list[tuple[str, str]]) -> None:
        self.store = store
        self.name = name
        self.handled = handled
        self.tried: list[str] = []
        self.obey: Callable[[str], Awaitable[None]] = _nothing
        self.inbox = Inbox(
            store=store, name="test", clock=lambda: datetime.now(UTC), handle=self._handle, process=name
        )
        self._task: asyncio.Task[None] | None = None

    async def _handle(self, body: bytes) -> None:
        self.tried.append(body.decode())
        await self.obey(body.decode())
        self.handled.append((self.name, body.decode()))

    async def arrives(self, *names: str) -> None:
        """Items named by their key; the letters before a digit are the lane."""
        await self.inbox.accept([Item(key=n, lane=n.rstrip("0123456789"), body=n.encode()) for n in names])

    async def start(self) -> None:
        self._task = asyncio.create_task(self.inbox.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def die(self) -> None:
        """Let go of nothing."""

        async def release(_duty: str, *, owner: str) -> None:
            raise StoreError(f"{owner} is dead")

        self.store.release = release  # type: ignore[method-assign]
        await self.stop()


async def _nothing(_name: str) -> None:
    pass


@pytest.fixture(params=SHARED)
async def pair(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Process, Process]]:
    monkeypatch.setattr(duties, "LIVES", 5 * UNIT)
    monkeypatch.setattr(duties, "RENEW", UNIT)
    monkeypatch.setattr(inboxes, "ADOPT", 4 * UNIT)
    monkeypatch.setattr(inboxes, "ELSEWHERE", UNIT / 4)
    handled: list[tuple[str, str]] = []
    async with shared(request.param, redis_server, tmp_path) as (first, second):
        one, two = Process(first, "one", handled), Process(second, "two", handled)
        await one.start()
        await two.start()
        yield one, two
        await one.stop()
        await two.stop()


def names(process: Process, lane: str = "") -> list[str]:
    return [name for _, name in process.handled if name.startswith(lane)]


async def rest(process: Process) -> None:
    """Until nothing waits any more."""

    async def empty() -> bool:
        return not await process.store.scan("test-inbox", "item/")

    await eventually(empty)


async def test_each_handles_what_it_accepted(pair: tuple[Process, Process]):
    one, two = pair
    await asyncio.gather(one.arrives("a1", "b1", "a2"), two.arrives("c1", "c2"))
    await rest(one)
    assert sorted(one.handled) == [("one", "a1"), ("one", "a2"), ("one", "b1"), ("two", "c1"), ("two", "c2")]


async def test_what_is_sent_to_both_is_handled_once(pair: tuple[Process, Process]):
    """A platform that got no answer from one repeats it to the other, sooner or later."""
    one, two = pair
    batch = [f"{lane}{n}" for lane in "abcd" for n in range(5)]
    await asyncio.gather(one.arrives(*batch), two.arrives(*batch))
    await rest(one)
    await two.arrives(*batch)
    await one.arrives(*batch)
    await rest(two)
    assert sorted(names(one)) == batch
    for lane in "abcd":
        assert names(one, lane) == [f"{lane}{n}" for n in range(5)]


async def test_what_comes_again_while_it_is_being_handled_is_not_handled_again(pair: tuple[Process, Process]):
    one, two = pair
    gate = asyncio.Event()

    async def wait(_name: str) -> None:
        await gate.wait()

    one.obey = wait
    await one.arrives("a1")
    await eventually(lambda: one.tried)
    await two.arrives("a1", "a2")
    await asyncio.sleep(UNIT)
    assert two.tried == [], "the lane is busy"
    gate.set()
    await rest(one)
    assert one.handled == [("one", "a1"), ("two", "a2")]


async def test_what_was_handled_between_the_look_and_the_keeping_is_not_handled_again(
    pair: tuple[Process, Process],
):
    """One has just done what two is about to keep: two saw no trace of it, and then keeps it all the same."""
    one, two = pair
    put_all = two.store.put_all

    async def slow(space: str, batch: list) -> None:
        await one.arrives("a1")
        await rest(one)
        await put_all(space, batch)

    two.store.put_all = slow  # type: ignore[method-assign]
    await two.arrives("a1")
    await rest(two)
    assert one.handled == [("one", "a1")]


async def test_a_lane_is_worked_on_by_one_at_a_time(pair: tuple[Process, Process]):
    one, two = pair
    busy: list[str] = []

    async def work(name: str) -> None:
        assert not busy, f"{name} beside {busy}"
        busy.append(name)
        await asyncio.sleep(0.005)
        busy.remove(name)

    one.obey = two.obey = work
    for n in range(6):
        await pair[n % 2].arrives(f"a{n}")
    await rest(one)
    assert sorted(names(one)) == [f"a{n}" for n in range(6)]
    assert max(map(one.tried.count, one.tried)) == 1, "none failed"


async def test_what_a_dead_process_left_is_adopted_in_its_order(pair: tuple[Process, Process]):
    one, two = pair

    async def wait(_name: str) -> None:
        await asyncio.Event().wait()

    one.obey = wait
    await one.arrives("a1", "b1", "a2", "a3", "b2")
    await eventually(lambda: sorted(one.tried) == ["a1", "b1"])
    await one.die()
    assert two.tried == []
    await rest(two)
    assert {process for process, _ in one.handled} == {"two"}
    assert names(one, "a") == ["a1", "a2", "a3"]
    assert names(one, "b") == ["b1", "b2"]


async def test_what_a_living_process_is_slow_with_is_not_taken_from_it(pair: tuple[Process, Process]):
    one, two = pair
    gate = asyncio.Event()

    async def wait(_name: str) -> None:
        await gate.wait()

    one.obey = wait
    await one.arrives("a1", "a2")
    await eventually(lambda: one.tried == ["a1"])
    await asyncio.sleep(2.5 * inboxes.ADOPT)
    assert "a1" in two.inbox._known, "it is looked after"
    assert two.tried == []
    gate.set()
    await rest(one)
    assert names(one) == ["a1", "a2"]
    await eventually(lambda: not two.inbox._known, what="and forgotten when it is done")


async def test_who_stood_still_looks_before_the_next_item(pair: tuple[Process, Process]):
    one, two = pair
    gate = asyncio.Event()

    async def wait(_name: str) -> None:
        await gate.wait()

    one.obey = wait
    await one.arrives("a1", "a2", "a3")
    await eventually(lambda: one.tried == ["a1"])
    me, lease = "one", one.store.lease

    async def stopped(duty: str, *, owner: str, lives: float) -> int | None:
        return None if owner == me else await lease(duty, owner=owner, lives=lives)

    one.store.lease = stopped  # type: ignore[method-assign]
    await eventually(lambda: names(two) == ["a1", "a2", "a3"])
    gate.set()
    await rest(one)
    await asyncio.sleep(UNIT)
    assert one.tried == ["a1"]
    assert [process for process, name in one.handled if name != "a1"] == ["two", "two"]


async def test_who_lost_the_lane_handles_nothing_more(pair: tuple[Process, Process]):
    one, two = pair
    await two.stop()
    gate = asyncio.Event()

    async def wait(_name: str) -> None:
        await gate.wait()

    one.obey = wait
    await one.arrives("a1", "a2")
    await eventually(lambda: one.tried == ["a1"])
    lease = one.store.lease

    async def stopped(duty: str, *, owner: str, lives: float) -> int | None:
        return None if owner == "one" else await lease(duty, owner=owner, lives=lives)

    one.store.lease = stopped  # type: ignore[method-assign]
    await eventually(lambda: lease("inbox:test:a", owner="third", lives=60))
    gate.set()
    await eventually(lambda: names(one) == ["a1"])
    await asyncio.sleep(UNIT)
    assert one.tried == ["a1"]
