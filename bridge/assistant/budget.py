"""What the model may cost: tokens for a visitor and for all, counted in the store."""

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from bridge.events import ConversationId
from bridge.store import Store

SPACE = "tokens"
CHARACTERS_A_TOKEN = 4  # where the server does not say what it used
KEPT = timedelta(days=3)


class Allowance(Struct, frozen=True, kw_only=True):
    """Tokens for one visitor in a day, for all in a day, and for all time; None is no limit."""

    visitor: int | None = 50_000
    day: int | None = 5_000_000
    total: int | None = None


class Budget:
    """Counts in this process and writes every count through, so that a restart forgets nothing."""

    def __init__(
        self, *, store: Store, clock: Callable[[], datetime], allowance: Allowance | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._allowance = allowance or Allowance()
        self._used: dict[str, int] = {}

    async def allows(self, cid: ConversationId) -> bool:
        for key, most in self._limits(cid).items():
            if most is not None and await self._count(key) >= most:
                return False
        return True

    async def spend(self, cid: ConversationId, tokens: int) -> None:
        for key in self._limits(cid):
            used = await self._count(key)
            self._used[key] = used = self._used.get(key, used) + tokens
            expires = None if key == "total" else self._clock() + KEPT
            await self._store.put(SPACE, key, str(used).encode(), expires_at=expires)
        self._forget()

    def _limits(self, cid: ConversationId) -> dict[str, int | None]:
        day = f"{self._clock():%Y-%m-%d}"
        most = self._allowance
        return {f"visitor:{cid}:{day}": most.visitor, f"day:{day}": most.day, "total": most.total}

    async def _count(self, key: str) -> int:
        if key not in self._used:
            stored = await self._store.get(SPACE, key)
            self._used.setdefault(key, int(stored or 0))
        return self._used[key]

    def _forget(self) -> None:
        """The store remembers; memory holds the visitors of late."""
        known = [key for key in self._used if key.startswith("visitor:")]
        for key in known[: max(0, len(known) - 1_000)]:
            del self._used[key]


def estimate(characters: int) -> int:
    return characters // CHARACTERS_A_TOKEN + 1
