"""Reads beside the writer: a few read-only connections, each used by one thread at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import LifoQueue
import sqlite3
from typing import TypeVar

from bridge.errors import StoreError
from bridge.store.connection import connect_reader, store_error

THREADS = 2

T = TypeVar("T")


class Readers:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        self._idle: LifoQueue[sqlite3.Connection] = LifoQueue()  # the last used has the warmest cache
        for _ in range(THREADS):
            self._idle.put(connect_reader(path))
        self._executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="store-reader")

    async def ask(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._ask, query)

    def _ask(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle.get_nowait()  # there are as many as threads
        try:
            return query(connection)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
        finally:
            self._idle.put(connection)

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        while not self._idle.empty():
            self._idle.get_nowait().close()
