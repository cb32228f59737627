"""Markdown as plain text and as HTML that is safe in a mail."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
import pytest

from connectors.text import address, mail_html, plain, shorten, visible


@pytest.mark.parametrize(
    ("markdown", "text", "html"),
    [
        ("one\ntwo\n\nthree", "one\ntwo\n\nthree", "<p>one<br>\ntwo</p>\n<p>three</p>\n"),
        ("**b** *i* `c<d`", "b i c<d", "<p><strong>b</strong> <em>i</em> <code>c&lt;d</code></p>\n"),
        ("- a\n- b", "- a\n- b", "<ul><li>a</li>\n<li>b</li>\n</ul>\n"),
        ("3. a\n4. b", "3. a\n4. b", "<ol><li>a</li>\n<li>b</li>\n</ol>\n"),
        ("- a\n  - b\n- c", "- a\n  - b\n- c", "<ul><li>a<ul><li>b</li>\n</ul>\n</li>\n<li>c</li>\n</ul>\n"),
        ("```\na <b>\n```", "a <b>", "<pre>a &lt;b&gt;\n</pre>\n"),
        ("<b>x</b> &amp; # y", "<b>x</b> & # y", "<p>&lt;b&gt;x&lt;/b&gt; &amp; # y</p>\n"),
        ("[us](https://a.test/x)", "us (https://a.test/x)", "<p>us (https://a.test/x)</p>\n"),
        ("<https://a.test>", "https://a.test", "<p>https://a.test</p>\n"),
        ("[**us**](mailto:a@b.test)", "us (a@b.test)", "<p><strong>us</strong> (a@b.test)</p>\n"),
        ("![cat](https://a.test/c.png)", "cat (https://a.test/c.png)", "<p>cat (https://a.test/c.png)</p>\n"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("[x](ftp://a.test)", "x", "<p>x</p>\n"),
        ("1) a\n2) b", "1) a\n2) b", "<ol><li>a</li>\n<li>b</li>\n</ol>\n"),
        ("-\n- b", "- \n- b", "<ul><li></li>\n<li>b</li>\n</ul>\n"),
        ("```\na\n\n\n\nb\n```\nc", "a\n\n\n\nb\n\nc", "<pre>a\n\n\n\nb\n</pre>\n<p>c</p>\n"),
        ("a&#8238;b&#10;&#10;c", "ab  c", "<p>ab  c</p>\n"),
    ],
)
def test_what_it_knows(markdown: str, text: str, html: str) -> None:
    assert plain(markdown) == text
    assert mail_html(markdown) == html


@pytest.mark.parametrize(
    ("href", "goes"),
    [
        ("https://good.test@evil.test/", "https://evil.test/"),
        ("https://good.test\\@evil.test/", "https://good.test/@evil.test/"),
        ("https:\\\\evil.test/x", "https://evil.test/x"),
        (" java\nscript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("//evil.test", ""),
        ("https://", ""),
        ("https://[x", ""),
        ("tel:+4712345678", "tel:+4712345678"),
    ],
)
def test_an_address_is_where_the_browser_would_go(href: str, goes: str) -> None:
    assert address(href) == goes


def test_a_label_cannot_claim_another_place() -> None:
    assert plain("[https://bank.test](https://good.test@evil.test/login)") == (
        "https://bank.test (https://evil.test/login)"
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append((tag, len(attrs)))


@given(st.text(alphabet="<>&\"'`*_-[]()!#\\\n 1.ax:/", max_size=200))
def test_no_other_tag_and_no_attribute(markdown: str) -> None:
    parser = _Tags()
    parser.feed(mail_html(markdown))
    allowed = {"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li"}
    assert all(tag in allowed and attrs == 0 for tag, attrs in parser.seen)


def test_deep_nesting_is_no_trouble() -> None:
    for text in ("- " * 2000 + "x", "*" * 4000, "[" * 4000, "`" * 4000, "![" * 2000):
        assert isinstance(mail_html(text), str)
        assert isinstance(plain(text), str)


def test_shorten_cuts_at_a_blank_and_never_over() -> None:
    assert shorten("one two three", 9) == "one two…"
    assert shorten("one", 9) == "one"
    assert len(shorten("x" * 99, 9)) == 9


def test_visible_keeps_lines_and_drops_what_turns_them() -> None:
    assert visible("a\r\nb\rc\td\x00\u202ee\ud800") == "a\nb\nc\tde"
    assert visible("a\u2028b\u2029c\u061cd") == "a\nb\ncd"
