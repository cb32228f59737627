"""The page that every join link shows: one constant document, which asks for the rest by POST."""

from pathlib import Path
from urllib.parse import urlsplit

from fastapi import Response

from webjoin.answers import HEADERS

_DOCUMENT = (Path(__file__).parent / "static" / "page.html").read_bytes()


def origin_of(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"


def policy(origin: str) -> str:
    """The page's Content-Security-Policy; older browsers' 'self' leaves the socket out."""
    socket = "ws" + origin.removeprefix("http")
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"connect-src 'self' {socket}",
            "img-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def page(*, base_url: str) -> Response:
    """The same bytes for every link, true or false; it says nothing and sets nothing."""
    headers = HEADERS | {
        "Content-Security-Policy": policy(origin_of(base_url)),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    return Response(_DOCUMENT, headers=headers, media_type="text/html")
