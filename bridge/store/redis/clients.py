"""The `redis` client for each kind of address, and what its errors mean to people.

The client itself tries nothing again: what was sent once and may have been carried out is sent again by
the link, which says so to the script.
"""

from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    ConnectionError,  # noqa: A004 - the client's own
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from bridge.errors import StoreError
from bridge.store.address import Address

TIMEOUT = 5.0  # seconds for one answer
CONNECT = 2.0
AT_ONCE = 64  # commands under way in this process
ERRORS = (RedisError, RedisClusterException, OSError)

Client = Redis | RedisCluster

_PASSING = (
    ConnectionError, TimeoutError, ReadOnlyError, TryAgainError, ClusterError, MovedError,
    RedisClusterException, OSError,
)  # fmt: skip
_FOR_GOOD = (AuthenticationError, AuthorizationError)
_MENDS: tuple[tuple[tuple[type[Exception], ...] | str, str], ...] = (
    (_FOR_GOOD, "look at user and password in `store`"),
    ((NoPermissionError,), "let that user run scripts and commands on joinline:* keys and channels"),
    ((OutOfMemoryError,), "give Redis more memory (maxmemory); nothing is evicted from a log"),
    ((BusyLoadingError,), "Redis is reading its data; it will answer when it is done"),
    ((ReadOnlyError,), "this is a replica: name the primary, or its Sentinels"),
    ("MISCONF", "Redis cannot write to its disk: free some space, and look at its log"),
    ("NOREPLICAS", "Redis asks for more replicas (min-replicas-to-write) than it has"),
    ("OOM", "give Redis more memory (maxmemory); nothing is evicted from a log"),
    ((ConnectionError, TimeoutError, OSError), "is it running, and may this machine reach it?"),
)


def connect(address: Address) -> tuple[Client, Sentinel | None]:
    """A client that connects when it is first used, and the Sentinels that it asks, to be closed after it."""
    common: dict[str, Any] = {
        "socket_timeout": TIMEOUT, "socket_connect_timeout": CONNECT, "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0), "max_connections": 2 * AT_ONCE,
    }  # fmt: skip
    login: dict[str, Any] = {"username": address.user or None, "password": address.password or None}
    match address.kind:
        case "single":
            host, port = address.hosts[0]
            client = Redis(host=host, port=port, db=address.db, ssl=address.tls, **login, **common)
            return client, None
        case "cluster":
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            return RedisCluster(startup_nodes=nodes, ssl=address.tls, **login, **common), None
        case "sentinel":
            own = {name: common[name] for name in ("socket_connect_timeout", "retry")}
            asked = Sentinel(  # type: ignore[no-untyped-call]
                address.hosts,
                sentinel_kwargs={**own, "socket_timeout": CONNECT, "ssl": address.tls},
                **common,
            )
            return asked.master_for(address.name, db=address.db, ssl=address.tls, **login), asked


def passes(error: Exception) -> bool:
    """Whether it may be gone when the same is tried again."""
    return isinstance(error, _PASSING) and not isinstance(error, _FOR_GOOD)


def store_error(where: str, error: Exception) -> StoreError:
    """What happened, where, and what helps."""
    text = " ".join(str(error).split()) or type(error).__name__
    for sign, mend in _MENDS:
        if isinstance(error, sign) if isinstance(sign, tuple) else _answered(error, sign):
            return StoreError(f"{where}: {text}: {mend}")
    return StoreError(f"{where}: {text}")


def _answered(error: Exception, code: str) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith(code)
