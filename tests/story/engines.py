"""The random story over each engine that keeps what it is given."""

from bridge.store import Store, open_store
from tests.redises import RedisServer
from tests.story.machine import Laws


def over_redis(server: RedisServer) -> type[Laws]:
    class OverRedis(Laws):
        def __init__(self) -> None:
            server.ask("FLUSHALL")
            super().__init__()

        async def open_store(self) -> Store:
            return await open_store(server.url)

    return OverRedis
