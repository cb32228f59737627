"""What time alone brings about: each thing once, in the right order, and nothing for who acts."""

from contextlib import suppress
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
import pytest

from bridge import events as ev
from bridge import idle
from bridge.conversation import Conversation, Duplicate, admit, fold
from bridge.errors import Refused
from bridge.idle import Patience
from tests.logs import ANN, ASSISTANT, SAM, START, SYSTEM, VISITOR, Attempt, Story, attempts, folded, log_of

PATIENCE = Patience()


class Clock:
    """Lets time pass over a story, and lets what falls due happen."""

    def __init__(
        self,
        story: Story,
        *,
        absent_since: datetime | None = None,
        patience: Patience = PATIENCE,
        unseen: bool = False,
    ) -> None:
        self.story = story
        self.unseen = unseen
        self.absent_since = absent_since
        self.patience = patience

    def timers(self) -> list[idle.Timer]:
        return idle.timers(
            self.story.state, patience=self.patience, absent_since=self.absent_since, unseen=self.unseen
        )

    def pass_(self, seconds: float) -> list[str]:
        """Step by step, as a warden would; what entered the log, and when after the start."""
        story, before, end = self.story, len(self.story.entries), self.story.now + timedelta(seconds=seconds)
        while story.now < end:
            for proposal in idle.due(self.timers(), story.now):
                with suppress(Refused):  # the one before it has moved the log
                    story.submit(proposal)
            story.now += timedelta(seconds=5)
        return [
            f"{type(e.event).__name__}{getattr(e.event, 'step', '')}" for e in story.entries[before:]
        ]  # fmt: skip


def asked() -> Story:
    story = Story()
    story.propose(VISITOR, ev.HelpWanted(reason="refund"))
    return story


def held(*, owed: bool = False) -> Story:
    story = Story()
    story.propose(ANN, ev.TookOver())
    if owed:
        story.propose(VISITOR, ev.Said(text="hello?"))
    return story


def at(timers: list[idle.Timer], event: type[ev.Event]) -> list[datetime]:
    return [t.at for t in timers if isinstance(t.proposal.events[0], event)]


def test_the_team_is_told_again_at_one_minute_and_last_at_three():
    story = asked()
    clock = Clock(story)
    assert clock.pass_(55) == []
    assert clock.pass_(10) == ["HelpWanted1"]
    assert clock.pass_(110) == []
    assert clock.pass_(15) == ["HelpWanted2"]
    assert story.state.help is not None
    assert story.state.help.last
    assert clock.pass_(3_600) == []


def test_the_ladder_stops_when_somebody_comes():
    story = asked()
    Clock(story).pass_(65)
    story.propose(ANN, ev.TookOver())
    assert Clock(story).pass_(600) == []


def test_the_reason_climbs_with_the_ladder():
    story = asked()
    Clock(story).pass_(300)
    assert {e.event.reason for e in story.entries if isinstance(e.event, ev.HelpWanted)} == {"refund"}


def test_an_assistant_that_does_not_answer_brings_the_team():
    story = Story()
    story.propose(VISITOR, ev.Said(text="hello?"))
    assert Clock(story).pass_(40) == []
    assert Clock(story).pass_(10) == ["HelpWanted0"]


def test_an_answer_in_time_brings_nobody():
    story = Story()
    story.propose(VISITOR, ev.Said(text="hello?"))
    story.propose(ASSISTANT, ev.Said(text="hi"), after=40)
    assert Clock(story).pass_(600) == []


def test_more_words_do_not_put_the_team_off():
    story = Story()
    for _ in range(5):
        story.propose(VISITOR, ev.Said(text="hello?"), after=8)
    assert Clock(story).pass_(20) == ["HelpWanted0"]


def test_after_the_ladders_end_only_a_new_word_asks_again():
    story = Story()
    story.propose(VISITOR, ev.Said(text="hello?"))
    assert Clock(story).pass_(3_600) == ["HelpWanted0", "HelpWanted1", "HelpWanted2"]
    story.propose(VISITOR, ev.Said(text="still nobody?"))
    assert Clock(story).pass_(3_600) == ["HelpWanted0", "HelpWanted1", "HelpWanted2"]


