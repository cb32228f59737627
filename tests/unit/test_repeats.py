"""A key stands for one body for ever: repeats are recognised, other bodies refused."""

import pytest

from bridge import events as ev
from bridge.conversation import MAX_EVENTS, Duplicate
from bridge.events import Seq, Staff
from tests.logs import (
    ANN,
    ASSISTANT,
    SAM,
    VISITOR,
    Story,
    refusal,
)


def test_a_repeat_returns_the_first_place_even_after_everything_changed():
    story = Story()
    seen = story.state.floor.since
    first = story.propose(ANN, ev.TookOver(), ev.Said(text="hi"), key="t", floor=seen)
    assert isinstance(first, list)
    story.propose(ANN, ev.HandedBack())
    story.propose(VISITOR, ev.Closed())
    again = story.propose(ANN, ev.TookOver(), ev.Said(text="hi"), key="t", floor=seen)
    assert again == Duplicate(first[0].seq)


@pytest.mark.parametrize(
    "events",
    [
        (ev.TookOver(),),
        (ev.TookOver(), ev.Said(text="other")),
        (ev.TookOver(), ev.Said(text="hi"), ev.Said(text="more")),
        (ev.Said(text="hi"), ev.TookOver()),
    ],
    ids=repr,
)
def test_a_repeat_with_another_body_is_refused(events: tuple[ev.Event, ...]):
    story = Story()
    story.propose(ANN, ev.TookOver(), ev.Said(text="hi"), key="t")
    assert refusal(story, ANN, *events, key="t").code == "key_reused"


def test_a_key_of_many_events_never_lands_on_one_that_is_taken():
    story = Story()
    story.propose(VISITOR, ev.Said(text="first"), key="a#1")
    assert refusal(story, VISITOR, ev.Said(text="x"), ev.Said(text="y"), key="a").code == "key_reused"


def test_two_authors_may_use_one_key():
    story = Story()
    story.propose(VISITOR, ev.Said(text="hi"), key="same")
    story.propose(ANN, ev.Noted(text="hi"), key="same")
    story.propose(SAM, ev.Noted(text="hi"), key="same")
    assert len(story.entries) == 4


def test_a_repeat_under_a_new_name_is_a_repeat():
    story = Story()
    story.propose(ANN, ev.Noted(text="hi"), key="n")
    story.propose(ANN, ev.Renamed(name="Zoe"))
    again = story.propose(Staff(id=ANN.id, name="Zoe"), ev.Noted(text="hi"), key="n")
    assert again == Duplicate(Seq(2))


def test_a_proposal_stands_or_falls_whole():
    assert refusal(Story(), ANN, ev.TookOver(), ev.Said(text=" ")).code == "invalid"
    assert refusal(Story(), ASSISTANT, ev.Said(text="ok"), ev.Noted(text="x")).code == "not_allowed"


def test_a_proposal_holds_something_and_not_too_much():
    assert refusal(Story(), VISITOR).code == "invalid"
    many = [ev.Said(text="x")] * (MAX_EVENTS + 1)
    assert refusal(Story(), VISITOR, *many).code == "invalid"
