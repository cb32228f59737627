"""One conversation and a team in Telegram: Maria on the website, Lee and Kim in their group; and the AI."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
import re

from playwright.async_api import Browser, Locator, Page, expect
import pytest

from tests.browsers import Screen, chromium, screen
from tests.eventually import eventually
from tests.fakes.model import FakeModel, says
from tests.fakes.telegram import Message
from tests.running import free_port, website
from tests.teamgroup import AI, DONE, ENDED, HUMAN, NOTED, SENT, TeamGroup, Way, team_group

KEPT = "Only the team sees this: it is kept as a note."


class Story:
    """Maria's window, the group, and what stands behind them."""

    def __init__(self) -> None:
        self.model: FakeModel
        self.group: TeamGroup
        self.browser: Browser
        self.maria: Screen


@pytest.fixture
async def story(tmp_path: Path, way: Way) -> AsyncIterator[Story]:
    told = Story()
    async with AsyncExitStack() as stack:
        told.model = await stack.enter_async_context(FakeModel().serving())
        port, shop_port = free_port(), free_port()
        shop = stack.enter_context(website(f"http://127.0.0.1:{port}", port=shop_port))
        assistant = {"kind": "openai", "base_url": told.model.base_url, "model": "test"}
        told.group = await stack.enter_async_context(
            team_group(tmp_path, way=way, origin=shop, port=port, config={"assistant": assistant})
        )
        told.browser = await stack.enter_async_context(chromium())
        told.maria = await stack.enter_async_context(screen(told.browser, locale="en-GB"))
        await told.maria.page.goto(shop)
        yield told
        assert told.maria.complaints == []
        assert "Traceback" not in told.group.server.log, told.group.server.log


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def article(page: Page, name: str) -> Locator:
    log = page.get_by_role("log", name="Conversation")
    return log.get_by_role("article", name=re.compile(rf"^{re.escape(name)}, \d\d:\d\d$"))


async def writes(page: Page, text: str, *, box: str = "Message", send: str = "Send message") -> None:
    await page.get_by_role("textbox", name=box, exact=True).fill(text)
    await button(page, send).click()


async def joins(page: Page, link: str, name: str) -> None:
    await page.goto(link)
    await page.get_by_role("textbox", name="Your name").fill(name)
    await button(page, "Join").click()
    await expect(page.get_by_text("You're observing")).to_be_visible()


