"""Markdown -> Slack's mrkdwn, and what a member typed in Slack -> Markdown. Pure.

`&`, `<` and `>` are escaped everywhere, so nothing of a text is ever an entity: no mention, no link with a
label. Bare addresses Slack links by itself; they say where they go.

Against `*`, `_`, `~` and backticks Slack has no escape, and a zero-width space beside a mark does not stop
it: it counts as the edge of a word, which makes a mark work (we use it for that). So a mark that people
typed, where Slack would format, becomes the character that looks like it; in an address it is
percent-encoded, which means the same to a server. A `>` that would start a quote gets a soft hyphen before
it, an `@` that starts a word a word joiner after it, as Slack may look for names by itself.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from html import escape, unescape
from itertools import groupby
import re

from connectors.spans import Span, lines, shows, split, trimmed, units, words
from connectors.text import styled, visible

LIMIT = 3000  # of a section's text

_EDGE = "\u200b"
_TWINS = str.maketrans("*＊_＿~`｀", "∗∗ˍˍ∼ˋˋ")
_MARKS = {"*": "*＊", "_": "_＿", "~": "~"}
_MARK = re.compile("[*＊_＿~`｀]")
_ADDRESS = re.compile(r"https?://[^\s<>]+", re.IGNORECASE)
_AT = re.compile(r"https?://[^\s<>]+|(?<![A-Za-z0-9])[@＠](?=\w)", re.IGNORECASE)
_QUOTE = re.compile(r"^(\s*)(?=&gt;|＞)")


def mrkdwn(markdown: str, *, limit: int = LIMIT) -> list[str]:
    """The text in parts of at most `limit` characters as sent; none is empty."""
    return list(_mrkdwn(markdown, limit))


@lru_cache(maxsize=256)  # a card is drawn again and again around the same words
def _mrkdwn(markdown: str, limit: int) -> tuple[str, ...]:
    parts = split(styled(markdown, bullet="•"), limit=limit, measure=lambda spans: units(_rendered(spans)))
    return tuple(_rendered(part) for part in parts if shows(part))


def plainly(text: str) -> str:
    """Words on one line, without any formatting: a name, the title of a page."""
    return _line([Span(text=" ".join(visible(text).split()))])


def _rendered(spans: Sequence[Span]) -> str:
    return "".join(
        _block(words(run)) if block else "\n".join(map(_line, lines(run)))
        for block, run in groupby(trimmed(spans), lambda span: span.pre)
    )


def _block(text: str) -> str:
    """Only three backticks are a mark in it: the one that would end it."""
    still = re.sub("```+", lambda found: found[0].translate(_TWINS), text.strip("\n"))
    return f"```\n{escape(still, quote=False)}\n```" if still.strip() else ""


def _line(spans: Sequence[Span]) -> str:
    whole = words(spans)
    own = "*" * any(s.bold for s in spans) + "_" * any(s.italic for s in spans)
    alive = {mark for mark, kinds in _MARKS.items() if mark in own or sum(map(whole.count, kinds)) > 1}
    row = ""
    after_mark = False
    for span in spans:
        mark = "`" if span.code else "*" * span.bold + "_" * span.italic
        text = escape(_still(span, alive), quote=False)
        if row and ((mark and not _apart(row[-1])) or (after_mark and (mark or not _apart(text[0])))):
            row += _EDGE
        row += mark + text + mark[::-1]
        after_mark = bool(mark)
    return _QUOTE.sub("\\1\u00ad", row)


def _apart(char: str) -> bool:
    """Whether a mark works beside this: a blank or a sign, but no other mark."""
    return char.isspace() or (char.isascii() and not char.isalnum() and char not in "*_~`")


def _still(span: Span, alive: Iterable[str]) -> str:
    """The text of a span so that Slack formats nothing in it; `alive` are the marks that have a partner."""
    text = span.text
    if span.code:
        return text.translate(str.maketrans("`｀", "ˋˋ"))
    own = "*" * span.bold + "_" * span.italic
    addresses = [found.span() for found in _ADDRESS.finditer(text)]

    def still(found: re.Match[str]) -> str:
        char, at = found[0], found.start()
        kind = next((mark for mark, kinds in _MARKS.items() if char in kinds), "")
        if kind and not (kind in alive and (kind in own or _may_format(text, at))):
            return char
        if any(start <= at < end for start, end in addresses):
            return "".join(f"%{byte:02X}" for byte in char.encode())
        return char.translate(_TWINS)

    return _AT.sub(lambda at: at[0] + "\u2060" * (len(at[0]) == 1), _MARK.sub(still, text))


def _may_format(text: str, at: int) -> bool:
    """Not within a word and not alone between blanks. Where a span ends, the worst is taken to follow."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if before.isspace() and after.isspace():
        return False
    return not all(char.isascii() and char.isalnum() for char in (before or "*", after or "*"))


