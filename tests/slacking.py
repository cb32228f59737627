"""A business whose team works in a Slack channel, for tests of the Slack connector."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
import socket
from typing import Any

import uvicorn

from bridge import events as ev
from bridge.config import build
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.events import ConversationId, Entry, Event, Party, Proposal, Seq, Staff, StaffId
from bridge.house import House
from bridge.store import Store
from bridge.store.memory import MemoryStore
from connectors.slack.doors import router
from connectors.slack.settings import SlackSettings
from connectors.slack.surface import SlackSurface
from tests.eventually import eventually
from tests.fakes.slack import Slack
from tests.fakes.slack_state import Ephemeral, Message
from tests.logs import VISITOR
from tests.running import SECRET, free_port

MARIA = ConversationId("maria")
LIA = Staff(id=StaffId("web:lia"), name="Lia")


class Team:
    """One conversation after another, on one store; the couriers are quick."""

    def __init__(
        self,
        slack: Slack,
        *,
        mode: str = "socket",
        store: Store | None = None,
        posts: tuple[float, int] = (0.0, 1000),
        updates: tuple[float, int] = (0.0, 1000),
        patience: float = 5.0,
        tell: float = 60.0,
        **settings: Any,
    ) -> None:
        self.slack = slack
        self.store = store or MemoryStore()
        self.bridge = Bridge(store=self.store)
        self.port = free_port()
        self.mode = mode
        self.tell = tell
        self.times = {"posts": posts, "updates": updates, "patience": patience, "ping": 0.2}
        way_in = (
            {"app_token": slack.app_token} if mode == "socket" else {"signing_secret": slack.signing_secret}
        )
        self.config = build({
            "base_url": f"http://127.0.0.1:{self.port}",
            "secret": SECRET, "store": "memory://",
            "sites": {"acme": {"name": "Acme", "origins": ["https://www.acme.example"]}},
            "slack": {"bot_token": slack.bot_token, "channel": slack.channel, "api_url": slack.api_url[:-1]}
            | way_in | settings,
        })  # fmt: skip
        self._keys = iter(range(10**6))
        self._run = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Team"]:
        """One process, from its start to its end, on the same store."""
        self._run += 1
        self.house = House(config=self.config, bridge=self.bridge)
        settings = self.house.settings(SlackSettings)
        self.surface = SlackSurface(house=self.house, settings=settings, **self.times)
        self.surface._kit.cards._every = 0.02
        if settings.signing_secret is not None:
            self.house.add_routes(
                router(app=self.surface.app, signing_secret=settings.signing_secret.get_secret_value())
            )
        persistence = Persistence(first=0.01, longest=0.05, tell=self.tell, scan=0.05)
        courier = Courier(bridge=self.bridge, surface=self.surface, persistence=persistence)
        async with _serving(self.house, self.port) if self.mode == "http" else nullcontext():
            tasks = [asyncio.create_task(courier.run()), asyncio.create_task(self.surface.run(self.bridge))]
            if self.mode == "http":
                base = f"http://127.0.0.1:{self.port}/slack"
                await self.slack.request_url(f"{base}/events", f"{base}/interactions")
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError):
                        await task
                await self.surface.close()

    # What happens in the conversation

    async def do(self, by: Party, *events: Event, cid: ConversationId = MARIA) -> Seq:
        floor = (await self.bridge.state(cid)).floor.since
        key = f"k{next(self._keys)}"
        proposal = Proposal(events=events, by=by, via="test", key=key, floor=floor)
        return (await self.bridge.submit(cid, proposal)).seq

    async def begin(
        self, text: str = "Do you ship to Norway?", *, cid: ConversationId = MARIA, name: str = "Maria"
    ) -> Seq:
        opened = ev.Opened(site="acme", page="https://www.acme.example/tents", title="Tents")
        events = (opened, *([ev.Identified(name=name)] if name else []), ev.Said(text=text))
        return await self.do(VISITOR, *events, cid=cid)

    async def says(self, text: str, *, cid: ConversationId = MARIA) -> Seq:
        return await self.do(VISITOR, ev.Said(text=text), cid=cid)

    async def log(self, cid: ConversationId = MARIA) -> list[Entry]:
        return list(await self.bridge.read(cid))

    async def events(self, kind: type[Event], cid: ConversationId = MARIA) -> list[Any]:
        return [e.event for e in await self.log(cid) if isinstance(e.event, kind)]

    async def texts(self, kind: type[Event] = ev.Said, cid: ConversationId = MARIA) -> list[str]:
        """What members said (or noted ...) in the log."""
        return [
            e.event.text for e in await self.log(cid) if isinstance(e.event, kind) and isinstance(e.by, Staff)
        ]

    async def has(self, kind: type[Event], cid: ConversationId = MARIA, *, count: int = 1) -> list[Any]:
        async def there() -> list[Any]:
            found = await self.events(kind, cid)
            return found if len(found) >= count else []

        return await eventually(there, what=f"{kind.__name__} in the log")

    async def done(self, cid: ConversationId = MARIA, *, within: float = 15.0) -> None:
        """Until the log has been carried."""

        async def caught_up() -> bool:
            head = (await self.bridge.state(cid)).head
            return (await self.store.cursor("slack", cid)).position == head

        await eventually(caught_up, within=within, what="the courier has carried everything")

    async def drawn(self) -> None:
        """Until every card is as it should be."""

        async def up_to_date() -> bool:
            return not await self.surface._kit.ledger.cards_due()

        await eventually(up_to_date, what="the cards are drawn")

    # What stands in the channel

    async def started(self, text: str = "Do you ship to Norway?", **about: Any) -> str:
        """Begin a conversation and wait for its thread; the root's ts."""
        await self.begin(text, **about)
        await self.done(about.get("cid", MARIA))
        return self.root.ts

    @property
    def root(self) -> Message:
        """The newest thread of ours."""
        return [m for m in self.slack.roots() if m.bot_id == self.slack.bot_id and m.subtype != "tombstone"][
            -1
        ]

    def thread(self, root: str | None = None) -> list[Message]:
        return [m for m in self.slack.thread(self.slack.channel, root or self.root.ts) if not m.is_root]

    def shown(self, root: str | None = None) -> list[str]:
        """What the bot has written in the thread."""
        return [m.shown for m in self.thread(root) if m.bot_id]

    async def hears(self, user: str, words: str, *, count: int = 1) -> Ephemeral:
        """Wait for an ephemeral message with `words`."""

        def there() -> list[Ephemeral]:
            found = [e for e in self.slack.seen_by(user) if words in e.shown]
            return found if len(found) >= count else []

        try:
            return (await eventually(there))[-1]
        except AssertionError:
            raise AssertionError(
                f"{words!r} is not in {[e.shown for e in self.slack.seen_by(user)]}"
            ) from None


@asynccontextmanager
async def _serving(house: House, port: int) -> AsyncIterator[None]:
    config = uvicorn.Config(
        house.app, host="127.0.0.1", port=port, log_config=None, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign] - they belong to the test runner
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await eventually(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        await task
        sock.close()
