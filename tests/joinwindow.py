"""A member of staff at the join page: her browser, and the controls as she knows them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import re
from typing import Any

from playwright.async_api import Browser, Locator, Page, WebSocketRoute, expect

from tests.browsers import Screen, chromium, screen
from tests.joining import Joining, joining


class Line:
    """A browser's socket, whose frames from the server can be held back for a while."""

    def __init__(self, route: WebSocketRoute) -> None:
        self._held: list[str | bytes] | None = None
        self._route = route
        route.connect_to_server().on_message(self._pass)

    def _pass(self, frame: str | bytes) -> None:
        if self._held is None:
            self._route.send(frame)
        else:
            self._held.append(frame)

    def hold(self) -> None:
        self._held = []

    def let_go(self) -> None:
        held, self._held = self._held or [], None
        for frame in held:
            self._route.send(frame)


class Lines:
    """Every socket of a window; the newest is the one that counts."""

    def __init__(self) -> None:
        self.all: list[Line] = []

    def hold(self) -> None:
        self.all[-1].hold()

    def let_go(self) -> None:
        self.all[-1].let_go()


class Window:
    """Dana's browser, and the controls as she knows them."""

    def __init__(self, joining: Joining, screen: Screen, browser: Browser) -> None:
        self.joining = joining
        self.screen = screen
        self.browser = browser
        self.page: Page = screen.page

    def button(self, name: str, *, within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name, exact=True)

    @property
    def banner(self) -> Locator:
        return self.page.get_by_role("region", name="Who is answering")

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("log", name="Conversation")

    def box(self, name: str = "Reply to Maria") -> Locator:
        return self.page.get_by_role("textbox", name=name, exact=True)

    def article(self, name: str) -> Locator:
        return self.log.get_by_role("article", name=re.compile(rf"^{name}, \d\d:\d\d$"))

    async def line(self) -> Lines:
        lines = Lines()
        await self.page.route_web_socket(re.compile("/live/staff$"), lambda r: lines.all.append(Line(r)))
        return lines

    async def visit(self) -> None:
        await self.page.goto(await self.joining.link())

    async def join(self, name: str = "Dana") -> None:
        await self.visit()
        await self.page.get_by_role("textbox", name="Your name").fill(name)
        await self.button("Join").click()
        await expect(self.banner).to_contain_text("You're observing")
        await expect(
            self.page.get_by_text("Live", exact=True)
        ).to_be_visible()  # what hangs up finds somebody

    async def answer(self) -> None:
        """Join and take over."""
        await self.join()
        await self.button("Take over").click()
        await expect(self.banner).to_contain_text("You are answering")


@asynccontextmanager
async def opened(*, accent: str = "#1f5fd6", **options: Any) -> AsyncIterator[Window]:
    """The join page of a conversation that has begun, before anybody has looked at it."""
    async with (
        joining(accent=accent) as page,
        chromium() as browser,
        screen(browser, **{"locale": "en-GB", "timezone_id": "Europe/Oslo"} | options) as window,
    ):
        await page.open()
        yield Window(page, window, browser)
        assert window.complaints == []
