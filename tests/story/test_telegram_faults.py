"""What goes wrong between a real server process and Telegram loses nothing, doubles nothing, and is told."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
import json
from pathlib import Path
import random
import re
import sqlite3
from typing import Any
import urllib.error
import urllib.request

from playwright.async_api import expect
import pytest

from tests.browsers import chromium, screen
from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.fakes.telegram import BOT_RIGHTS
from tests.running import Server
from tests.teamgroup import AI, DONE, HUMAN, ORIGIN, SENT, TeamGroup, Way, listening, team_group


def visitor(group: TeamGroup) -> Chatter:
    return Chatter(f"{group.server.url}/live/visitor", origin=ORIGIN)


@asynccontextmanager
async def talking(folder: Path, **how: Any) -> AsyncIterator[tuple[TeamGroup, Chatter]]:
    """Maria has written, and Lee has the floor."""
    async with team_group(folder, **how) as group, visitor(group) as maria:
        await maria.say("Hello?")
        if group.telegram.chat(group.chat).forum:
            await group.begun()
            await group.reaction(await group.says("/take Hello!"), DONE)
        else:
            card = await group.card("Hello?", buttons=AI)
            await group.reaction(await group.says("/take Hello!", reply_to=card.id), DONE)
        await group.card("Answering: Lee", buttons=HUMAN)
        yield group, maria


def entries(server: Server, kind: str) -> list[dict[str, Any]]:
    """The events of one type in the server's log, as it is on disk."""
    with _database(server, "ro") as connection:
        rows = connection.execute("SELECT body FROM entry ORDER BY n").fetchall()
    events: list[dict[str, Any]] = [json.loads(body)["event"] for (body,) in rows]
    return [event for event in events if event["type"] == kind]


