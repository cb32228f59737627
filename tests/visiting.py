"""The widget on a page of another origin, and the server behind it in this process, so that a test can also be
the assistant, the team and the clock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
import re
import secrets
import socket
from typing import Any

from playwright.async_api import Browser, Locator, expect
import uvicorn

from bridge import events as ev
from bridge import pulse, wire
from bridge.config import build
from bridge.core import Bridge
from bridge.events import ConversationId, Event, Party, Proposal, Seq, Staff, StaffId
from bridge.house import House
from bridge.store.memory import MemoryStore
from connectors.website import connector
from connectors.website.visitors import cid_of
from tests.browsers import Screen, chromium, screen
from tests.eventually import PATIENCE, eventually
from tests.running import SECRET, free_port, website

AI = ev.Assistant()
DANA = Staff(id=StaffId("dana"), name="Dana")
SAM = Staff(id=StaffId("sam"), name="Sam")


class Place:
    """The server, its conversations, and a browser."""

    def __init__(self, house: House, browser: Browser, shop_port: int) -> None:
        self.house = house
        self.bridge = house.bridge
        self.url = house.config.base_url
        self.browser = browser
        self._shop_port = shop_port

    def shop(self, *, lang: str = "en", attributes: str = "") -> AbstractContextManager[str]:
        """The page that embeds the widget, on the origin that the site's configuration names."""
        return website(self.url, port=self._shop_port, lang=lang, attributes=attributes)

    def hang_up(self) -> None:
        """End every live session, as a restarting server does; who comes back is welcome."""
        for channel in self.house.channels:
            channel.end_all(1012, "the server restarts")

    @asynccontextmanager
    async def visit(
        self, *, lang: str = "en", attributes: str = "", launch: bool = True, **window: Any
    ) -> AsyncIterator["Visit"]:
        """A person on the page, with the panel open unless `launch` is false."""
        with self.shop(lang=lang, attributes=attributes) as origin:
            async with screen(self.browser, **{"locale": "en-GB", **window}) as seen:
                await seen.page.goto(origin)
                visit = Visit(self, seen, origin)
                if launch:
                    await visit.open()
                yield visit


class Visit:
    """One visitor's window, and what others do in the visitor's conversation."""

    def __init__(self, place: Place, seen: Screen, origin: str) -> None:
        self.place = place
        self.bridge = place.bridge
        self.screen = seen
        self.page = seen.page
        self.origin = origin

    # what the visitor sees

    @property
    def widget(self) -> Locator:
        return self.page.locator("joinline-chat")

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("log", name="Conversation")

    @property
    def status(self) -> Locator:
        return self.widget.get_by_role("status")

    @property
    def alert(self) -> Locator:
        return self.widget.get_by_role("alert")

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def answering(self) -> Locator:
        return self.page.get_by_role("group", name="Answering now")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def said(self, who: str) -> Locator:
        return self.log.get_by_role("article", name=re.compile(f"^{who}, \\d\\d:\\d\\d$"))

    async def attribute(self, name: str) -> str | None:
        return await self.widget.get_attribute(name)

    # what the visitor does

    async def open(self) -> None:
        await self.button("Open chat").click()
        await expect(self.box).to_be_visible()

    async def says(self, text: str) -> None:
        await self.box.fill(text)
        await self.box.press("Enter")
        await expect(self.said("You").last).to_have_attribute("data-state", "sent")

    async def kept(self) -> dict[str, Any]:
        """What the browser stores."""
        return await self.page.evaluate("JSON.parse(localStorage.getItem('joinline:acme') ?? '{}')")

    # what the others do

    async def cid(self) -> ConversationId:
        return cid_of("acme", (await self.kept())["token"])

    async def propose(self, by: Party, *events: Event, floor: Seq | None = None) -> Seq:
        proposal = Proposal(events=events, by=by, via="test", key=secrets.token_hex(8), floor=floor)
        return (await self.bridge.submit(await self.cid(), proposal)).seq

    async def since(self) -> Seq:
        return (await self.bridge.state(await self.cid())).floor.since

    async def ai_says(self, text: str) -> None:
        await self.propose(AI, ev.Said(text=text), floor=await self.since())

    async def takes_over(self, staff: Staff = DANA) -> None:
        await self.propose(staff, ev.TookOver(), floor=await self.since())

    async def events(self) -> list[Event]:
        return [e.event for e in await self.bridge.read(await self.cid())]

    async def draft(self) -> "Writing":
        cid = await self.cid()
        state = await self.bridge.state(cid)
        assert state.owed is not None
        return Writing(self, cid, pulse.Draft(turn=state.owed, since=state.floor.since))


class Writing:
    """The assistant at work on an answer."""

    def __init__(self, visit: Visit, cid: ConversationId, draft: pulse.Draft) -> None:
        self._visit = visit
        self._cid = cid
        self._draft = draft

    @property
    def text(self) -> str:
        return self._draft.text

    def add(self, text: str) -> None:
        self._visit.bridge.pulse.stream(self._cid, self._draft, text)

    def add_as_if_before(self, text: str) -> None:
        """A frame of a draft that began under an earlier floor, as a slow process may still send it."""
        before = wire.Draft(turn=Seq(self._draft.turn + 1), since=Seq(self._draft.since - 1), at=0, text=text)
        self._visit.bridge.pulse.publish(self._cid, before)

    def end(self, why: Any) -> None:
        self._visit.bridge.pulse.end_draft(self._cid, self._draft, why)

    async def finish(self) -> None:
        await self._visit.propose(AI, ev.Said(text=self.text), floor=self._draft.since)
        self.end("done")


@asynccontextmanager
async def place(**changes: Any) -> AsyncIterator[Place]:
    """A server with an assistant that the test plays; `changes` are of the site's configuration."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        shop_port = free_port()
        origin = f"http://127.0.0.1:{shop_port}"
        values = {
            "base_url": f"http://127.0.0.1:{listening.getsockname()[1]}",
            "secret": SECRET,
            "store": "memory://",
            "sites": {"acme": {"name": "Acme", "origins": [origin], **changes}},
            "assistant": {
                "kind": "openai",
                "base_url": "http://127.0.0.1:9/v1",
                "model": "played by the test",
            },
            "limits": {"sockets_per_ip": 500, "opened_per_ip_per_hour": 10_000},
        }
        house = House(config=build(values), bridge=Bridge(store=MemoryStore()))
        connector.install(house)
        house.add_files("/web", Path(pulse.__file__).parent / "web")
        house.add_routes(house.statics.router())
        expect.set_options(timeout=PATIENCE * 1000)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(_served(house, listening))
            browser = await stack.enter_async_context(chromium())
            yield Place(house, browser, shop_port)


@asynccontextmanager
async def _served(house: House, listening: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        house.app, ws="websockets-sansio", ws_per_message_deflate=False, log_config=None, access_log=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign] - they belong to the test runner
    running = asyncio.create_task(house.bridge.run())
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await eventually(lambda: server.started)
        yield
    finally:
        house.end_sessions(1012, "the test is over")
        server.should_exit = True
        await task
        running.cancel()
