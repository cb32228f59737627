"""What goes wrong with Telegram: nothing is lost, nothing is forked, staff are told, and it recovers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
import io
import logging
import re
import time

import pytest

from bridge import events as ev
from bridge import telemetry
from bridge.app import assemble
from bridge.config import Log
from bridge.errors import StoreError
from bridge.events import ConversationId
from bridge.store import Record
from bridge.store.memory import MemoryStore
from connectors.telegram import group, incoming
from connectors.telegram.connector import build
from connectors.telegram.doors import PATH, Polling
from connectors.telegram.settings import TelegramSettings
from connectors.telegram.surface import BETTER
from connectors.threads.inbox import Inbox
from tests.eventually import eventually
from tests.fakes.telegram import BOT_RIGHTS, TelegramServer
from tests.logs import ASSISTANT, VISITOR
from tests.telegramming import LIA, Team, joined, team


@pytest.fixture
async def desk() -> AsyncIterator[Team]:
    async with team(tell=0.05) as running:
        yield running


async def whole(desk: Team, *, says: int) -> str:
    """Everything in the newest topic; each of `says` lines must stand there once, in order."""
    text = "\n".join(m.shown for m in desk.server.topic_messages(desk.topic.id))
    assert [text.count(f"line {n}.") for n in range(says)] == [1] * says
    places = [text.index(f"line {n}.") for n in range(says)]
    assert places == sorted(places)
    return text


# --- updates ---------------------------------------------------------------------------------------


async def test_a_crash_before_and_one_after_the_commit_lose_nothing_and_repeat_nothing() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        first = Team(server)
        async with first.open():
            dana, thread = joined(first, "Dana"), await first.started()
        for text in ("one", "two"):
            await server.says(dana, text, topic=thread)
        # A process that asked Telegram, and died before it kept what it heard.
        _, asks = build(first.house, first.house.settings(TelegramSettings), **first.times)
        position = int(await first.store.get("telegram-inbox", "position") or 0)
        assert len(await asks.updates(position)) == 2
        # One that kept it, and died before it handled any of it.
        inbox = Inbox(
            store=first.store, name="telegram", clock=first.clock, handle=lambda _: asyncio.sleep(0)
        )
        await Polling(calls=asks, inbox=inbox).once()
        await asks.close()
        await server.says(dana, "three", topic=thread)
        second = Team(server, store=first.store)
        async with second.open():
            await second.has(ev.Noted, count=3)
            await eventually(lambda: not server.pending)
            await asyncio.sleep(0.1)
            assert [n.text for n in await second.events(ev.Noted)] == ["one", "two", "three"]


class Failing(MemoryStore):
    """A store whose inbox cannot be written to for a while."""

    fails = 0

    async def put_all(self, space: str, batch: list[Record]) -> None:  # type: ignore[override]
        if self.fails and any(record.key.startswith("item/") for record in batch):
            self.fails -= 1
            raise StoreError("disk full")
        await super().put_all(space, batch)


@pytest.mark.parametrize("mode", ["polling", "webhook"])
async def test_what_cannot_be_kept_is_not_confirmed(mode: str) -> None:
    store = Failing()
    async with team(mode=mode, store=store) as desk:
        dana, thread = joined(desk, "Dana"), await desk.started()
        store.fails = 1
        await desk.server.says(dana, "hello", topic=thread)
        await desk.has(ev.Noted)
        if mode == "webhook":
            assert 503 in desk.server.webhook.statuses
        assert [n.text for n in await desk.events(ev.Noted)] == ["hello"]


async def test_another_poller_is_waited_out_and_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        server.fail(
            "getUpdates",
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
            times=3,
        )
        async with Team(server).open() as desk:
            dana, thread = joined(desk, "Dana"), await desk.started()
            await server.says(dana, "hello", topic=thread)
            await desk.has(ev.Noted)
        assert caplog.text.count("Another program takes this bot's updates") == 1


async def test_a_webhook_of_before_is_taken_back_when_polling() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        first = Team(server, mode="webhook")
        async with first.open():
            await first.started()
        assert server.webhook.url
        async with Team(server, store=first.store).open() as desk:
            dana = joined(desk, "Dana")
            await server.says(dana, "hello", topic=desk.topic.id)
            await desk.has(ev.Noted)
        assert not server.webhook.url


# --- limits and lost answers -----------------------------------------------------------------------


async def test_a_long_limit_holds_only_that_chat_and_staff_are_told(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    await desk.server.starts_bot(dana)
    await eventually(lambda: desk.server.private_messages(dana))
    card = desk.card().id
    desk.server.limit("sendMessage", 344, times=None, chat=desk.server.chat_id)
    await desk.says("line 0.")
    told = await desk.has(ev.Undelivered)
    assert told[0].retrying
    assert "wants a pause" in told[0].reason
    assert not re.search(r"\d", told[0].reason)  # else it would be told anew with each try
    begun = len([c for c in desk.server.calls if c.args.get("chat_id") == str(desk.server.chat_id)])
    await desk.server.says(dana, "/take", topic=thread)
    await desk.has(ev.TookOver)  # what members do is heard
    answer = await desk.answered(await desk.server.presses(dana, card, "Open in browser"))
    assert not answer.alert  # other chats go on
    await eventually(lambda: any("/join#" in m.shown for m in desk.server.private_messages(dana)))
    members = [c for c in desk.server.calls if c.args.get("chat_id") == str(desk.server.chat_id)][begun:]
    assert {c.method for c in members} <= {"getChatMember"}


async def test_a_limit_on_the_answer_to_a_press_stops_nothing_else(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    desk.server.limit("answerCallbackQuery", 344)
    await desk.server.presses(dana, desk.card().id, "Take over")
    await desk.has(ev.TookOver)
    await eventually(lambda: desk.server.called("answerCallbackQuery"))
    message = await desk.server.says(dana, "Hi, Dana here", topic=thread)
    await desk.reacted(message, "👍")
    await desk.says("line 0.")
    await desk.done()
    await whole(desk, says=1)
    await desk.answered(await desk.server.presses(dana, desk.card().id, "Open in browser"))


async def test_a_limit_on_the_menu_of_commands_holds_no_message() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        server.limit("setMyCommands", 344)
        async with Team(server).open() as desk:
            await eventually(lambda: server.called("setMyCommands"))
            await desk.started()
            await desk.says("line 0.")
            await desk.done()
            await whole(desk, says=1)


async def test_after_a_limit_everything_is_shown_once(desk: Team) -> None:
    await desk.started()
    desk.server.limit("sendMessage", 1)
    for n in range(5):
        await desk.says(f"line {n}.")
    await desk.done()
    await whole(desk, says=5)


@pytest.mark.parametrize("fault", ["502", "500", "garbled", "cut", "refused"])
async def test_trouble_in_passing_loses_nothing_and_is_no_deletion(desk: Team, fault: str) -> None:
    await desk.started()
    match fault:
        case "502" | "500":
            desk.server.fail("sendMessage", int(fault), "Bad Gateway", times=2)
        case "garbled":
            desk.server.garble("sendMessage", times=2)
        case "cut":
            desk.server.lose("sendMessage", times=2, done=False)
        case "refused":
            desk.server.fail("sendMessage", 400, "Bad Request: message thread not found")
    for n in range(3):
        await desk.says(f"line {n}.")
    await desk.done(within=20)
    assert len(desk.server.topics()) == 1
    await whole(desk, says=3)


@pytest.mark.parametrize("probe", [429, 502, 400])
async def test_trouble_as_a_topic_is_looked_for_is_no_deletion(desk: Team, probe: int) -> None:
    await desk.started()
    desk.server.fail("sendMessage", 400, "Bad Request: message thread not found")
    match probe:
        case 429:
            desk.server.limit("editForumTopic", 1)
        case 502:
            desk.server.garble("editForumTopic")
        case _:
            desk.server.fail("editForumTopic", 400, "Bad Request: not enough rights to edit the topic")
    await desk.says("line 0.")
    await desk.done(within=20)
    assert len(desk.server.called("editForumTopic")) == 1
    assert len(desk.server.topics()) == 1
    await whole(desk, says=1)


async def test_a_lost_answer_may_show_one_message_twice_but_loses_nothing(desk: Team) -> None:
    await desk.started()
    desk.server.lose("sendMessage", times=1)
    await desk.says("line 0.")
    await desk.says("line 1.")
    await desk.done(within=20)
    text = "\n".join(desk.texts())
    assert 1 <= text.count("line 0.") <= 2
    assert text.count("line 1.") == 1


async def test_a_lost_answer_to_the_topic_s_making_leaves_one_conversation(desk: Team) -> None:
    desk.server.lose("createForumTopic")
    await desk.begin()
    await desk.says("line 0.")
    await desk.done(within=20)
    assert len(desk.server.topics()) == 2  # Telegram cannot be asked for the one that nobody heard of
    await whole(desk, says=1)
    await desk.says("line 1.")
    await desk.done()
    await whole(desk, says=2)


async def test_words_in_a_topic_that_is_being_made_are_carried(desk: Team) -> None:
    """Dana is quicker than Telegram's answer to the making."""
    dana = joined(desk, "Dana")
    desk.server.slow("createForumTopic", 1.0)
    await desk.begin()
    await eventually(desk.server.topics)
    message = await desk.server.says(dana, "I see it coming", topic=desk.topic.id)
    await eventually(lambda: not desk.server.pending)
    assert not await desk.events(ev.Noted)
    await desk.has(ev.Noted)
    await desk.reacted(message, "✍")
    assert not [m for m in desk.server.messages() if incoming.WHERE in m.shown]


