"""What goes wrong with SQLite's file: it cannot be written, another program holds it, a second server wants it."""

import asyncio
from contextlib import closing, suppress
from pathlib import Path
import resource
import sqlite3
import subprocess
import time

import yaml

from tests.running import HURRIED, Server, free_port


async def refuse_writes(server: Server, seconds: float) -> None:
    """No file of the server's can be written: a limit on its size stands for a disk that refuses."""
    limit = resource.RLIMIT_FSIZE
    with suppress(ProcessLookupError):  # it may be killed meanwhile, and its successor has no such limit
        usual = resource.prlimit(server.pid, limit)
        resource.prlimit(server.pid, limit, (1, usual[1]))
        try:
            await asyncio.sleep(seconds)
        finally:
            resource.prlimit(server.pid, limit, usual)


async def hold(database: Path, seconds: float) -> None:
    """Another program writes, and takes its time."""

    def write() -> None:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=5)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")

    await asyncio.to_thread(write)


async def refuse_a_second(server: Server) -> None:
    """A server that is started on the file of one that runs ends, and says why."""
    config = yaml.safe_load(server.config.read_text("utf-8"))
    port = free_port()
    second = server.folder / "second.yaml"
    second.write_text(yaml.safe_dump({**config, "server": {**config["server"], "port": port}}), "utf-8")
    done = await asyncio.to_thread(
        subprocess.run, [*HURRIED, "serve", "--config", second],
        capture_output=True, text=True, check=False, cwd=server.folder, timeout=60,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode, f"a second server started on {server.folder}: {said}"
    assert "is in use by another server" in said, said
