"""The running server: store, bridge, house and HTTP put together, and taken down in order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
import gc
import logging
from pathlib import Path
import signal
import socket
import sys
from types import FrameType

from fastapi import FastAPI, Response
import uvicorn

from bridge import registry
from bridge.assistant import open_assistant
from bridge.bus import Bus
from bridge.config import Config
from bridge.core import Bridge
from bridge.courier import Persistence
from bridge.house import House
from bridge.store import Store, open_store
from bridge.store.transfer import refuse_unfinished
from bridge.supervise import Supervisor
from bridge.warden import Warden
from bridge.websocket import WebSocketProtocol

__all__ = ["assemble", "serve"]

log = logging.getLogger(__name__)

PURGE_EVERY = 3600.0  # seconds


def assemble(config: Config, store: Store, *, persistence: Persistence | None = None) -> House:
    """Everything that the configuration asks for, on `store`, ready to be supervised and served."""
    bridge = Bridge(store=store, patience=config.patience.core())
    house = House(config=config, bridge=bridge, persistence=persistence)
    house.add_background("bridge", bridge.run)
    house.add_background("clock", Warden(bridge=bridge).run)
    businesses = {site_id: site.name for site_id, site in config.sites.items()}
    assistant = open_assistant(config.assistant, bridge=bridge, businesses=businesses)
    house.add_surface(assistant)
    house.at_the_end(assistant.close)
    registry.install(house)
    house.add_background("purge", lambda: _purge(bridge))
    if not store.alone:
        bus = Bus(
            store=store, pulse=bridge.pulse, process=bridge.process, end=house.end_here,
            rates=house.rates, places=house.places,
        )  # fmt: skip
        for channel in house.channels:
            channel.tell = bus.publish_end
        house.add_background("bus", bus.run)
    house.add_files("/web", Path(__file__).parent / "web")
    house.add_routes(house.statics.router())
    _add_health(house)
    house.app.router.lifespan_context = _lifespan(house)
    return house


async def _purge(bridge: Bridge) -> None:
    while True:
        await bridge.store.purge(bridge.clock())
        await asyncio.sleep(PURGE_EVERY)


def _lifespan(house: House) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with Supervisor() as supervisor:
            for name, part in house.background.items():
                supervisor.start(name, part)
            yield
        for close in house.closing:
            await close()

    return lifespan


def _add_health(house: House) -> None:
    @house.app.get("/livez")
    async def livez() -> Response:
        return Response("ok\n", media_type="text/plain")

    @house.app.get("/readyz")
    async def readyz() -> Response:
        try:
            await house.bridge.store.heads([])
        except Exception as error:
            log.exception("not ready")
            return Response(f"store: {type(error).__name__}\n", 503, media_type="text/plain")
        return Response("ok\n", media_type="text/plain")


class _Server(uvicorn.Server):
    """Says when it is ready; on the first signal tells every client to come back, then lets uvicorn drain.

    uvicorn raises the signal again when it is done, which would end the process before the store is closed;
    so signals are not handed on.
    """

    def __init__(self, config: uvicorn.Config, house: House, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._house = house
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        if self.started and self._ready is not None:
            self._ready()

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        if self._loop is not None:  # a signal handler may not touch the loop directly
            self._loop.call_soon_threadsafe(self._house.end_sessions, 1012, "the server restarts")


async def serve(
    config: Config, *, ready: Callable[[], None] | None = None, sockets: list[socket.socket] | None = None
) -> None:
    """Serve until a signal; then stop accepting, finish what was accepted, close sockets with 1012.

    `ready` is called once requests are answered. Raises `StoreError` where the store cannot be used.
    """
    store = await open_store(config.store, replicas=config.redis.replicas, wait=config.redis.wait)
    try:
        await refuse_unfinished(store)
        house = assemble(config, store)
        server = _Server(_uvicorn_config(config, house.app), house, ready)
        gc.collect()
        gc.freeze()  # what is imported by now is never garbage; collections get cheaper
        gc.set_threshold(20_000, 20, 20)  # most of what a message leaves behind stays
        sys.setswitchinterval(0.0005)  # so that the store's thread is not kept waiting by a busy loop
        await server.serve(sockets=sockets)
    finally:
        await store.close()


def _uvicorn_config(config: Config, app: FastAPI) -> uvicorn.Config:
    server = config.server
    return uvicorn.Config(
        app,
        host=server.host,
        port=server.port,
        ws=WebSocketProtocol,
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # clients ping: they are the ones who must notice first
        http="httptools",
        loop="uvloop",
        lifespan="on",
        proxy_headers=bool(server.trusted_proxies),
        forwarded_allow_ips=list(server.trusted_proxies),
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=round(server.drain),
    )
