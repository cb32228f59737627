"""What may enter a log, and what may not: the rules, one by one and under random fire."""

from datetime import timedelta

from hypothesis import given
import pytest

from bridge import events as ev
from bridge.conversation import MAX_ANSWER, MAX_TEXT, Duplicate, admit
from bridge.errors import Refused
from bridge.events import Party, Proposal, Seq, Staff, author
from tests.logs import (
    ANN,
    ASSISTANT,
    PARTIES,
    SAM,
    START,
    SYSTEM,
    VISITOR,
    Attempt,
    Story,
    attempts,
    folded,
    held_by,
    log_of,
    refusal,
)

# --- under random fire ---------------------------------------------------------------------------


@given(attempts())
def test_only_the_holder_of_the_floor_is_ever_heard(made: list[Attempt]):
    holder, since = author(ASSISTANT), Seq(1)
    fences = {e.seq: a.proposal.floor for a in made if isinstance(a.outcome, list) for e in a.outcome[:1]}
    for entry in log_of(made):
        match entry.event:
            case ev.Said() if not isinstance(entry.by, ev.Visitor):
                assert author(entry.by) == holder
            case ev.TookOver():
                assert isinstance(entry.by, Staff)
                if entry.seq in fences:
                    assert fences[entry.seq] == since
                holder, since = author(entry.by), entry.seq
            case ev.HandedBack() | ev.Reopened():
                holder, since = author(ASSISTANT), entry.seq
        if isinstance(entry.by, ev.Assistant) and entry.seq in fences:
            assert fences[entry.seq] == since


@given(attempts())
def test_the_log_is_dense_and_each_key_of_an_author_stands_once(made: list[Attempt]):
    log = log_of(made)
    assert [e.seq for e in log] == list(range(1, len(log) + 1))
    keys = [(author(e.by), e.key) for e in log]
    assert len(keys) == len(set(keys))


@given(attempts())
def test_whatever_was_admitted_is_a_duplicate_for_ever_and_takes_no_other_body(made: list[Attempt]):
    state = folded(log_of(made))
    for attempt in made:
        if not isinstance(attempt.outcome, list):
            continue
        again = admit(state, attempt.proposal, START)
        assert again == Duplicate(attempt.outcome[0].seq)
        other = Proposal(
            events=(ev.Said(text="something else"),),
            by=attempt.proposal.by,
            via="t",
            key=attempt.proposal.key,
        )
        with pytest.raises(Refused) as caught:
            admit(state, other, START)
        assert caught.value.code == "key_reused"


@given(attempts())
def test_nothing_but_epilogue_enters_a_closed_conversation(made: list[Attempt]):
    closed = False
    for entry in log_of(made):
        assert not (closed and isinstance(entry.event, ev.Said | ev.TookOver | ev.HandedBack | ev.HelpWanted))
        closed = isinstance(entry.event, ev.Closed) or (closed and not isinstance(entry.event, ev.Reopened))


# --- beginning and end ---------------------------------------------------------------------------


@pytest.mark.parametrize("by", [p for p in PARTIES if p != VISITOR], ids=author)
def test_only_the_visitor_opens(by: Party):
    assert refusal(Story(opened=False), by, ev.Opened(site="acme")).code == "not_allowed"


@pytest.mark.parametrize(
    "event", [ev.Said(text="hi"), ev.Noted(text="n"), ev.TookOver(), ev.Closed()], ids=repr
)
@pytest.mark.parametrize("by", PARTIES, ids=author)
def test_nothing_comes_before_the_opening(by: Party, event: ev.Event):
    assert refusal(Story(opened=False), by, event).code == "not_open"


def test_a_conversation_opens_once():
    assert refusal(Story(), VISITOR, ev.Opened(site="acme")).code == "invalid"


def test_the_first_message_opens_and_says_in_one():
    story = Story(opened=False)
    story.propose(VISITOR, ev.Opened(site="acme"), ev.Said(text="hello"))
    assert [e.key for e in story.entries] == ["k1", "k1#1"]


