"""Conversations in a platform's threads: one thread each, everything in order and once, whatever breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Self

from msgspec import Struct
import pytest

from bridge import events as ev
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.errors import AnchorLost, Retry, Undeliverable
from bridge.events import ConversationId, Event, Party, Proposal, Staff, StaffId
from bridge.store import Record
from bridge.store.memory import MemoryStore
from bridge.surface import Anchor, Post
from connectors.threads import shown
from connectors.threads.card import card
from connectors.threads.cards import EVERY, WAITING, Cards
from connectors.threads.ledger import Ledger, Placed
from connectors.threads.pace import Urgency
from connectors.threads.surface import Mirror, Threads
from tests.boards import Call, MemoryBoard, busy
from tests.eventually import eventually
from tests.virtual import in_virtual_time

CID, OTHER = ConversationId("c"), ConversationId("o")
VISITOR, ASSISTANT, SYSTEM = ev.Visitor(), ev.Assistant(), ev.System()
ANN = Staff(id=StaffId("wall:ann"), name="Ann")
QUICK = Persistence(first=0.005, longest=0.02, tell=30, tries=5, give_up=60, scan=0.05)
KEYS = (f"k{n}" for n in count(1))
START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Acme(Struct, frozen=True):
    name: str = "Acme"


class Wall:
    """The pushed surface as a connector makes it."""

    name = "wall"

    def __init__(self, bridge: Bridge, board: MemoryBoard, *, mirror: Mirror, every: float) -> None:
        self.ledger = Ledger(store=bridge.store, surface="wall", clock=bridge.clock)
        self.cards = Cards(
            board=board, ledger=self.ledger, inlet=bridge, sites={"acme": Acme()}, clock=bridge.clock,
            every=every,
        )  # fmt: skip
        self.threads = Threads(
            name="wall", board=board, ledger=self.ledger, cards=self.cards, inlet=bridge,
            sites={"acme": Acme()}, mirror=mirror, clock=bridge.clock,
        )  # fmt: skip
        bridge.observe(self.threads.grew)

    async def run(self, _inlet: object) -> None:
        await self.cards.run()

    async def deliver(self, post: Post) -> Anchor | None:
        return await self.threads.deliver(post)


class World:
    every = 0.01  # seconds between two drawings of a card

    def __init__(self, *, store: MemoryStore | None = None, mirror: Mirror = "all") -> None:
        self.now = START
        self.board = MemoryBoard()
        self.bridge = Bridge(store=store or MemoryStore(), clock=self.clock)
        self.wall = Wall(self.bridge, self.board, mirror=mirror, every=self.every)
        self.mirror = mirror

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    async def put(
        self, by: Party, *events: Event, cid: ConversationId = CID, key: str = "", via: str = "web"
    ) -> int:
        state = await self.bridge.state(cid)
        if not state.head:
            opened = Proposal(events=(ev.Opened(site="acme"),), by=VISITOR, via="widget", key="open")
            state = await self.bridge.submit(cid, opened) and await self.bridge.state(cid)
        proposal = Proposal(events=events, by=by, via=via, key=key or next(KEYS), floor=state.floor.since)
        return (await self.bridge.submit(cid, proposal)).seq

    async def says(self, *texts: str, cid: ConversationId = CID) -> None:
        for text in texts:
            await self.put(VISITOR, ev.Said(text=text), cid=cid)

    async def types(self, event: Event, *, ref: str, anchor: Anchor | None = None) -> int:
        """Ann types in the thread that stands, or in `anchor`."""
        (standing,) = [t.anchor for t in self.board.of(CID) if not t.gone] or [None]
        where = anchor or standing
        assert where is not None
        await self.wall.ledger.typed(ref, where)
        return await self.put(ANN, event, key=f"typed:{ref}", via="wall")

    def anew(self) -> None:
        """The process is another one; the store and the platform are the same."""
        self.bridge = Bridge(store=self.bridge.store, clock=self.clock)
        self.wall = Wall(self.bridge, self.board, mirror=self.mirror, every=self.every)

    @asynccontextmanager
    async def carried(self) -> AsyncIterator[None]:
        courier = Courier(bridge=self.bridge, surface=self.wall, persistence=QUICK)
        tasks = [asyncio.create_task(courier.run()), asyncio.create_task(self.wall.run(self.bridge))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    async def caught_up(self, cid: ConversationId = CID) -> bool:
        head = (await self.bridge.state(cid)).head
        return (await self.bridge.store.cursor("wall", cid)).position >= head

    async def carry(self, cid: ConversationId = CID) -> None:
        async with self.carried():
            await eventually(lambda: self.caught_up(cid))

    def shown(self, cid: ConversationId = CID) -> list[str]:
        return self.board.shown(cid)


async def talk(world: World) -> None:
    """A bit of everything that a thread shows."""
    await world.says("hi", "are you there?")
    await world.put(ASSISTANT, ev.Said(text="Yes. " + "x" * 120))
    await world.put(ANN, ev.TookOver())
    await world.put(ANN, ev.Said(text="Ann here"))
    await world.put(ANN, ev.Noted(text="he is nice"))
    await world.put(ANN, ev.Edited(target=ev.Seq(6), text="Ann here, " + "y" * 120))
    await world.put(VISITOR, ev.Retracted(target=ev.Seq(3)))
    await world.put(VISITOR, ev.Edited(target=ev.Seq(2), text="hello"))
    await world.put(ANN, ev.HandedBack())


ANSWER, EDITED = "AI assistant: Yes. " + "x" * 120, "Ann: Ann here, " + "y" * 120 + " (edited)"
TALK = [
    "[hello]",
    "Visitor: (taken back)",
    ANSWER[:90],
    ANSWER[90:],
    "* Ann took over and is answering.",
    EDITED[:90],
    "Ann [note]: he is nice",
    EDITED[90:],  # the edit has made it longer
    "* Ann handed back. The AI assistant is answering again.",
]


async def test_one_thread_for_each_conversation_in_the_logs_order():
    world = World()
    async with world.carried():
        await asyncio.gather(talk(world), world.says("a", "b", "c", cid=OTHER))
        await eventually(lambda: world.caught_up(CID))
        await eventually(lambda: world.caught_up(OTHER))
        await eventually(lambda: world.shown() == TALK)
    assert world.shown(OTHER) == ["[a]", "Visitor: b", "Visitor: c"]
    assert len(world.board.threads) == 2


async def test_a_thread_begins_with_the_first_words():
    world = World()
    await world.put(ANN, ev.Joined())
    await world.carry()
    assert world.board.threads == []
    await world.says("hi")
    await world.carry()
    assert world.shown() == ["[hi]", "* Ann joined and is watching."]


# --- Whatever breaks -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["begin", "post", "change", "draw", "find", "find_thread"])
async def test_work_that_was_done_though_its_answer_was_lost_is_not_done_again(call: Call):
    world = World()
    lost: list[Call] = []
    troubled = {"find": ("post", "find"), "find_thread": ("begin", "find_thread")}.get(call, (call,))

    def lose(this: Call, _cid: ConversationId) -> None:
        if this in troubled and lost.count(this) <= world.board.calls.count(this) // 2:
            lost.append(this)
            busy()

    world.board.lose = lose
    async with world.carried():
        await talk(world)
        await eventually(world.caught_up)
        await eventually(lambda: world.shown() == TALK)
    assert call in lost


async def test_a_platform_in_trouble_gets_everything_once_it_is_well():
    world = World()
    world.board.obey = busy
    async with world.carried():
        await talk(world)
        await eventually(lambda: len(world.board.calls) > 5)
        world.board.obey = lambda _call, _cid: None
        await eventually(world.caught_up)
        await eventually(lambda: world.shown() == TALK)


class Death(BaseException):
    """The process ends here."""


class Mortal(MemoryStore):
    """Dies before or after its write number `at`."""

    def __init__(self) -> None:
        super().__init__()
        self.tick: Callable[[], None] = lambda: None

    async def put(self, *args: object, **how: object) -> bool:
        self.tick()
        stored = await super().put(*args, **how)
        self.tick()
        return stored

    async def put_all(self, space: str, batch: Sequence[Record]) -> None:
        self.tick()
        await super().put_all(space, batch)
        self.tick()

    async def delete(self, space: str, key: str) -> None:
        self.tick()
        await super().delete(space, key)
        self.tick()

    async def advance(self, *args: object, **how: object) -> None:
        self.tick()
        await super().advance(*args, **how)
        self.tick()


async def bring(world: World, store: MemoryStore) -> None:
    """What the courier does, without its own patience: each entry, then the cursor."""
    cursor = await store.cursor("wall", CID)
    anchor = cursor.anchor
    for entry in await world.bridge.read(CID, after=cursor.position):
        state = await world.bridge.state(CID)
        while True:
            try:
                post = Post(cid=CID, entry=entry, latest=state, anchor=Anchor(anchor) if anchor else None)
                anchor = await world.wall.deliver(post) or anchor
            except AnchorLost:
                anchor = None
                continue
            break
        await store.advance("wall", CID, position=entry.seq, anchor=anchor)


@pytest.mark.parametrize("most_together", [1, 4])
@pytest.mark.parametrize("lost", [False, True], ids=["first thread", "thread made again"])
async def test_dying_between_any_two_steps_shows_nothing_twice(lost: bool, most_together: int):
    """For every step n: die there, go on as a new process, and compare with a life without a death."""

    async def life(death: int) -> tuple[list[str], int]:
        store = Mortal()
        world = World(store=store)
        world.board.most_together = most_together
        await talk(world)
        if lost:
            await bring(world, store)
            world.board.forget(CID)
            await world.says("and now?", "z" * 100)
        steps = count(1)

        def tick(*_: object) -> None:
            if next(steps) == death:
                raise Death

        store.tick = tick
        world.board.obey = world.board.lose = tick
        try:
            await bring(world, store)
        except Death:
            store.tick = lambda: None
            world.board.obey = world.board.lose = lambda *_: None
            world.anew()
            await bring(world, store)
        return world.shown(), next(steps) - 1

    expected, steps = await life(0)
    assert steps > 40
    for death in range(1, steps + 1):
        found, _ = await life(death)
        assert found == expected, f"died at step {death}"


async def test_where_a_platform_cannot_tell_a_death_costs_one_repeat_at_most():
    for death in range(1, 60):
        store = Mortal()
        world = World(store=store)
        world.board.sees = False
        await world.says("a", "b", "c")
        steps = count(1)

        def tick(*_: object, steps: count = steps, death: int = death) -> None:
            if next(steps) == death:
                raise Death

        store.tick = tick
        world.board.lose = tick
        with suppress(Death):
            await bring(world, store)
        store.tick, world.board.lose = (lambda: None), (lambda *_: None)
        world.anew()
        await bring(world, store)
        texts = world.board.of(CID)[-1].texts
        assert list(dict.fromkeys(texts)) == ["Visitor: b", "Visitor: c"]
        assert len(texts) <= 3


async def test_a_thread_that_is_gone_is_made_again_once_with_its_history():
    world = World()
    async with world.carried():
        await talk(world)
        await eventually(world.caught_up)
        world.board.forget(CID)
        await world.says("still there?")
        await eventually(world.caught_up)
    standing = [t for t in world.board.of(CID) if not t.gone]
    assert len(world.board.of(CID)) == 2
    assert len(standing) == 1
    assert "".join(world.shown()).replace("\n", "") == "".join(
        [
            "[hello]",
            "Visitor: (taken back)",
            "AI assistant: Yes. " + "x" * 120,
            "* Ann took over and is answering.",
            "Ann: Ann here, " + "y" * 120 + " (edited)",
            "Ann [note]: he is nice",
            "* Ann handed back. The AI assistant is answering again.",
            "Visitor: still there?",
        ]
    )


async def test_a_thread_that_the_card_finds_gone_is_made_again_with_the_next_entry():
    world = World()
    await world.says("a", "b")
    await world.carry()
    world.board.forget(CID)
    await world.put(ANN, ev.Joined())
    drawing = asyncio.create_task(world.wall.cards.run())
    await world.wall.cards.due(CID)
    await eventually(lambda: _lost(world))
    drawing.cancel()
    await asyncio.gather(drawing, return_exceptions=True)
    await world.says("c")
    await world.carry()
    assert world.shown() == ["[a]", "Visitor: b", "* Ann joined and is watching.", "Visitor: c"]


async def _lost(world: World) -> bool:
    root = await world.wall.ledger.root(CID)
    return root is not None and root.lost


async def test_a_new_thread_whose_courier_never_heard_of_it_gets_its_whole_history():
    """It dies in the backfill: the cursor still has the old thread's anchor."""
    world = World()
    await world.says("a", *[str(n) * 50 for n in range(30)])
    await world.carry()
    world.board.forget(CID)
    await world.says("and now?")
    posts = count(1)

    def obey(call: Call, _cid: ConversationId) -> None:
        if call == "post" and next(posts) == 5:
            raise Death

    world.board.obey = obey
    with pytest.raises(Death):
        await bring(world, world.bridge.store)  # type: ignore[arg-type]
    world.board.obey = lambda _call, _cid: None
    world.anew()
    await world.carry()
    assert len(world.board.of(CID)) == 2
    text = "".join(world.shown()).replace("\n", "")
    assert text == "[a]" + "".join(f"Visitor: {str(n) * 50}" for n in range(30)) + "Visitor: and now?"


