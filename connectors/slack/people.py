"""Who somebody in Slack is: whether they may answer, what they are called, and who the bot itself is."""

import asyncio
from collections.abc import Callable, Iterable
import logging
import time

from msgspec import Struct

from bridge.errors import Retry
from connectors.slack.calls import TO_POST, Calls, Refusal, lacks, verdict
from connectors.slack.settings import EVERYBODY
from connectors.threads.desk import Member

log = logging.getLogger(__name__)

MEMBERS_FOR = 60.0  # seconds that the list of the channel's members counts as fresh
NAMES_FOR = 600.0
NAMES = 2_000
AGAIN = (1.0, 2.0, 5.0, 15.0, 30.0)


class Identity(Struct, frozen=True, kw_only=True):
    user: str
    team: str


class Myself:
    """The bot, once Slack has said who it is, and whether its app may do all that it must."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._told = asyncio.Event()
        self._identity: Identity | None = None
        self._allowed = False

    async def known(self) -> Identity:
        """Wait until Slack has said it."""
        await self._told.wait()
        assert self._identity is not None
        return self._identity

    async def allowed(self) -> None:
        """Raise `Retry` while the app lacks a scope that posting needs."""
        if not self._allowed:
            await self.ask()

    async def ask(self) -> None:
        """Ask Slack now, whatever it said before; raises as `allowed` does, and as every call."""
        said, lacking_any = await self._calls.scopes()
        lacking = sorted(TO_POST.intersection(lacking_any or ()))
        self._identity = Identity(user=str(said["user_id"]), team=str(said["team_id"]))
        self._told.set()
        self._allowed = not lacking
        if lacking:
            raise lacks(lacking)

    async def run(self) -> None:
        """Ask until Slack has said it, and the app may post."""
        tries = 0
        while not self._allowed:
            try:
                await self.ask()
            except (Retry, Refusal) as trouble:
                pause = AGAIN[min(tries, len(AGAIN) - 1)]
                if isinstance(trouble, Retry):
                    pause = max(pause, trouble.after)
                why = verdict(trouble) if isinstance(trouble, Refusal) else trouble
                log.warning("slack: it is asked again in %g s who the bot is: %s", pause, why)
                await asyncio.sleep(pause)
                tries += 1
        me = await self.known()
        log.info("slack: the bot is %s in team %s", me.user, me.team)


class People:
    def __init__(
        self,
        *,
        calls: Calls,
        staff: Iterable[str],
        channel: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._listed = frozenset(staff)
        self._channel = channel
        self._clock = clock
        self._members: frozenset[str] = frozenset()
        self._members_at: float | None = None
        self._names: dict[str, tuple[float, str]] = {}

    async def member(self, user: str) -> Member | None:
        """The person, if they are staff; raises `Retry` where Slack must say it and does not."""
        if not await self.is_staff(user):
            return None
        return Member(id=user, name=await self.name(user))

    async def is_staff(self, user: str) -> bool:
        if user in self._listed:
            return True
        if EVERYBODY not in self._listed:
            return False
        age = None if self._members_at is None else self._clock() - self._members_at
        known = user in self._members
        if known and age is not None and age < MEMBERS_FOR:
            return True
        try:
            await self._ask_members()
        except Retry:
            if known:  # whoever was in the channel a while ago is believed until Slack answers again
                return True
            raise
        return user in self._members

    async def _ask_members(self) -> None:
        found: set[str] = set()
        try:
            async for page in self._calls.pages("conversations.members", channel=self._channel, limit=1000):
                found.update(str(member) for member in page.get("members") or ())
        except Refusal as refusal:
            why = verdict(refusal)
            raise why if isinstance(why, Retry) else Retry(30.0, str(refusal)) from refusal
        self._members, self._members_at = frozenset(found), self._clock()

    async def name(self, user: str) -> str:
        """What they go by; "" where Slack does not tell."""
        known = self._names.get(user)
        if known is not None and self._clock() - known[0] < NAMES_FOR:
            return known[1]
        try:
            said = await self._calls.ask("users.info", user=user)
        except Refusal as refusal:
            log.warning("slack: no name for %s: %s", user, refusal.code)
            return known[1] if known else ""
        except Retry:
            if known:
                return known[1]
            raise
        about = said.get("user") or {}
        profile = about.get("profile") or {}
        name = str(
            profile.get("display_name") or profile.get("real_name") or about.get("real_name")
            or about.get("name") or ""
        )  # fmt: skip
        self._names.pop(user, None)
        self._names[user] = (self._clock(), name)
        if len(self._names) > NAMES:
            self._names.pop(next(iter(self._names)))
        return name
