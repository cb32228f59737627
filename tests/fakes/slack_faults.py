"""What can be made to go wrong with calls, and what Slack does by itself when it is asked too much."""

from collections.abc import Callable
from dataclasses import dataclass, field
import math
import time

from tests.fakes.slack_state import Call
from tests.fakes.slack_text import Json

POSTING = {"chat.postMessage", "chat.postEphemeral", "chat.meMessage"}


@dataclass(eq=False)
class Fault:
    """One scripted fault. `times` None goes on until `mend`."""

    method: str
    kind: str  # error, limit, status, lose, drop or slow
    times: int | None = 1
    error: str = ""
    seconds: float = 0.0
    status: int = 500
    channel: str | None = None
    when: Callable[[Json], bool] | None = None
    done: bool = False  # the work is done all the same
    extra: Json = field(default_factory=dict)
    until: float | None = None

    def fits(self, call: Call) -> bool:
        if self.times == 0 or (self.until is not None and time.monotonic() > self.until):
            return False
        named = self.method in ("*", call.method)
        there = self.channel in (None, call.channel)
        return named and there and (self.when is None or self.when(call.args))

    def spend(self) -> None:
        if self.times is not None:
            self.times -= 1
        elif self.kind == "limit" and self.until is None:
            self.until = time.monotonic() + self.seconds


class Faults:
    """Scripted faults, oldest first, one a call; a slow call may have another fault besides."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.posts_per_second: float | None = None
        self.post_burst = 3
        self._buckets: dict[str, tuple[float, float]] = {}  # channel -> tokens, as of
        self._told: dict[tuple[str, str], float] = {}  # (method, channel) -> when it may come again

    def fail(
        self,
        method: str,
        *,
        error: str,
        times: int | None = 1,
        channel: str | None = None,
        when: Callable[[Json], bool] | None = None,
        done: bool = False,
        **extra: object,
    ) -> Fault:
        """Answer with this error; with `done`, after doing the work (as fatal_error may)."""
        return self._script(
            Fault(method, "error", times, error, channel=channel, when=when, done=done, extra=extra)
        )

    def limit(
        self, method: str, seconds: float, *, times: int | None = 1, channel: str | None = None
    ) -> Fault:
        """429 with Retry-After: for `times` calls, or (None) until `seconds` after the first of them."""
        return self._script(Fault(method, "limit", times, seconds=seconds, channel=channel))

    def lose(
        self,
        method: str,
        *,
        times: int | None = 1,
        channel: str | None = None,
        when: Callable[[Json], bool] | None = None,
    ) -> Fault:
        """Do the work, then cut the connection without an answer."""
        return self._script(Fault(method, "lose", times, channel=channel, when=when))

    def drop(self, method: str, *, times: int | None = 1, channel: str | None = None) -> Fault:
        """Cut the connection and do nothing."""
        return self._script(Fault(method, "drop", times, channel=channel))

    def slow(self, method: str, seconds: float, *, times: int | None = None) -> Fault:
        """Wait before the work."""
        return self._script(Fault(method, "slow", times, seconds=seconds))

    def breaks(self, method: str, status: int = 503, *, times: int | None = 1, done: bool = False) -> Fault:
        """HTTP 500, 503 and the like, with a page instead of JSON."""
        return self._script(Fault(method, "status", times, status=status, done=done))

    def mend(self, method: str | None = None) -> None:
        """Forget scripted faults, of one method or all."""
        self.faults = [f for f in self.faults if method is not None and f.method != method]
        self._told.clear()

    def _script(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    def faults_for(self, call: Call) -> list[Fault]:
        """At most one slow fault and one other, spent."""
        fitting = [f for f in self.faults if f.fits(call)]
        slow = [f for f in fitting if f.kind == "slow"][:1]
        other = [f for f in fitting if f.kind != "slow"][:1]
        for fault in slow + other:
            fault.spend()
        return slow + other

    def posting_wait(self, call: Call) -> float:
        """Seconds to wait where posts_per_second is exceeded, else 0."""
        if self.posts_per_second is None or call.method not in POSTING:
            return 0.0
        now = time.monotonic()
        tokens, at = self._buckets.get(call.channel, (float(self.post_burst), now))
        tokens = min(float(self.post_burst), tokens + (now - at) * self.posts_per_second)
        if tokens >= 1:
            self._buckets[call.channel] = (tokens - 1, now)
            return 0.0
        self._buckets[call.channel] = (tokens, now)
        return (1 - tokens) / self.posts_per_second

    def tell_off(self, call: Call, seconds: float) -> str:
        """The Retry-After, in whole seconds as Slack's."""
        after = math.ceil(seconds)
        self._told[call.method, call.channel] = time.monotonic() + after
        return str(after)

    def note_haste(self, call: Call) -> None:
        call.hasty = time.monotonic() < self._told.get((call.method, call.channel), 0.0)
