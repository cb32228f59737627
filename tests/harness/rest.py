"""When a run is over: nothing new happens anywhere, and every visitor has been answered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
import time

from tests.eventually import PATIENCE
from tests.harness.client import Client
from tests.harness.crowd import Visitor

CALM = 3.0  # seconds without anything new


async def nothing() -> bool:
    return False


async def come_to_rest(
    visitors: Sequence[Visitor],
    clients: Sequence[Client],
    happened: Callable[[], int],
    *,
    owed: Callable[[], Awaitable[bool]] = nothing,
    lives: float,
) -> bool:
    """Whether it did. `happened` counts what the world outside has seen; `owed` says whether work is left."""
    calm, until = max(CALM, lives), time.monotonic() + 4 * PATIENCE + 3 * lives
    before, since = 0, time.monotonic()
    while time.monotonic() < until:
        await asyncio.sleep(0.25)
        now = happened() + sum(client.last for client in clients)
        waiting = any(not client.idle and not client.out for client in clients)
        if now != before or waiting or await owed() or not all(v.answered for v in visitors):
            before, since = now, time.monotonic()
        elif time.monotonic() - since > calm:
            return True
    return False
