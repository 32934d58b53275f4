"""Check and normalise targets once, where they arrive; then they are carried as bytes."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2

from gestalt_sdk.common.printable import quoted
from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_workflow.model.errors import InvalidRequest
from gestalt_workflow.model.objects import Target
from gestalt_workflow.wire.sizes import bounded, named

CREDENTIAL_MODES = ("", "none", "user")
PRIORITY_PATH = ("_gestalt", "workflow", "dispatchPriority")
LARGEST_PRIORITY = 1_000_000
_TARGET_NAMES = ("plugin_name", "operation", "connection", "instance", "credential_mode")
_TOOL_NAMES = ("system", "plugin", "operation", "connection", "instance")


def target_from_proto(message: workflow_pb2.BoundWorkflowTarget, *, present: bool = True) -> Target:
    """Return the checked target; ``message`` itself is left as it is.

    Raises:
        InvalidRequest: a field is missing or has a value that is not accepted, or it is too large; names it.
    """
    if not present:
        raise InvalidRequest("target is required")
    normal = workflow_pb2.BoundWorkflowTarget()
    normal.CopyFrom(message)
    if normal.WhichOneof("kind") == "agent":
        _normalise_agent(normal.agent)
    else:
        _normalise_plugin(normal.plugin)
    target = describe_target(normal)
    bounded("target", target.data)
    return target


def describe_target(message: workflow_pb2.BoundWorkflowTarget) -> Target:
    """Return the facts about a target that is normal already, for example one read back from a record."""
    data = message.SerializeToString(deterministic=True)
    if message.WhichOneof("kind") != "agent":
        return Target(data, message.plugin.plugin_name)
    agent = message.agent
    return Target(
        data, f"agent:{agent.provider_name}", priority=_priority(agent.metadata), agent_timeout_s=agent.timeout_seconds
    )


def _normalise_plugin(plugin: workflow_pb2.BoundWorkflowPluginTarget) -> None:
    _trim_names(plugin, "target.plugin.", *_TARGET_NAMES)
    plugin.credential_mode = plugin.credential_mode.lower()
    if not plugin.plugin_name:
        raise InvalidRequest("target.plugin.plugin_name is required")
    if not plugin.operation:
        raise InvalidRequest("target.plugin.operation is required")
    _require_mode(plugin.credential_mode, "target.plugin.")
    plugin.input.SetInParent()


def _normalise_agent(agent: workflow_pb2.BoundWorkflowAgentTarget) -> None:
    _trim_names(agent, "target.agent.", "provider_name", "model")
    _trim(agent, "prompt")
    for index, tool in enumerate(agent.tool_refs):
        _trim_names(tool, f"target.agent.tool_refs[{index}].", *_TOOL_NAMES)
        _trim(tool, "title", "description")
    if not agent.provider_name:
        raise InvalidRequest("target.agent.provider_name is required")
    if not agent.prompt and not agent.messages:
        raise InvalidRequest("target.agent.prompt or messages is required")
    if agent.timeout_seconds < 0:
        raise InvalidRequest("target.agent.timeout_seconds must not be negative")
    for name in ("response_schema", "metadata", "model_options"):
        if agent.HasField(name) and not getattr(agent, name).fields:
            agent.ClearField(name)
    if agent.HasField("output_delivery"):
        _normalise_delivery(agent.output_delivery)


def _normalise_delivery(delivery: workflow_pb2.WorkflowOutputDelivery) -> None:
    where = "target.agent.output_delivery."
    target = delivery.target
    _trim_names(target, f"{where}target.", *_TARGET_NAMES)
    _trim(delivery, "credential_mode")
    delivery.credential_mode = delivery.credential_mode.lower()
    if not target.plugin_name:
        raise InvalidRequest(f"{where}target.plugin_name is required")
    if not target.operation:
        raise InvalidRequest(f"{where}target.operation is required")
    if target.credential_mode:
        raise InvalidRequest(f"{where}target.credential_mode {quoted(target.credential_mode)} is not supported")
    _require_mode(delivery.credential_mode, where)
    for binding in delivery.input_bindings:
        _trim_names(binding, f"{where}input_bindings.", "input_field")
        if not binding.input_field:
            raise InvalidRequest(f"{where}input_bindings.input_field is required")
        kind = binding.value.WhichOneof("kind")
        if kind is None:
            raise InvalidRequest(f"{where}input_bindings.value is required")
        if kind != "literal":
            path = getattr(binding.value, kind).strip()
            if not path:
                raise InvalidRequest(f"{where}input_bindings.value.{kind} is required")
            setattr(binding.value, kind, path)


def _trim_names(message: Any, where: str, *names: str) -> None:
    """Trim fields that name something; refuse one that is too long."""
    _trim(message, *names)
    for name in names:
        named(f"{where}{name}", getattr(message, name))


def _trim(message: Any, *names: str) -> None:
    for name in names:
        value = getattr(message, name)
        trimmed = value.strip()
        if trimmed != value:
            setattr(message, name, trimmed)


def _require_mode(mode: str, where: str) -> None:
    if mode not in CREDENTIAL_MODES:
        raise InvalidRequest(f"{where}credential_mode {quoted(mode)} is not supported")


def _priority(metadata: struct_pb2.Struct) -> int:
    """Return ``_gestalt.workflow.dispatchPriority``: a whole number of at least 1, or its text; else 0."""
    value = struct_pb2.Value(struct_value=metadata)
    for name in PRIORITY_PATH:
        if name not in value.struct_value.fields:
            return 0
        value = value.struct_value.fields[name]
    kind = value.WhichOneof("kind")
    number: float = 0
    if kind == "number_value":
        number = value.number_value
    elif kind == "string_value":
        text = value.string_value.strip()
        number = int(text) if text.lstrip("+").isdecimal() and len(text) < 16 else 0
    if not 1 <= number < float("inf") or number != int(number):
        return 0
    return min(int(number), LARGEST_PRIORITY)
