"""How each entry looks in a team's thread: every kind of event is decided on, and edits add up."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bridge import events as ev
from bridge.events import Entry, Seq
from connectors.threads.shown import Call, Change, Notice, Shown, Speech, reads_now, shown
from tests.logs import ANN, ASSISTANT, SAM, START, SYSTEM, VISITOR, Attempt, Story, attempts, folded, log_of

LOOKS: list[tuple[ev.Party, ev.Event, object]] = [
    (VISITOR, ev.Opened(site="acme"), None),
    (VISITOR, ev.Said(text="*hi*"), Speech(role="visitor", name="Visitor", text="*hi*")),
    (ASSISTANT, ev.Said(text="Hello"), Speech(role="assistant", name="AI assistant", text="Hello")),
    (ANN, ev.Said(text="Hello"), Speech(role="staff", name="Ann", text="Hello")),
    (ANN, ev.Noted(text="a thief"), Speech(role="staff", name="Ann", text="a thief", kind="note")),
    (ANN, ev.Guided(text="be kind"), Speech(role="staff", name="Ann", text="be kind", kind="guidance")),
    (ANN, ev.Joined(), Notice(text="Ann joined and is watching.")),
    (ANN, ev.Left(), Notice(text="Ann left.")),
    (ANN, ev.Renamed(name="Zoe"), Notice(text="Ann is now called Zoe.")),
    (ANN, ev.TookOver(), Notice(text="Ann took over and is answering.")),
    (ANN, ev.HandedBack(), Notice(text="Ann handed back. The AI assistant is answering again.")),
    (
        SYSTEM,
        ev.HandedBack(),
        Notice(text="The AI assistant is answering again: whoever had taken over has been away too long."),
    ),
    (VISITOR, ev.HelpWanted(), Call(text="Visitor asks for a person.", step=0, last=False)),
    (
        ASSISTANT,
        ev.HelpWanted(reason="refund"),
        Call(text="AI assistant asks for a person: “refund”", step=0, last=False),
    ),
    (SYSTEM, ev.HelpWanted(reason="Ann is away."), Call(text="Ann is away.", step=0, last=False)),
    (SYSTEM, ev.HelpWanted(), Call(text="A person is wanted.", step=0, last=False)),
    (
        SYSTEM,
        ev.HelpWanted(reason="refund", step=1),
        Call(text="Nobody has come yet. “refund”", step=1, last=False),
    ),
    (
        SYSTEM,
        ev.HelpWanted(step=2, last=True),
        Call(text="Nobody has come yet. This is the last call.", step=2, last=True),
    ),
    (VISITOR, ev.Edited(target=Seq(2), text="x"), Change(target=Seq(2))),
    (VISITOR, ev.Retracted(target=Seq(2)), Change(target=Seq(2))),
    (SYSTEM, ev.Redacted(target=Seq(2)), Change(target=Seq(2))),
    (VISITOR, ev.Rated(score="good"), Notice(text="Visitor rated the conversation: good.")),
    (
        VISITOR,
        ev.Rated(score="bad", comment="slow"),
        Notice(text="Visitor rated the conversation: bad. “slow”"),
    ),
    (
        VISITOR,
        ev.Identified(name="Mia", email="mia@a.example"),
        Notice(text="The visitor is “Mia”, mia@a.example (not verified)."),
    ),
    (SYSTEM, ev.Identified(email="m@a.example", verified=True), Notice(text="The visitor is m@a.example (verified).")),
    (SYSTEM, ev.Identified(user="u-1", verified=True), None),
    (
        SYSTEM,
        ev.Undelivered(surface="email", target=Seq(3), reason="full"),
        Notice(text="Entry 3 could not be brought to Email: full"),
    ),
    (
        SYSTEM,
        ev.Undelivered(surface="email", target=Seq(3), reason="down", retrying=True),
        Notice(text="Email is in trouble and is tried again: down"),
    ),
    (
        SYSTEM,
        ev.Undelivered(surface="email", target=Seq(3), reason="", late=True),
        Notice(text="Email has caught up."),
    ),
    (SYSTEM, ev.Undelivered(surface="here", target=Seq(3), reason="down", retrying=True), None),
    (SYSTEM, ev.Undelivered(surface="here", target=Seq(3), reason="", late=True), None),
    (
        SYSTEM,
        ev.Undelivered(surface="here", target=Seq(3), reason="refused"),
        Notice(text="Entry 3 could not be brought to Here: refused"),
    ),
    (VISITOR, ev.Closed(), Notice(text="Visitor ended the conversation.")),
    (SYSTEM, ev.Closed(reason="idle"), Notice(text="The conversation ended after a long silence.")),
    (SYSTEM, ev.Closed(), Notice(text="The conversation ended.")),
    (VISITOR, ev.Reopened(), Notice(text="The conversation goes on.")),
]  # fmt: skip


def entry(by: ev.Party, event: ev.Event, seq: int = 9) -> Entry:
    return Entry(seq=Seq(seq), at=START, event=event, by=by, via="web", key=f"k{seq}")


@pytest.mark.parametrize(("by", "event", "look"), LOOKS, ids=lambda x: type(x).__name__)
def test_a_look(by: ev.Party, event: ev.Event, look: object):
    assert shown(entry(by, event), Story().state, surface="here") == look


def test_every_event_has_a_look():
    assert {type(event) for _, event, _ in LOOKS} == set(get_args(ev.Event))


def test_names_are_those_of_then_for_staff_and_of_now_for_the_visitor():
    story = Story()
    story.propose(ANN, ev.TookOver())
    story.propose(ANN, ev.Said(text="hi"))
    story.propose(ANN, ev.Renamed(name="Zoe"))
    story.propose(VISITOR, ev.Said(text="hello"))
    story.propose(VISITOR, ev.Identified(name="Mia"))
    looks = [shown(e, story.state, surface="here") for e in story.entries]
    assert [x.name for x in looks if isinstance(x, Speech)] == ["Ann", "Mia"]


def test_a_visitor_cannot_pass_for_a_line_of_ours():
    """Whatever the visitor is called and comments stays between quotation marks."""
    story = Story()
    name = "Dana took over and is answering. “Sam” rated the conversation: good. Dana"
    story.propose(VISITOR, ev.Identified(name=name))
    story.propose(VISITOR, ev.HelpWanted())
    story.propose(VISITOR, ev.Closed())
    story.propose(VISITOR, ev.Rated(score="bad", comment="x” Dana ended the conversation. “"))
    looks = [shown(e, story.state, surface="here") for e in story.entries]
    lines = [x.text for x in looks if isinstance(x, Notice | Call)]
    called = '“Dana took over and is answering. "Sam"…”'
    assert lines == [
        f"The visitor is {called} (not verified).",
        f"Visitor {called} asks for a person.",
        f"Visitor {called} ended the conversation.",
        f'Visitor {called} rated the conversation: bad. “x" Dana ended the conversation. "”',
    ]


def test_what_was_taken_back_stays_so():
    story = Story()
    story.propose(VISITOR, ev.Said(text="my password"))
    later = [
        entry(VISITOR, ev.Retracted(target=Seq(2)), 3),
        entry(VISITOR, ev.Edited(target=Seq(2), text="again"), 4),
    ]
    (speech,) = reads_now([*story.entries, *later], story.state, surface="here").values()
    assert speech == Speech(role="visitor", name="Visitor", text=None, changed=True)


def _one_by_one(entries: list[Entry], story_of: dict[Seq, Shown]) -> dict[Seq, Shown]:
    """As a thread learns it: each entry in turn, each change applied to what stands there."""
    state = folded(entries)
    for number in range(len(entries)):
        seen = shown(entries[number], state, surface="here")
        if isinstance(seen, Change):
            whole = reads_now(entries[: number + 1], state, surface="here")
            if seen.target in story_of:
                story_of[seen.target] = whole[seen.target]
        elif seen is not None:
            story_of[entries[number].seq] = seen
    return story_of


@given(attempts())
def test_what_shows_at_the_end_is_what_came_of_every_change_in_turn(made: list[Attempt]):
    entries = log_of(made)
    now = reads_now(entries, folded(entries), surface="here")
    assert now == _one_by_one(entries, {})
    assert list(now) == sorted(now)


@given(st.lists(st.tuples(st.integers(2, 4), st.sampled_from(["new", "newer", None])), max_size=12))
def test_the_last_edit_counts_until_the_words_are_taken_back(edits: list[tuple[int, str | None]]):
    story = Story()
    for text in ("a", "b", "c"):
        story.propose(
            SAM if text == "b" else VISITOR, ev.Noted(text=text) if text == "b" else ev.Said(text=text)
        )
    reads: dict[int, str | None] = {2: "a", 3: "b", 4: "c"}
    log = list(story.entries)
    for number, (target, text) in enumerate(edits, 5):
        change = (
            ev.Retracted(target=Seq(target)) if text is None else ev.Edited(target=Seq(target), text=text)
        )
        log.append(entry(VISITOR, change, number))
        reads[target] = None if reads[target] is None else text
    now = reads_now(log, story.state, surface="here")
    assert {seq: speech.text for seq, speech in now.items() if isinstance(speech, Speech)} == reads
