"""Who may open the visitors' channel: a page of the site's own origins, with a token of its own making."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
import re
import secrets
from typing import Protocol

from starlette.requests import HTTPConnection

from bridge import events as ev
from bridge import wire
from bridge.errors import FrameError
from bridge.events import ConversationId
from bridge.session import Guest

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 random bytes in base64url


class Site(Protocol):
    """What decides who may speak for a site's visitors."""

    @property
    def origins(self) -> Sequence[str]: ...


def new_token() -> str:
    return secrets.token_urlsafe(32)


def cid_of(site: str, token: str) -> ConversationId:
    """The conversation that a visitor's token opens. The token cannot be found from it."""
    digest = sha256(b"joinline visitor\0" + site.encode() + b"\0" + token.encode()).digest()
    return ConversationId(urlsafe_b64encode(digest[:24]).decode())


class Visitors:
    """The visitor channel's doorkeeper."""

    def __init__(self, *, sites: Mapping[str, Site], base_url: str) -> None:
        self._sites = sites
        self._own = base_url
        self._origins = {origin for site in sites.values() for origin in site.origins} | {base_url}

    def allows(self, origin: str | None, _connection: HTTPConnection) -> bool:
        """An origin of any site, or the server's own; exactly as written. `greet` asks for the right one."""
        return origin in self._origins

    def speaks_for(self, site: str, origin: str | None) -> bool:
        """Whether a page of `origin` may carry this site's chat."""
        known = self._sites.get(site)
        return known is not None and (origin == self._own or origin in known.origins)

    async def greet(self, hello: wire.Hello, connection: HTTPConnection) -> Guest:
        """Raises `FrameError` 4404 for an unknown site, a foreign origin and what is no token, all alike."""
        if hello.cid or not self.speaks_for(hello.site, connection.headers.get("origin")):
            raise FrameError(4404, "unknown")
        return self.guest(hello.site, hello.token, via="widget")

    def guest(self, site: str, token: str, *, via: str) -> Guest:
        """The visitor with this token. Raises `FrameError` 4404 for what is no token."""
        if site not in self._sites or not _TOKEN.fullmatch(token):
            raise FrameError(4404, "unknown")
        return Guest(cid=cid_of(site, token), audience="visitor", by=ev.Visitor(), via=via, site=site)
