"""What must hold when the store itself has gone back: docs/explanation/what-can-be-lost.md, for one run.

Every client is told to begin anew. What the copy holds stays as it was. What a visitor had said is given back and
stands in the log again; what others had said is lost, and they are told. From then on the laws hold as ever.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
import re

from bridge import events as ev
from tests.harness.checker import LAWS
from tests.harness.history import Acked, History, Log
from tests.harness.surfaces import given_up
from tests.harness.verdict import Verdict, text_of

AFTERWARDS = (1, 2, 3, 4, 5, 6, 11)
MARK = re.compile(r"[vka]\d+x\.(\d+\.)?")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The store was called `store`, held `kept` and went back `at` this moment."""

    store: str
    kept: dict[str, Log]
    at: datetime


def judge(history: History, loss: Loss) -> list[Verdict]:
    after = _afterwards(history, loss)
    found = []
    for law, name, prove in ((1, "what was kept stays", _kept), (1, "visitors give back", _given_back)):
        found.append(_verdict(law, name, lambda v, prove=prove: prove(history, loss, v)))
    found.append(_verdict(4, "everybody begins anew", lambda v: _told(history, loss, v)))
    found.append(_verdict(10, "what stands is shown", lambda v: _shown(history, v)))
    for law in AFTERWARDS:
        name, check = LAWS[law]
        found.append(_verdict(law, f"{name}, afterwards", lambda v, check=check: check(after, v)))
    return sorted(found, key=lambda verdict: verdict.law)


def _verdict(law: int, name: str, prove: Callable[[Verdict], None]) -> Verdict:
    verdict = Verdict(law, name)
    prove(verdict)
    return verdict


def _afterwards(history: History, loss: Loss) -> History:
    """What was told under the new name of the store. For words from before, the time begins anew."""
    after = History(terms=history.terms, servers=history.servers, logs=history.logs, downs=history.downs)
    after.acked = [ack for ack in history.acked if ack.store != loss.store]
    after.sittings = [sitting for sitting in history.sittings if sitting.store != loss.store]
    after.seen = {(cid, e.seq): (loss.at, loss.at) for cid, log in loss.kept.items() for e in log}
    after.ended = history.ended
    return after


def _kept(history: History, loss: Loss, verdict: Verdict) -> None:
    for cid, log in loss.kept.items():
        verdict.count("entries in the copy", len(log))
        now = history.logs.get(cid, [])[: len(log)]
        verdict.holds(now == log, f"{cid}: the first {len(log)} entries are not those of the copy")


def _given_back(history: History, loss: Loss, verdict: Verdict) -> None:
    for ack in history.acked:
        if ack.store != loss.store or _stands(history.logs.get(ack.cid, []), ack):
            continue
        if ack.author != "visitor":
            verdict.count("lost, of the team's")
            continue
        verdict.count("lost, of visitors'")
        said = [text_of(e) for e in history.logs.get(ack.cid, []) if isinstance(e.by, ev.Visitor)]
        missing = [text for text in ack.texts if text and text not in said]
        verdict.holds(not missing, f"{ack.client}: {missing} was not given back to {ack.cid}")
    given = [ack for ack in history.acked if ack.store != loss.store and ack.author == "visitor"]
    before = {ack.key for ack in history.acked if ack.store == loss.store and ack.author == "visitor"}
    verdict.count("given back", sum(ack.key in before for ack in given))


def _stands(log: Log, ack: Acked) -> bool:
    """Where it was acknowledged, as it was."""
    entry = log[ack.seq - 1] if 0 < ack.seq <= len(log) else None
    return entry is not None and entry.key.partition("#")[0] == ack.key


def _told(history: History, loss: Loss, verdict: Verdict) -> None:
    """Whoever had been shown more than the copy holds was told, staff too; nobody goes on with the old name."""
    last = {sitting.client: sitting for sitting in history.sittings}
    for name, sitting in last.items():
        verdict.count(f"clients of {sitting.audience}")
        verdict.holds(
            sitting.store != loss.store or name in history.signed_out, f"{name} still has what is lost"
        )
    beyond = {
        s.client
        for s in history.sittings
        if s.store == loss.store and s.lines and s.lines[-1].seq > len(loss.kept.get(s.cid, []))
    }
    verdict.count("who had been shown what is lost", len(beyond))
    for name in beyond - set(history.signed_out):
        anew = [s for s in history.sittings if s.client == name and s.store != loss.store]
        verdict.holds(anew and anew[0].after == 0, f"{name} was not told to begin anew")
    names = {sitting.store for sitting in history.sittings if sitting.store != loss.store}
    verdict.holds(len(names) == 1, f"the store has the names {sorted(names)} now")


def _shown(history: History, verdict: Verdict) -> None:
    """At least once on each platform: what stood there before the loss may be something that is lost."""
    for surface, posts in (("slack", history.slack), ("telegram", history.telegram)):
        for cid, log in history.logs.items():
            texts, lost = [post.text for post in posts if post.cid == cid], given_up(log, surface)
            for entry in log[2:]:  # the first words stand in the card
                mark = MARK.match(text_of(entry))
                if mark is not None:
                    verdict.count(f"words in {surface.title()}")
                    there = any(mark[0] in text for text in texts)
                    verdict.holds(there or entry.seq in lost, f"{surface}: {entry.seq} of {cid} is missing")
