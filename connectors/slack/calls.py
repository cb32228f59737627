"""Every call of Slack's Web API: what it answers, and what its refusals and its silence mean."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bridge.errors import AnchorLost, JoinlineError, Retry, Undeliverable

Json = dict[str, Any]

PATIENCE = 10.0  # seconds for one call
MEND = 30.0  # seconds until something that people must mend is tried again
AGAIN = 2.0  # seconds until a call is tried again that Slack has not answered

SCOPES = frozenset(
    {
        "app_mentions:read",
        "channels:history",
        "channels:read",
        "chat:write",
        "chat:write.customize",
        "commands",
        "groups:history",
        "groups:read",
        "metadata.message:read",
        "reactions:write",
        "users:read",
    }
)

# Without the first Slack takes nothing, without the second nobody's name shows, and without the third it does
# not tell which message is whose, so that one whose answer got lost would be sent again.
TO_POST = frozenset({"chat:write", "chat:write.customize", "metadata.message:read"})

PAUSE = "Slack wants a pause, since it is being asked too much."

_REFUSED = "Slack refuses the bot's token. Put a valid one into slack.bot_token."
_CHANNEL = "Slack says that the bot is not in the channel. Invite it there: /invite and its name."
_ARCHIVED = "The Slack channel is archived. Unarchive it, or name another one in slack.channel."
_BARRED = "Slack does not let the bot post in the channel. Ask whoever administers the workspace."

_MENDS = {
    **dict.fromkeys(
        ("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"), _REFUSED
    ),
    **dict.fromkeys(("not_in_channel", "channel_not_found"), _CHANNEL),
    **dict.fromkeys(("is_archived", "is_inactive"), _ARCHIVED),
    **dict.fromkeys(
        (
            "no_permission",
            "restricted_action",
            "restricted_action_read_only_channel",
            "restricted_action_non_threadable_channel",
            "access_denied",
            "ekm_access_denied",
            "team_access_not_granted",
        ),
        _BARRED,
    ),
}
GONE = {"thread_not_found", "message_not_found", "cannot_reply_to_message"}
_NEVER = {
    "no_text",
    "msg_too_long",
    "msg_blocks_too_long",
    "metadata_too_large",
    "edit_window_closed",
    "cant_update_message",
    "cant_delete_message",
}
_UNSURE = {"internal_error", "fatal_error", "request_timeout", "service_unavailable"}


class Refusal(JoinlineError):
    """Slack's definite no: its word for it, and the scope that was missing."""

    def __init__(self, method: str, code: str, *, needed: str = "") -> None:
        super().__init__(f"{method}: {code}")
        self.code = code
        self.needed = needed


class Busy(Retry):
    """Slack wants a pause, and has done nothing."""


class Unsure(Retry):
    """Slack has not said whether it did it."""


def lacks(scopes: Sequence[str]) -> Retry:
    if not any(scopes):
        return Retry(MEND, "The Slack app lacks a scope. Compare its scopes with the manifest's.")
    what, them = ("scope", "it") if len(scopes) == 1 else ("scopes", "them")
    names = ", ".join(f"“{scope}”" for scope in scopes)
    return Retry(MEND, f"The Slack app lacks the {what} {names}. Add {them} and install the app again.")


def verdict(refusal: Refusal, *, left: bool = False) -> Retry | AnchorLost | Undeliverable:
    """What a refusal means for what was to be shown in a thread.

    `left`: conversations are to be in another channel by now, so that nobody need mend this one.
    """
    code = refusal.code
    if code == "missing_scope":
        return lacks([refusal.needed])
    if left and _MENDS.get(code) in (_CHANNEL, _ARCHIVED):
        return AnchorLost()
    if code in _MENDS:
        return Retry(MEND, _MENDS[code])
    if code in GONE:
        return AnchorLost()
    if code in _NEVER or code.startswith("invalid_"):
        return Undeliverable(f"Slack does not take it: {code}.")
    return Retry(MEND, f"Slack does not take it just now: {code}.")


