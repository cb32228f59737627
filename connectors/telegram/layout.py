"""How cards, messages and titles look in Telegram. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from urllib.parse import urlsplit

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bridge.events import Seq
from connectors.spans import units
from connectors.telegram.html import LIMIT, TOPIC, Part, Style, parts, plainly
from connectors.threads.board import Piece
from connectors.threads.card import LABELS, TAKE_AND_SEND, Action, Card, elapsed
from connectors.threads.desk import Offer
from connectors.threads.shown import Call, Notice, Role, Shown, Speech

NAME = 80  # units of a name in a heading
WORDS = 1500  # of the visitor's first words on a card
ROOM = 400  # units that a heading and what follows a text may take

_ROWS: tuple[tuple[Action, ...], ...] = (("back", "take"), ("observe", "link"), ("close",))


def line(text: str, *, limit: int, tag: str = "") -> Part:
    """Anybody's words on one line, all in one style."""
    plain = plainly(text, limit=limit)
    html = escape(plain, quote=False)
    return Part(html=f"<{tag}>{html}</{tag}>" if tag and html else html, plain=plain)


def block(*lines: Part, between: str = "\n") -> Part:
    shown = [one for one in lines if one.plain]
    return Part(html=between.join(p.html for p in shown), plain=between.join(p.plain for p in shown))


# The card


def title(card: Card) -> str:
    """The topic's name, cut at its end: who and how it stands come first."""
    visitor = plainly(card.visitor, limit=40)
    return plainly(" · ".join(filter(None, (visitor, card.state, place(card.page)))), limit=TOPIC)


def place(page: str) -> str:
    """Where the page is, without what its query may tell."""
    try:
        parts_ = urlsplit(page)
        return f"{parts_.hostname or ''}{parts_.path.rstrip('/')}"
    except ValueError:
        return ""


def card_message(card: Card, *, now: datetime) -> Part:
    whose = line(card.visitor, limit=NAME, tag="b")
    where = " · ".join(filter(None, (card.page_title, place(card.page))))
    quoted = parts(card.words, limit=WORDS, style="none")
    first = quoted[0] if quoted else Part(html="", plain="")
    if len(quoted) > 1:
        first = Part(html=f"{first.html} …", plain=f"{first.plain} …")
    return block(
        Part(
            html=f"{whose.html} · {line(card.business, limit=NAME).html}",
            plain=f"{whose.plain} · {plainly(card.business, limit=NAME)}",
        ),
        line(where, limit=300),
        Part(html=f"\n{first.html}\n", plain=f"\n{first.plain}\n") if first.plain else first,
        *_state(card, now),
    )


def _state(card: Card, now: datetime) -> Iterable[Part]:
    if card.stage == "ended":
        yield line("The conversation has ended.", limit=NAME, tag="b")
    else:
        yield line(f"Answering: {card.answering}", limit=NAME + 20, tag="b")
    if card.watching:
        yield line(f"Watching: {', '.join(card.watching)}", limit=300)
    if card.waiting_since is not None:
        whom = "a person" if card.stage == "wanted" else "an answer"
        yield line(f"The visitor waits for {whom}: {elapsed(card.waiting_since, now)}", limit=NAME, tag="b")


def card_buttons(card: Card) -> InlineKeyboardMarkup:
    rows = [
        [InlineKeyboardButton(LABELS[a], callback_data=f"{a}|{card.since}") for a in row if a in card.buttons]
        for row in _ROWS
    ]
    return InlineKeyboardMarkup([row for row in rows if row])


def offer_button(offer: Offer) -> InlineKeyboardMarkup:
    data = f"send|{offer.seq}|{offer.since}"
    return InlineKeyboardMarkup([[InlineKeyboardButton(TAKE_AND_SEND, callback_data=data)]])


def pressed(data: str) -> tuple[Action, Seq] | Offer | None:
    """What a button of ours carries; None for anything else."""
    kind, *numbers = data.split("|")
    if not all(n.isascii() and n.isdigit() and len(n) < 19 for n in numbers):
        return None
    match kind, [Seq(int(n)) for n in numbers]:
        case "take" | "back" | "observe" | "link" | "close" as action, [since]:
            return action, since
        case "send", [seq, since]:
            return Offer(seq=seq, since=since)
        case _:
            return None


# Messages


def pieces(
    group: Sequence[Shown], *, on_duty: Sequence[Sequence[int]], names: Mapping[int, str]
) -> list[Piece]:
    """The messages that show `group`, as few as they fit into."""
    found: list[Piece] = []
    for shown in group:
        for part in _parts(shown, on_duty, names):
            last = found[-1] if found else None
            if last is not None and units(last.plain) + units(part.plain) + 2 <= LIMIT and len(group) > 1:
                both = block(Part(html=last.text, plain=last.plain), part, between="\n\n")
                loud = shown if _loud(shown) and not _loud(last.shown) else last.shown
                found[-1] = Piece(text=both.html, plain=both.plain, shown=loud)
            else:
                found.append(Piece(text=part.html, plain=part.plain, shown=shown))
    return found


def _loud(shown: Shown) -> bool:
    return isinstance(shown, Call) or (isinstance(shown, Speech) and shown.role == "visitor")


def _parts(shown: Shown, on_duty: Sequence[Sequence[int]], names: Mapping[int, str]) -> list[Part]:
    match shown:
        case Notice(text=text):
            return [line(text, limit=1000, tag="i")]
        case Call(text=text):
            return [block(line(text, limit=1000, tag="b"), _mentions(shown, on_duty, names))]
        case Speech():
            return _speech(shown)


# What a visitor or a model writes must look neither like a heading nor like a line of ours.
_STYLES: dict[Role, Style] = {"visitor": "none", "assistant": "inline", "staff": "full"}


def _speech(speech: Speech) -> list[Part]:
    heading = line(_heading(speech), limit=NAME + 30, tag="b")
    if speech.text is None:
        return [block(heading, line("taken back", limit=NAME, tag="i"))]
    style = _STYLES[speech.role]
    first, *others = parts(speech.text, limit=LIMIT - ROOM, style=style) or [Part(html="…", plain="…")]
    found = [block(heading, first), *others]
    if speech.changed:
        found[-1] = block(found[-1], line("(edited)", limit=NAME, tag="i"), between=" ")
    return found


def _heading(speech: Speech) -> str:
    """Who says it, and in what part; a name cannot pose as another part."""
    name = plainly(speech.name.replace("·", "-"), limit=NAME)
    match speech.kind, speech.role:
        case "note", _:
            return f"{name} · note, team only"
        case "guidance", _:
            return f"{name} · guidance for the AI, team only"
        case _, "visitor":
            return f"{name} · visitor"
        case _, "staff":
            return f"{name} · to the visitor"
        case _:
            return name


def _mentions(call: Call, on_duty: Sequence[Sequence[int]], names: Mapping[int, str]) -> Part:
    """Whoever is on duty: the only mentions there are, of ids that the configuration names."""
    groups = on_duty if call.last else on_duty[min(call.step, len(on_duty) - 1) :][:1]
    found = [(user, line(names.get(user) or "On duty", limit=NAME)) for group in groups for user in group]
    return Part(
        html=", ".join(f'<a href="tg://user?id={user}">{name.html}</a>' for user, name in found),
        plain=", ".join(name.plain for _, name in found),
    )
