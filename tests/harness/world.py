"""One run: everybody at once, everything breaks, then rest; what is left is judged."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
import time

from bridge.store import Store, open_store
from tests.eventually import PATIENCE, eventually
from tests.fakes.model import FakeModel
from tests.fakes.slack import Slack
from tests.fakes.smtp import SmtpServer
from tests.fakes.telegram import TelegramServer
from tests.harness.checker import check
from tests.harness.crowd import Colleague, Place, Visitor
from tests.harness.faults import Injector
from tests.harness.fleet import Fleet
from tests.harness.history import History
from tests.harness.looks import look_around
from tests.harness.members import SlackMember, TelegramMember
from tests.harness.plan import MAILBOXES, Plan, Say, config
from tests.harness.proxy import Proxy
from tests.harness.remains import in_mail, in_slack, in_telegram, read_logs
from tests.harness.report import Report
from tests.harness.rest import come_to_rest
from tests.harness.scripted import Duel, Silent
from tests.harness.watch import Watch

SURFACES = ("assistant", "slack", "telegram", "email")


class World:
    def __init__(self, plan: Plan, folder: Path, say: Say) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        self._dice = Random(plan.seed)
        self._slack = Slack()
        self._slack.posts_per_second, self._slack.post_burst = 10_000.0, 10_000
        self._telegram = TelegramServer()
        self._telegram.add_group("Desk")
        self._smtp = SmtpServer()
        self._model = FakeModel()
        self.history = History(terms=plan.terms, servers=plan.servers, recipients=MAILBOXES)
        self._fleet: Fleet
        self._aside: Store | None = None
        self._restless = False

    async def run(self) -> Report:
        plan, began = self._plan, time.monotonic()
        async with AsyncExitStack() as stack:
            for fake in (self._slack, self._telegram, self._smtp):
                await stack.enter_async_context(fake)
            await stack.enter_async_context(self._model.serving())
            post_office = await stack.enter_async_context(Proxy(self._smtp.port))
            settings = config(
                slack=self._slack, telegram=self._telegram, model=self._model,
                smtp_url=f"smtp://127.0.0.1:{post_office.port}",
            )  # fmt: skip
            self._fleet = await stack.enter_async_context(
                Fleet(self._folder, settings, servers=plan.servers, redis=plan.redis, lives=plan.lives)
            )
            injector = Injector(
                fleet=self._fleet, slack=self._slack, telegram=self._telegram, smtp=self._smtp,
                post_office=post_office, model=self._model, history=self.history, dice=self._fork(),
                say=self._say, plan=plan,
            )  # fmt: skip
            self._say(f"seed {plan.seed}: {plan.people} people, {plan.servers} server(s)")
            if plan.redis:
                self._aside = await open_store(self._fleet.store)
            try:
                await self._live(injector)
            finally:
                if self._aside is not None:
                    await self._aside.close()
            complaints = self._complaints()
        report = Report(
            seed=plan.seed, seconds=time.monotonic() - began, store="Redis" if plan.redis else "SQLite",
            servers=plan.servers, history=self.history, verdicts=check(self.history), faults=injector.counts,
            complaints=complaints,
        )  # fmt: skip
        report.keep(self._folder)
        return report

    def _fork(self) -> Random:
        return Random(self._dice.random())

    # The run

    async def _live(self, injector: Injector) -> None:
        plan, history = self._plan, self.history
        place = Place(
            doors=self._fleet.doors, base_url=self._fleet.base_url, history=history, smtp=self._smtp
        )
        place.hurry = plan.hurry
        several = plan.people * 6 // 10
        visitors = [Visitor(n, place, self._fork(), pause=1.0 if n > 1 else 0.1) for n in range(several)]
        duel = Duel(visitors[0], place, self._fork())
        silent = Silent(2, MAILBOXES[2], [visitors[1]], place, self._fork())
        colleagues = [silent, *self._colleagues(visitors[2:], place)]
        slack = [SlackMember(n, self._slack, place, self._fork()) for n in range(2)]
        telegram = [TelegramMember(n, self._telegram, place, self._fork()) for n in range(2)]
        async with asyncio.TaskGroup() as group:
            for visitor in visitors:
                await visitor.client.__aenter__()
            working = [group.create_task(someone.run()) for someone in (*visitors, *slack, *telegram)]
            staff = [group.create_task(someone.run()) for someone in (duel, *colleagues)]
            colleagues += duel.both
            watching = self._watch(group, visitors)
            await asyncio.sleep(plan.calm)
            await eventually(lambda: duel.fought, within=3 * PATIENCE, what="two take over at once")
            await injector.run(plan.seconds)
            place.over.set()
            self._say("all is well again: coming to rest")
            await asyncio.wait(working)
            clients = [*(v.client for v in visitors), *(c.client for c in colleagues if c.client)]
            self._restless = not await come_to_rest(
                visitors, clients, self._happened, owed=self._is_owed, lives=plan.lives
            )
            history.ended = datetime.now(UTC)
            for task in watching:
                task.cancel()
            place.rest.set()
            await asyncio.wait(staff)
            for visitor in visitors:
                await visitor.client.__aexit__()
        history.typed += [t for m in (*slack, *telegram) for t in m.typed()]
        await self._gather(visitors)
        links = {c.client.cid: c.link for c in colleagues if c.client is not None}
        await look_around(self._fleet, history, visitors, links)
        await asyncio.gather(*(member.stop() for member in self._fleet.members))

    def _colleagues(self, visitors: Sequence[Visitor], place: Place) -> list[Colleague]:
        """Three for each of some visitors, so that they get in each other's way."""
        number, found = count(3), list[Colleague]()
        while len(found) < self._plan.people * 4 // 10 - 7:
            visitor = visitors[len(found) // 3]
            found += [Colleague(next(number), box, [visitor], place, self._fork()) for box in MAILBOXES]
        return found

    def _watch(self, group: asyncio.TaskGroup, visitors: list[Visitor]) -> list[asyncio.Task[None]]:
        watch = Watch(self.history)
        jobs = [self._progress(visitors), watch.the_machine()]
        if self._aside is not None:
            jobs.append(watch.the_logs(self._aside, lambda: [visitor.cid for visitor in visitors]))
        return [group.create_task(job) for job in jobs]

    async def _progress(self, visitors: list[Visitor]) -> None:
        while True:
            await asyncio.sleep(5)
            online = sum(v.client.online for v in visitors)
            self._say(f"{len(self.history.acked)} acknowledged, {online} of {len(visitors)} visitors online")

    async def _is_owed(self) -> bool:
        """Whether a courier has work left, where that can be asked beside the servers."""
        if self._aside is None:
            return False
        owed = [await self._aside.behind(name, limit=1) for name in SURFACES]
        kept = [await self._aside.scan(f"{name}-inbox", "item/") for name in ("slack", "telegram")]
        return any(owed) or any(kept)

    def _happened(self) -> int:
        return len(self._slack.messages) + len(self._telegram.sent) + len(self._smtp.received)

    # What is left

    async def _gather(self, visitors: list[Visitor]) -> None:
        history = self.history
        marks = {f"{v.mark}.": v.cid for v in visitors}
        history.logs = await read_logs(self._fleet, marks.values())
        history.slack = in_slack(self._slack)
        history.telegram = in_telegram(self._telegram, marks)
        history.mailed = in_mail(self._smtp, marks)

    def _complaints(self) -> list[str]:
        """What a server's log says that nobody expects."""
        found = ["it did not come to rest"] if self._restless else []
        for member in self._fleet.members:
            log = member.server.log
            if "never awaited" in log or "Task exception was never retrieved" in log:
                found.append(f"server {member.number}: an unheard exception in {member.server.folder}")
        return found
