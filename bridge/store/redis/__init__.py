"""The store in Redis, for any number of processes: one server, Sentinels, or a Cluster.

Every change is one script on one bucket. Appends of one tick of the event loop go out together. An answer
comes after Redis has written to its append-only file, by its own `appendfsync`: with `everysec` a power
loss may take the last second, with `always` nothing; a failover may take what no replica had confirmed.
"""

from bridge.store.redis.store import RedisStore

__all__ = ["RedisStore"]
