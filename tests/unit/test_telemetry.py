"""The log: no token, password, key or query string in it, whoever wrote the line."""

import io
import json
import logging

from hypothesis import example, given
from hypothesis import strategies as st
import pytest

from bridge import telemetry
from bridge.config import Log

TOKEN = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYm"


@pytest.fixture
def restored():
    root = logging.getLogger()
    before = (root.handlers[:], root.level, {n: logging.getLogger(n).level for n in telemetry.QUIET})
    yield
    root.handlers[:], level, levels = before
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (f"GET /join/{TOKEN} 200", "GET /join/[cut] 200"),
        (f"https://chat.example.com/join#{TOKEN}", "https://chat.example.com/join#[cut]"),
        (f"opened #{TOKEN} twice", "opened #[cut] twice"),
        ("GET /join/static/page.js and /join/c/abc", "GET /join/static/page.js and /join/c/abc"),
        ("GET /widget.js?v=3&key=abc 200", "GET /widget.js?[cut] 200"),
        ("at https://www.acme.example/cart?user=7#top", "at https://www.acme.example/cart?[cut]#top"),
        ("smtp+starttls://bot:p@ss/w?rd#@mail.example.com:587 down", "smtp+starttls://[cut]@mail.example.com:587 down"),
        ("Authorization: Bearer sk-abcdefghijkl", "Authorization: [cut] [cut]"),
        ("sent Bearer abcdefghijkl.mnop", "sent Bearer [cut]"),
        ("https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/getMe", "https://api.telegram.org/bot[cut]/getMe"),
        ("/bot123456789%3AAAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/getMe", "/bot[cut]/getMe"),
        ("https://hooks.slack.com/actions/T1/2/abcDEF refused", "https://hooks.slack.com/[cut] refused"),
        ("slack xoxb-1234567890-abcdef failed", "slack [cut] failed"),
        ('{"t": "hello", "token": "abc def", "after": 3}', '{"t": "hello", "token": [cut], "after": 3}'),
        ("api_key=abc password='a b' max_tokens: 800", "api_key=[cut] password=[cut] max_tokens: 800"),
        ("Set-Cookie: joinline=abc; HttpOnly", "Set-Cookie: [cut]"),
        ("conversation c-12 entry 7, 120 bytes in 0.3 ms", "conversation c-12 entry 7, 120 bytes in 0.3 ms"),
        ("why? because", "why? because"),
    ],
)  # fmt: skip
def test_what_opens_a_door_is_cut(line: str, left: str):
    assert telemetry.redact(line) == left


@given(st.text(), st.text())
@example("https://x.example/a b", "'")
def test_a_join_token_never_gets_through(before: str, after: str):
    assert TOKEN not in telemetry.redact(f"{before}/join/{TOKEN} {after}")


def lines_of(settings: Log, write: object) -> str:
    stream = io.StringIO()
    telemetry.install(settings, stream=stream)
    write()
    return stream.getvalue()


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["plain", "json"])
def test_messages_arguments_and_traces_are_redacted(form: str):
    def write() -> None:
        try:
            raise OSError(f"no answer from https://x.example/?token={TOKEN}")
        except OSError:
            logging.getLogger("bridge.courier").exception("failed for /join/%s", TOKEN)

    written = lines_of(Log(format=form), write)
    assert "failed for /join/[cut]" in written
    assert "OSError" in written
    assert TOKEN not in written


@pytest.mark.usefixtures("restored")
def test_a_line_stays_one_line():
    written = lines_of(
        Log(), lambda: logging.getLogger("x").warning("name: %s", "a\n2026-01-01 ERROR\x1b[31m\u2028b")
    )
    assert written.count("\n") == 1
    assert r"a\n2026-01-01 ERROR\x1b[31m\u2028b" in written


@pytest.mark.usefixtures("restored")
def test_json_lines_are_json():
    written = lines_of(Log(format="json"), lambda: logging.getLogger("bridge.core").info('"%s"', "é"))
    line = json.loads(written)
    assert {k: line[k] for k in ("level", "logger", "message")} == {
        "level": "info", "logger": "bridge.core", "message": '"é"'
    }  # fmt: skip
    assert line["at"].endswith("+00:00")


@pytest.mark.usefixtures("restored")
def test_libraries_that_print_urls_are_quiet():
    def write() -> None:
        logging.getLogger("httpx").info("HTTP Request: POST https://x.example/bot1:secret")
        logging.getLogger("bridge").debug("detail")

    assert lines_of(Log(), write) == ""
    assert lines_of(Log(level="debug"), write).count("\n") == 1
