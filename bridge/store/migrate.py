"""Brings a database to the schema of this version: a new one, or an older one after a backup."""

from contextlib import closing
from importlib.resources import files
import os
from pathlib import Path
import sqlite3

from bridge.errors import StoreError

APPLICATION_ID = 0x4A4F494E  # "JOIN"; schema.sql sets it

# Step i takes a database from version i to version i + 1. A released step never changes.
STEPS: tuple[str, ...] = (files("bridge.store").joinpath("schema.sql").read_text("utf-8"),)


def migrate(connection: sqlite3.Connection, path: Path, steps: tuple[str, ...] | None = None) -> None:
    """Apply the steps that `path` lacks, each in a transaction; refuse a file that is not ours or newer."""
    steps = STEPS if steps is None else steps
    version = _version(connection, path, newest=len(steps))
    if 0 < version < len(steps):
        _back_up(connection, backup_path(path, version))
    for number, step in enumerate(steps[version:], start=version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{step}\n;PRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def backup_path(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.backup-v{version}")


def _version(connection: sqlite3.Connection, path: Path, *, newest: int) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (version, application, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID or version == 0:
        raise StoreError(f"{path} is a database of another program: give Joinline a file of its own")
    if version > newest:
        raise StoreError(
            f"{path} has schema version {version}, and this Joinline knows up to {newest}: "
            f"run the newer Joinline again, or restore the copy it made, {backup_path(path, newest)}"
        )
    return int(version)


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the database; `target` appears whole or not at all."""
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(partial)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # the copy is one file, without a -wal beside it
    partial.replace(target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
