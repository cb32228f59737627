"""What the mail surface remembers in the store: mails sent, held and owed, full hours, who wants no more.

Everything is durable before it is relied on, so that a restart neither repeats a mail nor forgets one.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
import hmac
from urllib.parse import quote

from msgspec import Struct, json

from bridge.events import ConversationId, Seq, StaffId
from bridge.links import fingerprint
from bridge.store import Store

KEPT = timedelta(days=180)  # longer than any link or retry lives
HOUR = timedelta(hours=1)


class Sent(Struct, frozen=True, kw_only=True):
    """A mail that is done with: taken by the server or, with `refused`, never to be taken.

    `head` is where the log stood when it was written: it told of everything up to there. `threaded` mails
    form the conversation's mail thread; a digest does not. `asked`: the recipient wanted it.
    """

    kind: str
    at: datetime
    head: Seq
    message_id: str = ""
    subject: str = ""
    refused: str = ""
    threaded: bool = True
    asked: bool = False


class Held(Struct, frozen=True, kw_only=True):
    """A conversation that waits for the recipient's digest."""

    cid: ConversationId
    recipient: StaffId
    seq: Seq
    at: datetime
    told: bool = False


class Owed(Struct, frozen=True, kw_only=True):
    """A mail that the server did not take for this recipient yet."""

    cid: ConversationId
    recipient: StaffId
    seq: Seq
    since: datetime
    next_at: datetime
    tries: int = 1
    reason: str = ""
    told: bool = False


class Subscription(Struct, frozen=True, kw_only=True):
    """What an unsubscribe token stands for."""

    cid: ConversationId
    recipient: StaffId


class Ledger:
    """`key` signs what recipients are given: the tokens that end a subscription."""

    def __init__(self, *, store: Store, clock: Callable[[], datetime], key: bytes) -> None:
        self._store = store
        self._clock = clock
        self._key = key

    # Sent

    async def sent(self, cid: ConversationId, recipient: StaffId) -> list[Sent]:
        """Every mail to `recipient` about `cid`, the oldest first."""
        found = await self._store.scan("mail-sent", f"{cid}/{_safe(recipient)}/")
        return sorted((json.decode(r.value, type=Sent) for r in found), key=lambda s: (s.at, s.head))

    async def has_told(self, cid: ConversationId, recipient: StaffId, seq: Seq) -> bool:
        """Whether a mail that was written after entry `seq` is done with."""
        return any(s.head >= seq for s in await self.sent(cid, recipient))

    async def record(self, cid: ConversationId, recipient: StaffId, sent: Sent) -> None:
        key = f"{cid}/{_safe(recipient)}/{sent.kind}"
        await self._store.put("mail-sent", key, json.encode(sent), expires_at=sent.at + KEPT)

    # Hours, which follow one another from the first mail that the recipient ever got

    async def reserve(self, recipient: StaffId, *, cap: int) -> str | None:
        """Take one of the hour's mails, to be given back where none is sent; None when there is none left.

        Servers beside each other count together: the store adds up.
        """
        hour = await self._hour(recipient)
        taken = await self._store.add("mail-hour", hour, 1, expires_at=self._clock() + 2 * HOUR)
        if taken <= cap:
            return hour
        await self.give_back(hour)
        return None

    async def give_back(self, hour: str) -> None:
        await self._store.add("mail-hour", hour, -1, expires_at=self._clock() + 2 * HOUR)

    async def taken(self, recipient: StaffId) -> int:
        """How many mails of the hour that runs are taken."""
        return int(await self._store.get("mail-hour", await self._hour(recipient)) or 0)

    async def _hour(self, recipient: StaffId) -> str:
        name, now = _safe(recipient), self._clock()
        await self._store.put("mail-first", name, now.isoformat().encode(), new=True)
        first = datetime.fromisoformat((await self._store.get("mail-first", name) or b"").decode())
        return f"{name}/{(now - first) // HOUR}"

    # Held for a digest

    async def hold(self, held: Held) -> None:
        """Keep the conversation for the digest; the first reason stands."""
        key = f"{_safe(held.recipient)}/{held.cid}"
        await self._store.put("mail-held", key, json.encode(held), new=True)

    async def held(self) -> dict[StaffId, list[Held]]:
        """What waits, by recipient, the oldest first."""
        found: dict[StaffId, list[Held]] = {}
        for record in await self._store.scan("mail-held"):
            held = json.decode(record.value, type=Held)
            found.setdefault(held.recipient, []).append(held)
        return {recipient: sorted(items, key=lambda h: h.at) for recipient, items in found.items()}

    async def let_go(self, held: Held) -> None:
        await self._store.delete("mail-held", f"{_safe(held.recipient)}/{held.cid}")

    # Owed

    async def owe(self, owed: Owed) -> None:
        await self._store.put("mail-owed", _owed_key(owed.cid, owed.recipient, owed.seq), json.encode(owed))

    async def owes(self, cid: ConversationId, recipient: StaffId, seq: Seq) -> bool:
        return await self._store.get("mail-owed", _owed_key(cid, recipient, seq)) is not None

    async def owed(self) -> list[Owed]:
        found = [json.decode(r.value, type=Owed) for r in await self._store.scan("mail-owed")]
        return sorted(found, key=lambda o: (o.since, o.seq))

    async def settle(self, owed: Owed) -> None:
        await self._store.delete("mail-owed", _owed_key(owed.cid, owed.recipient, owed.seq))

    # No more, please

    async def subscription_token(self, cid: ConversationId, recipient: StaffId) -> str:
        """The same token every time, so that each mail of a conversation carries the same."""
        subscription = json.encode(Subscription(cid=cid, recipient=recipient))
        token = hmac.new(self._key, subscription, sha256).hexdigest()
        expires = self._clock() + KEPT
        await self._store.put("mail-subscription", fingerprint(token), subscription, expires_at=expires)
        return token

    async def subscription(self, token: str) -> Subscription | None:
        raw = await self._store.get("mail-subscription", fingerprint(token), now=self._clock())
        return None if raw is None else json.decode(raw, type=Subscription)

    async def unsubscribe(self, subscription: Subscription) -> None:
        key = f"{subscription.cid}/{_safe(subscription.recipient)}"
        await self._store.put("mail-off", key, b"1", expires_at=self._clock() + KEPT)

    async def wants_none(self, cid: ConversationId, recipient: StaffId) -> bool:
        return await self._store.get("mail-off", f"{cid}/{_safe(recipient)}") is not None

    # Renewals

    async def may_renew(self, cid: ConversationId, recipient: StaffId, *, every: timedelta) -> bool:
        """Whether a fresh link may be mailed now; then not again for a while."""
        now = self._clock()
        key = f"{cid}/{_safe(recipient)}"
        if await self._store.get("mail-renewed", key, now=now) is not None:
            return False
        await self._store.put("mail-renewed", key, b"1", expires_at=now + every)
        return True

    async def forget_renewal(self, cid: ConversationId, recipient: StaffId) -> None:
        await self._store.delete("mail-renewed", f"{cid}/{_safe(recipient)}")


def _safe(recipient: StaffId) -> str:
    return quote(recipient, safe="")


def _owed_key(cid: ConversationId, recipient: StaffId, seq: Seq) -> str:
    return f"{cid}/{_safe(recipient)}/{seq}"
