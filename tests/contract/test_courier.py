"""Law 10: in order, at least once, and one stuck conversation delays no other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from itertools import cycle

from msgspec.structs import replace
import pytest

from bridge import events as ev
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.errors import AnchorLost, Retry, StoreError, Undeliverable
from bridge.events import ConversationId, Entry, Proposal, Seq
from bridge.store.memory import MemoryStore
from bridge.surface import Anchor, Inlet, Post
from tests.eventually import eventually

ANN, BEN = ConversationId("ann"), ConversationId("ben")
QUICK = Persistence(first=0.005, longest=0.02, tell=0.03, tries=4, give_up=60, scan=0.05)


class Wall:
    """A surface that shows what it is told on a list; `obey` may raise first."""

    name = "wall"

    def __init__(self) -> None:
        self.shown: list[tuple[str, int]] = []
        self.anchors: list[str | None] = []
        self.obey: Callable[[Post], None] = lambda _post: None

    async def run(self, inlet: Inlet) -> None:
        await asyncio.Event().wait()

    async def deliver(self, post: Post) -> Anchor | None:
        self.obey(post)
        self.shown.append((post.cid, post.entry.seq))
        self.anchors.append(post.anchor)
        return Anchor(f"thread of {post.cid}") if post.anchor is None else None

    def of(self, cid: str) -> list[int]:
        return [seq for shown, seq in self.shown if shown == cid]


@pytest.fixture
def bridge() -> Bridge:
    return Bridge(store=MemoryStore())


@asynccontextmanager
async def carried(bridge: Bridge, wall: Wall) -> AsyncIterator[Courier]:
    courier = Courier(bridge=bridge, surface=wall, persistence=QUICK)
    task = asyncio.create_task(courier.run())
    try:
        yield courier
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def say(bridge: Bridge, cid: ConversationId, *texts: str) -> None:
    for text in texts:
        opening = () if (await bridge.state(cid)).head else (ev.Opened(site="acme"),)
        events = (*opening, ev.Said(text=text))
        await bridge.submit(cid, Proposal(events=events, by=ev.Visitor(), via="widget", key=text))


async def troubles(bridge: Bridge, cid: ConversationId) -> list[ev.Undelivered]:
    return [e.event for e in await bridge.read(cid) if isinstance(e.event, ev.Undelivered)]


async def test_everything_in_order_and_once(bridge: Bridge) -> None:
    wall = Wall()
    await say(bridge, ANN, "before it ran")
    async with carried(bridge, wall):
        await say(bridge, ANN, "a", "b", "c")
        await eventually(lambda: wall.of(ANN) == [1, 2, 3, 4, 5])
    assert wall.anchors == [None, *["thread of ann"] * 4], "the anchor comes back with every later entry"


async def test_a_new_courier_goes_on_where_the_last_one_was(bridge: Bridge) -> None:
    wall = Wall()
    async with carried(bridge, wall):
        await say(bridge, ANN, "a")
        await eventually(lambda: wall.of(ANN) == [1, 2])
        await eventually(lambda: _position(bridge, 2))
    await say(bridge, ANN, "b")
    async with carried(bridge, wall):
        await eventually(lambda: wall.of(ANN) == [1, 2, 3])
    assert wall.anchors[-1] == "thread of ann"


async def _position(bridge: Bridge, position: int) -> bool:
    return (await bridge.store.cursor("wall", ANN)).position == position


async def test_a_lost_wake_up_is_made_good(bridge: Bridge) -> None:
    """What another process appended wakes nobody here; the scan finds it."""
    wall = Wall()
    async with carried(bridge, wall):
        await say(Bridge(store=bridge.store), ANN, "from elsewhere")
        await eventually(lambda: wall.of(ANN) == [1, 2])


async def test_a_stuck_conversation_delays_no_other(bridge: Bridge) -> None:
    wall, stuck = Wall(), asyncio.Event()

    def obey(post: Post) -> None:
        if post.cid == ANN and not stuck.is_set():
            raise Retry(0.01, "the wall is wet")

    wall.obey = obey
    async with carried(bridge, wall):
        await say(bridge, ANN, "a")
        await say(bridge, BEN, "a", "b")
        await eventually(lambda: wall.of(BEN) == [1, 2, 3])
        assert wall.of(ANN) == []
        await eventually(lambda: _troubled(bridge, ANN))
        assert (await bridge.state(ANN)).troubles["wall"].reason == "the wall is wet"
        stuck.set()
        await eventually(lambda: wall.of(ANN)[:2] == [1, 2])
        await eventually(lambda: _untroubled(bridge, ANN))
    told = await troubles(bridge, ANN)
    assert [(t.retrying, t.late) for t in told] == [(True, False), (False, True)], "told once, and its end"


async def _troubled(bridge: Bridge, cid: ConversationId) -> bool:
    return bool((await bridge.state(cid)).troubles)


async def _untroubled(bridge: Bridge, cid: ConversationId) -> bool:
    return not (await bridge.state(cid)).troubles


async def test_another_reason_is_told_too_but_not_without_end(bridge: Bridge) -> None:
    """Whoever mends what they were told of must hear of what is wrong next."""
    wall, reason = Wall(), ["the wall is wet"]

    def obey(post: Post) -> None:
        if reason:
            raise Retry(0.01, reason[-1])

    wall.obey = obey
    async with carried(bridge, wall):
        await say(bridge, ANN, "a")
        for told in ("the wall is wet", "no ladder", "the ladder is short"):
            reason.append(told)
            await eventually(lambda told=told: _reads(bridge, told))
        reason.append("it rains")
        await asyncio.sleep(5 * QUICK.tell)
        reason.append("the wall is wet")
        await asyncio.sleep(5 * QUICK.tell)
        reason.clear()
        await eventually(lambda: wall.of(ANN)[:2] == [1, 2])
        await eventually(lambda: _untroubled(bridge, ANN))
    told = [t.reason for t in await troubles(bridge, ANN)]
    assert told == ["the wall is wet", "no ladder", "the ladder is short", ""]


async def test_one_bad_moment_of_another_kind_is_no_news(bridge: Bridge) -> None:
    """Else it would stand there for as long as the real trouble goes on."""
    wall, once = Wall(), ["a time-out"]

    def obey(post: Post) -> None:
        told = any(e.seq > 2 for e in posts)
        posts.append(post.entry)
        raise Retry(0.01, once.pop() if told and once else "the wall is wet")

    posts: list[Entry] = []
    wall.obey = obey
    async with carried(bridge, wall):
        await say(bridge, ANN, "a")
        await eventually(lambda: _reads(bridge, "the wall is wet"))
        posts.append(replace(posts[0], seq=Seq(3)))
        await eventually(lambda: not once)
        before = len(posts)
        await eventually(lambda: len(posts) > before + 8)
    assert [t.reason for t in await troubles(bridge, ANN)] == ["the wall is wet"]


async def test_trouble_of_changing_kinds_is_told_too(bridge: Bridge) -> None:
    """A platform that now times out and now cannot be reached is in trouble all the same."""
    wall, kinds = Wall(), cycle(["a time-out", "no connection"])

    def obey(_post: Post) -> None:
        raise Retry(0.01, next(kinds))

    wall.obey = obey
    async with carried(bridge, wall):
        await say(bridge, ANN, "a")
        await eventually(lambda: _troubled(bridge, ANN), within=2)


async def test_a_courier_that_begins_anew_tells_what_is_wrong_now(bridge: Bridge) -> None:
    wall = Wall()
    for reason in ("the wall is wet", "no ladder"):

        def obey(_post: Post, reason: str = reason) -> None:
            raise Retry(0.01, reason)

        wall.obey = obey
        async with carried(bridge, wall):
            if not await bridge.read(ANN):
                await say(bridge, ANN, "a")
            await eventually(lambda reason=reason: _reads(bridge, reason))


async def _reads(bridge: Bridge, reason: str) -> bool:
    trouble = (await bridge.state(ANN)).troubles.get("wall")
    return trouble is not None and trouble.reason == reason


@pytest.mark.parametrize(
    "error", [Undeliverable("too rude"), ValueError("poison")], ids=["refused", "poison"]
)
async def test_what_cannot_be_delivered_is_told_and_the_next_flow(bridge: Bridge, error: Exception) -> None:
    wall = Wall()

    def obey(post: Post) -> None:
        if post.entry.seq == 2:
            raise error

    wall.obey = obey
    async with carried(bridge, wall):
        await say(bridge, ANN, "poison", "b")
        await eventually(lambda: 3 in wall.of(ANN))
        await eventually(lambda: _troubled(bridge, ANN))
    assert 2 not in wall.of(ANN)
    told = [t for t in await troubles(bridge, ANN) if not t.retrying]
    assert [(t.target, t.reason) for t in told] == [(2, "too rude" if "rude" in str(error) else "ValueError")]


async def test_a_lost_anchor_is_asked_for_anew(bridge: Bridge) -> None:
    wall = Wall()
    gone = [True]

    def obey(post: Post) -> None:
        if post.entry.seq == 3 and post.anchor is not None and gone:
            gone.clear()
            raise AnchorLost

    wall.obey = obey
    async with carried(bridge, wall):
        await say(bridge, ANN, "a", "b", "c")
        await eventually(lambda: wall.of(ANN) == [1, 2, 3, 4])
    assert wall.anchors == [None, "thread of ann", None, "thread of ann"]


async def test_trouble_with_words_of_trouble_does_not_breed(bridge: Bridge) -> None:
    """A surface that can show nothing at all gets each entry tried, and one word about each that matters."""
    wall = Wall()

    def obey(post: Post) -> None:
        raise Undeliverable("no")

    wall.obey = obey
    async with carried(bridge, wall):
        await say(bridge, ANN, "a")
        await eventually(lambda: _position(bridge, 4))
    assert [t.target for t in await troubles(bridge, ANN)] == [1, 2]


async def test_a_conversation_that_cannot_be_read_stops_no_other(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, read = Wall(), bridge.store.read

    async def broken(cid: ConversationId, **how: int) -> list[Entry]:
        if cid == ANN:
            raise ValueError("an entry of a newer version")
        return await read(cid, **how)

    other = Bridge(store=bridge.store)
    await say(other, ANN, "a")
    monkeypatch.setattr(bridge.store, "read", broken)
    async with carried(bridge, wall) as courier:
        await asyncio.sleep(0)
        await say(bridge, BEN, "b")
        await eventually(lambda: wall.of(BEN) == [1, 2])
        monkeypatch.setattr(bridge.store, "read", read)
        await eventually(lambda: wall.of(ANN) == [1, 2])
        assert not courier._lanes


async def test_a_scan_that_fails_cuts_no_delivery_off(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall()
    going, go = asyncio.Event(), asyncio.Event()
    deliver = wall.deliver

    async def slow(post: Post) -> Anchor | None:
        going.set()
        await go.wait()
        return await deliver(post)

    monkeypatch.setattr(wall, "deliver", slow)
    async with carried(bridge, wall):
        await say(bridge, ANN, "a")
        await going.wait()
        scans = 0

        async def failing(surface: str, *, limit: int = 100) -> list[ConversationId]:
            nonlocal scans
            scans += 1
            raise StoreError("the disk is full")

        monkeypatch.setattr(bridge.store, "behind", failing)
        await eventually(lambda: scans >= 2)
        go.set()
        await eventually(lambda: wall.of(ANN) == [1, 2])


async def test_trouble_is_told_though_the_clock_is_put_back(bridge: Bridge) -> None:
    wall = Wall()
    start = bridge.clock()

    def obey(post: Post) -> None:
        bridge.clock = lambda: start - timedelta(hours=1)
        raise Retry(0.01, "the wall is wet")

    wall.obey = obey
    async with carried(bridge, wall):
        await say(bridge, ANN, "a")
        await eventually(lambda: _troubled(bridge, ANN))
