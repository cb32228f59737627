"""Who may open the staff's live channel: a session with its cookie, or a link's token that only looks."""

import re

from starlette.requests import HTTPConnection

from bridge import wire
from bridge.errors import FrameError
from bridge.events import ConversationId
from bridge.links import Links, fingerprint
from bridge.session import Guest
from bridge.store import Store
from webjoin.page import origin_of

_CID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def cookie_name(cid: str) -> str:
    """The name of the session's cookie: one for each conversation."""
    return f"joinline-{cid}"


def cookie_of(connection: HTTPConnection, cid: str) -> str:
    return connection.cookies.get(cookie_name(cid), "") if _CID.fullmatch(cid) else ""


class Guests:
    """The staff channel's doorkeeper."""

    def __init__(self, *, links: Links, store: Store, base_url: str) -> None:
        self._links = links
        self._store = store
        self._origin = origin_of(base_url)

    def allows(self, origin: str | None, _connection: HTTPConnection) -> bool:
        """The join page's own origin and no other; a client that names none is no browser."""
        return origin == self._origin

    async def greet(self, hello: wire.Hello, connection: HTTPConnection) -> Guest:
        """Raises `FrameError`: 4410 for a link that opens no more, 4401 for an ended session, else 4404."""
        return await (self._preview(hello.token) if hello.token else self._session(hello, connection))

    async def _preview(self, token: str) -> Guest:
        found = await self._links.find(token)
        if found is None:
            raise FrameError(4404, "unknown")
        mark, link = found
        state = self._links.judge(link)
        if state != "good":
            raise FrameError(4410, state)
        return Guest(cid=link.cid, audience="staff", by=None, via="web", link=mark)

    async def _session(self, hello: wire.Hello, connection: HTTPConnection) -> Guest:
        cid = hello.cid
        token = cookie_of(connection, cid)
        if not token:
            raise FrameError(4404, "unknown")
        session = await self._links.session(token)
        if session is None or session.cid != cid:
            lost = hello.log not in ("", self._store.log_id)
            raise FrameError(4401, "lost" if lost else "ended")
        return Guest(
            cid=ConversationId(cid),
            audience="staff",
            by=session.staff,
            via="web",
            session=fingerprint(token),
            link=session.link,
        )