@contextmanager
def _database(server: Server, mode: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(
        f"file:{server.folder / 'joinline.db'}?mode={mode}", uri=True, isolation_level=None
    )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def nothing_is_committed(server: Server) -> Iterator[None]:
    """The server's commits wait, as for a slow disk."""
    with _database(server, "rw") as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def restart(group: TeamGroup) -> None:
    group.server.kill()
    group.telegram.calls.clear()
    await asyncio.to_thread(group.server.start)
    await eventually(lambda: group.telegram.calls, what="the server talks to Telegram again")


@pytest.mark.parametrize("way", ["polling", "webhook"])
async def test_killed_between_the_update_and_its_commit(tmp_path: Path, way: Way) -> None:
    """Telegram has handed the words over; they are not on disk yet. They are handed over again."""
    async with talking(tmp_path, way=way) as (group, maria):
        with nothing_is_committed(group.server):
            for text in ("one", "two"):
                await group.says(text)
            if way == "polling":
                last = group.telegram.updates[-1]["update_id"]
                await eventually(
                    lambda: any(last in _update_ids(c.result) for c in group.telegram.called("getUpdates")),
                    what="the updates are handed over",
                )
            else:
                await eventually(lambda: group.telegram.pending, what="the update is on its way")
            await asyncio.sleep(0.1)  # for the answer to reach the server
            group.server.kill()
        assert [u for u in group.telegram.pending if "message" in u], "not confirmed"
        assert maria.texts() == ["Hello?", "Hello!"]
        await restart(group)
        await eventually(lambda: maria.texts() == ["Hello?", "Hello!", "one", "two"])
        await eventually(lambda: not group.telegram.pending, what="everything is confirmed")
        await group.reaction(await group.says("three"), SENT)
        assert maria.texts() == ["Hello?", "Hello!", "one", "two", "three"]


def _update_ids(result: Any) -> list[int]:
    return [update["update_id"] for update in result or []]


@pytest.mark.parametrize("way", ["polling", "webhook"])
async def test_killed_in_the_middle_of_a_burst(tmp_path: Path, way: Way) -> None:
    """Lee writes sixty messages and Maria thirty while the server is killed six times."""
    dice = random.Random(7)
    limits = {"messages_per_minute": 1000, "opened_per_ip_per_hour": 1000, "sockets_per_ip": 100}
    async with talking(tmp_path, way=way, config={"limits": limits}) as (group, maria):

        async def lee_writes() -> None:
            for number in range(60):
                await group.says(f"Lee {number}.")
                await asyncio.sleep(dice.random() * 0.08)

        async def maria_writes() -> None:
            for number in range(30):
                await maria.say(f"Maria {number}.")

        async def murder() -> None:
            for _ in range(6):
                await asyncio.sleep(0.1 + dice.random() * 0.4)
                group.server.kill()
                await asyncio.to_thread(group.server.start)

        async with asyncio.TaskGroup() as tasks:
            for part in (lee_writes(), maria_writes(), murder()):
                tasks.create_task(part)
        await listening(group.telegram)
        await eventually(
            lambda: f"{maria.texts()}".count("Lee 59."), within=3 * PATIENCE, what="the last words"
        )
        texts = maria.texts()
        assert [t for t in texts if t.startswith("Lee")] == [f"Lee {n}." for n in range(60)]
        assert [t for t in texts if t.startswith("Maria")] == [f"Maria {n}." for n in range(30)]

        # In the group nothing is missing; what was on its way as the process died may show twice, next to itself.
        def all_shown() -> list[str]:
            found = re.findall(r"Maria \d+\.", "\n".join(group.lines))
            assert list(dict.fromkeys(found)) == [f"Maria {n}." for n in range(30)], group.lines
            return found

        found = await eventually(all_shown, within=3 * PATIENCE)
        assert len(found) <= 30 + 6
        assert len(group.topics) == 1
        assert "Lee 1." not in "\n".join(group.lines), "nothing of Lee's came back to him"


async def test_told_to_wait_for_344_seconds(tmp_path: Path) -> None:
    """The group rests; the chat does not, and whoever is at the join page hears why nobody answers there."""
    async with talking(tmp_path) as (group, maria), chromium() as browser, screen(browser) as desk:
        telegram = group.telegram
        await telegram.starts_bot(group.kim)
        await group.presses("Open in browser", by=group.kim)
        private = await eventually(
            lambda: next((m for m in telegram.private_messages(group.kim) if m.links), None)
        )
        assert private is not None
        await desk.page.goto(private.links[0][1])
        await desk.page.get_by_role("button", name="Join", exact=True).click()
        log = desk.page.get_by_role("log", name="Conversation")
        await group.reads("Kim joined and is watching.")

        telegram.limit("*", 344, times=None, chat=group.chat)
        before = len(telegram.sent)
        await maria.say("Still there?")
        await maria.say("Anybody?")
        await expect(log).to_contain_text("Anybody?")
        await expect(log).to_contain_text(re.compile(r"Telegram is delayed: .* wants a pause"))
        async with visitor(group) as paul:
            await paul.say("I am new here")
            await eventually(lambda paul=paul: paul.texts() == ["I am new here"])
        words = await group.says("I can read this, and my words go out.")
        await eventually(lambda: maria.texts()[-1].startswith("I can read this"))
        await desk.page.get_by_role("button", name="Take over from Lee", exact=True).click()
        sure = desk.page.get_by_role("alertdialog").get_by_role("button", name="Take over from Lee")
        await sure.click()
        await eventually(lambda: "Kim" in json.dumps(maria.state), what="Kim answers")
        refused = [c for c in telegram.calls if c.outcome.startswith("429")]
        assert len(refused) <= 4, "nobody knocks again and again"
        assert len(telegram.sent) == before

        telegram.heal()  # a restarted server knows nothing of the wait, and need not
        await asyncio.to_thread(group.server.stop)
        await asyncio.to_thread(group.server.start)
        await eventually(lambda: len(group.topics) == 2, what="Paul's topic")

        def caught_up() -> bool:
            first = [m.shown for m in telegram.topic_messages(group.topics[0].id) if m.by_bot]
            counts = [
                sum(text in shown for shown in first)
                for text in ("Still there?", "Anybody?", "Kim took over")
            ]
            assert counts == [1, 1, 1], first
            return True

        await eventually(caught_up)
        assert telegram.message(words).in_topic
        await expect(log).to_contain_text("Anybody?")
        assert desk.complaints == [] or all("WebSocket" in c for c in desk.complaints)


async def test_a_deleted_topic_is_made_again_once_with_its_history(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, maria):
        await maria.say("How much is it?")
        await group.reads("How much is it?")
        await group.reaction(await group.says("12 euro"), SENT)
        old = group.topic
        await group.telegram.deletes_topic(old.id)
        async with asyncio.TaskGroup() as both:
            for text in ("And to Sweden?", "And to Denmark?"):
                both.create_task(maria.say(text))
        await eventually(lambda: group.topics and group.topic is not old, what="another topic")
        await group.reads("And to Denmark?")
        await group.reads("And to Sweden?")
        past = "\n".join(group.lines)
        order = [past.index(text) for text in ("Hello!", "How much is it?", "12 euro")]
        assert order == sorted(order)
        assert order[-1] < min(past.index("Sweden"), past.index("Denmark"))
        await group.card("Hello?", "Answering: Lee", buttons=HUMAN, title="Lee answers")
        await group.reaction(await group.says("To both."), SENT)
        await eventually(lambda: maria.texts()[-1] == "To both.")
        assert len(group.telegram.topics()) == 2, "made again once"


async def test_not_found_is_not_believed_of_a_topic_that_stands(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, maria):
        group.telegram.fail("sendMessage", 400, "Bad Request: message thread not found", times=2)
        await maria.say("Can you see this?")
        await group.reads("Can you see this?")
        assert len(group.telegram.topics()) == 1


async def test_topics_switched_off_and_on_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, maria):
        telegram, card = group.telegram, group.latest_card
        await telegram.switches_topics_off(group.chat)
        await maria.say("Where are you?")
        await eventually(
            lambda: [m.reply_to for m in group.standing if "Where are you?" in m.shown] == [card.id],
            what="it stands once, as a reply to the card",
        )
        question = await group.reads("Where are you?")
        await group.reaction(await group.says("Here.", reply_to=question.id), SENT)
        await eventually(lambda: maria.texts()[-1] == "Here.")
        await eventually(lambda: any("no topics" in m.shown for m in telegram.messages()), what="told once")

        await telegram.switches_topics_on(group.chat)
        await asyncio.sleep(0.6)  # then the server looks again
        await maria.say("Back in order?")
        await eventually(
            lambda: any("Back in order?" in line for line in group.lines), what="it stands in a topic"
        )
        await group.reaction(await group.says("Yes."), SENT)
        await eventually(lambda: maria.texts()[-1] == "Yes.")
        assert len(group.telegram.topics()) == 1, "the old one, which came back"
        assert sum("no topics" in m.shown for m in telegram.messages()) == 1


