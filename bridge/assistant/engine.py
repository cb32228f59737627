"""What gives the assistant its words: an engine answers a request with pieces, as they come."""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

from msgspec import Struct

from bridge.errors import JoinlineError


class Message(Struct, frozen=True, kw_only=True):
    """Words as an engine reads them. What is no words of visitor or assistant is told in `user`, in ⟦ ⟧."""

    role: Literal["user", "assistant"]
    text: str


class Request(Struct, frozen=True, kw_only=True):
    """What is to be answered.

    `messages` alternate, beginning and ending with `user`. `asked` holds the visitor's unanswered words one
    by one, `before` their last words before those. `may_ask` says whether asking for a person would be new.
    """

    system: str
    messages: tuple[Message, ...]
    asked: tuple[str, ...]
    before: str = ""
    may_ask: bool = True

    @property
    def size(self) -> int:
        """Characters in all."""
        return len(self.system) + sum(len(m.text) for m in self.messages)


class Words(Struct, frozen=True):
    """The next words of the answer. Empty words are a sign of life."""

    text: str


class AskForPerson(Struct, frozen=True):
    """The engine wants a person to join."""

    reason: str = ""


class Used(Struct, frozen=True):
    """The tokens that the request and its answer took, where the engine knows."""

    tokens: int


Piece = Words | AskForPerson | Used


class EngineFailed(JoinlineError):
    """No answer, or half of one. `reason` holds nobody's words; `again`: in so many seconds it may work."""

    def __init__(self, reason: str, *, again: float | None = 0.5) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


class Engine(Protocol):
    """`answer` ends only when the answer is whole; whatever it raises is a failure."""

    def answer(self, request: Request) -> AsyncGenerator[Piece, None]: ...

    async def close(self) -> None: ...
