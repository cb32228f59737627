"""The SQLite store's file: who may open it, in which version, and how it is kept."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
import sqlite3
import subprocess
import sys

import pytest

from bridge.errors import StoreError
from bridge.events import ConversationId, Entry, Said, Seq, Visitor
from bridge.store import migrate
from bridge.store.sqlite import SqliteStore

A = ConversationId("a")


def entry(seq: int, text: str = "hello") -> Entry:
    return Entry(
        seq=Seq(seq), at=datetime.now(UTC), event=Said(text=text), by=Visitor(), via="widget", key=f"k{seq}"
    )


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


async def test_every_commit_is_flushed(tmp_path: Path):
    store = await SqliteStore.open(tmp_path / "joinline.db")
    try:
        writer = store._writer.connection
        assert pragma(writer, "synchronous") == 2  # FULL
        assert pragma(writer, "journal_mode") == "wal"
        assert pragma(writer, "cache_size") == -16384
    finally:
        await store.close()


async def test_readers_cannot_write(tmp_path: Path):
    store = await SqliteStore.open(tmp_path / "joinline.db")
    try:
        with pytest.raises(StoreError, match="readonly"):
            await store._file.readers.ask(lambda c: c.execute("DELETE FROM entry"))
        with pytest.raises(StoreError, match="readonly"):
            await store._file.readers.ask(
                lambda c: c.execute("PRAGMA query_only = OFF") and c.execute("DELETE FROM entry")
            )
        assert await store.read(A) == []
    finally:
        await store.close()


async def test_a_second_server_on_the_file_is_refused(tmp_path: Path):
    path = tmp_path / "joinline.db"
    (tmp_path / "alias.db").symlink_to(path)
    store = await SqliteStore.open(path)
    try:
        for name in ("joinline.db", "alias.db"):
            with pytest.raises(
                StoreError, match=r"joinline\.db is in use .* holds .*joinline\.db\.lock: stop"
            ):
                await SqliteStore.open(tmp_path / name)
        await store.append(A, [entry(1)], after=Seq(0), due=None)
    finally:
        await store.close()
    again = await SqliteStore.open(path)
    assert await again.heads([A]) == {A: 1}
    await again.close()


async def test_a_server_of_another_process_is_named(tmp_path: Path):
    program = f"""
import asyncio, sys
from bridge.store.sqlite import SqliteStore
async def main():
    store = await SqliteStore.open({str(tmp_path / "joinline.db")!r})
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await store.close()
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert await asyncio.to_thread(other.stdout.readline) == "open\n"
        with pytest.raises(StoreError, match=f"process {other.pid}"):
            await SqliteStore.open(tmp_path / "joinline.db")
        other.communicate()
    assert other.returncode == 0
    store = await SqliteStore.open(tmp_path / "joinline.db")
    await store.close()


async def test_only_the_owner_can_read_the_files(tmp_path: Path):
    store = await SqliteStore.open(tmp_path / "joinline.db")
    try:
        await store.append(A, [entry(1)], after=Seq(0), due=None)
        files = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        await store.close()

    names = ["joinline.db", "joinline.db-wal", "joinline.db-shm", "joinline.db.lock"]
    assert files == dict.fromkeys(names, 0o600)


async def test_closing_leaves_one_whole_file(tmp_path: Path):
    store = await SqliteStore.open(tmp_path / "joinline.db")
    await store.append(A, [entry(1)], after=Seq(0), due=None)
    await store.read(A)
    await store.close()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["joinline.db", "joinline.db.lock"]


async def test_a_path_may_hold_any_character(tmp_path: Path):
    folder = tmp_path / "what? 100% #1 ünï"
    folder.mkdir()
    store = await SqliteStore.open(folder / "a?mode=memory&b#c.db")
    try:
        await store.append(A, [entry(1)], after=Seq(0), due=None)
        assert await store.heads([A]) == {A: 1}
        assert (folder / "a?mode=memory&b#c.db").exists()
    finally:
        await store.close()


