"""What a member of staff types or presses on a chat platform becomes a proposal, and an answer for them."""

from collections.abc import Awaitable, Callable
from itertools import chain, count
import re
from typing import Literal

from msgspec import Struct

from bridge import commands, wire
from bridge import events as ev
from bridge.conversation import MAX_NAME, Conversation
from bridge.errors import Refused
from bridge.events import ConversationId, Entry, Event, Proposal, Seq, Staff, StaffId, author
from bridge.rules import check_name, is_reserved
from bridge.surface import Anchor, Inlet, Receipt
from bridge.text import clean_name
from connectors.threads.card import Action
from connectors.threads.ledger import Ledger
from connectors.threads.words import NOTE_MARK, CommandLine, Meaning, NoteText, PlainText, meaning

ThreadText = Literal["note", "takes_over"]
Mark = Literal["", "sent", "noted", "done"]

KEPT_AS_NOTE = "Only the team sees this: it is kept as a note."
NO_COMMANDS = "An edit runs no command and sends no note. The earlier words stand."
STILL_READS = "The visitor still reads the earlier words."
FOR_THE_TEAM = "Nothing was done: words after // stay with the team. Write them as a message of their own."
NOT_PASSED_ON = "This message had gone nowhere, so its edit changes nothing. Write it anew."
AGAIN = "Send that again to take over all the same."
GONE = "This message was taken back, so the edit changes nothing."


class Member(Struct, frozen=True, kw_only=True):
    """Somebody on the platform who may take part: the platform's id, and the name they go by there."""

    id: str
    name: str


class Offer(Struct, frozen=True, kw_only=True):
    """Take over and send: note `seq` would go to the visitor, from the view that `since` has the floor."""

    seq: Seq
    since: Seq


class Reply(Struct, frozen=True, kw_only=True):
    """For the one who acted: how their message is marked, words, an offer, a personal link."""

    mark: Mark = ""
    text: str = ""
    offer: Offer | None = None
    link: str = ""


GiveLink = Callable[[ConversationId, Staff], Awaitable[str]]


_TYPED = re.compile(r"typed:(?P<ref>.+?)(:sent|:gone|:edit:.*)?(#\d+)?")


def typed_as(entry: Entry, surface: str) -> str | None:
    """The message by which somebody typed `entry` on the surface itself, where its words stand already."""
    found = _TYPED.fullmatch(entry.key) if entry.via == surface else None
    return found and found["ref"]


