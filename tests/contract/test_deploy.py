"""What `deploy/` holds works: real proxies in front of two real servers on one Redis, and files that parse."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
import json
import os
from pathlib import Path
import re
import secrets
import shutil
import subprocess
import sys
import time
from typing import Any

import httpx2
from msgspec import Struct
import pytest
import yaml

from bridge import config
from bridge.store import open_store
from tests.chatter import Chatter
from tests.eventually import PATIENCE, eventually
from tests.proxies import CADDY, DEPLOY, NGINX, PROXIES, Proxy, nginx_files
from tests.redises import COMMON, DURABLE, RedisServer
from tests.running import SECRET, Server, free_port

pytestmark = pytest.mark.timed  # clients must be somewhere else within seconds

ROOT = DEPLOY.parent
ORIGIN = "https://www.acme.example"
WITHIN = 5.0  # seconds in which clients are at another server


class Site(Struct, frozen=True):
    proxy: Proxy
    servers: tuple[Server, Server]

    @property
    def live(self) -> str:
        return f"{self.proxy.url}/live/visitor"


def installed(name: str) -> str:
    if name == "caddy" and not CADDY:
        pytest.skip("this system has no package of Caddy")
    return name


@pytest.fixture(params=PROXIES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Two servers on one Redis behind a proxy."""
    name = installed(request.param)
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(*DURABLE))
        settings = {
            "sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}},
            "store": redis.url,
            "limits": {
                "sockets_per_ip": 500,
                "sockets_per_visitor": 50,
                "messages_per_minute": 100_000,
                "opened_per_ip_per_hour": 1_000,
            },
        }
        servers = []
        for number in (1, 2):
            port = free_port()
            server = Server(
                tmp_path / str(number),
                settings | {"server": {"port": port, "trusted_proxies": ["127.0.0.1"]}},
                port=port,
            )
            stack.callback(server.kill)
            server.start()
            servers.append(server)
        one, two = servers
        proxy = stack.enter_context(PROXIES[name](tmp_path, (one.port, two.port)))
        yield Site(proxy, (one, two))


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        base_url=site.proxy.url, headers={"Origin": ORIGIN}, trust_env=False, timeout=3 * PATIENCE
    ) as client:
        yield client


def hello(who: str, after: int = 0, log: str = "") -> dict[str, Any]:
    return {"t": "hello", "site": "acme", "token": who, "after": after, "log": log}


def saying(who: str, text: str, *, opening: bool = False) -> dict[str, Any]:
    first = [{"type": "Opened", "site": "acme"}] if opening else []
    frame = {
        "t": "propose",
        "key": secrets.token_hex(8),
        "events": [*first, {"type": "Said", "text": text}],
    }
    return {"hello": hello(who), "frame": frame}


def said(frames: list[dict[str, Any]]) -> list[str]:
    lines = [line for frame in frames if frame["t"] == "entries" for line in frame["lines"]]
    return [line["event"]["text"] for line in lines if line["event"]["type"] == "Said"]


def at(site: Site) -> list[int]:
    """How many connections from the proxy each server has."""
    found = []
    for server in site.servers:
        hexed = f":{server.port:04X}"
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        found.append(sum(row[1].endswith(hexed) and row[3] == "01" for row in rows))
    return found


# --- A proxy in front of two ---------------------------------------------------------------------


