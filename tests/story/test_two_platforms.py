"""The same conversation in Slack and in Telegram: one winner, both cards right, and neither waits for the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
import re
import time

from playwright.async_api import Locator, Page, expect
import pytest

from tests.browsers import Screen, chromium, screen
from tests.eventually import eventually
from tests.fakes.model import FakeModel, says
from tests.fakes.telegram import Answer
from tests.running import free_port, website
from tests.slackroom import SOON, Room
from tests.teamgroup import AI, HUMAN, SENT, TeamGroup, team_group

ASKED = ["Take over", "Observe", "Open in browser", "End"]
ANSWERED = ["Hand back to AI", "Take over", "Observe", "Open in browser", "End"]


class Both:
    """Maria's window; Ann's channel in Slack, Lee's group in Telegram; one server."""

    def __init__(self) -> None:
        self.model: FakeModel
        self.maria: Screen
        self.slack = Room(way="socket")
        self.ann = self.slack.slack.add_user("ann", display_name="Ann")
        self.telegram: TeamGroup

    async def answering(self, name: str) -> None:
        """Whoever answers, for Maria and on both cards."""
        group = self.maria.page.get_by_role("group", name="Answering now")
        await expect(group).to_contain_text(name)
        human = name != "AI assistant"
        await self.slack.card(f"*Answering:* {name}", buttons=ANSWERED if human else ASKED)
        await self.telegram.card(
            f"Answering: {name}",
            buttons=HUMAN if human else AI,
            title=f"{name} answers" if human else "AI answers",
        )

    def in_slack(self) -> str:
        return "\n".join(self.slack.lines())

    def in_telegram(self) -> str:
        return "\n".join(self.telegram.lines)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    told = Both()
    async with AsyncExitStack() as stack:
        told.model = await stack.enter_async_context(FakeModel().serving())
        port, shop_port = free_port(), free_port()
        shop = stack.enter_context(website(f"http://127.0.0.1:{port}", port=shop_port))
        slack = await stack.enter_async_context(told.slack.slack)
        config = {
            "assistant": {"kind": "openai", "base_url": told.model.base_url, "model": "test"},
            "slack": {
                "bot_token": slack.bot_token, "app_token": slack.app_token,
                "channel": slack.channel, "api_url": slack.api_url,
            },
        }  # fmt: skip
        told.telegram = await stack.enter_async_context(
            team_group(tmp_path, origin=shop, port=port, config=config)
        )
        told.slack.server = told.telegram.server
        await eventually(lambda: slack.sockets, within=SOON, what="the server opens a socket")
        browser = await stack.enter_async_context(chromium())
        told.maria = await stack.enter_async_context(screen(browser, locale="en-GB"))
        await told.maria.page.goto(shop)
        told.model.play(says("We do."))
        await button(told.maria.page, "Open chat").click()
        await writes(told.maria.page, "Do you ship to Norway?")
        await told.telegram.begun()
        await told.slack.begun()
        await told.slack.reads("AI assistant: We do.")
        await told.telegram.reads("AI assistant\nWe do.")
        yield told
        assert told.maria.complaints == []
        assert "Traceback" not in told.telegram.server.log, told.telegram.server.log


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


async def writes(page: Page, text: str) -> None:
    await page.get_by_role("textbox", name="Message", exact=True).fill(text)
    await button(page, "Send message").click()


def article(page: Page, name: str) -> Locator:
    log = page.get_by_role("log", name="Conversation")
    return log.get_by_role("article", name=re.compile(rf"^{re.escape(name)}, \d\d:\d\d$"))