def test_after_the_end_words_are_refused_and_team_talk_and_a_rating_are_not():
    story = held_by(ANN)
    story.propose(ANN, ev.Closed())
    for by, event in [
        (VISITOR, ev.Said(text="wait")), (ASSISTANT, ev.Said(text="bye")), (ANN, ev.Said(text="bye")),
        (SAM, ev.TookOver()), (ANN, ev.HandedBack()), (VISITOR, ev.HelpWanted()), (VISITOR, ev.Closed()),
        (SYSTEM, ev.Closed()), (ANN, ev.Guided(text="x")), (VISITOR, ev.Identified(email="a@b.example")),
    ]:  # fmt: skip
        assert refusal(story, by, event).code == "closed"
    story.propose(VISITOR, ev.Rated(score="good"))
    story.propose(SAM, ev.Joined())
    story.propose(SAM, ev.Noted(text="call back"))
    story.propose(ANN, ev.Left())
    story.propose(VISITOR, ev.Reopened(), ev.Said(text="one more thing"))


def test_an_answer_from_before_the_end_is_late_for_ever():
    story = Story()
    before = story.state.floor.since
    story.propose(VISITOR, ev.Closed())
    story.propose(VISITOR, ev.Reopened())
    assert refusal(story, ASSISTANT, ev.Said(text="late"), floor=before).code == "floor_moved"


def test_an_open_conversation_is_not_reopened():
    assert refusal(Story(), VISITOR, ev.Reopened()).code == "invalid"


def test_who_observes_does_not_end_what_another_answers():
    story = held_by(SAM)
    error = refusal(story, ANN, ev.Closed())
    assert (error.code, error.message, error.holder) == ("not_holder", "Sam is answering.", "Sam")
    story.propose(SAM, ev.Closed())


# --- the floor and its fence ---------------------------------------------------------------------


@pytest.mark.parametrize("floor", [None, 0, 2, 99])
def test_the_assistant_says_nothing_without_the_right_fence(floor: int | None):
    code = refusal(Story(), ASSISTANT, ev.Said(text="hi"), floor=floor, fenced=False).code
    assert code == "floor_moved"


def test_the_assistants_late_answer_is_refused_even_when_the_floor_came_back():
    story = Story()
    started = story.state.floor.since
    story.propose(ANN, ev.TookOver())
    story.propose(ANN, ev.HandedBack())
    error = refusal(story, ASSISTANT, ev.Said(text="late"), floor=started)
    assert (error.code, error.holder) == ("floor_moved", "AI assistant")


def test_the_right_fence_alone_gives_the_assistant_no_voice():
    error = refusal(held_by(ANN), ASSISTANT, ev.Said(text="me too"))
    assert (error.code, error.holder) == ("not_holder", "Ann")


def test_of_two_who_take_over_from_one_view_one_wins_and_the_other_is_told_who():
    story = Story()
    seen = story.state.floor.since
    story.propose(ANN, ev.TookOver(), ev.Said(text="I am Ann"), floor=seen)
    error = refusal(story, SAM, ev.TookOver(), ev.Said(text="I am Sam"), floor=seen)
    assert (error.code, error.holder, error.message) == ("floor_moved", "Ann", "Ann took over.")


@pytest.mark.parametrize("events", [(ev.TookOver(),), (ev.Noted(text="mine"), ev.TookOver())], ids=repr)
def test_nobody_takes_over_blindly_wherever_the_takeover_stands(events: tuple[ev.Event, ...]):
    assert refusal(Story(), ANN, *events, fenced=False).code == "floor_moved"
    assert refusal(held_by(SAM), ANN, *events, floor=1).code == "floor_moved"


def test_a_message_without_the_floor_is_not_sent():
    story = held_by(SAM)
    error = refusal(story, ANN, ev.Said(text="hello"))
    assert (error.code, error.holder) == ("not_holder", "Sam")
    assert error.message == "Sam is answering. Your reply was not sent."


def test_a_message_that_crosses_the_hand_back_is_refused_after_it_and_sent_before_it():
    story = held_by(ANN)
    seen = story.state.floor.since
    story.propose(ANN, ev.Said(text="before"), floor=seen)
    story.propose(ANN, ev.HandedBack())
    assert refusal(story, ANN, ev.Said(text="after"), floor=seen).code == "floor_moved"
    assert refusal(story, ANN, ev.Said(text="after"), fenced=False).code == "not_holder"


def test_the_clock_hands_back_only_the_floor_it_saw():
    story = held_by(ANN)
    seen = story.state.floor.since
    story.propose(SAM, ev.TookOver())
    assert refusal(story, SYSTEM, ev.HandedBack(), floor=seen).code == "floor_moved"
    assert refusal(story, SYSTEM, ev.HandedBack(), fenced=False).code == "floor_moved"
    story.propose(SYSTEM, ev.HandedBack())


