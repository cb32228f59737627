"""Conversations in a platform's threads: one thread each, everything in order and once, whatever breaks."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

import pytest

from bridge import events as ev
from bridge.events import ConversationId
from bridge.store import Record
from bridge.store.memory import MemoryStore
from tests.boards import Call, busy
from tests.eventually import eventually
from tests.walls import (
    ANN,
    CID,
    OTHER,
    TALK,
    World,
    bring,
    talk,
)


async def test_one_thread_for_each_conversation_in_the_logs_order():
    world = World()
    async with world.carried():
        await asyncio.gather(talk(world), world.says("a", "b", "c", cid=OTHER))
        await eventually(lambda: world.caught_up(CID))
        await eventually(lambda: world.caught_up(OTHER))
        await eventually(lambda: world.shown() == TALK)
    assert world.shown(OTHER) == ["[a]", "Visitor: b", "Visitor: c"]
    assert len(world.board.threads) == 2


async def test_a_thread_begins_with_the_first_words():
    world = World()
    await world.put(ANN, ev.Joined())
    await world.carry()
    assert world.board.threads == []
    await world.says("hi")
    await world.carry()
    assert world.shown() == ["[hi]", "* Ann joined and is watching."]


# --- Whatever breaks -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["begin", "post", "change", "draw", "find", "find_thread"])
async def test_work_that_was_done_though_its_answer_was_lost_is_not_done_again(call: Call):
    world = World()
    lost: list[Call] = []
    troubled = {"find": ("post", "find"), "find_thread": ("begin", "find_thread")}.get(call, (call,))

    def lose(this: Call, _cid: ConversationId) -> None:
        if this in troubled and lost.count(this) <= world.board.calls.count(this) // 2:
            lost.append(this)
            busy()

    world.board.lose = lose
    async with world.carried():
        await talk(world)
        await eventually(world.caught_up)
        await eventually(lambda: world.shown() == TALK)
    assert call in lost


async def test_a_platform_in_trouble_gets_everything_once_it_is_well():
    world = World()
    world.board.obey = busy
    async with world.carried():
        await talk(world)
        await eventually(lambda: len(world.board.calls) > 5)
        world.board.obey = lambda _call, _cid: None
        await eventually(world.caught_up)
        await eventually(lambda: world.shown() == TALK)


class Death(BaseException):
    """The process ends here."""


class Mortal(MemoryStore):
    """Dies before or after its write number `at`."""

    def __init__(self) -> None:
        super().__init__()
        self.tick: Callable[[], None] = lambda: None

    async def put(self, *args: object, **how: object) -> bool:
        self.tick()
        stored = await super().put(*args, **how)
        self.tick()
        return stored

    async def put_all(self, space: str, batch: Sequence[Record]) -> None:
        self.tick()
        await super().put_all(space, batch)
        self.tick()

    async def delete(self, space: str, key: str) -> None:
        self.tick()
        await super().delete(space, key)
        self.tick()

    async def advance(self, *args: object, **how: object) -> None:
        self.tick()
        await super().advance(*args, **how)
        self.tick()


@pytest.mark.parametrize("most_together", [1, 4])
@pytest.mark.parametrize("lost", [False, True], ids=["first thread", "thread made again"])
async def test_dying_between_any_two_steps_shows_nothing_twice(lost: bool, most_together: int):
    """For every step n: die there, go on as a new process, and compare with a life without a death."""

    async def life(death: int) -> tuple[list[str], int]:
        store = Mortal()
        world = World(store=store)
        world.board.most_together = most_together
        await talk(world)
        if lost:
            await bring(world, store)
            world.board.forget(CID)
            await world.says("and now?", "z" * 100)
        steps = count(1)

        def tick(*_: object) -> None:
            if next(steps) == death:
                raise Death

        store.tick = tick
        world.board.obey = world.board.lose = tick
        try:
            await bring(world, store)
        except Death:
            store.tick = lambda: None
            world.board.obey = world.board.lose = lambda *_: None
            world.anew()
            await bring(world, store)
        return world.shown(), next(steps) - 1

    expected, steps = await life(0)
    assert steps > 40
    for death in range(1, steps + 1):
        found, _ = await life(death)
        assert found == expected, f"died at step {death}"


async def test_where_a_platform_cannot_tell_a_death_costs_one_repeat_at_most():
    for death in range(1, 60):
        store = Mortal()
        world = World(store=store)
        world.board.sees = False
        await world.says("a", "b", "c")
        steps = count(1)

        def tick(*_: object, steps: count = steps, death: int = death) -> None:
            if next(steps) == death:
                raise Death

        store.tick = tick
        world.board.lose = tick
        with suppress(Death):
            await bring(world, store)
        store.tick, world.board.lose = (lambda: None), (lambda *_: None)
        world.anew()
        await bring(world, store)
        texts = world.board.of(CID)[-1].texts
        assert list(dict.fromkeys(texts)) == ["Visitor: b", "Visitor: c"]
        assert len(texts) <= 3


async def test_a_thread_that_is_gone_is_made_again_once_with_its_history():
    world = World()
    async with world.carried():
        await talk(world)
        await eventually(world.caught_up)
        world.board.forget(CID)
        await world.says("still there?")
        await eventually(world.caught_up)
    standing = [t for t in world.board.of(CID) if not t.gone]
    assert len(world.board.of(CID)) == 2
    assert len(standing) == 1
    assert "".join(world.shown()).replace("\n", "") == "".join(
        [
            "[hello]",
            "Visitor: (taken back)",
            "AI assistant: Yes. " + "x" * 120,
            "* Ann took over and is answering.",
            "Ann: Ann here, " + "y" * 120 + " (edited)",
            "Ann [note]: he is nice",
            "* Ann handed back. The AI assistant is answering again.",
            "Visitor: still there?",
        ]
    )


async def test_a_thread_that_the_card_finds_gone_is_made_again_with_the_next_entry():
    world = World()
    await world.says("a", "b")
    await world.carry()
    world.board.forget(CID)
    await world.put(ANN, ev.Joined())
    drawing = asyncio.create_task(world.wall.cards.run())
    await world.wall.cards.due(CID)
    await eventually(lambda: _lost(world))
    drawing.cancel()
    await asyncio.gather(drawing, return_exceptions=True)
    await world.says("c")
    await world.carry()
    assert world.shown() == ["[a]", "Visitor: b", "* Ann joined and is watching.", "Visitor: c"]


async def _lost(world: World) -> bool:
    root = await world.wall.ledger.root(CID)
    return root is not None and root.lost


async def test_a_new_thread_whose_courier_never_heard_of_it_gets_its_whole_history():
    """It dies in the backfill: the cursor still has the old thread's anchor."""
    world = World()
    await world.says("a", *[str(n) * 50 for n in range(30)])
    await world.carry()
    world.board.forget(CID)
    await world.says("and now?")
    posts = count(1)

    def obey(call: Call, _cid: ConversationId) -> None:
        if call == "post" and next(posts) == 5:
            raise Death

    world.board.obey = obey
    with pytest.raises(Death):
        await bring(world, world.bridge.store)  # type: ignore[arg-type]
    world.board.obey = lambda _call, _cid: None
    world.anew()
    await world.carry()
    assert len(world.board.of(CID)) == 2
    text = "".join(world.shown()).replace("\n", "")
    assert text == "[a]" + "".join(f"Visitor: {str(n) * 50}" for n in range(30)) + "Visitor: and now?"


async def test_what_cannot_be_shown_is_told_and_stops_nothing_else():
    world = World()
    world.board.refuses = "rude"
    async with world.carried():
        await world.says("hi", "rude", "sorry")
        await eventually(world.caught_up)
    assert world.shown() == [
        "[hi]",
        "Visitor: sorry",
        "* Entry 3 could not be brought to Wall: the platform refuses it",
    ]
    world.board.forget(CID)
    world.anew()
    await world.says("again")
    await world.carry()
    assert "Visitor: sorry" in "\n".join(world.shown()), (
        "one that cannot be shown keeps no history from a new thread"
    )
    assert world.shown()[-1] == "Visitor: again"
