"""SQLite connections, set up for one writer and its readers, and what SQLite's errors mean."""

import os
from pathlib import Path
import sqlite3

from bridge.errors import StoreError

OLDEST = (3, 38, 0)  # STRICT tables, JSON always there
BUSY = 5.0  # seconds to wait for another program that holds the file

_MENDS = {
    sqlite3.SQLITE_FULL: "free some space on that disk",
    sqlite3.SQLITE_IOERR: "look at the disk and the system's log",
    sqlite3.SQLITE_BUSY: "another program holds the file: end it",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "the directory must exist and be writable",
    sqlite3.SQLITE_PERM: "make the file and its directory writable for this user",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: stop, keep a copy of it, and restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is no database: give Joinline a file of its own",
}


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """What happened, where, and what helps."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest tells variants apart
    mend = _MENDS.get(code)
    return StoreError(f"{path}: {error}: {mend}" if mend else f"{path}: {error}")


def connect_writer(path: Path) -> sqlite3.Connection:
    """The connection that creates the file. `make_durable` must follow before anything is stored."""
    if sqlite3.sqlite_version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise StoreError(
            f"Python's SQLite is {sqlite3.sqlite_version}, and {wanted} is needed: use a newer Python"
        )
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}: the file must be writable for this user") from error
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cache_size = -16384")  # KiB; it counts as resident memory
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def make_durable(connection: sqlite3.Connection, path: Path) -> None:
    """Write-ahead log, and a flush at every commit: NORMAL loses acknowledged commits at power loss."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync stops at the drive's cache
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # bytes kept of a write-ahead log that grew
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    if mode != "wal":
        raise StoreError(f"{path}: no write-ahead log on this file system ({mode}): use a local disk")
    if level != 2:  # FULL
        raise StoreError(f"{path}: SQLite does not accept synchronous=FULL (it says {level})")


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can neither write nor checkpoint."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -4096")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection
