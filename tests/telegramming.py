"""A business whose team works in a Telegram group, for tests of the Telegram connector."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import datetime, timedelta
import secrets
import socket
from typing import Any

import uvicorn

from bridge import events as ev
from bridge.config import build as build_config
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.events import ConversationId, Entry, Event, Party, Proposal, Seq, Staff, StaffId
from bridge.house import House
from bridge.store import Store
from bridge.store.memory import MemoryStore
from connectors.telegram.connector import build
from connectors.telegram.settings import TelegramSettings
from connectors.threads.cards import Cards
from tests.eventually import eventually
from tests.fakes.telegram import Message, Person, TelegramServer, Topic
from tests.logs import START, VISITOR
from tests.running import SECRET, free_port

MARIA = ConversationId("maria")
LIA = Staff(id=StaffId("web:lia"), name="Lia")
HOOK_SECRET = "kP3xZ9-vQ7_mB2tL8wR5yN4cJ6hD1gFa"


class Team:
    """Time stands still unless it is moved; the couriers are quick. Of several on one store, one `carries`."""

    def __init__(
        self,
        server: TelegramServer,
        *,
        mode: str = "polling",
        store: Store | None = None,
        chat: int | None = None,
        every: float = 0.0,
        burst: int = 1000,
        patience: float = 5.0,
        poll: int = 2,
        look: float = 0.1,
        again: float = 0.1,
        tell: float = 60.0,
        carries: bool = True,
        **settings: Any,
    ) -> None:
        self.server = server
        self.time = START
        self.store = store or MemoryStore()
        self.bridge = Bridge(store=self.store, clock=self.clock)
        self.port = free_port()
        self.tell = tell
        self.carries = carries
        self.times = {
            "every": every,
            "burst": burst,
            "patience": patience,
            "poll": poll,
            "look": look,
            "again": again,
        }
        hook = {"mode": "webhook", "webhook_secret": HOOK_SECRET} if mode == "webhook" else {}
        self.config = build_config({
            "base_url": f"http://127.0.0.1:{self.port}",
            "secret": SECRET, "store": "memory://",
            "sites": {"acme": {"name": "Acme", "origins": ["https://www.acme.example"]}},
            "telegram": {"token": server.token, "chat": chat or server.chat_id, "api_url": server.api_url}
            | hook | settings,
        })  # fmt: skip
        self._keys = (f"{secrets.token_hex(4)}-{n}" for n in range(10**6))

    def clock(self) -> datetime:
        return self.time

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Team"]:
        """One process, from its start to its end, on the same store."""
        self.house = House(config=self.config, bridge=self.bridge)
        self.surface, self.calls = build(self.house, self.house.settings(TelegramSettings), **self.times)
        for part in self.surface._parts:
            if isinstance(part, Cards):
                part._every = 0.02
        persistence = Persistence(first=0.01, longest=0.05, tell=self.tell, scan=0.05)
        courier = Courier(bridge=self.bridge, surface=self.surface, persistence=persistence)
        web = _serving(self.house, self.port)
        async with web:
            tasks = [asyncio.create_task(self.surface.run(self.bridge))]
            tasks += [asyncio.create_task(courier.run())] if self.carries else []
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError):
                        await task
                await self.calls.close()

    # What happens in the conversation

    async def do(self, by: Party, *events: Event, cid: ConversationId = MARIA) -> Seq:
        self.time += timedelta(seconds=1)
        floor = (await self.bridge.state(cid)).floor.since
        proposal = Proposal(events=events, by=by, via="test", key=next(self._keys), floor=floor)
        return (await self.bridge.submit(cid, proposal)).seq

    async def begin(
        self, text: str = "Do you ship to Norway?", *, cid: ConversationId = MARIA, name: str = "Maria"
    ) -> None:
        page = "https://www.acme.example/tents?utm=secret"
        opened = ev.Opened(site="acme", page=page, title="Tents")
        await self.do(VISITOR, opened, ev.Identified(name=name), ev.Said(text=text), cid=cid)

    async def says(self, text: str, *, cid: ConversationId = MARIA) -> Seq:
        return await self.do(VISITOR, ev.Said(text=text), cid=cid)

    async def log(self, cid: ConversationId = MARIA) -> list[Entry]:
        return await self.bridge.read(cid)

    async def events(self, kind: type[Event], cid: ConversationId = MARIA) -> list[Any]:
        return [e.event for e in await self.log(cid) if isinstance(e.event, kind)]

    async def done(self, cid: ConversationId = MARIA, *, within: float = 10.0) -> None:
        """Until the log has been carried."""

        async def caught_up() -> bool:
            head = (await self.bridge.state(cid)).head
            return (await self.store.cursor("telegram", cid)).position == head

        await eventually(caught_up, within=within, what="the courier has carried everything")

    async def has(self, kind: type[Event], cid: ConversationId = MARIA, *, count: int = 1) -> list[Any]:
        async def there() -> list[Any]:
            found = await self.events(kind, cid)
            return found if len(found) >= count else []

        return await eventually(there, what=f"{kind.__name__} in the log")

    async def heard(self) -> None:
        """Until what people did so far has been handled."""

        async def handled() -> bool:
            return not self.server.pending and not await self.store.scan("telegram-inbox", "item/")

        await eventually(handled, what="everything is handled")

    # What stands in the group

    @property
    def topic(self) -> Topic:
        """The newest that was not deleted."""
        return [t for t in self.server.topics() if not t.deleted][-1]

    def texts(self, thread: int | None = None, *, chat: int | None = None) -> list[str]:
        """What a topic shows, without its card."""
        shown = self.server.topic_messages(self.topic.id if thread is None else thread, chat=chat)
        return [m.shown for m in shown[1:] if m.by_bot]

    def card(self) -> Message:
        return self.server.topic_messages(self.topic.id)[0]

    def plain(self, chat: int | None = None) -> list[str]:
        """What stands in a group without topics."""
        return [m.shown for m in self.server.messages(chat) if m.by_bot]

    async def started(self, cid: ConversationId = MARIA) -> int:
        """A conversation whose thread stands; the topic's id."""
        await self.begin(cid=cid)
        await self.done(cid)
        return self.topic.id

    async def reacted(self, message: int, emoji: str, *, chat: int | None = None) -> None:
        bot = self.server.bot.id
        await eventually(lambda: self.server.message(message, chat=chat).reactions.get(bot) == emoji)

    async def replied(self, message: int, text: str, *, chat: int | None = None) -> Message:
        def found() -> Message | None:
            replies = [m for m in self.server.messages(chat) if m.by_bot and m.reply_to == message]
            return next((m for m in replies if text in m.shown.replace("\u2060", "")), None)

        reply = await eventually(found, what=f"a reply with {text!r}")
        assert reply is not None
        return reply

    async def answered(self, query: str) -> Any:
        return await eventually(lambda: next((a for a in self.server.answers if a.id == query), None))


@asynccontextmanager
async def _serving(house: House, port: int) -> AsyncIterator[None]:
    config = uvicorn.Config(
        house.app, lifespan="off", log_config=None, ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign] - they belong to the test runner
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await eventually(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        await task
        listening.close()


@asynccontextmanager
async def team(*, forum: bool = True, kind: str = "supergroup", **settings: Any) -> AsyncIterator[Team]:
    """A group with a running server; Dana, an admin, is in it."""
    async with TelegramServer() as server:
        server.add_group("Desk", forum=forum, kind=kind)
        async with Team(server, **settings).open() as running:
            yield running


def joined(team: Team, name: str, **who: Any) -> Person:
    person = team.server.add_person(name)
    team.server.join(person, **who)
    return person
