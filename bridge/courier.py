"""Carries the log to one pushed surface: in order, at least once, one lane for each conversation.

A lane that waits or fails delays no other. The cursor moves when an entry is done: delivered, or given up
with an `Undelivered` entry that staff can see. Of several processes, one at a time works on a lane.
"""

import asyncio
from hashlib import blake2s
import logging
import time

from msgspec import Struct
from msgspec.structs import replace

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.core import Bridge
from bridge.duty import Held, held
from bridge.errors import AnchorLost, LeaseLost, Refused, Retry, StoreError, Undeliverable
from bridge.events import ConversationId, Entry, Proposal
from bridge.store import Cursor, duty_of
from bridge.surface import Anchor, Post, Surface

log = logging.getLogger(__name__)

CURSORS = 5_000  # kept in memory
ELSEWHERE = 0.5  # seconds until a lane that another process works on is looked at again
REASONS = 3  # that staff are told while one entry waits: what goes on for hours must not fill the log


class Persistence(Struct, frozen=True, kw_only=True):
    """How a courier keeps trying; times in seconds.

    A surface in trouble (`Retry`) is tried for ever, with pauses from `first` to `longest`. Staff are told
    when it has lasted for `tell`, and again where the reason is another one by then. An entry that makes the
    surface fail (any other error) is given up after `tries` or `give_up`.
    """

    first: float = 1.0
    longest: float = 60.0
    tell: float = 30.0
    tries: int = 8
    give_up: float = 300.0
    scan: float = 2.0


