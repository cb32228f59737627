"""A house with an assistant and nothing else: the real Bridge, courier and client, and a model server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
import itertools

from bridge import events as ev
from bridge import wire
from bridge.assistant import Assistant, Budget, Engine, Pace
from bridge.assistant.knowledge import Knowledge
from bridge.assistant.openai import Model, ModelEngine
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.events import ConversationId, Entry, Event, Party, Proposal, Staff, StaffId
from bridge.pulse import Signal
from bridge.store import Store
from tests.eventually import PATIENCE, eventually
from tests.fakes.model import FakeModel

CID = ConversationId("c")
DANA = Staff(id=StaffId("dana"), name="Dana")
SAM = Staff(id=StaffId("sam"), name="Sam")
MS = PATIENCE / 10_000
PACE = Pace(quiet=30 * MS, first=400 * MS, between=400 * MS, turn=2_500 * MS)
PATIENT = Pace(quiet=30 * MS, first=600, between=600, turn=600)  # nothing but what the test does ends a run
QUICK = Persistence(first=0.01, longest=0.05, scan=0.05)


class World:
    """A house with an assistant and nothing else."""

    def __init__(self, model: FakeModel, store: Store) -> None:
        self.model = model
        self.now = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
        self.bridge = Bridge(store=store, clock=self.clock)
        self.signals: list[Signal] = []
        self._keys = (f"k{n}" for n in itertools.count())

    def clock(self) -> datetime:
        return self.now

    def engine(self, *, tools: bool = True, knowledge: Knowledge | None = None) -> ModelEngine:
        settings = Model(name="test-model", base_url=self.model.base_url, api_key="sk-test", tools=tools)
        return ModelEngine(model=settings, knowledge=knowledge)

    @asynccontextmanager
    async def running(
        self, engine: Engine | None, *, pace: Pace = PACE, budget: Budget | None = None
    ) -> AsyncIterator[Assistant]:
        """The assistant at work, behind its courier, until the end of the block."""
        assistant = Assistant(
            bridge=self.bridge, engine=engine, pace=pace, budget=budget,
            instructions="Acme sells tents.", businesses={"acme": "Acme Outdoor"},
        )  # fmt: skip
        courier = Courier(bridge=self.bridge, surface=assistant, persistence=QUICK)
        task = asyncio.create_task(courier.run())
        with self.bridge.pulse.listen(CID, self.signals.append):
            try:
                yield assistant
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                await assistant.close()

    async def visitor(self, *events: Event | str) -> None:
        opening = () if (await self.bridge.state(CID)).head else (ev.Opened(site="acme"),)
        said = tuple(ev.Said(text=e) if isinstance(e, str) else e for e in events)
        await self.propose(ev.Visitor(), *opening, *said)

    async def staff(self, who: Staff, *events: Event) -> None:
        await self.propose(who, *events)

    async def propose(self, by: Party, *events: Event) -> None:
        floor = (await self.bridge.state(CID)).floor.since
        proposal = Proposal(events=events, by=by, via="test", key=next(self._keys), floor=floor)
        await self.bridge.submit(CID, proposal)

    async def log(self) -> list[Entry]:
        return await self.bridge.read(CID)

    async def answers(self) -> list[str]:
        return [
            e.event.text
            for e in await self.log()
            if isinstance(e.event, ev.Said) and isinstance(e.by, ev.Assistant)
        ]

    async def help_wanted(self) -> list[str]:
        return [e.event.reason for e in await self.log() if isinstance(e.event, ev.HelpWanted)]

    async def answered(self, count: int = 1) -> list[str]:
        async def enough() -> bool:
            return len(await self.answers()) >= count

        await eventually(enough, what=f"{count} answers")
        return await self.answers()

    async def idle(self) -> None:
        """Until the assistant has been through the whole log."""

        async def through() -> bool:
            head = (await self.bridge.state(CID)).head
            return (await self.bridge.store.cursor("assistant", CID)).position == head

        await eventually(through, what="the assistant is through the log")

    @property
    def draft(self) -> str:
        """What a client shows of the draft."""
        text = ""
        for signal in self.signals:
            match signal:
                case wire.Draft(at=at, text=more):
                    text = text[:at] + more
                case wire.DraftOver():
                    text = ""
                case _:
                    pass
        return text

    @property
    def ends(self) -> list[wire.DraftEnd]:
        return [s.why for s in self.signals if isinstance(s, wire.DraftOver)]
