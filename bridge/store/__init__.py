"""The seam between the core and stable storage, and `open_store` which picks an engine by its URL."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from bridge.errors import ConfigError, Conflict, StoreError
from bridge.events import ConversationId, Entry, Seq
from bridge.store.address import parse

__all__ = [
    "FORGOTTEN",
    "Conflict",
    "Cursor",
    "Growth",
    "Record",
    "Standing",
    "Store",
    "StoreError",
    "duty_of",
    "is_duty_of",
    "open_store",
]


class Cursor(Struct, frozen=True, kw_only=True):
    """How far a pushed surface has shown a conversation: entries up to `position` are done."""

    position: Seq = Seq(0)
    anchor: str | None = None


class Growth(Struct, frozen=True):
    """A log stands at `head` now, or further."""

    cid: ConversationId
    head: Seq


class Standing(Struct, frozen=True, kw_only=True):
    """What the store keeps of a conversation beside its log; a cursor that never moved is left out."""

    head: Seq = Seq(0)
    due: datetime | None = None
    cursors: dict[str, Cursor] = {}


class Record(Struct, frozen=True, kw_only=True):
    """A small keyed value beside the log: a join link, a session, a mail already sent."""

    key: str
    value: bytes
    expires_at: datetime | None = None


class Store(Protocol):
    """Stable storage. What a method has returned from survives `kill -9` and, with fsync, power loss.

    `log_id` names this incarnation of the store: when it changes, or a log stands lower than a client
    remembers, time went back and the client must reset. It may change while the store is open: then
    whatever was being asked raises `WentBack`, once, and everything known from before is worth nothing.
    That entries are gone which were read or appended here is noticed by whoever asks for their log, also
    where others have come in their place.

    A StoreError from `append` leaves open whether the entries are in the log: look, before you decide.
    """

    alone: bool
    """Whether this process is the only one that uses the store."""

    @property
    def log_id(self) -> str: ...

    # The log

    async def append(
        self, cid: ConversationId, entries: Sequence[Entry], *, after: Seq, due: datetime | None
    ) -> None:
        """Add `entries`, the first with seq `after + 1`, if the log stands at `after`; else `Conflict(head)`.

        All or none, atomically; returns when durable. `due` replaces the moment at which the
        conversation next wants the clock's attention; None means never. Entries with a hole between
        them, or none at all, are a ValueError.
        """

    async def confirm(self, cid: ConversationId) -> None:
        """Return once all that the log holds is as safe as what a new append would return from.

        For who acknowledges what stands there already: an append that raised may be there all the same, and
        one that returned is gone where the store went back.
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
        self,
        surface: str,
        cid: ConversationId,
        *,
        position: Seq,
        anchor: str | None = None,
        lease: tuple[str, int] | None = None,
    ) -> None:
        """Move the cursor forward, never back; an anchor of None leaves the old one.

        With a `lease`, a duty of this conversation and its fence, only while that is the duty's fence:
        else nothing moves and LeaseLost is raised. A duty of something else is a ValueError.
        """

    async def behind(self, surface: str, *, limit: int = 100) -> list[ConversationId]:
        """Conversations whose log is longer than the surface's cursor, the longest waiting first."""

    async def find_anchor(self, surface: str, anchor: str) -> ConversationId | None:
        """The conversation that `anchor` stands for on `surface`."""

    # Between processes

    async def lease(self, duty: str, *, owner: str, lives: float) -> int | None:
        """Take or keep `duty` for `lives` seconds by the store's clock; the fence, or None: another has it.

        The fence rises with each new owner and stays while one owner keeps it. A lease that ran out is
        free to be taken; while nobody does, it is still its last owner's, who may go on with it. Leases
        are for now and not for ever: the store may forget those that ran out more than FORGOTTEN ago.
        `duty_of` names what is to be done for one conversation.
        """

    async def release(self, duty: str, *, owner: str) -> None:
        """Let go of `duty`, if `owner` has it."""

    async def tell(self, topic: str, message: bytes) -> None:
        """Tell every other process, now or never: nothing is kept, and a lost message is no fault.

        What is told under one topic is heard in its order. "name/cid" is a topic of that conversation.
        """

    def told(self) -> AsyncIterator[tuple[str, bytes]]:
        """What other processes tell, from the call on: topic and message. Ends when the store closes."""

    # Records

    async def put(
        self, space: str, key: str, value: bytes, *, expires_at: datetime | None = None, new: bool = False
    ) -> bool:
        """Store a record; with `new`, only where the key is free. Answers whether it was stored.

        A record that has expired holds its key until it is purged or deleted.
        """

    async def put_all(self, space: str, batch: Sequence[Record]) -> None:
        """Store every record of `batch`, or none; each replaces what its key held."""

    async def add(self, space: str, key: str, amount: int, *, expires_at: datetime | None = None) -> int:
        """Add to a record that holds a number, as decimal text; there is 0 before the first. Answers the sum.

        No addition of another process is lost. One whose answer was lost on the way may count twice.
        """

    async def get(self, space: str, key: str, *, now: datetime | None = None) -> bytes | None:
        """The value, or None where there is none or, given `now`, it has expired."""

    async def delete(self, space: str, key: str) -> None: ...

    async def scan(self, space: str, prefix: str = "") -> list[Record]:
        """All records of a space whose key begins with `prefix`, by key; expired ones too."""

    async def purge(self, now: datetime) -> int:
        """Drop expired records; answers how many."""

    # Everything, to move a store

    def conversations(self) -> AsyncIterator[list[ConversationId]]:
        """All that have a log, some at a time, each once. What comes in the meantime may be missing."""

    async def standings(self, cids: Collection[ConversationId]) -> dict[ConversationId, Standing]:
        """How each stands, without a log at 0; with the cursors of surfaces that have ever asked `behind`."""

    async def spaces(self) -> list[str]:
        """The spaces that hold records, by name."""

    async def others(self) -> int:
        """How many others have this store open."""

    async def close(self) -> None:
        """Finish what was accepted, then let go of the file. Appends after this raise StoreError."""


FORGOTTEN = 600.0  # seconds for which a lease that ran out is still its last owner's


def duty_of(name: str, cid: ConversationId) -> str:
    """The duty `name` for one conversation. In a Redis Cluster it is kept beside that conversation."""
    return f"{name}/{cid}"


def is_duty_of(duty: str, cid: ConversationId) -> bool:
    return duty.partition("/")[2] == cid


async def open_store(url: str, *, replicas: int = 0, wait: float = 1.0) -> Store:
    """Open the store that `url` names; see `bridge.store.address` for all forms.

    With Redis, appends and records are acknowledged once `replicas` copies confirm, within `wait` seconds.
    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "sqlite" if rest.startswith("/") and len(rest) > 1:
            from bridge.store.sqlite import SqliteStore  # noqa: PLC0415 - an engine is loaded when asked for

            return await SqliteStore.open(rest[1:])
        case "memory":
            from bridge.store.memory import MemoryStore  # noqa: PLC0415

            return MemoryStore()
        case _:
            try:
                address = parse(url)
            except ValueError as error:
                raise ConfigError([f"store: {error}"]) from None
            from bridge.store.redis import RedisStore  # noqa: PLC0415

            return await RedisStore.open(address, replicas=replicas, wait=wait)