# --- Versions ------------------------------------------------------------------------------------

STEP = (
    "ALTER TABLE conversation ADD COLUMN site TEXT NOT NULL DEFAULT ''; INSERT INTO meta VALUES ('two', '2');"
)


async def old_store(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.append(A, [entry(1, "from version 1")], after=Seq(0), due=None)
    await store.close()


async def test_an_older_file_is_migrated_after_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "joinline.db"
    await old_store(path)
    monkeypatch.setattr(migrate, "STEPS", (*migrate.STEPS, STEP))

    store = await SqliteStore.open(path)
    try:
        assert [e.event for e in await store.read(A)] == [Said(text="from version 1")]
        assert pragma(store._writer.connection, "user_version") == 2
        assert store._writer.connection.execute("SELECT value FROM meta WHERE name = 'two'").fetchone()
    finally:
        await store.close()

    backup = tmp_path / "joinline.db.backup-v1"
    assert backup.stat().st_mode & 0o777 == 0o600
    monkeypatch.undo()
    restored = await SqliteStore.open(backup)
    try:
        assert [e.event for e in await restored.read(A)] == [Said(text="from version 1")]
        assert pragma(restored._writer.connection, "user_version") == 1
    finally:
        await restored.close()


async def test_what_only_the_write_ahead_log_holds_is_in_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "joinline.db"
    await old_store(path)
    with closing(sqlite3.connect(path)) as open_elsewhere:  # so that closing does not empty the -wal
        open_elsewhere.execute("SELECT * FROM meta").fetchall()
        store = await SqliteStore.open(path)
        store._writer.connection.execute("PRAGMA wal_autocheckpoint = 0")
        await store.append(A, [entry(2, "in the -wal")], after=Seq(1), due=None)
        open_elsewhere.execute("BEGIN")
        open_elsewhere.execute("SELECT * FROM meta").fetchall()
        await store.append(A, [entry(3, "in the -wal alone")], after=Seq(2), due=None)
        await store.close()
        assert path.with_name("joinline.db-wal").stat().st_size > 0
        open_elsewhere.rollback()
        monkeypatch.setattr(migrate, "STEPS", (*migrate.STEPS, STEP))
        await (await SqliteStore.open(path)).close()

    with closing(sqlite3.connect(tmp_path / "joinline.db.backup-v1")) as backup:
        assert backup.execute("SELECT count(*) FROM entry").fetchone() == (3,)


async def test_a_failed_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "joinline.db"
    await old_store(path)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "STEPS", (*migrate.STEPS, STEP + "INSERT INTO nowhere VALUES (1);"))
        for _ in range(2):  # the backup of the first attempt is in nobody's way
            with pytest.raises(StoreError, match="nowhere"):
                await SqliteStore.open(path)

    store = await SqliteStore.open(path)
    try:
        assert await store.heads([A]) == {A: 1}
        assert pragma(store._writer.connection, "user_version") == 1
    finally:
        await store.close()


async def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "joinline.db"
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "STEPS", (*migrate.STEPS, STEP))
        await old_store(path)
    before = path.read_bytes()

    with pytest.raises(StoreError, match=r"joinline\.db has schema version 2, .* knows up to 1: .*backup-v1"):
        await SqliteStore.open(path)

    assert path.read_bytes() == before


async def test_a_database_of_another_program_is_refused(tmp_path: Path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE conversation (x)")
    before = path.read_bytes()

    with pytest.raises(StoreError, match=r"other\.db is a database of another program"):
        await SqliteStore.open(path)

    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 500)

    with pytest.raises(StoreError, match=r"notes\.txt: file is not a database: .*file of its own"):
        await SqliteStore.open(path)

    assert path.read_text() == "Dear diary, " * 500


async def test_a_folder_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match=r"nowhere/joinline\.db.*directory must exist"):
        await SqliteStore.open(tmp_path / "nowhere" / "joinline.db")
