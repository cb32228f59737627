"""What each party may do to a conversation in a given state. Pure; `conversation.admit` asks."""

import re
from typing import assert_never

from bridge import events as ev
from bridge.errors import Refused
from bridge.events import Event, Party, Seq, Staff, StaffId, author
from bridge.state import ASSISTANT_NAME, Conversation, party_name, visitor_name
from bridge.text import clean_name, likeness, passes_for

MAX_TEXT = 4_000  # characters of a visitor's or a colleague's message
MAX_ANSWER = 16_000  # characters of an assistant's answer
MAX_NAME = 40
MAX_EVENTS = 4  # in one proposal

_WHEN_CLOSED = (ev.Reopened, ev.Rated, ev.Noted, ev.Joined, ev.Left, ev.Renamed, ev.Undelivered, ev.Redacted)
_EMAIL = re.compile(r"(?=.{3,254}\Z)[^\s<>,;:\"()\[\]\\@]+@[^\s<>,;:\"()\[\]\\@]+")
_RESERVED = (ASSISTANT_NAME, "assistant", "Joinline", "visitor", "you")


def check(state: Conversation, event: Event, by: Party) -> None:
    """Raise `Refused` unless `by` may add `event` to a conversation in `state`."""
    if isinstance(event, ev.Opened) != (state.head == 0):
        if state.head == 0:
            raise Refused("not_open", "This conversation has not begun.")
        raise Refused("invalid", "This conversation has begun already.")
    if state.closed and not isinstance(event, _WHEN_CLOSED):
        raise Refused("closed", "This conversation was closed.")
    match by:
        case ev.Visitor():
            _check_visitor(state, event, by)
        case ev.Assistant():
            _check_assistant(state, event, by)
        case ev.System():
            _check_system(state, event, by)
        case Staff():
            check_name(state, by.id, by.name)
            _check_staff(state, event, by)
        case _:
            assert_never(by)


def _check_visitor(state: Conversation, event: Event, by: ev.Visitor) -> None:
    match event:
        case ev.Opened() | ev.Closed():
            return
        case ev.Said(text=text):
            _check_text(text, MAX_TEXT)
        case ev.HelpWanted():
            _check_call(state, event)
        case ev.Edited(target=target, text=text):
            _check_own(state, target, by)
            _check_text(text, MAX_TEXT)
        case ev.Retracted(target=target):
            _check_own(state, target, by)
        case ev.Rated(comment=comment):
            _check_length(comment, MAX_TEXT)
        case ev.Identified(verified=verified):
            _check_identity(event)
            if verified:
                raise Refused("not_allowed", "Nobody can vouch for themselves.")
        case ev.Reopened():
            _check_ended(state)
        case _:
            raise _never(by)


def _check_assistant(state: Conversation, event: Event, by: ev.Assistant) -> None:
    match event:
        case ev.Said(text=text):
            _check_text(text, MAX_ANSWER)
            _check_holder(state, by)
        case ev.HelpWanted():
            _check_call(state, event)
        case _:
            raise _never(by)


def _check_system(state: Conversation, event: Event, by: ev.System) -> None:
    match event:
        case ev.Closed() | ev.Undelivered() | ev.Redacted():
            return
        case ev.HandedBack():
            _check_held(state)
        case ev.HelpWanted(step=step):
            if step != (state.help.step + 1 if state.help and not state.help.last else 0):
                raise Refused("invalid", "The team has been told already.")
        case ev.Identified():
            _check_identity(event)
        case ev.Reopened():
            _check_ended(state)
        case _:
            raise _never(by)


