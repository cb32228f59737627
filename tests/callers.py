"""A browser without a screen: its cookies, and the calls of the join page."""

import json
from typing import Any, Self

import httpx2

from tests.chatter import Chatter
from tests.joining import Joining

Answer = httpx2.Response


class Caller:
    """One browser: its cookies, and calls as the page makes them."""

    def __init__(self, page: Joining) -> None:
        self.page = page
        self.http = httpx2.AsyncClient(base_url=page.url, trust_env=False, follow_redirects=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def call(self, name: str, body: Any = None, **headers: str) -> Answer:
        """POST `body`; an empty header is left out."""
        sent = {"Origin": self.page.url, "Content-Type": "application/json"} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        content = body if isinstance(body, bytes) else json.dumps(body)
        kept = {k: v for k, v in sent.items() if v}
        return await self.http.post(f"/join/api/{name}", content=content, headers=kept)

    async def join(self, link: str, name: str = "Dana") -> Answer:
        return await self.call("join", {"token": token(link), "name": name})

    @property
    def cookie(self) -> str:
        return f"joinline-{self.page.cid}={self.http.cookies[f'joinline-{self.page.cid}']}"


def token(link: str) -> str:
    return link.partition("#")[2]


def live(page: Joining, *, cookie: str = "", **hello: str) -> Chatter:
    chatter = Chatter(
        f"{page.url}/live/staff", origin=page.url, hello=hello or {"cid": page.cid}, cookie=cookie
    )
    chatter.stay = False
    return chatter
