"""A TCP proxy that can be slow, cut its connections, or swallow what passes without a word."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self


class Proxy:
    """In front of `target` on loopback. `delay`: seconds that each piece takes, either way."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        self._trickles = False
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def accept(self) -> None:
        """Take connections, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._meet, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Take no more connections, and cut those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()

    def swallow(self) -> None:
        """From now on nothing passes; connections stay open, and new ones are taken."""
        self._passing.clear()

    def pass_on(self) -> None:
        """What was held back passes now, as when a network comes back."""
        self._passing.set()

    def trickle(self) -> None:
        """From now on one byte a second passes."""
        self._trickles = True

    def heal(self) -> None:
        self.delay = 0.0
        self._trickles = False
        self.pass_on()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            with suppress(OSError):
                await self._passing.wait()
                there, away = await asyncio.open_connection("127.0.0.1", self.target)
                self._open.add(away)
                try:
                    await self._both(self._pump(reader, away), self._pump(there, writer))
                finally:
                    self._open.discard(away)
                    away.transport.abort()
        except asyncio.CancelledError:  # at the end of the run; a task of the server's must not end so
            return
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.transport.abort()

    async def _both(self, *pumps: "asyncio._CoroutineLike[None]") -> None:
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._passing.wait()
                while self._trickles and len(data) > 1:
                    writer.write(data[:1])
                    data = data[1:]
                    await asyncio.sleep(1.0)
                writer.write(data)
                await writer.drain()
            await asyncio.sleep(0)
            with suppress(OSError, RuntimeError):
                writer.write_eof()
                await asyncio.sleep(0.05)  # what the other side still has to say
