"""The store in one SQLite file: one writer thread, readers apart, a flush before every answer."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
import sqlite3
from typing import Self

from msgspec import Struct, json

from bridge.errors import StoreError
from bridge.events import ConversationId, Entry, Seq
from bridge.store import Cursor, Growth, Record, Standing, deliveries, listing, records
from bridge.store.appends import Append
from bridge.store.changes import Changes
from bridge.store.codec import decode_entries, encode_entries, microseconds
from bridge.store.connection import connect_writer, make_durable, store_error
from bridge.store.leases import Leases
from bridge.store.lock import FileLock
from bridge.store.migrate import migrate
from bridge.store.readers import Readers
from bridge.store.told import Told
from bridge.store.writer import Writer

HEADS = 20_000  # conversations whose head is kept in memory

# Answers of many rows come as one: each fetched row would queue for the interpreter's lock.
_READ = """
SELECT '[' || ifnull(group_concat(body, ','), '') || ']' FROM (
    SELECT body FROM entry
    WHERE conversation = (SELECT id FROM conversation WHERE cid = ?) AND seq > ? ORDER BY seq LIMIT ?
)
"""
_HEADS = """
SELECT json_group_array(json_array(cid, head))
FROM conversation WHERE head > 0 AND cid IN (SELECT value FROM json_each(?))
"""
_DUE = "SELECT cid FROM conversation WHERE due <= ? ORDER BY due LIMIT ?"
_ARM = "UPDATE conversation SET due = ? WHERE cid = ? AND head BETWEEN 1 AND ?"


class SqliteStore:
    """See `Store`. A second process on the same file is refused by `open`."""

    def __init__(self, file: "_File") -> None:
        self.log_id = file.log_id
        self.alone = True  # the file's lock sees to that
        self._file = file
        self._surfaces = file.surfaces
        self._changes = Changes()
        self._leases = Leases()
        self._told = Told()
        self._heads: OrderedDict[ConversationId, Seq] = OrderedDict()
        self._writer = Writer(connection=file.connection, path=file.path, grown=self._grew)
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: str | Path) -> Self:
        """Create or migrate the file, and hold it until `close`."""
        return cls(await asyncio.to_thread(_open, Path(path)))

    # The log

    async def append(
        self, cid: ConversationId, entries: Sequence[Entry], *, after: Seq, due: datetime | None
    ) -> None:
        bodies = encode_entries(entries, after=after)
        await self._writer.append(Append(cid=cid, after=after, bodies=bodies, due=_micros(due)))

    async def confirm(self, cid: ConversationId) -> None:
        """Whatever can be read has been committed."""

    async def read(self, cid: ConversationId, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        def query(connection: sqlite3.Connection) -> list[Entry]:
            return decode_entries(connection.execute(_READ, (cid, after, limit)).fetchone()[0])

        entries = await self._file.readers.ask(query)
        if len(entries) < limit and (entries or not after):  # the read saw the end
            self._stands_at(cid, entries[-1].seq if entries else Seq(0))
        return entries

    async def heads(self, cids: Collection[ConversationId]) -> dict[ConversationId, Seq]:
        def query(connection: sqlite3.Connection) -> dict[ConversationId, Seq]:
            asked = json.encode([*cids]).decode()
            return dict(json.decode(connection.execute(_HEADS, (asked,)).fetchone()[0]))

        return await self._file.readers.ask(query)

    def known_head(self, cid: ConversationId) -> Seq | None:
        """Exact, since nobody else may append to this file."""
        return self._heads.get(cid)

    def _grew(self, growths: Iterable[Growth]) -> None:
        told = list(growths)
        for growth in told:
            self._stands_at(growth.cid, growth.head)
        self._changes.publish(told)

    def _stands_at(self, cid: ConversationId, head: Seq) -> None:
        """A read may be older than an append that was told meanwhile; logs only grow."""
        self._heads[cid] = max(head, self._heads.get(cid, head))
        self._heads.move_to_end(cid)
        if len(self._heads) > HEADS:
            self._heads.popitem(last=False)

    def changes(self) -> AsyncIterator[Growth]:
        return self._changes.listen()

    # The clock

    async def due(self, now: datetime, *, limit: int = 100) -> list[ConversationId]:
        at = microseconds(now)
        return await self._file.readers.ask(lambda c: [cid for (cid,) in c.execute(_DUE, (at, limit))])

    async def arm(self, cid: ConversationId, due: datetime | None, *, head: Seq) -> None:
        at = _micros(due)
        await self._writer.do(lambda c: c.execute(_ARM, (at, cid, head)).close())

    # Pushed surfaces

    async def cursor(self, surface: str, cid: ConversationId) -> Cursor:
        return await self._file.readers.ask(lambda c: deliveries.cursor(c, surface, cid))

    async def advance(
        self,
        surface: str,
        cid: ConversationId,
        *,
        position: Seq,
        anchor: str | None = None,
        lease: tuple[str, int] | None = None,
    ) -> None:
        self._leases.check(cid, lease)
        await self._writer.do(lambda c: deliveries.advance(c, surface, cid, position, anchor))

    async def behind(self, surface: str, *, limit: int = 100) -> list[ConversationId]:
        if surface not in self._surfaces:
            await self._writer.do(lambda c: deliveries.register(c, surface))
            self._surfaces.add(surface)
        return await self._file.readers.ask(lambda c: deliveries.behind(c, surface, limit))

    async def find_anchor(self, surface: str, anchor: str) -> ConversationId | None:
        return await self._file.readers.ask(lambda c: deliveries.find_anchor(c, surface, anchor))

    # Between processes: there is one, and what it leases ends with it

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

    def _check_open(self) -> None:
        if self._closing is not None:
            raise StoreError(f"{self._file.path}: the store is closed")

    # Records

    async def put(
        self, space: str, key: str, value: bytes, *, expires_at: datetime | None = None, new: bool = False
    ) -> bool:
        at = _micros(expires_at)
        return await self._writer.do(lambda c: records.put(c, space, key, value, at, new=new))

    async def put_all(self, space: str, batch: Sequence[Record]) -> None:
        await self._writer.do(lambda c: records.put_all(c, space, batch))

    async def add(self, space: str, key: str, amount: int, *, expires_at: datetime | None = None) -> int:
        at = _micros(expires_at)
        return await self._writer.do(lambda c: records.add(c, space, key, amount, at))

    async def get(self, space: str, key: str, *, now: datetime | None = None) -> bytes | None:
        at = _micros(now)
        return await self._file.readers.ask(lambda c: records.get(c, space, key, at))

    async def delete(self, space: str, key: str) -> None:
        await self._writer.do(lambda c: records.delete(c, space, key))

    async def scan(self, space: str, prefix: str = "") -> list[Record]:
        return await self._file.readers.ask(lambda c: records.scan(c, space, prefix))

    async def purge(self, now: datetime) -> int:
        at, purged = microseconds(now), 0
        while True:
            count = await self._writer.do(lambda c: records.purge(c, at))
            purged += count
            if count < records.PURGED_AT_ONCE:
                return purged

    # Everything, to move a store

    async def conversations(self) -> AsyncIterator[list[ConversationId]]:
        last = 0
        while True:
            last, cids = await self._file.readers.ask(partial(listing.conversations, last=last))
            if not cids:
                return
            yield cids

    async def standings(self, cids: Collection[ConversationId]) -> dict[ConversationId, Standing]:
        return await self._file.readers.ask(lambda c: listing.standings(c, cids))

    async def spaces(self) -> list[str]:
        return await self._file.readers.ask(listing.spaces)

    async def others(self) -> int:
        self._check_open()
        return 0  # the file's lock sees to that

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._writer.refuse()
        await self._file.readers.close()  # before the writer: the last connection to go tidies up the files
        await self._writer.close()
        self._file.lock.release()
        self._changes.close()
        self._told.close()


class _File(Struct, frozen=True, kw_only=True):
    """An open database. `surfaces` are those whose `since` every append keeps."""

    path: Path
    lock: FileLock
    connection: sqlite3.Connection
    readers: Readers
    log_id: str
    surfaces: set[str]


def _open(path: Path) -> _File:
    path = path.resolve()  # the same lock by whichever name the file is called
    with ExitStack() as undo:
        lock = FileLock(path)
        undo.callback(lock.release)
        try:
            connection = connect_writer(path)
            undo.callback(connection.close)
            migrate(connection, path)
            make_durable(connection, path)
            (log_id,) = connection.execute("SELECT value FROM meta WHERE name = 'log_id'").fetchone()
            surfaces = deliveries.surfaces(connection)
            readers = Readers(path)
        except sqlite3.Error as error:
            raise store_error(path, error) from error
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        undo.pop_all()
    return _File(
        path=path, lock=lock, connection=connection, readers=readers, log_id=log_id, surfaces=surfaces
    )


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)
