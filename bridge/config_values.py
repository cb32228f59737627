"""The single values of a configuration, such as addresses, origins and secrets, and how to mend them."""

import ipaddress
from pathlib import Path
import re
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from pydantic import BeforeValidator, Field, PlainValidator, SecretStr

from bridge.config_file import from_environment
from bridge.store.address import parse

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HOW_TO_MAKE_ONE = "make one with: openssl rand -base64 32"


class Smtp(Struct, frozen=True, kw_only=True):
    """Where mail goes. `tls`: from the start, by STARTTLS, or none."""

    host: str
    port: int
    tls: Literal["tls", "starttls", "none"]
    user: str = ""
    password: SecretStr = SecretStr("")

    def __str__(self) -> str:
        scheme = {"tls": "smtps", "starttls": "smtp+starttls", "none": "smtp"}[self.tls]
        login = f"{self.user}:***@" if self.user else ""
        return f"{scheme}://{login}{self.host}:{self.port}"


class Mailbox(Struct, frozen=True, kw_only=True):
    """An email address with the name that is shown for it."""

    address: str
    name: str = ""


def host_fault(host: str) -> str:
    """What is wrong with `host` as a name in a URL; empty where nothing is."""
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare:
        try:
            ipaddress.IPv6Address(bare)
        except ValueError:
            return f'"{host}" is no IPv6 address'
        return ""
    if not host:
        return "names no host"
    if not host.isascii():
        return (
            f"{host} is written in its ASCII form, which begins with xn-- and which a browser's console shows"
        )
    wrong = [label for label in host.split(".") if not _LABEL.fullmatch(label)]
    return f'"{host}" is no host name in lower case' if wrong or len(host) > 253 else ""


def _origin(text: str, *, what: str) -> str:
    example = f"{what} looks like https://www.example.com"
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port is a number to 65535; {example}") from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f'must begin with https:// or http://, got "{_cut(text)}"; {example}')
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"has no user and no password; {example}")
    if parts.path.strip("/") or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(f'has no path, no "?" and no "#", got "{_cut(text)}"; {example}')
    host = parts.hostname or ""
    fault = host_fault(re.sub(r":\d*$", "", parts.netloc.lower()))
    if fault:
        raise ValueError(f"{fault}; {example}")
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}" + (f":{port}" if port and port != usual else "")


def _base_url(value: object) -> object:
    return _origin(value, what="it") if isinstance(value, str) else value


def _exact_origin(value: object) -> object:
    if not isinstance(value, str):
        return value
    if "*" in value:
        raise ValueError(f'"{_cut(value)}" has a "*"; name each origin in full')
    exact = _origin(value, what="an origin")
    if exact != value:
        raise ValueError(f'write it as a browser sends it: "{exact}", got "{_cut(value)}"')
    return value


def _api_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f'must begin with https:// or http://, got "{_cut(value)}"')
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError('has no user, no "?" and no "#"; a key has a setting of its own')
    return value.rstrip("/")


def _page_url(value: object) -> object:
    if isinstance(value, str) and value:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f'must begin with https:// or http://, got "{_cut(value)}"')
    return value


def _address(value: object) -> object:
    if isinstance(value, str):
        local, _, domain = value.rpartition("@")
        wrong = re.search(r"[\s<>()\[\],;:\\\"@\x00-\x1f\x7f]", local) or not value.isascii()
        if not local or wrong or host_fault(domain.lower()) or len(value) > 254:
            raise ValueError(f'"{_cut(value)}" is no email address; it looks like sales@example.com')
    return value


_WITH_NAME = re.compile(r'\s*"?(?P<name>[^"<>]*?)"?\s*<(?P<address>[^<>]*)>\s*')


def _mailbox(value: object) -> Mailbox:
    if not isinstance(value, str):
        raise ValueError("expected text such as Acme Chat <chat@example.com>")  # noqa: TRY004 - pydantic collects these
    match = _WITH_NAME.fullmatch(value)
    name, address = (match["name"], match["address"]) if match else ("", value.strip())
    _address(address)
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise ValueError("the name is one line without control characters")
    return Mailbox(address=address, name=name.strip())


_SMTP = {"smtp": ("none", 25), "smtp+starttls": ("starttls", 587), "smtps": ("tls", 465)}


