"""What things look like in Slack: cards, messages and ephemeral words as text and blocks. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, assert_never

from msgspec import Struct, json

from bridge.conversation import ASSISTANT_NAME
from bridge.events import ConversationId
from connectors.slack.mrkdwn import mrkdwn, plainly
from connectors.text import shorten
from connectors.threads.board import Piece
from connectors.threads.card import LABELS, TAKE_AND_SEND, Action, Card, elapsed
from connectors.threads.desk import Offer
from connectors.threads.shown import Call, Notice, Shown, Speech

Json = dict[str, Any]

LIMIT = 2_900  # characters of a message's text as sent; a section takes 3,000
LINE = 1_400  # of a line of our own, which may share such a place with another
FIELD = 1_900  # of a fact on a card; a field takes 2,000
QUOTE = 1_400  # of a part of quoted words, each line of which gets two more in front
QUOTED = 4  # sections of a card for the visitor's first words
FALLBACK = 3_000

TAKEN_BACK = "_taken back_"
EDITED = "_(edited)_"
CROWD = Notice(text="")  # several voices in one message are nobody's: the app itself posts it
GUIDE = "guide"

_ICONS = {
    "visitor": ":bust_in_silhouette:",
    "assistant": ":robot_face:",
    "staff": ":headphones:",
    "note": ":lock:",
    "guidance": ":compass:",
}


class Press(Struct, frozen=True, kw_only=True):
    """What a button of a card carries."""

    cid: ConversationId
    since: int


class Send(Struct, frozen=True, kw_only=True):
    """What the button of an offer carries; `ts` is the member's own message."""

    cid: ConversationId
    seq: int
    since: int
    ts: str


# Messages


def speaker(speech: Speech) -> str:
    """Who says it, and in what part; a name cannot pose as another part."""
    name = shorten(speech.name.replace("·", "-"), 50)
    match speech.kind, speech.role:
        case "note", _:
            return f"{name} · note (team only)"
        case "guidance", _:
            return f"{name} · guidance to the AI"
        case _, "visitor":
            return f"{name} · visitor"
        case _, "assistant":
            return ASSISTANT_NAME
        case _:
            return f"{name} · team"


def pieces(group: Sequence[Shown], *, on_duty: Sequence[Sequence[str]]) -> list[Piece]:
    """The messages that show `group`."""
    if len(group) == 1:
        return [Piece(text=text, plain=text, shown=group[0]) for text in _texts(group[0], on_duty=on_duty)]
    texts = _together([line for seen in group for line in _lines(seen)])
    return [Piece(text=text, plain=text, shown=CROWD) for text in texts]


def _texts(seen: Shown, *, on_duty: Sequence[Sequence[str]], limit: int = LIMIT) -> list[str]:
    match seen:
        case Speech(text=text, changed=changed):
            if text is None:
                return [TAKEN_BACK]
            parts = mrkdwn(text, limit=limit) or ["…"]
            if changed:
                parts[-1] += ("\n" if parts[-1].endswith("```") else " ") + EDITED
            return parts
        case Notice(text=text):
            return [_brief(text)]
        case Call(text=text):
            return [f"{mentions(on_duty, step=seen.step, last=seen.last)} {_brief(text)}".strip()]
        case _ as never:
            assert_never(never)


def _lines(seen: Shown) -> list[str]:
    """For the past, which mentions nobody again."""
    texts = _texts(seen, on_duty=(), limit=QUOTE)
    if not isinstance(seen, Speech):
        return texts
    whose = f"*{plainly(speaker(seen)).replace('*', '∗')}:*"
    if len(texts) == 1 and "\n" not in texts[0]:
        return [f"{whose} {texts[0]}"]
    first, *others = map(_quoted, texts)  # no line of somebody's words may pass for somebody else's
    return [f"{whose}\n{first}", *others]


def _together(lines: Sequence[str]) -> list[str]:
    """As few messages as take all lines."""
    found: list[str] = []
    for line in lines:
        if found and len(found[-1]) + len(line) < LIMIT:
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


def mentions(on_duty: Sequence[Sequence[str]], *, step: int, last: bool) -> str:
    """Whom a call is for: one group at each step, at last all of them."""
    groups = on_duty if last or not on_duty else on_duty[min(step, len(on_duty) - 1) :][:1]
    return " ".join(dict.fromkeys(_mention(one) for group in groups for one in group))


def _mention(who: str) -> str:
    if who in ("here", "channel"):
        return f"<!{who}>"
    return f"<!subteam^{who}>" if who.startswith("S") else f"<@{who}>"


def post(piece: Piece) -> Json:
    """The arguments of chat.postMessage that are about looks."""
    look: Json = {"text": piece.text, "unfurl_links": False, "unfurl_media": False, "link_names": False}
    match piece.shown:
        case Speech() as speech:
            part = speech.role if speech.kind == "said" else speech.kind
            look |= {"username": speaker(speech), "icon_emoji": _ICONS[part]}
        case Notice(text=text) if text:
            look["blocks"] = [_context(piece.text)]
        case Call():
            look["reply_broadcast"] = True
    return look


