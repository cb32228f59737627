"""No statement of the SQLite store reads a whole table, however much there is in it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
import re
import sqlite3

from bridge.events import ConversationId, Entry, Said, Seq, Visitor
from bridge.store.sqlite import SqliteStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
A, B = ConversationId("a"), ConversationId("b")


async def use_everything(store: SqliteStore) -> None:
    said = Entry(seq=Seq(1), at=NOW, event=Said(text="hello"), by=Visitor(), via="widget", key="k")
    await asyncio.gather(*(store.append(cid, [said], after=Seq(0), due=NOW) for cid in (A, B)))
    await store.read(A, after=0)
    await store.heads([A, B])
    await store.due(NOW)
    await store.arm(A, None, head=Seq(1))
    await store.advance("slack", A, position=Seq(1), anchor="171.1")
    await store.cursor("slack", A)
    await store.behind("slack")
    await store.find_anchor("slack", "171.1")
    await store.put("link", "k", b"v", expires_at=NOW)
    await store.put("link", "k", b"v", new=True)
    await store.get("link", "k", now=NOW)
    await store.scan("link", "k")
    await store.delete("link", "k")
    await store.purge(NOW)


async def test_every_statement_goes_by_an_index(tmp_path: Path):
    store = await SqliteStore.open(tmp_path / "joinline.db")
    statements: set[str] = set()
    try:
        await store.behind("slack")  # the first time looks at every conversation, once
        readers = list(store._file.readers._idle.queue)
        for connection in (store._writer.connection, *readers):
            connection.set_trace_callback(statements.add)
        await use_everything(store)
        for connection in (store._writer.connection, *readers):
            connection.set_trace_callback(None)
    finally:
        await store.close()

    asked = {text.strip() for text in statements if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)", text)}
    assert len(asked) >= 18
    connection = sqlite3.connect(tmp_path / "joinline.db")
    for text in asked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
        scans = [line for line in plan if re.match(r"SCAN (entry|conversation|cursor|record)\b", line)]
        sorts = [line for line in plan if "TEMP B-TREE" in line]
        assert not scans + sorts, (text, plan)
    connection.close()
