"""Asks Telegram whether the settings work there: token, group, topics, rights, privacy, webhook."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from telegram import ChatFullInfo, ChatMember, ChatMemberAdministrator, ChatMemberOwner, User, WebhookInfo

from bridge.config import Config
from bridge.errors import Retry
from bridge.surface import Finding
from connectors.telegram.calls import Calls, Rejected
from connectors.telegram.doors import PATH
from connectors.telegram.people import is_inside
from connectors.telegram.settings import ADMINS, MEMBERS, TelegramSettings

RIGHTS = {
    "can_manage_topics": "Manage Topics",
    "can_pin_messages": "Pin Messages",
    "can_delete_messages": "Delete Messages",
}

RECENT = timedelta(hours=1)  # within which a failed call of Telegram's tells how it stands now


class _Place:
    """Where the group is: whoever asks about its old place hears where it went."""

    def __init__(self, chat: int) -> None:
        self.chat = chat

    async def moved(self, chat: int) -> None:
        self.chat = chat


async def examine(config: Config, settings: TelegramSettings) -> AsyncIterator[Finding]:
    place = _Place(settings.chat)
    calls = Calls(
        token=settings.token.get_secret_value(), api_url=settings.api_url, moved=place.moved,
        patience=10.0, poll=0,
    )  # fmt: skip
    try:
        async for finding in _examine(calls, place, config, settings):
            yield finding
    finally:
        await calls.close()


async def _examine(
    calls: Calls, place: _Place, config: Config, settings: TelegramSettings
) -> AsyncIterator[Finding]:
    try:
        me = await calls.me()
    except (Retry, Rejected) as error:
        mend = "Ask @BotFather: /token. If the token is good, check telegram.api_url and the network."
        yield Finding(place="telegram.token", good=False, text=str(error), mend=mend)
        return
    yield Finding(place="telegram.token", good=True, text=f"the bot is @{me.username}")
    try:
        chat, member = await _look(calls, place, me)
    except (Retry, Rejected) as error:
        mend = f"Add @{me.username} to the group as an admin, and set telegram.chat to the group's id."
        if place.chat != settings.chat:
            mend += f" That is {place.chat} now."
        if heard := await _groups(calls):
            mend += f" It was spoken to in {', '.join(heard)}."
        yield Finding(place="telegram.chat", good=False, text=str(error), mend=mend)
    else:
        text = f"the group is “{chat.title}”"
        if place.chat != settings.chat:
            text += f", with another id than before, which is used: set telegram.chat to {place.chat}"
        yield Finding(place="telegram.chat", good=True, text=text)
        for finding in _group(chat, member, me):
            yield finding
        async for finding in _people(calls, place, settings):
            yield finding
    try:
        yield way_in(await calls.webhook(), config, settings, now=datetime.now(UTC))
    except (Retry, Rejected) as error:
        yield Finding(place="telegram.mode", good=False, text=str(error), mend="Try again in a while.")


async def _look(calls: Calls, place: _Place, me: User) -> tuple[ChatFullInfo, ChatMember]:
    asked = place.chat
    try:
        return await calls.chat(asked), await calls.member(asked, me.id)
    except Retry:
        if place.chat == asked:
            raise
        return await calls.chat(place.chat), await calls.member(place.chat, me.id)


async def _people(calls: Calls, group: _Place, settings: TelegramSettings) -> AsyncIterator[Finding]:
    """Those who are named, one by one, unless they are in the group."""
    named = [("telegram.staff", user) for user in settings.staff if user not in {ADMINS, MEMBERS}]
    named += [("telegram.on_duty", user) for users in settings.on_duty for user in users]
    for place, user in named:
        try:
            member = await calls.member(group.chat, int(user))
        except Retry as trouble:
            yield Finding(
                place=place, good=False, text=f"{user}: {trouble.reason}", mend="Try again in a while."
            )
            continue
        except Rejected:
            member = None
        if member is None or not is_inside(member):
            mend = "Check the id, which is a number; and add them to the group."
            yield Finding(place=place, good=False, text=f"{user} is not in the group", mend=mend)


async def _groups(calls: Calls) -> list[str]:
    """The groups that updates wait from; they go on to wait."""
    try:
        updates = await calls.updates(None)
    except (Retry, Rejected):
        return []
    happenings = (what for update in updates for what in update.values() if isinstance(what, dict))
    chats = (what.get("chat") or {} for what in happenings)
    found = {chat["id"]: f"“{chat.get('title')}” ({chat['id']})" for chat in chats if chat.get("id", 0) < 0}
    return list(found.values())


def _group(chat: ChatFullInfo, member: ChatMember, me: User) -> list[Finding]:
    forum = bool(chat.is_forum)
    found = [
        Finding(
            place="telegram.chat", good=forum, text="it has topics" if forum else "it has no topics",
            mend="" if forum else "In the group's settings switch Topics on; until then replies are used.",
        )
    ]  # fmt: skip
    rights = member.to_dict() if isinstance(member, ChatMemberAdministrator) else {}
    owns = isinstance(member, ChatMemberOwner)
    missing = [name for right, name in RIGHTS.items() if not owns and not rights.get(right)]
    mend = f"Group settings, Administrators, @{me.username}: allow {', '.join(missing)}." if missing else ""
    text = f"the bot may not: {', '.join(missing)}" if missing else "the bot may do what it needs"
    found.append(Finding(place="telegram.chat", good=not missing, text=text, mend=mend))
    hears = owns or bool(rights) or bool(me.can_read_all_group_messages)
    found.append(
        Finding(
            place="telegram.chat", good=hears,
            text="the bot hears every message" if hears else "privacy mode hides messages from the bot",
            mend="" if hears else "Make the bot an admin; or @BotFather: /setprivacy, Disable; add it anew.",
        )
    )  # fmt: skip
    return found


def way_in(webhook: WebhookInfo, config: Config, settings: TelegramSettings, *, now: datetime) -> Finding:
    """Telegram remembers its last failed call for ever, also where everything has arrived since."""
    place = "telegram.mode"
    if settings.mode == "polling":
        if not webhook.url:
            return Finding(place=place, good=True, text="no webhook is in the way of polling")
        text = "a webhook is set; the server takes it back when it starts"
        return Finding(place=place, good=True, text=text)
    ours = f"{config.base_url}{PATH}"
    if ours.startswith("http://") and settings.api_url.startswith("https://"):
        mend = "Set base_url to an https:// address that Telegram can reach; or take mode: polling."
        return Finding(place=place, good=False, text="Telegram calls https:// addresses only", mend=mend)
    if webhook.url and webhook.url != ours:
        mend = (
            f"Start the server, which sets {ours}; if another program uses this bot, make a bot of your own."
        )
        return Finding(place=place, good=False, text="the webhook leads elsewhere", mend=mend)
    failed_at = webhook.last_error_date
    if failed_at is not None and now - failed_at < RECENT and webhook.pending_update_count:
        text = f"Telegram could not call: {webhook.last_error_message}"
        mend = f"Let Telegram reach {ours} over HTTPS on port 443, 80, 88 or 8443."
        return Finding(place=place, good=False, text=text, mend=mend)
    text = "the webhook is set" if webhook.url else "the server sets the webhook when it starts"
    return Finding(place=place, good=True, text=text)
