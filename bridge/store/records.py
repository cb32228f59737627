"""The SQLite store's records: functions of a connection, run by the writer or by a reader."""

from collections.abc import Sequence
import sqlite3
import sys

from bridge.store import Record
from bridge.store.codec import microseconds, moment

PURGED_AT_ONCE = 1_000  # so that appends need not wait for a long purge


def put(
    connection: sqlite3.Connection, space: str, key: str, value: bytes, expires_at: int | None, *, new: bool
) -> bool:
    clash = (
        "DO NOTHING"
        if new
        else "(space, key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"
    )
    sql = f"INSERT INTO record (space, key, value, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT {clash}"  # noqa: S608 - two constants
    return connection.execute(sql, (space, key, value, expires_at)).rowcount == 1


def put_all(connection: sqlite3.Connection, space: str, batch: Sequence[Record]) -> None:
    for record in batch:
        at = None if record.expires_at is None else microseconds(record.expires_at)
        put(connection, space, record.key, record.value, at, new=False)


def add(connection: sqlite3.Connection, space: str, key: str, amount: int, expires_at: int | None) -> int:
    total = int(get(connection, space, key, None) or 0) + amount
    put(connection, space, key, str(total).encode(), expires_at, new=False)
    return total


def get(connection: sqlite3.Connection, space: str, key: str, now: int | None) -> bytes | None:
    sql = """
        SELECT value FROM record
        WHERE space = ? AND key = ? AND (expires_at IS NULL OR ?3 IS NULL OR expires_at > ?3)
    """
    row = connection.execute(sql, (space, key, now)).fetchone()
    return None if row is None else bytes(row[0])


def delete(connection: sqlite3.Connection, space: str, key: str) -> None:
    connection.execute("DELETE FROM record WHERE space = ? AND key = ?", (space, key))


def scan(connection: sqlite3.Connection, space: str, prefix: str) -> list[Record]:
    sql = """
        SELECT key, value, expires_at FROM record
        WHERE space = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key
    """
    return [
        Record(key=key, value=value, expires_at=None if expires_at is None else moment(expires_at))
        for key, value, expires_at in connection.execute(sql, (space, prefix, beyond(prefix)))
    ]


def purge(connection: sqlite3.Connection, now: int) -> int:
    """Drop some of the expired records; fewer than PURGED_AT_ONCE means that none is left."""
    sql = """
        DELETE FROM record WHERE (space, key) IN (
            SELECT space, key FROM record WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
        )
    """
    return connection.execute(sql, (now, PURGED_AT_ONCE)).rowcount


def beyond(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`, in the order of code points; None: there is none."""
    while prefix:
        prefix, last = prefix[:-1], ord(prefix[-1])
        if last < sys.maxunicode:
            following = last + 1
            return prefix + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)  # no surrogates
    return None
