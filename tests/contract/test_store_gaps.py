"""Wake-ups are hints: a process that hears none is shown what another one appended all the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
import time

import pytest

from bridge import events as ev
from bridge.core import POLL, Bridge
from bridge.events import ConversationId, Proposal
from bridge.store import open_store
from tests.between import Between
from tests.eventually import PATIENCE
from tests.redises import RedisServer, flush

CID, OTHER = ConversationId("c"), ConversationId("other")
SLOW = PATIENCE / 10  # for a busy machine, beside what is promised


@pytest.fixture
async def between(redis_server: RedisServer) -> AsyncIterator[Between]:
    await flush(redis_server)
    async with Between(redis_server.port) as between:
        yield between


async def says(bridge: Bridge, cid: ConversationId, text: str) -> None:
    opening = () if (await bridge.state(cid)).head else (ev.Opened(site="acme"),)
    events = (*opening, ev.Said(text=text))
    await bridge.submit(cid, Proposal(events=events, by=ev.Visitor(), via="widget", key=text))


async def test_who_hears_no_wake_ups_is_shown_everything_within_two_seconds(
    redis_server: RedisServer, between: Between
):
    assert POLL <= 2.0
    there, here = await open_store(redis_server.url), await open_store(between.url)
    writer, reader = Bridge(store=there), Bridge(store=here)
    running = asyncio.create_task(reader.run())
    try:
        await says(writer, CID, "hi")
        async with aclosing(reader.tail(CID)) as tail:
            await anext(tail)
            between.deaf = True
            for text in ("more", "and more"):
                await says(writer, CID, text)
                await says(writer, OTHER, text)
                appended = time.monotonic()
                async with asyncio.timeout(PATIENCE):
                    batch = await anext(tail)
                assert [e.event for e in batch.entries] == [ev.Said(text=text)]
                assert time.monotonic() - appended < 2.0 + SLOW
            assert between.unheard >= 4, "it was called out, and lost on the way"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await here.close()
        await there.close()
