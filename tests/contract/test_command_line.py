"""The commands as people run them: real processes, what they print, and how they end."""

import asyncio
from contextlib import contextmanager
from http.client import HTTPConnection
import os
from pathlib import Path
import re
import signal
import socket
import subprocess
import sys

import pytest

from tests.eventually import PATIENCE
from tests.fakes.smtp import SmtpServer
from tests.fakes.telegram import TelegramServer

JOINLINE = Path(sys.executable).with_name("joinline")
SECRET = "x9Kf02mVbQw7TzLrP4sYh8NdJcEa6GuR"
GOOD = """
base_url: http://127.0.0.1:8000
secret: ${JOINLINE_SECRET}
server: {port: 0}
sites:
  acme: {name: Acme, origins: [https://www.acme.example]}
"""


def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [JOINLINE, *map(str, arguments)], capture_output=True, text=True, timeout=6 * PATIENCE, check=False,
        env=os.environ | {"JOINLINE_SECRET": SECRET} | environ,
    )  # fmt: skip


@contextmanager
def started(*arguments: object, until: str):
    """The process, and everything it printed up to the line that holds `until`."""
    process = subprocess.Popen(
        [JOINLINE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"JOINLINE_SECRET": SECRET},
    )  # fmt: skip
    try:
        printed = ""
        while until not in printed:
            line = process.stdout.readline()
            assert line, f"it ended before it said {until!r}:\n{printed}"
            printed += line
        yield process, printed
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def status(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


# --- check and version ---------------------------------------------------------------------------


def test_check_says_that_all_is_well_and_what_is_odd(good: Path):
    answer = run("check", "--config", good)
    assert answer.returncode == 0
    assert f"{good}: good: 1 site, 0 on the staff list" in answer.stdout
    assert "note: nobody is told when a chat starts" in answer.stdout


def test_check_says_every_fault_on_a_line_of_its_own(good: Path):
    good.write_text(GOOD.replace("server:", "sever:").replace("https://www", "www"))
    answer = run("check", "--config", good)
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert [line.split(": ")[1] for line in answer.stderr.splitlines()] == ["sever", "sites.acme.origins[0]"]


def test_version():
    assert re.fullmatch(r"joinline \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+\)\n", run("version").stdout)


def test_a_wrong_call_is_status_2():
    assert run("serv").returncode == 2


# --- serve ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_and_ends_cleanly(good: Path, number: signal.Signals):
    with started("serve", "--config", good, until="ready: listening on") as (process, printed):
        port = int(re.search(r"listening on 127\.0\.0\.1:(\d+)", printed)[1])
        assert status(port, "/livez") == 200
        assert status(port, "/readyz") == 200
        process.send_signal(number)
        assert process.wait(3 * PATIENCE) == 0
        rest = process.stdout.read()
    assert "stopped" in rest
    assert "Traceback" not in rest
    assert SECRET not in printed + rest


def test_an_address_that_is_taken_is_told_plainly(good: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        good.write_text(GOOD.replace("port: 0", f"port: {port}"))
        answer = run("serve", "--config", good)
    assert answer.returncode == 1
    mend = "choose another with server.host and server.port"
    assert f"127.0.0.1:{port} is taken by another program; {mend}" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_second_server_on_the_same_store_is_refused(good: Path):
    with started("serve", "--config", good, until="ready: listening on"):
        answer = run("serve", "--config", good)
    assert answer.returncode == 1
    assert "joinline.db" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_serve_refuses_a_faulty_configuration_before_it_does_anything(good: Path):
    answer = run("serve", "--config", good, JOINLINE_SECRET="changeme")
    assert answer.returncode == 1
    assert "secret: is too short" in answer.stderr
    assert not list(good.parent.glob("*.db"))


# --- demo ----------------------------------------------------------------------------------------


def test_the_demo_shows_three_addresses_and_ends_cleanly(tmp_path: Path):
    ports = ("--port", 0, "--shop-port", 0, "--mailbox-port", 0, "--folder", tmp_path)
    with started("demo", *ports, until="Ctrl-C ends it.") as (process, printed):
        found = {name: int(port) for name, port in re.findall(r"(Shop|Mailbox|Bridge) .*?:(\d+) ", printed)}
        assert set(found) == {"Shop", "Mailbox", "Bridge"}
        pages = ("/", "/tent", "/boots", "/shipping", "/care", "/about", "/shop.css", "/pictures/tent.svg")
        assert [status(found["Shop"], page) for page in pages] == [200] * len(pages)
        assert status(found["Shop"], "/../config.example.yaml") == 404
        assert status(found["Mailbox"], "/") == 200
        assert status(found["Bridge"], "/widget.js") == 200
        listening = HTTPConnection("127.0.0.1", found["Mailbox"], timeout=PATIENCE)
        listening.request("GET", "/events")
        assert listening.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(3 * PATIENCE) == 0
        listening.close()
        assert process.stdout.read() == "\nEnded.\n"
    assert (tmp_path / "joinline.db").exists()


def test_the_shops_pages_name_the_chat_and_allow_nothing_else():
    ports = ("--port", 0, "--shop-port", 0, "--mailbox-port", 0)
    with started("demo", *ports, until="Ctrl-C ends it.") as (_process, printed):
        shop, bridge = (re.search(rf"{name}\s+(http\S+)", printed)[1] for name in ("Shop", "Bridge"))
        connection = HTTPConnection(shop.removeprefix("http://"), timeout=PATIENCE)
        connection.request("GET", "/")
        answer = connection.getresponse()
        body, policy = answer.read().decode(), answer.getheader("Content-Security-Policy")
        connection.close()
    assert f'<script async src="{bridge}/widget.js" data-site="acme"></script>' in body
    assert "chat.example.com" not in body
    assert policy.startswith(f"default-src 'none'; script-src {bridge};")
    assert "trusted-types 'none'" in policy


def test_the_demo_says_which_address_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = run("demo", "--port", 0, "--shop-port", port, "--mailbox-port", 0)
    assert answer.returncode == 1
    assert f"127.0.0.1:{port} is taken by another program; choose another with --shop-port" in answer.stderr


# --- check --live --------------------------------------------------------------------------------


def with_mail(path: Path, url: str) -> Path:
    path.write_text(GOOD + f"email: {{smtp_url: '{url}', from: chat@acme.example}}\n")
    return path


async def test_check_live_asks_the_mail_server_and_sends_nothing(good: Path):
    async with SmtpServer() as server:
        answer = await asyncio.to_thread(run, "check", "--live", "--config", with_mail(good, server.url))
        assert server.connections == 1
        assert server.received == []
    assert "email.smtp_url: good: smtp://127.0.0.1:" in answer.stdout
    assert answer.returncode == 0


async def test_check_live_asks_telegram_and_a_groups_title_begins_no_line(good: Path):
    async with TelegramServer() as server:
        group = server.add_group("Desk\nslack.bot_token: good")
        section = f"telegram: {{token: '{server.token}', chat: {group}, api_url: '{server.api_url}'}}"
        good.write_text(f"{good.read_text('utf-8')}{section}\n", "utf-8")
        answer = await asyncio.to_thread(run, "check", "--live", "--config", good)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "telegram.chat: good: the group is “Desk" in answer.stdout
    assert "\nslack" not in answer.stdout
    assert server.token not in answer.stdout + answer.stderr


def test_check_live_says_what_does_not_work_and_how_to_mend_it(good: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    answer = run("check", "--live", "--config", with_mail(good, f"smtp://127.0.0.1:{closed}"))
    assert answer.returncode == 1
    assert f"email.smtp_url: wrong: smtp://127.0.0.1:{closed}: " in answer.stdout
    assert "Check host, port" in answer.stdout
    assert run("check", "--config", good).returncode == 0, "without --live nothing is contacted"
