"""A small history in which every law holds, for the checker's own tests: they break it."""

from datetime import datetime, timedelta

from msgspec.structs import replace as altered

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
    Posted,
    Sitting,
    Take,
    Terms,
)
from tests.logs import ANN, ASSISTANT, START, VISITOR, Story

CID = "c1"
DANA = "dana@acme.example"


def at(seconds: float) -> datetime:
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
    terms = Terms(answer=10, again=1, recover=2, tell=3)
    history = History(terms=terms, servers=2, logs={CID: log}, recipients=(DANA,))
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
