"""Real proxies on loopback, with the configurations of `deploy/`: only addresses and ports are others."""

from collections.abc import Callable, Sequence
import os
from pathlib import Path
import re
import shutil
import subprocess
import time
from typing import Self
import urllib.error
import urllib.request

from tests.eventually import PATIENCE
from tests.running import free_port

DEPLOY = Path(__file__).parents[1] / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or ""
CADDY = shutil.which("caddy") or ""

AROUND = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {user} worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/joinline.conf;
}}
"""


def changed(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert len(re.findall(old, text)) == 1, old
        text = re.sub(old, lambda _, new=new: new, text)
    return text


class Proxy:
    """A proxy in a process of its own, in front of servers on `ports`."""

    def __init__(self, folder: Path, command: Sequence[str], *, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = command
        self._log = folder / "proxy.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(self._log.read_text())
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:  # Caddy waits for whoever is still connected
            self._process.kill()
            self._process.wait()


def nginx_files(folder: Path, ports: tuple[int, int], *, port: int) -> Path:
    """The whole configuration around deploy/nginx.conf; answers where it is."""
    ours = changed(
        (DEPLOY / "nginx.conf").read_text(),
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8001", f"127.0.0.1:{ports[0]}"),
        ("127.0.0.1:8002", f"127.0.0.1:{ports[1]}"),
    )
    (folder / "joinline.conf").write_text(ours)
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not enter the folder
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    return folder / "nginx.conf"


def nginx(folder: Path, ports: tuple[int, int]) -> Proxy:
    port = free_port()
    file = nginx_files(folder, ports, port=port)
    return Proxy(folder, [NGINX, "-p", str(folder), "-c", str(file)], port=port)


def caddy(folder: Path, ports: tuple[int, int]) -> Proxy:
    port = free_port()
    ours = changed(
        (DEPLOY / "Caddyfile").read_text(),
        (r"(?m)^\{\$CHAT_HOST:chat\.example\.com\}", f"http://127.0.0.1:{port}"),
        (r"(?s)\t\tdynamic a \{.*?\n\t\t\}\n", f"\t\tto 127.0.0.1:{ports[0]} 127.0.0.1:{ports[1]}\n"),
    )
    file = folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n}\n" + ours)
    command = [
        "env",
        f"XDG_DATA_HOME={folder}",
        f"XDG_CONFIG_HOME={folder}",
        CADDY,
        "run",
        "--config",
        str(file),
    ]
    return Proxy(folder, [*command, "--adapter", "caddyfile"], port=port)


PROXIES: dict[str, Callable[[Path, tuple[int, int]], Proxy]] = {"nginx": nginx, "caddy": caddy}
