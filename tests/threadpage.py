"""A thread of the local Slack as a page without scripts, to look at: what was posted, drawn quietly."""

from datetime import UTC, datetime
from html import escape, unescape
import re

from tests.fakes.slack import Slack
from tests.fakes.slack_state import Ephemeral, Message, Shown
from tests.fakes.slack_text import Json

_ENTITY = re.compile(r"<([^<>\n]*)>")
_MARKS = re.compile(
    r"```\n?(?P<block>.+?)\n?```"
    r"|`(?P<code>[^`\n]+)`"
    r"|(?<![\w*])\*(?P<bold>\S(?:[^*\n]*\S)?)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>\S(?:[^_\n]*\S)?)_(?![\w_])"
    r"|(?<![\w~])~(?P<struck>\S(?:[^~\n]*\S)?)~(?![\w~])",
    re.DOTALL,
)

# Line drawings on a square of 20, for the emoji that are used here; no font is needed.
_DRAWN = {
    "bust_in_silhouette": '<circle cx="10" cy="7" r="3.4"/><path d="M3.8 17c.6-3.6 3-5.2 6.2-5.2s5.6 1.6 6.2 5.2"/>',
    "robot_face": (
        '<rect x="4" y="6.5" width="12" height="9" rx="2.4"/><path d="M10 6.5V3.6M2 10v3M18 10v3M8 13h4"/>'
        '<circle class="dot" cx="7.6" cy="10.2" r="1.1"/><circle class="dot" cx="12.4" cy="10.2" r="1.1"/>'
    ),
    "headphones": '<path d="M3.6 13v-2.4a6.4 6.4 0 0 1 12.8 0V13"/><rect x="3" y="11.4" width="3.4" height="5.2" rx="1.4"/><rect x="13.6" y="11.4" width="3.4" height="5.2" rx="1.4"/>',
    "lock": '<rect x="4.6" y="9" width="10.8" height="7.6" rx="1.8"/><path d="M7 9V6.8a3 3 0 0 1 6 0V9"/>',
    "compass": '<circle cx="10" cy="10" r="7"/><path d="M13 7l-1.8 4.2L7 13l1.8-4.2z"/>',
    "white_check_mark": '<path d="M4.5 10.5l3.6 3.6 7.4-8"/>',
    "memo": '<path d="M5 3.6h7.2L15 6.4v10H5zM7.6 8h4.8M7.6 11h4.8"/>',
}

STYLE = """
* { box-sizing: border-box }
body { margin: 0; background: #fff; color: #1d2129; font: 15px/1.46 "Liberation Sans", Arial, sans-serif }
main { padding: 4px 0 18px }
h1 { margin: 0; padding: 12px 20px; border-bottom: 1px solid #e3e6ea; font-size: 16px }
h1 span { margin-inline-start: 8px; color: #68707c; font-size: 13px; font-weight: 400 }
article { position: relative; display: grid; grid-template-columns: 36px 1fr; column-gap: 12px; padding: 8px 20px 4px }
article.again { padding-top: 1px }
article.again .avatar, article.again .head { display: none }
.avatar { width: 36px; height: 36px; border-radius: 8px; background: #eceff3; color: #48505c; display: grid; place-items: center;
  font-weight: 700; font-size: 15px }
.avatar.app { background: #2b3a55; color: #fff }
.avatar.lock, .whisper .avatar { background: #fbf1d9; color: #7a5a10 }
.avatar.compass { background: #e7ecfa; color: #3b4f94 }
.body { grid-column: 2; min-width: 0; overflow-wrap: anywhere }
.head b { font-size: 15px }
.tag { margin-inline-start: 6px; padding: 0 4px; border-radius: 3px; background: #e9ebee; color: #5a626e; font-size: 10px; font-weight: 700;
  vertical-align: 1px }
time, .edited { margin-inline-start: 6px; color: #68707c; font-size: 12px }
.above { grid-column: 2; color: #68707c; font-size: 12.5px; margin-bottom: 2px }
.whisper { background: #f8f9fb }
p { margin: 0; white-space: pre-wrap }
h2 { margin: 6px 0 4px; font-size: 18px; line-height: 1.35 }
blockquote { margin: 4px 0; padding: 0 0 0 12px; border-inline-start: 4px solid #d5dae1; white-space: pre-wrap }
.context { margin: 3px 0; color: #5d6672; font-size: 13px }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 16px; margin: 8px 0 }
.actions { display: flex; flex-wrap: wrap; gap: 8px; margin: 8px 0 4px }
.button { padding: 5px 12px; border: 1px solid #c3c9d1; border-radius: 6px; background: #fff; color: #1d2129; font-size: 13.5px;
  font-weight: 700; line-height: 1.4 }
.button.primary { background: #17714f; border-color: #17714f; color: #fff }
.button.danger { color: #b3261e; border-color: #dba29e }
.reactions { display: flex; gap: 6px; margin: 4px 0 2px }
.reaction { display: inline-flex; align-items: center; gap: 4px; padding: 1px 8px; border-radius: 12px; background: #eff1f4; color: #48505c;
  font-size: 12px }
svg { width: 22px; height: 22px; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round }
svg .dot { fill: currentColor; stroke: none }
.reaction.white_check_mark svg { color: #17714f }
.reaction svg { width: 14px; height: 14px; stroke-width: 2.2 }
code { padding: 1px 4px; border: 1px solid #e0e3e8; border-radius: 4px; background: #f6f7f9; font: 13px "Liberation Mono", monospace }
pre { margin: 4px 0; padding: 8px; border: 1px solid #e0e3e8; border-radius: 6px; background: #f6f7f9; font: 13px "Liberation Mono", monospace;
  white-space: pre-wrap }
.mention { padding: 0 3px; border-radius: 4px; background: #fdf0cc; color: #75550b }
a { color: #1b5fb0; text-decoration: none }
hr { margin: 8px 20px; border: 0; border-top: 1px solid #e3e6ea }
.count { display: flex; align-items: center; gap: 12px; padding: 6px 20px; color: #68707c; font-size: 13px }
.count::after { content: ""; flex: 1; border-top: 1px solid #e3e6ea }
"""