async def test_what_cannot_be_shown_is_told_and_stops_nothing_else():
    world = World()
    world.board.refuses = "rude"
    async with world.carried():
        await world.says("hi", "rude", "sorry")
        await eventually(world.caught_up)
    assert world.shown() == [
        "[hi]",
        "Visitor: sorry",
        "* Entry 3 could not be brought to Wall: the platform refuses it",
    ]
    world.board.forget(CID)
    world.anew()
    await world.says("again")
    await world.carry()
    assert "Visitor: sorry" in "\n".join(world.shown()), (
        "one that cannot be shown keeps no history from a new thread"
    )
    assert world.shown()[-1] == "Visitor: again"


# --- What shows ----------------------------------------------------------------------------------


async def test_when_wanted_it_begins_late_with_what_was_said():
    world = World(mirror="when_wanted")
    await world.says("hi", "hm")
    await world.put(ASSISTANT, ev.Said(text="Hello"))
    await world.carry()
    assert world.board.threads == []
    await world.put(VISITOR, ev.HelpWanted(reason="refund"))
    await world.carry()
    assert world.shown() == [
        "[hi]",
        "Visitor: hm\nAI assistant: Hello",
        "* Visitor asks for a person: refund",
    ]
    await world.put(ANN, ev.TookOver())
    await world.put(ANN, ev.HandedBack())
    await world.says("thanks")
    await world.carry()
    assert world.shown()[-1] == "Visitor: thanks", "once begun, it goes on"


