"""The calls of somebody who has joined, by the session's cookie."""

from contextlib import suppress
from datetime import datetime

from fastapi import Request, Response
from msgspec import Struct

from bridge import commands
from bridge.errors import Refused
from bridge.events import Proposal
from bridge.limits import Rate
from bridge.links import Link, Session, fingerprint
from bridge.session import Ending as Gone
from bridge.session import current
from webjoin.answers import Body, Problem, answer, read, unknown
from webjoin.guests import cookie_of
from webjoin.invitation import Desk

COPIES = (20, 3600.0)  # further URLs of one link, in so many seconds


class ByCid(Body, frozen=True):
    cid: str


class Ending(Body, frozen=True):
    cid: str
    id: str


class Listed(Struct, frozen=True, kw_only=True):
    """A live session; `current` is the one that asks."""

    id: str
    name: str
    since: datetime
    current: bool


class BySession:
    def __init__(self, *, desk: Desk) -> None:
        self._desk = desk
        self._copies = Rate(*COPIES)

    async def resume(self, request: Request) -> Response:
        _, session, link = await self._session(request, (await read(request, ByCid)).cid)
        return answer(await self._desk.invitation(link, name=session.staff.name, staff=session.staff.id))

    async def link(self, request: Request) -> Response:
        """Another URL of the same link, for its owner's other device."""
        _, session, link = await self._session(request, (await read(request, ByCid)).cid)
        if self._desk.links.judge(link) != "good":
            raise Problem(410, "expired", "This link has expired. The next email brings a new one.")
        if self._copies.take(session.link):
            raise Problem(429, "too_fast", "That is enough links for now. Try again later.")
        return answer({"url": await self._desk.links.copy(session.link, link)})

    async def sessions(self, request: Request) -> Response:
        digest, session, _ = await self._session(request, (await read(request, ByCid)).cid)
        return answer({"sessions": await self._listed(digest, session)})

    async def end_session(self, request: Request) -> Response:
        """End one of the link's sessions; answers those that are left."""
        body = await read(request, Ending)
        digest, session, _ = await self._session(request, body.cid)
        if body.id in dict(await self._desk.links.sessions(session.link)):
            await self._desk.links.end(body.id)
            self._desk.end(Gone(sessions=(body.id,), code=4401, reason="ended"))
        return answer({"sessions": await self._listed(digest, session)})

    async def off(self, request: Request) -> Response:
        """Turn off the link that the session came from, for everybody who uses it."""
        body = await read(request, ByCid)
        _, session, _ = await self._session(request, body.cid)
        await self._desk.links.revoke(session.link)
        self._desk.end(Gone(link=session.link, code=4401, reason="revoked"))
        self._desk.end(Gone(link=session.link, previews=True, code=4410, reason="revoked"))
        return self._forgotten(body.cid)

    async def leave(self, request: Request) -> Response:
        """End this session; its person has left unless another device of theirs is still in."""
        body = await read(request, ByCid)
        digest, session, _ = await self._session(request, body.cid)
        others = [s for d, s in await self._desk.links.sessions(session.link) if d != digest]
        if all(s.staff.id != session.staff.id for s in others):
            await self._leave(digest, session)
        await self._desk.links.end(digest)
        self._desk.end(Gone(sessions=(digest,), code=4401, reason="left"))
        return self._forgotten(body.cid)

    async def _leave(self, digest: str, session: Session) -> None:
        state = await self._desk.bridge.state(session.cid)
        events = commands.run("leave", state, session.staff)
        assert isinstance(events, tuple)
        by = current(session.staff, state)
        proposal = Proposal(events=events, by=by, via="web", key=f"left:{digest[:16]}")
        with suppress(Refused):  # has left already
            await self._desk.bridge.submit(session.cid, proposal)

    async def _listed(self, digest: str, session: Session) -> list[Listed]:
        state = await self._desk.bridge.state(session.cid)
        found = sorted(await self._desk.links.sessions(session.link), key=lambda s: s[1].created_at)
        names = {
            d: state.people[s.staff.id].name if s.staff.id in state.people else s.staff.name for d, s in found
        }
        return [Listed(id=d, name=names[d], since=s.created_at, current=d == digest) for d, s in found]

    async def _session(self, request: Request, cid: str) -> tuple[str, Session, Link]:
        """The session of the request's cookie, with its digest and its link."""
        token = cookie_of(request, cid)
        session = await self._desk.links.session(token) if token else None
        link = await self._desk.links.get(session.link) if session is not None else None
        if session is None or link is None or session.cid != cid:
            raise unknown()
        return fingerprint(token), session, link

    def _forgotten(self, cid: str) -> Response:
        response = answer({})
        self._desk.set_cookie(response, cid, "", max_age=0)
        return response
