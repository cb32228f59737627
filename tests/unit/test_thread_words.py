"""What is a command, what is a note, and what are words for the visitor: never one for another."""

import re
from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st
import pytest

from connectors.threads.words import CommandLine, NoteText, PlainText, meaning


@pytest.mark.parametrize(
    ("text", "mark", "meant"),
    [
        ("!take", "!", CommandLine("take")),
        ("  !take I am here\n", "!", CommandLine("take I am here")),
        ("/back see you", "/", CommandLine("back see you")),
        ("!tkae", "!", CommandLine("tkae")),  # no command, and no words for the visitor either
        ("!Ärger", "!", CommandLine("Ärger")),
        ("// careful, he is angry", "/", NoteText("careful, he is angry")),
        ("//careful", "!", NoteText("careful")),
        ("//!take", "!", NoteText("!take")),
        ("  // two\nlines", "!", NoteText("two\nlines")),
        ("//", "/", NoteText("")),
        ("/take", "!", PlainText("/take")),
        ("!take", "/", PlainText("!take")),
        ("!", "!", PlainText("!")),
        ("!!! yes", "!", PlainText("!!! yes")),
        ("! take", "!", PlainText("! take")),
        ("!5 off", "!", PlainText("!5 off")),
        ("/", "/", PlainText("/")),
        ("/2 is a half", "/", PlainText("/2 is a half")),
        ("take", "!", PlainText("take")),
        ("see http://acme.example//x", "/", PlainText("see http://acme.example//x")),
        ("", "!", PlainText("")),
        ("\u200f// \u05e1\u05d5\u05d3", "!", NoteText("\u05e1\u05d5\u05d3")),  # a keyboard for Hebrew
        ("\u200b!take", "!", CommandLine("take")),
        ("\uff0f\uff0f \u30e1\u30e2", "/", NoteText("\u30e1\u30e2")),  # and one for Japanese
        ("\uff01back", "!", CommandLine("back")),
        ("**// careful**", "!", NoteText("**// careful**")),
        ("*// careful*", "/", NoteText("*// careful*")),
        ("`// careful`", "!", NoteText("`// careful`")),
        ("**!guide offer him 10%**", "!", NoteText("**!guide offer him 10%**")),  # neither run nor sent
        ("```\n/close\n```", "/", NoteText("```\n/close\n```")),
        ("**yes**, by sea", "!", PlainText("**yes**, by sea")),
        ("\u200f\u05e9\u05dc\u05d5\u05dd", "!", PlainText("\u200f\u05e9\u05dc\u05d5\u05dd")),
    ],
)
def test_the_first_characters_decide(text: str, mark: str, meant: object):
    assert meaning(text, mark=mark) == meant


@given(st.text() | st.text("!/／！*_`~ \u200f\u200bab\n"), st.sampled_from("!/"))
def test_no_word_is_lost_or_made_up(text: str, mark: str):
    match meaning(text, mark=mark):
        case CommandLine(line=line):
            assert text.strip().endswith(line)
            assert line[0].isalpha()
        case NoteText(text=note):
            assert note in text
            assert _bare(text)[:1] in {"/", mark}
            assert set(text.removesuffix(note)) <= set("/／*_`~ \u200f\u200b") or note == text.strip()
        case PlainText(text=words):
            assert words == text.strip()
            assert not _bare(words).startswith("//")
            assert not re.match(re.escape(mark) + "[a-z]", _bare(words))


def _bare(text: str) -> str:
    """As it looks, without its style."""
    shown = "".join(c for c in text if category(c) not in ("Cf", "Cc"))
    return shown.strip().lstrip("*_`~ \u2003").translate({0xFF0F: "/", 0xFF01: "!"})
