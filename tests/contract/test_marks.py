"""A client's mark: what it has is compared with the log, also where a log that went back has grown past it."""

import asyncio
from datetime import timedelta
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from bridge import events as ev
from bridge import wire
from bridge.core import Bridge
from bridge.errors import FrameError, WentBack
from bridge.events import ConversationId, Entry, Proposal, Seq, Staff, StaffId
from bridge.limits import Rate
from bridge.session import Desk, Feed, Guest
from bridge.store.memory import MemoryStore
from tests.callers import Caller
from tests.joining import joining

CID = ConversationId("c")
DANA = Staff(id=StaffId("dana"), name="Dana")
VISITOR = Guest(cid=CID, audience="visitor", by=ev.Visitor(), via="widget")


class Counting(MemoryStore):
    """Counts what is read of logs."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []
        self.fails = False

    async def read(self, cid: ConversationId, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        self.reads.append(limit)
        if self.fails:
            raise WentBack("restored")
        return await super().read(cid, after=after, limit=limit)

    def cut(self, head: int) -> None:
        log = self._logs[CID]
        del log.bodies[head:]
        del log.numbers[head:]


@pytest.fixture
def store() -> Counting:
    return Counting()


async def say(bridge: Bridge, *texts: str) -> None:
    for text in texts:
        opening = () if (await bridge.state(CID)).head else (ev.Opened(site="acme"),)
        events = (*opening, ev.Said(text=text))
        await bridge.submit(CID, Proposal(events=events, by=ev.Visitor(), via="w", key=f"k-{text}"))


async def met(bridge: Bridge, after: int, entry: Entry | None, log: str = "") -> wire.Welcome | wire.Reset:
    """How a client is met that says it has everything up to `after`, the last of which is `entry`."""
    hello = wire.Hello(after=after, mark=entry.at if entry else None, log=log)
    return await Feed(bridge=bridge, guest=VISITOR, hello=hello, room=10).welcome()


async def test_who_has_the_beginning_of_the_log_goes_on(store: Counting) -> None:
    bridge = Bridge(store=store)
    await say(bridge, "one", "two", "three")
    for entry in await bridge.read(CID):
        assert isinstance(await met(bridge, entry.seq, entry), wire.Welcome)
        assert isinstance(await met(bridge, entry.seq, None), wire.Welcome), "without a mark as ever"


async def test_who_has_something_else_begins_anew(store: Counting) -> None:
    bridge = Bridge(store=store)
    await say(bridge, "one", "two", "three")
    for entry in await bridge.read(CID):
        other = Entry(
            seq=entry.seq,
            at=entry.at - timedelta(microseconds=1),
            event=entry.event,
            by=entry.by,
            via="",
            key="",
        )
        assert isinstance(await met(bridge, entry.seq, other), wire.Reset)


async def test_a_log_that_went_back_and_grew_past_the_client(store: Counting) -> None:
    """By a process that never knew what was lost: position and log id tell nothing."""
    before = Bridge(store=store)
    await say(before, "one", "two", "three")
    had = await before.read(CID)
    store.cut(2)
    after = Bridge(store=store)
    await say(after, "other two", "other three", "other four")
    assert isinstance(await met(after, had[-1].seq, had[-1], store.log_id), wire.Reset)
    assert isinstance(await met(after, had[1].seq, had[1], store.log_id), wire.Welcome), "that still stands"


@pytest.mark.parametrize("notes", [0, 3])
async def test_it_costs_no_read_where_the_position_is_in_memory(store: Counting, notes: int) -> None:
    """At the end, and where only team talk has come since, which a visitor does not have."""
    bridge = Bridge(store=store)
    await say(bridge, "one", "two")
    had = (await bridge.read(CID))[-1]
    follower = bridge.tail(CID, had.seq)
    following = anext(follower)
    if notes:
        first = asyncio.ensure_future(following)  # whoever follows live keeps what is recent in memory
        await asyncio.sleep(0)
        for number in range(notes):
            note = ev.Noted(text=str(number))
            await bridge.submit(CID, Proposal(events=(note,), by=DANA, via="w", key=f"n{number}"))
        await first
        await say(bridge, "three")
        had = (await bridge.read(CID, after=had.seq + 1))[0]
    store.reads.clear()
    assert isinstance(await met(bridge, had.seq, had), wire.Welcome)
    assert store.reads == []


async def test_it_costs_one_small_read_where_it_is_not(store: Counting) -> None:
    bridge = Bridge(store=store)
    await say(bridge, *map(str, range(20)))
    had = (await bridge.read(CID))[3]
    store.reads.clear()
    assert isinstance(await met(bridge, had.seq, had), wire.Welcome)
    assert store.reads == [1]


async def test_a_store_that_says_so_at_this_very_read(store: Counting) -> None:
    bridge = Bridge(store=store)
    await say(bridge, *map(str, range(20)))
    had = (await bridge.read(CID))[3]
    store.fails = True
    assert isinstance(await met(bridge, had.seq, had), wire.Reset)
    assert bridge.peek(CID).head == 0, "what was known from before is forgotten"


async def test_a_mark_at_an_entry_that_cannot_be(store: Counting) -> None:
    bridge = Bridge(store=store)
    await say(bridge, "one")
    had = (await bridge.read(CID))[-1]
    assert isinstance(await met(bridge, 0, had), wire.Welcome)
    assert isinstance(await met(bridge, -1, had), wire.Reset)
    assert isinstance(await met(bridge, 99, had), wire.Reset)


@pytest.mark.parametrize(
    "mark", ['"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"', '"2026-01-01T00:00:00"']
)
async def test_a_mark_from_anywhere_does_no_harm(store: Counting, mark: str) -> None:
    bridge = Bridge(store=store)
    await say(bridge, "one", "two")
    hello = wire.decode(f'{{"t":"hello","after":2,"mark":{mark}}}')
    assert isinstance(hello, wire.Hello)
    feed = Feed(bridge=bridge, guest=VISITOR, hello=hello, room=10)
    assert isinstance(await feed.welcome(), wire.Reset)


@pytest.mark.parametrize("mark", ["1", '"soon"', "[]", '{"at":1}'])
def test_what_is_no_moment_is_no_mark(mark: str) -> None:
    with pytest.raises(FrameError):
        wire.decode(f'{{"t":"hello","after":2,"mark":{mark}}}')


# --- what is sent before the client knows ---------------------------------------------------------


@pytest.mark.parametrize("left", [0, 2])
async def test_words_for_a_log_that_went_back_wait_for_those_before_them(store: Counting, left: int) -> None:
    bridge = Bridge(store=store)
    rate = Rate(100, 60)
    desk = Desk(bridge=bridge, page_url="", visitor_rate=rate, opening_rate=rate, staff_rate=rate)
    await say(bridge, "one", "two")
    store.cut(left)
    if not left:
        store._logs.pop(CID)
    propose: Any = wire.decode('{"t":"propose","key":"three","events":[{"type":"Said","text":"three"}]}')
    with pytest.raises(FrameError) as ended:
        await desk.answer(VISITOR, propose)
    assert ended.value.close_code == 1012
    assert [e.seq for e in await bridge.read(CID)] == [Seq(n + 1) for n in range(left)]
    if left:
        assert isinstance(await desk.answer(VISITOR, propose), wire.Ack), "whoever comes back is heard"


# --- a session of the join page that is gone -------------------------------------------------------


@pytest.mark.parametrize(("restored", "reason"), [(True, "lost"), (False, "ended")])
async def test_a_lost_session_is_told_from_one_that_was_ended(restored: bool, reason: str) -> None:
    async with joining() as page, Caller(page) as dana:
        await page.open()
        await dana.join(await page.link())
        store = page.bridge.store
        assert isinstance(store, MemoryStore)
        log = store.log_id
        for place in [p for p in store._records if p[0] == "session"]:
            del store._records[place]
        if restored:
            store.log_id = "restored"
        url = f"{page.url.replace('http', 'ws', 1)}/live/staff"
        hello = {"t": "hello", "cid": page.cid, "after": 1, "log": log}
        async with connect(
            url, origin=Origin(page.url), additional_headers={"Cookie": dana.cookie}
        ) as socket:
            await socket.send(json.dumps(hello))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, reason)
