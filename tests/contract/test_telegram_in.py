"""What staff do in Telegram: texts, commands, buttons, edits; who may, and what each gets back."""

import asyncio
from collections.abc import AsyncIterator
import io
import json

import aiohttp
import pytest

from bridge import events as ev
from bridge.commands import REGISTRY
from bridge.events import ConversationId, Staff
from connectors.telegram import incoming, presses
from connectors.telegram.doors import PATH
from connectors.threads.desk import KEPT_AS_NOTE, NO_COMMANDS
from tests.eventually import eventually
from tests.fakes.telegram import TelegramServer
from tests.logs import ASSISTANT, VISITOR
from tests.telegramming import HOOK_SECRET, LIA, MARIA, Team, joined, team


@pytest.fixture(params=["polling", "webhook"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Team]:
    async with team(mode=request.param) as running:
        yield running


@pytest.fixture
async def desk() -> AsyncIterator[Team]:
    async with team() as running:
        yield running


@pytest.fixture
async def flat() -> AsyncIterator[Team]:
    async with team(forum=False) as running:
        yield running


async def quiet(desk: Team) -> None:
    """Until everything that was sent in has been handled, and answered."""
    await desk.heard()
    await asyncio.sleep(0.05)


async def holder(desk: Team) -> str:
    return (await desk.bridge.state(MARIA)).holder_name


# --- texts -----------------------------------------------------------------------------------------


async def test_a_text_is_a_note_with_an_offer_to_send_it(both: Team) -> None:
    dana, thread = joined(both, "Dana"), await both.started()
    message = await both.server.says(dana, "It is in **stock**", topic=thread)
    reply = await both.replied(message, KEPT_AS_NOTE)
    assert reply.silent
    assert [b.text for b in reply.buttons] == ["Take over and send"]
    await both.reacted(message, "✍")
    (note,) = await both.events(ev.Noted)
    assert note.text == "It is in **stock**"
    query = await both.server.presses(dana, reply.id, "Take over and send")
    assert (await both.answered(query)).text == "Sent to the visitor."
    await both.has(ev.Said, count=2)
    assert (await both.events(ev.Said))[-1].text == "It is in **stock**"
    await eventually(lambda: both.server.message(reply.id).deleted)
    await both.reacted(message, "👍")
    assert await holder(both) == "Dana"


async def test_who_holds_the_floor_speaks_to_the_visitor(both: Team) -> None:
    dana, thread = joined(both, "Dana"), await both.started()
    await both.server.says(dana, "/take", topic=thread)
    await both.has(ev.TookOver)
    message = await both.server.says(dana, "Hi, Dana here", topic=thread)
    await both.reacted(message, "👍")
    assert (await both.events(ev.Said))[-1].text == "Hi, Dana here"
    private = await both.server.says(dana, "// not for her eyes", topic=thread)
    await both.reacted(private, "✍")
    assert (await both.events(ev.Noted))[-1].text == "not for her eyes"
    await both.done()
    assert not [t for t in both.texts() if "Dana here" in t or "her eyes" in t]  # they stand there already


async def test_only_the_author_may_send_a_note_and_a_moved_floor_is_told(desk: Team) -> None:
    dana, sam, thread = joined(desk, "Dana"), joined(desk, "Sam"), await desk.started()
    message = await desk.server.says(dana, "In stock", topic=thread)
    reply = await desk.replied(message, KEPT_AS_NOTE)
    answer = await desk.answered(await desk.server.presses(sam, reply.id, "Take over and send"))
    assert answer.alert
    assert "your own note" in answer.text
    await desk.do(LIA, ev.TookOver())
    answer = await desk.answered(await desk.server.presses(dana, reply.id, "Take over and send"))
    assert answer.alert
    assert "Lia" in answer.text
    await eventually(lambda: "was not sent" in desk.server.message(reply.id).shown)
    answer = await desk.answered(await desk.server.presses(dana, reply.id, "Take over and send"))
    assert answer.text == "Sent to the visitor."
    assert await holder(desk) == "Dana"


async def test_takes_over_sends_at_once() -> None:
    async with team(thread_text="takes_over") as desk:
        dana, thread = joined(desk, "Dana"), await desk.started()
        message = await desk.server.says(dana, "It is in stock", topic=thread)
        await desk.reacted(message, "👍")
        assert await holder(desk) == "Dana"
        note = await desk.server.says(dana, "// careful", topic=thread)
        await desk.reacted(note, "✍")


async def test_edits_follow_and_run_no_command(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    message = await desk.server.says(dana, "In stok", topic=thread)
    await desk.has(ev.Noted)
    await desk.server.edits(dana, message, "In stock")
    await desk.has(ev.Edited)
    await desk.server.edits(dana, message, "In stock!")  # within the same second
    await desk.has(ev.Edited, count=2)
    assert [e.text for e in await desk.events(ev.Edited)] == ["In stock", "In stock!"]
    await desk.server.edits(dana, message, "/take")
    await desk.replied(message, NO_COMMANDS)
    command = await desk.server.says(dana, "/who", topic=thread)
    await desk.replied(command, "Answering")
    await desk.server.edits(dana, command, "/take")
    await quiet(desk)
    assert not await desk.events(ev.TookOver)


@pytest.mark.parametrize("delete", ["/delete", "/delete@JoinLine_bot"])
async def test_a_reply_with_delete_takes_ones_own_words_back(desk: Team, delete: str) -> None:
    dana, sam, thread = joined(desk, "Dana"), joined(desk, "Sam"), await desk.started()
    await desk.server.says(dana, "/take", topic=thread)
    message = await desk.server.says(dana, "Wrong", topic=thread)
    await desk.reacted(message, "👍")
    other = await desk.server.says(sam, "/delete", topic=thread, reply_to=message)
    await desk.replied(other, incoming.DELETE_WHAT)
    bare = await desk.server.says(dana, "/delete", topic=thread)
    await desk.replied(bare, incoming.DELETE_WHAT)
    assert not await desk.events(ev.Retracted)
    gone = await desk.server.says(dana, delete, topic=thread, reply_to=message)
    await desk.has(ev.Retracted)
    await desk.reacted(gone, "👌")


async def test_a_reply_in_a_topic_to_any_message_is_said_in_that_topic(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    await desk.server.says(dana, "yes", topic=thread, reply_to=desk.card().id)
    other = await desk.server.opens_topic(dana, "Lunch")
    await desk.has(ev.Noted)
    await desk.server.says(dana, "pizza", topic=other)
    await desk.server.says(dana, "outside")
    await quiet(desk)
    assert [n.text for n in await desk.events(ev.Noted)] == ["yes"]


@pytest.mark.parametrize("photo", [True, False])
async def test_a_file_stays_and_its_caption_counts(desk: Team, *, photo: bool) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    message = await desk.server.sends_file(dana, "a.png", b"123", caption="look", photo=photo, topic=thread)
    await desk.replied(message, incoming.FILE)
    await desk.has(ev.Noted)
    assert [n.text for n in await desk.events(ev.Noted)] == ["look"]
    bare = await desk.server.sends_file(dana, "a.png", b"123", photo=photo, topic=thread)
    await desk.replied(bare, incoming.FILE)
    assert len(await desk.events(ev.Noted)) == 1


async def test_of_an_album_it_is_said_once_that_files_stay(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    for album in ("7", "8"):
        for n in range(5):
            caption = "look" if n == 0 else ""
            await desk.server.sends_file(
                dana, f"{n}.png", b"123", caption=caption, photo=True, topic=thread, album=album
            )
    alone = await desk.server.sends_file(dana, "a.png", b"123", topic=thread)
    await desk.replied(alone, incoming.FILE)
    await desk.heard()

    def said() -> int:
        return [m.shown for m in desk.server.messages()].count(incoming.FILE)

    await eventually(lambda: said() == 3)
    assert [n.text for n in await desk.events(ev.Noted)] == ["look", "look"]


# --- commands --------------------------------------------------------------------------------------


async def test_every_command_works(both: Team) -> None:
    dana, thread = joined(both, "Dana"), await both.started()
    for text, kind in (
        ("/observe", ev.Joined),
        ("/take@JoinLine_bot Hello there", ev.TookOver),
        ("/name Dana D.", ev.Renamed),
        ("/note ask Sam", ev.Noted),
        ("/back See you", ev.HandedBack),
        ("/guide be kind", ev.Guided),
        ("/leave", ev.Left),
        ("/close", ev.Closed),
    ):
        message = await both.server.says(dana, text, topic=thread)
        await both.has(kind)
        await both.reacted(message, "✍" if kind is ev.Noted else "👌")
    said = [
        e.event.text for e in await both.log() if isinstance(e.event, ev.Said) and isinstance(e.by, Staff)
    ]
    assert said == ["Hello there", "See you"]


async def test_questions_are_answered_in_a_reply(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    who = await desk.server.says(dana, "/who", topic=thread)
    assert "AI assistant" in (await desk.replied(who, "Answering")).shown
    helped = await desk.server.says(dana, "/help", topic=thread)
    listed = (await desk.replied(helped, "take")).shown
    assert all(name in listed for name in REGISTRY)
    unknown = await desk.server.says(dana, "/tkae", topic=thread)
    await desk.replied(unknown, "Did you mean “/take”?")


async def test_commands_for_others_and_outside_of_topics(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    await desk.server.says(dana, "/take@other_bot", topic=thread)
    general = await desk.server.says(dana, "/take")
    await desk.replied(general, incoming.WHERE)
    assert not await desk.events(ev.TookOver)
    assert not await desk.events(ev.Noted)


async def test_a_link_is_told_in_private_only(both: Team) -> None:
    dana, thread = joined(both, "Dana"), await both.started()
    asked = await both.server.says(dana, "/link", topic=thread)
    await both.replied(asked, "t.me/joinline_bot")
    pressed = await both.answered(await both.server.presses(dana, both.card().id, "Open in browser"))
    assert pressed.alert
    assert "press Start" in pressed.text
    await both.server.starts_bot(dana)
    await eventually(lambda: any(m.shown == incoming.STARTED for m in both.server.private_messages(dana)))
    pressed = await both.answered(await both.server.presses(dana, both.card().id, "Open in browser"))
    assert pressed.text == presses.LINK_SENT
    link = both.server.private_messages(dana)[-1].shown.splitlines()[-1]
    assert link.startswith(f"{both.config.base_url}/join#")
    found = await both.house.links.find(link.partition("#")[2])
    assert found is not None
    assert (found[1].cid, found[1].recipient) == (MARIA, f"telegram:{dana.id}")
    assert not any("/join#" in m.shown for m in both.server.messages())


# --- buttons ---------------------------------------------------------------------------------------


async def test_every_button_works(both: Team) -> None:
    dana, _ = joined(both, "Dana"), await both.started()
    for label, kind in (
        ("Observe", ev.Joined),
        ("Take over", ev.TookOver),
        ("Hand back to AI", ev.HandedBack),
    ):
        await eventually(lambda label=label: any(b.text == label for b in both.card().buttons))
        answer = await both.answered(await both.server.presses(dana, both.card().id, label))
        assert answer.text == "Done."
        await both.has(kind)
    await eventually(lambda: "Answering: AI" in both.card().shown)
    first = await both.answered(await both.server.presses(dana, both.card().id, "End"))
    assert first.text == presses.END_AGAIN
    assert not await both.events(ev.Closed)
    await both.answered(await both.server.presses(dana, both.card().id, "End"))
    await both.has(ev.Closed)


async def test_a_press_from_an_old_view_loses_and_is_told(desk: Team) -> None:
    dana, _ = joined(desk, "Dana"), await desk.started()
    await desk.do(LIA, ev.TookOver())
    query = await desk.server.presses(dana, desk.card().id, "take|1")
    answer = await desk.answered(query)
    assert answer.alert
    assert "Lia" in answer.text
    assert await holder(desk) == "Lia"


async def test_a_press_that_is_too_old_or_of_something_unknown_is_no_trouble(desk: Team) -> None:
    dana, _ = joined(desk, "Dana"), await desk.started()
    desk.server.expire(await desk.server.presses(dana, desk.card().id, "Take over"))
    await desk.has(ev.TookOver)
    desk.card().rows[0][0].callback_data = "fly|1"
    answer = await desk.answered(await desk.server.presses(dana, desk.card().id, "fly|1"))
    assert answer.text == presses.UNKNOWN


# --- who may ---------------------------------------------------------------------------------------


async def test_only_those_in_the_group_by_default(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    await desk.server.says(dana, "in", topic=thread)
    await desk.has(ev.Noted)
    gone = joined(desk, "Gone", status="restricted")
    await desk.server.says(gone, "may speak", topic=thread)


@pytest.mark.parametrize("staff", ["admins", "ids"])
async def test_others_are_refused_shortly_and_nothing_is_deleted(staff: str) -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        dana, guest = server.add_person("Dana"), server.add_person("Guest")
        server.join(dana, status="administrator", rights=frozenset({"can_manage_chat"}))
        server.join(guest)
        async with Team(server, staff="admins" if staff == "admins" else [dana.id]).open() as desk:
            thread = await desk.started()
            message = await server.says(guest, "/take", topic=thread)
            await desk.replied(message, incoming.NOT_STAFF)
            again = await server.says(guest, "let me", topic=thread)
            answer = await desk.answered(await server.presses(guest, desk.card().id, "Take over"))
            assert answer.text == presses.NOT_STAFF
            await server.says(dana, "/take", topic=thread)
            await desk.has(ev.TookOver)
            assert {e.by.id for e in await desk.log() if isinstance(e.by, Staff)} == {f"telegram:{dana.id}"}
            assert not server.message(message).deleted
            assert not [m for m in server.messages() if m.reply_to == again]  # said once, not each time


async def test_anonymous_admins_and_forwarded_commands_are_refused(both: Team) -> None:
    dana, thread = joined(both, "Dana", status="creator"), await both.started()
    message = await both.server.says(dana, "/take", topic=thread, anonymous_admin=True)
    await both.replied(message, incoming.ANONYMOUS)
    forwarded = await both.server.says(dana, "/take", topic=thread, forwarded="Somebody")
    await both.replied(forwarded, incoming.FORWARDED)
    await both.server.says(dana, "/take@joinline_bot", topic=thread, forwarded=dana)
    await both.server.says(dana, "/take", topic=thread, via="gif")
    await quiet(both)
    assert not [e for e in await both.log() if isinstance(e.by, Staff)]


async def test_forwarded_words_are_kept_for_the_team_even_from_who_answers(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    await desk.server.says(dana, "/take", topic=thread)
    await desk.has(ev.TookOver)
    message = await desk.server.says(dana, "from elsewhere", topic=thread, forwarded="Somebody")
    await desk.reacted(message, "✍")
    assert [n.text for n in await desk.events(ev.Noted)] == ["from elsewhere"]


async def test_foreign_groups_and_private_chats_do_nothing(desk: Team) -> None:
    dana, _ = joined(desk, "Dana"), await desk.started()
    foreign = desk.server.add_group("Elsewhere")
    desk.server.join(dana, chat=foreign)
    topic = await desk.server.opens_topic(dana, "x", chat=foreign)
    await desk.server.says(dana, "/take", chat=foreign, topic=topic)
    await desk.server.says(dana, "/take", chat=dana.id)
    await eventually(lambda: any(m.shown == incoming.PRIVATE for m in desk.server.private_messages(dana)))
    await quiet(desk)
    assert not [e for e in await desk.log() if isinstance(e.by, Staff)]
    assert not [m for m in desk.server.messages(foreign) if m.by_bot]


async def test_another_bot_is_ignored(desk: Team) -> None:
    thread = await desk.started()
    robot = joined(desk, "Robot")
    robot.is_bot = True
    await desk.server.says(robot, "/take", topic=thread)
    await quiet(desk)
    assert not [e for e in await desk.log() if isinstance(e.by, Staff)]


# --- without topics --------------------------------------------------------------------------------


async def test_replies_reach_their_conversation(flat: Team) -> None:
    dana = joined(flat, "Dana")
    other = ConversationId("other")
    await flat.begin()
    await flat.begin("Is it open?", cid=other, name="Olu")
    await flat.done()
    await flat.done(other)
    await flat.says("Hello?")
    await flat.done()
    hello = next(m for m in flat.server.messages() if "Hello?" in m.shown)
    card = next(m for m in flat.server.messages() if "Is it open?" in m.shown)
    await flat.server.says(dana, "lost words")
    first = await flat.server.says(dana, "for Maria", reply_to=hello.id)
    second = await flat.server.says(dana, "for Olu", reply_to=card.id)
    await flat.replied(first, KEPT_AS_NOTE)
    await flat.replied(second, KEPT_AS_NOTE)
    further = await flat.server.says(dana, "// more for Maria", reply_to=first)
    await flat.reacted(further, "✍")
    assert [n.text for n in await flat.events(ev.Noted)] == ["for Maria", "more for Maria"]
    assert [n.text for n in await flat.events(ev.Noted, other)] == ["for Olu"]
    await flat.answered(await flat.server.presses(dana, card.id, "Take over"))
    await flat.has(ev.TookOver, other)


# --- the webhook -----------------------------------------------------------------------------------


async def test_the_webhook_lets_in_whoever_knows_the_secret() -> None:
    async with team(mode="webhook") as desk:
        dana, thread = joined(desk, "Dana"), await desk.started()
        assert desk.server.webhook.url == f"{desk.config.base_url}{PATH}"
        url = desk.server.webhook.url
        update = {
            "update_id": 1, "message": {
                "message_id": 900, "date": 1, "chat": desk.server.chat().json, "from": dana.json, "text": "/take",
                "message_thread_id": thread, "is_topic_message": True,
            },
        }  # fmt: skip
        async with aiohttp.ClientSession() as web:

            async def post(body: bytes, secret: str | None) -> int:
                headers = {} if secret is None else {"X-Telegram-Bot-Api-Secret-Token": secret}
                async with web.post(url, data=io.BytesIO(body), headers=headers) as answer:
                    return answer.status

            good = json.dumps(update).encode().replace(b'"update_id"', b'"half": "\\ud83d", "update_id"')
            for secret in (None, "", "x", HOOK_SECRET[:-1], HOOK_SECRET + "x", "é"):
                assert await post(good, secret) == 401
            for body in (b"", b"{", b"[]", b"\xff", b'{"update_id": "x"}', b"[" * 100_000):
                assert await post(body, HOOK_SECRET) == 200, "it would come again and again"
            assert await post(b" " * (1024 * 1024 + 1), HOOK_SECRET) == 413
            assert not await desk.events(ev.TookOver)
            assert await post(good, HOOK_SECRET) == 200
            assert await post(good, HOOK_SECRET) == 200
            async with web.get(url) as answer:
                assert answer.status == 405
        await desk.has(ev.TookOver)
        await quiet(desk)
        assert len(await desk.events(ev.TookOver)) == 1


async def test_a_repeated_update_is_one_entry(both: Team) -> None:
    dana, thread = joined(both, "Dana"), await both.started()
    await both.server.says(dana, "once", topic=thread)
    await both.has(ev.Noted)
    for update in list(both.server.updates):
        both.server.again(update["update_id"])
    await quiet(both)
    assert len(await both.events(ev.Noted)) == 1


async def test_the_visitor_reads_nothing_of_the_team(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    for text in ("a note", "/note another", "/guide secret", "// third"):
        await desk.server.says(dana, text, topic=thread)
    await desk.has(ev.Noted, count=3)
    await desk.has(ev.Guided)
    assert not [
        e for e in await desk.log() if isinstance(e.event, ev.Said) and e.by not in (VISITOR, ASSISTANT)
    ]
