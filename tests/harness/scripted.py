"""Members of the team who do not leave it to the dice what happens to them."""

import asyncio
from random import Random

from tests.harness.client import Client
from tests.harness.crowd import Colleague, Place, Visitor


class Duel:
    """Two, on two servers where there are so many, who take over from the same view at the same moment."""

    def __init__(self, visitor: Visitor, place: Place, dice: Random) -> None:
        self.fought = 0
        self.both = tuple(
            Colleague(
                n, f"{who}@acme.example", [visitor], place, dice, doors=[place.doors[n % len(place.doors)]]
            )
            for n, who in enumerate(("dana", "sam"))
        )
        self._place = place
        self._dice = dice

    async def run(self) -> None:
        one, two = self.both
        entered = await asyncio.gather(one.enter(every=0.2), two.enter(every=0.2))
        clients = [client for client in entered if client is not None]
        if len(clients) < 2:
            return
        async with clients[0], clients[1]:
            while await self._place.think(self._dice, 0.5):
                if _same_view(*clients):
                    await asyncio.gather(*(c.take_over("take") for c in self.both))
                    self.fought += 1
                else:
                    await self._hand_back(clients)
            await asyncio.gather(*(c.go_home() for c in self.both))

    async def _hand_back(self, clients: list[Client]) -> None:
        for client in clients:
            if client.holds:
                await client.request(client.command("back"))


class Silent(Colleague):
    """Takes over whenever somebody else answers, and says nothing: the team must be called instead."""

    async def run(self) -> None:
        client = await self.enter(every=0.2)
        if client is None:
            return
        async with client:
            while await self._place.think(self._dice, 0.5) and not client.out:
                if client.online and not client.holds:
                    await self.take_over("take")
            await self.go_home()


def _same_view(one: Client, two: Client) -> bool:
    """Neither holds the floor, and both see it where it has been since the same moment."""
    since = one.state.get("since")
    both_there = one.online and two.online and not one.holds and not two.holds
    return both_there and bool(since) and two.state.get("since") == since
