"""Conversations for tests: their people, short ways to propose, and random logs for Hypothesis."""

from datetime import UTC, datetime, timedelta
import json
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct
import pytest

from bridge import events as ev
from bridge import wire
from bridge.conversation import Conversation, Duplicate, admit, fold
from bridge.errors import Refused
from bridge.events import Entry, Event, Party, Proposal, Seq, Staff, StaffId

START = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
VISITOR, ASSISTANT, SYSTEM = ev.Visitor(), ev.Assistant(), ev.System()
ANN = Staff(id=StaffId("id-ann"), name="Ann")
SAM = Staff(id=StaffId("id-sam"), name="Sam")
STAFF = (ANN, SAM)
PARTIES: tuple[Party, ...] = (VISITOR, ASSISTANT, SYSTEM, *STAFF)


class Story:
    """A conversation in memory that is told step by step; each step may come a while after the last."""

    def __init__(self, *, opened: bool = True) -> None:
        self.state = Conversation()
        self.entries: list[Entry] = []
        self.now = START
        self._count = 0
        if opened:
            self.propose(VISITOR, ev.Opened(site="acme"))

    def propose(
        self,
        by: Party,
        *events: Event,
        key: str | None = None,
        floor: int | None = None,
        fenced: bool = True,
        after: float = 1.0,
    ) -> list[Entry] | Duplicate:
        """Admit `events` by `by`, with the present fence unless another is given."""
        self._count += 1
        self.now += timedelta(seconds=after)
        fence = self.state.floor.since if floor is None and fenced else floor
        proposal = Proposal(
            events=events, by=by, via="test", key=key or f"k{self._count}",
            floor=None if fence is None else Seq(fence),
        )  # fmt: skip
        return self.submit(proposal)

    def submit(self, proposal: Proposal) -> list[Entry] | Duplicate:
        outcome = admit(self.state, proposal, self.now)
        if not isinstance(outcome, Duplicate):
            for entry in outcome:
                self.state = fold(self.state, entry)
            self.entries += outcome
        return outcome


def held_by(*staff: Staff) -> Story:
    story = Story()
    for person in staff:
        story.propose(person, ev.TookOver())
    return story


def refusal(story: Story, by: Party, *events: Event, **how: Any) -> Refused:
    """How the rules refuse what is proposed, which must change nothing."""
    before = story.state
    with pytest.raises(Refused) as caught:
        story.propose(by, *events, **how)
    assert story.state == before
    return caught.value


class Attempt(Struct, frozen=True):
    proposal: Proposal
    outcome: list[Entry] | Duplicate | str  # the code of a refusal


texts = st.sampled_from(["hello", "Where is it?", "ä\u0301 🙂", " ", ""])
seqs = st.integers(0, 12).map(Seq)

events = st.one_of(
    st.builds(ev.Opened, site=st.just("acme")),
    st.builds(ev.Said, text=texts),
    st.builds(ev.Said, text=texts),
    st.builds(ev.Noted, text=texts),
    st.builds(ev.Guided, text=texts),
    st.just(ev.Joined()),
    st.just(ev.Left()),
    st.builds(ev.Renamed, name=st.sampled_from(["Ann", "Zoe", "AI assistant", ""])),
    st.just(ev.TookOver()),
    st.just(ev.TookOver()),
    st.just(ev.HandedBack()),
    st.just(ev.HandedBack()),
    st.builds(ev.HelpWanted, reason=texts, step=st.integers(0, 2), last=st.booleans()),
    st.builds(ev.Edited, target=seqs, text=texts),
    st.builds(ev.Retracted, target=seqs),
    st.builds(ev.Rated, score=st.sampled_from(["good", "ok", "bad"]), comment=texts),
    st.builds(
        ev.Identified, name=texts, email=st.sampled_from(["", "a@b.example", "no"]), verified=st.booleans()
    ),
    st.builds(
        ev.Undelivered, surface=st.just("email"), target=seqs, reason=texts, retrying=st.booleans(),
        late=st.booleans(),
    ),
    st.builds(ev.Closed, reason=texts),
    st.just(ev.Reopened()),
    st.just(ev.Reopened()),
    st.builds(ev.Redacted, target=seqs),
)  # fmt: skip


@st.composite
def attempts(draw: st.DrawFn, *, most: int = 30) -> list[Attempt]:
    """What anybody might propose, in any order, with any fence and few keys; and what became of it."""
    story = Story(opened=draw(st.booleans()))
    sinces = [Seq(0)]
    made: list[Attempt] = []
    for _ in range(draw(st.integers(1, most))):
        sinces.append(story.state.floor.since)
        proposal = Proposal(
            events=tuple(draw(st.lists(events, min_size=1, max_size=2))),
            by=draw(st.sampled_from(PARTIES)),
            via="test",
            key=draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz")),
            floor=draw(
                st.sampled_from([sinces[-1], sinces[-1], sinces[-1], draw(st.sampled_from(sinces)), None])
            ),
        )
        story.now += timedelta(seconds=draw(st.integers(0, 300)))
        try:
            made.append(Attempt(proposal, story.submit(proposal)))
        except Refused as refusal:
            made.append(Attempt(proposal, refusal.code))
    return made


def log_of(made: list[Attempt]) -> list[Entry]:
    opening = Story().entries
    first = [entry for a in made if isinstance(a.outcome, list) for entry in a.outcome]
    return first if not first or first[0].seq == 1 else opening + first


def folded(entries: list[Entry]) -> Conversation:
    state = Conversation()
    for entry in entries:
        state = fold(state, entry)
    return state


def said(text: str) -> str:
    """What becomes of `text` on its way in from a browser."""
    frame = wire.decode(json.dumps({"t": "propose", "key": "k", "events": [{"type": "Said", "text": text}]}))
    assert isinstance(frame, wire.Propose)
    (event,) = frame.events
    assert isinstance(event, ev.Said)
    return event.text
