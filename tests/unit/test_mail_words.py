"""What a mail says, and how it looks in HTML and as text."""

from email import message_from_bytes, policy
from html.parser import HTMLParser
import re

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bridge import events as ev
from bridge.events import Entry, Seq, Staff, StaffId
from connectors.email import compose, palette
from connectors.email.occasions import Occasion
from connectors.email.summary import summarise
from tests.logs import ASSISTANT, START, SYSTEM, VISITOR
from tests.mails import LINK, a_mail, envelope, folded, log, told

ANN = Staff(id=StaffId("ann"), name="Ann")
STARTED = Occasion(seq=Seq(2))


class Read:
    """A mail as its reader has it."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.mail = message_from_bytes(raw, policy=policy.default)
        text, html = self.mail.get_body(("plain",)), self.mail.get_body(("html",))
        assert text is not None
        assert html is not None
        self.text, self.html = (str(p.get_content()).replace("\r\n", "\n") for p in (text, html))


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def mail(*steps, found: Occasion | None = STARTED, final: bool = False) -> Read:
    return Read(compose.notice(envelope(), told(summarise(*log(*steps)), found, final=final)))


CHAT = (
    (VISITOR, ev.Said(text="Do you ship to Norway?")),
    (VISITOR, ev.Identified(name="Maria", email="maria@example.com")),
    (ASSISTANT, ev.Said(text="Yes, in **3 days**.")),
)


def test_a_started_mail_says_who_what_and_where() -> None:
    read = mail(*CHAT)
    assert str(read.mail["Subject"]) == "New chat on Acme: Do you ship to Norway?"
    for part in (read.text, read.html):
        assert "Maria started a chat" in part
        assert "AI assistant is answering." in part
        assert "Already handled? This link shows who joined." in part
        assert "15:00, Mon 2 Mar (Europe/Oslo)" in part
        assert "nb-NO" in part
        assert "https://www.acme.example/shipping" in part
        assert "maria@example.com (unverified)" in part
    assert "Yes, in 3 days." in read.text
    assert "Yes, in <strong>3 days</strong>." in read.html
    assert "https://www.acme.example/shipping · AI assistant is answering · 2 messages" in read.html


def test_the_link_is_alone_on_its_line_and_the_one_button() -> None:
    read = mail(*CHAT)
    assert read.text.splitlines().count(LINK) == 1
    button, off = Tags(read.html).of("a")
    assert button["href"] == LINK
    assert ">Open conversation</a>" in read.html
    assert "/mail/off/" in str(off["href"])
    padding, line = (re.search(rf"{p}:(\d+)px", str(button["style"])) for p in ("padding", "line-height"))
    assert padding
    assert line
    assert 2 * int(padding[1]) + int(line[1]) >= 44


def test_nothing_is_fetched_and_nothing_runs() -> None:
    tags = Tags(mail(*CHAT, (VISITOR, ev.Said(text="![x](https://evil.test/p.png) <img src=x>"))).html)
    assert not {"img", "script", "link", "iframe", "form", "object"} & {tag for tag, _ in tags.tags}
    for tag, attrs in tags.tags:
        assert "src" not in attrs
        assert not any(name.startswith("on") for name in attrs), tag
        assert "url(" not in str(attrs.get("style"))


def test_at_most_six_messages_each_with_its_speaker() -> None:
    steps = [(VISITOR, ev.Said(text=f"word {n}")) for n in range(9)]
    read = mail(*steps, (ASSISTANT, ev.Said(text="answer")))
    transcript = read.text.partition("The last 6 of 10 messages")[2]
    assert re.findall(r"^(\S+.*), \d\d:\d\d$", transcript, re.MULTILINE) == ["Visitor"] * 5 + ["AI assistant"]
    assert [f"word {n}" in transcript for n in range(9)] == [False] * 4 + [True] * 5


def test_colleagues_are_named_and_notes_stay_out() -> None:
    read = mail(
        *CHAT, (ANN, ev.TookOver()), (ANN, ev.Noted(text="secret note")), (ANN, ev.Said(text="Ann here."))
    )
    for part in (read.text, read.html):
        assert "Ann is answering." in part
        assert "Ann here." in part
        assert "secret note" not in part
    assert "Ann (team)" in read.text


def test_edited_and_retracted_words_read_as_they_stand() -> None:
    read = mail(
        (VISITOR, ev.Said(text="my pasword is hunter2")),
        (VISITOR, ev.Said(text="helo")),
        (VISITOR, ev.Edited(target=Seq(3), text="hello")),
        (VISITOR, ev.Retracted(target=Seq(2))),
    )
    for part in (read.text, read.html, str(read.mail["Subject"])):
        assert "hunter2" not in part
        assert "hello" in part
        assert "helo<" not in part


def test_a_call_for_a_person_says_since_when_and_why() -> None:
    steps = (*CHAT, (ASSISTANT, ev.HelpWanted(reason="Wants an invoice")))
    first = mail(*steps, found=Occasion(seq=Seq(5), step=0))
    assert "Maria asks for a person" in first.text
    assert (
        "Waiting since 15:00, and nobody has taken over yet. The reason given: Wants an invoice."
        in first.text
    )
    last = mail(
        *steps, (SYSTEM, ev.HelpWanted(step=1)), (SYSTEM, ev.HelpWanted(step=2, last=True)),
        found=Occasion(seq=Seq(7), step=2, last=True), final=True,
    )  # fmt: skip
    for part in (last.text, last.html):
        assert "Maria is still waiting for a person" in part
        assert "This is the last call" in part
        assert "This is the last mail about this conversation." in part


def test_a_chat_that_has_ended_or_begins_with_a_call_says_so() -> None:
    ended = mail(*CHAT, (VISITOR, ev.Closed()))
    assert "The conversation has ended." in ended.text
    assert "take over" not in ended.text
    asked = mail(*CHAT, (VISITOR, ev.HelpWanted()))
    assert "Maria asks for a person" in asked.text


def test_a_renewed_link_says_why_it_comes() -> None:
    read = mail(*CHAT, found=None)
    assert "Your new link to the chat with Maria" in read.text
    assert "You asked for a new link." in read.text


@pytest.mark.parametrize(
    "text", ["word " * 4000, "😀" * 16000, "ж" * 16000, "<&\"'>" * 3200, "\n" * 9000 + "x", "a" * 16000]
)
def test_a_mail_has_at_most_30_kb(text: str) -> None:
    steps = [(VISITOR, ev.Said(text=text[:4000]))] + [(ASSISTANT, ev.Said(text=text))] * 7
    read = mail(*steps)
    assert len(read.raw) <= 30 * 1024
    assert LINK in read.text.splitlines()


@pytest.mark.parametrize(
    "text",
    ["</td></table><script>alert(1)</script>", "{{ 7*7 }} {% raw %}", "Open conversation:\nhttps://evil.test/join#x",
     "--===============1==--\r\nContent-Type: text/html", "\u202eevil\u2066", "a\x00b\x1b[31m"],
)  # fmt: skip
def test_a_visitors_words_stay_words(text: str) -> None:
    read = Read(a_mail(text))
    tags = Tags(read.html)
    assert not tags.of("script")
    assert [a["href"] for a in tags.of("a")] == [
        LINK,
        str(read.mail["List-Unsubscribe"])[1:].partition(">")[0],
    ]
    assert "49" not in read.text
    assert "https://evil.test/join#x" not in read.text.splitlines()
    assert not re.search("[\x00-\x08\x1b\u202e\u2066]", read.text + read.html)
    assert [part.get_content_type() for part in read.mail.walk()][1:] == ["text/plain", "text/html"]


@given(st.text(max_size=200))
def test_any_words_make_a_mail(text: str) -> None:
    read = Read(a_mail(text))
    assert LINK in read.text.splitlines()
    assert len(Tags(read.html).of("a")) == 2


@pytest.mark.parametrize(
    "zone", ["", "../../etc/passwd", "/etc/passwd", "America", "Europe/Atlantis", "x" * 900, "Europe/Oslo\0"]
)
def test_a_zone_that_is_none_reads_as_utc(zone: str) -> None:
    opened = Entry(
        seq=Seq(1), at=START, event=ev.Opened(site="acme", timezone=zone), by=VISITOR, via="t", key="a"
    )
    facts = dict(summarise([opened], folded([opened])).facts)
    assert facts["Local time"] == "14:00, Mon 2 Mar (UTC)"


def test_a_digest_lists_each_conversation_with_its_own_link() -> None:
    summary = summarise(*log(*CHAT))
    missed = [compose.Missed(summary=summary, site="Acme", link=f"{LINK}{n}") for n in range(5)]
    raw, listed = compose.digest(envelope(unsubscribe=""), missed, total=5, cap=12, accent="#1f5fd6")
    read = Read(raw)
    assert listed == 5
    assert str(read.mail["Subject"]) == "5 chats waited for you"
    assert [a["href"] for a in Tags(read.html).of("a")] == [f"{LINK}{n}" for n in range(5)]
    assert [line for line in read.text.splitlines() if line.startswith("http")] == [
        f"{LINK}{n}" for n in range(5)
    ]
    assert read.mail["List-Unsubscribe"] is None


def test_a_digest_that_would_be_too_long_leaves_some_for_the_next() -> None:
    summary = summarise(*log((VISITOR, ev.Said(text="😀" * 400))))
    missed = [compose.Missed(summary=summary, site="Acme", link=LINK) for _ in range(compose.LISTED)]
    raw, listed = compose.digest(envelope(), missed, total=50, cap=12, accent="#1f5fd6")
    assert len(raw) <= 30 * 1024
    assert 0 < listed < compose.LISTED
    assert f"{50 - listed} more follow in the next mail." in Read(raw).text


def test_colours_come_from_the_tokens_in_both_schemes() -> None:
    read = mail(*CHAT)
    css = palette.tokens_css()
    for colour in (palette.light()["accent"], palette.dark()["accent"], palette.dark()["bg"]):
        assert colour in css
        assert colour in read.html
    assert palette.light()["text"] != palette.dark()["text"]
    assert "prefers-color-scheme: dark" in read.html


@pytest.mark.parametrize(
    "accent", ["#ffff00", "#000000", "#ffffff", "#17191c", "#2f5d46", "#808080", "#ff0000"]
)
def test_any_accent_can_be_seen_and_read(accent: str) -> None:
    for values in (palette.light(), palette.dark()):
        scheme = palette.scheme(values, accent)
        assert palette.contrast(scheme["accent"], scheme["bg"]) >= 3
        assert palette.contrast(scheme["accent"], scheme["on_accent"]) >= 4.5
