"""What `joinline migrate` does: opens both stores, refuses what cannot go well, says how far it is."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
import re
import time

from bridge.errors import ConfigError, StoreError
from bridge.store import Store, open_store
from bridge.store.address import FORMS, parse, shown
from bridge.store.transfer import Progress, transfer

EVERY = 1.0  # seconds between two lines of progress

Say = Callable[[str], None]


async def run(source: str, target: str, *, say: Say) -> None:
    """Move what `source` holds into `target`; ConfigError and StoreError say why not."""
    faults = [fault for name, url in (("--from", source), ("--to", target)) for fault in _faults(name, url)]
    old, new = _file(source), _file(target)
    if not faults and (old.resolve() == new.resolve() if old and new else source == target):
        faults = ["--from and --to are the same store"]
    if not faults and old is not None and not old.is_file():
        faults = [f"--from: there is no file {old}"]
    if faults:
        raise ConfigError(faults)
    async with _opened("--from", source) as one, _opened("--to", target) as two:
        found = await transfer(one, two, tell=_Lines(say).tell)
    if not found.new:
        say(f"{shown(target)} was filled from there before: nothing to do")
        return
    say(
        f"All there, and the same: {found.conversations:,} conversations with {found.entries:,} entries, "
        f"{found.records:,} records."
    )
    say("Now name the new store as `store` in the configuration, and start the server.")


def _faults(name: str, url: str) -> list[str]:
    if url.startswith("memory:"):
        return [f"{name}: memory:// ends with its server: there is nothing to move"]
    if re.fullmatch(r"sqlite:///[^?#]+", url):
        return []
    try:
        parse(url)
    except ValueError as error:
        forms = FORMS.replace(" memory://,", "")
        return [f"{name}: {str(error).replace(FORMS, forms)}"]
    return []


def _file(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


@asynccontextmanager
async def _opened(name: str, url: str) -> AsyncIterator[Store]:
    try:
        store = await open_store(url)
    except StoreError as error:
        raise StoreError(f"{name}: {error}") from error
    try:
        yield store
    finally:
        await store.close()


class _Lines:
    """One line a second, and one at the end of each step."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._step = ("", "")
        self._began = self._said = time.monotonic()

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if (progress.step, progress.what) != self._step:
            self._step, self._began, self._said = (progress.step, progress.what), now, now
        if progress.done == progress.total or now - self._said >= EVERY:
            self._said = now
            self._say(self._line(progress, now - self._began))

    def _line(self, progress: Progress, taken: float) -> str:
        line = f"{progress.step} {progress.done:,} {progress.what}"
        if progress.entries:
            line += f" with {progress.entries:,} entries"
        if progress.total and progress.done and (left := progress.total - progress.done):
            line += f"; {left:,} left, about {left * taken / progress.done:.0f} s"
        return line
