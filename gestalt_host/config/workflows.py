"""Reading ``workflows``: config-managed schedules and event triggers with their checks (config.md 16)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gestalt_host.config.model import (
    EventTriggerConfig,
    OperationUse,
    PermissionConfig,
    ProviderEntry,
    ScheduleConfig,
)
from gestalt_host.config.reader import Block
from gestalt_host.config.selection import unknown_entry
from gestalt_sdk.common.sizes import CRON_BYTES, EVENT_TEXT_BYTES, too_long
from gestalt_sdk.timing.cron import CronInvalid, check_cron
from gestalt_sdk.timing.durations import parse_duration
from gestalt_sdk.timing.zones import DEFAULT_ZONE, ZoneInvalid, normalise_zone
from gestalt_sdk.workflow.types import (
    AgentMessage,
    AgentTarget,
    EventMatch,
    OutputBinding,
    OutputDelivery,
    PluginTarget,
    Target,
    ToolRef,
)

_CREDENTIAL_MODES = ("none", "user")
_BINDING_SOURCES = {
    "agentOutput": "agent_output",
    "signalPayload": "signal_payload",
    "signalMetadata": "signal_metadata",
    "literal": "literal",
}


@dataclass(frozen=True, slots=True)
class WorkflowContext:
    """Hold what schedules and triggers may name, the provider of one that names none, and the operations named."""

    plugins: Mapping[str, ProviderEntry]
    workflows: Mapping[str, ProviderEntry]
    agents: Mapping[str, ProviderEntry]
    default_workflow: str
    default_agent: str
    uses: list[OperationUse] = field(default_factory=list)


def read_schedules(workflows: Block, context: WorkflowContext) -> tuple[ScheduleConfig, ...]:
    """Read the schedules, sorted by key; those with a fault are left out."""
    schedules: dict[str, ScheduleConfig] = {}
    for raw_key, block in sorted(workflows.entries("schedules"), key=lambda item: item[0]):
        key = _key(raw_key, block, schedules)
        with block:
            target = _target(block, context)
            permissions = _permissions(block, context)
            provider = _provider(block, "workflow", context.workflows, context.default_workflow)
            cron = block.text("cron", required=True)
            timezone = block.text("timezone") or DEFAULT_ZONE
            paused = block.boolean("paused")
        if cron and _fits(block, "cron", cron, CRON_BYTES):
            try:
                check_cron(cron, datetime.now(UTC).date())
            except CronInvalid as error:
                block.fault("cron", f'"{cron}" is invalid: {error.reason}')
        try:
            normalise_zone(timezone)
        except ZoneInvalid:
            block.fault("timezone", f'"{timezone}" is not an IANA time zone, for example Europe/Berlin or UTC')
        if target is not None and key:
            schedules[key] = ScheduleConfig(key, provider, cron, target, timezone, paused, permissions)
    return tuple(schedules.values())


def read_event_triggers(workflows: Block, context: WorkflowContext) -> tuple[EventTriggerConfig, ...]:
    """Read the event triggers, sorted by key; those with a fault are left out."""
    triggers: dict[str, EventTriggerConfig] = {}
    for raw_key, block in sorted(workflows.entries("eventTriggers"), key=lambda item: item[0]):
        key = _key(raw_key, block, triggers)
        with block:
            target = _target(block, context)
            permissions = _permissions(block, context)
            provider = _provider(block, "workflow", context.workflows, context.default_workflow)
            with block.block("match") as match:
                type_ = match.text("type", required=True)
                wanted = EventMatch(type_, match.text("source"), match.text("subject"))
                for part in ("type", "source", "subject"):
                    _fits(match, part, getattr(wanted, part), EVENT_TEXT_BYTES)
            paused = block.boolean("paused")
        if target is not None and key:
            triggers[key] = EventTriggerConfig(key, provider, wanted, target, paused, permissions)
    return tuple(triggers.values())


def _fits(block: Block, key: str, text: str, limit: int) -> bool:
    """Note a text that has more bytes than are accepted, and return whether it has not."""
    refusal = too_long("", text, limit).strip()
    if refusal:
        block.fault(key, refusal)
    return not refusal


def _key(raw: str, block: Block, known: Mapping[str, object]) -> str:
    key = raw.strip()
    if not key:
        block.fault("", "the key must not be empty")
    elif key in known:
        block.fault("", f"the key {key!r} is a duplicate after trimming")
    if not block.present:
        block.fault("", "is required")
    return key


def _provider(block: Block, kind: str, entries: Mapping[str, ProviderEntry], default: str) -> str:
    name = block.text("provider")
    if name and name not in entries:
        block.fault("provider", unknown_entry(kind, name, entries))
    elif not name and not default:
        names = ", ".join(sorted(entries))
        several = f"; providers.{kind} has multiple providers but no default: {names}" if names else ""
        block.fault("provider", f"is required{several or f': no {kind} provider is configured'}")
    return name or default


def _target(block: Block, context: WorkflowContext) -> Target | None:
    with block.block("target") as target:
        plugin, agent = target.block("plugin"), target.block("agent")
        if plugin.present == agent.present:
            block.fault("target", "exactly one of plugin and agent is required")
            return None
        if plugin.present:
            return _plugin_target(plugin, context)
        return _agent_target(agent, context)


def _plugin_target(block: Block, context: WorkflowContext) -> PluginTarget:
    with block:
        name, operation = block.text("name", required=True), block.text("operation", required=True)
        if name and name not in context.plugins:
            block.fault("name", _unknown_plugin(name, context))
        target = PluginTarget(
            name,
            operation,
            block.text("connection"),
            block.text("instance"),
            block.one_of("credentialMode", _CREDENTIAL_MODES),
            block.opaque("input", sent=True),
        )
    _note_call(block, target, context)
    return target


def _note_call(block: Block, target: PluginTarget, context: WorkflowContext, bound: tuple[str, ...] = ()) -> None:
    node = block.node("input")
    context.uses.append(
        OperationUse(
            target.plugin,
            target.operation,
            block.place_of("operation"),
            block.path_of("operation"),
            target.input,
            block.place_of("input"),
            {} if node is None else node.key_places,
            bound,
        )
    )


def _agent_target(block: Block, context: WorkflowContext) -> AgentTarget:
    with block:
        provider = _provider(block, "agent", context.agents, context.default_agent)
        prompt = block.text("prompt")
        messages = tuple(_message(message) for message in block.blocks("messages"))
        if not prompt and not messages:
            block.fault("prompt or messages", "is required")
        timeout = block.duration("timeout", parse_duration)
        return AgentTarget(
            provider=provider,
            model=block.text("model"),
            prompt=prompt,
            messages=messages,
            tool_refs=_tools(block, context),
            output_delivery=_output_delivery(block, context),
            response_schema=block.opaque("responseSchema", sent=True),
            metadata=block.opaque("metadata", sent=True),
            model_options=block.opaque("modelOptions", sent=True),
            timeout_seconds=max(int(timeout.total_seconds()), 0) if timeout is not None else 0,
        )


def _message(block: Block) -> AgentMessage:
    with block:
        return AgentMessage(block.text("role"), block.raw_text("text"), metadata=block.opaque("metadata", sent=True))


def _tools(block: Block, context: WorkflowContext) -> tuple[ToolRef, ...]:
    tools: list[tuple[Block, ToolRef]] = []
    for item in block.blocks("tools"):
        with item:
            keys = ("plugin", "system", "operation", "connection", "instance", "title", "description")
            tool = ToolRef(**{key: item.text(key) for key in keys})
        if bool(tool.plugin) == bool(tool.system):
            item.fault("", "exactly one of plugin and system is required")
        elif tool.plugin and tool.plugin not in context.plugins:
            item.fault("plugin", _unknown_plugin(tool.plugin, context))
        elif tool.system:
            if tool.system != "workflow":
                item.fault("system", f"{tool.system!r} is not supported; accepted is workflow")
            if not tool.operation:
                item.fault("operation", "is required for a system tool")
            for key in ("connection", "instance"):
                if getattr(tool, key):
                    item.fault(key, "is not allowed for a system tool")
        elif tool.operation:
            context.uses.append(
                OperationUse(tool.plugin, tool.operation, item.place_of("operation"), item.path_of("operation"))
            )
        tools.append((item, tool))
    if any(tool.system for _, tool in tools):
        for item, tool in tools:
            if tool.plugin and not tool.system and not tool.operation:
                item.fault("operation", "is required for every plugin tool when a system tool is in the list")
    return tuple(tool for _, tool in tools)


def _output_delivery(block: Block, context: WorkflowContext) -> OutputDelivery | None:
    delivery = block.block("outputDelivery")
    with delivery:
        target = delivery.block("target")
        with target:
            name = target.text("name", required=delivery.present)
            operation = target.text("operation", required=delivery.present)
            if target.text("credentialMode"):
                target.fault("credentialMode", "is not allowed here; set outputDelivery.credentialMode")
            plugin = PluginTarget(
                name,
                operation,
                target.text("connection"),
                target.text("instance"),
                "",
                target.opaque("input", sent=True),
            )
        bindings = tuple(_input_binding(binding) for binding in delivery.blocks("inputBindings"))
        mode = delivery.one_of("credentialMode", _CREDENTIAL_MODES)
    if not delivery.present:
        return None
    _note_call(target, plugin, context, tuple(binding.input_field for binding in bindings))
    return OutputDelivery(plugin, bindings, mode)


def _input_binding(block: Block) -> OutputBinding:
    with block:
        field = block.text("inputField")
        with block.block("value") as value:
            value.check_sent("literal")
            given: dict[str, Any] = {source: value.anything(source) for source in _BINDING_SOURCES if value.has(source)}
    kind = next(iter(given), "")
    return OutputBinding(field, _BINDING_SOURCES.get(kind, ""), given.get(kind))


def _permissions(block: Block, context: WorkflowContext) -> tuple[PermissionConfig, ...]:
    merged: dict[str, list[str]] = {}
    for item in block.blocks("permissions"):
        with item:
            plugin = item.text("plugin", required=True)
            if plugin and plugin not in context.plugins:
                item.fault("plugin", _unknown_plugin(plugin, context))
            operations = item.texts("operations")
            if not operations:
                item.fault("operations", "is required")
            for index, operation in enumerate(operations):
                path = f"operations[{index}]"
                if not operation:
                    item.fault(path, "is required")
                elif plugin:
                    place = item.item_place("operations", index)
                    context.uses.append(OperationUse(plugin, operation, place, item.path_of(path)))
            if item.anything("actions"):
                item.fault("actions", "is not supported; list operations")
        known = merged.setdefault(plugin, [])
        known.extend(operation for operation in operations if operation and operation not in known)
    return tuple(PermissionConfig(plugin, tuple(operations)) for plugin, operations in merged.items())


def _unknown_plugin(name: str, context: WorkflowContext) -> str:
    known = ", ".join(sorted(context.plugins)) or "none"
    return f'references unknown plugin "{name}"; configured are {known}'
