"""The chat without JavaScript: a page with a form, and a frame that shows the conversation.

    GET  /chat/<site>       the page: what to write, the way to a person, leaving an email address
    GET  /chat/<site>/log   the frame: it fetches itself anew while a reply is owed, so nothing typed is lost
    POST /chat/<site>       one of `say help email end rate anew`; then back to the page

Looking sets no cookie; the first message does.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from msgspec import Struct
from msgspec.structs import replace

from bridge import events as ev
from bridge import wire
from bridge.bodies import read_body
from bridge.conversation import Conversation
from bridge.core import Bridge
from bridge.errors import FrameError
from bridge.events import Event
from bridge.session import Desk, Guest
from connectors.text import plain
from connectors.website.visitors import Visitors, new_token

AGAIN = 4  # seconds until the frame fetches itself anew
MOST = 64 * 1024  # bytes of a form

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors "
)
_pages = Environment(
    loader=PackageLoader("connectors.website", "templates"),
    autoescape=select_autoescape(["html.j2"], default=True),
    undefined=StrictUndefined,
)


class Site(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def privacy_url(self) -> str: ...


class Shown(Struct, frozen=True, kw_only=True):
    """A line of the conversation as the frame shows it. `who` is empty for what happened."""

    who: str
    text: str
    at: datetime
    own: bool = False


def router(
    *,
    bridge: Bridge,
    sites: Mapping[str, Site],
    desk: Desk,
    visitors: Visitors,
    base_url: str,
    assistant: bool,
) -> APIRouter:
    pages = _Pages(
        bridge=bridge, sites=sites, desk=desk, visitors=visitors, base_url=base_url, assistant=assistant
    )
    found = APIRouter(include_in_schema=False)
    found.add_api_route("/chat/{site}", pages.show, methods=["GET"], response_model=None)
    found.add_api_route("/chat/{site}", pages.act, methods=["POST"], response_model=None)
    found.add_api_route("/chat/{site}/log", pages.log, methods=["GET"], response_model=None)
    return found


class _Pages:
    def __init__(
        self, *, bridge: Bridge, sites: Mapping[str, Site], desk: Desk, visitors: Visitors, base_url: str,
        assistant: bool,
    ) -> None:  # fmt: skip
        self._bridge = bridge
        self._sites = sites
        self._desk = desk
        self._visitors = visitors
        self._base_url = base_url
        self._assistant = assistant

    async def show(self, site: str, request: Request) -> Response:
        return await self._page(site, request.cookies.get(cookie_name(site), ""))

    async def log(self, site: str, request: Request) -> Response:
        guest = self._guest(site, request.cookies.get(cookie_name(site), ""))
        if guest is None:
            return _answer("log.html.j2", ancestors="'self'", lines=[], again="")
        state = await self._bridge.state(guest.cid)
        lines = await self._lines(guest, state)
        owed = state.owed is not None or state.help is not None
        # Another address each time: to one that differs by its fragment alone a browser only scrolls.
        again = f"{AGAIN}; url=/chat/{site}/log?{new_token()[:8]}#end" if owed and not state.closed else ""
        return _answer("log.html.j2", ancestors="'self'", lines=lines, again=again)

    async def act(self, site: str, request: Request) -> Response:
        if site not in self._sites or not self._own(request):
            return _unknown()
        form = await _form(request)
        held = request.cookies.get(cookie_name(site), "")
        token = held or form.get("token", "")
        guest = self._guest(site, token)
        if guest is None:
            return _unknown()
        guest = replace(guest, address=request.client.host if request.client else "?")
        back = RedirectResponse(f"/chat/{site}", 303, headers=_HEADERS)
        if form.get("do") == "anew":
            back.delete_cookie(cookie_name(site), path=f"/chat/{site}")
            return back
        event = _event(form)
        if event is None:
            return _unknown()
        state = await self._bridge.state(guest.cid)
        key = form.get("key", "")
        known = state.keys.get(("visitor", key))
        first = state.head == 0 or (known is not None and known[0] == 1)  # the same once more
        opening = (ev.Opened(site=site, page=f"{self._base_url}/chat/{site}"),) if first else ()
        try:
            # The decoder's own care: what a form says is trusted no more than a frame.
            asked = wire.clean(wire.Propose(key=key, events=(*opening, event)))
        except FrameError:
            return _unknown()
        reply = await self._desk.answer(guest, asked)
        if isinstance(reply, wire.Refusal):
            return await self._page(site, held, problem=reply.message, text=form.get("text", ""), token=token)
        back.set_cookie(
            cookie_name(site),
            token,
            path=f"/chat/{site}",
            httponly=True,
            samesite="strict",
            secure=self._base_url.startswith("https:"),
        )
        return back

    async def _page(
        self, name: str, held: str, *, problem: str = "", text: str = "", token: str = ""
    ) -> Response:
        site = self._sites.get(name)
        if site is None:
            return _unknown()
        guest = self._guest(name, held)
        state = await self._bridge.state(guest.cid) if guest else Conversation()
        view = wire.view(state, "visitor")
        return _answer(
            "chat.html.j2",
            status=409 if problem else 200,
            ancestors="'none'",
            site=site,
            name=name,
            title=site.title or f"Chat with {site.name}",
            view=view,
            assistant=self._assistant,
            begun=state.head > 0,
            email=state.visitor.email,
            token=token or ("" if guest else new_token()),
            key=new_token()[:22],
            problem=problem,
            text=text,
        )

    async def _lines(self, guest: Guest, state: Conversation) -> list[Shown]:
        entries = await self._bridge.read(guest.cid, limit=10_000)
        lines = [line for e in entries if (line := wire.line(e, "visitor", state))]
        edits = {e.target: e.text for x in lines if isinstance(e := x.event, ev.Edited)}
        shown = []
        for line in lines:
            words = _words(line, edits, state)
            if words is not None:
                shown.append(words)
        return shown

    def _guest(self, site: str, token: str) -> Guest | None:
        try:
            return self._visitors.guest(site, token, via="page")
        except FrameError:
            return None

    def _own(self, request: Request) -> bool:
        """Whether the form was sent by this server's own page; `Referrer-Policy` makes Origin null there."""
        origin = request.headers.get("origin", "null")
        if origin != "null":
            return origin == self._base_url
        return request.headers.get("sec-fetch-site") == "same-origin"


