"""What a Redis must be before a log is trusted to it, and what to set where it is not."""

from typing import Any

from redis.asyncio import Redis, RedisCluster

from bridge.errors import StoreError
from bridge.store.redis.clients import ERRORS, Client, store_error

OLDEST = (6, 2)
OLDEST_CLUSTER = (7, 0)  # sharded Pub/Sub


async def inspect(client: Client, where: str) -> None:
    """Raise StoreError, with every fault, unless all its primaries are fit."""
    try:
        infos = await _infos(client)
    except ERRORS as error:
        raise store_error(where, error) from error
    faults = [f"{server}: {fault}" for server, info in infos.items() for fault in _faults(info, client)]
    if faults:
        raise StoreError(f"{where}: not safe for a log: " + "; ".join(faults))


async def _infos(client: Client) -> dict[str, dict[str, Any]]:
    if isinstance(client, Redis):
        info = await client.info("everything")
        return {f"port {info.get('tcp_port', '?')}": info}
    await client.initialize()
    return {
        node.name: await client.execute_command("INFO", "everything", target_nodes=node)
        for node in client.get_primaries()
    }


def _faults(info: dict[str, Any], client: Client) -> list[str]:
    found = []
    wanted = OLDEST_CLUSTER if isinstance(client, RedisCluster) else OLDEST
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < wanted:
        found.append(f"Redis {version} is too old: use {'.'.join(map(str, wanted))} or newer")
    if isinstance(client, Redis) and info.get("redis_mode") == "cluster":
        found.append("this is a Redis Cluster: write redis+cluster://")
    if isinstance(client, Redis) and info.get("redis_mode") == "sentinel":
        found.append("this is a Sentinel: write redis+sentinel://host:26379/NAME/0")
    if info.get("role") == "slave":
        found.append("this is a replica: name the primary, or its Sentinels")
    if str(info.get("aof_enabled", "0")) != "1" and info.get("redis_mode") != "sentinel":
        found.append("the append-only file is off and a restart would forget messages: set `appendonly yes`")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        found.append(
            f"maxmemory-policy is {policy}, which may throw conversations away: "
            "set `maxmemory-policy noeviction`"
        )
    return found
