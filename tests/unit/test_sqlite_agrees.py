"""Whatever is done to it, the store in SQLite or Redis answers as the one in memory does."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import Conflict
from bridge.events import ConversationId, Entry, Said, Seq, Visitor
from bridge.store import Store, open_store
from bridge.store.memory import MemoryStore
from bridge.store.sqlite import SqliteStore
from tests.redises import RedisServer

START = datetime(2026, 3, 1, tzinfo=UTC)

cids = st.sampled_from([ConversationId(c) for c in "abcd"])
surfaces = st.sampled_from(["slack", "email"])
moments = st.integers(0, 5).map(lambda n: START + timedelta(seconds=n))
seqs = st.integers(0, 6).map(Seq)
spaces = st.sampled_from(["link", "mail"])
keys = st.text("ab/%_\U0010ffff", max_size=3)
limits = st.integers(1, 4)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

Step = tuple[str, tuple[Any, ...], dict[str, Any]]


def step(
    name: str, *args: st.SearchStrategy[Any], **named: st.SearchStrategy[Any]
) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.tuples(*args), st.fixed_dictionaries(named))


steps = st.one_of(
    step("append", cids, st.lists(text, min_size=1, max_size=3), after=seqs, due=st.none() | moments),
    step("grow", cids, st.lists(text, min_size=1, max_size=3), due=st.none() | moments),
    step("read", cids, after=seqs, limit=limits),
    step("heads", st.sets(cids)),
    step("due", moments, limit=limits),
    step("arm", cids, st.none() | moments, head=seqs),
    step("cursor", surfaces, cids),
    step("advance", surfaces, cids, position=seqs),
    step("anchor", surfaces, cids, position=seqs),
    step("behind", surfaces, limit=limits),
    step("find_anchor", surfaces, st.sampled_from(["to a", "to b", "to c"])),
    step("put", spaces, keys, st.binary(max_size=3), expires_at=st.none() | moments, new=st.booleans()),
    step("get", spaces, keys, now=st.none() | moments),
    step("delete", spaces, keys),
    step("scan", spaces, keys),
    step("purge", moments),
)


def apart(cid: ConversationId, due: datetime | None) -> datetime | None:
    """No two conversations are due at one moment: which of them comes first is open."""
    return None if due is None else due + timedelta(microseconds=ord(cid))


async def take(store: Store, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    match name:
        case "append" | "grow":
            cid, texts = args
            after = named["after"] if name == "append" else (await store.heads([cid])).get(cid, Seq(0))
            entries = [
                Entry(seq=Seq(n), at=START, event=Said(text=t), by=Visitor(), via="widget", key=str(n))
                for n, t in enumerate(texts, start=after + 1)
            ]
            try:
                return await store.append(cid, entries, after=after, due=apart(cid, named["due"]))
            except Conflict as conflict:
                return conflict.head
        case "arm":
            return await store.arm(args[0], apart(*args), head=named["head"])
        case "anchor":  # no two conversations share one
            return await store.advance(*args, **named, anchor=f"to {args[1]}")
        case _:
            return await getattr(store, name)(*args, **named)


async def everything(store: Store) -> list[Any]:
    all_cids = [ConversationId(c) for c in "abcd"]
    late = START + timedelta(days=1)
    return [
        [await store.read(cid) for cid in all_cids],
        await store.heads(all_cids),
        await store.due(late),
        [[await store.cursor(s, cid) for cid in all_cids] for s in ("slack", "email")],
        [await store.behind(s) for s in ("slack", "email", "new")],
        [await store.scan(space) for space in ("link", "mail")],
    ]


async def compare(reopen: Callable[[], Awaitable[Store]], todo: list[Step], restart: int) -> None:
    memory, store = MemoryStore(), await reopen()
    try:
        for number, (name, args, named) in enumerate(todo):
            if number == restart:
                await store.close()
                store = await reopen()
            expected = await take(memory, name, args, named)
            assert await take(store, name, args, named) == expected
        assert await everything(store) == await everything(memory)
    finally:
        await store.close()


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=40), st.integers(0, 40))
def test_sqlite_answers_alike_also_after_a_restart(todo: list[Step], restart: int):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "joinline.db"
        asyncio.run(compare(lambda: SqliteStore.open(path), todo, restart))


@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.lists(steps, max_size=40), st.integers(0, 40))
def test_redis_answers_alike_also_after_a_restart(redis_server: RedisServer, todo: list[Step], restart: int):
    redis_server.ask("FLUSHALL")
    asyncio.run(compare(lambda: open_store(redis_server.url), todo, restart))