def _smtp(value: object) -> Smtp:
    """Written by hand because a password may hold any character, "@" and "/" too."""
    example = "it looks like smtp+starttls://user:password@mail.example.com:587"
    scheme, found, rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    if not found or scheme not in _SMTP:
        raise ValueError(f"must begin with smtp+starttls://, smtps:// or smtp://; {example}")
    tls, usual = _SMTP[scheme]
    login, _, server = rest.rpartition("@")
    host, _, digits = (
        server.rstrip("/").rpartition(":") if re.search(r":\d*/?$", server) else (server, "", "")
    )
    host = host.rstrip("/")
    if fault := host_fault(host.lower()):
        raise ValueError(f"{fault}; {example}")
    port = int(digits) if digits else usual
    if not 0 < port < 65536:
        raise ValueError(f"the port is a number from 1 to 65535; {example}")
    user, _, password = login.partition(":")
    if bool(user) != bool(password):
        raise ValueError(f"user and password go together; {example}")
    secret = SecretStr(unquote(password))
    bare = host.removeprefix("[").removesuffix("]")
    if user and tls == "none" and bare not in LOOPBACK:
        raise ValueError(
            f"the password would travel unencrypted to {bare}; write smtp+starttls:// or smtps://"
        )
    return Smtp(host=bare, port=port, tls=tls, user=unquote(user), password=secret)  # type: ignore[arg-type]


_DEFAULTS = re.compile(
    r"change.?me|change.?this|secret|password|example|default|joinline|insecure|test|dev|12345678|qwerty|letmein",
    re.IGNORECASE,
)


def _secret(value: object) -> object:
    if isinstance(value, str):
        if len(value) < 32:
            raise ValueError(f"is too short, {len(value)} of at least 32 characters; {_HOW_TO_MAKE_ONE}")
        rest = _DEFAULTS.sub("", value)
        if len(set(rest)) < 10 or len(rest) < 20:
            raise ValueError(f"can be guessed; {_HOW_TO_MAKE_ONE}")
    return value


def _network(value: object) -> object:
    if isinstance(value, str):
        try:
            ipaddress.ip_network(value)
        except ValueError:
            raise ValueError(
                f'"{_cut(value)}" is no address or network such as 10.0.0.1 or 10.0.0.0/8'
            ) from None
    return value


def _accent(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ValueError(f'expected a colour such as "#1f5fd6", got "{_cut(value)}"')
    return value


def _locale(value: object) -> object:
    if isinstance(value, str) and value and not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise ValueError(f'expected a language such as en or pt-BR, got "{_cut(value)}"')
    return value


def _store(value: object) -> object:
    if isinstance(value, str) and not (value == "memory://" or re.fullmatch(r"sqlite:///[^?#]+", value)):
        parse(value)
    return value


def _one_line(value: object) -> object:
    if isinstance(value, str):
        if not value.strip() or value != value.strip():
            raise ValueError("is one line of text, without blanks around it")
        if any(ord(c) < 32 or ord(c) == 127 for c in value):
            raise ValueError("is one line without control characters")
    return value


def prefixed(*starts: str) -> BeforeValidator:
    """A token that begins with one of `starts`; what it is instead is not shown, it may be another secret."""

    def check(value: object) -> object:
        if isinstance(value, str) and not value.startswith(starts):
            raise ValueError(f"begins with {' or '.join(starts)}; this is something else")
        if isinstance(value, str) and not re.fullmatch("[!-~]{6,}", value):
            raise ValueError("is cut off, or has a blank or a line's end in it")
        return value

    return BeforeValidator(check)


def matching(pattern: str, *, what: str, secret: bool = False) -> BeforeValidator:
    """Text that is wholly as `pattern` says; `what` describes that to people. A secret is not shown."""

    def check(value: object) -> object:
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            got = "a value that is not shown" if secret else f'"{_cut(value)}"'
            raise ValueError(f"expected {what}, got {got}")
        return value

    return BeforeValidator(check)


def one_or_list(*words: str) -> BeforeValidator:
    """A list, or one of `words` alone, which stands for a list of it."""

    def check(value: object) -> object:
        if isinstance(value, str):
            if value not in words:
                raise ValueError(f'expected a list, or {" or ".join(words)}, got "{_cut(value)}"')
            return (value,)
        return value

    return BeforeValidator(check)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


BaseUrl = Annotated[str, BeforeValidator(_base_url)]
Folder = Annotated[Path, BeforeValidator(lambda value: Path(value) if isinstance(value, str) else value)]
Origin = Annotated[str, BeforeValidator(_exact_origin)]
ApiUrl = Annotated[str, BeforeValidator(_api_url)]
PageUrl = Annotated[str, BeforeValidator(_page_url)]
Address = Annotated[str, BeforeValidator(_address)]
Sender = Annotated[Mailbox, PlainValidator(_mailbox)]
SmtpUrl = Annotated[Smtp, PlainValidator(_smtp)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Network = Annotated[str, BeforeValidator(_network)]
Accent = Annotated[str, BeforeValidator(_accent)]
Locale = Annotated[str, BeforeValidator(_locale)]
StoreUrl = Annotated[str, BeforeValidator(_store)]
OneLine = Annotated[str, BeforeValidator(_one_line)]
Whole = Annotated[int, BeforeValidator(from_environment)]
Number = Annotated[float, BeforeValidator(from_environment)]
Flag = Annotated[bool, BeforeValidator(from_environment)]
Count = Annotated[Whole, Field(ge=1)]
Seconds = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
