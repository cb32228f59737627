"""One conversation, three people: Maria on the website, Dana at a desk, Sam on a phone; and the AI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
import re
import urllib.request

from playwright.async_api import Locator, Page, WebSocketRoute, expect
import pytest

from tests.browsers import DESKTOP, PHONE, Screen, chromium, screen, text_of
from tests.eventually import eventually
from tests.fakes.model import FakeModel, says
from tests.fakes.smtp import SmtpServer
from tests.running import Server, free_port, running, website

LONG = "Delivery to Norway takes three to five days. " * 40


class Line:
    """A person's WebSocket, on which what the server sends can be held up for a while."""

    def __init__(self) -> None:
        self._holding = False
        self._held: list[tuple[WebSocketRoute, str | bytes]] = []

    def route(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: self._pass(socket, message))

    def _pass(self, socket: WebSocketRoute, message: str | bytes) -> None:
        if self._holding:
            self._held.append((socket, message))
        else:
            socket.send(message)

    def hold(self) -> None:
        self._holding = True

    def let_go(self) -> None:
        self._holding = False
        for socket, message in self._held:
            socket.send(message)
        self._held.clear()


class Story:
    """The three windows and what stands behind them."""

    def __init__(self) -> None:
        self.model: FakeModel
        self.smtp: SmtpServer
        self.server: Server
        self.maria: Screen
        self.dana: Screen
        self.sam: Screen
        self.to_sam = Line()


def config(model: FakeModel, smtp: SmtpServer, shop: str) -> dict[str, object]:
    return {
        "sites": {"acme": {"name": "Acme", "origins": [shop], "staff": [["dana", "sam"]]}},
        "staff": {
            "dana": {"name": "Dana", "email": "dana@acme.example"},
            "sam": {"name": "Sam", "email": "sam@acme.example"},
        },
        "email": {"smtp_url": smtp.url, "from": "Acme Chat <chat@acme.example>", "settle": 2.0},
        "assistant": {
            "kind": "openai",
            "base_url": model.base_url,
            "model": "test",
            "instructions": "Be brief.",
        },
    }


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    told = Story()
    async with AsyncExitStack() as stack:
        told.model = await stack.enter_async_context(FakeModel().serving())
        told.smtp = await stack.enter_async_context(SmtpServer())
        port, shop_port = free_port(), free_port()
        shop = stack.enter_context(website(f"http://127.0.0.1:{port}", port=shop_port))
        server_is = running(tmp_path, config(told.model, told.smtp, shop), port=port)
        told.server = await asyncio.to_thread(stack.enter_context, server_is)
        browser = await stack.enter_async_context(chromium())
        told.maria = await stack.enter_async_context(screen(browser, viewport=DESKTOP, locale="en-GB"))
        told.dana = await stack.enter_async_context(screen(browser, viewport=DESKTOP))
        told.sam = await stack.enter_async_context(screen(browser, viewport=PHONE))
        await told.sam.page.route_web_socket("**/live/staff", told.to_sam.route)
        await told.maria.page.goto(shop)
        yield told
        assert told.maria.complaints == []
        assert told.dana.complaints == []
        assert told.sam.complaints == []


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def log(page: Page) -> Locator:
    return page.get_by_role("log", name="Conversation")


async def writes(page: Page, text: str, *, box: str = "Message", send: str = "Send message") -> None:
    await page.get_by_role("textbox", name=box, exact=True).fill(text)
    await button(page, send).click()


async def link_in_mail(story: Story, recipient: str) -> str:
    """The personal link in the newest mail to `recipient`, alone on its line in the text."""
    await eventually(lambda: story.smtp.to(recipient), what=f"a mail to {recipient}")
    text = story.smtp.to(recipient)[-1].part("plain")
    found = re.search(r"^(https?://\S+/join#\S+)\s*$", text, re.MULTILINE)
    assert found, text
    return found[1]


