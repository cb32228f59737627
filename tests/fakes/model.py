"""A local server that speaks chat completions as real ones do, and fails as real ones do.

Each request plays the next script; the last script goes on for all that follow. A script writes to the
connection through `Exchange`. What was asked, and whether the client went away, stays in `requests`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
import itertools
import json
import re
from typing import Any

HALT = "⏸"  # in a script's text: wait here until the test opens the gate


class Gone(Exception):
    """The client has closed the connection."""


@dataclass
class Asked:
    """A request, and what became of it."""

    body: dict[str, Any]
    key: str
    gone: bool = False  # the client closed before the answer's end
    done: bool = False

    @property
    def system(self) -> str:
        return "\n".join(m["content"] for m in self.body["messages"] if m["role"] == "system")

    @property
    def prompt(self) -> str:
        """Everything the model reads."""
        return "\n".join(m["content"] for m in self.body["messages"])

    @property
    def last(self) -> str:
        return self.body["messages"][-1]["content"]


@dataclass
class Exchange:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    asked: Asked
    number: int
    gate: asyncio.Event
    _closed: asyncio.Task[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._closed = asyncio.create_task(self.reader.read(1))  # ends when the client goes away

    async def pause(self, seconds: float | None) -> None:
        """Wait, or for ever, unless the client goes away."""
        await asyncio.wait([self._closed], timeout=seconds)
        if self._closed.done():
            raise Gone

    async def until_open(self) -> None:
        opened = asyncio.create_task(self.gate.wait())
        await asyncio.wait([opened, self._closed], return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self._closed.done() and not self.gate.is_set():
            raise Gone

    async def write(self, data: bytes) -> None:
        if self._closed.done():
            raise Gone
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError:
            raise Gone from None

    async def answer(
        self, status: int, reason: str, body: Any, headers: dict[str, str] | None = None
    ) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
        await self.write(_head(status, reason, told) + data)

    async def start(self) -> None:
        told = {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}
        await self.write(_head(200, "OK", told))

    async def raw(self, text: str) -> None:
        """One piece of the body, in HTTP/1.1's chunked coding."""
        data = text.encode("utf-8", "surrogatepass")
        await self.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, body: Any) -> None:
        await self.raw(f"data: {json.dumps(body)}\n\n")

    async def delta(self, finish: str | None = None, **delta: Any) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        await self.event({**self._frame(), "choices": [choice]})

    async def usage(self, prompt: int, completion: int) -> None:
        if (self.asked.body.get("stream_options") or {}).get("include_usage"):
            count = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            }
            await self.event({**self._frame(), "choices": [], "usage": count})

    async def finish(self, reason: str = "stop", *, prompt: int = 40, completion: int = 12) -> None:
        await self.delta(reason)
        await self.usage(prompt, completion)
        await self.raw("data: [DONE]\n\n")
        await self.end()

    async def end(self) -> None:
        """The clean end of the body."""
        await self.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """The end of a connection that nobody expected."""
        transport = self.writer.transport
        transport.abort()

    def _frame(self) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.number}", "object": "chat.completion.chunk", "created": 1_780_000_000,
            "model": self.asked.body.get("model", ""), "system_fingerprint": None,
        }  # fmt: skip

    def close(self) -> None:
        self._closed.cancel()


Script = Callable[[Exchange], Awaitable[None]]


