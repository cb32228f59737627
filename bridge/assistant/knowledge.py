"""The business's own pages, Markdown files in a folder, split by headings and found by full-text search."""

from collections.abc import Iterator
from functools import lru_cache
import math
from pathlib import Path
import re
import sqlite3

from msgspec import Struct

from bridge.errors import ConfigError

LONGEST = 1_500  # characters of a passage
MOST_WORDS = 60  # of a question
LONG_WORD = 6  # letters
ENOUGH = 0.5  # of a question's weight must be found in a passage

_BEGINS_SOMETHING = re.compile(r"\s*(?:[-*+>|#]|\d+[.)]\s|```|~~~)| {4}|\t")
_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*\s*")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_FENCE = ("```", "~~~")

_SMALL = frozenset(Path(__file__).with_name("small_words.txt").read_text("utf-8").split())


class Passage(Struct, frozen=True, kw_only=True):
    """A part of a page. `page` is the page's title, `heading` that of the part; empty at the page's top."""

    page: str
    heading: str
    text: str

    @property
    def title(self) -> str:
        return f"{self.page}: {self.heading}" if self.heading else self.page


class Knowledge:
    """An index in memory; made once, asked often."""

    def __init__(self, passages: list[Passage]) -> None:
        self.passages = passages
        self._rows = lru_cache(maxsize=1_000)(self._search)
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(
            "CREATE VIRTUAL TABLE passage USING fts5(page, heading, text, "
            "tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        self._db.executemany(
            "INSERT INTO passage (rowid, page, heading, text) VALUES (?, ?, ?, ?)",
            [(i, p.page, p.heading, p.text) for i, p in enumerate(passages)],
        )

    @classmethod
    def load(cls, folder: Path) -> "Knowledge":
        """Every Markdown file below `folder`."""
        if not folder.is_dir():
            raise ConfigError([f"assistant.knowledge: there is no folder {folder}"])
        passages: list[Passage] = []
        for path in sorted(folder.rglob("*.md")):
            try:
                passages += split(path.read_text("utf-8-sig"), name=path.stem)
            except UnicodeDecodeError:
                raise ConfigError([f"assistant.knowledge: {path} is not UTF-8; save it as UTF-8"]) from None
        if not passages:
            raise ConfigError([f"assistant.knowledge: {folder} holds no Markdown file with text in it"])
        return cls(passages)

    def close(self) -> None:
        self._db.close()

    @property
    def pages(self) -> list[str]:
        """The titles of all pages, each once."""
        return list(dict.fromkeys(p.page for p in self.passages))

    def search(self, question: str, *, limit: int = 4, enough: float = ENOUGH) -> list[Passage]:
        """The passages that answer `question`, the best first; none where too little of it is known.

        Rare words weigh more, and in a heading more again. Among equals, a heading that shares
        the question's small words goes first (“How to return something”), then a page's top, then bm25.
        """
        words = _words(question)[:MOST_WORDS]
        found = {word: self._rows(_match(word)) for word in words if not _is_small(word)}
        weights = {word: math.log(1 + len(self.passages) / (len(rows) + 0.5)) for word, rows in found.items()}
        least = enough * sum(weights.values())
        places: list[tuple[float, int, bool, int, int]] = []
        for position, row in enumerate(self._ranked(found)):
            known = sum(weights[word] for word, rows in found.items() if row in rows)
            if known >= least:
                places.append((*self._place(row, words, weights), position, row))
        return [self.passages[row] for *_, row in sorted(places)[:limit]]

    def _place(self, row: int, words: list[str], weights: dict[str, float]) -> tuple[float, int, bool]:
        weight = 0.0
        for word, carries in weights.items():
            in_text = row in self._rows(_match(word))
            in_heading = row in self._rows(f"heading : {_match(word)}")
            in_page = row in self._rows(f"page : {_match(word)}")
            weight += carries * (in_text + 2 * in_heading + in_page)
        heading = self.passages[row].heading
        shared = len(set(_words(heading)) & {word for word in words if word not in weights})
        return -round(weight, 6), -shared, bool(heading)

    def _ranked(self, found: dict[str, frozenset[int]]) -> list[int]:
        """The rows with any of the words, by bm25."""
        if not found:
            return []
        rows = self._db.execute(
            "SELECT rowid FROM passage WHERE passage MATCH ? ORDER BY bm25(passage, 3.0, 4.0, 1.0)",
            (" OR ".join(map(_match, found)),),
        )
        return [row for (row,) in rows]

    def _search(self, match: str) -> frozenset[int]:
        rows = self._db.execute("SELECT rowid FROM passage WHERE passage MATCH ?", (match,))
        return frozenset(row for (row,) in rows)


def terms(question: str) -> list[str]:
    """The words of a question that carry it."""
    return [word for word in _words(question) if not _is_small(word)]


def _is_small(word: str) -> bool:
    return word in _SMALL or word.removesuffix("s") in _SMALL


def _words(question: str) -> list[str]:
    words = (match[0].replace("’", "'").removesuffix("'s") for match in _WORD.finditer(question.casefold()))
    return list(dict.fromkeys(words))


def _match(word: str) -> str:
    """A long word also finds those that begin with its stem: “deliver” finds “delivery”."""
    quoted = '"' + word.replace('"', '""') + '"'
    return f"{quoted}*" if len(word) >= LONG_WORD else quoted


# --- splitting -----------------------------------------------------------------------------------


def split(markdown: str, *, name: str) -> Iterator[Passage]:
    """A page's passages: the text under each heading, in parts where it is long."""
    page = name.replace("-", " ").replace("_", " ").capitalize()
    heading = ""
    lines: list[str] = []
    fence = ""
    for line in markdown.splitlines():
        mark = line.lstrip()[:3]
        if mark in _FENCE and fence in {"", mark}:
            fence = "" if fence else mark
        match = None if fence else _HEADING.fullmatch(line)
        if match is None:
            if not fence and lines and _is_soft_break(lines[-1], line):
                lines[-1] += f" {line.strip()}"
            else:
                lines.append(line)
            continue
        yield from _passages(page, heading, lines)
        lines = []
        if len(match[1]) == 1:
            page, heading = match[2], ""
        else:
            heading = match[2]
    yield from _passages(page, heading, lines)


def _is_soft_break(before: str, line: str) -> bool:
    """Whether `line` goes on with the sentence before (CommonMark, section 6.8)."""
    if not before.strip() or before.endswith(("  ", "\\")) or before.lstrip()[:3] in _FENCE:
        return False
    return bool(line.strip()) and not _BEGINS_SOMETHING.match(line) and not before.lstrip().startswith("|")


def _passages(page: str, heading: str, lines: list[str]) -> Iterator[Passage]:
    part = ""
    for block in blocks("\n".join(lines)):
        if part and len(part) + len(block) > LONGEST:
            yield Passage(page=page, heading=heading, text=part)
            part = ""
        part = f"{part}\n\n{block}" if part else block
    if part:
        yield Passage(page=page, heading=heading, text=part)


def blocks(text: str) -> list[str]:
    """Paragraphs and lists, as blank lines part them."""
    return [block.strip("\n") for block in re.split(r"\n\s*\n", text) if block.strip()]
