"""What stands in Telegram for each conversation: its topic, its card, its title. Remembered durably."""

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct, json

from bridge.events import ConversationId
from bridge.store import Store
from bridge.surface import Anchor

SPACE = "telegram-topic"
MADE = "telegram-made"
UNHEARD = timedelta(days=7)


class Topic(Struct, frozen=True, kw_only=True):
    """`thread` is 0 where the group had no topics. `chat` is where `card`, the card's message, stands.

    `look` tells what the card showed when it was drawn last.
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

    async def get(self, anchor: str) -> Topic | None:
        raw = await self._store.get(SPACE, anchor)
        return None if raw is None else json.decode(raw, type=Topic)

    async def keep(self, anchor: str, topic: Topic) -> None:
        await self._store.put(SPACE, anchor, json.encode(topic))

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
