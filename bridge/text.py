"""What a text may hold: made safe to store and to show, but never normalised. Pure."""

from functools import lru_cache
import re
import unicodedata

MAX_MARKS = 8  # combining marks on one base character

_VISIBLE_ASCII = re.compile(r"[!-~]")
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that show as nothing
_SPACE = frozenset("\t\n\v\f\r\x85")
_FORMAT = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_UNSEEN = frozenset(
    map(chr, (0x34F, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
_TWINS = str.maketrans("ɪl1ıіιаαɑѕтτ", "iiiiiiaaastt")  # letters that pass for those of a reserved name


def clean_text(text: str) -> str:
    """Drop NUL, and combining marks beyond what any script needs; lone surrogates become U+FFFD.

    A text that would show as nothing becomes empty. Joiners stay: emoji and many scripts need them.
    """
    if text.isascii():
        text = text.replace("\0", "")
        return text if _VISIBLE_ASCII.search(text) else ""
    kept: list[str] = []
    marks = 0
    visible = False
    for char in text:
        if char == "\0":
            continue
        kind = unicodedata.category(char)
        if kind in ("Mn", "Me"):
            marks += 1
            if marks > MAX_MARKS:
                continue
        elif kind == "Cs":
            char, marks, visible = "\ufffd", 0, True  # noqa: PLW2901
        elif kind != "Cf":  # a joiner is no new base
            marks = 0
            visible = visible or _shows(char, kind)
        kept.append(char)
    return "".join(kept) if visible else ""


def _shows(char: str, kind: str) -> bool:
    """Unassigned characters count: they are the emoji of a later Unicode, unless set aside for controls."""
    if kind == "Cn":
        return char < "\ufdd0" or "\U00010000" <= char < "\U000e0000"
    return kind == "Co" or (kind[0] in "LNPS" and char not in _BLANK)


def clean_name(text: str) -> str:
    """A name on one line: no control, bidirectional, zero-width or blank characters; single spaces."""
    text = clean_text(text)
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept: list[str] = []
    for char in text:
        kind = unicodedata.category(char)
        if kind[0] == "Z" or char in _SPACE:
            kept.append(" ")
        elif char not in _BLANK and (kind not in _FORMAT or (kind == "Cn" and _shows(char, kind))):
            kept.append(char)
    return " ".join("".join(kept).split())


@lru_cache(maxsize=1024)
def likeness(name: str) -> str:
    """Equal for names that people would take for one another: case, width, spacing and punctuation aside."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMNS" and c not in _UNSEEN) or folded


def passes_for(name: str, reserved: str) -> bool:
    """Whether `name` would be read as `reserved`: also past accents and letters that look alike."""
    return _bare(name) == _bare(reserved)


@lru_cache(maxsize=1024)
def _bare(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name).casefold().translate(_TWINS)
    return "".join(c for c in folded if c.isalnum())
