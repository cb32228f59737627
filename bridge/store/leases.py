"""Duties that are leased within one process: the engines that only one process uses keep them in memory."""

import time

from msgspec import Struct

from bridge.errors import LeaseLost
from bridge.events import ConversationId
from bridge.store import FORGOTTEN, is_duty_of


class _Lease(Struct):
    owner: str
    fence: int
    until: float


class Leases:
    """Who has what, by the monotonic clock. Fences rise within this run: no lease outlives the process."""

    def __init__(self) -> None:
        self._leases: dict[str, _Lease] = {}
        self._fence = 0

    def take(self, duty: str, *, owner: str, lives: float) -> int | None:
        now = time.monotonic()
        lease = self._leases.get(duty)
        if lease is None or lease.owner != owner:
            if lease is not None and now < lease.until:
                return None
            self._fence += 1
            lease = _Lease(owner=owner, fence=self._fence, until=now)
        lease.until = now + lives
        self._leases.pop(duty, None)
        self._leases[duty] = lease  # the last one: those long untouched come first
        self._forget(now)
        return lease.fence

    def release(self, duty: str, *, owner: str) -> None:
        lease = self._leases.get(duty)
        if lease is not None and lease.owner == owner:
            del self._leases[duty]

    def check(self, cid: ConversationId, lease: tuple[str, int] | None) -> None:
        """Raise LeaseLost unless `lease`, where one is given, is a duty of `cid` and holds."""
        if lease is None:
            return
        duty, fence = lease
        if not is_duty_of(duty, cid):
            raise ValueError(f"{duty} is no duty of conversation {cid}")
        found = self._leases.get(duty)
        if found is None or found.fence != fence:
            raise LeaseLost(f"{duty}: fence {fence} holds no longer")

    def _forget(self, now: float) -> None:
        for duty, lease in list(self._leases.items())[:2]:
            if lease.until + FORGOTTEN < now:
                del self._leases[duty]
