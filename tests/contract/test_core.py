"""The Bridge over a store: receipts, tails without gaps, stale folds, and time acting on conversations."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import json
import pytest

from bridge import events as ev
from bridge import wire
from bridge.core import CHUNK, Batch, Bridge
from bridge.errors import Refused, WentBack
from bridge.events import ConversationId, Entry, Proposal, Staff, StaffId
from bridge.idle import Patience
from bridge.known import RECENT
from bridge.session import Feed, Guest
from bridge.store.memory import MemoryStore
from bridge.warden import Warden
from tests.eventually import eventually

CID = ConversationId("c")
DANA, SAM = Staff(id=StaffId("dana"), name="Dana"), Staff(id=StaffId("sam"), name="Sam")


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bridge(clock: Clock) -> Bridge:
    return Bridge(store=MemoryStore(), clock=clock, patience=Patience())


def numbers() -> Iterator[str]:
    n = 0
    while True:
        n += 1
        yield f"k{n}"


KEYS = numbers()


async def visitor_says(bridge: Bridge, text: str) -> None:
    opening = () if (await bridge.state(CID)).head else (ev.Opened(site="acme"),)
    await bridge.submit(
        CID, Proposal(events=(*opening, ev.Said(text=text)), by=ev.Visitor(), via="w", key=next(KEYS))
    )


async def does(bridge: Bridge, staff: Staff, *events: ev.Event, via: str = "web") -> None:
    floor = (await bridge.state(CID)).floor.since
    await bridge.submit(CID, Proposal(events=events, by=staff, via=via, key=next(KEYS), floor=floor))


async def collect(bridge: Bridge, after: int, into: list[Entry]) -> None:
    async with aclosing(bridge.tail(CID, after)) as tail:
        async for batch in tail:
            into += batch.entries


async def test_a_tail_has_no_gap_however_it_starts(bridge: Bridge) -> None:
    """Old entries from the store, recent ones from memory, new ones live: one sequence."""
    for number in range(CHUNK + 2 * RECENT):
        await visitor_says(bridge, str(number))
    starts = [0, 1, CHUNK - 1, CHUNK, CHUNK + RECENT + 1]
    seen: dict[int, list[Entry]] = {start: [] for start in starts}
    tails = [asyncio.create_task(collect(bridge, start, seen[start])) for start in starts]
    for number in range(50):
        await visitor_says(bridge, f"live {number}")
    head = (await bridge.state(CID)).head
    for start in starts:
        await eventually(lambda start=start: [e.seq for e in seen[start]] == list(range(start + 1, head + 1)))
    for tail in tails:
        tail.cancel()
        with suppress(asyncio.CancelledError):
            await tail


async def test_followers_of_a_live_conversation_share_one_batch(bridge: Bridge) -> None:
    await visitor_says(bridge, "hello")
    got: list[Batch] = []

    async def one() -> None:
        async with aclosing(bridge.tail(CID, 2)) as tail:
            async for batch in tail:
                got.append(batch)
                return

    tasks = [asyncio.create_task(one()) for _ in range(3)]
    await asyncio.sleep(0)
    await visitor_says(bridge, "again")
    await asyncio.gather(*tasks)
    assert got[0] is got[1] is got[2]


async def test_a_tail_sees_what_another_process_appends(bridge: Bridge) -> None:
    other = Bridge(store=bridge.store)
    await visitor_says(bridge, "here")
    seen: list[Entry] = []
    tasks = [asyncio.create_task(collect(bridge, 0, seen)), asyncio.create_task(bridge.run())]
    await eventually(lambda: len(seen) == 2)
    await visitor_says(other, "there")
    await eventually(lambda: [e.seq for e in seen] == [1, 2, 3])
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_nothing_is_refused_from_a_stale_fold(bridge: Bridge) -> None:
    """Law 13: this process believes Dana holds the floor; elsewhere she handed back and Sam took over."""
    other = Bridge(store=bridge.store)
    await visitor_says(bridge, "hello")
    await does(bridge, DANA, ev.TookOver())
    await does(other, DANA, ev.HandedBack())
    await does(other, SAM, ev.TookOver())
    proposal = Proposal(events=(ev.Said(text="Sam here"),), by=SAM, via="web", key="sam-1")
    receipt = await bridge.submit(CID, proposal)
    assert receipt.seq == 6
    with pytest.raises(Refused) as refused:
        await bridge.submit(CID, Proposal(events=(ev.Said(text="Dana"),), by=DANA, via="web", key="dana-1"))
    assert refused.value.holder == "Sam"


async def test_two_take_over_at_once_one_wins_and_the_other_is_told_who(bridge: Bridge) -> None:
    other = Bridge(store=bridge.store)
    for turn in range(20):
        if not turn:
            await visitor_says(bridge, "hello")
        since = (await bridge.state(CID)).floor.since
        tries = [
            b.submit(CID, Proposal(events=(ev.TookOver(), ev.Said(text="mine")), by=s, via="web", key=f"{s.id}{turn}", floor=since))
            for b, s in ((bridge, DANA), (other, SAM))
        ]  # fmt: skip
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        losers = [o for o in outcomes if isinstance(o, Refused)]
        assert len(losers) == 1
        winner = (await bridge.state(CID)).holder_name
        assert losers[0].code == "floor_moved"
        assert losers[0].holder == winner
        await does(bridge, DANA if winner == "Dana" else SAM, ev.HandedBack())


async def test_a_cancelled_submit_leaves_a_log_that_goes_on(bridge: Bridge) -> None:
    await visitor_says(bridge, "hello")
    for number in range(30):
        task = asyncio.create_task(visitor_says(bridge, f"maybe {number}"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await visitor_says(bridge, "after")
    entries = await bridge.read(CID)
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    assert (await bridge.state(CID)).head == len(entries)


# --- the clock -----------------------------------------------------------------------------------


async def pass_time(bridge: Bridge, clock: Clock, seconds: float) -> None:
    """Let time pass in steps of five seconds, looking at what is due at each."""
    warden = Warden(bridge=bridge)
    for _ in range(int(seconds / 5)):
        clock.pass_by(5)
        for cid in await bridge.store.due(clock()):
            await warden.look(cid)


async def by_the_clock(bridge: Bridge) -> list[ev.Event]:
    return [e.event for e in await bridge.read(CID) if isinstance(e.by, ev.System)]


async def test_a_call_for_a_person_climbs_the_ladder_once(bridge: Bridge, clock: Clock) -> None:
    await visitor_says(bridge, "a person please")
    await bridge.submit(CID, Proposal(events=(ev.HelpWanted(),), by=ev.Visitor(), via="w", key=next(KEYS)))
    await pass_time(bridge, clock, 55)
    assert await by_the_clock(bridge) == []
    await pass_time(bridge, clock, 10)
    assert await by_the_clock(bridge) == [ev.HelpWanted(step=1)]
    await pass_time(bridge, clock, 600)
    assert await by_the_clock(bridge) == [ev.HelpWanted(step=1), ev.HelpWanted(step=2, last=True)]


async def test_who_comes_stops_the_ladder(bridge: Bridge, clock: Clock) -> None:
    await visitor_says(bridge, "a person please")
    await bridge.submit(CID, Proposal(events=(ev.HelpWanted(),), by=ev.Visitor(), via="w", key=next(KEYS)))
    with bridge.pulse.present(CID, DANA):
        await does(bridge, DANA, ev.TookOver(), ev.Said(text="here"))
        await pass_time(bridge, clock, 3600)
    assert await by_the_clock(bridge) == []


async def test_who_goes_on_writing_does_not_put_off_what_is_overdue(bridge: Bridge, clock: Clock) -> None:
    """The server was down as the moment came; since then the visitor writes every ten seconds."""
    await visitor_says(bridge, "hello")
    with bridge.pulse.present(CID, DANA):
        await does(bridge, DANA, ev.TookOver())
        await visitor_says(bridge, "there?")
        clock.pass_by(bridge.patience.reply + 1)
        for _ in range(3):
            await visitor_says(bridge, "hello?")
            await pass_time(bridge, clock, 10)
    assert await by_the_clock(bridge) == [ev.HelpWanted(reason="Dana has not replied.")]


async def test_an_absent_holder_gives_the_floor_back(bridge: Bridge, clock: Clock) -> None:
    """Ten minutes without a connection; before that, two with the visitor waiting call the team."""
    await visitor_says(bridge, "hello")
    with bridge.pulse.present(CID, DANA):
        await does(bridge, DANA, ev.TookOver())
        await pass_time(bridge, clock, 900)
        assert (await bridge.state(CID)).holder_name == "Dana"
    assert await by_the_clock(bridge) == [ev.HelpWanted(reason="Dana has not replied."), ev.HelpWanted(reason="Dana has not replied.", step=1), ev.HelpWanted(reason="Dana has not replied.", step=2, last=True)]  # fmt: skip
    await pass_time(bridge, clock, 590)
    assert (await bridge.state(CID)).holder_name == "Dana"
    await pass_time(bridge, clock, 30)
    assert (await bridge.state(CID)).holder_name == "AI assistant"
    await pass_time(bridge, clock, 3600)
    assert (await by_the_clock(bridge)).count(ev.HandedBack()) == 1


async def test_a_holder_who_cannot_be_seen_keeps_the_floor_while_nobody_waits(
    bridge: Bridge, clock: Clock
) -> None:
    """On a chat platform nobody has a connection; only a visitor who waits tells that they are away."""
    bridge.unseen.add("chat")
    await visitor_says(bridge, "hello")
    await does(bridge, DANA, ev.TookOver(), ev.Said(text="hi"), via="chat")
    await pass_time(bridge, clock, 3 * 3600)
    assert await by_the_clock(bridge) == []
    await visitor_says(bridge, "are you there?")
    await pass_time(bridge, clock, 590)
    assert (await bridge.state(CID)).holder_name == "Dana"
    await pass_time(bridge, clock, 30)
    assert (await bridge.state(CID)).holder_name == "AI assistant"
    assert (await by_the_clock(bridge)).count(ev.HandedBack()) == 1


async def test_on_the_web_the_usual_rule_holds_for_who_was_on_a_chat_platform_before(
    bridge: Bridge, clock: Clock
) -> None:
    bridge.unseen.add("chat")
    await visitor_says(bridge, "hello")
    await does(bridge, DANA, ev.TookOver(), via="chat")
    with bridge.pulse.present(CID, DANA):
        await pass_time(bridge, clock, 3600)
        assert (await bridge.state(CID)).holder_name == "Dana", "she can be seen"
        await does(bridge, DANA, ev.Said(text="now from the web"))
    await pass_time(bridge, clock, 590)
    assert (await bridge.state(CID)).holder_name == "Dana"
    await pass_time(bridge, clock, 30)
    assert (await bridge.state(CID)).holder_name == "AI assistant", "gone from the web, where she was last"


async def test_after_a_restart_a_holder_gets_the_time_to_come_back(bridge: Bridge, clock: Clock) -> None:
    await visitor_says(bridge, "hello")
    await does(bridge, DANA, ev.TookOver(), ev.Said(text="one moment"))
    clock.pass_by(3600)
    restarted = Bridge(store=bridge.store, clock=clock, patience=Patience())
    await pass_time(restarted, clock, 590)
    assert (await restarted.state(CID)).holder_name == "Dana"
    await pass_time(restarted, clock, 30)
    assert (await restarted.state(CID)).holder_name == "AI assistant"


async def test_an_unanswered_visitor_is_brought_to_the_team(bridge: Bridge, clock: Clock) -> None:
    """Law 11, where the assistant says nothing at all."""
    await visitor_says(bridge, "anyone?")
    await pass_time(bridge, clock, 50)
    assert await by_the_clock(bridge) == [ev.HelpWanted(reason="The AI assistant has not answered.")]


async def test_a_silent_conversation_closes_after_a_day(bridge: Bridge, clock: Clock) -> None:
    await visitor_says(bridge, "hello")
    since = (await bridge.state(CID)).floor.since
    answer = Proposal(events=(ev.Said(text="hi"),), by=ev.Assistant(), via="a", key="ai", floor=since)
    await bridge.submit(CID, answer)
    clock.pass_by(86_300)
    await pass_time(bridge, clock, 50)
    assert not (await bridge.state(CID)).closed
    await pass_time(bridge, clock, 100)
    assert (await bridge.state(CID)).closed


async def test_a_conversation_that_cannot_be_read_does_not_stop_the_clock(
    bridge: Bridge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = ConversationId("poison")
    for cid in (poison, CID):
        opening = Proposal(events=(ev.Opened(site="a"), ev.Said(text="?")), by=ev.Visitor(), via="w", key="1")
        await bridge.submit(cid, opening)
    clock.pass_by(60)
    read = bridge.store.read

    async def broken(cid: ConversationId, **how: int) -> list[Entry]:
        if cid == poison:
            raise ValueError("an entry of a newer version")
        return await read(cid, **how)

    monkeypatch.setattr(bridge.store, "read", broken)
    restarted = Bridge(store=bridge.store, clock=clock, patience=Patience())
    running = asyncio.create_task(Warden(bridge=restarted, every=0.01).run())
    await eventually(lambda: _called(restarted))
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _called(bridge: Bridge) -> bool:
    return (await bridge.state(CID)).help is not None


async def test_who_watches_hears_of_a_submit_whose_caller_left(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visitor sends and closes the page: the answer must not wait for the next scan."""
    await visitor_says(bridge, "hello")
    grown: list[int] = []
    bridge.observe(lambda _cid, state: grown.append(state.head))
    append, on_its_way, go = bridge.store.append, asyncio.Event(), asyncio.Event()

    async def slow(*what: Any, **how: Any) -> None:
        async def work() -> None:
            on_its_way.set()
            await go.wait()
            await append(*what, **how)

        await asyncio.shield(asyncio.ensure_future(work()))

    running = asyncio.create_task(bridge.run())
    await asyncio.sleep(0)
    monkeypatch.setattr(bridge.store, "append", slow)
    task = asyncio.create_task(visitor_says(bridge, "and goodbye"))
    await on_its_way.wait()
    task.cancel()
    go.set()
    await asyncio.gather(task, return_exceptions=True)
    await eventually(lambda: grown == [3], within=1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_nobody_follows_is_not_kept(bridge: Bridge) -> None:
    """Batches are kept for those who follow; a process that has seen many conversations stays small."""
    for number in range(RECENT):
        await visitor_says(bridge, str(number))
    known = bridge._known[CID]
    assert len(known.recent) == 1
    seen: list[Entry] = []
    following = asyncio.create_task(collect(bridge, 0, seen))
    await eventually(lambda: len(seen) == RECENT + 1)
    for number in range(RECENT):
        await visitor_says(bridge, str(number))
    assert len(known.recent) == RECENT
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert len(known.recent) <= 1


# --- what one client is sent ---------------------------------------------------------------------


async def test_a_client_is_told_where_the_past_ends(bridge: Bridge) -> None:
    """Also where the last of it is team talk, which it is not shown."""
    for number in range(CHUNK + 20):
        await visitor_says(bridge, str(number))
    await does(bridge, DANA, ev.Noted(text="for the team"))
    guest = Guest(cid=CID, audience="visitor", by=ev.Visitor(), via="widget")
    feed = Feed(bridge=bridge, guest=guest, hello=wire.Hello(), room=10)
    welcome = await feed.welcome()
    assert isinstance(welcome, wire.Welcome)
    assert welcome.more
    texts: list[str] = []
    async with aclosing(feed.batches()) as frames:
        async for frame in frames:
            shown = json.decode(frame)
            texts += [line["event"]["text"] for line in shown["lines"] if line["event"]["type"] == "Said"]
            if not shown.get("more"):
                break
        assert texts == [str(number) for number in range(CHUNK + 20)]
        await does(bridge, DANA, ev.Noted(text="again"))
        await visitor_says(bridge, "live")
        live = json.decode(await anext(frames))
    assert [line["event"]["text"] for line in live["lines"]] == ["live"], "team talk alone sends nothing"
    assert "more" not in live

    again = Feed(bridge=bridge, guest=guest, hello=wire.Hello(after=(await bridge.state(CID)).head), room=10)
    up_to_date = await again.welcome()
    assert isinstance(up_to_date, wire.Welcome)
    assert not up_to_date.more


# --- a store that went back in time --------------------------------------------------------------


async def test_a_log_that_went_back_is_begun_anew_by_who_follows(bridge: Bridge) -> None:
    store = bridge.store
    assert isinstance(store, MemoryStore)
    await visitor_says(bridge, "hello")
    running = asyncio.create_task(bridge.run())
    following = aclosing(bridge.tail(CID))
    async with following as tail:
        await anext(tail)
        store._logs.pop(CID)
        with pytest.raises(WentBack):
            await asyncio.wait_for(anext(tail), 10)
    running.cancel()
    assert (await bridge.state(CID)).head == 0


async def test_what_is_proposed_to_a_log_that_went_back_is_judged_by_what_is_left(bridge: Bridge) -> None:
    store = bridge.store
    assert isinstance(store, MemoryStore)
    await visitor_says(bridge, "hello")
    store._logs.pop(CID)
    on = Proposal(events=(ev.Said(text="on"),), by=ev.Visitor(), via="w", key="on")
    with pytest.raises(Refused) as refused:
        await asyncio.wait_for(bridge.submit(CID, on), 10)
    assert refused.value.code == "not_open"
