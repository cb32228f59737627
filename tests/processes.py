"""Several processes on one store: each has its own view of it, as if it had opened it alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from pathlib import Path

from bridge.store import Store
from bridge.store.memory import MemoryStore
from bridge.store.told import Told
from tests.redises import RedisServer, flush
from tests.stores import ENGINES, Place

SHARED = ["memory", "redis"]


class SharedMemory(MemoryStore):
    """What one process sees of a memory store. One that is `deaf` loses what it tells."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf = False
        self._all = [self]

    def beside(self) -> "SharedMemory":
        """What another process sees of the same."""
        other = copy(self)
        other.deaf = False
        other._told = Told()
        self._all.append(other)
        return other

    async def tell(self, topic: str, message: bytes) -> None:
        await super().tell(topic, message)
        for other in self._all:
            if other is not self and not self.deaf:
                other._told.publish(topic, message)


@asynccontextmanager
async def shared(kind: str, server: RedisServer, folder: Path) -> AsyncIterator[tuple[Store, Store]]:
    """A store that is empty, as two processes have it open."""
    one: Store
    two: Store
    if kind == "memory":
        one = SharedMemory()
        two = one.beside()
    else:
        await flush(server)
        place = Place(folder, server.url)
        one, two = await ENGINES[kind](place), await ENGINES[kind](place)
    try:
        yield one, two
    finally:
        await one.close()
        await two.close()
