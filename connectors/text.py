"""Markdown as people and the assistant write it -> plain text, and -> HTML that is safe in a mail. Pure.

Known are what the widget knows: bold, italic, code, lists, paragraphs, line breaks, links; everything else
stays as it was typed. Links and pictures become words with the address they really go to, never something
to click: in a mail nothing opens because a text said so.
"""

from collections.abc import Iterator, Sequence
from html import escape
import re
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

_BIDI = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_UNSEEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_BIDI}]")
_SCHEMES = ("http", "https", "mailto", "tel")

_parser = MarkdownIt("zero", {"breaks": True, "maxNesting": 12}).enable(
    ["newline", "escape", "entity", "backticks", "emphasis", "link", "image", "autolink", "fence", "list"]
)


def visible(text: str) -> str:
    """`text` without control characters, lone surrogates and what turns the reading direction."""
    return _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a blank where one is near."""
    text = text.strip()
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    head, blank, tail = kept.rpartition(" ")
    return (head if blank and len(tail) < 20 else kept).rstrip() + "…"


def address(href: str) -> str:
    """Where a link really goes, without the user part that can pose as a host; "" if it may go nowhere."""
    href = re.sub(r"[\x00-\x20]", "", href).replace("\\", "/")
    try:
        parts = urlsplit(href)
        if parts.scheme not in _SCHEMES:
            return ""
        if parts.scheme in {"mailto", "tel"}:
            return href
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.hostname else ""
    except ValueError:
        return ""


def plain(markdown: str) -> str:
    """Readable words without marks; lists keep theirs."""
    return re.sub(r"\n{3,}", "\n\n", "".join(_plain(_tokens(markdown)))).strip()


def mail_html(markdown: str) -> str:
    """Safe HTML: nothing but p, br, strong, em, code, pre, ul, ol and li, without attributes."""
    return "".join(_html(_tokens(markdown)))


def _tokens(markdown: str) -> list[Token]:
    return _parser.parse(visible(markdown))


def _aim(token: Token, label: str) -> str:
    """What follows a link's label: its address, unless the label says the same."""
    target = address(str(token.attrs.get("href") or token.attrs.get("src") or ""))
    bare = target.removeprefix("mailto:").removeprefix("tel:")
    if not target or label in {target, bare}:
        return ""
    return f" ({bare})" if label else bare


def _label(tokens: Sequence[Token], at: int) -> str:
    """The words between the link that opens at `at` and its end."""
    words = []
    for token in tokens[at + 1 :]:
        if token.type == "link_close":
            break
        words.append(token.content)
    return "".join(words).strip()


def _inline(tokens: Sequence[Token], *, html: bool) -> Iterator[str]:
    aim = ""
    for at, token in enumerate(tokens):
        match token.type:
            case "softbreak" | "hardbreak":
                yield "<br>\n" if html else "\n"
            case "link_open":
                aim = _aim(token, _label(tokens, at))
            case "link_close":
                yield escape(aim) if html else aim
            case "image":
                words = token.content + _aim(token, token.content)
                yield escape(words) if html else words
            case "code_inline" if html:
                yield f"<code>{escape(token.content)}</code>"
            case "strong_open" | "strong_close" | "em_open" | "em_close":
                if html:
                    yield f"<{'/' * (token.nesting < 0)}{token.tag}>"
            case _:
                yield escape(token.content) if html else token.content


def _html(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        match token.type:
            case "inline":
                yield from _inline(token.children or (), html=True)
            case "fence":
                yield f"<pre>{escape(token.content)}</pre>\n"
            case _ if token.hidden:
                continue
            case "paragraph_open" | "bullet_list_open" | "ordered_list_open" | "list_item_open":
                yield f"<{token.tag}>"
            case "paragraph_close" | "bullet_list_close" | "ordered_list_close" | "list_item_close":
                yield f"</{token.tag}>\n"
            case _:
                yield escape(token.content)


def _plain(tokens: Sequence[Token]) -> Iterator[str]:
    lists: list[int | None] = []  # for each open list the next number, None where it has bullets
    for token in tokens:
        match token.type:
            case "inline":
                yield from _inline(token.children or (), html=False)
            case "fence":
                yield token.content + "\n"
            case "bullet_list_open":
                lists.append(None)
            case "ordered_list_open":
                lists.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
                yield "" if lists else "\n"
            case "list_item_open":
                number = lists[-1]
                yield "  " * (len(lists) - 1) + ("- " if number is None else f"{number}. ")
                lists[-1] = None if number is None else number + 1
            case "paragraph_close":
                yield "\n" if token.hidden or lists else "\n\n"
            case _:
                yield token.content
