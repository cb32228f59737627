"""What an entry of the log looks like in a team's thread, on any chat platform. Pure."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from bridge import events as ev
from bridge.conversation import ASSISTANT_NAME, Conversation, party_name
from bridge.events import Entry, Party, Seq, Staff

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


def shown(entry: Entry, state: Conversation, *, surface: str) -> Shown | Change | None:
    """How `entry` shows; `state` is the conversation as it is now, `surface` where it shows."""
    event, name = entry.event, known_as(state, entry.by)
    if isinstance(entry.by, Staff):
        name = entry.by.name  # as she was called then
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
            return Call(text=_call(event, entry.by, name), step=event.step, last=event.last)
        case ev.Undelivered() if event.surface == surface and (event.retrying or event.late):
            return None  # whoever reads this knows by now
        case _:
            words = _line(event, entry.by, name)
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
    if event.step:
        again = "Nobody has come yet. This is the last call." if event.last else "Nobody has come yet."
        return f"{again} {event.reason}".strip()
    reason = event.reason.strip()
    if isinstance(by, ev.System):
        return reason or "A person is wanted."
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
            return f"{name} rated the conversation: {score}." + (f" “{comment}”" if comment else "")
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
    parts = [part for part in (event.name, event.email) if part]
    proof = "verified" if event.verified else "not verified"
    return f"The visitor is {', '.join(parts)} ({proof})." if parts else ""
