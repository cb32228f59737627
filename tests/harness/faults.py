"""The injector: what breaks, when, for how long. The same seed deals the same cards.

`ours.py` has what breaks servers, their network and their store, `outside.py` what breaks everybody else. What
cannot happen here is listed in CONTRIBUTING.md, with the tests that make it happen.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from tests.fakes.model import FakeModel
from tests.fakes.slack import Slack
from tests.fakes.smtp import SmtpServer
from tests.fakes.telegram import TelegramServer
from tests.harness.deck import Card, Deck
from tests.harness.fleet import Fleet
from tests.harness.history import EVERYBODY, History, Outage
from tests.harness.ours import Ours
from tests.harness.outside import Outside
from tests.harness.plan import Plan, Say
from tests.harness.proxy import Proxy


class Injector:
    def __init__(
        self,
        *,
        fleet: Fleet,
        slack: Slack,
        telegram: TelegramServer,
        smtp: SmtpServer,
        post_office: Proxy,
        model: FakeModel,
        history: History,
        dice: Random,
        say: Say,
        plan: Plan,
    ) -> None:
        self.counts: dict[str, int] = {}
        self._history = history
        self._dice = dice
        self._say = say
        self._plan = plan
        self._ours = ours = Ours(fleet=fleet, history=history, dice=dice)
        self._outside = outside = Outside(
            slack=slack, telegram=telegram, smtp=smtp, post_office=post_office, model=model, dice=dice
        )
        world = [*outside.slack(), *outside.telegram(), *outside.smtp(), *outside.model()]
        self._apart = self._decks(outside.slack(), outside.telegram(), outside.smtp(), outside.model())
        self._together = self._decks(ours.servers(), ours.between(), world)

    def _decks(self, *hands: Sequence[Card]) -> list[Deck]:
        wanted = self._plan.only.split(",")
        played = ([c for c in cards if any(name in c.kind for name in wanted)] for cards in hands)
        return [Deck(cards, Random(self._dice.random()), self._plan.first) for cards in played]

    async def run(self, seconds: float) -> None:
        """For about so long. First only what is not ours: that is no excuse for anybody."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            turn = min(loop.time() + self._plan.turn, until)
            await self._break_the_outside(min(loop.time() + self._plan.outside, turn))
            await self._deal(self._together, turn)
        await self.heal()

    async def heal(self) -> None:
        self._outside.heal()
        self._ours.heal()

    async def _break_the_outside(self, until: float) -> None:
        """All of it at once, and then one thing of each at a time."""
        began = datetime.now(UTC)
        if self._plan.outside and not self._plan.only:
            await self._play(Card("outside", EVERYBODY, self._outside.everybody_down))
            await self._deal(self._apart, until)
        self._history.outside.append((began, datetime.now(UTC)))

    async def _deal(self, decks: Sequence[Deck], until: float) -> None:
        """One at a time from each deck."""
        async with asyncio.TaskGroup() as group:
            for deck in decks:
                group.create_task(self._play_on(deck, until))

    async def _play_on(self, deck: Deck, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until or deck.owes:
            card = deck.draw()
            if card is None:
                return
            await asyncio.sleep(self._dice.random())
            await self._play(card)

    async def _play(self, card: Card) -> None:
        began = datetime.now(UTC)
        self._say(f"{card.what}: {card.kind}")
        try:
            await card.act()
        finally:
            ended = datetime.now(UTC)
            everything = ("slack", "telegram", "smtp", "model")
            self._history.outages += [
                Outage(what=what, kind=card.kind, began=began, ended=ended)
                for what in (everything if card.what == "outside" else (card.what,))
            ]
        self.counts[card.kind] = self.counts.get(card.kind, 0) + 1
