"""Mails for tests: conversations told in a few words, and what becomes of them."""

from datetime import timedelta
from types import SimpleNamespace

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.events import Entry, Event, Party, Seq
from connectors.email import compose
from connectors.email.occasions import Occasion
from connectors.email.summary import Summary, summarise
from tests.logs import START, VISITOR, folded

LINK = "https://chat.acme.example/join#" + "Ab3" * 14 + "x"
BASE = [
    "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
    "X-Auto-Response-Suppress", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "MIME-Version",
    "Content-Type",
]  # fmt: skip
OPENED = ev.Opened(
    site="acme",
    page="https://www.acme.example/shipping",
    title="Shipping",
    locale="nb-NO",
    timezone="Europe/Oslo",
)


def log(*steps: tuple[Party, Event]) -> tuple[list[Entry], Conversation]:
    """An opened conversation, one step every ten seconds, and its state."""
    entries = [
        Entry(seq=Seq(n), at=START + timedelta(seconds=10 * n), event=event, by=by, via="test", key=f"k{n}")
        for n, (by, event) in enumerate([(VISITOR, OPENED), *steps], 1)
    ]
    return entries, folded(entries)


def envelope(**changes: object) -> compose.Envelope:
    values = {
        "sender": SimpleNamespace(address="chat@acme.example", name="Acme Chat"),
        "to": SimpleNamespace(name="Dana", email="dana@acme.example"),
        "at": START,
        "message_id": "<cid.dana@acme.example>",
        "list_name": "Acme chat",
        "list_id": "acme.chat.acme.example",
        "references": (f"<root.{'c' * 90}@acme.example>", f"<second.{'c' * 90}@acme.example>"),
        "unsubscribe": "https://chat.acme.example/mail/off/" + "f" * 64,
    }
    return compose.Envelope(**(values | changes))  # type: ignore[arg-type]


def told(summary: Summary, found: Occasion | None, *, final: bool = False) -> compose.Notice:
    return compose.Notice(
        site="Acme", accent="#1f5fd6", summary=summary, heading=compose.heading(found, summary),
        why=compose.why(found, summary, site="Acme"), link=LINK, subject=compose.subject("Acme", summary),
        final=final,
    )  # fmt: skip


def a_mail(text: str) -> bytes:
    """A started mail about a visitor whose every word is `text`; no log holds a lone surrogate."""
    text = text.encode("utf-8", "replace").decode()
    opened = ev.Opened(site="acme", page=text, title=text, locale=text, timezone=text)
    entries = [
        Entry(seq=Seq(1), at=START, event=opened, by=VISITOR, via="test", key="a"),
        Entry(seq=Seq(2), at=START, event=ev.Said(text=text), by=VISITOR, via="test", key="b"),
        Entry(seq=Seq(3), at=START, event=ev.Identified(name=text), by=VISITOR, via="test", key="c"),
        Entry(seq=Seq(4), at=START, event=ev.HelpWanted(reason=text), by=VISITOR, via="test", key="d"),
    ]
    summary = summarise(entries, folded(entries))
    return compose.notice(envelope(), told(summary, Occasion(seq=Seq(2))))
