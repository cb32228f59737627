"""Markdown as people and the assistant write it -> plain text, and -> HTML that is safe in a mail. Pure.

Known are what the widget knows: bold, italic, code, lists, paragraphs, line breaks, links; everything else
stays as it was typed. Links and pictures become words with the address they really go to, never something
to click: in a mail nothing opens because a text said so.
"""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
import re
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from connectors.spans import Span, joined, shows, trimmed, words

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_ENDS = re.compile("\r\n|[\r\u2028\u2029]")
_UNSEEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_BIDI}]")
_SCHEMES = ("http", "https", "mailto", "tel")

_parser = MarkdownIt("zero", {"breaks": True, "maxNesting": 12}).enable(
    ["newline", "escape", "entity", "backticks", "emphasis", "link", "image", "autolink", "fence", "list"]
)


def visible(text: str) -> str:
    """`text` without control characters, lone surrogates and what turns the reading direction."""
    return _UNSEEN.sub("", _ENDS.sub("\n", text))


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
    return words(trimmed(joined(_walk(_tokens(markdown), "-"))))


def styled(markdown: str, *, bullet: str = "-") -> list[Span]:
    """The same words as `plain`, in their styles. What would show nothing stays as it was typed."""
    found = trimmed(joined(_walk(_tokens(markdown), bullet)))
    return found if shows(found) else trimmed([Span(text=visible(markdown))])


def mail_html(markdown: str) -> str:
    """Safe HTML: nothing but p, br, strong, em, code, pre, ul, ol and li, without attributes."""
    return "".join(_html(_tokens(markdown)))


def _tokens(markdown: str) -> list[Token]:
    return _parser.parse(visible(markdown))


def aim(href: str, label: str) -> str:
    """What follows a link's label: its address, unless the label says the same."""
    target = address(href)
    bare = target.removeprefix("mailto:").removeprefix("tel:")
    if not target or label in {target, bare}:
        return ""
    return f" ({bare})" if label else bare


def _aim(token: Token, label: str) -> str:
    return aim(str(token.attrs.get("href") or token.attrs.get("src") or ""), label)


def _label(tokens: Sequence[Token], at: int) -> str:
    """The words between the link that opens at `at` and its end."""
    label = []
    for token in tokens[at + 1 :]:
        if token.type == "link_close":
            break
        label.append(visible(token.content))
    return "".join(label).strip()


def _marked(tokens: Sequence[Token]) -> Iterator[Token]:
    """What stands in a line, with links and pictures turned into words.

    `&#8238;` and the like have become characters by now: what may not be seen is dropped once more.
    """
    target = ""
    for at, token in enumerate(tokens):
        match token.type:
            case "link_open":
                target = _aim(token, _label(tokens, at))
            case "link_close":
                yield Token("text", "", 0, content=target)
            case "image":
                label = visible(token.content)
                yield Token("text", "", 0, content=label + _aim(token, label))
            case "text":
                yield Token("text", "", 0, content=visible(token.content).replace("\n", " "))
            case _:
                yield token


def _html(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        match token.type:
            case "inline":
                yield from _html(list(_marked(token.children or ())))
            case "softbreak" | "hardbreak":
                yield "<br>\n"
            case "code_inline":
                yield f"<code>{escape(token.content)}</code>"
            case "strong_open" | "strong_close" | "em_open" | "em_close":
                yield f"<{'/' * (token.nesting < 0)}{token.tag}>"
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


def _line(tokens: Sequence[Token]) -> Iterator[Span]:
    bold = italic = 0
    for token in _marked(tokens):
        match token.type:
            case "softbreak" | "hardbreak":
                yield Span(text="\n", bold=bold > 0, italic=italic > 0)
            case "code_inline":
                yield Span(text=token.content, code=True)
            case "strong_open" | "strong_close":
                bold += token.nesting
            case "em_open" | "em_close":
                italic += token.nesting
            case _:
                yield Span(text=token.content, bold=bold > 0, italic=italic > 0)


def _walk(tokens: Sequence[Token], bullet: str) -> Iterator[Span]:
    lists: list[int | None] = []  # for each open list the next number, None where it has bullets
    for before, token in pairwise([Token("", "", 0), *tokens]):
        match token.type:
            case "inline":
                yield from _line(token.children or ())
            case "fence":
                yield Span(text=token.content.removesuffix("\n"), pre=True)
                yield Span(text="\n" if lists else "\n\n")
            case "bullet_list_open":
                lists.append(None)
            case "ordered_list_open":
                lists.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
                yield Span(text="" if lists else "\n")
            case "list_item_open":
                number = lists[-1]
                mark = bullet if number is None else f"{number}{token.markup}"
                yield Span(text="  " * (len(lists) - 1) + mark + " ")
                lists[-1] = None if number is None else number + 1
            case "list_item_close" if before.type == "list_item_open":
                yield Span(text="\n")
            case "paragraph_close":
                yield Span(text="\n" if token.hidden or lists else "\n\n")
            case _:
                yield Span(text=token.content)
