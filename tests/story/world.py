"""The world of a random story: two bridges over one real store, and the laws that every answer must keep.

The model knows nothing of `fold` and `admit`: it keeps what was sent and what was answered, and reads the
log as a stranger would.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
import shutil
import tempfile
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, invariant
from msgspec import Struct

from bridge import events as ev
from bridge.conversation import ASSISTANT_NAME, admit
from bridge.core import Bridge, Receipt
from bridge.errors import Refused
from bridge.events import ConversationId, Entry, Event, Party, Proposal, Seq, Staff, StaffId, author
from bridge.links import Links
from bridge.store import Store
from bridge.store.sqlite import SqliteStore
from tests.logs import ANN, SAM, START, folded

T = TypeVar("T")

CIDS = (ConversationId("c1"), ConversationId("c2"))
KIM = Staff(id=StaffId("id-kim"), name="Kim")
TEAM = (ANN, SAM, KIM)
NEW_NAME = "Zoe"


class LawBrokenError(AssertionError):
    """`law` is its number in design.md."""

    def __init__(self, law: int, what: str) -> None:
        super().__init__(f"law {law}: {what}")
        self.law = law


broken: list[int] = []  # every law that was seen broken, also where what comes after hides it


def law(number: int, holds: bool, what: str) -> None:
    if not holds:
        broken.append(number)
        raise LawBrokenError(number, what)


class Sent(Struct, frozen=True):
    cid: ConversationId
    proposal: Proposal


class View(Struct, frozen=True):
    """What somebody saw of a conversation once, and may act upon much later."""

    cid: ConversationId
    since: Seq


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="laws-"))
        self.runner = asyncio.Runner()
        self.now = START
        self.count = 0
        self.views: list[View] = []
        self.turns: list[View] = []
        self.sent: list[Sent] = []
        self.acked: dict[tuple[ConversationId, str, str], tuple[Seq, tuple[Event, ...]]] = {}
        self.logs: dict[ConversationId, list[Entry]] = {cid: [] for cid in CIDS}
        self.links_of: list[tuple[str, ConversationId, bool]] = []  # token, conversation, revoked
        self.sessions_of: list[tuple[str, int]] = []  # token, its link's place in links_of
        self.run(self.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    # The world

    async def open_store(self) -> Store:
        return await SqliteStore.open(self.folder / "laws.db")

    async def start(self) -> None:
        self.store = await self.open_store()
        self.bridges = [Bridge(store=self.store, clock=self.clock) for _ in range(2)]
        follows = self.bridges[0]  # the other one hears of nothing: what it knows grows old
        self.following = [asyncio.create_task(follows.run())]
        self.seen: dict[ConversationId, list[Entry]] = {cid: [] for cid in CIDS}
        self.following += [asyncio.create_task(self.follow(follows, cid)) for cid in CIDS]
        self.links = Links(
            store=self.store, base_url="https://x.example", clock=self.clock, lives=timedelta(days=365)
        )

    async def follow(self, bridge: Bridge, cid: ConversationId) -> None:
        async with aclosing(bridge.tail(cid)) as tail:  # type: ignore[type-var]
            async for batch in tail:
                self.seen[cid] += batch.entries

    async def stop(self) -> None:
        for task in self.following:
            task.cancel()
        await asyncio.gather(*self.following, return_exceptions=True)
        await self.store.close()

    def clock(self) -> Any:
        return self.now

    def teardown(self) -> None:
        try:
            self.run(self.stop())
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)

    # Sending, and what the answer must be

    def key(self) -> str:
        self.count += 1
        self.now += timedelta(seconds=1)
        return f"k{self.count}"

    def make(self, by: Party, *events: Event, floor: Seq | None = None, key: str | None = None) -> Proposal:
        return Proposal(events=events, by=by, via="test", key=key or self.key(), floor=floor)

    def send(self, side: int, cid: ConversationId, proposal: Proposal) -> Receipt | Refused:
        """One proposal, alone: it may be refused only for what is true of the log as it stands."""

        async def sending() -> Receipt | Refused:
            before = await self.store.read(cid, limit=10_000)
            outcome = await self.ask(side, cid, proposal)
            if isinstance(outcome, Refused):
                fair = None
                try:
                    admit(folded(before), proposal, self.now)
                except Refused as refusal:
                    fair = refusal.code
                law(
                    13, fair == outcome.code, f"refused with {outcome.code}; the log as it stands says {fair}"
                )
            elif not outcome.duplicate:
                law(3, outcome.seq == len(before) + 1, f"after {len(before)} came {outcome.seq}")
            return outcome

        outcome = self.run(sending())
        self.judge(cid, proposal, outcome)
        return outcome

    async def ask(self, side: int, cid: ConversationId, proposal: Proposal) -> Receipt | Refused:
        self.sent.append(Sent(cid, proposal))
        try:
            return await self.bridges[side].submit(cid, proposal)
        except Refused as refusal:
            return refusal
        except Exception as error:
            broken.append(2)
            raise LawBrokenError(2, f"a proposal is admitted or refused, but: {error!r}") from error

    def judge(self, cid: ConversationId, proposal: Proposal, outcome: Receipt | Refused) -> None:
        name = (cid, author(proposal.by), proposal.key)
        first = self.acked.get(name)
        if first is not None and first[1] != proposal.events:
            law(
                2,
                isinstance(outcome, Refused) and outcome.code == "key_reused",
                "a key was used for another body",
            )
        elif first is not None:
            same = isinstance(outcome, Receipt) and outcome.duplicate and outcome.seq == first[0]
            law(2, same, f"a repeat of entry {first[0]} was answered {outcome}")
        elif isinstance(outcome, Receipt):
            self.acked[name] = (outcome.seq, proposal.events)
        elif outcome.code == "floor_moved":
            held = {ASSISTANT_NAME, NEW_NAME} | {e.by.name for e in self.read(cid) if isinstance(e.by, Staff)}
            law(7, outcome.holder in held, f"the loser was told that {outcome.holder!r} has the floor")

    def read(self, cid: ConversationId) -> list[Entry]:
        return self.run(self.store.read(cid, limit=10_000))

    def floor(self, cid: ConversationId) -> tuple[str, Seq]:
        """Who holds the floor and since when, as the log tells a stranger."""
        holder, since = "assistant", Seq(0)
        for entry in self.logs[cid]:
            if isinstance(entry.event, ev.TookOver):
                holder, since = author(entry.by), entry.seq
            elif isinstance(entry.event, ev.Opened | ev.HandedBack | ev.Reopened):
                holder, since = "assistant", entry.seq
        return holder, since

    # The log, as a stranger reads it

    @invariant()
    def the_log_keeps_its_laws(self) -> None:
        for cid in CIDS:
            log = self.read(cid)
            before, self.logs[cid] = self.logs[cid], log
            law(1, log[: len(before)] == before, "what was in the log is gone or changed")
            self.check_order(log)
            self.check_acks(cid, log)
            self.check_voice(cid, log)

    def check_order(self, log: list[Entry]) -> None:
        law(3, [e.seq for e in log] == list(range(1, len(log) + 1)), f"seqs are {[e.seq for e in log]}")
        keys = [(author(e.by), e.key) for e in log]
        law(2, len(keys) == len(set(keys)), "a key stands twice")

    def check_acks(self, cid: ConversationId, log: list[Entry]) -> None:
        for (of, name, key), (seq, events) in self.acked.items():
            if of == cid:
                there = log[seq - 1 : seq - 1 + len(events)]
                same = [(author(e.by), e.event) for e in there] == [(name, event) for event in events]
                law(1, same and there[0].key == key, f"entry {seq} was acknowledged and is not there")

    def check_voice(self, cid: ConversationId, log: list[Entry]) -> None:
        holder, since = "assistant", Seq(0)
        for entry in log:
            match entry.event, entry.by:
                case ev.Said(), Staff() | ev.Assistant():
                    law(
                        5,
                        author(entry.by) == holder,
                        f"entry {entry.seq} by {author(entry.by)}, floor of {holder}",
                    )
            if isinstance(entry.by, ev.Assistant):
                law(6, holder == "assistant", f"entry {entry.seq} of the assistant after a takeover")
                law(5, since in self.fences(cid, entry), f"entry {entry.seq} was begun before {since}")
            match entry.event:
                case ev.TookOver():
                    law(
                        7,
                        since in self.fences(cid, entry),
                        f"takeover {entry.seq} from a view before {since}",
                    )
                    holder, since = author(entry.by), entry.seq
                case ev.Opened() | ev.HandedBack() | ev.Reopened():
                    holder, since = "assistant", entry.seq

    def fences(self, cid: ConversationId, entry: Entry) -> set[Seq | None]:
        """The views from which the proposal of `entry` was ever sent."""
        key, who = entry.key.partition("#")[0], author(entry.by)
        return {
            s.proposal.floor
            for s in self.sent
            if s.cid == cid and s.proposal.key == key and author(s.proposal.by) == who
        }
