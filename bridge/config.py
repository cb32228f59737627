"""The configuration: every key, its meaning and its default. `load` reports every fault of a file at once."""

from collections.abc import Mapping
from datetime import timedelta
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from bridge import config_file
from bridge.config_values import (
    LOOPBACK,
    Accent,
    Address,
    ApiUrl,
    BaseUrl,
    Count,
    Flag,
    Folder,
    Locale,
    Network,
    Number,
    OneLine,
    Origin,
    PageUrl,
    Seconds,
    Secret,
    StoreUrl,
    Whole,
)
from bridge.errors import ConfigError
from bridge.idle import Patience as CorePatience


class Section(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )  # fmt: skip


class Settings(Section):
    """What a connector adds to the configuration, under a key of its own; without it, it is not asked for."""

    def notes(self) -> list[str]:
        """What is allowed, but hardly meant for a public server: "key: why; what instead"."""
        return []


class Server(Section):
    """Where the server listens."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 for every network, as in a container."""
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8000
    """The port to listen on; 0 takes any free one."""
    trusted_proxies: tuple[Network, ...] = ()
    """Addresses or networks of the proxies in front, whose X-Forwarded-For and -Proto are believed."""
    drain: Seconds = 10.0
    """Seconds that running requests get to finish when the server is told to stop."""


def groups(value: object) -> object:
    """A plain name is a group of one."""
    if isinstance(value, list | tuple):
        return tuple((item,) if isinstance(item, str) else item for item in value)
    return value


class Site(Section):
    """A website that carries the widget; its key is what `data-site` names."""

    name: OneLine
    """The business as visitors and staff read it."""
    origins: Annotated[tuple[Origin, ...], Field(min_length=1)]
    """Where the widget may be embedded: each origin exactly as the browser's address bar begins."""
    staff: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(groups)] = ()
    """Who is told, in order: first when a chat starts, next when nobody came. A nested list is a group."""
    title: str = ""
    """The panel's title; empty for "Chat with" and the name."""
    greeting: str = ""
    """A line beside the launcher, once a visit, that can be dismissed; empty for none."""
    privacy_url: PageUrl = ""
    """The privacy page that the panel links to; empty for none."""
    accent: Accent = "#1f5fd6"
    """The one colour of the site's own; its contrast is checked and mended in the browser."""
    position: Literal["start", "end"] = "end"
    """The corner of the launcher in the direction of reading: start or end."""
    color_scheme: Literal["auto", "light", "dark"] = "auto"
    """light, dark, or auto: as the visitor's system says."""
    launcher: Literal["bubble", "tab", "none"] = "bubble"
    """How the launcher looks: bubble, tab, or none where the page opens the chat by itself."""
    locale: Locale = ""
    """The widget's language; empty for the page's own."""
    query_parameters: tuple[str, ...] = ()
    """Parts of the page's query string that staff may see; every other one is cut off."""
    identity_secret: Secret | None = None
    """Shared with the website's server, which vouches for its users by HMAC-SHA256 of their id."""


class Person(Section):
    """A member of staff, or a desk that several share."""

    name: Annotated[OneLine, Field(max_length=40)]
    """The name that the join page suggests."""
    email: Address
    """Where mails with the personal link go."""


class NoAssistant(Section):
    """Staff only: nobody but people answers."""

    kind: Literal["none"] = "none"
    """none: staff only. knowledge: answers from the folder's pages. openai: any chat-completions server."""


class KnowledgeAssistant(Section):
    """Answers by quoting Markdown files, and offers a person when it finds nothing."""

    kind: Literal["knowledge"]
    """none: staff only. knowledge: answers from the folder's pages. openai: any chat-completions server."""
    knowledge: Folder
    """The folder of your Markdown files to answer from; the one in a checkout is the demo shop's."""


class Budget(Section):
    """Model tokens that may be spent; at a cap the visitor is told, staff are asked, and no word is lost."""

    per_visitor: Count = 50_000
    """Tokens for one visitor in a day."""
    per_day: Count = 5_000_000
    """Tokens for all visitors in a day."""


