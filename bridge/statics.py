"""Static files: read once at start, compressed once, served from memory to any origin."""

from collections.abc import Awaitable, Callable
import gzip
from hashlib import sha256
import json
from pathlib import Path
import re

from fastapi import APIRouter, Request, Response
from msgspec import Struct

TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
HEADERS = {
    "Access-Control-Allow-Origin": "*",  # modules are fetched with CORS from the websites' pages
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=300, stale-while-revalidate=86400",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}


class Asset(Struct, frozen=True, kw_only=True):
    body: bytes
    packed: bytes
    etag: str
    media_type: str


def asset(body: bytes, suffix: str) -> Asset:
    etag = f'"{sha256(body).hexdigest()[:20]}"'
    return Asset(body=body, packed=gzip.compress(body, 9, mtime=0), etag=etag, media_type=TYPES[suffix])


_DOC = r"/\*\*(?:[^*]|\*(?!/))*\*/"
_COMMENTS = {
    ".js": (re.compile(rf"^[ \t]*{_DOC}[ \t]*\n", re.MULTILINE), re.compile(f"{_DOC} ?")),
    ".css": (re.compile(r"/\*(?:[^*]|\*(?!/))*\*/\n?"),),
}


def lean(source: str, suffix: str) -> str:
    """JavaScript without doc comments, which only people and the type checker read; CSS without comments.

    No text in the files looks like one.
    """
    for pattern in _COMMENTS.get(suffix, ()):
        source = pattern.sub("", source)
    return source


def module_of(css: str) -> str:
    """A style sheet as a JavaScript module, for `adoptedStyleSheets`."""
    return f"export default {json.dumps(css)};\n"


class Statics:
    """Files by URL path."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}

    def add(self, path: str, body: bytes) -> None:
        self._assets[path] = asset(body, Path(path).suffix)

    def add_file(self, path: str, file: Path) -> None:
        body = file.read_bytes()
        if file.suffix in _COMMENTS:
            body = lean(body.decode("utf-8"), file.suffix).encode()
        self.add(path, body)
        if file.suffix == ".css":
            self.add(path.removesuffix(".css") + ".js", module_of(body.decode("utf-8")).encode())

    def add_folder(self, prefix: str, folder: Path) -> None:
        """Every servable file of `folder`; each style sheet as a module beside it too."""
        for file in sorted(folder.rglob("*")):
            if file.suffix not in TYPES or not file.is_file():
                continue
            path = f"{prefix}/{file.relative_to(folder).as_posix()}"
            self.add_file(path, file)

    def router(self) -> APIRouter:
        router = APIRouter()
        for path, found in self._assets.items():
            router.add_api_route(path, _endpoint(found), methods=["GET", "HEAD"], include_in_schema=False)
        return router


def _endpoint(found: Asset) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        headers = HEADERS | {"ETag": found.etag}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            packed = headers | {"Content-Encoding": "gzip"}
            return Response(found.packed, media_type=found.media_type, headers=packed)
        return Response(found.body, media_type=found.media_type, headers=headers)

    return endpoint
