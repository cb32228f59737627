"""What each audience sees of a conversation: team talk stays with the team."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
import pytest

from bridge import events as ev
from bridge import wire
from bridge.errors import Refused
from bridge.events import Entry, Seq, Staff, StaffId
from tests.logs import ANN, ASSISTANT, SAM, SYSTEM, VISITOR, Attempt, Story, attempts, folded, log_of

NOTE, GUIDANCE, REASON, MAIL, STAFF_ID, KEY, SURFACE = (
    "NOTE-TEXT", "GUIDANCE-TEXT", "TEAM-REASON", "maria@private.example", "staff-id-7", "TEAM-KEY", "pager-surface",
)  # fmt: skip
DANA = Staff(id=StaffId(STAFF_ID), name="Dana")
EVE = Staff(id=StaffId(STAFF_ID + "~2"), name="OBSERVER-NAME")
SECRETS = (NOTE, GUIDANCE, REASON, MAIL, STAFF_ID, KEY, SURFACE, "OBSERVER-NAME", "TEAM-VIA")

team_steps = st.sampled_from(
    [
        (DANA, ev.Noted(text=NOTE)), (EVE, ev.Noted(text=NOTE)), (DANA, ev.Guided(text=GUIDANCE)), (EVE, ev.Joined()),
        (EVE, ev.Left()), (VISITOR, ev.Identified(email=MAIL)), (SYSTEM, ev.Identified(user=REASON, verified=True)),
        (ASSISTANT, ev.HelpWanted(reason=REASON)), (SYSTEM, ev.HelpWanted(reason=REASON)), (DANA, ev.Closed(reason=REASON)),
        (SYSTEM, ev.HelpWanted(reason=REASON, step=1, last=True)), (SYSTEM, ev.Closed(reason=REASON)),
        (SYSTEM, ev.Undelivered(surface=SURFACE, target=Seq(1), reason=REASON)),
        (SYSTEM, ev.Undelivered(surface=SURFACE, target=Seq(1), reason=REASON, retrying=True)),
        (DANA, ev.TookOver()), (DANA, ev.Said(text="hello")), (DANA, ev.HandedBack()), (SYSTEM, ev.HandedBack()),
        (VISITOR, ev.Said(text="hi")), (ASSISTANT, ev.Said(text="yes")), (VISITOR, ev.Reopened()),
        (EVE, "edit"), (DANA, "edit"), (EVE, "retract"), (SYSTEM, "redact"),
    ]
)  # fmt: skip


def told(steps: list[tuple[ev.Party, ev.Event | str]]) -> Story:
    """As much of `steps` as the rules admit."""
    story = Story()
    for number, (by, step) in enumerate(steps):
        mine = [e.seq for e in story.entries if e.by == by and isinstance(e.event, ev.Noted | ev.Said)]
        if isinstance(step, str) and not mine and by != SYSTEM:
            continue
        event: ev.Event
        match step:
            case "edit":
                noted = isinstance(story.entries[mine[-1] - 1].event, ev.Noted)
                event = ev.Edited(target=mine[-1], text=NOTE if noted else "hello again")
            case "retract":
                event = ev.Retracted(target=mine[-1])
            case "redact":
                event = ev.Redacted(target=Seq(story.state.head))
            case other:
                assert not isinstance(other, str)
                event = other
        with_key = "visitor-key" if by == VISITOR else KEY
        try:
            story.propose(by, event, key=f"{with_key}-{number}")
        except Refused:
            continue
    story.entries = [replace(e, via="TEAM-VIA") for e in story.entries]
    return story


def frames_of(story: Story, audience: wire.Audience) -> bytes:
    lines = [wire.line(e, audience, story.state) for e in story.entries]
    view = wire.view(story.state, audience)
    welcome = wire.Welcome(log="log", you=wire.You(role=audience), state=view)
    entries = wire.Entries(lines=[x for x in lines if x is not None], state=view)
    return wire.encode(welcome) + wire.encode(entries)


@given(st.lists(team_steps, max_size=25))
def test_no_word_of_the_team_reaches_the_visitor(steps: list[tuple[ev.Party, ev.Event | str]]):
    shown = frames_of(told(steps), "visitor").decode()
    for secret in SECRETS:
        assert secret not in shown


def test_the_markers_are_there_to_be_found():
    story = told([
        (EVE, ev.Joined()), (EVE, ev.Noted(text=NOTE)), (DANA, ev.Guided(text=GUIDANCE)), (VISITOR, ev.Identified(email=MAIL)),
        (SYSTEM, ev.HelpWanted(reason=REASON)), (SYSTEM, ev.Undelivered(surface=SURFACE, target=Seq(1), reason=REASON)),
    ])  # fmt: skip
    shown = frames_of(story, "staff").decode()
    for secret in SECRETS:
        assert secret in shown, secret


@given(attempts())
def test_staff_see_every_entry_and_the_visitor_a_part_of_them_in_order(made: list[Attempt]):
    log = log_of(made)
    state = folded(log)
    for audience in ("staff", "visitor"):
        seqs = [x.seq for e in log if (x := wire.line(e, audience, state)) is not None]
        assert seqs == sorted(set(seqs))
        if audience == "staff":
            assert len(seqs) == len(log)


def shown(story: Story, audience: wire.Audience = "visitor") -> list[ev.Event]:
    return [x.event for e in story.entries if (x := wire.line(e, audience, story.state)) is not None]


def test_the_visitor_learns_that_help_was_asked_for_and_not_why():
    story = Story()
    story.propose(ASSISTANT, ev.HelpWanted(reason="angry customer"))
    assert shown(story)[1:] == [ev.HelpWanted()]
    assert shown(story, "staff")[1:] == [ev.HelpWanted(reason="angry customer")]


def test_a_note_may_be_edited_and_the_visitor_hears_of_neither():
    story = Story()
    story.propose(ANN, ev.Noted(text="vip"))
    story.propose(ANN, ev.Edited(target=Seq(2), text="very vip"))
    story.propose(ANN, ev.Retracted(target=Seq(2)))
    assert shown(story) == [ev.Opened(site="acme")]


@pytest.mark.parametrize("audience", ["visitor", "staff"])
@pytest.mark.parametrize("event", [ev.Retracted(target=Seq(2)), ev.Redacted(target=Seq(2))], ids=repr)
def test_what_was_taken_back_is_not_sent_to_who_comes_later(audience: wire.Audience, event: ev.Event):
    story = Story()
    story.propose(VISITOR, ev.Said(text="4111 1111"))
    story.propose(VISITOR, ev.Edited(target=Seq(2), text="4111 1112"))
    story.propose(SYSTEM if isinstance(event, ev.Redacted) else VISITOR, event)
    assert "4111" not in frames_of(story, audience).decode()
    assert [type(e).__name__ for e in shown(story, audience)[1:3]] == ["Said", "Edited"]


def test_the_visitor_gets_back_the_keys_of_their_own_messages_alone():
    story = Story()
    story.propose(VISITOR, ev.Said(text="hi"), key="mine")
    story.propose(ASSISTANT, ev.Said(text="yes"), key="ai:2")
    lines = [wire.line(e, "visitor", story.state) for e in story.entries]
    assert [x.key for x in lines if x] == ["k1", "mine", ""]


def test_a_party_has_an_id_for_staff_only():
    assert wire.who(ANN, "visitor") == wire.Who(role="staff", name="Ann")
    assert wire.who(ANN, "staff") == wire.Who(role="staff", name="Ann", id="id-ann")


def test_the_controller_says_who_answers():
    story = Story()
    seen = [wire.controller(story.state)]
    for by, event in [
        (VISITOR, ev.HelpWanted()),
        (ANN, ev.TookOver()),
        (ANN, ev.HandedBack()),
        (ANN, ev.Closed()),
    ]:
        story.propose(by, event)
        seen.append(wire.controller(story.state))
    assert seen == ["ai", "waiting", "human", "ai", "none"]


def test_the_view_of_each_audience():
    story = Story()
    story.propose(SAM, ev.Joined())
    story.propose(VISITOR, ev.Identified(email=MAIL))
    story.propose(ANN, ev.TookOver())
    visitor, staff = (wire.view(story.state, audience) for audience in ("visitor", "staff"))
    assert (visitor.controller, visitor.holder, visitor.since) == ("human", "Ann", 4)
    assert (visitor.holder_id, visitor.people, visitor.visitor, visitor.opened) == ("", [], None, None)
    assert staff.holder_id == "id-ann"
    assert [p.name for p in staff.people] == ["Ann", "Sam"]
    assert staff.visitor == ev.Identified(email=MAIL)


def test_an_entry_is_one_line_of_json():
    entry = Entry(seq=Seq(1), at=Story().now, event=ev.Said(text="a\u2028\n"), by=VISITOR, via="w", key="k")
    assert b"\n" not in wire.encode_entry(entry)