class OpenAIAssistant(Section):
    """Answers by any server that speaks the chat-completions protocol."""

    kind: Literal["openai"]
    """none: staff only. knowledge: answers from the folder's pages. openai: any chat-completions server."""
    base_url: ApiUrl
    """The server's address up to and without /chat/completions, such as http://127.0.0.1:11434/v1."""
    api_key: SecretStr = SecretStr("none")
    """The server's key; leave it out where none is asked for."""
    model: OneLine
    """The model's name as that server knows it."""
    instructions: str = ""
    """What the assistant is told about the business and its tone."""
    knowledge: Folder | None = None
    """A folder of Markdown files; the passages that fit a question are given to the model."""
    passages: Annotated[Whole, Field(ge=0, le=20)] = 4
    """How many passages of the knowledge go with a question at most."""
    timeout: Seconds = 30.0
    """Seconds that the server may stay silent before the turn is tried once more."""
    connect_timeout: Seconds = 5.0
    """Seconds to reach the server."""
    turn: Seconds = 40.0
    """Seconds for a whole answer; then the visitor gets an honest sentence and staff are asked."""
    max_tokens: Count = 800
    """Tokens of one answer at most."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens", "none"] = "max_tokens"
    """How the server calls that limit; none leaves it out."""
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    """The model's temperature; left out when not set."""
    tools: Flag = True
    """Whether the server understands tools; without, only buttons and rules ask for a person."""
    stream_usage: Flag = True
    """Whether the server understands stream_options; without, tokens are estimated from the text."""
    budget: Budget = Budget()
    """Model tokens that may be spent in a day."""


Assistant = Annotated[NoAssistant | KnowledgeAssistant | OpenAIAssistant, Field(discriminator="kind")]


class Limits(Section):
    """What one visitor, one address and the process may use."""

    messages_per_minute: Count = 20
    """Messages of one visitor in a minute."""
    sockets_per_visitor: Count = 5
    """Open connections of one visitor: tabs and devices."""
    sockets_per_ip: Count = 20
    """Open connections of one network address."""
    sockets: Count = 2_000
    """Open connections of the whole process."""
    opened_per_ip_per_hour: Count = 30
    """Conversations that one network address may begin in an hour."""
    queue: Count = 256
    """Frames that wait for one slow connection before it is dropped; it resumes where it was."""
    send_timeout: Seconds = 10.0
    """Seconds that one connection may take to accept a frame."""


class Patience(Section):
    """How long things may take, in seconds."""

    ladder: Annotated[tuple[Seconds, ...], Field(min_length=1)] = (60.0, 180.0)
    """After a person was asked for: when the next group is told, and last of all everybody."""
    answer: Seconds = 45.0
    """The assistant's time to answer before staff are told."""
    reply: Seconds = 300.0
    """A person's time to reply to the visitor before the others are told."""
    absent_reply: Seconds = 120.0
    """The same when that person's connections are gone."""
    hand_back: Seconds = 600.0
    """How long somebody without any connection keeps the floor before the AI answers again."""
    close: Seconds = 86_400.0
    """How long a silent conversation stays open."""

    @field_validator("ladder")
    @classmethod
    def _rising(cls, ladder: tuple[float, ...]) -> tuple[float, ...]:
        if sorted(set(ladder)) != list(ladder):
            raise ValueError("each step comes later than the one before, such as [60, 180]")
        return ladder

    def core(self) -> CorePatience:
        return CorePatience(**self.model_dump())


class Links(Section):
    """Personal join links."""

    days: Annotated[Number, Field(gt=0, le=365)] = 7.0
    """How many days a link opens its conversation."""

    @property
    def lives(self) -> timedelta:
        return timedelta(days=self.days)


class Redis(Section):
    """When a message in a Redis `store` counts as kept."""

    replicas: Annotated[Whole, Field(ge=0, le=16)] = 0
    """How many replicas must confirm a message before it is acknowledged; 0 waits for none."""
    wait: Annotated[Number, Field(gt=0, le=4)] = 1.0
    """Seconds that they have for it; after that the sender is told to try again."""


class Log(Section):
    """What the server writes to standard error: ids and sizes, never words, tokens or addresses of pages."""

    format: Literal["plain", "json"] = "plain"
    """plain for people, json for log collectors."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is written."""


