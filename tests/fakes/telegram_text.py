"""How Telegram reads a text: HTML into entities, and what it makes live in plain text."""

from dataclasses import dataclass
import re
from urllib.parse import urlsplit

TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "code": "code", "pre": "pre",
    "a": "text_link", "blockquote": "blockquote", "tg-spoiler": "spoiler", "span": "spoiler",
    "tg-emoji": "custom_emoji",
}  # fmt: skip
SPACES = " \t\r\n\v\0"
DOMAINS = "com|org|net|io|me|app|dev|de|uk|fr|eu|info|biz|shop|store|ru|es|it|nl|ch|at|co|tv|ai"
URL_ENDS = ".,:;?!'\")]}>»"


class Unparsable(Exception):
    """The reason, as Telegram words it after "can't parse entities: "."""


@dataclass
class Entity:
    type: str
    offset: int  # in UTF-16 units, as on the wire
    length: int
    url: str = ""
    user_id: int = 0
    language: str = ""
    emoji: str = ""
    auto: bool = False  # found by Telegram in plain text
    text: str = ""

    @property
    def live(self) -> bool:
        """A tap on it leads somewhere or calls somebody."""
        return self.type in {"text_link", "text_mention", "url", "mention", "email", "bot_command"}


@dataclass
class Formatted:
    text: str
    entities: list[Entity]


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, offset: int, length: int) -> str:
    return text.encode("utf-16-le", "surrogatepass")[offset * 2 : (offset + length) * 2].decode(
        "utf-16-le", "replace"
    )


def clean(text: str) -> str:
    """Without the characters that Telegram takes out of every text."""
    text = text.replace("\r", "")
    text = re.sub(r"[\x00-\x09\x0b-\x1f]", " ", text)
    return re.sub(r"[\u2028-\u202e]", "", text)


