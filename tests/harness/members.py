"""What members do in Slack's channel and Telegram's group."""

from contextlib import suppress
from random import Random

from tests.fakes.slack import Slack
from tests.fakes.slack_socket import Delivery
from tests.fakes.telegram import TelegramServer
from tests.fakes.telegram_state import Person, Refusal
from tests.harness.crowd import Place
from tests.harness.history import Typed


class SlackMember:
    def __init__(self, number: int, slack: Slack, place: Place, dice: Random) -> None:
        self._slack = slack
        self._user = slack.add_user(f"s{number}", display_name=f"Sky{number}")
        self._mark = f"s{number}x"
        self._place = place
        self._dice = dice
        self._typed: list[tuple[str, Delivery]] = []

    async def run(self) -> None:
        slack, texts, taken = self._slack, 0, set[str]()
        while await self._place.think(self._dice, 1.2):
            roots = [m for m in slack.roots(slack.channel) if m.bot_id == slack.bot_id]
            if not roots or slack.channels[slack.channel].archived:
                continue
            root = self._dice.choice(roots)
            texts += 1
            match self._dice.randrange(6):
                case 0:
                    taken.add(root.ts)
                    await slack.says(self._user, "!take", thread=root.ts)
                case 1:
                    await slack.says(self._user, "!back", thread=root.ts)
                case 2:
                    taken.add(root.ts)
                    with suppress(AssertionError):  # the card has changed, and has no such button
                        await slack.presses(self._user, root.ts, action_id="take")
                case _:
                    text = f"{self._mark}.{texts}. From the channel."
                    ts = await slack.says(self._user, text, thread=root.ts)
                    self._typed.append((text, slack.delivery(ts)))
        for ts in sorted(taken):  # home again; what is not theirs any more is refused
            await slack.says(self._user, "!back", thread=ts)

    def typed(self) -> list[Typed]:
        return [Typed(surface="slack", text=text, accepted=d.acked) for text, d in self._typed]


class TelegramMember:
    def __init__(self, number: int, telegram: TelegramServer, place: Place, dice: Random) -> None:
        self._telegram = telegram
        self._person: Person = telegram.add_person(f"Tim{number}", username=f"tim{number}")
        telegram.join(self._person)
        self._mark = f"t{number}x"
        self._place = place
        self._dice = dice
        self._typed: list[str] = []

    async def run(self) -> None:
        telegram, texts, taken = self._telegram, 0, set[int]()
        while await self._place.think(self._dice, 1.2):
            topics = self._topics()
            if not topics:
                continue
            topic = self._dice.choice(topics)
            texts += 1
            match self._dice.randrange(6):
                case 0:
                    taken.add(topic)
                    await telegram.says(self._person, "/take", topic=topic)
                case 1:
                    await telegram.says(self._person, "/back", topic=topic)
                case _:
                    text = f"{self._mark}.{texts}. From the group."
                    with suppress(Refusal):  # the topic is closed just now
                        await telegram.says(self._person, text, topic=topic)
                        self._typed.append(text)
        for topic in sorted(taken.intersection(self._topics())):
            with suppress(Refusal):
                await telegram.says(self._person, "/back", topic=topic)

    def _topics(self) -> list[int]:
        """Those with a card: one whose maker died before it heard of it stays empty, and is nobody's."""
        cards = {m.thread for m in self._telegram.messages() if m.by_bot and m.rows and m.thread is not None}
        return sorted(cards)

    def typed(self) -> list[Typed]:
        """Telegram keeps what is not confirmed, so all that the bot was there to hear arrives in the end."""
        heard, pending = str(self._telegram.updates), str(self._telegram.pending)
        accepted = {text for text in self._typed if text in heard and text not in pending}
        return [Typed(surface="telegram", text=t, accepted=t in accepted) for t in self._typed]
