"""Styled text between Markdown and a chat platform: runs of one style, their lines, and splitting. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace
import regex

from bridge.text import clean_text

_GRAPHEMES = regex.compile(r"\X")
_BREAKS = (
    regex.compile(r"\n\s*\n"),
    regex.compile(r"\n"),
    regex.compile(r"[.!?…。！？]\s+|[。！？]"),
    regex.compile(r"\s+"),
)


class Span(Struct, frozen=True, kw_only=True):
    """A run of text in one style. `code` stands in a line, `pre` is a block; neither has another style."""

    text: str
    bold: bool = False
    italic: bool = False
    code: bool = False
    pre: bool = False

    def alike(self, other: "Span") -> bool:
        return replace(self, text="") == replace(other, text="")


def units(text: str) -> int:
    """The length in UTF-16 units, as Telegram and browsers count."""
    return len(text) + sum(char > "\uffff" for char in text)


def words(spans: Iterable[Span]) -> str:
    return "".join(span.text for span in spans)


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same text in as few spans as can be."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].alike(span):
            found[-1] = replace(span, text=found[-1].text + span.text)
        elif span.text:
            found.append(span)
    return found


def stretch(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """The characters from `start` to before `end`."""
    found = []
    for span in spans:
        if text := span.text[max(start, 0) : max(end, 0)]:
            found.append(replace(span, text=text))
        start -= len(span.text)
        end -= len(span.text)
    return found


def trimmed(spans: Sequence[Span]) -> list[Span]:
    """Without blank lines and blanks around; a block keeps how its first line is indented."""
    text = words(spans)
    start = len(text) - len(text.lstrip())
    if any(span.pre for span in stretch(spans, start, start + 1)):
        start = text.rfind("\n", 0, start) + 1
    return stretch(spans, start, len(text.rstrip()))


def lines(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Line by line. A style is around words, never around the blanks at its ends."""
    line: list[Span] = []
    for span in spans:
        for number, text in enumerate(span.text.split("\n")):
            if number:
                yield joined(line)
                line = []
            line += [replace(span, text=text)] if span.pre else _tight(span, text)
    yield joined(line)


def _tight(span: Span, text: str) -> list[Span]:
    bare = text.strip()
    head, _, tail = text.partition(bare) if bare else (text, "", "")
    return [Span(text=head), replace(span, text=bare), Span(text=tail)]


def split(spans: Sequence[Span], *, limit: int, measure: Callable[[Sequence[Span]], int]) -> list[list[Span]]:
    """Parts that measure at most `limit` each and together are the whole, to the last character.

    `measure` never says less for more text. A cut prefers the end of a paragraph, a line, a sentence, a word,
    if that fills half of a part. It never parts a grapheme, unless that alone is over the limit.
    """
    ends = [found.end() for found in _GRAPHEMES.finditer(words(spans))]
    parts: list[list[Span]] = []
    start, rest = 0, joined(spans)
    while rest:
        near = stretch(rest, 0, limit)
        far = start + len(words(near))
        inside = [end - start for end in ends[bisect_right(ends, start) : bisect_right(ends, far)]]
        end = (
            far - start if far == ends[-1] and measure(near) <= limit else _cut(near, inside, limit, measure)
        )
        parts.append(stretch(near, 0, end))
        start += end
        rest = stretch(rest, end, ends[-1])
    return parts


def _cut(
    spans: Sequence[Span], ends: Sequence[int], limit: int, measure: Callable[[Sequence[Span]], int]
) -> int:
    """Where to cut so that what is before it fits; `ends` are those of the graphemes."""
    text = words(spans)

    def over(end: int) -> bool:
        return measure(stretch(spans, 0, end)) > limit

    if not ends or over(ends[0]):
        ends = range(1, len(text) + 1)
    most = ends[max(bisect_left(ends, True, key=over) - 1, 0)]
    return _better(text, most, set(ends))


def _better(text: str, end: int, allowed: set[int]) -> int:
    """The best place for a cut at or before `end`."""
    for kind in _BREAKS:
        found = [match.end() for match in kind.finditer(text, end // 2, end)]
        if fit := [place for place in found if place in allowed]:
            return fit[-1]
    return end


def shows(spans: Iterable[Span]) -> bool:
    return bool(clean_text(words(spans)))