def cookie_name(site: str) -> str:
    return f"joinline-chat-{site}"


def _event(form: Mapping[str, str]) -> Event | None:
    match form.get("do"):
        case "say":
            return ev.Said(text=form.get("text", "").replace("\r\n", "\n").strip())
        case "help":
            return ev.HelpWanted()
        case "email":
            return ev.Identified(email=form.get("email", "").strip())
        case "end":
            return ev.Closed()
        case "rate" if (score := form.get("score")) in {"good", "ok", "bad"}:
            return ev.Rated(score=score, comment=form.get("comment", ""))  # type: ignore[arg-type]
        case _:
            return None


def _words(line: wire.Line, edits: Mapping[ev.Seq, str], state: Conversation) -> Shown | None:
    who = {"visitor": "You", "assistant": "AI assistant"}.get(line.by.role, line.by.name)
    match line.event:
        case ev.Said(text=said):
            word = state.words.get(line.seq)
            gone = word is not None and word.gone
            own = line.by.role == "visitor"
            words = "Message removed" if gone else edits.get(line.seq, said)
            return Shown(who=who, text=words if own else plain(words), at=line.at, own=own)
        case ev.TookOver():
            return Shown(who="", text=f"{who} joined the conversation.", at=line.at)
        case ev.HandedBack():
            return Shown(who="", text="The AI assistant is answering again.", at=line.at)
        case ev.HelpWanted(step=step, last=last):
            return Shown(who="", text=_wanted(step, last=last), at=line.at)
        case ev.Closed():
            return Shown(who="", text="Conversation ended.", at=line.at)
        case _:
            return None


def _wanted(step: int, *, last: bool) -> str:
    if last:
        return "Nobody is available right now. Leave your email and we'll reply."
    if step:
        return "Still looking for someone. Keep chatting with the AI assistant, or leave your email."
    return "We've asked the team to join. You can keep writing."


async def _form(request: Request) -> dict[str, str]:
    """The form's fields; none of a form that is too long or no form."""
    try:
        body = await read_body(request, most=MOST)
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=12))
    except (FrameError, ValueError):
        return {}


def _answer(template: str, *, ancestors: str, status: int = 200, **values: Any) -> Response:  # noqa: ANN401
    html = _pages.get_template(template).render(**values)
    return HTMLResponse(html, status, headers=_HEADERS | {"Content-Security-Policy": _POLICY + ancestors})


def _unknown() -> Response:
    return Response("unknown\n", 404, media_type="text/plain", headers=_HEADERS)
