"""The books of the mail surface, kept by several servers at once."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.events import StaffId
from connectors.email.ledger import Ledger
from tests.processes import SHARED, shared
from tests.redises import RedisServer

DANA, SAM = StaffId("dana"), StaffId("sam")
START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("kind", SHARED)
async def test_one_cap_holds_for_all_of_them(kind: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """Each sends as much as it may, and some mails are not taken after all."""
    now = START
    async with shared(kind, redis_server, tmp_path) as stores:
        ledgers = [Ledger(store=store, clock=lambda: now, key=b"key") for store in stores]
        sent = 0

        async def mails(ledger: Ledger, *, refused: bool) -> None:
            nonlocal sent
            hour = await ledger.reserve(DANA, cap=10)
            if hour is not None and refused:
                await ledger.give_back(hour)
            elif hour is not None:
                sent += 1

        async def rush() -> None:
            turns = (mails(ledger, refused=n % 5 == 0) for n in range(20) for ledger in ledgers)
            await asyncio.gather(*turns)
            for ledger in ledgers * 5:  # what was given back in the rush
                await mails(ledger, refused=False)

        await rush()
        assert sent == 10
        assert [await ledger.taken(DANA) for ledger in ledgers] == [10] * len(ledgers)
        assert await ledgers[0].reserve(SAM, cap=1) is not None, "everybody has an hour of their own"
        now += timedelta(minutes=61)
        await rush()
        assert sent == 20
