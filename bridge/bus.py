"""What is never stored, past one process: what this one tells the others, and they tell it.

It travels by the store's `tell`, now or never; what is lost is made good by the next heartbeat.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
import itertools
import logging
import time

from msgspec import DecodeError, Struct, json

from bridge import pulse as p
from bridge import wire
from bridge.errors import StoreError
from bridge.events import ConversationId, Party
from bridge.limits import Places, Rate
from bridge.session import Ending
from bridge.store import Store

log = logging.getLogger(__name__)

TOPIC = "pulse"  # with "/" and the conversation, where it is of one
BEAT = 2.5  # seconds between signs of life
WHOLE = 4  # every so many beats, everything is told again
DEAD = 10.0  # seconds of silence after which a process has no connections that count
AT_ONCE = 500  # conversations, or places, in one message
ROOM = 2_000  # messages that may wait for the store
REPEATED = 60.0  # seconds for which an ending is told again


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message between processes. `here`: everybody connected to `sender`, in these conversations;
    `asks`: tell me of yours; `ending`: sessions that end wherever they are; `took`: what the rates have let
    through since the last message, by name and key; `places`: the connections that `sender` has given.
    """

    sender: str
    cid: ConversationId = ConversationId("")
    typing: p.Typing | None = None
    draft: wire.Draft | None = None
    over: wire.DraftOver | None = None
    stop: bool = False
    here: dict[ConversationId, list[Party]] = {}
    ending: Ending | None = None
    asks: bool = False
    took: dict[str, dict[str, int]] = {}
    places: dict[str, int] = {}


class Bus:
    """Carries one process's pulse, and what it has used up of the limits, to the others, and theirs to it."""

    def __init__(
        self,
        *,
        store: Store,
        pulse: p.Pulse,
        process: str,
        end: Callable[[Ending], None],
        rates: Mapping[str, Rate] | None = None,
        places: Places | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pulse = pulse
        self._name = process
        self._end = end
        self._rates = rates or {}
        self._places = places or Places(0)
        self._clock = clock
        self._out: asyncio.Queue[Told] = asyncio.Queue()  # pulses fill no more than ROOM of it
        self._took: dict[str, Counter[str]] = {name: Counter() for name in self._rates}
        self._moved: set[str] = set()  # keys of places
        self._used = asyncio.Event()
        self._endings: deque[tuple[float, Ending]] = deque()
        self._heard: dict[str, float] = {}
        pulse.link(self.publish)
        for name, rate in self._rates.items():
            rate.tell = self._teller(name)
        self._places.tell = self._place_moved

    # From this process

    def publish(self, cid: ConversationId, signal: p.Signal) -> None:
        """Tell the others; what finds no room is lost, as a pulse may be."""
        match signal:
            case p.Typing():
                told = Told(sender=self._name, cid=cid, typing=signal)
            case wire.Draft():
                told = Told(sender=self._name, cid=cid, draft=signal)
            case wire.DraftOver():
                told = Told(sender=self._name, cid=cid, over=signal)
            case p.StopWanted():
                told = Told(sender=self._name, cid=cid, stop=True)
            case p.PresenceChanged():
                told = Told(sender=self._name, cid=cid, here={cid: self._pulse.connected(cid)})
        self._put(told)

    def publish_end(self, ending: Ending) -> None:
        """Tell the others now, and again for a while: what is ended stays ended, whatever was lost."""
        self._endings.append((self._clock() + REPEATED, ending))
        self._out.put_nowait(Told(sender=self._name, ending=ending))

    def _put(self, told: Told) -> None:
        if self._out.qsize() < ROOM:
            self._out.put_nowait(told)

    def _teller(self, name: str) -> Callable[[str], None]:
        def tell(key: str) -> None:
            self._took[name][key] += 1
            self._used.set()

        return tell

    def _place_moved(self, key: str) -> None:
        self._moved.add(key)
        self._used.set()

    # Carrying

    async def run(self) -> None:
        """Carry until cancelled."""
        heard = self._store.told()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._send_used())
            group.create_task(self._beat())
            self._out.put_nowait(Told(sender=self._name, asks=True))
            async for topic, message in heard:
                if topic.partition("/")[0] == TOPIC:
                    self._hear(message)

    async def _send(self) -> None:
        while True:
            await self._tell(await self._out.get())

    async def _send_used(self) -> None:
        """What is used up while one message is under way goes into the next."""
        while True:
            await self._used.wait()
            self._used.clear()
            took = {name: dict(counts) for name, counts in self._took.items() if counts}
            self._took = {name: Counter() for name in self._rates}
            places = {key: self._places.here(key) for key in self._moved}
            self._moved.clear()
            await self._tell(Told(sender=self._name, took=took, places=places))

    async def _tell(self, told: Told) -> None:
        topic = f"{TOPIC}/{told.cid}" if told.cid else TOPIC
        try:
            await self._store.tell(topic, json.encode(told))
        except (StoreError, OSError) as error:
            log.debug("a pulse was lost: %s", type(error).__name__)

    async def _beat(self) -> None:
        for beat in itertools.count():
            if beat % WHOLE == 0:
                self._tell_all()
            else:
                self._put(Told(sender=self._name))
            self._expire()
            await asyncio.sleep(BEAT)

    def _tell_all(self) -> None:
        """Who is connected here, the drafts that are under way, whole, and what has ended of late."""
        cids, keys = self._pulse.occupied(), self._places.keys()
        for at in range(0, max(1, len(cids), len(keys)), AT_ONCE):
            here = {cid: self._pulse.connected(cid) for cid in cids[at : at + AT_ONCE]}
            places = {key: self._places.here(key) for key in keys[at : at + AT_ONCE]}
            self._put(Told(sender=self._name, here=here, places=places))
        for cid, draft in self._pulse.drafts():
            self.publish(cid, draft)
        for _, ending in self._endings:
            self._put(Told(sender=self._name, ending=ending))

    def _expire(self) -> None:
        now = self._clock()
        while self._endings and self._endings[0][0] < now:
            self._endings.popleft()
        for sender in [name for name, at in self._heard.items() if now - at > DEAD]:
            del self._heard[sender]
            self._places.give_back(sender)
        self._places.expire()
        self._pulse.expire()

    # From other processes

    def _hear(self, message: bytes) -> None:
        try:
            told = json.decode(message, type=Told)
        except DecodeError:  # of another version of Joinline, in the middle of a deployment
            log.debug("a pulse was not understood")
            return
        if told.sender == self._name:
            return
        self._heard[told.sender] = self._clock()
        if told.ending is not None:
            self._end(told.ending)
        if told.asks:
            self._tell_all()
        for cid, parties in told.here.items():
            self._pulse.hear_presence(told.sender, cid, parties)
        signal = told.typing or told.draft or told.over or (p.StopWanted() if told.stop else None)
        if signal is not None:
            self._pulse.hear_signal(told.cid, signal)
        self._places.hear(told.sender, told.places)
        for name, counts in told.took.items():
            if name in self._rates:
                for key, count in counts.items():
                    self._rates[name].hear(key, count)
