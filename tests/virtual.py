"""Time that passes only when everybody waits: hours in a moment, and always in the same way."""

import asyncio
from collections.abc import Callable, Coroutine
import functools
import selectors
from typing import Any, TypeVar

T = TypeVar("T")
Test = Callable[..., Coroutine[Any, Any, None]]


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]  # chosen by the platform
    """Nothing arrives from outside, so that every wait is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits for ever")
        self.now += max(timeout, 0.0)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end. It may use no socket, thread or process."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


def virtually(test: Test) -> Callable[..., None]:
    """`test`, fixtures and all, in virtual time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        in_virtual_time(test(*args, **kwargs))

    return run