async def test_a_reply_to_a_card_that_is_being_sent_is_carried() -> None:
    async with team(forum=False) as desk:
        dana = joined(desk, "Dana")
        desk.server.slow("sendMessage", 1.0, times=None)
        await desk.begin()
        card = await eventually(lambda: next((m for m in desk.server.messages() if m.rows), None))
        assert card is not None
        message = await desk.server.says(dana, "I see it coming", reply_to=card.id)
        await eventually(lambda: not desk.server.pending)
        assert not await desk.events(ev.Noted)
        await desk.has(ev.Noted)
        await desk.reacted(message, "✍")


async def test_words_in_a_twin_of_a_topic_are_answered(desk: Team) -> None:
    """The first answer got lost, so nothing belongs to the topic that nobody heard of."""
    dana = joined(desk, "Dana")
    desk.server.lose("createForumTopic")
    await desk.begin()
    await eventually(desk.server.topics)
    twin = desk.server.topics()[0].id
    early = await desk.server.says(dana, "Is it this one?", topic=twin)
    await desk.done(within=20)
    assert not [m for m in desk.server.messages() if m.reply_to == early]
    desk.time = datetime.now(UTC) + incoming.MAKING
    await desk.replied(early, incoming.WHERE)
    desk.server.now = lambda: time.time() + 60
    late = await desk.server.says(dana, "Hello?", topic=twin)
    await desk.replied(late, incoming.WHERE)
    assert not await desk.events(ev.Noted)
    own = await desk.server.opens_topic(dana, "Lunch")
    lunch = await desk.server.says(dana, "Pizza?", topic=own)
    await desk.heard()
    assert not [m for m in desk.server.messages() if m.reply_to == lunch]


