"""The fold law: the state is what the log says, however it was reached."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bridge import events as ev
from bridge import wire
from bridge.conversation import Conversation, Floor, Person, Trouble, fold
from bridge.events import Entry, Seq, Staff
from tests.logs import ANN, ASSISTANT, SAM, START, SYSTEM, VISITOR, Attempt, Story, attempts, folded, log_of


@given(attempts(), st.data())
def test_folding_on_from_any_prefix_gives_the_state_of_the_whole(made: list[Attempt], data: st.DataObject):
    log = log_of(made)
    cut = data.draw(st.integers(0, len(log)))
    kept = folded(log[:cut])
    on = kept
    for entry in log[cut:]:
        on = fold(on, wire.decode_entry(wire.encode_entry(entry)))
    assert on == folded(log)
    assert kept == folded(log[:cut])  # folding on has changed nothing behind our back


@given(attempts())
def test_what_admit_foresaw_is_what_a_fresh_reader_sees(made: list[Attempt]):
    log = log_of(made)
    fresh = folded(log)
    story = Story(opened=False)
    for entry in log:
        story.state = fold(story.state, entry)
        assert story.state.head == entry.seq
    for audience in ("visitor", "staff"):
        assert wire.view(story.state, audience) == wire.view(fresh, audience)


@pytest.mark.parametrize("seq", [0, 1, 3, -1])
def test_an_entry_out_of_turn_is_an_error_not_a_guess(seq: int):
    state = folded(Story().entries)
    entry = Entry(seq=Seq(seq), at=START, event=ev.Said(text="hi"), by=VISITOR, via="t", key="k")
    with pytest.raises(ValueError, match="does not follow 1"):
        fold(state, entry)


def test_a_new_conversation_belongs_to_the_assistant():
    story = Story()
    assert story.state.floor == Floor(holder=ASSISTANT, since=Seq(1))
    assert story.state.opened_at == story.state.last_at == story.now


def test_the_floor_goes_from_hand_to_hand():
    story = Story()
    story.propose(ANN, ev.TookOver())
    assert story.state.floor == Floor(holder=ANN, since=Seq(2))
    story.propose(SAM, ev.TookOver())
    assert story.state.floor == Floor(holder=SAM, since=Seq(3))
    story.propose(SAM, ev.HandedBack())
    assert story.state.floor == Floor(holder=ASSISTANT, since=Seq(4))


def test_a_takeover_brings_its_author_into_the_room():
    story = Story()
    story.propose(ANN, ev.TookOver())
    assert story.state.people[ANN.id] == Person(id=ANN.id, name="Ann", joined=True, via="test")


def test_the_holder_keeps_the_fence_under_a_new_name():
    story = Story()
    story.propose(ANN, ev.TookOver())
    story.propose(ANN, ev.Renamed(name="Zoe"))
    assert story.state.floor == Floor(holder=Staff(id=ANN.id, name="Zoe"), since=Seq(2))
    assert story.state.holder_name == "Zoe"


def test_an_answer_is_owed_since_the_first_unanswered_word_and_for_the_newest():
    story = Story()
    story.propose(VISITOR, ev.Said(text="hello"))
    first = story.now
    story.propose(VISITOR, ev.Said(text="anyone?"), after=20)
    assert (story.state.owed, story.state.owed_since) == (3, first)
    story.propose(ASSISTANT, ev.Said(text="yes"))
    assert (story.state.owed, story.state.owed_since) == (None, None)


def test_the_assistants_answer_does_not_end_the_wait_for_a_person_but_a_persons_does():
    story = Story()
    story.propose(VISITOR, ev.HelpWanted())
    story.propose(ASSISTANT, ev.Said(text="meanwhile"))
    assert story.state.help is not None
    story.propose(ANN, ev.TookOver())
    assert story.state.help is None


def test_the_ladder_remembers_its_beginning_and_a_new_one_begins_after_its_end():
    story = Story()
    story.propose(VISITOR, ev.HelpWanted(reason="refund"))
    asked = story.now
    story.propose(SYSTEM, ev.HelpWanted(step=1))
    story.propose(SYSTEM, ev.HelpWanted(step=2, last=True))
    wanted = story.state.help
    assert wanted is not None
    assert (wanted.seq, wanted.told, wanted.at, wanted.reason) == (2, 4, asked, "refund")
    assert (wanted.step, wanted.last) == (2, True)
    story.propose(VISITOR, ev.HelpWanted(reason="still here"))
    wanted = story.state.help
    assert wanted is not None
    assert (wanted.seq, wanted.told, wanted.reason, wanted.step, wanted.last) == (
        5,
        5,
        "still here",
        0,
        False,
    )


def test_closing_ends_every_wait_and_reopening_begins_with_the_assistant():
    story = Story()
    story.propose(VISITOR, ev.Said(text="hello"))
    story.propose(ANN, ev.TookOver())
    story.propose(ANN, ev.Closed())
    assert (story.state.closed, story.state.help, story.state.owed) == (True, None, None)
    story.propose(VISITOR, ev.Reopened())
    assert not story.state.closed
    assert story.state.floor == Floor(holder=ASSISTANT, since=Seq(5))


def test_words_come_and_go():
    story = Story()
    story.propose(VISITOR, ev.Said(text="my card is 4111"))
    story.propose(ANN, ev.Noted(text="vip"))
    assert [story.state.words[Seq(n)].spoken for n in (2, 3)] == [True, False]
    story.propose(VISITOR, ev.Retracted(target=Seq(2)))
    assert story.state.words[Seq(2)].gone
    assert story.state.messages == 1


def test_trouble_is_seen_until_the_delivery_comes_late():
    story = Story()
    lost = ev.Undelivered(surface="email", target=Seq(1), reason="no route", retrying=True)
    story.propose(SYSTEM, lost)
    trouble = Trouble(surface="email", target=Seq(1), reason="no route", retrying=True)
    assert dict(story.state.troubles) == {"email": trouble}
    story.propose(SYSTEM, ev.Undelivered(surface="email", target=Seq(1), reason="", late=True))
    assert dict(story.state.troubles) == {}


def test_an_identity_is_filled_in_word_by_word():
    story = Story()
    story.propose(VISITOR, ev.Identified(name="Maria"))
    story.propose(VISITOR, ev.Identified(email="m@b.example"))
    assert story.state.visitor == ev.Identified(name="Maria", email="m@b.example")


@pytest.mark.parametrize("vouched_first", [True, False])
def test_what_was_vouched_for_never_mixes_with_what_was_typed(vouched_first: bool):
    story = Story()
    vouched = ev.Identified(user="42", verified=True)
    typed = ev.Identified(email="boss@bank.example", name="The Boss")
    for event in (vouched, typed) if vouched_first else (typed, vouched):
        story.propose(SYSTEM if event.verified else VISITOR, event)
    assert story.state.visitor == vouched


def test_another_vouched_identity_replaces_the_first_whole():
    story = Story()
    story.propose(SYSTEM, ev.Identified(user="1", email="one@b.example", verified=True))
    story.propose(SYSTEM, ev.Identified(user="2", verified=True))
    assert story.state.visitor == ev.Identified(user="2", verified=True)


def test_the_holders_last_deed_is_known():
    story = Story()
    story.propose(ANN, ev.TookOver())
    story.propose(VISITOR, ev.Said(text="hi"), after=50)
    assert story.state.holder_at == story.now - timedelta(seconds=50)
    story.propose(ANN, ev.Said(text="hello"))
    assert story.state.holder_at == story.now


def test_an_empty_log_folds_to_the_beginning():
    assert folded([]) == Conversation()