# The card


def card(card: Card, cid: ConversationId, *, now: datetime) -> Json:
    """The root of a thread: text for notifications and readers aloud, blocks for eyes."""
    title = f"{shorten(card.visitor, 40)} · {shorten(card.business, 40)} · {shorten(card.state, 50)}"
    quote, more = _quote(card.words)
    facts = _facts(card, now)
    where = [f"Since {_time(card.opened_at)}", f"last activity {_time(card.last_at)}"]
    if card.page:
        where += [" – ".join(filter(None, (_brief(card.page_title, 120), _brief(card.page, 300))))]
    blocks: list[Json] = [
        {"type": "header", "text": _plain(shorten(title, 148))},
        *(_section(part) for part in quote),
        *([_context("The rest of it is in the browser.")] if more else []),
        _context(" · ".join(where)),
        {"type": "section", "fields": [{"type": "mrkdwn", "text": fact} for fact in facts]},
        {"type": "actions", "elements": [_button(action, card, cid) for action in card.buttons]},
    ]
    told = "\n".join((plainly(title), *quote, " · ".join(where), *facts))
    text = told if len(told) <= FALLBACK else "\n".join((plainly(title), *quote[:1], *facts))
    return {"text": text, "blocks": blocks}


def _quote(words: str) -> tuple[list[str], bool]:
    parts = mrkdwn(words, limit=QUOTE) if words else []
    return [_quoted(part) for part in parts[:QUOTED]], len(parts) > QUOTED


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _facts(card: Card, now: datetime) -> list[str]:
    if card.stage == "ended":
        facts = ["*The conversation has ended.*"]
    else:
        facts = [f"*Answering:* {_name(card.answering)}"]
    if card.watching:
        facts.append(f"*Watching:* {_names(card.watching)}")
    if card.waiting_since is not None:
        awaited = "reply" if card.stage == "human" else "person"
        facts.append(f"*Waiting for a {awaited}:* {elapsed(card.waiting_since, now)}")
    return facts


def _button(action: Action, card: Card, cid: ConversationId) -> Json:
    button: Json = {
        "type": "button",
        "action_id": action,
        "text": _plain(LABELS[action]),
        "value": json.encode(Press(cid=cid, since=card.since)).decode(),
    }
    if action == "take" and card.stage != "human":
        button["style"] = "primary"
    if action == "close":
        button |= {"style": "danger", "confirm": {
            "title": _plain("End the conversation?"),
            "text": _plain("The visitor is told that it has ended, and can begin a new one."),
            "confirm": _plain("End it"),
            "deny": _plain("Keep it open"),
            "style": "danger",
        }}  # fmt: skip
    return button


# Words for one person


def offer(text: str, offered: Offer, cid: ConversationId, *, ts: str) -> Json:
    value = json.encode(Send(cid=cid, seq=offered.seq, since=offered.since, ts=ts)).decode()
    button = {
        "type": "button",
        "action_id": "send",
        "style": "primary",
        "text": _plain(TAKE_AND_SEND),
        "value": value,
    }
    return {"text": _words(text), "blocks": [_section(_words(text)), _row(button)]}


def link(url: str) -> Json:
    text = "Your personal link to this conversation. Whoever has it speaks as you."
    button = {"type": "button", "action_id": "open", "text": _plain(LABELS["link"]), "url": url}
    return {"text": text, "blocks": [_section(text), _row(button)]}


def words(text: str) -> Json:
    return {"text": _words(text)}


def guide(about: str) -> Json:
    """The modal for guiding the AI."""
    field = {"type": "plain_text_input", "action_id": "text", "multiline": True, "max_length": 3_000}
    hint = _plain("The visitor does not see it. The AI follows it from its next answer on.")
    return {
        "type": "modal",
        "callback_id": GUIDE,
        "private_metadata": about,
        "title": _plain("Guide the AI"),
        "submit": _plain("Guide"),
        "close": _plain("Cancel"),
        "blocks": [
            {"type": "input", "block_id": "guidance", "label": _plain("What should it do?"), "hint": hint,
             "element": field},
        ],
    }  # fmt: skip


def _words(text: str) -> str:
    return "\n".join(plainly(line) for line in shorten(text, 2_000).splitlines())


def _brief(text: str, limit: int = 1_000) -> str:
    """A line that also fits when nothing in it may stay as it is."""
    told = plainly(shorten(text, limit))
    return told if len(told) <= LINE else _brief(text, limit * 2 // 3)


def _names(people: Sequence[str]) -> str:
    """As many as there is room for."""
    shown = list(accumulate(map(_name, people), "{}, {}".format))
    return [names for names in shown if len(names) <= FIELD][-1]


def _name(name: str) -> str:
    return plainly(shorten(name, 60)).replace("*", "∗")


def _time(at: datetime) -> str:
    """In each reader's own time zone, to the minute: seconds that do not show draw no card."""
    return f"<!date^{int(at.timestamp()) // 60 * 60}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": False}


def _section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> Json:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _row(button: Json) -> Json:
    return {"type": "actions", "elements": [button]}
