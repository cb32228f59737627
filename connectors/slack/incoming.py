"""What members type, press, edit and delete in Slack, brought to the desk; and its answers, to them alone."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
import logging
import re
import time

import msgspec

from bridge import commands
from bridge.errors import Retry
from bridge.events import ConversationId, Seq
from connectors.slack import layout
from connectors.slack.board import anchored
from connectors.slack.calls import Calls, Refusal
from connectors.slack.courtesy import Courtesy
from connectors.slack.happenings import (
    Erased,
    Pressed,
    Reworded,
    Shortcut,
    Submitted,
    Typed,
    read,
)
from connectors.slack.mrkdwn import reading
from connectors.slack.people import Identity, Myself, People
from connectors.slack.places import Place, Places
from connectors.threads.card import LABELS, Action
from connectors.threads.desk import NOT_PASSED_ON, Desk, Member, Offer, Reply
from connectors.threads.inbox import SEEN_FOR, Early
from connectors.threads.words import CommandLine, Meaning, meaning

log = logging.getLogger(__name__)

MARK = "!"
EMOJI = {"sent": "white_check_mark", "done": "white_check_mark", "noted": "memo"}

OTHER_TEAM = "Only members of the workspace that Joinline belongs to can take part. Nothing was sent."
NOT_STAFF = "You are not among those who answer here. Nothing was sent."
MOVED = "The conversation goes on in another thread, as this one lost its first message. Nothing was sent."
UNKNOWN_THREAD = "No conversation belongs to this thread. Nothing was sent."
IN_THREADS = "Commands work in the thread of a conversation. Nothing was sent."
ELSEWHERE = "Conversations are in another channel, and nothing from here reaches a visitor."
TOO_LATE = "Slack gave up waiting. Please choose it again."
SHARED = "A forwarded message is not carried to the visitor: only the team sees it."
NO_THREAD = "That works on messages in the thread of a conversation."
GUIDED = "The AI follows it from its next answer on."

_PERSON = re.compile("<@([UW][A-Z0-9]+)")


class Incoming:
    def __init__(
        self,
        *,
        channel: str,
        calls: Calls,
        myself: Myself,
        people: People,
        places: Places,
        desk: Desk,
        courtesy: Courtesy,
        handled: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._channel = channel
        self._calls = calls
        self._myself = myself
        self._people = people
        self._places = places
        self._desk = desk
        self._courtesy = courtesy
        self._handled = handled

    async def handle(self, body: bytes) -> None:
        """One payload as it was kept; the same one twice does no harm."""
        me = await self._myself.known()
        match read(body):
            case Typed() as typed:
                await self._typed(typed, me)
            case Reworded() as reworded:
                await self._reworded(reworded, me)
            case Erased() as erased:
                await self._erased(erased)
            case Pressed() as pressed:
                await self._pressed(pressed, me)
            case Shortcut() as shortcut:
                await self._shortcut(shortcut)
            case Submitted() as submitted:
                await self._submitted(submitted, me)
            case None:
                return

    # Words

    async def _typed(self, typed: Typed, me: Identity) -> None:
        place = await self._place(typed, me)
        if place is None:
            await self._elsewhere(typed, me)
            return
        member = None if _foreign(typed, me) else await self._people.member(typed.user)
        if member is None or not place.followed:
            why = OTHER_TEAM if _foreign(typed, me) else NOT_STAFF if member is None else MOVED
            await self._tell(typed, why)
            return
        said = await self._meaning(typed.text, me)
        if typed.text.strip():
            anchor, ref = anchored(typed.channel, typed.root), _ref(typed.channel, typed.ts)
            reply = await self._desk.typed(place.cid, member, anchor=anchor, ref=ref, said=said)
            await self._answer(typed, place.cid, reply)
        if typed.files:
            await self._tell(typed, _left_behind(typed.files))
        if typed.shares:
            await self._tell(typed, SHARED)

    async def _place(self, typed: Typed, me: Identity) -> Place | None:
        if not typed.root:
            return None
        anchor = anchored(typed.channel, typed.root)
        begun_by_me = typed.channel == self._channel and typed.parent in (me.user, "")
        return await (self._places.await_one(anchor) if begun_by_me else self._places.find(anchor))

    async def _elsewhere(self, typed: Typed, me: Identity) -> None:
        """Words that are in no conversation's thread: an answer where one is expected, else silence."""
        in_my_thread = bool(typed.root) and typed.parent == me.user
        if not (typed.direct or in_my_thread or _addressed(typed.text, me)):
            return
        if _foreign(typed, me):
            await self._tell(typed, OTHER_TEAM)
        elif typed.channel != self._channel:
            await self._tell(typed, ELSEWHERE)
        else:
            await self._tell(typed, UNKNOWN_THREAD if in_my_thread else IN_THREADS)

    async def _meaning(self, text: str, me: Identity) -> Meaning:
        """A text that begins with the bot's name is a command, whatever follows."""
        to_me = _mention(me).match(text)
        rest = text[to_me.end() :] if to_me else text
        names = {user: await self._mentioned(user) for user in set(_PERSON.findall(rest))}
        words = reading(rest, people=lambda user: names.get(user, ""))
        if to_me is None:
            return meaning(words, mark=MARK)
        return CommandLine(words.strip().removeprefix(MARK).strip() or "help")

    async def _mentioned(self, user: str) -> str:
        """What somebody who is mentioned is called. Where Slack does not tell, nobody waits for it."""
        try:
            return await self._people.name(user)
        except Retry:
            return ""

    async def _reworded(self, reworded: Reworded, me: Identity) -> None:
        place = await self._places.find(anchored(reworded.channel, reworded.root))
        if place is None or _foreign(reworded, me):
            return
        member = await self._people.member(reworded.user)
        if member is None:
            return
        ref = _ref(reworded.channel, reworded.ts)
        said = await self._meaning(reworded.text, me)
        reply = await self._desk.edited(place.cid, member, ref=ref, said=said, revision=reworded.revision)
        if reply is None:
            await self._unknown(reworded)
        text = NOT_PASSED_ON if reply is None else reply.text
        if text:
            await self._whisper(reworded, layout.words(text), thread=reworded.root)

    async def _erased(self, erased: Erased) -> None:
        anchor = anchored(erased.channel, erased.root)
        if erased.root == erased.ts:
            await self._places.lose(anchor)
        if erased.bots or not erased.user:
            return
        place = await self._places.find(anchor)
        member = await self._people.member(erased.user) if place else None
        if place is None or member is None:
            return
        reply = await self._desk.deleted(place.cid, member, ref=_ref(erased.channel, erased.ts))
        if reply is None:
            await self._unknown(erased)
        elif reply.text:
            await self._whisper(erased, layout.words(reply.text), thread=erased.root)

    async def _unknown(self, of: Reworded | Erased) -> None:
        """It may be about a message that has not arrived yet."""
        age = timedelta(seconds=time.time() - float(of.ts))
        if age < SEEN_FOR and not await self._handled(f"msg:{of.team}:{of.channel}:{of.ts}"):
            raise Early

    # Buttons and the modal

    async def _pressed(self, pressed: Pressed, me: Identity) -> None:
        member = None if _foreign(pressed, me) else await self._people.member(pressed.user)
        if member is None:
            why = OTHER_TEAM if _foreign(pressed, me) else NOT_STAFF
            await self._whisper(pressed, layout.words(why), thread=pressed.thread)
        elif pressed.action == "send":
            await self._send(pressed, member)
        elif (action := _action(pressed.action)) is not None:
            press = msgspec.json.decode(pressed.value, type=layout.Press)
            reply = await self._desk.pressed(
                press.cid, member, action=action, since=Seq(press.since), key=f"{pressed.at}:{pressed.user}"
            )
            await self._reply(pressed, press.cid, reply, thread=pressed.thread)

    async def _send(self, pressed: Pressed, member: Member) -> None:
        send = msgspec.json.decode(pressed.value, type=layout.Send)
        offered = Offer(seq=Seq(send.seq), since=Seq(send.since))
        reply = await self._desk.take_and_send(send.cid, member, offered)
        anchor = await self._places.thread(send.cid)
        thread = pressed.thread or (anchor.partition(":")[2] if anchor else "")
        await self._courtesy.dismiss(pressed.response_url)
        if reply.mark:
            await self._courtesy.unreact(pressed.channel, send.ts, EMOJI["noted"])
            await self._courtesy.react(pressed.channel, send.ts, EMOJI[reply.mark])
        await self._reply(pressed, send.cid, reply, thread=thread, ts=send.ts)

    async def _shortcut(self, shortcut: Shortcut) -> None:
        """The modal opens at once, as Slack waits three seconds; who it was is asked when it comes back."""
        if shortcut.name != layout.GUIDE:
            return
        anchor = anchored(shortcut.channel, shortcut.root)
        place = await self._places.find(anchor)
        if place is None:
            await self._whisper(shortcut, layout.words(NO_THREAD), thread="")
            return
        about = msgspec.json.encode((place.cid, anchor)).decode()
        try:
            await self._calls.do("views.open", trigger_id=shortcut.trigger, view=layout.guide(about))
        except Refusal as refusal:
            log.warning("slack: no modal: %s", refusal.code)
            if refusal.code != "exchanged_trigger_id":  # else it is open already
                await self._whisper(shortcut, layout.words(TOO_LATE), thread=shortcut.root)

    async def _submitted(self, submitted: Submitted, me: Identity) -> None:
        if submitted.name != layout.GUIDE:
            return
        cid, anchor = msgspec.json.decode(submitted.about, type=tuple[ConversationId, str])
        channel, _, root = anchor.partition(":")
        member = None if _foreign(submitted, me) else await self._people.member(submitted.user)
        if member is None:
            text = OTHER_TEAM if _foreign(submitted, me) else NOT_STAFF
        else:
            reply = await self._desk.guided(cid, member, text=submitted.text, key=submitted.view)
            text = reply.text or GUIDED
        await self._courtesy.whisper(channel, submitted.user, layout.words(text), thread=root)

    # Answers

    async def _answer(self, typed: Typed, cid: ConversationId, reply: Reply) -> None:
        if reply.mark:
            await self._courtesy.react(typed.channel, typed.ts, EMOJI[reply.mark])
        await self._reply(typed, cid, reply, thread=typed.root, ts=typed.ts)

    async def _reply(
        self, to: Typed | Pressed, cid: ConversationId, reply: Reply, *, thread: str, ts: str = ""
    ) -> None:
        if reply.offer is not None:
            await self._whisper(to, layout.offer(reply.text, reply.offer, cid, ts=ts), thread=thread)
        elif reply.text:
            await self._whisper(to, layout.words(reply.text), thread=thread)
        if reply.link:
            await self._whisper(to, layout.link(reply.link), thread=thread)

    async def _tell(self, typed: Typed, text: str) -> None:
        await self._whisper(typed, layout.words(text), thread=typed.root)

    async def _whisper(
        self, to: Typed | Reworded | Erased | Pressed | Shortcut, look: layout.Json, *, thread: str
    ) -> None:
        await self._courtesy.whisper(to.channel, to.user, look, thread=thread)


def _ref(channel: str, ts: str) -> str:
    return f"{channel}:{ts}"


def _foreign(who: Typed | Reworded | Pressed | Submitted, me: Identity) -> bool:
    return {who.team, who.home} - {me.team, ""} != set()


def _mention(me: Identity) -> re.Pattern[str]:
    return re.compile(rf"[\s*_~\u200b-\u200f\u2060\ufeff]*<@{re.escape(me.user)}(?:\|[^<>]*)?>[\s,:]*")


def _addressed(text: str, me: Identity) -> bool:
    if _mention(me).match(text):
        return True
    words = text.split(maxsplit=1)
    return bool(words) and words[0].startswith(MARK) and words[0][1:].lower() in commands.REGISTRY


def _action(name: str) -> Action | None:
    return next((action for action in LABELS if action == name), None)


def _left_behind(files: tuple[str, ...]) -> str:
    names = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
    return f"Files are not carried to the visitor: only the team sees {names}."
