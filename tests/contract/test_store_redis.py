"""The store in Redis when things go wrong around it: real servers that are killed, emptied, full, unsafe."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
import json
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Self

import pytest

from bridge.errors import Conflict, StoreError, WentBack
from bridge.events import ConversationId, Seq
from bridge.store import Growth, Store, open_store
from bridge.store.redis import clients, layout, link
from tests.eventually import PATIENCE, eventually
from tests.redises import DURABLE, RedisServer, flush, linked
from tests.stores import entry, grow

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
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience with a server that does not answer."""
    monkeypatch.setattr(clients, "TIMEOUT", 0.3)
    monkeypatch.setattr(clients, "CONNECT", 0.3)
    monkeypatch.setattr(link, "PATIENCE", 0.5)


async def append(store: Store, cid: ConversationId, seq: int) -> None:
    await store.append(cid, [entry(seq)], after=Seq(seq - 1), due=None)


# --- Refused at the start ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        (("--appendonly", "no"), "set `appendonly yes`"),
        (("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"), "set `maxmemory-policy noeviction`"),
        (("--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"), "set `maxmemory-policy noeviction`"),
        (("--appendonly", "yes", "--replicaof", "127.0.0.1", "1"), "name the primary"),
        (("--appendonly", "yes", "--cluster-enabled", "yes"), r"write redis\+cluster://"),
        (("--appendonly", "yes", "--requirepass", "hunter2"), "user and password"),
    ],
)
async def test_a_server_that_could_lose_a_log_is_refused(options: tuple[str, ...], mend: str):
    server = RedisServer(*options)
    try:
        server.start(wait=False)
        await eventually(lambda: "Ready to accept" in (server.folder / "log").read_text())
        with pytest.raises(StoreError, match=mend):
            await open_store(server.url)
    finally:
        server.close()


async def test_all_faults_of_a_server_are_told_at_once():
    with (
        RedisServer("--appendonly", "no", "--maxmemory-policy", "allkeys-lru") as server,
        pytest.raises(StoreError, match=r"appendonly yes.*maxmemory-policy noeviction"),
    ):
        await open_store(server.url)


async def test_a_password_is_used_and_never_shown():
    with RedisServer(*DURABLE) as server:
        server.ask("CONFIG", "SET", "requirepass", "hunter2:/@")
        url = f"redis://:hunter2%3A%2F%40@127.0.0.1:{server.port}/0"
        store = await open_store(url)
        await grow(store, A)
        await store.close()
        with pytest.raises(StoreError, match="user and password") as wrong:
            await open_store(url.replace("hunter2", "hunter3"))
        assert "hunter" not in str(wrong.value)
        assert ":***@" in str(wrong.value)


async def test_a_server_that_is_not_there_is_told_with_its_address():
    with pytest.raises(StoreError, match=r"redis://127\.0\.0\.1:1/0: .*is it running"):
        await open_store("redis://127.0.0.1:1")


async def test_data_of_a_later_version_is_refused(server: RedisServer, store: Store):
    server.ask("HSET", layout.META, "version", layout.VERSION + 1)

    with pytest.raises(StoreError, match="use the newer program"):
        await open_store(server.url)


# --- Killed, and back ----------------------------------------------------------------------------


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(server: RedisServer, store: Store):
    acknowledged = dict.fromkeys(MANY, 0)

    async def write(cid: ConversationId) -> None:
        while True:
            try:
                await append(store, cid, acknowledged[cid] + 1)
            except Conflict:  # what got no answer had been carried out
                pass
            except StoreError:
                await asyncio.sleep(0.01)
                continue
            acknowledged[cid] += 1

    writers = [asyncio.create_task(write(cid)) for cid in MANY]
    for kill in range(1, 4):
        await eventually(lambda kill=kill: sum(acknowledged.values()) > 400 * kill)
        server.kill()
        before = dict(acknowledged)
        await asyncio.to_thread(server.start)
        heads = await eventually(lambda: _heads(store))
        assert all(heads.get(cid, 0) >= before[cid] for cid in MANY)
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)
    for cid in MANY:
        log = await store.read(cid, limit=10_000)
        assert [e.seq for e in log] == list(range(1, len(log) + 1))
        assert len(log) >= acknowledged[cid]


