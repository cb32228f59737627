"""Who may answer in the group."""

import asyncio
from collections.abc import Collection

from telegram import ChatMember, ChatMemberRestricted
from telegram.constants import ChatMemberStatus

from connectors.telegram.calls import Calls, Rejected, patiently
from connectors.telegram.group import Group
from connectors.telegram.settings import ADMINS, MEMBERS

KNOWN_FOR = 60.0  # seconds
MOST = 2_000

_ADMINS = (ChatMemberStatus.OWNER, ChatMemberStatus.ADMINISTRATOR)


class People:
    def __init__(self, *, calls: Calls, group: Group, staff: Collection[str]) -> None:
        """`staff` are users' ids, or ADMINS, or MEMBERS."""
        self._calls = calls
        self._group = group
        self._staff = staff
        self._known: dict[int, tuple[float, bool]] = {}

    async def may_answer(self, user: int) -> bool:
        """Whether the user is staff; waits for Telegram's answer where it is needed and not yet known."""
        if str(user) in self._staff:
            return True
        if not {ADMINS, MEMBERS}.intersection(self._staff):
            return False
        now = asyncio.get_running_loop().time()
        at, answer = self._known.get(user, (-KNOWN_FOR, False))
        if now - at >= KNOWN_FOR:
            answer = await self._ask(user)
            self._known[user] = (now, answer)
            if len(self._known) > MOST:
                self._known.pop(next(iter(self._known)))
        return answer

    def forget(self) -> None:
        self._known.clear()

    async def _ask(self, user: int) -> bool:
        async def member() -> ChatMember:
            return await self._calls.member((await self._group.now()).chat, user)

        try:
            found = await patiently(member, "who a member is")
        except Rejected:
            return False  # nobody whom the group knows
        return found.status in _ADMINS or (MEMBERS in self._staff and is_inside(found))

    async def name(self, user: int) -> str:
        """What a member of the group is called; empty where it is none."""
        try:
            member = await self._calls.member((await self._group.now()).chat, user)
        except Rejected:
            return ""
        return member.user.full_name if is_inside(member) else ""


def is_inside(member: ChatMember) -> bool:
    if isinstance(member, ChatMemberRestricted):
        return member.is_member
    return member.status in (*_ADMINS, ChatMemberStatus.MEMBER)
