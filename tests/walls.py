"""A board in memory with all that a connector makes of one, and a conversation that shows on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count

from msgspec import Struct

from bridge import events as ev
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.errors import AnchorLost
from bridge.events import ConversationId, Event, Party, Proposal, Staff, StaffId
from bridge.store.memory import MemoryStore
from bridge.surface import Anchor, Post
from connectors.threads.cards import Cards
from connectors.threads.ledger import Ledger
from connectors.threads.surface import Mirror, Threads
from tests.boards import MemoryBoard
from tests.eventually import eventually

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
