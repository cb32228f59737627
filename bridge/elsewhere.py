"""What other processes have, as far as they were heard of."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from msgspec import Struct

GONE = timedelta(
    seconds=35
)  # every process says again and again what it has; what is not said any more is gone

K = TypeVar("K")
V = TypeVar("V")


class _Heard(Struct, Generic[V], frozen=True):
    value: V
    at: datetime


class Elsewhere(Generic[K, V]):
    """Under each key, the last word of each sender."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._heard: dict[K, dict[str, _Heard[V]]] = {}

    def of(self, key: K) -> list[V]:
        return [heard.value for heard in self._heard.get(key, {}).values()]

    def put(self, sender: str, key: K, value: V | None) -> V | None:
        """`sender` has `value` there, or nothing; answers what it had before."""
        senders = self._heard.setdefault(key, {})
        before = senders.pop(sender, None)
        if value is not None:
            senders[sender] = _Heard(value=value, at=self._clock())
        if not senders:
            del self._heard[key]
        return before.value if before else None

    def of_sender(self, sender: str) -> list[K]:
        return [key for key, senders in self._heard.items() if sender in senders]

    def gone(self) -> list[tuple[str, K]]:
        """What was not said again for too long: the senders, each with the key."""
        latest = self._clock() - GONE
        return [
            (sender, key)
            for key, senders in self._heard.items()
            for sender, heard in senders.items()
            if heard.at < latest
        ]
