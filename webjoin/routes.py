"""The join page over HTTP: an inert document, and the calls that it makes by POST.

Opening the document or asking for a preview changes nothing. `join`, `leave`, `off`, `link` and
`sessions/end` do, each a POST from the page's own origin; `renew` sends mail, to the link's recipient only.
"""

from collections.abc import Mapping

from fastapi import APIRouter, Response

from bridge.core import Bridge
from bridge.links import Links
from webjoin.answers import Call, guarded
from webjoin.by_link import ByLink
from webjoin.by_session import BySession
from webjoin.invitation import Desk, End, Renew, Site
from webjoin.page import origin_of, page


def router(
    *, bridge: Bridge, links: Links, base_url: str, sites: Mapping[str, Site], renew: Renew | None, end: End
) -> APIRouter:
    """The page and its calls. `end` is the staff channel's, so that what is revoked is closed at once."""
    desk = Desk(bridge=bridge, links=links, base_url=base_url, sites=sites, end=end)
    by_link, by_session = ByLink(desk=desk, renew=renew), BySession(desk=desk)
    found = APIRouter(include_in_schema=False)

    async def document() -> Response:
        return page(base_url=base_url)

    for path in ("/join", "/join/{token}", "/join/c/{cid}"):
        found.add_api_route(path, document, methods=["GET", "HEAD"])
    calls: dict[str, Call] = {
        "preview": by_link.preview,
        "join": by_link.join,
        "renew": by_link.renew,
        "resume": by_session.resume,
        "link": by_session.link,
        "sessions": by_session.sessions,
        "sessions/end": by_session.end_session,
        "off": by_session.off,
        "leave": by_session.leave,
    }
    for name, call in calls.items():
        found.add_api_route(f"/join/api/{name}", guarded(call, origin=origin_of(base_url)), methods=["POST"])
    return found
