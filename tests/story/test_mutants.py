"""The laws can fail: four broken cores, each of which the random story must expose."""

from collections.abc import Callable, Sequence
from datetime import datetime

from hypothesis import Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace
import pytest

from bridge import conversation
from bridge import events as ev
from bridge.conversation import Conversation, Duplicate
from bridge.errors import Conflict
from bridge.events import ConversationId, Entry, Proposal, Seq
from bridge.store import Store
from tests.redises import RedisServer
from tests.story.engines import over_redis
from tests.story.machine import Laws
from tests.story.world import LawBrokenError, broken

BOUNDED = settings(max_examples=250, stateful_step_count=40, phases=[Phase.generate])


@pytest.fixture(params=["sqlite", "redis"])
def laws(request: pytest.FixtureRequest) -> type[Laws]:
    if request.param == "sqlite":
        return Laws
    server: RedisServer = request.getfixturevalue("redis_server")
    return over_redis(server)


def found_out(machine: type[Laws]) -> int:
    """The first law that a random story sees broken."""
    broken.clear()
    with pytest.raises((LawBrokenError, Flaky)):  # flaky: who of many at once came first is up to the threads
        run_state_machine_as_test(machine, settings=BOUNDED)
    return broken[0]


def no_fence(_state: Conversation, _proposal: Proposal) -> None:
    """Whatever the author saw will do."""


real_fence = conversation._check_fence


def holder_only(state: Conversation, proposal: Proposal) -> None:
    """The assistant's fence asks who holds the floor now, and not since when."""
    if not isinstance(proposal.by, ev.Assistant):
        real_fence(state, proposal)
    elif not isinstance(state.floor.holder, ev.Assistant):
        real_fence(state, replace(proposal, floor=Seq(-1)))


@pytest.mark.parametrize(("fence", "broken_laws"), [(no_fence, {5, 7}), (holder_only, {5})])
def test_a_fence_that_does_not_hold_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    laws: type[Laws],
    fence: Callable[[Conversation, Proposal], None],
    broken_laws: set[int],
):
    monkeypatch.setattr(conversation, "_check_fence", fence)
    assert found_out(laws) in broken_laws


def test_a_core_that_forgets_what_it_has_is_found_out(monkeypatch: pytest.MonkeyPatch, laws: type[Laws]):
    def no_dedupe(_state: Conversation, _proposal: Proposal) -> Duplicate | None:
        return None

    monkeypatch.setattr(conversation, "_known", no_dedupe)
    assert found_out(laws) == 2


class BlindStore:
    """Puts entries at the end of the log, wherever that is, instead of where they were decided."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    async def append(
        self, cid: ConversationId, entries: Sequence[Entry], *, after: Seq, due: datetime | None
    ) -> None:
        while True:
            moved = [replace(e, seq=Seq(after + n)) for n, e in enumerate(entries, start=1)]
            try:
                return await self.store.append(cid, moved, after=after, due=due)
            except Conflict as conflict:
                after = Seq(conflict.head)


def test_a_store_that_appends_without_comparing_is_found_out(laws: type[Laws]):
    class OverBlindStore(laws):  # type: ignore[misc, valid-type]
        async def open_store(self) -> Store:
            return BlindStore(await super().open_store())  # type: ignore[return-value]

    assert found_out(OverBlindStore) in {1, 2, 3, 5, 7}
