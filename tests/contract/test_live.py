"""The live protocol over real sockets: the same session by WebSocket, by events and by polling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
import json
import secrets
from typing import Any

import httpx2
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.chatter import Chatter
from tests.eventually import eventually
from tests.running import Server, running

ORIGIN = "https://www.acme.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = {
        "sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}, "other": {"name": "Other", "origins": ["https://other.example"]}},
        "limits": {"opened_per_ip_per_hour": 1000, "sockets_per_ip": 200, "messages_per_minute": 30},
    }  # fmt: skip
    with running(tmp_path_factory.mktemp("live"), config) as started:
        yield started


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url, headers={"Origin": ORIGIN}, trust_env=False) as client:
        yield client


def token() -> str:
    return secrets.token_urlsafe(32)


def hello(who: str, after: int = 0, log: str = "") -> dict[str, Any]:
    return {"t": "hello", "site": "acme", "token": who, "after": after, "log": log}


def opening(text: str) -> dict[str, Any]:
    events = [
        {"type": "Opened", "site": "acme", "page": "https://www.acme.example/"},
        {"type": "Said", "text": text},
    ]
    return {"t": "propose", "key": secrets.token_hex(8), "events": events}


def saying(text: str, key: str = "") -> dict[str, Any]:
    return {"t": "propose", "key": key or secrets.token_hex(8), "events": [{"type": "Said", "text": text}]}


async def socket_to(server: Server, origin: str = ORIGIN) -> ClientConnection:
    url = server.url.replace("http", "ws") + "/live/visitor"
    return await connect(url, origin=origin, compression=None, proxy=None, max_size=None)


async def closed_with(socket: ClientConnection) -> int:
    """The code that the server closes with, whatever it says before."""
    with suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(12):
            async for _ in socket:
                pass
    assert socket.close_code is not None
    return socket.close_code


async def test_a_wrong_origin_is_refused_before_anything_is_accepted(server: Server) -> None:
    for origin in (
        "https://evil.example",
        "null",
        "https://www.acme.example.evil.example",
        "https://other.example:444",
    ):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await socket_to(server, origin)
        assert refused.value.response.status_code == 403


async def test_an_origin_opens_its_own_site_only(server: Server) -> None:
    async with await socket_to(server, "https://other.example") as socket:
        await socket.send(json.dumps(hello(token())))
        assert await closed_with(socket) == 4404


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"t":"ping"}', 1008), ("not json", 1008), ('{"t":"hello","site":"nowhere","token":"x"}', 4404),
        ('{"t":"hello","site":"acme","token":"short"}', 4404), ("[" * 60_000, 1008), ("x" * 66_000, 1009),
        (b"\x00\x01", 1003), ('{"t":"hello","site":"acme","token":"a","admin":true}', 1008),
    ],
)  # fmt: skip
async def test_a_bad_first_frame_ends_the_connection(server: Server, first: str | bytes, code: int) -> None:
    async with await socket_to(server) as socket:
        await socket.send(first)
        assert await closed_with(socket) == code


async def test_a_second_hello_and_a_flood_end_the_connection(server: Server) -> None:
    async with await socket_to(server) as socket:
        await socket.send(json.dumps(hello(token())))
        await socket.send(json.dumps(hello(token())))
        assert await closed_with(socket) == 1008
    async with await socket_to(server) as socket:
        await socket.send(json.dumps(hello(token())))
        for _ in range(200):
            await socket.send('{"t":"ping"}')
        assert await closed_with(socket) == 1008


async def test_what_the_server_survives_of_strings(server: Server) -> None:
    async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
        hostile = "a\ud800b\x00c <script>alert(1)</script> \u202e {{7*7}} '; DROP TABLE entries;--"
        await visitor.say("hello")
        assert (await visitor.say(hostile))["t"] == "ack"
        await eventually(lambda: len(visitor.texts()) >= 2)
        assert "a\ufffdbc <script>alert(1)</script>" in visitor.texts()[1]
        refused = await visitor.say("\u200b \u2060")
        assert (refused["t"], refused["code"]) == ("refused", "invalid")


async def test_a_visitor_may_not_do_what_staff_do(server: Server) -> None:
    async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
        await visitor.say("hello")
        since = visitor.state["since"]
        for event in (
            {"type": "TookOver"}, {"type": "HandedBack"}, {"type": "Noted", "text": "x"}, {"type": "Guided", "text": "x"},
            {"type": "Joined"}, {"type": "Renamed", "name": "Dana"}, {"type": "Identified", "email": "a@b.c", "verified": True},
            {"type": "Redacted", "target": 1}, {"type": "Undelivered", "surface": "email", "target": 1, "reason": "x"},
            {"type": "HelpWanted", "step": 2, "last": True}, {"type": "Opened", "site": "acme"},
        ):  # fmt: skip
            answer = await visitor.propose(event, floor=since)
            assert answer["t"] == "refused", event
        answer = await visitor.command("/take")
        assert (answer["t"], answer["code"]) == ("refused", "not_allowed")


async def test_the_site_is_what_the_credential_says_not_what_the_event_says(server: Server) -> None:
    async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
        await visitor.propose({"type": "Opened", "site": "other"}, {"type": "Said", "text": "hi"})
        await eventually(lambda: len(visitor.lines) >= 2)
        assert visitor.lines[0]["event"]["site"] == "acme"


async def test_too_many_messages_are_refused_with_the_seconds_to_wait(server: Server) -> None:
    async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
        await visitor.say("hello")
        answers = [await visitor.say(str(n)) for n in range(35)]
        slow = [a for a in answers if a["t"] == "refused"]
        assert slow
        assert slow[0]["code"] == "too_fast"
        seconds = slow[0]["seconds"]
        unit = "second" if seconds == 1 else "seconds"
        told = f"You're sending messages too quickly. Try again in {seconds:g} {unit}."
        assert slow[0]["message"] == told


async def test_the_same_session_by_events_and_post(server: Server, http: httpx2.AsyncClient) -> None:
    who = token()
    frames: list[dict[str, Any]] = []

    async def follow() -> None:
        async with http.stream("POST", "/live/visitor/stream", json=hello(who), timeout=30) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    frames.append(json.loads(line.removeprefix("data: ")))

    following = asyncio.create_task(follow())
    await eventually(lambda: frames)
    assert frames[0]["t"] == "welcome"
    first = opening("by post")
    sent = await http.post("/live/visitor/send", json={"hello": hello(who), "frame": first})
    assert sent.json() == [{"t": "ack", "key": first["key"], "seq": 1}]
    again = await http.post("/live/visitor/send", json={"hello": hello(who), "frame": first})
    assert again.json() == sent.json(), "a repeat gets the first one's seq"
    await eventually(lambda: _said(frames) == ["by post"])
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def _said(frames: list[dict[str, Any]]) -> list[str]:
    lines = [x for f in frames if f["t"] == "entries" for x in f["lines"]]
    return [x["event"]["text"] for x in lines if x["event"]["type"] == "Said"]


async def test_the_same_session_by_polling(server: Server, http: httpx2.AsyncClient) -> None:
    who = token()
    await http.post("/live/visitor/send", json={"hello": hello(who), "frame": opening("one")})
    frames = (await http.post("/live/visitor/poll", json=hello(who))).json()
    assert frames[0]["t"] == "welcome"
    assert _said(frames) == ["one"]
    last = max(x["seq"] for f in frames if f["t"] == "entries" for x in f["lines"])
    waiting = asyncio.create_task(
        http.post("/live/visitor/poll", json=hello(who, last, frames[0]["log"]), timeout=30)
    )
    await http.post("/live/visitor/send", json={"hello": hello(who), "frame": saying("two")})
    later: list[dict[str, Any]] = (await waiting).json()
    while "two" not in _said(later):  # a change that the visitor cannot see may have answered first
        later = (await http.post("/live/visitor/poll", json=hello(who, last), timeout=30)).json()
    assert _said(later) == ["two"]


async def test_errors_of_the_fallback_say_what_a_socket_would_close_with(http: httpx2.AsyncClient) -> None:
    for path in ("stream", "poll"):
        answer = await http.post(f"/live/visitor/{path}", json={"t": "hello", "site": "acme", "token": "no"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, 4404)
        answer = await http.post(f"/live/visitor/{path}", content=b"x" * 70_000)
        assert answer.status_code == 413
        answer = await http.post(
            f"/live/visitor/{path}", json=hello(token()), headers={"Origin": "https://evil.example"}
        )
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    answer = await http.post("/live/visitor/send", content=b'{"hello": 1}')
    assert answer.status_code == 400
    allowed = await http.request("OPTIONS", "/live/visitor/send")
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, ORIGIN)


async def test_a_client_of_another_log_is_told_to_reset(server: Server) -> None:
    """Law 4: what cannot be resumed is not guessed."""
    async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
        await visitor.say("hello")
        await eventually(lambda: visitor.lines)
    for after, log in ((2, "another log"), (10_000, visitor.log)):
        async with await socket_to(server) as socket:
            await socket.send(json.dumps(hello(visitor.token, after, log)))
            assert json.loads(await socket.recv()) == {"t": "reset", "log": visitor.log}
            assert await closed_with(socket) == 1012


async def test_a_sixth_tab_is_one_too_many(server: Server) -> None:
    who = token()
    sockets = [await socket_to(server) for _ in range(6)]
    for socket in sockets[:5]:
        await socket.send(json.dumps(hello(who)))
        assert json.loads(await socket.recv())["t"] == "welcome"
    await sockets[5].send(json.dumps(hello(who)))
    assert await closed_with(sockets[5]) == 4429
    for socket in sockets:
        await socket.close()


async def test_a_client_that_never_reads_does_not_stop_the_others(server: Server) -> None:
    """One tab of the conversation reads nothing while megabytes pass; the other tab sees them all."""
    async with Chatter(f"{server.url}/live/visitor", origin=ORIGIN) as visitor:
        await visitor.say("hello")
        async with await socket_to(server) as deaf:
            await deaf.send(json.dumps(hello(visitor.token)))
            deaf.transport.pause_reading()
            texts = [f"{n} " + "x" * 3900 for n in range(25)]
            for text in texts:
                assert (await visitor.say(text))["t"] == "ack"
            await eventually(lambda: visitor.texts()[1:] == texts)


async def test_static_files_are_open_to_every_page_and_cached(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/web/connection.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["content-encoding"] == "gzip"
    again = await http.get("/web/connection.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


async def test_health(http: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/readyz"):
        answer = await http.get(path)
        assert (answer.status_code, answer.text) == (200, "ok\n")
