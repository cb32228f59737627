"""Hands what other processes tell to any number of listeners in this one."""

from asyncio import Event
from collections import deque
from collections.abc import AsyncIterator
from weakref import WeakSet

LIMIT = 10_000  # messages kept for a listener that does not come; the oldest are dropped


class Told:
    """The fan-out. A listener that is no longer referenced is forgotten."""

    def __init__(self) -> None:
        self._feeds: WeakSet[_Feed] = WeakSet()
        self._closed = False

    def listen(self) -> AsyncIterator[tuple[str, bytes]]:
        """Everything published from this call on; ends when the store closes."""
        feed = _Feed()
        if self._closed:
            feed.close()
        else:
            self._feeds.add(feed)
        return feed

    def publish(self, topic: str, message: bytes) -> None:
        for feed in self._feeds:
            feed.offer(topic, message)

    def close(self) -> None:
        self._closed = True
        for feed in self._feeds:
            feed.close()


class _Feed(AsyncIterator[tuple[str, bytes]]):
    def __init__(self) -> None:
        self._pending: deque[tuple[str, bytes]] = deque(maxlen=LIMIT)
        self._ready = Event()
        self._closed = False

    def offer(self, topic: str, message: bytes) -> None:
        self._pending.append((topic, message))
        self._ready.set()

    def close(self) -> None:
        self._closed = True
        self._ready.set()

    async def __anext__(self) -> tuple[str, bytes]:
        while not self._pending:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._pending.popleft()