async def test_pages_sockets_streams_and_polls_pass(site: Site, http: httpx2.AsyncClient):
    for path in ("/widget.js", "/join", "/chat/acme", "/livez", "/readyz"):
        assert (await http.get(path)).status_code == 200, path
    who = secrets.token_urlsafe(32)
    frames: list[dict[str, Any]] = []
    heard: dict[str, float] = {}

    async def follow() -> None:
        async with http.stream("POST", "/live/visitor/stream", json=hello(who)) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    frames.append(json.loads(line.removeprefix("data: ")))
                    heard.update({text: time.monotonic() for text in said(frames) if text not in heard})

    following = asyncio.create_task(follow())
    await eventually(lambda: frames)
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(Chatter(site.live, origin=ORIGIN, token=who)) for _ in range(3)
        ]
        await http.post("/live/visitor/send", json=saying(who, "by post", opening=True))
        for number in range(5):
            began = time.monotonic()
            await http.post("/live/visitor/send", json=saying(who, f"word {number}"))
            await eventually(lambda number=number: f"word {number}" in heard)
            assert heard[f"word {number}"] - began < 1, "what is streamed does not wait in the proxy"
        everything = ["by post", *(f"word {n}" for n in range(5))]
        for socket in sockets:
            await eventually(lambda socket=socket: socket.texts() == everything)
        assert all(count > 0 for count in at(site)), "both servers have work"
        polled = (await http.post("/live/visitor/poll", json=hello(who))).json()
        assert said(polled) == everything
        waiting = asyncio.create_task(
            http.post("/live/visitor/poll", json=hello(who, sockets[0].last, polled[0]["log"]))
        )
        await sockets[0].say("while a poll waits")
        assert said((await waiting).json()) == ["while a poll waits"]
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert said(frames)[:6] == everything


