"""A team in a Telegram group with the real server process behind it: what stands there, and what people do."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from tests.eventually import PATIENCE, eventually
from tests.fakes.telegram import Answer, Message, Person, TelegramServer, Topic
from tests.running import HURRIED, Server, free_port

Way = Literal["polling", "webhook"]

HOOK_SECRET = "q7Xw-Zt3_Lm9Kp2Rv8Yd5Nc1Hb6Sg4Jf0"
ORIGIN = "https://www.acme.example"
AI = [["Take over"], ["Observe", "Open in browser"], ["End"]]
HUMAN = [["Hand back to AI", "Take over"], ["Observe", "Open in browser"], ["End"]]
ENDED = [["Open in browser"]]
SENT, NOTED, DONE = "👍", "✍", "👌"


class TeamGroup:
    """Lee and Kim are members; a message that nobody is named for is Lee's."""

    def __init__(self, telegram: TelegramServer, server: Server, *, lee: Person, kim: Person) -> None:
        self.telegram = telegram
        self.server = server
        self.lee = lee
        self.kim = kim
        self.chat = telegram.chat_id

    # What stands there

    @property
    def topics(self) -> list[Topic]:
        return [t for t in self.telegram.topics(self.chat) if not t.deleted]

    @property
    def topic(self) -> Topic:
        """The newest."""
        assert self.topics, "no topic stands there"
        return self.topics[-1]

    @property
    def standing(self) -> list[Message]:
        """Everything in the newest topic; in a group without topics, everything."""
        forum = self.telegram.chat(self.chat).forum
        return (
            self.telegram.topic_messages(self.topic.id, chat=self.chat)
            if forum
            else self.telegram.messages(self.chat)
        )

    @property
    def lines(self) -> list[str]:
        """What the server wrote into the topic after the card, without answers to members."""
        members = {m.id for m in self.standing if not m.by_bot}
        return [m.shown for m in self.standing if m.by_bot and not m.rows and m.reply_to not in members]

    @property
    def latest_card(self) -> Message:
        cards = [
            m for m in self.standing if m.by_bot and m.rows and "Take over and send" not in _labels(m)[0]
        ]
        assert cards, "no card stands there"
        return cards[-1]

    async def begun(self, topics: int = 1) -> Topic:
        """Until so many topics stand, each with a pinned card."""
        await eventually(lambda: len(self.topics) == topics, what=f"{topics} topics")
        await eventually(lambda: self.latest_card.pinned, what="the card is pinned")
        return self.topic

    async def reads(self, text: str) -> Message:
        """A line with these words, which stands there once."""

        def found() -> Message | None:
            here = [m for m in self.standing if m.by_bot and text in seen(m) and m is not self.latest_card]
            assert len(here) < 2, f"twice: {text}"
            return here[0] if here else None

        try:
            message = await eventually(found)
        except AssertionError as error:
            raise AssertionError(f"{error}\nnot {text!r} among {[m.shown for m in self.standing]}") from None
        assert message is not None
        return message

    async def card(self, *texts: str, buttons: Sequence[Sequence[str]], title: str = "") -> Message:
        """The card says all of this, and has just these buttons; the topic's title holds `title`."""

        def is_so() -> bool:
            card = self.latest_card
            assert all(text in card.shown for text in texts), (texts, card.shown)
            assert _labels(card) == list(map(list, buttons))
            assert title in self.topic.name if title else True, self.topic.name
            return True

        await eventually(is_so)
        return self.latest_card

    # What people do

    async def says(self, text: str, *, by: Person | None = None, **how: Any) -> int:
        """In the newest topic, unless `topic` says otherwise."""
        if self.telegram.chat(self.chat).forum:
            how.setdefault("topic", self.topic.id)
        return await self.telegram.says(by or self.lee, text, chat=self.chat, **how)

    async def presses(self, what: str, *, by: Person | None = None, on: Message | None = None) -> Answer:
        """A button of the card, unless `on` is another message; what the person is shown."""
        message = on or self.latest_card
        query = await self.telegram.presses(by or self.lee, message.id, what, chat=self.chat)
        return await self.answered(query)

    async def answered(self, query: str) -> Answer:
        answer = await eventually(
            lambda: next((a for a in self.telegram.answers if a.id == query), None),
            what="the press is answered",
        )
        assert answer is not None
        return answer

    async def reaction(self, message: int, emoji: str) -> None:
        """The server's own, on a member's message."""
        bot = self.telegram.bot.id

        def is_so() -> bool:
            found = self.telegram.message(message, chat=self.chat).reactions.get(bot)
            assert found == emoji, (found, self.replies(message))
            return True

        await eventually(is_so)

    def replies(self, message: int) -> list[str]:
        return [m.shown for m in self.telegram.messages(self.chat) if m.by_bot and m.reply_to == message]

    async def told(self, message: int, text: str) -> Message:
        """A reply of the server's to a member's message."""

        def found() -> Message | None:
            here = [m for m in self.telegram.messages(self.chat) if m.by_bot and m.reply_to == message]
            assert all(m.silent for m in here)
            return next((m for m in here if text in seen(m)), None)

        reply = await eventually(found, what=f"a reply with {text!r}; there are {self.replies(message)}")
        assert reply is not None
        return reply


def seen(message: Message) -> str:
    """As a person reads it: what keeps Telegram from finding commands and names in it does not show."""
    return message.shown.replace("\u2060", "")


def _labels(message: Message) -> list[list[str]]:
    return [[button.text for button in row] for row in message.rows]


def section(telegram: TelegramServer, way: Way = "polling", **settings: Any) -> dict[str, Any]:
    """What the configuration says of Telegram."""
    hook = {"mode": "webhook", "webhook_secret": HOOK_SECRET} if way == "webhook" else {}
    return {"token": telegram.token, "chat": telegram.chat_id, "api_url": telegram.api_url} | hook | settings


async def listening(telegram: TelegramServer, *, within: float = PATIENCE) -> None:
    """Until the server hears what people do."""
    await eventually(
        lambda: telegram.polling or telegram.webhook.url, within=within, what="the server listens"
    )


@asynccontextmanager
async def team_group(
    folder: Path,
    *,
    way: Way = "polling",
    origin: str = ORIGIN,
    port: int | None = None,
    config: Mapping[str, Any] | None = None,
    forum: bool = True,
    kind: str = "supergroup",
    start: bool = True,
    program: Sequence[str | Path] = HURRIED,
    **settings: Any,
) -> AsyncIterator[TeamGroup]:
    """`config` is merged over the whole configuration, `settings` over Telegram's section."""
    async with AsyncExitStack() as stack:
        telegram = await stack.enter_async_context(TelegramServer())
        telegram.add_group("Desk", forum=forum, kind=kind)
        lee, kim = telegram.add_person("Lee", username="lee"), telegram.add_person("Kim")
        for person in (lee, kim):
            telegram.join(person)
        told = {
            "sites": {"acme": {"name": "Acme", "origins": [origin], "staff": ["dana"]}},
            "staff": {"dana": {"name": "Dana", "email": "dana@acme.example"}},
            "telegram": section(telegram, way, **settings),
        }  # fmt: skip
        server = Server(folder, {**told, **(config or {})}, port=port or free_port(), program=program)
        stack.callback(server.kill)
        if start:
            await asyncio.to_thread(server.start)
            await listening(telegram)
        yield TeamGroup(telegram, server, lee=lee, kim=kim)
