"""What breaks our own servers, the network around them, and the store that they share."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
import json
from random import Random
import secrets
import signal

from websockets import WebSocketException
from websockets.asyncio.client import connect
from websockets.typing import Origin

from tests.harness import disk
from tests.harness.crowd import SITE
from tests.harness.deck import Card
from tests.harness.fleet import Fleet, Member
from tests.harness.history import Down, History
from tests.redises import RedisServer


class Ours:
    def __init__(self, *, fleet: Fleet, history: History, dice: Random) -> None:
        self._fleet = fleet
        self._history = history
        self._dice = dice

    def heal(self) -> None:
        for member in self._fleet.members:
            member.front.heal()
            if member.back is not None:
                member.back.heal()

    def servers(self) -> list[Card]:
        cards = [
            Card("servers", "kill one", self._kill_one),
            Card("servers", "pause", self._pause),
            Card("servers", "kill all", self._kill_all),
            Card("servers", "rolling restart", self._roll),
        ]
        if self._fleet.redis is None:
            cards.append(Card("servers", "second server on the file", self._second_server))
        return cards

    def between(self) -> list[Card]:
        cards = [
            Card("network", "clients delayed", self._delay_clients),
            Card("network", "clients cut", self._cut_clients),
            Card("network", "clients' black hole", self._swallow_clients),
            Card("network", "client that never reads", self._never_read),
        ]
        return cards + (self._disk() if self._fleet.redis is None else self._redis())

    def _redis(self) -> list[Card]:
        return [
            Card("redis", "kill redis", self._kill_redis),
            Card("redis", "redis stands still", self._pause_redis),
            Card("redis", "redis slow", self._delay_redis),
            Card("redis", "redis cut", self._cut_redis),
            Card("redis", "redis black hole", self._swallow_redis),
            Card("redis", "redis failed over", self._fail_over),
            Card("redis", "redis read-only", self._read_only),
            Card("redis", "redis out of memory", self._out_of_memory),
        ]

    def _disk(self) -> list[Card]:
        return [
            Card("disk", "write error", self._write_error),
            Card("disk", "file held by another", self._hold_the_file),
        ]

    def _one(self) -> Member:
        return self._dice.choice(self._fleet.members)

    @contextmanager
    def _down(self, *members: Member) -> Iterator[None]:
        """While it lasts, none of `members` can do anything."""
        began = datetime.now(UTC)
        try:
            yield
        finally:
            self._history.downs += [Down(m.number, began, datetime.now(UTC)) for m in members]

    # Servers

    async def _kill_one(self) -> None:
        member = self._one()
        with self._down(member):
            await member.kill()
            await asyncio.sleep(self._dice.random())
            await member.start()

    async def _kill_all(self) -> None:
        await asyncio.gather(*(self._kill_and_start(member) for member in self._fleet.members))

    async def _kill_and_start(self, member: Member) -> None:
        with self._down(member):
            await member.kill()
            await member.start()

    async def _pause(self) -> None:
        """For longer than its leases live."""
        member = self._one()
        with self._down(member):
            member.pause()
            await asyncio.sleep(self._fleet.lives * 1.4)
            member.go_on()

    async def _roll(self) -> None:
        for member in self._fleet.members:
            with self._down(member):
                await member.stop()
                await member.start()

    async def _second_server(self) -> None:
        await disk.refuse_a_second(self._one().server)

    # The network

    async def _delay_clients(self) -> None:
        front = self._one().front
        front.delay = 0.1 + 0.3 * self._dice.random()
        await asyncio.sleep(2.0)
        front.heal()

    async def _cut_clients(self) -> None:
        self._one().front.cut()

    async def _swallow_clients(self) -> None:
        front = self._one().front
        front.swallow()
        await asyncio.sleep(1.0 + 4 * self._dice.random())
        if self._dice.random() < 0.5:
            front.cut()
        front.heal()

    async def _never_read(self) -> None:
        """Says hello, asks again and again, and takes no answer."""
        url = self._one().door.replace("http", "ws", 1) + "/live/visitor"
        hello = {"t": "hello", "site": SITE, "token": secrets.token_urlsafe(32)}
        with suppress(OSError, WebSocketException, TimeoutError, EOFError):
            async with (
                asyncio.timeout(6),
                connect(
                    url, origin=Origin("https://www.acme.example"), compression=None, proxy=None, ping_interval=None,
                    additional_headers={"X-Forwarded-For": "10.3.0.1"}, close_timeout=0.1,
                ) as socket,
            ):  # fmt: skip
                await socket.send(json.dumps(hello))
                socket.transport.pause_reading()  # type: ignore[attr-defined]
                for _ in range(40):
                    await socket.send('{"t":"ping"}')
                    await asyncio.sleep(0.1)
                socket.transport.abort()

    # Redis

    @property
    def _store(self) -> RedisServer:
        assert self._fleet.redis is not None
        return self._fleet.redis

    async def _kill_redis(self) -> None:
        with self._down(*self._fleet.members):
            await asyncio.to_thread(self._store.kill, signal.SIGKILL)
            await asyncio.sleep(self._dice.random() * 2)
            await asyncio.to_thread(self._store.start)

    async def _pause_redis(self) -> None:
        with self._down(*self._fleet.members):
            self._store.pause()
            await asyncio.sleep(2.0)
            self._store.go_on()

    async def _fail_over(self) -> None:
        with self._down(*self._fleet.members):
            await self._fleet.fail_over()

    async def _read_only(self) -> None:
        """It follows a primary that is not there, and keeps what it has."""
        with self._down(*self._fleet.members):
            await asyncio.to_thread(self._store.ask, "REPLICAOF", "127.0.0.1", 1)
            await asyncio.sleep(1.0 + self._dice.random())
            await asyncio.to_thread(self._store.ask, "REPLICAOF", "NO", "ONE")

    async def _out_of_memory(self) -> None:
        with self._down(*self._fleet.members):
            await asyncio.to_thread(self._store.ask, "CONFIG", "SET", "maxmemory", 1)
            await asyncio.sleep(1.0 + self._dice.random())
            await asyncio.to_thread(self._store.ask, "CONFIG", "SET", "maxmemory", 0)

    async def _delay_redis(self) -> None:
        member = self._one()
        assert member.back is not None
        with self._down(member):
            member.back.delay = self._dice.choice((0.02, 0.2, 2.0))
            await asyncio.sleep(3.0)
            member.back.heal()

    async def _cut_redis(self) -> None:
        back = self._one().back
        assert back is not None
        back.cut()

    async def _swallow_redis(self) -> None:
        """One server is cut off from the store for longer than its leases live, and does not know it."""
        member = self._one()
        assert member.back is not None
        with self._down(member):
            member.back.swallow()
            await asyncio.sleep(self._fleet.lives * 1.4)
            if self._dice.random() < 0.5:
                member.back.cut()
            member.back.heal()

    # The disk

    async def _write_error(self) -> None:
        with self._down(*self._fleet.members):
            await disk.refuse_writes(self._one().server, 1.0 + self._dice.random())

    async def _hold_the_file(self) -> None:
        with self._down(*self._fleet.members):
            await disk.hold(self._one().server.folder / "joinline.db", 1.0 + self._dice.random())