def page_of(slack: Slack, root: Message, *, reader: str = "", at: datetime | None = None) -> str:
    """The thread as a page; with `reader`, also what only that person sees of it. `at`: the reader's now."""
    thread = slack.thread(root.channel, root.ts)
    whispers: list[Shown] = [e for e in slack.seen_by(reader) if e.thread_ts == root.ts] if reader else []
    replies: list[Shown] = sorted([*thread[1:], *whispers], key=lambda m: m.ts)
    draw = _Drawing(slack, now=at or datetime.now(UTC))
    number = len(thread) - 1
    count = f'<div class="count">{number} {"reply" if number == 1 else "replies"}</div>' if number else ""
    body, before = draw.message(root), ""
    body += count
    for reply in replies:
        who = draw.author(reply)
        body += draw.message(reply, again=who == before)
        before = who
    channel = escape(slack.channels[root.channel].name)
    title = f"<h1>Thread<span># {channel}</span></h1>"
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}"><title>Thread</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body><main>{title}{body}</main></body></html>'


class _Drawing:
    def __init__(self, slack: Slack, *, now: datetime) -> None:
        self._slack = slack
        self._now = now

    def author(self, message: Shown) -> str:
        """Who it is under one head with the messages after it."""
        if isinstance(message, Ephemeral):
            return "whisper"
        assert isinstance(message, Message)
        who = message.username or self._slack.name_of(message.user or "")
        return f"{who}\n{message.icon_emoji}" + ("\nbroadcast" if message.broadcast else "")

    def message(self, message: Shown, *, again: bool = False) -> str:
        whisper = isinstance(message, Ephemeral)
        by = message.user if isinstance(message, Message) and not message.bot_id else self._slack.bot_user
        name = message.username or self._slack.name_of(by or "")
        app = whisper or by == self._slack.bot_user or bool(message.username)
        above = "Only visible to you" if whisper else ""
        if isinstance(message, Message) and message.broadcast:
            above = "Also sent to the channel"
        tag = '<span class="tag">APP</span>' if app else ""
        head = f'<div class="head"><b>{escape(name)}</b>{tag}<time>{self._clock(message.ts)}</time></div>'
        content = self._blocks(message.blocks) if app and message.blocks else self._text(message.text)
        if isinstance(message, Message) and not app and message.edited:
            content += '<span class="edited">(edited)</span>'
        css = " ".join([*(["whisper"] if whisper else []), *(["again"] if again and not whisper else [])])
        return (
            f'<article class="{css}">' + (f'<div class="above">{above}</div>' if above else "")
            + self._avatar(message, name, app=app) + f'<div class="body">{head}{content}{self._reactions(message)}</div></article>'
        )  # fmt: skip

    def _avatar(self, message: Shown, name: str, *, app: bool) -> str:
        icon = (message.icon_emoji or "").strip(":")
        if icon in _DRAWN:
            return f'<div class="avatar {icon}">{_svg(icon)}</div>'
        css = " app" if app and not icon else ""
        return f'<div class="avatar{css}">{escape(name[:1].upper())}</div>'

    def _reactions(self, message: Shown) -> str:
        if not isinstance(message, Message) or not message.reactions:
            return ""
        chips = (
            f'<span class="reaction {escape(name)}">{_svg(name) if name in _DRAWN else escape(name)} {len(users)}</span>'
            for name, users in message.reactions.items()
        )
        return f'<div class="reactions">{"".join(chips)}</div>'

    def _clock(self, ts: str) -> str:
        return f"{datetime.fromtimestamp(float(ts), UTC):%H:%M}"

    # Blocks

    def _blocks(self, blocks: list[Json]) -> str:
        return "".join(map(self._block, blocks))

    def _block(self, block: Json) -> str:
        match block["type"]:
            case "header":
                return f"<h2>{escape(block['text']['text'])}</h2>"
            case "section":
                body = self._object(block["text"]) if block.get("text") else ""
                fields = "".join(f"<div>{self._object(f)}</div>" for f in block.get("fields") or [])
                return body + (f'<div class="fields">{fields}</div>' if fields else "")
            case "context":
                return f'<div class="context">{"".join(map(self._object, block["elements"]))}</div>'
            case "actions":
                return f'<div class="actions">{"".join(map(_button, block["elements"]))}</div>'
            case "divider":
                return "<hr>"
            case kind:
                raise AssertionError(f"no drawing of a {kind} block")

    def _object(self, text: Json) -> str:
        return self._text(text["text"]) if text["type"] == "mrkdwn" else f"<p>{escape(text['text'])}</p>"

    # Text

    def _text(self, text: str) -> str:
        """Slack's markup as HTML: quotes line by line, then marks, then entities."""
        parts, quoted = [], False
        for line in _lines(text):
            if line.startswith(("&gt;", ">")):
                words = self._inline(re.sub("^(?:&gt;|>) ?", "", line))
                if quoted:
                    parts[-1] = parts[-1].removesuffix("</blockquote>") + f"\n{words}</blockquote>"
                else:
                    parts.append(f"<blockquote>{words}</blockquote>")
                quoted = True
            else:
                words = self._inline(line)
                parts.append(words if words.startswith("<pre>") else f"<p>{words or '&nbsp;'}</p>")
                quoted = False
        return "".join(parts)

    def _inline(self, text: str) -> str:
        """What is between the marks is written in turn; each piece is escaped once."""
        found, at = [], 0
        for mark in _MARKS.finditer(text):
            found.append(self._entities(text[at : mark.start()]))
            at = mark.end()
            kind = mark.lastgroup
            assert kind is not None
            inner = mark[kind]
            if kind in ("block", "code"):
                tag = "pre" if kind == "block" else "code"
                found.append(f"<{tag}>{escape(unescape(inner))}</{tag}>")
            else:
                tag = {"bold": "b", "italic": "i", "struck": "s"}[kind]
                found.append(f"<{tag}>{self._inline(inner)}</{tag}>")
        return "".join([*found, self._entities(text[at:])])

    def _entities(self, text: str) -> str:
        found, at = [], 0
        for entity in _ENTITY.finditer(text):
            found.append(escape(unescape(text[at : entity.start()])))
            found.append(self._entity(entity[1]))
            at = entity.end()
        return "".join([*found, escape(unescape(text[at:]))])

    def _entity(self, inner: str) -> str:
        target, _, label = inner.partition("|")
        if target.startswith("!date^"):
            return escape(self._date(*target.split("^")[1:3]))
        if target[:1] in "@!":
            name = (
                self._slack.names.get(target[1:])
                or unescape(label).lstrip("@")
                or target[1:].partition("^")[2]
                or target[1:]
            )
            return f'<span class="mention">@{escape(name)}</span>'
        if target.startswith("#"):
            return f'<span class="mention">#{escape(self._slack.names.get(target[1:], label))}</span>'
        return f'<a href="{escape(unescape(target))}">{escape(unescape(label or target))}</a>'

    def _date(self, seconds: str, form: str) -> str:
        at = datetime.fromtimestamp(int(seconds), UTC)
        day = "today" if at.date() == self._now.date() else f"{at:%b} {at.day}"
        pretty = form.replace("{date_short_pretty}", day).replace("{time}", f"{at:%H:%M}")
        return pretty.replace("{date_pretty}", day)


def _lines(text: str) -> list[str]:
    """Lines, where a block of code is one."""
    found: list[str] = []
    for n, part in enumerate(text.split("```")):
        if n % 2:
            found.append(f"```{part}```")
        else:
            found += part.strip("\n").split("\n") if part.strip("\n") else []
    return found


def _button(element: Json) -> str:
    style = element.get("style", "")
    return f'<span class="button {style}">{escape(element["text"]["text"])}</span>'


def _svg(name: str) -> str:
    return f'<svg viewBox="0 0 20 20" aria-hidden="true">{_DRAWN[name]}</svg>'
