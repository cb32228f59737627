"""A topic of the local Telegram as a page without scripts, to look at: what was sent, drawn quietly."""

from datetime import UTC, datetime
from html import escape
from itertools import pairwise

from tests.fakes.telegram import Message, Person, TelegramServer, Topic
from tests.fakes.telegram_text import Entity

# Line drawings on a square of 20, for the few emoji that are used here; no font is needed.
_DRAWN = {
    "👍": '<path d="M6.5 9.2V16H4V9.2zM6.5 9.6l3-5.6c1.3 0 1.9.9 1.7 2.1L10.8 8.4h4.1c1 0 1.6.8 1.4 1.7l-1.1 4.6c-.2.8-.8 1.3-1.6 1.3H6.5"/>',
    "✍": '<path d="M4 16l.8-3.4L13.2 4.200a1.5 1.5 0 0 1 2.3 2.300L7.3 15.100zM11.5 16H16"/>',
    "👌": '<path d="M4.5 10.5l3.6 3.6 7.4-8"/>',
    "pin": '<path d="M8 3.500h6l-.8 5 2.3 2.500H6.500L8.8 8.500zM11 11v5.5"/>',
}
_TAGS = {"bold": "b", "italic": "i", "code": "code", "pre": "pre"}

STYLE = """
* { box-sizing: border-box }
body { margin: 0; background: #fff; color: #1d2129; font: 15px/1.42 "Liberation Sans", Arial, sans-serif }
main { display: grid; grid-template-columns: 270px 1fr; min-height: 100vh }
aside { border-inline-end: 1px solid #e1e5ea; background: #fff }
h1, h2 { margin: 0; font-size: 16px; line-height: 24px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
h1 { padding: 13px 18px; border-bottom: 1px solid #e1e5ea }
.entry { padding: 10px 18px; border-bottom: 1px solid #eef1f4 }
.entry.open { background: #e9f1f8 }
.entry p { margin: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; color: #68707c; font-size: 13.5px }
.entry p.name { color: #1d2129; font-size: 14.5px; font-weight: 700 }
.dot { display: inline-block; width: 9px; height: 9px; margin-inline-end: 8px; border-radius: 3px; background: #4f8fc0 }
section { display: flex; flex-direction: column; background: #e8edf1; min-width: 0 }
header { padding: 13px 20px; background: #fff; border-bottom: 1px solid #e1e5ea }
.pinned { display: flex; gap: 10px; align-items: center; padding: 6px 20px; background: #fff; border-bottom: 1px solid #dfe4e9; font-size: 13.5px }
.pinned span { white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
.pinned b { color: #2f6f9f }
.chat { flex: 1; padding: 14px 20px 20px; display: flex; flex-direction: column; gap: 7px }
.service { align-self: center; max-width: 90%; padding: 2px 11px; border-radius: 11px; background: #d3dce4; color: #4a545f; font-size: 12.5px; text-align: center }
article { align-self: flex-start; max-width: 74%; min-width: 130px }
article.again { margin-top: -3px }
article.card { min-width: 330px }
article.own { align-self: flex-end }
.bubble { padding: 7px 12px 6px; border-radius: 12px; background: #fff; box-shadow: 0 1px 1px rgb(30 50 70 / 12%); overflow-wrap: anywhere }
.own .bubble { background: #e2f4d5 }
.who { margin: 0 0 1px; color: #2f6f9f; font-size: 13.5px; font-weight: 700 }
.text { margin: 0; white-space: pre-wrap; display: flow-root }
.quote { margin: 1px 0 4px; padding: 1px 0 1px 9px; border-inline-start: 3px solid #6aa3ce; font-size: 13.5px }
.quote b { display: block; color: #2f6f9f }
.quote span { display: block; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; max-width: 330px }
.foot { display: flex; gap: 8px; align-items: center; justify-content: flex-end; margin-top: 3px; color: #6d7681; font-size: 12px }
.at { float: right; margin: 5px -3px -3px 14px; color: #6d7681; font-size: 12px; line-height: 18px }
.reactions { margin-inline-end: auto; display: flex; gap: 5px }
.reaction { display: inline-flex; align-items: center; gap: 5px; padding: 1px 9px 1px 7px; border-radius: 11px; background: #dcebf7; color: #2f6f9f }
.own .reaction { background: #c8e8b4; color: #35702c }
svg { width: 15px; height: 15px; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round }
.row { display: flex; gap: 4px; margin-top: 4px }
.button { flex: 1; padding: 6px 10px; border-radius: 8px; background: #c9d5df; color: #22384b; font-size: 14px; font-weight: 700; text-align: center }
.live { color: #1b66a8 }
code, pre { font: 13.5px "Liberation Mono", monospace; color: #7a3b2e }
pre { margin: 3px 0; white-space: pre-wrap }
"""


def page_of(server: TelegramServer, topic: Topic, *, reader: Person, chat: int | None = None) -> str:
    """The group as `reader` has it open: its topics, and this one."""
    draw = _Drawing(server, reader, server.chat_id if chat is None else chat)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}"><title>Topic</title>'
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head>'
        f"<body><main>{draw.topics(topic)}{draw.topic(topic)}</main></body></html>"
    )


