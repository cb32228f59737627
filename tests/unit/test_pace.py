"""Turns: never more than the platform takes, the urgent first, in virtual time."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
import pytest

from connectors.threads.pace import RECOVERS, SLOWEST, Pace, Urgency
from tests.virtual import in_virtual_time

CONTROL, WORDS, CARD = Urgency


def now() -> float:
    return asyncio.get_running_loop().time()


class Queue:
    """Who had a turn, and when."""

    def __init__(self, *, every: float = 1.0, burst: int = 1) -> None:
        self.pace = Pace(every=every, burst=burst)
        self.turns: list[tuple[str, float]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def wants(self, name: str, urgency: Urgency = WORDS) -> None:
        self.tasks[name] = asyncio.create_task(self._go(name, urgency))

    async def _go(self, name: str, urgency: Urgency) -> None:
        await self.pace.turn(urgency, whose=name[0])
        self.turns.append((name, now()))

    async def done(self) -> None:
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.turns]

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.turns]


steps = st.lists(
    st.tuples(st.floats(0, 4), st.sampled_from([CONTROL, WORDS, CARD]), st.floats(0, 3)), max_size=30
)


@given(steps, st.integers(1, 5), st.sampled_from([0.5, 1.0, 3.0]))
def test_no_window_has_more_turns_than_its_length_allows(
    arrivals: list[tuple[float, Urgency, float]], burst: int, every: float
):
    async def story() -> None:
        queue = Queue(every=every, burst=burst)
        held: list[tuple[float, float]] = []
        for number, (pause, urgency, hold) in enumerate(arrivals):
            await asyncio.sleep(pause)
            if hold > 2:
                queue.pace.hold(hold)
                held.append((now(), now() + hold))
            queue.wants(str(number), urgency)
            if hold < 0.5:
                await asyncio.sleep(0)
                queue.tasks[str(number)].cancel()
        await queue.done()
        times = queue.times
        for first in range(len(times)):
            for last in range(first, len(times)):
                most = burst + (times[last] - times[first]) / every
                assert last - first + 1 <= most + 1e-6
        assert not [at for at in times for begin, end in held if begin + 1e-9 < at < end - 1e-9]

    in_virtual_time(story())


def test_a_burst_goes_at_once_and_fills_up_again():
    async def story() -> None:
        queue = Queue(every=2.0, burst=3)
        for name in "abcde":
            queue.wants(name)
        await queue.done()
        assert queue.turns == [("a", 0), ("b", 0), ("c", 0), ("d", 2), ("e", 4)]
        await asyncio.sleep(100)
        for name in "fghi":
            queue.wants(name)
        await queue.done()
        assert [at - queue.times[5] for at in queue.times[5:]] == [0, 0, 0, 2]

    in_virtual_time(story())


def test_the_urgent_go_first_and_within_one_urgency_whoever_came_first():
    async def story() -> None:
        queue = Queue()
        queue.wants("first", CARD)
        await asyncio.sleep(0.1)
        for name, urgency in [("c1", CARD), ("w1", WORDS), ("k1", CONTROL), ("w2", WORDS), ("k2", CONTROL)]:
            queue.wants(name, urgency)
        await asyncio.sleep(2)
        queue.wants("k3", CONTROL)
        await queue.done()
        assert queue.names == ["first", "k1", "k2", "k3", "w1", "w2", "c1"]

    in_virtual_time(story())


@pytest.mark.parametrize("urgency", [WORDS, CARD])
def test_nobody_waits_for_ever_behind_somebody_who_is_always_urgent(urgency: Urgency):
    """One visitor who writes without end must not silence what is said to all the others."""

    async def story() -> None:
        queue = Queue()

        async def flood() -> None:
            while True:
                await queue.pace.turn(CONTROL)

        flooding = [asyncio.create_task(flood()) for _ in range(3)]
        await asyncio.sleep(10)
        began = now()
        queue.wants("answer", urgency)
        await queue.done()
        for task in flooding:
            task.cancel()
        assert now() - began <= 15

    in_virtual_time(story())


def test_a_hold_stops_everybody_for_as_long_as_it_says_and_a_shorter_one_shortens_none():
    async def story() -> None:
        queue = Queue(every=1.0, burst=2)
        queue.pace.hold(30)
        queue.pace.hold(5)
        for name in "abc":
            queue.wants(name, CONTROL)
        await asyncio.sleep(10)
        assert queue.turns == []
        assert queue.pace.waiting == 3
        assert queue.pace.delay >= 20
        await queue.done()
        assert queue.turns == [("a", 30), ("b", 30), ("c", 32)]

    in_virtual_time(story())


def test_a_hold_that_comes_while_somebody_waits_for_a_turn_counts_too():
    async def story() -> None:
        queue = Queue(every=1.0)
        queue.wants("a")
        queue.wants("b")
        await asyncio.sleep(0.5)
        queue.pace.hold(9.5)
        await queue.done()
        assert queue.turns == [("a", 0), ("b", 10)]

    in_virtual_time(story())


def test_who_was_told_to_pause_goes_more_slowly_until_it_is_forgotten():
    async def story() -> None:
        queue = Queue(every=1.0)
        for pause in (5.0, 5.0):
            queue.pace.hold(pause)
            queue.pace.hold(pause)  # the same pause, told to two
            await asyncio.sleep(pause)
        for number in range(6):
            queue.wants(f"a{number}")
        await queue.done()
        assert [b - a for a, b in pairwise(queue.times)] == [4.0] * 5
        await asyncio.sleep(2 * RECOVERS)
        for number in range(3):
            queue.wants(f"b{number}")
        await queue.done()
        assert [b - a for a, b in pairwise(queue.times[6:])] == [1.0] * 2
        for _ in range(20):
            queue.pace.hold(1.0)
            await asyncio.sleep(1.0)
        queue.wants("c0")
        queue.wants("c1")
        await queue.done()
        assert queue.times[-1] - queue.times[-2] == SLOWEST

    in_virtual_time(story())


def test_two_that_share_what_a_platform_takes_find_its_rate_together():
    async def story() -> None:
        """Each would send one a second, and the platform takes one a second of both; a turn that it refuses
        costs both a pause of five."""
        queues = [Queue(every=1.0) for _ in range(2)]
        taken: list[float] = []
        refused: list[float] = []

        async def send(queue: Queue) -> None:
            while now() < 600:
                await queue.pace.turn(WORDS)
                if sum(at > now() - 10 for at in taken) >= 10:
                    refused.append(now())
                    queue.pace.hold(5.0)
                else:
                    taken.append(now())

        await asyncio.gather(*(send(queue) for queue in queues))
        assert len(refused) < 30, "it does not run into it all the time"
        assert len(taken) > 300, "nor is it left idle"

    in_virtual_time(story())


def test_who_is_hurried_is_as_urgent_as_can_be_where_it_came():
    async def story() -> None:
        queue = Queue()
        queue.wants("x")
        await asyncio.sleep(0.1)
        for name, urgency in [("a1", WORDS), ("b1", WORDS), ("k1", CONTROL), ("b2", CARD), ("k2", CONTROL)]:
            queue.wants(name, urgency)
            await asyncio.sleep(0)
        waiting = queue.pace.waiting
        for whose in ("b", "b", "k", "nobody"):
            queue.pace.hurry(whose)
        assert queue.pace.waiting == waiting == 5
        await queue.done()
        assert queue.names == ["x", "b1", "k1", "b2", "k2", "a1"]
        assert queue.times == [0, 1, 2, 3, 4, 5], "nobody takes two turns"

    in_virtual_time(story())


def test_who_stops_waiting_takes_no_turn():
    async def story() -> None:
        queue = Queue()
        for name in "abcd":
            queue.wants(name)
        await asyncio.sleep(0.5)
        queue.tasks["b"].cancel()
        queue.tasks["c"].cancel()
        await queue.done()
        assert queue.turns == [("a", 0), ("d", 1)]
        assert queue.pace.waiting == 0

    in_virtual_time(story())


def test_the_delay_says_when_the_next_who_comes_would_have_a_turn():
    async def story() -> None:
        queue = Queue(every=3.0)
        assert queue.pace.delay == 0
        for name in "abc":
            queue.wants(name)
        await asyncio.sleep(0.5)
        expected = now() + queue.pace.delay
        queue.wants("d", CARD)
        await queue.done()
        assert queue.turns[-1] == ("d", expected)

    in_virtual_time(story())
