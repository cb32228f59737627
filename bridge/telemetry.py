"""The log: plain or JSON lines with ids and sizes; what opens a door is cut out, whoever wrote it."""

from datetime import UTC, datetime
import json
import logging
import re
import sys
from typing import TextIO

from bridge.config import Log

__all__ = ["install", "redact"]

QUIET = (
    "httpx",
    "httpx2",
    "httpcore",
    "openai",
    "aiosmtplib",
    "asyncio",
    "uvicorn",
    "mail.log",
    "telegram",
    "watchfiles",
)
CUT = "[cut]"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # https://user:password@host, whatever the password holds
    (re.compile(r"(\w://)[^\s/?#\"']*?:\S*@"), rf"\1{CUT}@"),
    # /join/<token>, /join#<token>, /mail/off/<token>, #token; long enough to be none of the pages' own paths
    (re.compile(r"(/join[/#]|/mail/off/|#)[A-Za-z0-9_-]{20,}"), rf"\1{CUT}"),
    # the query of a URL or of a path
    (re.compile(r"((?:\b[a-z]+://|/)[^\s\"'?]*)\?[^\s\"'#]+", re.IGNORECASE), rf"\1?{CUT}"),
    # Authorization: Bearer ..., cookies
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {CUT}"),
    (re.compile(r"\b((?:set-)?cookie[\"']?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE), rf"\1{CUT}"),
    # token=..., "password": "...", api_key: ...
    (
        re.compile(
            r"\b([\w-]*(?:token|secret|password|passwd|api[_-]?key|authorization)[\"']?\s*[:=]\s*)"
            r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&})\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{CUT}",
    ),
    # the keys of the services that Joinline speaks to, by their shapes
    (re.compile(r"\bbot\d{6,}(?::|%3A)[A-Za-z0-9_-]{20,}", re.IGNORECASE), f"bot{CUT}"),
    (re.compile(r"(\bhooks\.slack\.com/)[^\s\"'?#]+"), rf"\1{CUT}"),  # whoever knows the path may post
    (re.compile(r"\b\d{6,}:[A-Za-z0-9_-]{30,}"), CUT),
    (re.compile(r"\b(?:xox[a-z]|xapp|sk|pk)-[A-Za-z0-9_-]{8,}"), CUT),
)


def redact(text: str) -> str:
    """`text` without tokens, passwords, keys and the queries of URLs."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


class _Lines(logging.Formatter):
    def _message(self, record: logging.LogRecord) -> str:
        """On one line: what a client sends cannot begin a line of its own."""
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in record.getMessage().strip())
        return redact(shown)

    def _trace(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return redact(trace)


class Plain(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        line = f"{at} {record.levelname:7} {record.name}: {self._message(record)}"
        trace = self._trace(record)
        return f"{line}\n{trace}" if trace else line


class Json(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
        }
        trace = self._trace(record)
        return json.dumps(line | {"trace": trace} if trace else line, ensure_ascii=False)


def install(settings: Log, *, stream: TextIO | None = None) -> None:
    """Send every logger's lines to standard error, redacted; in place of what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Json() if settings.format == "json" else Plain())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in QUIET:  # below, some of these print tokens and people's words
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
