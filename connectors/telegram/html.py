"""Markdown -> Telegram's HTML, and what a member typed in Telegram -> Markdown. Pure.

Only b, i, code and pre are used, without attributes, so no markup of a text ever leads anywhere. Telegram
itself looks for addresses, names and commands in words: web addresses may stay, they say where they go; other
schemes, `@name` and `/command` get a word joiner, which shows as nothing and ends what Telegram looks for.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from html import escape
from itertools import groupby, pairwise
import re
from typing import Literal
from unicodedata import category

from msgspec import Struct
from msgspec.structs import replace
from telegram import MessageEntity

from connectors.spans import Span, joined, lines, shows, split, trimmed, units, words
from connectors.text import aim, styled, visible

LIMIT = 4096  # UTF-16 units of a message, counted without its tags
TOPIC = 128  # of a topic's name

_JOINER = "\u2060"
_LIVE = re.compile(
    r"(?P<address>https?://[^\s<>\"'`|,;«»()\[\]{}]+)"  # what follows may be live again
    r"|(?<![a-z0-9+.-])(?P<scheme>[a-z][a-z0-9+.-]*:)(?=//)"
    r"|(?<![\w/<>])(?P<command>/)(?=[a-z0-9_]+(?![\w/<>]))"
    r"|(?<!\w)(?P<name>@)(?=\w)",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![\w/])@(?=\w)")  # in an address

Style = Literal["full", "inline", "none"]


class Part(Struct, frozen=True, kw_only=True):
    """One message: its HTML, and the same words for when Telegram cannot read the HTML."""

    html: str
    plain: str


def parts(markdown: str, *, limit: int = LIMIT, style: Style = "full") -> list[Part]:
    """The text in messages of at most `limit` UTF-16 units each; none is empty.

    Our own lines are italic and our headings bold, so words that must not look like them are neither
    ("none"), or bold only within a line ("inline").
    """
    return list(_parts(markdown, limit, style))


@lru_cache(maxsize=256)  # a card is drawn again and again around the same words
def _parts(markdown: str, limit: int, style: Style) -> tuple[Part, ...]:
    quiet = _quiet(styled(markdown, bullet="•"))
    if style != "full":
        quiet = _unlike_ours(quiet, bold=style == "inline")
    cut = split(quiet, limit=limit, measure=lambda spans: units(words(spans)))
    shown = [part for part in map(trimmed, cut) if shows(part)]
    return tuple(Part(html="".join(map(_html, part)), plain=words(part)) for part in shown)


def _unlike_ours(spans: Sequence[Span], *, bold: bool) -> list[Span]:
    """Without italics; what is `bold` stays so within a line."""
    found: list[Span] = []
    for block, run in groupby(spans, lambda span: span.pre):
        if block:
            found += run
            continue
        for number, line in enumerate(lines(run)):
            within = bold and not all(span.bold for span in line if span.text.strip())
            found += [Span(text="\n")] * (number > 0)
            found += [replace(span, bold=span.bold and within, italic=False) for span in line]
    return joined(found)


def plainly(text: str, *, limit: int = LIMIT) -> str:
    """Words on one line, to be sent without a parse mode: a topic's name, a title. Cut where too long."""
    line = [Span(text=_still(" ".join(visible(text).split())))]
    whole = words(line)
    if units(whole) <= limit:
        return whole
    first = split(line, limit=limit - 1, measure=lambda spans: units(words(spans)))[0]
    return words(first).rstrip() + "…"


def _html(span: Span) -> str:
    text = escape(span.text, quote=False)
    for tag, on in (("i", span.italic), ("b", span.bold), ("code", span.code), ("pre", span.pre)):
        text = f"<{tag}>{text}</{tag}>" if on else text
    return text


def _quiet(spans: Iterable[Span]) -> list[Span]:
    """The same spans with nothing for Telegram to find. It does not look into code."""
    return [span if span.code or span.pre else replace(span, text=_still(span.text)) for span in spans]