async def test_words_typed_in_the_thread_are_not_repeated_there():
    world = World()
    await world.says("hi")
    await world.carry()
    await world.put(ANN, ev.TookOver())
    await world.types(ev.Said(text="typed here"), ref="1")
    await world.types(ev.Noted(text="also here"), ref="2")
    await world.put(
        ANN, ev.Edited(target=ev.Seq(4), text="typed otherwise"), key="typed:1:edit:1", via="wall"
    )
    await world.put(ANN, ev.Said(text="from the web"))
    await world.carry()
    assert world.shown() == ["[hi]", "* Ann took over and is answering.", "Ann: from the web"]
    world.board.forget(CID)
    await world.says("next")
    await world.carry()
    assert "".join(world.shown()[1:-1]).split("\n") == [
        "* Ann took over and is answering.",
        "Ann: typed otherwise (edited)",
        "Ann [note]: also here",
        "Ann: from the web",
    ], "a new thread has them"


async def test_words_typed_under_a_root_that_is_gone_show_in_the_next_thread():
    world = World()
    await world.says("hi")
    await world.put(ANN, ev.TookOver())
    await world.carry()
    (gone,) = [t.anchor for t in world.board.of(CID)]
    world.board.forget(CID)

    def obey(call: Call, _cid: ConversationId) -> None:
        if call == "begin":
            raise Retry(0.01, "not just now")

    world.board.obey = obey
    async with world.carried():
        await world.says("still there?")
        await eventually(lambda: "begin" in world.board.calls[1:])
        await world.types(ev.Said(text="typed under a tombstone"), ref="1", anchor=gone)
        world.board.obey = lambda _call, _cid: None
        await eventually(world.caught_up)
    assert world.shown()[-2:] == ["Visitor: still there?", "Ann: typed under a tombstone"]


