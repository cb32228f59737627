"""What the join page's calls have in common: strict bodies, constant refusals, headers."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request, Response
import msgspec
from msgspec import Struct

from bridge.bodies import read_body
from bridge.errors import FrameError

MAX_BODY = 4096  # bytes

HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}

T = TypeVar("T", bound=Struct)
Call = Callable[[Request], Awaitable[Response]]


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every body a call accepts."""


class Problem(Exception):
    """An answer other than 200: `code` is for the page, `message` for a person.

    `email`: where the link was sent to; empty for one that was handed out in a chat.
    """

    def __init__(self, status: int, code: str, message: str, *, email: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.email = email

    def response(self) -> Response:
        said = {"code": self.code, "message": self.message}
        if self.email is not None:
            said["email"] = self.email
        return answer({"error": said}, status=self.status)


def unknown() -> Problem:
    """The one answer to every credential that opens nothing: same status, same bytes."""
    return Problem(404, "unknown", "Link not found")


def answer(value: object, *, status: int = 200) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, status, headers=HEADERS, media_type="application/json")


async def read(request: Request, body: type[T]) -> T:
    """The call's body; raises `Problem` unless it is small JSON of exactly that shape."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(415, "invalid", "A call has a JSON body.")
    try:
        data = await read_body(request, most=MAX_BODY)
        return msgspec.json.decode(data, type=body, strict=True)
    except FrameError as error:
        status = 413 if error.close_code == 1009 else 400
        raise Problem(status, "invalid", f"{error.reason[0].upper()}{error.reason[1:]}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "invalid", "The body is not what this call expects.") from None


def guarded(call: Call, *, origin: str) -> Call:
    """`call` for pages of `origin` alone; what it raises becomes its answer."""

    async def endpoint(request: Request) -> Response:
        if request.headers.get("origin") != origin:
            return Problem(403, "origin", "Open this page at its own address.").response()
        try:
            return await call(request)
        except Problem as problem:
            return problem.response()

    return endpoint
