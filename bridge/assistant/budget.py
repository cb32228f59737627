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
    """The store has the counts, for every process and over restarts. Answers under way may overdraw them."""

    def __init__(
        self, *, store: Store, clock: Callable[[], datetime], allowance: Allowance | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._allowance = allowance or Allowance()

    async def allows(self, cid: ConversationId) -> bool:
        for key, most in self._limits(cid).items():
            if most is not None and int(await self._store.get(SPACE, key) or 0) >= most:
                return False
        return True

    async def spend(self, cid: ConversationId, tokens: int) -> None:
        for key in self._limits(cid):
            expires = None if key == "total" else self._clock() + KEPT
            await self._store.add(SPACE, key, tokens, expires_at=expires)

    def _limits(self, cid: ConversationId) -> dict[str, int | None]:
        day = f"{self._clock():%Y-%m-%d}"
        most = self._allowance
        return {f"visitor:{cid}:{day}": most.visitor, f"day:{day}": most.day, "total": most.total}


def estimate(characters: int) -> int:
    return characters // CHARACTERS_A_TOKEN + 1
