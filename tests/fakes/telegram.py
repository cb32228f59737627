"""A local Telegram Bot API server with groups, topics, people and faults, for tests of the connector.

It runs in the test's own event loop on 127.0.0.1. The real library talks to it:

    async with TelegramServer() as server:
        server.add_group("Desk")
        bot = telegram.Bot(server.token, base_url=server.api_url + "/bot", base_file_url=server.api_url + "/file/bot")

State. Whatever takes `chat` takes a chat id, and means the first group that was added where it is left out.
    TelegramServer(*, token=TOKEN, username="joinline_bot", privacy=False)
    server.api_url  .token  .bot (Person)  .chat_id (the first group)  .privacy
    server.add_group(title="Desk", *, forum=True, kind="supergroup"|"group", bot="administrator"|"member"|"left"|"kicked",
                     rights=BOT_RIGHTS, owner=None) -> chat id
    server.add_person("Ann", *, username=None, last_name=None) -> Person(id, first_name, username, started, blocked)
    server.join(person, *, chat=, status="member"|"administrator"|"creator"|"left"|"kicked", rights=(), anonymous=False)
    server.chat(chat) -> Chat(id, type, title, forum, members, topics, messages, pinned, permissions, migrated_to)

What is seen.
    server.topics(chat) -> [Topic(id, name, icon_color, icon, creator, closed, deleted, worn)]    with the deleted ones;
                 worn, which a test may set: the topic stands, but no bot can write to it any more
    server.topic_messages(thread, *, chat=) -> [Message]     what stands in a topic now; None: outside of every topic
    server.messages(chat) -> [Message]                       everything that stands there, without service messages
    server.service_messages(thread=None, *, chat=) -> [Message]
    server.private_messages(person) -> [Message]
    server.message(id, *, chat=) -> Message                  also a deleted one
        Message: id sender thread in_topic shown (the text a person sees) html (as it was sent) entities links rows buttons
                 button(text_or_data) reply_to silent edited (how often) deleted pinned reactions {person id: emoji}
                 file (name, content, mime) service by_bot anonymous date
        Entity: type offset length text url user_id live auto (True: found by Telegram in plain text)
        Button: text callback_data url
    server.calls -> [Call(method, args, at, outcome, result, ok, done)]   outcome: "ok", "400 Bad Request: ...", "lost"
    server.called(method) -> [Call]        server.sent -> the send* calls that were done, answered or not
    server.answers -> [Answer(id, person_id, message_id, text, alert, url)]      callback queries that were answered
    server.menu(chat=None) -> {command: description}         of that group, or the default one
    server.updates -> every update ever made                 server.pending -> those not confirmed
    server.polling -> True while a long poll waits
    server.webhook -> Webhook(url, secret, failures, statuses, last_error, last_error_date, pause)
                 last_error stays when the next try succeeds; pause: seconds before the next try

People. What they do is in the queue of updates when the call returns; what they may not do raises `Refusal`.
    await server.says(person, text, *, chat=, topic=None, reply_to=None, forwarded=None (Person or a name),
                      anonymous_admin=False) -> message id                       in private: chat=person.id
    await server.sends_file(person, name, content, *, caption="", photo=False, mime=, chat=, topic=, reply_to=,
                            album=None) -> id
    await server.edits(person, message_id, text, *, chat=)
    await server.deletes(message_id, *, chat=)               without an update, as in life
    await server.presses(person, message_id, text_or_data, *, chat=) -> callback query id;  server.expire(query_id)
    await server.reacts(person, message_id, emoji or None, *, chat=)
    await server.opens_topic(person, name, *, chat=) -> thread
    await server.renames_topic(thread, name)  .closes_topic(thread)  .reopens_topic(thread)    by=owner, chat=
    await server.deletes_topic(thread)  .switches_topics_off(chat)  .switches_topics_on(chat)  without an update
    await server.kicks_bot(chat, *, status="kicked"|"left")  .returns_bot(chat, *, status=, rights=)
    await server.demotes_bot(chat, *, rights=None)           to a member, or to an administrator with these rights
    await server.migrates(chat, *, forum=False) -> new chat id                   of a group with kind="group"
    await server.starts_bot(person)  .blocks_bot(person)
    server.again(update_id)                                  delivers an update once more

Faults. `method` is a name, or "*" for all but getUpdates; `chat` narrows it to calls that name that chat; `times=None`
lasts until `server.heal()`, which ends all faults.
    server.fail(method, code, description, *, times=1, parameters=None, chat=None)       refused and not done
    server.garble(method, *, times=1)                        an HTML page with status 502, not done
    server.limit(method, seconds, *, times=1, chat=None)     429; times=None: until the seconds have passed on the clock
    server.lose(method, *, times=1, done=True, chat=None)    done (or not), then the connection is cut
    server.slow(method, seconds, *, times=1, chat=None)      done, then answered late
    server.hold(method, *, chat=None) -> asyncio.Event       not done until the event is set
    server.down = True                                       every connection is cut, nothing is done
    server.messages_per_minute = 20                          429 beyond that in a group; .window = 60.0 seconds is the
                                                             minute; .count_edits = True counts edits as well
    server.now = time.time                                   the clock of limits and dates; any function may replace it

The library warns as it raises RetryAfter, unless the environment has PTB_TIMEDELTA=true. What a test cannot make happen
here: inline mode, channels, Markdown (parse_mode HTML or none only).
"""

