"""The one thread that writes: everything that is queued goes into one transaction (group commit)."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
import sqlite3
from threading import Thread
from typing import Any, TypeVar

from msgspec import Struct

from bridge.errors import StoreError
from bridge.events import Seq
from bridge.store import Growth
from bridge.store.appends import Append, append_all
from bridge.store.connection import store_error

MAX_BATCH = 1_000  # jobs in one transaction

T = TypeVar("T")
Work = Append | Callable[[sqlite3.Connection], Any]


class Job(Struct, frozen=True, kw_only=True, eq=False):
    work: Work
    future: asyncio.Future[Any]


Outcome = tuple[Job, Any]  # the answer, or the exception to raise


class Writer:
    """Owns the connection from construction to `close`. All methods belong to the event loop's thread.

    A job is answered after the commit that holds it. A job that fails takes no other with it: the batch
    is rolled back, and each of its jobs gets a transaction of its own.
    """

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        path: Path,
        grown: Callable[[Iterable[Growth]], None],
    ) -> None:
        self.connection = connection
        self.commits = 0
        self._path = path
        self._grown = grown
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()  # None: no more will come
        self._closed = False
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def append(self, append: Append) -> None:
        await self._submit(append)

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` inside a transaction; its answer, once that is durable."""
        answer: T = await self._submit(work)
        return answer

    def _submit(self, work: Work) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(Job(work=work, future=future))
        return future

    def refuse(self) -> None:
        """Accept nothing more."""
        self._closed = True

    async def close(self) -> None:
        """Finish what was accepted, move it into the database file, and let go of it."""
        self.refuse()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # In the writer's thread

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._take()
            if batch:
                outcomes = self._carry_out(batch)
                try:
                    self._loop.call_soon_threadsafe(self._answer, outcomes)
                except RuntimeError:  # the event loop is gone, and with it everybody who could be answered
                    break
        with suppress(sqlite3.Error):  # everything is in the write-ahead log; the next start finds it there
            # A reader from another program may hold some of it; it is not waited for.
            self.connection.execute("PRAGMA busy_timeout = 0")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.close()

    def _take(self) -> tuple[list[Job], bool]:
        """Wait for a job, then take whatever else is there already."""
        batch: list[Job] = []
        try:
            job = self._queue.get()
            while job is not None:
                batch.append(job)
                if len(batch) == MAX_BATCH:
                    return batch, True
                job = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _carry_out(self, batch: list[Job]) -> list[Outcome]:
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")  # the last one failed too
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return [(job, store_error(self._path, error)) for job in batch]
        try:
            outcomes = self._work_off(batch)
            self.connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it was, it is answered, and the thread goes on
            self._roll_back()
            if len(batch) > 1:
                return [outcome for job in batch for outcome in self._carry_out([job])]
            failure = store_error(self._path, error) if isinstance(error, sqlite3.Error) else error
            return [(batch[0], failure)]
        self.commits += 1
        return outcomes

    def _work_off(self, batch: Sequence[Job]) -> list[Outcome]:
        appends = [(job, job.work) for job in batch if isinstance(job.work, Append)]
        answers = append_all(self.connection, [append for _, append in appends]) if appends else []
        outcomes: list[Outcome] = [(job, answer) for (job, _), answer in zip(appends, answers, strict=True)]
        rest = ((job, job.work) for job in batch if not isinstance(job.work, Append))
        outcomes.extend((job, work(self.connection)) for job, work in rest)
        return outcomes

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # the next BEGIN says what is wrong
            if self.connection.in_transaction:  # else SQLite has rolled back by itself
                self.connection.execute("ROLLBACK")

    # In the event loop's thread

    def _answer(self, outcomes: list[Outcome]) -> None:
        self._grown(
            Growth(job.work.cid, Seq(job.work.after + len(job.work.bodies)))
            for job, answer in outcomes
            if isinstance(job.work, Append) and answer is None
        )
        for job, answer in outcomes:
            if job.future.done():  # who asked has gone
                continue
            if isinstance(answer, Exception):
                job.future.set_exception(answer)
            else:
                job.future.set_result(answer)
