"""The demo's mailbox: takes every mail sent to it on loopback, and shows it as a mail program would."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from importlib.resources import files
import re
from typing import Literal

from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from msgspec import Struct

from connectors.email.palette import tokens_css

KEPT = 200  # mails
BEAT = 15.0  # seconds between signs of life to a page that waits

View = Literal["html", "text", "headers"]

_SAFE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_PAGE = _SAFE | {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
        "img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
}
_BODY = _SAFE | {
    "Content-Security-Policy": (
        "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; "
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
    )
}
_pages = Environment(
    loader=PackageLoader("connectors.email", "templates"),
    autoescape=select_autoescape(["html.j2"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _linked(text: str) -> Markup:
    """Plain text with its web addresses as links."""
    parts = re.split(r"(https?://[^\s<>\"]*[^\s<>\"().,;!?])", text)
    link = Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>')
    return Markup("").join(link.format(part) if at % 2 else escape(part) for at, part in enumerate(parts))


_pages.filters["linked"] = _linked


class Mail(Struct, kw_only=True):
    """A mail as it came; `opened` once somebody has looked at it."""

    id: int
    recipient: str
    message: EmailMessage
    came_at: datetime
    opened: bool = False

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "(no subject)")

    @property
    def at(self) -> datetime:
        try:
            return parsedate_to_datetime(str(self.message["Date"]))
        except ValueError:
            return self.came_at

    def part(self, kind: Literal["plain", "html"]) -> str:
        body = self.message.get_body((kind,))
        return str(body.get_content()) if body is not None else ""

    @property
    def snippet(self) -> str:
        return " ".join(self.part("plain").replace("> ", "").split())[:140]

    def brief(self) -> dict[str, object]:
        return {
            "id": self.id,
            "subject": self.subject,
            "from": str(self.message["From"] or ""),
            "to": str(self.message["To"] or self.recipient),
            "at": self.at.isoformat(),
            "snippet": self.snippet,
            "opened": self.opened,
        }

    def whole(self) -> dict[str, object]:
        return self.brief() | {
            "text": self.part("plain"),
            "html": self.part("html"),
            "headers": [[name, str(value)] for name, value in self.message.items()],
        }


class Mailbox:
    """An SMTP server and what it was sent, the newest last."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self._count = 0
        self._grew = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def listen(self, *, host: str = "127.0.0.1", port: int = 0) -> int:
        """Take mail from now on; answers the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, hostname="mailbox.localhost", loop=loop), host, port
        )
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by aiosmtpd with each mail."""
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        for recipient in envelope.rcpt_tos:
            self._count += 1
            message = message_from_bytes(raw, policy=policy.default)
            mail = Mail(id=self._count, recipient=recipient, message=message, came_at=datetime.now(UTC))
            self.mails.append(mail)
        del self.mails[:-KEPT]
        async with self._grew:
            self._grew.notify_all()
        return "250 OK: it is in the mailbox"

    def find(self, mail_id: int) -> Mail:
        for mail in self.mails:
            if mail.id == mail_id:
                return mail
        raise HTTPException(404, "There is no such mail.")

    async def counts(self) -> AsyncIterator[int]:
        """How many mails have come: now, at every change, and now and then."""
        while True:
            count = self._count
            yield count
            try:
                async with asyncio.timeout(BEAT), self._grew:
                    await self._grew.wait_for(lambda: self._count > count)  # noqa: B023 - awaited at once
            except TimeoutError:
                continue


def router(*, mailbox: Mailbox) -> APIRouter:
    routes = APIRouter()
    static = files("connectors.email").joinpath("static")
    css = tokens_css() + static.joinpath("mailbox.css").read_text(encoding="utf-8")
    script = static.joinpath("mailbox.js").read_text(encoding="utf-8")

    @routes.get("/")
    async def inbox() -> HTMLResponse:
        return _page(mailbox, None, "html")

    @routes.get("/mails/{mail_id}")
    async def one(mail_id: int, view: View = "html") -> HTMLResponse:
        mail = mailbox.find(mail_id)
        mail.opened = True
        return _page(mailbox, mail, view)

    @routes.get("/mails/{mail_id}/body")
    async def body(mail_id: int) -> HTMLResponse:
        """The mail's own HTML, in a sandbox: its links open beside the mailbox, nothing else works."""
        html = mailbox.find(mail_id).part("html")
        return HTMLResponse(html.replace("<head>", '<head><base target="_blank">', 1), headers=_BODY)

    @routes.get("/api/mails")
    async def briefs() -> JSONResponse:
        return JSONResponse([m.brief() for m in reversed(mailbox.mails)], headers=_SAFE)

    @routes.get("/api/mails/{mail_id}")
    async def whole(mail_id: int) -> JSONResponse:
        return JSONResponse(mailbox.find(mail_id).whole(), headers=_SAFE)

    @routes.get("/events")
    async def events() -> StreamingResponse:
        frames = (f"data: {count}\n\n" async for count in mailbox.counts())
        return StreamingResponse(frames, media_type="text/event-stream", headers=_SAFE)

    @routes.get("/mailbox.css")
    async def style() -> Response:
        return Response(css, media_type="text/css", headers=_SAFE)

    @routes.get("/mailbox.js")
    async def behaviour() -> Response:
        return Response(script, media_type="text/javascript", headers=_SAFE)

    return routes


def _page(mailbox: Mailbox, mail: Mail | None, view: View) -> HTMLResponse:
    views = {"html": "Mail", "text": "Plain text", "headers": "Headers"}
    template = _pages.get_template("mailbox.html.j2")
    html = template.render(mails=mailbox.mails[::-1], mail=mail, view=view, views=views)
    return HTMLResponse(html, headers=_PAGE)
