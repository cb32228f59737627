"""A connection to Redis that goes wrong in the way that a test asks for."""

import asyncio
from contextlib import suppress
from typing import Self


class Between:
    """Stands between a client and a server. Told to `lose`, it hands on the next script and cuts before the
    answer; while it is `deaf`, it drops what the server calls out over Pub/Sub.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.lose = False
        self.lost = 0
        self.deaf = False
        self.unheard = 0
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._stand_between(reader, writer)))

    async def _stand_between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)

        losing = False

        async def ask() -> None:
            nonlocal losing
            while data := await reader.read(1 << 16):
                if self.lose and b"EVALSHA" in data:
                    self.lose, losing = False, True
                back.write(data)

        async def answer() -> None:
            while data := await there.read(1 << 16):
                if losing:
                    self.lost += 1
                    break
                if self.deaf and b"wakes" in data:
                    self.unheard += 1
                    continue
                writer.write(data)

        tasks = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (writer, back):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()