def test_a_word_said_while_the_ladder_stood_does_not_start_it_over():
    story = asked()
    Clock(story).pass_(65)
    story.propose(VISITOR, ev.Said(text="hello?"))
    assert Clock(story).pass_(3_600) == ["HelpWanted2"]


def test_a_silent_holder_brings_the_others_after_five_minutes():
    clock = Clock(held(owed=True))
    assert clock.pass_(290) == []
    assert clock.pass_(20) == ["HelpWanted0"]


def test_an_absent_holder_brings_the_others_after_two_minutes_and_loses_the_floor_after_ten():
    story = held(owed=True)
    clock = Clock(story, absent_since=story.now)
    assert clock.pass_(110) == []
    assert clock.pass_(20) == ["HelpWanted0"]
    assert clock.pass_(460) == ["HelpWanted1", "HelpWanted2"]
    assert clock.pass_(30) == ["HandedBack"]
    assert clock.pass_(60) == ["HelpWanted0"]  # the assistant has its time to answer, too
    assert story.state.holder_name == "AI assistant"


def test_an_absent_holder_whom_nobody_waits_for_just_loses_the_floor():
    story = held()
    assert Clock(story, absent_since=story.now).pass_(700) == ["HandedBack"]


def test_the_hand_back_is_announced_once():
    story = held()
    story.now += timedelta(seconds=700)
    timers = Clock(story, absent_since=START).timers()
    (back,) = [p for p in idle.due(timers, story.now) if isinstance(p.events[0], ev.HandedBack)]
    assert isinstance(story.submit(back), list)
    assert isinstance(story.submit(back), Duplicate)


def test_who_holds_the_floor_is_not_away_before_they_took_it():
    story = Story()
    story.propose(ANN, ev.TookOver(), after=86_000)
    timers = Clock(story, absent_since=START).timers()
    assert at(timers, ev.HandedBack) == [story.now + timedelta(seconds=600)]


def test_what_the_holder_does_anywhere_counts_as_presence():
    story = held()
    story.propose(ANN, ev.Said(text="by post"), after=500)
    timers = Clock(story, absent_since=START).timers()
    assert at(timers, ev.HandedBack) == [story.now + timedelta(seconds=600)]


def test_the_hand_back_is_void_for_the_next_holder():
    story = held()
    story.now += timedelta(seconds=700)
    (back,) = idle.due(Clock(story, absent_since=START).timers(), story.now)
    story.propose(SAM, ev.TookOver())
    with pytest.raises(Refused):
        story.submit(back)


def test_the_next_silent_holder_is_noticed_too():
    story = held(owed=True)
    assert Clock(story).pass_(310) == ["HelpWanted0"]
    story.propose(SAM, ev.TookOver())
    assert Clock(story).pass_(290) == []
    assert Clock(story).pass_(20) == ["HelpWanted0"]


def test_an_idle_conversation_closes_after_a_day_and_not_in_somebodys_face():
    story = Story()
    story.now += timedelta(seconds=86_400)
    (close,) = idle.due(Clock(story).timers(), story.now)
    assert close.events == (ev.Closed(reason="idle"),)
    story.propose(VISITOR, ev.Said(text="I am back"))
    with pytest.raises(Refused):
        story.submit(close)
    assert not story.state.closed


def test_a_closed_conversation_waits_for_nothing():
    story = asked()
    story.propose(VISITOR, ev.Closed())
    assert Clock(story, absent_since=START).timers() == []
    assert idle.timers(Conversation(), patience=PATIENCE, absent_since=None) == []


def test_what_is_due_comes_in_order_and_not_before_its_time():
    story = held(owed=True)
    timers = Clock(story, absent_since=story.now).timers()
    everything = [type(p.events[0]).__name__ for p in idle.due(timers, story.now + timedelta(days=9))]
    assert everything == ["HelpWanted", "HandedBack", "Closed"]
    assert idle.due(timers, story.now) == []
    (first, *_) = sorted(t.at for t in timers)
    assert len(idle.due(timers, first)) == 1