async def test_kicked_and_back(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, maria):
        await group.telegram.kicks_bot(group.chat)
        await maria.say("Are you there?")
        await _told_and_mended(group, "add it again and make it an admin")
        assert len(group.topics) == 1


async def test_demoted_and_restored(tmp_path: Path) -> None:
    """Without the right to manage topics, the old ones go on and a new one must wait."""
    async with talking(tmp_path) as (group, maria):
        await group.telegram.demotes_bot(group.chat, rights=BOT_RIGHTS - {"can_manage_topics"})
        async with visitor(group) as paul:
            await paul.say("Are you there?")
            await maria.say("Still here")
            await group.reads("Still here")
            await _told_and_mended(group, "manage topics")
        assert len(group.topics) == 2


async def _told_and_mended(group: TeamGroup, mend: str) -> None:
    """Nothing is lost; the team elsewhere can see what is wrong, what to do, and when it is over."""
    trouble = await eventually(lambda: entries(group.server, "Undelivered"))
    assert trouble is not None
    assert mend in trouble[0]["reason"], trouble
    assert trouble[0]["retrying"]
    await group.telegram.returns_bot(group.chat)
    await eventually(
        lambda: any(e.get("late") for e in entries(group.server, "Undelivered")),
        what="caught up",
    )
    shown = [m.shown for m in group.telegram.messages() if m.by_bot]
    assert sum("Are you there?" in text for text in shown) == 1


