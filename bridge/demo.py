"""`joinline demo`: a shop website with the chat, the mailbox of its staff, and the server, in one process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
import secrets
import socket
import tempfile
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from starlette.types import ASGIApp
import uvicorn

from bridge import app, config, listening, registry, telemetry
from bridge.config import Config
from bridge.errors import JoinlineError

__all__ = ["run"]

ROOT = Path(__file__).parent.parent
SHOP = ROOT / "demo" / "shop"
KNOWLEDGE = ROOT / "knowledge"
WRITTEN_AS = "https://chat.example.com"  # how the shop's pages write the chat's address
LADDER = [20, 60]  # seconds: nobody who tries something waits for minutes

_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

_TOLD = """\
Joinline runs on this machine.

  Shop     {shop}   a website with the chat in its corner
  Mailbox  {mailbox}   what the shop's staff get by mail
  Bridge   {bridge}   the server behind both

What to try
  1. Open the shop and ask the chat: Do you ship to Norway?
  2. Open the mailbox in another window: Dana was told. Press "Open conversation" in her mail.
  3. Type a name, press Join, and watch. Then press "Take over" and answer as yourself.
  4. Hand back, press "Talk to a person" in the chat, and wait: after {patience} seconds Sam is told, too.

Ctrl-C ends it.{kept}
"""


async def run(
    *, host: str, port: int, shop_port: int, mailbox_port: int, folder: Path | None,
    ready: Callable[[], None], tell: Callable[[str], None],
) -> None:  # fmt: skip
    """Serve all three until a signal. Raises `JoinlineError` where one of them cannot be had."""
    if not SHOP.is_dir():
        raise JoinlineError(
            "the demo's pages are not part of this installation; run it from a checkout: make demo"
        )
    async with AsyncExitStack() as stack:
        bound = {}
        for name, number in (("port", port), ("shop-port", shop_port), ("mailbox-port", mailbox_port)):
            bound[name] = listening.listen(
                host, number, mend=f"choose another with --{name} (ARGS in make demo)"
            )
            stack.callback(bound[name].close)
        bridge, shop, mailbox = (_url(host, one) for one in bound.values())
        kept = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="joinline-demo-")))
        kept.mkdir(parents=True, exist_ok=True)
        sink = import_module(registry.MAILBOX)
        mails = sink.Mailbox()
        stack.push_async_callback(mails.close)
        settings = _settings(bridge=bridge, shop=shop, smtp_port=await mails.listen(), folder=kept)
        telemetry.install(settings.log)
        await stack.enter_async_context(_serving(_shop(bridge), bound["shop-port"]))
        await stack.enter_async_context(_serving(_mailbox(sink.router(mailbox=mails)), bound["mailbox-port"]))

        def told() -> None:
            tell(
                _TOLD.format(
                    shop=shop, mailbox=mailbox, bridge=bridge, kept=_kept(folder), patience=LADDER[0]
                )
            )
            ready()

        await app.serve(settings, ready=told, sockets=[bound["port"]])
    tell("Ended.")


def _kept(folder: Path | None) -> str:
    return f" Conversations are kept in {folder}." if folder else " Nothing is kept."


def _url(host: str, bound: socket.socket) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{shown}:{listening.port_of(bound)}"


def _settings(*, bridge: str, shop: str, smtp_port: int, folder: Path) -> Config:
    values: Mapping[str, Any] = {
        "base_url": bridge,
        "secret": secrets.token_urlsafe(32),
        "store": f"sqlite:///{folder.absolute()}/joinline.db",
        "sites": {
            "acme": {
                "name": "Acme Outdoor",
                "origins": [shop],
                "staff": [["dana"], ["sam"]],
                "accent": "#2f5d46",
                "greeting": "Questions about gear, sizes or shipping? Ask here.",
            }
        },
        "staff": {
            "dana": {"name": "Dana", "email": "dana@acme-outdoor.example"},
            "sam": {"name": "Sam", "email": "sam@acme-outdoor.example"},
        },
        "email": {
            "smtp_url": f"smtp://127.0.0.1:{smtp_port}",
            "from": "Acme Outdoor <chat@acme-outdoor.example>",
            "settle": 2,
        },
        "patience": {"ladder": LADDER},
        "assistant": {"kind": "knowledge", "knowledge": KNOWLEDGE},
        "limits": {"sockets_per_ip": 100, "opened_per_ip_per_hour": 1000},
        "log": {"level": "warning"},
    }
    return config.build(values, name="demo")


# --- the shop ------------------------------------------------------------------------------------


def _shop(bridge: str) -> FastAPI:
    """The pages of demo/shop under the strictest policy that a website can have."""
    pages = _pages()
    live = bridge.replace("http", "ws", 1)
    policy = (
        f"default-src 'none'; script-src {bridge}; connect-src {bridge} {live}; style-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    for file in sorted(SHOP.rglob("*")):
        if file.suffix in _TYPES:
            path = f"/{file.relative_to(SHOP).as_posix()}".removesuffix(".html")
            body = file.read_text("utf-8").replace(WRITTEN_AS, bridge)
            pages.get("/" if path == "/index" else path)(_page(body, _TYPES[file.suffix], policy))
    return pages


def _page(body: str, media_type: str, policy: str) -> Callable[[], Awaitable[Response]]:
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }

    async def page() -> Response:
        return Response(body, media_type=media_type, headers=headers)

    return page


def _mailbox(routes: APIRouter) -> FastAPI:
    pages = _pages()
    pages.include_router(routes)
    return pages


def _pages() -> FastAPI:
    return FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


class _Quietly(uvicorn.Server):
    """A server beside the main one, which has the signals."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hang up on pages that listen: the mailbox's streams have no end of their own."""
        for connection in self.server_state.connections:
            connection.transport.close()
        await super().shutdown(sockets)


@asynccontextmanager
async def _serving(pages: ASGIApp, bound: socket.socket) -> AsyncIterator[None]:
    """Serve `pages` on the socket for as long as the context lasts."""
    settings = uvicorn.Config(
        pages,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Quietly(settings)
    task = asyncio.create_task(server.serve([bound]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
