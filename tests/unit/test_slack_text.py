"""Markdown as Slack's mrkdwn, and back. What Slack makes of a text is read by a small parser of our own."""

from html import unescape
import re
import string

from hypothesis import given
from hypothesis import strategies as st
import pytest
import regex

from connectors.slack.mrkdwn import mrkdwn, plainly, reading
from connectors.text import styled

HOSTILE = [
    "<!channel> <!here|x> <@U1> <!subteam^S1|@ops> <https://evil.test|bank.test> <#C1>",
    "&lt;!channel&gt; &amp;lt;!channel&amp;gt; &#60;!channel&#62; &#x3c;@U1&#x3e;",
    "`<!channel>` ``<@U1> ` ``",
    "```\n<!everyone> ``` <@U1>\n```",
    "[<!channel>](https://a.test) ![<@U1>](https://a.test/<!here>) <https://a.test/<!here>>",
    "[https://good.test](https://good.test@evil.test/) [x](javascript:alert(1))",
    "<img src=https://evil.test/a.png onerror=1> <script>x</script> <3",
    "\u202egnp.exe \u2066hidden\u2069 &#8238;x&#10;> y",
    "a" * 300 + " " + "𝔘𝔫𝔦 🏳️‍🌈 " + "e" + "\u0301" * 40,
]
MESS = st.text(alphabet="*_~`<>&;!@#|^\\[]()-.:/ab1 \n•\u200b\u2028＊é中👩\u200d", max_size=80)
WORDS = st.text(alphabet="*_~`<>&;!@#|^\\-.:/ab1 \n•＊é中", max_size=60)

