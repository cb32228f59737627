"""A client that speaks the live protocol over a real WebSocket, and sends again until it is answered."""

import asyncio
from contextlib import suppress
import json
import secrets
from typing import Any, Self

import websockets
from websockets.asyncio.client import ClientConnection, connect

Frame = dict[str, Any]


class Chatter:
    """A visitor (by `token`) or a member of staff (by cookie). Keeps what it was shown, in order."""

    def __init__(
        self, url: str, *, origin: str, site: str = "acme", token: str | None = None,
        hello: Frame | None = None, cookie: str = "",
    ) -> None:  # fmt: skip
        self.token = token or secrets.token_urlsafe(32)
        self._url = url.replace("http", "ws", 1)
        self._origin = origin
        self._hello = hello or {"site": site, "token": self.token}
        self._headers = {"Cookie": cookie} if cookie else {}
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._pending: dict[str, Frame] = {}
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self.lines: list[Frame] = []
        self.state: Frame = {}
        self.you: Frame = {}
        self.log = ""
        self.pulses: list[Frame] = []
        self.connects = 0
        self.close_code: int | None = None
        self.stay = True
        self._opened = token is not None

    @property
    def last(self) -> int:
        return int(self.lines[-1]["seq"]) if self.lines else 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while self.stay or not self.connects:
            try:
                async with connect(
                    self._url, origin=self._origin, additional_headers=self._headers, compression=None,
                    open_timeout=5, close_timeout=0.5, max_size=None, proxy=None, ping_interval=None,
                ) as socket:  # fmt: skip
                    await self._follow(socket)
            except websockets.ConnectionClosed as closed:
                self.close_code = closed.rcvd.code if closed.rcvd else None
            except (OSError, websockets.WebSocketException, TimeoutError, EOFError):
                pass
            finally:
                self._socket = None
            await asyncio.sleep(0.05)

    async def _follow(self, socket: ClientConnection) -> None:
        hello = {"t": "hello", **self._hello, "after": self.last, "log": self.log}
        await socket.send(json.dumps(hello))
        async for data in socket:
            frame = json.loads(data)
            match frame["t"]:
                case "welcome":
                    self.connects += 1
                    self.log, self.state, self.you = frame["log"], frame["state"], frame["you"]
                    self._socket = socket
                    for pending in list(self._pending.values()):
                        await socket.send(json.dumps(pending))
                case "entries":
                    self.lines += [x for x in frame["lines"] if x["seq"] > self.last]
                    self.state = frame["state"]
                case "ack" | "refused" | "answer":
                    self._pending.pop(frame["key"], None)
                    waiting = self._waiting.pop(frame["key"], None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(frame)
                case "reset":
                    self.lines.clear()
                    self.log = ""
                case _:
                    self.pulses.append(frame)

    async def request(self, frame: Frame) -> Frame:
        """Send `frame` until it is answered; the answer."""
        frame = {"key": secrets.token_hex(8), **frame}
        answer = self._waiting[frame["key"]] = asyncio.get_running_loop().create_future()
        self._pending[frame["key"]] = frame
        await self.signal(frame)
        return await answer

    async def signal(self, frame: Frame) -> None:
        if self._socket is not None:
            with suppress(websockets.ConnectionClosed):
                await self._socket.send(json.dumps(frame))

    async def propose(self, *events: Frame, key: str | None = None, floor: int | None = None) -> Frame:
        frame: Frame = {"t": "propose", "events": list(events)}
        return await self.request(
            frame | ({"key": key} if key else {}) | ({"floor": floor} if floor is not None else {})
        )

    async def say(self, text: str, *, key: str | None = None) -> Frame:
        """Say `text`; the first time, open the conversation with it."""
        opening = [] if self._opened else [{"type": "Opened", "site": "acme"}]
        answer = await self.propose(*opening, {"type": "Said", "text": text}, key=key)
        self._opened = self._opened or answer["t"] == "ack"
        return answer

    async def command(self, line: str) -> Frame:
        return await self.request({"t": "command", "line": line, "floor": self.state.get("since", 0)})

    def texts(self) -> list[str]:
        return [x["event"]["text"] for x in self.lines if x["event"]["type"] == "Said"]
