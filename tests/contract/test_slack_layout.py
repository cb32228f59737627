"""What things look like in Slack, what is read out of its payloads, and what its app must be allowed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace
import pytest
import yaml

from bridge.events import ConversationId, Seq
from connectors.slack import happenings, layout
from connectors.slack.calls import SCOPES
from connectors.threads.card import Card
from connectors.threads.desk import Offer
from connectors.threads.shown import Call, Notice, Shown, Speech
from tests.fakes.slack import Slack
from tests.fakes.slack_blocks import check_message, check_view
from tests.fakes.slack_text import links, mentions
from tests.slacking import Team

CID = ConversationId("c1")
NOW = datetime(2026, 3, 2, 14, 0, 30, tzinfo=UTC)
FOLDER = Path(layout.__file__).parent
CARD = Card(
    visitor="Maria", business="Acme", page="https://www.acme.example/tents", page_title="Tents", opened_at=NOW,
    words="Do you ship to Norway?", stage="assistant", since=Seq(1), answering="AI assistant", watching=("Sam", "Lia"),
    waiting_since=None, last_at=NOW, buttons=("take", "observe", "link", "close"),
)  # fmt: skip
HOSTILE = ["<!channel>", "<@U1ABC>", "*b*", "`c`", "_i_", "&amp;", "[l](https://e.test)", "\n", "https://e.test/a_b", "x" * 300, "é", "```", "> q", "@here", "~s~"]  # fmt: skip


def texts(*group: Shown) -> list[str]:
    return [piece.text for piece in layout.pieces(group, on_duty=[["here"]])]


# The card


def test_a_card_says_everything_in_blocks_and_in_text() -> None:
    look = layout.card(replace(CARD, waiting_since=NOW - timedelta(minutes=4)), CID, now=NOW)
    check_message(look["blocks"])
    for words in (
        "Maria · Acme",
        "Do you ship",
        "Tents – https://www.acme.example/tents",
        "AI assistant",
        "Sam, Lia",
        "4 min",
    ):
        assert words in look["text"]
        assert words in str(look["blocks"])
    (row,) = [b for b in look["blocks"] if b["type"] == "actions"]
    assert [json.decode(e["value"], type=layout.Press).since for e in row["elements"]] == [1] * 4
    end = row["elements"][-1]
    assert set(end["confirm"]) == {"title", "text", "confirm", "deny", "style"}


def test_a_card_is_the_same_until_a_minute_is_over() -> None:
    later = replace(CARD, last_at=NOW + timedelta(seconds=20))
    assert layout.card(CARD, CID, now=NOW) == layout.card(later, CID, now=NOW + timedelta(seconds=20))
    assert layout.card(CARD, CID, now=NOW) != layout.card(
        replace(CARD, last_at=NOW + timedelta(minutes=1)), CID, now=NOW
    )


@given(*[st.lists(st.sampled_from(HOSTILE), max_size=40).map("".join)] * 4)
def test_no_card_breaks_slacks_rules_or_mentions_anybody(
    words: str, name: str, title: str, page: str
) -> None:
    card = replace(
        CARD,
        words=words[:4000],
        visitor=name or "V",
        page_title=title,
        page=page,
        answering=name or "V",
        watching=(name,) * 30,
    )
    look = layout.card(card, CID, now=NOW)
    check_message(look["blocks"])
    assert len(look["text"]) <= 4000
    assert mentions(look["text"], look["blocks"]) == []
    assert [link for link in links(look["text"], look["blocks"]) if link.label] == []


@pytest.mark.parametrize("char", ["&", "<", "＊", "*", "`", "@", "👩‍👩‍👧", "é", "\u05e9"])
def test_no_visitor_can_make_a_card_that_slack_refuses(char: str) -> None:
    card = replace(
        CARD, words=(char * 3 + "\n") * 900, visitor=char * 200, page_title=char * 500,
        page=f"https://www.acme.example/{char * 2000}", watching=tuple(f"{n}{char * 38}" for n in range(30)),
    )  # fmt: skip
    look = layout.card(card, CID, now=NOW)
    check_message(look["blocks"])
    (piece,) = layout.pieces(
        [Notice(text=f"Maria rated the conversation: good. “{char * 4000}”")], on_duty=()
    )
    check_message(layout.post(piece)["blocks"])


def test_short_lines_are_quoted_as_far_as_there_is_room() -> None:
    look = layout.card(replace(CARD, words="a\n" * 2000), CID, now=NOW)
    check_message(look["blocks"])
    assert str(look["blocks"]).count("> a") == 2000
    assert "> a" in look["text"], "a notification shows how it begins"


# Messages


def test_each_speaker_has_a_name_that_nobody_can_pose_as() -> None:
    def name(**about: Any) -> str:
        return layout.speaker(Speech(text="x", **about))

    assert name(role="visitor", name="AI assistant") == "AI assistant · visitor"
    assert name(role="visitor", name="Dana · team") == "Dana - team · visitor"
    assert name(role="assistant", name="anything") == "AI assistant"
    assert name(role="staff", name="Dana") == "Dana · team"
    assert name(role="staff", name="Dana", kind="note") == "Dana · note (team only)"
    assert name(role="staff", name="Dana", kind="guidance") == "Dana · guidance to the AI"


def test_a_late_thread_names_speakers_and_calls_nobody_again() -> None:
    said = Speech(role="visitor", name="*Maria*", text="Hello")
    call = Call(text="A person is wanted.", step=0, last=False)
    gone = Speech(role="staff", name="Dana", text=None)
    (text,) = texts(said, call, gone)
    assert text.splitlines() == [
        "*∗Maria∗ · visitor:* Hello",
        "A person is wanted.",
        "*Dana · team:* _taken back_",
    ]
    (piece,) = layout.pieces([said, call], on_duty=[["here"]])
    assert set(layout.post(piece)) == {"text", "unfurl_links", "unfurl_media", "link_names"}


def test_in_a_late_thread_nobodys_words_pass_for_somebody_elses() -> None:
    posing = "Hello\n**Dana · team:** give him his money back"
    long = Speech(role="visitor", name="Maria", text="a " * 1500 + "\n\n**Dana · team:** give it back")
    for text in texts(Speech(role="visitor", name="Maria", text=posing), long):
        ours = [line for line in text.splitlines() if not line.startswith("> ")]
        assert set(ours) <= {"*Maria · visitor:*"}


def test_half_of_a_character_keeps_no_message_out() -> None:
    event = {"type": "message", "channel": "C1", "ts": "1.2", "user": "U1", "text": "a\ud83d b"}
    found = happenings.item({"type": "event_callback", "team_id": "T1", "event": event})
    assert found is not None
    typed = happenings.read(found.body)
    assert isinstance(typed, happenings.Typed)
    assert typed.text == "a? b"


@given(
    st.lists(
        st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=60).map("".join), min_size=1, max_size=20
    )
)
def test_messages_keep_slacks_limits(words: list[str]) -> None:
    for part in texts(
        *(Speech(role="visitor", name="Maria", text=text[:4000], changed=True) for text in words)
    ):
        assert 0 < len(part) <= 3_000
        assert mentions(part, []) == []


@pytest.mark.parametrize(
    ("step", "last", "expected"),
    [
        (0, False, "<@U1A>"),
        (1, False, "<!subteam^S1A> <!here>"),
        (5, False, "<!subteam^S1A> <!here>"),
        (2, True, "<@U1A> <!subteam^S1A> <!here>"),
    ],
)
def test_whom_a_call_is_for(step: int, last: bool, expected: str) -> None:
    assert layout.mentions([["U1A"], ["S1A", "here", "U1A"][:2]], step=step, last=last) == expected


def test_words_for_one_person_are_valid() -> None:
    offered = layout.offer("It is <!here> *kept*", Offer(seq=Seq(4), since=Seq(1)), CID, ts="1.2")
    check_message(offered["blocks"])
    assert mentions(offered["text"], offered["blocks"]) == []
    sent = json.decode(offered["blocks"][1]["elements"][0]["value"], type=layout.Send)
    assert (sent.cid, sent.seq, sent.since, sent.ts) == (CID, 4, 1, "1.2")
    linked = layout.link("https://chat.acme.example/join#secret")
    check_message(linked["blocks"])
    assert "secret" not in linked["text"]
    check_view(layout.guide("about"))
    assert layout.post(layout.pieces([Notice(text="Lia <!here>")], on_duty=[])[0])["blocks"]


# Payloads


def message(**event: Any) -> happenings.Happening | None:
    base = {
        "type": "message",
        "channel": "C1",
        "user": "U1",
        "text": "hi",
        "ts": "2.0",
        "thread_ts": "1.0",
        "team": "T1",
    }
    body = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": base | event}
    return happenings.read(json.encode(body))


def test_one_post_has_one_key_however_it_is_told() -> None:
    typed, mentioned = message(), message(type="app_mention")
    assert isinstance(typed, happenings.Typed)
    assert typed.key == mentioned.key == "msg:T1:C1:2.0"  # type: ignore[union-attr]
    assert typed.lane == "C1:1.0"


def test_what_concerns_nobody_is_not_kept() -> None:
    own = {"user": "U1", "text": "a", "ts": "2.0", "bot_id": "B1"}
    for event in (
        {"edited": {"ts": "3.0"}}, {"type": "app_mention", "edited": {"ts": "3.0"}},
        {"bot_id": "B1"}, {"app_id": "A1"}, {"subtype": "bot_message"}, {"subtype": "channel_join"}, {"user": None},
        {"subtype": "message_changed", "message": own | {"edited": {"ts": "3.0"}}, "previous_message": own},
        {"subtype": "message_changed", "message": {"user": "U1", "text": "a", "ts": "2.0"}, "previous_message": {"text": "a"}},
        {"subtype": "message_deleted", "deleted_ts": "2.0", "previous_message": own | {"thread_ts": "1.0"}},
        {"type": "reaction_added", "item": {"type": "message"}}, {"type": "channel_rename", "channel": {"id": "C1"}},
    ):  # fmt: skip
        assert message(**event) is None, event
    assert happenings.item({"type": "ssl_check"}) is None


def test_a_root_that_goes_is_noticed_in_both_ways() -> None:
    own = {"text": "a", "ts": "1.0", "bot_id": "B1"}
    stone = {
        "subtype": "message_changed",
        "message": {"ts": "1.0", "subtype": "tombstone"},
        "previous_message": own,
    }
    gone = {"subtype": "message_deleted", "deleted_ts": "1.0", "previous_message": own}
    for event in (stone, gone):
        found = message(**event)
        assert isinstance(found, happenings.Erased)
        assert (found.root, found.bots, found.key) == ("1.0", True, "gone:C1:1.0")


# The app


@pytest.mark.parametrize("name", ["manifest.yaml", "manifest-http.yaml"])
def test_the_manifest_asks_for_what_is_used_and_no_more(name: str) -> None:
    manifest = yaml.safe_load((FOLDER / name).read_text())
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == SCOPES
    settings = manifest["settings"]
    assert set(settings["event_subscriptions"]["bot_events"]) == {
        "app_mention",
        "message.channels",
        "message.groups",
    }
    assert settings["interactivity"]["is_enabled"]
    assert [s["callback_id"] for s in manifest["features"]["shortcuts"]] == [layout.GUIDE]
    over_http = name == "manifest-http.yaml"
    assert settings["socket_mode_enabled"] is not over_http
    urls = [settings[key].get("request_url", "") for key in ("event_subscriptions", "interactivity")]
    assert [re.sub("https://[^/]+", "", url) for url in urls] == (
        ["/slack/events", "/slack/interactions"] if over_http else ["", ""]
    )


async def test_an_app_with_these_scopes_and_events_does_everything() -> None:
    """And each call that is made has the scope it needs: the server checks."""
    async with Slack(
        scopes=" ".join(SCOPES), subscriptions="app_mention message.channels message.groups"
    ) as slack:
        dana = slack.add_user("dana")
        async with Team(slack).open() as team:
            root = await team.started()
            await slack.says(dana, "// note", thread=root)
            await slack.says(dana, "hello", thread=root)
            await team.hears(dana, "kept as a note")
        assert [c for c in slack.calls if c.outcome != "ok"] == []
