"""A channel: the live session between a browser and a conversation, over whatever gets through.

WebSocket first; server-sent events with POST, then long-polling, where sockets are blocked (fallback.py).
All carry the same frames (wire.py) of the same session (session.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
import logging
from typing import Any, NoReturn

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from msgspec.structs import replace
from starlette.requests import HTTPConnection

from bridge import wire
from bridge.config import Limits
from bridge.core import Bridge
from bridge.errors import FrameError, StoreError
from bridge.limits import Places, Rate, network
from bridge.session import Desk, Ended, Ending, Feed, Guest

__all__ = ["Allows", "Channel", "Ended", "Greet", "Guest", "Session", "first"]

log = logging.getLogger(__name__)

HELLO_WITHIN = 10.0  # seconds
REVIEW = 20.0  # seconds between two looks at what a member of staff came in by
SILENCE = 90.0  # seconds after which a socket without a frame is dead; browsers ping at least once a minute
# Inbound frames a connection may send, in so many seconds: this spares the process, and is counted in each.
FRAMES = (120, 10.0)

Greet = Callable[[wire.Hello, HTTPConnection], Awaitable[Guest]]
Allows = Callable[[str | None, HTTPConnection], bool]


class Session:
    """A live connection, so that it can be found and ended."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Ended] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard = 0.0

    def end(self, code: int, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(Ended(code, reason))

    async def until_ended(self) -> NoReturn:
        raise await self.ended

    def hear(self) -> None:
        """The client lives. From the first call on, it must not be silent for long."""
        self._heard = self._loop.time()
        if self._timer is None:
            self._listen()

    def _listen(self) -> None:
        silent_at = self._heard + SILENCE
        if self._loop.time() >= silent_at:
            self.end(1013, "nothing heard: connect again and resume")
        elif not self.ended.done():
            self._timer = self._loop.call_at(silent_at, self._listen)

    def keep(self, task: asyncio.Task[None]) -> None:
        """It ends with the session."""
        self._task = task

    def close(self) -> None:
        for kept in (self._timer, self._task):
            if kept is not None:
                kept.cancel()


class Channel:
    """The endpoints under one URL prefix. `greet` turns a hello into a guest; `allows` judges Origin."""

    def __init__(
        self,
        *,
        prefix: str,
        bridge: Bridge,
        desk: Desk,
        greet: Greet,
        allows: Allows,
        limits: Limits,
        places: Places,
    ) -> None:
        self.prefix = prefix
        self.allows = allows
        self.desk = desk
        self.send_timeout = limits.send_timeout
        self._bridge = bridge
        self._greet = greet
        self._limits = limits
        self._places = places
        self.tell: Callable[[Ending], None] = lambda _ending: None
        """How other processes hear what `end` ends."""
        self._sessions: set[Session] = set()
        self._closed: tuple[int, str] | None = None
        self._posted = Rate(*FRAMES)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_websocket_route(self.prefix, self._socket)
        return router

    def end(self, ending: Ending) -> None:
        """End live sessions, with a close code their clients understand, here and in every other process."""
        self.end_here(ending)
        self.tell(ending)

    def end_here(self, ending: Ending) -> None:
        for session in tuple(self._sessions):
            if ending.concerns(session.guest):
                session.end(ending.code, ending.reason)

    def close(self, code: int, reason: str) -> None:
        """End every session, and from now on each new one at once."""
        self._closed = (code, reason)
        self.end_all(code, reason)

    def end_all(self, code: int, reason: str) -> None:
        """End every session here; who comes back is welcome."""
        for session in tuple(self._sessions):
            session.end(code, reason)

    async def guest(self, hello: wire.Inbound, connection: HTTPConnection) -> Guest:
        """Who says hello; raises `FrameError`."""
        if not isinstance(hello, wire.Hello):
            raise FrameError(1008, "say hello first")
        guest = await self._greet(hello, connection)
        return replace(guest, address=network(connection.client.host) if connection.client else "?")

    def pace(self, guest: Guest) -> None:
        """Count a frame that came without a connection; raises `FrameError` 4429."""
        if self._posted.take(f"{guest.session or guest.address} {guest.cid}"):
            raise FrameError(4429, "too many frames")

    def place(self, guest: Guest) -> AbstractContextManager[None]:
        """Hold one of the connections that the guest may have; raises `FrameError` 4429."""
        of_address = (f"address {guest.address}", self._limits.sockets_per_ip)
        if guest.audience == "staff":
            return self._places.take(of_address)
        return self._places.take(of_address, (f"visitor {guest.cid}", self._limits.sockets_per_visitor))

    def feed(self, guest: Guest, hello: wire.Hello) -> Feed:
        return Feed(bridge=self._bridge, guest=guest, hello=hello, room=self._limits.queue)

    @contextmanager
    def session(self, guest: Guest, hello: wire.Hello, connection: HTTPConnection) -> Iterator[Session]:
        """A session that `end` finds."""
        session = Session(guest)
        self._sessions.add(session)
        if self._closed is not None:
            session.end(*self._closed)
        if guest.audience == "staff":
            session.keep(asyncio.create_task(self._review(session, hello, connection)))
        try:
            yield session
        finally:
            session.close()
            self._sessions.discard(session)

    async def _review(self, session: Session, hello: wire.Hello, connection: HTTPConnection) -> None:
        """End it where its link or its cookie opens no more: word of that may have been lost on the way."""
        while not session.ended.done():
            await asyncio.sleep(REVIEW)
            try:
                await self._greet(hello, connection)
            except FrameError as no:
                session.end(no.close_code, no.reason)
            except (StoreError, OSError):
                continue  # nobody knows: it is asked again
            except Exception:  # what cannot be read is not looked at less often for it
                log.exception("a session's credential cannot be judged")

    async def _socket(self, socket: WebSocket) -> None:
        if not self.allows(socket.headers.get("origin"), socket):
            await socket.close(1008)  # before accepting: an HTTP 403
            return
        await socket.accept()
        try:
            await self._converse(socket)
        except (FrameError, Ended) as end:
            code = end.close_code if isinstance(end, FrameError) else end.code
            with suppress(RuntimeError, WebSocketDisconnect, OSError):  # the client may be gone already
                await socket.close(code, end.reason[:120])
        except WebSocketDisconnect:
            return

    async def _converse(self, socket: WebSocket) -> None:
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                hello = wire.decode(await _receive(socket))
        except TimeoutError:
            raise FrameError(1008, "no hello") from None
        guest = await self.guest(hello, socket)
        assert isinstance(hello, wire.Hello)
        with self.place(guest), self.session(guest, hello, socket) as session:
            feed = self.feed(guest, hello)
            welcome = await feed.welcome()
            await socket.send_text(wire.encode(welcome).decode())
            if isinstance(welcome, wire.Reset):
                raise Ended(1012, "reset")
            sending = _send(feed, socket, within=self.send_timeout)
            await first(feed.run(), sending, self._listen(socket, session, feed), session.until_ended())

    async def _listen(self, socket: WebSocket, session: Session, feed: Feed) -> None:
        rate = Rate(*FRAMES)
        while True:
            session.hear()
            frame = wire.decode(await _receive(socket))
            if rate.take(""):
                raise FrameError(1008, "too many frames")
            reply = await self.desk.answer(session.guest, frame)
            if reply is not None:
                await feed.queue.put(wire.encode(reply))


async def _receive(socket: WebSocket) -> str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    text = message.get("text")
    if not isinstance(text, str):
        raise FrameError(1003, "frames are text")
    return text


async def _send(feed: Feed, socket: WebSocket, *, within: float) -> None:
    """Send what the feed holds; a client that does not read for `within` seconds is let go."""
    while True:
        frame = await feed.queue.get()
        try:
            async with asyncio.timeout(within):
                await socket.send_text(frame.decode())
        except TimeoutError:
            raise FrameError(1013, "too slow: connect again and resume") from None


async def first(*work: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends; cancel the others; its error, if any, is raised."""
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
