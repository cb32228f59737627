"""Durable appends a second, by number of producers: `python bench/append.py [--seconds 3] [--dir DIR]`.

Each producer appends one entry to a conversation of its own, waits until it is durable, and goes on.
`--busy` keeps the event loop's thread computing meanwhile, as a server under load does. Where there is a
`redis-server`, it is measured beside SQLite: with everysec an answer does not wait for the disk, with always
it does.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
import shutil
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time

from bridge.events import ConversationId, Entry, Said, Seq, Visitor
from bridge.store import Store, open_store
from bridge.store.sqlite import SqliteStore

TEXT = "Hello, do you ship the blue one to Norway, and how long does it take? " * 2


async def produce(store: Store, cid: ConversationId, until: float, took: list[float]) -> None:
    at, seq = datetime.now(UTC), (await store.heads([cid])).get(cid, 0)
    while (start := time.perf_counter()) < until:
        seq += 1
        entry = Entry(seq=Seq(seq), at=at, event=Said(text=TEXT), by=Visitor(), via="widget", key=f"k{seq}")
        await store.append(cid, [entry], after=Seq(seq - 1), due=at)
        took.append(time.perf_counter() - start)


async def compute(until: float, share: float) -> None:
    while (now := time.perf_counter()) < until:
        while time.perf_counter() < now + share * 0.001:
            pass
        await asyncio.sleep((1 - share) * 0.001)


def commit_alone(path: Path, seconds: float) -> float:
    """Commits a second of one row each, without a queue, a thread or a loop: what the disk can do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x)")
        until, commits = time.perf_counter() + seconds, 0
        while time.perf_counter() < until:
            connection.execute("INSERT INTO t VALUES (?)", (TEXT,))
            commits += 1
    return commits / seconds


async def measure(
    open_one: Callable[[], Awaitable[Store]],
    name: str,
    producers: int,
    seconds: float,
    *,
    busy: float,
    surfaces: int,
) -> None:
    store = await open_one()
    for number in range(surfaces):
        await store.behind(f"surface{number}")
    took: list[float] = []
    commits = store._writer.commits if isinstance(store, SqliteStore) else 0  # noqa: SLF001
    start, cpu = time.perf_counter(), time.process_time()
    until = start + seconds
    tasks = [produce(store, ConversationId(f"c{producers}-{i}"), until, took) for i in range(producers)]
    await asyncio.gather(*tasks, *([compute(until, busy)] if busy else []))
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    batch = ""
    if isinstance(store, SqliteStore):
        batch = f"{len(took) / (store._writer.commits - commits):6.1f} a commit"  # noqa: SLF001
    await store.close()
    took.sort()
    print(
        f"{name:14} {producers:5d} producers {len(took) / elapsed:8.0f}/s  {batch:15}  "
        f"p50 {statistics.median(took) * 1e3:6.2f} ms  p99 {took[int(len(took) * 0.99)] * 1e3:6.2f} ms  "
        f"CPU {cpu / len(took) * 1e6:4.0f} µs"
    )


@contextmanager
def redis_server(folder: Path, fsync: str) -> Iterator[str]:
    """A server of its own on a free port; the URL of it."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    options = ("--save", "", "--appendonly", "yes", "--appendfsync", fsync, "--bind", "127.0.0.1")
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--dir", str(folder), *options], stdout=subprocess.DEVNULL
    )
    try:
        while True:
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port))):
                break
            time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--producers", type=int, nargs="*", default=[1, 16, 256])
    parser.add_argument("--surfaces", type=int, default=1, help="pushed surfaces that are kept posted")
    parser.add_argument("--busy", type=float, default=0.0, help="share of the loop's time spent computing")
    parser.add_argument("--dir", help="where to put the database; on the disk that is to be measured")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as name, ExitStack() as servers:
        folder = Path(name)
        alone = commit_alone(folder / "alone.db", args.seconds)
        print(f"bare SQLite, a commit a row {alone:8.0f}/s")
        engines = {"SQLite": f"sqlite:///{folder}/bench.db"}
        if shutil.which("redis-server"):
            for fsync in ("everysec", "always"):
                url = servers.enter_context(redis_server(folder / fsync, fsync))
                engines[f"Redis {fsync}"] = url
        for producers in args.producers:
            for engine, url in engines.items():
                asyncio.run(
                    measure(
                        partial(open_store, url), engine, producers, args.seconds, busy=args.busy,
                        surfaces=args.surfaces,
                    )
                )  # fmt: skip


if __name__ == "__main__":
    main()