async def test_the_clocks_of_two_servers_do_not_decide_what_was_typed_where():
    world = World()
    await world.says("hi")
    await world.put(ANN, ev.TookOver())
    await world.carry()
    world.now -= timedelta(minutes=5)
    await world.types(ev.Said(text="by a server that is behind"), ref="1")
    world.now += timedelta(minutes=10)
    await world.carry()
    assert world.shown() == ["[hi]", "* Ann took over and is answering."]


async def test_whoever_is_on_duty_is_called_once_also_where_the_thread_begins_anew():
    world = World()
    await world.says("hi")
    await world.put(VISITOR, ev.HelpWanted(reason="refund"))
    await world.carry()
    world.board.forget(CID)
    await world.says("anybody?")
    await world.carry()
    assert world.shown() == ["[hi]", "* Visitor asks for a person: refund", "Visitor: anybody?"]
    calls = [m for t in world.board.of(CID) for m in t.messages if isinstance(m.shown, shown.Call)]
    assert len(calls) == 1


async def test_an_entry_is_not_taken_for_one_that_the_store_lost():
    """A delivery was under way as the store went back: what it notes then is about a number that others have now."""
    world = World()
    await world.says("hi")
    await world.carry()
    (anchor,) = [t.anchor for t in world.board.of(CID)]
    lost = Placed(group=(ev.Seq(3),), at=START - timedelta(seconds=1), messages=("m9",))
    await world.wall.ledger.place(CID, anchor, lost)
    await world.says("a", "b")
    await world.carry()
    assert world.shown() == ["[hi]", "Visitor: a", "Visitor: b"]


