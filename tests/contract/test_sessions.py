"""What happens to a live session when its client, its credential or the server goes away."""

import asyncio
from collections.abc import AsyncIterator
import json
import secrets
import socket
from typing import Any

import pytest
import uvicorn

from bridge import bodies, fallback, live, wire
from bridge.config import build
from bridge.core import Bridge
from bridge.events import ConversationId, Seq
from bridge.house import House
from bridge.limits import network
from bridge.listening import listen
from bridge.live import Channel
from bridge.session import Guest
from bridge.store.memory import MemoryStore
from bridge.websocket import WebSocketProtocol
from connectors.website import connector as website
from connectors.website.visitors import cid_of
from tests.eventually import eventually
from tests.joining import joining, staff
from tests.running import SECRET
from webjoin import connector as webjoin

ORIGIN = "https://www.acme.example"
HOST = "192.0.2.7"
OVER = wire.DraftOver(turn=Seq(1), since=Seq(1), why="failed")


class Call:
    """One HTTP request to the app, with a client whose reading and leaving the test decides."""

    def __init__(
        self, house: House, path: str, body: object, *, origin: str = ORIGIN, cookie: str = ""
    ) -> None:
        self.status = 0
        self.body = b""
        self.reads = asyncio.Event()
        self.reads.set()
        self.leaves = asyncio.Event()
        self.uploads = asyncio.Event()
        self.uploads.set()
        self._body = json.dumps(body).encode()
        self._asked = False
        headers = [
            (b"origin", origin.encode()),
            (b"content-type", b"application/json"),
            (b"cookie", cookie.encode()),
        ]
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "scheme": "http", "server": ("127.0.0.1", 80), "client": (HOST, 4000), "headers": headers,
        }  # fmt: skip
        self.task = asyncio.create_task(house.app(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        if not self._asked:
            await self.uploads.wait()
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        await self.reads.wait()
        self.body += message.get("body", b"")

    def frames(self) -> list[Any]:
        """The events so far, or the array."""
        text = self.body.decode()
        if text.startswith("["):
            return list(json.loads(text))
        return [json.loads(e.removeprefix("data: ")) for e in text.split("\n\n") if e.startswith("data: ")]

    async def leave(self) -> None:
        self.leaves.set()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    values = {
        "base_url": "http://127.0.0.1", "secret": SECRET, "store": "memory://",
        "sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}},
        "limits": {"sockets_per_visitor": 3, "send_timeout": 0.05},
    }  # fmt: skip
    built = House(config=build(values), bridge=Bridge(store=MemoryStore()))
    website.install(built)
    webjoin.install(built)
    return built


@pytest.fixture
def token() -> str:
    return secrets.token_urlsafe(32)


def hello(token: str, after: int = 0) -> dict[str, Any]:
    return {"t": "hello", "site": "acme", "token": token, "after": after}


async def opened(house: House, token: str, text: str = "hi") -> ConversationId:
    events = [{"type": "Opened", "site": "acme"}, {"type": "Said", "text": text}]
    frame = {"t": "propose", "key": "one", "events": events}
    call = Call(house, "/live/visitor/send", {"hello": hello(token), "frame": frame})
    await call.task
    assert call.frames()[0]["t"] == "ack"
    return cid_of("acme", token)


def channel(house: House) -> Channel:
    return next(c for c in house.channels if c.prefix == "/live/visitor")


async def test_a_stream_whose_client_left_at_once_gives_its_place_back(house: House, token: str) -> None:
    for _ in range(4):
        gone = Call(house, "/live/visitor/stream", hello(token))
        gone.leaves.set()
        await gone.leave()
    call = Call(house, "/live/visitor/stream", hello(token))
    await eventually(call.frames)
    assert call.frames()[0]["t"] == "welcome"
    await call.leave()


async def test_a_stream_that_ends_leaves_no_task_behind(house: House, token: str) -> None:
    before = asyncio.all_tasks()
    call = Call(house, "/live/visitor/stream", hello(token))
    await eventually(call.frames)
    await call.leave()
    assert asyncio.all_tasks() == before


async def test_a_stream_that_is_not_read_is_let_go(house: House, token: str) -> None:
    cid = await opened(house, token)
    call = Call(house, "/live/visitor/stream", hello(token))
    await eventually(call.frames)
    call.reads.clear()
    house.bridge.pulse.publish(cid, OVER)
    await eventually(call.task.done)
    assert not house.bridge.pulse.here(cid)


async def test_an_ended_session_is_shown_nothing_more(house: House, token: str) -> None:
    """However much waits for it: revocation is not kept waiting by a queue that is never empty."""
    cid = await opened(house, token)
    call = Call(house, "/live/visitor/stream", hello(token))
    await eventually(lambda: len(call.frames()) >= 2)
    for _ in range(20):
        house.bridge.pulse.publish(cid, OVER)
    channel(house).end_all(4401, "ended")
    await call.task
    assert call.frames()[-1] == {"t": "bye", "code": 4401, "reason": "ended"}
    assert len([f for f in call.frames() if f["t"] == "draft_over"]) <= 1


async def test_a_session_can_be_ended_from_the_moment_it_was_let_in(house: House, token: str) -> None:
    """Revoked between the look at the credential and the first frame."""
    await opened(house, token)
    for kind in ("stream", "poll"):
        greeted = asyncio.Event()
        found = channel(house)
        greet = found._greet

        async def slow(said: Any, connection: Any, greet: Any = greet, greeted: Any = greeted) -> Guest:
            guest: Guest = await greet(said, connection)
            greeted.set()
            return guest

        found._greet = slow
        lock = house.bridge._get(cid_of("acme", token)).lock
        call = Call(house, f"/live/visitor/{kind}", hello(token, 2))
        async with lock:
            await greeted.wait()
            found.end_all(4401, "ended")
            await asyncio.sleep(0)
        found._greet = greet
        await asyncio.wait_for(call.task, 5)
        assert b"4401" in call.body, kind


async def test_a_quiet_stream_shows_that_it_lives(
    house: House, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "HEARTBEAT", 0.01)
    call = Call(house, "/live/visitor/stream", hello(token))
    await eventually(lambda: b"\n\n:\n\n" in call.body)
    await call.leave()


async def test_a_poll_whose_client_left_gives_its_place_back(house: House, token: str) -> None:
    cid = await opened(house, token)
    call = Call(house, "/live/visitor/poll", hello(token, 2))
    await eventually(lambda: house.bridge.pulse.here(cid))
    call.leaves.set()
    await eventually(lambda: not house.bridge.pulse.here(cid))
    await call.leave()


async def test_when_the_server_drains_nobody_is_let_in_to_stay(house: House, token: str) -> None:
    await opened(house, token)
    waiting = Call(house, "/live/visitor/poll", hello(token, 2))
    streaming = Call(house, "/live/visitor/stream", hello(token, 2))
    await eventually(streaming.frames)
    house.end_sessions(1012, "the server restarts")
    late = Call(house, "/live/visitor/stream", hello(token, 2))
    await asyncio.wait_for(asyncio.gather(waiting.task, streaming.task, late.task), 5)
    assert waiting.status == 503
    assert json.loads(waiting.body)["error"]["code"] == 1012
    for stream in (streaming, late):
        assert stream.frames()[-1] == {"t": "bye", "code": 1012, "reason": "the server restarts"}


async def test_a_body_that_does_not_come_is_not_waited_for(
    house: House, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "WITHIN", 0.02)
    for kind in ("stream", "poll", "send"):
        call = Call(house, f"/live/visitor/{kind}", hello(token))
        call.uploads.clear()
        await asyncio.wait_for(call.task, 5)
        assert call.status == 400


async def test_frames_by_post_are_limited_as_those_of_a_socket(house: House, token: str) -> None:
    said = {"hello": hello(token), "frame": {"t": "typing", "on": True}}
    statuses = []
    for _ in range(live.FRAMES[0] + 5):
        call = Call(house, "/live/visitor/send", said)
        await call.task
        statuses.append(call.status)
    assert statuses[0] == 200
    assert statuses[-1] == 429


async def test_a_poll_of_staff_waits_for_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is connected is told with the news; by itself it is none, or polls would chase each other."""
    monkeypatch.setattr(fallback, "POLL_FOR", 0.3)
    async with joining() as page:
        await page.open()
        link = await page.link()
        said = {"t": "hello", "token": link.partition("#")[2], "after": 3}
        calls = [Call(page.house, "/live/staff/poll", said, origin=page.url) for _ in range(2)]
        with page.bridge.pulse.present(page.cid, staff("Sam")):
            await asyncio.sleep(0.1)
            assert not any(call.task.done() for call in calls)
            await page.visitor_says("news")
            await asyncio.gather(*(call.task for call in calls))
        for call in calls:
            kinds = [f["t"] for f in call.frames()]
            assert kinds[0] == "welcome"
            assert "entries" in kinds


def test_an_address_stands_for_its_network() -> None:
    assert network("192.0.2.7") == "192.0.2.7"
    assert network("::ffff:192.0.2.7") == "192.0.2.7"
    assert network("2001:db8:1:2:3:4:5:6") == network("2001:db8:1:2::9") != network("2001:db8:1:3::9")
    assert network("not an address") == "not an address"


async def test_a_socket_that_fell_silent_counts_as_gone(
    house: House, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed lid sends no farewell; browsers ping, so who does not is not there."""
    monkeypatch.setattr(live, "SILENCE", 1.0)
    cid = cid_of("acme", token)
    frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sent: list[dict[str, Any]] = []
    frames.put_nowait({"type": "websocket.connect"})
    frames.put_nowait({"type": "websocket.receive", "text": json.dumps(hello(token))})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1",
        "path": "/live/visitor", "raw_path": b"/live/visitor", "query_string": b"", "root_path": "", "scheme": "ws",
        "server": ("127.0.0.1", 80), "client": (HOST, 4000), "headers": [(b"origin", ORIGIN.encode())],
        "subprotocols": [], "extensions": {},
    }  # fmt: skip
    talking = asyncio.create_task(house.app(scope, frames.get, send))
    for _ in range(6):
        frames.put_nowait({"type": "websocket.receive", "text": '{"t":"ping"}'})
        await asyncio.sleep(0.05)
        assert house.bridge.pulse.here(cid)
    await eventually(talking.done)
    assert (sent[-1]["type"], sent[-1]["code"]) == ("websocket.close", 1013)
    assert not house.bridge.pulse.here(cid)


class Pipe(asyncio.Transport):
    """A connection whose other end reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def test_pings_without_reading_fill_no_memory() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    config = uvicorn.Config(app, lifespan="off", log_config=None, ws_ping_interval=None)
    protocol, pipe = WebSocketProtocol(config, uvicorn.server.ServerState(), {}), Pipe()
    protocol.connection_made(pipe)
    protocol.data_received(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await eventually(lambda: b"101" in pipe.written)
    ping = b"\x89\xfd\x00\x00\x00\x00" + b"x" * 125
    protocol.pause_writing()
    size = len(pipe.written)
    for _ in range(100):
        protocol.data_received(ping)
    assert len(pipe.written) == size
    protocol.resume_writing()
    protocol.data_received(ping)
    assert len(pipe.written) == size + 127
    protocol.connection_lost(None)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no such option")
def test_every_connection_is_watched_by_the_system() -> None:
    with listen("127.0.0.1", 0, mend="") as bound, socket.create_connection(bound.getsockname()):
        bound.setblocking(True)
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
