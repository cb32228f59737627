"""What members of staff do in Slack: words, commands, buttons, edits, deletions; and who is none of them."""

from collections.abc import AsyncIterator, Mapping
import io
import json
import time
from typing import Any

import aiohttp
import pytest

from bridge import events as ev
from tests.eventually import eventually
from tests.fakes.slack import SUBSCRIPTIONS, Slack
from tests.slacking import LIA, MARIA, Team


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack(subscriptions=f"{SUBSCRIPTIONS} message.im") as server:
        yield server


@pytest.fixture(params=["socket", "http"])
async def team(slack: Slack, request: pytest.FixtureRequest) -> AsyncIterator[Team]:
    async with Team(slack, mode=request.param).open() as team:
        yield team


@pytest.fixture
def dana(slack: Slack) -> str:
    return slack.add_user("dana", display_name="Dana")


def reactions(slack: Slack, ts: str) -> list[str]:
    return sorted(slack.message(ts).reactions)


async def holding(slack: Slack, team: Team, who: str) -> str:
    """A thread in which `who` has taken over; the root's ts."""
    root = await team.started()
    await slack.presses(who, root, action_id="take")
    await team.has(ev.TookOver)
    return root


# Words


async def test_words_of_who_has_the_floor_go_to_the_visitor_and_are_ticked(
    slack: Slack, team: Team, dana: str
) -> None:
    root = await holding(slack, team, dana)
    ts = await slack.says(dana, "Yes, *by sea* & <https://acme.example/ship|air>", thread=root, wire=True)
    await eventually(lambda: reactions(slack, ts) == ["white_check_mark"])
    (said,) = [e for e in await team.log() if isinstance(e.event, ev.Said) and isinstance(e.by, ev.Staff)]
    assert said.event.text == "Yes, **by sea** & air (https://acme.example/ship)"
    assert (said.by.name, said.via) == ("Dana", "slack")
    await team.done()
    assert "Yes" not in "".join(team.shown()), "it stands in the thread already"


async def test_words_of_anybody_else_are_a_note_that_can_be_sent_with_one_press(
    slack: Slack, team: Team, dana: str
) -> None:
    root = await team.started()
    ts = await slack.says(dana, "Yes, by sea", thread=root)
    hint = await team.hears(dana, "kept as a note")
    assert hint.thread_ts == root
    assert reactions(slack, ts) == ["memo"]
    assert await team.texts(ev.Noted) == ["Yes, by sea"]
    assert await team.texts() == []
    await slack.presses(dana, hint.ts, action_id="send")
    await eventually(lambda: reactions(slack, ts) == ["white_check_mark"])
    assert await team.texts() == ["Yes, by sea"]
    await eventually(lambda: hint.gone)
    taken, said, gone = [e.event for e in await team.log()][-3:]
    assert isinstance(taken, ev.TookOver)
    assert isinstance(said, ev.Said)
    assert isinstance(gone, ev.Retracted), "the note became the message"


async def test_take_over_and_send_loses_to_who_was_first_and_can_be_pressed_again(
    slack: Slack, team: Team, dana: str
) -> None:
    root = await team.started()
    await slack.says(dana, "Yes, by sea", thread=root)
    hint = await team.hears(dana, "kept as a note")
    await team.do(LIA, ev.TookOver())
    await slack.presses(dana, hint.ts, action_id="send")
    again = await team.hears(dana, "Your note was not sent.")
    assert await team.texts() == []
    await slack.presses(dana, again.ts, action_id="send")
    await eventually(lambda: again.gone)
    assert await team.texts() == ["Yes, by sea"]


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_a_plain_reply_takes_over_where_that_is_set(slack: Slack, dana: str, mode: str) -> None:
    async with Team(slack, mode=mode, thread_text="takes_over").open() as team:
        root = await team.started()
        ts = await slack.says(dana, "Yes, by sea", thread=root)
        await eventually(lambda: reactions(slack, ts) == ["white_check_mark"])
        assert await team.texts() == ["Yes, by sea"]
        note = await slack.says(dana, " // difficult one", thread=root)
        await eventually(lambda: reactions(slack, note) == ["memo"])
        assert await team.texts(ev.Noted) == ["difficult one"]


async def test_mentions_in_words_become_names(slack: Slack, team: Team, dana: str) -> None:
    sam = slack.add_user("sam", display_name="Sam")
    root = await holding(slack, team, dana)
    await slack.says(dana, f"<@{sam}> and I look into it <!here>", thread=root)
    await eventually(team.texts)
    assert await team.texts() == ["@Sam and I look into it @here"]


