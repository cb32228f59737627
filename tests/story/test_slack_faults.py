"""What the team in Slack and the visitor see when things break; with the real server process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import expect
import pytest

from tests.browsers import chromium, screen
from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.fakes.slack_state import Message
from tests.slackroom import SOON, Room, Way, room

ORIGIN = "https://www.acme.example"
LATE = 4 * PATIENCE  # what people must mend is tried again every half minute
WAYS = pytest.mark.parametrize("way", ["socket", "http"])


def visitor(here: Room, **options: Any) -> Chatter:
    return Chatter(f"{here.server.url}/live/visitor", origin=ORIGIN, **options)


@asynccontextmanager
async def conversation(
    folder: Path, *, way: Way = "socket", **options: Any
) -> AsyncIterator[tuple[Room, Chatter]]:
    """Maria has written, and Lee answers her."""
    async with room(folder, origin=ORIGIN, way=way, **options) as here, visitor(here) as maria:
        await maria.say("Hello?")
        await here.begun()
        await here.presses("take")
        await here.card("*Answering:* Lee")
        await here.reads("Lee took over and is answering.")
        yield here, maria


def from_maria(here: Room) -> list[str]:
    return [m.shown for m in here.thread if (m.username or "").startswith("Visitor")]


def posted(here: Room, text: str) -> Message | None:
    return next((m for m in here.slack.messages.values() if m.text == text), None)


# -- kill -9


async def test_killed_between_the_post_and_the_cursor(tmp_path: Path) -> None:
    """Slack took it and the server never heard: for the root, and for words in the middle of others."""
    async with room(tmp_path, origin=ORIGIN) as here, visitor(here) as maria:
        here.slack.lose("chat.postMessage")
        await maria.say("one")
        await here.begun()
        await here.kill()
        await here.start()
        said = ["two", "three", "four", "five", "six", "seven"]
        for text in said:
            if text in ("three", "six"):
                here.slack.lose("chat.postMessage", when=lambda args, text=text: args.get("text") == text)
            await maria.say(text)
            if text in ("three", "six"):
                await eventually(lambda text=text: posted(here, text), within=SOON)
                await here.kill()
                await here.start()
        await eventually(lambda: from_maria(here)[-1:] == ["seven"], within=LATE)
        assert from_maria(here) == said, "nothing twice, nothing missing, in order"
        assert len(here.roots) == 1
        assert len([c for c in here.slack.calls if c.outcome == "lost"]) == 3
        assert here.slack.calls_of("conversations.history"), "it looked for the root"
        assert here.slack.calls_of("conversations.replies"), "it looked for the words"


@WAYS
async def test_killed_while_messages_pour_in(tmp_path: Path, way: Way) -> None:
    async with conversation(tmp_path, way=way) as (here, maria):
        here.slack.outbound.retry_delays = (0.0, 0.5, 2.5, 5.0, 5.0)
        said = [f"line {n}" for n in range(60)]

        async def pour() -> None:
            for text in said:
                await here.says(text)
                await asyncio.sleep(0.004)

        pouring = asyncio.create_task(pour())
        for enough in (8, 30):
            await eventually(lambda enough=enough: acked(here) >= enough, within=SOON)
            await here.kill()
            await here.start()
        await pouring
        await here.slack.quiet(within=LATE)
        await eventually(lambda: len(maria.texts()) >= 61, within=LATE)
        assert sorted(maria.texts()[1:]) == sorted(said), "nothing lost, nothing twice"
        assert [d.event for d in here.slack.deliveries if d.lost] == []
        assert [d for d in here.slack.deliveries if d.attempts > 1], "it was killed in the middle"
        lees = [m for m in here.thread if m.user == here.lee]
        await eventually(lambda: all("white_check_mark" in m.reactions for m in lees), within=LATE)


def acked(here: Room) -> int:
    mine = [d for d in here.slack.deliveries if d.event.get("user") == here.lee]
    return len([d for d in mine if d.acked])


# -- the way in


async def test_sockets_are_cut_and_closed_while_messages_pour_in(tmp_path: Path) -> None:
    async with conversation(tmp_path) as (here, maria):
        slack, said = here.slack, [f"line {n}" for n in range(45)]
        for n, text in enumerate(said):
            await here.says(text)
            if n == 10:
                slack.cut_sockets()
            elif n == 20:
                await slack.disconnect_sockets()
            elif n == 30:
                await slack.close_sockets()
            await asyncio.sleep(0.02)
        await slack.quiet(within=LATE)
        await eventually(lambda: len(maria.texts()) >= 46, within=LATE)
        assert sorted(maria.texts()[1:]) == sorted(said)
        assert [d.event for d in slack.deliveries if d.lost] == []


@WAYS
async def test_what_comes_twice_or_out_of_order_counts_once(tmp_path: Path, way: Way) -> None:
    async with conversation(tmp_path, way=way) as (here, maria):
        slack, lee = here.slack, here.lee
        first = await here.says("first")
        mention = await here.says(f"<@{slack.bot_user}> note just once", wire=True)
        await eventually(lambda: maria.texts()[-1] == "first")
        await here.reaction(mention, "memo")

        # The edit and the deletion come before what they are about.
        with slack.reorder():
            edited = await here.says("secnd")
            await slack.edits(lee, edited, "second")
            gone = await here.says("third")
            await slack.deletes(lee, gone)
        await eventually(lambda: reads_now(maria) == ["Hello?", "first", "second"], within=SOON)
        await slack.edits(lee, first, "the first")
        await eventually(lambda: reads_now(maria) == ["Hello?", "the first", "second"], within=SOON)

        # After a restart, Slack tells everything once more, as it does when it was not sure.
        before = list(maria.lines)
        await here.kill()
        await here.start()
        again = [slack.redeliver(d) for d in list(slack.deliveries) if d.kind == "events_api"]
        assert len(again) > 6
        await asyncio.gather(*(d.done() for d in again))
        await here.says("fourth")
        await eventually(lambda: maria.texts()[-1] == "fourth", within=SOON)
        assert maria.lines[:-1] == before, "nothing came of the repeats"


def reads_now(maria: Chatter) -> list[str]:
    """Her chat as it reads, with edits and deletions applied."""
    said: dict[int, str] = {}
    for line in maria.lines:
        match line["event"]:
            case {"type": "Said", "text": text}:
                said[line["seq"]] = text
            case {"type": "Edited", "target": target, "text": text}:
                said[target] = text
            case {"type": "Retracted", "target": target}:
                del said[target]
    return list(said.values())


# -- the way out


async def test_slack_is_down_at_the_start_and_comes_back(tmp_path: Path) -> None:
    async with room(tmp_path, origin=ORIGIN, starts=False) as here:
        await here.slack.refuse()
        await asyncio.to_thread(here.server.start)
        async with visitor(here) as maria:
            for text in ("one", "two", "three"):
                assert (await maria.say(text))["t"] == "ack"
            await here.slack.listen()
            await here.begun()
            await here.reads("Visitor · visitor: three")
            assert from_maria(here) == ["two", "three"]
            await eventually(lambda: here.slack.sockets, within=LATE)
            await here.presses("take")
            await here.says("Here we are.")
            await eventually(lambda: maria.texts()[-1] == "Here we are.", within=SOON)


async def test_slack_goes_down_and_comes_back(tmp_path: Path) -> None:
    async with conversation(tmp_path) as (here, maria):
        await here.slack.refuse()
        for text in ("one", "two", "three"):
            assert (await maria.say(text))["t"] == "ack"
        missed = await here.says("written meanwhile")  # Slack keeps it until a socket is there
        await asyncio.sleep(1.0)
        await here.slack.listen()
        await here.reads("Visitor · visitor: three", within=LATE)
        assert from_maria(here) == ["one", "two", "three"]
        await eventually(lambda: maria.texts()[-1] == "written meanwhile", within=LATE)
        await here.reaction(missed, "white_check_mark")


async def test_the_channel_is_busy(tmp_path: Path) -> None:
    """Slack's own pace, and a 429 in the middle: all of it arrives, in order, and nothing comes hastily."""
    async with conversation(tmp_path) as (here, maria):
        await here.says("Yes?")  # so that the card changes when she goes on
        await here.card("*Answering:* Lee")
        await eventually(lambda: "Waiting" not in here.root.shown, within=SOON)
        here.slack.posts_per_second = 1.0
        here.slack.limit("chat.postMessage", 2.0)
        here.slack.limit("chat.update", 2.0)
        said = [f"line {n}" for n in range(10)]
        for text in said:
            await maria.say(text)
        await eventually(lambda: from_maria(here)[-1:] == ["line 9"], within=LATE)
        assert from_maria(here) == said
        await here.card("*Waiting for a reply:*")
        assert [c.method for c in here.slack.calls if c.hasty] == []
        limited = [c for c in here.slack.calls if c.outcome == "429"]
        assert {c.method for c in limited} == {"chat.postMessage", "chat.update"}
        assert len([c for c in limited if c.method == "chat.postMessage"]) <= 2, "our own pace is Slack's"