class _Drawing:
    def __init__(self, server: TelegramServer, reader: Person, chat: int) -> None:
        self._server = server
        self._reader = reader
        self._chat = chat

    def topics(self, opened: Topic) -> str:
        found = [t for t in self._server.topics(self._chat) if not t.deleted]
        entries = "".join(self._entry(t, opened) for t in sorted(found, key=self._last, reverse=True))
        return f"<aside><h1>{escape(self._server.chat(self._chat).title)}</h1>{entries}</aside>"

    def _last(self, topic: Topic) -> int:
        return max(m.id for m in self._server.chat(self._chat).messages.values() if m.thread == topic.id)

    def _entry(self, topic: Topic, opened: Topic) -> str:
        last = self._server.topic_messages(topic.id, chat=self._chat)[-1]
        words = escape(f"{last.sender.first_name}: {' '.join(last.shown.split())}")
        css = " open" if topic is opened else ""
        return f'<div class="entry{css}"><p class="name"><span class="dot"></span>{escape(topic.name)}</p><p>{words}</p></div>'

    def topic(self, topic: Topic) -> str:
        everything = self._server.chat(self._chat).messages.values()
        here = [m for m in everything if m.thread == topic.id and not m.deleted]
        pinned = next((m for m in here if m.pinned), None)
        bar = ""
        if pinned is not None:
            words = escape(" · ".join(line for line in pinned.shown.splitlines() if line))
            bar = f'<div class="pinned">{_svg("pin")}<span><b>Pinned</b> &nbsp;{words}</span></div>'
        body, before = "", None
        for message in here:
            again = message.sender is before and not message.service
            body += self._service(message) if message.service else self._message(message, again=again)
            before = None if message.service else message.sender
        return f'<section><header><h2>{escape(topic.name)}</h2></header>{bar}<div class="chat">{body}</div></section>'

    def _service(self, message: Message) -> str:
        who, service = message.sender.first_name, message.service or {}
        match next(iter(service)):
            case "forum_topic_created":
                words = f"{who} created the topic “{service['forum_topic_created']['name']}”"
            case "forum_topic_edited":
                words = f"{who} renamed the topic “{service['forum_topic_edited']['name']}”"
            case "pinned_message":
                words = f"{who} pinned a message"
            case "forum_topic_closed":
                words = f"{who} closed the topic"
            case "forum_topic_reopened":
                words = f"{who} reopened the topic"
            case kind:
                raise AssertionError(f"no drawing of {kind}")
        return f'<div class="service">{escape(words)}</div>'

    def _message(self, message: Message, *, again: bool) -> str:
        own = message.sender is self._reader
        who = "" if own or again else f'<p class="who">{escape(message.sender.first_name)}</p>'
        rows = "".join(
            f'<div class="row">{"".join(f"<span class=button>{escape(b.text)}</span>" for b in row)}</div>'
            for row in message.rows
        )
        at, foot = self._foot(message)
        words = f'<div class="text">{marked(message.shown, message.entities)}{at}</div>'
        css = " ".join(["own"] * own + ["again"] * again + ["card"] * (len(message.rows) > 1))
        bubble = f'<div class="bubble">{who}{self._quote(message)}{words}{foot}</div>'
        return f'<article class="{css}">{bubble}{rows}</article>'

    def _quote(self, message: Message) -> str:
        above = self._server.chat(self._chat).find(message.reply_to)
        if above is None or above.service is not None:
            return ""
        words = escape(" ".join(above.shown.split()))
        return f'<div class="quote"><b>{escape(above.sender.first_name)}</b><span>{words}</span></div>'

    def _foot(self, message: Message) -> tuple[str, str]:
        """The time beside the last words; under them, where there are reactions."""
        edited = "edited " if message.edited and not message.rows else ""
        at = f"{edited}{datetime.fromtimestamp(message.date, UTC):%H:%M}"
        if not message.reactions:
            return f'<span class="at">{at}</span>', ""
        chips = "".join(
            f'<span class="reaction">{_svg(emoji)}{escape(self._server.world.people[who].first_name)}</span>'
            for who, emoji in message.reactions.items()
        )
        return "", f'<div class="foot"><span class="reactions">{chips}</span><span>{at}</span></div>'


def marked(text: str, entities: list[Entity]) -> str:
    """The text as HTML with its entities, which may lie in one another."""
    wire = text.encode("utf-16-le")
    edges = sorted(
        {0, len(wire) // 2, *(e.offset for e in entities), *(e.offset + e.length for e in entities)}
    )
    found = []
    for start, end in pairwise(edges):
        words = escape(wire[2 * start : 2 * end].decode("utf-16-le"))
        for entity in entities:
            if entity.offset <= start and end <= entity.offset + entity.length:
                tag = _TAGS.get(entity.type)
                words = f"<{tag}>{words}</{tag}>" if tag else f'<span class="live">{words}</span>'
        found.append(words)
    return "".join(found)


def _svg(name: str) -> str:
    return (
        f'<svg viewBox="0 0 20 20" aria-hidden="true">{_DRAWN[name]}</svg>'
        if name in _DRAWN
        else escape(name)
    )
