"""Proves the laws from what a run has left. Each check counts what it looked at and says what is broken."""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from functools import reduce
import re

from bridge import events as ev
from bridge import wire
from bridge.conversation import Conversation, fold
from bridge.events import Seq, author
from tests.harness.history import History, Line, Log, Sitting
from tests.harness.surfaces import couriers
from tests.harness.verdict import Verdict, states, text_in, text_of, type_of
from tests.harness.waits import nobody_hangs

NUMBERED = re.compile(r"([vk]\d+x)\.(\d+)\.")


def check(history: History) -> list[Verdict]:
    """A verdict on each law; on the third alone where a log has a hole, since nothing can be made of it."""
    found = [_verdict(3, history)]
    if not any(_has_hole(log) for log in history.logs.values()):
        found += [_verdict(law, history) for law in LAWS if law != 3]
    return sorted(found, key=lambda verdict: verdict.law)


def _verdict(law: int, history: History) -> Verdict:
    name, prove = LAWS[law]
    verdict = Verdict(law, name)
    prove(history, verdict)
    return verdict


def _has_hole(log: Log) -> bool:
    return [e.seq for e in log] != list(range(1, len(log) + 1))


# --- 1: ack means durable ------------------------------------------------------------------------


def durable(history: History, verdict: Verdict) -> None:
    """What was acknowledged stands at that seq, by that author, in those words."""
    for ack in history.acked:
        verdict.count("acknowledgements")
        log = history.logs.get(ack.cid, [])
        where = f"{ack.client}'s {ack.key}, acknowledged as {ack.seq} of {ack.cid}"
        entries = log[ack.seq - 1 : ack.seq - 1 + max(1, len(ack.types))]
        if not entries:
            verdict.broken.append(f"{where}: the log ends at {len(log)}")
            continue
        verdict.holds(all(author(e.by) == ack.author for e in entries), f"{where}: by {entries[0].by}")
        if ack.line:
            word = ack.line.split()[0]
            first = "Said" if word == "back" and len(ack.line.split()) > 1 else COMMANDS[word]
            verdict.holds(type_of(entries[0]) == first, f"{where}: {ack.line} is {type_of(entries[0])}")
            continue
        stands = (tuple(map(type_of, entries)), tuple(map(text_of, entries)))
        verdict.holds(stands == (ack.types, ack.texts), f"{where}: there stands {stands}")
    said = {text_of(e) for log in history.logs.values() for e in log}
    for typed in history.typed:
        if typed.accepted:
            verdict.count(f"words accepted from {typed.surface}")
            verdict.holds(typed.text in said, f"{typed.surface}: accepted and lost: {typed.text}")


COMMANDS = {"take": "TookOver", "back": "HandedBack"}


# --- 2: exactly once -----------------------------------------------------------------------------


def exactly_once(history: History, verdict: Verdict) -> None:
    for cid, log in history.logs.items():
        keys: dict[tuple[str, str], int] = {}
        texts: dict[str, int] = {}
        for entry in log:
            verdict.count("entries")
            key = (author(entry.by), entry.key)
            verdict.holds(key not in keys, f"{cid}: {key} stands at {keys.get(key)} and {entry.seq}")
            keys[key] = entry.seq
            text = text_of(entry)
            if re.match(r"[vkst]\d+x\.", text):
                verdict.holds(text not in texts, f"{cid}: {text!r} at {texts.get(text)} and {entry.seq}")
                texts[text] = entry.seq
    seqs: dict[tuple[str, str, str], int] = {}
    for ack in history.acked:
        name = (ack.cid, ack.author, ack.key)
        verdict.count("repeats", name in seqs)
        known = seqs.setdefault(name, ack.seq)
        verdict.holds(known == ack.seq, f"{name}: acknowledged as {known} and as {ack.seq}")
    for declined in history.declined:
        if declined.reused:
            verdict.count("keys used again")
            verdict.holds(declined.code == "key_reused", f"{declined.key} was used again: {declined.code}")


# --- 3: dense and ordered ------------------------------------------------------------------------


def dense(history: History, verdict: Verdict) -> None:
    for cid, log in history.logs.items():
        verdict.count("logs")
        verdict.holds(not _has_hole(log), f"{cid}: {[e.seq for e in log]}")
        last: dict[str, int] = {}
        for entry in log:
            match = NUMBERED.match(text_of(entry))
            if match:
                verdict.count("words in their author's order")
                mark, number = match[1], int(match[2])
                before = last.get(mark, 0)
                verdict.holds(number > before, f"{cid}: {mark} said {number} after {before}")
                last[mark] = number


# --- 4: no silent gap ----------------------------------------------------------------------------


