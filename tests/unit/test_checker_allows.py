"""What the crash harness's checker allows, and only then."""

from msgspec.structs import replace as altered
import pytest

from bridge import events as ev
from bridge.events import Seq
from tests.harness.checker import check
from tests.harness.example import CID, append, at, broken, entry, good
from tests.harness.history import Down, Line, Outage, Posted
from tests.logs import ANN, ASSISTANT, SYSTEM
from tests.unit.test_checker import (
    answered_late,
    held_up_in_slack_without_a_word,
    mail_given_up_for_another,
    missing_in_slack,
    twice_in_slack,
    undelivered_for_nothing,
)


def test_the_clock_stands_while_no_server_of_ours_runs():
    history = good()
    answered_late(history)
    history.downs += [Down(0, at(5), at(12)), Down(1, at(8), at(14))]

    assert 11 not in broken(history)


@pytest.mark.parametrize(
    "downs",
    [
        [Down(0, at(0), at(60))],
        [Down(0, at(0), at(14)), Down(1, at(14), at(60))],
        [Down(0, at(0), at(5)), Down(1, at(0), at(5))],
    ],
    ids=["one of two", "one after the other", "both, before it"],
)
def test_it_does_not_stand_while_one_runs(downs: list[Down]):
    history = good()
    answered_late(history)
    history.downs += downs

    assert 11 in broken(history)


@pytest.mark.parametrize("what", ["slack", "telegram", "smtp", "model"])
def test_it_does_not_stand_while_others_are_down(what: str):
    history = good()
    answered_late(history)
    history.outages.append(Outage(what, "down", at(0), at(60)))

    assert 11 in broken(history)


def test_it_begins_when_the_words_come_into_the_log():
    history = good()
    answered_late(history)
    history.seen[CID, 8] = (at(12), at(13))

    assert 11 not in broken(history)


def test_it_begins_anew_with_a_hand_back():
    history = good()
    answered_late(history)
    back = append(history, ANN, ev.HandedBack(), after=-5)
    history.logs[CID][8:] = [altered(back, seq=Seq(9)), altered(history.logs[CID][8], seq=Seq(10))]

    assert 11 not in broken(history)


def test_what_was_judged_is_counted():
    history = good()
    answered_late(history)
    entry(history, 9, at=at(10))
    history.downs += [Down(n, at(8.5), at(9)) for n in range(2)]
    history.outside.append((at(0), at(2)))

    (verdict,) = [v for v in check(history) if v.law == 11]
    assert verdict.broken == []
    assert verdict.counted == {
        "messages of visitors": 3,
        "judged in full": 2,
        "of them while only others were in trouble": 1,
        "not answered yet at the end": 0,
        "% judged in full": 66,
        "s waited at most": 2,
    }


def test_undelivered_is_right_while_the_surface_was_down():
    history = good()
    undelivered_for_nothing(history)
    history.outages.append(Outage("slack", "slack down", at(0), at(9)))

    assert broken(history) == {}


def test_undelivered_is_right_where_a_server_stumbled():
    history = good()
    undelivered_for_nothing(history)
    history.downs.append(Down(1, at(4), at(6)))

    assert broken(history) == {}


def test_mail_that_was_given_up_in_view_of_the_team_is_not_missing():
    history = good()
    mail_given_up_for_another(history)
    entry(history, 8, event=ev.Undelivered(surface="email", target=Seq(2), reason="Dana: 550"))

    assert broken(history) == {}


def test_held_up_is_right_where_staff_were_told():
    history = good()
    held_up_in_slack_without_a_word(history)
    told = ev.Undelivered(surface="slack", target=Seq(8), reason="down", retrying=True)
    append(history, SYSTEM, told, key="told", after=4)
    append(history, ASSISTANT, ev.Said(text="Yes"), key="ai:8")
    history.slack += [Posted(CID, "thread", "", at(15.1), seq) for seq in (9, 10)]
    history.sittings[1].lines += [Line(8, "Said", "v0x.3. Hello?"), Line(10, "Said", "Yes")]

    assert broken(history) == {}


def test_twice_in_slack_is_right_after_a_pause_and_not_after_an_error_of_slacks():
    history = good()
    twice_in_slack(history)
    history.outages.append(Outage("slack", "slack answers lost", at(0), at(30)))
    assert 10 in broken(history)

    history.outages.append(Outage("servers", "pause", at(-9), at(0)))
    assert 10 in broken(history), "that was over long before"

    history.outages.append(Outage("servers", "pause", at(5), at(11)))
    assert broken(history) == {}


def test_what_was_given_up_in_view_of_the_team_is_not_missing():
    history = good()
    missing_in_slack(history)
    append(history, SYSTEM, ev.Undelivered(surface="slack", target=Seq(5), reason="down"))
    history.slack.append(Posted(CID, "thread", "it says so", at(50), 8))
    history.outages.append(Outage("slack", "slack down", at(0), at(9)))

    assert broken(history) == {}