async def _heads(store: Store) -> dict[ConversationId, Seq] | None:
    try:
        return await store.heads(MANY)
    except StoreError:
        return None


async def test_wake_ups_come_again_after_the_server_was_away(server: RedisServer, store: Store):
    other = await open_store(server.url)
    try:
        heard, told = other.changes(), other.told()
        server.kill()
        await asyncio.to_thread(server.start)
        said = asyncio.Event()

        async def call() -> None:
            while not said.is_set():
                await grow(store, A)
                await store.tell("topic", b"message")
                await asyncio.sleep(0.02)

        calling = asyncio.create_task(call())
        async with asyncio.timeout(PATIENCE):
            assert (await anext(heard)).cid == A
            assert await anext(told) == ("topic", b"message")
        said.set()
        await calling
    finally:
        await other.close()


async def test_scripts_that_the_server_forgot_are_sent_again(server: RedisServer, store: Store):
    server.ask("SCRIPT", "FLUSH")

    await asyncio.gather(*(grow(store, cid) for cid in MANY))

    assert await store.heads(MANY) == dict.fromkeys(MANY, 1)


# --- Unable --------------------------------------------------------------------------------------


async def test_a_server_without_memory_says_so_and_keeps_what_it_has(server: RedisServer, store: Store):
    await grow(store, A, 3)
    server.ask("CONFIG", "SET", "maxmemory", "1")

    with pytest.raises(StoreError, match="more memory"):
        await append(store, A, 4)
    assert len(await store.read(A)) == 3

    server.ask("CONFIG", "SET", "maxmemory", "0")
    await append(store, A, 4)


async def test_a_primary_that_became_a_replica_takes_nothing(
    server: RedisServer, store: Store, hurried: None
):
    await grow(store, A, 3)
    server.ask("REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(StoreError, match="name the primary"):
        await append(store, A, 4)

    server.ask("REPLICAOF", "NO", "ONE")
    await append(store, A, 4)


async def test_a_server_that_does_not_answer_is_given_up(server: RedisServer, hurried: None):
    store = await open_store(server.url)
    try:
        server.pause()
        with pytest.raises(StoreError, match="is it running"):
            async with asyncio.timeout(PATIENCE):
                await append(store, A, 1)
        server.go_on()
        assert await eventually(lambda: _readable(store))
    finally:
        await store.close()


async def test_whoever_is_cancelled_while_asking_ends(store: Store):
    """In Python 3.11 the client's `wait_for` may overhear a cancellation that comes with the answer."""

    async def ask() -> None:
        while True:
            await store.heads([A])

    for number in range(100):
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.002 + number / 50_000)
        asking.cancel()
        await asyncio.wait([asking], timeout=1)
        assert asking.cancelled()


async def _readable(store: Store) -> bool:
    try:
        await store.read(A)
    except StoreError:
        return False
    return True


# --- Answers that are lost -----------------------------------------------------------------------


