"""A duty that one process has at a time: leased, kept alive while it is held, lost with the process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
import logging
import math
import time
from typing import Any, TypeVar

from bridge.errors import LeaseLost, StoreError
from bridge.store import Store

log = logging.getLogger(__name__)

LIVES = 10.0  # seconds for which a process that has died still holds what it held
RENEW = 3.0
SURE = 0.9  # of its life: what is under way at the end of it is over before another process begins
AGAIN = 2.0  # seconds until a duty that another process has is asked for again

LOOK = 0.5
DEAF = 5.0

T = TypeVar("T")


class Held:
    """A duty in hand. `check` before anything that cannot be taken back, or do it in `during`."""

    def __init__(self, *, duty: str, fence: int, asked: float) -> None:
        self.duty = duty
        self.fence = fence
        self._until = asked + LIVES * SURE

    @property
    def lease(self) -> tuple[str, int]:
        return self.duty, self.fence

    def check(self) -> None:
        """Raise `LeaseLost` unless it is surely still ours: a process that was stopped may find it is not."""
        if time.monotonic() > self._until:
            raise LeaseLost(f"{self.duty}: not renewed in time")

    def renewed(self, at: float) -> None:
        """It is ours for LIVES seconds from `at`, when that was asked."""
        self._until = at + LIVES * SURE

    def lose(self) -> None:
        self._until = -math.inf

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` while the duty is surely ours; where it is no longer, cancel it and raise `LeaseLost`."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                self.check()
                left = self._until - time.monotonic()
                await asyncio.wait([task], timeout=max(0.001, min(LOOK, left)))
            return task.result()
        finally:
            await _end(task)


@asynccontextmanager
async def held(store: Store, duty: str, *, owner: str) -> AsyncIterator[Held | None]:
    """`duty` for as long as the context lasts, or None where another process has it."""
    asked = time.monotonic()
    fence = await store.lease(duty, owner=owner, lives=LIVES)
    if fence is None:
        yield None
        return
    mine = Held(duty=duty, fence=fence, asked=asked)
    keeping = asyncio.create_task(_keep(store, mine, owner))
    try:
        yield mine
    finally:
        try:
            await _end(keeping)
        finally:  # also where whoever held it is cancelled meanwhile
            await _let_go(store, duty, owner)


async def _let_go(store: Store, duty: str, owner: str) -> None:
    try:
        await store.release(duty, owner=owner)
    except (StoreError, OSError):
        log.warning("%s could not be let go of; it runs out by itself", duty)


async def _end(task: "asyncio.Task[Any]") -> None:
    """Cancel `task`, and again where the cancellation is overheard: before Python 3.12, `wait_for` may."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=DEAF)
    if not task.cancelled():
        task.exception()  # it comes too late to matter


async def _keep(store: Store, mine: Held, owner: str) -> None:
    while True:
        await asyncio.sleep(RENEW)
        asked = time.monotonic()
        try:
            fence = await store.lease(mine.duty, owner=owner, lives=LIVES)
        except (StoreError, OSError):
            continue  # `check` says when it has lasted too long
        if fence != mine.fence:
            mine.lose()
            return
        mine.renewed(asked)


async def alone(store: Store, duty: str, *, owner: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run `part` in one process at a time: here once no other has it, and again when it was lost."""
    if store.alone:
        await part()
    while not store.alone:
        try:
            await _in_turn(store, duty, owner=owner, part=part)
        except (StoreError, OSError) as trouble:  # soon again: it is nobody's meanwhile
            log.warning("%s: %s", duty, trouble)
        await asyncio.sleep(AGAIN)


async def _in_turn(store: Store, duty: str, *, owner: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run `part` while the duty is ours, if it is."""
    async with held(store, duty, owner=owner) as mine:
        if mine is not None:
            working = asyncio.ensure_future(part())
            try:
                await _until_over(working, mine)
            finally:
                await _end(working)


async def _until_over(working: "asyncio.Future[None]", mine: Held) -> None:
    while not working.done():
        try:
            mine.check()
        except LeaseLost:
            log.warning("%s went to another process", mine.duty)
            return
        await asyncio.wait([working], timeout=LOOK)
    working.result()