class Desk:
    """`ref` is the platform's own name of a message, the same however often it is told."""

    def __init__(
        self,
        *,
        surface: str,
        label: str,
        inlet: Inlet,
        ledger: Ledger,
        thread_text: ThreadText,
        give_link: GiveLink,
        mark: str = "",
    ) -> None:
        self._surface = surface
        self._label = label
        self._inlet = inlet
        self._ledger = ledger
        self._thread_text = thread_text
        self._give_link = give_link
        self._mark = mark

    def staff_id(self, member_id: str) -> StaffId:
        return StaffId(f"{self._surface}:{member_id}")

    async def typed(
        self, cid: ConversationId, member: Member, *, anchor: Anchor, ref: str, said: Meaning
    ) -> Reply:
        """A message in the thread `anchor`, where its words stand from now on."""
        state = await self._inlet.state(cid)
        by, key = self._staff(state, member), f"typed:{ref}"
        known = state.keys.get((author(by), key))
        if known is not None:
            return await self._repeated(cid, state, known[0], said)
        await self._ledger.typed(ref, anchor)
        try:
            match said:
                case CommandLine(line=line):
                    return await self._command(cid, state, by, key, line)
                case NoteText(text=text):
                    await self._submit(cid, by, key, ev.Noted(text=text))
                    return Reply(mark="noted")
                case PlainText(text=text):
                    return await self._words(cid, state, by, key, text)
        except Refused as refused:
            again = f" {AGAIN}" if refused.code == "floor_moved" else ""
            return Reply(text=f"{refused.message}{again}")

    async def _words(self, cid: ConversationId, state: Conversation, by: Staff, key: str, text: str) -> Reply:
        """To the visitor where `by` has the floor, or takes it with these words; else kept for the team."""
        said, why = ev.Said(text=text), KEPT_AS_NOTE
        try:
            if _holds(state, by):
                await self._submit(cid, by, key, said)
                return Reply(mark="sent")
            if self._thread_text == "takes_over" and _answered_by_ai(state):
                await self._submit(cid, by, key, ev.TookOver(), said, floor=state.floor.since)
                return Reply(mark="sent")
        except Refused as refused:
            if refused.code not in ("not_holder", "floor_moved", "closed"):
                raise
            why = f"{refused.message} {KEPT_AS_NOTE}"
        receipt = await self._submit(cid, by, key, ev.Noted(text=text))
        return await self._noted(cid, receipt.seq, why)

    async def _noted(self, cid: ConversationId, seq: Seq, why: str = KEPT_AS_NOTE) -> Reply:
        state = await self._inlet.state(cid)
        if state.closed:
            return Reply(mark="noted", text=f"The conversation has ended. {KEPT_AS_NOTE}")
        return Reply(mark="noted", text=why, offer=Offer(seq=seq, since=state.floor.since))

    async def _repeated(self, cid: ConversationId, state: Conversation, seq: Seq, said: Meaning) -> Reply:
        """The answer to what stands at `seq` already."""
        entry = (await self._inlet.read(cid, after=seq - 1, limit=1))[0]
        if not isinstance(entry.event, ev.Noted):
            return Reply(mark="sent" if isinstance(said, PlainText) else "done")
        if (author(entry.by), f"{entry.key}:sent") in state.keys:
            return Reply(mark="sent")
        if not isinstance(said, PlainText) or state.words[seq].gone:
            return Reply(mark="noted")
        return await self._noted(cid, seq)

    async def pressed(
        self, cid: ConversationId, member: Member, *, action: Action, since: Seq, key: str
    ) -> Reply:
        """A button on a card that was drawn when `since` had the floor."""
        state = await self._inlet.state(cid)
        by = self._staff(state, member)
        if (author(by), f"pressed:{key}") in state.keys:
            return Reply(mark="done")
        try:
            return await self._command(
                cid, state, by, f"pressed:{key}", action, floor=_fence(state, by, since)
            )
        except Refused as refused:
            return Reply(text=refused.message)

    async def guided(self, cid: ConversationId, member: Member, *, text: str, key: str) -> Reply:
        by = self._staff(await self._inlet.state(cid), member)
        try:
            await self._submit(cid, by, f"pressed:{key}", ev.Guided(text=text))
        except Refused as refused:
            return Reply(text=refused.message)
        return Reply(mark="done")

    async def take_and_send(self, cid: ConversationId, member: Member, offer: Offer) -> Reply:
        """Take over and send that very note, both or nothing; the note becomes the message."""
        state = await self._inlet.state(cid)
        by = self._staff(state, member)
        note = await self._own_words(cid, state, by, offer.seq)
        if note is None:
            return Reply(text="Only your own note can be sent, and only once.")
        key = f"{note.key}:sent"
        if (author(by), key) in state.keys:
            return Reply(mark="sent")
        if state.words[offer.seq].gone:
            return Reply(text="The note was taken back, so there is nothing to send.")
        words = (ev.Said(text=note.text), ev.Retracted(target=offer.seq))
        try:
            if _holds(state, by):
                await self._submit(cid, by, key, *words)
            else:
                await self._submit(cid, by, key, ev.TookOver(), *words, floor=_fence(state, by, offer.since))
        except Refused as refused:
            if refused.code not in ("floor_moved", "not_holder"):
                return Reply(text=refused.message)
            state = await self._inlet.state(cid)
            again = Offer(seq=offer.seq, since=state.floor.since)
            return Reply(text=f"{state.holder_name} is answering now. Your note was not sent.", offer=again)
        return Reply(mark="sent")

    async def edited(
        self, cid: ConversationId, member: Member, *, ref: str, said: Meaning, revision: str
    ) -> Reply | None:
        """New words for an earlier message; None where no message of that name led to words in the log."""
        state = await self._inlet.state(cid)
        by = self._staff(state, member)
        target = await self._target(cid, state, by, ref)
        if target is None:
            return None
        spoken = state.words[target].spoken
        if state.words[target].gone:
            return Reply(text=GONE)
        if isinstance(said, CommandLine) or (spoken and isinstance(said, NoteText)):
            return Reply(text=NO_COMMANDS)
        try:
            edit = ev.Edited(target=target, text=said.text)
            await self._submit(cid, by, f"typed:{ref}:edit:{revision}", edit)
        except Refused as refused:
            return Reply(text=f"{refused.message} {STILL_READS}" if spoken else refused.message)
        return Reply()

    async def deleted(self, cid: ConversationId, member: Member, *, ref: str) -> Reply | None:
        """The message is taken back; None as for `edited`."""
        state = await self._inlet.state(cid)
        by = self._staff(state, member)
        target = await self._target(cid, state, by, ref)
        if target is None:
            return None
        if state.words[target].gone:
            return Reply(mark="done")
        try:
            await self._submit(cid, by, f"typed:{ref}:gone", ev.Retracted(target=target))
        except Refused as refused:
            spoken = state.words[target].spoken
            return Reply(text=f"{refused.message} {STILL_READS}" if spoken else refused.message)
        return Reply(mark="done")

    async def _command(
        self,
        cid: ConversationId,
        state: Conversation,
        by: Staff,
        key: str,
        line: str,
        *,
        floor: Seq | None = None,
    ) -> Reply:
        match commands.run(line, state, by, mark=self._mark):
            case commands.Say(text=text):
                return Reply(text=text)
            case commands.GiveLink():
                return Reply(link=await self._give_link(cid, by))
            case events if any(_is_note(event) for event in events):
                return Reply(text=FOR_THE_TEAM)
            case events:
                takes = isinstance(events[0], ev.TookOver)
                fence = (floor or await self._view(cid, state, by, key)) if takes else None
                await self._submit(cid, by, key, *events, floor=fence)
                return Reply(mark="noted" if isinstance(events[0], ev.Noted) else "done")

    async def _view(self, cid: ConversationId, state: Conversation, by: Staff, key: str) -> Seq:
        """The floor as whoever types sees it: who took it a moment ago is not overruled unseen."""
        since = state.floor.since
        told, by_message = await self._ledger.told(cid, by.id)
        seen = max(await self._ledger.shown_upto(cid), told if by_message != key else 0)
        if seen < since and told != since:
            await self._ledger.tell(cid, by.id, since, key)  # the refusal says who answers
        return _fence(state, by, since if seen >= since else Seq(seen))

    async def _submit(
        self, cid: ConversationId, by: Staff, key: str, *events: Event, floor: Seq | None = None
    ) -> Receipt:
        clean = tuple(wire.clean_event(event) for event in events)
        proposal = Proposal(events=clean, by=by, via=self._surface, key=key, floor=floor)
        return await self._inlet.submit(cid, proposal)

    def _staff(self, state: Conversation, member: Member) -> Staff:
        """Who the member is here: under the name given here, else their own, told apart where it is taken."""
        staff_id = self.staff_id(member.id)
        known = state.people.get(staff_id)
        own = clean_name(member.name)
        own = self._label if not own or is_reserved(own) else own
        told_apart = (_name(own, f" ({mark})") for mark in chain([self._label], count(2)))
        for name in chain([known.name] if known else [], [_name(own, "")], told_apart):
            try:
                check_name(state, staff_id, name)
            except Refused:
                continue
            return Staff(id=staff_id, name=name)
        raise AssertionError("some number is free")

    async def _target(self, cid: ConversationId, state: Conversation, by: Staff, ref: str) -> Seq | None:
        """The entry that message `ref` stands for now: what was sent of it, else what was kept."""
        for key in (f"typed:{ref}:sent", f"typed:{ref}"):
            known = state.keys.get((author(by), key))
            if known is not None:
                for entry in await self._inlet.read(cid, after=known[0] - 1, limit=2):
                    if entry.key in (key, f"{key}#1") and entry.seq in state.words:
                        return entry.seq
        return None

    async def _own_words(
        self, cid: ConversationId, state: Conversation, by: Staff, seq: Seq
    ) -> "_Words | None":
        """Note `seq` as it reads now, if it is a note of `by`."""
        word = state.words.get(seq)
        if word is None or word.spoken or word.author != author(by):
            return None
        entries: list[Entry] = []
        position = seq - 1
        while found := await self._inlet.read(cid, after=position):
            entries += found
            position = found[-1].seq
        texts = [_text_for(entry, seq) for entry in entries]
        return _Words(key=entries[0].key, text=[t for t in texts if t is not None][-1])