def test_what_was_decided_on_one_head_is_void_on_another():
    story = Story()
    proposal = Proposal(
        events=(ev.Closed(reason="idle"),), by=SYSTEM, via="clock", key="idle:1", head=story.state.head
    )
    story.propose(VISITOR, ev.Said(text="I am back"))
    with pytest.raises(Refused):
        story.submit(proposal)
    assert not story.state.closed


def test_only_the_holder_hands_back():
    story = held_by(SAM)
    assert refusal(story, ANN, ev.HandedBack()).code == "not_holder"
    story.propose(SAM, ev.HandedBack())
    assert refusal(story, SAM, ev.HandedBack()).code == "invalid"
    assert refusal(story, SYSTEM, ev.HandedBack()).code == "invalid"


def test_the_holder_does_not_take_over_from_themselves():
    assert refusal(held_by(ANN), ANN, ev.TookOver()).code == "invalid"


@pytest.mark.parametrize(
    ("by", "event"),
    [(by, ev.TookOver()) for by in (VISITOR, ASSISTANT, SYSTEM)]
    + [(by, ev.HandedBack()) for by in (VISITOR, ASSISTANT)]
    + [(by, ev.Noted(text="n")) for by in (VISITOR, ASSISTANT, SYSTEM)]
    + [(by, ev.Guided(text="n")) for by in (VISITOR, ASSISTANT, SYSTEM)]
    + [(by, ev.Joined()) for by in (VISITOR, ASSISTANT, SYSTEM)]
    + [(by, ev.Renamed(name="Zoe")) for by in (VISITOR, ASSISTANT, SYSTEM)]
    + [(by, ev.Rated(score="good")) for by in (ASSISTANT, SYSTEM, ANN)]
    + [(by, ev.Undelivered(surface="email", target=Seq(1), reason="x")) for by in (VISITOR, ASSISTANT, ANN)]
    + [(by, ev.Redacted(target=Seq(1))) for by in (VISITOR, ASSISTANT, ANN)]
    + [(by, ev.Identified(name="x")) for by in (ASSISTANT, ANN)]
    + [
        (VISITOR, ev.Identified(user="42", verified=True)),
        (ASSISTANT, ev.Closed()),
        (SYSTEM, ev.Said(text="x")),
    ]
    + [(ASSISTANT, ev.Edited(target=Seq(1), text="x")), (ANN, ev.HelpWanted())],
    ids=lambda v: author(v) if isinstance(v, ev.Party) else type(v).__name__,
)
def test_some_things_are_never_ones_to_do(by: Party, event: ev.Event):
    assert refusal(Story(), by, event).code == "not_allowed"


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u00a0"])
def test_an_empty_message_is_refused(text: str):
    assert refusal(Story(), VISITOR, ev.Said(text=text)).message == "The message is empty."


def test_a_message_has_a_length():
    story = Story()
    story.propose(VISITOR, ev.Said(text="x" * MAX_TEXT))
    error = refusal(story, VISITOR, ev.Said(text="x" * 4_120))
    assert error.message == "Message is too long (4,120 of 4,000 characters)."
    story.propose(ASSISTANT, ev.Said(text="x" * MAX_ANSWER))
    assert refusal(story, ASSISTANT, ev.Said(text="x" * (MAX_ANSWER + 1))).code == "invalid"
    for event in (ev.Noted(text="x" * 4_001), ev.Guided(text="x" * 4_001)):
        assert refusal(story, ANN, event).code == "invalid"
    assert refusal(story, VISITOR, ev.Rated(score="bad", comment="x" * 4_001)).code == "invalid"
    assert refusal(story, VISITOR, ev.HelpWanted(reason="x" * 4_001)).code == "invalid"


def test_people_change_their_own_words_only():
    story = held_by(ANN)
    story.propose(VISITOR, ev.Said(text="helo"))
    mine = Seq(story.state.head)
    for by in (ANN, SAM):
        assert refusal(story, by, ev.Edited(target=mine, text="x")).code == "invalid"
        assert refusal(story, by, ev.Retracted(target=mine)).code == "invalid"
    for target in (0, 1, 2, 99, -1):
        assert refusal(story, VISITOR, ev.Retracted(target=Seq(target))).code == "invalid"
    story.propose(VISITOR, ev.Edited(target=mine, text="hello"))
    assert refusal(story, VISITOR, ev.Edited(target=mine, text=" ")).code == "invalid"
    story.propose(VISITOR, ev.Retracted(target=mine))
    assert refusal(story, VISITOR, ev.Edited(target=mine, text="again")).code == "invalid"


