"""The store without a disk: the plain reference that the other engines are held against."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from itertools import count
from uuid import uuid4

from msgspec import Struct

from bridge.errors import Conflict, StoreError
from bridge.events import ConversationId, Entry, Seq
from bridge.store import Cursor, Growth, Record, Standing
from bridge.store.changes import Changes
from bridge.store.codec import decode_entries, encode_entries
from bridge.store.leases import Leases
from bridge.store.told import Told


class _Log(Struct):
    """`numbers` counts the entries of all conversations in the order in which they came."""

    bodies: list[bytes] = []
    numbers: list[int] = []
    due: datetime | None = None


class MemoryStore:
    """See `Store`. Gone with the process."""

    def __init__(self) -> None:
        self.log_id = uuid4().hex
        self.alone = False  # tests put several bridges on one of these
        self._logs: dict[ConversationId, _Log] = {}
        self._cursors: dict[tuple[str, ConversationId], Cursor] = {}
        self._records: dict[tuple[str, str], Record] = {}
        self._numbers = count(1)
        self._changes = Changes()
        self._leases = Leases()
        self._told = Told()
        self._closed = False

    # The log

    async def append(
        self, cid: ConversationId, entries: Sequence[Entry], *, after: Seq, due: datetime | None
    ) -> None:
        self._check_open()
        bodies = encode_entries(entries, after=after)
        head = len(self._logs[cid].bodies) if cid in self._logs else 0
        if head != after:
            raise Conflict(head)
        log = self._logs.setdefault(cid, _Log())
        log.bodies += bodies
        log.numbers += [next(self._numbers) for _ in bodies]
        log.due = due
        self._changes.publish([Growth(cid, Seq(head + len(bodies)))])

    async def confirm(self, cid: ConversationId) -> None:
        """There is nothing safer."""

    async def read(self, cid: ConversationId, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        self._check_open()
        bodies = self._logs[cid].bodies[max(after, 0) :][:limit] if cid in self._logs else []
        return decode_entries(b"[%b]" % b",".join(bodies))

    async def heads(self, cids: Collection[ConversationId]) -> dict[ConversationId, Seq]:
        self._check_open()
        return {cid: Seq(len(self._logs[cid].bodies)) for cid in cids if cid in self._logs}

    def known_head(self, cid: ConversationId) -> Seq | None:
        return Seq(len(self._logs[cid].bodies)) if cid in self._logs else Seq(0)

    def changes(self) -> AsyncIterator[Growth]:
        return self._changes.listen()

    # The clock

    async def due(self, now: datetime, *, limit: int = 100) -> list[ConversationId]:
        self._check_open()
        due = [(log.due, cid) for cid, log in self._logs.items() if log.due is not None and log.due <= now]
        return [cid for _, cid in sorted(due, key=lambda pair: pair[0])][:limit]

    async def arm(self, cid: ConversationId, due: datetime | None, *, head: Seq) -> None:
        self._check_open()
        log = self._logs.get(cid)
        if log is not None and len(log.bodies) <= head:
            log.due = due

    # Pushed surfaces

    async def cursor(self, surface: str, cid: ConversationId) -> Cursor:
        self._check_open()
        return self._cursors.get((surface, cid), Cursor())

    async def advance(
        self,
        surface: str,
        cid: ConversationId,
        *,
        position: Seq,
        anchor: str | None = None,
        lease: tuple[str, int] | None = None,
    ) -> None:
        self._check_open()
        self._leases.check(cid, lease)
        old = self._cursors.get((surface, cid), Cursor())
        self._cursors[surface, cid] = Cursor(
            position=max(old.position, position), anchor=old.anchor if anchor is None else anchor
        )

    async def behind(self, surface: str, *, limit: int = 100) -> list[ConversationId]:
        self._check_open()
        waiting: list[tuple[int, ConversationId]] = []
        for cid, log in self._logs.items():
            position = self._cursors.get((surface, cid), Cursor()).position
            if position < len(log.numbers):
                waiting.append((log.numbers[position], cid))
        return [cid for _, cid in sorted(waiting)][:limit]

    async def find_anchor(self, surface: str, anchor: str) -> ConversationId | None:
        self._check_open()
        for (name, cid), cursor in self._cursors.items():
            if name == surface and cursor.anchor == anchor:
                return cid
        return None

    # Between processes: there is one, but it may have several owners

    async def lease(self, duty: str, *, owner: str, lives: float) -> int | None:
        self._check_open()
        return self._leases.take(duty, owner=owner, lives=lives)

    async def release(self, duty: str, *, owner: str) -> None:
        self._check_open()
        self._leases.release(duty, owner=owner)

    async def tell(self, topic: str, message: bytes) -> None:  # noqa: ARG002 - nobody else is there
        self._check_open()

    def told(self) -> AsyncIterator[tuple[str, bytes]]:
        return self._told.listen()

    # Records

    async def put(
        self, space: str, key: str, value: bytes, *, expires_at: datetime | None = None, new: bool = False
    ) -> bool:
        self._check_open()
        if new and (space, key) in self._records:
            return False
        self._records[space, key] = Record(key=key, value=value, expires_at=expires_at)
        return True

    async def put_all(self, space: str, batch: Sequence[Record]) -> None:
        self._check_open()
        self._records.update({(space, record.key): record for record in batch})

    async def add(self, space: str, key: str, amount: int, *, expires_at: datetime | None = None) -> int:
        self._check_open()
        record = self._records.get((space, key))
        total = int(record.value if record else 0) + amount
        self._records[space, key] = Record(key=key, value=str(total).encode(), expires_at=expires_at)
        return total

    async def get(self, space: str, key: str, *, now: datetime | None = None) -> bytes | None:
        self._check_open()
        record = self._records.get((space, key))
        return None if record is None or _expired(record, now) else record.value

    async def delete(self, space: str, key: str) -> None:
        self._check_open()
        self._records.pop((space, key), None)

    async def scan(self, space: str, prefix: str = "") -> list[Record]:
        self._check_open()
        return [
            record
            for (name, key), record in sorted(self._records.items())
            if name == space and key.startswith(prefix)
        ]

    async def purge(self, now: datetime) -> int:
        self._check_open()
        expired = [place for place, record in self._records.items() if _expired(record, now)]
        for place in expired:
            del self._records[place]
        return len(expired)

    # Everything, to move a store

    async def conversations(self) -> AsyncIterator[list[ConversationId]]:
        self._check_open()
        yield list(self._logs)

    async def standings(self, cids: Collection[ConversationId]) -> dict[ConversationId, Standing]:
        self._check_open()
        return {cid: self._standing(cid) for cid in cids}

    def _standing(self, cid: ConversationId) -> Standing:
        log = self._logs.get(cid, _Log())
        cursors = {name: c for (name, of), c in self._cursors.items() if of == cid and c != Cursor()}
        return Standing(head=Seq(len(log.bodies)), due=log.due, cursors=cursors)

    async def spaces(self) -> list[str]:
        self._check_open()
        return sorted({space for space, _ in self._records})

    async def others(self) -> int:
        self._check_open()
        return 0

    async def close(self) -> None:
        self._closed = True
        self._changes.close()
        self._told.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")


def _expired(record: Record, now: datetime | None) -> bool:
    return now is not None and record.expires_at is not None and record.expires_at <= now
