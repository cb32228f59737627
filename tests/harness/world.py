"""One run: everybody at once, everything breaks, then rest; what is left is judged."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
import json
from pathlib import Path
from random import Random
import time
from typing import Any

import httpx2
from websockets.asyncio.client import connect
from websockets.typing import Origin

from bridge.events import ConversationId, Entry, Staff
from bridge.events import Visitor as Visiting
from bridge.store import Store, open_store
from bridge.wire import encode_entry
from tests.eventually import PATIENCE
from tests.fakes.model import FakeModel
from tests.fakes.slack import Slack
from tests.fakes.slack_state import Message
from tests.fakes.smtp import SmtpServer
from tests.fakes.telegram import TelegramServer
from tests.harness.checker import check
from tests.harness.crowd import SITE, Colleague, Place, Visitor
from tests.harness.faults import Injector
from tests.harness.fleet import Fleet
from tests.harness.history import History, Mailed, Outage, Posted, Terms
from tests.harness.members import SlackMember, TelegramMember
from tests.harness.report import Report

SURFACES = ("assistant", "slack", "telegram", "email")
RECIPIENTS = ("dana", "sam", "lee")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`people`: visitors, staff and members in all. `lives`: how long a lease does, in seconds."""

    seed: int
    seconds: float
    people: int
    servers: int = 3
    redis: bool = True
    lives: float = 10.0
    calm: float = 2.0  # seconds before the first fault, for latencies without any
    hurry: float = 1.0
    only: str = ""  # faults whose kind has this in its name


