"""The status card of a conversation: who answers, who watches, who waits, and what can be pressed. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.events import Seq, Staff, author
from connectors.threads.shown import known_as, titled

Stage = Literal["assistant", "wanted", "human", "ended"]
Action = Literal["take", "back", "observe", "link", "close"]

LABELS: dict[Action, str] = {
    "take": "Take over",
    "back": "Hand back to AI",
    "observe": "Observe",
    "link": "Open in browser",
    "close": "End",
}
TAKE_AND_SEND = "Take over and send"


class Site(Protocol):
    """What a card shows of a site."""

    @property
    def name(self) -> str: ...


class Card(Struct, frozen=True, kw_only=True):
    """Everything but the layout. Every text in it may be a stranger's; `words` is Markdown.

    `waiting_since`: the visitor waits for a person's word since then. `buttons` is in the order to show;
    what is pressed carries `since`, the floor that the card was drawn for.
    """

    visitor: str
    business: str
    page: str
    page_title: str
    opened_at: datetime
    words: str
    stage: Stage
    since: Seq
    answering: str
    watching: tuple[str, ...]
    waiting_since: datetime | None
    last_at: datetime
    buttons: tuple[Action, ...]

    @property
    def state(self) -> str:
        """The state in a word or two, for a title."""
        match self.stage:
            case "assistant":
                return "AI answers"
            case "wanted":
                return "person wanted"
            case "human":
                return f"{self.answering} answers"
            case "ended":
                return "ended"


def card(state: Conversation, words: str, *, sites: Mapping[str, Site]) -> Card:
    """The card for `state`, which has begun; `words` is the visitor's first message as it reads now."""
    assert state.opened is not None
    assert state.opened_at is not None
    assert state.last_at is not None
    site = sites.get(state.opened.site)
    stage = _stage(state)
    holder = state.floor.holder
    watching = (p.name for p in state.people.values() if p.joined and f"staff:{p.id}" != author(holder))
    return Card(
        visitor=titled(known_as(state, ev.Visitor())),
        business=site.name if site else state.opened.site,
        page=state.opened.page,
        page_title=state.opened.title,
        opened_at=state.opened_at,
        words=words,
        stage=stage,
        since=state.floor.since,
        answering="nobody" if state.closed else known_as(state, holder),
        watching=tuple(sorted(watching)),
        waiting_since=_waiting(state),
        last_at=state.last_at,
        buttons=_buttons(stage),
    )


def _stage(state: Conversation) -> Stage:
    if state.closed:
        return "ended"
    if isinstance(state.floor.holder, Staff):
        return "human"
    return "wanted" if state.help is not None else "assistant"


def _waiting(state: Conversation) -> datetime | None:
    if state.closed:
        return None
    if state.help is not None:
        return state.help.at
    return state.owed_since if isinstance(state.floor.holder, Staff) else None


def _buttons(stage: Stage) -> tuple[Action, ...]:
    match stage:
        case "ended":
            return ("link",)
        case "human":
            return ("back", "take", "observe", "link", "close")
        case _:
            return ("take", "observe", "link", "close")


def elapsed(since: datetime, now: datetime) -> str:
    """A wait in words: "under a minute", "4 min", "2 h 5 min"."""
    minutes = max(0, int((now - since).total_seconds() // 60))
    if not minutes:
        return "under a minute"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
