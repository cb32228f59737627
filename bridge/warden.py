"""Lets time act on conversations: what idle.py says is due becomes proposals."""

import asyncio
from datetime import timedelta
import logging

from bridge import idle
from bridge.conversation import Conversation
from bridge.core import Bridge
from bridge.errors import Refused, StoreError
from bridge.events import ConversationId, Proposal, Seq

log = logging.getLogger(__name__)

PUT_OFF = 60.0  # seconds
STORE_PAUSE = 2.0  # the same for the store's trouble, which passes


class Warden:
    def __init__(self, *, bridge: Bridge, every: float = 1.0) -> None:
        self._bridge = bridge
        self._every = every

    async def run(self) -> None:
        """Look at what is due, `every` so many seconds, until cancelled."""
        while True:
            try:
                await self._look_at_all()
            except (StoreError, OSError) as trouble:  # time goes on as soon as it is over
                log.warning("clock: the store cannot be used now: %s", trouble)
            await asyncio.sleep(self._every)

    async def _look_at_all(self) -> None:
        """Everything that is due now."""
        while cids := await self._bridge.store.due(self._bridge.clock(), limit=100):
            for cid in cids:
                try:
                    await self.look(cid)
                except Exception as error:  # one log that cannot be read keeps no other waiting
                    pause = STORE_PAUSE if isinstance(error, StoreError) else PUT_OFF
                    log.exception("clock: trouble in %s; looks again in %g s", cid, pause)
                    await self._put_off(cid, pause)

    async def _put_off(self, cid: ConversationId, seconds: float) -> None:
        store = self._bridge.store
        head = (await store.heads([cid])).get(cid, Seq(0))
        await store.arm(cid, self._bridge.clock() + timedelta(seconds=seconds), head=head)

    async def look(self, cid: ConversationId) -> None:
        """Propose what is due in one conversation, then set the moment to look again."""
        bridge = self._bridge
        tried: set[str] = set()
        while True:
            state = await bridge.state(cid)
            proposal = next((p for p in self._due(cid, state) if p.key not in tried), None)
            if proposal is None:
                break
            tried.add(proposal.key)
            try:
                await bridge.submit(cid, proposal)
            except Refused as refusal:  # somebody acted in the same moment: that settles it
                log.info("clock: %s in %s refused: %s", proposal.key, cid, refusal.code)
        await bridge.store.arm(cid, bridge.next_due(cid, state, looked=True), head=state.head)

    def _due(self, cid: ConversationId, state: Conversation) -> list[Proposal]:
        return idle.due(self._bridge.timers(cid, state), self._bridge.clock())
