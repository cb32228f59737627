"""Markdown as Telegram's HTML, and back. Lengths are UTF-16 units, as Telegram counts them."""

from html.parser import HTMLParser
import re
import string
import time

from hypothesis import given
from hypothesis import strategies as st
import pytest
import regex
from telegram import MessageEntity, User

from connectors.telegram.html import Style, parts, plainly, reading
from connectors.text import plain, styled
from tests.fakes.telegram_text import parse_html, trimmed, with_live

HOSTILE = [
    "<b>x",
    "<3 & &amp; &lt;i&gt;",
    "<a href='tg://user?id=1'>x</a> [a](tg://user?id=1) <tg://resolve?domain=x> tg://x TON://y",
    "</code></pre><script>x</script>",
    "`</code><b>` \n```\n</pre><b>\n```",
    "[https://good.test](https://good.test@evil.test/) ![x](https://evil.test/p.png)",
    'http://x|@dana https://x.io/a"@dana https://x.io,@dana (https://x.io)@dana https://x.io.@dana https://x;/close',
    "https://x.io/a«@dana» https://x.io/`@dana` https://x.io/[@dana] https://x.io/a?@dana http://x|tg://user?id=1",
    "@admin hello @durov /close /take@joinline_bot",
    "\u202egnp.exe \u2066hidden\u2069 \ud800 &#8238;x",
    "a" * 300 + " " + "𝔘𝔫𝔦 🏳️‍🌈 " + "e" + "\u0301" * 40,
]
MESS = st.text(alphabet="*_~`<>&;!@#\\[]()-.:/abtg1 \n\u200b\u2028é中👩\u200d😀\ud800", max_size=80)


