"""The assistant: when it answers, and what becomes of an answer while the conversation goes on."""

import asyncio
from collections.abc import Mapping
import logging

from msgspec import Struct

from bridge import events as ev
from bridge.assistant import phrases
from bridge.assistant.budget import Budget, estimate
from bridge.assistant.compose import Answer, Pace, compose
from bridge.assistant.engine import Engine, EngineFailed, Request
from bridge.assistant.prompt import build, owed, turn_key
from bridge.assistant.watch import Watch, watching
from bridge.conversation import Conversation
from bridge.core import Bridge
from bridge.errors import RefusalCode, Refused, Retry, StoreError
from bridge.events import ConversationId, Entry, Event, Proposal, Seq
from bridge.pulse import Draft
from bridge.surface import Anchor, Inlet, Post
from bridge.text import clean_text
from bridge.wire import DraftEnd

log = logging.getLogger(__name__)

CHUNK = 1_000  # entries read at a time


class _Turn(Struct, frozen=True, kw_only=True):
    """What the assistant owes: an answer up to visitor's message `seq`, under the floor given at `since`.

    `seen` is the head of the log that the answer is built on.
    """

    cid: ConversationId
    seq: Seq
    since: Seq
    seen: Seq
    deadline: float


class Assistant:
    """A pushed surface that answers. Without an engine it only asks the team to join.

    `businesses` names the business of each site; `budget` None counts nothing.
    """

    name = "assistant"

    def __init__(
        self,
        *,
        bridge: Bridge,
        engine: Engine | None,
        pace: Pace | None = None,
        budget: Budget | None = None,
        instructions: str = "",
        businesses: Mapping[str, str] | None = None,
    ) -> None:
        self._bridge = bridge
        self._engine = engine
        self._pace = pace or Pace()
        self._budget = budget
        self._instructions = instructions
        self._businesses = businesses or {}

    async def run(self, inlet: Inlet) -> None:  # noqa: ARG002 - it hears of everything by `deliver`
        """Nothing comes in but by `deliver`."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.close()

    async def deliver(self, post: Post) -> Anchor | None:
        """Answer what is owed, if `post` is a moment for it; returns when that is done or void."""
        try:
            if await self._is_due(post):
                await self._answer(post.cid)
        except (StoreError, OSError) as error:
            raise Retry(1.0, "the store cannot be used") from error
        return None

    async def _is_due(self, post: Post) -> bool:
        """`post.latest` may be stale: the log is asked."""
        match post.entry.event, post.entry.by:
            case ev.Said(), ev.Visitor():
                after = post.entry.seq - 1
            case ev.HandedBack(), _:
                after = 0
            case _:
                return False
        state = await self._bridge.state(post.cid)
        if not _may_speak(state) or (self._engine is None and _is_called(state)):
            return False
        return state.owed is not None or owed(await self._read(post.cid, after=after)) is not None

    async def _read(self, cid: ConversationId, *, after: int = 0) -> list[Entry]:
        entries: list[Entry] = []
        while more := await self._bridge.read(cid, after=after, limit=CHUNK):
            entries += more
            after = more[-1].seq
            if len(more) < CHUNK:
                break
        return entries

    async def _answer(self, cid: ConversationId) -> None:
        """Run until the answer is in the log or void; again when the visitor adds something meanwhile."""
        deadline = _time() + self._pace.turn
        state = await self._bridge.state(cid)
        if not _may_speak(state):
            return
        async with watching(self._bridge, cid, state) as watch:
            again = True
            while again:
                await watch.quiet(self._pace.quiet)
                entries = await self._read(cid)
                turn = owed(entries)
                if turn is None or watch.lost:
                    return
                again = await self._run(
                    _Turn(
                        cid=cid,
                        seq=turn,
                        since=state.floor.since,
                        seen=entries[-1].seq,
                        deadline=deadline,
                    ),
                    entries,
                    watch,
                )

    async def _run(self, turn: _Turn, entries: list[Entry], watch: Watch) -> bool:
        """One answer to everything in `entries`; whether it must be tried again with what came since."""
        if self._engine is None:
            await self._call_the_team(turn)
            return False
        if self._budget is not None and not await self._budget.allows(turn.cid):
            await self._apologise(turn, phrases.BUDGET_USED_UP)
            return False
        state = await self._bridge.state(turn.cid)
        request = build(
            entries,
            now=self._bridge.clock(),
            business=self._businesses.get(state.opened.site, "") if state.opened else "",
            instructions=self._instructions,
            may_ask=not _is_called(state),
        )
        return await self._race(turn, self._engine, request, watch) == "rerun"

    async def _race(self, turn: _Turn, engine: Engine, request: Request, watch: Watch) -> DraftEnd:
        """The engine against what happens in the conversation; what happens first decides."""
        draft = Draft(turn=turn.seq, since=turn.since)
        answer = Answer()

        def show(text: str) -> None:
            self._bridge.pulse.stream(turn.cid, draft, text)

        work = asyncio.create_task(
            compose(engine, request, answer, show=show, pace=self._pace, deadline=turn.deadline)
        )
        change = asyncio.create_task(watch.until_void(turn.seen))
        why: DraftEnd = "interrupted"
        try:
            await asyncio.wait([work, change], return_when=asyncio.FIRST_COMPLETED)
            why = change.result() if change.done() else _ending(work, turn)
            work.cancel()
            if not await self._conclude(turn, answer, why):
                why = "interrupted"
        finally:
            self._bridge.pulse.end_draft(turn.cid, draft, why)
            work.cancel()
            change.cancel()
            await asyncio.gather(work, change, return_exceptions=True)
        if self._budget is not None:
            spent = answer.tokens or estimate(request.size + len(answer.text))
            await self._budget.spend(turn.cid, spent)
        return why

    async def _conclude(self, turn: _Turn, answer: Answer, why: DraftEnd) -> bool:
        """Put into the log what `why` asks for; False where the log would not have it."""
        match why:
            case "done":
                text, person = clean_text(answer.text).strip(), answer.person
                return await self._say(turn, text, person=person)
            case "stopped":
                return await self._say(turn, clean_text(answer.text).strip() or phrases.STOPPED)
            case "failed":
                return await self._apologise(turn, phrases.COULD_NOT_ANSWER)
            case "interrupted" | "rerun":
                return True

    async def _apologise(self, turn: _Turn, reason: str) -> bool:
        state = await self._bridge.state(turn.cid)
        text = phrases.FAILED_AGAIN if _is_called(state) else phrases.FAILED
        return await self._say(turn, text, person=reason)

    async def _say(self, turn: _Turn, text: str, *, person: str | None = None) -> bool:
        """Propose the answer, and with it the call for a person, unless the team was called already."""
        state = await self._bridge.state(turn.cid)
        if person is not None and not _is_called(state):
            call = ev.HelpWanted(reason=person or phrases.PERSON_WANTED)
            refused = await self._propose(turn, ev.Said(text=text or phrases.ASKED), call)
            if refused != "invalid":  # the visitor has asked in the same moment
                return refused is None
        return await self._propose(turn, ev.Said(text=text or phrases.ASKED_BEFORE)) is None

    async def _propose(self, turn: _Turn, *events: Event) -> RefusalCode | None:
        proposal = Proposal(
            events=events, by=ev.Assistant(), via=self.name, key=turn_key(turn.seq), floor=turn.since
        )
        return await self._submit(turn, proposal)

    async def _call_the_team(self, turn: _Turn) -> None:
        """Without an engine. The key names the floor too: after a hand-back the team is called again."""
        state = await self._bridge.state(turn.cid)
        if _is_called(state):
            return
        call = ev.HelpWanted(reason=phrases.NO_ASSISTANT)
        key = f"call:{turn.since}:{turn.seq}"
        await self._submit(
            turn, Proposal(events=(call,), by=ev.System(), via=self.name, key=key, floor=turn.since)
        )

    async def _submit(self, turn: _Turn, proposal: Proposal) -> RefusalCode | None:
        try:
            await self._bridge.submit(turn.cid, proposal)
        except Refused as refusal:
            log.info("assistant: turn %s of %s was refused: %s", turn.seq, turn.cid, refusal.code)
            return refusal.code
        return None


def _may_speak(state: Conversation) -> bool:
    return not state.closed and isinstance(state.floor.holder, ev.Assistant)


def _is_called(state: Conversation) -> bool:
    """The team is being called; after the last step in vain it may be called anew."""
    return state.help is not None and not state.help.last


def _ending(work: asyncio.Task[None], turn: _Turn) -> DraftEnd:
    error = work.exception()
    if error is None:
        return "done"
    if not isinstance(error, EngineFailed):
        raise error
    log.warning("assistant: turn %s of %s failed: %s", turn.seq, turn.cid, error.reason)
    return "failed"


def _time() -> float:
    return asyncio.get_running_loop().time()
