"""What a run of the harness has left: the logs, and what everybody was told and shown."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.events import Entry
from bridge.wire import Audience
from tests.harness.spans import Span, common, longer

Log = list[Entry]

EVERYBODY = "everybody outside down"  # a kind of outage


@dataclass(frozen=True)
class Line:
    """An entry as a client was shown it."""

    seq: int
    type: str
    text: str = ""


@dataclass(eq=False)
class Sitting:
    """One connection of one client: what it had, and every line that it was then shown.

    `to_the_end`: it lasted until everything had come to rest, so it must have been shown everything.
    `store` is the name of the store that the server told.
    """

    client: str
    audience: Audience
    cid: str
    after: int
    lines: list[Line] = field(default_factory=list)
    to_the_end: bool = False
    store: str = ""


@dataclass(frozen=True)
class Acked:
    """An acknowledgement. `types` and `texts` are those of the events that were proposed; a command has none."""

    client: str
    cid: str
    author: str
    key: str
    seq: int
    types: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    line: str = ""
    store: str = ""


@dataclass(frozen=True)
class Declined:
    client: str
    cid: str
    author: str
    key: str
    code: str
    texts: tuple[str, ...] = ()
    reused: bool = False  # the key had been used for other words, on purpose


@dataclass(frozen=True)
class Take:
    """Somebody took over from the view `floor`: at `seq`, or `holder` has it."""

    cid: str
    floor: int
    author: str
    seq: int | None = None
    holder: str = ""


@dataclass(frozen=True)
class DraftShown:
    """A client showed words of a draft from under the floor `since`, having seen entries up to `seen`."""

    client: str
    cid: str
    since: int
    seen: int


@dataclass(frozen=True)
class Typed:
    """A member's words in a thread or topic. `accepted`: the platform was told that they are kept."""

    surface: str
    text: str
    accepted: bool


@dataclass(frozen=True)
class Posted:
    """A message of ours on a platform. `seq` and `part` where it says what it shows; `thread` where it stands."""

    cid: str
    thread: str
    text: str
    at: datetime
    seq: int | None = None
    part: int = 0


@dataclass(frozen=True)
class Mailed:
    cid: str
    recipient: str


@dataclass(frozen=True)
class Outage:
    """`what` failed from `began` to `ended`.

    It is "servers", "redis", "disk", "network" or "machine", or else "slack", "telegram", "smtp" or "model".
    """

    what: str
    kind: str
    began: datetime
    ended: datetime

    @property
    def ours(self) -> bool:
        """No outage of the world outside."""
        return self.what in ("servers", "redis", "network", "disk", "machine")


@dataclass(frozen=True)
class Down:
    """Server `server` could do nothing: it did not run, or had no store to work on."""

    server: int
    began: datetime
    ended: datetime


@dataclass(frozen=True)
class Latency:
    sent: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        return (self.until - self.sent).total_seconds()


@dataclass(frozen=True)
class Terms:
    """What the configuration promises, in seconds. `answer`: until a visitor's words are answered in some way;
    `again`: until a server that runs again, or has its store again, is at work; `recover`: until the work of a
    process that is gone is taken up; `tell`: until trouble is told to staff.
    """

    answer: float
    again: float
    recover: float
    tell: float


@dataclass(eq=False)
class History:
    terms: Terms
    servers: int = 1
    logs: dict[str, Log] = field(default_factory=dict)
    sittings: list[Sitting] = field(default_factory=list)
    acked: list[Acked] = field(default_factory=list)
    declined: list[Declined] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)
    drafts: list[DraftShown] = field(default_factory=list)
    typed: list[Typed] = field(default_factory=list)
    slack: list[Posted] = field(default_factory=list)
    telegram: list[Posted] = field(default_factory=list)
    mailed: list[Mailed] = field(default_factory=list)
    recipients: tuple[str, ...] = ()
    outages: list[Outage] = field(default_factory=list)
    downs: list[Down] = field(default_factory=list)
    outside: list[Span] = field(default_factory=list)  # when only the world outside was in trouble
    seen: dict[tuple[str, int], Span] = field(default_factory=dict)
    """When the log of a conversation surely had not yet, and surely had, the entry `seq`, where somebody looked.
    The entry itself only says when it was decided: a server that is cut off in that moment enters it later.
    """
    signed_out: list[str] = field(default_factory=list)  # clients whose session is no more
    latencies: list[Latency] = field(default_factory=list)
    looks: int = 0
    looked: list[tuple[str, bytes, bytes]] = field(
        default_factory=list
    )  # cid, its log before and after looking
    ended: datetime | None = None

    def troubled(self, began: datetime, ended: datetime) -> bool:
        """Whether something of ours was down or recovering in this time, wherever that was."""
        recover = timedelta(seconds=self.terms.recover)
        return any(o.ours and o.began < ended and o.ended + recover > began for o in self.outages)

    def halts(self) -> list[Span]:
        """When nothing of ours could work: every server was down, or had only just come back."""
        each = [[(d.began, d.ended) for d in self.downs if d.server == n] for n in range(self.servers)]
        return longer(common(each), self.terms.again)

    def stumbled(self, began: datetime, ended: datetime) -> bool:
        """Whether any of our servers was down in this time."""
        return any(d.began < ended and d.ended > began for d in self.downs)

    def entered(self, cid: str, entry: Entry) -> Span:
        """Between which moments `entry` came into the log."""
        return self.seen.get((cid, entry.seq), (entry.at, entry.at))
