"""Typing, presence and drafts: told to who listens, kept nowhere."""

from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest

from bridge import wire
from bridge.events import ConversationId, Seq
from bridge.pulse import Draft, PresenceChanged, Pulse, Signal, StopWanted, Typing
from tests.logs import ANN, ASSISTANT, SAM, START, VISITOR

CID, OTHER = ConversationId("c1"), ConversationId("c2")


class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(clock)


def drawn(signals: list[Signal]) -> str:
    """What a client shows that applies every draft frame at its place."""
    text = ""
    for signal in signals:
        if isinstance(signal, wire.Draft):
            assert signal.at <= len(text)
            text = text[: signal.at] + signal.text
        elif isinstance(signal, wire.DraftOver):
            text = ""
    return text


def test_a_signal_reaches_who_listens_to_that_conversation_until_they_stop(pulse: Pulse):
    mine: list[Signal] = []
    theirs: list[Signal] = []
    with pulse.listen(CID, mine.append), pulse.listen(OTHER, theirs.append):
        pulse.publish(CID, StopWanted())
    pulse.publish(CID, StopWanted())
    assert (mine, theirs) == ([StopWanted()], [])


def test_who_comes_late_gets_the_whole_draft_and_then_the_rest(pulse: Pulse):
    draft = Draft(turn=Seq(2), since=Seq(1))
    early: list[Signal] = []
    late: list[Signal] = []
    with pulse.listen(CID, early.append):
        pulse.stream(CID, draft, "It costs ")
        pulse.stream(CID, draft, "five ")
        with pulse.listen(CID, late.append):
            assert late == [wire.Draft(turn=Seq(2), since=Seq(1), at=0, text="It costs five ")]
            pulse.stream(CID, draft, "euros.")
            assert drawn(late) == drawn(early) == "It costs five euros."


def test_a_draft_is_remembered_even_where_nobody_listened(pulse: Pulse):
    pulse.stream(CID, Draft(turn=Seq(2), since=Seq(1)), "Hello")
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append):
        assert drawn(heard) == "Hello"


@pytest.mark.parametrize("why", ["done", "interrupted", "stopped", "failed", "rerun"])
def test_a_draft_that_is_over_is_shown_to_nobody_more(pulse: Pulse, why: wire.DraftEnd):
    draft = Draft(turn=Seq(2), since=Seq(1))
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append):
        pulse.stream(CID, draft, "Hello")
        pulse.end_draft(CID, draft, why)
    assert heard[-1] == wire.DraftOver(turn=Seq(2), since=Seq(1), why=why)
    late: list[Signal] = []
    with pulse.listen(CID, late.append):
        assert late == []


def test_the_end_of_an_old_draft_leaves_the_new_one(pulse: Pulse):
    old, new = Draft(turn=Seq(2), since=Seq(1)), Draft(turn=Seq(3), since=Seq(1))
    pulse.stream(CID, old, "old")
    pulse.stream(CID, new, "new")
    pulse.end_draft(CID, old, "rerun")
    late: list[Signal] = []
    with pulse.listen(CID, late.append):
        assert drawn(late) == "new"


def test_everybody_here_is_counted_once_however_many_tabs_they_have(pulse: Pulse):
    with pulse.present(CID, ANN), pulse.present(CID, ANN), pulse.present(CID, VISITOR):
        assert pulse.here(CID) == [ANN, VISITOR]
        assert pulse.here(OTHER) == []
    assert pulse.here(CID) == []


def test_coming_and_going_is_told(pulse: Pulse):
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append):
        with pulse.present(CID, ANN):
            assert heard == [PresenceChanged()]
        assert heard == [PresenceChanged()] * 2


@pytest.mark.parametrize("public", [True, False])
def test_typing_ends_when_who_typed_goes_away_for_those_who_knew_of_it(pulse: Pulse, public: bool):
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append), pulse.present(CID, ANN):
        pulse.publish(CID, Typing(by=ANN, on=True, public=public))
    assert [s for s in heard if isinstance(s, Typing)] == [
        Typing(by=ANN, on=on, public=public) for on in (True, False)
    ]


def test_typing_is_over_for_the_listeners_when_the_last_tab_closes(pulse: Pulse):
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append), pulse.present(CID, VISITOR):
        with pulse.present(CID, ANN):
            with pulse.present(CID, ANN):
                pulse.publish(CID, Typing(by=ANN, on=True, public=True))
            assert not [s for s in heard if isinstance(s, Typing) and not s.on]
        assert Typing(by=ANN, on=False, public=True) in heard


def test_an_observer_who_goes_gives_no_sign_that_carries_a_name(pulse: Pulse):
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append), pulse.present(CID, ANN):
        pass
    assert heard == [PresenceChanged()] * 2


def test_typing_that_had_ended_does_not_end_again(pulse: Pulse):
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append), pulse.present(CID, ANN):
        pulse.publish(CID, Typing(by=ANN, on=True, public=True))
        pulse.publish(CID, Typing(by=ANN, on=False, public=True))
    assert len([s for s in heard if isinstance(s, Typing)]) == 2


def test_absence_counts_from_the_last_connection(pulse: Pulse, clock: Clock):
    with ExitStack() as tabs:
        tabs.enter_context(pulse.present(CID, ANN))
        with pulse.present(CID, ANN):
            clock.pass_(60)
        assert pulse.absent_since(CID, ANN) is None
        clock.pass_(60)
    assert pulse.absent_since(CID, ANN) == START + timedelta(seconds=120)
    clock.pass_(60)
    with pulse.present(CID, ANN):
        assert pulse.absent_since(CID, ANN) is None
    assert pulse.absent_since(CID, ANN) == START + timedelta(seconds=180)


def test_absence_is_of_one_conversation(pulse: Pulse, clock: Clock):
    clock.pass_(10)
    with pulse.present(OTHER, ANN):
        assert pulse.absent_since(CID, ANN) == START


def test_who_was_never_seen_has_been_away_since_the_start(pulse: Pulse, clock: Clock):
    clock.pass_(10)
    assert pulse.absent_since(CID, SAM) == START


@pytest.mark.parametrize("party", [VISITOR, ASSISTANT])
def test_only_staff_are_absent(pulse: Pulse, party):
    assert pulse.absent_since(CID, party) is None


def test_a_room_that_nobody_uses_is_forgotten(pulse: Pulse):
    draft = Draft(turn=Seq(2), since=Seq(1))
    with pulse.listen(CID, lambda _: None), pulse.present(CID, ANN):
        pulse.stream(CID, draft, "x")
    assert CID in pulse._rooms
    pulse.end_draft(CID, draft, "done")
    assert pulse._rooms == {}


def test_a_listener_that_fails_at_the_first_word_is_not_kept(pulse: Pulse):
    def fail(_: Signal) -> None:
        raise RuntimeError

    draft = Draft(turn=Seq(2), since=Seq(1))
    pulse.stream(CID, draft, "x")
    with pytest.raises(RuntimeError), pulse.listen(CID, fail):
        pass
    pulse.stream(CID, draft, "y")
