"""What stands in Telegram for each conversation: its topic, its card, its title. Remembered durably."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct, json
from msgspec.structs import replace

from bridge.errors import AnchorLost
from bridge.events import ConversationId
from bridge.store import Store
from bridge.surface import Anchor

SPACE = "telegram-topic"
MADE = "telegram-made"
UNHEARD = timedelta(days=7)


class Topic(Struct, frozen=True, kw_only=True):
    """`thread` is 0 where the group had no topics. `chat` is where `card`, the card's message, stands.

    `look` tells what the card showed when it was drawn last, `closed` how the topic was left, by whomever.
    """

    cid: ConversationId
    chat: int
    thread: int
    card: int = 0
    look: str = ""
    pinned: bool = False
    title: str = ""
    closed: bool = False


class Topics:
    def __init__(self, *, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._changing = asyncio.Lock()

    async def get(self, anchor: str) -> Topic | None:
        raw = await self._store.get(SPACE, anchor)
        return None if raw is None else json.decode(raw, type=Topic)

    async def at(self, anchor: str) -> Topic:
        """AnchorLost where nothing is known of it."""
        topic = await self.get(anchor)
        if topic is None:
            raise AnchorLost
        return topic

    async def keep(self, anchor: str, topic: Topic) -> None:
        await self._store.put(SPACE, anchor, json.encode(topic))

    async def change(self, anchor: str, **changes: object) -> Topic:
        """Change this, and nothing that others changed meanwhile."""
        async with self._changing:
            topic = replace(await self.at(anchor), **changes)
            await self.keep(anchor, topic)
            return topic

    async def made(self, mark: str, anchor: Anchor) -> None:
        """Remember what was made for `mark`, as whoever wanted it may not hear of it."""
        expires = self._clock() + UNHEARD
        await self._store.put(MADE, mark, anchor.encode(), expires_at=expires)

    async def find(self, mark: str) -> Anchor | None:
        raw = await self._store.get(MADE, mark)
        return None if raw is None else Anchor(raw.decode())


def topic_anchor(chat: int, thread: int) -> Anchor:
    return Anchor(f"{chat}:{thread}")


def reply_anchor(chat: int, card: int) -> Anchor:
    """Of a conversation in a group without topics."""
    return Anchor(f"{chat}:m{card}")


def ref(chat: int, message: int) -> str:
    """A message's name, the same however often Telegram tells of it."""
    return f"{chat}:{message}"


def message_of(name: str) -> tuple[int, int]:
    chat, _, message = name.partition(":")
    return int(chat), int(message)
