"""Draw docs/images/conversation.png: the demo's shop with the chat, beside the join page, as they are.

.venv/bin/python -m scripts.picture
"""

import asyncio
from base64 import b64encode
from pathlib import Path
import subprocess
import sys

from playwright.async_api import Browser, Page, expect

from tests.browsers import DESKTOP, chromium, screen
from tests.eventually import eventually
from tests.running import free_port

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "conversation.png"
TALL = {"width": 460, "height": 800}
SHEET = """<!doctype html><style>
body {{ margin: 0; padding: 24px; background: #e9ecf0; display: flex; gap: 24px; width: max-content }}
img {{ display: block; height: 800px; border-radius: 12px; box-shadow: 0 6px 24px rgb(16 24 40 / .18) }}
</style><img src="data:image/png;base64,{left}"><img src="data:image/png;base64,{right}">"""


async def _ask(page: Page, text: str, *, box: str = "Message", send: str = "Send message") -> None:
    await page.get_by_role("textbox", name=box, exact=True).fill(text)
    await page.get_by_role("button", name=send, exact=True).click()


async def _link(browser: Browser, mailbox: str) -> str:
    """The link in the newest mail, as the mailbox page shows it."""
    async with screen(browser) as window:
        await window.page.goto(mailbox)
        await window.page.get_by_role("link").filter(has_text="Do you ship").first.click()

        async def found() -> str | None:
            for frame in window.page.frames:
                for link in await frame.get_by_role("link", name="Open conversation").all():
                    return await link.get_attribute("href")
            return None

        link = await eventually(found)
        assert link
        return link


async def _draw(shop: str, mailbox: str) -> None:
    async with chromium() as browser, screen(browser, viewport=TALL) as maria, screen(browser) as dana:
        await maria.page.goto(shop)
        await maria.page.get_by_role("button", name="Open chat").click()
        await _ask(maria.page, "Do you ship to Norway?")
        log = maria.page.get_by_role("log", name="Conversation")
        await expect(log.get_by_role("article")).to_have_count(2, timeout=15_000)
        await asyncio.sleep(6)  # the mail is sent when the burst is over
        await dana.page.goto(await _link(browser, mailbox))
        await dana.page.get_by_role("textbox", name="Your name").fill("Dana")
        await dana.page.get_by_role("button", name="Join", exact=True).click()
        await _ask(maria.page, "I need the tent by Friday. Is that possible?")
        await expect(log.get_by_role("article")).to_have_count(4, timeout=15_000)
        await dana.page.get_by_role("tab", name="Note").click()
        await _ask(dana.page, "Two tents left in Bergen.", box="Note to team", send="Add note")
        await dana.page.get_by_role("tab", name="Reply").click()
        words = "Hi, Dana here. Friday works: I'll send it today with the express parcel."
        await _ask(dana.page, words, box="Reply to Visitor", send="Take over and send")
        await expect(log).to_contain_text("Friday works")
        await maria.page.mouse.move(0, 0)
        left, right = [b64encode(await w.page.screenshot()).decode() for w in (maria, dana)]
        async with screen(browser, viewport=DESKTOP) as sheet:
            await sheet.page.set_content(SHEET.format(left=left, right=right))
            IMAGE.parent.mkdir(exist_ok=True)
            await sheet.page.locator("body").screenshot(path=IMAGE)


def main() -> None:
    ports = [str(free_port()) for _ in range(3)]
    command = [Path(sys.executable).with_name("joinline"), "demo"]
    names = ("--port", "--shop-port", "--mailbox-port")
    options = [f"{name}={port}" for name, port in zip(names, ports, strict=True)]
    demo = subprocess.Popen([*command, *options], stdout=subprocess.PIPE)  # noqa: S603 - our own words
    try:
        assert demo.stdout is not None
        demo.stdout.readline()
        asyncio.run(_draw(f"http://127.0.0.1:{ports[1]}", f"http://127.0.0.1:{ports[2]}"))
    finally:
        demo.terminate()
        demo.wait()


if __name__ == "__main__":
    main()
