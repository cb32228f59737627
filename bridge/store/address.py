"""How a store is named.

sqlite:///joinline.db                              a file; four slashes for an absolute path
memory://                                          nothing is kept
redis://user:password@host:6379/0                  one Redis, or a name that always leads to the primary
redis+sentinel://host:26379,host:26379/name/0      the primary that these Sentinels know by `name`
redis+cluster://host:6379,host:6379                a Redis Cluster; some of its nodes are enough

rediss, rediss+sentinel and rediss+cluster are the same over TLS. User and password may be left out, alone
or together (`:password@`), and are percent-encoded; they are the Redis servers', Sentinels are asked
without any. The number at the end is the database, 0 where it is left out; a Cluster has only one.
"""

from itertools import takewhile
import re
from typing import Literal
from urllib.parse import quote, unquote

from msgspec import Struct

FORMS = "sqlite:///joinline.db, memory://, redis://, redis+sentinel:// or redis+cluster://"

_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?:(?P<login>[^/@]*)@)?(?P<hosts>[^/@?#]+)(?P<path>/[^?#]*)?")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?")
_FILE = re.compile("sqlite:///[^@:]*|memory://")
_KINDS: dict[str, Literal["single", "sentinel", "cluster"]] = {
    "redis": "single",
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}
_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}


class Address(Struct, frozen=True, kw_only=True):
    """Where Redis is. Shown without its password."""

    kind: Literal["single", "sentinel", "cluster"]
    tls: bool = False
    hosts: tuple[tuple[str, int], ...]
    name: str = ""
    db: int = 0
    user: str = ""
    password: str = ""

    def __str__(self) -> str:
        scheme = ("rediss" if self.tls else "redis") + ("" if self.kind == "single" else f"+{self.kind}")
        login = f"{quote(self.user, safe='')}:***@" if self.password else ""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        name = f"/{self.name}" if self.name else ""
        return f"{scheme}://{login}{hosts}{name}" + ("" if self.kind == "cluster" else f"/{self.db}")

    def __repr__(self) -> str:
        return f"Address({self})"


def parse(url: str) -> Address:
    """Where the Redis that `url` names is. A ValueError says what is wrong, without any password."""
    match = _URL.fullmatch(url)
    scheme = match["scheme"] if match else ""
    tls = scheme.startswith("rediss")
    kind = _KINDS.get(scheme.replace("rediss", "redis", 1))
    if match is None or kind is None:
        raise ValueError(f'expected {FORMS}, got "{shown(url)}"')
    hosts = tuple(_host(text, _PORTS[kind], url) for text in match["hosts"].split(","))
    if kind == "single" and len(hosts) > 1:
        raise ValueError(f'redis:// names one host; several make a redis+cluster://, got "{shown(url)}"')
    parts = (match["path"] or "").strip("/").split("/")
    name = unquote(parts.pop(0)) if kind == "sentinel" else ""
    if kind == "sentinel" and not name:
        raise ValueError(
            f"needs the name that the Sentinels give the primary, such as "
            f'redis+sentinel://host:26379/mymaster/0, got "{shown(url)}"'
        )
    number = "/".join(parts) or "0"
    if not re.fullmatch(r"\d{1,4}", number) or (kind == "cluster" and number != "0"):
        wanted = "a Cluster has database 0 only" if kind == "cluster" else "the database is a number"
        raise ValueError(f'{wanted}, got "{shown(url)}"')
    user, _, password = (match["login"] or "").partition(":")
    if user and not password:
        raise ValueError(f'a user comes with a password, as user:password@, got "{shown(url)}"')
    return Address(
        kind=kind,
        tls=tls,
        hosts=hosts,
        name=name,
        db=int(number),
        user=unquote(user),
        password=unquote(password),
    )


def shown(url: str) -> str:
    """The URL as it may be printed, cut at 60. Of one that is not written as it should be only how it begins,
    as anything in it could be a password.
    """
    match = _URL.fullmatch(url)
    if _FILE.fullmatch(url):
        text = url
    elif match and all(map(_HOST.fullmatch, match["hosts"].split(","))) and ":" not in (match["path"] or ""):
        user, colon, _ = (match["login"] or "").partition(":")
        login = "" if match["login"] is None else f"{user if colon else ''}:***@"
        text = f"{match['scheme']}://{login}{match['hosts']}{match['path'] or ''}"
    else:
        text = f"{''.join(takewhile(str.isalpha, url))}..."
    return text if len(text) <= 60 else f"{text[:59]}…"


def _host(text: str, port: int, url: str) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None or int(match["port"] or port) > 65535:
        raise ValueError(f'a host looks like redis.example.com:{port}, got "{shown(url)}"')
    return match["v6"] or match["name"], int(match["port"] or port)