async def join(window: Screen, link: str, name: str) -> None:
    page = window.page
    await page.goto(link)
    await page.get_by_role("textbox", name="Your name").fill(name)
    await button(page, "Join").click()
    await expect(page.get_by_text("You're observing")).to_be_visible()


def get(url: str, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(url.partition("#")[0], method=method)
    with urllib.request.urlopen(request, timeout=5) as answered:
        return answered.status, answered.read()


async def test_from_the_first_word_to_the_rating(story: Story) -> None:
    maria, dana, sam = story.maria.page, story.dana.page, story.sam.page
    status = maria.get_by_role("status")

    # Maria asks; the AI answers as it thinks; nothing was stored or connected before her first word.
    story.model.play(says("Yes, **we do**. It takes 3 to 5 days.", delay=0.05))
    await button(maria, "Open chat").click()
    await story.maria.axe("widget, empty")
    assert await maria.evaluate("localStorage.length + document.cookie.length") == 0
    await writes(maria, "Do you ship to Norway?")
    await expect(log(maria).get_by_role("article", name=re.compile("^You, "))).to_have_count(1)
    await expect(button(maria, "Stop answer")).to_be_visible()
    answered = log(maria).get_by_role("article", name=re.compile("^AI assistant, "))
    await expect(answered).to_contain_text("Yes, we do. It takes 3 to 5 days.")
    await story.maria.axe("widget, answered")
    await story.maria.shot("story-widget-answered")

    # A mail to each, with a link of their own; looking at it changes nothing.
    links = {name: await link_in_mail(story, f"{name}@acme.example") for name in ("dana", "sam")}
    assert links["dana"] != links["sam"]
    assert len(story.smtp.received) == 2
    pages = {await asyncio.to_thread(get, links["dana"]) for _ in range(20)}
    assert len(pages) == 1
    await asyncio.to_thread(get, links["dana"], "HEAD")
    await dana.goto(links["dana"])
    await expect(log(dana)).to_contain_text("Do you ship to Norway?")
    await expect(dana.get_by_text("You're previewing.")).to_be_visible()
    await story.dana.axe("join page, preview")
    await story.dana.shot("story-preview")

    # A name is needed; joining is observing, and Maria sees nothing of it.
    before = await maria.locator("joinline-chat").evaluate("e => e.shadowRoot.textContent")
    await dana.get_by_role("textbox", name="Your name").fill("")
    await button(dana, "Join").click()
    await expect(dana.get_by_text("Enter the name the visitor will see.")).to_be_visible()
    await join(story.dana, links["dana"], "Dana")
    await join(story.sam, links["sam"], "Sam")
    assert "#" not in dana.url
    await story.dana.axe("join page, observing")
    await story.sam.axe("join page on a phone, observing")
    await story.dana.shot("story-observing")
    await story.sam.shot("story-observing-phone")
    assert await maria.locator("joinline-chat").evaluate("e => e.shadowRoot.textContent") == before

    # Dana takes over while the AI is speaking: the call is cancelled, the draft withdrawn.
    story.model.play(says(LONG, delay=0.05))
    await writes(maria, "And how much is it?")
    draft = dana.get_by_role("group", name="AI assistant is writing")
    await expect(draft).to_contain_text("Delivery to Norway")
    await story.dana.axe("join page, the AI is writing")
    await button(dana, "Take over").click()
    await expect(status.filter(has_text="Dana joined the conversation.")).to_have_count(1)
    await expect(maria.get_by_role("group", name="Answering now")).to_contain_text("Dana")
    await eventually(lambda: story.model.requests[-1].gone, what="the model call is cancelled")
    await expect(maria.locator("joinline-chat")).to_contain_text("(interrupted)")
    await expect(maria.locator("joinline-chat")).not_to_contain_text("Delivery to Norway takes")
    await expect(dana.get_by_role("region", name="Who is answering")).to_contain_text("You are answering")
    await story.maria.axe("widget, a human answers")

    await writes(dana, "It is 12 euro to Norway, I promise.", box="Reply to Visitor", send="Send reply")
    replied = log(maria).get_by_role("article", name=re.compile("^Dana, "))
    await expect(replied).to_contain_text("12 euro")
    await story.maria.shot("story-widget-human")

    # A note stays with the team.
    await dana.get_by_role("tab", name="Note").click()
    await writes(dana, "Customer seems angry about prices", box="Note to team", send="Add note")
    await expect(log(sam).get_by_role("article", name=re.compile("^Note, Dana, "))).to_contain_text("angry")
    await story.dana.axe("join page, you answer, a note")
    await story.sam.shot("story-note-phone")

    # Dana hands back; then both want the floor from the same view: one wins, the other keeps the words.
    story.model.play(says("Anything else?"))
    await dana.get_by_role("tab", name="Reply").click()
    await button(dana, "Hand back to AI").click()
    await expect(status.filter(has_text="Dana left. The AI assistant is answering again.")).to_have_count(1)
    await expect(dana.get_by_role("region", name="Who is answering")).to_contain_text("AI assistant")
    kept = "Sam's own words"
    await dana.get_by_role("textbox", name="Reply to Visitor").fill("Dana's own words")
    await sam.get_by_role("textbox", name="Reply to Visitor").fill(kept)
    story.to_sam.hold()  # what Dana does is on its way to Sam while Sam presses too
    await button(dana, "Take over and send").click()
    await expect(log(maria)).to_contain_text("Dana's own words")
    await button(sam, "Take over and send").click()
    story.to_sam.let_go()
    lost = re.compile(r"^Dana took over \d+ seconds? ago\. Your reply was not sent\.$")
    await expect(sam.get_by_role("alert").filter(has_text=lost)).to_be_visible()
    box = sam.get_by_role("textbox", name=re.compile("^(Reply to Visitor|Note to team)$"))
    await expect(box).to_have_value(kept)
    await story.sam.axe("join page on a phone, lost the floor")
    await story.sam.shot("story-lost-the-floor")
    await button(sam, "Keep as note").click()
    await expect(log(dana)).to_contain_text(kept)
    await expect(maria.locator("joinline-chat")).not_to_contain_text(kept)

    # Handed back, the model is told what the human promised, and nothing of the notes.
    await button(dana, "Hand back to AI").click()
    await expect(maria.get_by_role("group", name="Answering now")).to_contain_text("AI assistant")
    story.model.play(says("Twelve euro, as Dana said."))
    await writes(maria, "So what was the price?")
    await expect(log(maria)).to_contain_text("Twelve euro, as Dana said.")
    prompt = story.model.requests[-1].prompt
    assert "12 euro to Norway, I promise" in prompt
    assert "angry" not in prompt
    assert kept not in prompt

    # Maria ends it, rates it, keeps the transcript; the links show what was said.
    await button(maria, "Conversation options").click()
    await story.maria.axe("widget, menu")
    await maria.get_by_role("menuitem", name="End conversation").click()
    await expect(status.filter(has_text="Conversation ended.")).to_have_count(1)
    await maria.get_by_role("radio", name="Good").check(force=True)
    await maria.get_by_role("textbox", name="Comment (optional)").fill("Kind people")
    await story.maria.axe("widget, ended")
    await story.maria.shot("story-widget-ended")
    await button(maria, "Send rating").click()
    async with maria.expect_download() as download:
        await button(maria, "Conversation options").click()
        await maria.get_by_role("menuitem", name="Download transcript").click()
    transcript = await text_of(await download.value)
    assert "12 euro to Norway" in transcript
    assert "angry" not in transcript
    await expect(log(dana)).to_contain_text("Kind people")
    await expect(button(maria, "Start a new conversation")).to_be_visible()

    await story.dana.page.context.clear_cookies()
    await dana.goto("about:blank")
    await dana.goto(links["dana"])
    await expect(dana.get_by_role("heading", level=1, name="Conversation ended")).to_be_visible()
    await expect(dana.get_by_text("So what was the price?")).to_be_visible()
    await story.dana.axe("join page, ended")
    await story.dana.shot("story-ended")
