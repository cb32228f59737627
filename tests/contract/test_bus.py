"""What one process tells the others: shown there within moments, and made good where it was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

from msgspec import json
import pytest

from bridge import bus as buses
from bridge import wire
from bridge.bus import ROOM, TOPIC, Bus, Told
from bridge.elsewhere import GONE
from bridge.errors import FrameError
from bridge.events import ConversationId, Seq
from bridge.limits import Places, Rate
from bridge.pulse import Draft, Pulse, Signal, StopWanted, Typing
from bridge.session import Ending
from bridge.store import Store
from tests.eventually import eventually
from tests.logs import ANN, SAM, START, VISITOR
from tests.processes import SHARED, SharedMemory, shared
from tests.redises import RedisServer

CID, OTHER = ConversationId("c1"), ConversationId("c2")
REPLACED = Ending(code=4401, reason="replaced", sessions=("digest",))
REVOKED = Ending(code=4410, reason="revoked", link="mark", previews=True)


class Process:
    """A bus with all that it carries; its time is moved by the test."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.passed = 0.0
        self.pulse = Pulse(self.clock)
        self.rate = Rate(3, 3600, clock=lambda: self.passed)
        self.places = Places(100, clock=self.clock)
        self.ended: list[Ending] = []
        self.bus = Bus(
            store=store, pulse=self.pulse, process=name, end=self.ended.append, rates={"visitor": self.rate},
            places=self.places, clock=lambda: self.passed,
        )  # fmt: skip
        self._task: asyncio.Task[None] | None = None

    def clock(self):
        return START + timedelta(seconds=self.passed)

    async def start(self) -> "Process":
        self._task = asyncio.create_task(self.bus.run())
        await asyncio.sleep(0)
        return self

    async def stop(self) -> None:
        """As when it is killed: what it had is told to nobody."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def draft(self) -> str:
        """What somebody who comes now is shown of the draft."""
        heard: list[Signal] = []
        with self.pulse.listen(CID, heard.append):
            return "".join(s.text for s in heard if isinstance(s, wire.Draft))

    def full(self, key: str, most: int) -> bool:
        try:
            with self.places.take((key, most)):
                return False
        except FrameError:
            return True


@pytest.fixture(params=SHARED)
async def stores(
    request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[tuple[Store, Store]]:
    async with shared(request.param, redis_server, tmp_path) as pair:
        yield pair


@pytest.fixture
async def pair(stores: tuple[Store, Store]) -> AsyncIterator[tuple[Process, Process]]:
    one, two = await Process(stores[0], "one").start(), await Process(stores[1], "two").start()
    yield one, two
    await one.stop()
    await two.stop()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "BEAT", 0.005)


async def test_what_happens_here_is_shown_there(pair: tuple[Process, Process]):
    one, two = pair
    heard: list[Signal] = []
    own: list[Signal] = []
    draft = Draft(turn=Seq(2), since=Seq(1))
    with two.pulse.listen(CID, heard.append), one.pulse.listen(CID, own.append):
        one.pulse.publish(CID, Typing(by=VISITOR, on=True))
        one.pulse.publish(CID, StopWanted())
        one.pulse.publish(OTHER, StopWanted())
        for text in ("It costs ", "five ", "euros."):
            one.pulse.stream(CID, draft, text)
        one.pulse.end_draft(CID, draft, "done")
        await eventually(lambda: len(heard) == 6)
        assert heard == own, "in its order, once, and nobody hears what they said themselves"


async def test_who_comes_late_to_another_process_is_shown_the_draft(pair: tuple[Process, Process]):
    one, two = pair
    draft = Draft(turn=Seq(2), since=Seq(1))
    one.pulse.stream(CID, draft, "It costs ")
    one.pulse.stream(CID, draft, "five")
    await eventually(lambda: two.draft() == "It costs five")
    one.pulse.end_draft(CID, draft, "stopped")
    await eventually(lambda: two.draft() == "")


async def test_a_process_that_starts_is_told_what_there_is(stores: tuple[Store, Store]):
    soon = buses.BEAT * buses.WHOLE / 2  # sooner than it would be told anyway
    one = await Process(stores[0], "one").start()
    one.pulse.stream(CID, Draft(turn=Seq(2), since=Seq(1)), "It costs")
    with one.pulse.present(CID, ANN), one.places.take(("ann", 1)):
        await eventually(lambda: one.bus._out.empty() and not one.bus._moved)
        await one.store.tell("another topic", b"")  # behind all that it has told before
        two = await Process(stores[1], "two").start()
        await eventually(lambda: two.pulse.here(CID) == [ANN], within=soon)
        await eventually(lambda: two.draft() == "It costs", within=soon)
        await eventually(lambda: two.full("ann", 1), within=soon)
    await one.stop()
    await two.stop()


async def test_who_is_connected_anywhere_is_here(pair: tuple[Process, Process]):
    one, two = pair
    with ExitStack() as there, two.pulse.present(CID, SAM):
        there.enter_context(one.pulse.present(CID, ANN))
        await eventually(lambda: ANN in two.pulse.here(CID) and SAM in one.pulse.here(CID))
        two.passed = 60.0
        there.close()
        await eventually(lambda: two.pulse.here(CID) == [SAM])
        assert two.pulse.absent_since(CID, ANN) == two.clock()
    await eventually(lambda: one.pulse.here(CID) == [])


@pytest.mark.usefixtures("hurried")
async def test_what_was_lost_comes_with_a_heartbeat():
    store = SharedMemory()
    one, two = await Process(store, "one").start(), await Process(store.beside(), "two").start()
    draft = Draft(turn=Seq(2), since=Seq(1))
    store.deaf = True
    with one.pulse.present(CID, ANN), one.places.take(("ann", 1)):
        one.pulse.stream(CID, draft, "It costs ")
        one.bus.publish_end(REVOKED)
        await eventually(one.bus._out.empty)
        assert (two.pulse.here(CID), two.draft(), two.ended, two.full("ann", 1)) == ([], "", [], False)
        store.deaf = False
        one.pulse.stream(CID, draft, "five")
        await eventually(lambda: two.pulse.here(CID) == [ANN])
        await eventually(lambda: two.draft() == "It costs five")
        await eventually(lambda: two.ended)
        await eventually(lambda: two.full("ann", 1))
        one.passed = buses.REPEATED + 1
        await eventually(lambda: not one.bus._endings)
        store.deaf = True
    two.passed = GONE.total_seconds() + 1
    await eventually(lambda: two.pulse.here(CID) == [] and not two.full("ann", 1))
    await one.stop()
    await two.stop()


@pytest.mark.usefixtures("hurried")
async def test_a_dead_process_has_no_connections(pair: tuple[Process, Process]):
    one, two = pair
    with one.pulse.present(CID, ANN), one.places.take(("ann", 1)):
        await eventually(lambda: two.pulse.here(CID) == [ANN] and two.full("ann", 1))
        await one.stop()
        last = two.passed

        def free() -> bool:
            two.passed += 0.5  # by and by: the last words of the dead may still be on their way
            return not two.full("ann", 1)

        await eventually(free)
        assert two.passed - last > buses.DEAD
        assert two.pulse.here(CID) == [ANN], "the person may come back before anybody misses them"
        two.passed += GONE.total_seconds() + 1
        await eventually(lambda: two.pulse.here(CID) == [])
        assert two.pulse.absent_since(CID, ANN) == two.clock()


@pytest.mark.usefixtures("hurried")
async def test_a_living_process_keeps_what_it_has(pair: tuple[Process, Process]):
    one, two = pair
    with one.pulse.present(CID, ANN), one.places.take(("ann", 1)):
        await eventually(lambda: two.pulse.here(CID) == [ANN])
        for _ in range(10):
            two.passed += buses.DEAD - 1
            told = two.store.told()
            async with asyncio.timeout(10):
                async for _, message in told:
                    if json.decode(message, type=Told).here:
                        break
            await eventually(lambda: two.bus._heard.get("one") == two.passed)
            assert two.pulse.here(CID) == [ANN]
            assert two.full("ann", 1)


async def test_limits_are_one_for_all(pair: tuple[Process, Process]):
    one, two = pair
    assert [one.rate.take("ann"), one.rate.take("ann")] == [0, 0]
    await eventually(lambda: two.rate._buckets.get("ann") == (1.0, 0.0))
    assert two.rate.take("ann") == 0
    assert two.rate.take("ann") > 0
    assert two.rate.take("ben") == 0

    with ExitStack() as tabs:
        for _ in range(3):
            tabs.enter_context(one.places.take(("ann", 5), ("address", 20)))
        for _ in range(2):
            tabs.enter_context(two.places.take(("ann", 5)))
        await eventually(lambda: one.full("ann", 5) and two.full("ann", 5))
        assert not one.full("address", 4)
    await eventually(lambda: not one.full("ann", 1) and not two.full("ann", 1))


async def test_sessions_end_everywhere(pair: tuple[Process, Process]):
    one, two = pair
    one.bus.publish_end(REPLACED)
    two.bus.publish_end(REVOKED)
    await eventually(lambda: one.ended and two.ended)
    assert ({*one.ended}, {*two.ended}) == ({REVOKED}, {REPLACED}), "its own have ended before"


async def test_a_full_queue_loses_pulses_and_never_an_ending(stores: tuple[Store, Store]):
    one, two = Process(stores[0], "one"), await Process(stores[1], "two").start()
    heard: list[Signal] = []
    with two.pulse.listen(CID, heard.append):
        for _ in range(ROOM + 500):
            one.pulse.publish(CID, StopWanted())
        one.bus.publish_end(REPLACED)
        one.bus.publish_end(REVOKED)
        await one.start()
        await eventually(lambda: two.ended[:2] == [REPLACED, REVOKED])
    assert len(heard) == ROOM
    await one.stop()
    await two.stop()


@pytest.mark.parametrize(
    "message",
    [
        b'{"sender":"two","cid":"c1","stop":true}', b"", b"not json", b"\xff", b"[]", b"{}", b'{"sender":1}',
        b'{"sender":"new","cid":"c1","typing":{"by":{"type":"Robot"},"on":true}}',
        b'{"sender":"new","here":{"c1":[{"type":"Robot"}]}}', b'{"sender":"new","places":{"ann":"many"}}',
    ],
)  # fmt: skip
async def test_what_is_not_understood_is_ignored(pair: tuple[Process, Process], message: bytes):
    one, two = pair
    heard: list[Signal] = []
    with two.pulse.listen(CID, heard.append):
        await one.store.tell(TOPIC, message)
        await one.store.tell("another topic", b'{"sender":"x","cid":"c1","stop":true}')
        await one.store.tell(
            TOPIC, b'{"sender":"new","cid":"c1","stop":true,"of":"a newer version","took":{"x":{"y":1}}}'
        )
        await eventually(lambda: heard == [StopWanted()])