@pytest.mark.parametrize("way", ["polling", "webhook"])
async def test_from_the_first_word_to_a_new_beginning(story: Story) -> None:
    maria, group, telegram = story.maria.page, story.group, story.group.telegram
    lee, kim = group.lee, group.kim
    widget, status = maria.locator("joinline-chat"), maria.get_by_role("status")
    answering = maria.get_by_role("group", name="Answering now")

    # Maria writes: a topic with a pinned card, without a sound; the AI's answer, once and whole.
    story.model.play(says("Yes, **we do**. It takes 3 to 5 days.", delay=0.05))
    await button(maria, "Open chat").click()
    await maria.evaluate("joinline.identify({name: 'Maria'})")
    await writes(maria, "Do you ship to *Norway*?")
    await group.begun()
    asked = "Do you ship to Norway?"
    card = await group.card(
        "Maria · Acme", asked, "Answering: AI assistant", buttons=AI, title="Maria · AI answers"
    )
    answer = await group.reads("Yes, we do. It takes 3 to 5 days.")
    assert answer.shown.startswith("AI assistant\n")
    assert answer.edited == 0, "never token by token"
    assert [e.text for e in answer.entities if not e.auto] == ["AI assistant", "we do"], "bold, both"
    await group.reads("The visitor is “Maria” (not verified).")
    assert all(m.silent for m in group.standing)

    # Lee writes without the floor: a note, and an offer; pressed, the note becomes the message.
    words = "Friday works: I'll send it <today> & express."
    first = await group.says(words)
    await group.reaction(first, NOTED)
    offer = await group.told(first, KEPT)
    assert [b.text for b in offer.buttons] == ["Take over and send"]
    await expect(widget).not_to_contain_text("Friday works")
    assert (await group.presses("Take over and send", on=offer)).text == "Sent to the visitor."
    await expect(article(maria, "Lee")).to_contain_text(words)
    await expect(status.filter(has_text="Lee joined the conversation.")).to_have_count(1)
    await expect(answering).to_contain_text("Lee")
    await group.reads("Lee took over and is answering.")
    await group.card("Answering: Lee", buttons=HUMAN, title="Maria · Lee answers")
    await group.reaction(first, SENT)
    await eventually(lambda: offer.deleted, what="the offer goes away")

    # With the floor, what he writes is sent; an edit follows; /delete in reply takes it back.
    second = await group.says("It is 12 euro.")
    await group.reaction(second, SENT)
    await expect(article(maria, "Lee").last).to_contain_text("It is 12 euro.")
    await telegram.edits(lee, second, "It is 14 euro.")
    await expect(article(maria, "Lee").last).to_contain_text("It is 14 euro.")
    await telegram.edits(lee, second, "/close")
    await group.told(second, "An edit runs no command")
    wrong = await group.says("Wrong window, sorry!")
    await expect(widget).to_contain_text("Wrong window")
    took_back = await group.says("/delete", reply_to=wrong)
    await group.reaction(took_back, DONE)
    await expect(widget).not_to_contain_text("Wrong window")
    await group.told(await group.says("/delete"), "Reply with /delete to a message of your own")
    others = await group.says("/delete", by=kim, reply_to=second)
    await group.told(others, "Reply with /delete to a message of your own")
    await expect(widget).to_contain_text("14 euro")

    # Now Maria's words are heard.
    await writes(maria, "Lovely, thanks!")
    heard = await group.reads("Lovely, thanks!")
    assert heard.shown.startswith("Maria · visitor\n")
    assert not heard.silent

    # Commands; what is none reaches nobody.
    await group.told(await group.says("/who"), "Answering: Lee. Joined: Lee (you).")
    await group.reaction(await group.says(f"/name@{telegram.bot.username} Lee from Acme"), DONE)
    await expect(answering).to_contain_text("Lee from Acme")
    await group.told(await group.says("/bak"), "There is no command “/bak”. Did you mean “/back”?")
    await group.says("/take@some_other_bot")
    await group.reaction(await group.says("// she seems in a hurry"), NOTED)
    await group.reaction(await group.says("Two tents left in Bergen", by=kim), NOTED)
    await group.reaction(await group.says("/guide Offer wool socks, not cotton."), DONE)
    await group.reaction(await group.says("/back Our assistant knows the socks. Bye!"), DONE)
    await expect(article(maria, "Lee from Acme").last).to_contain_text("Our assistant knows the socks. Bye!")
    gone = "Lee from Acme left. The AI assistant is answering again."
    await expect(status.filter(has_text=gone)).to_have_count(1)
    await group.card("Answering: AI assistant", buttons=AI, title="Maria · AI answers")

    # The model is told what it should know, and no note.
    story.model.play(says("Wool socks, 10 % off."))
    await writes(maria, "Which socks?")
    again = await group.reads("Wool socks, 10 % off.")
    assert again.silent
    assert (await group.reads("Which socks?")).silent
    prompt = story.model.requests[-1].prompt
    for known in ("Offer wool socks", "14 euro", "Our assistant knows the socks"):
        assert known in prompt
    for team_only in ("hurry", "Bergen", "Wrong window", "bak", "12 euro", "some_other_bot"):
        assert team_only not in prompt
        assert team_only not in await widget.evaluate("e => e.shadowRoot.textContent")

    # Open in browser: a link for him alone, once he has started the bot; there he is the same person.
    refused = await group.presses("Open in browser")
    assert refused.alert
    assert refused.text.endswith(f"Open t.me/{telegram.bot.username}, press Start there, then ask again.")
    await telegram.starts_bot(lee)
    assert (await group.presses("Open in browser")).text == "The link is in your private chat with me."
    private = await eventually(lambda: next((m for m in telegram.private_messages(lee) if m.links), None))
    assert private is not None
    [(_, url)] = private.links
    assert all(url not in m.shown for m in telegram.messages())
    async with screen(story.browser, locale="en-GB") as browser:
        await joins(browser.page, url, "Lee from Acme")
        await button(browser.page, "Take over").click()
        await group.card("Answering: Lee from Acme", buttons=HUMAN)
        await group.reaction(await group.says("I'm here again, from Telegram."), SENT)
        await writes(browser.page, "And from the browser.", box="Reply to Maria", send="Send reply")
        await group.reads("Lee from Acme · to the visitor\nAnd from the browser.")
        await expect(article(maria, "Lee from Acme").last).to_contain_text("And from the browser.")
        assert browser.complaints == []
    assert (await group.presses("Hand back to AI")).text == "Done."
    await group.card("Answering: AI assistant", buttons=AI)

    # Both want it at the same moment: one has it, the other is told.
    presses = [await telegram.presses(who, group.latest_card.id, "Take over") for who in (lee, kim)]
    answers = [await group.answered(query) for query in presses]
    await expect(answering).to_contain_text(re.compile("Lee from Acme|Kim"))
    won = 0 if "Lee" in await answering.inner_text() else 1
    winner = ("Lee from Acme", "Kim")[won]
    assert (answers[won].text, answers[won].alert) == ("Done.", False)
    assert winner in answers[1 - won].text
    assert answers[1 - won].alert
    await group.card(f"Answering: {winner}", buttons=HUMAN, title=f"Maria · {winner} answers")

    # The end: asked once more, then the topic is closed. A new beginning is a new topic.
    by = (lee, kim)[won]
    assert "once more" in (await group.presses("End", by=by)).text
    await expect(status.filter(has_text="Conversation ended.")).to_have_count(0)
    assert (await group.presses("End", by=by)).text == "Done."
    await expect(status.filter(has_text="Conversation ended.")).to_have_count(1)
    await group.card("The conversation has ended.", buttons=ENDED, title="Maria · ended")
    await eventually(lambda: group.topic.closed, what="the topic is closed")
    await maria.get_by_role("radio", name="Good").check(force=True)
    await button(maria, "Send rating").click()
    rated = await group.reads("Visitor “Maria” rated the conversation: good.")
    assert rated.silent
    await eventually(lambda: group.topic.closed, what="a rating leaves it closed")
    await button(maria, "Start a new conversation").click()
    await writes(maria, "One more thing")
    await group.begun(2)
    await group.card("One more thing", buttons=AI)

    # Nothing of his own came back to Lee; no sound but what was Maria's to a person; one card each.
    members = {m.shown for m in telegram.messages() if not m.by_bot}
    assert not [
        m for m in telegram.messages() if m.by_bot and any(m.shown.endswith(f"\n{own}") for own in members)
    ]
    assert _loud(telegram.messages()) == ["Maria · visitor\nLovely, thanks!"]
    assert card.id == telegram.chat().pinned[0].id
    assert len(telegram.chat().pinned) == 2


def _loud(messages: list[Message]) -> list[str]:
    return [m.shown for m in messages if m.by_bot and not m.silent]
