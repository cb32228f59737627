"""A Redis that has not what it had: emptied, restored, taken over by a replica with less, and grown again since."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
import shutil

import pytest

from bridge.errors import WentBack
from bridge.events import ConversationId, Said, Seq
from bridge.store import Store, open_store
from bridge.store.redis import layout
from tests.eventually import eventually
from tests.redises import DURABLE, RedisServer, flush
from tests.stores import NOW, entry, grow

A, B = ConversationId("a"), ConversationId("b")
MANY = [ConversationId(f"c{n}") for n in range(40)]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One that a test may kill."""
    with RedisServer(*DURABLE) as server:
        yield server


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Store]:
    store = await open_store(server.url)
    yield store
    await store.close()


@pytest.fixture
async def other(server: RedisServer, store: Store) -> AsyncIterator[Store]:
    """What another process has open."""
    other = await open_store(server.url)
    assert other.log_id == store.log_id
    yield other
    await other.close()


async def append(store: Store, cid: ConversationId, seq: int, text: str = "") -> None:
    said = Said(text=text or f"message {seq}")
    await store.append(cid, [entry(seq, said)], after=Seq(seq - 1), due=None)


# --- It has less ---------------------------------------------------------------------------------


async def test_a_store_that_was_emptied_is_another_one(server: RedisServer, store: Store):
    other = await open_store(server.url)
    try:
        await grow(store, A, 3)
        await other.read(A)
        before = store.log_id
        await flush(server)

        with pytest.raises(WentBack):
            await append(store, A, 4)
        with pytest.raises(WentBack):
            await other.read(A)

        assert store.log_id == other.log_id != before
        assert await other.read(A) == []
        await grow(store, A)
        assert len(await other.read(A)) == 1
        fresh = await open_store(server.url)
        assert fresh.log_id == store.log_id
        await fresh.close()
    finally:
        await other.close()


@pytest.mark.parametrize("notices", ["append", "read", "heads"])
async def test_a_store_that_lost_its_last_entries_is_another_one(
    server: RedisServer, store: Store, tmp_path: Path, notices: str
):
    await grow(store, A, 2)
    await grow(store, B, 2)
    server.kill()
    shutil.copytree(server.folder, tmp_path / "copy")
    await asyncio.to_thread(server.start)
    other = await open_store(server.url)
    try:
        await grow(store, A, 3)  # this one knows of them by its own doing
        await other.read(A)  # that one by reading
        before = store.log_id
        server.kill()
        shutil.rmtree(server.folder)
        shutil.copytree(tmp_path / "copy", server.folder)
        await asyncio.to_thread(server.start)

        asking = {"append": append(store, A, 6), "read": other.read(A), "heads": other.heads([A])}
        with pytest.raises(WentBack):
            await asking.pop(notices)
        for unasked in asking.values():
            unasked.close()
        assert await eventually(lambda: _moved_on(store, other, before))
        assert await store.heads([A, B]) == {A: 2, B: 2}
    finally:
        await other.close()


async def _moved_on(one: Store, two: Store, before: str) -> bool:
    for store in (one, two):
        with suppress(WentBack):
            await store.heads(MANY)
    return one.log_id == two.log_id != before


async def test_a_store_of_which_a_part_was_emptied_is_another_one(server: RedisServer, store: Store):
    await grow(store, A)
    before = store.log_id
    home = layout.key(layout.bucket_of(A, layout.BUCKETS), "*")
    server.ask("DEL", *server.ask("KEYS", home))

    fresh = await open_store(server.url)
    try:
        assert fresh.log_id != before
        with pytest.raises(WentBack):
            await store.read(B)
        assert store.log_id == fresh.log_id
    finally:
        await fresh.close()


# --- It has grown again --------------------------------------------------------------------------

ASKING = {
    "append": lambda store: append(store, A, 4),
    "read": lambda store: store.read(A, after=1),
    "read from the end": lambda store: store.read(A, after=3),
    "heads": lambda store: store.heads([B, A]),
    "confirm": lambda store: store.confirm(A),
    "advance": lambda store: store.advance("slack", A, position=Seq(3), anchor="171.1"),
    "arm": lambda store: store.arm(A, NOW, head=Seq(3)),
}


@pytest.mark.parametrize("learned", ["by appending", "by reading"])
@pytest.mark.parametrize("asks", ASKING)
async def test_another_entry_in_the_place_of_a_lost_one_is_noticed(
    server: RedisServer, store: Store, other: Store, learned: str, asks: str
):
    """However many there are: the counts are what they were, or more."""
    await grow(store, A, 2)
    await other.heads([A])
    dump = server.dump()
    third = await open_store(server.url)
    await append(store if learned == "by appending" else third, A, 3, "lost")
    assert (await store.read(A, after=2))[0].event == Said(text="lost")
    await third.close()
    server.go_back(dump)
    await append(other, A, 3, "in its place")
    await grow(other, B)
    before = store.log_id

    with pytest.raises(WentBack):
        await ASKING[asks](store)

    assert store.log_id != before
    with pytest.raises(WentBack):
        await other.heads([B])
    assert other.log_id == store.log_id
    assert [e.event for e in await store.read(A, after=2)] == [Said(text="in its place")]
    assert await store.behind("slack") == [A, B], "what nobody has shown is not taken as shown"
    assert await store.due(NOW) == []


async def test_what_was_never_seen_here_is_not_missed_here(server: RedisServer, store: Store, other: Store):
    await grow(store, A, 2)
    dump = server.dump()
    await append(store, A, 3, "lost")
    server.go_back(dump)
    before = other.log_id

    await append(other, A, 3, "in its place")

    assert len(await other.read(A)) == 3
    assert other.log_id == before


async def test_what_waited_to_be_appended_is_not_appended_to_another_log(server: RedisServer, store: Store):
    """It was decided by what is worth nothing any more."""
    await grow(store, A, 3)
    await grow(store, B, 3)
    dump = server.dump()
    await grow(store, A, 1)
    server.go_back(dump)

    first = asyncio.create_task(append(store, A, 5))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is on its way, alone
    second = asyncio.create_task(append(store, B, 4))
    outcomes = await asyncio.gather(first, second, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [WentBack, WentBack]
    assert await store.heads([A, B]) == {A: 3, B: 3}
