"""The calls that a link's token opens: look, join, ask for a new link."""

import logging

from fastapi import Request, Response
from starlette.background import BackgroundTask

from bridge.errors import Refused
from bridge.limits import Rate
from bridge.links import SESSION_LIVES, Link, fingerprint
from bridge.session import Ending
from webjoin.answers import Body, Problem, answer, read, unknown
from webjoin.invitation import Desk, Renew, masked
from webjoin.joining import join

log = logging.getLogger(__name__)

# Counted in each process: the calls are limited to spare that process, not the visitor or the log, and what
# is renewed goes to the link's own recipient alone.
CALLS = (120, 60.0)  # calls from one address, in so many seconds
RENEWALS = (2, 3600.0)  # new links for one expired link


class ByToken(Body, frozen=True):
    token: str


class Joining(Body, frozen=True):
    token: str
    name: str


class ByLink:
    def __init__(self, *, desk: Desk, renew: Renew | None) -> None:
        self._desk = desk
        self._renew = renew
        self._calls = Rate(*CALLS)
        self._renewals = Rate(*RENEWALS)

    async def preview(self, request: Request) -> Response:
        self._pace(request)
        _, link = await self._good((await read(request, ByToken)).token)
        return answer(await self._desk.invitation(link, name=link.name))

    async def join(self, request: Request) -> Response:
        self._pace(request)
        desk, body = self._desk, await read(request, Joining)
        mark, link = await self._good(body.token)
        if (await desk.bridge.state(link.cid)).closed:
            raise Problem(409, "closed", "This conversation was closed.")
        try:
            staff = await join(desk.bridge, link.cid, link.recipient, body.name)
        except Refused as refused:
            raise Problem(422, "name", refused.message) from None
        begun = await desk.links.begin(mark, link, staff)
        try:
            await self._good(body.token)
        except Problem:  # turned off in the meantime, perhaps before the session was there to be found
            await desk.links.end(fingerprint(begun.token))
            raise
        desk.end(Ending(sessions=begun.ended, code=4401, reason="replaced"))
        response = answer(await desk.invitation(link, name=staff.name, staff=staff.id))
        desk.set_cookie(response, link.cid, begun.token, max_age=int(SESSION_LIVES.total_seconds()))
        return response

    async def renew(self, request: Request) -> Response:
        """Always the same answer; a mail goes only for a link that has expired, and only to its recipient."""
        self._pace(request)
        body = await read(request, ByToken)
        response = answer({}, status=202)
        found = await self._desk.links.find(body.token)
        if found is not None and self._desk.links.judge(found[1]) == "expired":
            mark, link = found
            if not self._renewals.take(mark):
                response.background = BackgroundTask(self._send, link)
        return response

    async def _send(self, link: Link) -> None:
        if self._renew is None:
            log.warning("a new link for %s was asked for, but email is not configured", link.cid)
            return
        try:
            await self._renew(link)
        except Exception:  # the answer has gone out; the person can ask again
            log.exception("a new link for %s could not be sent", link.cid)

    async def _good(self, token: str) -> tuple[str, Link]:
        """The link that `token` opens now, with its digest."""
        found = await self._desk.links.find(token)
        if found is None:
            raise unknown()
        match self._desk.links.judge(found[1]):
            case "good":
                return found
            case "revoked":
                raise Problem(410, "revoked", "This link was turned off")
            case "expired":
                raise Problem(410, "expired", "This link has expired", email=masked(found[1].email))

    def _pace(self, request: Request) -> None:
        if self._calls.take(request.client.host if request.client else "?"):
            raise Problem(429, "too_fast", "Too many calls from your network. Try again in a minute.")
