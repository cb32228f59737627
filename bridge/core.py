"""The Bridge: the one way into the log, and the way to follow it.

submit: catch up, admit (pure), append where the log stands, tell who follows; on a conflict, again.
tail:   everything after a position, then what comes, without a gap.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import reduce
from itertools import islice
import logging
import secrets

from bridge import idle
from bridge.conversation import Conversation, Duplicate, admit, fold
from bridge.errors import Conflict, Refused, StoreError, WentBack
from bridge.events import ConversationId, Entry, Proposal, Seq
from bridge.idle import Patience, Timer
from bridge.known import Batch, Known
from bridge.pulse import Pulse
from bridge.store import Store
from bridge.surface import Receipt

__all__ = ["Batch", "Bridge", "Receipt", "now"]

log = logging.getLogger(__name__)

CHUNK = 200  # entries read at a time
KNOWN = 5_000  # conversations whose state is kept in memory
POLL = 2.0  # seconds until a lost wake-up is made good

Observer = Callable[[ConversationId, Conversation], None]


def now() -> datetime:
    return datetime.now(UTC)


class Bridge:
    """Everything that enters a log enters through `submit`; everything shown comes out of `tail`."""

    def __init__(
        self,
        *,
        store: Store,
        pulse: Pulse | None = None,
        clock: Callable[[], datetime] = now,
        patience: Patience | None = None,
    ) -> None:
        self.store = store
        self._log_id = store.log_id
        self.process = secrets.token_hex(8)
        """Names this process among those that share the store."""
        self.clock = clock
        self.pulse = pulse or Pulse(clock)
        self.patience = patience or Patience()
        self._known: OrderedDict[ConversationId, Known] = OrderedDict()
        self._observers: list[Observer] = []
        self.unseen: set[str] = set()
        """Surfaces on which people take part without a connection that shows whether they are there."""

    def observe(self, observer: Observer) -> None:
        """Call `observer` after every growth of a log that this process sees; it must not block."""
        self._observers.append(observer)

    # Reading

    async def state(self, cid: ConversationId) -> Conversation:
        """The state as the log stands now."""
        known = self._get(cid)
        await self._catch_up(cid, known)
        return known.state

    async def read(self, cid: ConversationId, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        """At most `limit` entries with seq > `after`, in order."""
        return await self.store.read(cid, after=after, limit=limit)

    async def at(self, cid: ConversationId, seq: int) -> datetime | None:
        """When the entry `seq` came, from memory where it is recent; None where there is none.

        To be asked after `state`: it does not look whether the log has moved.
        """
        known = self._get(cid)
        if seq == known.state.head:
            return known.state.last_at
        recent = (e for b in known.recent if b.entries[0].seq <= seq <= b.entries[-1].seq for e in b.entries)
        entry = next((e for e in recent if e.seq == seq), None)
        if entry is None:
            entry = next(iter(await self._read(cid, after=seq - 1, limit=1)), None)
        return None if entry is None else entry.at

    async def step(self, cid: ConversationId, after: Seq) -> Sequence[Entry]:
        """Some entries that follow `after`, from memory where they are recent; none where the log ends."""
        known = self._get(cid)
        await self._catch_up(cid, known)
        if after >= known.state.head:
            return ()
        batch = known.after(after)
        return batch.entries if batch else await self._read(cid, after=after)

    async def tail(self, cid: ConversationId, after: int = 0) -> AsyncIterator[Batch]:
        """Every entry after `after`, in order and once, then what comes. Ends only when closed.

        Raises `WentBack` when the store has lost entries that were followed.
        """
        more = asyncio.Event()
        known = self._get(cid)
        known.waiting.add(more)
        position, lives = after, known.lives
        try:
            await self._catch_up(cid, known)
            while True:
                more.clear()
                if known.lives != lives or position > known.state.head:
                    raise WentBack
                if position == known.state.head:
                    await more.wait()
                    continue
                batch = known.after(position) or await self._chunk(cid, known, position)
                position = batch.entries[-1].seq
                yield batch
        finally:
            known.leave(more)

    async def _chunk(self, cid: ConversationId, known: Known, position: int) -> Batch:
        entries = await self._read(cid, after=position)
        if not entries:
            raise RuntimeError(f"the log of {cid} ends at {position}, its state at {known.state.head}")
        if entries[-1].seq > known.state.head:
            await self._catch_up(cid, known)
        return Batch(tuple(entries), known.state)

    async def _read(self, cid: ConversationId, *, after: int, limit: int = CHUNK) -> list[Entry]:
        """What is not in memory. A store that went back says so once: nothing from before is kept."""
        try:
            entries = await self.store.read(cid, after=after, limit=limit)
        except WentBack as lost:
            self._forget_all(str(lost))
            raise
        if self._notice():
            raise WentBack
        return entries

    # Writing

    async def submit(self, cid: ConversationId, proposal: Proposal, *, anew: bool = True) -> Receipt:
        """Admit `proposal` into the log. Returns once it is durable; raises `Refused`.

        Nothing is refused from a stale fold: before a refusal the log is asked whether it moved. One that
        went back is judged by what is left; without `anew`, `WentBack` is raised and nothing is entered.
        """
        known = self._get(cid)
        async with known.lock:
            lives = known.lives
            self._notice()
            if known.state.head == 0:
                await self._catch_up_locked(cid, known)
            while True:
                if known.lives != lives and not anew:
                    raise WentBack
                state = known.state
                try:
                    outcome = admit(state, proposal, self.clock())
                except Refused:
                    await self._catch_up_locked(cid, known)
                    if known.state.head == state.head:
                        raise
                    continue
                if isinstance(outcome, Duplicate):
                    with suppress(WentBack):  # it may be another log's
                        await self.confirm(cid)
                        return Receipt(seq=outcome.seq, head=state.head, duplicate=True)
                    await self._catch_up_locked(cid, known)
                    continue
                entries = tuple(outcome)
                if await self._append(cid, known, entries):
                    return Receipt(seq=entries[0].seq, head=entries[-1].seq)

    async def confirm(self, cid: ConversationId) -> None:
        """For who acknowledges what stands in the log already: its append may have failed all the same.

        Raises `WentBack` when it does not stand there any more.
        """
        try:
            await self.store.confirm(cid)
        except WentBack as lost:
            self._forget_all(str(lost))
            raise

    async def _append(self, cid: ConversationId, known: Known, entries: tuple[Entry, ...]) -> bool:
        """Append and fold; False, having caught up, where the log had moved.

        Goes on to the end even when cancelled, so that nobody decides while an append is under way.
        """
        after, lives = known.state, known.lives
        grown = reduce(fold, entries, after)
        moment = self.next_due(cid, grown)

        async def append() -> None:
            if self._notice() or known.lives != lives:  # between the decision and this first step
                raise WentBack
            await self.store.append(cid, entries, after=after.head, due=moment)

        appending = asyncio.ensure_future(append())
        appending.add_done_callback(lambda it: it.cancelled() or it.exception())  # who waits may be cancelled
        try:
            await asyncio.shield(appending)
        except WentBack as lost:
            if known.lives == lives:
                self._forget_all(str(lost))
            await self._catch_up_locked(cid, known)
            return False
        except Conflict as conflict:
            if conflict.head < after.head:
                self._start_over(cid, known, head=conflict.head)
            await self._catch_up_locked(cid, known)
            return False
        except asyncio.CancelledError:
            await asyncio.wait([appending])
            if not appending.cancelled() and appending.exception() is None:
                self._take(cid, known, entries, grown)
            raise
        self._take(cid, known, entries, grown)
        return True

    def _forget_all(self, why: str) -> None:
        """The whole store went back: nothing that was known is worth anything."""
        log.error("the store went back in time: %s", why)
        self._log_id = self.store.log_id
        for known in self._known.values():
            known.start_over()

    def _notice(self) -> bool:
        """Whether the store has another name than before. It tells that it went back once, perhaps to
        somebody else; its new name stays.
        """
        if self.store.log_id == self._log_id:
            return False
        self._forget_all(f"its log was {self._log_id}, and is {self.store.log_id} now")
        return True

    def _start_over(self, cid: ConversationId, known: Known, *, head: int) -> None:
        log.error("the log of %s went back from %d to %d", cid, known.state.head, head)
        known.start_over()

    def _take(
        self, cid: ConversationId, known: Known, entries: tuple[Entry, ...], grown: Conversation
    ) -> None:
        known.take(entries, grown)
        for observer in self._observers:
            observer(cid, grown)

    def next_due(self, cid: ConversationId, state: Conversation, *, looked: bool = False) -> datetime | None:
        """When the clock must look at this conversation next; `looked`: it has just done so."""
        found = self.timers(cid, state)
        return idle.look_again(state, found, patience=self.patience, now=self.clock(), looked=looked)

    def timers(self, cid: ConversationId, state: Conversation) -> list[Timer]:
        """What time alone will bring about in this conversation."""
        absent = self.pulse.absent_since(cid, state.floor.holder)
        unseen = absent is not None and state.holder_via in self.unseen
        return idle.timers(
            state, patience=self.patience, absent_since=None if unseen else absent, unseen=unseen
        )

    def peek(self, cid: ConversationId) -> Conversation:
        """The state as this process last saw it: for hints, never for decisions."""
        known = self._known.get(cid)
        return known.state if known else Conversation()

    # Keeping up

    async def run(self) -> None:
        """Follow what other processes append, and make lost wake-ups good. Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_hints())
            group.create_task(self._poll())

    async def _follow_hints(self) -> None:
        async for grown in self.store.changes():
            known = self._known.get(grown.cid)
            if known is not None and known.waiting:
                with suppress(StoreError, OSError):  # a hint; the poll makes it good
                    await self._catch_up(grown.cid, known, to=grown.head)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            try:
                await self._look_after_all()
            except (StoreError, OSError) as trouble:  # gaps must close as soon as it is over
                log.warning("the logs cannot be followed now: %s", trouble)

    async def _look_after_all(self) -> None:
        """Make good what was missed of every log that somebody follows."""
        followed = {cid: known for cid, known in self._known.items() if known.waiting}
        seen = {cid: known.state.head for cid, known in followed.items()}
        try:
            heads = await self.store.heads(followed) if followed else {}
        except WentBack as lost:
            self._forget_all(str(lost))
            return
        if self._notice():
            return
        for cid, known in followed.items():
            head = heads.get(cid, Seq(0))
            if head < seen[cid]:
                async with known.lock:
                    self._start_over(cid, known, head=head)
            if head > known.state.head:
                await self._catch_up(cid, known)

    async def _catch_up(self, cid: ConversationId, known: Known, *, to: Seq | None = None) -> None:
        """Fold what the store has and this process has not; `to` says how far the store is known to be."""
        self._notice()
        if to is None:
            to = self.store.known_head(cid)
        if to is not None and to <= known.state.head:
            return
        async with known.lock:  # whoever had it may have come as far
            if to is None or to > known.state.head:
                await self._catch_up_locked(cid, known)

    async def _catch_up_locked(self, cid: ConversationId, known: Known) -> None:
        while entries := await self._read_on(cid, known):
            self._take(cid, known, tuple(entries), reduce(fold, entries, known.state))
            if len(entries) < CHUNK:
                break

    async def _read_on(self, cid: ConversationId, known: Known) -> list[Entry]:
        """What follows what is known, of the same log."""
        while True:
            try:
                entries = await self.store.read(cid, after=known.state.head, limit=CHUNK)
            except WentBack as lost:
                self._forget_all(str(lost))
            else:
                if not self._notice():
                    return entries

    def _get(self, cid: ConversationId) -> Known:
        known = self._known.get(cid)
        if known is None:
            known = self._known[cid] = Known()
            self._forget()
        self._known.move_to_end(cid)
        return known

    def _forget(self) -> None:
        """Let go of the states longest unused that nobody follows."""
        if len(self._known) <= KNOWN:
            return
        for cid in list(islice(self._known, len(self._known) - KNOWN)):
            known = self._known[cid]
            if not known.waiting and not known.lock.locked():
                del self._known[cid]
