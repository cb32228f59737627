"""Limits on what one client may do: messages a minute, connections at once.

Several processes tell each other what is taken in each, so that a limit is one for all of them. What two let
in at the same moment, each unaware of the other, is more than the limit once: a `Rate` makes up for it later.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv6Address, IPv6Network, ip_address
import time

from bridge.elsewhere import Elsewhere
from bridge.errors import FrameError, Refused


def network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that one IPv6 connection commands."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Network((int(found) >> 64 << 64, 64)))


class Rate:
    """A token bucket for each key: `count` in `seconds`, all at once if need be."""

    def __init__(
        self, count: int, seconds: float, *, clock: Callable[[], float] = time.monotonic, most: int = 50_000
    ) -> None:
        self._count = count
        self._per_second = count / seconds
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.tell: Callable[[str], None] = lambda _key: None
        """How other processes hear of each one taken."""

    def take(self, key: str) -> float:
        """Take one. Returns 0, or the seconds until one will be there."""
        now = self._clock()
        left = self._left(key, now)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._keep(key, left if wait else left - 1, now)
        if not wait:
            self.tell(key)
        return wait

    def hear(self, key: str, count: int) -> None:
        """Another process let `count` through. There may be less than none left."""
        now = self._clock()
        self._keep(key, self._left(key, now) - count, now)

    def _left(self, key: str, now: float) -> float:
        left, then = self._buckets.pop(key, (float(self._count), now))
        return min(float(self._count), left + (now - then) * self._per_second)

    def _keep(self, key: str, left: float, now: float) -> None:
        self._buckets[key] = (left, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def check(self, key: str) -> None:
        """Take one or raise `Refused`."""
        wait = self.take(key)
        if wait:
            seconds = max(1, round(wait))
            unit = "second" if seconds == 1 else "seconds"
            raise Refused(
                "too_fast",
                f"You're sending messages too quickly. Try again in {seconds} {unit}.",
                seconds=seconds,
            )


class Places:
    """Connections at once: for one key of each kind, wherever they are, and in all that this process has."""

    def __init__(self, total: int, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._total = total
        self._taken: Counter[str] = Counter()
        self._all = 0
        self._elsewhere: Elsewhere[str, int] = Elsewhere(clock)
        self.tell: Callable[[str], None] = lambda _key: None
        """How other processes hear that `here` has changed under a key."""

    @contextmanager
    def take(self, *places: tuple[str, int]) -> Iterator[None]:
        """Hold a place under each (key, most), or raise `FrameError` 4429."""
        full = self._all >= self._total or any(self._count(key) >= most for key, most in places)
        if full:
            raise FrameError(4429, "too many connections; close another tab and try again")
        self._all += 1
        for key, _ in places:
            self._taken[key] += 1
            self.tell(key)
        try:
            yield
        finally:
            self._all -= 1
            for key, _ in places:
                self._taken[key] -= 1
                if not self._taken[key]:
                    del self._taken[key]
                self.tell(key)

    def _count(self, key: str) -> int:
        return self._taken[key] + sum(self._elsewhere.of(key))

    def here(self, key: str) -> int:
        """How many this process has given under `key`."""
        return self._taken[key]

    def keys(self) -> list[str]:
        return list(self._taken)

    def hear(self, sender: str, places: Mapping[str, int]) -> None:
        """Another process has given so many."""
        for key, count in places.items():
            self._elsewhere.put(sender, key, count or None)

    def give_back(self, sender: str) -> None:
        """Another process is dead, and so are its connections."""
        for key in self._elsewhere.of_sender(sender):
            self._elsewhere.put(sender, key, None)

    def expire(self) -> None:
        """What was not said again is not so any more."""
        for sender, key in self._elsewhere.gone():
            self._elsewhere.put(sender, key, None)
