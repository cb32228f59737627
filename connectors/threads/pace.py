"""Turns in front of a platform that takes only so much: a steady rate, the urgent first, pauses on demand.

Of several processes each keeps its own pace, and the platform counts them all: whoever is told to pause goes
more slowly for a while, so that together they find the rate that the platform takes.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum
import heapq
from itertools import count


class Urgency(IntEnum):
    """How long somebody can wait: each step is worth AHEAD turns, so that nobody waits for ever."""

    CONTROL = 0  # who answers, calls for a person, the visitor's words
    WORDS = 1
    CARD = 2


AHEAD = 5  # turns by which whoever is more urgent may come later and still go first
SLOWEST = 8.0  # times as slow as alone
RECOVERS = 60.0  # seconds without a pause until it is twice as fast again


class _Waiting:
    """One who waits since `came`; `whose` is empty where nobody can hurry them."""

    def __init__(self, whose: str, urgency: Urgency, came: float, number: int) -> None:
        self.whose = whose
        self.urgency = urgency
        self.came = came
        self.number = number
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()


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
        self._slowness = 1.0
        self._slow_since = 0.0
        self._queue: list[tuple[float, int, _Waiting]] = []  # by when each ought to have had a turn
        self._numbers = count()
        self._server: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len({waiting for _, _, waiting in self._queue if not waiting.turn.done()})

    @property
    def delay(self) -> float:
        """Seconds until whoever comes now with the least urgency would have a turn."""
        return self._wait() + self.waiting * self._interval()

    @property
    def held(self) -> float:
        """Seconds for which nobody has a turn because the platform said so."""
        return max(0.0, self._closed_until - self._clock())

    def hold(self, seconds: float) -> None:
        """Nobody has a turn for so long: the platform said so."""
        now = self._clock()
        if now >= self._closed_until:  # else it is the same pause, told to several
            self._slowness = min(self._slowness * 2, SLOWEST)
        self._closed_until = max(self._closed_until, now + seconds)
        self._slow_since = self._closed_until

    async def turn(self, urgency: Urgency, *, whose: str = "") -> None:
        """Return when it is the caller's turn."""
        waiting = _Waiting(whose, urgency, self._clock(), next(self._numbers))
        self._add(waiting)
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve())
        await waiting.turn

    def hurry(self, whose: str) -> None:
        """Those who wait in the name of `whose` are as urgent as can be, each where it came."""
        first = min(Urgency)
        for waiting in {w for _, _, w in self._queue if w.whose == whose and w.urgency != first}:
            waiting.urgency = first
            self._add(waiting)

    def _add(self, waiting: _Waiting) -> None:
        ought = waiting.came + waiting.urgency * AHEAD * self._interval()
        heapq.heappush(self._queue, (ought, waiting.number, waiting))

    def _interval(self) -> float:
        """Seconds between two turns just now."""
        while self._slowness > 1 and self._clock() - self._slow_since >= RECOVERS:
            self._slowness /= 2
            self._slow_since += RECOVERS
        return self._every * self._slowness

    def _wait(self) -> float:
        now = self._clock()
        bucket = self._free_at - now - (self._burst - 1) * self._interval()
        return max(0.0, bucket, self._closed_until - now)

    async def _serve(self) -> None:
        while self._queue:
            wait = self._wait()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            _, _, waiting = heapq.heappop(self._queue)
            if not waiting.turn.done():  # whoever stopped waiting, or was hurried, takes no other turn
                self._free_at = max(self._free_at, self._clock()) + self._interval()
                waiting.turn.set_result(None)
