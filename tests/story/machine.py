"""A random story: visitors, a team and an assistant who act on old views, accidents, restarts, links."""

import asyncio
from contextlib import aclosing, suppress
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from msgspec.structs import replace

from bridge import events as ev
from bridge.core import Receipt
from bridge.errors import Refused
from bridge.events import ConversationId, Entry, Event, Party, Staff, author
from bridge.links import MAX_SESSIONS, fingerprint
from tests.eventually import eventually
from tests.logs import ANN, ASSISTANT, SYSTEM, VISITOR
from tests.story.world import CIDS, NEW_NAME, TEAM, View, World, law

picks = st.integers(0, 999)
sides = st.integers(0, 1)
cids = st.sampled_from(CIDS)
staff = st.sampled_from(TEAM)
words = st.sampled_from(["yes", "no", "wait"])


class Laws(World):
    # People

    @initialize(side=sides, visitors=st.sampled_from([CIDS, CIDS, CIDS[:1]]))
    def visitors_come(self, side: int, visitors: tuple[ConversationId, ...]) -> None:
        for cid in visitors:
            self.send(side, cid, self.make(VISITOR, ev.Opened(site="acme"), ev.Said(text="hello")))

    @rule(side=sides, cid=cids, text=words)
    def the_visitor_writes(self, side: int, cid: ConversationId, text: str) -> None:
        opening = () if self.logs[cid] else (ev.Opened(site="acme"),)
        self.send(side, cid, self.make(VISITOR, *opening, ev.Said(text=text)))

    @rule(side=sides, cid=cids)
    def the_assistant_begins_a_turn(self, side: int, cid: ConversationId) -> None:
        self.turns.append(View(cid, self.run(self.bridges[side].state(cid)).floor.since))

    @precondition(lambda self: self.turns)
    @rule(side=sides, pick=picks, text=words, asks=st.booleans())
    def the_assistant_ends_a_turn(self, side: int, pick: int, text: str, asks: bool) -> None:
        turn = self.turns[-1 - pick % len(self.turns)]
        events: tuple[Event, ...] = (ev.Said(text=text), ev.HelpWanted()) if asks else (ev.Said(text=text),)
        self.send(side, turn.cid, self.make(ASSISTANT, *events, floor=turn.since))

    @rule(side=sides, cid=cids)
    def somebody_looks(self, side: int, cid: ConversationId) -> None:
        self.views.append(View(cid, self.run(self.bridges[side].state(cid)).floor.since))

    @precondition(lambda self: self.views)
    @rule(side=sides, pick=picks, by=staff, text=st.none() | words)
    def somebody_takes_over_from_what_they_saw(
        self, side: int, pick: int, by: Staff, text: str | None
    ) -> None:
        seen = self.views[-1 - pick % len(self.views)]
        said = () if text is None else (ev.Said(text=text),)
        self.send(side, seen.cid, self.make(by, ev.TookOver(), *said, floor=seen.since))

    @rule(side=sides, cid=cids, by=staff, text=words)
    def somebody_on_the_team_writes(self, side: int, cid: ConversationId, by: Staff, text: str) -> None:
        self.send(side, cid, self.make(by, ev.Said(text=text)))

    @rule(
        side=sides, cid=cids, by=staff,
        event=st.sampled_from([ev.Noted(text="n"), ev.Guided(text="g"), ev.Joined(), ev.Left(), ev.Renamed(name=NEW_NAME)]),
    )  # fmt: skip
    def somebody_on_the_team_does_what_the_visitor_does_not_see(
        self, side: int, cid: ConversationId, by: Staff, event: Event
    ) -> None:
        self.send(side, cid, self.make(by, event))

    @rule(side=sides, cid=cids, parting=st.none() | words)
    def the_holder_hands_back(self, side: int, cid: ConversationId, parting: str | None) -> None:
        holder = next((s for s in TEAM if author(s) == self.floor(cid)[0]), ANN)
        said = () if parting is None else (ev.Said(text=parting),)
        self.send(side, cid, self.make(holder, *said, ev.HandedBack()))

    @rule(sides=st.tuples(sides, sides), cid=cids, by=staff)
    def somebody_takes_over_and_hands_back_at_once(
        self, sides: tuple[int, int], cid: ConversationId, by: Staff
    ) -> None:
        self.send(sides[0], cid, self.make(by, ev.TookOver(), floor=self.floor(cid)[1]))
        self.send(sides[1], cid, self.make(by, ev.HandedBack()))

    @precondition(lambda self: self.views)
    @rule(side=sides, pick=picks)
    def the_clock_hands_back(self, side: int, pick: int) -> None:
        seen = self.views[-1 - pick % len(self.views)]
        self.send(side, seen.cid, self.make(SYSTEM, ev.HandedBack(), floor=seen.since))

    @rule(side=sides, cid=cids, by=st.sampled_from([VISITOR, ANN, SYSTEM]))
    def a_conversation_ends_or_goes_on(self, side: int, cid: ConversationId, by: Party) -> None:
        ended = False
        for entry in self.logs[cid]:
            ended = isinstance(entry.event, ev.Closed) or (ended and not isinstance(entry.event, ev.Reopened))
        self.send(side, cid, self.make(by, ev.Reopened() if ended else ev.Closed()))

    # Accidents

    @precondition(lambda self: self.sent)
    @rule(side=sides, pick=picks)
    def an_acknowledgement_is_lost_and_the_same_is_sent_again(self, side: int, pick: int) -> None:
        again = self.sent[pick % len(self.sent)]
        self.send(side, again.cid, again.proposal)

    @precondition(lambda self: self.sent)
    @rule(side=sides, pick=picks)
    def a_key_is_used_for_something_else(self, side: int, pick: int) -> None:
        again = self.sent[pick % len(self.sent)]
        self.count += 1
        other = replace(
            again.proposal, events=(*again.proposal.events[:-1], ev.Said(text=f"other {self.count}"))
        )
        self.send(side, again.cid, other)

    @rule(side=sides, cid=cids, ticks=st.integers(0, 3), by=st.sampled_from([VISITOR, ANN]))
    def somebody_gives_up_waiting(self, side: int, cid: ConversationId, ticks: int, by: Party) -> None:
        proposal = self.make(by, ev.Said(text="hm") if by == VISITOR else ev.Noted(text="hm"))

        async def impatient() -> None:
            task = asyncio.create_task(self.ask(side, cid, proposal))
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self.run(impatient())

    @rule(cid=cids, takers=st.lists(staff, min_size=1, max_size=3), side=sides, twice=st.booleans())
    def everything_happens_at_once(
        self, cid: ConversationId, takers: list[Staff], side: int, twice: bool
    ) -> None:
        """All act on one view: some take over, the assistant answers, the visitor writes, the holder hands back."""
        since = self.floor(cid)[1]
        proposals = [self.make(by, ev.TookOver(), ev.Said(text="me"), floor=since) for by in takers]
        proposals.insert(1, self.make(ASSISTANT, ev.Said(text="answer"), floor=since))
        proposals.append(self.make(VISITOR, ev.Said(text="hurry")))
        holder = next((s for s in TEAM if author(s) == self.floor(cid)[0]), None)
        if holder is not None:
            proposals.append(self.make(holder, ev.HandedBack()))
        sends = [((side + n) % 2, p) for n, p in enumerate(proposals)]
        if twice:
            sends += [(1 - s, p) for s, p in sends]

        async def together() -> list[Receipt | Refused]:
            return await asyncio.gather(*(self.ask(s, cid, p) for s, p in sends))

        outcomes = self.run(together())
        first: dict[str, Receipt] = {}
        for (_, proposal), outcome in zip(sends, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                one = first.setdefault(f"{author(proposal.by)} {proposal.key}", outcome)
                law(2, one.seq == outcome.seq, f"one proposal stands at {one.seq} and at {outcome.seq}")
                self.acked[cid, author(proposal.by), proposal.key] = (outcome.seq, proposal.events)
            elif outcome.code == "floor_moved":
                law(7, bool(outcome.holder), "the loser is not told who has the floor")
        won = [p for (_, p), o in zip(sends, outcomes, strict=True)
               if isinstance(p.events[0], ev.TookOver) and isinstance(o, Receipt) and not o.duplicate]  # fmt: skip
        law(7, len(won) <= 1, f"{len(won)} took over from one view")

    @rule()
    def the_server_restarts(self) -> None:
        async def again() -> None:
            log_id = self.store.log_id
            await self.stop()
            await self.start()
            law(4, self.store.log_id == log_id, "the log has another id after a restart")

        self.run(again())

    # Those who read

    @rule(side=sides, cid=cids, pick=picks)
    def a_client_resumes(self, side: int, cid: ConversationId, pick: int) -> None:
        log = self.logs[cid]
        after = pick % (len(log) + 1)

        async def resume() -> list[Entry]:
            got: list[Entry] = []
            async with asyncio.timeout(10), aclosing(self.bridges[side].tail(cid, after)) as tail:  # type: ignore[type-var]
                while len(got) < len(log) - after:
                    got += (await anext(tail)).entries
            return got

        law(4, self.run(resume()) == log[after:], f"who resumed after {after} did not get the rest")

    @rule()
    def those_who_follow_have_seen_everything(self) -> None:
        def left_behind() -> bool:
            return any(task.done() for task in self.following)

        async def all_seen() -> None:
            for cid in CIDS:
                await eventually(lambda cid=cid: len(self.seen[cid]) >= len(self.logs[cid]) or left_behind())
            law(4, not left_behind(), "who follows live has been left behind")

        self.run(all_seen())
        for cid in CIDS:
            law(4, self.seen[cid] == self.logs[cid], "who follows live has seen another log")

    # Credentials

    @rule(cid=cids, by=staff)
    def a_link_is_sent(self, cid: ConversationId, by: Staff) -> None:
        url = self.run(self.links.mint(cid, by.id, name=by.name, email=""))
        self.links_of.append((url.partition("#")[2], cid, False))

    @precondition(lambda self: self.links_of)
    @rule(pick=picks)
    def a_link_is_revoked(self, pick: int) -> None:
        place = pick % len(self.links_of)
        token, cid, _ = self.links_of[place]
        self.run(self.links.revoke(fingerprint(token)))
        self.links_of[place] = (token, cid, True)

    @precondition(lambda self: self.links_of)
    @rule(pick=picks, by=staff)
    def a_link_is_opened(self, pick: int, by: Staff) -> None:
        place = pick % len(self.links_of)
        token, cid, revoked = self.links_of[place]

        async def opening() -> None:
            found = await self.links.find(token)
            law(12, found is not None and found[1].cid == cid, "a link opens its own conversation")
            assert found is not None
            law(12, found[1].revoked == revoked, "a revoked link stays so")
            law(12, await self.links.find(token[:-1]) is None, "a part of a link opens nothing")
            law(12, await self.links.session(token) is None, "a link is no session")
            self.now += timedelta(seconds=1)
            begun = await self.links.begin(*found, by)
            self.sessions_of.append((begun.token, place))
            law(12, await self.links.find(begun.token) is None, "a session is no link")

        self.run(opening())

    @precondition(lambda self: self.sessions_of)
    @rule()
    def the_sessions_are_looked_at(self) -> None:
        async def looking() -> None:
            alive = dict.fromkeys(range(len(self.links_of)), 0)
            for token, place in self.sessions_of:
                session = await self.links.session(token)
                if session is None:
                    continue
                alive[place] += 1
                law(12, session.cid == self.links_of[place][1], "a session is of its link's conversation")
            for place, count in alive.items():
                revoked = self.links_of[place][2]
                law(12, count <= (0 if revoked else MAX_SESSIONS), f"a link has {count} sessions, {revoked=}")

        self.run(looking())
