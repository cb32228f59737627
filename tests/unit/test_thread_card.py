"""The status card says who answers, who watches and who waits; its buttons follow."""

from datetime import timedelta

from hypothesis import given
from msgspec import Struct
import pytest

from bridge import events as ev
from bridge.conversation import fold
from bridge.events import Staff
from connectors.threads.card import LABELS, Card, card, elapsed
from tests.logs import ANN, ASSISTANT, SAM, START, SYSTEM, VISITOR, Attempt, Story, attempts, log_of


class Acme(Struct, frozen=True):
    name: str = "Acme Shop"


def drawn(story: Story) -> Card:
    return card(story.state, "hi", sites={"acme": Acme()})


def told(*steps: tuple[ev.Party, ev.Event]) -> Card:
    story = Story()
    for by, event in steps:
        story.propose(by, event)
    return drawn(story)


def test_at_first_the_assistant_answers():
    found = told((VISITOR, ev.Said(text="hi")))
    assert (found.stage, found.state, found.answering) == ("assistant", "AI answers", "AI assistant")
    assert (found.visitor, found.business, found.words) == ("Visitor", "Acme Shop", "hi")
    assert found.buttons == ("take", "observe", "link", "close")
    assert found.since == 1
    assert found.waiting_since is None, "the assistant's answer is on its way"
    assert found.opened_at < found.last_at


def test_a_call_for_a_person_shows_until_somebody_comes():
    story = Story()
    story.propose(VISITOR, ev.HelpWanted(reason="refund"))
    found = drawn(story)
    assert (found.stage, found.state, found.waiting_since) == ("wanted", "person wanted", story.now)
    assert found.buttons[0] == "take"
    story.propose(ANN, ev.TookOver())
    found = drawn(story)
    assert (found.stage, found.state, found.answering) == ("human", "Ann answers", "Ann")
    assert found.waiting_since is None
    assert found.buttons == ("back", "take", "observe", "link", "close")
    assert found.since == 3


def test_a_visitor_whom_a_person_owes_an_answer_waits():
    story = Story()
    story.propose(ANN, ev.TookOver())
    story.propose(VISITOR, ev.Said(text="hello?"))
    waits = story.now
    story.propose(VISITOR, ev.Said(text="anybody?"))
    assert drawn(story).waiting_since == waits
    story.propose(ANN, ev.Said(text="here"))
    assert drawn(story).waiting_since is None


def test_who_watches_is_listed_without_whoever_answers():
    joined = told((ANN, ev.TookOver()), (SAM, ev.Joined()), (ANN, ev.Said(text="hi")))
    assert joined.watching == ("Sam",)
    assert told((ANN, ev.TookOver()), (ANN, ev.HandedBack())).watching == ("Ann",)
    assert told((ANN, ev.Joined()), (ANN, ev.Left())).watching == ()


def test_people_go_by_their_present_names():
    found = told((ANN, ev.TookOver()), (ANN, ev.Renamed(name="Zoe")), (VISITOR, ev.Identified(name="Mia")))
    assert (found.answering, found.visitor) == ("Zoe", "Mia")
    posing = told((VISITOR, ev.Identified(name="Dana · AI answers · " + "x" * 60)))
    assert posing.visitor == "Dana - AI answers - " + "x" * 19 + "…"


def test_when_it_has_ended_only_the_link_is_left():
    found = told((ANN, ev.TookOver()), (VISITOR, ev.Said(text="hm")), (VISITOR, ev.Closed()))
    assert (found.stage, found.state, found.answering) == ("ended", "ended", "nobody")
    assert found.buttons == ("link",)
    assert found.waiting_since is None
    again = told((VISITOR, ev.Closed()), (VISITOR, ev.Reopened()))
    assert (again.stage, again.since) == ("assistant", 3)


def test_a_site_that_is_gone_goes_by_its_id():
    assert card(Story().state, "", sites={}).business == "acme"


@given(attempts())
def test_the_card_agrees_with_the_log_at_every_step(made: list[Attempt]):
    state = Story().state
    entries = log_of(made)
    state = type(state)()
    for entry in entries:
        state = fold(state, entry)
        if state.opened is None:
            return
        found = card(state, "", sites={"acme": Acme()})
        assert set(found.buttons) <= set(LABELS)
        assert len(set(found.buttons)) == len(found.buttons)
        assert ("take" in found.buttons) == (not state.closed)
        holder = state.floor.holder
        assert ("back" in found.buttons) == (isinstance(holder, Staff) and not state.closed)
        assert found.since == state.floor.since
        assert (found.answering == "AI assistant") == (holder == ASSISTANT and not state.closed)
        if isinstance(holder, Staff):
            others = [p.name for p in state.people.values() if p.joined and p.id != holder.id]
            assert list(found.watching) == sorted(others)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "under a minute"),
        (0, "under a minute"),
        (59, "under a minute"),
        (60, "1 min"),
        (3_599, "59 min"),
        (3_600, "1 h 0 min"),
        (7_500, "2 h 5 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_wait_in_words(seconds: int, words: str):
    assert elapsed(START, START + timedelta(seconds=seconds)) == words


def test_the_system_itself_never_answers():
    story = Story()
    story.propose(ANN, ev.TookOver())
    story.propose(SYSTEM, ev.HandedBack())
    assert drawn(story).answering == "AI assistant"
