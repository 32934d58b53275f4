"""Refusing texts that are too long, and values nested too deeply, before anything is stored (docs/limits.md)."""

from __future__ import annotations

from gestalt_host.errors import InvalidArgument
from gestalt_host.workflows.model import (
    AgentTarget,
    Event,
    EventMatch,
    EventTriggerSpec,
    PluginTarget,
    ScheduleSpec,
    Signal,
    Target,
)
from gestalt_sdk.common.sizes import CRON_BYTES, EVENT_TEXT_BYTES, KEY_BYTES, NAME_BYTES, too_deep, too_long


def check_size(name: str, text: str, limit: int = NAME_BYTES) -> None:
    """Refuse a text that has more bytes than are accepted.

    Raises:
        InvalidArgument: naming it, its size and the limit.
    """
    refusal = too_long(name, text, limit)
    if refusal:
        raise InvalidArgument(refusal)


def check_levels(name: str, value: object) -> None:
    """Refuse a value that is nested too deeply: a run that carries it could not be sent to a plugin.

    Raises:
        InvalidArgument: naming it and the limit.
    """
    refusal = too_deep(name, value)
    if refusal:
        raise InvalidArgument(refusal)


def check_target(target: Target) -> None:
    """Refuse a target with a name that is too long or a value that is nested too deeply."""
    if isinstance(target, PluginTarget):
        _check_plugin("target.plugin", target)
        return
    _check_agent(target)


def check_key(name: str, key: str) -> None:
    """Refuse an idempotency key or workflow key that is too long; see ``check_size``."""
    check_size(name, key, KEY_BYTES)


def check_timing(request: ScheduleSpec) -> None:
    """Refuse a schedule whose cron expression is too long; see ``check_size``."""
    check_size("cron", request.cron, CRON_BYTES)


def check_match(request: EventTriggerSpec) -> None:
    """Refuse a trigger whose match has a text that is too long; see ``check_size``."""
    _check_event_texts("match", request.match)


def check_event(event: Event) -> None:
    """Refuse an event with a short text that is too long or data that is nested too deeply."""
    check_size("event.id", event.id)
    check_size("event.specVersion", event.spec_version)
    check_size("event.dataContentType", event.data_content_type)
    _check_event_texts("event", event)
    check_levels("event.data", event.data)
    for extension in event.extensions.values():
        check_levels("event.extensions", extension)


def check_signal(signal: Signal) -> None:
    """Refuse a signal with a name or key that is too long or a value that is nested too deeply."""
    check_size("signal.id", signal.id)
    check_size("signal.name", signal.name)
    check_key("signal.idempotencyKey", signal.idempotency_key)
    check_levels("signal.payload", signal.payload)
    check_levels("signal.metadata", signal.metadata)


def _check_event_texts(where: str, texts: EventMatch | Event) -> None:
    check_size(f"{where}.type", texts.type, EVENT_TEXT_BYTES)
    check_size(f"{where}.source", texts.source, EVENT_TEXT_BYTES)
    check_size(f"{where}.subject", texts.subject, EVENT_TEXT_BYTES)


def _check_plugin(where: str, target: PluginTarget) -> None:
    check_size(f"{where}.name", target.plugin)
    check_size(f"{where}.operation", target.operation)
    check_size(f"{where}.connection", target.connection)
    check_size(f"{where}.instance", target.instance)
    check_size(f"{where}.credentialMode", target.credential_mode)
    check_levels(f"{where}.input", target.input)


def _check_agent(target: AgentTarget) -> None:
    check_size("target.agent.provider", target.provider)
    check_size("target.agent.model", target.model)
    check_levels("target.agent.responseSchema", target.response_schema)
    check_levels("target.agent.metadata", target.metadata)
    check_levels("target.agent.modelOptions", target.model_options)
    for index, ref in enumerate(target.tool_refs):
        for name in ("system", "plugin", "operation", "connection", "instance"):
            check_size(f"target.agent.toolRefs[{index}].{name}", getattr(ref, name))
    if target.output_delivery is not None:
        _check_plugin("target.agent.outputDelivery.target", target.output_delivery.target)
