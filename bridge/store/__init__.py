"""The seam between the core and stable storage, and `open_store` which picks an engine by its URL."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from bridge.errors import ConfigError, Conflict, StoreError
from bridge.events import ConversationId, Entry, Seq

__all__ = ["Conflict", "Cursor", "Growth", "Record", "Store", "StoreError", "open_store"]


class Cursor(Struct, frozen=True, kw_only=True):
    """How far a pushed surface has shown a conversation: entries up to `position` are done."""

    position: Seq = Seq(0)
    anchor: str | None = None


class Growth(Struct, frozen=True):
    """A log stands at `head` now, or further."""

    cid: ConversationId
    head: Seq


class Record(Struct, frozen=True, kw_only=True):
    """A small keyed value beside the log: a join link, a session, a mail already sent."""

    key: str
    value: bytes
    expires_at: datetime | None = None


class Store(Protocol):
    """Stable storage. What a method has returned from survives `kill -9` and, with fsync, power loss.

    `log_id` names this incarnation of the store: when it changes, or a log stands lower than a client
    remembers, time went back and the client must reset.
    """

    log_id: str

    # The log

    async def append(
        self, cid: ConversationId, entries: Sequence[Entry], *, after: Seq, due: datetime | None
    ) -> None:
        """Add `entries`, the first with seq `after + 1`, if the log stands at `after`; else `Conflict(head)`.

        All or none, atomically; returns when durable. `due` replaces the moment at which the
        conversation next wants the clock's attention; None means never. Entries with a hole between
        them, or none at all, are a ValueError.
        """

    async def read(self, cid: ConversationId, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        """At most `limit` entries with seq > `after`, in order."""

    async def heads(self, cids: Collection[ConversationId]) -> dict[ConversationId, Seq]:
        """Where each log stands; logs that do not exist are left out."""

    def known_head(self, cid: ConversationId) -> Seq | None:
        """Where the log stands, if this process cannot be wrong about it; None means: ask."""

    def changes(self) -> AsyncIterator[Growth]:
        """Conversations whose log grew, in this process or another. A hint: may repeat, may be lost.

        Begins with the call, not with the first `anext`; ends when the store closes.
        """

    # The clock

    async def due(self, now: datetime, *, limit: int = 100) -> list[ConversationId]:
        """Conversations whose `due` moment is at or before `now`, the earliest first."""

    async def arm(self, cid: ConversationId, due: datetime | None, *, head: Seq) -> None:
        """Replace the `due` moment, unless the log has moved past `head` since, or does not exist."""

    # Pushed surfaces

    async def cursor(self, surface: str, cid: ConversationId) -> Cursor:
        """The surface's cursor; at 0 without an anchor where it never delivered."""

    async def advance(
        self, surface: str, cid: ConversationId, *, position: Seq, anchor: str | None = None
    ) -> None:
        """Move the cursor forward, never back; an anchor of None leaves the old one."""

    async def behind(self, surface: str, *, limit: int = 100) -> list[ConversationId]:
        """Conversations whose log is longer than the surface's cursor, the longest waiting first."""

    async def find_anchor(self, surface: str, anchor: str) -> ConversationId | None:
        """The conversation that `anchor` stands for on `surface`."""

    # Records

    async def put(
        self, space: str, key: str, value: bytes, *, expires_at: datetime | None = None, new: bool = False
    ) -> bool:
        """Store a record; with `new`, only where the key is free. Answers whether it was stored.

        A record that has expired holds its key until it is purged or deleted.
        """

    async def get(self, space: str, key: str, *, now: datetime | None = None) -> bytes | None:
        """The value, or None where there is none or, given `now`, it has expired."""

    async def delete(self, space: str, key: str) -> None: ...

    async def scan(self, space: str, prefix: str = "") -> list[Record]:
        """All records of a space whose key begins with `prefix`, by key; expired ones too."""

    async def purge(self, now: datetime) -> int:
        """Drop expired records; answers how many."""

    async def close(self) -> None:
        """Finish what was accepted, then let go of the file. Appends after this raise StoreError."""


async def open_store(url: str) -> Store:
    """Open the store that `url` names: `sqlite:///relative/or//absolute.db` or `memory://`."""
    scheme, _, rest = url.partition("://")
    match scheme:
        case "sqlite" if rest.startswith("/") and len(rest) > 1:
            from bridge.store.sqlite import SqliteStore  # noqa: PLC0415 - an engine is loaded when asked for

            return await SqliteStore.open(rest[1:])
        case "memory":
            from bridge.store.memory import MemoryStore  # noqa: PLC0415

            return MemoryStore()
        case _:
            raise ConfigError([f"store: expected sqlite:///joinline.db or memory://, got {url!r}"])