async def test_a_topic_whose_card_could_not_be_shown_is_not_made_twice(desk: Team) -> None:
    desk.server.fail("sendMessage", 502, "Bad Gateway", times=2)
    await desk.begin()
    await desk.done(within=20)
    assert len(desk.server.topics()) == 1
    assert desk.card().pinned


# --- markup ----------------------------------------------------------------------------------------


async def test_markup_that_telegram_cannot_read_is_sent_without_it(desk: Team) -> None:
    await desk.started()
    desk.server.fail("sendMessage", 400, "Bad Request: can't parse entities: Unsupported start tag")
    seq = await desk.says("a **bold** <b>x")
    await desk.done()
    assert desk.texts()[-1] == "Maria · visitor\na bold <b>x"
    desk.server.fail("editMessageText", 400, "Bad Request: can't parse entities: Unsupported start tag")
    await desk.do(VISITOR, ev.Edited(target=seq, text="**other**"))
    await desk.done()
    await eventually(lambda: desk.texts()[-1] == "Maria · visitor\nother (edited)")
    assert not await desk.events(ev.Undelivered)


async def test_what_telegram_refuses_for_good_is_told(desk: Team) -> None:
    await desk.started()
    desk.server.fail("sendMessage", 400, "Bad Request: something new")
    await desk.says("line 0.")
    told = await desk.has(ev.Undelivered)
    assert not told[0].retrying
    assert "something new" in told[0].reason
    await desk.says("line 1.")
    await desk.done()
    assert "line 1." in "\n".join(desk.texts())


# --- topics ----------------------------------------------------------------------------------------