async def test_a_server_is_killed_and_clients_go_on_at_the_other(site: Site, http: httpx2.AsyncClient):
    """Twelve visitors write all the time, by sockets and by posts; both servers are killed in turn."""
    done = asyncio.Event()
    acked: dict[str, list[str]] = {}
    slowest = 0.0

    async def write(visitor: Chatter) -> None:
        nonlocal slowest
        words = acked.setdefault(visitor.token, [])
        async with visitor:
            while not done.is_set():
                began = time.monotonic()
                assert (await visitor.say(f"word {len(words)}"))["t"] == "ack"
                slowest = max(slowest, time.monotonic() - began)
                words.append(f"word {len(words)}")
                await asyncio.sleep(0.01)

    async def post(who: str) -> None:
        nonlocal slowest
        words = acked.setdefault(who, [])
        while not done.is_set():
            body = saying(who, f"word {len(words)}", opening=not words)
            began = time.monotonic()
            answer = await http.post("/live/visitor/send", json=body)
            while answer.status_code in {502, 503}:  # a call that was under way; the browser repeats it, too
                answer = await http.post("/live/visitor/send", json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json()[0]["t"] == "ack"
            slowest = max(slowest, time.monotonic() - began)
            words.append(f"word {len(words)}")
            await asyncio.sleep(0.1)  # a visitor has a pace that is kept

    async def kill() -> None:
        for server in site.servers:
            await eventually(lambda: all(at(site)), within=2 * PATIENCE)
            before = {who: len(words) for who, words in acked.items()}
            server.kill()
            await eventually(
                lambda before=before: all(len(acked[who]) > count + 5 for who, count in before.items()),
                within=2 * PATIENCE,
            )
            await asyncio.to_thread(server.start)
        done.set()

    visitors = [Chatter(site.live, origin=ORIGIN) for _ in range(10)]
    async with asyncio.TaskGroup() as group:
        for visitor in visitors:
            group.create_task(write(visitor))
        for _ in range(2):
            group.create_task(post(secrets.token_urlsafe(32)))
        group.create_task(kill())

    assert slowest < WITHIN
    assert sum(visitor.connects for visitor in visitors) > len(visitors), "somebody had to move"
    for who, words in acked.items():
        async with Chatter(site.live, origin=ORIGIN, token=who) as reader:
            await eventually(lambda reader=reader, words=words: reader.texts() == words)


async def test_a_rolling_restart_moves_everybody_and_loses_nothing(site: Site):
    visitors = [Chatter(site.live, origin=ORIGIN) for _ in range(8)]
    async with AsyncExitStack() as stack:
        for visitor in visitors:
            await stack.enter_async_context(visitor)
            await visitor.say("before")
        for server in site.servers:
            leaving = asyncio.create_task(asyncio.to_thread(server.stop))
            began = time.monotonic()
            for visitor in visitors:
                assert (await visitor.say("meanwhile"))["t"] == "ack"
            assert time.monotonic() - began < WITHIN
            assert await leaving == 0
            await asyncio.to_thread(server.start)
        for visitor in visitors:
            await eventually(lambda visitor=visitor: visitor.texts() == ["before", "meanwhile", "meanwhile"])
    assert any(visitor.close_code == 1012 for visitor in visitors)


# --- Files that parse ----------------------------------------------------------------------------


def test_nginx_takes_its_configuration(tmp_path: Path):
    file = nginx_files(tmp_path, (8001, 8002), port=free_port())
    answer = subprocess.run(
        [NGINX, "-t", "-p", tmp_path, "-c", file], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "warn" not in answer.stderr


def test_caddy_takes_its_configuration(tmp_path: Path):
    installed("caddy")
    environ = os.environ | {"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [CADDY, "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert answer.returncode == 0, answer.stderr
    adapted = subprocess.run(
        [CADDY, "adapt", "--config", DEPLOY / "Caddyfile"], capture_output=True, text=True, check=True,
        env=environ | {"CHAT_HOST": "talk.example.org", "BRIDGE_HOST": "servers"},
    ).stdout  # fmt: skip
    assert "talk.example.org" in adapted
    assert '"name":"servers","port":"8000"' in adapted
    assert '"warnings"' not in adapted


def composed() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def in_comments(text: str, after: str) -> str:
    """The indented lines of a comment that follow a line that ends with `after`."""
    found = re.search(rf"(?m)^#.*{re.escape(after)}\n((?:#   .*\n)+)", text)
    assert found, after
    return "".join(line.removeprefix("#   ") + "\n" for line in found[1].splitlines())


def test_the_services_of_the_compose_file_fit_together():
    whole = composed()
    services = whole["services"]
    assert set(services) == {"bridge", "redis", "caddy"}
    assert services["bridge"]["deploy"]["replicas"] >= 2
    assert "ports" not in services["bridge"], "only the proxy is reachable from outside"
    assert "ports" not in services["redis"]
    for name, service in services.items():
        assert service["restart"] == "always", name
        for other, condition in service.get("depends_on", {}).items():
            assert other in services
            assert condition == {"condition": "service_healthy"}
            has_check = "healthcheck" in services[other] or "build" in services[other]
            assert has_check, f"{other} has nothing that says that it is healthy"
        for volume in service.get("volumes", []):
            source, _, _ = volume.partition(":")
            assert source in whole["volumes"] or source == "./config.yaml" or (DEPLOY / source).exists()
    build = services["bridge"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    grace = float(services["bridge"]["stop_grace_period"].removesuffix("s"))
    assert grace > config.Server().drain + 5
    name = re.search(r"BRIDGE_HOST:(\w+)", (DEPLOY / "Caddyfile").read_text())
    assert name is not None
    assert name[1] in services


async def test_the_redis_of_the_compose_file_is_one_that_joinline_takes(tmp_path: Path):
    program, *options = composed()["services"]["redis"]["command"].split()
    assert program == "redis-server"
    server = RedisServer(*options)
    with server:
        store = await open_store(server.url)
        await store.close()
        with server.client() as client:
            found = client.config_get("append*")
        assert (found["appendonly"], found["appendfsync"]) == ("yes", "everysec")
    assert not {"--appendonly", "--appendfsync", "--maxmemory-policy"} & set(COMMON), "the flags are its own"


def test_the_configuration_that_the_compose_file_asks_for_is_good(tmp_path: Path):
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    found = config.parse(
        in_comments(text, "with at least"),
        name="config.yaml",
        folder=tmp_path,
        environ={"JOINLINE_SECRET": SECRET},
    )
    assert found.store == "redis://redis:6379/0"
    assert "redis" in composed()["services"]
    assert found.server.host == "0.0.0.0"
    assert found.server.port == 8000, "where Caddyfile and Dockerfile look for it"
    environment = dict(line.split("=", 1) for line in in_comments(text, "belong .env, with").splitlines())
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    assert set(environment) == asked


def test_the_service_is_one_that_systemd_takes(tmp_path: Path):
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("this system has no systemd")
    unit = (DEPLOY / "systemd" / "joinline@.service").read_text()
    program = Path(sys.executable).with_name("joinline")
    file = tmp_path / "joinline@8001.service"
    file.write_text(unit.replace("/srv/joinline/.venv/bin/joinline", str(program)))
    answer = subprocess.run([verify, "verify", file], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    ours = [line for line in answer.stderr.splitlines() if "joinline" in line]
    assert not ours
    stop = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    assert stop > config.Server().drain + 5


@pytest.mark.parametrize("port", ["8001", "8002"])
def test_the_configuration_that_the_service_asks_for_is_good(port: str, tmp_path: Path):
    unit = (DEPLOY / "systemd" / "joinline@.service").read_text()
    section = re.search(r"`(server: .*?)`", unit)
    assert section
    smallest = {"base_url": "https://chat.example.com", "secret": SECRET, "store": "redis://127.0.0.1:6379/0"}
    sites = {"sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}}}
    text = f"{section[1]}\n{yaml.safe_dump(smallest | sites)}"
    found = config.parse(text, name="config.yaml", folder=tmp_path, environ={"JOINLINE_PORT": port})
    assert found.server.port == int(port)
    assert f"127.0.0.1:{port}" in (DEPLOY / "nginx.conf").read_text()


# --- The image -----------------------------------------------------------------------------------


def copied() -> list[tuple[list[str], str]]:
    """What the image takes from the checkout: sources and target of each COPY that names no other stage."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    found = [line.split()[1:] for line in lines if line.startswith("COPY ") and "--from" not in line]
    return [(words[:-1], words[-1]) for words in found]


def test_everything_that_the_image_copies_is_there_and_let_through():
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    sources = {source for group, _ in copied() for source in group}
    assert "*" in ignore
    assert sources == allowed
    for source in sources:
        assert (ROOT / source).exists(), source


def test_what_the_image_copies_is_enough_to_serve(tmp_path: Path):
    """Build the package from the copied files alone, as the image does, and start what comes out."""
    folder, site = tmp_path / "srv", tmp_path / "site"
    for sources, target in copied():
        for source in sources:
            into = folder / target / source if target in {".", "./"} else folder / target
            into.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, into)
    install = [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        site,
        ".",
    ]
    subprocess.run([sys.executable, *install], cwd=folder, check=True, capture_output=True)
    shutil.rmtree(folder)  # as the second stage, which has what was installed and nothing else
    config_file = tmp_path / "config.yaml"
    config_file.write_text(
        yaml.safe_dump(
            {
                "base_url": "https://chat.example.com", "secret": SECRET, "server": {"port": 0},
                "sites": {"acme": {"name": "Acme", "origins": [ORIGIN]}},
            }
        )
    )  # fmt: skip
    program = "import sys, bridge; assert bridge.__path__[0].startswith(sys.argv.pop(1)); from bridge.cli import main; main()"
    command = [sys.executable, "-c", program, site, "serve", "--config", config_file]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)}, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        printed = ""
        while "ready: listening" not in printed:
            line = process.stderr.readline()
            assert line, printed
            printed += line
        port = re.search(r"listening on 127\.0\.0\.1:(\d+)", printed)[1]
        for path in ("/readyz", "/widget.js", "/join", "/chat/acme"):
            assert httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code == 200, path
        process.terminate()
        assert process.wait(3 * PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_image_installs_what_builds_it():
    """Its environment has no setuptools of its own, and the build takes none from elsewhere."""
    text = (DEPLOY / "Dockerfile").read_text()
    assert "--no-build-isolation" in text
    assert re.search(r"(?m)^setuptools==", (ROOT / "requirements.txt").read_text())