async def test_a_broadcast_reply_is_a_reply(slack: Slack, team: Team, dana: str) -> None:
    root = await holding(slack, team, dana)
    await slack.says(dana, "Hello", thread=root, broadcast=True)
    assert await eventually(team.texts) == ["Hello"]


async def test_files_are_not_carried_and_it_says_so(slack: Slack, team: Team, dana: str) -> None:
    root = await holding(slack, team, dana)
    await slack.shares_file(dana, "list.pdf", text="Here is the list", thread=root)
    await team.hears(dana, "Files are not carried to the visitor: only the team sees list.pdf.")
    assert await team.texts() == ["Here is the list"]
    await slack.shares_file(dana, "photo.png", thread=root)
    await team.hears(dana, "photo.png")
    assert await team.texts() == ["Here is the list"]


# Commands


async def test_commands_work_with_a_mark_and_by_name(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    take = await slack.says(dana, "!take", thread=root)
    await team.has(ev.TookOver)
    await eventually(lambda: reactions(slack, take) == ["white_check_mark"])
    await slack.says(dana, "!name Captain Dana", thread=root)
    await slack.says(dana, f"<@{slack.bot_user}> back See you", thread=root)
    await team.has(ev.HandedBack)
    assert await team.texts() == ["See you"]
    await slack.says(dana, "!note for us", thread=root)
    await slack.says(dana, "!guide be kind", thread=root)
    await slack.says(dana, "!who", thread=root)
    await team.hears(dana, "Answering: AI assistant. Joined: Captain Dana (you).")
    assert [g.text for g in await team.has(ev.Guided)] == ["be kind"]
    await slack.says(dana, "!observe", thread=root)
    await team.hears(dana, "You are observing.")
    await slack.says(dana, f"<@{slack.bot_user}>", thread=root)
    assert "take [words]:" in (await team.hears(dana, "List the commands")).shown
    await slack.says(dana, "!close", thread=root)
    await team.has(ev.Closed)


async def test_unknown_commands_are_answered_and_reach_nobody(slack: Slack, team: Team, dana: str) -> None:
    root = await holding(slack, team, dana)
    await slack.says(dana, "!tkae", thread=root)
    await team.hears(dana, "There is no command “!tkae”. Did you mean “!take”?")
    await slack.says(dana, f"<@{slack.bot_user}> please help him", thread=root)
    await team.hears(dana, "There is no command “!please”.")
    assert await team.texts() == []
    assert await team.texts(ev.Noted) == []


async def test_a_personal_link_comes_to_the_one_who_asked(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    await slack.says(dana, "!link", thread=root)
    typed = await team.hears(dana, "personal link")
    await slack.presses(dana, root, action_id="link")
    pressed = await team.hears(dana, "personal link", count=2)
    for one in (typed, pressed):
        (url,) = one.urls
        assert url.startswith(f"{team.config.base_url}/join")
        assert "/join" not in one.shown, "the address is not written out"
    assert typed.urls != pressed.urls
    public = " ".join(m.text + json.dumps(m.blocks) for m in slack.messages.values())
    assert "/join" not in public
    assert (await slack.presses(dana, typed.ts, action_id="open")).kind == "interactive"


# Buttons


async def test_buttons_do_what_they_say(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    await slack.presses(dana, root, action_id="observe")
    await team.has(ev.Joined)
    await slack.presses(dana, root, action_id="take")
    await team.has(ev.TookOver)
    await eventually(lambda: "Answering:* Dana" in team.root.shown)
    await slack.presses(dana, root, action_id="back")
    await team.has(ev.HandedBack)
    await slack.presses(dana, root, action_id="close")
    await team.has(ev.Closed)


async def test_two_who_press_at_once_one_wins_and_one_is_told(slack: Slack, team: Team, dana: str) -> None:
    sam = slack.add_user("sam", display_name="Sam")
    root = await team.started()
    value = slack.message(root).buttons[0].value
    first = await slack.presses(dana, root, action_id="take", value=value)
    second = await slack.presses(sam, root, action_id="take", value=value)
    await first.done()
    await second.done()
    loser = await eventually(lambda: [e for e in slack.ephemerals if "took over" in e.shown])
    assert len(await team.events(ev.TookOver)) == 1
    winner = (await team.bridge.state(MARIA)).holder_name
    assert {loser[0].user: winner} in ({dana: "Sam"}, {sam: "Dana"})


async def test_words_after_a_press_are_shown_where_they_can_be_seen(
    slack: Slack, team: Team, dana: str
) -> None:
    """Slack shows nobody an ephemeral message in a thread without replies."""
    root = await team.started(name="")
    await slack.presses(dana, root, action_id="link")
    assert (await team.hears(dana, "personal link")).thread_ts is None
    await team.says("Hello?")
    await team.done()
    await slack.presses(dana, root, action_id="link")
    assert (await team.hears(dana, "personal link", count=2)).thread_ts == root


async def test_guidance_through_a_message_shortcut(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    reply = await slack.says(dana, "hm", thread=root)
    await slack.shortcut(dana, "guide", reply)
    (view,) = await eventually(lambda: slack.views)
    assert view.title == "Guide the AI"
    ((block, field),) = view.inputs
    await slack.submits(dana, view.id, {block: {field: "Offer the boat"}})
    assert [g.text for g in await team.has(ev.Guided)] == ["Offer the boat"]
    assert not view.open
    await team.hears(dana, "The AI follows it")
    elsewhere = await slack.says(dana, "unrelated")
    await slack.shortcut(dana, "guide", elsewhere)
    await team.hears(dana, "works on messages in the thread")


# Edits and deletions


async def test_edits_and_deletions_follow(slack: Slack, team: Team, dana: str) -> None:
    root = await holding(slack, team, dana)
    ts = await slack.says(dana, "by see", thread=root)
    await eventually(team.texts)
    await slack.edits(dana, ts, "by *sea*")
    (edit,) = await team.has(ev.Edited)
    assert edit.text == "by **sea**"
    await slack.unfurls(ts, "https://acme.example")
    await slack.deletes(dana, ts)
    (gone,) = await team.has(ev.Retracted)
    assert gone.target == edit.target
    assert len(await team.events(ev.Edited)) == 1, "a preview is no edit"


async def test_an_edit_runs_no_command_and_sends_no_note(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    note = await slack.says(dana, "// hm", thread=root)
    await team.has(ev.Noted)
    await slack.edits(dana, note, "!take")
    await team.hears(dana, "An edit runs no command")
    await slack.edits(dana, note, f"<@{slack.bot_user}> take")
    await team.hears(dana, "An edit runs no command", count=2)
    command = await slack.says(dana, "!who", thread=root)
    await team.hears(dana, "Answering")
    await slack.edits(dana, command, "!take")
    await slack.quiet()
    assert await team.events(ev.TookOver) == []


async def test_what_comes_before_its_message_waits_for_it(slack: Slack, team: Team, dana: str) -> None:
    root = await holding(slack, team, dana)
    with slack.reorder():
        ts = await slack.says(dana, "by see", thread=root)
        await slack.edits(dana, ts, "by sea")
    (edit,) = await team.has(ev.Edited)
    assert edit.text == "by sea"
    with slack.reorder():
        ts = await slack.says(dana, "oops", thread=root)
        await slack.deletes(dana, ts)
    await team.has(ev.Retracted)


# Who and where


async def test_own_posts_and_other_bots_are_nobody(slack: Slack, team: Team, dana: str) -> None:
    root = await team.started()
    await slack.bot_says("!take", thread=root)
    await team.do(LIA, ev.TookOver())
    said = await team.do(LIA, ev.Said(text="Hello"))
    await team.do(LIA, ev.Edited(target=said, text="Hello!"))
    await team.done()
    head = (await team.bridge.state(MARIA)).head
    await slack.deletes(dana, team.thread()[-1].ts)
    await slack.quiet()
    assert (await team.bridge.state(MARIA)).head == head
    assert slack.ephemerals == []


async def test_who_is_not_on_the_list_is_told_and_changes_nothing(slack: Slack, dana: str) -> None:
    eve = slack.add_user("eve")
    async with Team(slack, staff=[dana]).open() as team:
        root = await team.started()
        ts = await slack.says(eve, "buy cheap tents", thread=root)
        await team.hears(eve, "not among those who answer")
        await slack.presses(eve, root, action_id="take")
        await team.hears(eve, "not among those who answer", count=2)
        await slack.edits(eve, ts, "!take")
        await slack.deletes(eve, ts)
        await slack.shortcut(eve, "guide", root)
        (view,) = await eventually(lambda: slack.views)
        await slack.submits(eve, view.id, {"guidance": {"text": "be rude"}})
        await team.hears(eve, "not among those who answer", count=3)
        assert [type(e.event) for e in await team.log()] == [ev.Opened, ev.Identified, ev.Said]
        await slack.says(dana, "// fine", thread=root)
        await team.has(ev.Noted)


async def test_members_of_the_channel_are_asked_for_again_before_a_no(
    slack: Slack, team: Team, dana: str
) -> None:
    root = await team.started()
    await slack.says(dana, "// one", thread=root)
    await team.has(ev.Noted)
    await slack.says(dana, "// two", thread=root)
    await team.has(ev.Noted, count=2)
    assert len(slack.calls_of("conversations.members")) == 1
    sam = slack.add_user("sam")
    await slack.says(sam, "// three", thread=root)
    await team.has(ev.Noted, count=3)
    assert len(slack.calls_of("conversations.members")) == 2


async def test_other_teams_are_refused(slack: Slack, team: Team) -> None:
    eve = slack.add_user("eve", team="T0OTHER")
    root = await team.started()
    await slack.says(eve, "hello", thread=root)
    await team.hears(eve, "Only members of the workspace")
    await slack.presses(eve, root, action_id="take")
    await team.hears(eve, "Only members of the workspace", count=2)
    assert len(await team.log()) == 3


async def test_other_places_get_a_word_where_one_is_expected(slack: Slack, team: Team, dana: str) -> None:
    await team.started()
    other = slack.add_channel("random", members=(dana,))
    direct = slack.add_channel("dm", kind="im", members=(dana,))
    await slack.says(dana, "!take", channel=other)
    await team.hears(dana, "Conversations are in another channel")
    await slack.says(dana, f"<@{slack.bot_user}> take", channel=other)
    await team.hears(dana, "Conversations are in another channel", count=2)
    await slack.says(dana, "hello?", channel=direct)
    await team.hears(dana, "Conversations are in another channel", count=3)
    await slack.says(dana, "!help")
    await team.hears(dana, "Commands work in the thread of a conversation.")
    ours = await slack.says(dana, "team lunch?")
    await slack.says(dana, "yes!", thread=ours)
    await slack.says(dana, "!important", channel=other)
    await slack.says(dana, "whatever", channel=other)
    await slack.quiet()
    assert len(slack.ephemerals) == 4
    assert len(await team.log()) == 3


async def test_a_post_that_mentions_the_bot_counts_once(slack: Slack, team: Team, dana: str) -> None:
    root = await holding(slack, team, dana)
    await slack.says(dana, f"ask <@{slack.bot_user}> later", thread=root)
    await slack.quiet()
    await eventually(team.texts)
    assert await team.texts() == ["ask @Joinline later"]


# The door for signed requests


async def signed(slack: Slack, team: Team, body: bytes, **headers: Any) -> int:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{team.port}/slack/events"
        given = {"Content-Type": "application/json", **slack.sign(body), **headers}
        given = {name: value for name, value in given.items() if value is not None}
        async with session.post(url, data=io.BytesIO(body), headers=given) as answer:
            return answer.status


async def test_whatever_is_odd_about_a_request_is_a_401(slack: Slack) -> None:
    async with Team(slack, mode="http").open() as team:
        body = json.dumps({"type": "url_verification", "challenge": "x"}).encode()

        old = slack.sign(body, time.time() - 301)
        soon = slack.sign(body, time.time() + 330)  # however long it takes to get there
        odd: list[Mapping[str, Any]] = [
            {"X-Slack-Signature": None},
            {"X-Slack-Request-Timestamp": None},
            {"X-Slack-Request-Timestamp": "abc"},
            {"X-Slack-Request-Timestamp": "9" * 5000},
            {"X-Slack-Signature": "v0=é"},
            {"X-Slack-Signature": ""},
            {"X-Slack-Signature": slack.sign(b"other")["X-Slack-Signature"]},
            old,
            soon,
        ]
        assert [await signed(slack, team, body, **headers) for headers in odd] == [401] * len(odd)
        assert await signed(slack, team, body) == 200
        assert await signed(slack, team, b'{"a": "\xff"}', **slack.sign(body)) == 401
        assert await signed(slack, team, b"x" * 2_000_000, **slack.sign(body)) == 413
        assert await signed(slack, team, b"{broken") == 400
        assert await signed(slack, team, b"[1]") in (200, 400)