async def test_longer_and_shorter_and_longer_again():
    world = World()
    await world.says("hi", "a" * 100)

    async def edited(text: str) -> list[str]:
        await world.put(VISITOR, ev.Edited(target=ev.Seq(3), text=text))
        await world.carry()
        return world.shown()[1:]

    await world.carry()
    assert [len(t) for t in world.shown()[1:]] == [90, 19]
    assert await edited("b") == ["Visitor: b (edited)"]
    assert "".join(await edited("c" * 250)) == "Visitor: " + "c" * 250 + " (edited)"
    assert "".join(await edited("d" * 100)) == "Visitor: " + "d" * 100 + " (edited)"
    await world.put(VISITOR, ev.Retracted(target=ev.Seq(3)))
    await world.carry()
    assert world.shown()[1:] == ["Visitor: (taken back)"]


async def test_the_cards_quoted_words_follow_their_edits():
    world = World()
    async with world.carried():
        await world.says("helo", "x")
        await eventually(lambda: world.shown()[:1] == ["[helo]"])
        await world.put(VISITOR, ev.Edited(target=ev.Seq(2), text="hello"))
        await eventually(lambda: world.shown()[:1] == ["[hello]"])
        await world.put(VISITOR, ev.Retracted(target=ev.Seq(2)))
        await eventually(lambda: world.shown() == ["Visitor: x"])


async def test_an_old_stores_past_gets_no_threads():
    world = World()
    await world.says("long ago", "still long ago")
    world.now += timedelta(days=2)
    await world.carry()
    assert world.board.threads == []
    await world.says("I am back")
    await world.carry()
    assert world.shown() == ["[long ago]", "Visitor: still long ago", "Visitor: I am back"]


