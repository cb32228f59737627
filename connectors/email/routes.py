"""One-click unsubscribe (RFC 8058): POST ends one recipient's mails about one conversation; GET only asks."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from connectors.email.ledger import Ledger

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_pages = Environment(
    loader=PackageLoader("connectors.email", "templates"),
    autoescape=select_autoescape(["html.j2"], default=True),
    undefined=StrictUndefined,
)


def router(*, ledger: Ledger) -> APIRouter:
    routes = APIRouter()

    @routes.api_route("/mail/off/{token}", methods=["GET", "HEAD"])
    async def ask(token: str) -> HTMLResponse:
        """Looking changes nothing: mail scanners look."""
        return _page("ask" if await ledger.subscription(token) else "unknown")

    @routes.post("/mail/off/{token}")
    async def unsubscribe(token: str) -> HTMLResponse:
        found = await ledger.subscription(token)
        if found is None:
            return _page("unknown")
        await ledger.unsubscribe(found)
        return _page("done")

    return routes


def _page(what: str) -> HTMLResponse:
    html = _pages.get_template("off.html.j2").render(what=what)
    return HTMLResponse(html, status_code=404 if what == "unknown" else 200, headers=_HEADERS)
