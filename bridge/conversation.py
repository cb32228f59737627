"""The rules of one conversation: `fold` says what the log means, `admit` what may enter it.

Pure: no input or output, no clock. `fold(state, entry)` never refuses, since what is in the log has
happened; `admit(state, proposal, now)` is the only gate. What each party may do stands in rules.py.
"""

from datetime import datetime
from hashlib import blake2b

from msgspec import Struct, json
from msgspec.structs import replace

from bridge import events as ev
from bridge.errors import Refused
from bridge.events import Entry, Event, Party, Proposal, Seq, Staff, author
from bridge.rules import MAX_ANSWER, MAX_EVENTS, MAX_NAME, MAX_TEXT, check
from bridge.state import (
    ASSISTANT_NAME,
    Conversation,
    Floor,
    Help,
    Person,
    Trouble,
    Word,
    party_name,
    visitor_name,
)

__all__ = [
    "ASSISTANT_NAME", "MAX_ANSWER", "MAX_EVENTS", "MAX_NAME", "MAX_TEXT", "Conversation", "Duplicate",
    "Floor", "Help", "Person", "Trouble", "Word", "admit", "digest", "fold", "party_name", "visitor_name",
]  # fmt: skip


class Duplicate(Struct, frozen=True):
    """The proposal is in the log already; its first event stands at `seq`."""

    seq: Seq


def digest(event: Event) -> bytes:
    """What a key stood for: equal for equal events, in every process."""
    return blake2b(json.encode(event, order="deterministic"), digest_size=8).digest()


# --- fold ----------------------------------------------------------------------------------------


def fold(state: Conversation, entry: Entry) -> Conversation:
    """The state after `entry`, which must be the next one."""
    if entry.seq != state.head + 1:
        raise ValueError(f"entry {entry.seq} does not follow {state.head}")
    who = author(entry.by)
    by_holder = who == author(state.floor.holder)
    state = replace(
        state,
        head=entry.seq,
        last_at=entry.at,
        keys=state.keys.set((who, entry.key), (entry.seq, digest(entry.event))),
        holder_at=entry.at if by_holder else state.holder_at,
        holder_via=entry.via if by_holder else state.holder_via,
    )
    match entry.event:
        case ev.Opened() as opened:
            floor = Floor(holder=ev.Assistant(), since=entry.seq)
            state = replace(state, opened=opened, opened_at=entry.at)
            return replace(state, floor=floor, holder_at=entry.at, holder_via=entry.via)
        case ev.Said():
            word = Word(author=who, spoken=True)
            state = replace(state, messages=state.messages + 1, words=state.words.set(entry.seq, word))
            return _owe(state, entry) if isinstance(entry.by, ev.Visitor) else _answered(state, entry.by)
        case ev.Noted():
            return replace(state, words=state.words.set(entry.seq, Word(author=who, spoken=False)))
        case ev.Joined() if isinstance(entry.by, Staff):
            return _person(state, entry.by, joined=True, via=entry.via)
        case ev.Left() if isinstance(entry.by, Staff):
            return _person(state, entry.by, joined=False, via=entry.via)
        case ev.Renamed(name=name) if isinstance(entry.by, Staff):
            known = state.people.get(entry.by.id)
            renamed = Staff(id=entry.by.id, name=name)
            state = _person(state, renamed, joined=known is not None and known.joined, via=entry.via)
            if author(state.floor.holder) == who:
                state = replace(state, floor=Floor(holder=renamed, since=state.floor.since))
            return state
        case ev.TookOver() if isinstance(entry.by, Staff):
            state = _person(state, entry.by, joined=True, via=entry.via)
            floor = Floor(holder=entry.by, since=entry.seq)
            return replace(state, floor=floor, holder_at=entry.at, holder_via=entry.via, help=None)
        case ev.HandedBack():
            floor = Floor(holder=ev.Assistant(), since=entry.seq)
            return replace(state, floor=floor, holder_at=entry.at, holder_via=entry.via, help=None)
        case ev.HelpWanted(reason=reason, step=step, last=last):
            first = None if state.help is None or state.help.last else state.help
            asked = Help(
                seq=first.seq if first else entry.seq,
                told=entry.seq,
                at=first.at if first else entry.at,
                reason=(first.reason if first else "") or reason,
                step=step,
                last=last,
            )
            return replace(state, help=asked)
        case ev.Retracted(target=target) | ev.Redacted(target=target):
            gone = state.words.get(target)
            if gone is None:
                return state
            return replace(state, words=state.words.set(target, replace(gone, gone=True)))
        case ev.Rated() as rated:
            return replace(state, rated=rated)
        case ev.Identified() as identified:
            return replace(state, visitor=_merge(state.visitor, identified))
        case ev.Undelivered(surface=surface, late=True):
            known_troubles = state.troubles
            return replace(
                state,
                troubles=known_troubles.delete(surface) if surface in known_troubles else known_troubles,
            )
        case ev.Undelivered() as u:
            trouble = Trouble(surface=u.surface, target=u.target, reason=u.reason, retrying=u.retrying)
            return replace(state, troubles=state.troubles.set(u.surface, trouble))
        case ev.Closed():
            return replace(state, closed=True, help=None, owed=None, owed_since=None)
        case ev.Reopened():
            floor = Floor(holder=ev.Assistant(), since=entry.seq)
            return replace(state, closed=False, floor=floor, holder_at=entry.at, holder_via=entry.via)
        case _:  # Guided and Edited change no state; a party that may not do a thing changes nothing
            return state