class Lossy:
    """Stands between; told to `lose`, it hands on the next script and cuts before the answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.lose = False
        self.lost = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._stand_between(reader, writer)))

    async def _stand_between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)

        losing = False

        async def ask() -> None:
            nonlocal losing
            while data := await reader.read(1 << 16):
                if self.lose and b"EVALSHA" in data:
                    self.lose, losing = False, True
                back.write(data)

        async def answer() -> None:
            while data := await there.read(1 << 16):
                if losing:
                    self.lost += 1
                    break
                writer.write(data)

        tasks = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (writer, back):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()


async def test_what_was_carried_out_without_an_answer_is_known_again(server: RedisServer):
    async with Lossy(server.port) as lossy:
        store = await open_store(f"redis://127.0.0.1:{lossy.port}")
        try:
            await grow(store, A, 2)
            await store.put("mail", "other", b"")  # from here on the server knows the scripts
            await store.lease("other", owner="one", lives=60)
            for act in (
                lambda: store.append(A, [entry(3), entry(4)], after=Seq(2), due=None),
                lambda: store.put("mail", "k", b"v", new=True),
                lambda: store.lease("duty", owner="one", lives=60),
            ):
                lossy.lose = True
                assert await act() is not False
                assert not lossy.lose
            assert [e.seq for e in await store.read(A)] == [1, 2, 3, 4]
            assert not await store.put("mail", "k", b"v", new=True)
            with pytest.raises(Conflict):
                await store.append(A, [entry(3), entry(4)], after=Seq(2), due=None)
            assert lossy.lost == 3
        finally:
            await store.close()


# --- Gone back in time ---------------------------------------------------------------------------


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
    home = layout.tag(layout.bucket_of(A, layout.BUCKETS))
    server.ask("DEL", *server.ask("KEYS", f"{home}*"))

    fresh = await open_store(server.url)
    try:
        assert fresh.log_id != before
        with pytest.raises(WentBack):
            await store.read(B)
        assert store.log_id == fresh.log_id
    finally:
        await fresh.close()


# --- Replicas ------------------------------------------------------------------------------------


async def test_a_message_counts_when_the_replicas_have_it(server: RedisServer):
    with RedisServer(*DURABLE, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        linked(replica)
        store = await open_store(server.url, replicas=1, wait=4.0)
        short = await open_store(server.url, replicas=1, wait=0.05)
        try:
            await asyncio.gather(*(append(store, cid, 1) for cid in MANY))
            replica.pause()
            with pytest.raises(StoreError, match="0 of 1 replicas confirmed"):
                await append(short, A, 1)
            with pytest.raises(Conflict):  # it is there all the same: who asks again finds it
                await append(short, A, 1)
            with pytest.raises(StoreError, match="0 of 1 replicas confirmed"):
                await short.confirm(A)
            replica.go_on()
            await store.confirm(A)
            await append(store, A, 2)
            home = layout.tag(layout.bucket_of(A, layout.BUCKETS))
            assert replica.ask("LLEN", f"{home}log:{A}") == 2
        finally:
            await store.close()
            await short.close()


# --- Several processes ---------------------------------------------------------------------------

WRITER = """
import asyncio, json, sys
from bridge.errors import Conflict
from bridge.store import open_store
from tests.stores import entry
from bridge.events import Said

async def main(url, name, count):
    store = await open_store(url)
    head, won = 0, []
    for number in range(count):
        while True:
            try:
                await store.append("a", [entry(head + 1, Said(text=f"{name} {number}"))], after=head, due=None)
            except Conflict as conflict:
                head = conflict.head
            else:
                head += 1
                won.append(head)
                break
    print(json.dumps(won))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_of_processes_that_append_at_one_head_one_wins(server: RedisServer, store: Store):
    heard = store.changes()
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, server.url, name, "200", stdout=subprocess.PIPE
        )
        for name in ("ann", "ben")
    ]
    outputs = [(await writer.communicate())[0] for writer in writers]

    ann, ben = (json.loads(output) for output in outputs)
    assert sorted(ann + ben) == list(range(1, 401))
    log = await store.read(A)
    assert [e.seq for e in log] == list(range(1, 401))
    assert [log[seq - 1].event.text for seq in ann] == [f"ann {n}" for n in range(200)]
    assert [log[seq - 1].event.text for seq in ben] == [f"ben {n}" for n in range(200)]
    async with asyncio.timeout(PATIENCE):
        while await anext(heard) != Growth(A, Seq(400)):
            pass
