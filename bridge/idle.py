"""What is due by the clock: nudge, escalate, hand back, close. Pure: time comes in as values."""

from datetime import datetime, timedelta

from msgspec import Struct

from bridge import events as ev
from bridge.conversation import Conversation
from bridge.events import Event, Proposal, Staff


class Patience(Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds.

    `ladder`: after the first call for a person, when the team is told again; its last rung is the end.
    `answer`: the assistant's time for an answer before the team is told. `reply`: a holder's time to
    reply. `absent_reply`: the same for a holder whose connections are gone. `hand_back`: how long an
    absent holder keeps the floor. `close`: how long an idle conversation stays open. `look`: how often a
    conversation that a person holds is looked at.
    """

    ladder: tuple[float, ...] = (60.0, 180.0)
    answer: float = 45.0
    reply: float = 300.0
    absent_reply: float = 120.0
    hand_back: float = 600.0
    close: float = 86_400.0
    look: float = 15.0


class Timer(Struct, frozen=True, kw_only=True):
    at: datetime
    proposal: Proposal


def timers(
    state: Conversation, *, patience: Patience, absent_since: datetime | None, unseen: bool = False
) -> list[Timer]:
    """Everything that time alone will bring about if nobody acts.

    `absent_since` says since when the holder has been without any connection; None when present or
    where nobody but the assistant holds the floor. `unseen`: the holder is where nobody can be seen to
    come and go; only leaving the visitor waiting tells that they are away. Each proposal's key names what
    it answers, so that it happens once, whoever runs the clock; it is void once the log has moved on.
    """
    if state.closed or state.last_at is None:
        return []
    found = [_timer(state, state.last_at, patience.close, f"idle:{state.head}", ev.Closed(reason="idle"))]
    wanted = state.help
    if wanted is not None and not wanted.last and wanted.step < len(patience.ladder):
        step = wanted.step + 1
        again = ev.HelpWanted(reason=wanted.reason, step=step, last=step == len(patience.ladder))
        wait = patience.ladder[wanted.step]
        found.append(_timer(state, wanted.at, wait, f"help:{wanted.seq}:{step}", again))
    if isinstance(state.floor.holder, Staff):
        found += _while_held(state, patience=patience, absent_since=absent_since, unseen=unseen)
    else:
        found += _while_answered_by_ai(state, patience=patience)
    return found


def _while_answered_by_ai(state: Conversation, *, patience: Patience) -> list[Timer]:
    since = _waiting_since(state)
    if since is None:
        return []
    late = ev.HelpWanted(reason="The AI assistant has not answered.")
    return [_timer(state, since, patience.answer, _unanswered(state), late)]


def _waiting_since(state: Conversation) -> datetime | None:
    """Since when the visitor waits for this holder's word, where the team may be asked."""
    if state.owed_since is None or not _may_ask(state):
        return None
    return max(state.owed_since, state.holder_at or state.owed_since)


def _may_ask(state: Conversation) -> bool:
    """The team is not being asked; or it was, to the end of the ladder, and the visitor wrote again."""
    return state.help is None or (state.help.last and (state.owed or 0) > state.help.told)


def _unanswered(state: Conversation) -> str:
    return f"unanswered:{state.owed}:{state.floor.since}"


def _while_held(
    state: Conversation, *, patience: Patience, absent_since: datetime | None, unseen: bool
) -> list[Timer]:
    found = []
    since, wait, why = _waiting_since(state), patience.reply, "has not replied"
    if unseen and state.owed_since is not None:
        waiting = max(state.owed_since, state.holder_at or state.owed_since)
        key = f"back:{state.floor.since}"
        found.append(_timer(state, waiting, patience.hand_back, key, ev.HandedBack()))
    if absent_since is not None:
        absent_since = max(absent_since, state.holder_at or absent_since)
        key = f"back:{state.floor.since}"
        found.append(_timer(state, absent_since, patience.hand_back, key, ev.HandedBack()))
        wait, why = patience.absent_reply, "is away"
        since = max(since, absent_since) if since is not None else None
    if since is not None:
        asks = ev.HelpWanted(reason=f"{state.holder_name} {why}.")
        found.append(_timer(state, since, wait, _unanswered(state), asks))
    return found


def _timer(state: Conversation, since: datetime, seconds: float, key: str, event: Event) -> Timer:
    proposal = Proposal(
        events=(event,), by=ev.System(), via="clock", key=key, floor=state.floor.since, head=state.head
    )
    return Timer(at=since + timedelta(seconds=seconds), proposal=proposal)


def due(found: list[Timer], now: datetime) -> list[Proposal]:
    """The proposals whose time has come, the earliest first."""
    return [t.proposal for t in sorted(found, key=lambda t: t.at) if t.at <= now]


def look_again(
    state: Conversation, found: list[Timer], *, patience: Patience, now: datetime, looked: bool
) -> datetime | None:
    """The next moment at which the clock must look at the conversation.

    While a person holds the floor that is soon, whatever the timers say: nothing in the log tells when
    their connections went away. What is overdue is looked at at once, and soon again by whoever has
    `looked` and could do nothing.
    """
    soon = now + timedelta(seconds=patience.look)
    moments = [soon if looked and t.at <= now else t.at for t in found]
    if isinstance(state.floor.holder, Staff) and not state.closed:
        moments.append(soon)
    return min(moments, default=None)