def _owe(state: Conversation, entry: Entry) -> Conversation:
    return replace(state, owed=entry.seq, owed_since=state.owed_since or entry.at)


def _answered(state: Conversation, by: Party) -> Conversation:
    """A colleague's words also end the wait for a person; the assistant's do not."""
    return replace(state, owed=None, owed_since=None, help=None if isinstance(by, Staff) else state.help)


def _person(state: Conversation, staff: Staff, *, joined: bool, via: str) -> Conversation:
    person = Person(id=staff.id, name=staff.name, joined=joined, via=via)
    return replace(state, people=state.people.set(staff.id, person))


def _merge(old: ev.Identified, new: ev.Identified) -> ev.Identified:
    """A later word fills and replaces; but what was verified and what was not never mix into one identity."""
    if old.verified != new.verified or (new.verified and old.user != new.user):
        return old if old.verified and not new.verified else new
    return ev.Identified(
        name=new.name or old.name,
        email=new.email or old.email,
        user=new.user or old.user,
        verified=new.verified,
    )


# --- admit ---------------------------------------------------------------------------------------


def admit(state: Conversation, proposal: Proposal, now: datetime) -> list[Entry] | Duplicate:
    """The entries that `proposal` adds to the log, or where it stands already; raises `Refused`.

    All of a proposal's events are admitted or none. A repeat is recognised before any rule is asked, so
    that a lost acknowledgement can always be fetched again.
    """
    if not proposal.events:
        raise Refused("invalid", "Nothing was proposed.")
    if len(proposal.events) > MAX_EVENTS:
        raise Refused("invalid", f"At most {MAX_EVENTS} things can be proposed at once.")
    known = _known(state, proposal)
    if known is not None:
        return known
    _check_fence(state, proposal)
    entries: list[Entry] = []
    for event, key in zip(proposal.events, proposal.entry_keys(), strict=True):
        check(state, event, proposal.by)
        entry = Entry(seq=Seq(state.head + 1), at=now, event=event, by=proposal.by, via=proposal.via, key=key)
        entries.append(entry)
        state = fold(state, entry)
    return entries


def _known(state: Conversation, proposal: Proposal) -> Duplicate | None:
    who = author(proposal.by)
    found = [state.keys.get((who, key)) for key in proposal.entry_keys()]
    if not any(found):
        return None
    same = [f is not None and f[1] == digest(e) for f, e in zip(found, proposal.events, strict=True)]
    longer = (who, f"{proposal.key}#{len(proposal.events)}") in state.keys
    if found[0] is None or not all(same) or longer:
        raise Refused("key_reused", "This was sent before with other words. Send it again as a new message.")
    return Duplicate(found[0][0])


def _check_fence(state: Conversation, proposal: Proposal) -> None:
    if proposal.head is not None and proposal.head != state.head:
        raise Refused("invalid", "The conversation went on.")
    if proposal.floor is None and not _needs_fence(proposal):
        return
    if proposal.floor != state.floor.since:
        name = state.holder_name
        said = "has the floor again" if isinstance(state.floor.holder, ev.Assistant) else "took over"
        raise Refused("floor_moved", f"{name} {said}.", holder=name)


def _needs_fence(proposal: Proposal) -> bool:
    if isinstance(proposal.by, ev.Assistant):
        return True
    by_clock = isinstance(proposal.by, ev.System)
    return any(
        isinstance(e, ev.TookOver) or (by_clock and isinstance(e, ev.HandedBack)) for e in proposal.events
    )
