"""The local Telegram behaves as the real one does, towards the real library."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
import time

from aiohttp import web
import httpx
import pytest
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeChat,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    Message,
    ReactionTypeEmoji,
    ReplyParameters,
    Update,
)
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from tests.eventually import eventually
from tests.fakes.telegram import BOT_RIGHTS, Person, Refusal, TelegramServer

ALLOWED = ["message", "edited_message", "callback_query", "my_chat_member", "message_reaction"]


def bot_of(server: TelegramServer, token: str | None = None) -> Bot:
    url = server.api_url
    return Bot(token or server.token, base_url=f"{url}/bot", base_file_url=f"{url}/file/bot")


@pytest.fixture(autouse=True)
def durations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library warns as it raises RetryAfter unless it is told to give a timedelta."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as running:
        running.add_group("Desk")
        yield running


@pytest.fixture
async def bot(server: TelegramServer) -> AsyncIterator[Bot]:
    async with bot_of(server) as running:
        yield running


@pytest.fixture
def ann(server: TelegramServer) -> Person:
    person = server.add_person("Ann", username="ann")
    server.join(person)
    return person


async def taken(bot: Bot, offset: int = 0) -> list[Update]:
    """What the bot hears, all of it, confirmed."""
    found = list(await bot.get_updates(offset=offset, timeout=0, allowed_updates=ALLOWED))
    if found:
        await bot.get_updates(offset=found[-1].update_id + 1, timeout=0, allowed_updates=ALLOWED)
    return found


async def topic_of(bot: Bot, server: TelegramServer, name: str = "Ann · Prices") -> int:
    return (await bot.create_forum_topic(server.chat_id, name)).message_thread_id


@asynccontextmanager
async def refused(kind: type[TelegramError], message: str) -> AsyncIterator[None]:
    with pytest.raises(kind) as error:
        yield
    assert message.lower() in error.value.message.lower()
    assert type(error.value) is kind


def buttons(*pairs: tuple[str, str]) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton(text, callback_data=data) for text, data in pairs]])


# --- the protocol ----------------------------------------------------------------------------------


async def test_the_bot_knows_itself(server: TelegramServer, bot: Bot) -> None:
    me = await bot.get_me()
    assert (me.username, me.is_bot, me.can_read_all_group_messages) == ("joinline_bot", True, True)
    server.privacy = True
    assert (await bot.get_me()).can_read_all_group_messages is False


async def test_query_form_json_and_multipart_are_the_same(server: TelegramServer) -> None:
    url = f"{server.api_url}/bot{server.token}/SENDmessage"
    values = {"chat_id": str(server.chat_id), "text": "Hello"}
    async with httpx.AsyncClient() as client:
        answers = [
            await client.get(url, params=values),
            await client.post(url, data=values),
            await client.post(url, json={"chat_id": server.chat_id, "text": "Hello"}),
            await client.post(url, data=values, files={"unused": b"x"}),
        ]
        assert [a.status_code for a in answers] == [200] * 4
        assert {a.json()["result"]["text"] for a in answers} == {"Hello"}
        wrong = await client.post(url, data={"chat_id": "5", "text": "Hello"})
        assert wrong.status_code == 400
        assert wrong.json() == {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"}
        unknown = await client.post(f"{server.api_url}/bot{server.token}/sendNothing")
        assert (unknown.status_code, unknown.json()["error_code"]) == (404, 404)
    assert [m.shown for m in server.messages()] == ["Hello"] * 4


async def test_a_wrong_token_is_401_and_a_malformed_one_404(server: TelegramServer) -> None:
    for token, message in (("424242:AAF" + "y" * 32, "Unauthorized"), ("nonsense", "Not Found")):
        stranger = bot_of(server, token)
        with pytest.raises(InvalidToken) as error:
            await stranger.get_me()
        assert message in str(error.value)
        for request in stranger._request:
            await request.shutdown()
    assert not server.calls


async def test_every_call_is_kept_with_its_outcome(server: TelegramServer, bot: Bot) -> None:
    await bot.send_message(server.chat_id, "Hello", disable_notification=True)
    async with refused(BadRequest, "chat not found"):
        await bot.send_message(77, "Hello")
    sent, wrong = server.called("sendMessage")
    assert (sent.args["text"], sent.ok, sent.result["message_id"]) == ("Hello", True, 2)
    assert wrong.outcome == "400 Bad Request: chat not found"
    assert server.sent == [sent]
    assert server.message(2).silent


# --- updates by long poll --------------------------------------------------------------------------


async def test_updates_come_again_until_an_offset_confirms_them(
    server: TelegramServer, bot: Bot, ann: Person
) -> None:
    for text in ("one", "two", "three"):
        await server.says(ann, text)
    first = await bot.get_updates(limit=2, timeout=0)
    assert [u.message.text for u in first] == ["one", "two"]
    assert [u.update_id for u in await bot.get_updates(timeout=0)] == [u["update_id"] for u in server.updates]
    rest = await bot.get_updates(offset=first[-1].update_id + 1, timeout=0)
    assert [u.message.text for u in rest] == ["three"]
    await server.says(ann, "four")
    (last,) = await bot.get_updates(offset=-1, timeout=0)
    assert last.message.text == "four"
    assert [u["message"]["text"] for u in server.pending] == ["four"]
    server.again(first[0].update_id)
    assert [u.message.text for u in await bot.get_updates(timeout=0)] == ["one", "four"]


async def test_a_long_poll_waits_for_what_comes(server: TelegramServer, bot: Bot, ann: Person) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await eventually(lambda: server.polling)
    await server.says(ann, "hello")
    assert [u.message.text for u in await poll] == ["hello"]
    assert not server.polling


async def test_a_poll_whose_client_went_away_is_over(server: TelegramServer, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await eventually(lambda: server.polling)
    poll.cancel()
    await eventually(lambda: not server.polling)


async def test_a_second_poller_ends_the_first(server: TelegramServer, bot: Bot, ann: Person) -> None:
    async with bot_of(server) as other:
        poll = asyncio.create_task(bot.get_updates(timeout=30))
        await eventually(lambda: server.polling)
        second = asyncio.create_task(other.get_updates(timeout=30))
        async with refused(Conflict, "terminated by other getUpdates request"):
            await poll
        await server.says(ann, "hello")
        assert len(await second) == 1


async def test_only_what_was_asked_for_is_kept(server: TelegramServer, bot: Bot, ann: Person) -> None:
    sent = await bot.send_message(server.chat_id, "Hello")
    await server.reacts(ann, sent.message_id, "👍")
    assert await bot.get_updates(timeout=0) == ()
    await bot.get_updates(timeout=0, allowed_updates=["message_reaction"])
    await server.reacts(ann, sent.message_id, None)
    await server.says(ann, "unheard")
    (heard,) = await bot.get_updates(timeout=0)
    assert heard.message_reaction is not None
    assert heard.message_reaction.old_reaction == (ReactionTypeEmoji("👍"),)
    assert heard.message_reaction.new_reaction == ()
    assert heard.message_reaction.user.id == ann.id


# --- updates by webhook ----------------------------------------------------------------------------


@asynccontextmanager
async def receiver(statuses: list[int]) -> AsyncIterator[tuple[str, list[web.Request], list[dict]]]:
    requests: list[web.Request] = []
    bodies: list[dict] = []

    async def receive(request: web.Request) -> web.Response:
        requests.append(request)
        bodies.append(await request.json())
        return web.Response(status=statuses.pop(0) if statuses else 200)

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", requests, bodies
    finally:
        await runner.cleanup()


async def test_a_webhook_gets_the_secret_and_what_failed_again(
    server: TelegramServer, bot: Bot, ann: Person
) -> None:
    await server.says(ann, "before")
    async with receiver([500, 503]) as (url, requests, bodies):
        await bot.set_webhook(url, secret_token="s3cret", allowed_updates=["message"])
        await server.says(ann, "after")
        await eventually(lambda: not server.pending)
        assert [b["message"]["text"] for b in bodies] == ["before", "before", "before", "after"]
        assert {r.headers["X-Telegram-Bot-Api-Secret-Token"] for r in requests} == {"s3cret"}
        assert server.webhook.statuses == [500, 503, 200, 200]
        info = await bot.get_webhook_info()
        assert info.last_error_message == "Wrong response from the webhook: 503 Service Unavailable"
        assert info.last_error_date is not None
        assert (info.url, info.pending_update_count, info.allowed_updates) == (url, 0, ("message",))
        async with refused(Conflict, "can't use getUpdates method while webhook is active"):
            await bot.get_updates(timeout=0)
        await bot.delete_webhook()
        assert (await bot.get_webhook_info()).url == ""
        await server.says(ann, "polled")
        assert [u.message.text for u in await bot.get_updates(timeout=0)] == ["polled"]


async def test_setting_a_webhook_ends_the_poll(server: TelegramServer, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await eventually(lambda: server.polling)
    async with receiver([]) as (url, _, _):
        await bot.set_webhook(url)
        async with refused(Conflict, "terminated by setWebhook"):
            await poll
    async with refused(BadRequest, "secret token contains unallowed characters"):
        await bot.set_webhook("https://acme.example/hook", secret_token="no spaces")


# --- topics ----------------------------------------------------------------------------------------


async def test_a_topic_is_made_used_renamed_closed_and_reopened(server: TelegramServer, bot: Bot) -> None:
    made = await bot.create_forum_topic(server.chat_id, "Ann · Prices")
    sent = await bot.send_message(server.chat_id, "Hello", message_thread_id=made.message_thread_id)
    assert (sent.message_thread_id, sent.is_topic_message) == (made.message_thread_id, True)
    assert sent.reply_to_message is not None
    assert sent.reply_to_message.message_id == made.message_thread_id
    assert sent.reply_to_message.forum_topic_created is not None
    await bot.edit_forum_topic(server.chat_id, made.message_thread_id, name="Ann · Human")
    await bot.close_forum_topic(server.chat_id, made.message_thread_id)
    (topic,) = server.topics()
    assert (topic.name, topic.closed, topic.deleted) == ("Ann · Human", True, False)
    await bot.send_message(server.chat_id, "Still", message_thread_id=topic.id)
    await bot.reopen_forum_topic(server.chat_id, topic.id)
    assert not topic.closed
    assert [m.shown for m in server.topic_messages(topic.id)] == ["Hello", "Still"]
    assert server.topic_messages(None) == []


async def test_the_bot_hears_of_its_own_changes_but_not_of_its_own_messages(
    server: TelegramServer, bot: Bot
) -> None:
    topic = await topic_of(bot, server)
    sent = await bot.send_message(server.chat_id, "Card", message_thread_id=topic)
    await bot.edit_message_text("Card 2", server.chat_id, sent.message_id)
    await bot.pin_chat_message(server.chat_id, sent.message_id)
    await bot.edit_forum_topic(server.chat_id, topic, name="Other")
    await bot.close_forum_topic(server.chat_id, topic)
    await bot.reopen_forum_topic(server.chat_id, topic)
    heard = [u.message for u in await taken(bot)]
    created, pinned, edited, closed, reopened = heard
    assert created.forum_topic_created.name == "Ann · Prices"
    assert created.message_id == created.message_thread_id == topic
    assert pinned.pinned_message.text == "Card 2"
    assert edited.forum_topic_edited.name == "Other"
    assert closed.forum_topic_closed is not None
    assert reopened.forum_topic_reopened is not None
    assert {m.message_thread_id for m in heard} == {topic}
    assert all(m.is_topic_message and m.from_user.id == bot.id for m in heard)


async def test_names_of_topics(server: TelegramServer, bot: Bot) -> None:
    async with refused(BadRequest, "title must be non-empty"):
        await bot.create_forum_topic(server.chat_id, " \n ")
    topic = await topic_of(bot, server, "x" * 100 + "\n" + "y" * 100)
    assert server.topics()[0].name == "x" * 100 + " " + "y" * 27
    for change in (
        bot.edit_forum_topic(server.chat_id, topic, name=server.topics()[0].name),
        bot.reopen_forum_topic(server.chat_id, topic),
    ):
        async with refused(BadRequest, "TOPIC_NOT_MODIFIED"):
            await change


async def test_a_deleted_topic_is_found_out_only_by_writing(
    server: TelegramServer, bot: Bot, ann: Person
) -> None:
    topic = await topic_of(bot, server)
    sent = await bot.send_message(server.chat_id, "Card", message_thread_id=topic)
    await taken(bot)
    await server.deletes_topic(topic)
    assert await taken(bot) == []
    async with refused(BadRequest, "message thread not found"):
        await bot.send_message(server.chat_id, "Hello", message_thread_id=topic)
    assert await bot.send_chat_action(server.chat_id, "typing", message_thread_id=topic)
    for change in (
        bot.close_forum_topic(server.chat_id, topic),
        bot.edit_forum_topic(server.chat_id, topic, name=server.topics()[0].name),
    ):
        async with refused(BadRequest, "TOPIC_ID_INVALID"):
            await change
    async with refused(BadRequest, "message to edit not found"):
        await bot.edit_message_text("Card 2", server.chat_id, sent.message_id)
    with pytest.raises(Refusal, match="message thread not found"):
        await server.says(ann, "hello", topic=topic)
    assert server.topics()[0].deleted
    own = await topic_of(bot, server, "Another")
    await bot.delete_forum_topic(server.chat_id, own)
    assert [t.deleted for t in server.topics()] == [True, True]


async def test_a_worn_topic_takes_titles_and_people_but_no_bot(
    server: TelegramServer, bot: Bot, ann: Person
) -> None:
    topic = await topic_of(bot, server)
    server.topics()[0].worn = True
    async with refused(BadRequest, "message thread not found"):
        await bot.send_message(server.chat_id, "Hello", message_thread_id=topic)
    assert await bot.edit_forum_topic(server.chat_id, topic, name="Ann · Human")
    await server.says(ann, "hello", topic=topic)
    assert [m.shown for m in server.topic_messages(topic)] == ["hello"]


async def test_the_general_topic_has_no_number(server: TelegramServer, bot: Bot, ann: Person) -> None:
    async with refused(BadRequest, "message thread not found"):
        await bot.send_message(server.chat_id, "Hello", message_thread_id=1)
    sent = await bot.send_message(server.chat_id, "Hello")
    assert (sent.message_thread_id, sent.is_topic_message) == (None, None)
    await server.says(ann, "well", reply_to=sent.message_id)
    (update,) = await taken(bot)
    assert update.message.message_thread_id == sent.message_id
    assert not update.message.is_topic_message


async def test_with_topics_switched_off_the_thread_is_silently_ignored(
    server: TelegramServer, bot: Bot
) -> None:
    topic = await topic_of(bot, server)
    await server.switches_topics_off()
    sent = await bot.send_message(server.chat_id, "Hello", message_thread_id=topic)
    assert (sent.message_thread_id, sent.is_topic_message) == (None, None)
    assert (await bot.get_chat(server.chat_id)).is_forum is None
    async with refused(BadRequest, "the chat is not a forum"):
        await topic_of(bot, server)
    await server.switches_topics_on()
    assert (await bot.get_chat(server.chat_id)).is_forum
    again = await bot.send_message(server.chat_id, "Hello", message_thread_id=topic)
    assert again.message_thread_id == topic


async def test_rights_for_topics_pins_and_deletions(server: TelegramServer, bot: Bot, ann: Person) -> None:
    foreign = await server.opens_topic(ann, "Ann's own")
    said = await server.says(ann, "hello", topic=foreign)
    await server.demotes_bot(rights={"can_manage_chat"})
    async with refused(BadRequest, "not enough rights to create a topic"):
        await topic_of(bot, server)
    async with refused(BadRequest, "not enough rights to edit the topic"):
        await bot.edit_forum_topic(server.chat_id, foreign, name="Mine")
    async with refused(BadRequest, "not enough rights to close or open the topic"):
        await bot.close_forum_topic(server.chat_id, foreign)
    async with refused(BadRequest, "not enough rights to delete the topic"):
        await bot.delete_forum_topic(server.chat_id, foreign)
    async with refused(BadRequest, "not enough rights to manage pinned messages"):
        await bot.pin_chat_message(server.chat_id, said)
    async with refused(BadRequest, "message can't be deleted"):
        await bot.delete_message(server.chat_id, said)
    await server.closes_topic(foreign)
    async with refused(BadRequest, "TOPIC_CLOSED"):
        await bot.send_message(server.chat_id, "Hello", message_thread_id=foreign)
    async with refused(BadRequest, "TOPIC_CLOSED"):
        await bot.send_message(server.chat_id, "Hello", reply_parameters=ReplyParameters(said))
    with pytest.raises(Refusal, match="TOPIC_CLOSED"):
        await server.says(ann, "hello?", topic=foreign)


# --- texts -----------------------------------------------------------------------------------------


async def html(bot: Bot, server: TelegramServer, text: str) -> Message:
    return await bot.send_message(server.chat_id, text, parse_mode="HTML")


@pytest.mark.parametrize(
    ("source", "shown", "kinds"),
    [
        ("<b>Ann</b>: 1 &lt; 2 &amp; <i>so</i>", "Ann: 1 < 2 & so", ["bold", "italic"]),
        ("<strong>x</strong><em>y</em><u>z</u><s>w</s>", "xyzw", ["bold", "italic", "underline", "strikethrough"]),
        ('<pre><code class="language-py">a=1</code></pre>', "a=1", ["pre"]),
        ('<a href="https://acme.example/?a=1&amp;b=2">here</a>', "here", ["text_link"]),
        ('<a href="http://localhost:8000/x">here</a>', "here", []),
        ('<a href="javascript:alert(1)">here</a>', "here", []),
        ("<blockquote>q</blockquote><tg-spoiler>s</tg-spoiler>", "qs", ["blockquote", "spoiler"]),
        ("😀<b>x</b>", "😀x", ["bold"]),
        ("&lt;b&gt;x &nbsp; &#33;", "<b>x &nbsp; !", []),
        ("  <b> </b> x \r\n", "x", []),
        ("<code>@admin https://acme.example</code>", "@admin https://acme.example", ["code"]),
    ],
)  # fmt: skip
async def test_html_becomes_text_and_entities(
    server: TelegramServer, bot: Bot, source: str, shown: str, kinds: list[str]
) -> None:
    sent = await html(bot, server, source)
    assert sent.text == shown == server.message(sent.message_id).shown
    assert [e.type for e in sent.entities] == kinds
    assert server.message(sent.message_id).html == source
    if kinds == ["bold"]:
        assert (sent.entities[0].offset, sent.parse_entity(sent.entities[0])) == (2, "x")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("I <3 you > all", 'Unsupported start tag "3" at byte offset 2'),
        ("é <x>", 'Unsupported start tag "x" at byte offset 3'),
        ("a < b >", 'Unsupported start tag "" at byte offset 2'),
        ("<br/>", 'Unsupported start tag "br/" at byte offset 0'),
        ("<b>x", "Can't find end tag corresponding to start tag b"),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b><i>x</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("x <b", "Unclosed start tag at byte offset 2"),
        ("<a href>x</a>", 'Expected equal sign in declaration of an attribute of the tag "a" at byte offset 0'),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ],
)  # fmt: skip
async def test_html_that_cannot_be_parsed(
    server: TelegramServer, bot: Bot, source: str, message: str
) -> None:
    async with refused(BadRequest, f"can't parse entities: {message}"):
        await html(bot, server, source)


async def test_plain_text_stays_text_and_shows_what_is_live(
    server: TelegramServer, bot: Bot, ann: Person
) -> None:
    text = "<b>x</b> <3 @anna tg://user?id=5 https://acme.example/a, /take mail@acme.example #tag"
    sent = server.message((await bot.send_message(server.chat_id, text)).message_id)
    assert sent.shown == text
    assert [(e.type, e.text) for e in sent.entities] == [
        ("mention", "@anna"), ("url", "tg://user?id=5"), ("url", "https://acme.example/a"),
        ("bot_command", "/take"), ("email", "mail@acme.example"), ("hashtag", "#tag"),
    ]  # fmt: skip
    assert all(e.auto for e in sent.entities)
    assert sent.links[1] == ("https://acme.example/a", "https://acme.example/a")
    marked = await html(
        bot, server, f'<a href="tg://user?id={ann.id}">Ann</a> <a href="tg://user?id=9">Nobody</a>'
    )
    assert [(e.type, e.user.id) for e in marked.entities] == [("text_mention", ann.id)]


async def test_lengths_are_counted_as_people_see_them(server: TelegramServer, bot: Bot) -> None:
    full = await html(bot, server, "<b>" + "😀" * 2048 + "</b>")
    assert full.entities[0].length == 4096
    for text in ("x" * 4097, "😀" * 2048 + "x"):
        async with refused(BadRequest, "message is too long"):
            await bot.send_message(server.chat_id, text)
    for text in (" \n ", "<b></b>"):
        async with refused(BadRequest, "message text is empty"):
            await html(bot, server, text)


# --- replies, edits, pins, reactions ---------------------------------------------------------------


async def test_replies(server: TelegramServer, bot: Bot, ann: Person) -> None:
    topic = await topic_of(bot, server)
    said = await server.says(ann, "hello", topic=topic)
    sent = await bot.send_message(server.chat_id, "yes", reply_parameters=ReplyParameters(said))
    assert (sent.reply_to_message.message_id, sent.message_thread_id) == (said, topic)
    await server.deletes(said)
    async with refused(BadRequest, "message to be replied not found"):
        await bot.send_message(server.chat_id, "yes", reply_parameters=ReplyParameters(said))
    anyway = ReplyParameters(said, allow_sending_without_reply=True)
    alone = await bot.send_message(server.chat_id, "yes", reply_parameters=anyway)
    assert alone.reply_to_message is None
    assert server.message(sent.message_id).reply_to == said


async def test_edits(server: TelegramServer, bot: Bot, ann: Person) -> None:
    keys = buttons(("Take over", "take"))
    sent = await bot.send_message(server.chat_id, "Card", reply_markup=keys)
    async with refused(BadRequest, "message is not modified: specified new message content and reply markup"):
        await bot.edit_message_text("Card", server.chat_id, sent.message_id, reply_markup=keys)
    await bot.edit_message_text("Card 2", server.chat_id, sent.message_id, reply_markup=keys)
    card = server.message(sent.message_id)
    assert (card.shown, card.edited, [b.text for b in card.buttons]) == ("Card 2", 1, ["Take over"])
    await bot.edit_message_text("Card 3", server.chat_id, sent.message_id)
    assert card.buttons == []
    await bot.edit_message_reply_markup(server.chat_id, sent.message_id, reply_markup=keys)
    assert card.button("take").text == "Take over"
    async with refused(BadRequest, "message to edit not found"):
        await bot.edit_message_text("x", server.chat_id, 999)
    async with refused(BadRequest, "message can't be edited"):
        await bot.edit_message_text("x", server.chat_id, await server.says(ann, "hello"))


async def test_pins_and_deletions(server: TelegramServer, bot: Bot) -> None:
    topic = await topic_of(bot, server)
    card = await bot.send_message(server.chat_id, "Card", message_thread_id=topic)
    await bot.pin_chat_message(server.chat_id, card.message_id, disable_notification=True)
    assert [m.id for m in server.chat().pinned] == [card.message_id]
    assert (await bot.get_chat(server.chat_id)).pinned_message.text == "Card"
    await bot.unpin_chat_message(server.chat_id, card.message_id)
    assert server.chat().pinned == []
    await bot.pin_chat_message(server.chat_id, card.message_id)
    await bot.unpin_all_forum_topic_messages(server.chat_id, topic)
    assert server.chat().pinned == []
    async with refused(BadRequest, "message to pin not found"):
        await bot.pin_chat_message(server.chat_id, 999)
    await bot.delete_message(server.chat_id, card.message_id)
    async with refused(BadRequest, "message to delete not found"):
        await bot.delete_message(server.chat_id, card.message_id)
    async with refused(BadRequest, "message can't be deleted"):
        await bot.delete_message(server.chat_id, topic)


async def test_reactions_of_the_bot(server: TelegramServer, bot: Bot, ann: Person) -> None:
    said = await server.says(ann, "hello")
    await bot.set_message_reaction(server.chat_id, said, "👀")
    assert server.message(said).reactions == {bot.id: "👀"}
    await bot.set_message_reaction(server.chat_id, said)
    assert server.message(said).reactions == {}
    async with refused(BadRequest, "REACTION_INVALID"):
        await bot.set_message_reaction(server.chat_id, said, "✅")


# --- buttons and commands --------------------------------------------------------------------------


async def test_a_press_is_answered_once_and_in_time(server: TelegramServer, bot: Bot, ann: Person) -> None:
    topic = await topic_of(bot, server)
    sent = await bot.send_message(
        server.chat_id, "Card", message_thread_id=topic, reply_markup=buttons(("Take over", "take:7"))
    )
    await taken(bot)
    pressed = await server.presses(ann, sent.message_id, "Take over")
    (update,) = await taken(bot)
    query = update.callback_query
    assert (query.id, query.data, query.from_user.id) == (pressed, "take:7", ann.id)
    assert (query.message.message_id, query.message.message_thread_id) == (sent.message_id, topic)
    await bot.answer_callback_query(query.id, "Ann took over", show_alert=True)
    (answer,) = server.answers
    assert (answer.person_id, answer.text, answer.alert) == (ann.id, "Ann took over", True)
    late = await server.presses(ann, sent.message_id, "take:7")
    server.expire(late)
    for unknown in (late, pressed, "5"):
        async with refused(
            BadRequest, "query is too old and response timeout expired or query ID is invalid"
        ):
            await bot.answer_callback_query(unknown)
    with pytest.raises(AssertionError, match="no button 'Hand back'"):
        await server.presses(ann, sent.message_id, "Hand back")


async def test_buttons_are_checked(server: TelegramServer, bot: Bot) -> None:
    await bot.send_message(server.chat_id, "Card", reply_markup=buttons(("Take over", "é" * 32)))
    async with refused(BadRequest, "BUTTON_DATA_INVALID"):
        await bot.send_message(server.chat_id, "Card", reply_markup=buttons(("Take over", "é" * 32 + "x")))
    for url, wrong in (
        ("http://localhost:8000/j", "Wrong HTTP URL"),
        ("javascript:x()", "Unsupported URL protocol"),
    ):
        keys = InlineKeyboardMarkup([[InlineKeyboardButton("Open", url=url)]])
        async with refused(BadRequest, f"is invalid: {wrong}"):
            await bot.send_message(server.chat_id, "Card", reply_markup=keys)
    keys = InlineKeyboardMarkup([[InlineKeyboardButton("Open", url="http://127.0.0.1:8000/j")]])
    sent = await bot.send_message(server.chat_id, "Card", reply_markup=keys)
    assert server.message(sent.message_id).button("Open").url == "http://127.0.0.1:8000/j"


async def test_menus_have_scopes(server: TelegramServer, bot: Bot) -> None:
    here = BotCommandScopeChat(server.chat_id)
    await bot.set_my_commands([BotCommand("take", "Take over")], scope=here)
    await bot.set_my_commands([BotCommand("help", "What there is")])
    assert server.menu(server.chat_id) == {"take": "Take over"}
    assert server.menu() == {"help": "What there is"}
    assert (await bot.get_my_commands(scope=here))[0].command == "take"
    async with refused(BadRequest, "BOT_COMMAND_INVALID"):
        await bot.set_my_commands([("Take", "Take over")])
    async with refused(BadRequest, "chat not found"):
        await bot.set_my_commands([("take", "Take over")], scope=BotCommandScopeChat(-5))


# --- people ----------------------------------------------------------------------------------------


async def test_what_people_write(server: TelegramServer, bot: Bot, ann: Person) -> None:
    topic = await topic_of(bot, server)
    await taken(bot)
    said = await server.says(ann, "/take@joinline_bot now", topic=topic)
    await server.edits(ann, said, "/take later")
    ben = server.add_person("Ben")
    await server.says(ben, "/take", topic=topic, forwarded=ann)
    await server.says(ann, "/take", topic=topic, anonymous_admin=True)
    await server.deletes(said)
    command, edited, forwarded, anonymous = await taken(bot)
    message = command.message
    assert (message.message_id, message.from_user.username, message.chat.is_forum) == (said, "ann", True)
    assert message.parse_entities() == {message.entities[0]: "/take@joinline_bot"}
    assert message.entities[0].type == "bot_command"
    assert (message.message_thread_id, message.reply_to_message.message_id) == (topic, topic)
    assert (edited.edited_message.text, edited.edited_message.message_id) == ("/take later", said)
    assert edited.edited_message.edit_date is not None
    assert forwarded.message.forward_origin.sender_user.id == ann.id
    assert anonymous.message.from_user.username == "GroupAnonymousBot"
    assert anonymous.message.sender_chat.id == server.chat_id
    assert [m.shown for m in server.topic_messages(topic)] == ["/take", "/take"]


async def test_files_both_ways(server: TelegramServer, bot: Bot, ann: Person) -> None:
    topic = await topic_of(bot, server)
    await taken(bot)
    await server.sends_file(ann, "price.pdf", b"%PDF-", caption="here", topic=topic, mime="application/pdf")
    (update,) = await taken(bot)
    document = update.message.document
    assert (document.file_name, document.mime_type, update.message.caption) == (
        "price.pdf",
        "application/pdf",
        "here",
    )
    file = await document.get_file()
    assert bytes(await file.download_as_bytearray()) == b"%PDF-"
    sent = await bot.send_document(server.chat_id, b"abc", filename="a.txt", caption="<b>x</b>", parse_mode="HTML",
                                   message_thread_id=topic)  # fmt: skip
    assert (sent.document.file_name, sent.caption, sent.caption_entities[0].type) == ("a.txt", "x", "bold")
    again = await bot.send_document(server.chat_id, sent.document.file_id)
    assert server.message(again.message_id).file.content == b"abc"
    photo = await bot.send_photo(server.chat_id, b"\x89PNG", message_thread_id=topic)
    assert photo.photo[0].file_size == 4
    async with refused(BadRequest, "message caption is too long"):
        await bot.send_document(server.chat_id, b"abc", caption="x" * 1025)
    async with refused(BadRequest, "invalid file_id"):
        await bot.get_file("nothing")
    for name in ("a.jpg", "b.jpg"):
        await server.sends_file(ann, name, b"\xff\xd8", photo=True, topic=topic, album="77")
    assert [u.message.media_group_id for u in (await taken(bot))[-2:]] == ["77", "77"]


async def test_private_conversations_begin_with_the_person(
    server: TelegramServer, bot: Bot, ann: Person
) -> None:
    async with refused(Forbidden, "bot can't initiate conversation with a user"):
        await bot.send_message(ann.id, "Your link")
    await server.starts_bot(ann)
    (update,) = await taken(bot)
    assert (update.message.chat.type, update.message.chat.id, update.message.text) == (
        "private",
        ann.id,
        "/start",
    )
    sent = await bot.send_message(ann.id, "Your link", reply_markup=buttons(("Done", "done")))
    assert [m.shown for m in server.private_messages(ann)] == ["/start", "Your link"]
    await server.presses(ann, sent.message_id, "Done", chat=ann.id)
    (pressed,) = await taken(bot)
    assert pressed.callback_query.message.chat.id == ann.id
    await server.blocks_bot(ann)
    async with refused(Forbidden, "bot was blocked by the user"):
        await bot.send_message(ann.id, "Your link")


async def test_members(server: TelegramServer, bot: Bot, ann: Person) -> None:
    eve = server.add_person("Eve")
    server.join(eve, status="administrator", rights={"can_manage_topics"}, anonymous=True)
    zed = server.add_person("Zed")
    statuses = [(await bot.get_chat_member(server.chat_id, p.id)).status for p in (ann, eve, zed, server.bot)]
    assert statuses == ["member", "administrator", "left", "administrator"]
    admins = await bot.get_chat_administrators(server.chat_id)
    assert {a.user.first_name for a in admins} == {"Olga", "Eve", "Joinline"}
    mine = await bot.get_chat_member(server.chat_id, bot.id)
    assert mine.can_manage_topics is True
    async with refused(BadRequest, "user not found"):
        await bot.get_chat_member(server.chat_id, 5)
    server.join(zed, status="kicked")
    with pytest.raises(Refusal, match="Zed is not a member"):
        await server.says(zed, "hello")
    assert (await bot.get_chat(server.chat_id)).permissions.can_manage_topics is False


async def test_privacy_mode_hides_what_is_not_for_the_bot(
    server: TelegramServer, bot: Bot, ann: Person
) -> None:
    server.privacy = True
    await server.demotes_bot()
    await taken(bot)
    own = await bot.send_message(server.chat_id, "Hello")
    for text in ("hello", "/take", "/take@other_bot", "hey @joinline_bot"):
        await server.says(ann, text)
    await server.says(ann, "a reply", reply_to=own.message_id)
    assert [u.message.text for u in await taken(bot)] == ["/take", "hey @joinline_bot", "a reply"]


# --- the bot's place -------------------------------------------------------------------------------


async def test_kicked_returned_and_demoted(server: TelegramServer, bot: Bot, ann: Person) -> None:
    await server.kicks_bot()
    async with refused(Forbidden, "bot was kicked from the supergroup chat"):
        await bot.send_message(server.chat_id, "Hello")
    await server.says(ann, "unheard")
    await server.returns_bot()
    await bot.send_message(server.chat_id, "Hello")
    await server.demotes_bot()
    async with refused(BadRequest, "not enough rights to create a topic"):
        await topic_of(bot, server)
    await server.kicks_bot(status="left")
    async with refused(Forbidden, "bot is not a member of the supergroup chat"):
        await bot.get_chat(server.chat_id)
    heard = await taken(bot)
    changes = [u.my_chat_member for u in heard if u.my_chat_member]
    assert [(c.old_chat_member.status, c.new_chat_member.status) for c in changes] == [
        ("administrator", "kicked"), ("kicked", "administrator"), ("administrator", "member"), ("member", "left"),
    ]  # fmt: skip
    assert [u.message.text for u in heard if u.message and u.message.text] == []
    assert {r for r in BOT_RIGHTS if getattr(changes[1].new_chat_member, r)} == BOT_RIGHTS


async def test_a_group_that_migrates_says_where_to(server: TelegramServer, bot: Bot, ann: Person) -> None:
    old = server.add_group("Small", kind="group")
    server.join(ann, chat=old)
    sent = await bot.send_message(old, "Hello")
    await server.says(ann, "hi", chat=old, reply_to=sent.message_id)
    async with refused(BadRequest, "the chat is not a forum"):
        await bot.create_forum_topic(old, "x")
    new = await server.migrates(old, forum=True)
    with pytest.raises(ChatMigrated) as error:
        await bot.send_message(old, "Hello")
    assert error.value.new_chat_id == new
    said, to, away = await taken(bot)
    assert (said.message.message_thread_id, said.message.chat.type) == (None, "group")
    assert (to.message.chat.id, to.message.migrate_to_chat_id) == (old, new)
    assert (away.message.chat.id, away.message.migrate_from_chat_id) == (new, old)
    assert (await bot.create_forum_topic(new, "x")).name == "x"


# --- faults ----------------------------------------------------------------------------------------


async def test_errors_on_order(server: TelegramServer, bot: Bot) -> None:
    other = server.add_group("Other")
    server.fail("sendMessage", 400, "Bad Request: message thread not found", chat=server.chat_id)
    await bot.send_message(other, "Hello")
    async with refused(BadRequest, "message thread not found"):
        await bot.send_message(server.chat_id, "Hello")
    server.fail("*", 500, "Internal Server Error", times=2)
    server.garble("sendMessage")
    for message in ("Internal Server Error", "Internal Server Error", "Bad Gateway (502)"):
        async with refused(NetworkError, message):
            await bot.send_message(server.chat_id, "Hello")
    await bot.send_message(server.chat_id, "Hello")
    assert len(server.messages()) == 1


async def test_a_limit_by_number_and_by_time(server: TelegramServer, bot: Bot) -> None:
    now = time.time()
    server.now = lambda: now
    other = server.add_group("Other")
    server.limit("sendMessage", 7)
    with pytest.raises(RetryAfter) as error:
        await bot.send_message(server.chat_id, "Hello")
    assert error.value.retry_after == timedelta(seconds=7)
    await bot.send_message(server.chat_id, "Hello")
    server.limit("*", 344, times=None, chat=server.chat_id)
    for later, left in ((0, 344), (100, 244), (343.5, 1)):
        server.now = lambda at=now + later: at
        with pytest.raises(RetryAfter) as error:
            await bot.send_message(server.chat_id, "Hello")
        assert error.value.retry_after == timedelta(seconds=left)
        await bot.send_message(other, "Hello")
    server.now = lambda: now + 344
    await bot.send_message(server.chat_id, "Hello")


async def test_twenty_a_minute_for_each_group(server: TelegramServer, bot: Bot) -> None:
    now = time.time()
    server.now = lambda: now
    server.messages_per_minute = 20
    topics = [await topic_of(bot, server, name) for name in ("one", "two")]
    other = server.add_group("Other")
    for n in range(20):
        sent = await bot.send_message(server.chat_id, str(n), message_thread_id=topics[n % 2])
    with pytest.raises(RetryAfter) as error:
        await bot.send_message(server.chat_id, "one too many")
    assert error.value.retry_after == timedelta(seconds=60)
    await bot.edit_message_text("edited", server.chat_id, sent.message_id)
    server.count_edits = True
    with pytest.raises(RetryAfter):
        await bot.edit_message_text("edited again", server.chat_id, sent.message_id)
    await bot.send_message(other, "elsewhere")
    server.now = lambda: now + 60
    await bot.send_message(server.chat_id, "a minute later")


async def test_answers_that_get_lost(server: TelegramServer, bot: Bot) -> None:
    server.lose("sendMessage")
    async with refused(NetworkError, "httpx"):
        await bot.send_message(server.chat_id, "done")
    server.lose("sendMessage", done=False)
    async with refused(NetworkError, "httpx"):
        await bot.send_message(server.chat_id, "not done")
    assert [m.shown for m in server.messages()] == ["done"]
    assert [(c.outcome, c.done) for c in server.called("sendMessage")] == [("lost", True), ("lost", False)]
    assert len(server.sent) == 1
    server.down = True
    async with refused(NetworkError, "httpx"):
        await bot.send_message(server.chat_id, "down")
    server.heal()
    await bot.send_message(server.chat_id, "up")
    assert [m.shown for m in server.messages()] == ["done", "up"]


async def test_answers_that_come_late(server: TelegramServer, bot: Bot) -> None:
    server.slow("sendMessage", 30)
    with pytest.raises(TimedOut):
        await bot.send_message(server.chat_id, "done", read_timeout=0.1)
    assert [m.shown for m in server.messages()] == ["done"]
    gate = server.hold("sendMessage")
    sending = asyncio.create_task(bot.send_message(server.chat_id, "held"))
    await eventually(lambda: len(server.called("sendMessage")) == 2)
    assert len(server.messages()) == 1
    gate.set()
    assert (await sending).text == "held"