_TYPED = re.compile(
    r"(?P<block>```.+?```)|(?P<code>`[^`\n]+`)|(?P<entity><[^<>]*>)"
    r"|^(?P<indent>[ \t]*)[•◦▪]\ufe0e?[ \t]+"
    r"|(?<![\w*])\*(?P<bold>(?=[^\s*])(?:<[^<>]*>|[^*\n<])*?(?<!\s))\*(?![\w*])"
    r"|(?<![\w~])~(?P<struck>(?=[^\s~])(?:<[^<>]*>|[^~\n<])*?(?<!\s))~(?![\w~])",
    re.DOTALL | re.MULTILINE,
)
_ENTITY = re.compile(r"<([^<>]*)>|&(?:lt|gt|amp);")
_EVERYONE = {"here", "channel", "everyone"}


def reading(
    text: str, *, people: Callable[[str], str], channels: Callable[[str], str] = lambda channel: channel
) -> str:
    """What a member typed, as our log keeps it. `people` and `channels` give the name to an id, or ""."""

    def entity(found: re.Match[str]) -> str:
        if found[1] is None:
            return unescape(found[0])
        inner, _, label = found[1].partition("|")
        label, (kind, rest) = unescape(label), (inner[:1], inner[1:])
        match kind:
            case "@":
                return f"@{(people(rest) or label or rest).removeprefix('@')}"
            case "#":
                return f"#{(label or channels(rest) or rest).removeprefix('#')}"
            case "!":
                return _special(rest, label)
            case _:
                return _link(unescape(inner), label)

    # Nothing is read twice: what an entity or an escape became is text, whatever it looks like.
    return _ENTITY.sub(entity, _formatted(text))


def _formatted(text: str) -> str:
    """Slack's marks as Markdown's, outside of code and entities."""

    def mark(found: re.Match[str]) -> str:
        if found["block"] and "\n" in found[0]:
            # Slack lets a block begin and end within a line; in Markdown its fences stand alone.
            before, after = text[: found.start()][-1:], text[found.end() :][:1]
            body = found[0][3:-3].strip("\n")
            return "\n" * (before not in {"", "\n"}) + f"```\n{body}\n```" + "\n" * (after not in {"", "\n"})
        if found["indent"] is not None:
            return f"{found['indent']}- "
        if found["bold"] is not None:
            return f"**{_formatted(found['bold'])}**"
        return found[0] if found["struck"] is None else _formatted(found["struck"])

    return _TYPED.sub(mark, text)


def _special(name: str, label: str) -> str:
    kind = name.partition("^")[0]
    if kind in _EVERYONE:
        return f"@{kind}"
    if kind == "subteam":
        return f"@{label.removeprefix('@') or 'group'}"
    return label or unescape(name)


def _link(target: str, label: str) -> str:
    bare = re.sub("^(mailto|tel):", "", target)
    same = {target, bare, re.sub("^https?://", "", target), re.sub("^https?://", "", target).rstrip("/")}
    return bare if not label or label in same else f"{label} ({bare})"