class World:
    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
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
        self.history = History(
            terms=Terms(answer=8.0 + 0.8 * PATIENCE, recover=plan.lives + 4.0, tell=3.0),
            recipients=tuple(f"{name}@acme.example" for name in RECIPIENTS),
        )
        self._fleet: Fleet
        self._visitors: list[Visitor] = []
        self._aside: Store | None = None
        self._restless = False

    def _config(self) -> dict[str, Any]:
        slack, telegram = self._slack, self._telegram
        return {
            "sites": {
                SITE: {"name": "Acme", "origins": ["https://www.acme.example"], "staff": [list(RECIPIENTS)]}
            },
            "staff": {
                name: {"name": name.title(), "email": f"{name}@acme.example"} for name in RECIPIENTS
            },
            "assistant": {
                "kind": "openai", "base_url": self._model.base_url, "model": "test", "timeout": 2,
                "connect_timeout": 2, "turn": 5, "budget": {"per_visitor": 10**9, "per_day": 10**12},
            },
            "patience": {
                "ladder": [6, 12], "answer": 7, "reply": 8, "absent_reply": 6, "hand_back": 15,
            },
            "limits": {
                "messages_per_minute": 100_000, "opened_per_ip_per_hour": 100_000, "sockets_per_visitor": 100,
                "sockets_per_ip": 1000,
            },
            "email": {
                "smtp_url": self._smtp.url, "from": "Acme <chat@acme.example>", "settle": 0.5, "timeout": 5,
                "per_conversation": 1000, "per_hour": 100_000,
            },
            "slack": {
                "bot_token": slack.bot_token, "app_token": slack.app_token, "channel": slack.channel,
                "api_url": slack.api_url,
            },
            "telegram": {
                "token": telegram.token, "chat": telegram.chat_id, "api_url": telegram.api_url,
            },
        }  # fmt: skip

    async def run(self) -> Report:
        plan, began = self._plan, time.monotonic()
        async with AsyncExitStack() as stack:
            for fake in (self._slack, self._telegram, self._smtp):
                await stack.enter_async_context(fake)
            await stack.enter_async_context(self._model.serving())
            self._fleet = await stack.enter_async_context(
                Fleet(self._folder, self._config(), servers=plan.servers, redis=plan.redis, lives=plan.lives)
            )
            injector = Injector(
                fleet=self._fleet, slack=self._slack, telegram=self._telegram, smtp=self._smtp,
                model=self._model, history=self.history, dice=self._fork(), say=self._say, only=plan.only,
            )  # fmt: skip
            self._say(f"seed {plan.seed}: {plan.people} people, {plan.servers} server(s)")
            try:
                await self._live(injector)
            finally:
                if self._aside is not None:
                    await self._aside.close()
            complaints = self._complaints()
        return Report(
            seed=plan.seed, seconds=time.monotonic() - began, store="Redis" if plan.redis else "SQLite",
            servers=plan.servers, history=self.history, verdicts=check(self.history), faults=injector.counts,
            complaints=complaints,
        )  # fmt: skip

    def _fork(self) -> Random:
        return Random(self._dice.random())

    # The run

    async def _live(self, injector: Injector) -> None:
        plan = self._plan
        place = Place(
            doors=self._fleet.doors, base_url=self._fleet.base_url, history=self.history, smtp=self._smtp
        )
        place.hurry = plan.hurry
        visitors = [Visitor(n, place, self._fork()) for n in range(plan.people * 6 // 10)]
        self._visitors = visitors
        colleagues = self._colleagues(visitors, place)
        slack = [SlackMember(n, self._slack, place, self._fork()) for n in range(2)]
        telegram = [TelegramMember(n, self._telegram, place, self._fork()) for n in range(2)]
        async with asyncio.TaskGroup() as group:
            for visitor in visitors:
                await visitor.client.__aenter__()
            working = [group.create_task(someone.run()) for someone in (*visitors, *slack, *telegram)]
            staff = [group.create_task(colleague.run()) for colleague in colleagues]
            progress = group.create_task(self._progress(visitors))
            lag = group.create_task(self._watch_the_machine())
            await asyncio.sleep(plan.calm)
            await injector.run(plan.seconds)
            place.over.set()
            self._say("all is well again: coming to rest")
            await asyncio.wait(working)
            await self._rest(visitors, colleagues)
            self.history.ended = datetime.now(UTC)
            progress.cancel()
            lag.cancel()
            place.rest.set()
            await asyncio.wait(staff)
            for visitor in visitors:
                await visitor.client.__aexit__()
        self.history.typed += [t for m in (*slack, *telegram) for t in m.typed()]
        self.history.logs = await self._logs(visitors)
        self._surfaces()
        await self._look(visitors, colleagues)
        await asyncio.gather(*(member.stop() for member in self._fleet.members))

    def _colleagues(self, visitors: list[Visitor], place: Place) -> list[Colleague]:
        """Three for each of some visitors, so that they get in each other's way."""
        number, found = count(), []
        while len(found) < self._plan.people * 4 // 10 - 4:
            visitor = visitors[len(found) // len(RECIPIENTS)]
            found += [Colleague(next(number), r, [visitor], place, self._fork()) for r in RECIPIENTS]
        return found

    async def _progress(self, visitors: list[Visitor]) -> None:
        while True:
            await asyncio.sleep(5)
            online = sum(v.client._socket is not None for v in visitors)
            self._say(f"{len(self.history.acked)} acknowledged, {online} of {len(visitors)} visitors online")

    async def _watch_the_machine(self) -> None:
        """Where everybody waits for a processor, nobody is late. What starves the harness starves the servers."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.1)
            late = loop.time() - began - 0.1
            if late > 0.5:
                now = datetime.now(UTC)
                self.history.outages.append(
                    Outage(what="machine", kind="starved", began=now - timedelta(seconds=late), ended=now)
                )

    async def _rest(self, visitors: list[Visitor], colleagues: list[Colleague]) -> None:
        """Until nothing new happens anywhere, and every visitor has been answered."""
        calm = max(3.0, self._plan.lives)
        until = time.monotonic() + 4 * PATIENCE + 3 * self._plan.lives
        before, since = 0, time.monotonic()
        while time.monotonic() < until:
            await asyncio.sleep(0.25)
            now = self._happened(visitors)
            clients = [v.client for v in visitors] + [c.client for c in colleagues if c.client]
            if now != before or not all(c.idle for c in clients) or await self._is_owed():
                before, since = now, time.monotonic()
            elif time.monotonic() - since > calm and all(v.answered for v in visitors):
                return
        self._say("it does not come to rest")
        self._restless = True

    async def _is_owed(self) -> bool:
        """Whether a courier has work left, where that can be asked beside the servers."""
        if self._fleet.redis is None:
            return False
        if self._aside is None:
            self._aside = await open_store(self._fleet.store)
        owed = [await self._aside.behind(name, limit=1) for name in SURFACES]
        kept = [await self._aside.scan(f"{name}-inbox", "item/") for name in ("slack", "telegram")]
        return any(owed) or any(kept)

    def _happened(self, visitors: list[Visitor]) -> int:
        lines = sum(visitor.client.last for visitor in visitors)
        return lines + len(self._slack.messages) + len(self._telegram.sent) + len(self._smtp.received)

    # What is left

    async def _logs(self, visitors: list[Visitor]) -> dict[str, list[Entry]]:
        """Read past all servers; from SQLite, which is one process's, while it is stopped."""
        alone = self._fleet.redis is None
        if alone:
            await self._fleet.members[0].stop()
        store = await open_store(self._fleet.store)
        try:
            found = {visitor.cid: await _whole(store, visitor.cid) for visitor in visitors}
        finally:
            await store.close()
        if alone:
            await self._fleet.members[0].start()
        return found

    async def _look(self, visitors: list[Visitor], colleagues: list[Colleague]) -> None:
        """Everything that only looks: nobody's doing may be in a log afterwards that was not there before."""
        links = {c.client.cid: c.link for c in colleagues if c.client is not None}
        before = self.history.logs
        for number, visitor in enumerate(visitors):
            door = self._fleet.doors[number % len(self._fleet.doors)]
            await self._look_at(door, visitor, links.get(visitor.cid))
        after = await self._logs(visitors)
        for cid, log in before.items():
            seen = [e for e in after[cid] if e.seq <= len(log) or isinstance(e.by, Visiting | Staff)]
            self.history.looked.append((cid, _bytes(log), _bytes(seen)))

    async def _look_at(self, door: str, visitor: Visitor, link: str | None) -> None:
        own = {"Origin": self._fleet.base_url}
        async with httpx2.AsyncClient(base_url=door, trust_env=False, timeout=PATIENCE, headers=own) as http:
            for method in ("GET", "HEAD"):
                self._looked((await http.request(method, "/join")).status_code, 200)
            for _ in range(2 if link else 0):
                self._looked((await http.post("/join/api/preview", json={"token": link})).status_code, 200)
        address = door.replace("http", "ws", 1)
        if link:
            await self._watch(f"{address}/live/staff", self._fleet.base_url, {"token": link})
        hello = {"site": SITE, "token": visitor.token}
        await self._watch(f"{address}/live/visitor", "https://www.acme.example", hello)

    def _looked(self, status: int, expected: int) -> None:
        assert status == expected, f"a look was answered with {status}"
        self.history.looks += 1

    async def _watch(self, url: str, origin: str, hello: dict[str, Any]) -> None:
        async with connect(url, origin=Origin(origin), compression=None, proxy=None) as socket:
            await socket.send(json.dumps({"t": "hello", **hello}))
            assert json.loads(await socket.recv())["t"] == "welcome"
        self.history.looks += 1

    def _surfaces(self) -> None:
        slack = self._slack
        roots = {m.ts: _payload(m) for m in slack.messages.values() if m.is_root and _payload(m)}
        for message in sorted(slack.messages.values(), key=lambda m: m.ts):
            said = _payload(message)
            if said:
                self.history.slack.append(
                    Posted(
                        cid=said["cid"], thread=message.thread_ts or message.ts, text=message.shown,
                        seq=said.get("seq"), at=datetime.fromtimestamp(float(message.ts), UTC),
                    )
                )  # fmt: skip
        assert len(roots) <= len(slack.messages)
        marks = {f"{v.mark}.": v.cid for v in self._visitors}
        topics: dict[int, str] = {}
        messages = self._telegram.messages(self._telegram.chat_id)
        for message in messages:
            text = message.shown.replace("\u2060", "")
            cid = next((c for mark, c in marks.items() if mark in text), None)
            if message.by_bot and message.thread is not None and cid is not None:
                topics.setdefault(message.thread, cid)
        for message in messages:
            if message.by_bot and not message.rows and message.thread in topics:
                self.history.telegram.append(
                    Posted(
                        cid=topics[message.thread], thread=str(message.thread),
                        text=message.shown.replace("\u2060", ""),
                        at=datetime.fromtimestamp(message.date, UTC),
                    )
                )  # fmt: skip
        for mail in self._smtp.mails:
            text = mail.part("plain")
            for mark, cid in marks.items():
                if mark in text:
                    self.history.mailed.append(Mailed(cid=cid, recipient=mail.recipient))

    def _complaints(self) -> list[str]:
        """What a server's log says that nobody expects."""
        found = ["it did not come to rest"] if self._restless else []
        for member in self._fleet.members:
            log = member.server.log
            if "never awaited" in log or "Task exception was never retrieved" in log:
                found.append(f"server {member.number}: an unheard exception in {member.server.folder}")
        return found


async def _whole(store: Store, cid: str) -> list[Entry]:
    entries: list[Entry] = []
    while more := await store.read(ConversationId(cid), after=len(entries)):
        entries += more
    return entries


def _bytes(log: list[Entry]) -> bytes:
    return b"\n".join(map(encode_entry, log))


def _payload(message: Message) -> dict[str, Any]:
    metadata = message.metadata or {}
    return metadata.get("event_payload") or {} if metadata.get("event_type") == "joinline" else {}