def _head(status: int, reason: str, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{k}: {v}" for k, v in headers.items()), "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# --- scripts -------------------------------------------------------------------------------------


async def _words(x: Exchange, text: str, delay: float) -> None:
    """The role, then the text word by word; at ⏸ until the gate opens."""
    await x.start()
    await x.delta(role="assistant", content="")
    for word in re.findall(rf"{HALT}|[^\s{HALT}]+\s*|\s+", text):
        if word == HALT:
            await x.until_open()
            continue
        await x.delta(content=word)
        if delay:
            await x.pause(delay)


def says(
    text: str, *, delay: float = 0.0, finish: str = "stop", prompt: int = 40, completion: int = 12
) -> Script:
    """A whole answer."""

    async def script(x: Exchange) -> None:
        await _words(x, text, delay)
        await x.finish(finish, prompt=prompt, completion=completion)

    return script


def calls(name: str, arguments: str, *, text: str = "", times: int = 1) -> Script:
    """An answer with a tool call, whose name comes first and whose arguments come in small parts."""

    async def script(x: Exchange) -> None:
        await _words(x, text, 0.0)
        for i in range(times):
            function = {"name": name, "arguments": ""}
            call = {"index": i, "id": f"call_{i}", "type": "function", "function": function}
            await x.delta(tool_calls=[call])
            for at in range(0, len(arguments), 7):
                part = {"index": i, "function": {"arguments": arguments[at : at + 7]}}
                await x.delta(tool_calls=[part])
        await x.finish("tool_calls")

    return script


def asks_for_person(reason: str, *, text: str = "", times: int = 1) -> Script:
    return calls("ask_for_person", json.dumps({"reason": reason}), text=text, times=times)


async def hangs(x: Exchange) -> None:
    """Takes the request and never answers."""
    await x.pause(None)


def stalls(text: str) -> Script:
    """Begins, then says nothing more."""

    async def script(x: Exchange) -> None:
        await _words(x, text, 0.0)
        await x.pause(None)

    return script


def breaks_off(text: str) -> Script:
    """The connection is cut in the middle of the answer."""

    async def script(x: Exchange) -> None:
        await _words(x, text, 0.0)
        x.cut()

    return script


def ends_early(text: str) -> Script:
    """A clean end of the stream, in the middle of the answer: no finish_reason, no [DONE]."""

    async def script(x: Exchange) -> None:
        await _words(x, text, 0.0)
        await x.end()

    return script


def drips(text: str, delay: float) -> Script:
    """One character at a time, slowly."""

    async def script(x: Exchange) -> None:
        await x.start()
        for char in text:
            await x.delta(content=char)
            await x.pause(delay)
        await x.finish()

    return script


def endless(text: str = "and on ") -> Script:
    async def script(x: Exchange) -> None:
        await x.start()
        while True:
            await x.delta(content=text)

    return script


def fails_in_band(text: str) -> Script:
    """The error comes as an event of the stream that began well."""

    async def script(x: Exchange) -> None:
        await _words(x, text, 0.0)
        await x.event(
            {"error": {"message": "The server had an error.", "type": "server_error", "code": None}}
        )
        await x.end()

    return script


def refuses(status: int, reason: str, message: str, **headers: str) -> Script:
    async def script(x: Exchange) -> None:
        error = {"message": message, "type": reason, "param": None, "code": None}
        await x.answer(status, reason, {"error": error}, {k.replace("_", "-"): v for k, v in headers.items()})

    return script


def too_many_requests(retry_after: str) -> Script:
    return refuses(429, "rate_limit_exceeded", "Rate limit reached.", Retry_After=retry_after)


server_error = refuses(500, "server_error", "The server had an error.")


async def garbage(x: Exchange) -> None:
    """A stream of events that hold no JSON."""
    await x.start()
    await x.raw("data: <html>not json</html>\n\n")
    await x.raw("\x00\x01 data \n\n")
    await x.end()


async def odd_json(x: Exchange) -> None:
    """JSON that is no chunk."""
    await x.start()
    for body in (42, ["a"], None, {"choices": None}, {"choices": [{"delta": None}]}, {"choices": "x"}):
        await x.event(body)
    await x.end()


async def empty(x: Exchange) -> None:
    """An answer of no words."""
    await x.start()
    await x.delta(role="assistant", content="")
    await x.finish()


async def web_page(x: Exchange) -> None:
    """What a proxy in front may answer."""
    await x.answer(200, "OK", b"<html><title>Welcome</title></html>", {"Content-Type": "text/html"})


# --- the server ----------------------------------------------------------------------------------


class FakeModel:
    def __init__(self, scripts: Iterable[Script] = ()) -> None:
        self.requests: list[Asked] = []
        self.gate = asyncio.Event()
        self.base_url = ""
        self._scripts = list(scripts) or [says("It is so.")]
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def play(self, *scripts: Script) -> None:
        """What the requests from now on get, one each; the last one repeats."""
        self._scripts = list(scripts)

    def open_gate(self) -> None:
        self.gate.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeModel"]:
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                await self._exchange(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        asked = Asked(body=body, key=headers.get("authorization", "").removeprefix("Bearer "))
        x = Exchange(reader=reader, writer=writer, asked=asked, number=next(self._numbers), gate=self.gate)
        try:
            if first.split()[:2] != ["POST", "/v1/chat/completions"]:
                await x.answer(404, "Not Found", {"error": {"message": "Unknown request URL."}})
                return
            self.requests.append(asked)
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            await script(x)
            asked.done = True
        except Gone:
            asked.gone = True
        finally:
            x.close()
