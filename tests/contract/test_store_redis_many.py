"""The store over several Redis servers: Sentinels that move it to a replica, and a Cluster of three."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count, islice

import pytest

from bridge.errors import Conflict, LeaseLost, StoreError, WentBack
from bridge.events import ConversationId, Seq
from bridge.store import Cursor, Growth, Record, Standing, Store, duty_of, open_store
from bridge.store.redis import layout, link
from tests.eventually import PATIENCE, eventually
from tests.redises import Cluster, RedisServer, Watched, carry, flush
from tests.stores import entry, grow

NOW = datetime(2026, 3, 1, tzinfo=UTC)
A = ConversationId("a")
MANY = [ConversationId(f"c{n}") for n in range(60)]


def bucket(cid: ConversationId) -> int:
    return layout.bucket_of(cid, layout.BUCKETS)


def beside(cid: ConversationId, number: int = 0) -> ConversationId:
    """Another conversation of the same bucket."""
    names = (ConversationId(f"{cid}{n}") for n in count())
    return next(islice((name for name in names if bucket(name) == bucket(cid)), number, None))


async def append(store: Store, cid: ConversationId, seq: int) -> None:
    await store.append(cid, [entry(seq)], after=Seq(seq - 1), due=None)


# --- Sentinels -----------------------------------------------------------------------------------


@pytest.fixture
def watched() -> Iterator[Watched]:
    with Watched() as watched:
        yield watched


async def test_what_replicas_confirmed_outlives_the_primary(watched: Watched):
    store, other = await open_store(watched.url, replicas=1, wait=2.0), await open_store(watched.url)
    try:
        heard = other.changes()
        for seq in range(1, 21):
            await append(store, A, seq)
        log_id = store.log_id
        watched.primary.kill()

        async def again() -> bool:
            with suppress(StoreError):
                return len(await store.read(A)) == 20
            return False

        assert await eventually(again, within=2 * PATIENCE)
        assert store.log_id == log_id
        with pytest.raises(
            StoreError, match="0 of 1 replicas confirmed"
        ):  # the one that is left is the primary
            await append(store, A, 21)
        await append(other, A, 22)
        assert await other.heads([A]) == {A: 22}
        async with asyncio.timeout(PATIENCE):
            while await anext(heard) != Growth(A, Seq(22)):
                pass
    finally:
        await store.close()
        await other.close()


async def test_a_replica_that_had_less_makes_it_another_store(watched: Watched):
    store = await open_store(watched.url)
    try:
        await append(store, A, 1)
        await eventually(lambda: watched.replica.ask("DBSIZE") == watched.primary.ask("DBSIZE"))
        before = store.log_id
        watched.replica.pause()
        watched.primary.ask("CLIENT", "KILL", "TYPE", "replica")
        await append(store, A, 2)  # acknowledged, and nowhere else
        watched.primary.kill()
        watched.replica.go_on()

        async def found_out() -> bool:
            try:
                await append(store, A, 3)
            except WentBack:
                return True
            except StoreError:
                return False
            raise AssertionError("there is no entry 2")

        assert await eventually(found_out, within=2 * PATIENCE)
        assert store.log_id != before
        assert await store.heads([A]) == {A: 1}
    finally:
        await store.close()


async def test_a_replica_that_is_not_safe_is_not_trusted_when_it_takes_over():
    with Watched("--appendonly", "no", "--maxmemory-policy", "allkeys-lru") as watched:
        store = await open_store(watched.url)
        try:
            await append(store, A, 1)
            await eventually(lambda: watched.replica.ask("DBSIZE") == watched.primary.ask("DBSIZE"))
            watched.primary.kill()

            async def refused() -> bool:
                try:
                    await append(store, A, 2)
                except StoreError as error:
                    return "not safe for a log" in str(error)
                raise AssertionError("it was trusted")

            assert await eventually(refused, within=2 * PATIENCE)
            with pytest.raises(StoreError, match=r"appendonly yes.*maxmemory-policy noeviction"):
                await append(store, A, 2)
            watched.replica.ask("CONFIG", "SET", "appendonly", "yes", "maxmemory-policy", "noeviction")
            await append(store, A, 2)
            assert await store.heads([A]) == {A: 2}
        finally:
            await store.close()


# --- A Cluster -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
async def stores(cluster: Cluster) -> AsyncIterator[tuple[Store, Store]]:
    await flush(*cluster.nodes)
    one, two = await open_store(cluster.url), await open_store(cluster.url)
    yield one, two
    await one.close()
    await two.close()


def logs(node: RedisServer) -> int:
    return len(node.ask("KEYS", "*log:*"))


async def test_conversations_are_spread_over_the_servers(cluster: Cluster, stores: tuple[Store, Store]):
    one, two = stores
    heard = two.changes()
    await asyncio.gather(*(grow(one, cid, 3, due=NOW) for cid in MANY))

    assert one.log_id == two.log_id
    assert all(logs(node) > 5 for node in cluster.nodes)
    assert sum(map(logs, cluster.nodes)) == len(MANY)
    assert await two.heads(MANY) == dict.fromkeys(MANY, 3)
    assert [e.seq for e in await two.read(MANY[7], after=1)] == [2, 3]
    assert set(await two.due(NOW, limit=100)) == set(MANY)
    async with asyncio.timeout(PATIENCE):
        assert {await anext(heard) for _ in MANY} == {Growth(cid, Seq(3)) for cid in MANY}


async def test_cursors_leases_and_records_work_across_the_servers(stores: tuple[Store, Store]):
    one, two = stores
    for cid in MANY:
        await grow(one, cid, 1)
    assert await two.behind("slack") == MANY

    for number, cid in enumerate(MANY):
        duty = duty_of("slack", cid)
        fence = await one.lease(duty, owner="one", lives=60)
        assert fence is not None
        await one.advance("slack", cid, position=Seq(1), anchor=f"1.{number}", lease=(duty, fence))
        with pytest.raises(LeaseLost):
            await two.advance("slack", cid, position=Seq(9), lease=(duty, fence - 1))
    assert await two.behind("slack") == []
    assert await two.find_anchor("slack", "1.17") == MANY[17]
    assert await two.cursor("slack", MANY[3]) == Cursor(position=Seq(1), anchor="1.3")

    spaces = [f"space {n}" for n in range(20)]
    for space in spaces:
        records = [Record(key=f"{n:02}", value=b"v", expires_at=NOW + timedelta(n)) for n in range(10)]
        await one.put_all(space, records)
    assert [r.key for r in await two.scan(spaces[4], "0")] == [f"{n:02}" for n in range(10)]
    assert await two.purge(NOW) == len(spaces)
    assert not await two.put(spaces[4], "05", b"", new=True)


async def test_all_of_a_cluster_is_listed(stores: tuple[Store, Store]):
    one, two = stores
    await one.behind("slack")
    for cid in MANY:
        await grow(one, cid, 2, due=NOW)
        await one.advance("slack", cid, position=Seq(1), anchor=cid)
    for n in range(20):
        await one.put(f"space {n:02}", "k", b"v")

    assert {cid async for page in two.conversations() for cid in page} == set(MANY)
    assert await two.standings(MANY) == {
        cid: Standing(head=Seq(2), due=NOW, cursors={"slack": Cursor(position=Seq(1), anchor=cid)})
        for cid in MANY
    }
    assert await two.spaces() == [f"space {n:02}" for n in range(20)]
    assert await two.others() == 1


async def test_one_head_has_one_winner_in_a_cluster(stores: tuple[Store, Store]):
    async def write(store: Store, count: int) -> None:
        head = 0
        while count:
            try:
                await append(store, A, head + 1)
            except Conflict as conflict:
                head = conflict.head
            else:
                head, count = head + 1, count - 1

    await asyncio.gather(*(write(store, 50) for store in stores for _ in range(2)))

    assert [e.seq for e in await stores[0].read(A)] == list(range(1, 201))


async def test_the_others_are_told_in_a_cluster(stores: tuple[Store, Store]):
    one, two = stores
    listener = two.told()
    for cid in MANY:
        await one.tell(cid, cid.encode())

    async with asyncio.timeout(PATIENCE):
        assert {await anext(listener) for _ in MANY} == {(cid, cid.encode()) for cid in MANY}


async def test_one_conversation_is_told_of_in_its_order_and_all_are_spread(
    cluster: Cluster, stores: tuple[Store, Store]
):
    one, two = stores
    before = [published(node) for node in cluster.nodes]
    listener = two.told()
    told = [(cid, f"{n}".encode()) for n in range(20) for cid in MANY]
    await asyncio.gather(*(one.tell(f"pulse/{cid}", message) for cid, message in told))

    heard: dict[str, list[int]] = {}
    async with asyncio.timeout(PATIENCE):
        for _ in told:
            topic, message = await anext(listener)
            heard.setdefault(topic, []).append(int(message))
    assert heard == {f"pulse/{cid}": list(range(20)) for cid in MANY}
    assert all(published(node) > calls for node, calls in zip(cluster.nodes, before, strict=True))


def published(node: RedisServer) -> int:
    stats = node.ask("INFO", "commandstats")
    return int(stats.get("cmdstat_spublish", {"calls": 0})["calls"])


async def test_a_bucket_that_moves_to_another_server_is_followed(
    cluster: Cluster, stores: tuple[Store, Store]
):
    one, two = stores
    await grow(one, A, 2)
    slot, source, target = cluster.home(A)
    cluster.move(slot, source, target)

    await grow(one, A, 2)
    assert len(await two.read(A)) == 4
    assert cluster.home(A)[:2] == (slot, target)

    async def heard() -> bool:
        listener = two.changes()
        await grow(one, A)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                return (await anext(listener)).cid == A
        return False

    assert await eventually(heard)
    cluster.move(slot, target, source)


@pytest.mark.parametrize("first", ["behind:slack", "logs", "log:a", "meta", "due"])
async def test_nothing_is_half_done_while_a_bucket_is_in_two_places(
    cluster: Cluster, stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch, first: str
):
    one, two = stores
    await grow(one, A, 2, due=NOW)
    assert await one.behind("slack") == [A]
    slot, source, target = cluster.home(A)
    keys = cluster.begin_move(slot, source, target)
    carry([key for key in keys if key.decode().endswith(f":{first}")], source, target)

    with monkeypatch.context() as hurried:
        hurried.setattr(link, "PATIENCE", 0.2)
        for change in (
            append(one, A, 3),
            append(one, beside(A), 1),
            one.advance("slack", A, position=Seq(2), anchor="171.1"),
        ):
            with pytest.raises(StoreError, match="on its way to another server"):
                await change
    others = [cid for cid in MANY if bucket(cid) != bucket(A)]
    waiting = asyncio.create_task(append(one, A, 3))
    async with asyncio.timeout(link.PATIENCE / 2):  # nobody else waits for it
        await asyncio.gather(*(grow(one, cid) for cid in others))
    assert not waiting.done()
    cluster.end_move(slot, source, target)

    await waiting
    assert await two.heads([A, beside(A)]) == {A: 3}
    assert await two.behind("slack", limit=1) == [A]
    assert await two.cursor("slack", A) == Cursor()
    assert await two.due(NOW) == []
    cluster.move(slot, target, source)


@pytest.mark.parametrize("replicas", [0, 1])
async def test_a_bucket_moves_while_everybody_writes(
    cluster: Cluster, stores: tuple[Store, Store], replicas: int
):
    """Whether it is acknowledged, or never, since no replica is there."""
    store, reader = await open_store(cluster.url, replicas=replicas, wait=0.01), stores[1]
    cids = [A, *(beside(A, n) for n in range(12))]
    heads = dict.fromkeys(cids, 0)

    async def write(cid: ConversationId) -> None:
        while True:
            try:
                await append(store, cid, heads[cid] + 1)
            except Conflict:  # what got no answer had been carried out
                pass
            except StoreError:
                continue
            heads[cid] += 1

    await store.behind("slack")
    writers = [asyncio.create_task(write(cid)) for cid in cids[:10]]
    await eventually(lambda: min(heads[cid] for cid in cids[:10]) > 3)
    slot, source, target = await asyncio.to_thread(cluster.home, A)
    keys = await asyncio.to_thread(cluster.begin_move, slot, source, target)
    writers += [asyncio.create_task(write(cid)) for cid in cids[10:]]
    for key in keys:
        await asyncio.to_thread(carry, [key], source, target)
    await asyncio.to_thread(cluster.end_move, slot, source, target)
    before = dict(heads)
    await eventually(lambda: all(heads[cid] > before[cid] + 3 for cid in cids))
    for writer in writers:
        writer.cancel()
    ends = await asyncio.gather(*writers, return_exceptions=True)
    await store.close()

    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    there = await reader.heads(cids)
    assert all(0 <= there[cid] - heads[cid] <= 1 for cid in cids)
    assert set(await reader.behind("slack")) == set(cids)
    meta = layout.key(bucket(A), "meta")
    assert int(target.ask("HGET", meta, "count")) == sum(there.values())
    for cid in cids:
        assert [e.seq for e in await reader.read(cid)] == list(range(1, there[cid] + 1))
    cluster.move(slot, target, source)


async def test_in_a_cluster_without_replicas_none_confirm(cluster: Cluster, stores: tuple[Store, Store]):
    store = await open_store(cluster.url, replicas=1, wait=0.1)
    try:
        with pytest.raises(StoreError, match="0 of 1 replicas"):
            await append(store, A, 1)
        with pytest.raises(Conflict):
            await append(store, A, 1)
    finally:
        await store.close()


async def test_a_server_of_a_cluster_that_is_not_safe_is_told():
    with Cluster() as cluster:
        cluster.nodes[2].ask("CONFIG", "SET", "appendonly", "no")
        cluster.nodes[1].ask("CONFIG", "SET", "appendfsync", "no")
        with pytest.raises(StoreError, match="not safe for a log") as refused:
            await open_store(cluster.url)
    for number, mend in ((1, "appendfsync everysec"), (2, "appendonly yes")):
        assert f"127.0.0.1:{cluster.nodes[number].port}: " in str(refused.value)
        assert mend in str(refused.value)


async def test_a_server_of_a_cluster_that_comes_back_is_used_again(
    cluster: Cluster, stores: tuple[Store, Store]
):
    one, _ = stores
    await asyncio.gather(*(grow(one, cid, 1) for cid in MANY))
    cluster.nodes[1].kill()
    outcomes = await asyncio.gather(*(append(one, cid, 2) for cid in MANY), return_exceptions=True)
    assert any(isinstance(outcome, StoreError) for outcome in outcomes)
    await asyncio.to_thread(cluster.nodes[1].start)

    async def all_in() -> bool:
        for cid in MANY:
            with suppress(Conflict):
                await append(one, cid, 2)
        return True

    async def tried() -> bool:
        with suppress(StoreError):
            return await all_in()
        return False

    assert await eventually(tried, within=2 * PATIENCE)
    assert await one.heads(MANY) == dict.fromkeys(MANY, 2)
