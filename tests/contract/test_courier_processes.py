"""Law 10 with several processes: whoever appended it, each entry is delivered once, in order, by one of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
import time

import pytest

from bridge import duty as duties
from bridge import events as ev
from bridge.assistant.prompt import turn_key
from bridge.core import Bridge
from bridge.courier import Courier, Persistence
from bridge.errors import Refused, Retry
from bridge.events import ConversationId, Proposal
from bridge.store import Store
from bridge.surface import Anchor, Inlet, Post
from tests.assistants import CID, World
from tests.eventually import PATIENCE, eventually
from tests.fakes.model import HALT, FakeModel, says
from tests.processes import SHARED, shared
from tests.redises import RedisServer

ANN, BEN = ConversationId("ann"), ConversationId("ben")
UNIT = PATIENCE / 100
QUICK = Persistence(first=0.005, longest=0.02, tell=60, tries=4, give_up=60, scan=3 * UNIT)


class Wall:
    """A surface that all processes write on."""

    name = "wall"

    def __init__(self) -> None:
        self.shown: list[tuple[str, int]] = []
        self.by: list[str] = []
        self.at: list[float] = []

    def of(self, cid: str) -> list[int]:
        return [seq for shown, seq in self.shown if shown == cid]


class Hand:
    """How one process writes on it; `obey` may raise, or wait."""

    name = "wall"

    def __init__(self, wall: Wall, process: str) -> None:
        self.process = process
        self.obey: Callable[[Post], None] = lambda _post: None
        self.halt: asyncio.Event | None = None
        self._wall = wall

    async def run(self, inlet: Inlet) -> None:
        await asyncio.Event().wait()

    async def deliver(self, post: Post) -> Anchor | None:
        self.obey(post)
        self._wall.shown.append((post.cid, post.entry.seq))
        self._wall.by.append(self.process)
        self._wall.at.append(time.monotonic())
        if self.halt is not None:
            await self.halt.wait()
        return Anchor(f"thread of {post.cid}") if post.anchor is None else None


class Process:
    def __init__(self, store: Store, wall: Wall, name: str, *, persistence: Persistence = QUICK) -> None:
        self.bridge = Bridge(store=store)
        self.hand = Hand(wall, name)
        courier = Courier(bridge=self.bridge, surface=self.hand, persistence=persistence)
        self._tasks = [asyncio.create_task(courier.run()), asyncio.create_task(self.bridge.run())]

    async def say(self, cid: ConversationId, *texts: str) -> None:
        for text in texts:
            opening = () if (await self.bridge.state(cid)).head else (ev.Opened(site="acme"),)
            events = (*opening, ev.Said(text=text))
            proposal = Proposal(events=events, by=ev.Visitor(), via="widget", key=text)
            await self.bridge.submit(cid, proposal)

    async def delivered(self, cid: ConversationId) -> bool:
        cursor = await self.bridge.store.cursor("wall", cid)
        return cursor.position == (await self.bridge.state(cid)).head

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture(params=SHARED)
async def stores(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[tuple[Store, Store]]:
    async with shared(request.param, redis_server, tmp_path) as pair:
        yield pair


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def pair(stores: tuple[Store, Store], wall: Wall) -> AsyncIterator[tuple[Process, Process]]:
    one, two = Process(stores[0], wall, "one"), Process(stores[1], wall, "two")
    yield one, two
    await one.stop()
    await two.stop()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "LIVES", 5 * UNIT)
    monkeypatch.setattr(duties, "RENEW", UNIT)


async def test_each_entry_is_delivered_once_in_order_whoever_appended_it(
    pair: tuple[Process, Process], wall: Wall
) -> None:
    one, _ = pair
    cids = [ConversationId(f"c{n}") for n in range(8)]

    async def chat(cid: ConversationId) -> None:
        for n in range(6):
            await pair[n % 2].say(cid, f"{n}a", f"{n}b")

    await asyncio.gather(*map(chat, cids))
    for cid in cids:
        await eventually(lambda cid=cid: one.delivered(cid))
        assert wall.of(cid) == list(range(1, 14))


async def test_what_is_appended_elsewhere_comes_soon(pair: tuple[Process, Process], wall: Wall) -> None:
    """Whichever of them had the lane last."""
    worst = 0.0
    for n in range(10):
        began = time.monotonic()
        await pair[n % 2].say(ANN, f"{n}")
        await eventually(lambda n=n: len(wall.of(ANN)) == n + 2)
        worst = max(worst, wall.at[-1] - began)
    assert worst < PATIENCE / 10


@pytest.mark.usefixtures("brief")
async def test_the_lane_of_a_dead_process_goes_on_elsewhere(
    stores: tuple[Store, Store], pair: tuple[Process, Process], wall: Wall
) -> None:
    one, two = pair
    one.hand.halt = two.hand.halt = asyncio.Event()
    await one.say(ANN, "a", "b", "c")
    await eventually(lambda: wall.by)
    dead, alive = (one, two) if wall.by == ["one"] else (two, one)
    await _kill(stores[0 if dead is one else 1], dead)
    alive.hand.halt = None
    await eventually(lambda: alive.delivered(ANN))
    assert wall.of(ANN) == [1, 1, 2, 3, 4], "what was under way is shown again: at least once, in order"
    assert set(wall.by[1:]) == {alive.hand.process}


async def _kill(store: Store, process: Process) -> None:
    """End it in the middle of what it does; it lets go of nothing."""

    async def release(_duty: str, *, owner: str) -> None:
        assert owner == process.bridge.process

    whole, store.release = store.release, release  # type: ignore[method-assign]
    await process.stop()
    store.release = whole  # type: ignore[method-assign]


@pytest.mark.usefixtures("brief")
async def test_who_lost_the_lane_delivers_nothing_more(pair: tuple[Process, Process], wall: Wall) -> None:
    """It stood still in the middle of an entry, for so long that another went on."""
    one, two = pair
    store = one.bridge.store
    one.hand.halt = asyncio.Event()
    two.hand.obey = lambda _post: (_ for _ in ()).throw(Retry(0.01, "not yet"))
    await one.say(ANN, "a", "b", "c")
    await eventually(lambda: wall.by == ["one"])
    duty, me = "courier:wall/ann", one.bridge.process
    lease = store.lease

    async def stopped(duty: str, *, owner: str, lives: float) -> int | None:
        """What a process that stands still does not do: renew."""
        return None if owner == me else await lease(duty, owner=owner, lives=lives)

    store.lease = stopped  # type: ignore[method-assign]
    await store.release(duty, owner=me)
    fence = await lease(duty, owner="third", lives=30)
    assert fence is not None
    one.hand.halt.set()
    await asyncio.sleep(duties.LIVES + UNIT)
    assert wall.of(ANN) == [1], "neither the first, who lost it, nor the second, who has not got it"
    assert (await store.cursor("wall", ANN)).position == 0, "what was delivered last does not count either"
    two.hand.obey = lambda _post: None
    await store.release(duty, owner="third")
    await eventually(lambda: two.delivered(ANN))
    assert wall.of(ANN) == [1, 1, 2, 3, 4]
    assert set(wall.by[1:]) == {"two"}


@pytest.mark.usefixtures("brief")
async def test_who_lost_the_lane_does_not_try_again(pair: tuple[Process, Process], wall: Wall) -> None:
    one, two = pair
    store, me, tries = one.bridge.store, one.bridge.process, []

    def obey(post: Post) -> None:
        tries.append(post.entry.seq)
        raise Retry(UNIT / 4, "not yet")

    one.hand.obey = obey
    two.hand.obey = lambda _post: (_ for _ in ()).throw(Retry(0.01, "not yet"))
    await one.say(ANN, "a")
    await eventually(lambda: len(tries) > 2)
    lease = store.lease

    async def stopped(duty: str, *, owner: str, lives: float) -> int | None:
        return None if owner == me else await lease(duty, owner=owner, lives=lives)

    store.lease = stopped  # type: ignore[method-assign]
    await store.release("courier:wall/ann", owner=me)
    await lease("courier:wall/ann", owner="third", lives=30)

    async def still() -> bool:
        count = len(tries)
        await asyncio.sleep(2 * UNIT)
        return len(tries) == count

    await eventually(still)
    one.hand.obey = lambda _post: None
    await asyncio.sleep(2 * UNIT)
    assert wall.of(ANN) == []


async def test_a_lane_that_was_busy_is_looked_at_again_soon(stores: tuple[Store, Store], wall: Wall) -> None:
    """The other process may have looked for the last time just before the entry came."""
    one = Process(stores[0], wall, "one", persistence=Persistence(scan=600))
    await stores[1].lease("courier:wall/ann", owner="other", lives=60)
    await one.say(ANN, "a")
    await asyncio.sleep(UNIT)
    assert wall.shown == []
    await stores[1].release("courier:wall/ann", owner="other")
    await eventually(lambda: wall.of(ANN) == [1, 2], within=PATIENCE / 5)
    await one.stop()


async def test_a_stuck_lane_in_one_process_delays_no_other(pair: tuple[Process, Process], wall: Wall) -> None:
    one, two = pair

    def obey(post: Post) -> None:
        if post.cid == ANN and not free:
            raise Retry(0.01, "the wall is wet")

    free = False
    one.hand.obey = two.hand.obey = obey
    await one.say(ANN, "a")
    await two.say(BEN, "a", "b")
    await one.say(BEN, "c")
    await eventually(lambda: wall.of(BEN) == [1, 2, 3, 4])
    assert wall.of(ANN) == []
    free = True
    await two.say(ANN, "b")
    await eventually(lambda: one.delivered(ANN))
    assert wall.of(ANN) == [1, 2, 3]


# --- The assistant -------------------------------------------------------------------------------


@pytest.fixture
async def model() -> AsyncIterator[FakeModel]:
    async with FakeModel().serving() as model:
        yield model


async def test_one_turn_runs_and_gives_one_answer(stores: tuple[Store, Store], model: FakeModel) -> None:
    one, two = World(model, stores[0]), World(model, stores[1])
    two._keys = one._keys
    async with one.running(one.engine()), two.running(two.engine()):
        for n, world in enumerate((one, two, one, two)):
            await world.visitor(f"Question {n}")
            await world.answered(n + 1)
        await one.idle()
        await two.idle()
    assert len(await one.answers()) == 4
    assert len(model.requests) == 4, "the model was asked once for each"


@pytest.mark.usefixtures("brief")
async def test_the_turn_of_a_dead_process_is_answered_once_by_another(
    stores: tuple[Store, Store], model: FakeModel
) -> None:
    model.play(says(f"Half {HALT}"), says("Whole."))
    one, two = World(model, stores[0]), World(model, stores[1])
    dead = one.running(one.engine())
    await dead.__aenter__()
    await one.visitor("Hello")
    await eventually(lambda: one.draft)

    async def release(_duty: str, *, owner: str) -> None:
        assert owner == one.bridge.process

    whole, stores[0].release = stores[0].release, release  # type: ignore[method-assign]
    await dead.__aexit__(None, None, None)
    stores[0].release = whole  # type: ignore[method-assign]
    async with two.running(two.engine()):
        assert await two.answered() == ["Whole."]
        await two.idle()
    assert len(await two.answers()) == 1


async def test_a_turn_has_one_answer_whoever_gives_it(stores: tuple[Store, Store], model: FakeModel) -> None:
    """Though both processes believed that the turn was theirs."""
    one, two = World(model, stores[0]), World(model, stores[1])
    await one.visitor("Hello")
    state = await one.bridge.state(CID)
    await two.bridge.state(CID)
    assert state.owed is not None
    answers = [
        Proposal(
            events=(ev.Said(text=text),), by=ev.Assistant(), via="assistant", key=turn_key(state.owed),
            floor=state.floor.since,
        )
        for text in ("by one", "by two")
    ]  # fmt: skip
    got = await asyncio.gather(
        one.bridge.submit(CID, answers[0]), two.bridge.submit(CID, answers[1]), return_exceptions=True
    )
    (refused,) = [answer for answer in got if isinstance(answer, Refused)]
    assert refused.code == "key_reused"
    assert len(await one.answers()) == 1
