"""Law 10: what stands on Slack and Telegram and was mailed, against the log."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from functools import reduce
import re

from bridge import events as ev
from bridge.conversation import Conversation, fold
from bridge.events import Entry
from connectors.threads.desk import typed_as
from connectors.threads.shown import Change, Speech, shown
from tests.harness.history import History, Log, Posted
from tests.harness.verdict import Verdict, text_of

# What may stand twice in Slack. Its `conversations.replies` tells what was posted, so a message whose answer
# got lost, or whose sender was killed, is found and not sent again. It cannot tell what is still on its way:
# a process that is stopped in mid-call may have handed its request to the kernel, or may send it when it
# goes on, after another process has looked, found nothing and posted. A process that is cut off from the
# store for longer than its lease lives is in the same place while its call lasts.
UNTOLD = ("pause", "redis black hole", "redis stands still", "kill redis", "redis slow")


def couriers(history: History, verdict: Verdict) -> None:
    _slack(history, verdict)
    _telegram(history, verdict)
    _mail(history, verdict)
    for cid, log in history.logs.items():
        for entry in log:
            if isinstance(entry.event, ev.Undelivered) and not entry.event.late:
                verdict.count("Undelivered")
                began = entry.at - timedelta(seconds=history.terms.tell + history.terms.recover + 5)
                down = history.during(began, entry.at, what=(entry.event.surface,))
                verdict.holds(down, f"{cid}: {entry.seq} says Undelivered, but {entry.event.surface} was up")


def _given_up(log: Log, surface: str) -> set[int]:
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
        expected, lost = _expected(log, "slack"), _given_up(log, "slack")
        at: dict[int, list[Posted]] = defaultdict(list)
        for post in posts:
            if post.seq is not None:
                at[post.seq].append(post)
        for entry in expected:
            verdict.count("entries in Slack")
            verdict.holds(at.get(entry.seq) or entry.seq in lost, f"slack: {entry.seq} of {cid} is missing")
        for seq, same in at.items():
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
        posts, lost = by_cid.get(cid, []), _given_up(log, "telegram")
        places: list[tuple[int, int]] = []
        for entry in _expected(log, "telegram"):
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
        order = [place for place, _ in places]
        verdict.holds(order == sorted(order), f"telegram: {cid} shows {places}")


def _mail(history: History, verdict: Verdict) -> None:
    told = {(mail.cid, mail.recipient) for mail in history.mailed}
    for cid, log in history.logs.items():
        given_up = any(isinstance(e.event, ev.Undelivered) and e.event.surface == "email" for e in log)
        for recipient in history.recipients:
            verdict.count("recipients")
            verdict.holds((cid, recipient) in told or given_up, f"email: {recipient} never heard of {cid}")
