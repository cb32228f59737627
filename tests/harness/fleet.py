"""Real `joinline serve` processes beside each other on one store, each behind a proxy and with one to its Redis."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

from tests.eventually import PATIENCE
from tests.harness.proxy import Proxy
from tests.redises import DURABLE, RedisServer, linked
from tests.running import Server, free_port

SERVED = Path(__file__).with_name("served.py")
START_WITHIN = 12 * PATIENCE  # seconds, while Redis may be away


class Member:
    """One server process. Visitors and staff reach it by `front`, it reaches Redis by `back`."""

    def __init__(self, number: int, server: Server, front: Proxy, back: Proxy | None) -> None:
        self.number = number
        self.server = server
        self.front = front
        self.back = back
        self.running = False

    @property
    def door(self) -> str:
        return f"http://127.0.0.1:{self.front.port}"

    async def start(self) -> None:
        """As a service manager does: again where it ends before it is ready."""
        until = time.monotonic() + START_WITHIN
        while not self.running:
            try:
                await asyncio.to_thread(self.server.start)
            except AssertionError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.5)
            else:
                self.running = True

    async def kill(self) -> None:
        self.running = False
        await asyncio.to_thread(self.server.kill)

    async def stop(self) -> None:
        """SIGTERM, which drains."""
        self.running = False
        try:
            status = await asyncio.to_thread(self.server.stop)
        except subprocess.TimeoutExpired:
            os.kill(self.server.pid, signal.SIGUSR2)
            await asyncio.sleep(1)
            raise AssertionError(f"server {self.number} does not end: {self.server.log[-8000:]}") from None
        assert status == 0, f"server {self.number} ended with {status}"

    def pause(self) -> None:
        os.kill(self.server.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.server.pid, signal.SIGCONT)


class Fleet:
    """`servers` processes; on Redis where there is one, else on SQLite, which takes just one."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], *, servers: int, redis: bool, lives: float
    ) -> None:
        assert redis or servers == 1
        self.lives = lives
        self.redis = RedisServer(*DURABLE) if redis else None
        self.members: list[Member] = []
        self.base_url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._config = config
        self._servers = servers
        self._aside: Proxy | None = None  # to Redis, wherever that is; nothing ever breaks it
        self._undo = AsyncExitStack()

    @property
    def store(self) -> str:
        """Where the logs are, past everything that breaks."""
        if self._aside is not None:
            return f"redis://127.0.0.1:{self._aside.port}/0"
        return f"sqlite:///{self._folder / 'server-0' / 'joinline.db'}"

    @property
    def doors(self) -> list[str]:
        return [member.door for member in self.members]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            if self.redis is not None:
                undo.callback(self.redis.close)
                await asyncio.to_thread(self.redis.start)
                self._aside = await undo.enter_async_context(Proxy(self.redis.port))
            for number in range(self._servers):
                self.members.append(await self._member(number, undo))
            await asyncio.gather(*(member.start() for member in self.members))
            self._undo = undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._undo.aclose()

    async def _member(self, number: int, undo: AsyncExitStack) -> Member:
        back = None
        store = "sqlite:///joinline.db"
        if self.redis is not None:
            back = await undo.enter_async_context(Proxy(self.redis.port))
            store = f"redis://127.0.0.1:{back.port}/0"
        port = free_port()
        config = {
            **self._config,
            "base_url": self.base_url,
            "store": store,
            "server": {"port": port, "trusted_proxies": ["127.0.0.1"], "drain": 3},
        }
        program = (sys.executable, SERVED, f"--lives={self.lives}")
        server = Server(self._folder / f"server-{number}", config, port=port, program=program)
        undo.callback(server.kill)
        front = await undo.enter_async_context(Proxy(port))
        return Member(number, server, front, back)

    async def fail_over(self) -> None:
        """A replica that has everything takes the place of Redis, and whoever is connected is sent there."""
        old = self.redis
        assert old is not None
        new = RedisServer(*DURABLE, "--replicaof", "127.0.0.1", str(old.port))
        self._undo.callback(new.close)
        await asyncio.to_thread(new.start)
        await asyncio.to_thread(linked, new)
        await asyncio.to_thread(old.ask, "FAILOVER", "TO", "127.0.0.1", new.port)
        until = time.monotonic() + PATIENCE
        while (await asyncio.to_thread(new.ask, "ROLE"))[0] != b"master":
            assert time.monotonic() < until, "the replica does not take over"
            await asyncio.sleep(0.05)
        self.redis = new
        for proxy in [self._aside, *(member.back for member in self.members)]:
            assert proxy is not None
            proxy.target = new.port
            proxy.cut()
        await asyncio.to_thread(old.close)
