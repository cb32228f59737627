"""The section `slack` of the configuration."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from bridge.config import groups
from bridge.config_values import ApiUrl, matching, one_or_list, prefixed
from connectors.threads.settings import ThreadSettings, in_the_clear

EVERYBODY = "channel-members"

_USER = "[UW][A-Z0-9]{2,}"
_SECRET = "the app's signing secret, without blanks"  # noqa: S105 - what it is called


class SlackSettings(ThreadSettings):
    """Mirrors conversations into threads of a Slack channel, and takes replies and commands there."""

    bot_token: Annotated[SecretStr, prefixed("xoxb-")]
    """The bot's token, which begins with xoxb-."""
    app_token: Annotated[SecretStr, prefixed("xapp-")] | None = None
    """The app-level token, which begins with xapp-: for Socket Mode, which needs no open port."""
    signing_secret: Annotated[SecretStr, matching("[!-~]+", what=_SECRET, secret=True)] | None = None
    """Instead of app_token: Slack calls /slack/events and /slack/interactions, and signs with this."""
    channel: Annotated[str, matching("[CG][A-Z0-9]{2,}", what="a channel's id such as C0123456789")]
    """The channel's id, which begins with C or G: at the end of the channel's details."""
    staff: Annotated[
        tuple[
            Annotated[str, matching(f"{_USER}|{EVERYBODY}", what="a member's id such as U0123456789")], ...
        ],
        Field(min_length=1),
        one_or_list(EVERYBODY),
    ] = (EVERYBODY,)
    """Who may answer: members' ids, or channel-members for everyone in the channel."""
    on_duty: Annotated[
        tuple[
            tuple[
                Annotated[
                    str,
                    matching(
                        f"{_USER}|S[A-Z0-9]{{2,}}|here|channel",
                        what="a member's or user group's id, here or channel",
                    ),
                ],
                ...,
            ],
            ...,
        ],
        BeforeValidator(groups),
    ] = (("here",),)
    """Who is mentioned when a person is wanted, in order: first at once, next when nobody came, at last all.
    Members' ids, user groups' ids, here or channel; a nested list is a group."""
    api_url: ApiUrl = "https://slack.com/api"
    """Where Slack's Web API is; another one for GovSlack or a proxy."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.app_token is None) == (self.signing_secret is None):
            raise ValueError("needs one of app_token, for Socket Mode, and signing_secret, for HTTP events")
        return self

    def notes(self) -> list[str]:
        return in_the_clear("slack.api_url", self.api_url)
