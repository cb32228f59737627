"""The text of config.example.yaml: every key with its meaning; what has a default is there as a comment."""

from collections.abc import Iterator
import textwrap
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bridge import registry
from bridge.config import KnowledgeAssistant, NoAssistant, OpenAIAssistant

HEAD = """\
# Every key of Joinline's configuration; docs/reference/configuration.md has them as tables.
# A key that is commented out shows its default. Copy this file to config.yaml and keep what you need, then:
#   export JOINLINE_SECRET="$(openssl rand -base64 32)"
#   export JOINLINE_SMTP_URL="smtp+starttls://user:password@mail.example.com:587"
#   .venv/bin/joinline check --config config.yaml
#   .venv/bin/joinline serve --config config.yaml
"""

# What stands at the keys that an example needs; everything else stands at its default, commented out.
VALUES: dict[str, str] = {
    "base_url": "https://chat.example.com",
    "secret": "${JOINLINE_SECRET}",
    "sites.acme.name": "Acme",
    "sites.acme.origins": "[https://www.acme.example]",
    "sites.acme.staff": "[sales, [sales, support]]",
    "email.smtp_url": "${JOINLINE_SMTP_URL}",
    "email.from": "Acme Chat <chat@acme.example>",
    "assistant.kind": "knowledge",
    "assistant.knowledge": "./knowledge",
}
# The same for sections that are commented out as a whole.
COMMENTED: dict[str, str] = {
    "slack.bot_token": "${SLACK_BOT_TOKEN}",
    "slack.app_token": "${SLACK_APP_TOKEN}",
    "slack.channel": "C0123456789",
    "telegram.token": "${TELEGRAM_TOKEN}",
    "telegram.chat": "-1001234567890",
}
OTHER_ASSISTANT: dict[str, str] = {
    "kind": "openai",
    "base_url": "http://127.0.0.1:11434/v1",
    "api_key": "${JOINLINE_MODEL_KEY}",
    "model": "the-model",
    "instructions": '"You answer for Acme, a shop for outdoor gear. Be brief and friendly."',
    "knowledge": "./knowledge",
}
PEOPLE = """\
  sales:
    # The name that the join page suggests.
    name: Sales desk
    # Where mails with the personal link go.
    email: sales@acme.example
  support: {name: Support, email: support@acme.example}
"""


def text() -> str:
    return HEAD + "".join(_section(registry.configuration(), place="", indent=""))


def _section(model: type[BaseModel], *, place: str, indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        here = f"{place}.{key}".lstrip(".")
        meaning = field.description or _doc(field.annotation)
        if not indent:
            yield "\n"
        yield _comment(meaning, indent)
        if key == "staff" and not place:
            yield "staff:\n" + PEOPLE
        elif key == "sites":
            yield "sites:\n  acme:\n"
            yield from _section(get_args(field.annotation)[1], place="sites.acme", indent="    ")
        elif key == "assistant":
            yield "assistant:\n"
            yield from _section(KnowledgeAssistant, place="assistant", indent="  ")
            yield from _other_assistants()
        elif (inner := _model(field.annotation)) is not None:
            wanted = any(value.startswith(f"{here}.") for value in VALUES)
            yield f"{indent}{'' if wanted else '# '}{key}:\n"
            yield from (
                _section(inner, place=here, indent=indent + "  ")
                if wanted
                else _commented(inner, f"{indent}#   ", place=here)
            )
        elif here in VALUES:
            yield f"{indent}{key}: {VALUES[here]}\n"
        else:
            yield f"{indent}# {key}: {shown(field)}\n"


def _commented(model: type[BaseModel], start: str, *, place: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield _comment(field.description or "", start)
        key = field.alias or name
        yield f"{start}{key}: {COMMENTED.get(f'{place}.{key}') or shown(field)}\n"


def _other_assistants() -> Iterator[str]:
    yield "\n# Or, with any server that speaks the chat-completions protocol:\n# assistant:\n"
    for name, field in OpenAIAssistant.model_fields.items():
        inner = _model(field.annotation)
        yield _comment(field.description or "", "#   ")
        if inner is not None:
            yield f"#   {name}:\n"
            yield from _commented(inner, "#     ")
        else:
            yield f"#   {name}: {OTHER_ASSISTANT.get(name) or shown(field)}\n"
    yield f"\n# Or none. {NoAssistant.__doc__}\n# assistant: {{kind: none}}\n"


def _model(annotation: Any) -> type[BaseModel] | None:
    options = get_args(annotation) or (annotation,)
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel) and get_origin(annotation) is not dict:
            return option
    return None


def _doc(annotation: Any) -> str:
    model = _model(annotation)
    return (model.__doc__ or "") if model else ""


def _comment(words: str, indent: str) -> str:
    lines = textwrap.wrap(words, 104 - len(indent))
    return "".join(f"{indent}# {line}\n" for line in lines)


def shown(field: FieldInfo) -> str:
    """The default as YAML writes it."""
    value = field.get_default(call_default_factory=True)
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case SecretStr():
            return value.get_secret_value()
        case str():
            return f'"{value}"' if not value or value.startswith("#") else value
        case tuple():
            return f"[{', '.join(map(_plainly, value))}]"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _plainly(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plainly, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