_BLOCK = re.compile(r"```\n(.*?)\n```", re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_RUN = re.compile(
    r"(?<![A-Za-z0-9])(?P<mark>[*＊_＿~])(?!\s|(?P=mark))(?P<text>[^\n]*?\S)(?P=mark)(?![A-Za-z0-9])"
)
_OWN = re.compile("(?<![A-Za-z0-9])(?:\\*_|\\*|_)(?=[^\\s*_])([^\n]*?\\S)(?:_\\*|\\*|_)(?![A-Za-z0-9])")


def formats(text: str) -> list[str]:
    """Everything in mrkdwn that Slack would show as more than text: entities, styles, code, quotes."""
    found = [match[0] for match in re.finditer(r"[<>]|&(?!(?:amp|lt|gt);)", text)]
    found += [match[0] for kind in (_BLOCK, _CODE) for match in kind.finditer(text)]
    bare = _CODE.sub("code", _BLOCK.sub("block", text))
    found += [match[0] for match in _RUN.finditer(bare)]
    found += re.findall(r"`|^\s*(?:&gt;|＞)|(?<![A-Za-z0-9])[@＠]\w", bare, re.MULTILINE)
    return found


def entities(text: str) -> list[str]:
    return re.findall(r"[<>]|&(?!(?:amp|lt|gt);)", text)


def letters(text: str) -> str:
    """What of a text is the same before and after: no blanks, no joiners, look-alikes as they were typed."""
    text = re.sub("%([257][0-9A-F])", lambda m: chr(int(m[1], 16)), text)
    text = text.translate(str.maketrans("∗＊ˍ＿∼ˋ｀", "**__~``")).replace("\u2060", "").replace("\u00ad", "")
    return re.sub(r"[\s\u200b\u200d]+", "", text)


def escaped(text: str) -> str:
    """Markdown that means just this text."""
    return re.sub(f"([{re.escape(string.punctuation)}])", r"\\\1", text)


@pytest.mark.parametrize(
    ("markdown", "slack"),
    [
        ("one\ntwo\n\nthree", "one\ntwo\n\nthree"),
        ("**b** *i* ***bi*** `c<d`", "*b* _i_ *_bi_* `c&lt;d`"),
        ("**a `b` c**", "*a* `b` *c*"),
        ("a**b**c *x***y**", "a\u200b*b*\u200bc _x_\u200b*y*"),
        (r"**2\*3** *a\_b*", "*2∗3* _aˍb_"),
        ("**bold:** (**x**)", "*bold:* (*x*)"),
        ("中**粗**文", "中\u200b*粗*\u200b文"),
        ("**two\nlines**", "*two*\n*lines*"),
        ("- a\n  - b\n- c", "• a\n  • b\n• c"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("3) a", "3) a"),
        ("x\n\n```py\na <b>\n\n\nc\n```\ny", "x\n\n```\na &lt;b&gt;\n\n\nc\n```\n\ny"),
        ("a & b", "a &amp; b"),
        ("[us](https://a.test/x)", "us (https://a.test/x)"),
        ("[https://bank.test](https://evil.test)", "https://bank.test (https://evil.test)"),
        ("[x](ftp://a.test)", "x"),
        (r"\*x\* \_y\_ ~z~ \`c\`", "∗x∗ ˍyˍ ∼z∼ ˋcˋ"),
        ("~/a 2 * 3 * 4 snake_case_word", "~/a 2 * 3 * 4 snake_case_word"),
        ("https://a.test/~x~/@y", "https://a.test/%7Ex%7E/@y"),
        ("> q\n>> r", "\u00ad&gt; q\n\u00ad&gt;&gt; r"),
        ("@here a@b.test", "@\u2060here a@b.test"),
        ("`a``b`", "`aˋˋb`"),
        ("[](ftp://x)", "[](ftp://x)"),
        ("- \n- b", "• \n• b"),
    ],
)
def test_what_it_knows(markdown: str, slack: str) -> None:
    assert mrkdwn(markdown) == [slack]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_mention_nobody_and_fake_no_link(text: str) -> None:
    for markdown in (text, escaped(text), f"**{text}**", f"- {text}", f"> {text}", f"`{text}`"):
        for part in mrkdwn(markdown):
            assert not entities(part)
            assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x09]", part)
    assert not formats(plainly(text))
    assert "\n" not in plainly(text)


@pytest.mark.parametrize("text", ["", " \n ", "\u200b", "\n\n\t"])
def test_nothing_to_show_is_no_part(text: str) -> None:
    assert mrkdwn(text) == []


@given(WORDS)
def test_what_is_no_markdown_is_not_formatted(text: str) -> None:
    parts = mrkdwn(escaped(text))
    assert [found for part in parts for found in formats(part)] == []
    assert letters(unescape("".join(parts))) == letters(text)
    assert formats(plainly(text)) == []
    assert letters(unescape(plainly(text))) == letters(text)


@given(MESS, st.integers(40, 90))
def test_limits_hold_and_no_word_is_lost(markdown: str, limit: int) -> None:
    parts = mrkdwn(markdown, limit=limit)
    assert all(0 < len(part) <= limit for part in parts)
    assert not any(entities(part) for part in parts)
    shown = "".join(parts)
    for kind in (_BLOCK, _CODE, _OWN):
        for _ in range(2):
            shown = kind.sub(r"\1", shown)
    whole = "".join(span.text for span in styled(markdown, bullet="•"))
    typed = re.compile(r"[*_`~]+")
    assert typed.sub("", letters(unescape(shown))) == typed.sub("", letters(whole)) or not parts


@given(st.lists(st.sampled_from(["*", "**", "`", "a", "b.", "_", " ", "中", "\\*", "~", "x_y"]), max_size=14))
def test_bold_is_what_markdown_says(pieces: list[str]) -> None:
    markdown = "".join(pieces)
    bold = [s.text for s in styled(markdown) if s.bold and s.text.strip()]
    shown = [
        m["text"]
        for part in mrkdwn(markdown)
        for m in _RUN.finditer(_CODE.sub("c", part))
        if m["mark"] == "*"
    ]
    assert letters("".join(shown)).replace("_", "") == letters("".join(bold)).replace("_", "")


def test_a_style_that_is_cut_goes_on_in_the_next_part() -> None:
    parts = mrkdwn("**" + "word " * 30 + "end**", limit=60)
    assert len(parts) > 2
    assert all(part.startswith("*word") and part.endswith("*") and part.count("*") == 2 for part in parts)
    parts = mrkdwn("```\n" + "  x = 1\n" * 30 + "```", limit=60)
    assert len(parts) > 3
    assert all(part.startswith("```\n  x = 1\n") and part.endswith("  x = 1\n```") for part in parts)


def test_cuts_are_where_a_reader_would_make_them() -> None:
    assert mrkdwn("a" * 30 + "\n\n" + "b b. " * 8, limit=50) == ["a" * 30, "b b. " * 7 + "b b."]
    assert mrkdwn("one two. three four. five six seven eight", limit=30) == [
        "one two. three four.",
        "five six seven eight",
    ]
    assert mrkdwn("x" * 40 + " " + "y" * 40, limit=60) == ["x" * 40, "y" * 40]
    assert mrkdwn("&" * 30, limit=50) == ["&amp;" * 10] * 3


@given(st.lists(st.sampled_from(["👩‍👩‍👧‍👦", "e\u0301", "🇳🇴", "x", "<", "🏳️‍🌈", "नि", " "]), max_size=60))
def test_no_grapheme_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    parts = [unescape(part) for part in mrkdwn(escaped(text), limit=40)]
    whole = regex.findall(r"\X", text)
    assert [g for part in parts for g in regex.findall(r"\X", part) if g.strip()] == [
        g for g in whole if g.strip()
    ]


def test_a_grapheme_longer_than_a_part_is_cut_rather_than_sent_too_long() -> None:
    parts = mrkdwn("👩\u200d" * 100, limit=50)
    assert all(len(part) <= 50 for part in parts)
    assert "".join(parts) == "👩\u200d" * 100


PEOPLE = {"U1": "Dana *x*", "W2": "@Bob"}


def read(text: str) -> str:
    return reading(text, people=lambda member: PEOPLE.get(member, ""), channels={"C2": "ops"}.get)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slack", "text"),
    [
        ("plain words, 1 < no", "plain words, 1 < no"),
        ("<@U1> <@W2|b> <@U9|ann> <@U9>", "@Dana *x* @Bob @ann @U9"),
        ("<#C1|general> <#C2> <#C2|>", "#general #ops #ops"),
        ("<!here> <!channel|channel> <!everyone>", "@here @channel @everyone"),
        ("<!subteam^S1|@ops> <!subteam^S1>", "@ops @group"),
        ("<!date^1392734382^{date}|18 Feb>", "18 Feb"),
        ("<https://a.test|us> <https://a.test>", "us (https://a.test) https://a.test"),
        ("<https://a.test/?a=1&amp;b=*2*|a&amp;b>", "a&b (https://a.test/?a=1&b=*2*)"),
        ("<http://a.test|a.test> <mailto:a@b.test|a@b.test>", "http://a.test a@b.test"),
        ("<mailto:a@b.test|write> <tel:+47123|+47123>", "write (a@b.test) +47123"),
        ("&lt;@U1&gt; &amp;lt;!here&amp;gt; &lt;!channel&gt;", "<@U1> &lt;!here&gt; <!channel>"),
        ("*bold <@U1>* _it_ ~gone <#C1|g>~", "**bold @Dana *x*** _it_ gone #g"),
        ("*a ~b~* 2*3*4 ** * x *", "**a b** 2*3*4 ** * x *"),
        ("`*c* ~d~ &lt;b&gt;` *e*", "`*c* ~d~ <b>` **e**"),
        ("x ```a *b*\n• c``` y", "x \n```\na *b*\n• c\n```\n y"),
        ("• a\n    ◦ b\n• c", "- a\n    - b\n- c"),
        ("", ""),
    ],
)
def test_what_a_member_typed(slack: str, text: str) -> None:
    assert read(slack) == text


@given(st.text(alphabet="<>@#!|^*~_`&;ltgampU1C \n•", max_size=200))
def test_reading_takes_anything(slack: str) -> None:
    assert isinstance(read(slack), str)


@given(st.text(st.characters(exclude_characters="<>&*~`•◦▪")))
def test_words_stay_as_they_are(text: str) -> None:
    assert read(text) == text


@given(st.text(alphabet="ab <>&!@U1;ltgamp\n", max_size=60))
def test_what_slack_escaped_is_unescaped_once(text: str) -> None:
    sent = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert read(sent) == text


def test_hostile_lengths_take_no_time() -> None:
    for text in ("*a<" * 3000, "```a" * 3000, "<" * 9000, "~*" * 3000, "`" * 9000):
        assert isinstance(read(text), str)
        assert all(len(part) <= 3000 for part in mrkdwn(text))