@pytest.mark.parametrize(
    "email",
    ["x", "@b.example", "a@", "a@b@c", "a b@c.example", "a@b.example\nBcc: c@d.example", "<a@b.example>",
     "a@b.example,c@d.example", '"a"@b.example', "a" * 250 + "@b.example"],
)  # fmt: skip
def test_an_email_address_looks_like_one(email: str):
    assert refusal(Story(), VISITOR, ev.Identified(email=email)).code == "invalid"


def test_an_identity_says_something():
    assert refusal(Story(), VISITOR, ev.Identified()).code == "invalid"
    assert refusal(Story(), VISITOR, ev.Identified(name="x" * 201)).code == "invalid"
    Story().propose(VISITOR, ev.Identified(email="maria@example.com"))


# --- coming and going ----------------------------------------------------------------------------


def test_who_joined_joins_no_more_and_who_left_leaves_no_more():
    story = Story()
    assert refusal(story, ANN, ev.Left()).code == "invalid"
    story.propose(ANN, ev.Joined())
    assert refusal(story, ANN, ev.Joined()).code == "invalid"
    story.propose(ANN, ev.Left())
    assert refusal(story, ANN, ev.Left()).code == "invalid"
    story.propose(ANN, ev.Joined())


def test_the_holder_hands_back_before_leaving_unless_all_is_over():
    story = held_by(ANN)
    assert refusal(story, ANN, ev.Left()).message == "Hand back first, then leave."
    story.propose(ANN, ev.Closed())
    story.propose(ANN, ev.Left())
    assert not story.state.people[ANN.id].joined


# --- a person is wanted --------------------------------------------------------------------------


def test_the_ladder_is_climbed_step_by_step_by_the_clock_alone():
    story = Story()
    assert refusal(story, SYSTEM, ev.HelpWanted(step=1)).code == "invalid"
    story.propose(VISITOR, ev.HelpWanted())
    assert refusal(story, VISITOR, ev.HelpWanted()).message == "The team has been asked already."
    assert refusal(story, ASSISTANT, ev.HelpWanted()).code == "invalid"
    assert refusal(story, VISITOR, ev.HelpWanted(step=1)).code == "not_allowed"
    assert refusal(story, ASSISTANT, ev.HelpWanted(last=True)).code == "not_allowed"
    assert refusal(story, SYSTEM, ev.HelpWanted(step=0)).code == "invalid"
    assert refusal(story, SYSTEM, ev.HelpWanted(step=2)).code == "invalid"
    story.propose(SYSTEM, ev.HelpWanted(step=1))
    story.propose(SYSTEM, ev.HelpWanted(step=2, last=True))
    assert refusal(story, SYSTEM, ev.HelpWanted(step=3)).code == "invalid"


def test_after_the_ladders_end_a_person_can_be_asked_for_again():
    story = Story()
    story.propose(SYSTEM, ev.HelpWanted(last=True))
    story.propose(VISITOR, ev.HelpWanted())
    assert refusal(story, VISITOR, ev.HelpWanted()).code == "invalid"


def test_no_person_is_asked_for_where_one_answers():
    error = refusal(held_by(ANN), VISITOR, ev.HelpWanted())
    assert error.message == "Ann is answering already."


def test_the_clock_may_ask_for_another_when_the_holder_is_silent():
    story = held_by(ANN)
    story.propose(VISITOR, ev.Said(text="hello?"))
    story.propose(SYSTEM, ev.HelpWanted(reason="Ann is away."))
    assert story.state.help is not None


def test_the_assistant_answers_and_asks_in_one():
    story = Story()
    story.propose(ASSISTANT, ev.Said(text="I ask the team."), ev.HelpWanted(reason="refund"))
    assert [type(e.event).__name__ for e in story.entries] == ["Opened", "Said", "HelpWanted"]


def test_entries_carry_the_moment_the_author_and_the_surface():
    story = Story()
    now = START + timedelta(days=1)
    proposal = Proposal(events=(ev.Said(text="hi"),), by=VISITOR, via="widget", key="k")
    (entry,) = admit(story.state, proposal, now)
    assert (entry.at, entry.by, entry.via, entry.key, entry.seq) == (now, VISITOR, "widget", "k", 2)
