"""With `redis.replicas`, whatever is acknowledged is on a replica: appends, repeats of them, and records."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta

import pytest

from bridge import wire
from bridge.core import Bridge
from bridge.errors import Conflict, StoreError
from bridge.events import ConversationId, Joined, Noted, Opened, Proposal, Said, Seq, Staff, StaffId, Visitor
from bridge.limits import Rate
from bridge.session import Desk, Guest
from bridge.store import Record, Store, open_store
from bridge.store.redis import layout
from tests.between import Between
from tests.eventually import PATIENCE
from tests.redises import DURABLE, RedisServer, linked
from tests.stores import NOW, entry

A = ConversationId("a")
MANY = [ConversationId(f"c{n}") for n in range(40)]
MISSING = "0 of 1 replicas confirmed"


class Pair:
    """A primary with one replica, and the store there for somebody who waits long, or briefly."""

    def __init__(self, primary: RedisServer, replica: RedisServer) -> None:
        self.primary = primary
        self.replica = replica
        self._opened: list[Store] = []

    async def open(self, wait: float, *, url: str = "") -> Store:
        store = await open_store(url or self.primary.url, replicas=1, wait=wait)
        self._opened.append(store)
        return store

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with (
        RedisServer(*DURABLE) as primary,
        RedisServer(*DURABLE, "--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        linked(replica)
        yield primary, replica


@pytest.fixture
async def pair(servers: tuple[RedisServer, RedisServer]) -> AsyncIterator[Pair]:
    primary, replica = servers
    primary.ask("FLUSHALL")
    pair = Pair(primary, replica)
    yield pair
    replica.go_on()
    await pair.close()


async def append(store: Store, cid: ConversationId, seq: int) -> None:
    await store.append(cid, [entry(seq)], after=Seq(seq - 1), due=None)


async def test_a_message_counts_when_the_replicas_have_it(pair: Pair):
    store, short = await pair.open(PATIENCE), await pair.open(0.05)
    await asyncio.gather(*(append(store, cid, 1) for cid in MANY))
    pair.replica.pause()
    with pytest.raises(StoreError, match=MISSING):
        await append(short, A, 1)
    with pytest.raises(Conflict):  # it is there all the same: who asks again finds it
        await append(short, A, 1)
    with pytest.raises(StoreError, match=MISSING):
        await short.confirm(A)
    pair.replica.go_on()
    await store.confirm(A)
    await append(store, A, 2)
    log = layout.key(layout.bucket_of(A, layout.BUCKETS), f"log:{A}")
    assert pair.replica.ask("LLEN", log) == 2


CHANGES: dict[str, Callable[[Store], Awaitable[object]]] = {
    "put": lambda store: store.put("session", "k", b"new", expires_at=NOW + timedelta(days=1)),
    "put new": lambda store: store.put("inbox", "new", b"v", new=True),
    "put all": lambda store: store.put_all("inbox", [Record(key="item/1", value=b"v")]),
    "add": lambda store: store.add("budget", "k", 3),
    "delete": lambda store: store.delete("session", "k"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_record_counts_when_the_replicas_have_it(pair: Pair, change: str):
    """An inbox's item is kept before Slack is answered; what a link or a session is worth, its holder is told."""
    patient = await pair.open(PATIENCE)
    await patient.put("session", "k", b"old")
    pair.replica.pause()

    for _ in range(2):  # on connections that have written nothing yet
        short = await pair.open(0.05)
        with pytest.raises(StoreError, match=MISSING):
            await CHANGES[change](short)

    pair.replica.go_on()
    await CHANGES[change](patient)
    assert pair.replica.dump().keys() == pair.primary.dump().keys()


async def test_what_was_there_before_its_answer_was_lost_counts_when_the_replicas_have_it(pair: Pair):
    async with Between(pair.primary.port) as between:
        patient, store = await pair.open(PATIENCE), await pair.open(0.05, url=between.url)
        await append(patient, A, 1)  # from here on the server knows the scripts
        await patient.add("budget", "k", 1)
        pair.replica.pause()
        for act in (lambda: append(store, A, 2), lambda: store.add("budget", "k", 1)):
            between.lose = True
            with pytest.raises(StoreError, match=MISSING):
                await act()
        assert between.lost == 2
        assert await store.get("budget", "k") == b"2", "it was added once"
        await pair.close()


def desk(bridge: Bridge) -> Desk:
    rate = Rate(1_000, 1)
    return Desk(bridge=bridge, page_url="", visitor_rate=rate, opening_rate=rate, staff_rate=rate)


async def test_a_repeat_counts_when_the_replicas_have_it(pair: Pair):
    """The command whose append failed stands in the log; whoever sends it again is not told that it counts."""
    patient, short = Bridge(store=await pair.open(PATIENCE)), Bridge(store=await pair.open(0.05))
    ann = Guest(cid=A, audience="staff", by=Staff(id=StaffId("ann"), name="Ann"), via="join")
    opening = (Opened(site="acme"), Said(text="hi"))
    await patient.submit(A, Proposal(events=opening, by=Visitor(), via="widget", key="k"))
    await desk(patient).answer(ann, wire.Propose(key="join", events=[Joined()]))
    pair.replica.pause()

    for frame in (
        wire.Command(key="t", line="take", floor=1),
        wire.Propose(key="n", events=[Noted(text="x")]),
    ):
        for _ in range(2):
            with pytest.raises(StoreError, match=MISSING):
                await desk(short).answer(ann, frame)
    pair.replica.go_on()
    assert await desk(patient).answer(ann, wire.Command(key="t", line="take", floor=1)) == wire.Ack(
        key="t", seq=Seq(4)
    )