async def test_where_the_platform_cannot_keep_up_entries_share_a_message_and_can_still_change():
    world = World()
    world.board.most_together = 3
    await world.says("hi", "a", "b", "c", "d")
    await world.put(VISITOR, ev.HelpWanted())
    await world.says("e")
    await world.put(VISITOR, ev.Edited(target=ev.Seq(4), text="B"))
    await world.carry()
    assert world.shown() == [
        "[hi]",
        "Visitor: a\nVisitor: B (edited)\nVisitor: c",
        "Visitor: d",
        "* Visitor asks for a person.",
        "Visitor: e",
    ]
    await world.put(VISITOR, ev.Retracted(target=ev.Seq(3)))
    await world.put(VISITOR, ev.Edited(target=ev.Seq(5), text="C" * 60))
    await world.carry()
    assert "".join(world.shown()[1:2] + world.shown()[-1:]) == (
        f"Visitor: (taken back)\nVisitor: B (edited)\nVisitor: {'C' * 60} (edited)"
    )


async def test_a_group_that_cannot_be_shown_takes_nobody_along():
    world = World()
    world.board.most_together = 3
    world.board.refuses = "rude"
    await world.says("hi", "rude", "b", "c")
    await world.carry()
    assert world.shown() == [
        "[hi]",
        "Visitor: b",
        "Visitor: c",
        "* Entry 3 could not be brought to Wall: the platform refuses it",
    ]


async def test_the_visitor_and_calls_go_before_the_assistants_words():
    world = World()
    await world.says("hi", "a")
    await world.put(ASSISTANT, ev.Said(text="b"))
    await world.carry()
    urgencies = [m.urgency for m in world.board.of(CID)[0].messages]
    assert urgencies == [Urgency.CONTROL, Urgency.WORDS]


@pytest.mark.parametrize(
    ("by", "event"),
    [(VISITOR, ev.Said(text="c")), (VISITOR, ev.HelpWanted()), (ANN, ev.TookOver()), (VISITOR, ev.Closed())],
)
async def test_nothing_urgent_waits_behind_words_that_have_time(by: Party, event: Event):
    late = World()
    await late.says("hi")
    await late.put(ASSISTANT, ev.Said(text="b"))
    await late.put(by, event)
    await late.carry()
    assert Urgency.WORDS not in [m.urgency for m in late.board.of(CID)[0].messages], "known from the start"

    soon = World()
    await soon.says("hi")
    async with soon.carried():
        await eventually(soon.caught_up)
        soon.board.open.clear()
        await soon.put(ASSISTANT, ev.Said(text="b"))
        await eventually(lambda: soon.board.calls[-1] == "post")
        assert soon.board.hurried == []
        await soon.put(by, event)
        assert CID in soon.board.hurried, "heard of while the words wait"
        soon.board.open.set()
        await eventually(soon.caught_up)
        before = len(soon.board.hurried)
        await soon.put(VISITOR, ev.Rated(score="good"))
        await eventually(soon.caught_up)
        assert len(soon.board.hurried) == before, "nobody waits any more"


async def test_its_own_trouble_is_no_news_in_the_thread():
    world = World()
    await world.says("hi")
    await world.put(SYSTEM, ev.Undelivered(surface="wall", target=ev.Seq(2), reason="x", retrying=True))
    await world.put(SYSTEM, ev.Undelivered(surface="email", target=ev.Seq(2), reason="x", retrying=True))
    await world.carry()
    assert world.shown() == ["[hi]", "* Email is in trouble and is tried again: x"]


# --- Cards, in virtual time ----------------------------------------------------------------------


