"""The crash harness's checker: it agrees with a good history, and objects where a law is broken."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from msgspec.structs import replace as altered
import pytest

from bridge import events as ev
from bridge.events import Entry, Seq
from tests.harness.checker import check
from tests.harness.history import (
    Acked,
    Declined,
    DraftShown,
    History,
    Line,
    Mailed,
    Outage,
    Posted,
    Sitting,
    Take,
    Terms,
    Typed,
)
from tests.logs import ANN, ASSISTANT, SAM, START, SYSTEM, VISITOR, Story

CID = "c1"
DANA = "dana@acme.example"


def at(seconds: float):
    return START + timedelta(seconds=seconds)


def good() -> History:
    """A visitor asks, is answered, Ann takes over before Sam does, answers, and hands back."""
    story = Story(opened=False)
    opening = ev.Said(text="v0x.1. Do you ship?")
    story.propose(VISITOR, ev.Opened(site="acme"), opening, key="o")  # 1, 2
    story.propose(ASSISTANT, ev.Said(text="a1x. We do."), key="ai:2")  # 3
    story.propose(ANN, ev.TookOver(), key="take")  # 4
    story.propose(VISITOR, ev.Said(text="v0x.2. When?"), key="two")  # 5
    story.propose(ANN, ev.Said(text="k0x.1. Today."), key="a")  # 6
    story.propose(ANN, ev.HandedBack(), key="back")  # 7
    log = story.entries
    history = History(terms=Terms(answer=10, recover=2, tell=3), logs={CID: log}, recipients=(DANA,))
    history.ended = at(60)
    said = ("Said",)
    history.acked = [
        Acked("visitor", CID, "visitor", "o", 1, ("Opened", "Said"), ("", "v0x.1. Do you ship?")),
        Acked("visitor", CID, "visitor", "two", 5, said, ("v0x.2. When?",)),
        Acked("ann", CID, "staff:id-ann", "take", 4, line="take"),
        Acked("ann", CID, "staff:id-ann", "a", 6, said, ("k0x.1. Today.",)),
    ]
    history.declined = [Declined("visitor", CID, "visitor", "two", "key_reused", reused=True)]
    lines = [
        Line(1, "Opened"),
        Line(2, "Said", "v0x.1. Do you ship?"),
        Line(3, "Said", "a1x. We do."),
        Line(4, "TookOver"),
        Line(5, "Said", "v0x.2. When?"),
        Line(6, "Said", "k0x.1. Today."),
        Line(7, "HandedBack"),
    ]
    history.sittings = [
        Sitting("visitor", "visitor", CID, 0, lines[:3]),
        Sitting("visitor", "visitor", CID, 3, lines[3:], to_the_end=True),
    ]
    history.takes = [
        Take(CID, 1, "staff:id-ann", seq=4),
        Take(CID, 1, "staff:id-sam", holder="Ann"),
    ]
    history.drafts = [DraftShown("visitor", CID, since=1, seen=2)]
    history.slack = [_posted(seq, log[seq - 1]) for seq in (3, 4, 5, 6, 7)]
    history.telegram = [_posted(None, log[seq - 1]) for seq in (3, 5, 6)]
    history.mailed = [Mailed(CID, DANA)]
    history.looked = [(CID, b"same", b"same")]
    history.looks = 1
    return history


def _posted(seq: int | None, entry: Entry) -> Posted:
    text = entry.event.text if isinstance(entry.event, ev.Said) else "a notice"
    return Posted(CID, "thread", text, entry.at, seq)


def entry(history: History, place: int, **changes: object) -> None:
    log = history.logs[CID]
    log[place - 1] = altered(log[place - 1], **changes)


def append(history: History, by: ev.Party, event: ev.Event, *, key: str = "new", after: float = 1.0) -> Entry:
    log = history.logs[CID]
    added = Entry(
        seq=Seq(len(log) + 1), at=log[-1].at + timedelta(seconds=after), event=event, by=by, via="t", key=key
    )
    log.append(added)
    return added


def broken(history: History) -> dict[int, list[str]]:
    return {verdict.law: verdict.broken for verdict in check(history) if verdict.broken}


def test_a_good_history_is_good_and_all_of_it_was_looked_at():
    verdicts = check(good())

    assert {v.law: v.broken for v in verdicts if v.broken} == {}
    assert [v.law for v in verdicts] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    assert all(sum(v.counted.values()) for v in verdicts)


# --- One way, or a few, to break each law --------------------------------------------------------


def lost(history: History) -> None:
    history.acked.append(Acked("visitor", CID, "visitor", "gone", 8, ("Said",), ("v0x.3. Gone",)))


def moved(history: History) -> None:
    history.acked[1] = replace(history.acked[1], seq=6)


def other_words(history: History) -> None:
    entry(history, 5, event=ev.Said(text="v0x.2. Whatever"))


def platform_words_lost(history: History) -> None:
    history.typed.append(Typed("slack", "s0x.1. Gone", accepted=True))


def twice_in_the_log(history: History) -> None:
    append(history, VISITOR, ev.Said(text="v0x.2. When?"), key="two")


def same_words_under_two_keys(history: History) -> None:
    append(history, VISITOR, ev.Said(text="v0x.2. When?"), key="three")


def acknowledged_at_two_places(history: History) -> None:
    history.acked.append(replace(history.acked[1], seq=3))


def key_taken_for_other_words(history: History) -> None:
    history.declined[0] = replace(history.declined[0], code="ack")


def a_hole(history: History) -> None:
    entry(history, 7, seq=Seq(8))


def out_of_order(history: History) -> None:
    append(history, VISITOR, ev.Said(text="v0x.1. Before"))


def a_gap(history: History) -> None:
    del history.sittings[1].lines[1]


def a_double(history: History) -> None:
    history.sittings[0].lines.append(history.sittings[0].lines[-1])


def not_to_the_end(history: History) -> None:
    del history.sittings[1].lines[-1]


def team_talk_shown(history: History) -> None:
    history.sittings[1].lines.append(Line(8, "Noted", "psst"))
    append(history, ANN, ev.Noted(text="psst"))


def two_voices(history: History) -> None:
    entry(history, 6, by=SAM)


def assistant_after_takeover(history: History) -> None:
    entry(history, 6, by=ASSISTANT)


def assistant_asks_after_takeover(history: History) -> None:
    entry(history, 6, by=ASSISTANT, event=ev.HelpWanted())


def draft_of_a_person(history: History) -> None:
    history.drafts.append(DraftShown("visitor", CID, since=4, seen=4))


def draft_after_the_takeover(history: History) -> None:
    history.drafts.append(DraftShown("visitor", CID, since=1, seen=5))


def two_winners(history: History) -> None:
    history.takes.append(Take(CID, 1, "staff:id-sam", seq=7))


def won_on_a_stale_view(history: History) -> None:
    append(history, SAM, ev.TookOver())
    history.takes = [Take(CID, 1, "staff:id-sam", seq=8)]


def told_the_wrong_name(history: History) -> None:
    history.takes[1] = replace(history.takes[1], holder="Nobody")


def looking_left_a_trace(history: History) -> None:
    history.looked = [(CID, b"before", b"after")]


def missing_in_slack(history: History) -> None:
    del history.slack[2]


def out_of_order_in_slack(history: History) -> None:
    history.slack[1], history.slack[2] = history.slack[2], history.slack[1]


def twice_in_slack(history: History) -> None:
    history.slack.append(history.slack[-1])


def two_threads_in_slack(history: History) -> None:
    history.slack[-1] = replace(history.slack[-1], thread="another")


def missing_in_telegram(history: History) -> None:
    del history.telegram[1]


def out_of_order_in_telegram(history: History) -> None:
    history.telegram.reverse()


def never_mailed(history: History) -> None:
    history.mailed.clear()


def undelivered_for_nothing(history: History) -> None:
    append(history, SYSTEM, ev.Undelivered(surface="slack", target=Seq(3), reason="?"))
    history.slack.append(Posted(CID, "thread", "said so", at(50), 8))


def left_hanging(history: History) -> None:
    append(history, VISITOR, ev.Said(text="v0x.3. Hello?"), key="three")
    history.slack.append(Posted(CID, "thread", "v0x.3.", at(50), 8))
    history.telegram.append(Posted(CID, "thread", "v0x.3.", at(50)))
    history.sittings[1].lines.append(Line(8, "Said", "v0x.3. Hello?"))


def answered_late(history: History) -> None:
    left_hanging(history)
    append(history, ASSISTANT, ev.Said(text="Sorry"), key="late", after=11)
    history.slack.append(Posted(CID, "thread", "Sorry", at(50), 9))
    history.sittings[1].lines.append(Line(9, "Said", "Sorry"))


WAYS: list[tuple[int, Callable[[History], None]]] = [
    (1, lost), (1, moved), (1, other_words), (1, platform_words_lost),
    (2, twice_in_the_log), (2, same_words_under_two_keys), (2, acknowledged_at_two_places),
    (2, key_taken_for_other_words), (3, out_of_order), (4, a_gap), (4, a_double), (4, not_to_the_end),
    (4, team_talk_shown), (5, two_voices), (6, assistant_after_takeover), (6, assistant_asks_after_takeover),
    (6, draft_of_a_person), (6, draft_after_the_takeover), (7, two_winners), (7, won_on_a_stale_view),
    (7, told_the_wrong_name), (8, looking_left_a_trace), (10, missing_in_slack), (10, out_of_order_in_slack),
    (10, twice_in_slack), (10, two_threads_in_slack), (10, missing_in_telegram),
    (10, out_of_order_in_telegram), (10, never_mailed), (10, undelivered_for_nothing), (11, left_hanging),
    (11, answered_late),
]  # fmt: skip


@pytest.mark.parametrize(("law", "way"), WAYS, ids=[way.__name__ for _, way in WAYS])
def test_it_objects(law: int, way: Callable[[History], None]):
    history = good()
    way(history)

    assert law in broken(history)


def test_a_hole_in_the_log_is_told_before_anything_is_made_of_it():
    history = good()
    a_hole(history)

    assert list(broken(history)) == [3]


# --- What is allowed, and only then --------------------------------------------------------------


def test_the_clock_stands_while_our_own_servers_are_down():
    history = good()
    answered_late(history)
    history.outages.append(Outage("servers", "kill all", at(5), at(12)))

    assert 11 not in broken(history)


@pytest.mark.parametrize("what", ["slack", "telegram", "smtp", "model"])
def test_it_does_not_stand_while_others_are(what: str):
    history = good()
    answered_late(history)
    history.outages.append(Outage(what, "down", at(0), at(60)))

    assert 11 in broken(history)


def test_undelivered_is_right_while_the_surface_was_down():
    history = good()
    undelivered_for_nothing(history)
    history.outages.append(Outage("slack", "slack down", at(0), at(9)))

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