def checked_link(url: str) -> str:
    """The link as Telegram takes it, or nothing."""
    url = url.strip()
    scheme = url.partition(":")[0].lower()
    if scheme in {"tg", "ton", "tonsite"}:
        return url
    if "://" not in url:
        if ":" in url.partition("/")[0] and not re.match(r"[\w.-]+:\d+(/|$)", url):
            return ""
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in {"http", "https"} or re.search(r"\s", host):
        return ""
    if "." not in host.strip(".") and ":" not in host:
        return ""
    return url if parts.path or parts.query or parts.fragment else f"{url}/"


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.out: list[str] = []
        self.size = 0
        self.open: list[tuple[str, str, int, int]] = []  # tag, argument, offset, index into out
        self.entities: list[Entity] = []

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.source[at] if at < len(self.source) else "\0"

    def byte(self, at: int) -> int:
        return len(self.source[:at].encode("utf-8", "surrogatepass"))

    def put(self, text: str) -> None:
        self.out.append(text)
        self.size += units(text)

    def reference(self) -> str | None:
        """The character of a reference like &lt; or &#33; and past it; nothing if it is none."""
        found = re.compile(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(lt|gt|amp|quot)(?![A-Za-z]));?").match(
            self.source, self.at
        )
        if found is None:
            return None
        named = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
        if found[3]:
            char = named[found[3]]
        else:
            code = int(found[1], 16) if found[1] else int(found[2])
            if code == 0 or code >= 0x10FFFF or len(found[0].rstrip(";")) >= 10:
                return None
            if 0xD800 <= code <= 0xDFFF:
                raise Unparsable(
                    "Text contains invalid Unicode characters after decoding HTML entities, check for unmatched "
                    "surrogate code units"
                )
            char = chr(code)
        self.at = found.end()
        return char

    def run(self) -> Formatted:
        while self.at < len(self.source):
            char = self.peek()
            if char == "&" and (found := self.reference()) is not None:
                self.put(found)
            elif char != "<":
                self.put(char)
                self.at += 1
            elif self.peek(1) == "/":
                self.end_tag()
            else:
                self.start_tag()
        if self.open:
            raise Unparsable(f"Can't find end tag corresponding to start tag {self.open[-1][0]}")
        return Formatted("".join(self.out), self.entities)

    def word(self, stops: str) -> str:
        begin = self.at
        while self.peek() not in SPACES + stops:
            self.at += 1
        return self.source[begin : self.at]

    def spaces(self) -> None:
        while self.at < len(self.source) and self.peek() in SPACES:
            self.at += 1

    def start_tag(self) -> None:
        begin = self.byte(self.at)
        self.at += 1
        tag = self.word(">").lower()
        if self.at >= len(self.source):
            raise Unparsable(f"Unclosed start tag at byte offset {begin}")
        if tag not in TAGS:
            raise Unparsable(f'Unsupported start tag "{tag}" at byte offset {begin}')
        argument = ""
        while self.peek() != ">":
            self.spaces()
            if self.peek() == ">":
                break
            name = self.word(">=")
            if not name:
                raise Unparsable(f'Empty attribute name in the tag "{tag}" at byte offset {begin}')
            self.spaces()
            if self.peek() != "=":
                if tag == "blockquote" and name == "expandable":
                    argument = name
                    continue
                raise Unparsable(
                    f'Expected equal sign in declaration of an attribute of the tag "{tag}" at byte offset {begin}'
                )
            self.at += 1
            self.spaces()
            if self.at >= len(self.source):
                raise Unparsable(f'Unclosed start tag "{tag}" at byte offset {begin}')
            value = self.value()
            if self.at >= len(self.source):
                raise Unparsable(f"Unclosed start tag at byte offset {begin}")
            if (tag, name) in {("a", "href"), ("tg-emoji", "emoji-id")}:
                argument = value
            elif (tag, name) == ("code", "class") and value.startswith("language-"):
                argument = value.removeprefix("language-")
            elif (tag, name) == ("span", "class") and value.startswith("tg-"):
                argument = value.removeprefix("tg-")
        if tag == "span" and argument != "spoiler":
            raise Unparsable(f'Tag "span" must have class "tg-spoiler" at byte offset {begin}')
        self.at += 1
        self.open.append((tag, argument, self.size, len(self.out)))

    def value(self) -> str:
        quote = self.peek()
        if quote not in "'\"":
            begin = self.at
            while re.match(r"[A-Za-z0-9.-]", self.peek()):
                self.at += 1
            if self.peek() not in SPACES + ">":
                raise Unparsable(f"Unexpected end of name token at byte offset {self.byte(begin)}")
            return self.source[begin : self.at].lower()
        self.at += 1
        found = ""
        while self.at < len(self.source) and self.peek() != quote:
            char = self.reference() if self.peek() == "&" else None
            if char is None:
                char = self.peek()
                self.at += 1
            found += char
        self.at += 1
        return found

    def end_tag(self) -> None:
        begin = self.byte(self.at)
        if not self.open:
            raise Unparsable(f"Unexpected end tag at byte offset {begin}")
        self.at += 2
        name = self.word(">").lower()
        self.spaces()
        if self.peek() != ">":
            raise Unparsable(f"Unclosed end tag at byte offset {begin}")
        self.at += 1
        tag, argument, offset, index = self.open[-1]
        if name and name != tag:
            raise Unparsable(
                f'Unmatched end tag at byte offset {begin}, expected "</{tag}>", found "</{name}>"'
            )
        self.open.pop()
        if self.size > offset:
            self.close(tag, argument, Entity(TAGS[tag], offset, self.size - offset), index)

    def close(self, tag: str, argument: str, entity: Entity, index: int) -> None:
        last = self.entities[-1] if self.entities else None
        same = last is not None and (last.offset, last.length) == (entity.offset, entity.length)
        if tag == "a":
            url = argument or "".join(self.out[index:])
            user = re.fullmatch(r"tg:(?://)?user\?id=(\d+)", url.strip(), re.IGNORECASE)
            if user:
                entity.type, entity.user_id = "text_mention", int(user[1])
            elif not (url := checked_link(url)):
                return
            else:
                entity.url = url
        elif tag == "tg-emoji":
            if not argument.isdigit() or int(argument) == 0:
                raise Unparsable("Invalid custom emoji identifier specified")
            entity.emoji = argument
        elif tag == "blockquote" and argument:
            entity.type = "expandable_blockquote"
        elif tag == "pre" and last is not None and same and last.type == "code" and last.language:
            last.type = "pre"
            return
        elif tag == "code":
            if last is not None and same and last.type == "pre" and argument:
                last.language = argument
                return
            entity.language = argument
        self.entities.append(entity)


