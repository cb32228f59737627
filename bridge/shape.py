"""The shape that JSON from outside must have before a parser builds what it describes. Pure."""

import json  # the only parser that reports duplicate keys
import re

from bridge.errors import FrameError

MAX_DEPTH = 16  # nested arrays and objects
MAX_DIGITS = 16

# Ends at the end of the text where a string is never closed: so that each character is looked at once.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_SURROGATES = re.compile(
    r"\\\\|(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def check_shape(text: str) -> None:
    """Refuse what is no JSON, nests deeply, names a key twice, or holds NaN, Infinity or huge numbers."""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
        json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise FrameError(1008, f"not JSON: {error}") from None


def mend_surrogates(text: str) -> str:
    """JSON whose escaped lone surrogates are U+FFFD; pairs stay."""
    return _SURROGATES.sub(_mended, text) if "\\u" in text else text


def _mended(match: re.Match[str]) -> str:
    return "\\ufffd" if len(match[0]) == len("\\ufffd") else match[0]


def _check_depth(text: str) -> None:
    depth = 0
    for char in _STRINGS.sub("", text):
        if char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise FrameError(1008, f"a frame nests at most {MAX_DEPTH} deep")
        elif char in "]}":
            depth -= 1


def _pairs(items: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(items)
    if len(found) != len(items):
        raise FrameError(1008, "a frame has each key once")
    return found


def _constant(name: str) -> object:
    raise FrameError(1008, f"{name} is not JSON")


def _number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise FrameError(1008, f"a number has at most {MAX_DIGITS} digits")
    return int(digits)