async def test_a_deleted_topic_is_made_again_once_with_everything_in_it(desk: Team) -> None:
    thread = await desk.started()
    dana = joined(desk, "Dana")
    await desk.says("line 0.")
    await desk.server.says(dana, "line 1.", topic=thread)
    await desk.has(ev.Noted)
    await desk.done()
    await desk.server.deletes_topic(thread)
    await asyncio.gather(desk.says("line 2."), desk.do(LIA, ev.TookOver()))
    await desk.done()
    await eventually(lambda: "Answering: Lia" in desk.card().shown)
    assert len([t for t in desk.server.topics() if not t.deleted]) == 1
    assert len(desk.server.called("createForumTopic")) == 2
    text = await whole(desk, says=3)
    assert "Dana · note, team only\nline 1." in text
    assert desk.card().pinned
    await desk.server.says(dana, "/take", topic=desk.topic.id)
    await desk.has(ev.TookOver, count=2)


async def test_a_deleted_topic_is_noticed_by_its_card_too(desk: Team) -> None:
    thread = await desk.started()
    await desk.server.deletes_topic(thread)
    await desk.do(LIA, ev.Joined())
    await desk.done()
    await desk.says("line 0.")
    await desk.done()
    assert len([t for t in desk.server.topics() if not t.deleted]) == 1
    await whole(desk, says=1)


async def test_a_topic_that_takes_no_bot_any_more_is_made_again_once(desk: Team) -> None:
    """It stands, and people write there; Telegram's advice is to use another."""
    thread, dana = await desk.started(), joined(desk, "Dana")
    await desk.says("line 0.")
    await desk.done()
    desk.server.topics()[0].worn = True
    await desk.says("line 1.")
    await desk.says("line 2.")
    await desk.done(within=20)
    assert len(desk.server.topics()) == 2
    await whole(desk, says=3)
    assert desk.card().pinned
    await desk.server.says(dana, "from the old one", topic=thread)
    await desk.has(ev.Noted)
    await eventually(lambda: any("from the old one" in text for text in desk.texts()))


@pytest.mark.parametrize("rights", [BOT_RIGHTS, frozenset({"can_pin_messages"})], ids=["rights", "none"])
async def test_a_topic_closed_by_hand_opens_with_the_next_words(desk: Team, rights: frozenset[str]) -> None:
    thread = await desk.started()
    await desk.server.demotes_bot(rights=rights)
    await desk.server.closes_topic(thread)
    await desk.heard()
    await desk.says("line 0.")
    await desk.done()
    await whole(desk, says=1)
    await eventually(lambda: not desk.topic.closed)
    await desk.do(VISITOR, ev.Closed())
    await eventually(lambda: desk.topic.closed)


async def test_an_ended_topic_is_opened_for_a_last_word_and_closed_again(desk: Team) -> None:
    """As a bot that may not manage topics must."""
    await desk.started()
    await desk.server.demotes_bot(rights={"can_pin_messages"})
    await desk.do(VISITOR, ev.Closed())
    await eventually(lambda: desk.topic.closed)
    await desk.do(VISITOR, ev.Rated(score="good"))
    await desk.done()
    await eventually(lambda: desk.texts()[-1] == "Visitor “Maria” rated the conversation: good.")
    assert desk.server.called("reopenForumTopic")
    await eventually(lambda: desk.topic.closed)


async def test_an_ended_topic_that_a_hand_opened_is_closed_again_by_what_comes_next(desk: Team) -> None:
    thread = await desk.started()
    await desk.do(VISITOR, ev.Closed())
    await eventually(lambda: desk.topic.closed)
    await desk.server.reopens_topic(thread)
    await desk.heard()
    assert not desk.topic.closed
    await desk.do(VISITOR, ev.Rated(score="good"))
    await eventually(lambda: desk.topic.closed)


@pytest.mark.parametrize("error", ["message thread not found", "the chat is not a forum"])
async def test_topics_switched_off_may_be_told_by_an_error(desk: Team, error: str) -> None:
    await desk.started()
    card = desk.card()
    await desk.server.switches_topics_off()
    desk.server.fail("sendMessage", 400, f"Bad Request: {error}")
    await desk.says("line 0.")
    await desk.done(within=20)
    (line,) = [m for m in desk.server.messages() if "line 0." in m.shown]
    assert line.reply_to == card.id
    await desk.server.switches_topics_on()
    await asyncio.sleep(0.15)
    await desk.says("line 1.")
    await desk.done()
    assert "line 1." in desk.server.topic_messages(desk.topic.id)[-1].shown
    assert len(desk.server.topics()) == 1


