"""What a text may hold once it is in: nothing hidden, nothing lost."""

import json

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bridge import events as ev
from bridge import wire
from bridge.text import MAX_MARKS, clean_name, clean_text
from bridge.wire import Propose, decode
from tests.logs import said


@pytest.mark.parametrize(
    "text",
    ["👩🏽‍❤️‍💋‍👨🏽", "👨‍👩‍👧‍👦 family", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "🇳🇴", "🫨", "नमस्ते", "العربية\u200f", "می\u200cخواهم", "ﬁne ① Ａ", "e\u0301", "é",
     "שָׁלוֹם", "ཧྐྵྨླྺྼྻྂ", "a\u200bb", "\u202eabc\u202c", "tab\tand\nline", "\\u0041", "\\\\ud800"],
)  # fmt: skip
def test_what_people_write_survives_unchanged(text: str):
    assert said(text) == text


def test_a_lone_surrogate_becomes_a_replacement_and_a_pair_stays():
    frame = '{"t":"propose","key":"k","events":[{"type":"Said","text":"%s"}]}'
    for escaped, plain in [
        ("\\ud800", "\ufffd"), ("a\\udfffb", "a\ufffdb"), ("\\ud83d\\ude00", "😀"), ("\\uD83D\\uDE00", "😀"),
        ("\\ud83d\\ud83d\\ude00", "\ufffd😀"), ("\\ude00\\ud83d", "\ufffd\ufffd"), ("\\\\ud800", "\\ud800"),
        ("\\\\\\ud800", "\\\ufffd"), ("\\ud83dx\\ude00", "\ufffdx\ufffd"),
    ]:  # fmt: skip
        decoded = decode(frame % escaped)
        assert isinstance(decoded, Propose)
        assert decoded.events == (ev.Said(text=plain),)


def test_nul_is_dropped():
    assert said("a\0b") == "ab"
    assert said("a\0é") == "aé"


@pytest.mark.parametrize("mark", ["\u0301", "\u0488", "\u20dd", "\u0e31", "\u0336"])
@pytest.mark.parametrize("between", ["", "\u200d", "\u200b", "\0"])
def test_marks_pile_no_higher_than_any_script_needs(mark: str, between: str):
    kept = said("a" + (between + mark) * 50 + "b" + mark * 8)
    assert kept.count(mark) == MAX_MARKS + 8
    assert kept.endswith("b" + mark * 8)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\t\n", "\0", "\u200b", "\u200d\u2060", "\ufeff", "\u202e\u202c", "\u00ad", "\u00a0\u3000", "\u2028",
     "\u3164", "\u115f", "\u2800", "\uffa0", "\ufe0f", "\u034f", "\U000e0067\U000e007f", "\x1b\x07", "\u0301"],
)  # fmt: skip
def test_a_text_that_shows_nothing_is_nothing(text: str):
    assert said(text) == ""


@given(st.text(st.characters()))
def test_cleaning_is_done_at_the_first_time(text: str):
    for clean in (clean_text, clean_name):
        once = clean(text)
        assert clean(once) == once
        once.encode()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_plain_text_is_left_alone(text: str):
    assert clean_text(text) == (text if text.strip() else "")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("  Maria  Lee ", "Maria Lee"), ("Maria\u00a0Lee", "Maria Lee"), ("Ma\u200bria", "Maria"), ("\u202eairaM", "airaM"),
     ("Maria\nBcc: x", "Maria Bcc: x"), ("Maria\u2028Lee", "Maria Lee"), ("M\u2066\u2069aria\ufeff", "Maria"),
     ("Ma\0ria", "Maria"), ("\u3164Maria", "Maria"), ("\u200b", ""), ("Zoë 🙂", "Zoë 🙂"), ("=?utf-8?q?x?=", "=?utf-8?q?x?="),
     ("🫨", "🫨"), ("Maria\x1b[31m", "Maria[31m")],
)  # fmt: skip
def test_a_name_has_no_hidden_characters(typed: str, kept: str):
    assert clean_name(typed) == kept


def test_every_one_line_field_is_cleaned_and_cut():
    opened = {
        "type": "Opened", "site": "s" * 99, "page": "/a\u202eb", "title": "T\n" * 400, "locale": "e\u200bn", "timezone": "z" * 99,
        "context": {f"k\u200b{n}": "v" * 600 for n in range(30)},
    }  # fmt: skip
    frame = decode(
        json.dumps(
            {"t": "propose", "key": "k", "events": [opened, {"type": "Identified", "name": "M\u202e"}]}
        )
    )
    assert isinstance(frame, Propose)
    first, second = frame.events
    assert isinstance(first, ev.Opened)
    assert (len(first.site), first.page, len(first.title), first.locale, len(first.timezone)) == (
        64,
        "/ab",
        300,
        "en",
        64,
    )
    assert len(first.context) == 20
    assert all("\u200b" not in k and v == "v" * 500 for k, v in first.context.items())
    assert second == ev.Identified(name="M")


def test_the_text_of_a_command_is_cleaned():
    frame = decode('{"t":"command","key":"k","line":"/note a\\u0000b"}')
    assert frame == wire.Command(key="k", line="/note ab")