def test_the_clock_looks_again_at_the_next_timer_and_soon_where_a_person_holds_the_floor():
    story = Story()
    timers = Clock(story).timers()
    again = idle.look_again(story.state, timers, patience=PATIENCE, now=story.now, looked=True)
    assert again == story.now + timedelta(seconds=PATIENCE.close)
    story = held()
    again = idle.look_again(
        story.state, Clock(story).timers(), patience=PATIENCE, now=story.now, looked=False
    )
    assert again == story.now + timedelta(seconds=PATIENCE.look)
    story.propose(ANN, ev.Closed())
    timers = Clock(story).timers()
    assert idle.look_again(story.state, timers, patience=PATIENCE, now=story.now, looked=True) is None


def test_what_is_overdue_is_looked_at_at_once_and_then_soon_again():
    """Not soon from each entry on: who goes on writing would never be heard."""
    story = asked()
    timers = Clock(story).timers()
    late = story.now + timedelta(days=3)
    overdue = min(timer.at for timer in timers)
    assert idle.look_again(story.state, timers, patience=PATIENCE, now=late, looked=False) == overdue
    again = idle.look_again(story.state, timers, patience=PATIENCE, now=late, looked=True)
    assert again == late + timedelta(seconds=PATIENCE.look)


@given(attempts(), st.booleans(), st.booleans())
def test_time_alone_comes_to_rest(made: list[Attempt], absent: bool, unseen: bool):
    """Whatever happened before: the clock's proposals are admitted, never repeat, and end in a close."""
    state = folded(log_of(made)) if log_of(made) else Story().state
    now = state.last_at or START
    for _ in range(20):
        since = START if absent and not unseen else None
        timers = idle.timers(state, patience=PATIENCE, absent_since=since, unseen=unseen)
        now = max([now, *sorted(t.at for t in timers)[:1]])
        proposals = idle.due(timers, now)
        if not proposals:
            break
        outcome = admit(state, proposals[0], now)
        assert isinstance(outcome, list), proposals[0].key
        for entry in outcome:
            assert entry.by == SYSTEM
            state = fold(state, entry)
    assert state.closed


def test_an_unseen_holder_keeps_the_floor_while_nobody_waits():
    story = held()
    clock = Clock(story, unseen=True)
    assert clock.pass_(20 * PATIENCE.hand_back) == []
    assert story.state.floor.holder == ANN


def test_an_unseen_holder_who_lets_the_visitor_wait_gives_the_floor_back():
    story = held(owed=True)
    clock = Clock(story, unseen=True)
    assert clock.pass_(PATIENCE.reply - 5) == []
    happened = clock.pass_(PATIENCE.hand_back - PATIENCE.reply)
    assert happened[0] == "HelpWanted0"
    assert "HandedBack" not in happened
    assert clock.pass_(15)[0] == "HandedBack"
    assert story.state.floor.holder == ASSISTANT


def test_an_unseen_holder_who_does_anything_gets_the_time_anew():
    story = held(owed=True)
    clock = Clock(story, unseen=True)
    clock.pass_(PATIENCE.hand_back - 30)
    story.propose(ANN, ev.Noted(text="I am looking into it"))
    assert "HandedBack" not in clock.pass_(PATIENCE.hand_back - 30)
    assert "HandedBack" in clock.pass_(60)


def test_an_unseen_holders_answer_ends_the_wait():
    story = held(owed=True)
    clock = Clock(story, unseen=True)
    clock.pass_(PATIENCE.hand_back - 30)
    story.propose(ANN, ev.Said(text="here"))
    assert clock.pass_(20 * PATIENCE.hand_back) == []
    story.propose(VISITOR, ev.Said(text="thanks; one more thing"))
    assert "HandedBack" not in clock.pass_(PATIENCE.hand_back - 30), "the wait begins with the new question"


def test_a_ladder_of_one_rung_ends_with_it():
    story = asked()
    clock = Clock(story, patience=replace(PATIENCE, ladder=(30.0,)))
    assert clock.pass_(3_600) == ["HelpWanted1"]
    assert story.state.help is not None
    assert story.state.help.last
