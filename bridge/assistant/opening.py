"""From the configuration's `assistant` to the assistant."""

from collections.abc import Mapping
from typing import assert_never

from bridge import config
from bridge.assistant.budget import Allowance, Budget
from bridge.assistant.compose import Pace
from bridge.assistant.turn import Assistant
from bridge.core import Bridge


def open_assistant(
    settings: config.Assistant, *, bridge: Bridge, businesses: Mapping[str, str] | None = None
) -> Assistant:
    """The assistant that `settings` describe; `businesses` names each site's. Raises `ConfigError`."""
    match settings:
        case config.NoAssistant():
            return Assistant(bridge=bridge, engine=None)
        case config.KnowledgeAssistant():
            from bridge.assistant.knowledge import Knowledge  # noqa: PLC0415 - loaded when asked for
            from bridge.assistant.quoting import QuotingEngine  # noqa: PLC0415

            engine = QuotingEngine(knowledge=Knowledge.load(settings.knowledge))
            return Assistant(bridge=bridge, engine=engine)
        case config.OpenAIAssistant():
            return _with_model(settings, bridge, businesses)
        case _:
            assert_never(settings)


def _with_model(
    settings: config.OpenAIAssistant, bridge: Bridge, businesses: Mapping[str, str] | None
) -> Assistant:
    from bridge.assistant.knowledge import Knowledge  # noqa: PLC0415 - loaded when asked for
    from bridge.assistant.openai import Model, ModelEngine  # noqa: PLC0415

    field = settings.max_tokens_field
    model = Model(
        name=settings.model,
        base_url=settings.base_url,
        api_key=settings.api_key.get_secret_value(),
        temperature=settings.temperature,
        max_tokens=None if field == "none" else settings.max_tokens,
        max_tokens_field=field,
        stream_usage=settings.stream_usage,
        tools=settings.tools,
        passages=settings.passages,
        timeout=settings.timeout,
        connect_timeout=settings.connect_timeout,
    )
    knowledge = Knowledge.load(settings.knowledge) if settings.knowledge else None
    allowance = Allowance(visitor=settings.budget.per_visitor, day=settings.budget.per_day)
    return Assistant(
        bridge=bridge,
        engine=ModelEngine(model=model, knowledge=knowledge),
        pace=Pace(first=settings.timeout, between=min(settings.timeout, Pace().between), turn=settings.turn),
        budget=Budget(store=bridge.store, clock=bridge.clock, allowance=allowance),
        instructions=settings.instructions,
        businesses=businesses,
    )
