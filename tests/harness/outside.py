"""What goes wrong with everybody else: Slack, Telegram, the mail server and the model."""

import asyncio
from collections.abc import Callable
from random import Random

from tests.fakes import model as answers
from tests.fakes.model import Exchange, FakeModel, Script
from tests.fakes.slack import Slack
from tests.fakes.smtp import SmtpServer
from tests.fakes.telegram import TelegramServer
from tests.harness.deck import Act, Card
from tests.harness.plan import MAILBOXES
from tests.harness.proxy import Proxy

MODELS: dict[str, Script] = {
    "model hangs": answers.hangs,
    "model breaks off": answers.breaks_off("It is"),
    "model stalls": answers.stalls("It is"),
    "model ends early": answers.ends_early("It is"),
    "model 500": answers.server_error,
    "model 429": answers.too_many_requests("1"),
    "model talks garbage": answers.garbage,
    "model says nothing": answers.empty,
    "model never ends": answers.endless("and on " * 50),
    "model drips": answers.drips("It is so.", 0.4),
    "model invents tools": answers.calls("hand_over_everything", '{"to": "me"}', text="Wait."),
}


class Outside:
    def __init__(
        self,
        *,
        slack: Slack,
        telegram: TelegramServer,
        smtp: SmtpServer,
        post_office: Proxy,
        model: FakeModel,
        dice: Random,
    ) -> None:
        self._slack = slack
        self._telegram = telegram
        self._smtp = smtp
        self._post_office = post_office
        self._dice = dice
        self._answers = 0
        self._trouble: Script | None = None
        model.play(self._answer)

    def heal(self) -> None:
        self._slack.mend()
        self._telegram.heal()
        self._trouble = None

    async def everybody_down(self) -> None:
        self._trouble = self._dice.choice((answers.hangs, answers.server_error, answers.stalls("It is")))
        self._telegram.down = True
        await asyncio.gather(self._slack.refuse(), self._smtp.refuse())
        await asyncio.sleep(6.0)
        await asyncio.gather(self._slack.listen(), self._smtp.listen())
        self._telegram.heal()
        self._trouble = None

    # Slack

    def slack(self) -> list[Card]:
        slack = self._slack
        found: dict[str, Act] = {
            "slack 429": self._for(2.0, slack.mend, lambda: slack.limit("chat.postMessage", 2)),
            "slack answers lost": self._for(2.0, slack.mend, self._lose),
            "slack sockets cut": self._for(1.0, slack.mend, slack.cut_sockets),
            "slack 503": self._for(2.0, slack.mend, lambda: slack.breaks("*", status=503, times=None)),
            "slack slow": self._for(3.0, slack.mend, lambda: slack.slow("chat.postMessage", 0.5, times=None)),
            "slack down": self._slack_down,
            "slack repeats itself": self._slack_repeats,
            "slack out of order": self._for(1.5, lambda: slack.release(lambda held: held[::-1]), slack.hold),
            "slack channel archived": self._archive,
            "slack token revoked": self._for(2.0, slack.restore_token, slack.revoke_token),
            "slack poison message": self._for(3.0, slack.mend, self._poison),
        }
        return [Card("slack", kind, act) for kind, act in found.items()]

    def _for(self, seconds: float, mend: Callable[[], object], trouble: Callable[[], object]) -> Act:
        async def act() -> None:
            trouble()
            await asyncio.sleep(seconds)
            mend()

        return act

    def _lose(self) -> None:
        self._slack.lose("chat.postMessage", times=5)
        self._slack.drop("chat.postMessage", times=2)

    async def _slack_down(self) -> None:
        await self._slack.refuse()
        await asyncio.sleep(2.0)
        await self._slack.listen()

    async def _slack_repeats(self) -> None:
        """What was taken long ago comes once more."""
        taken = [d for d in self._slack.deliveries if d.acked and d.kind == "events_api"]
        for delivery in self._dice.sample(taken, min(5, len(taken))):
            self._slack.redeliver(delivery)
        await asyncio.sleep(0.5)

    async def _archive(self) -> None:
        await self._slack.archive()
        await asyncio.sleep(2.0)
        await self._slack.unarchive()

    def _poison(self) -> None:
        """Slack will not have one message in five, whatever is done."""
        mark = f"x.{self._dice.randrange(2, 7)}."
        self._slack.fail(
            "chat.postMessage", error="invalid_blocks", times=None,
            when=lambda args: bool(args.get("thread_ts")) and mark in str(args),
        )  # fmt: skip

    # Telegram

    def telegram(self) -> list[Card]:
        telegram = self._telegram
        parse = "Bad Request: can't parse entities: unsupported start tag at byte offset 0"
        found: dict[str, Act] = {
            "telegram 429": self._for(
                2.5, telegram.heal, lambda: telegram.limit("sendMessage", 2, times=None)
            ),
            "telegram long pause": self._for(7.0, telegram.heal, lambda: telegram.limit("sendMessage", 7)),
            "telegram answers lost": self._for(
                2.0, telegram.heal, lambda: telegram.lose("sendMessage", times=3)
            ),
            "telegram reads no markup": self._for(
                2.0, telegram.heal, lambda: telegram.fail("sendMessage", 400, parse)
            ),
            "telegram down": self._for(3.0, telegram.heal, lambda: setattr(telegram, "down", True)),
            "telegram topic deleted": self._delete_topic,
            "telegram bot kicked": self._kick,
        }
        return [Card("telegram", kind, act) for kind, act in found.items()]

    async def _delete_topic(self) -> None:
        standing = [topic.id for topic in self._telegram.topics() if not topic.deleted]
        if standing:
            await self._telegram.deletes_topic(self._dice.choice(standing))
        await asyncio.sleep(1.0)

    async def _kick(self) -> None:
        await self._telegram.kicks_bot()
        await asyncio.sleep(2.0)
        await self._telegram.returns_bot()

    # Mail

    def smtp(self) -> list[Card]:
        smtp, office = self._smtp, self._post_office
        found: dict[str, Act] = {
            "smtp refuses": self._for(
                2.0, lambda: setattr(smtp, "answer_sender", None),
                lambda: setattr(smtp, "answer_sender", "451 4.3.0 Try again later"),
            ),
            "smtp refuses one recipient": self._for(2.0, smtp.reject.clear, self._refuse_one),
            "smtp down": self._smtp_down,
            "smtp dropped after DATA": self._for(
                2.0, lambda: setattr(smtp, "drop_after_data", 0), lambda: setattr(smtp, "drop_after_data", 3)
            ),
            "smtp one byte a second": self._for(3.0, office.heal, office.trickle),
        }  # fmt: skip
        return [Card("smtp", kind, act) for kind, act in found.items()]

    def _refuse_one(self) -> None:
        self._smtp.reject[self._dice.choice(MAILBOXES)] = "550 5.1.1 No such user"

    async def _smtp_down(self) -> None:
        await self._smtp.refuse()
        await asyncio.sleep(2.0)
        await self._smtp.listen()

    # The model

    def model(self) -> list[Card]:
        return [Card("model", kind, self._plays(script)) for kind, script in MODELS.items()]

    def _plays(self, script: Script) -> Act:
        return self._for(3.0, lambda: self._follow(None), lambda: self._follow(script))

    def _follow(self, script: Script | None) -> None:
        self._trouble = script

    async def _answer(self, x: Exchange) -> None:
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
