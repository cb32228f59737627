"""What the SQLite store has acknowledged is there after `kill -9` in the middle of writing."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
import sqlite3
import subprocess
import sys

import pytest

from bridge.events import ConversationId, Said
from bridge.store.sqlite import SqliteStore

PRODUCERS = 20

# Appends without end, and says "<conversation> <seq>" or "record <number>" once it has the answer.
PROGRAM = """
import asyncio, os, sys
from datetime import UTC, datetime
from bridge.events import Entry, Said, Visitor
from bridge.store.sqlite import SqliteStore

def say(text):
    os.write(1, (text + chr(10)).encode())

async def produce(store, cid):
    seq = (await store.heads([cid])).get(cid, 0)
    while True:
        pair = [
            Entry(seq=n, at=datetime.now(UTC), event=Said(text=f"{cid} {n}"), by=Visitor(), via="w", key=str(n))
            for n in (seq + 1, seq + 2)
        ]
        await store.append(cid, pair, after=seq, due=datetime.now(UTC))
        seq += 2
        say(f"{cid} {seq}")
        if seq % 10 == 0:
            await store.put("acked", f"{cid}/{seq}", b"yes", new=True)
            await store.advance("slack", cid, position=seq)
            say(f"record {cid}/{seq}")

async def main():
    store = await SqliteStore.open(sys.argv[1])
    await store.behind("slack")
    await asyncio.gather(*(produce(store, f"c{n}") for n in range(int(sys.argv[2]))))

asyncio.run(main())
"""


def run_until_killed(path: Path, lines: int) -> Iterator[tuple[str, str]]:
    """What a writing process has acknowledged until it was killed after so many lines."""
    command = [sys.executable, "-c", PROGRAM, str(path), str(PRODUCERS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for number, line in enumerate(process.stdout):
            if number == lines:
                process.kill()
            if line.endswith("\n"):
                kind, _, rest = line.strip().partition(" ")
                yield kind, rest
    assert process.returncode == -9


@pytest.mark.parametrize("lines", [40, 700, 3_000])
async def test_every_acknowledged_append_survives_kill_9(tmp_path: Path, lines: int):
    path = tmp_path / "joinline.db"
    heads: dict[ConversationId, int] = {}
    records: set[str] = set()
    for _ in range(3):
        for kind, rest in await asyncio.to_thread(lambda: list(run_until_killed(path, lines))):
            if kind == "record":
                records.add(rest)
            else:
                heads[ConversationId(kind)] = int(rest)

        store = await SqliteStore.open(path)
        try:
            for cid, head in heads.items():
                log = await store.read(cid, limit=1_000_000)
                assert [e.seq for e in log] == list(range(1, len(log) + 1))
                assert [e.event for e in log] == [Said(text=f"{cid} {e.seq}") for e in log]
                assert len(log) >= head
                assert len(log) % 2 == 0, "half of an append is in the log"
                assert (await store.heads([cid])) == {cid: len(log)}
            assert {record.key for record in await store.scan("acked")} >= records
            stored = {cid: (await store.cursor("slack", cid)).position for cid in heads}
            logs = await store.heads(list(heads))
            assert set(await store.behind("slack")) == {cid for cid in heads if logs[cid] > stored[cid]}
        finally:
            await store.close()
    assert len(heads) == PRODUCERS
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
