"""Asks Slack whether the settings work there: token, scopes, channel, people, and the way in."""

from collections.abc import AsyncIterator
import json

import aiohttp

from bridge.config import Config
from bridge.errors import Retry
from bridge.surface import Finding
from connectors.slack.calls import Calls, Refusal, verdict
from connectors.slack.settings import EVERYBODY, SlackSettings

REINSTALL = "add them under OAuth & Permissions, or take connectors/slack/manifest.yaml; then install again"
INVITE = "invite the bot: /invite and its name, in the channel"
HELLO = 10.0  # seconds until a socket must have said hello

_MENDS = {
    "invalid_auth": "make an app-level token with the scope connections:write, into slack.app_token",
    "missing_scope": "give the app-level token the scope connections:write",
    "not_allowed_token_type": "slack.app_token begins with xapp-; it is made under Basic Information",
}


async def examine(config: Config, settings: SlackSettings) -> AsyncIterator[Finding]:
    """Each thing that must work, in the order in which a newcomer sets them up."""
    calls = Calls(token=settings.bot_token.get_secret_value(), api_url=settings.api_url)
    try:
        try:
            said, lacking = await calls.scopes()
        except (Refusal, Retry) as trouble:
            yield _bad("slack.bot_token", trouble, mend="copy the bot's token from OAuth & Permissions")
            return
        about = f"the bot is {said.get('user')} in {said.get('team')}"
        yield Finding(place="slack.bot_token", good=True, text=about)
        yield _scopes(lacking)
        yield await _channel(calls, settings)
        async for finding in _people(calls, settings):
            yield finding
        if settings.app_token is not None:
            yield await _socket(calls, settings.app_token.get_secret_value())
        else:
            yield _calls_us(config, settings)
    finally:
        await calls.close()


def _scopes(lacking: list[str] | None) -> Finding:
    place = "slack scopes"
    if lacking is None:
        return Finding(place=place, good=True, text="Slack does not tell which scopes the app has")
    if not lacking:
        return Finding(place=place, good=True, text="the app has every scope that it needs")
    return Finding(place=place, good=False, text=f"missing: {', '.join(lacking)}", mend=REINSTALL)


async def _channel(calls: Calls, settings: SlackSettings) -> Finding:
    place = "slack.channel"
    try:
        about = (await calls.ask("conversations.info", channel=settings.channel)).get("channel") or {}
    except (Refusal, Retry) as trouble:
        return _bad(place, trouble, mend=f"check the id, and {INVITE}")
    name = f"#{about.get('name')}"
    if about.get("is_archived"):
        return Finding(
            place=place, good=False, text=f"{name} is archived", mend="unarchive it, or take another"
        )
    if not about.get("is_member"):
        return Finding(place=place, good=False, text=f"the bot is not in {name}", mend=INVITE)
    return Finding(place=place, good=True, text=f"the bot is in {name}")


async def _people(calls: Calls, settings: SlackSettings) -> AsyncIterator[Finding]:
    """Those who are named, one by one."""
    for user in settings.staff:
        if user == EVERYBODY:
            continue
        try:
            about = (await calls.ask("users.info", user=user)).get("user") or {}
        except (Refusal, Retry) as trouble:
            yield _bad(f"slack.staff {user}", trouble, mend="copy the member's id from their profile")
            continue
        if about.get("deleted"):
            text, mend = f"{user} has been deactivated", "take them off the list"
            yield Finding(place=f"slack.staff {user}", good=False, text=text, mend=mend)
        else:
            yield Finding(place=f"slack.staff {user}", good=True, text=f"is {about.get('name')}")


async def _socket(calls: Calls, app_token: str) -> Finding:
    place = "slack.app_token"
    try:
        address = await calls.open_socket(app_token)
    except Refusal as refusal:
        mend = _MENDS.get(refusal.code, "enable Socket Mode, and make an app-level token")
        return Finding(place=place, good=False, text=f"Slack opens no socket: {refusal.code}", mend=mend)
    except Retry as trouble:
        return _bad(place, trouble, mend="try again")
    try:
        timeout = aiohttp.ClientTimeout(total=HELLO)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.ws_connect(address) as socket,
        ):
            first = json.loads(await socket.receive_str(timeout=HELLO))
    except (aiohttp.ClientError, TimeoutError, OSError, TypeError, ValueError) as error:
        mend = "let the server reach wss-primary.slack.com on port 443, with its proxy if it has one"
        return Finding(place=place, good=False, text=f"the socket fails: {type(error).__name__}", mend=mend)
    match first:
        case {"type": "hello"}:
            return Finding(place=place, good=True, text="events come over a socket")
        case {"type": "disconnect", "reason": "link_disabled"}:
            text, mend = "Socket Mode is off in the app", "switch it on, under Socket Mode in its settings"
        case _:
            text, mend = "the socket opens, but no hello comes", "try again"
    return Finding(place=place, good=False, text=text, mend=mend)


def _calls_us(config: Config, settings: SlackSettings) -> Finding:
    urls = f"{config.base_url}/slack/events and {config.base_url}/slack/interactions"
    if config.base_url.startswith("http://") and settings.api_url.startswith("https://"):
        text, mend = "Slack calls https:// addresses only", "set base_url to one that Slack can reach"
        return Finding(place="slack.signing_secret", good=False, text=text, mend=mend)
    text = f"Slack must know {urls}; it says under Event Subscriptions whether they answer"
    return Finding(place="slack.signing_secret", good=True, text=text)


def _bad(place: str, trouble: Refusal | Retry, *, mend: str) -> Finding:
    if isinstance(trouble, Refusal):
        why = verdict(trouble)
        known = isinstance(why, Retry) and trouble.code not in why.reason
        text = str(why) if known else f"Slack says {trouble.code}"
        if trouble.code == "missing_scope":
            mend = REINSTALL
    else:
        text, mend = trouble.reason, "check the network and slack.api_url, and try again"
    return Finding(place=place, good=False, text=text, mend=mend)
