"""A run of its own: Redis goes back in time while people talk, restored from a copy or emptied, and servers live on.

What was acknowledged after the copy is gone from the store, so the laws cannot hold for it. `lost.py` judges what
docs/explanation/what-can-be-lost.md promises instead.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
import shutil
import time

from bridge.events import Entry
from tests.eventually import PATIENCE, eventually
from tests.fakes import model as answers
from tests.fakes.model import FakeModel
from tests.fakes.slack import Slack
from tests.fakes.smtp import SmtpServer
from tests.fakes.telegram import TelegramServer
from tests.harness.client import Client
from tests.harness.crowd import Colleague, Place, Visitor
from tests.harness.fleet import Fleet
from tests.harness.history import Down, History
from tests.harness.lost import Loss, judge
from tests.harness.plan import MAILBOXES, Plan, Say, config
from tests.harness.remains import in_slack, in_telegram, logs_of, read_logs
from tests.harness.report import Report
from tests.harness.rest import come_to_rest
from tests.redises import DURABLE, RedisServer, flush

TALKED = 8  # acknowledgements after the copy, all of which are lost
TALKS_ON = 2.0  # seconds after everybody has begun anew


@dataclass(frozen=True, kw_only=True)
class Backwards:
    """`emptied`: there is no copy, and nothing is left."""

    seed: int
    emptied: bool = False
    visitors: int = 8
    colleagues: int = 3


class GoesBack:
    def __init__(self, plan: Backwards, folder: Path, say: Say) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        self._dice = Random(plan.seed)
        self._usual = Plan(seed=plan.seed, seconds=0, people=0, servers=2, lives=2.5)
        self._slack = Slack()
        self._slack.posts_per_second, self._slack.post_burst = 10_000.0, 10_000
        self._telegram = TelegramServer()
        self._telegram.add_group("Desk")
        self._smtp = SmtpServer()
        self._model = FakeModel()
        self._answers = 0
        self._model.play(self._answer)
        self._fleet: Fleet
        self.history = History(terms=self._usual.terms, servers=2, recipients=MAILBOXES)

    async def _answer(self, x: answers.Exchange) -> None:
        self._answers += 1
        await answers.says(f"a{self._answers}x. Yes, we ship it.")(x)

    async def run(self) -> Report:
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            for fake in (self._slack, self._telegram, self._smtp):
                await stack.enter_async_context(fake)
            await stack.enter_async_context(self._model.serving())
            settings = config(
                slack=self._slack, telegram=self._telegram, model=self._model, smtp_url=self._smtp.url
            )
            self._fleet = await stack.enter_async_context(
                Fleet(self._folder, settings, servers=2, redis=True, lives=self._usual.lives)
            )
            self._say(f"seed {self._plan.seed}: {self._plan.visitors} visitors, and Redis goes back")
            loss, restful = await self._live()
        report = Report(
            seed=self._plan.seed, seconds=time.monotonic() - began, store="Redis that goes back", servers=2,
            history=self.history, verdicts=judge(self.history, loss),
            faults={"redis emptied" if self._plan.emptied else "redis restored from a copy": 1},
            complaints=[] if restful else ["it did not come to rest"],
        )  # fmt: skip
        report.keep(self._folder)
        return report

    async def _live(self) -> tuple[Loss, bool]:
        history, plan = self.history, self._plan
        place = Place(
            doors=self._fleet.doors, base_url=self._fleet.base_url, history=history, smtp=self._smtp
        )
        place.hurry = 0.4
        visitors = [
            Visitor(n, place, Random(self._dice.random()), pause=0.1, reuses=False)
            for n in range(plan.visitors)
        ]
        colleagues = [
            Colleague(n, MAILBOXES[0], [visitors[n]], place, Random(self._dice.random()))
            for n in range(plan.colleagues)
        ]
        clients = [visitor.client for visitor in visitors]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                await client.__aenter__()
            working = [group.create_task(visitor.run()) for visitor in visitors]
            staff = [group.create_task(colleague.run()) for colleague in colleagues]
            await eventually(lambda: all(v.answered for v in visitors), within=3 * PATIENCE, what="answers")
            await eventually(
                lambda: all(c.client for c in colleagues), within=3 * PATIENCE, what="colleagues"
            )
            clients += [c.client for c in colleagues if c.client]
            await eventually(lambda: all(client.lines for client in clients), what="everybody reads")
            loss = await self._lose([visitor.cid for visitor in visitors])
            await eventually(
                lambda: all(_noticed(c, loss) for c in clients), within=3 * PATIENCE, what="notice"
            )
            self._say("everybody has begun anew")
            await asyncio.sleep(TALKS_ON)
            place.over.set()
            await asyncio.wait(working)
            restful = await come_to_rest(visitors, clients, self._happened, lives=self._usual.lives)
            history.ended = datetime.now(UTC)
            place.rest.set()
            await asyncio.wait(staff)
            for visitor in visitors:
                await visitor.client.__aexit__()
        marks = {f"{v.mark}.": v.cid for v in visitors}
        history.logs = await read_logs(self._fleet, marks.values())
        history.slack, history.telegram = in_slack(self._slack), in_telegram(self._telegram, marks)
        return loss, restful

    async def _lose(self, cids: list[str]) -> Loss:
        """Redis forgets what it acknowledged since the copy was made."""
        redis, history = self._fleet.redis, self.history
        assert redis is not None
        store = history.sittings[-1].store
        copy, kept = self._folder / "copy", dict[str, list[Entry]]()
        if not self._plan.emptied:
            redis.pause()
            await asyncio.to_thread(shutil.copytree, redis.folder, copy)
            redis.go_on()
            kept = await self._kept(copy, cids)
        before = len(history.acked)
        await eventually(lambda: len(history.acked) >= before + TALKED, what="what will be lost")
        self._say(f"redis goes back behind {len(history.acked) - before} acknowledgements")
        began = datetime.now(UTC)
        if self._plan.emptied:
            await flush(redis)
        else:
            await asyncio.to_thread(redis.kill)
            shutil.rmtree(redis.folder)
            shutil.copytree(copy, redis.folder)
            await asyncio.to_thread(redis.start)
        history.downs += [Down(server, began, datetime.now(UTC)) for server in range(2)]
        return Loss(store=store, kept=kept, at=began)

    async def _kept(self, copy: Path, cids: list[str]) -> dict[str, list[Entry]]:
        """What the copy holds, read from a Redis of its own."""
        beside = RedisServer(*DURABLE)
        shutil.rmtree(beside.folder)
        shutil.copytree(copy, beside.folder)
        try:
            await asyncio.to_thread(beside.start)
            return await logs_of(beside.url, cids)
        finally:
            await asyncio.to_thread(beside.close)

    def _happened(self) -> int:
        return len(self._slack.messages) + len(self._telegram.sent) + len(self._smtp.received)


def _noticed(client: Client, loss: Loss) -> bool:
    """It was told that the store is another one; or that its session went with it."""
    return client.out or (client.online and client.store != loss.store)