import asyncio
from collections.abc import Callable
import json
import re
import time
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.telegram_args import Args, Upload
from tests.fakes.telegram_faults import SENDING, Call, Faults, Trouble
from tests.fakes.telegram_methods import Answer, Methods
from tests.fakes.telegram_people import People
from tests.fakes.telegram_scene import Scene
from tests.fakes.telegram_state import (
    BOT_RIGHTS,
    Button,
    Chat,
    Json,
    Member,
    Message,
    Person,
    Refusal,
    Topic,
    World,
)
from tests.fakes.telegram_text import Entity
from tests.fakes.telegram_updates import Updates, Webhook

__all__ = [
    "BOT_RIGHTS", "TOKEN", "Answer", "Button", "Call", "Chat", "Entity", "Member", "Message", "Person", "Refusal",
    "TelegramServer", "Topic", "Webhook",
]  # fmt: skip

TOKEN = "424242:AAF" + "x" * 32
BIGGEST_UPLOAD = 50 * 2**20
BIGGEST_PHOTO = 10 * 2**20
SHAPE_OF_TOKEN = r"\d{3,20}:[\w-]{30,60}"


class TelegramServer(People):
    """Use as an async context manager."""

    def __init__(self, *, token: str = TOKEN, username: str = "joinline_bot", privacy: bool = False) -> None:
        self.token = token
        self.now: Callable[[], float] = time.time
        self.calls: list[Call] = []
        self.faults = Faults(now=self._clock)
        bot = Person(int(token.partition(":")[0]), "Joinline", username, is_bot=True)
        world = World(bot, self._clock)
        scene = Scene(world, Updates(self._clock), privacy)
        super().__init__(scene, Methods(scene))
        self.fail = self.faults.fail
        self.garble = self.faults.garble
        self.limit = self.faults.limit
        self.lose = self.faults.lose
        self.slow = self.faults.slow
        self.hold = self.faults.hold
        self.heal = self.faults.heal
        self.again = self._updates.again
        self.port = 0
        self._runner: web.AppRunner | None = None

    def _clock(self) -> float:
        return self.now()

    # What is seen of the API

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def updates(self) -> list[Json]:
        return self._updates.all

    @property
    def pending(self) -> list[Json]:
        return self._updates.pending

    @property
    def webhook(self) -> Webhook:
        return self._updates.webhook

    @property
    def polling(self) -> bool:
        return self._updates.polling

    @property
    def answers(self) -> list[Answer]:
        return self.methods.answers

    def called(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method.lower() == method.lower()]

    @property
    def sent(self) -> list[Call]:
        """Calls that put a message into a chat, also those whose answer was lost."""
        return [call for call in self.calls if call.method.lower() in SENDING and call.done]

    # Knobs

    @property
    def privacy(self) -> bool:
        """A bot in privacy mode that is no administrator hears only what is addressed to it."""
        return self.scene.privacy

    @privacy.setter
    def privacy(self, value: bool) -> None:
        self.scene.privacy = value

    @property
    def down(self) -> bool:
        return self.faults.down

    @down.setter
    def down(self, value: bool) -> None:
        self.faults.down = value

    @property
    def messages_per_minute(self) -> int | None:
        return self.faults.messages_per_minute

    @messages_per_minute.setter
    def messages_per_minute(self, value: int | None) -> None:
        self.faults.messages_per_minute = value

    @property
    def window(self) -> float:
        return self.faults.window

    @window.setter
    def window(self, value: float) -> None:
        self.faults.window = value

    @property
    def count_edits(self) -> bool:
        return self.faults.count_edits

    @count_edits.setter
    def count_edits(self, value: bool) -> None:
        self.faults.count_edits = value

    # The server

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2 * BIGGEST_UPLOAD)
        app.router.add_route("*", "/bot{token}/{method}", self._answer)
        app.router.add_get("/file/bot{token}/{path:.+}", self._download)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        await self._updates.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return _cut(request)
        try:
            self._authorize(request.match_info["token"])
            found = self.methods.by_name.get(request.match_info["method"].lower())
            if found is None:
                raise Refusal(404, "Not Found: method not found")
            args = await _arguments(request)
        except Refusal as refusal:
            return _refused(refusal)
        name, method = found
        call = Call(name, args.values, self.now())
        self.calls.append(call)
        chat = args.number("chat_id") or None
        trouble = self.faults.meet(name, chat)
        if trouble.gate is not None:
            await trouble.gate.wait()
        if trouble.garbled:
            call.outcome = "502"
            return web.Response(
                status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html"
            )
        if trouble.lost and trouble.undone:
            call.outcome = "lost"
            return _cut(request)
        return await self._do(request, call, method, args, trouble)

    async def _do(
        self, request: web.Request, call: Call, method: Callable[[Args], Any], args: Args, trouble: Trouble
    ) -> web.StreamResponse:
        try:
            if trouble.refusal is not None:
                raise trouble.refusal
            self.faults.pace(call.method, args.number("chat_id") or None)
            result = method(args)
            call.result = await result if asyncio.iscoroutine(result) else result
            call.outcome, call.done = "ok", True
            answer = web.json_response({"ok": True, "result": call.result})
        except Refusal as refusal:
            call.outcome = f"{refusal.code} {refusal.description}"
            answer = _refused(refusal)
        if trouble.delay:
            await asyncio.sleep(trouble.delay)
        if trouble.lost:
            call.outcome = "lost"
            return _cut(request)
        return answer

    async def _download(self, request: web.Request) -> web.StreamResponse:
        try:
            self._authorize(request.match_info["token"])
        except Refusal as refusal:
            return _refused(refusal)
        path = request.match_info["path"]
        found = next((file for file in self.world.files.values() if file.path == path), None)
        if found is None:
            return _refused(Refusal(404, "Not Found"))
        return web.Response(body=found.content, content_type="application/octet-stream")

    def _authorize(self, token: str) -> None:
        if not re.fullmatch(SHAPE_OF_TOKEN, token):
            raise Refusal(404, "Not Found")
        if token != self.token:
            raise Refusal(401, "Unauthorized")


def _cut(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _refused(refusal: Refusal) -> web.Response:
    wait = (refusal.parameters or {}).get("retry_after")
    headers = {"Retry-After": str(wait)} if wait else {}
    return web.json_response(refusal.body, status=refusal.code, headers=headers)


async def _arguments(request: web.Request) -> Args:
    values: Json = dict(request.query)
    uploads: dict[str, Upload] = {}
    if request.content_type == "application/json":
        try:
            values |= json.loads(await request.read() or b"{}")
        except ValueError:
            raise Refusal(400, "Bad Request: can't parse JSON") from None
    elif request.method == "POST":
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                content = value.file.read()
                if len(content) > (BIGGEST_PHOTO if name == "photo" else BIGGEST_UPLOAD):
                    raise Refusal(413, "Request Entity Too Large")
                uploads[name] = Upload(value.filename, content, value.content_type)
            else:
                values[name] = value
    return Args(values, uploads)
