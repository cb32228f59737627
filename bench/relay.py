"""What a message costs: Joinline (durable) beside a bare FastAPI relay that stores nothing, in one run.

    .venv/bin/python -m bench.relay --rate 1000 --conversations 100 --seconds 5

Every conversation has two sockets of its visitor: one sends, both must be shown the message. The figures
are the server's processor time for each message and the time from sending to the acknowledgement; rounds
alternate, so that a noisy machine is noisy for both.
"""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
import json
from pathlib import Path
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from tests.running import free_port, running

ORIGIN = "https://www.acme.example"
BARE = """
import sys
import msgspec
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
import uvicorn

app = FastAPI()
rooms = {}

@app.websocket("/live/visitor")
async def relay(socket: WebSocket):
    await socket.accept()
    hello = msgspec.json.decode(await socket.receive_text())
    room = rooms.setdefault(hello["token"], [])
    room.append(socket)
    await socket.send_text('{"t":"welcome"}')
    number = 0
    try:
        while True:
            frame = msgspec.json.decode(await socket.receive_text())
            number += 1
            ack = {"t": "ack", "key": frame["key"], "seq": number}
            await socket.send_text(msgspec.json.encode(ack).decode())
            lines = [{"seq": number, "key": frame["key"], "event": frame["events"][-1]}]
            shown = msgspec.json.encode({"t": "entries", "lines": lines}).decode()
            for other in room:
                await other.send_text(shown)
    except WebSocketDisconnect:
        room.remove(socket)

@app.get("/readyz")
async def ready():
    return "ok"

uvicorn.run(app, port=int(sys.argv[1]), ws=sys.argv[2], log_level="error", ws_per_message_deflate=False)
"""


@contextmanager
def bare(folder: Path, implementation: str) -> Iterator[tuple[str, int]]:
    program = folder / "bare.py"
    program.write_text(BARE)
    port = free_port()
    process = subprocess.Popen([sys.executable, program, str(port), implementation])
    try:
        time.sleep(1.5)
        yield f"ws://127.0.0.1:{port}/live/visitor", process.pid
    finally:
        process.kill()
        process.wait()


@contextmanager
def joinline(folder: Path) -> Iterator[tuple[str, int]]:
    config: dict[str, Any] = {
        "sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}},
        "limits": {
            "messages_per_minute": 10_000_000, "opened_per_ip_per_hour": 10_000_000,
            "sockets_per_ip": 10_000, "sockets": 10_000,
        },
        "log": {"level": "warning"},
    }  # fmt: skip
    with running(folder, config) as server:
        yield f"ws://127.0.0.1:{server.port}/live/visitor", server.pid


class Conversation:
    """Two sockets of one visitor; `times` are milliseconds to the acknowledgement."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.times: list[float] = []
        self.shown = 0
        self._sent: dict[str, float] = {}
        self._sockets: list[ClientConnection] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._opened = False

    async def open(self, url: str) -> None:
        for _ in range(2):
            socket = await connect(url, origin=Origin(ORIGIN), compression=None, max_size=None, proxy=None)
            await socket.send(json.dumps({"t": "hello", "site": "acme", "token": self.token}))
            await socket.recv()
            self._sockets.append(socket)
            self._tasks.append(asyncio.create_task(self._read(socket)))

    async def _read(self, socket: ClientConnection) -> None:
        async for data in socket:
            if data.startswith('{"t":"ack"'):  # type: ignore[arg-type]
                key = json.loads(data)["key"]
                self.times.append((time.perf_counter() - self._sent.pop(key)) * 1000)
            elif data.startswith('{"t":"entries"'):  # type: ignore[arg-type]
                self.shown += str(data).count('"type":"Said"')

    async def send(self) -> None:
        key = secrets.token_hex(6)
        events = [{"type": "Said", "text": "Do you ship to Norway, and how long does it take?"}]
        if not self._opened:
            events.insert(0, {"type": "Opened", "site": "acme"})
            self._opened = True
        self._sent[key] = time.perf_counter()
        await self._sockets[0].send(json.dumps({"t": "propose", "key": key, "events": events}))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for socket in self._sockets:
            await socket.close()


async def measure(url: str, pid: int, *, rate: float, count: int, seconds: float) -> dict[str, float]:
    conversations = [Conversation() for _ in range(count)]
    for conversation in conversations:
        await conversation.open(url)
        await conversation.send()
    await asyncio.sleep(0.5)
    process = psutil.Process(pid)
    before, begun, sent = process.cpu_times(), time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        while sent < passed * rate:
            await conversations[sent % count].send()
            sent += 1
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.5)
    after = process.cpu_times()
    times = [t for c in conversations for t in c.times[1:]]
    lost = sent + count - sum(len(c.times) for c in conversations)
    unseen = 2 * (sent + count) - sum(c.shown for c in conversations)
    for conversation in conversations:
        await conversation.close()
    if lost or unseen:
        raise SystemExit(f"{lost} messages were not acknowledged, {unseen} not shown: lower --rate")
    cpu = (after.user + after.system - before.user - before.system) / sent * 1e6
    cuts = statistics.quantiles(times, n=100)
    return {"msgs/s": sent / seconds, "CPU µs/msg": cpu, "p50 ms": cuts[49], "p99 ms": cuts[98]}


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--conversations", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {
            "Joinline, fsync before every ack": stack.enter_context(joinline(folder)),
            "bare FastAPI relay, sansio": stack.enter_context(bare(folder, "websockets-sansio")),
            "bare FastAPI relay, uvicorn's default": stack.enter_context(bare(folder, "auto")),
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        for number in range(asked.rounds):
            for name, (url, pid) in servers.items():
                print(f"round {number + 1} of {asked.rounds}: {name}", file=sys.stderr)
                figures = measure(url, pid, rate=asked.rate, count=asked.conversations, seconds=asked.seconds)
                found[name].append(asyncio.run(figures))
    for name, rounds in found.items():
        medians = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        print(f"{name:40}", "  ".join(f"{key} {value:8.2f}" for key, value in medians.items()))


if __name__ == "__main__":
    main()