async def test_topics_switched_off_are_noticed_and_replies_used_until_they_are_on_again(desk: Team) -> None:
    thread, dana = await desk.started(), joined(desk, "Dana")
    card = desk.card()
    await desk.server.switches_topics_off()
    await desk.says("line 0.")
    await desk.done()
    (line,) = [m for m in desk.server.messages() if "line 0." in m.shown]
    assert line.reply_to == card.id
    assert len(desk.server.called("deleteMessage")) == 1
    await eventually(lambda: [m.shown for m in desk.server.messages()].count(BETTER) == 1)
    await desk.server.says(dana, "/take", reply_to=line.id)
    await desk.has(ev.TookOver)
    await eventually(lambda: "Answering: Dana" in card.shown)
    other = ConversationId("other")
    await desk.begin("Is it open?", cid=other, name="Olu")
    await desk.done(other)
    assert len(desk.server.topics()) == 1
    await desk.server.switches_topics_on()
    await asyncio.sleep(0.15)
    await desk.says("line 1.")
    await desk.done()
    assert "line 1." in desk.server.topic_messages(thread)[-1].shown
    await desk.says("A word", cid=other)
    await desk.done(other)
    assert [t.name.partition(" ·")[0] for t in desk.server.topics()] == ["Maria", "Olu"]
    assert [m.shown for m in desk.server.messages()].count(BETTER) == 1


# --- the bot's place -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kicked", "left"])
async def test_kicked_and_back(desk: Team, how: str) -> None:
    await desk.started()
    await desk.server.kicks_bot(status=how)
    await desk.says("line 0.")
    told = await desk.has(ev.Undelivered)
    assert told[0].retrying
    assert "add it again" in told[0].reason
    await desk.says("line 1.")
    await desk.server.returns_bot()
    await desk.done()
    await whole(desk, says=2)
    assert [u.late for u in await desk.events(ev.Undelivered)] == [False, True]


async def test_without_the_right_to_make_topics_staff_are_told_and_it_recovers(desk: Team) -> None:
    await desk.server.demotes_bot()
    await desk.begin()
    told = await desk.has(ev.Undelivered)
    assert "manage topics" in told[0].reason
    await desk.server.returns_bot()
    await desk.done()
    assert len(desk.server.topics()) == 1
    assert "Do you ship to Norway?" in desk.card().shown


async def test_without_the_right_to_pin_everything_else_works() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk", rights={"can_manage_topics"})
        async with Team(server).open() as desk:
            await desk.started()
            await desk.says("line 0.")
            await desk.done()
            await whole(desk, says=1)
            assert not desk.card().pinned


@pytest.mark.parametrize("forum", [True, False])
async def test_a_group_that_migrates_is_followed_over_a_restart_too(*, forum: bool) -> None:
    async with TelegramServer() as server:
        old = server.add_group("Desk", kind="group", forum=False)
        first = Team(server, chat=old)
        async with first.open():
            dana = joined(first, "Dana")
            await first.begin()
            await first.says("line 0.")
            await first.done()
            new = await server.migrates(forum=forum)
            await first.says("line 1.")
            await first.done()
            shown = "\n".join(m.shown for m in server.messages(new))
            assert shown.count("line 1.") == 1
            assert shown.count("line 0.") == (1 if forum else 0)
            (line,) = [m for m in server.messages(new) if "line 1." in m.shown]
            await server.says(dana, "/take", chat=new, reply_to=line.id, topic=line.thread if forum else None)
            await first.has(ev.TookOver)

            def drawn() -> bool:
                return any("Answering: Dana" in m.shown and m.buttons for m in server.messages(new))

            await eventually(drawn)
        calls = len(server.calls)
        second = Team(server, chat=old, store=first.store)
        async with second.open():
            await second.says("line 2.")
            await second.done(within=20)
            assert "line 2." in "\n".join(m.shown for m in server.messages(new))
            assert str(old) not in {c.args.get("chat_id") for c in server.calls[calls:]}
            assert len([m for m in server.messages(new) if m.buttons]) == 1
            assert [m.shown for m in server.messages()].count(BETTER) == 1
            assert BETTER not in [m.shown for m in server.messages(new)]


