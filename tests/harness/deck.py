"""Cards, each a way to break something, and decks that deal all of theirs before any of them again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Card:
    """`what` as in `Outage`; `act` breaks it, waits, and mends it."""

    what: str
    kind: str
    act: Act


class Deck:
    """`first`: kinds that come before all others, in this order."""

    def __init__(self, cards: Sequence[Card], dice: Random, first: Sequence[str] = ()) -> None:
        self._cards = list(cards)
        self._dice = dice
        self._owed = [card for kind in first for card in cards if card.kind == kind]
        self._hand: list[Card] = []

    @property
    def owes(self) -> bool:
        """One of the first has not been dealt yet."""
        return bool(self._owed)

    def draw(self) -> Card | None:
        if self._owed:
            return self._owed.pop(0)
        if not self._hand:
            self._hand = self._dice.sample(self._cards, len(self._cards))
        return self._hand.pop() if self._hand else None