async def test_a_channel_that_is_archived_and_comes_back(tmp_path: Path) -> None:
    """Whoever reads elsewhere sees why nothing arrives; once it is mended, all of it does, by itself."""
    async with conversation(tmp_path) as (here, maria), chromium() as browser, screen(browser) as dana:
        await dana.page.goto(await here.link_in_mail("dana@acme.example"))
        await dana.page.get_by_role("textbox", name="Your name").fill("Dana")
        await dana.page.get_by_role("button", name="Join", exact=True).click()
        await here.reads("Dana joined and is watching.")
        delivery = dana.page.get_by_role("region", name="Delivery")
        await expect(delivery).to_be_hidden()
        await here.slack.archive()
        for text in ("one", "two", "three"):
            await maria.say(text)
        await expect(delivery).to_contain_text("Slack is delayed", timeout=LATE * 1000)
        await expect(delivery).to_contain_text(
            "The Slack channel is archived. Unarchive it, or name another one in slack.channel."
        )
        await dana.shot("slack-delayed")
        await here.slack.unarchive()
        await here.reads("Visitor · visitor: three", within=LATE)
        await expect(delivery).to_be_hidden()
        assert from_maria(here) == ["one", "two", "three"]
        assert [x for x in here.lines() if "trouble" in x or "caught up" in x] == []
        ts = await here.says("Welcome back.")
        await here.reaction(ts, "white_check_mark")
        assert "Undelivered" not in str(maria.lines)
        assert dana.complaints == []


