"""How updates come in: by polling, or by Telegram's calls. Both keep them before Telegram hears of it."""

import asyncio
import hmac
import json as stdlib_json
import logging

from fastapi import APIRouter, Request, Response
from msgspec import DecodeError, Struct, ValidationError, json

from bridge.bodies import read_body
from bridge.errors import FrameError, Retry, StoreError
from connectors.telegram.calls import Calls, Rejected, patiently
from connectors.threads.inbox import Inbox, Item, encoded

log = logging.getLogger(__name__)

PATH = "/telegram/updates"
MOST = 1024 * 1024  # bytes of an update
_SECRET = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name


class _Chat(Struct, frozen=True):
    id: int


class _Message(Struct, frozen=True):
    chat: _Chat
    message_thread_id: int = 0


class _Query(Struct, frozen=True):
    message: _Message | None = None


class _Update(Struct, frozen=True):
    update_id: int
    message: _Message | None = None
    edited_message: _Message | None = None
    callback_query: _Query | None = None


_decoder = json.Decoder(_Update)


def item(raw: bytes) -> Item:
    """An update for the inbox; updates of one topic, or of one chain of replies, stay in order."""
    update = _decoder.decode(raw)
    about = update.message or update.edited_message
    if update.callback_query is not None:
        about = update.callback_query.message
    lane = "all" if about is None else f"{about.chat.id}:{about.message_thread_id or ''}"
    return Item(key=f"up:{update.update_id}", lane=lane, body=raw)


def _called_with(body: bytes) -> Item | None:
    try:
        update = stdlib_json.loads(body)  # which takes half a character, as Telegram may send it
    except (ValueError, RecursionError):
        update = None
    return _kept(encoded(update))


def _kept(raw: bytes) -> Item | None:
    """What is no update is left out: refused, it would come again and again."""
    try:
        return item(raw)
    except (DecodeError, ValidationError):
        log.warning("an update of %d bytes is not as Telegram's should be, and is left out", len(raw))
        return None


class Polling:
    """Asks for updates, and commits them together with the offset that confirms them."""

    def __init__(self, *, calls: Calls, inbox: Inbox) -> None:
        self._calls = calls
        self._inbox = inbox

    async def run(self) -> None:
        await patiently(self._calls.delete_webhook, "that it calls nobody")
        told = ""
        while True:
            try:
                await self.once()
                told = ""
            except (Retry, Rejected) as trouble:
                if str(trouble) != told:
                    log.warning("no updates from Telegram: %s", trouble)
                    told = str(trouble)
                await asyncio.sleep(_pause(trouble))
            except (StoreError, OSError):
                log.exception("store trouble: Telegram will be asked for the same updates again")
                await asyncio.sleep(2.0)

    async def once(self) -> None:
        position = await self._inbox.position()
        updates = await self._calls.updates(int(position) if position else None)
        if updates:
            following = 1 + max(int(update["update_id"]) for update in updates)
            items = [found for update in updates if (found := _kept(encoded(update))) is not None]
            await self._inbox.accept(items, position=str(following).encode())


class Webhook:
    """Telegram calls `PATH`; it calls again until it is answered with 200."""

    def __init__(self, *, calls: Calls, inbox: Inbox, url: str, secret: str) -> None:
        self._calls = calls
        self._inbox = inbox
        self._url = url
        self._secret = secret

    async def run(self) -> None:
        await patiently(lambda: self._calls.set_webhook(self._url, self._secret), "to call here")

    def routes(self) -> APIRouter:
        routes = APIRouter()

        @routes.post(PATH)
        async def update(request: Request) -> Response:
            return Response(status_code=await self._take(request), headers={"Cache-Control": "no-store"})

        return routes

    async def _take(self, request: Request) -> int:
        given = request.headers.get(_SECRET, "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self._secret.encode()):
            return 401
        try:
            body = await read_body(request, most=MOST)
        except FrameError as error:
            return 413 if error.close_code == 1009 else 400
        found = _called_with(body)
        try:
            await self._inbox.accept([] if found is None else [found])
        except (StoreError, OSError):
            log.exception("store trouble: Telegram will call again")
            return 503
        return 200


def _pause(trouble: Retry | Rejected) -> float:
    return max(trouble.after, 1.0) if isinstance(trouble, Retry) else 30.0
