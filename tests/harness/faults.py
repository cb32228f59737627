"""The injector: what breaks, when, for how long. The same seed deals the same cards."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
import signal

from tests.fakes import model as answers
from tests.fakes.model import Exchange, FakeModel, Script
from tests.fakes.slack import Slack
from tests.fakes.smtp import SmtpServer
from tests.fakes.telegram import TelegramServer
from tests.harness.fleet import Fleet, Member
from tests.harness.history import History, Outage

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Card:
    """`first`: dealt before the others, so that a short run has it."""

    what: str
    kind: str
    act: Act
    first: bool = False


class Injector:
    def __init__(
        self,
        *,
        fleet: Fleet,
        slack: Slack,
        telegram: TelegramServer,
        smtp: SmtpServer,
        model: FakeModel,
        history: History,
        dice: Random,
        say: Callable[[str], None],
        only: str = "",
    ) -> None:
        self.counts: dict[str, int] = {}
        self._fleet = fleet
        self._slack = slack
        self._telegram = telegram
        self._smtp = smtp
        self._model = model
        self._history = history
        self._dice = dice
        self._say = say
        self._only = only
        self._answers = 0
        self._trouble: Script | None = None
        model.play(self._script)

    async def run(self, seconds: float) -> None:
        """For about so long, break one thing at a time of each kind: servers, what is between, the world outside."""
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deal(self._servers(), until))
            group.create_task(self._deal(self._between(), until))
            group.create_task(self._deal(self._outside(), until))
        await self.heal()

    async def heal(self) -> None:
        self._slack.mend()
        self._telegram.heal()
        self._trouble = None
        for member in self._fleet.members:
            member.front.heal()
            if member.back is not None:
                member.back.heal()

    async def _deal(self, cards: list[Card], until: float) -> None:
        loop = asyncio.get_running_loop()
        dice = Random(self._dice.random())
        cards = [card for card in cards if any(name in card.kind for name in self._only.split(","))]
        if not cards:
            return
        first = [card for card in cards if card.first]
        rest = [card for card in cards if not card.first]
        dice.shuffle(first)
        dice.shuffle(rest)
        hand = first + rest
        while loop.time() < until:
            card = hand.pop(0)
            if not hand:
                hand = list(cards)
                dice.shuffle(hand)
            await asyncio.sleep(dice.random() * 1.0)
            await self._play(card)

    async def _play(self, card: Card) -> None:
        began = datetime.now(UTC)
        self._say(f"{card.what}: {card.kind}")
        try:
            await card.act()
        finally:
            self._history.outages.append(
                Outage(what=card.what, kind=card.kind, began=began, ended=datetime.now(UTC))
            )
        self.counts[card.kind] = self.counts.get(card.kind, 0) + 1

    # Ours

    def _servers(self) -> list[Card]:
        return [
            Card("servers", "kill one", self._kill_one, first=True),
            Card("servers", "pause", self._pause, first=True),
            Card("servers", "kill all", self._kill_all),
            Card("servers", "rolling restart", self._roll),
        ]

    def _between(self) -> list[Card]:
        cards = [
            Card("network", "clients delayed", self._delay_clients),
            Card("network", "clients cut", self._cut_clients, first=True),
            Card("network", "clients' black hole", self._swallow_clients),
        ]
        if self._fleet.redis is not None:
            cards += [
                Card("redis", "kill redis", self._kill_redis, first=True),
                Card("redis", "redis stands still", self._pause_redis),
                Card("redis", "redis slow", self._delay_redis),
                Card("redis", "redis cut", self._cut_redis),
                Card("redis", "redis black hole", self._swallow_redis, first=True),
            ]
        return cards

    def _one(self) -> Member:
        return self._dice.choice(self._fleet.members)

    async def _kill_one(self) -> None:
        member = self._one()
        await member.kill()
        await asyncio.sleep(self._dice.random())
        await member.start()

    async def _kill_all(self) -> None:
        await asyncio.gather(*(member.kill() for member in self._fleet.members))
        await asyncio.gather(*(member.start() for member in self._fleet.members))

    async def _pause(self) -> None:
        """For longer than its leases live."""
        member = self._one()
        member.pause()
        await asyncio.sleep(self._fleet.lives * 1.4)
        member.go_on()

    async def _roll(self) -> None:
        for member in self._fleet.members:
            await member.stop()
            await member.start()

    async def _delay_clients(self) -> None:
        front = self._one().front
        front.delay = 0.1 + 0.3 * self._dice.random()
        await asyncio.sleep(2.0)
        front.heal()

    async def _cut_clients(self) -> None:
        self._one().front.cut()

    async def _swallow_clients(self) -> None:
        front = self._one().front
        front.swallow()
        await asyncio.sleep(1.0 + 4 * self._dice.random())
        if self._dice.random() < 0.5:
            front.cut()
        front.heal()

    async def _kill_redis(self) -> None:
        redis = self._fleet.redis
        assert redis is not None
        await asyncio.to_thread(redis.kill, signal.SIGKILL)
        await asyncio.sleep(self._dice.random() * 2)
        await asyncio.to_thread(redis.start)

    async def _pause_redis(self) -> None:
        redis = self._fleet.redis
        assert redis is not None
        redis.pause()
        await asyncio.sleep(2.0)
        redis.go_on()

    async def _delay_redis(self) -> None:
        back = self._one().back
        assert back is not None
        back.delay = self._dice.choice((0.02, 0.2, 2.0))
        await asyncio.sleep(3.0)
        back.heal()

    async def _cut_redis(self) -> None:
        back = self._one().back
        assert back is not None
        back.cut()

    async def _swallow_redis(self) -> None:
        """One server is cut off from the store for longer than its leases live, and does not know it."""
        back = self._one().back
        assert back is not None
        back.swallow()
        await asyncio.sleep(self._fleet.lives * 1.4)
        if self._dice.random() < 0.5:
            back.cut()
        back.heal()

    # The world outside

    def _outside(self) -> list[Card]:
        return [
            Card("slack", "slack 429", self._slack_limits, first=True),
            Card("slack", "slack answers lost", self._slack_loses, first=True),
            Card("slack", "slack sockets cut", self._slack_cuts, first=True),
            Card("slack", "slack 503", self._slack_breaks),
            Card("slack", "slack slow", self._slack_slow),
            Card("slack", "slack down", self._slack_down),
            Card("telegram", "telegram 429", self._telegram_limits, first=True),
            Card("telegram", "telegram answers lost", self._telegram_loses),
            Card("telegram", "telegram down", self._telegram_down),
            Card("model", "model hangs", lambda: self._model_plays(answers.hangs), first=True),
            Card(
                "model",
                "model breaks off",
                lambda: self._model_plays(answers.breaks_off("It is")),
                first=True,
            ),
            Card("model", "model stalls", lambda: self._model_plays(answers.stalls("It is"))),
            Card("model", "model 500", lambda: self._model_plays(answers.server_error)),
            Card("model", "model talks garbage", lambda: self._model_plays(answers.garbage)),
            Card("smtp", "smtp refuses", self._smtp_refuses, first=True),
            Card("smtp", "smtp down", self._smtp_down),
            Card("smtp", "smtp dropped after DATA", self._smtp_drops),
        ]

    async def _slack_limits(self) -> None:
        self._slack.limit("chat.postMessage", 2)
        await asyncio.sleep(2.0)
        self._slack.mend()

    async def _slack_loses(self) -> None:
        self._slack.lose("chat.postMessage", times=5)
        self._slack.drop("chat.postMessage", times=2)
        await asyncio.sleep(2.0)
        self._slack.mend()

    async def _slack_cuts(self) -> None:
        self._slack.cut_sockets()
        await asyncio.sleep(1.0)

    async def _slack_breaks(self) -> None:
        self._slack.breaks("*", status=503, times=None)
        await asyncio.sleep(2.0)
        self._slack.mend()

    async def _slack_slow(self) -> None:
        self._slack.slow("chat.postMessage", 0.5, times=None)
        await asyncio.sleep(3.0)
        self._slack.mend()

    async def _slack_down(self) -> None:
        await self._slack.refuse()
        await asyncio.sleep(2.0)
        await self._slack.listen()

    async def _telegram_limits(self) -> None:
        self._telegram.limit("sendMessage", 2, times=None)
        await asyncio.sleep(2.5)
        self._telegram.heal()

    async def _telegram_loses(self) -> None:
        self._telegram.lose("sendMessage", times=3)
        await asyncio.sleep(2.0)
        self._telegram.heal()

    async def _telegram_down(self) -> None:
        self._telegram.down = True
        await asyncio.sleep(3.0)
        self._telegram.heal()

    async def _model_plays(self, script: Script) -> None:
        self._trouble = script
        await asyncio.sleep(3.0)
        self._trouble = None

    async def _smtp_refuses(self) -> None:
        self._smtp.answer_sender = "451 4.3.0 Try again later"
        await asyncio.sleep(2.0)
        self._smtp.answer_sender = None

    async def _smtp_down(self) -> None:
        await self._smtp.refuse()
        await asyncio.sleep(2.0)
        await self._smtp.listen()

    async def _smtp_drops(self) -> None:
        self._smtp.drop_after_data = 3
        await asyncio.sleep(2.0)
        self._smtp.drop_after_data = 0

    async def _script(self, x: Exchange) -> None:
        """What the model answers: its own words each time, mostly at once, and now and then a call for a person."""
        if self._trouble is not None:
            await self._trouble(x)
            return
        self._answers += 1
        text = f"a{self._answers}x. Yes, we ship it."
        if self._dice.random() < 0.1:
            await answers.asks_for_person("It is too hard.", text=text)(x)
        else:
            await answers.says(text, delay=0.02 * self._dice.random())(x)