async def test_a_token_that_is_revoked_and_another_one(tmp_path: Path) -> None:
    """With the old token back the thread goes on; so it does with a new one after a restart."""
    async with conversation(tmp_path) as (here, maria):
        here.slack.revoke_token()
        await maria.say("one")
        await eventually(
            lambda: here.slack.calls_of("chat.postMessage", outcome="token_revoked"), within=SOON
        )
        written = await here.says("Can you read me?")
        await eventually(lambda: maria.texts()[-1] == "Can you read me?", within=SOON)
        here.slack.revoke_token("account_inactive")
        await asyncio.to_thread(here.server.stop)
        old, new = here.slack.bot_token, "xoxb-2-joinline"
        here.slack.restore_token(new)
        config = here.server.config.read_text("utf-8")
        assert old in config
        here.server.config.write_text(config.replace(old, new), "utf-8")
        await here.start()
        await here.reads("Visitor · visitor: one")
        await maria.say("two")
        await here.reads("Visitor · visitor: two")
        assert len(here.roots) == 1
        ts = await here.says("Now?")
        await here.reaction(ts, "white_check_mark")
        assert here.slack.message(written).ts


@pytest.mark.parametrize("deleted", ["unthreads", "refuses"])
async def test_a_root_that_is_deleted_is_made_again_with_its_history(tmp_path: Path, deleted: str) -> None:
    async with conversation(tmp_path) as (here, maria):
        slack = here.slack
        slack.deleted_root = deleted
        await maria.say("one")
        await here.reads("Visitor · visitor: one")
        ts = await here.says("two")
        await here.reaction(ts, "white_check_mark")
        await here.says("//a note")
        await maria.say("three")
        await here.reads("Visitor · visitor: three")
        old = here.root
        for reply in here.thread:
            await slack.deletes(here.lee, reply.ts)
        await slack.deletes(here.lee, old.ts)
        await eventually(lambda: here.roots == [])
        await eventually(lambda: reads_now(maria) == ["Hello?", "one", "three"])  # his own words, taken back
        await maria.say("four")
        await here.begun()
        await here.reads("Visitor · visitor: four")
        await here.card("> Hello?", "*Answering:* Lee")
        told = "\n".join(here.lines())
        places = [told.index(x) for x in ("took over", "one", "_taken back_", "three", "four")]
        assert places == sorted(places)
        assert told.count("four") == told.count("three") == 1
        assert len(here.roots) == 1
        ts = await here.says("five")
        await here.reaction(ts, "white_check_mark")
        await eventually(lambda: maria.texts()[-1] == "five")


async def test_a_root_that_is_deleted_under_its_replies(tmp_path: Path) -> None:
    """Slack keeps the replies under a tombstone; the conversation goes on in a thread of its own."""
    async with conversation(tmp_path) as (here, maria):
        slack = here.slack
        await maria.say("one")
        await here.reads("Visitor · visitor: one")
        ts = await here.says("two")
        await here.reaction(ts, "white_check_mark")
        old = here.root
        await slack.deletes(here.lee, old.ts)
        ts = await slack.says(here.lee, "said under it", thread=old.ts)
        await eventually(lambda: "said under it" in str(maria.lines), what="it reaches her all the same")
        await here.begun()
        await maria.say("three")
        await here.reads("Visitor · visitor: three")
        told = "\n".join(here.lines())
        said = ("took over", "one", "two", "said under it", "three")
        assert [told.count(x) for x in said] == [1, 1, 1, 1, 1]
        assert "three" not in "\n".join(m.shown for m in slack.thread(slack.channel, old.ts))
