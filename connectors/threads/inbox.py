"""What a platform sends is kept before it is acknowledged, then handled: once, in each lane's order.

A crash at any moment loses nothing, since the platform sends again what was not acknowledged and the store
keeps what was. What is handled twice all the same does no harm: the log knows its key.

Of several processes each handles what it accepted, one at a time works on a lane, and what a dead one
leaves is found by the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
import json as stdlib_json
import logging
from typing import Any

from msgspec import Struct, json

from bridge.duty import Held, held
from bridge.errors import LeaseLost, Retry, StoreError
from bridge.store import Record, Store

log = logging.getLogger(__name__)

SEEN_FOR = timedelta(days=7)  # platforms repeat themselves for hours, and after their own outages for days
TRIES = 8
GIVE_UP = 300.0  # seconds
PARKED_FOR = timedelta(days=30)  # what was given up, for whoever looks into it
PAUSE = 0.25  # seconds until something that came too early, or failed, is looked at again; doubled each time
LONGEST = 30.0
ADOPT = 10.0  # seconds for which an item is left to the process that accepted it
ELSEWHERE = 0.25  # seconds until a lane that another process works on is looked at again


class Item(Struct, frozen=True, kw_only=True):
    """`key` is the same whenever the platform repeats it; items of one `lane` are handled in order."""

    key: str
    lane: str
    body: bytes


def encoded(payload: Mapping[str, Any]) -> bytes:
    """What a platform sent, as it is kept. Half of a character, which no file takes, becomes "?"."""
    return stdlib_json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace")


class Early(Exception):
    """What this item is about has not arrived yet: the lane goes on, and the item is tried again."""


class _Kept(Struct, frozen=True, kw_only=True):
    number: int
    item: Item


class _Waiting(Struct, kw_only=True, eq=False):
    """`began`: the first try that failed. `tries` counts them, without those that came too early."""

    item: Item
    number: int
    began: float | None = None
    tries: int = 0
    pause: float = PAUSE
    not_before: float = 0.0
    early: bool = False
    handled: bool = False

    def next_pause(self) -> float:
        pause, self.pause = self.pause, min(self.pause * 2, LONGEST)
        return pause


class _Lane:
    def __init__(self) -> None:
        self.queue: list[_Waiting] = []
        self.more = asyncio.Event()

    def add(self, kept: _Kept) -> None:
        self.queue.append(_Waiting(item=kept.item, number=kept.number))
        self.more.set()

    def finish(self, waiting: _Waiting) -> None:
        """What came too early may be in time now."""
        self.queue.remove(waiting)
        for other in self.queue:
            if other.early:
                other.not_before = 0.0

    async def next(self) -> _Waiting:
        """The first whose time has come; what came too early once lets others pass."""
        while True:
            self.more.clear()
            first = min(self.queue, key=lambda w: (w.not_before, w.number))
            left = first.not_before - _now()
            if left <= 0:
                return first
            with suppress(TimeoutError):
                async with asyncio.timeout(left):  # wait_for may swallow a cancellation on Python 3.11
                    await self.more.wait()


class Inbox:
    """One platform's. `process` names this one among those that share the store."""

    def __init__(
        self,
        *,
        store: Store,
        name: str,
        clock: Callable[[], datetime],
        handle: Callable[[bytes], Awaitable[None]],
        process: str = "",
    ) -> None:
        self._store = store
        self._clock = clock
        self._handle = handle
        self._process = process
        self._name = name
        self._pending = f"{name}-inbox"
        self._seen = f"{name}-seen"
        self._parked = f"{name}-parked"
        self._known: set[str] = set()  # keys that are kept and not yet handled
        self._lanes: dict[str, _Lane] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._last = 0
        self._remembers = False
        self._accepting = asyncio.Lock()

    async def accept(self, items: Sequence[Item], *, position: bytes | None = None) -> None:
        """Keep what is new of `items`, with the platform's `position` in the same commit; then return.

        Goes on to the end even when cancelled, so that what was committed is handled in this run.
        """
        keeping = asyncio.ensure_future(self._keep(items, position))
        keeping.add_done_callback(_heard)
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await asyncio.wait([keeping])
            if not keeping.cancelled() and keeping.exception() is not None:
                log.warning("%s: what was arriving could not be kept", self._name)
            raise

    async def _keep(self, items: Sequence[Item], position: bytes | None) -> None:
        async with self._accepting:
            if not self._remembers:
                await self._remember()
            new: dict[str, Item] = {}
            for item in items:
                if item.key not in self._known and item.key not in new and not await self._was_seen(item.key):
                    new[item.key] = item
            kept = [_Kept(number=self._number(), item=item) for item in new.values()]
            batch = [Record(key=f"item/{k.item.key}", value=json.encode(k)) for k in kept]
            if position is not None:
                batch.append(Record(key="position", value=position))
            if batch:
                await self._store.put_all(self._pending, batch)
            for k in kept:
                self._known.add(k.item.key)
                self._enqueue(k)

    async def position(self) -> bytes | None:
        """What the last `accept` that gave a position gave."""
        return await self._store.get(self._pending, "position")

    async def run(self) -> None:
        """Handle what is kept, from this run or an earlier one, until cancelled."""
        async with asyncio.TaskGroup() as group:
            try:
                async with self._accepting:
                    await self._load()
                    self._group = group
                for lane in list(self._lanes):
                    self._start(lane)
                await self._adopt()
            finally:
                self._group = None

    async def _adopt(self) -> None:
        """Until cancelled, take on what another process accepted and has not handled in time."""
        while True:
            await asyncio.sleep(ADOPT)
            if self._store.alone:
                continue
            async with self._accepting:
                old = int((self._clock() - timedelta(seconds=ADOPT)).timestamp() * 1_000_000)
                for kept in await self._stored():
                    if kept.item.key not in self._known and kept.number < old:
                        self._known.add(kept.item.key)
                        self._enqueue(kept)

    async def _load(self) -> None:
        self._lanes.clear()
        self._tasks.clear()
        for kept in await self._remember():
            if await self._was_seen(kept.item.key):  # handled when the process died
                await self._done(kept.item.key)
            else:
                self._lane(kept.item.lane).add(kept)

    async def _remember(self) -> list[_Kept]:
        """Everything that is kept, in the order of its arrival."""
        found = await self._stored()
        self._known = {kept.item.key for kept in found}
        self._last = max([self._last, *(kept.number for kept in found)])
        self._remembers = True
        return found

    async def _stored(self) -> list[_Kept]:
        found = [json.decode(r.value, type=_Kept) for r in await self._store.scan(self._pending, "item/")]
        return sorted(found, key=lambda kept: kept.number)

    async def handled(self, key: str) -> bool:
        """Whether the item was handled, whatever came of it."""
        return key not in self._known and await self._was_seen(key)

    async def _was_seen(self, key: str) -> bool:
        return await self._store.get(self._seen, key, now=self._clock()) is not None

    def _number(self) -> int:
        """Rises with arrival, over restarts too."""
        self._last = max(self._last + 1, int(self._clock().timestamp() * 1_000_000))
        return self._last

    def _enqueue(self, kept: _Kept) -> None:
        if self._group is not None:  # else the next run finds it in the store
            self._lane(kept.item.lane).add(kept)
            self._start(kept.item.lane)

    def _lane(self, name: str) -> _Lane:
        return self._lanes.setdefault(name, _Lane())

    def _start(self, lane: str) -> None:
        if self._group is not None and lane not in self._tasks:
            self._tasks[lane] = self._group.create_task(self._work(lane))

    async def _work(self, name: str) -> None:
        lane = self._lanes[name]
        try:
            while lane.queue:
                if self._store.alone:
                    await self._work_off(lane)
                elif not await self._work_off_leased(name, lane):
                    await asyncio.sleep(ELSEWHERE)
        finally:
            del self._tasks[name]
            if not lane.queue:
                self._lanes.pop(name, None)

    async def _work_off(self, lane: _Lane, duty: Held | None = None) -> None:
        while lane.queue:
            waiting = await lane.next()
            if duty is not None:
                duty.check()
            if await self._try(waiting):
                lane.finish(waiting)

    async def _work_off_leased(self, name: str, lane: _Lane) -> bool:
        """False: another process is at work on this lane, or the store in trouble."""
        try:
            async with held(self._store, f"inbox:{self._name}:{name}", owner=self._process) as duty:
                if duty is not None:
                    await self._work_off(lane, duty)
        except LeaseLost as lost:
            log.info("%s: %s; another process goes on", self._name, lost)
            return False
        except StoreError:
            log.exception("%s: store trouble at a lane; it is tried again", self._name)
            return False
        return duty is not None

    async def _try(self, waiting: _Waiting) -> bool:
        """Handle it; False: it is to be tried again. The store's trouble, and the platform's, is no fault of
        the item: it waits for the end of it.
        """
        try:
            return await self._once(waiting)
        except Retry as trouble:
            log.warning("%s: %s waits: %s", self._name, waiting.item.key, trouble.reason)
            await asyncio.sleep(max(waiting.next_pause(), min(trouble.after, LONGEST)))
            return False
        except StoreError:
            log.exception("%s: store trouble at %s; it is tried again", self._name, waiting.item.key)
            await asyncio.sleep(waiting.next_pause())
            return False

    async def _once(self, waiting: _Waiting) -> bool:
        key = waiting.item.key
        try:
            if not self._store.alone and await self._was_seen(key):  # another process has handled it
                await self._store.delete(self._pending, f"item/{key}")
                self._known.discard(key)
                return True
            if not waiting.handled:
                await self._handle(waiting.item.body)
                waiting.handled = True
        except (Retry, StoreError):
            raise
        except Early:
            waiting.early = True
        except Exception:
            waiting.early = False
            waiting.tries += 1
            log.exception("%s: trouble with %s, try %d", self._name, key, waiting.tries)
        else:
            await self._done(key)
            return True
        waiting.began = _now() if waiting.began is None else waiting.began
        if waiting.tries >= TRIES or _now() - waiting.began > GIVE_UP:
            log.error("%s: %s is given up after %d tries", self._name, key, waiting.tries)
            expires = self._clock() + PARKED_FOR
            await self._store.put(self._parked, key, waiting.item.body, expires_at=expires)
            await self._done(key)
            return True
        if waiting.early:
            waiting.not_before = _now() + waiting.next_pause()
        else:
            await asyncio.sleep(waiting.next_pause())
        return False

    async def _done(self, key: str) -> None:
        await self._store.put(self._seen, key, b"", expires_at=self._clock() + SEEN_FOR)
        await self._store.delete(self._pending, f"item/{key}")
        self._known.discard(key)


def _heard(keeping: "asyncio.Future[None]") -> None:
    """Nobody may be left to hear of its error: whoever waited was cancelled twice."""
    if not keeping.cancelled():
        keeping.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()
