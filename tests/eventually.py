"""Wait for something to become true, by asking again and again; never by sleeping for a guess."""

import asyncio
from collections.abc import Awaitable, Callable
import inspect
import os
import time
from typing import TypeVar

T = TypeVar("T")

# One time unit for every test; a slow machine sets JOINLINE_TEST_PATIENCE=3.
PATIENCE = 10.0 * float(os.environ.get("JOINLINE_TEST_PATIENCE", "1"))


async def eventually(check: Callable[[], T | Awaitable[T]], *, within: float = PATIENCE, what: str = "") -> T:
    """Return the first truthy answer of `check`, which may also assert; its last failure is raised."""
    deadline = time.monotonic() + within
    while True:
        failure: AssertionError | None = None
        try:
            answer = check()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"never came true within {within:g} s: {what or check}")
        await asyncio.sleep(0.01)
