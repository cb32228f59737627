"""Law 10: what stands on Slack and Telegram and was mailed, against the log."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import reduce
import re

from bridge import events as ev
from bridge.conversation import Conversation, fold
from bridge.events import Entry
from connectors.threads.desk import typed_as
from connectors.threads.shown import Change, Speech, shown
from tests.harness.history import EVERYBODY, History, Log, Posted
from tests.harness.verdict import Verdict, text_of

# What may stand twice in Slack. Its `conversations.replies` tells what was posted, so a message whose answer
# got lost, or whose sender was killed, is found and not sent again. It cannot tell what is still on its way:
# a process that is stopped in mid-call may have handed its request to the kernel, or may send it when it
# goes on, after another process has looked, found nothing and posted. A process that is cut off from the
# store for longer than its lease lives is in the same place while its call lasts.
UNTOLD = (
    "pause", "redis black hole", "redis stands still", "kill redis", "redis slow", "redis failed over",
    "redis read-only", "redis out of memory",
)  # fmt: skip

BEHIND = {"email": "smtp", "assistant": "model"}  # whose outages a surface suffers from, where they differ
PAUSE = 3.0  # seconds: the longest between two tries, and the call that finds that there is trouble still
SHUT = (EVERYBODY, "slack down", "telegram down")
SOON = 2.0  # seconds until a courier knows that what it tries for longer than `tell` does not get through


def couriers(history: History, verdict: Verdict) -> None:
    _slack(history, verdict)
    _telegram(history, verdict)
    _mail(history, verdict)
    for cid, log in history.logs.items():
        for entry in log:
            if isinstance(entry.event, ev.Undelivered) and not entry.event.late:
                verdict.count("Undelivered")
                _told_rightly(history, verdict, cid, entry, entry.event.surface)


def _told_rightly(history: History, verdict: Verdict, cid: str, entry: Entry, surface: str) -> None:
    """What was given up or is late had a reason in the seconds before: the surface, or a server of ours."""
    began = entry.at - timedelta(seconds=history.terms.tell + PAUSE)
    behind = BEHIND.get(surface, surface)
    down = any(o.what == behind and o.began < entry.at and o.ended > began for o in history.outages)
    ours = not down and history.stumbled(began, entry.at)
    verdict.count("of them for trouble of ours", ours)
    verdict.holds(down or ours, f"{cid}: {entry.seq} says Undelivered, but {surface} was up")


def _told_in_time(
    history: History,
    verdict: Verdict,
    cid: str,
    surface: str,
    *,
    expected: Log,
    shown_at: dict[int, datetime],
) -> None:
    """Where nothing at all got through for long enough, staff were told so while it lasted.

    Not where a word of such trouble was the first in the queue: those tell of none themselves.
    """
    for out in history.outages:
        if out.what != surface or out.kind not in SHUT or history.stumbled(out.began, out.ended):
            continue
        before = max((seq for seq, at in shown_at.items() if at < out.ended), default=0)
        waiting = [e for e in expected if e.seq > before]
        first = next((e for e in waiting if history.entered(cid, e)[0] >= out.began), None)
        enough = out.ended - timedelta(seconds=history.terms.tell + SOON)
        if first is None or history.entered(cid, first)[1] >= enough:
            continue
        if any(isinstance(e.event, ev.Undelivered) for e in waiting if e.seq <= first.seq):
            continue
        verdict.count(f"held up in {surface.title()}")
        told = [
            e.seq
            for e in history.logs[cid]
            if isinstance(e.event, ev.Undelivered) and e.event.surface == surface and e.event.target <= first.seq
            and out.began - timedelta(seconds=10) <= e.at <= out.ended
        ]  # fmt: skip
        verdict.holds(told, f"{surface}: {first.seq} of {cid} was held up by “{out.kind}” without a word")


def given_up(log: Log, surface: str) -> set[int]:
    return {
        e.event.target
        for e in log
        if isinstance(e.event, ev.Undelivered) and e.event.surface == surface and not e.event.retrying
    }


def _expected(log: Log, surface: str) -> list[Entry]:
    """What must show as a message of ours: not what stands in the card, or was typed there."""
    state = reduce(fold, log, Conversation())
    first = next((e.seq for e in log if isinstance(e.event, ev.Said) and isinstance(e.by, ev.Visitor)), None)
    found = []
    for entry in log:
        seen = shown(entry, state, surface=surface)
        typed = isinstance(seen, Speech) and typed_as(entry, surface) is not None
        if seen is not None and not isinstance(seen, Change) and not typed and entry.seq != first:
            found.append(entry)
    return found


def _slack(history: History, verdict: Verdict) -> None:
    by_cid: dict[str, list[Posted]] = defaultdict(list)
    for post in history.slack:
        by_cid[post.cid].append(post)
    for cid, log in history.logs.items():
        posts = by_cid.pop(cid, [])
        threads = {post.thread for post in posts}
        verdict.holds(len(threads) <= 1, f"slack: {cid} has {len(threads)} threads")
        expected, lost = _expected(log, "slack"), given_up(log, "slack")
        at: dict[int, dict[int, list[Posted]]] = defaultdict(lambda: defaultdict(list))
        for post in posts:
            if post.seq is not None:
                at[post.seq][post.part].append(post)
        for entry in expected:
            verdict.count("entries in Slack")
            verdict.holds(entry.seq in at or entry.seq in lost, f"slack: {entry.seq} of {cid} is missing")
        first = {seq: min(post.at for same in parts.values() for post in same) for seq, parts in at.items()}
        _told_in_time(history, verdict, cid, "slack", expected=expected, shown_at=first)
        for seq, parts in at.items():
            for same in parts.values():
                if len(same) > 1:
                    verdict.count("twice in Slack")
                    verdict.holds(
                        _may_be_twice(history, same), f"slack: {seq} of {cid} stands there {len(same)} times"
                    )
        order = list(dict.fromkeys(p.seq for p in posts if p.seq is not None))
        verdict.holds(order == sorted(order), f"slack: {cid} shows {order}")
    verdict.holds(not by_cid, f"slack: threads of unknown conversations {list(by_cid)}")


def _may_be_twice(history: History, same: Sequence[Posted]) -> bool:
    began, ended = min(p.at for p in same), max(p.at for p in same)
    margin = timedelta(seconds=2 * history.terms.recover)
    return any(o.kind in UNTOLD and o.began < ended and o.ended > began - margin for o in history.outages)


def _telegram(history: History, verdict: Verdict) -> None:
    """Telegram cannot be asked what was posted: at least once, and in order where each first shows."""
    by_cid: dict[str, list[Posted]] = defaultdict(list)
    for post in history.telegram:
        by_cid[post.cid].append(post)
    for cid, log in history.logs.items():
        posts, lost = by_cid.get(cid, []), given_up(log, "telegram")
        places: list[tuple[int, int]] = []
        expected = _expected(log, "telegram")
        for entry in expected:
            text = text_of(entry)
            mark = re.match(r"[vksta]\d+x\.(\d+\.)?", text)
            if not text or mark is None:
                continue
            verdict.count("words in Telegram")
            found = [i for i, post in enumerate(posts) if mark[0] in post.text]
            verdict.count("twice in Telegram", len(found) > 1)
            if found:
                places.append((found[0], entry.seq))
            else:
                verdict.holds(entry.seq in lost, f"telegram: {entry.seq} of {cid} is missing ({mark[0]})")
        second = timedelta(seconds=1)  # Telegram tells no less
        first = {seq: posts[place].at + second for place, seq in places}
        _told_in_time(history, verdict, cid, "telegram", expected=expected, shown_at=first)
        order = [place for place, _ in places]
        verdict.holds(order == sorted(order), f"telegram: {cid} shows {places}")


def _mail(history: History, verdict: Verdict) -> None:
    told = {(mail.cid, mail.recipient) for mail in history.mailed}
    for cid, log in history.logs.items():
        lost = [
            e.event.reason
            for e in log
            if isinstance(e.event, ev.Undelivered) and e.event.surface == "email" and not e.event.retrying
        ]
        for recipient in history.recipients:
            verdict.count("recipients")
            name = recipient.partition("@")[0].title()
            given_up = any(reason.startswith(f"{name}: ") for reason in lost)
            verdict.count("given up in view of the team", given_up)
            verdict.holds((cid, recipient) in told or given_up, f"email: {recipient} never heard of {cid}")
