"""The real server as a real process, for tests; and a website of another origin beside it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
import fcntl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any
import urllib.error
import urllib.request

import yaml

from tests.eventually import PATIENCE

SECRET = "pV7d0Jq2mXs9LkR4tYw1ZbC6nHf3GaEe"
JOINLINE = (Path(sys.executable).with_name("joinline"),)
HURRIED = (sys.executable, Path(__file__).with_name("hurried.py"))


# Below those that the system hands out by itself, and so is 10,000 above each, where a Redis Cluster has its bus.
PORTS = range(10_000, 20_000)
_LOCKS = Path(tempfile.gettempdir(), "joinline-test-ports")
_ours: dict[int, IO[bytes]] = {}  # each with its lock, which ends with this process


def free_port() -> int:
    """A port on which nobody listens, and which no other test on this machine takes before the caller does."""
    _LOCKS.mkdir(exist_ok=True)
    start = os.getpid() * 61 % len(PORTS)  # so that runs beside each other seldom ask for the same
    for port in [*PORTS[start:], *PORTS[:start]]:
        if port not in _ours and _reserve(port) and not _taken(port):
            return port
    raise AssertionError(f"all of {len(PORTS)} ports are taken")


def _reserve(port: int) -> bool:
    lock = (_LOCKS / str(port)).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _ours[port] = lock
    return True


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


class Server:
    """`joinline serve` in its own process; it can be killed and started again on the same port and files."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        port: int | None = None,
        program: Sequence[str | Path] = JOINLINE,
    ) -> None:
        self._program = program
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        defaults = {
            "base_url": self.url,
            "secret": SECRET,
            "store": "sqlite:///joinline.db",
            "server": {"port": self.port},
            "limits": {"opened_per_ip_per_hour": 100_000, "sockets_per_ip": 2_000},
        }
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump({**defaults, **config}), "utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = [*self._program, "serve", "--config", self.config]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + 2 * PATIENCE
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server did not start:\n{self.log}")
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """End it as a power cut would end a process: at once, in the middle of anything."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """End it as a service manager does; the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(3 * PATIENCE)


@contextmanager
def running(
    folder: Path,
    config: Mapping[str, Any],
    *,
    port: int | None = None,
    program: Sequence[str | Path] = JOINLINE,
) -> Iterator[Server]:
    server = Server(folder, config, port=port, program=program)
    try:
        server.start()
        yield server
    finally:
        server.kill()


PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>Acme Outdoor</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<script async src="{chat}/widget.js" data-site="acme" {attributes}></script></head>
<body><main><h1>Acme Outdoor</h1><p>Tents, packs and boots.</p><a href="/other">Another page</a></main></body></html>"""


@contextmanager
def website(chat: str, *, port: int = 0, lang: str = "en", attributes: str = "") -> Iterator[str]:
    """A page of another origin that embeds the widget, under the strictest policy that ux.md promises."""
    policy = (
        f"default-src 'none'; script-src {chat}; connect-src {chat} {chat.replace('http', 'ws', 1)}; "
        "style-src 'self'; img-src data:; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    body = PAGE.format(chat=chat, lang=lang, attributes=attributes).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", policy)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