async def test_the_group_becomes_another_one(tmp_path: Path) -> None:
    """A basic group is upgraded: it goes on under its new id, over a restart, with the old one configured."""
    async with talking(tmp_path, forum=False, kind="group") as (group, maria):
        new = await group.telegram.migrates(group.chat, forum=True)
        group.chat = new
        await maria.say("Did you move?")
        await eventually(lambda: group.topics, what="a topic in the new group")
        await group.reads("Did you move?")
        await group.reaction(await group.says("We did."), SENT)
        await eventually(lambda: maria.texts()[-1] == "We did.")
        await restart(group)
        await maria.say("Still there?")
        await group.reads("Still there?")
        assert len(group.topics) == 1


async def test_markup_that_cannot_be_read_goes_out_as_plain_text(tmp_path: Path) -> None:
    async with talking(tmp_path) as (group, maria):
        group.telegram.fail(
            "sendMessage", 400, "Bad Request: can't parse entities: unexpected end tag at byte offset 3"
        )
        await maria.say("Is **this** <b>fine</b>?")
        message = await group.reads("Is this <b>fine</b>?")
        assert [e for e in message.entities if not e.auto] == []
        assert group.telegram.called("sendMessage")[-1].args.get("parse_mode") is None
        assert "could not read the markup" in group.server.log
        assert entries(group.server, "Undelivered") == []


@pytest.mark.parametrize("way", ["polling", "webhook"])
async def test_telegram_is_down_as_the_server_starts(tmp_path: Path, way: Way) -> None:
    async with team_group(tmp_path, way=way, start=False) as group:
        group.telegram.down = True
        await asyncio.to_thread(group.server.start)
        async with visitor(group) as maria:
            await maria.say("Is anybody up?")
            await maria.say("I can wait.")
            trouble = await eventually(lambda: entries(group.server, "Undelivered"))
            assert trouble is not None
            assert "cannot be reached" in trouble[0]["reason"]
            await group.telegram.says(group.lee, "Nobody hears this yet", chat=group.chat)
            group.telegram.down = False
            await listening(group.telegram, within=2 * PATIENCE)
            await group.begun()
            await group.card("Is anybody up?", buttons=AI)
            await group.reads("I can wait.")
            await group.reaction(await group.says("/take We are."), DONE)
            assert maria.texts() == ["Is anybody up?", "I can wait.", "We are."]
            await eventually(lambda: telegram_menu(group), what="the commands are offered")


def telegram_menu(group: TeamGroup) -> dict[str, str]:
    return group.telegram.menu(group.chat)


async def test_a_webhook_call_without_the_secret_is_not_heard(tmp_path: Path) -> None:
    async with talking(tmp_path, way="webhook") as (group, maria):
        url, update = group.telegram.webhook.url, {**group.telegram.updates[0], "update_id": 999_999}
        update["message"] = {
            **update["message"],
            "message_id": 888_888,
            "text": "/take I am Lee, believe me",
            "entities": [],
        }
        for headers in (
            {},
            {"X-Telegram-Bot-Api-Secret-Token": "wrong"},
            {"X-Telegram-Bot-Api-Secret-Token": "ä"},
        ):
            assert await asyncio.to_thread(_post, url, json.dumps(update).encode(), headers) == 401
        await group.reaction(await group.says("The next words"), SENT)
        assert maria.texts() == ["Hello?", "Hello!", "The next words"]
        assert set(group.telegram.webhook.statuses) == {200}
        assert "believe me" not in group.server.log


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
