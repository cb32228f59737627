"""Status cards in virtual time: true soon, drawn seldom, and never forgotten."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Self

import pytest

from bridge import events as ev
from bridge.errors import AnchorLost, Retry, Undeliverable
from bridge.events import ConversationId, Event, Party
from connectors.threads.card import card
from connectors.threads.cards import EVERY, WAITING
from tests.boards import Call
from tests.virtual import in_virtual_time
from tests.walls import (
    ANN,
    CID,
    START,
    VISITOR,
    Acme,
    World,
    bring,
)


class Virtual(World):
    every = EVERY

    def clock(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class Desk:
    """A conversation with its thread, and cards that draw in virtual time."""

    def __init__(self) -> None:
        self.world = Virtual()
        self.drawn: list[tuple[float, str]] = []

        def lose(call: Call, _cid: ConversationId) -> None:
            if call == "draw":
                shown = self.world.board.threads[-1].card
                self.drawn.append((asyncio.get_running_loop().time(), shown.state))

        self.world.board.lose = lose
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.world.says("hi")
        await bring(self.world, self.world.bridge.store)  # type: ignore[arg-type]
        self.start()
        await self.passes(EVERY)
        return self

    def start(self) -> None:
        self.task = asyncio.create_task(self.world.wall.cards.run())

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def put(self, by: Party, event: Event) -> None:
        await self.world.put(by, event)
        await bring(self.world, self.world.bridge.store)  # type: ignore[arg-type]

    @property
    def card_is_right(self) -> bool:
        state = self.world.bridge.peek(CID)
        return self.world.board.threads[-1].card == card(state, "hi", sites={"acme": Acme()})


def test_a_card_is_drawn_soon_but_not_all_the_time():
    async def story() -> None:
        async with Desk() as desk:
            before = len(desk.drawn)
            for number in range(50):
                await desk.put(VISITOR, ev.Said(text=str(number)))
                await desk.passes(0.2)
            await desk.passes(EVERY)
            times = [at for at, _ in desk.drawn]
            assert 3 <= len(desk.drawn) - before <= 10 / EVERY + 2
            assert all(b - a >= EVERY for a, b in pairwise(times))
            assert desk.card_is_right
            quiet = len(desk.drawn)
            await desk.passes(1000)
            assert len(desk.drawn) == quiet, "nothing moved, nobody waits"

    in_virtual_time(story())


def test_a_card_that_was_made_just_now_is_not_drawn_again_at_once():
    async def story() -> None:
        async with Desk() as desk:
            assert desk.world.board.calls.count("draw") == 0

    in_virtual_time(story())


def test_a_due_card_is_drawn_though_the_process_died():
    async def story() -> None:
        desk = Desk()
        async with desk:
            await desk.stop()
            await desk.put(ANN, ev.TookOver())
            desk.world.anew()
            desk.start()
            await desk.put(ANN, ev.Said(text="hello"))
            await desk.passes(2 * EVERY)
            assert desk.world.board.threads[-1].card.state == "Ann answers"
            assert desk.card_is_right
            assert await desk.world.wall.ledger.cards_due() == []

    in_virtual_time(story())


def test_a_card_shows_how_long_somebody_waits_also_after_a_restart():
    async def story() -> None:
        async with Desk() as desk:
            await desk.put(VISITOR, ev.HelpWanted())
            await desk.passes(EVERY)
            for _ in range(2):
                before = len(desk.drawn)
                await desk.passes(3 * WAITING)
                assert 2 <= len(desk.drawn) - before <= 4
                await desk.stop()
                desk.world.anew()
                desk.start()
            await desk.passes(3_600)
            before = len(desk.drawn)
            await desk.passes(3_600)
            assert 3 <= len(desk.drawn) - before <= 12, "a long wait is told less often"
            await desk.put(ANN, ev.TookOver())
            await desk.put(ANN, ev.Said(text="hello"))
            await desk.passes(2 * EVERY)
            before = len(desk.drawn)
            await desk.passes(7_200)
            assert len(desk.drawn) == before
            assert await desk.world.wall.ledger.cards_due() == []

    in_virtual_time(story())


def test_a_platform_that_has_no_time_for_cards_is_left_alone_for_as_long_as_it_says():
    async def story() -> None:
        async with Desk() as desk:
            tries: list[float] = []

            def obey(call: Call, _cid: ConversationId) -> None:
                if call == "draw":
                    tries.append(asyncio.get_running_loop().time())
                    raise Retry(30, "slow down")

            desk.world.board.obey = obey
            for _ in range(100):
                await desk.put(VISITOR, ev.Said(text="more"))
                await desk.passes(0.9)
            assert 3 <= len(tries) <= 4
            desk.world.board.obey = lambda _call, _cid: None
            await desk.passes(31)
            assert desk.card_is_right

    in_virtual_time(story())


@pytest.mark.parametrize("error", [AnchorLost(), Undeliverable("no cards here")])
def test_a_card_that_cannot_be_drawn_is_let_go(error: Exception):
    async def story() -> None:
        async with Desk() as desk:

            def obey(call: Call, _cid: ConversationId) -> None:
                if call == "draw":
                    raise error

            desk.world.board.obey = obey
            await desk.put(ANN, ev.Joined())
            await desk.passes(2 * EVERY)
            assert await desk.world.wall.ledger.cards_due() == []
            root = await desk.world.wall.ledger.root(CID)
            assert root is not None
            assert root.lost == isinstance(error, AnchorLost)

    in_virtual_time(story())
