"""The Web API over HTTP: arguments, tokens, scopes and faults around each method; uploads, downloads, response_url."""

import asyncio
from collections.abc import Callable
import json
import mimetypes
import time

from aiohttp import web

from tests.fakes.slack_blocks import Wrong, check_message
from tests.fakes.slack_chat import Args
from tests.fakes.slack_faults import Fault, Faults
from tests.fakes.slack_reads import Lookups
from tests.fakes.slack_socket import Outbound
from tests.fakes.slack_state import Call, Ephemeral, Message, Shown
from tests.fakes.slack_text import Json

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Slack - Sign in</title></head><body>Sign in</body></html>"


class WebApi(Lookups, Faults):
    """Answers the app."""

    def __init__(self, *, bot_token: str, app_token: str, signing_secret: str) -> None:
        Lookups.__init__(self)
        Faults.__init__(self)
        self.bot_token = bot_token
        self.app_token = app_token
        self.dead_tokens: dict[str, str] = {}  # token -> the error it gives
        self.scopes: set[str] = set()
        self.tells_scopes = True
        self.outbound = Outbound(self.app_id, signing_secret)
        self.methods: dict[str, tuple[Callable[[Args], Json], str]] = {
            "auth.test": (self.auth_test, ""),
            "apps.connections.open": (self.open_connection, "app"),
            "chat.postMessage": (self.post_message, "chat:write"),
            "chat.update": (self.update, "chat:write"),
            "chat.delete": (self.delete, "chat:write"),
            "chat.postEphemeral": (self.post_ephemeral, "chat:write"),
            "chat.getPermalink": (self.permalink, ""),
            "conversations.info": (self.info, "*:read"),
            "conversations.list": (self.list_channels, "*:read"),
            "conversations.members": (self.members, "*:read"),
            "conversations.replies": (self.conversation_replies, "*:history"),
            "conversations.history": (self.history, "*:history"),
            "users.info": (self.user_info, "users:read"),
            "reactions.add": (self.add_reaction, "reactions:write"),
            "reactions.remove": (self.remove_reaction, "reactions:write"),
            "views.open": (self.open_view, ""),
            "views.update": (self.update_view, ""),
            "files.getUploadURLExternal": (self.upload_url, "files:write"),
            "files.completeUploadExternal": (self.complete_upload, "files:write"),
            "files.info": (self.file_info, "files:read"),
        }

    def open_connection(self, args: Args) -> Json:
        ticket = f"t{self.number()}"
        self.outbound.tickets.add(ticket)
        host = self.base.replace("http://", "ws://")
        return {"url": f"{host}/link/?ticket={ticket}&app_id={self.app_id}"}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/{method}", self._call),
            web.post("/api/{method}", self._call),
            web.get("/link/", self.outbound.websocket),
            web.post("/upload/v1/{id}/{secret}", self._upload),
            web.get("/files-pri/{id}/{path:.*}", self._download),
            web.post("/actions/{team}/{token}", self._respond),
        ]

    # -- a call

    async def _call(self, request: web.Request) -> web.StreamResponse:
        raw, token = await _arguments(request)
        call = Call(request.match_info["method"], raw, token, time.monotonic())
        self.note_haste(call)
        self.calls.append(call)
        faults = self.faults_for(call)
        for slow in faults:
            if slow.kind == "slow":
                await asyncio.sleep(slow.seconds)
        fault = next((f for f in faults if f.kind != "slow"), None)
        if fault is not None and not fault.done and fault.kind != "lose":
            return self._faulty(request, call, fault)
        wait = self.posting_wait(call)
        if wait:
            return self._limited(call, wait)
        try:
            answer = {"ok": True, **self._work(call)}
            call.outcome = "ok"
        except Wrong as wrong:
            answer = {"ok": False, "error": wrong.code}
            if wrong.code == "missing_scope":
                answer |= {"needed": wrong.notes[0], "provided": ",".join(sorted(self.scopes))}
            elif wrong.notes:
                answer |= {"errors": wrong.notes, "response_metadata": {"messages": wrong.notes}}
            call.outcome = wrong.code
        call.answer = answer
        if fault is not None:
            return self._faulty(request, call, fault)
        return self._answer(call, answer)

    def _work(self, call: Call) -> Json:
        if call.method not in self.methods:
            raise Wrong("unknown_method")
        method, need = self.methods[call.method]
        self._check_token(call.token, app_level=need == "app")
        args = Args(call.args)
        missing = self._missing(need, args)
        if missing:
            raise Wrong("missing_scope", missing)
        return method(args)

    def _check_token(self, token: str, *, app_level: bool) -> None:
        if not token:
            raise Wrong("not_authed")
        if token in self.dead_tokens:
            raise Wrong(self.dead_tokens[token])
        if token not in (self.bot_token, self.app_token):
            raise Wrong("invalid_auth")
        if (token == self.app_token) != app_level:
            raise Wrong("not_allowed_token_type")

    def _missing(self, need: str, args: Args) -> str:
        if need in ("", "app"):
            return ""
        if need.startswith("*"):
            plural = {"channel": "channels", "group": "groups", "im": "im"}
            known = self.channels.get(args.text("channel"))
            asked = (args.text("types") or "public_channel").split(",")
            public = known.kind == "channel" if known else "public_channel" in asked
            need = (plural[known.kind] if known else "channels" if public else "groups") + need[1:]
        return "" if need in self.scopes else need

    # -- answers

    def _answer(self, call: Call, answer: Json) -> web.Response:
        headers = {"x-slack-req-id": f"r{len(self.calls)}"}
        if self.tells_scopes:
            need = self.methods[call.method][1] if call.method in self.methods else ""
            scopes = ",".join(sorted(self.scopes))
            headers |= {"x-oauth-scopes": scopes, "x-accepted-oauth-scopes": need}
        return web.json_response(answer, headers=headers)

    def _limited(self, call: Call, seconds: float) -> web.Response:
        call.outcome = "429"
        call.answer = {"ok": False, "error": "ratelimited"}
        return web.json_response(
            call.answer, status=429, headers={"Retry-After": self.tell_off(call, seconds)}
        )

    def _faulty(self, request: web.Request, call: Call, fault: Fault) -> web.Response:
        match fault.kind:
            case "error":
                call.outcome = fault.error
                call.answer = {"ok": False, "error": fault.error, **fault.extra}
                return self._answer(call, call.answer)
            case "limit":
                return self._limited(call, fault.seconds)
            case "status":
                call.outcome = str(fault.status)
                return web.Response(
                    status=fault.status, text="upstream connect error", content_type="text/html"
                )
            case _:
                call.outcome = "lost" if fault.kind == "lose" else "dropped"
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()

    # -- files

    async def _upload(self, request: web.Request) -> web.Response:
        stored = self.files.get(request.match_info["id"])
        if stored is None or stored.secret != request.match_info["secret"]:
            return web.Response(status=404)
        if request.content_type.startswith("multipart/"):
            form = await request.post()
            part = next((v for v in form.values() if isinstance(v, web.FileField)), None)
            stored.data = part.file.read() if part else b""
        else:
            stored.data = await request.read()
        stored.mimetype = mimetypes.guess_type(stored.name)[0] or "application/octet-stream"
        return web.Response(text=f"OK - {len(stored.data)}")

    async def _download(self, request: web.Request) -> web.Response:
        """Without a token that may read files Slack shows its login page, with status 200."""
        stored = self.files.get(request.match_info["id"].removeprefix(f"{self.team_id}-"))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != self.bot_token or token in self.dead_tokens or "files:read" not in self.scopes:
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        if stored is None or stored.data is None:
            return web.Response(status=404)
        return web.Response(body=stored.data, content_type=stored.mimetype)

    # -- response_url

    async def _respond(self, request: web.Request) -> web.Response:
        """Five answers to one press; new words for the message it was on, or others."""
        token = request.match_info["token"]
        raw = await request.json()
        call = Call("response_url", raw, "", time.monotonic())
        self.calls.append(call)
        if token not in self.response_urls:
            call.outcome = "expired_url"
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        on, user, uses = self.response_urls[token]
        if uses >= 5:
            call.outcome = "used_url"
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        self.response_urls[token] = (on, user, uses + 1)
        try:
            self._apply(on, user, raw)
        except Wrong as wrong:
            call.outcome = wrong.code
            return web.Response(status=400, text=wrong.code)
        call.outcome = "ok"
        return web.Response(text="ok")

    def _apply(self, on: Shown, user: str, raw: Json) -> None:
        text = str(raw.get("text") or "")
        blocks = check_message(raw["blocks"]) if raw.get("blocks") else []
        if raw.get("delete_original"):
            if isinstance(on, Ephemeral):
                on.gone = True
            elif isinstance(on, Message):
                self.remove(on)
            return
        if not text and not blocks:
            raise Wrong("no_text")
        self.note_content(on.ts, text, blocks)
        if raw.get("replace_original"):
            before = self.wire(on) if isinstance(on, Message) else {}
            on.revise(text, blocks)
            if isinstance(on, Message):
                self.changed(on, before)
        elif raw.get("response_type") == "in_channel":
            message = Message(on.channel, self.next_ts(), text, blocks, thread_ts=raw.get("thread_ts"))
            message.user, message.bot_id = self.bot_user, self.bot_id
            message.app_id, message.team = self.app_id, self.team_id
            self.put(message)
        else:
            thread = raw.get("thread_ts") or on.thread_ts
            whisper = Ephemeral(
                on.channel, self.next_ts(), text, blocks, thread_ts=thread, user=user, names=self.names
            )
            self.ephemerals.append(whisper)


async def _arguments(request: web.Request) -> tuple[Json, str]:
    """Query, form and JSON in one; the token from the header, else from query or form."""
    raw: Json = dict(request.query)
    if request.method == "POST":
        if request.content_type == "application/json":
            body = await request.read()
            raw |= json.loads(body) if body else {}
        else:
            raw |= dict(await request.post())
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    sent = raw.pop("token", "")
    if not token and request.content_type != "application/json":
        token = str(sent)
    return raw, token
