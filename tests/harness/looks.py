"""Law 8: everything that only looks, after the run; what the servers answer, and what the logs say then."""

import json
from typing import Any

import httpx2
from websockets.asyncio.client import connect
from websockets.typing import Origin

from bridge.events import Entry, Staff, Visitor
from bridge.wire import encode_entry
from tests.eventually import PATIENCE
from tests.harness import crowd
from tests.harness.fleet import Fleet
from tests.harness.history import History
from tests.harness.remains import read_logs


async def look_around(
    fleet: Fleet, history: History, visitors: list[crowd.Visitor], links: dict[str, str]
) -> None:
    """Nobody's doing may be in a log afterwards that was not there before."""
    for number, visitor in enumerate(visitors):
        door = fleet.doors[number % len(fleet.doors)]
        history.looks += await _look_at(fleet, door, visitor, links.get(visitor.cid))
    after = await read_logs(fleet, [visitor.cid for visitor in visitors])
    for cid, log in history.logs.items():
        seen = [e for e in after[cid] if e.seq <= len(log) or isinstance(e.by, Visitor | Staff)]
        history.looked.append((cid, _bytes(log), _bytes(seen)))


async def _look_at(fleet: Fleet, door: str, visitor: crowd.Visitor, link: str | None) -> int:
    """How many looks that were."""
    own, looks = {"Origin": fleet.base_url}, 0
    async with httpx2.AsyncClient(base_url=door, trust_env=False, timeout=PATIENCE, headers=own) as http:
        for method in ("GET", "HEAD"):
            looks += _looked((await http.request(method, "/join")).status_code)
        for _ in range(2 if link else 0):
            looks += _looked((await http.post("/join/api/preview", json={"token": link})).status_code)
    address = door.replace("http", "ws", 1)
    if link:
        looks += await _watch(f"{address}/live/staff", fleet.base_url, {"token": link})
    hello = {"site": crowd.SITE, "token": visitor.token}
    return looks + await _watch(f"{address}/live/visitor", "https://www.acme.example", hello)


def _looked(status: int) -> int:
    assert status == 200, f"a look was answered with {status}"
    return 1


async def _watch(url: str, origin: str, hello: dict[str, Any]) -> int:
    async with connect(url, origin=Origin(origin), compression=None, proxy=None) as socket:
        await socket.send(json.dumps({"t": "hello", **hello}))
        assert json.loads(await socket.recv())["t"] == "welcome"
    return 1


def _bytes(log: list[Entry]) -> bytes:
    return b"\n".join(map(encode_entry, log))
