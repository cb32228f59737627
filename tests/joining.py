"""The join page on a real server in this process, so that a test can also put its hand on the log and the pulse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
import secrets
import socket

import uvicorn

from bridge import events as ev
from bridge.config import build
from bridge.core import Bridge
from bridge.events import ConversationId, Event, Party, Proposal, Seq, Staff, StaffId
from bridge.house import House
from bridge.links import Link, fingerprint
from bridge.store.memory import MemoryStore
from bridge.surface import Receipt
from tests.eventually import eventually
from tests.running import SECRET
from webjoin import connector as webjoin

MARIA = ev.Identified(name="Maria", email="maria@example.org")
AI = ev.Assistant()
VISITOR = ev.Visitor()


class Clock:
    """The real time, moved by what a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Joining:
    """A running join page, one conversation, and everyone a test needs."""

    def __init__(self, house: House, clock: Clock) -> None:
        self.house = house
        self.bridge = house.bridge
        self.links = house.links
        self.url = house.config.base_url
        self.clock = clock
        self.renewed: list[Link] = []
        self.cid = ConversationId("c" + secrets.token_hex(8))

    def hang_up(self) -> None:
        """End every live session, as a restarting server does; who comes back is welcome."""
        for channel in self.house.channels:
            channel.end_all(1012, "the server restarts")

    async def propose(self, by: Party, *events: Event, floor: Seq | None = None) -> Receipt:
        key = secrets.token_hex(8)
        proposal = Proposal(events=events, by=by, via="test", key=key, floor=floor)
        return await self.bridge.submit(self.cid, proposal)

    async def open(self, text: str = "Do you ship to Norway?", *, named: bool = True) -> None:
        opened = ev.Opened(
            site="acme", page="https://www.acme.example/shipping?ref=mail", title="Shipping and returns",
            locale="nb-NO", timezone="Europe/Oslo", context={"Cart": "2 items, 1,249 kr"},
        )  # fmt: skip
        await self.propose(VISITOR, opened, ev.Said(text=text))
        if named:
            await self.propose(VISITOR, MARIA)

    async def visitor_says(self, text: str) -> Receipt:
        return await self.propose(VISITOR, ev.Said(text=text))

    async def ai_says(self, text: str) -> Receipt:
        return await self.propose(AI, ev.Said(text=text), floor=await self.since())

    async def since(self) -> Seq:
        return (await self.bridge.state(self.cid)).floor.since

    async def fenced(self, by: Party, *events: Event) -> None:
        await self.propose(by, *events, floor=await self.since())

    async def take_over(self, staff: Staff) -> None:
        await self.fenced(staff, ev.TookOver())

    async def link(self, recipient: str = "sales") -> str:
        person = self.house.config.staff[recipient]
        return await self.links.mint(self.cid, StaffId(recipient), name=person.name, email=person.email)

    def mark(self, link: str) -> str:
        return fingerprint(link.partition("#")[2])

    async def says(self, check: Callable[[list[Event]], object]) -> None:
        """Wait until the log's events satisfy `check`."""

        async def holds() -> object:
            return check([e.event for e in await self.bridge.read(self.cid)])

        await eventually(holds)


def staff(name: str, staff_id: str = "support") -> Staff:
    return Staff(id=StaffId(staff_id), name=name)


@asynccontextmanager
async def joining(*, https: bool = False, accent: str = "#1f5fd6") -> AsyncIterator[Joining]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        values = {
            "base_url": f"{'https' if https else 'http'}://127.0.0.1:{port}",
            "secret": SECRET,
            "store": "memory://",
            "sites": {
                "acme": {
                    "name": "Acme",
                    "origins": ["https://www.acme.example"],
                    "staff": ["sales"],
                    "accent": accent,
                }
            },
            "staff": {
                "sales": {"name": "Sales desk", "email": "desk@acme.example"},
                "support": {"name": "Sam", "email": "sam@acme.example"},
            },
            "limits": {"sockets_per_ip": 200},
        }
        clock = Clock()
        house = House(config=build(values), bridge=Bridge(store=MemoryStore(), clock=clock))
        page = Joining(house, clock)

        async def renew(link: Link) -> None:
            page.renewed.append(link)

        house.renew = renew
        webjoin.install(house)
        house.add_files("/web", Path(webjoin.__file__).parents[1] / "bridge" / "web")
        house.add_routes(house.statics.router())
        async with _served(house, listening):
            yield page


@asynccontextmanager
async def _served(house: House, listening: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        house.app, ws="websockets-sansio", ws_per_message_deflate=False, log_config=None, access_log=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign] - they belong to the test runner
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await eventually(lambda: server.started)
        yield
    finally:
        house.end_sessions(1012, "the test is over")
        server.should_exit = True
        await task
