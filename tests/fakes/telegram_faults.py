"""What goes wrong on purpose: errors, limits, answers that get lost, answers that come late."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
import math
from typing import Any

from tests.fakes.telegram_state import Json, Refusal

SENDING = frozenset({"sendmessage", "senddocument", "sendphoto"})
EDITING = frozenset({"editmessagetext", "editmessagereplymarkup"})


@dataclass
class Call:
    """A request to the API, and what became of it."""

    method: str
    args: Json
    at: float
    outcome: str = "under way"
    result: Any = None
    done: bool = False  # it had its effect, whether or not the answer arrived

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"


def too_many(seconds: float) -> Refusal:
    wait = max(1, math.ceil(seconds))
    return Refusal(429, f"Too Many Requests: retry after {wait}", {"retry_after": wait})


@dataclass(kw_only=True)
class Fault:
    method: str
    times: int | None
    chat: int | None = None
    refusal: Refusal | None = None
    until: float | None = None
    garbled: bool = False
    lost: bool = False
    undone: bool = False
    delay: float = 0.0
    gate: asyncio.Event | None = None

    def meets(self, method: str, chat: int | None) -> bool:
        named = method.lower() == self.method or (self.method == "*" and method != "getUpdates")
        return named and self.chat in {None, chat} and self.times != 0


@dataclass
class Trouble:
    """The faults that one call meets."""

    gate: asyncio.Event | None = None
    refusal: Refusal | None = None
    garbled: bool = False
    lost: bool = False
    undone: bool = False
    delay: float = 0.0


@dataclass
class Faults:
    now: Callable[[], float]
    messages_per_minute: int | None = None
    window: float = 60.0
    count_edits: bool = False
    down: bool = False
    _faults: list[Fault] = field(default_factory=list)
    _sent: dict[int, list[float]] = field(default_factory=dict)

    def fail(
        self,
        method: str,
        code: int,
        description: str,
        *,
        times: int | None = 1,
        parameters: Json | None = None,
        chat: int | None = None,
    ) -> None:
        """Refuse, without doing it."""
        refusal = Refusal(code, description, parameters)
        self._add(method, times, chat=chat, refusal=refusal)

    def garble(self, method: str, *, times: int | None = 1) -> None:
        """Answer as a proxy in front would: a page of HTML with status 502."""
        self._add(method, times, garbled=True)

    def limit(self, method: str, seconds: float, *, times: int | None = 1, chat: int | None = None) -> None:
        """Too Many Requests; without `times`, until the seconds have passed on the clock."""
        until = None if times is not None else self.now() + seconds
        self._add(method, times, chat=chat, refusal=too_many(seconds), until=until)

    def lose(self, method: str, *, times: int | None = 1, done: bool = True, chat: int | None = None) -> None:
        """Cut the connection instead of answering; the call is done, or is not."""
        self._add(method, times, chat=chat, lost=True, undone=not done)

    def slow(self, method: str, seconds: float, *, times: int | None = 1, chat: int | None = None) -> None:
        """Do it at once, answer late."""
        self._add(method, times, chat=chat, delay=seconds)

    def hold(self, method: str, *, chat: int | None = None) -> asyncio.Event:
        """Calls wait, not yet done, until the event is set."""
        gate = asyncio.Event()
        self._add(method, None, chat=chat, gate=gate)
        return gate

    def heal(self) -> None:
        """No more faults; calls that are held go on."""
        for fault in self._faults:
            if fault.gate is not None:
                fault.gate.set()
        self._faults.clear()
        self.down = False
        self.messages_per_minute = None

    def _add(self, method: str, times: int | None, **what: Any) -> None:
        self._faults.append(Fault(method=method.lower(), times=times, **what))

    def meet(self, method: str, chat: int | None) -> Trouble:
        """What this call meets; a fault that refuses comes alone."""
        trouble = Trouble()
        for fault in self._faults:
            if not fault.meets(method, chat):
                continue
            if fault.until is not None and self.now() >= fault.until:
                fault.times = 0
                continue
            refuses = fault.refusal is not None or fault.garbled or fault.lost
            if refuses and (trouble.refusal or trouble.garbled or trouble.lost):
                continue
            if fault.times is not None:
                fault.times -= 1
            if fault.refusal is not None:
                left = fault.until - self.now() if fault.until is not None else None
                trouble.refusal = too_many(left) if left is not None else fault.refusal
            trouble.garbled |= fault.garbled
            trouble.lost |= fault.lost
            trouble.undone |= fault.undone
            trouble.delay += fault.delay
            trouble.gate = fault.gate or trouble.gate
        return trouble

    def pace(self, method: str, chat: int | None) -> None:
        """The strict limit of a group, shared by all of its topics."""
        counted = SENDING | EDITING if self.count_edits else SENDING
        if self.messages_per_minute is None or chat is None or chat >= 0 or method.lower() not in counted:
            return
        now = self.now()
        sent = [at for at in self._sent.get(chat, []) if at > now - self.window]
        if len(sent) >= self.messages_per_minute:
            raise too_many(sent[-self.messages_per_minute] + self.window - now)
        self._sent[chat] = [*sent, now]