class Courier:
    def __init__(self, *, bridge: Bridge, surface: Surface, persistence: Persistence | None = None) -> None:
        self._bridge = bridge
        self._surface = surface
        self._persistence = persistence or Persistence()
        self._lanes: dict[ConversationId, asyncio.Task[None]] = {}
        self._dirty: set[ConversationId] = set()
        self._cursors: dict[ConversationId, Cursor] = {}  # as stored, where no other process moves them
        self._wake = asyncio.Event()
        bridge.observe(self._grew)

    def _grew(self, cid: ConversationId, _state: Conversation) -> None:
        self._dirty.add(cid)
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled. The log's growth wakes it, and a scan in case that is missed."""
        self._lanes.clear()  # of an earlier run: a lane that was ended before it began has tidied up nothing
        async with asyncio.TaskGroup() as lanes:
            scan = lanes.create_task(self._scan())
            try:
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    for cid in [c for c in self._dirty if c not in self._lanes]:
                        self._lanes[cid] = lanes.create_task(self._lane(cid))
            finally:
                scan.cancel()
                for lane in self._lanes.values():
                    lane.cancel()

    async def _scan(self) -> None:
        while True:
            try:
                self._dirty.update(await self._bridge.store.behind(self._surface.name, limit=1000))
                self._wake.set()
            except (StoreError, OSError):
                log.exception("courier %s: store trouble; it scans again", self._surface.name)
            await asyncio.sleep(self._persistence.scan)

    async def _lane(self, cid: ConversationId) -> None:
        """Bring one conversation up to date; once more if it grew meanwhile."""
        try:
            while cid in self._dirty:
                self._dirty.discard(cid)
                if not await self._catch_up(cid):
                    await asyncio.sleep(ELSEWHERE)
                    if await self._is_behind(cid):
                        self._dirty.add(cid)
        except LeaseLost as lost:
            log.info("courier %s: %s; another process goes on", self._surface.name, lost)
        except Exception:  # the store's trouble, or a log that cannot be read: no other lane's business
            log.exception("courier %s: trouble in %s; the next scan goes on", self._surface.name, cid)
        finally:
            del self._lanes[cid]
            if cid in self._dirty:  # it grew while the lane ended in trouble
                self._wake.set()

    async def _catch_up(self, cid: ConversationId) -> bool:
        """False: another process is at it."""
        store, name = self._bridge.store, self._surface.name
        if store.alone:
            cursor = self._cursors.pop(cid, None) or await store.cursor(name, cid)
            self._remember(cid, await self._carry_all(cid, cursor, None))
            return True
        async with held(store, duty_of(f"courier:{name}", cid), owner=self._bridge.process) as duty:
            if duty is not None:
                await self._carry_all(cid, await store.cursor(name, cid), duty)
        return duty is not None

    async def _carry_all(self, cid: ConversationId, cursor: Cursor, duty: Held | None) -> Cursor:
        """Everything after `cursor`; where it stands then."""
        store, name, lease = self._bridge.store, self._surface.name, duty.lease if duty else None
        while entries := await self._bridge.step(cid, cursor.position):
            for entry in entries:
                cursor = await self._carry(cid, entry, cursor, duty)
                await store.advance(name, cid, position=cursor.position, anchor=cursor.anchor, lease=lease)
        return cursor

    def _remember(self, cid: ConversationId, cursor: Cursor) -> None:
        self._cursors[cid] = cursor
        if len(self._cursors) > CURSORS:
            self._cursors.pop(next(iter(self._cursors)))

    async def _is_behind(self, cid: ConversationId) -> bool:
        cursor = await self._bridge.store.cursor(self._surface.name, cid)
        return cursor.position < (await self._bridge.state(cid)).head

    async def _carry(self, cid: ConversationId, entry: Entry, cursor: Cursor, duty: Held | None) -> Cursor:
        """Deliver `entry` or give it up; the cursor that follows from it."""
        delivery = _Delivery(self._persistence)
        anchor = cursor.anchor
        while True:
            trying = self._try(cid, entry, anchor)
            try:
                found = await (trying if duty is None else duty.during(trying))
            except AnchorLost:
                anchor, pause = None, delivery.failed(limit=True)
                reason = "its place for this conversation is gone"
            except Retry as trouble:
                pause, reason = max(trouble.after, delivery.failed(limit=False) or 0), trouble.reason
            except Undeliverable as verdict:
                pause, reason = None, verdict.reason
            except StoreError:
                raise
            except Exception as error:
                log.exception("courier %s: entry %s of %s", self._surface.name, entry.seq, cid)
                pause, reason = delivery.failed(limit=True), type(error).__name__
            else:
                if delivery.times_told:
                    await self._tell(cid, entry, ev.Undelivered(
                        surface=self._surface.name, target=entry.seq, reason="", late=True
                    ))  # fmt: skip
                return Cursor(position=entry.seq, anchor=found or anchor)
            if pause is None:
                await self._tell(cid, entry, self._undelivered(entry, reason))
                return Cursor(position=entry.seq, anchor=anchor)
            if delivery.must_tell(reason, pause=pause):
                event = replace(self._undelivered(entry, reason), retrying=True)
                await self._tell(cid, entry, event, turn=delivery.times_told)
            await asyncio.sleep(pause)

    async def _try(self, cid: ConversationId, entry: Entry, anchor: str | None) -> Anchor | None:
        latest = await self._bridge.state(cid)
        post = Post(cid=cid, entry=entry, latest=latest, anchor=Anchor(anchor) if anchor else None)
        return await self._surface.deliver(post)

    def _undelivered(self, entry: Entry, reason: str) -> ev.Undelivered:
        return ev.Undelivered(surface=self._surface.name, target=entry.seq, reason=reason[:300])

    async def _tell(self, cid: ConversationId, entry: Entry, event: ev.Undelivered, *, turn: int = 0) -> None:
        """Put `event` into the log, unless it is about a word of trouble: those must not breed."""
        if isinstance(entry.event, ev.Undelivered):
            return
        phase = "late" if event.late else "lost"
        if event.retrying:
            phase = f"retrying:{turn}:{blake2s(event.reason.encode(), digest_size=8).hexdigest()}"
        key = f"undelivered:{event.surface}:{event.target}:{phase}"
        try:
            await self._bridge.submit(cid, Proposal(events=(event,), by=ev.System(), via="courier", key=key))
        except Refused as refusal:
            log.warning("courier %s: could not report in %s: %s", event.surface, cid, refusal.code)


class _Delivery:
    """The tries of one entry."""

    def __init__(self, persistence: Persistence) -> None:
        self._persistence = persistence
        self._tries = 0
        self._elapsed = 0.0
        self._reason = ""  # as it is now
        self._since = time.monotonic()
        self._told = ""  # the last that staff were told
        self.times_told = 0

    def failed(self, *, limit: bool) -> float | None:
        """The pause before the next try, or None when `limit` applies and is reached."""
        self._tries += 1
        pause = min(self._persistence.first * 2 ** (self._tries - 1), self._persistence.longest)
        self._elapsed += pause
        over = self._tries >= self._persistence.tries or self._elapsed > self._persistence.give_up
        return None if limit and over else pause

    def must_tell(self, reason: str, *, pause: float) -> bool:
        """True at first where trouble of any kind has lasted for long enough, or will have after `pause`;
        then where another `reason` has. One bad moment among many of another kind is no news.
        """
        now = time.monotonic()
        if reason != self._reason:
            self._since = now if self.times_told else self._since
            self._reason = reason
        lasted = now - self._since + (0.0 if self.times_told else pause)
        if reason == self._told or self.times_told == REASONS or lasted < self._persistence.tell:
            return False
        self._told = reason
        self.times_told += 1
        return True