class _Words(Struct, frozen=True, kw_only=True):
    key: str
    text: str


def _text_for(entry: Entry, seq: Seq) -> str | None:
    match entry.event:
        case ev.Noted(text=text) if entry.seq == seq:
            return text
        case ev.Edited(target=target, text=text) if target == seq:
            return text
        case _:
            return None


def _is_note(event: Event) -> bool:
    """Whether these are words for the visitor that are marked as a note."""
    return isinstance(event, ev.Said) and isinstance(meaning(event.text, mark=NOTE_MARK), NoteText)


def _holds(state: Conversation, by: Staff) -> bool:
    return author(state.floor.holder) == author(by) and not state.closed


def _answered_by_ai(state: Conversation) -> bool:
    """Nobody's floor is taken by a mere reply; from a colleague it takes a press."""
    return isinstance(state.floor.holder, ev.Assistant) and not state.closed


def _fence(state: Conversation, by: Staff, since: Seq) -> Seq:
    """The view that a press was made in; where the AI has the floor again, nobody is overruled."""
    holder = state.floor.holder
    overrules = author(holder) != author(by) and not isinstance(holder, ev.Assistant) and not state.closed
    return since if overrules else state.floor.since


def _name(own: str, suffix: str) -> str:
    return clean_name(own[: MAX_NAME - len(suffix)] + suffix)