def _check_staff(state: Conversation, event: Event, by: Staff) -> None:
    holds = author(state.floor.holder) == author(by)
    match event:
        case ev.Said(text=text):
            _check_text(text, MAX_TEXT)
            _check_holder(state, by)
        case ev.Noted(text=text) | ev.Guided(text=text):
            _check_text(text, MAX_TEXT)
        case ev.Joined():
            if _is_here(state, by):
                raise Refused("invalid", "You have joined already.")
        case ev.Left():
            if not _is_here(state, by):
                raise Refused("invalid", "You have not joined.")
            if holds and not state.closed:
                raise Refused("invalid", "Hand back first, then leave.")
        case ev.Renamed(name=name):
            check_name(state, by.id, name)
        case ev.TookOver():
            if holds:
                raise Refused("invalid", "You are answering already.")
        case ev.HandedBack():
            _check_held(state)
            _check_holder(state, by, lost="")
        case ev.Edited(target=target, text=text):
            _check_own(state, target, by)
            _check_text(text, MAX_TEXT)
            if state.words[target].spoken:  # new words before the visitor, wherever they stand
                _check_holder(state, by)
        case ev.Retracted(target=target):
            _check_own(state, target, by)
        case ev.Closed():
            if isinstance(state.floor.holder, Staff):
                _check_holder(state, by, lost="")
        case ev.Reopened():
            _check_ended(state)
        case _:
            raise _never(by)


def _never(by: Party) -> Refused:
    return Refused("not_allowed", f"{party_name(by)} cannot do this here.")


def _check_held(state: Conversation) -> None:
    if isinstance(state.floor.holder, ev.Assistant):
        raise Refused("invalid", "The AI assistant is answering already.")


def _check_ended(state: Conversation) -> None:
    if not state.closed:
        raise Refused("invalid", "This conversation is open.")


def _check_own(state: Conversation, target: Seq, by: Party) -> None:
    word = state.words.get(target)
    if word is None or word.gone or word.author != author(by):
        raise Refused("invalid", "You can change your own messages only.")


def _check_call(state: Conversation, event: ev.HelpWanted) -> None:
    """A visitor's or the assistant's call for a person: the bottom of the ladder."""
    if event.step or event.last:
        raise Refused("not_allowed", "Only timers take a later step.")
    _check_length(event.reason, MAX_TEXT)
    if isinstance(state.floor.holder, Staff):
        raise Refused("invalid", f"{state.holder_name} is answering already.")
    if state.help is not None and not state.help.last:
        raise Refused("invalid", "The team has been asked already.")


def _is_here(state: Conversation, staff: Staff) -> bool:
    person = state.people.get(staff.id)
    return person is not None and person.joined


def _check_holder(state: Conversation, by: Party, *, lost: str = " Your reply was not sent.") -> None:
    if author(state.floor.holder) != author(by):
        name = state.holder_name
        raise Refused("not_holder", f"{name} is answering.{lost}", holder=name)


def _check_text(text: str, limit: int) -> None:
    if not text.strip():
        raise Refused("invalid", "The message is empty.")
    _check_length(text, limit)


def _check_length(text: str, limit: int) -> None:
    if len(text) > limit:
        raise Refused("invalid", f"Message is too long ({len(text):,} of {limit:,} characters).")


def is_reserved(name: str) -> bool:
    """Whether `name` would be taken for the assistant's or for Joinline's own."""
    return any(passes_for(name, reserved) for reserved in _RESERVED)


def check_name(state: Conversation, staff_id: StaffId, name: str) -> None:
    """Raise `Refused` unless this member of staff may go by `name` here."""
    if not clean_name(name):
        raise Refused("invalid", f"Enter the name {visitor_name(state)} will see.")
    if len(name) > MAX_NAME or name != clean_name(name):
        raise Refused("invalid", f"A name has 1 to {MAX_NAME} characters on one line.")
    if is_reserved(name):
        raise Refused("invalid", f"“{name}” would mislead. Choose another name.")
    wanted = likeness(name)
    if any(likeness(p.name) == wanted for p in state.people.values() if p.id != staff_id and p.joined):
        raise Refused("invalid", f"{name} is here already. Choose another name.")


def _check_identity(event: ev.Identified) -> None:
    if not (event.name or event.email or event.user):
        raise Refused("invalid", "Enter an email address.")
    if event.email and not _EMAIL.fullmatch(event.email):
        raise Refused("invalid", "Enter an email address like name@example.com.")
    if max(len(event.name), len(event.user)) > 200:
        raise Refused("invalid", "A name has at most 200 characters.")
