"""Law 4 when the store is not what it was: nobody goes on in the middle of another log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from uuid import uuid4

import pytest

from bridge import events as ev
from bridge.core import CHUNK, POLL, Bridge
from bridge.errors import Refused, WentBack
from bridge.events import ConversationId, Proposal, Seq
from bridge.store import open_store
from bridge.store.memory import MemoryStore
from bridge.surface import Receipt
from tests.eventually import PATIENCE, eventually
from tests.redises import RedisServer, flush

CID = ConversationId("c")


class Bridges:
    """A bridge on a store that becomes another one, which somebody else has been told of."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.bridge = Bridge(store=self.store)

    async def says(self, *texts: str) -> None:
        for text in texts:
            opening = () if (await self.bridge.state(CID)).head else (ev.Opened(site="acme"),)
            events = (*opening, ev.Said(text=text))
            await self.bridge.submit(CID, Proposal(events=events, by=ev.Visitor(), via="widget", key=text))

    async def becomes(self, *texts: str) -> None:
        """Another store, with another log of that conversation."""
        old, self.bridge = self.bridge, Bridge(store=self.store)
        self.store._logs.pop(CID, None)
        self.store.log_id = uuid4().hex
        self.bridge = Bridge(store=self.store)
        await self.says(*texts)
        self.bridge = old


@pytest.fixture
async def bridges() -> AsyncIterator[Bridges]:
    found = Bridges()
    running = asyncio.create_task(found.bridge.run())
    yield found
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("texts", [[], ["x"], ["x", "y"], ["x", "y", "z", "and on"]])
async def test_who_follows_is_shown_nothing_of_the_other_log(bridges: Bridges, texts: list[str]) -> None:
    """However long that has become."""
    await bridges.says("a", "b")
    async with asyncio.timeout(PATIENCE), aclosing(bridges.bridge.tail(CID)) as tail:
        seen = 0
        while seen < 3:
            seen = (await anext(tail)).entries[-1].seq
        await bridges.becomes(*texts)
        with pytest.raises(WentBack):
            await anext(tail)


async def test_who_was_reading_the_past_is_shown_nothing_of_the_other_log(bridges: Bridges) -> None:
    texts = [f"{n}" for n in range(2 * CHUNK)]
    await bridges.says(*texts)
    async with asyncio.timeout(PATIENCE), aclosing(bridges.bridge.tail(CID)) as tail:
        await anext(tail)
        await bridges.becomes(*texts, "and on")
        with pytest.raises(WentBack):
            await anext(tail)


async def test_who_begins_beyond_the_end_has_followed_another_log(bridges: Bridges) -> None:
    await bridges.says("a")
    async with asyncio.timeout(PATIENCE), aclosing(bridges.bridge.tail(CID, 3)) as tail:
        with pytest.raises(WentBack):
            await anext(tail)


async def test_the_state_is_that_of_the_log_as_it_is_now(bridges: Bridges) -> None:
    await bridges.says("a", "b")
    old = await bridges.bridge.state(CID)
    await bridges.becomes("x", "y")
    new = await bridges.bridge.state(CID)
    assert new.head == old.head == 3
    assert new.keys.keys() != old.keys.keys()


async def test_what_is_proposed_is_judged_by_the_log_as_it_is_now(bridges: Bridges) -> None:
    await bridges.says("a", "b")
    await bridges.becomes("x", "y")
    again = Proposal(events=(ev.Said(text="b"),), by=ev.Visitor(), via="widget", key="b")
    receipt = await bridges.bridge.submit(CID, again)
    assert (receipt.seq, receipt.duplicate) == (4, False), "it is not in this log: it is no repetition"


async def test_what_was_decided_by_the_log_as_it_was_is_not_appended_to_another(bridges: Bridges) -> None:
    """The store becomes another one between the decision and its append."""
    await bridges.says("a", "b")
    other = Bridges()
    await other.says("x", "y")
    proposal = Proposal(events=(ev.Said(text="c"),), by=ev.Visitor(), via="widget", key="x")
    submitting = asyncio.create_task(bridges.bridge.submit(CID, proposal))
    await asyncio.sleep(0)
    bridges.store._logs, bridges.store.log_id = other.store._logs, other.store.log_id

    with pytest.raises(Refused, match="sent before with other words"):
        await submitting
    assert [entry.key for entry in await bridges.store.read(CID)] == ["x", "x#1", "y"]


# --- Two processes on a Redis --------------------------------------------------------------------


@asynccontextmanager
async def process(server: RedisServer) -> AsyncIterator[Bridge]:
    store = await open_store(server.url)
    bridge = Bridge(store=store)
    running = asyncio.create_task(bridge.run())
    try:
        yield bridge
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


async def says(bridge: Bridge, text: str, *, first: bool = False) -> Receipt:
    events = (*([ev.Opened(site="acme")] if first else []), ev.Said(text=text))
    proposal = Proposal(events=events, by=ev.Visitor(), via="widget", key=text)
    return await bridge.submit(CID, proposal)


class Follower:
    """Somebody who is shown what one process has; told to begin anew, they do."""

    def __init__(self, bridge: Bridge) -> None:
        self.shown: list[str] = []
        self.begun = 0
        self._bridge = bridge

    async def follow(self) -> None:
        while True:
            self.begun, self.shown = self.begun + 1, []
            with suppress(WentBack):
                async for batch in self._bridge.tail(CID):
                    self.shown += [e.event.text for e in batch.entries if isinstance(e.event, ev.Said)]


async def test_what_a_failover_lost_is_missed_though_another_process_wrote_on(
    redis_server: RedisServer,
) -> None:
    """One had shown and acknowledged it; the other had not seen it, and its own entry has that seq now."""
    await flush(redis_server)
    async with process(redis_server) as one, process(redis_server) as two:
        await says(one, "hi", first=True)
        await two.state(CID)
        there = redis_server.dump()
        here, beside = Follower(one), Follower(two)
        following = [asyncio.create_task(here.follow())]
        log_id = one.store.log_id
        assert (await says(one, "lost")).seq == 3
        await eventually(lambda: here.shown == ["hi", "lost"])
        redis_server.go_back(there)
        assert (await says(two, "in its place")).seq == 3
        following.append(asyncio.create_task(beside.follow()))

        await eventually(lambda: here.begun == 2, within=2 * POLL)
        await eventually(lambda: here.shown == beside.shown == ["hi", "in its place"])
        await eventually(lambda: one.store.log_id == two.store.log_id != log_id)
        again = await says(one, "lost")
        assert (again.seq, again.duplicate) == (Seq(4), False)
        await eventually(lambda: here.shown == beside.shown == ["hi", "in its place", "lost"])
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def test_a_repeat_of_what_was_lost_is_not_taken_for_one(redis_server: RedisServer) -> None:
    """Though nobody has asked since, and the process still remembers it."""
    await flush(redis_server)
    async with process(redis_server) as one, process(redis_server) as two:
        await says(one, "hi", first=True)
        await two.state(CID)
        there = redis_server.dump()
        await says(one, "lost")
        redis_server.go_back(there)
        await says(two, "in its place")

        again = await says(one, "lost")

        assert (again.seq, again.duplicate) == (Seq(4), False)
        log = await one.read(CID)
        assert [e.event.text for e in log if isinstance(e.event, ev.Said)] == ["hi", "in its place", "lost"]
