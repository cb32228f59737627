"""The SQLite store's writer: group commit, failures that stay alone, full disks."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
import resource
import sqlite3
import subprocess
import sys

import pytest

from bridge.errors import Conflict, StoreError
from bridge.events import ConversationId, Entry, Said, Seq, Visitor
from bridge.store.sqlite import SqliteStore
from tests.eventually import PATIENCE

A, B, C = ConversationId("a"), ConversationId("b"), ConversationId("c")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "joinline.db")
    yield store
    await store.close()


def entry(seq: int, text: str = "hello") -> Entry:
    return Entry(
        seq=Seq(seq), at=datetime.now(UTC), event=Said(text=text), by=Visitor(), via="widget", key=f"k{seq}"
    )


async def test_what_is_queued_together_is_committed_together(store: SqliteStore):
    cids = [ConversationId(f"c{n}") for n in range(256)]
    before = store._writer.commits

    await asyncio.gather(*(store.append(cid, [entry(1)], after=Seq(0), due=None) for cid in cids))

    assert await store.heads(cids) == dict.fromkeys(cids, 1)
    assert store._writer.commits - before < 26


async def test_appends_of_one_batch_see_each_other(store: SqliteStore):
    release = await block(store)
    appends = [
        store.append(A, [entry(1), entry(2)], after=Seq(0), due=None),
        store.append(A, [entry(1)], after=Seq(0), due=None),
        store.append(A, [entry(3)], after=Seq(2), due=None),
        store.append(A, [entry(5)], after=Seq(4), due=None),
        store.append(A, [entry(4)], after=Seq(3), due=None),
    ]
    tasks = [asyncio.create_task(append) for append in appends]
    await asyncio.sleep(0)
    before = store._writer.commits
    release()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert [getattr(answer, "head", None) for answer in answers] == [None, 2, None, 3, None]
    assert [e.seq for e in await store.read(A)] == [1, 2, 3, 4]
    assert store._writer.commits - before <= 2  # the one that blocked, and the batch


async def test_a_job_that_fails_takes_no_other_with_it(store: SqliteStore):
    release = await block(store)
    tasks = [
        asyncio.create_task(store.append(A, [entry(1)], after=Seq(0), due=None)),
        asyncio.create_task(store.put("link", "k", b"v")),
        asyncio.create_task(
            store._writer.do(lambda c: c.execute("INSERT INTO entry VALUES (NULL, 1, 1, NULL)"))
        ),
        asyncio.create_task(store.put("link", "\ud800", b"v")),
        asyncio.create_task(store.append(A, [entry(1)], after=Seq(0), due=None)),
        asyncio.create_task(store.append(B, [entry(1)], after=Seq(0), due=None)),
        asyncio.create_task(store.advance("slack", A, position=Seq(1))),
    ]
    await asyncio.sleep(0)
    release()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    kinds = [type(answer) for answer in answers]
    assert kinds == [type(None), bool, StoreError, UnicodeEncodeError, Conflict, type(None), type(None)]
    assert await store.heads([A, B]) == {A: 1, B: 1}
    assert await store.get("link", "k") == b"v"
    assert (await store.cursor("slack", A)).position == 1


async def block(store: SqliteStore):
    """Keep the writer in a transaction until the returned function is called."""
    import threading

    entered, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wait(_connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(entered.set)
        release.wait(PATIENCE)

    blocked = asyncio.create_task(store._writer.do(wait))
    await entered.wait()

    def let_go() -> None:
        release.set()
        blocked.add_done_callback(lambda task: task.result())

    return let_go


async def test_nothing_is_told_or_seen_before_its_commit(store: SqliteStore, tmp_path: Path):
    await store.append(A, [entry(1)], after=Seq(0), due=None)
    listener = store.changes()
    heard = asyncio.create_task(listener.__anext__())
    rounds: list[list[tuple[object, ...]]] = []
    elsewhere = sqlite3.connect(tmp_path / "joinline.db", check_same_thread=False)

    def fail(_connection: sqlite3.Connection) -> None:
        """The last job of the batch: what it sees from outside is what a reader would see."""
        rounds.append(elsewhere.execute("SELECT seq FROM entry").fetchall())
        raise RuntimeError("rolls the batch back, appends and all")

    release = await block(store)
    append = asyncio.create_task(store.append(A, [entry(2)], after=Seq(1), due=None))
    conflict = asyncio.create_task(store.append(A, [entry(2)], after=Seq(1), due=None))
    failing = asyncio.create_task(store._writer.do(fail))
    await asyncio.sleep(0)
    assert await store.heads([A]) == {A: 1}
    assert not heard.done()
    release()

    answers = await asyncio.gather(append, conflict, failing, return_exceptions=True)
    elsewhere.close()
    assert [type(answer) for answer in answers] == [type(None), Conflict, RuntimeError]
    assert rounds == [[(1,)], [(1,), (2,)]]
    assert (await heard).cid == A
    assert await store.heads([A]) == {A: 2}


async def test_a_full_disk_fails_the_append_and_the_next_one_works_when_there_is_space(store: SqliteStore):
    await store.append(A, [entry(1)], after=Seq(0), due=None)
    connection = store._writer.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (limit,) = connection.execute("PRAGMA max_page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = "🙂" * 4_000

    for _ in range(3):
        with pytest.raises(StoreError, match=r"joinline\.db: .*full: free some space"):
            await store.append(A, [entry(2, big), entry(3, big)], after=Seq(1), due=datetime.now(UTC))
    full = [store.append(ConversationId(f"c{n}"), [entry(1, big)], after=Seq(0), due=None) for n in range(9)]
    answers = await asyncio.gather(*full, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreError] * 9

    assert [e.seq for e in await store.read(A)] == [1]
    assert await store.due(datetime.now(UTC)) == []
    assert await store.heads([ConversationId(f"c{n}") for n in range(9)]) == {}

    connection.execute(f"PRAGMA max_page_count = {limit}")
    await store.append(A, [entry(2, big)], after=Seq(1), due=None)
    assert [e.seq for e in await store.read(A)] == [1, 2]


async def test_a_small_job_still_fits_where_a_big_one_of_its_batch_does_not(store: SqliteStore):
    await store.append(A, [entry(1)], after=Seq(0), due=None)
    connection = store._writer.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    release = await block(store)
    big = asyncio.create_task(store.append(B, [entry(1, "🙂" * 4_000)], after=Seq(0), due=None))
    small = asyncio.create_task(store.append(A, [entry(2)], after=Seq(1), due=None))
    await asyncio.sleep(0)
    connection.execute(f"PRAGMA max_page_count = {pages}")
    release()

    answers = await asyncio.gather(big, small, return_exceptions=True)

    assert [type(answer) for answer in answers] == [StoreError, type(None)]
    assert await store.heads([A, B]) == {A: 2}


async def test_a_write_error_fails_the_append_and_the_writer_goes_on(tmp_path: Path):
    """The limit on a file's size stands for a disk that refuses: in a process of its own."""
    program = f"""
import asyncio, resource
from datetime import UTC, datetime
from pathlib import Path
from bridge.errors import StoreError
from bridge.events import Entry, Said, Visitor
from bridge.store.sqlite import SqliteStore

def entry(seq):
    return Entry(seq=seq, at=datetime.now(UTC), event=Said(text="x" * 4000), by=Visitor(), via="w", key=str(seq))

async def main():
    store = await SqliteStore.open({str(tmp_path / "joinline.db")!r})
    await store.append("a", [entry(1)], after=0, due=None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = Path({str(tmp_path / "joinline.db-wal")!r}).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, hard))
    for _ in range(3):
        try:
            await store.append("a", [entry(seq) for seq in range(2, 30)], after=1, due=None)
        except StoreError as error:
            print("refused:", error, flush=True)
    print([e.seq for e in await store.read("a")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.append("a", [entry(2), entry(3)], after=1, due=None)
    print([e.seq for e in await store.read("a")])
    await store.close()

asyncio.run(main())
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("refused: ") for line in lines[:3])
    assert lines[3:] == ["[1]", "[1, 2, 3]"]


async def test_another_program_that_holds_the_file_costs_an_error_and_no_more(
    store: SqliteStore, tmp_path: Path
):
    store._writer.connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "joinline.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        many = [store.append(ConversationId(f"c{n}"), [entry(1)], after=Seq(0), due=None) for n in range(50)]
        answers = await asyncio.gather(*many, return_exceptions=True)
        assert {str(answer).split(": ", 1)[1] for answer in answers} == {
            "database is locked: another program holds the file: end it"
        }
        other.execute("ROLLBACK")
    finally:
        other.close()
    await store.append(A, [entry(1)], after=Seq(0), due=None)
    assert await store.heads([A, ConversationId("c0")]) == {A: 1}


async def test_more_than_one_batch_is_all_worked_off(store: SqliteStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bridge.store.writer.MAX_BATCH", 7)
    cids = [ConversationId(f"c{n}") for n in range(100)]

    await asyncio.gather(*(store.append(cid, [entry(1)], after=Seq(0), due=None) for cid in cids))

    assert await store.heads(cids) == dict.fromkeys(cids, 1)
    assert store._writer.commits >= 100 // 7


async def test_a_batch_takes_a_fixed_number_of_statements(store: SqliteStore):
    statements: list[str] = []
    await store.behind("slack")
    await store.behind("email")
    store._writer.connection.set_trace_callback(statements.append)
    release = await block(store)
    tasks = [
        asyncio.create_task(
            store.append(ConversationId(f"c{n}"), [entry(1), entry(2)], after=Seq(0), due=None)
        )
        for n in range(200)
    ]
    await asyncio.sleep(0)
    statements.clear()
    release()
    await asyncio.gather(*tasks)
    store._writer.connection.set_trace_callback(None)

    assert len([text for text in statements if not text.startswith("--")]) <= 8
