"""Bodies of requests from strangers: no longer than asked for, and not awaited for ever."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from bridge.errors import FrameError

WITHIN = 10.0  # seconds for the whole body


async def read_body(request: Request, *, most: int) -> bytes:
    """The body, of `most` bytes; raises `FrameError` 1009 when longer, 1008 when it does not come."""
    data = b""
    try:
        async with asyncio.timeout(WITHIN):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most:
                    raise FrameError(1009, f"a body has at most {most} bytes")
    except (TimeoutError, ClientDisconnect):
        raise FrameError(1008, "the body did not come") from None
    return data