class Telegram(HTMLParser):
    """What Telegram would accept: four tags, no attributes, properly nested; and the text that it counts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.text = ""
        self.styled: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert tag in {"b", "i", "code", "pre"}
        assert not attrs
        assert not {"code", "pre"} & set(self.open)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        self.styled += [(tag, data) for tag in self.open]

    def handle_entityref(self, name):
        self.handle_data({"lt": "<", "gt": ">", "amp": "&"}[name])

    def handle_charref(self, name):
        raise AssertionError(name)

    def handle_comment(self, data):
        raise AssertionError(data)

    unknown_decl = handle_decl = handle_pi = handle_comment


def length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def letters(text: str) -> str:
    return re.sub(r"[\s\u2060\u200b\u200d]+", "", text)


def escaped(text: str) -> str:
    """Markdown that means just this text."""
    return re.sub(f"([{re.escape(string.punctuation)}])", r"\\\1", text)


def found_by_telegram(text: str) -> list[str]:
    """What its servers make live in words: their own schemes, mentions, commands."""
    kinds = (
        r"(?:tg|ton|tonsite)://[a-z0-9_-]",
        r"(?<!\w)@\w{2,32}\b",
        r"(?<![\w/<>])/[a-z0-9_]{1,64}(?:@[a-z0-9_]{3,32})?(?![\w/<>])",
    )
    bare = re.sub(r"https?://[^\s<>]+", "", text)
    return [match for kind in kinds for match in re.findall(kind, bare, re.IGNORECASE)]


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("one\ntwo\n\nthree", "one\ntwo\n\nthree"),
        ("**b** *i* ***bi*** `c<d`", "<b>b</b> <i>i</i> <b><i>bi</i></b> <code>c&lt;d</code>"),
        ("**a `b` c**", "<b>a </b><code>b</code><b> c</b>"),
        ("- a\n  - b\n\n2. c", "• a\n  • b\n\n2. c"),
        ("```py\na <b>\n```\ny", "<pre>a &lt;b&gt;</pre>\n\ny"),
        ("<b>x", "&lt;b&gt;x"),
        ("<3 \"&\" 'q'", "&lt;3 \"&amp;\" 'q'"),
        ("[us](https://a.test/x)", "us (https://a.test/x)"),
        ("[us](tg://user?id=1)", "us"),
        ("<tg://user?id=1>", "tg:\u2060//user?id=1"),
        ("https://a.test/@x ftp://y", "https://a.test/@x ftp:\u2060//y"),
        ("@bob a@b.test", "@\u2060bob a@b.test"),
        ("/close 1/2 /etc/passwd", "/\u2060close 1/2 /etc/passwd"),
        ("https://x.io.@bob https://x.io/a,/close", "https://x.io.@\u2060bob https://x.io/a,/\u2060close"),
        ("[](ftp://x)", "[](ftp:\u2060//x)"),
    ],
)
def test_what_it_knows(markdown: str, html: str) -> None:
    assert [part.html for part in parts(markdown)] == [html]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_are_text(text: str) -> None:
    for markdown in (text, f"**{text}**", f"- {text}"):
        for part in parts(markdown):
            assert Telegram(part.html).text == part.plain
            assert not found_by_telegram(part.plain)
            found = with_live(trimmed(parse_html(part.html))).entities
            assert {e.type for e in found if e.auto} <= {"url", "email"}
            assert not re.search("[\u202a-\u202e\u2066-\u2069\ud800-\udfff\x00-\x09]", part.plain)
    clear = text.replace("\ud800", "").translate(dict.fromkeys(map(ord, "\u202e\u2066\u2069")))
    assert letters("".join(part.plain for part in parts(escaped(text)))) == letters(clear)
    assert not found_by_telegram(plainly(text))


@pytest.mark.parametrize(
    ("style", "html"),
    [
        ("full", "<b>Dana · to the visitor</b>\nYou <b>get</b> <i>it</i>.\n\n<i>Dana took over.</i>"),
        ("inline", "Dana · to the visitor\nYou <b>get</b> it.\n\nDana took over."),
        ("none", "Dana · to the visitor\nYou get it.\n\nDana took over."),
    ],
)
def test_words_can_be_kept_from_looking_like_headings_and_lines_of_ours(style: Style, html: str) -> None:
    text = "**Dana · to the visitor**\nYou **get** *it*.\n\n*Dana took over.*"
    assert [part.html for part in parts(text, style=style)] == [html]
    block = "```\na\n\nb\n```\n**c** d"
    assert [part.html.replace("<b>", "").replace("</b>", "") for part in parts(block, style=style)] == [
        "<pre>a\n\nb</pre>\n\nc d"
    ]


@pytest.mark.parametrize("text", ["x" * 40_000, "a." * 20_000, "x-" * 20_000 + "://"])
def test_a_long_word_takes_no_time(text: str) -> None:
    began = time.process_time()
    parts(text)
    assert time.process_time() - began < 2, "not in the square of its length"


@pytest.mark.parametrize("text", ["", " \n ", "\u200b", "\ud800", "\u202e"])
def test_nothing_to_show_is_no_part(text: str) -> None:
    assert parts(text) == []


@pytest.mark.parametrize(
    ("text", "lengths"), [("x" * 4096, [4096]), ("x" * 4097, [4096, 1]), ("😀" * 2049, [4096, 2])]
)
def test_a_message_holds_4096_units(text: str, lengths: list[int]) -> None:
    assert [length(part.plain) for part in parts(text)] == lengths
    assert [len(part.html) for part in parts("<" * 4097)] == [4096 * 4, 4]


@given(MESS, st.integers(8, 60))
def test_limits_hold_and_no_word_is_lost(markdown: str, limit: int) -> None:
    found = parts(markdown, limit=limit)
    for part in found:
        read = Telegram(part.html)
        assert read.text == part.plain
        assert 0 < length(part.plain) <= limit
        assert part.plain == part.plain.strip()
        assert limit < 60 or not found_by_telegram(part.plain)
    whole = "".join(span.text for span in styled(markdown, bullet="•"))
    assert letters("".join(part.plain for part in found)) in {letters(whole), ""}


@given(MESS)
def test_styles_are_those_of_the_markdown(markdown: str) -> None:
    found = [pair for part in parts(markdown) for pair in Telegram(part.html).styled]
    for tag, style in (("b", "bold"), ("i", "italic"), ("code", "code"), ("pre", "pre")):
        said = "".join(span.text for span in styled(markdown) if getattr(span, style))
        assert letters("".join(text for kind, text in found if kind == tag)) in {letters(said), ""}


def test_a_style_that_is_cut_goes_on_in_the_next_part() -> None:
    for markdown, tag in (("**" + "word " * 30 + "end**", "b"), ("```\n" + "  x = 1\n" * 30 + "```", "pre")):
        found = parts(markdown, limit=50)
        assert len(found) > 2
        assert all(part.html == f"<{tag}>{part.plain}</{tag}>" for part in found)


@given(st.lists(st.sampled_from(["👩‍👩‍👧‍👦", "e\u0301", "🇳🇴", "x", "<", "🏳️‍🌈", "नि", " "]), max_size=60))
def test_no_grapheme_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = [g for part in parts(escaped(text), limit=20) for g in regex.findall(r"\X", part.plain)]
    assert [g for g in found if g.strip()] == [g for g in regex.findall(r"\X", text) if g.strip()]


@given(st.text(), st.integers(3, 128))
def test_words_on_one_line(text: str, limit: int) -> None:
    line = plainly(text, limit=limit)
    assert length(line) <= limit
    assert "\n" not in line
    assert line == line.strip()


def test_a_long_name_ends_in_an_ellipsis() -> None:
    assert plainly("a" * 200, limit=128) == "a" * 127 + "…"
    assert plainly("one two three four", limit=12) == "one two…"
    assert plainly("a" * 128, limit=128) == "a" * 128
    assert plainly("a\nb <i> *c* @bob", limit=128) == "a b <i> *c* @\u2060bob"


def typed(text: str, *entities: tuple[str, str]) -> tuple[str, list[MessageEntity]]:
    """A text and the entities that cover these words of it, as Telegram would count them."""
    found = []
    for kind, words in entities:
        start = text.index(words)
        url = "https://a.test/x" if kind == "text_link" else None
        user = User(1, "Ann", is_bot=False) if kind == "text_mention" else None
        found.append(MessageEntity(kind, start, len(words), url=url, user=user))
    return text, list(MessageEntity.adjust_message_entities_to_utf_16(text, found))


@pytest.mark.parametrize(
    ("message", "markdown"),
    [
        (typed("plain *as* typed"), "plain *as* typed"),
        (typed("😀 bold it", ("bold", "bold"), ("italic", "it")), "😀 **bold** *it*"),
        (typed("all of it", ("bold", "all of it"), ("italic", "of")), "**all** ***of*** **it**"),
        (typed("one\ntwo", ("bold", "one\ntwo")), "**one**\n**two**"),
        (typed("a b c", ("bold", " b ")), "a **b** c"),
        (typed("a😀 😀", ("bold", "😀 😀")), "a😀 😀"),
        (typed("ab", ("bold", "ab"), ("italic", "b")), "**ab**"),
        (typed("run x`y now", ("code", "x`y")), "run ``x`y`` now"),
        (typed("see a\n b end", ("pre", "a\n b")), "see \n```\na\n b\n```\n end"),
        (typed("```", ("pre", "```")), "````\n```\n````"),
        (typed("look here", ("text_link", "here")), "look here (https://a.test/x)"),
        (typed("look here", ("text_link", "here"), ("bold", "here")), "look **here** (https://a.test/x)"),
        (typed("https://a.test/x", ("text_link", "https://a.test/x")), "https://a.test/x"),
        (typed("Ann @bob #x https://a.test", ("text_mention", "Ann"), ("mention", "@bob"), ("url", "https://a.test")),
         "Ann @bob #x https://a.test"),
        (typed("s u t", ("spoiler", "s"), ("underline", "u"), ("strikethrough", "t")), "s u t"),
        (typed(""), ""),
    ],
)  # fmt: skip
def test_what_a_member_typed(message: tuple[str, list[MessageEntity]], markdown: str) -> None:
    assert reading(*message) == markdown


_ENTITIES = st.builds(
    lambda kind, offset, size: MessageEntity(kind, offset, size, url="https://a.test"),
    st.sampled_from(["bold", "italic", "code", "pre", "text_link", "mention", "blockquote"]),
    st.integers(-3, 12), st.integers(-3, 12),
)  # fmt: skip


@given(st.text(alphabet="ab`* \n😀é", max_size=10), st.lists(_ENTITIES, max_size=4))
def test_reading_takes_anything(text: str, entities: list[MessageEntity]) -> None:
    assert isinstance(reading(text, entities), str)
    assert reading(text, []) == text


@given(
    st.text(alphabet="ab é😀", max_size=12),
    st.lists(_ENTITIES.filter(lambda e: e.type != "text_link"), max_size=4),
)
def test_what_was_read_shows_the_same_words(text: str, entities: list[MessageEntity]) -> None:
    assert letters(plain(reading(text, entities))) == letters(text)
