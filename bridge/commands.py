"""The one command grammar: what staff type or press on any surface becomes events or an answer. Pure.

A surface strips its own mark ("/", "!", "@bot ") and hands the rest to `run`.
"""

from collections.abc import Callable
import difflib

from msgspec import Struct

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.errors import Refused
from bridge.events import Event, Staff, author
from bridge.text import clean_name


class Say(Struct, frozen=True):
    """Words for the person who gave the command; nothing enters the log."""

    text: str


class GiveLink(Struct, frozen=True):
    """The person asks for a personal join link; how to hand it over is the surface's business."""


Outcome = tuple[Event, ...] | Say | GiveLink


class Command(Struct, frozen=True, kw_only=True):
    name: str
    argument: str  # how the usage names it: "", "<name>" (needed), "[parting word]" (optional)
    summary: str
    run: Callable[[str, Conversation, Staff], Outcome]

    @property
    def usage(self) -> str:
        return f"{self.name} {self.argument}".strip()


def _holds(state: Conversation, staff: Staff) -> bool:
    return author(state.floor.holder) == author(staff) and not state.closed


def _take(text: str, _state: Conversation, _staff: Staff) -> Outcome:
    return (ev.TookOver(), ev.Said(text=text)) if text else (ev.TookOver(),)


def _back(text: str, _state: Conversation, _staff: Staff) -> Outcome:
    return (ev.Said(text=text), ev.HandedBack()) if text else (ev.HandedBack(),)


def _observe(_text: str, state: Conversation, staff: Staff) -> Outcome:
    if _holds(state, staff):
        return (ev.HandedBack(),)
    person = state.people.get(staff.id)
    if person is not None and person.joined:
        return Say("You are observing.")
    return (ev.Joined(),)


def _name(text: str, _state: Conversation, _staff: Staff) -> Outcome:
    return (ev.Renamed(name=clean_name(text)),)


def _note(text: str, _state: Conversation, _staff: Staff) -> Outcome:
    return (ev.Noted(text=text),)


def _guide(text: str, _state: Conversation, _staff: Staff) -> Outcome:
    return (ev.Guided(text=text),)


def _who(_text: str, state: Conversation, staff: Staff) -> Outcome:
    answering = "Nobody: the conversation ended" if state.closed else state.holder_name
    here = sorted(p.name + (" (you)" if p.id == staff.id else "") for p in state.people.values() if p.joined)
    return Say(f"Answering: {answering}. Joined: {', '.join(here) or 'nobody'}.")


def _link(_text: str, _state: Conversation, _staff: Staff) -> Outcome:
    return GiveLink()


def _close(_text: str, _state: Conversation, _staff: Staff) -> Outcome:
    return (ev.Closed(),)


def _leave(_text: str, state: Conversation, staff: Staff) -> Outcome:
    return (ev.HandedBack(), ev.Left()) if _holds(state, staff) else (ev.Left(),)


def _help(_text: str, _state: Conversation, _staff: Staff) -> Outcome:
    return Say(listing(""))


def _command(
    name: str, argument: str, summary: str, run: Callable[[str, Conversation, Staff], Outcome]
) -> tuple[str, Command]:
    return name, Command(name=name, argument=argument, summary=summary, run=run)


REGISTRY: dict[str, Command] = dict(
    (
        _command(
            "take", "[words]", "Take over from whoever is answering; the words are sent at once.", _take
        ),
        _command(
            "back", "[parting word]", "Hand back to the AI, after a parting word to the visitor.", _back
        ),
        _command("observe", "", "Watch without answering; if you are answering, hand back.", _observe),
        _command("name", "<name>", "Change the name that the visitor sees.", _name),
        _command("note", "<text>", "Write a note for the team only.", _note),
        _command("guide", "<text>", "Tell the AI privately what to do from its next answer on.", _guide),
        _command("who", "", "Say who is answering and who has joined.", _who),
        _command("link", "", "Get your personal link to this conversation.", _link),
        _command("close", "", "End the conversation.", _close),
        _command("leave", "", "Leave; if you are answering, the AI takes over again.", _leave),
        _command("help", "", "List the commands.", _help),
    )
)


def listing(mark: str) -> str:
    """Every command with its meaning, as it is typed."""
    return "\n".join(f"{mark}{c.usage}: {c.summary}" for c in REGISTRY.values())


def run(line: str, state: Conversation, staff: Staff, *, mark: str = "") -> Outcome:
    """What the command in `line` means for `staff` now; raises `Refused` with the nearest command's name.

    `mark` is what the surface has people type before a command.
    """
    words = line.strip().split(maxsplit=1)
    name = words[0].lower() if words else ""
    argument = words[1].strip() if len(words) > 1 else ""
    command = REGISTRY.get(name)
    if command is None:
        near = difflib.get_close_matches(name, REGISTRY, n=1, cutoff=0.5)
        hint = f"Did you mean “{mark}{near[0]}”?" if near else f"“{mark}help” lists the commands."
        raise Refused("unknown_command", f"There is no command “{mark}{name[:40]}”. {hint}")
    if command.argument.startswith("<") and not argument:
        raise Refused("invalid", f"“{mark}{command.name}” needs {command.argument}: {command.summary}")
    return Say(listing(mark)) if name == "help" else command.run(argument, state, staff)
