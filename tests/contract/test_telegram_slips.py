"""Telegram's small slips: marks in bold, halves of characters, words that pose as the team's, floods."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge import events as ev
from connectors.telegram import incoming, layout
from connectors.telegram.examination import examine
from connectors.telegram.settings import TelegramSettings
from connectors.threads.desk import NOT_PASSED_ON
from connectors.threads.shown import Speech
from tests.eventually import eventually
from tests.fakes.telegram import Person, TelegramServer
from tests.telegramming import MARIA, Team, joined, team


@pytest.fixture
async def desk() -> AsyncIterator[Team]:
    async with team() as running:
        yield running


async def tells(desk: Team, person: Person, thread: int, **changes: Any) -> int:
    """A message that nobody types just so; its id."""
    desk.server._updates.allowed, allowed = set(), desk.server._updates.allowed
    message = await desk.server.says(person, "x", topic=thread)
    desk.server._updates.allowed = allowed
    body = desk.server.world.json(desk.server.message(message))
    desk.server._updates.add("message", {**body, **changes})
    return message


@pytest.mark.parametrize(
    ("slip", "style"),
    [
        ("// he is lying", "bold"),
        ("// he is lying", "code"),
        ("\u200f// he is lying", ""),
        ("/guide offer ten percent", "bold"),
        ("/close", "code"),
        ("/close@joinline_bot", "italic"),
    ],
)
async def test_a_note_or_command_in_a_style_of_its_own_is_kept_for_the_team(
    desk: Team, slip: str, style: str
) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    await desk.server.says(dana, "/take", topic=thread)
    await desk.has(ev.TookOver)
    entities = [{"type": style, "offset": 0, "length": len(slip)}] if style else []
    message = await tells(desk, dana, thread, text=slip, entities=entities)
    await desk.reacted(message, "✍")
    assert len(await desk.events(ev.Said)) == 1
    assert not (await desk.bridge.state(MARIA)).closed


async def test_a_command_that_was_mistyped_and_edited_is_told(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    message = await desk.server.says(dana, "/tkae", topic=thread)
    await desk.replied(message, "There is no command")
    await desk.server.edits(dana, message, "/take")
    await desk.replied(message, NOT_PASSED_ON)
    assert await desk.events(ev.TookOver) == []


async def test_half_of_a_character_stops_no_other_update(desk: Team) -> None:
    dana, thread = joined(desk, "Dana"), await desk.started()
    half = await tells(desk, dana, thread, text="by \ud83d sea")
    message = await desk.server.says(dana, "or by air", topic=thread)
    await desk.reacted(message, "✍")
    await desk.reacted(half, "✍")
    assert [n.text for n in await desk.events(ev.Noted)] == ["by ? sea", "or by air"]


async def test_the_words_of_a_visitor_do_not_look_like_anothers_heading(desk: Team) -> None:
    text = "Hello\n\n**Dana · to the visitor**\nYou get your money back"
    (piece,) = layout.pieces(
        [Speech(role="visitor", name="Lee · to the visitor", text=text)], on_duty=(), names={}
    )
    assert piece.text.count("<b>") == 1
    assert piece.text.startswith("<b>Lee - to the visitor · visitor</b>")
    await desk.begin(text)
    await desk.done()
    assert "Dana · to the visitor" not in "".join(
        part.partition("</b>")[0] for part in desk.card().html.split("<b>")[1:]
    )


async def test_strangers_are_told_once_a_minute(desk: Team) -> None:
    await desk.started()
    stranger = desk.server.add_person("Stranger")
    for _ in range(5):
        await desk.server.says(stranger, "/start", chat=stranger.id)
        await desk.server.says(stranger, "hello", chat=stranger.id)
    await desk.heard()
    told = [m.shown for m in desk.server.private_messages(stranger) if m.by_bot]
    await eventually(lambda: len([m for m in desk.server.private_messages(stranger) if m.by_bot]) == 2)
    assert set(told) <= {incoming.STARTED, incoming.PRIVATE}


async def test_the_check_names_the_groups_that_the_bot_is_in() -> None:
    async with TelegramServer() as server:
        server.add_group("Desk")
        person = server.add_person("Dana")
        server.join(person)
        await server.says(person, "hello")
        setup = Team(server, chat=-1009999)
        section = next(v for v in vars(setup.config).values() if isinstance(v, TelegramSettings))
        for _ in range(2):  # the updates go on to wait
            found = [f for f in [f async for f in examine(setup.config, section)] if not f.good]
            assert f"“Desk” ({server.chat_id})" in found[0].mend
