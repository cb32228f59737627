"""The values of bridge/web/tokens.css, written out as a mail needs them: mail knows no variables."""

from functools import cache
from importlib.resources import files
import re

_BLOCK = re.compile(r"(?P<head>[^{}]*)\{(?P<body>[^{}]*)\}")
_VALUE = re.compile(r"--(?P<name>[a-z-]+):\s*(?P<value>[^;]+);")


def tokens_css() -> str:
    return files("bridge").joinpath("web/tokens.css").read_text(encoding="utf-8")


@cache
def light() -> dict[str, str]:
    return _read(":root, :host ")


@cache
def dark() -> dict[str, str]:
    """The light values where the dark scheme has none of its own."""
    return light() | _read(':root[data-color-scheme="dark"]')


def _read(selector: str) -> dict[str, str]:
    for block in _BLOCK.finditer(re.sub(r"/\*.*?\*/", "", tokens_css(), flags=re.DOTALL)):
        if block["head"].strip().startswith(selector.strip()):
            return {m["name"].replace("-", "_"): m["value"].strip() for m in _VALUE.finditer(block["body"])}
    raise LookupError(f"tokens.css has no block for {selector}")


def scheme(values: dict[str, str], accent: str) -> dict[str, str]:
    """`values` with the site's accent, mended where it could not be told from the background or be read."""
    if accent.lower() == light()["accent"].lower():
        return values
    seen = _mend(accent, against=values["bg"], ratio=3.0)
    ink = max(("#ffffff", "#000000"), key=lambda c: contrast(seen, c))
    return values | {"accent": seen, "on_accent": ink}


def contrast(one: str, other: str) -> float:
    """As WCAG 2 reckons it, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _mend(colour: str, *, against: str, ratio: float) -> str:
    """`colour`, moved away from `against` as far as it takes."""
    goal = 0 if _luminance(against) > 0.5 else 255
    for step in range(21):
        mixed = "#" + "".join(f"{round(v + (goal - v) * step / 20):02x}" for v in _channels(colour))
        if contrast(mixed, against) >= ratio:
            return mixed
    return colour


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _luminance(colour: str) -> float:
    red, green, blue = (
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for v in (c / 255 for c in _channels(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
