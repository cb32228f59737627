"""What the page is told besides the live channel, and what stands behind every call."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

from fastapi import Response
from msgspec import Struct

from bridge import commands
from bridge.core import Bridge
from bridge.events import ConversationId
from bridge.links import Link, Links
from bridge.session import Ending
from bridge.wire import View, view
from webjoin.guests import cookie_name

Renew = Callable[[Link], Awaitable[None]]  # sends a new link to the old one's recipient
End = Callable[[Ending], None]  # ends live sessions


class Site(Protocol):
    """What the page shows of a site."""

    @property
    def name(self) -> str: ...

    @property
    def accent(self) -> str: ...


class Known(Struct, frozen=True, kw_only=True):
    """A command of the grammar, as the page explains it."""

    usage: str
    summary: str


class Invitation(Struct, frozen=True, kw_only=True):
    """`id` is empty until somebody has joined; `now` lets a device with a wrong clock count right.

    `state` is drawn at once, so that nothing moves when the live channel says welcome.
    """

    cid: ConversationId
    site: str
    accent: str
    email: str
    name: str
    id: str
    state: View
    now: datetime
    commands: list[Known]


def masked(email: str) -> str:
    """Enough of an address for its owner to recognise: "d...@acme.com"; empty where there is none."""
    if not email:
        return ""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}...@{domain}"


class Desk(Struct, frozen=True, kw_only=True):
    """The collaborators of the page's calls."""

    bridge: Bridge
    links: Links
    base_url: str
    sites: Mapping[str, Site]
    end: End

    async def invitation(self, link: Link, *, name: str, staff: str = "") -> Invitation:
        state = await self.bridge.state(link.cid)
        site = self.sites.get(state.opened.site) if state.opened else None
        return Invitation(
            cid=link.cid,
            site=site.name if site else (state.opened.site if state.opened else ""),
            accent=site.accent if site else "",
            email=masked(link.email),
            name=name,
            id=staff,
            state=view(state, "staff"),
            now=self.bridge.clock(),
            commands=[Known(usage=c.usage, summary=c.summary) for c in commands.REGISTRY.values()],
        )

    def set_cookie(self, response: Response, cid: str, token: str, *, max_age: int) -> None:
        """The session's cookie; an empty token with age 0 takes it back."""
        response.set_cookie(
            cookie_name(cid), token, max_age=max_age, path="/", httponly=True, samesite="strict",
            secure=self.base_url.startswith("https:"),
        )  # fmt: skip