async def test_taken_over_in_telegram_while_someone_types_in_slack(both: Both) -> None:
    maria, slack, telegram, ann = both.maria.page, both.slack, both.telegram, both.ann
    widget = maria.locator("joinline-chat")

    # Both press on the same view: one has it, the other is told who.
    pressed, _ = await asyncio.gather(telegram.presses("Take over"), slack.presses("take", user=ann))
    group = maria.get_by_role("group", name="Answering now")
    await expect(group).to_contain_text(re.compile("Ann|Lee"))
    if "Lee" in await group.inner_text():
        assert pressed.text == "Done."
        await slack.whispered(ann, "Lee")
        await both.answering("Lee")
        assert (await telegram.presses("Hand back to AI")).text == "Done."
    else:
        assert "Ann" in pressed.text
        assert pressed.alert
        await both.answering("Ann")
        await slack.presses("back", user=ann)
    await both.answering("AI assistant")
    for lines in (both.in_slack, both.in_telegram):
        await eventually(lambda lines=lines: lines().count("took over and is answering.") == 1, within=SOON)

    # Ann answers; while she types on, Lee takes over in Telegram. Nothing of hers is lost, and nothing is sent twice.
    await slack.presses("take", user=ann)
    await both.answering("Ann")
    typed = [f"Ann's words {number}." for number in range(6)]

    async def ann_types() -> list[str]:
        found = []
        for text in typed:
            found.append(await slack.says(text, user=ann))
            await asyncio.sleep(0.05)
        return found

    async def lee_takes_over() -> Answer:
        await eventually(lambda: any("Ann's words 1." in line for line in telegram.lines))
        return await telegram.presses("Take over")

    stamps, taken = await asyncio.gather(ann_types(), lee_takes_over())
    assert taken.text == "Done."
    await both.answering("Lee")
    marks = []
    for ts in stamps:
        await eventually(
            lambda ts=ts: slack.slack.message(ts).reactions, within=SOON, what="Ann's words are marked"
        )
        marks.append(next(iter(slack.slack.message(ts).reactions)))
    sent = [text for text, mark in zip(typed, marks, strict=True) if mark == "white_check_mark"]
    assert marks == ["white_check_mark"] * len(sent) + ["memo"] * (6 - len(sent)), (
        "sent until Lee took over, then kept"
    )
    await expect(article(maria, "Ann")).to_have_count(len(sent))
    for number, text in enumerate(typed):
        kept = await telegram.reads(text)
        assert kept.shown.startswith(
            "Ann · to the visitor" if number < len(sent) else "Ann · note, team only"
        )

    # She sees that, and takes over with her words; Lee types on without knowing.
    late = await slack.says("I'll finish this.", user=ann)
    await slack.reaction(late, "memo")
    offer = await eventually(
        lambda: next((e for e in slack.slack.seen_by(ann) if late in str(e.buttons)), None)
    )
    assert offer is not None
    assert offer.shown.startswith("Only the team sees this: it is kept as a note.")
    await slack.presses("send", user=ann, ts=offer.ts)
    await expect(article(maria, "Ann").last).to_contain_text("I'll finish this.")
    await both.answering("Ann")
    note = await telegram.says("I was not done.")
    await telegram.told(note, "Only the team sees this")
    await expect(widget).not_to_contain_text("I was not done.")

    # Each reads the other's words under their name, once, in order; nobody's own come back.
    await writes(maria, "Thank you both!")
    await slack.reads("Visitor · visitor: Thank you both!")
    thanks = await telegram.reads("Visitor · visitor\nThank you both!")
    assert not thanks.silent
    in_slack, in_telegram = both.in_slack(), both.in_telegram()
    assert [in_telegram.count(text) for text in (*typed, "I'll finish this.")] == [1] * 7
    assert in_telegram.count("Ann · note, team only\ntaken back") == 1, "the note that became the message"
    assert re.findall(r"Ann's words \d", in_telegram) == [f"Ann's words {n}" for n in range(6)]
    assert "I was not done." not in in_telegram
    assert in_slack.count("Lee · note (team only): I was not done.") == 1
    assert [in_slack.count(f"Ann: {text}") for text in typed] == [1] * 6, "as she typed them, and no copy"
    assert (
        in_slack.index("I'll finish this.")
        < in_slack.index("I was not done.")
        < in_slack.index("Thank you both!")
    )


async def test_one_platform_down_delays_the_other_by_nothing(both: Both) -> None:
    maria, slack, telegram, ann = both.maria.page, both.slack, both.telegram, both.ann
    await slack.presses("take", user=ann)
    await both.answering("Ann")

    # Telegram is down: Slack goes on at once, and says so.
    telegram.telegram.down = True
    began = time.monotonic()
    await writes(maria, "Is Telegram down?")
    await slack.reads("Visitor · visitor: Is Telegram down?")
    assert time.monotonic() - began < 3.0
    await slack.reaction(await slack.says("It is.", user=ann), "white_check_mark")
    await expect(article(maria, "Ann").last).to_contain_text("It is.")
    await eventually(
        lambda: "Telegram is in trouble and is tried again: Telegram cannot be reached" in both.in_slack(),
        within=SOON,
    )
    telegram.telegram.down = False
    await eventually(lambda: "Telegram has caught up." in both.in_slack(), within=SOON)
    await telegram.reads("Is Telegram down?")
    await telegram.reads("Ann · to the visitor\nIt is.")

    # Slack is down: Telegram goes on at once, and says so.
    slack.slack.drop("*", times=None)
    await slack.slack.close_sockets()
    began = time.monotonic()
    await writes(maria, "Is Slack down?")
    await telegram.reads("Is Slack down?")
    assert time.monotonic() - began < 3.0
    assert (await telegram.presses("Take over")).text == "Done."
    await telegram.reaction(await telegram.says("Now it is."), SENT)
    await expect(article(maria, "Lee").last).to_contain_text("Now it is.")
    await eventually(lambda: "Slack is in trouble and is tried again" in both.in_telegram(), within=SOON)
    slack.slack.mend()
    await eventually(lambda: "Slack has caught up." in both.in_telegram(), within=2 * SOON)
    await slack.reads("Lee · team: Now it is.")
    await both.answering("Lee")
    lines = both.in_slack()
    assert lines.index("Is Slack down?") < lines.index("Lee took over") < lines.index("Now it is.")
    assert "Slack has caught up." not in lines
    assert "Telegram has caught up." not in both.in_telegram()
