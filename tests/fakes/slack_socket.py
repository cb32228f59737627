"""How events and interactions leave Slack: Socket Mode, or signed HTTP requests, with redelivery."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import hashlib
import hmac
import itertools
import json
import secrets
import time
from typing import Any, Self
from urllib.parse import urlencode
import uuid

import aiohttp
from aiohttp import web

from tests.fakes.slack_text import Json


@dataclass(eq=False)
class Delivery:
    """Something on its way to the app. `kind` is events_api or interactive."""

    kind: str
    payload: Json
    attempts: int = 0
    acked: bool = False
    lost: bool = False  # Slack has given up
    answer: Json | None = None  # what came with the acknowledgement
    failures: list[str] = field(default_factory=list)  # why attempts failed: timeout, http_error ...
    sockets: list[int] = field(default_factory=list)  # which socket each attempt went to
    settled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    first_reason: str = ""  # set where this repeats an earlier delivery

    @property
    def event(self) -> Json:
        return dict(self.payload.get("event") or {})

    @property
    def event_id(self) -> str:
        return str(self.payload.get("event_id", ""))

    async def done(self, within: float = 10.0) -> Self:
        """Wait until it is acknowledged or lost."""
        await asyncio.wait_for(self.settled.wait(), within)
        return self


@dataclass(eq=False)
class Socket:
    number: int
    ws: web.WebSocketResponse
    request: web.Request
    retiring: bool = False  # was told to disconnect; gets no more envelopes

    def abort(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


class Outbound:
    """Sends deliveries, in the order they come, and again where nobody acknowledges them."""

    def __init__(self, app_id: str, signing_secret: str) -> None:
        self.app_id = app_id
        self.signing_secret = signing_secret
        self.deliveries: list[Delivery] = []
        self.sockets: list[Socket] = []
        self.tickets: set[str] = set()
        self.ack_timeout = 0.5
        self.interaction_timeout = 3.0
        self.retry_delays = [0.0, 0.5, 2.5]  # Slack's own are about 0, 1 and 5 minutes
        self.waits_for_socket = True
        self.instead_of_hello: object = None
        self.held: list[Delivery] | None = None
        self.urls: tuple[str, str] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, tuple[Delivery, asyncio.Future[str]]] = {}
        self._connected = asyncio.Event()
        self._turns = itertools.count()
        self._numbers = itertools.count(1)

    def push(self, delivery: Delivery) -> Delivery:
        self.deliveries.append(delivery)
        if self.held is not None and delivery.kind == "events_api":
            self.held.append(delivery)
        else:
            self._start(delivery)
        return delivery

    def hold(self) -> None:
        """Keep events back until `release`."""
        self.held = self.held or []

    def release(self, order: Callable[[list[Delivery]], list[Delivery]] | None = None) -> None:
        """Let the held events go, in another order (say, `lambda held: held[::-1]`)."""
        held, self.held = self.held or [], None
        for delivery in order(held) if order else held:
            self._start(delivery)

    @contextmanager
    def reorder(self) -> Iterator[None]:
        """Events that happen inside go out when it ends, last one first."""
        self.hold()
        yield
        self.release(lambda held: held[::-1])

    def again(self, earlier: Delivery, reason: str = "timeout") -> Delivery:
        """Deliver once more what was delivered before: same event_id, a new envelope, marked as a retry."""
        repeat = Delivery(earlier.kind, earlier.payload, attempts=earlier.attempts, first_reason=reason)
        self.deliveries.append(repeat)
        self._start(repeat)
        return repeat

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        once = delivery.kind == "interactive"  # a press is never repeated
        reason = delivery.first_reason
        for delay in [None] if once else [None, *self.retry_delays]:
            if delay is not None:
                await asyncio.sleep(delay)
            if not delivery.acked:
                over_http = self.urls is not None
                attempt = self._post(delivery, reason) if over_http else self._send(delivery, reason)
                reason = await attempt
                if reason == "no_retry":
                    break
                if reason:
                    delivery.failures.append(reason)
            if delivery.acked:
                break
        delivery.lost = not delivery.acked
        delivery.settled.set()

    # -- Socket Mode

    @property
    def live(self) -> list[Socket]:
        return [s for s in self.sockets if not s.retiring and not s.ws.closed]

    async def _send(self, delivery: Delivery, reason: str) -> str:
        interactive = delivery.kind == "interactive"
        while not self.live:
            if interactive or not self.waits_for_socket:
                return "no_socket"
            self._connected.clear()
            await self._connected.wait()
        socket = self.live[next(self._turns) % len(self.live)]
        envelope_id = str(uuid.uuid4())
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = (delivery, told)
        envelope = {
            "envelope_id": envelope_id,
            "type": delivery.kind,
            "accepts_response_payload": interactive,
            "payload": delivery.payload,
        }
        if not interactive:
            envelope |= {"retry_attempt": delivery.attempts, "retry_reason": reason}
        delivery.attempts += 1
        delivery.sockets.append(socket.number)
        try:
            await socket.ws.send_str(json.dumps(envelope))
            limit = self.interaction_timeout if interactive else self.ack_timeout
            return await asyncio.wait_for(told, limit)
        except TimeoutError:
            return "timeout"
        except ConnectionError:
            return "socket_closed"

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self.tickets:
            return web.Response(status=403)
        self.tickets.discard(ticket)
        ws = web.WebSocketResponse(heartbeat=None, autoping=True, timeout=0.2)
        await ws.prepare(request)
        socket = Socket(next(self._numbers), ws, request)
        if len(self.live) >= 10:
            await ws.send_str(json.dumps({"type": "disconnect", "reason": "too_many_websockets"}))
            await ws.close()
            return ws
        if self.instead_of_hello is not None:
            await ws.send_str(json.dumps(self.instead_of_hello))
            await ws.close()
            return ws
        self.sockets.append(socket)
        hello = {
            "type": "hello",
            "num_connections": len(self.live),
            "debug_info": {"host": "applink-1", "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self.app_id},
        }
        await ws.send_str(json.dumps(hello))
        self._connected.set()
        try:
            async for message in ws:
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._ack(json.loads(message.data))
        finally:
            self.sockets.remove(socket)
        return ws

    def _ack(self, answer: Json) -> None:
        delivery, told = self._waiting.pop(str(answer.get("envelope_id")), (None, None))
        if delivery is not None and told is not None:
            delivery.acked = True
            delivery.answer = answer.get("payload")
            if not told.done():
                told.set_result("")
            delivery.settled.set()

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Ask every socket to go and come again, as Slack does now and then."""
        for socket in self.live:
            socket.retiring = reason != "warning"
            frame = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}}
            await socket.ws.send_str(json.dumps(frame))

    def cut(self) -> None:
        """Reset every socket, without a word."""
        for socket in list(self.sockets):
            socket.retiring = True
            socket.abort()

    async def close_sockets(self) -> None:
        """End every socket with a close frame."""
        for socket in list(self.sockets):
            socket.retiring = True
            await socket.ws.close(code=1001)

    # -- HTTP

    def sign(self, body: bytes | str, timestamp: float | None = None) -> dict[str, str]:
        """The headers of a signed request."""
        at = str(int(time.time() if timestamp is None else timestamp))
        raw = body.encode() if isinstance(body, str) else body
        digest = hmac.new(
            self.signing_secret.encode(), f"v0:{at}:".encode() + raw, hashlib.sha256
        ).hexdigest()
        return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={digest}"}

    async def _post(self, delivery: Delivery, reason: str) -> str:
        assert self.urls is not None
        interactive = delivery.kind == "interactive"
        extra: dict[str, str] = {}
        if delivery.attempts:
            extra = {"X-Slack-Retry-Num": str(delivery.attempts), "X-Slack-Retry-Reason": reason}
        delivery.attempts += 1
        limit = self.interaction_timeout if interactive else self.ack_timeout
        try:
            status, headers, body = await self.post(
                self.urls[interactive], delivery.payload, form=interactive, limit=limit, extra=extra
            )
        except TimeoutError:
            return "http_timeout"
        except (aiohttp.ClientError, OSError):
            return "connection_failed"
        if status != 200:
            return "no_retry" if headers.get("x-slack-no-retry") == "1" else "http_error"
        delivery.acked = True
        delivery.answer = json.loads(body) if body.startswith(b"{") else None
        return ""

    async def post(
        self, url: str, payload: Json, *, form: bool, limit: float, extra: dict[str, str] | None = None
    ) -> tuple[int, Any, bytes]:
        """One signed request: status, headers, body."""
        text = json.dumps(payload)
        body = urlencode({"payload": text}).encode() if form else text.encode()
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        headers = {"Content-Type": kind, **self.sign(body), **(extra or {})}
        if self._session is None:
            self._session = aiohttp.ClientSession()
        timeout = aiohttp.ClientTimeout(total=limit)
        async with self._session.post(url, data=body, headers=headers, timeout=timeout) as answer:
            return answer.status, answer.headers, await answer.read()

    async def verify(self, url: str) -> None:
        """Slack's own check of a request URL, when somebody enters it."""
        challenge = {"type": "url_verification", "token": "x", "challenge": secrets.token_hex(8)}
        status, _, body = await self.post(url, challenge, form=False, limit=self.interaction_timeout)
        assert status == 200, f"{url} answered the challenge with {status}"
        assert challenge["challenge"].encode() in body, f"{url} did not return the challenge"

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut()
        if self._session is not None:
            await self._session.close()
