"""SIGTERM: everyone is told to come back, nothing acknowledged is lost, and the process ends in time."""

import asyncio
from contextlib import suppress
import json
from pathlib import Path
import secrets
import time
from typing import Any

import httpx2
import websockets
from websockets.asyncio.client import connect

from tests.eventually import eventually
from tests.running import running

ORIGIN = "https://www.acme.example"


async def test_everyone_is_told_to_come_back_and_the_store_is_closed(tmp_path: Path) -> None:
    config = {"sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}}}
    with running(tmp_path, config) as server:
        token = secrets.token_urlsafe(32)
        hello: dict[str, Any] = {"t": "hello", "site": "acme", "token": token}
        events = [{"type": "Opened", "site": "acme"}, {"type": "Said", "text": "hi"}]
        first = {"t": "propose", "key": "one", "events": events}
        url = f"{server.url}/live/visitor"
        async with httpx2.AsyncClient(headers={"Origin": ORIGIN}, trust_env=False, timeout=30) as http:
            sent = await http.post(f"{url}/send", json={"hello": hello, "frame": first})
            assert sent.json()[0]["t"] == "ack"
            streamed: list[dict[str, Any]] = []

            async def follow() -> None:
                async with http.stream("POST", f"{url}/stream", json=hello) as answer:
                    async for line in answer.aiter_lines():
                        if line.startswith("data: "):
                            streamed.append(json.loads(line.removeprefix("data: ")))

            socket = await connect(url.replace("http", "ws", 1), origin=ORIGIN, compression=None, proxy=None)
            deaf = await connect(url.replace("http", "ws", 1), origin=ORIGIN, compression=None, proxy=None)
            for one in (socket, deaf):
                await one.send(json.dumps(hello))
                await one.recv()
            deaf.transport.pause_reading()
            following = asyncio.create_task(follow())
            polling = asyncio.create_task(http.post(f"{url}/poll", json={**hello, "after": 1_000}))
            await eventually(lambda: len(streamed) >= 2)
            polling.cancel()
            polling = asyncio.create_task(http.post(f"{url}/poll", json={**hello, "after": _last(streamed)}))
            await asyncio.sleep(0.2)

            began = time.monotonic()
            status = await asyncio.to_thread(server.stop)
            assert status == 0
            assert time.monotonic() - began < 12  # the drain, when somebody does not hang up, and a little
            with suppress(websockets.ConnectionClosed):
                async for _ in socket:
                    pass
            assert socket.close_code == 1012
            await following
            assert (streamed[-1]["t"], streamed[-1]["code"]) == ("bye", 1012)
            answer = await polling
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, 1012)
            deaf.transport.abort()
        assert not list(tmp_path.glob("joinline.db-*")), "the store was closed last, and tidied up"
        assert "Traceback" not in server.log


def _last(frames: list[dict[str, Any]]) -> int:
    return max(line["seq"] for f in frames if f["t"] == "entries" for line in f["lines"])
