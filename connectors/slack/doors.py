"""The two ways in from Slack: a socket that we open, or signed requests. Either keeps, then acknowledges."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
import logging
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier

from bridge.bodies import read_body
from bridge.errors import FrameError, Retry, StoreError
from connectors.slack.calls import Calls, Refusal

log = logging.getLogger(__name__)

MOST = 1024 * 1024  # bytes of a request
NAP = 1.0
WITHOUT = 30.0  # seconds without a socket after which everything begins anew
TELL = 600.0  # seconds between two words about requests that were refused
PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0)

Keep = Callable[[Mapping[str, Any]], Awaitable[None]]


def bolt(calls: Calls, keep: Keep) -> AsyncApp:
    """An app of one step: keep the payload durably, then acknowledge; without the one, not the other.

    It stands before everything that Bolt brings along, as that may ask Slack things and lose an event when
    Slack does not answer.
    """

    async def kept(body: dict[str, Any]) -> BoltResponse:
        if body.get("type") == "url_verification":
            return BoltResponse(status=200, body={"challenge": str(body.get("challenge", ""))})
        try:
            await keep(body)
        except (StoreError, OSError):
            log.exception("slack: a payload cannot be kept, so it is not acknowledged")
            return BoltResponse(status=503)
        return BoltResponse(status=200)

    return AsyncApp(
        name="joinline",
        client=calls.client,
        before_authorize=kept,
        request_verification_enabled=False,  # `router` does that, over the bytes
        ssl_check_enabled=False,
        url_verification_enabled=False,
        ignoring_self_events_enabled=False,
        attaching_function_token_enabled=False,
    )


class Socket:
    """Socket Mode. The SDK connects again by itself; where it stays away for too long, it is made anew."""

    def __init__(self, *, app: AsyncApp, calls: Calls, app_token: str, ping: float = 5.0) -> None:
        self._app = app
        self._calls = calls
        self._app_token = app_token
        self._ping = ping

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            address = await self._address()
            handler = AsyncSocketModeHandler(self._app, self._app_token, ping_interval=self._ping)
            try:
                handler.client.wss_uri = address
                await self._listen(handler)
            finally:
                await _close(handler)
            log.warning("slack: no socket for %g s; it is opened anew", WITHOUT)

    async def _address(self) -> str:
        tries = 0
        while True:
            try:
                return await self._calls.open_socket(self._app_token)
            except (Retry, Refusal) as trouble:
                pause = PAUSES[min(tries, len(PAUSES) - 1)]
                if isinstance(trouble, Retry):
                    pause = max(pause, trouble.after)
                log.warning("slack: no socket yet, it is tried again in %g s: %s", pause, trouble)
                await asyncio.sleep(pause)
                tries += 1

    async def _listen(self, handler: AsyncSocketModeHandler) -> None:
        """Return when the socket is away for too long."""
        loop = asyncio.get_running_loop()
        connecting = asyncio.create_task(handler.client.connect())  # type: ignore[no-untyped-call]
        try:
            seen = loop.time()
            while loop.time() - seen < WITHOUT:
                if connecting.done():
                    connecting.result()
                if await handler.client.is_connected():
                    seen = loop.time()
                await asyncio.sleep(NAP)
        finally:
            connecting.cancel()


async def _close(handler: AsyncSocketModeHandler) -> None:
    client = handler.client
    await client.close()  # type: ignore[no-untyped-call]
    tasks = (client.message_processor, client.current_session_monitor, client.message_receiver)
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


def router(*, app: AsyncApp, signing_secret: str) -> APIRouter:
    """Signed requests. Whatever is odd about one, it is a 401 without another word."""
    routes = APIRouter()
    verifier = SignatureVerifier(signing_secret)
    refused = _Refused()

    async def signed(request: Request) -> Response:
        try:
            body = await read_body(request, most=MOST)
        except FrameError as error:
            return Response(status_code=413 if error.close_code == 1009 else 408)
        headers = dict(request.headers)
        if not _is_slacks(verifier, body, headers):
            refused.note()
            return Response(status_code=401)
        try:
            asked = AsyncBoltRequest(body=body.decode(), headers={**headers})
        except (ValueError, TypeError, AttributeError, RecursionError):  # signed, but no payload
            return Response(status_code=400, headers={"x-slack-no-retry": "1"})
        said = await app.async_dispatch(asked)
        return Response(content=said.body, status_code=said.status, headers=dict(said.first_headers()))

    routes.add_api_route("/slack/events", signed, methods=["POST"])
    routes.add_api_route("/slack/interactions", signed, methods=["POST"])
    return routes


class _Refused:
    """Tells the log of refused requests, which may be Slack's own; once in a while, as anybody may call."""

    def __init__(self) -> None:
        self._said_at = -TELL

    def note(self) -> None:
        now = time.monotonic()
        if now - self._said_at >= TELL:
            self._said_at = now
            log.warning(
                "slack: a request was refused, as Slack did not sign it just now. If these are Slack's: is "
                "slack.signing_secret the app's, and is this machine's clock right?"
            )


def _is_slacks(verifier: SignatureVerifier, body: bytes, headers: dict[str, str]) -> bool:
    try:
        return verifier.is_valid_request(body, headers)
    except (ValueError, TypeError):  # a time that is no number, a signature or a body that is no text
        return False
