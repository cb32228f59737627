"""The section `telegram` of the configuration."""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from bridge.config import groups
from bridge.config_values import ApiUrl, Secret, Whole, matching, one_or_list
from connectors.threads.settings import ThreadSettings, in_the_clear

ADMINS, MEMBERS = "admins", "members"


def _text(value: object) -> object:
    """Ids are numbers in a file; here they are texts, as everywhere else."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _texts(value: object) -> object:
    return tuple(_text(v) for v in value) if isinstance(value, list | tuple) else value


def _groups(value: object) -> object:
    if isinstance(value, list | tuple):
        return groups([_texts(v) if isinstance(v, list | tuple) else _text(v) for v in value])
    return value


User = Annotated[str, matching("[1-9][0-9]{0,19}", what="a user's id such as 123456789")]


class TelegramSettings(ThreadSettings):
    """Mirrors conversations into topics of a Telegram group, and takes replies and commands there."""

    token: Annotated[
        SecretStr,
        matching("[0-9]+:[A-Za-z0-9_-]{10,}", what="a bot's token such as 123456:AbC...", secret=True),
    ]
    """The bot's token from @BotFather."""
    chat: Annotated[Whole, Field(lt=0)]
    """The group's id, a negative number such as -1001234567890."""
    staff: Annotated[
        tuple[Annotated[str, matching("[1-9][0-9]{0,19}|admins|members", what="a user's id")], ...],
        Field(min_length=1),
        one_or_list(ADMINS, MEMBERS),
        BeforeValidator(_texts),
    ] = (MEMBERS,)
    """Who may answer: users' ids, admins for the group's admins, or members for everyone in it."""
    on_duty: Annotated[tuple[tuple[User, ...], ...], BeforeValidator(_groups)] = ()
    """Who is mentioned when a person is wanted, in order: first at once, next when nobody came, at last all.
    Users' ids; a nested list is a group. Without it, the message is loud but names nobody."""
    mode: Literal["polling", "webhook"] = "polling"
    """polling needs no open port. webhook: Telegram calls /telegram/updates."""
    webhook_secret: Secret | None = None
    """For webhook: what Telegram shows with each call, at least 32 random characters of A-Z a-z 0-9 _ -."""
    api_url: ApiUrl = "https://api.telegram.org"
    """Where the Bot API is; another one for a server of your own."""

    @model_validator(mode="after")
    def _webhook_is_secret(self) -> Self:
        if (self.mode == "webhook") != (self.webhook_secret is not None):
            raise ValueError("webhook_secret and mode: webhook go together")
        secret = self.webhook_secret.get_secret_value() if self.webhook_secret else "-"
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
            raise ValueError("webhook_secret takes only A-Z a-z 0-9 _ -; make one with: openssl rand -hex 32")
        return self

    def notes(self) -> list[str]:
        return in_the_clear("telegram.api_url", self.api_url)
