"""Turns in front of a platform that takes only so much: a steady rate, the urgent first, pauses on demand."""

import asyncio
from collections.abc import Callable
from enum import IntEnum
import heapq
from itertools import count


class Urgency(IntEnum):
    """Who goes first; within one urgency, whoever came first."""

    CONTROL = 0  # who answers, calls for a person, the visitor's words
    WORDS = 1
    CARD = 2


class Pace:
    """`burst` turns at once, then one each `every` seconds; one Pace for each place that counts alone."""

    def __init__(
        self,
        *,
        every: float,
        burst: int,
        clock: Callable[[], float] = lambda: asyncio.get_running_loop().time(),
    ) -> None:
        self._every = every
        self._burst = burst
        self._clock = clock
        self._free_at = 0.0  # when the bucket will be full again
        self._closed_until = 0.0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._server: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return sum(not future.done() for _, _, future in self._waiting)

    @property
    def delay(self) -> float:
        """Seconds until whoever comes now with the least urgency would have a turn."""
        return self._wait() + self.waiting * self._every

    @property
    def held(self) -> float:
        """Seconds for which nobody has a turn because the platform said so."""
        return max(0.0, self._closed_until - self._clock())

    def hold(self, seconds: float) -> None:
        """Nobody has a turn for so long: the platform said so."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    async def turn(self, urgency: Urgency) -> None:
        """Return when it is the caller's turn."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._numbers), future))
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve())
        await future

    def _wait(self) -> float:
        now = self._clock()
        bucket = self._free_at - now - (self._burst - 1) * self._every
        return max(0.0, bucket, self._closed_until - now)

    async def _serve(self) -> None:
        while self._waiting:
            wait = self._wait()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():  # whoever stopped waiting takes no turn
                self._free_at = max(self._free_at, self._clock()) + self._every
                future.set_result(None)
