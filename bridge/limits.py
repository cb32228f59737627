"""Limits on what one client may do: messages a minute, connections at once."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, IPv6Network, ip_address
import time

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

    def take(self, key: str) -> float:
        """Take one. Returns 0, or the seconds until one will be there."""
        now = self._clock()
        left, then = self._buckets.pop(key, (float(self._count), now))
        left = min(float(self._count), left + (now - then) * self._per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._buckets[key] = (left if wait else left - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait

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
    """Connections at once: for one key of each kind, and in all."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken: Counter[str] = Counter()
        self._all = 0

    @contextmanager
    def take(self, *places: tuple[str, int]) -> Iterator[None]:
        """Hold a place under each (key, most), or raise `FrameError` 4429."""
        full = self._all >= self._total or any(self._taken[key] >= most for key, most in places)
        if full:
            raise FrameError(4429, "too many connections; close another tab and try again")
        self._all += 1
        self._taken.update(key for key, _ in places)
        try:
            yield
        finally:
            self._all -= 1
            for key, _ in places:
                self._taken[key] -= 1
                if not self._taken[key]:
                    del self._taken[key]
