"""From what is to be told to a finished mail. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from msgspec import Struct

from connectors.email import palette
from connectors.email.headers import Unsafe, check, header_text, to_bytes
from connectors.email.occasions import Occasion
from connectors.email.summary import Summary
from connectors.text import mail_html, plain, shorten

MAX_BYTES = 30 * 1024
MAX_SUBJECT = 70
_CUTS = (900, 400, 160, 60)  # characters of each message: the first that keeps the mail under MAX_BYTES
LISTED = 20  # conversations in one digest

_templates = Environment(
    loader=PackageLoader("connectors.email", "templates"),
    autoescape=select_autoescape(["html.j2"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters["mail_html"] = lambda text: Markup(mail_html(text))  # noqa: S704 - mail_html escapes
_templates.filters["quoted"] = lambda text: "\n".join(f"> {line}" for line in plain(text).split("\n"))
_templates.filters["plain"] = plain
_templates.filters["shorten"] = shorten


class Mailbox(Protocol):
    @property
    def address(self) -> str: ...
    @property
    def name(self) -> str: ...


class Person(Protocol):
    """Somebody of the staff list."""

    @property
    def name(self) -> str: ...
    @property
    def email(self) -> str: ...


class Envelope(Struct, frozen=True, kw_only=True):
    """What every mail has around its words. `references` are its thread's earlier mails, the oldest first."""

    sender: Mailbox
    to: Person
    at: datetime
    message_id: str
    list_name: str
    list_id: str
    references: tuple[str, ...] = ()
    unsubscribe: str = ""


class Notice(Struct, frozen=True, kw_only=True):
    """A mail about one conversation. `final`: the last one that this person gets about it."""

    site: str
    accent: str
    summary: Summary
    heading: str
    why: str
    link: str
    subject: str
    final: bool = False


class Missed(Struct, frozen=True, kw_only=True):
    """A conversation in a digest."""

    summary: Summary
    site: str
    link: str


def subject(site: str, summary: Summary) -> str:
    """The subject of a conversation's thread: fixed words, then the visitor's first ones, as far as they fit.

    It leaves room for the "Re: " of later mails, since many programs thread by subject too.
    """
    fixed = f"New chat on {header_text(site, limit=24)}"
    words = header_text(plain(summary.first), limit=MAX_SUBJECT - len("Re: ") - len(fixed) - 2)
    return f"{fixed}: {words}" if words else fixed


def heading(found: Occasion | None, summary: Summary) -> str:
    who = summary.visitor if summary.visitor != "Visitor" else "A visitor"
    if found is None:
        return f"Your new link to the chat with {who if who != 'A visitor' else 'a visitor'}"
    if not summary.wanted:
        return f"{who} started a chat"
    if not found.wanted or found.step == 0:
        return f"{who} asks for a person"
    return f"{who} is still waiting for a person"


def why(found: Occasion | None, summary: Summary, *, site: str) -> str:
    """Why the mail comes now, in a sentence or two."""
    status = f"{summary.status}."
    if found is None:
        return f"You asked for a new link. {status}"
    if not summary.wanted:
        told = f"You are first in line for new chats on {site}."
        return (
            f"{status} You can watch and take over at any moment. {told}" if "ended" not in status else status
        )
    since = f"Waiting since {summary.wanted_since}, and nobody has taken over yet."
    reason = f" The reason given: {summary.reason.rstrip('.')}." if summary.reason else ""
    if found.last:
        since += " This is the last call: the visitor was told that nobody is available right now."
    return since + reason


def notice(envelope: Envelope, told: Notice) -> bytes:
    """The finished mail: at most 30 KB, its headers read back; without visitor text in them if need be."""
    for cut in _CUTS:
        view = {"notice": told, "s": told.summary, "cut": cut, "unsubscribe": envelope.unsubscribe}
        raw = _finish(envelope, told.subject, told.site, view, name="notice", accent=told.accent)
        if len(raw) <= MAX_BYTES:
            break
    return raw


def digest(
    envelope: Envelope, missed: Sequence[Missed], *, total: int, cap: int, accent: str
) -> tuple[bytes, int]:
    """One mail for `total` conversations, and how many of `missed` it lists; the others wait for the next."""
    title = f"{total} {'chats' if total > 1 else 'chat'} waited for you"
    listed = len(missed)
    while True:
        view = {"missed": missed[:listed], "more": total - listed, "cap": cap, "unsubscribe": ""}
        raw = _finish(envelope, title, title, view, name="digest", accent=accent)
        if len(raw) <= MAX_BYTES or listed == 1:
            return raw, listed
        listed = max(1, listed * 3 // 4)


def _finish(
    envelope: Envelope, title: str, fallback: str, view: dict[str, object], *, name: str, accent: str
) -> bytes:
    style = {
        "light": palette.scheme(palette.light(), accent),
        "dark": palette.scheme(palette.dark(), accent),
        "title": title,
    }
    text = _templates.get_template(f"{name}.txt.j2").render(view | style)
    html = _templates.get_template(f"{name}.html.j2").render(view | style)
    try:
        return check(_message(envelope, title, text, html))
    except (Unsafe, ValueError):
        return to_bytes(_message(envelope, header_text(fallback, limit=40) or "Chat", text, html))


def _message(envelope: Envelope, title: str, text: str, html: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in _fields(envelope, title):
        message[name] = value
    message.set_content(text, subtype="plain", charset="utf-8")
    message.add_alternative(html, subtype="html", charset="utf-8")
    return message


def _fields(envelope: Envelope, title: str) -> Iterator[tuple[str, object]]:
    yield "From", _address(envelope.sender.name, envelope.sender.address)
    yield "To", _address(envelope.to.name, envelope.to.email)
    yield "Subject", title
    yield "Date", format_datetime(envelope.at)
    yield "Message-ID", envelope.message_id
    if envelope.references:
        yield "In-Reply-To", envelope.references[-1]
        yield "References", " ".join(envelope.references)
    yield "Auto-Submitted", "auto-generated"
    yield "X-Auto-Response-Suppress", "All"
    yield "List-Id", f"{header_text(envelope.list_name, limit=40)} <{envelope.list_id}>"
    if envelope.unsubscribe:
        by_mail = f"mailto:{envelope.sender.address}?subject=unsubscribe"
        yield "List-Unsubscribe", f"<{envelope.unsubscribe}>, <{by_mail}>"
        yield "List-Unsubscribe-Post", "List-Unsubscribe=One-Click"


def _address(name: str, spec: str) -> Address:
    return Address(display_name=header_text(name), addr_spec=spec)
