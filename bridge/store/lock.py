"""One server a database: a lock on a file beside it, held for as long as the store is open."""

from contextlib import suppress
import fcntl
import os
from pathlib import Path

from bridge.errors import StoreError


class FileLock:
    """Held from construction to `release`, or to the end of the process, however it ends.

    The file stays: a lock on a file that somebody else may unlink protects nothing.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}: the directory must exist and be writable") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(self._file)
            os.close(self._file)
            raise StoreError(
                f"{database} is in use by another server{holder}, which holds {path}: "
                "stop that server, or give this one a `store` of its own"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._file)


def _holder(file: int) -> str:
    with suppress(OSError, ValueError):
        return f" (process {int(os.pread(file, 32, 0))})"
    return ""
