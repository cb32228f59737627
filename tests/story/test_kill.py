"""Laws 1 to 4 against `kill -9`: what was acknowledged is in the log, once, where it was said to be."""

import asyncio
from pathlib import Path
import random

import pytest

from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.running import Server

ORIGIN = "https://www.acme.example"
CONFIG = {
    "sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}},
    "limits": {
        "messages_per_minute": 1_000_000, "opened_per_ip_per_hour": 100_000, "sockets_per_ip": 500,
    },
}  # fmt: skip


@pytest.mark.parametrize(("clients", "kills"), [(20, 30)])
async def test_killed_again_and_again_under_load(tmp_path: Path, clients: int, kills: int) -> None:
    """Twenty visitors write and send again; the server is killed thirty times at random moments."""
    dice = random.Random(20)
    server = Server(tmp_path, CONFIG)
    server.start()
    done = asyncio.Event()
    visitors = [Chatter(f"{server.url}/live/visitor", origin=ORIGIN) for _ in range(clients)]
    acked: dict[str, list[tuple[str, int]]] = {v.token: [] for v in visitors}

    async def write(visitor: Chatter) -> None:
        number = 0
        async with visitor:
            while not done.is_set():
                number += 1
                answer = await visitor.say(f"message {number}")
                assert answer["t"] == "ack", answer
                acked[visitor.token].append((f"message {number}", answer["seq"]))
            await eventually(lambda: len(visitor.texts()) == number, what="the visitor's own log is whole")

    async def murder() -> None:
        for _ in range(kills):
            before = sum(map(len, acked.values()))
            await eventually(
                lambda before=before: sum(map(len, acked.values())) > before + 20, within=3 * PATIENCE
            )
            await asyncio.sleep(dice.random() * 0.05)
            server.kill()
            await asyncio.to_thread(server.start)
        done.set()

    try:
        async with asyncio.TaskGroup() as group:
            for visitor in visitors:
                group.create_task(write(visitor))
            group.create_task(murder())
        assert all(v.connects > kills / 2 for v in visitors), "every client lived through most of the kills"
        for visitor in visitors:
            await _the_log_is_what_was_acknowledged(server, visitor, acked[visitor.token])
    finally:
        server.kill()


async def _the_log_is_what_was_acknowledged(
    server: Server, visitor: Chatter, acked: list[tuple[str, int]]
) -> None:
    reader = Chatter(f"{server.url}/live/visitor", origin=ORIGIN, token=visitor.token)
    async with reader:
        await eventually(lambda: len(reader.texts()) >= len(acked))
    said = [(x["event"]["text"], x["seq"]) for x in reader.lines if x["event"]["type"] == "Said"]
    opened = 1  # [Opened, Said] is acknowledged with the seq of its first event
    expected = [(text, seq + opened if i == 0 else seq) for i, (text, seq) in enumerate(acked)]
    assert said == expected, "nothing lost, doubled or moved"
    seen = reader.lines[: len(visitor.lines)]  # the call for a person may have come after it left
    assert visitor.lines == seen, "a client that resumed saw what a fresh one sees"


async def test_a_restart_is_quick_and_leaves_nothing_open(tmp_path: Path) -> None:
    """SIGTERM drains: sockets close with 1012, the process ends cleanly, and the log goes on after it."""
    server = Server(tmp_path, CONFIG)
    server.start()
    try:
        visitor = Chatter(f"{server.url}/live/visitor", origin=ORIGIN)
        async with visitor:
            await visitor.say("before")
            visitor.stay = False
            status = await asyncio.to_thread(server.stop)
            assert status == 0
            await eventually(lambda: visitor.close_code == 1012)
        server.start()
        again = Chatter(f"{server.url}/live/visitor", origin=ORIGIN, token=visitor.token)
        async with again:
            await eventually(lambda: again.texts() == ["before"])
            await again.say("after")
            await eventually(lambda: again.texts() == ["before", "after"])
    finally:
        server.kill()
