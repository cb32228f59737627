"""The live session where WebSockets are blocked: server-sent events with POST, or long-polling.

    POST <prefix>/stream   Hello             -> the session's frames as events (HTML standard, section 9.2)
    POST <prefix>/send     {hello, frame}    -> the answer's frames as an array
    POST <prefix>/poll     Hello             -> welcome and what is new, after 20 s at most

Secrets travel in bodies and cookies only, never in an address.
"""

import asyncio
from contextlib import ExitStack, suppress

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
import msgspec
from starlette.types import Receive, Scope, Send

from bridge import wire
from bridge.bodies import read_body
from bridge.errors import FrameError
from bridge.live import Channel, Ended, Session, first
from bridge.session import Feed, Guest

POLL_FOR = 20.0  # seconds that a long poll waits
HEARTBEAT = 15.0  # seconds without an event until a stream shows that it lives
STATUS = {1009: 413, 1012: 503, 1013: 503, 4401: 401, 4403: 403, 4404: 404, 4410: 410, 4429: 429}


class _Sent(msgspec.Struct, forbid_unknown_fields=True):
    hello: msgspec.Raw
    frame: msgspec.Raw


_decode_sent = msgspec.json.Decoder(_Sent).decode


class Fallback:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def router(self) -> APIRouter:
        router = APIRouter()
        for name, endpoint in (("stream", self._stream), ("send", self._send), ("poll", self._poll)):
            path = f"{self._channel.prefix}/{name}"
            router.add_api_route(path, endpoint, methods=["POST"], response_model=None)
            router.add_api_route(path, self._preflight, methods=["OPTIONS"], response_model=None)
        return router

    async def _stream(self, request: Request) -> Response:
        held = ExitStack()
        try:
            hello, guest = await self._greeted(request)
            held.enter_context(self._channel.place(guest))
        except FrameError as error:
            return self._refuse(request, error)
        session = held.enter_context(self._channel.session(guest, hello, request))
        feed = self._channel.feed(guest, hello)
        headers = self._headers(request) | {"X-Accel-Buffering": "no"}
        within = self._channel.send_timeout
        return _Events(feed=feed, session=session, held=held, within=within, headers=headers)

    async def _send(self, request: Request) -> Response:
        try:
            hello, frame = _split(await read_body(request, most=wire.MAX_FRAME))
            guest = await self._guest(hello, request)
            self._channel.pace(guest)
            reply = await self._channel.desk.answer(guest, frame)
        except FrameError as error:
            return self._refuse(request, error)
        return self._frames(request, [] if reply is None else [wire.encode(reply)])

    async def _poll(self, request: Request) -> Response:
        try:
            hello, guest = await self._greeted(request)
            with self._channel.place(guest), self._channel.session(guest, hello, request) as session:
                frames = await _collect(self._channel.feed(guest, hello), session, request.receive)
        except FrameError as error:
            return self._refuse(request, error)
        except Ended as end:
            return self._refuse(request, FrameError(end.code, end.reason))
        return self._frames(request, frames)

    async def _greeted(self, request: Request) -> tuple[wire.Hello, Guest]:
        hello = wire.decode(await read_body(request, most=wire.MAX_FRAME))
        guest = await self._guest(hello, request)
        assert isinstance(hello, wire.Hello)
        return hello, guest

    async def _guest(self, hello: wire.Inbound, request: Request) -> Guest:
        if not self._channel.allows(request.headers.get("origin"), request):
            raise FrameError(4403, "this origin is not allowed")
        return await self._channel.guest(hello, request)

    async def _preflight(self, request: Request) -> Response:
        """The answer to a CORS preflight (Fetch standard, section 3.3)."""
        if not self._channel.allows(request.headers.get("origin"), request):
            return Response(status_code=403)
        asked = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "content-type",
            "Access-Control-Max-Age": "600",
        }
        return Response(status_code=204, headers=self._headers(request) | asked)

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Vary": "Origin", "Cache-Control": "no-store"}
        origin = request.headers.get("origin")
        if origin is not None and self._channel.allows(origin, request):
            headers["Access-Control-Allow-Origin"] = origin
        return headers

    def _frames(self, request: Request, frames: list[bytes]) -> Response:
        body = b"[" + b",".join(frames) + b"]"
        return Response(body, media_type="application/json", headers=self._headers(request))

    def _refuse(self, request: Request, error: FrameError) -> Response:
        body = {"error": {"code": error.close_code, "message": error.reason}}
        return JSONResponse(body, STATUS.get(error.close_code, 400), headers=self._headers(request))


class _Events(Response):
    """A session as events, until it ends, its client leaves, or its client does not read."""

    def __init__(
        self, *, feed: Feed, session: Session, held: ExitStack, within: float, headers: dict[str, str]
    ) -> None:
        self.status_code = 200
        self.media_type = "text/event-stream"
        self.background = None
        self.init_headers(headers)
        self._feed = feed
        self._session = session
        self._held = held
        self._within = within

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        with self._held, suppress(TimeoutError):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                await self._converse(receive, send)
            except Ended as end:
                await self._put(send, _event(wire.encode(wire.Bye(code=end.code, reason=end.reason))))
            await self._put(send, b"", more=False)

    async def _converse(self, receive: Receive, send: Send) -> None:
        welcome = await self._feed.welcome()
        await self._put(send, _event(wire.encode(welcome)))
        if not isinstance(welcome, wire.Reset):
            await first(self._feed.run(), self._forward(send), self._session.until_ended(), _gone(receive))

    async def _forward(self, send: Send) -> None:
        while not self._session.ended.done():
            data = b":\n\n"  # a comment: proxies and systems see that the connection lives
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    data = _event(await self._feed.queue.get())
            await self._put(send, data)

    async def _put(self, send: Send, data: bytes, *, more: bool = True) -> None:
        """Send, or raise `TimeoutError` for a client that does not read."""
        async with asyncio.timeout(self._within):
            await send({"type": "http.response.body", "body": data, "more_body": more})


async def _collect(feed: Feed, session: Session, receive: Receive) -> list[bytes]:
    """Welcome, and what is new, as soon as there is something. Who is connected does not count as new:
    each poll comes and goes, and those who poll would chase each other.
    """
    welcome = await feed.welcome()
    frames = [wire.encode(welcome)]
    if isinstance(welcome, wire.Reset):
        return frames

    async def gather() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_FOR):
                while frames[-1].startswith((b'{"t":"welcome"', b'{"t":"people"')):
                    frames.append(await feed.queue.get())
        while not feed.queue.empty():
            frames.append(feed.queue.get_nowait())

    await first(feed.run(), gather(), session.until_ended(), _gone(receive))
    return frames


async def _gone(receive: Receive) -> None:
    """Until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _split(body: bytes) -> tuple[wire.Inbound, wire.Inbound]:
    try:
        sent = _decode_sent(body)
    except (msgspec.DecodeError, RecursionError):
        raise FrameError(1008, "expected {hello, frame}") from None
    return wire.decode(bytes(sent.hello)), wire.decode(bytes(sent.frame))


def _event(frame: bytes) -> bytes:
    return b"data: " + frame + b"\n\n"
