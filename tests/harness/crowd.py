"""Visitors and staff: what they do while things break."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random
import secrets

import httpx2

from connectors.website.visitors import cid_of
from tests.fakes.smtp import SmtpServer
from tests.harness.client import Client, Frame
from tests.harness.history import Declined, History, Take

SITE = "acme"


class Place:
    """Where everybody is: the servers' doors, and what is written down."""

    def __init__(self, *, doors: Sequence[str], base_url: str, history: History, smtp: SmtpServer) -> None:
        self.doors = doors
        self.base_url = base_url
        self.history = history
        self.smtp = smtp
        self.over = asyncio.Event()  # nobody begins anything new
        self.rest = asyncio.Event()  # everything has come to rest, and connections may close
        self._texts: dict[int, str] = {}  # of each mail, read once
        self.hurry = 1.0  # how often people do something, against the usual

    async def think(self, dice: Random, seconds: float) -> bool:
        """A pause of about so long; whether to go on after it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(dice.expovariate(1 / (seconds * self.hurry))):
                await self.over.wait()
        return not self.over.is_set()

    def links(self, cid_of_mail: dict[str, str], recipient: str) -> dict[str, str]:
        """The newest join link that `recipient` was mailed for each conversation, by the text it quotes."""
        found = {}
        for mail in self.smtp.to(recipient):
            text = self._texts.get(id(mail)) or self._texts.setdefault(id(mail), mail.part("plain"))
            link = next((line.strip() for line in text.splitlines() if "/join#" in line), None)
            cid = next((cid for mark, cid in cid_of_mail.items() if mark in text), None)
            if link and cid:
                found[cid] = link[link.index("#") + 1 :]
        return found


class Visitor:
    """`pause`: about so many seconds before the first word. `reuses`: tries one key for two things."""

    def __init__(
        self, number: int, place: Place, dice: Random, *, pause: float = 1.0, reuses: bool = True
    ) -> None:
        token = secrets.token_urlsafe(32)
        self.mark = f"v{number}x"  # in all that the visitor writes
        self.token = token
        self.cid = cid_of(SITE, token)
        self.asked = 0
        self._place = place
        self._dice = dice
        self._pause = pause
        self._reuses = reuses
        self.client = Client(
            f"visitor-{number}", place.doors, history=place.history, dice=dice,
            origin="https://www.acme.example", audience="visitor", cid=self.cid,
            hello={"site": SITE, "token": token}, address=f"10.1.{number // 250}.{number % 250}",
        )  # fmt: skip

    def _said(self) -> Frame:
        self.asked += 1
        return {"type": "Said", "text": f"{self.mark}.{self.asked}. Do you ship it?"}

    @property
    def answered(self) -> bool:
        """Whether the newest words have been followed by somebody's answer or call."""
        types = [line.type for line in self.client.lines if line.type in ("Said", "HelpWanted")]
        own = [line for line in self.client.lines if line.text.startswith(f"{self.mark}.")]
        after = [line for line in self.client.lines if own and line.seq > own[-1].seq]
        return bool(types) and any(line.type in ("Said", "HelpWanted") for line in after)

    async def run(self) -> None:
        client, dice = self.client, self._dice
        await self._place.think(dice, self._pause)
        opening: Frame = {"type": "Opened", "site": SITE}
        answer = await client.request(client.propose(opening, self._said(), key=f"{client.name}-opening"))
        assert answer["t"] == "ack", answer
        while await self._place.think(dice, 2.5):
            match dice.randrange(12):
                case 0 | 1 | 2 | 3 | 4 | 5:
                    await client.request(client.propose(self._said()))
                case 6 | 7:
                    burst = [await client.post(client.propose(self._said())) for _ in range(3)]
                    await asyncio.gather(*(sent.answer for sent in burst))
                case 8:
                    await client.request(client.propose({"type": "HelpWanted", "reason": "a person, please"}))
                case 9:
                    await client.leave(dice.random() * 2)
                case 10:
                    await client.signal({"t": "typing", "on": True})
                case _:
                    await self._repeat()

    async def _repeat(self) -> None:
        """Say what was acknowledged once more, and then other words under the same key."""
        key = f"{self.client.name}-again-{self.asked}"
        said = self._said()
        await self.client.request(self.client.propose(said, key=key))
        await self.client.request(self.client.propose(said, key=key))
        if not self._reuses:
            return
        answer = await self.client.request(
            self.client.propose({"type": "Said", "text": f"{self.mark} other words"}, key=key)
        )
        self._place.history.declined.append(
            Declined(
                client=self.client.name, cid=self.cid, author="visitor", key=key,
                code=answer.get("code", "ack"), texts=("other words",), reused=True,
            )
        )  # fmt: skip


