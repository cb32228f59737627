"""What an entry of the log looks like in a team's thread, on any chat platform. Pure."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from bridge import events as ev
from bridge.conversation import ASSISTANT_NAME, MAX_NAME, Conversation, party_name
from bridge.events import Entry, Party, Seq, Staff

REASON = 300  # characters of why a person is wanted

Role = Literal["visitor", "assistant", "staff"]
Kind = Literal["said", "note", "guidance"]


class Speech(Struct, frozen=True, kw_only=True):
    """Somebody's words, in Markdown; None: they were taken back. `changed`: they once read otherwise."""

    role: Role
    name: str
    text: str | None
    kind: Kind = "said"
    changed: bool = False


class Notice(Struct, frozen=True, kw_only=True):
    """A short line of Joinline's own; names and reasons in it are anybody's words."""

    text: str


class Call(Struct, frozen=True, kw_only=True):
    """A person is wanted: a line that must be heard. `step` and `last` as in `HelpWanted`."""

    text: str
    step: int
    last: bool


Shown = Speech | Notice | Call


class Change(Struct, frozen=True, kw_only=True):
    """What was shown for `target` reads otherwise now."""

    target: Seq


def known_as(state: Conversation, party: Party) -> str:
    """The party's name for the team; a visitor without one is "Visitor"."""
    if isinstance(party, ev.Visitor):
        return state.visitor.name or "Visitor"
    if isinstance(party, Staff) and (person := state.people.get(party.id)) is not None:
        return person.name
    return party_name(party)


def titled(name: str) -> str:
    """A visitor's name for a title, of which it cannot pose as another part."""
    return _short(name).replace("·", "-")


def quoted(words: str) -> str:
    """Anybody's words in a line of ours, out of which they do not come."""
    return f"“{words.translate(_UNQUOTED)}”"


_UNQUOTED = str.maketrans("“”„‟", '""""')


def _short(text: str, most: int = MAX_NAME) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _subject(state: Conversation, by: Party) -> str:
    """Who a line is about. A visitor may be called like somebody of the team, or like a line of ours."""
    if isinstance(by, Staff):
        return by.name  # as she was called then
    if isinstance(by, ev.Visitor) and state.visitor.name:
        return f"Visitor {quoted(_short(state.visitor.name))}"
    return known_as(state, by)


def shown(entry: Entry, state: Conversation, *, surface: str) -> Shown | Change | None:
    """How `entry` shows; `state` is the conversation as it is now, `surface` where it shows."""
    event, subject = entry.event, _subject(state, entry.by)
    name = subject if isinstance(entry.by, Staff) else known_as(state, entry.by)
    match event:
        case ev.Said(text=text):
            return Speech(role=_role(entry.by), name=name, text=text)
        case ev.Noted(text=text):
            return Speech(role="staff", name=name, text=text, kind="note")
        case ev.Guided(text=text):
            return Speech(role="staff", name=name, text=text, kind="guidance")
        case ev.Edited(target=target) | ev.Retracted(target=target) | ev.Redacted(target=target):
            return Change(target=target)
        case ev.HelpWanted():
            return Call(text=_call(event, entry.by, subject), step=event.step, last=event.last)
        case ev.Undelivered() if event.surface == surface and (event.retrying or event.late):
            return None  # whoever reads this knows by now
        case _:
            words = _line(event, entry.by, subject)
            return Notice(text=words) if words else None


def reads_now(entries: Iterable[Entry], state: Conversation, *, surface: str) -> dict[Seq, Shown]:
    """How all of `entries` show now, with the edits and retractions among them applied."""
    found: dict[Seq, Shown] = {}
    for entry in entries:
        seen = shown(entry, state, surface=surface)
        match entry.event:
            case ev.Edited(target=target, text=text):
                before = found.get(target)
                if isinstance(before, Speech) and before.text is not None:
                    found[target] = _with(before, text)
            case ev.Retracted(target=target) | ev.Redacted(target=target):
                before = found.get(target)
                if isinstance(before, Speech):
                    found[target] = _with(before, None)
            case _ if seen is not None and not isinstance(seen, Change):
                found[entry.seq] = seen
    return found


def _with(speech: Speech, text: str | None) -> Speech:
    return Speech(role=speech.role, name=speech.name, text=text, kind=speech.kind, changed=True)


def _role(by: Party) -> Role:
    if isinstance(by, ev.Visitor):
        return "visitor"
    return "staff" if isinstance(by, Staff) else "assistant"


def _call(event: ev.HelpWanted, by: Party, name: str) -> str:
    words = event.reason.strip()
    reason = quoted(_short(words, REASON)) if words else ""
    if event.step:
        again = "Nobody has come yet. This is the last call." if event.last else "Nobody has come yet."
        return f"{again} {reason}".strip()
    if isinstance(by, ev.System):
        return event.reason or "A person is wanted."
    return f"{name} asks for a person" + (f": {reason}" if reason else ".")


def _line(event: ev.Event, by: Party, name: str) -> str:
    match event:
        case ev.Joined():
            return f"{name} joined and is watching."
        case ev.Left():
            return f"{name} left."
        case ev.Renamed(name=new):
            return f"{name} is now called {new}."
        case ev.TookOver():
            return f"{name} took over and is answering."
        case ev.HandedBack():
            if isinstance(by, Staff):
                return f"{name} handed back. The {ASSISTANT_NAME} is answering again."
            return f"The {ASSISTANT_NAME} is answering again: whoever had taken over has been away too long."
        case ev.Rated(score=score, comment=comment):
            return f"{name} rated the conversation: {score}." + (f" {quoted(comment)}" if comment else "")
        case ev.Identified():
            return _identity(event)
        case ev.Undelivered(surface=surface, late=True):
            return f"{surface.capitalize()} has caught up."
        case ev.Undelivered(surface=surface, reason=reason, retrying=True):
            return f"{surface.capitalize()} is in trouble and is tried again: {reason}"
        case ev.Undelivered(surface=surface, target=target, reason=reason):
            return f"Entry {target} could not be brought to {surface.capitalize()}: {reason}"
        case ev.Closed(reason=reason):
            if isinstance(by, ev.System):
                return "The conversation ended" + (" after a long silence." if reason == "idle" else ".")
            return f"{name} ended the conversation."
        case ev.Reopened():
            return "The conversation goes on."
        case _:
            return ""


def _identity(event: ev.Identified) -> str:
    parts = [part for part in (event.name and quoted(_short(event.name)), event.email) if part]
    proof = "verified" if event.verified else "not verified"
    return f"The visitor is {', '.join(parts)} ({proof})." if parts else ""