class Virtual(World):
    every = EVERY

    def clock(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class Desk:
    """A conversation with its thread, and cards that draw in virtual time."""

    def __init__(self) -> None:
        self.world = Virtual()
        self.drawn: list[tuple[float, str]] = []

        def lose(call: Call, _cid: ConversationId) -> None:
            if call == "draw":
                shown = self.world.board.threads[-1].card
                self.drawn.append((asyncio.get_running_loop().time(), shown.state))

        self.world.board.lose = lose
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.world.says("hi")
        await bring(self.world, self.world.bridge.store)  # type: ignore[arg-type]
        self.start()
        await self.passes(EVERY)
        return self

    def start(self) -> None:
        self.task = asyncio.create_task(self.world.wall.cards.run())

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def put(self, by: Party, event: Event) -> None:
        await self.world.put(by, event)
        await bring(self.world, self.world.bridge.store)  # type: ignore[arg-type]

    @property
    def card_is_right(self) -> bool:
        state = self.world.bridge.peek(CID)
        return self.world.board.threads[-1].card == card(state, "hi", sites={"acme": Acme()})


def test_a_card_is_drawn_soon_but_not_all_the_time():
    async def story() -> None:
        async with Desk() as desk:
            before = len(desk.drawn)
            for number in range(50):
                await desk.put(VISITOR, ev.Said(text=str(number)))
                await desk.passes(0.2)
            await desk.passes(EVERY)
            times = [at for at, _ in desk.drawn]
            assert 3 <= len(desk.drawn) - before <= 10 / EVERY + 2
            assert all(b - a >= EVERY for a, b in pairwise(times))
            assert desk.card_is_right
            quiet = len(desk.drawn)
            await desk.passes(1000)
            assert len(desk.drawn) == quiet, "nothing moved, nobody waits"

    in_virtual_time(story())


def test_a_card_that_was_made_just_now_is_not_drawn_again_at_once():
    async def story() -> None:
        async with Desk() as desk:
            assert desk.world.board.calls.count("draw") == 0

    in_virtual_time(story())


def test_a_due_card_is_drawn_though_the_process_died():
    async def story() -> None:
        desk = Desk()
        async with desk:
            await desk.stop()
            await desk.put(ANN, ev.TookOver())
            desk.world.anew()
            desk.start()
            await desk.put(ANN, ev.Said(text="hello"))
            await desk.passes(2 * EVERY)
            assert desk.world.board.threads[-1].card.state == "Ann answers"
            assert desk.card_is_right
            assert await desk.world.wall.ledger.cards_due() == []

    in_virtual_time(story())


def test_a_card_shows_how_long_somebody_waits_also_after_a_restart():
    async def story() -> None:
        async with Desk() as desk:
            await desk.put(VISITOR, ev.HelpWanted())
            await desk.passes(EVERY)
            for _ in range(2):
                before = len(desk.drawn)
                await desk.passes(3 * WAITING)
                assert 2 <= len(desk.drawn) - before <= 4
                await desk.stop()
                desk.world.anew()
                desk.start()
            await desk.passes(3_600)
            before = len(desk.drawn)
            await desk.passes(3_600)
            assert 3 <= len(desk.drawn) - before <= 12, "a long wait is told less often"
            await desk.put(ANN, ev.TookOver())
            await desk.put(ANN, ev.Said(text="hello"))
            await desk.passes(2 * EVERY)
            before = len(desk.drawn)
            await desk.passes(7_200)
            assert len(desk.drawn) == before
            assert await desk.world.wall.ledger.cards_due() == []

    in_virtual_time(story())


def test_a_platform_that_has_no_time_for_cards_is_left_alone_for_as_long_as_it_says():
    async def story() -> None:
        async with Desk() as desk:
            tries: list[float] = []

            def obey(call: Call, _cid: ConversationId) -> None:
                if call == "draw":
                    tries.append(asyncio.get_running_loop().time())
                    raise Retry(30, "slow down")

            desk.world.board.obey = obey
            for _ in range(100):
                await desk.put(VISITOR, ev.Said(text="more"))
                await desk.passes(0.9)
            assert 3 <= len(tries) <= 4
            desk.world.board.obey = lambda _call, _cid: None
            await desk.passes(31)
            assert desk.card_is_right

    in_virtual_time(story())


@pytest.mark.parametrize("error", [AnchorLost(), Undeliverable("no cards here")])
def test_a_card_that_cannot_be_drawn_is_let_go(error: Exception):
    async def story() -> None:
        async with Desk() as desk:

            def obey(call: Call, _cid: ConversationId) -> None:
                if call == "draw":
                    raise error

            desk.world.board.obey = obey
            await desk.put(ANN, ev.Joined())
            await desk.passes(2 * EVERY)
            assert await desk.world.wall.ledger.cards_due() == []
            root = await desk.world.wall.ledger.root(CID)
            assert root is not None
            assert root.lost == isinstance(error, AnchorLost)

    in_virtual_time(story())
