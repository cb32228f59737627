"""Join links and the sessions they open: personal, revocable, for one conversation and one recipient.

Only digests of tokens are stored, so that a copy of the store opens nothing.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
import secrets
from typing import Literal

from msgspec import Struct, json
from msgspec.structs import replace

from bridge.events import ConversationId, Staff, StaffId
from bridge.store import Store

MAX_SESSIONS = 3  # live ones on one link
SESSION_LIVES = timedelta(days=7)
REMEMBERED = timedelta(days=180)  # for which a link that has expired is known to have been one

LinkState = Literal["good", "expired", "revoked"]


class Link(Struct, frozen=True, kw_only=True):
    """A link as it is stored under the digest of its token. `recipient` is the key in the staff list."""

    cid: ConversationId
    recipient: StaffId
    name: str
    email: str
    created_at: datetime
    expires_at: datetime
    revoked: bool = False

    def state(self, now: datetime) -> LinkState:
        if self.revoked:
            return "revoked"
        return "expired" if now >= self.expires_at else "good"


class Session(Struct, frozen=True, kw_only=True):
    """Somebody who pressed Join. `link` is the digest of the link's first token."""

    cid: ConversationId
    link: str
    staff: Staff
    created_at: datetime


class Begun(Struct, frozen=True, kw_only=True):
    """A session that has begun: its token, for the cookie alone, and the sessions that gave way to it."""

    token: str
    ended: tuple[str, ...] = ()


def fingerprint(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Links:
    def __init__(
        self, *, store: Store, base_url: str, clock: Callable[[], datetime], lives: timedelta
    ) -> None:
        self._store = store
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._lives = lives

    async def mint(self, cid: ConversationId, recipient: StaffId, *, name: str, email: str) -> str:
        """A new link's URL. The token is in the fragment, which no server, log or unfurler sees."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        link = Link(
            cid=cid, recipient=recipient, name=name, email=email, created_at=now, expires_at=now + self._lives
        )
        await self._keep(fingerprint(token), link)
        return self._url(token)

    async def copy(self, mark: str, link: Link) -> str:
        """Another URL of the same link: it opens the same sessions, and expires and is revoked with it."""
        token = secrets.token_urlsafe(32)
        forgotten = link.expires_at + REMEMBERED
        await self._store.put("link-copy", fingerprint(token), mark.encode(), expires_at=forgotten)
        return self._url(token)

    async def _keep(self, mark: str, link: Link) -> None:
        forgotten = link.expires_at + REMEMBERED
        await self._store.put("link", mark, json.encode(link), expires_at=forgotten)

    def _url(self, token: str) -> str:
        return f"{self._base_url}/join#{token}"

    async def find(self, token: str) -> tuple[str, Link] | None:
        """The link that `token` opens, with its digest; None for every token that never was one."""
        mark = fingerprint(token)
        original = await self._store.get("link-copy", mark)
        if original is not None:
            mark = original.decode()
        found = await self.get(mark)
        return None if found is None else (mark, found)

    async def get(self, mark: str) -> Link | None:
        raw = await self._store.get("link", mark)
        return None if raw is None else json.decode(raw, type=Link)

    def judge(self, link: Link) -> LinkState:
        """What `link` is worth now."""
        return link.state(self._clock())

    async def revoke(self, mark: str) -> None:
        """Turn the link off and end the sessions it opened."""
        link = await self.get(mark)
        if link is not None:
            await self._keep(mark, replace(link, revoked=True))
        for record in await self._store.scan("session-of", f"{mark}/"):
            await self.end(record.key.partition("/")[2])

    async def begin(self, mark: str, link: Link, staff: Staff) -> Begun:
        """Begin a session; the oldest give way where the link has three.

        Of those that begin at once, in whichever process, all look once more: the newest three stay, and
        whoever looks last sees all.
        """
        live = await self.sessions(mark)
        ended = await self._give_way(live, stay=MAX_SESSIONS - 1)
        token = secrets.token_urlsafe(32)
        last = max((session.created_at for _, session in live), default=None)
        now = self._clock()  # of this machine: what began before is older, whatever another's clock said
        began = now if last is None else max(now, last + timedelta(microseconds=1))
        session = Session(cid=link.cid, link=mark, staff=staff, created_at=began)
        expires = now + SESSION_LIVES
        await self._store.put("session", fingerprint(token), json.encode(session), expires_at=expires)
        await self._store.put("session-of", f"{mark}/{fingerprint(token)}", b"1", expires_at=expires)
        ended += await self._give_way(await self.sessions(mark), stay=MAX_SESSIONS)
        return Begun(token=token, ended=ended)

    async def _give_way(self, live: list[tuple[str, Session]], *, stay: int) -> tuple[str, ...]:
        """End all but the newest; everybody finds the same ones."""
        ranked = sorted(live, key=lambda found: (found[1].created_at, found[0]))
        ended = tuple(digest for digest, _ in ranked[: max(0, len(ranked) - stay)])
        for digest in ended:
            await self.end(digest)
        return ended

    async def session(self, token: str) -> Session | None:
        return await self.session_by_digest(fingerprint(token))

    async def session_by_digest(self, digest: str) -> Session | None:
        raw = await self._store.get("session", digest, now=self._clock())
        if raw is None:
            return None
        session = json.decode(raw, type=Session)
        link = await self.get(session.link)  # a session that begins while its link is revoked is none
        return None if link is None or link.revoked else session

    async def sessions(self, mark: str) -> list[tuple[str, Session]]:
        """The link's live sessions, each with its digest."""
        found = []
        for record in await self._store.scan("session-of", f"{mark}/"):
            digest = record.key.partition("/")[2]
            session = await self.session_by_digest(digest)
            if session is not None:
                found.append((digest, session))
        return found

    async def end(self, digest: str) -> None:
        raw = await self._store.get("session", digest)
        await self._store.delete("session", digest)
        if raw is not None:
            session = json.decode(raw, type=Session)
            await self._store.delete("session-of", f"{session.link}/{digest}")
