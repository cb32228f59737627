"""The engines of the store, and how to open each one."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from bridge.events import ConversationId, Entry, Event, Party, Said, Seq, Visitor
from bridge.store import Store, open_store

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Place(Struct, frozen=True):
    """Where an engine may keep things: a folder, a database server that is empty."""

    folder: Path
    redis: str


ENGINES: dict[str, Callable[[Place], Awaitable[Store]]] = {
    "memory": lambda _place: open_store("memory://"),
    "sqlite": lambda place: open_store(f"sqlite:///{place.folder}/joinline.db"),
    "redis": lambda place: open_store(place.redis),
}
DURABLE = ["sqlite", "redis"]


def entry(seq: int, event: Event | None = None, by: Party | None = None) -> Entry:
    return Entry(
        seq=Seq(seq),
        at=NOW,
        event=event or Said(text=f"message {seq}"),
        by=by or Visitor(),
        via="widget",
        key=f"k{seq}",
    )


async def grow(store: Store, cid: ConversationId, count: int = 1, *, due: datetime | None = None) -> int:
    """Append `count` entries; answers the new head."""
    head = (await store.heads([cid])).get(cid, Seq(0))
    entries = [entry(seq) for seq in range(head + 1, head + count + 1)]
    await store.append(cid, entries, after=head, due=due)
    return head + count