@pytest.mark.parametrize("act", ["words", "press"])
async def test_another_server_learns_of_a_migration_by_what_members_do(
    act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knew the old group; the one beside it heard of the new one."""
    monkeypatch.setattr(group, "AGAIN", 0.0)
    async with TelegramServer() as server:
        old, store = server.add_group("Desk", kind="group", forum=False), MemoryStore()
        beside = Team(server, chat=old, store=store, mode="webhook", carries=False)
        async with beside.open():
            await eventually(lambda: server.webhook.url == f"{beside.config.base_url}{PATH}")
            await eventually(lambda: server.menu(old))
            async with Team(server, chat=old, store=store, mode="webhook").open() as desk:
                await eventually(lambda: server.webhook.url == f"{desk.config.base_url}{PATH}")
                dana = joined(desk, "Dana")
                await desk.begin()
                await desk.done()
                new = await server.migrates(forum=True)
                await desk.heard()
                await desk.says("line 0.")
                await desk.done()
                card = await eventually(lambda: next((m for m in server.messages(new) if m.rows), None))
                assert card is not None
                server.webhook.url = f"{beside.config.base_url}{PATH}"
                if act == "words":
                    await server.says(dana, "/take", chat=new, topic=card.thread)
                else:
                    await server.presses(dana, card.id, "Take over", chat=new)
                await desk.has(ev.TookOver)


class Counting(MemoryStore):
    """How often it is asked about the group."""

    asked = 0

    async def get(self, space: str, key: str, *, now: datetime | None = None) -> bytes | None:
        self.asked += space == group.SPACE
        return await super().get(space, key, now=now)


async def test_a_foreign_group_has_the_store_asked_no_more_than_once_a_second() -> None:
    store = Counting()
    async with team(store=store) as desk:
        dana, _ = joined(desk, "Dana"), await desk.started()
        foreign = desk.server.add_group("Elsewhere")
        await desk.heard()
        began, before = time.monotonic(), store.asked
        for n in range(100):
            await desk.server.says(dana, f"/take {n}", chat=foreign)
        await desk.heard()
        assert store.asked - before <= 2 + time.monotonic() - began
        assert not await desk.events(ev.TookOver)


# --- the start -------------------------------------------------------------------------------------


async def test_the_whole_server_mirrors_and_ends_cleanly() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        desk = Team(server)
        house = assemble(desk.config, desk.store)
        async with house.app.router.lifespan_context(house.app):
            desk.bridge = house.bridge
            desk.time = house.bridge.clock()
            await desk.begin()
            await eventually(lambda: server.topics() and server.topic_messages(desk.topic.id))
            assert "Do you ship to Norway?" in desk.card().shown


async def test_a_server_that_cannot_reach_telegram_starts_and_catches_up() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        server.down = True
        async with Team(server, tell=0.05).open() as desk:
            await desk.begin()
            told = await desk.has(ev.Undelivered)
            assert "cannot be reached" in told[0].reason
            server.down = False
            await desk.done(within=20)
            assert "Do you ship to Norway?" in desk.card().shown
            await eventually(lambda: server.menu(server.chat_id))


async def test_a_wrong_token_is_told_to_staff_and_never_logged() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        wrong = "111111:WRONG" + "y" * 32
        stream = io.StringIO()
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        telemetry.install(Log(level="debug"), stream=stream)
        try:
            async with Team(server, token=wrong, tell=0.05).open() as desk:
                await desk.begin()
                told = await desk.has(ev.Undelivered)
                assert "@BotFather" in told[0].reason
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
        assert "token" in stream.getvalue()
        assert "WRONG" not in stream.getvalue()
        assert "Norway" not in stream.getvalue()


async def test_the_log_tells_neither_token_nor_words(desk: Team) -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    telemetry.install(Log(level="debug"), stream=stream)
    try:
        desk.server.garble("sendMessage")
        desk.server.fail("editMessageText", 400, "Bad Request: something new", times=None)
        desk.server.fail("sendMessage", 502, "Bad Gateway")
        await desk.started()
        await desk.do(ASSISTANT, ev.Said(text="Oslo too"))
        await desk.done(within=20)
        await desk.do(LIA, ev.TookOver())
        await desk.done(within=20)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    told = stream.getvalue()
    for secret in (
        desk.server.token,
        desk.server.token.partition(":")[2],
        "Norway",
        "Oslo",
        "acme.example/tents",
    ):
        assert secret not in told


async def test_one_stuck_conversation_delays_no_other(desk: Team) -> None:
    thread = await desk.started()
    desk.server.fail("editForumTopic", 502, "Bad Gateway", times=None)
    gate = desk.server.hold("closeForumTopic")
    await desk.do(VISITOR, ev.Closed())
    other = ConversationId("other")
    await desk.begin("Is it open?", cid=other, name="Olu")
    await desk.done(other)
    assert desk.topic.id != thread
    gate.set()