def no_gap(history: History, verdict: Verdict) -> None:
    """Every connection was shown exactly what follows its position, and to the end where it lasted so long."""
    visible: dict[tuple[str, str], list[Line]] = {}
    for sitting in history.sittings:
        verdict.count(f"connections of {sitting.audience}")
        verdict.count("lines", len(sitting.lines))
        key = (sitting.cid, sitting.audience)
        if key not in visible:
            visible[key] = _visible(history.logs.get(sitting.cid, []), sitting)
        expected = [line for line in visible[key] if line.seq > sitting.after]
        if sitting.to_the_end:
            verdict.count("connections to the end")
            due = _due(history, sitting)
            missed = [line for line in expected[len(sitting.lines) :] if line.seq <= due]
            verdict.holds(not missed, f"{sitting.client} was never shown {missed[:3]} of {sitting.cid}")
        expected = expected[: len(sitting.lines)]
        if sitting.lines != expected:
            at = next(
                (i for i, (a, b) in enumerate(zip(sitting.lines, expected, strict=False)) if a != b),
                min(len(sitting.lines), len(expected)),
            )
            verdict.broken.append(
                f"{sitting.client}, after {sitting.after} of {sitting.cid}: line {at} is "
                f"{sitting.lines[at : at + 2]}, not {expected[at : at + 2]}"
            )


def _due(history: History, sitting: Sitting) -> int:
    """Up to where everybody must have been shown when the run ended: a lost wake-up is made good in 2 s."""
    assert history.ended is not None
    upto = history.ended - timedelta(seconds=3)
    return max((e.seq for e in history.logs.get(sitting.cid, []) if e.at <= upto), default=0)


def _visible(log: Log, sitting: Sitting) -> list[Line]:
    state = reduce(fold, log, Conversation())
    lines = (wire.line(entry, sitting.audience, state) for entry in log)
    return [Line(x.seq, type(x.event).__name__, text_in(x.event)) for x in lines if x is not None]


# --- 5: one voice --------------------------------------------------------------------------------


def one_voice(history: History, verdict: Verdict) -> None:
    for cid, log in history.logs.items():
        for state, entry in states(log):
            if isinstance(entry.event, ev.Said) and not isinstance(entry.by, ev.Visitor):
                verdict.count("words for the business")
                holder = state.floor.holder
                verdict.holds(
                    author(holder) == author(entry.by) and not state.closed,
                    f"{cid}: {entry.seq} is said by {author(entry.by)} while {author(holder)} has the floor",
                )


# --- 6: a takeover is final ----------------------------------------------------------------------


def final(history: History, verdict: Verdict) -> None:
    for cid, log in history.logs.items():
        taken: Seq | None = None
        for entry in log:
            match entry.event:
                case ev.TookOver():
                    verdict.count("takeovers")
                    taken = entry.seq
                case ev.HandedBack() | ev.Reopened():
                    taken = None
                case _:
                    verdict.holds(
                        taken is None or not isinstance(entry.by, ev.Assistant),
                        f"{cid}: the assistant's {entry.seq} after the takeover at {taken}",
                    )
    for draft in history.drafts:
        verdict.count("drafts shown")
        log = history.logs.get(draft.cid, [])
        given = log[draft.since - 1] if 0 < draft.since <= len(log) else None
        verdict.holds(
            given is not None and isinstance(given.event, ev.Opened | ev.HandedBack | ev.Reopened),
            f"{draft.client}: a draft under the floor {draft.since}, which is not the assistant's",
        )
        moved = [e.seq for e in log[draft.since : draft.seen] if isinstance(e.event, ev.TookOver)]
        verdict.holds(not moved, f"{draft.client}: a draft from {draft.since} after the takeover at {moved}")


# --- 7: one winner -------------------------------------------------------------------------------


def one_winner(history: History, verdict: Verdict) -> None:
    wins: dict[tuple[str, int], set[int]] = defaultdict(set)
    for take in history.takes:
        log = history.logs.get(take.cid, [])
        where = f"{take.author} on the floor {take.floor} of {take.cid}"
        if take.seq is not None:
            verdict.count("winners")
            wins[take.cid, take.floor].add(take.seq)
            moved = [e.seq for e in log[take.floor : take.seq - 1] if isinstance(e.event, MOVES)]
            verdict.holds(not moved, f"{where} won at {take.seq}, though it had moved at {moved}")
            continue
        verdict.count("losers, told who")
        names = {state.holder_name for state, _ in states(log) if state.floor.since > take.floor}
        names.add(reduce(fold, log, Conversation()).holder_name)
        verdict.holds(take.holder in names, f"{where} lost to {take.holder!r}, who never had it: {names}")
    for (cid, floor), seqs in wins.items():
        verdict.holds(len(seqs) == 1, f"{cid}: the floor {floor} was won at {sorted(seqs)}")


MOVES = ev.TookOver | ev.HandedBack | ev.Reopened


# --- 8: looking changes nothing ------------------------------------------------------------------


def looking(history: History, verdict: Verdict) -> None:
    verdict.count("looks", history.looks)
    for cid, before, after in history.looked:
        verdict.count("logs that were looked at")
        verdict.holds(before == after, f"{cid} reads otherwise after it was looked at")


Check = Callable[[History, Verdict], None]
LAWS: dict[int, tuple[str, Check]] = {
    1: ("ack means durable", durable),
    2: ("exactly once in the log", exactly_once),
    3: ("dense and ordered", dense),
    4: ("no silent gap", no_gap),
    5: ("one voice", one_voice),
    6: ("a takeover is final", final),
    7: ("one winner", one_winner),
    8: ("looking changes nothing", looking),
    10: ("couriers", couriers),
    11: ("nobody is left hanging", nobody_hangs),
}
