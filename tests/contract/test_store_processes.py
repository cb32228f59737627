"""What the store promises to several who share it: leases, fences, and what they tell each other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.errors import LeaseLost, StoreError
from bridge.events import ConversationId, Seq
from bridge.store import Cursor, Growth, Store, duty_of
from tests.eventually import PATIENCE, eventually
from tests.redises import RedisServer, flush
from tests.stores import ENGINES, Place, grow

A, B = ConversationId("a"), ConversationId("b/c")
SLACK = duty_of("slack", A)
LONG = 60.0


@pytest.fixture
async def place(tmp_path: Path, redis_server: RedisServer) -> Place:
    await flush(redis_server)
    return Place(tmp_path, redis_server.url)


@pytest.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Store]:
    store = await ENGINES[request.param](place)
    yield store
    await store.close()


@pytest.fixture
async def pair(place: Place) -> AsyncIterator[tuple[Store, Store]]:
    """The engine that several processes may share, opened twice."""
    one, two = await ENGINES["redis"](place), await ENGINES["redis"](place)
    yield one, two
    await one.close()
    await two.close()


# --- Leases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("duty", [SLACK, duty_of("slack", B), "telegram-poller", "", "a/b/c", "ünï/📨"])
async def test_one_has_a_duty_and_others_have_not(store: Store, duty: str):
    fence = await store.lease(duty, owner="one", lives=LONG)

    assert fence is not None
    assert fence > 0
    assert await store.lease(duty, owner="two", lives=LONG) is None
    assert await store.lease(f"{duty}x", owner="two", lives=LONG) is not None


async def test_who_keeps_a_duty_keeps_its_fence(store: Store):
    fences = {await store.lease(SLACK, owner="one", lives=LONG) for _ in range(3)}

    assert len(fences) == 1
    assert None not in fences


async def test_of_many_who_want_a_duty_one_gets_it(store: Store):
    got = await asyncio.gather(*(store.lease(SLACK, owner=f"{n}", lives=LONG) for n in range(30)))

    assert sum(fence is not None for fence in got) == 1


async def test_a_duty_that_is_let_go_is_free_and_its_next_fence_is_higher(store: Store):
    fences = []
    for turn in range(4):
        owner = f"owner {turn % 2}"
        fences.append(await store.lease(SLACK, owner=owner, lives=LONG) or 0)
        await store.release(SLACK, owner="somebody else")
        assert await store.lease(SLACK, owner="third", lives=LONG) is None
        await store.release(SLACK, owner=owner)

    assert fences == sorted(set(fences))
    assert fences[0] > 0


async def test_a_duty_that_ran_out_goes_to_whoever_comes(store: Store):
    first = await store.lease(SLACK, owner="one", lives=0.05)
    second = await eventually(lambda: store.lease(SLACK, owner="two", lives=LONG))

    assert first is not None
    assert second is not None
    assert second > first
    assert await store.lease(SLACK, owner="one", lives=LONG) is None


async def test_a_duty_that_ran_out_and_nobody_took_goes_on(store: Store):
    await grow(store, A)
    fence = await store.lease(SLACK, owner="one", lives=0.001)
    await asyncio.sleep(0.01)
    assert fence is not None

    await store.advance("slack", A, position=Seq(1), lease=(SLACK, fence))

    assert await store.cursor("slack", A) == Cursor(position=Seq(1))
    assert await store.lease(SLACK, owner="one", lives=LONG) == fence


async def test_a_cursor_moves_only_under_the_fence_that_holds(store: Store):
    await grow(store, A, 3)
    old = await store.lease(SLACK, owner="one", lives=LONG)
    assert old is not None
    await store.advance("slack", A, position=Seq(1), anchor="1.1", lease=(SLACK, old))
    await store.release(SLACK, owner="one")
    with pytest.raises(LeaseLost):
        await store.advance("slack", A, position=Seq(2), lease=(SLACK, old))

    new = await store.lease(SLACK, owner="two", lives=LONG)
    assert new is not None
    with pytest.raises(LeaseLost):
        await store.advance("slack", A, position=Seq(2), anchor="1.2", lease=(SLACK, old))
    with pytest.raises(LeaseLost):
        await store.advance("slack", A, position=Seq(2), lease=(duty_of("email", A), new))
    assert await store.cursor("slack", A) == Cursor(position=Seq(1), anchor="1.1")
    assert await store.find_anchor("slack", "1.2") is None
    assert await store.behind("slack") == [A]

    await store.advance("slack", A, position=Seq(3), lease=(SLACK, new))
    assert await store.cursor("slack", A) == Cursor(position=Seq(3), anchor="1.1")
    assert await store.behind("slack") == []


async def test_a_duty_of_something_else_is_a_fault_of_the_caller(store: Store):
    fence = await store.lease("slack", owner="one", lives=LONG)
    assert fence is not None

    for duty in ("slack", duty_of("slack", B)):
        with pytest.raises(ValueError, match="no duty of conversation a"):
            await store.advance("slack", A, position=Seq(1), lease=(duty, fence))


async def test_a_closed_store_leases_and_tells_nothing(store: Store):
    await store.close()

    for call in (
        store.lease(SLACK, owner="one", lives=LONG),
        store.release(SLACK, owner="one"),
        store.tell("topic", b""),
    ):
        with pytest.raises(StoreError, match="closed"):
            await call


async def test_a_duty_is_one_for_all_who_share_the_store(pair: tuple[Store, Store]):
    one, two = pair
    fence = await one.lease(SLACK, owner="one", lives=LONG)
    assert fence is not None

    assert await two.lease(SLACK, owner="two", lives=LONG) is None
    await two.advance("slack", A, position=Seq(1), lease=(SLACK, fence))

    await one.release(SLACK, owner="one")
    assert (await two.lease(SLACK, owner="two", lives=LONG) or 0) > fence
    with pytest.raises(LeaseLost):
        await one.advance("slack", A, position=Seq(2), lease=(SLACK, fence))


async def test_a_duty_is_not_kept_by_a_clock_that_was_ahead(
    pair: tuple[Store, Store], redis_server: RedisServer
):
    """The dead one had it from a primary whose clock was an hour ahead of the one that took over."""
    one, two = pair
    fence = await one.lease(SLACK, owner="dead", lives=LONG)
    (key,) = redis_server.ask("KEYS", f"*lease:{SLACK}")
    until = int(redis_server.ask("HGET", key, "until"))
    redis_server.ask("HSET", key, "until", until - 1_000_000)
    assert await two.lease(SLACK, owner="two", lives=0.1) is None, "however short the other's would be"
    redis_server.ask("HSET", key, "until", until + 3_600_000_000)

    assert (await two.lease(SLACK, owner="two", lives=LONG) or 0) > (fence or 0)
    assert await one.lease(SLACK, owner="dead", lives=LONG) is None


# --- Telling the others --------------------------------------------------------------------------


async def test_what_is_told_ends_with_the_store(store: Store):
    listener = store.told()
    await store.tell("topic", b"message")
    await store.close()

    async with asyncio.timeout(PATIENCE):
        assert [told async for told in listener] == [], "nobody hears what they said themselves"
        assert [told async for told in store.told()] == []


async def test_the_others_are_told(pair: tuple[Store, Store]):
    one, two = pair
    await one.tell("topic", b"before anybody listened")
    first, second = two.told(), two.told()
    messages = [("topic", b"\x00\xff"), ("ünï/📨", b""), ("topic", b"x" * 100_000)]
    for topic, message in messages:
        await one.tell(topic, message)

    async with asyncio.timeout(PATIENCE):
        for listener in (first, second):
            heard = [await anext(listener) for _ in range(3)]
            assert [told for told in heard if told[1] != b"before anybody listened"] == messages[: len(heard)]


async def test_a_growth_is_heard_by_all_who_share_the_store(pair: tuple[Store, Store]):
    one, two = pair
    here, there = one.changes(), two.changes()
    await grow(one, A, 2)
    await grow(two, B)

    async with asyncio.timeout(PATIENCE):
        for listener in (here, there):
            assert {await anext(listener), await anext(listener)} == {Growth(A, Seq(2)), Growth(B, Seq(1))}