def _still(text: str) -> str:
    return _LIVE.sub(
        lambda found: _NAME.sub(f"@{_JOINER}", found[0]) if found["address"] else found[0] + _JOINER, text
    )


def reading(text: str, entities: Sequence[MessageEntity]) -> str:
    """What a member typed, with the formatting of their app, as our log keeps it."""
    return "".join(_markdown(joined(_spans(text, entities))))


_BOLD, _ITALIC, _CODE, _PRE = (
    MessageEntity.BOLD, MessageEntity.ITALIC, MessageEntity.CODE, MessageEntity.PRE
)  # fmt: skip


def _spans(text: str, entities: Sequence[MessageEntity]) -> Iterator[Span]:
    places = _places(text)
    last = len(places) - 1
    found = [
        (
            entity,
            places[min(max(entity.offset, 0), last)],
            places[min(max(entity.offset + entity.length, 0), last)],
        )
        for entity in entities
    ]
    edges = sorted({0, len(text), *(at for _, start, end in found for at in (start, end))})
    for start, end in pairwise(edges):
        kinds = {entity.type for entity, first, after in found if first <= start and end <= after}
        plain = Span(text=text[start:end])
        if _PRE in kinds:
            yield replace(plain, pre=True)
        elif _CODE in kinds:
            yield replace(plain, code=True)
        else:
            yield replace(plain, bold=_BOLD in kinds, italic=_ITALIC in kinds)
        for entity, first, after in found:
            if entity.type == MessageEntity.TEXT_LINK and first < after == end:
                yield Span(text=aim(entity.url or "", text[first:after].strip()))


def _places(text: str) -> list[int]:
    """For each UTF-16 unit of the text, and its end, the character it belongs to."""
    places: list[int] = []
    for at, char in enumerate(text):
        places += [at] * units(char)
    return [*places, len(text)]


def _markdown(spans: Sequence[Span]) -> Iterator[str]:
    whole = words(spans)
    at = 0
    for block, group in groupby(spans, lambda span: span.pre):
        run = list(group)
        text = words(run)
        before, after = whole[:at][-1:], whole[at + len(text) :][:1]
        at += len(text)
        if block:
            fence = _fence(text, 3)
            body = text.strip("\n")
            yield "\n" * (before not in {"", "\n"}) + f"{fence}\n{body}\n{fence}"
            yield "\n" * (after not in {"", "\n"})
        else:
            yield "\n".join("".join(map(_marked, _plainer(line))) for line in lines(run))


def _plainer(line: Sequence[Span]) -> list[Span]:
    """Without the styles that Markdown could not tell: where two meet within a word, what both have stays."""
    found = []
    for at, span in enumerate(line):
        near = [other for other in line[max(at - 1, 0) : at + 2] if other.bold or other.italic]
        bold = span.bold and all(other.bold for other in near)
        italic = span.italic and all(other.italic for other in near)
        found.append(replace(span, bold=bold, italic=italic))
    line = joined(found)
    return [
        span
        if _stands(words(line[:at])[-1:], span.text[0]) and _stands(words(line[at + 1 :])[:1], span.text[-1])
        else replace(span, bold=False, italic=False)
        for at, span in enumerate(line)
    ]


def _stands(outer: str, inner: str) -> bool:
    """Whether a mark between these two counts: between a letter and a sign it does not."""
    if "*" in {outer, inner}:
        return False
    return inner.isalnum() or not outer or outer.isspace() or category(outer)[0] in "PS"


def _marked(span: Span) -> str:
    if span.code:
        fence = _fence(span.text, 1)
        pad = " " * (span.text[:1] == "`" or span.text[-1:] == "`")
        return f"{fence}{pad}{span.text}{pad}{fence}"
    mark = "**" * span.bold + "*" * span.italic
    return mark + span.text + mark


def _fence(text: str, least: int) -> str:
    """Backticks that nothing in the text ends."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))
