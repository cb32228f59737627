"""Visitor text in a mail's headers stays text, whatever it is."""

from email import message_from_bytes, policy
from email.message import EmailMessage

from hypothesis import example, given
from hypothesis import strategies as st
import pytest

from connectors.email import headers
from tests.mails import BASE, a_mail

HOSTILE = [
    "=?utf-8?q?a=0D=0ABcc:_x@evil.test?=",
    "=?utf-8?b?YQ0KQmNjOiB4QGV2aWwudGVzdA==?= more",
    "hi\r\nBcc: x@evil.test\r\n\r\nbody",
    "a\nSubject: other",
    "=\u200b?utf-8?q?=0ABcc:x@evil.test?\u200b=",
    "==??utf-8?q?=0ABcc:x@evil.test?=?=",
    "\u202egnp.exe\u2066\ud800\x00\ufeff",
    "e\u0301" * 90,
    "ÄÖÜ" * 60,
    "😀" * 80,
    "a" * 500,
    "=?" * 60,
    " \t ",
    "x" * 59 + "=?utf-8?q?x?=",
]

words = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            ["=?", "?=", "utf-8?q?", "=0D=0A", "\r\n", "Bcc: x@evil.test", " ", "ä", "b?YQ==", "\x0b"]
        ),
        max_size=40,
    ).map("".join),
)


def hostile(test):
    for text in HOSTILE:
        test = example(text)(test)
    return test


@hostile
@given(words)
def test_a_mail_has_exactly_the_headers_that_were_set(text: str) -> None:
    raw = a_mail(text)
    head = raw.partition(b"\r\n\r\n")[0]
    parsed = message_from_bytes(raw, policy=policy.default)
    assert [name for name, _ in parsed.items()] == BASE
    assert not parsed.defects
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))
    assert "evil.test" not in str(parsed["To"]) + str(parsed["From"])
    subject = str(parsed["Subject"])
    assert len(subject) <= 70
    assert subject.startswith("New chat on Acme")


@hostile
@given(words)
def test_foreign_text_becomes_one_line_of_visible_characters(text: str) -> None:
    line = headers.header_text(text)
    assert len(line) <= headers.MAX_WORDS
    assert "=?" not in line
    assert line.isprintable()


@hostile
@given(words)
def test_the_subject_reads_as_it_was_made(text: str) -> None:
    message = EmailMessage()
    message["Subject"] = made = headers.header_text(text)
    message.set_content("hello")
    raw = headers.check(message)
    assert str(message_from_bytes(raw, policy=policy.default)["Subject"]) == made


def test_long_addresses_are_not_encoded() -> None:
    raw = a_mail("hello").decode("ascii")
    assert "List-Unsubscribe: <https://chat.acme.example/mail/off/" in raw
    unfolded = raw.replace("\r\n ", " ")
    assert f"References: <root.{'c' * 90}@acme.example> <second.{'c' * 90}@acme.example>" in unfolded


def test_different_names_have_different_message_ids() -> None:
    ids = {headers.message_id("acme.example", "cid", name) for name in ("a.b", "a-b", "a b", "ä", "a@b")}
    assert len(ids) == 5
    assert all(i.isascii() and i.count("@") == 1 for i in ids)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Subject", "=?utf-8?q?a=0D=0ABcc:_x@evil.test?="),
        (
            "Comments",
            'New chat on Acme: ?Xa (é>)X\\يل, €ع "(-ß aX)cXابي.> ßاb-Yب語Yعעة%%Z…',
        ),  # Python loses blanks
    ],
)
def test_a_mail_that_does_not_read_back_is_not_sent(name: str, value: str) -> None:
    message = EmailMessage()
    message[name] = value
    message.set_content("hello")
    with pytest.raises(headers.Unsafe):
        headers.check(message)
