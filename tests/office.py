"""A business with staff and a mail server, for tests of the mail surface."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from types import SimpleNamespace

from pydantic import TypeAdapter

from bridge import events as ev
from bridge.config_values import SmtpUrl
from bridge.core import Bridge
from bridge.courier import Courier
from bridge.courier import Persistence as CourierPersistence
from bridge.events import ConversationId, Event, Party, Proposal, Seq
from bridge.links import Links
from bridge.store.memory import MemoryStore
from connectors.email.ledger import Ledger
from connectors.email.mailer import Mailer
from connectors.email.rounds import Persistence
from connectors.email.surface import EmailSurface
from tests.eventually import eventually
from tests.fakes.smtp import Received, SmtpServer
from tests.logs import START, VISITOR

DANA, SAM, LEE = "dana@acme.example", "sam@acme.example", "lee@acme.example"
STAFF = {
    "dana": SimpleNamespace(name="Dana", email=DANA),
    "sam": SimpleNamespace(name="Sam", email=SAM),
    "lee": SimpleNamespace(name="Lee", email=LEE),
}
SITES = {"acme": SimpleNamespace(name="Acme", accent="#1f5fd6", staff=(("dana", "sam"), ("lee",)))}
SENDER = SimpleNamespace(address="chat@acme.example", name="Acme Chat")
BASE_URL = "https://chat.acme.example"
ANN = ConversationId("ann")
QUICK = Persistence(again=0.01, rounds=0.01)
HOUR = timedelta(hours=1)


def smtp_of(url: str):
    return TypeAdapter(SmtpUrl).validate_python(url)


class Office:
    """A business with a mail server; time stands still unless it is moved."""

    def __init__(self, server: SmtpServer, **settings: object) -> None:
        self.server = server
        self.time = START
        self.store = MemoryStore()
        self.bridge = Bridge(store=self.store, clock=self.clock)
        self.links = Links(store=self.store, base_url=BASE_URL, clock=self.clock, lives=timedelta(days=7))
        self.ledger = Ledger(store=self.store, clock=self.clock, key=b"key")
        self.settings = {"settle": 0.0, "persistence": QUICK} | settings
        self.tell = 60.0  # the courier's
        self.surface = self._surface()
        self._keys = iter(range(10**6))

    def clock(self) -> datetime:
        return self.time

    def _surface(self) -> EmailSurface:
        mailer = Mailer(smtp=smtp_of(self.server.url), hostname="chat.acme.example", timeout=5, patience=5)
        return EmailSurface(
            store=self.store, key=b"key", links=self.links, sites=SITES, staff=STAFF, mailer=mailer, sender=SENDER,
            base_url=BASE_URL, clock=self.clock, **self.settings,
        )  # fmt: skip

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Office"]:
        """Carry the log to a new surface on the same store, as a process does from its start to its end."""
        self.surface = self._surface()
        persistence = CourierPersistence(first=0.01, longest=0.02, tell=self.tell, scan=0.02)
        courier = Courier(bridge=self.bridge, surface=self.surface, persistence=persistence)
        tasks = [
            asyncio.create_task(courier.run()),
            asyncio.create_task(self.surface.run(self.bridge)),
            asyncio.create_task(self.surface.rounds()),
        ]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    async def do(self, by: Party, *events: Event, cid: ConversationId = ANN) -> Seq:
        state = await self.bridge.state(cid)
        proposal = Proposal(
            events=events, by=by, via="test", key=f"k{next(self._keys)}", floor=state.floor.since
        )
        return (await self.bridge.submit(cid, proposal)).seq

    async def begin(self, text: str = "Do you ship to Norway?", *, cid: ConversationId = ANN) -> None:
        await self.do(VISITOR, ev.Opened(site="acme"), ev.Said(text=text), cid=cid)

    async def done(self, cid: ConversationId = ANN) -> None:
        """Until everything in the log has been dealt with."""

        async def caught_up() -> bool:
            head = (await self.bridge.state(cid)).head
            return (await self.store.cursor("email", cid)).position == head

        await eventually(caught_up, what="the courier has carried everything")

    async def troubles(self, cid: ConversationId = ANN) -> list[ev.Undelivered]:
        return [e.event for e in await self.bridge.read(cid) if isinstance(e.event, ev.Undelivered)]

    def counts(self) -> dict[str, int]:
        return {who: len(self.server.to(who)) for who in (DANA, SAM, LEE) if self.server.to(who)}


def link_in(mail: Received) -> str:
    (line,) = [s for s in mail.part("plain").splitlines() if "/join#" in s]
    return line
