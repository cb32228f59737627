"""The crash harness's checker: it agrees with a good history, and objects where a law is broken."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
import re

import pytest

from bridge import events as ev
from bridge.events import Seq
from tests.harness.checker import check
from tests.harness.example import CID, append, at, broken, entry, good
from tests.harness.history import (
    EVERYBODY,
    Acked,
    Down,
    DraftShown,
    History,
    Line,
    Outage,
    Posted,
    Take,
    Typed,
)
from tests.logs import ANN, ASSISTANT, SAM, SYSTEM, VISITOR


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
    history.slack.append(Posted(CID, "thread", "said so", at(9), 8))


def undelivered_long_after_the_trouble(history: History) -> None:
    undelivered_for_nothing(history)
    history.outages.append(Outage("slack", "slack down", at(-9), at(0)))
    history.downs.append(Down(0, at(-9), at(0)))


def undelivered_for_others_trouble(history: History) -> None:
    undelivered_for_nothing(history)
    history.outages.append(Outage("telegram", "telegram down", at(0), at(9)))


def held_up_in_slack_without_a_word(history: History) -> None:
    append(history, VISITOR, ev.Said(text="v0x.3. Hello?"), key="three", after=0.5)
    history.slack.append(Posted(CID, "thread", "v0x.3.", at(15), 8))
    history.telegram.append(Posted(CID, "thread", "v0x.3.", at(7)))
    history.outages.append(Outage("slack", "slack down", at(5), at(14)))


def held_up_in_telegram_without_a_word(history: History) -> None:
    append(history, VISITOR, ev.Said(text="v0x.3. Hello?"), key="three", after=0.5)
    history.slack.append(Posted(CID, "thread", "v0x.3.", at(7), 8))
    history.telegram.append(Posted(CID, "thread", "v0x.3.", at(15)))
    history.outages.append(Outage("telegram", EVERYBODY, at(5), at(14)))


def a_part_twice_in_slack(history: History) -> None:
    history.slack += [replace(history.slack[-1], part=1)] * 2


def mail_given_up_for_another(history: History) -> None:
    never_mailed(history)
    history.outages.append(Outage("smtp", "smtp down", at(0), at(9)))
    append(history, SYSTEM, ev.Undelivered(surface="email", target=Seq(2), reason="Sam: 550"))
    history.slack.append(Posted(CID, "thread", "it says so", at(9), 8))


def mail_only_late_so_far(history: History) -> None:
    mail_given_up_for_another(history)
    entry(history, 8, event=ev.Undelivered(surface="email", target=Seq(2), reason="Dana: 451", retrying=True))


def left_hanging(history: History) -> None:
    append(history, VISITOR, ev.Said(text="v0x.3. Hello?"), key="three")
    history.slack.append(Posted(CID, "thread", "v0x.3.", at(8), 8))
    history.telegram.append(Posted(CID, "thread", "v0x.3.", at(8)))
    history.sittings[1].lines.append(Line(8, "Said", "v0x.3. Hello?"))


def answered_late(history: History) -> None:
    left_hanging(history)
    append(history, ASSISTANT, ev.Said(text="Sorry"), key="late", after=11)
    history.slack.append(Posted(CID, "thread", "Sorry", at(20), 9))
    history.sittings[1].lines.append(Line(9, "Said", "Sorry"))


def entered_late(history: History) -> None:
    """The answer was decided in time, and came into the log by a server that was cut off meanwhile."""
    answered_late(history)
    entry(history, 9, at=history.logs[CID][7].at)
    history.seen[CID, 9] = (at(20), at(20))


def answered_by_words_from_before(history: History) -> None:
    left_hanging(history)
    append(history, ASSISTANT, ev.Said(text="Sorry"), key="ai:2")
    history.slack.append(Posted(CID, "thread", "Sorry", at(9), 9))
    history.sittings[1].lines.append(Line(9, "Said", "Sorry"))


def handed_back_and_forgotten(history: History) -> None:
    """The hand-back begins the time anew, and not for ever."""
    entry(history, 6, event=ev.Noted(text="k0x.1. Today."))
    history.acked.pop()
    history.sittings[1].lines.pop(2)
    history.telegram[-1] = replace(history.telegram[-1], text="k0x.1. Today.")


WAYS: list[tuple[int, Callable[[History], None]]] = [
    (1, lost), (1, moved), (1, other_words), (1, platform_words_lost),
    (2, twice_in_the_log), (2, same_words_under_two_keys), (2, acknowledged_at_two_places),
    (2, key_taken_for_other_words), (3, out_of_order), (4, a_gap), (4, a_double), (4, not_to_the_end),
    (4, team_talk_shown), (5, two_voices), (6, assistant_after_takeover), (6, assistant_asks_after_takeover),
    (6, draft_of_a_person), (6, draft_after_the_takeover), (7, two_winners), (7, won_on_a_stale_view),
    (7, told_the_wrong_name), (8, looking_left_a_trace), (10, missing_in_slack), (10, out_of_order_in_slack),
    (10, twice_in_slack), (10, two_threads_in_slack), (10, missing_in_telegram),
    (10, out_of_order_in_telegram), (10, never_mailed), (10, undelivered_for_nothing),
    (10, undelivered_long_after_the_trouble), (10, undelivered_for_others_trouble),
    (10, held_up_in_slack_without_a_word), (10, held_up_in_telegram_without_a_word), (10, a_part_twice_in_slack),
    (10, mail_given_up_for_another), (10, mail_only_late_so_far), (11, left_hanging), (11, answered_late),
    (11, entered_late), (11, answered_by_words_from_before), (11, handed_back_and_forgotten),
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


def test_what_the_harness_cannot_break_is_broken_elsewhere():
    root = Path(__file__).parents[2]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (root / "CONTRIBUTING.md").read_text("utf-8"))
    assert len(named) > 10
    gone = [
        f"{path}::{test}" for path, test in named if f"def {test}(" not in (root / path).read_text("utf-8")
    ]
    assert not gone