def parse_html(source: str) -> Formatted:
    """The text a person sees and what is marked in it; raises `Unparsable`."""
    formatted = _Parser(source).run()
    for entity in formatted.entities:
        if entity.type == "code":
            entity.language = ""
    return formatted


def trimmed(formatted: Formatted) -> Formatted:
    """Without space at either end, and with the entities that are left."""
    text = formatted.text.lstrip()
    dropped = units(formatted.text) - units(text)
    text = text.rstrip()
    size = units(text)
    kept = []
    for entity in formatted.entities:
        begin = max(entity.offset - dropped, 0)
        end = min(entity.offset - dropped + entity.length, size)
        if end > begin and cut(text, begin, end - begin).strip():
            entity.offset, entity.length = begin, end - begin
            kept.append(entity)
    fixed = [e for e in kept if e.type in {"pre", "code"}]
    kept = [e for e in kept if e in fixed or not any(_inside(e, f) for f in fixed)]
    return Formatted(text, sorted(kept, key=lambda e: (e.offset, -e.length)))


def _inside(entity: Entity, other: Entity) -> bool:
    return (
        other.offset < entity.offset + entity.length
        and entity.offset < other.offset + other.length
        and entity.type not in {"blockquote", "expandable_blockquote"}
    )


_LIVE = (
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}(?!\w)")),
    ("url", re.compile(r"(?<!\w)(?:tg|ton|tonsite)://[\w?=&./%#@:+-]+", re.IGNORECASE)),
    ("url", re.compile(r"(?<!\w)https?://[^\s<>\"«»]+", re.IGNORECASE)),
    ("url", re.compile(rf"(?<![\w@./-])(?:[\w-]+\.)+(?:{DOMAINS})(?![\w.-]*\w)(?:[/?#][^\s<>\"«»]*)?", re.IGNORECASE)),
    ("mention", re.compile(r"(?<![\w/@.])@[A-Za-z0-9_]{4,32}(?!\w)")),
    ("bot_command", re.compile(r"(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/<>])")),
    ("hashtag", re.compile(r"(?<![\w/])#(?=\w*[^\W\d])\w{1,256}")),
)  # fmt: skip


def with_live(formatted: Formatted) -> Formatted:
    """With what Telegram finds by itself: addresses, mentions, commands, hashtags."""
    text = formatted.text
    taken = [
        (e.offset, e.offset + e.length)
        for e in formatted.entities
        if e.type in {"code", "pre", "text_link", "text_mention", "url", "mention"}
    ]
    found = list(formatted.entities)
    for kind, pattern in _LIVE:
        for match in pattern.finditer(text):
            part = match[0].rstrip(URL_ENDS) if kind == "url" else match[0]
            if kind == "url" and not checked_link(part):
                continue
            begin = units(text[: match.start()])
            end = begin + units(part)
            if all(end <= b or begin >= e for b, e in taken):
                taken.append((begin, end))
                found.append(Entity(kind, begin, end - begin, auto=True))
    for entity in found:
        entity.text = cut(text, entity.offset, entity.length)
    return Formatted(text, sorted(found, key=lambda e: (e.offset, -e.length)))
