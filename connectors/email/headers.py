"""What may stand in a mail's headers. Pure.

Visitor text comes through `header_text`, and `check` reads the finished mail as its receiver will: Python's
own header folding turns an encoded word in a subject into real header lines.
"""

from email import message_from_bytes, policy
from email.header import Header
from email.message import EmailMessage
from hashlib import sha256
import re
import unicodedata

MAX_WORDS = 60  # characters of foreign text in a header
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})
_VERBATIM = frozenset({"in-reply-to", "list-unsubscribe", "references"})  # long addresses, encoded by nobody


class _Wire(policy.EmailPolicy):
    """Writes what Python folds wrongly: long addresses are not encoded, a subject is, in whole characters."""

    def fold_binary(self, name: str, value: str) -> bytes:
        text = str(value)
        if not text.isprintable():
            raise Unsafe(f"{name} holds a control character")
        if name.lower() in _VERBATIM:
            folded = f"{self.linesep} ".join(text.split())
        elif name.lower() == "subject":
            folded = text if text.isascii() else Header(text, "utf-8", header_name=name).encode()
        else:
            return super().fold_binary(name, value)
        lines = folded.replace("\r\n", "\n").replace("\n", self.linesep)
        return f"{name}: {lines}{self.linesep}".encode("ascii")


_WIRE = _Wire(linesep="\r\n", cte_type="7bit")


class Unsafe(ValueError):
    """A finished mail does not read back as it was written."""


def header_text(text: str, *, limit: int = MAX_WORDS) -> str:
    """One line of visible characters that no mail program takes for anything but text."""
    spaced = re.sub(r"\s", " ", text)
    kept = "".join(c for c in spaced if unicodedata.category(c) not in _DROPPED)
    line = re.sub(r" +", " ", kept).strip()
    line = line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
    return line.replace("=?", "= ?")[:limit].strip()


def atom(text: str) -> str:
    """`text` as part of a Message-ID; different texts stay different."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "-", text)
    return safe if safe == text else f"{safe}-{sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


def message_id(domain: str, *parts: str) -> str:
    return f"<{'.'.join(atom(p) for p in parts)}@{domain}>"


def to_bytes(message: EmailMessage) -> bytes:
    """The mail as it travels: 7-bit, CRLF."""
    return message.as_bytes(policy=_WIRE)


def check(message: EmailMessage) -> bytes:
    """The mail's bytes, once they read back with exactly the headers that were set; else `Unsafe`."""
    raw = to_bytes(message)
    parsed = message_from_bytes(raw, policy=policy.default)
    if _fields(parsed) != _fields(message) or parsed.defects:
        raise Unsafe("the headers do not read back as they were written")
    return raw


def _fields(message: EmailMessage) -> list[tuple[str, str]]:
    return [(name.lower(), _value(name, str(value))) for name, value in message.items()]


def _value(name: str, value: str) -> str:
    """Where a value may be folded is no part of it; a boundary is chosen while writing."""
    if name.lower() == "content-type":
        return value.partition(";")[0]
    return re.sub(r"\s+", " ", value).strip()
