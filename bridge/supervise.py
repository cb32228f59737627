"""Every long-running task has one owner. A part that fails starts again alone, while the others go on."""

import asyncio
from collections.abc import Awaitable, Callable
import logging
import random
import time
from types import TracebackType
from typing import Self

__all__ = ["BACKOFF", "Supervisor"]

log = logging.getLogger(__name__)

BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds until the next start; the last one for all that follow
WELL = 60.0  # seconds after which a part counts as running well, so that its waits begin anew
JITTER = 0.5  # of each wait, either way: parts that failed together do not return together

Part = Callable[[], Awaitable[None]]


class Supervisor:
    """One task group, for as long as the context lasts; leaving it cancels every part and waits for them."""

    def __init__(
        self,
        *,
        backoff: tuple[float, ...] = BACKOFF,
        well: float = WELL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backoff = backoff
        self._well = well
        self._clock = clock
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.down: dict[str, str] = {}
        """Parts that wait for their next start, each with why it failed."""

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def start(self, name: str, part: Part) -> None:
        """Run `part` under `name` until it returns; when it raises, run it again."""
        task = self._group.create_task(self._keep(name, part), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, name: str, part: Part) -> None:
        failures = 0
        while True:
            began = self._clock()
            try:
                await part()
            except asyncio.CancelledError as error:
                if self._stopping or _is_being_cancelled():
                    raise
                reason: BaseException = error  # it leaked out of something inside: a fault like any other
            except Exception as error:  # noqa: BLE001 - whatever a part raises, the others go on
                reason = error
            else:
                log.debug("%s is done", name)
                return
            failures = 0 if self._clock() - began >= self._well else failures
            wait = self._wait(failures)
            failures += 1
            self.down[name] = why = f"{type(reason).__name__}: {reason}"
            log.error("%s failed, starts again in %.1f s: %s", name, wait, why, exc_info=reason)
            await asyncio.sleep(wait)
            del self.down[name]

    def _wait(self, failures: int) -> float:
        usual = self._backoff[min(failures, len(self._backoff) - 1)]
        return usual * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret hangs on it


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
