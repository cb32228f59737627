"""The store in Redis when things go wrong around it: real servers that are killed, emptied, full, unsafe."""

import asyncio
from collections.abc import AsyncIterator, Iterator
import json
from pathlib import Path
import re
import subprocess
import sys

import pytest
from redis.asyncio.client import PubSub

from bridge.errors import Conflict, StoreError, WentBack
from bridge.events import ConversationId, Seq
from bridge.store import Growth, Store, duty_of, open_store
from bridge.store.redis import clients, layout, link
from tests.between import Between
from tests.eventually import PATIENCE, eventually
from tests.redises import DURABLE, RedisServer
from tests.running import free_port
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
        (("--appendonly", "yes", "--appendfsync", "no"), "set `appendfsync everysec`"),
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


async def test_a_server_that_was_started_without_its_file_is_refused_until_it_has_one(
    server: RedisServer, store: Store
):
    await append(store, A, 1)
    server.kill()
    server.options = ("--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
    await asyncio.to_thread(server.start)
    with pytest.raises(
        StoreError, match=r"not safe for a log: .*appendonly yes.*maxmemory-policy noeviction"
    ):
        await append(store, B, 1)
    assert server.ask("DBSIZE") == 0

    server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction", "appendonly", "yes")
    await eventually(lambda: _takes(store))
    assert await store.heads([A, B]) == {B: 1}, "it had forgotten A"


async def _takes(store: Store) -> bool:
    try:
        await append(store, B, 1)
    except WentBack:
        return False
    return True


async def test_a_user_without_the_right_to_channels_is_told_what_to_grant(server: RedisServer):
    server.ask("ACL", "SETUSER", "jo", "on", ">pw", "resetchannels", "~joinline:*", "+@all")
    url = f"redis://jo:pw@127.0.0.1:{server.port}/0"
    with pytest.raises(StoreError, match="give that user what Joinline needs") as refused:
        await open_store(url)
    grant = str(refused.value).partition("ACL SETUSER NAME ")[2].split()

    for lacks in ((), ("-config",)):  # who may not look at the configuration must know it
        server.ask("ACL", "SETUSER", "jo", "reset", "on", ">pw", *grant, *lacks)
        one, two = await open_store(url), await open_store(url)
        heard = two.changes()
        await grow(one, A, 2, due=NOW)
        assert (await anext(heard)).cid == A
        await one.put("mail", "k", b"v", expires_at=NOW)
        assert await two.behind("slack") == [A]
        assert (await two.standings([A]))[A].head
        assert await two.purge(NOW) == 1
        assert await two.others() == 1
        await one.close()
        await two.close()


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


async def test_a_server_is_reached_over_tls_with_the_certificate_of_its_own_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ("-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1")
    request = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject)
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    port = free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with RedisServer(*DURABLE, *tls, "--tls-auth-clients", "no") as server:
        server.ask("CONFIG", "SET", "requirepass", "hunter2")
        url = f"rediss://:hunter2@127.0.0.1:{port}/0"
        with pytest.raises(StoreError, match=r"certificate verify failed.*SSL_CERT_FILE"):
            await open_store(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        store = await open_store(url)
        other = await open_store(url)
        heard = other.changes()
        await grow(store, A)
        assert (await anext(heard)).cid == A
        await other.close()
        await store.close()


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


@pytest.mark.parametrize(("stumbles", "times"), [("subscribe", 2), ("get_message", 2), ("aclose", 1)])
async def test_wake_ups_come_again_whatever_the_client_stumbled_over(
    server: RedisServer, store: Store, monkeypatch: pytest.MonkeyPatch, stumbles: str, times: int
):
    """It may find its connection closed while it uses it."""
    heard, told = store.changes(), store.told()
    stumbled = asyncio.Event()

    async def stumble(*_: object, **__: object) -> None:
        nonlocal times
        times -= 1
        if not times:
            monkeypatch.undo()
            stumbled.set()
        raise AttributeError("'NoneType' object has no attribute 'write'")

    monkeypatch.setattr(PubSub, stumbles, stumble)
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    async with asyncio.timeout(PATIENCE):
        await stumbled.wait()
    other = await open_store(server.url)
    try:

        async def call() -> None:
            while True:
                await grow(other, A)
                await other.tell("topic", b"message")
                await asyncio.sleep(0.02)

        calling = asyncio.create_task(call())
        async with asyncio.timeout(PATIENCE):
            assert (await anext(heard)).cid == A
            assert await anext(told) == ("topic", b"message")
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
    finally:
        await other.close()


async def test_scripts_that_the_server_forgot_are_sent_again(server: RedisServer, store: Store):
    server.ask("SCRIPT", "FLUSH")

    await asyncio.gather(*(grow(store, cid) for cid in MANY))

    assert await store.heads(MANY) == dict.fromkeys(MANY, 1)


async def test_every_key_that_a_script_touches_is_declared(server: RedisServer, store: Store):
    """A Cluster that moves them then refuses the script before it has done anything."""
    other = await open_store(server.url)
    with server.client() as client, client.monitor() as monitor:
        for one, surface in ((store, "slack"), (other, "mail")):
            await grow(one, A, 2, due=NOW)
            await one.read(A)
            await one.confirm(A)
            await one.arm(A, NOW, head=Seq(2))
            await one.due(NOW)
            await one.behind(surface)
            fence = await one.lease(duty_of(surface, A), owner="one", lives=60)
            assert fence is not None
            lease = (duty_of(surface, A), fence)
            await one.advance(surface, A, position=Seq(1), anchor="171.1", lease=lease)
            await one.advance(surface, A, position=Seq(2), anchor="171.2", lease=lease)
            await grow(one, A)
            await one.release(duty_of(surface, A), owner="one")
            await one.put("mail", "k", b"v", expires_at=NOW)
            await one.add("mail", "n", 1, expires_at=NOW)
            await one.scan("mail")
            await one.delete("mail", "k")
            await one.purge(NOW)
            await one.tell("topic", b"")
        client.set("the end", "")
        declared: set[str] = set()
        touched = 0
        while b"the end" not in (line := monitor.connection.read_response()):
            words = [word.decode() for word in re.findall(rb'"((?:[^"\\]|\\.)*)"', line)]
            if b" lua] " not in line:
                declared = set(words[3 : 3 + int(words[2])]) if words[0].startswith("EVAL") else set()
            elif words[0] not in ("TIME", "PUBLISH"):
                keys = {*server.ask("COMMAND GETKEYS", *words)}
                assert keys <= declared, words
                touched += 1
    assert touched > 100
    await other.close()


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


async def test_what_was_carried_out_without_an_answer_is_known_again(server: RedisServer):
    async with Between(server.port) as between:
        store = await open_store(between.url)
        try:
            await grow(store, A, 2)
            await store.put("mail", "other", b"")  # from here on the server knows the scripts
            await store.lease("other", owner="one", lives=60)
            for act in (
                lambda: store.append(A, [entry(3), entry(4)], after=Seq(2), due=None),
                lambda: store.put("mail", "k", b"v", new=True),
                lambda: store.lease("duty", owner="one", lives=60),
            ):
                between.lose = True
                assert await act() is not False
                assert not between.lose
            assert [e.seq for e in await store.read(A)] == [1, 2, 3, 4]
            assert not await store.put("mail", "k", b"v", new=True)
            with pytest.raises(Conflict):
                await store.append(A, [entry(3), entry(4)], after=Seq(2), due=None)
            assert between.lost == 3
        finally:
            await store.close()


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
