"""The pulse of other processes: shown here as if it were ours, and gone when they are."""

from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest

from bridge import wire
from bridge.elsewhere import GONE
from bridge.events import ConversationId, Seq
from bridge.pulse import Draft, PresenceChanged, Pulse, Signal, StopWanted, Typing
from tests.logs import ANN, SAM, START, VISITOR

CID, OTHER = ConversationId("c1"), ConversationId("c2")
A_MOMENT = timedelta(seconds=1)


class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(clock)


def part(at: int, text: str, *, turn: int = 2, since: int = 1) -> wire.Draft:
    return wire.Draft(turn=Seq(turn), since=Seq(since), at=at, text=text)


def over(*, turn: int = 2, since: int = 1, why: wire.DraftEnd = "done") -> wire.DraftOver:
    return wire.DraftOver(turn=Seq(turn), since=Seq(since), why=why)


def late(pulse: Pulse) -> list[Signal]:
    """What somebody who comes now is shown first."""
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append):
        return heard


# --- Presence ------------------------------------------------------------------------------------


def test_who_is_connected_elsewhere_is_here_once(pulse: Pulse):
    pulse.hear_presence("a", CID, [ANN, VISITOR])
    pulse.hear_presence("b", CID, [ANN])
    with pulse.present(CID, ANN), pulse.present(CID, SAM):
        assert sorted(map(repr, pulse.here(CID))) == sorted(map(repr, [ANN, VISITOR, SAM]))
        assert pulse.connected(CID) == [ANN, SAM], "others are told of our own alone"
    assert pulse.here(OTHER) == []
    assert pulse.here(CID) == [ANN, VISITOR]
    assert pulse.occupied() == []


def test_coming_and_going_elsewhere_is_shown_and_a_repetition_is_not(pulse: Pulse):
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append):
        for parties in ([ANN], [ANN], [ANN, SAM], [], []):
            pulse.hear_presence("a", CID, parties)
    assert heard == [PresenceChanged()] * 3


def test_who_leaves_there_is_absent_from_then_on(pulse: Pulse, clock: Clock):
    pulse.hear_presence("a", CID, [ANN, SAM])
    assert pulse.absent_since(CID, ANN) is None
    clock.now += timedelta(minutes=5)
    pulse.hear_presence("a", CID, [SAM])
    left = clock.now
    clock.now += timedelta(minutes=5)
    assert pulse.absent_since(CID, ANN) == left
    assert pulse.absent_since(CID, SAM) is None


def test_who_moves_to_another_process_is_not_absent(pulse: Pulse, clock: Clock):
    clock.now += A_MOMENT
    pulse.hear_presence("a", CID, [ANN])
    pulse.hear_presence("b", CID, [ANN])
    pulse.hear_presence("a", CID, [])
    assert pulse.absent_since(CID, ANN) is None
    with pulse.present(CID, ANN):
        pulse.hear_presence("b", CID, [])
        assert pulse.absent_since(CID, ANN) is None
        clock.now += A_MOMENT
    assert pulse.absent_since(CID, ANN) == clock.now


def test_who_leaves_here_and_stays_there_is_not_absent(pulse: Pulse, clock: Clock):
    pulse.hear_presence("a", CID, [ANN])
    with pulse.present(CID, ANN):
        clock.now += A_MOMENT
    assert pulse.absent_since(CID, ANN) is None
    clock.now += A_MOMENT
    pulse.hear_presence("a", CID, [])
    assert pulse.absent_since(CID, ANN) == clock.now


def test_a_process_that_falls_silent_has_nobody_any_more(pulse: Pulse, clock: Clock):
    pulse.hear_presence("a", CID, [ANN])
    pulse.hear_presence("b", CID, [SAM])
    clock.now += GONE
    pulse.hear_presence("b", CID, [SAM])
    pulse.expire()
    assert pulse.absent_since(CID, ANN) is None, "35 seconds are not too long"
    clock.now += A_MOMENT
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append):
        pulse.expire()
    assert heard == [PresenceChanged()]
    assert pulse.here(CID) == [SAM]
    assert pulse.absent_since(CID, ANN) == clock.now
    assert pulse.absent_since(CID, SAM) is None


def test_a_departure_that_was_lost_is_noticed_though_the_process_lives(pulse: Pulse, clock: Clock):
    pulse.hear_presence("a", CID, [ANN])
    pulse.hear_presence("a", OTHER, [ANN])
    clock.now += GONE + A_MOMENT
    pulse.hear_presence("a", OTHER, [ANN])
    pulse.expire()
    assert (pulse.here(CID), pulse.here(OTHER)) == ([], [ANN])
    assert pulse.absent_since(CID, ANN) == clock.now


