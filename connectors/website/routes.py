"""What the widget asks over HTTP besides its live channel: the site's public settings, and vouching."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
import hmac
from typing import Protocol

from fastapi import APIRouter, Request, Response
import msgspec
from msgspec import Struct
from pydantic import SecretStr

from bridge import events as ev
from bridge.bodies import read_body
from bridge.core import Bridge
from bridge.errors import FrameError, Refused
from bridge.events import Proposal
from bridge.text import clean_name
from connectors.website.visitors import Visitors

USUAL_ACCENT = "#1f5fd6"  # the one in tokens.css, which has it for dark panels too
MOST = 4_096  # bytes of a body


class Site(Protocol):
    """What of a site's configuration the widget may know, and what vouches for its users."""

    @property
    def name(self) -> str: ...
    @property
    def origins(self) -> Sequence[str]: ...
    @property
    def title(self) -> str: ...
    @property
    def greeting(self) -> str: ...
    @property
    def privacy_url(self) -> str: ...
    @property
    def accent(self) -> str: ...
    @property
    def position(self) -> str: ...
    @property
    def color_scheme(self) -> str: ...
    @property
    def launcher(self) -> str: ...
    @property
    def locale(self) -> str: ...
    @property
    def query_parameters(self) -> Sequence[str]: ...
    @property
    def identity_secret(self) -> SecretStr | None: ...


class Settings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A site's public settings; what is at its default is left out."""

    name: str
    assistant: bool
    title: str = ""
    greeting: str = ""
    privacy_url: str = ""
    accent: str = USUAL_ACCENT
    position: str = "end"
    color_scheme: str = "auto"
    launcher: str = "bubble"
    locale: str = ""
    query_parameters: tuple[str, ...] = ()


class Vouching(Struct, frozen=True, forbid_unknown_fields=True):
    """The page says who its visitor is; `hash` is its server's HMAC-SHA256 of the id, in hexadecimal."""

    token: str
    user: str
    hash: str


_decode_vouching = msgspec.json.Decoder(Vouching).decode


def settings_of(site: Site, *, assistant: bool) -> Settings:
    return Settings(
        name=site.name,
        assistant=assistant,
        title=site.title,
        greeting=site.greeting,
        privacy_url=site.privacy_url,
        accent=site.accent,
        position=site.position,
        color_scheme=site.color_scheme,
        launcher=site.launcher,
        locale=site.locale,
        query_parameters=tuple(site.query_parameters),
    )


def vouched(site: Site, user: str, proof: str) -> bool:
    """Whether the site's own server signed this id; in constant time, and never without a secret."""
    secret = site.identity_secret
    if secret is None or not user or clean_name(user) != user:
        return False
    right = hmac.new(secret.get_secret_value().encode(), user.encode(), sha256).hexdigest()
    return hmac.compare_digest(right.encode(), proof.lower().encode())


def router(*, bridge: Bridge, sites: Mapping[str, Site], visitors: Visitors, assistant: bool) -> APIRouter:
    found = APIRouter(include_in_schema=False)
    known = {
        name: msgspec.json.encode(settings_of(site, assistant=assistant)) for name, site in sites.items()
    }

    def headers(site: str, request: Request) -> dict[str, str]:
        shared = {"Vary": "Origin", "X-Content-Type-Options": "nosniff"}
        origin = request.headers.get("origin")
        if origin is not None and visitors.speaks_for(site, origin):
            shared["Access-Control-Allow-Origin"] = origin
        return shared

    async def settings(site: str, request: Request) -> Response:
        body = known.get(site)
        if body is None:
            return _unknown()
        asked = headers(site, request)
        origin = request.headers.get("origin")
        if origin is not None and "Access-Control-Allow-Origin" not in asked:
            return Response(status_code=403, headers=asked)
        cached = {"Cache-Control": "public, max-age=60"}
        return Response(body, media_type="application/json", headers=asked | cached)

    async def vouch(site: str, request: Request) -> Response:
        if not visitors.speaks_for(site, request.headers.get("origin")):
            return _unknown()
        try:
            said = _decode_vouching(await read_body(request, most=MOST))
            guest = visitors.guest(site, said.token, via="widget")
        except (msgspec.DecodeError, FrameError):
            return _unknown()
        asked = headers(site, request) | {"Cache-Control": "no-store"}
        if not vouched(sites[site], said.user, said.hash):
            return Response(status_code=403, headers=asked)
        event = ev.Identified(user=said.user, verified=True)
        key = f"vouched:{sha256(said.user.encode()).hexdigest()[:32]}"
        try:
            await bridge.submit(guest.cid, Proposal(events=(event,), by=ev.System(), via="widget", key=key))
        except Refused:
            return Response(status_code=409, headers=asked)
        return Response(status_code=204, headers=asked)

    found.add_api_route("/sites/{site}/settings", settings, methods=["GET"], response_model=None)
    found.add_api_route("/sites/{site}/vouch", vouch, methods=["POST"], response_model=None)
    return found


def _unknown() -> Response:
    """The same for every site that is not there."""
    headers = {"Vary": "Origin", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response("unknown\n", 404, media_type="text/plain", headers=headers)