class Colleague:
    """Somebody with a mailbox: opens the newest link for a conversation, joins, and takes part."""

    def __init__(
        self,
        number: int,
        mailbox: str,
        visitors: Sequence[Visitor],
        place: Place,
        dice: Random,
        *,
        doors: Sequence[str] = (),
    ) -> None:
        self.name = f"Kim{number}"
        self.client: Client | None = None
        self.link = ""
        self._number = number
        self._address = f"10.2.{number // 250}.{number % 250}"
        self._mailbox = mailbox
        self._doors = doors or place.doors
        self._visitors = visitors
        self._place = place
        self._dice = dice
        self._texts = 0

    async def run(self) -> None:
        client = await self.enter()
        if client is None:
            return
        async with client:
            while await self._place.think(self._dice, 1.0) and not client.out:
                await self._act(client)
            await self.go_home()

    async def go_home(self) -> None:
        """Hand back what is held, and stay to read until everything has come to rest."""
        client = self.client
        if client is not None and client.holds and not client.out:
            await client.request(client.command("back"))
        await self._place.rest.wait()

    async def enter(self, *, every: float = 1.0) -> Client | None:
        """Through the newest link, once there is one; None where everybody has gone home meanwhile."""
        cids = {visitor.mark + ".": visitor.cid for visitor in self._visitors}
        while await self._place.think(self._dice, every):
            links = await asyncio.to_thread(self._place.links, cids, self._mailbox)
            if links:
                cid, self.link = self._dice.choice(sorted(links.items()))
                cookie = await self._join(cid)
                if cookie:
                    self.client = self._joined(cid, cookie)
                    return self.client
        return None

    async def _join(self, cid: str) -> str:
        """The session's cookie."""
        headers = {"Origin": self._place.base_url, "X-Forwarded-For": self._address}
        while not self._place.over.is_set():
            door = self._dice.choice(self._doors)
            try:
                async with httpx2.AsyncClient(base_url=door, trust_env=False, timeout=4) as http:
                    await http.post("/join/api/preview", json={"token": self.link}, headers=headers)
                    body = {"token": self.link, "name": self.name}
                    answer = await http.post("/join/api/join", json=body, headers=headers)
                    if answer.status_code == 200:
                        return f"joinline-{cid}={http.cookies[f'joinline-{cid}']}"
                    assert answer.status_code in (429, 500, 503), (answer.status_code, answer.text)
            except httpx2.HTTPError:
                pass
            await asyncio.sleep(0.3)
        return ""

    def _joined(self, cid: str, cookie: str) -> Client:
        return Client(
            self.name, self._doors, history=self._place.history, dice=self._dice,
            origin=self._place.base_url, audience="staff", cid=cid, hello={"cid": cid},
            address=self._address, cookie=cookie,
        )  # fmt: skip

    async def _act(self, client: Client) -> None:
        self._texts += 1
        mark = f"k{self._number}x.{self._texts}."
        holds = client.holds
        match self._dice.randrange(10):
            case 0 | 1 | 2 if not holds:
                await self.take_over(f"take {mark} I am here." if self._texts % 2 else "take")
            case 3:
                await client.request(client.propose({"type": "Noted", "text": f"{mark} A note."}))
            case 4:
                await client.request(client.propose({"type": "Guided", "text": f"{mark} Be brief."}))
            case 5 | 6 if holds:
                await client.request(client.command("back"))
            case 7:
                await client.signal({"t": "typing", "on": True})
            case _:  # refused, and kept by whoever typed it, unless the floor is theirs
                await client.request(client.propose({"type": "Said", "text": f"{mark} Yes, we do."}))

    async def take_over(self, line: str) -> None:
        """From the view that there is now."""
        client = self.client
        assert client is not None
        frame = client.command(line)
        if not frame["floor"]:
            return
        answer = await client.request(frame)
        won = answer["seq"] if answer["t"] == "ack" else None
        if won is None and answer["code"] != "floor_moved":
            return
        self._place.history.takes.append(
            Take(cid=client.cid, floor=frame["floor"], author=client.author, seq=won, holder=answer.get("holder", ""))
        )  # fmt: skip
