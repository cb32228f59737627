"""One conversation, three people: Maria on the website, Dana at the join page, Lee in Slack; and the AI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
import re

from playwright.async_api import Browser, Locator, Page, expect
import pytest

from tests.browsers import Screen, chromium, screen
from tests.chatter import Chatter
from tests.eventually import eventually
from tests.fakes.model import FakeModel, asks_for_person, says
from tests.fakes.slack_text import Mention
from tests.joinwindow import Line, Lines
from tests.running import free_port, website
from tests.slackroom import SOON, Room, Way, room
from tests.threadpage import page_of

AI = ["Take over", "Observe", "Open in browser", "End"]
HUMAN = ["Hand back to AI", "Take over", "Observe", "Open in browser", "End"]
ORIGIN = "https://www.acme.example"
KEPT = "Only the team sees this: it is kept as a note."


class Story:
    """The windows, the channel, and what stands behind them."""

    def __init__(self) -> None:
        self.model: FakeModel
        self.room: Room
        self.browser: Browser
        self.maria: Screen
        self.dana: Screen
        self.to_dana = Lines()

    async def shot(self, name: str) -> None:
        """A picture of the thread as it is."""
        async with screen(self.browser, viewport={"width": 900, "height": 1000}) as window:
            await window.page.set_content(page_of(self.room.slack, self.room.root))
            await window.shot(name)
            assert window.complaints == []


@pytest.fixture
async def story(tmp_path: Path, way: Way) -> AsyncIterator[Story]:
    told = Story()
    async with AsyncExitStack() as stack:
        told.model = await stack.enter_async_context(FakeModel().serving())
        port, shop_port = free_port(), free_port()
        shop = stack.enter_context(website(f"http://127.0.0.1:{port}", port=shop_port))
        assistant = {"kind": "openai", "base_url": told.model.base_url, "model": "test"}
        told.room = await stack.enter_async_context(
            room(tmp_path, origin=shop, way=way, port=port, config={"assistant": assistant})
        )
        told.browser = await stack.enter_async_context(chromium())
        told.maria = await stack.enter_async_context(screen(told.browser, locale="en-GB"))
        told.dana = await stack.enter_async_context(screen(told.browser, locale="en-GB"))
        await told.dana.page.route_web_socket(
            "**/live/staff", lambda route: told.to_dana.all.append(Line(route))
        )
        await told.maria.page.goto(shop)
        yield told
        assert told.maria.complaints == told.dana.complaints == []
        assert "Traceback" not in told.room.server.log, told.room.server.log


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def log(page: Page) -> Locator:
    return page.get_by_role("log", name="Conversation")


def article(page: Page, name: str) -> Locator:
    return log(page).get_by_role("article", name=re.compile(rf"^{re.escape(name)}, \d\d:\d\d$"))


async def writes(page: Page, text: str, *, box: str = "Message", send: str = "Send message") -> None:
    await page.get_by_role("textbox", name=box, exact=True).fill(text)
    await button(page, send).click()


async def join(page: Page, link: str, name: str) -> None:
    await page.goto(link)
    await page.get_by_role("textbox", name="Your name").fill(name)
    await button(page, "Join").click()
    await expect(page.get_by_role("region", name="People here")).to_contain_text(f"{name} (you)")


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_from_the_first_word_to_the_rating(story: Story) -> None:
    maria, dana, here = story.maria.page, story.dana.page, story.room
    slack, lee, widget = here.slack, here.lee, maria.locator("joinline-chat")
    status = maria.get_by_role("status")

    # Maria writes: a card in the channel; the AI's answer in its thread, once and whole.
    story.model.play(says("Yes, **we do**. It takes 3 to 5 days.", delay=0.05))
    await button(maria, "Open chat").click()
    await maria.evaluate("joinline.identify({name: 'Maria'})")
    await writes(maria, "Do you ship to *Norway*?\n\n- by Friday?")
    root = await here.begun()
    shop = maria.url.rstrip("/")
    await here.card(
        "Maria · Acme", "> Do you ship to _Norway_?", f"Acme Outdoor – {shop}", "*Answering:* AI assistant",
        buttons=AI,
    )  # fmt: skip
    answer = await here.reads("AI assistant: Yes, *we do*. It takes 3 to 5 days.")
    assert answer.versions == [], "never token by token"
    assert here.lines().count("The visitor is “Maria” (not verified).") == 1

    # Dana comes by her mail.
    await join(dana, await here.link_in_mail("dana@acme.example"), "Dana")
    await here.reads("Dana joined and is watching.")
    await here.card("*Watching:* Dana", buttons=AI)

    # Lee writes without the floor: a note, and an offer; pressed, the note becomes the message.
    words = "Friday works: I'll send it <today> & express."
    ts = await here.says(words)
    await here.reaction(ts, "memo")
    offer = await here.whispered(lee, KEPT)
    assert offer.thread_ts == root.ts
    assert [b.text for b in offer.buttons] == ["Take over and send"]
    await expect(article(dana, "Note, Lee")).to_contain_text(words)
    await expect(widget).not_to_contain_text("Friday works")
    await here.presses("send", ts=offer.ts)
    await expect(article(maria, "Lee")).to_have_text(re.compile(re.escape(words)))
    await expect(status.filter(has_text="Lee joined the conversation.")).to_have_count(1)
    await expect(maria.get_by_role("group", name="Answering now")).to_contain_text("Lee")
    await expect(article(dana, "Lee")).to_contain_text(words)
    await expect(log(dana)).to_contain_text("Lee deleted this message.")
    await here.reaction(ts, "white_check_mark")
    assert offer.gone
    await here.card("*Answering:* Lee", "*Watching:* Dana", buttons=HUMAN)
    await here.reads("Lee took over and is answering.")

    # With the floor, what he writes is sent; an edit and a deletion follow.
    ts = await here.says("It is 12 euro.")
    await here.reaction(ts, "white_check_mark")
    await expect(article(maria, "Lee").last).to_contain_text("It is 12 euro.")
    await slack.edits(lee, ts, "It is 14 euro, *really*.")
    await expect(article(maria, "Lee").last).to_contain_text("It is 14 euro, really.")
    await expect(article(dana, "Lee").last).to_contain_text("It is 14 euro, really.")
    await slack.edits(lee, ts, "!close")
    await here.whispered(lee, "An edit runs no command")
    ts = await here.says("Wrong window, sorry!")
    await expect(widget).to_contain_text("Wrong window")
    await slack.deletes(lee, ts)
    await expect(widget).not_to_contain_text("Wrong window")
    await expect(log(dana)).not_to_contain_text("Wrong window")
    await expect(widget).to_contain_text("14 euro")

    # What others write appears in the thread under their names; his own words do not come back to him.
    await writes(maria, "Lovely, thanks!")
    await here.reads("Maria · visitor: Lovely, thanks!")
    await dana.get_by_role("tab", name="Note").click()
    await writes(dana, "Two tents left in Bergen.", box="Note to team", send="Add note")
    await here.reads("Dana · note (team only): Two tents left in Bergen.")
    await writes(maria, "And socks?")
    await here.reads("Maria · visitor: And socks?")
    assert [m.text for m in here.thread if m.bot_id and "12 euro" in m.text] == []

    # Commands; what is none reaches nobody.
    await here.says("!who")
    await here.whispered(lee, "Answering: Lee. Joined: Dana, Lee (you).")
    await here.says("!name Lee from Acme")
    await here.reads("Lee is now called Lee from Acme.")
    await expect(maria.get_by_role("group", name="Answering now")).to_contain_text("Lee from Acme")
    await here.says("!bak")
    await here.whispered(lee, "There is no command “!bak”. Did you mean “!back”?")
    await here.says("!help")
    assert "!back [parting word]:" in (await here.whispered(lee, "!take [words]:")).shown
    await here.says("!link")
    typed = await here.whispered(lee, "Your personal link")
    ts = await here.says("//she seems in a hurry")
    await here.reaction(ts, "memo")
    await expect(article(dana, "Note, Lee from Acme").last).to_contain_text("she seems in a hurry")
    await here.says("!guide Offer wool socks, not cotton.")
    guidance = article(dana, "Guidance to AI, Lee from Acme")
    await expect(guidance).to_contain_text("Offer wool socks")
    await here.says(f"<@{slack.bot_user}> note seen by the team", wire=True)
    await expect(article(dana, "Note, Lee from Acme").last).to_contain_text("seen by the team")
    await here.says("!back Our assistant knows the socks. Bye!")
    await expect(article(maria, "Lee from Acme").last).to_contain_text("Our assistant knows the socks. Bye!")
    gone = "Lee from Acme left. The AI assistant is answering again."
    await expect(status.filter(has_text=gone)).to_have_count(1)
    await here.card("*Answering:* AI assistant", buttons=AI)

    await here.says("!observe")
    await here.whispered(lee, "You are observing.")

    # The guide shortcut and its modal; the model is told what it should know, and no note.
    cut = await slack.shortcut(lee, "guide", here.thread[-1].ts)
    await cut.done()
    view = await eventually(lambda: next(iter(slack.views), None))
    assert view is not None
    [(block, action)] = view.inputs
    await slack.submits(lee, view.id, {block: {action: "Mention the discount."}})
    assert not view.open
    await here.whispered(lee, "The AI follows it from its next answer on.")
    await here.reads("Lee from Acme · guidance to the AI: Mention the discount.")
    story.model.play(says("Wool socks, 10 % off."))
    await writes(maria, "Which socks?")
    await here.reads("AI assistant: Wool socks, 10 % off.")
    prompt = story.model.requests[-1].prompt
    for known in ("Offer wool socks", "Mention the discount", "14 euro", "Our assistant knows the socks"):
        assert known in prompt
    for team_only in ("hurry", "Bergen", "Wrong window", "!bak", "12 euro", "seen by the team"):
        assert team_only not in prompt
        assert team_only not in await widget.evaluate("e => e.shadowRoot.textContent")

    # Maria wants a person: it is heard in the channel, once.
    assert slack.mentions == []
    await button(maria, "Talk to a person").click()
    call = await eventually(lambda: next((m for m in here.thread if m.broadcast), None), within=SOON)
    assert call is not None
    assert slack.mentions == [Mention("here", "here", call.ts)]
    await here.card("*Waiting for a person:*", buttons=AI)
    await story.shot("slack-thread-wanted")

    # Open in browser: a link for him alone, and there he is the same person.
    await here.presses("link")
    link = await here.whispered(lee, "Your personal link", count=2)
    [url] = link.urls
    assert typed.urls != [url]
    async with screen(story.browser, locale="en-GB") as browser:
        await join(browser.page, url, "Lee from Acme")
        await button(browser.page, "Take over").click()
        await expect(browser.page.get_by_role("region", name="Who is answering")).to_contain_text(
            "You are answering"
        )
        await here.card("*Answering:* Lee from Acme", "*Watching:* Dana", buttons=HUMAN)
        ts = await here.says("I'm here again, from Slack.")
        await here.reaction(ts, "white_check_mark")
        await writes(browser.page, "And from the browser.", box="Reply to Maria", send="Send reply")
        await here.reads("Lee from Acme · team: And from the browser.")
        await expect(article(maria, "Lee from Acme").last).to_contain_text("And from the browser.")
        assert browser.complaints == []
    await here.presses("back")
    await here.card("*Answering:* AI assistant", buttons=AI)

    # The end, the rating, and a new beginning.
    await here.presses("close")
    await expect(status.filter(has_text="Conversation ended.")).to_have_count(1)
    await here.reads("Lee from Acme ended the conversation.")
    await here.card("*The conversation has ended.*", buttons=["Open in browser"])
    ts = await here.says("Too late?")
    await here.whispered(lee, "The conversation has ended. Only the team sees this")
    await maria.get_by_role("radio", name="Good").check(force=True)
    await maria.get_by_role("textbox", name="Comment (optional)").fill("Kind people")
    await button(maria, "Send rating").click()
    await here.reads("Visitor “Maria” rated the conversation: good. “Kind people”")
    await story.shot("slack-thread-ended")
    await button(maria, "Start a new conversation").click()
    await writes(maria, "One more thing")
    await here.begun(2)
    await here.card("> One more thing", buttons=AI)
    assert slack.links == []
    assert [c.outcome for c in slack.calls if c.hasty] == []
    drawn = [c.at for c in slack.calls_of("chat.update", outcome="ok") if c.args["ts"] == root.ts]
    assert len(drawn) > 5
    assert min(b - a for a, b in pairwise(drawn)) > 2.9, "not more than one edit of the card in 3 s"


@pytest.mark.parametrize("way", ["socket"])
async def test_two_press_at_the_same_moment(story: Story) -> None:
    """Dana at the join page and Lee in Slack want the floor from the same view: one has it, one is told."""
    maria, dana, here = story.maria.page, story.dana.page, story.room
    banner = dana.get_by_role("region", name="Who is answering")
    answering = maria.get_by_role("group", name="Answering now")
    lost = dana.get_by_role("alert")
    await button(maria, "Open chat").click()
    await writes(maria, "Hello?")
    await join(dana, await here.link_in_mail("dana@acme.example"), "Dana")
    await here.begun()

    # What Lee does is on its way to Dana while she presses, too.
    story.to_dana.hold()
    await here.presses("take")
    await expect(answering).to_contain_text("Lee")
    await button(dana, "Take over").click()
    story.to_dana.let_go()
    await expect(lost.filter(has_text="Lee took over")).to_be_visible()
    await expect(answering).to_contain_text("Lee")

    # What Dana does is on its way to Slack while Lee presses, too.
    await here.card(buttons=HUMAN)
    await here.presses("back")
    await here.card(buttons=AI)
    seen = next(b for b in here.root.buttons if b.action_id == "take")
    await expect(answering).to_contain_text("AI assistant")
    await button(banner, "Take over").click()
    await expect(answering).to_contain_text("Dana")
    await here.card(buttons=HUMAN)
    await here.presses("take", value=seen.value, stale=True)
    await here.whispered(here.lee, "Dana took over.")
    await expect(banner).to_contain_text("You are answering")

    # Neither of them knows of the other.
    await button(dana, "Hand back to AI").click()
    await here.card(buttons=AI)
    told, took = len(here.slack.seen_by(here.lee)), len([x for x in here.lines() if "took over" in x])
    story.to_dana.hold()
    async with asyncio.TaskGroup() as both:
        both.create_task(button(banner, "Take over").click())
        both.create_task(here.presses("take"))
    await here.card(buttons=HUMAN)
    story.to_dana.let_go()
    if "Dana" in await answering.inner_text():
        await eventually(lambda: len(here.slack.seen_by(here.lee)) == told + 1)
        await here.whispered(here.lee, "Dana took over.")
        await expect(banner).to_contain_text("You are answering")
    else:
        await expect(lost.filter(has_text="Lee took over")).to_be_visible()
        assert len(here.slack.seen_by(here.lee)) == told
    assert len([x for x in here.lines() if "took over" in x]) == took + 1


async def test_a_quiet_channel_where_a_plain_reply_takes_over(tmp_path: Path) -> None:
    """`mirror: when_wanted`, `thread_text: takes_over`, and a ladder of people on duty."""
    settings = {
        "mirror": "when_wanted",
        "thread_text": "takes_over",
        "on_duty": [["S0DUTY"], ["U0BOSS", "here"]],
    }
    async with (
        FakeModel().serving() as model,
        room(
            tmp_path, origin=ORIGIN, slack=settings,
            config={
                "assistant": {"kind": "openai", "base_url": model.base_url, "model": "test"},
                "patience": {"ladder": [4.0, 8.0]},
            },
        ) as here,
        Chatter(f"{here.server.url}/live/visitor", origin=ORIGIN) as quiet,
        Chatter(f"{here.server.url}/live/visitor", origin=ORIGIN) as maria,
    ):  # fmt: skip
        model.play(says("Hello!"), says("*Certainly*."), asks_for_person("a refund", text="I'll ask."))
        await quiet.say("Only the AI is needed here")
        await eventually(lambda: len(quiet.texts()) == 2)
        await maria.say("First")
        await eventually(lambda: len(maria.texts()) == 2)
        assert here.slack.calls_of("chat.postMessage") == [], "nobody is needed"

        # A person is wanted: the thread begins, with all that was said; each step is heard once.
        await maria.say("I want my money back")
        await here.begun()
        await here.card("> First", "*Waiting for a person:*")
        await here.reads("AI assistant: I'll ask.")
        await eventually(lambda: len([m for m in here.thread if m.broadcast]) == 3, within=SOON)
        assert here.lines() == [
            "*AI assistant:* _Certainly_.\n*Visitor · visitor:* I want my money back",
            "AI assistant: I'll ask.",
            "@subteam^S0DUTY AI assistant asks for a person: “a refund”",
            "@U0BOSS @here Nobody has come yet. “a refund”",
            "@subteam^S0DUTY @U0BOSS @here Nobody has come yet. This is the last call. “a refund”",
        ]
        one, two, three = (m for m in here.thread if m.broadcast)
        assert here.slack.mentions == [
            Mention("group", "S0DUTY", one.ts),
            Mention("user", "U0BOSS", two.ts), Mention("here", "here", two.ts),
            Mention("group", "S0DUTY", three.ts), Mention("user", "U0BOSS", three.ts),
            Mention("here", "here", three.ts),
        ]  # fmt: skip

        # A plain reply takes over; a note stays one.
        ts = await here.says("//a regular")
        await here.reaction(ts, "memo")
        ts = await here.says("I'll see to it.")
        await here.reaction(ts, "white_check_mark")
        await here.card("*Answering:* Lee", buttons=HUMAN)
        await here.reads("Lee took over and is answering.")
        assert maria.texts()[-1] == "I'll see to it."
        assert "regular" not in str(maria.lines)
        assert here.slack.seen_by(here.lee) == []
        assert len(here.roots) == 1, "the other conversation needs nobody"

        # He ends it; she is not done.
        await here.says("!close")
        await here.card("*The conversation has ended.*", buttons=["Open in browser"])
        answer = await maria.propose({"type": "Reopened"}, {"type": "Said", "text": "Wait!"})
        assert answer["t"] == "ack", answer
        await here.reads("The conversation goes on.")
        await here.reads("Visitor · visitor: Wait!")
        await here.card("*Answering:* AI assistant", buttons=AI)