# --- Typing and stop -----------------------------------------------------------------------------


def test_typing_and_stop_are_shown_and_not_sent_on(pulse: Pulse):
    told: list[Signal] = []
    pulse.link(lambda _cid, signal: told.append(signal))
    heard: list[Signal] = []
    signals: list[Signal] = [Typing(by=ANN, on=True, public=True), StopWanted()]
    with pulse.listen(CID, heard.append):
        for signal in signals:
            pulse.hear_signal(CID, signal)
    pulse.hear_signal(OTHER, StopWanted())
    assert (heard, told) == (signals, [])


@pytest.mark.parametrize("gone", ["left", "silent"])
def test_typing_ends_with_who_typed(pulse: Pulse, clock: Clock, gone: str):
    heard: list[Signal] = []
    pulse.hear_presence("a", CID, [ANN])
    with pulse.listen(CID, heard.append):
        pulse.hear_signal(CID, Typing(by=ANN, on=True, public=True))
        if gone == "left":
            pulse.hear_presence("a", CID, [])
        else:
            clock.now += GONE + A_MOMENT
            pulse.expire()
    assert heard[1:] == [Typing(by=ANN, on=False, public=True), PresenceChanged()]


# --- Drafts --------------------------------------------------------------------------------------


def test_a_draft_from_elsewhere_is_shown_as_it_comes(pulse: Pulse):
    heard: list[Signal] = []
    parts = [part(0, "It costs "), part(9, "five "), part(14, "euros."), over()]
    with pulse.listen(CID, heard.append):
        for signal in parts:
            pulse.hear_signal(CID, signal)
    assert heard == parts
    assert late(pulse) == []
    assert pulse._rooms == {}


def test_who_comes_late_is_shown_all_of_it_though_nobody_listened(pulse: Pulse):
    pulse.hear_signal(CID, part(0, "It costs "))
    pulse.hear_signal(CID, part(9, "five "))
    assert late(pulse) == [part(0, "It costs five ")]
    assert late(pulse) == [part(0, "It costs five ")], "as often as somebody comes"
    assert pulse.drafts() == [], "whose draft it is not does not tell of it"
    pulse.hear_signal(CID, over())
    assert late(pulse) == []
    assert pulse._rooms == {}


def test_after_a_lost_part_nothing_is_shown_until_the_whole_comes(pulse: Pulse):
    heard: list[Signal] = []
    with pulse.listen(CID, heard.append):
        pulse.hear_signal(CID, part(0, "It costs "))
        for wrong in (part(14, "euros"), part(9, "6", turn=3), part(9, "7", since=2), part(4, "x")):
            pulse.hear_signal(CID, wrong)
        pulse.hear_signal(CID, part(0, "It costs five euros"))
        pulse.hear_signal(CID, part(19, "."))
    assert heard == [part(0, "It costs "), part(0, "It costs five euros"), part(19, ".")]


def test_the_end_of_another_draft_leaves_this_one(pulse: Pulse):
    pulse.hear_signal(CID, part(0, "new", turn=3))
    pulse.hear_signal(CID, over(turn=2, why="rerun"))
    assert late(pulse) == [part(0, "new", turn=3)]
    own = Draft(turn=Seq(5), since=Seq(4))
    pulse.stream(CID, own, "ours")
    pulse.hear_signal(CID, over(turn=3))
    assert late(pulse) == [part(0, "ours", turn=5, since=4)]
    assert pulse.drafts() == [(CID, part(0, "ours", turn=5, since=4))]


def test_a_draft_of_a_process_that_fell_silent_is_over(pulse: Pulse, clock: Clock):
    heard: list[Signal] = []
    with ExitStack() as session:
        session.enter_context(pulse.listen(CID, heard.append))
        pulse.hear_signal(CID, part(0, "It costs "))
        clock.now += GONE
        pulse.expire()
        assert len(heard) == 1
        clock.now += A_MOMENT
        pulse.expire()
        assert heard[1:] == [over(why="interrupted")]
    assert pulse._rooms == {}


def test_our_own_draft_does_not_expire(pulse: Pulse, clock: Clock):
    pulse.hear_signal(CID, part(0, "theirs"))
    pulse.stream(CID, Draft(turn=Seq(5), since=Seq(4)), "ours")
    clock.now += 2 * GONE
    pulse.expire()
    assert late(pulse) == [part(0, "ours", turn=5, since=4)]
