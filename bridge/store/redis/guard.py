"""What a Redis must be before a log is trusted to it, and what to set where it is not.

Every new connection is inspected before it is used: so is a server that was started anew, or that took over.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.exceptions import ReadOnlyError, ResponseError

from bridge.store.redis.clients import ERRORS, Client, Unfit, store_error

OLDEST = (6, 2)
OLDEST_CLUSTER = (7, 0)  # sharded Pub/Sub


async def look_at_all(client: Client, where: str) -> None:
    """Connect to every primary; StoreError says what is wrong with each."""
    try:
        if isinstance(client, Redis):
            await client.ping()
            return
        await client.initialize()
        pings = (node.execute_command("PING") for node in client.get_primaries())
        failed = [e for e in await asyncio.gather(*pings, return_exceptions=True) if isinstance(e, Exception)]
        if unfit := [str(error) for error in failed if isinstance(error, Unfit)]:
            raise Unfit("; ".join(unfit))
        if failed:
            raise failed[0]
    except ERRORS as error:
        raise store_error(where, error) from error


async def inspect(connection: Connection, *, clustered: bool) -> None:
    """Greet and log in; raise Unfit unless a log can be trusted to the server that answers."""
    await connection.on_connect()
    lines = (await _ask(connection, "INFO")).decode("utf-8", "replace").splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    if info.get("role") == "slave" and not clustered:  # in a Cluster it tells where the others are
        raise ReadOnlyError("it follows another server")
    faults = "; ".join(_faults(info, await _fsync(connection), clustered=clustered))
    if faults:
        raise Unfit(f"{connection.host}:{connection.port}: {faults}")


async def _ask(connection: Connection, *command: str) -> Any:  # noqa: ANN401 - whatever it answers
    await connection.send_command(*command)
    return await connection.read_response()


async def _fsync(connection: Connection) -> str:
    """When it flushes its append-only file; "" where it does not let itself be asked."""
    try:
        answer = await _ask(connection, "CONFIG", "GET", "appendfsync")
    except ResponseError:
        return ""
    values = [*answer.values()] if isinstance(answer, dict) else answer[1:]
    return str(values[0].decode()) if values else ""


def _faults(info: dict[str, str], fsync: str, *, clustered: bool) -> Iterator[str]:
    wanted = OLDEST_CLUSTER if clustered else OLDEST
    version, mode = info.get("redis_version", "0"), info.get("redis_mode")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < wanted:
        yield f"Redis {version} is too old: use {'.'.join(map(str, wanted))} or newer"
    if mode == "cluster" and not clustered:
        yield "this is a Redis Cluster: write redis+cluster://"
    if mode == "sentinel":
        yield "this is a Sentinel: write redis+sentinel://host:26379/NAME/0"
    elif info.get("aof_enabled") != "1":
        yield "the append-only file is off and a restart would forget messages: set `appendonly yes`"
    if fsync == "no":
        yield "a power cut would take what the system has not written yet: set `appendfsync everysec`"
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield (
            f"maxmemory-policy is {policy}, which may throw conversations away: "
            "set `maxmemory-policy noeviction`"
        )
