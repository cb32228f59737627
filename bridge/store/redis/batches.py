"""Everything that is asked for while one batch is under way makes up the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from bridge.errors import StoreError

MAX_BATCH = 500

W = TypeVar("W")
A = TypeVar("A")


class Batches(Generic[W, A]):
    """One batch at a time, in the order of asking. What `carry_out` answers is answered, or raised."""

    def __init__(self, carry_out: Callable[[Sequence[W]], Awaitable[Sequence[A | Exception]]]) -> None:
        self._carry_out = carry_out
        self._waiting: list[tuple[W, asyncio.Future[A]]] = []
        self._working: asyncio.Task[None] | None = None

    def ask(self, work: W) -> asyncio.Future[A]:
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return future

    async def finish(self) -> None:
        """Return when everything that was asked for is answered."""
        while self._working is not None:
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        # The task begins after what is still to come in this tick of the loop has asked.
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                _answer([future for _, future in batch], await self._try([work for work, _ in batch]))
        finally:
            self._working = None
            rest, self._waiting = self._waiting, []
            _answer([future for _, future in rest], [StoreError("the store is closed")] * len(rest))

    async def _try(self, batch: Sequence[W]) -> Sequence[A | Exception]:
        try:
            return await self._carry_out(batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is answered, and work goes on
            return [error] * len(batch)


def _answer(futures: Sequence[asyncio.Future[A]], answers: Sequence[A | Exception]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():  # who asked has gone
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
