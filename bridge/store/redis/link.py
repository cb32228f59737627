"""The way to Redis: scripts and commands in as few round trips as can be, tried again for a bounded time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
import time
from typing import Any, TypeVar, cast

from msgspec import Struct
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import (
    ConnectionError,  # noqa: A004 - the client's own
    NoScriptError,
)

from bridge.errors import StoreError
from bridge.store.address import Address
from bridge.store.redis.clients import AT_ONCE, ERRORS, TIMEOUT, connect, moves, passes, store_error
from bridge.store.redis.guard import inspect
from bridge.store.redis.scripts import Script

TRIES = 5  # but for as long as PATIENCE where a Cluster moves what is asked for
PATIENCE = 6.0  # seconds after which nothing is tried again

Arg = str | bytes | int
Command = tuple[Arg, ...]
T = TypeVar("T")


class Call(Struct, frozen=True, kw_only=True):
    """A script on one bucket. Before `args` go the `log` id and whether this is sent again."""

    script: Script
    keys: tuple[str, ...]
    log: str
    args: tuple[Arg, ...]

    def command(self, *, again: bool, whole: bool) -> Command:
        verb, body = ("EVAL", self.script.text) if whole else ("EVALSHA", self.script.sha)
        return (verb, body, len(self.keys), *self.keys, self.log, int(again), *self.args)


class Ran(Struct, frozen=True, kw_only=True):
    """What each call answered, or the error that it got; how many replicas confirmed all of them."""

    each: list[Any]
    confirmed: int


class Link:
    def __init__(self, address: Address) -> None:
        self.where = str(address)
        self.client, self._sentinels = connect(address, partial(inspect, clustered=address.kind == "cluster"))
        self.spread = isinstance(self.client, RedisCluster)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    async def commands(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that may be sent twice."""

        async def once() -> list[Any]:
            return await self._send(commands, careful=True)

        return await self._try(once)

    async def command(self, *command: Arg) -> Any:  # noqa: ANN401 - whatever that command answers
        return (await self.commands([command]))[0]

    async def run(self, calls: Sequence[Call], *, replicas: int = 0, wait: float = 1.0) -> Ran:
        """Run scripts; with `replicas`, then wait until so many have got what was written."""
        again = False

        async def once() -> Ran:
            nonlocal again
            repeated, again = again, True
            answers = await self._run(calls, again=repeated, whole=False, replicas=replicas, wait=wait)
            if any(isinstance(answer, NoScriptError) for answer in answers.each):
                answers = await self._run(calls, again=True, whole=True, replicas=replicas, wait=wait)
            for answer in answers.each:
                if isinstance(answer, Exception) and passes(answer):
                    raise answer
            return answers

        return await self._try(once)

    async def hint(self, commands: Sequence[Command]) -> None:
        """Send commands now or never."""
        with suppress(*ERRORS):
            await self._send(commands, careful=False)

    async def close(self) -> None:
        self._closed = True
        with suppress(*ERRORS):
            await self.client.aclose()
        if isinstance(self.client, RedisCluster):  # which lets go of nothing after an error
            for nodes in ("nodes_cache", "startup_nodes"):
                with suppress(*ERRORS):
                    await self.client.nodes_manager.aclose(nodes)
        if self._sentinels is not None:
            with suppress(*ERRORS):
                await self._sentinels.aclose()

    async def _try(self, once: Callable[[], Awaitable[T]]) -> T:
        if self._closed:
            raise StoreError(f"{self.where}: the store is closed")
        until, failures = time.monotonic() + PATIENCE, 0
        while True:
            try:
                return await once()
            except ERRORS as error:
                failures += 1
                tired = (failures >= TRIES and not moves(error)) or time.monotonic() > until
                if tired or not passes(error):
                    raise store_error(self.where, error) from error
            if isinstance(self.client, Redis):  # what was open leads perhaps to what is no primary any more
                await self.client.connection_pool.disconnect(inuse_connections=False)
            await asyncio.sleep(min(1.0, 0.05 * 2**failures))

    async def _run(
        self, calls: Sequence[Call], *, again: bool, whole: bool, replicas: int, wait: float
    ) -> Ran:
        commands = [call.command(again=again, whole=whole) for call in calls]
        if not replicas:
            return Ran(each=await self._send(commands, careful=False), confirmed=0)
        confirm: Command = ("WAIT", replicas, int(wait * 1000))
        if isinstance(self.client, Redis):
            *each, confirmed = await self._send([*commands, confirm], careful=False)
            counts = [confirmed]
        else:
            pairs = [
                self._pair(self.client, call.keys[0], c, confirm)
                for call, c in zip(calls, commands, strict=True)
            ]
            answers = await asyncio.gather(*pairs)
            each, counts = [answer for answer, _ in answers], [count for _, count in answers]
        for count in counts:
            if isinstance(count, Exception):
                raise count
        return Ran(each=each, confirmed=min(counts))

    async def _send(self, commands: Sequence[Command], *, careful: bool) -> list[Any]:
        """Answers in order; where not `careful`, an error is an answer."""
        if isinstance(self.client, RedisCluster):
            answers = await asyncio.gather(*(self._one(self.client, command) for command in commands))
            for answer in answers:
                if careful and isinstance(answer, Exception):
                    raise answer
            return answers
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelling = task.cancelling()
        try:
            async with self._places, self.client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return await pipe.execute(raise_on_error=careful)
        finally:
            # Before Python 3.12, `wait_for` in the client may overhear it, and answer or fail instead.
            if task.cancelling() > cancelling:
                raise asyncio.CancelledError

    async def _one(self, client: RedisCluster, command: Command) -> Any:  # noqa: ANN401
        try:
            async with self._places, _kept_open():
                return await client.execute_command(*command)
        except ERRORS as error:
            return error

    async def _pair(
        self, client: RedisCluster, key: str, command: Command, confirm: Command
    ) -> tuple[Any, Any]:
        """A script, and the confirmation that must follow it on the same connection."""
        async with self._places, _kept_open():
            await client.initialize()
            pipe = client.pipeline()
            pipe.execute_command(*command)
            pipe.execute_command(*confirm, target_nodes=client.get_node_from_key(key))
            answer, count = await pipe.execute(raise_on_error=False, allow_redirections=False)
            if isinstance(answer, Exception) and passes(answer):
                with suppress(*ERRORS):
                    await client.execute_command("EXISTS", key)  # learns where the bucket is now
        return answer, count


@asynccontextmanager
async def _kept_open() -> AsyncIterator[None]:
    """Where a Cluster is down for one command, the client closes the connections of all, as they are used."""
    try:
        yield
    except AttributeError as error:
        raise ConnectionError("the connection was closed while it was used") from error


assert TIMEOUT < PATIENCE, "what got no answer is tried once more"
