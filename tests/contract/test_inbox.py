"""What a platform sends is kept before it is acknowledged, and handled once, in each lane's order."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
import os
from pathlib import Path
import subprocess
import sys
import textwrap

import pytest

from bridge.errors import Retry, StoreError
from bridge.store import Record, Store, open_store
from bridge.store.memory import MemoryStore
from connectors.threads.inbox import GIVE_UP, LONGEST, SEEN_FOR, TRIES, Early, Inbox, Item
from tests.eventually import PATIENCE
from tests.virtual import virtually

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Trouble(MemoryStore):
    """A memory store that can be told to fail, or to be slow, in everything it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.gate: asyncio.Event | None = None

    async def _write(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise StoreError("the disk is full")

    async def put_all(self, space: str, batch: Sequence[Record]) -> None:
        await self._write()
        await super().put_all(space, batch)

    async def put(
        self, space: str, key: str, value: bytes, *, expires_at: datetime | None = None, new: bool = False
    ) -> bool:
        await self._write()
        return await super().put(space, key, value, expires_at=expires_at, new=new)


class Post:
    """An inbox and what came of its items. `obey` is what handling does beside being noted."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Trouble()
        self.now = START
        self.tried: list[str] = []
        self.handled: list[str] = []
        self.obey: Callable[[str], Awaitable[None]] = _nothing
        self.inbox = self.anew()

    def anew(self) -> Inbox:
        """As after a restart."""
        self.inbox = Inbox(store=self.store, name="test", clock=lambda: self.now, handle=self._handle)
        return self.inbox

    async def _handle(self, body: bytes) -> None:
        name = body.decode()
        self.tried.append(name)
        await self.obey(name)
        self.handled.append(name)

    async def arrives(self, *names: str, lane: str = "", position: bytes | None = None) -> None:
        """Items named by their key; the letters before a digit are the lane."""
        items = [Item(key=n, lane=lane or n.rstrip("0123456789"), body=n.encode()) for n in names]
        await self.inbox.accept(items, position=position)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.inbox.run())
        try:
            yield
            assert not task.done(), "it runs until cancelled"
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, *names: str) -> None:
        pause = 0.01
        async with asyncio.timeout(GIVE_UP * 3):
            while not all(name in self.handled for name in names):
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)  # in virtual time, an hour is as short as a second

    async def rest(self) -> None:
        """Until nothing waits any more."""
        pause = 0.01
        async with asyncio.timeout(GIVE_UP * 3):
            while await self.store.scan("test-inbox", "item/"):
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)


async def _nothing(_name: str) -> None:
    pass


@virtually
async def test_an_item_is_kept_before_accept_returns():
    post = Post()
    gate = post.store.gate = asyncio.Event()
    arriving = asyncio.create_task(post.arrives("a1", position=b"7"))
    await asyncio.sleep(5)
    assert not arriving.done(), "not acknowledged"
    gate.set()
    await arriving
    assert [r.key for r in await post.store.scan("test-inbox")] == ["item/a1", "position"]
    async with post.running():
        await post.until("a1")


@virtually
async def test_what_cannot_be_kept_is_not_acknowledged_and_comes_again():
    post = Post()
    async with post.running():
        post.store.down = True
        with pytest.raises(StoreError):
            await post.arrives("a1", position=b"2")
        await asyncio.sleep(5)
        assert post.tried == []
        assert await post.inbox.position() is None
        post.store.down = False
        await post.arrives("a1", position=b"2")
        await post.until("a1")
    assert await post.inbox.position() == b"2"


@virtually
async def test_who_hangs_up_in_the_middle_of_a_commit_loses_nothing():
    post = Post()
    async with post.running():
        gate = post.store.gate = asyncio.Event()
        arriving = asyncio.create_task(post.arrives("a1", position=b"1"))
        await asyncio.sleep(1)
        arriving.cancel()
        await asyncio.sleep(1)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await arriving
        await post.until("a1")


@virtually
async def test_a_repeat_is_dropped_while_the_first_waits_and_for_seven_days_after():
    post = Post()
    go = asyncio.Event()

    async def obey(_name: str) -> None:
        await go.wait()

    post.obey = obey
    async with post.running():
        await post.arrives("a1", "a1")
        await post.arrives("a1")
        await asyncio.sleep(1)
        assert not await post.inbox.handled("a1")
        go.set()
        await post.rest()
        assert await post.inbox.handled("a1")
        post.now += SEEN_FOR - timedelta(seconds=1)
        await post.arrives("a1")
        await asyncio.sleep(5)
        assert post.handled == ["a1"]
        post.now += timedelta(seconds=2)
        await post.arrives("a1")
        await post.rest()
    assert post.handled == ["a1", "a1"], "after that it would be a new one"
    assert timedelta(days=7) <= SEEN_FOR


@virtually
async def test_each_lane_keeps_its_order_and_waits_for_no_other():
    post = Post()
    stuck = asyncio.Event()

    async def obey(name: str) -> None:
        if name == "a1":
            await stuck.wait()
        await asyncio.sleep(0.01 if int(name[1:]) % 2 else 0.03)

    post.obey = obey
    async with post.running():
        for number in range(1, 6):
            await post.arrives(f"a{number}", f"b{number}", f"c{number}")
        await post.until("b5", "c5")
        assert [n for n in post.handled if n[0] == "a"] == []
        stuck.set()
        await post.rest()
    for lane in "abc":
        assert [n for n in post.handled if n[0] == lane] == [f"{lane}{n}" for n in range(1, 6)]


@virtually
async def test_what_comes_too_early_lets_others_pass_and_is_tried_when_they_are_done():
    post = Post()
    tried_at: list[float] = []
    loop = asyncio.get_running_loop()

    async def obey(name: str) -> None:
        if name == "a1":
            tried_at.append(loop.time())
            if "a3" not in post.handled:
                raise Early

    post.obey = obey
    async with post.running():
        await post.arrives("a1", "a2")
        await post.until("a2")
        await asyncio.sleep(20)
        before = loop.time()
        await post.arrives("a3", "a4")
        await post.rest()
        assert loop.time() - before < 0.1, "not only after the next pause"
    assert post.handled == ["a2", "a3", "a1", "a4"]


@virtually
async def test_however_much_passes_by_what_is_early_has_its_time():
    post = Post()

    async def obey(name: str) -> None:
        if name == "a1" and "a99" not in post.handled:
            raise Early

    post.obey = obey
    async with post.running():
        await post.arrives(*[f"a{n}" for n in range(1, 100)])
        await post.rest()
    assert post.handled[-1] == "a1"
    assert await post.store.scan("test-parked") == []


@virtually
async def test_what_stays_too_early_is_given_up_in_the_end():
    post = Post()

    async def obey(name: str) -> None:
        if name == "a1":
            raise Early

    post.obey = obey
    async with post.running():
        before = asyncio.get_running_loop().time()
        await post.arrives("a1")
        await post.rest()
        assert GIVE_UP <= asyncio.get_running_loop().time() - before <= GIVE_UP + 2 * LONGEST
    assert await post.inbox.handled("a1")


@virtually
async def test_poison_is_parked_and_the_next_flow():
    post = Post()

    async def obey(name: str) -> None:
        if name == "a1":
            raise TimeoutError("the platform does not answer")

    post.obey = obey
    async with post.running():
        await post.arrives("a1", "a2", "b1")
        await post.until("b1")
        assert "a2" not in post.handled, "its lane waits for it"
        await post.until("a2")
        await post.rest()
        assert post.tried.count("a1") == TRIES
        assert [(r.key, r.value) for r in await post.store.scan("test-parked")] == [("a1", b"a1")]
        await post.arrives("a1")
        await asyncio.sleep(60)
        assert post.tried.count("a1") == TRIES, "it is a repeat"
        assert await post.inbox.handled("a1")


@virtually
async def test_the_platforms_trouble_never_gives_an_item_up():
    post = Post()
    over = asyncio.get_running_loop().time() + 3 * GIVE_UP

    async def obey(name: str) -> None:
        if name == "a1" and asyncio.get_running_loop().time() < over:
            raise Retry(2.0, "the platform does not say who wrote it")

    post.obey = obey
    async with post.running():
        await post.arrives("a1", "a2", "b1")
        await asyncio.sleep(GIVE_UP)
        assert post.handled == ["b1"], "its own lane waits, no other does"
        await post.rest()
    assert post.handled == ["b1", "a1", "a2"]
    assert post.tried.count("a1") < 60, "it does not hammer"


@virtually
async def test_who_waited_long_behind_another_has_its_own_tries():
    post = Post()

    async def obey(name: str) -> None:
        if name == "a1":
            await asyncio.sleep(GIVE_UP + 1)
        if name == "a2" and post.tried.count("a2") < 3:
            raise ValueError("not yet")

    post.obey = obey
    async with post.running():
        await post.arrives("a1", "a2")
        await post.rest()
    assert post.handled == ["a1", "a2"]
    assert await post.store.scan("test-parked") == []


@pytest.mark.parametrize("where", ["handling", "noting that it was handled", "parking"])
@virtually
async def test_the_stores_trouble_never_gives_an_item_up(where: str):
    post = Post()
    go = asyncio.Event()

    async def obey(name: str) -> None:
        await go.wait()
        if where == "handling" and post.store.down:
            raise StoreError("the disk is full")
        if where == "parking" and name == "a1":
            raise ValueError("poison")

    post.obey = obey
    async with post.running():
        await post.arrives("a1", "a2")
        post.store.down = True
        go.set()
        await asyncio.sleep(GIVE_UP * 20)
        assert len(await post.store.scan("test-inbox", "item/")) == 2
        post.store.down = False
        await post.rest()
    parked = [r.key for r in await post.store.scan("test-parked")]
    assert parked == (["a1"] if where == "parking" else [])
    assert post.handled == (["a2"] if where == "parking" else ["a1", "a2"])


@virtually
async def test_a_restart_handles_what_was_kept_in_its_order_once_each():
    post = Post()
    go = asyncio.Event()

    async def obey(name: str) -> None:
        if name != "a1":
            await go.wait()

    post.obey = obey
    await post.arrives("a1", "a2")
    async with post.running():
        await post.arrives("a3", "b1")
        await post.until("a1")
    go.set()
    await post.arrives("a4")  # between two runs
    post.anew()
    await post.arrives("a2", "a5")  # the platform repeats itself to the new process
    async with post.running():
        await post.rest()
    assert [n for n in post.handled if n[0] == "a"] == ["a1", "a2", "a3", "a4", "a5"]
    assert Counter(post.handled).most_common(1)[0][1] == 1


@virtually
async def test_the_same_inbox_can_run_again():
    post = Post()
    for number in range(1, 4):
        async with post.running():
            await post.arrives(f"a{number}")
            await post.rest()
        await post.arrives(f"b{number}")
    async with post.running():
        await post.rest()
    assert Counter(post.handled) == Counter(["a1", "a2", "a3", "b1", "b2", "b3"])


@virtually
async def test_what_died_between_handling_and_forgetting_is_not_handled_again():
    post = Post()
    await post.arrives("a1", "a2")
    await post.store.put("test-seen", "a1", b"", expires_at=post.now + SEEN_FOR)
    post.anew()
    async with post.running():
        await post.rest()
    assert post.handled == ["a2"]


@virtually
async def test_numbers_rise_though_the_clock_is_put_back():
    post = Post()
    await post.arrives("a1", "a2")
    post.now -= timedelta(hours=2)
    await post.arrives("a3")
    async with post.running():
        await post.rest()
    assert post.handled == ["a1", "a2", "a3"]


@virtually
async def test_a_position_comes_with_its_items_and_may_come_alone():
    post = Post()
    assert await post.inbox.position() is None
    await post.arrives("a1", position=b"1")
    await post.arrives("a1", position=b"2")
    assert await post.inbox.position() == b"2"
    post.anew()
    assert await post.inbox.position() == b"2"


async def test_items_that_arrive_at_once_are_kept_once_on_a_disk_too(tmp_path: Path):
    store = await open_store(f"sqlite:///{tmp_path}/joinline.db")
    try:
        post = Post(store)
        async with post.running():
            await asyncio.gather(*[post.arrives(f"a{n % 20}", f"b{n}") for n in range(60)])
            await post.rest()
        assert len(post.handled) == len(set(post.handled)) == 80
    finally:
        await store.close()


PROCESS = """
import asyncio, sys
from datetime import UTC, datetime
from bridge.store import open_store
from connectors.threads.inbox import Inbox, Item

async def main(folder, first):
    async def handle(body):
        with open(f"{folder}/handled", "a") as file:
            print(body.decode(), file=file)
        await asyncio.sleep(0.002)

    store = await open_store(f"sqlite:///{folder}/joinline.db")
    inbox = Inbox(store=store, name="test", clock=lambda: datetime.now(UTC), handle=handle)
    running = asyncio.create_task(inbox.run())
    begin = int(await inbox.position() or b"0")
    print("from", begin, flush=True)
    for n in range(begin, 10_000 if first else begin):
        items = [Item(key=f"{n}-{i}", lane=str(i), body=f"{n}-{i}".encode()) for i in range(3)]
        await inbox.accept(items, position=str(n + 1).encode())
        print("accepted", n, flush=True)
    while await store.scan("test-inbox", "item/"):
        await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2] == "first"))
"""


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path):
    command = [sys.executable, "-c", textwrap.dedent(PROCESS), str(tmp_path)]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([*command, "first"], stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if len(told) == 25:
                process.kill()
        process.wait()
    accepted = int(
        [line for line in told if line.startswith("accepted") and line.endswith("\n")][-1].split()[1]
    )
    again = subprocess.run(
        [*command, "again"], capture_output=True, text=True, env=environ, timeout=6 * PATIENCE, check=True
    )
    begin = int(again.stdout.split()[1])
    assert begin >= accepted + 1, "the position is not behind what was acknowledged"
    handled = (tmp_path / "handled").read_text().split()
    assert set(handled) == {f"{n}-{i}" for n in range(begin) for i in range(3)}, "position and items agree"
    assert [name for name, times in Counter(handled).items() if times > 1][3:] == [], "one a lane at most"
    for lane in range(3):
        first = list(dict.fromkeys(n for n in handled if n.endswith(f"-{lane}")))
        assert first == [f"{n}-{lane}" for n in range(begin)]