class Config(Section):
    """Everything that `joinline serve` needs to know. The registry adds the connectors' sections."""

    base_url: BaseUrl
    """The server's own public address; every link is built from it, never from a request's Host."""
    secret: Secret
    """At least 32 random characters that sign what leaves the server; best kept in ${JOINLINE_SECRET}."""
    store: StoreUrl = "sqlite:///joinline.db"
    """Where conversations are kept. sqlite:///, redis://, or memory://, which forgets them at the end."""
    redis: Redis = Redis()
    server: Server = Server()
    sites: Annotated[dict[str, Site], Field(min_length=1)]
    """The websites that carry the widget, by the id that `data-site` names."""
    staff: dict[str, Person] = {}
    """Who can be told, one entry a person or desk, by the id that `sites` refer to."""
    assistant: Assistant = NoAssistant()
    """Who answers first; what it takes depends on its `kind`."""
    limits: Limits = Limits()
    patience: Patience = Patience()
    links: Links = Links()
    log: Log = Log()

    @model_validator(mode="after")
    def _answer_in_time(self) -> Self:
        turn = getattr(self.assistant, "turn", None)
        if turn is not None and turn >= self.patience.answer:
            raise ValueError(
                f"patience.answer must be longer than assistant.turn, {turn:g} s, "
                f"got {self.patience.answer:g} s: staff are told when the assistant has given up"
            )
        return self

    def notes(self) -> list[str]:
        """What is allowed, but hardly meant for a public server."""
        found = []
        host = self.base_url.partition("://")[2].rpartition(":")[0] or self.base_url.partition("://")[2]
        if self.base_url.startswith("http://") and host.strip("[]") not in LOOPBACK:
            found.append("base_url: http:// shows every word and link to the network; use https://")
        if isinstance(self.assistant, NoAssistant):
            found.append("assistant: is none, so nobody but people answers")
        if self.store == "memory://":
            found.append("store: memory:// forgets every conversation when the server ends")
        asked = [getattr(self, name) for name in type(self).model_fields if name not in Config.model_fields]
        found += [note for section in asked if isinstance(section, Settings) for note in section.notes()]
        if not any(isinstance(section, Settings) for section in asked):
            found.append("nobody is told when a chat starts: set email, or a chat platform of your team")
        found += [
            f"sites.{i}.staff: is empty, so nobody is told of its chats by mail"
            for i, s in self.sites.items()
            if not s.staff
        ]
        return found


def load(path: Path, *, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in the file; raises `ConfigError` with every fault in it."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            [f"{path}: there is no such file; begin with a copy of config.example.yaml"]
        ) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    return parse(text, name=str(path), folder=path.absolute().parent, environ=environ)


def parse(text: str, *, name: str, folder: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in `text`; relative paths in it start at `folder`."""
    values, faults = config_file.read(text, environ=environ)
    if values is None:
        values = {}
    return _validate(values, faults, name=name, folder=folder)


def build(values: Mapping[str, Any], *, name: str = "config", folder: Path | None = None) -> Config:
    """The configuration from plain values, as a program gives them."""
    return _validate(dict(values), [], name=name, folder=folder or Path.cwd())


def _validate(values: object, faults: list[config_file.Fault], *, name: str, folder: Path) -> Config:
    from bridge import config_faults, registry  # noqa: PLC0415 - they are about these very models

    model = registry.configuration()
    config = None
    if values is not config_file.UNSET:
        try:
            config = _absolute(model.model_validate(config_file.tuples(values)), folder)
        except ValidationError as error:
            faults = [*faults, *config_faults.explain(error, model)]
        faults = [*faults, *config_faults.cross_check(values, folder)]
    if config is None or faults:
        raise ConfigError(config_faults.lines(faults, values, name=name))
    return config


def _absolute(config: Config, folder: Path) -> Config:
    """Relative paths start at the configuration's folder, wherever the server was started."""
    changes: dict[str, Any] = {}
    if config.store.startswith("sqlite:///"):
        changes["store"] = f"sqlite:///{folder / config.store.removeprefix('sqlite:///')}"
    knowledge = getattr(config.assistant, "knowledge", None)
    if knowledge is not None:
        changes["assistant"] = config.assistant.model_copy(update={"knowledge": folder / knowledge})
    return config.model_copy(update=changes)
