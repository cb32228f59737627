"""The server dies and comes back; the people at both ends do nothing and miss nothing."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
import re
import time

from playwright.async_api import expect
import pytest

from tests.browsers import DESKTOP, PHONE, chromium, screen
from tests.eventually import eventually
from tests.fakes.smtp import SmtpServer
from tests.running import Server, free_port, website

pytestmark = pytest.mark.timed

NOTICED = [
    "Failed to load resource",
    "WebSocket connection to",
    "net::ERR",
]  # the browser's own words on an outage


async def test_both_pages_resume_within_five_seconds(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        smtp = await stack.enter_async_context(SmtpServer())
        port, shop_port = free_port(), free_port()
        config = {
            "sites": {
                "acme": {"name": "Acme", "origins": [f"http://127.0.0.1:{shop_port}"], "staff": ["dana"]}
            },
            "staff": {"dana": {"name": "Dana", "email": "dana@acme.example"}},
            "email": {"smtp_url": smtp.url, "from": "Acme <chat@acme.example>", "settle": 0.2},
        }
        server = Server(tmp_path, config, port=port)
        stack.callback(server.kill)
        await asyncio.to_thread(server.start)
        shop = stack.enter_context(website(server.url, port=shop_port))
        browser = await stack.enter_async_context(chromium())
        maria = await stack.enter_async_context(screen(browser, viewport=PHONE))
        dana = await stack.enter_async_context(screen(browser, viewport=DESKTOP))
        maria.expected = dana.expected = NOTICED

        await maria.page.goto(shop)
        await maria.page.get_by_role("button", name="Open chat").click()
        box = maria.page.get_by_role("textbox", name="Message")
        await box.fill("before")
        await box.press("Enter")
        await eventually(lambda: smtp.to("dana@acme.example"))
        link = re.search(r"\S+/join#\S+", smtp.received[0].part("plain"))
        assert link
        await dana.page.goto(link[0])
        await dana.page.get_by_role("textbox", name="Your name").fill("Dana")
        await dana.page.get_by_role("button", name="Join", exact=True).click()
        await dana.page.get_by_role("button", name="Take over", exact=True).click()
        await expect(dana.page.get_by_role("region", name="Who is answering")).to_contain_text("You are")

        server.kill()
        await expect(maria.page.get_by_text("Connection lost. Reconnecting…").first).to_be_visible()
        await box.fill("while it was down")
        await box.press("Enter")
        reply = dana.page.get_by_role("textbox", name="Reply to Visitor")
        await reply.fill("written while it was down")
        await dana.page.get_by_role("button", name="Send reply").click()

        await asyncio.to_thread(server.start)
        begun = time.monotonic()
        log_of_dana = dana.page.get_by_role("log", name="Conversation")
        log_of_maria = maria.page.get_by_role("log", name="Conversation")
        await expect(log_of_dana).to_contain_text("while it was down")
        await expect(log_of_maria).to_contain_text("written while it was down")
        assert time.monotonic() - begun < 5
        await expect(maria.page.get_by_role("status").filter(has_text="Back online.")).to_have_count(1)
        texts = await log_of_dana.inner_text()
        assert texts.count("before") == 1
        assert len(re.findall(r"(?<!written )while it was down", texts)) == 1
        assert maria.complaints == dana.complaints == []
