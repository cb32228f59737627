"""Law 4 when the store is not what it was: nobody goes on in the middle of another log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from uuid import uuid4

import pytest

from bridge import events as ev
from bridge.core import CHUNK, Bridge
from bridge.errors import WentBack
from bridge.events import ConversationId, Proposal
from bridge.store.memory import MemoryStore
from tests.eventually import PATIENCE

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
