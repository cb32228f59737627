"""Law 11: how long each visitor waited for an answer, a person or an honest sentence."""

from datetime import datetime
import math

from bridge import events as ev
from bridge.events import Entry
from tests.harness.history import History, Log
from tests.harness.spans import Span, within
from tests.harness.verdict import Verdict, type_of


def nobody_hangs(history: History, verdict: Verdict) -> None:
    """The clock stands while no server of ours can work at all, and else never.

    One server that is killed, paused or cut off is no excuse while another runs, nor is anything outside.
    A hand-back begins the time anew, as it does in `bridge.idle`: it can come once before somebody takes over.
    """
    assert history.ended is not None
    halts, longest = history.halts(), 0.0
    counted = verdict.counted
    for cid, log in history.logs.items():
        for place, entry in enumerate(log):
            if not isinstance(entry.event, ev.Said) or not isinstance(entry.by, ev.Visitor):
                continue
            answer = next((e for e in log[place + 1 :] if _answers(e, entry)), None)
            began = _begins(history, cid, entry, log[place + 1 : answer.seq if answer else None])
            ended = max(history.entered(cid, answer)[1], answer.at) if answer else history.ended
            excused = within(halts, began, ended)
            waited = max(0.0, (ended - began).total_seconds()) - excused
            longest = max(longest, waited)
            verdict.count("messages of visitors")
            verdict.count("judged in full", not excused)
            verdict.count(
                "of them while only others were in trouble", not excused and _inside(history.outside, began)
            )
            verdict.count("not answered yet at the end", answer is None)
            verdict.holds(
                waited <= history.terms.answer,
                f"{cid}: {entry.seq} waited {waited:.1f} s for " + (type_of(answer) if answer else "nothing"),
            )
    if counted:
        verdict.count("% judged in full", 100 * counted["judged in full"] // counted["messages of visitors"])
    verdict.count("s waited at most", math.ceil(longest))


def _begins(history: History, cid: str, entry: Entry, until: Log) -> datetime:
    """When the visitor's words were surely not in the log yet; or when they were left to the assistant."""
    began = max(entry.at, history.entered(cid, entry)[0])
    back = next((e for e in until if isinstance(e.event, ev.HandedBack)), None)
    return began if back is None else max(began, back.at)


def _inside(spans: list[Span], at: datetime) -> bool:
    return any(began <= at <= ended for began, ended in spans)


def _answers(entry: Entry, words: Entry) -> bool:
    """The assistant's own words answer what it had read: their key says how far that was."""
    match entry.event, entry.by:
        case _, ev.Visitor():
            return False
        case ev.Said(), ev.Assistant():
            turn = entry.key.partition("#")[0].removeprefix("ai:")
            return not turn.isdecimal() or int(turn) >= words.seq
        case ((ev.Said() | ev.HelpWanted() | ev.TookOver()), _):
            return True
        case _:
            return False