class Calls:
    """One token's. Raises `Refusal`, `Busy` or `Unsure`, and nothing else."""

    def __init__(self, *, token: str, api_url: str, patience: float = PATIENCE) -> None:
        # Its own retries would post twice where an answer is lost, and hide how long Slack wants us to wait.
        self.client = AsyncWebClient(token=token, base_url=api_url, retry_handlers=[])
        self._timeout = aiohttp.ClientTimeout(total=patience)
        self._api = urlsplit(api_url)

    async def do(self, method: str, **arguments: object) -> Json:
        """A call that changes something."""
        return (await self._call(method, json=arguments)).data_of(method)

    async def ask(self, method: str, **arguments: str | int | bool) -> Json:
        """A call that only looks."""
        return (await self._call(method, params=arguments)).data_of(method)

    async def pages(self, method: str, **arguments: str | int | bool) -> AsyncIterator[Json]:
        """What `ask` gives, page by page."""
        cursor = ""
        while True:
            page = await self.ask(method, **arguments, **({"cursor": cursor} if cursor else {}))
            yield page
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    async def scopes(self) -> tuple[Json, list[str] | None]:
        """Who the bot is, and the scopes that its app lacks; None where Slack does not tell."""
        answer = await self._call("auth.test", json={})
        given = answer.headers.get("x-oauth-scopes")
        lacking = None if given is None else sorted(SCOPES - {scope.strip() for scope in given.split(",")})
        return answer.data_of("auth.test"), lacking

    async def open_socket(self, app_token: str) -> str:
        """The address of a socket for events."""
        answer = await self._call("apps.connections.open", json={"token": app_token})
        return str(answer.data_of("apps.connections.open")["url"])

    async def dismiss(self, response_url: str) -> None:
        """Take away the ephemeral message that was pressed, if that is Slack's own address."""
        if not self._slacks(response_url):
            return
        try:
            async with self._session().post(
                response_url, json={"delete_original": True}, proxy=self.client.proxy
            ) as answer:
                if answer.status >= 400:
                    raise Refusal("response_url", str(answer.status))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unsure(AGAIN, _silence(error)) from error

    async def close(self) -> None:
        if self.client.session is not None:
            await self.client.session.close()

    def _slacks(self, url: str) -> bool:
        parts, host = urlsplit(url), self._api.hostname
        if (parts.scheme, parts.netloc) == (self._api.scheme, self._api.netloc):
            return True
        return parts.scheme == "https" and parts.netloc in ("hooks.slack.com", f"hooks.{host}")

    def _session(self) -> aiohttp.ClientSession:
        """One for all calls; made in the loop that uses it."""
        if self.client.session is None or self.client.session.closed:
            self.client.session = aiohttp.ClientSession(timeout=self._timeout)
        return self.client.session

    async def _call(
        self, method: str, *, json: Mapping[str, object] | None = None, params: Json | None = None
    ) -> "_Answer":
        self._session()
        try:
            if json is not None:
                return _Answer(await self.client.api_call(method, json=dict(json)))
            return _Answer(await self.client.api_call(method, http_verb="GET", params=params))
        except SlackApiError as error:
            raise _meaning(method, error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unsure(AGAIN, _silence(error)) from error


class _Answer:
    def __init__(self, answer: AsyncSlackResponse) -> None:
        self._data = answer.data
        self.headers: Mapping[str, str] = answer.headers

    def data_of(self, method: str) -> Json:
        if not isinstance(self._data, dict):
            raise Unsure(AGAIN, f"Slack answered {method} with something else.")
        return self._data


def _meaning(method: str, error: SlackApiError) -> Refusal | Retry:
    answer = error.response
    if not isinstance(answer, AsyncSlackResponse):
        return Unsure(AGAIN, "Slack's answer cannot be read.")
    said = answer.data if isinstance(answer.data, dict) else {}
    code = str(said.get("error") or "")
    if answer.status_code == 429 or code in ("ratelimited", "rate_limited"):
        return Busy(_pause(answer.headers), PAUSE)
    if answer.status_code >= 500 or not code or code in _UNSURE:
        return Unsure(AGAIN, f"Slack is in trouble ({code or answer.status_code}).")
    return Refusal(method, code, needed=str(said.get("needed") or ""))


def _pause(headers: Mapping[str, str]) -> float:
    try:
        return max(1.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return MEND


def _silence(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "Slack does not answer in time."
    return f"Slack cannot be reached ({type(error).__name__})."
