"""The `redis` client for each kind of address, and what its errors mean to people.

The client itself tries nothing again: what was sent once and may have been carried out is sent again by
the link, which says so to the script.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    ConnectionError,  # noqa: A004 - the client's own
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from bridge.errors import StoreError
from bridge.store.address import Address

TIMEOUT = 5.0  # seconds for one answer
CONNECT = 2.0
AT_ONCE = 64  # commands under way in this process
MOVING = "a slot of the Cluster is on its way to another server; it will answer when it is there"
GRANT = "+@all -@dangerous +info +config|get ~joinline:* &joinline:*"
ERRORS = (RedisError, RedisClusterException, OSError)

Client = Redis | RedisCluster
Inspect = Callable[[Connection], Awaitable[None]]


class Unfit(ConnectionError):
    """A server to which no log can be trusted; says why, and what to set."""


_PASSING = (
    ConnectionError, TimeoutError, ReadOnlyError, TryAgainError, ClusterError, AskError,
    RedisClusterException, OSError,
)  # fmt: skip
_FOR_GOOD = (AuthenticationError, AuthorizationError, Unfit)
_MENDS: tuple[tuple[tuple[type[Exception], ...] | str, str], ...] = (
    ((AuthenticationError, AuthorizationError), "look at user and password in `store`"),
    ((NoPermissionError,), f"give that user what Joinline needs: ACL SETUSER NAME {GRANT}"),
    ((OutOfMemoryError,), "give Redis more memory (maxmemory); nothing is evicted from a log"),
    ((BusyLoadingError,), "Redis is reading its data; it will answer when it is done"),
    ((ReadOnlyError,), "this is a replica: name the primary, or its Sentinels"),
    ((AskError, TryAgainError), MOVING),
    ("TTL exhausted", MOVING),
    ("MISCONF ", "Redis cannot write to its disk: free some space, and look at its log"),
    ("NOREPLICAS ", "Redis asks for more replicas (min-replicas-to-write) than it has"),
    ("OOM command not allowed", "give Redis more memory (maxmemory); nothing is evicted from a log"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED]", "name the file of its own authority in SSL_CERT_FILE"),
    ((ConnectionError, TimeoutError, OSError), "is it running, and may this machine reach it?"),
)


def connect(address: Address, inspect: Inspect) -> tuple[Client, Sentinel | None]:
    """A client that connects when it is first used, and the Sentinels that it asks, to be closed after it.

    Each new connection is given to `inspect` before it is used; what that raises, whoever asks is told.
    """
    common: dict[str, Any] = {
        "socket_timeout": TIMEOUT, "socket_connect_timeout": CONNECT, "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0), "max_connections": 2 * AT_ONCE,
    }  # fmt: skip
    inspected: dict[str, Any] = {"redis_connect_func": inspect}
    login: dict[str, Any] = {"username": address.user or None, "password": address.password or None}
    match address.kind:
        case "single":
            host, port = address.hosts[0]
            here: dict[str, Any] = {"host": host, "port": port, "db": address.db, "ssl": address.tls}
            return Redis(**here, **login, **common, **inspected), None
        case "cluster":
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            cluster = RedisCluster(startup_nodes=nodes, ssl=address.tls, **login, **common)
            cluster.connection_kwargs |= inspected  # for nodes that it will find
            for node in cluster.nodes_manager.startup_nodes.values():
                node.connection_kwargs |= inspected
            return cluster, None
        case "sentinel":
            own = {name: common[name] for name in ("socket_connect_timeout", "retry")}
            asked = Sentinel(  # type: ignore[no-untyped-call]
                address.hosts,
                sentinel_kwargs={**own, "socket_timeout": CONNECT, "ssl": address.tls},
                **common,
            )
            there = asked.master_for(address.name, db=address.db, ssl=address.tls, **login, **inspected)
            return there, asked


def moves(error: Exception) -> bool:
    """Whether what was asked for is on its way to another server of a Cluster: nothing was done."""
    exhausted = type(error) is ClusterError  # the client has followed it back and forth
    return exhausted or isinstance(error, (AskError, TryAgainError))


def passes(error: Exception) -> bool:
    """Whether it may be gone when the same is tried again."""
    return isinstance(error, _PASSING) and not isinstance(error, _FOR_GOOD)


def store_error(where: str, error: Exception) -> StoreError:
    """What happened, where, and what helps."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Unfit):
        return StoreError(f"{where}: not safe for a log: {text}")
    for sign, mend in _MENDS:
        if isinstance(error, sign) if isinstance(sign, tuple) else sign in text:
            return StoreError(f"{where}: {text}: {mend}")
    return StoreError(f"{where}: {text}")
