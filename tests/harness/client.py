"""A client that keeps everything: each line it is shown, each acknowledgement, and when.

It sends again what is not acknowledged, with the same key, and comes back to any server. Where it is told to begin
anew, a visitor's does as the widget does: it gives back what it had said and the log does not have any more.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
import json
from random import Random
from typing import Any, Self

import websockets
from websockets.asyncio.client import ClientConnection, connect

from bridge.wire import Audience
from tests.harness.history import Acked, Declined, DraftShown, History, Latency, Line, Sitting

Frame = dict[str, Any]

PING = 1.5  # seconds
SILENCE = 4.0  # seconds after which a connection is given up


class Sent:
    """A frame that waits for its answer."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.at = datetime.now(UTC)
        self.answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

    def give_up(self) -> None:
        """Whoever sent it has been signed out."""
        if not self.answer.done():
            self.answer.set_result({"t": "refused", "key": self.frame["key"], "code": "signed_out"})


class Client:
    """`name` is unique; `doors` are the servers. The conversation of a member of staff is in `hello`."""

    def __init__(
        self,
        name: str,
        doors: Sequence[str],
        *,
        history: History,
        dice: Random,
        origin: str,
        audience: Audience,
        cid: str,
        hello: Frame,
        address: str,
        cookie: str = "",
    ) -> None:
        self.name = name
        self.cid = cid
        self.author = "visitor"
        self.state: Frame = {}
        self.lines: list[Line] = []
        self.connects = 0
        self.out = False  # this credential opens nothing any more
        self._doors = doors
        self._history = history
        self._dice = dice
        self._origin = origin
        self._audience: Audience = audience
        self._hello = hello
        self._headers = {"X-Forwarded-For": address} | ({"Cookie": cookie} if cookie else {})
        self._pending: dict[str, Sent] = {}
        self._socket: ClientConnection | None = None
        self._sitting: Sitting | None = None
        self._log = ""
        self._mark: str | None = None  # when the last line came that it was shown
        self._own: list[Frame] = []  # what it proposed and was acknowledged
        self._known: set[str] = set()  # keys that it was shown
        self._anew = False  # until all of another log has come
        self._numbers = 0
        self._heard = 0.0
        self._task: asyncio.Task[None] | None = None
        self._away = asyncio.Event()
        self._away.set()

    @property
    def last(self) -> int:
        return self.lines[-1].seq if self.lines else 0

    @property
    def idle(self) -> bool:
        """Nothing waits for an answer."""
        return not self._pending

    @property
    def store(self) -> str:
        """The store's name, as it was told last."""
        return self._log

    @property
    def online(self) -> bool:
        return self._socket is not None

    @property
    def holds(self) -> bool:
        """Whether the floor is this client's, as far as it knows."""
        holder = self.state.get("holder_id")
        return bool(holder) and f"staff:{holder}" == self.author

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        if self._sitting is not None and self._socket is not None:
            self._sitting.to_the_end = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def leave(self, seconds: float) -> None:
        """Close the laptop for a while."""
        self._away.clear()
        if self._socket is not None:
            self._socket.transport.abort()
        await asyncio.sleep(seconds)
        self._away.set()

    # The connection

    async def _run(self) -> None:
        while not self.out:
            await self._away.wait()
            url = self._dice.choice(self._doors).replace("http", "ws", 1)
            try:
                async with connect(
                    f"{url}/live/{self._audience}", origin=self._origin, additional_headers=self._headers,
                    compression=None, open_timeout=3, close_timeout=0.2, max_size=None, proxy=None,
                    ping_interval=None,
                ) as socket:  # fmt: skip
                    await self._sit(socket)
            except websockets.ConnectionClosed as closed:
                self._note_end(closed)
            except (OSError, websockets.WebSocketException, TimeoutError, EOFError):
                pass
            finally:
                self._socket = self._sitting = None
            await asyncio.sleep(0.05 + 0.4 * self._dice.random())

    def _note_end(self, closed: websockets.ConnectionClosed) -> None:
        code = closed.rcvd.code if closed.rcvd else 1006
        self.out = code in (4401, 4404, 4410)
        if self.out:
            self._history.signed_out.append(self.name)
            for sent in self._pending.values():
                sent.give_up()
            self._pending.clear()

    async def _sit(self, socket: ClientConnection) -> None:
        hello = {"t": "hello", **self._hello, "after": self.last, "log": self._log, "mark": self._mark}
        await socket.send(json.dumps(hello))
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        watching = asyncio.create_task(self._watch(socket))
        try:
            async for data in socket:
                self._heard = loop.time()
                await self._take(socket, json.loads(data))
        finally:
            watching.cancel()

    async def _watch(self, socket: ClientConnection) -> None:
        """As a browser does: ask whether the server lives, and give up one that does not say so."""
        loop = asyncio.get_running_loop()
        with suppress(websockets.ConnectionClosed):
            while loop.time() - self._heard < SILENCE:
                await asyncio.sleep(PING)
                if self._socket is socket:
                    await asyncio.wait_for(socket.send('{"t":"ping"}'), SILENCE)
        socket.transport.abort()

    async def _take(self, socket: ClientConnection, frame: Frame) -> None:
        match frame["t"]:
            case "welcome":
                await self._welcomed(socket, frame)
            case "entries":
                self._shown(frame)
                if self._anew and not frame.get("more"):
                    await self._begin_anew(socket)
            case "ack" | "refused" | "answer":
                self._answered(frame)
            case "draft" if frame["since"] == self.state.get("since"):  # any other is dropped, as pages do
                self._history.drafts.append(
                    DraftShown(client=self.name, cid=self.cid, since=frame["since"], seen=self.last)
                )
            case "reset":
                self.lines.clear()
                self._known.clear()
                self._log, self._mark, self._anew = "", None, True
            case _:
                pass

    async def _welcomed(self, socket: ClientConnection, frame: Frame) -> None:
        self.connects += 1
        self._log, self.state = frame["log"], frame["state"]
        if self._audience == "staff":
            self.author = f"staff:{frame['you']['id']}"
        self._sitting = Sitting(
            client=self.name, audience=self._audience, cid=self.cid, after=self.last, store=self._log
        )
        self._history.sittings.append(self._sitting)
        if not self._anew:
            await self._ready(socket)
        elif not frame.get("more"):
            await self._begin_anew(socket)

    async def _ready(self, socket: ClientConnection) -> None:
        for sent in list(self._pending.values()):
            await socket.send(json.dumps(sent.frame))
        self._socket = socket

    async def _begin_anew(self, socket: ClientConnection) -> None:
        """What the log has lost comes before what waits."""
        self._anew = False
        back = [frame for frame in self._own if frame["key"] not in self._known]
        self._own = [frame for frame in self._own if frame["key"] in self._known]
        self._pending = {frame["key"]: Sent(frame) for frame in back} | self._pending
        await self._ready(socket)

    def _shown(self, frame: Frame) -> None:
        assert self._sitting is not None
        lines = [Line(x["seq"], x["event"]["type"], x["event"].get("text", "")) for x in frame["lines"]]
        self._sitting.lines += lines
        if lines:
            self._mark = frame["lines"][-1]["at"]
        self._known.update(x["key"].partition("#")[0] for x in frame["lines"] if x.get("key"))
        self.lines += [line for line in lines if line.seq > self.last]
        self.state = frame["state"]

    def _answered(self, frame: Frame) -> None:
        sent = self._pending.pop(frame["key"], None)
        if sent is None:  # the answer to what was sent on an earlier connection, too, has come already
            return
        events = sent.frame.get("events", [])
        texts = tuple(e.get("text", "") for e in events)
        if frame["t"] == "ack":
            if self._audience == "visitor":
                self._own.append(sent.frame)
            self._history.latencies.append(Latency(sent=sent.at, until=datetime.now(UTC)))
            self._history.acked.append(
                Acked(
                    client=self.name, cid=self.cid, author=self.author, key=frame["key"], seq=frame["seq"],
                    types=tuple(e["type"] for e in events), texts=texts, line=sent.frame.get("line", ""),
                    store=self._log,
                )
            )  # fmt: skip
        elif frame["t"] == "refused":
            self._history.declined.append(
                Declined(
                    client=self.name, cid=self.cid, author=self.author, key=frame["key"],
                    code=frame["code"], texts=texts,
                )
            )  # fmt: skip
        if not sent.answer.done():
            sent.answer.set_result(frame)

    # What it sends

    async def request(self, frame: Frame) -> Frame:
        """Send `frame` until it is answered."""
        return await (await self.post(frame)).answer

    async def post(self, frame: Frame) -> Sent:
        """Send `frame`, and again, without waiting for the answer."""
        self._numbers += 1
        frame = {"key": f"{self.name}-{self._numbers}", **frame}
        sent = Sent(frame)
        if self.out:
            sent.give_up()
            return sent
        self._pending[frame["key"]] = sent
        await self.signal(frame)
        return sent

    async def signal(self, frame: Frame) -> None:
        """Send it now or never."""
        if self._socket is not None:
            with suppress(websockets.ConnectionClosed):
                await self._socket.send(json.dumps(frame))

    def propose(self, *events: Frame, key: str = "") -> Frame:
        """Words of staff carry the view that they were written in, as the join page's do: they may arrive late."""
        frame: Frame = {"t": "propose", "events": list(events)} | ({"key": key} if key else {})
        fenced = self._audience == "staff" and any(event["type"] == "Said" for event in events)
        return frame | ({"floor": self.state.get("since", 0)} if fenced else {})

    def command(self, line: str) -> Frame:
        return {"t": "command", "line": line, "floor": self.state.get("since", 0)}
