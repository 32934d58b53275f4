"""Convert targets and the agent messages in them to and from ``workflow.types`` (semantics.md 2.1, contract.md 4.1.1).

Names are trimmed when they are read, prompts and message texts are not. Empty structs are left unset when written.
"""

from __future__ import annotations

from typing import Any

from gestalt_sdk.gen.v1 import agent_pb2 as agent
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.values import from_struct, from_value, optional_struct, to_value
from gestalt_sdk.workflow.types import (
    PART_TYPES,
    AgentMessage,
    AgentTarget,
    MessagePart,
    OutputBinding,
    OutputDelivery,
    PluginTarget,
    Target,
    ToolRef,
)


def target_to_proto(target: Target) -> pb.BoundWorkflowTarget:
    """Return the target as a message."""
    if isinstance(target, PluginTarget):
        return pb.BoundWorkflowTarget(plugin=_plugin_target_to(target))
    return pb.BoundWorkflowTarget(agent=_agent_target_to(target))


def target_from_proto(message: pb.BoundWorkflowTarget) -> Target | None:
    """Return the target, or None when neither kind is set."""
    kind = message.WhichOneof("kind")
    if kind == "plugin":
        return _plugin_target_from(message.plugin)
    if kind == "agent":
        return _agent_target_from(message.agent)
    return None


def _plugin_target_to(target: PluginTarget) -> pb.BoundWorkflowPluginTarget:
    return pb.BoundWorkflowPluginTarget(
        plugin_name=target.plugin,
        operation=target.operation,
        input=optional_struct(target.input),
        connection=target.connection,
        instance=target.instance,
        credential_mode=target.credential_mode,
    )


def _plugin_target_from(message: pb.BoundWorkflowPluginTarget) -> PluginTarget:
    return PluginTarget(
        plugin=message.plugin_name.strip(),
        operation=message.operation.strip(),
        connection=message.connection.strip(),
        instance=message.instance.strip(),
        credential_mode=message.credential_mode.strip().lower(),
        input=from_struct(message.input),
    )


def _agent_target_to(target: AgentTarget) -> pb.BoundWorkflowAgentTarget:
    return pb.BoundWorkflowAgentTarget(
        provider_name=target.provider,
        model=target.model,
        prompt=target.prompt,
        messages=map(message_to_proto, target.messages),
        tool_refs=map(tool_ref_to_proto, target.tool_refs),
        response_schema=optional_struct(target.response_schema),
        metadata=optional_struct(target.metadata),
        timeout_seconds=target.timeout_seconds,
        output_delivery=None if target.output_delivery is None else _delivery_to(target.output_delivery),
        model_options=optional_struct(target.model_options),
    )


def _agent_target_from(message: pb.BoundWorkflowAgentTarget) -> AgentTarget:
    delivery = _delivery_from(message.output_delivery) if message.HasField("output_delivery") else None
    return AgentTarget(
        provider=message.provider_name.strip(),
        model=message.model.strip(),
        prompt=message.prompt,
        messages=tuple(map(message_from_proto, message.messages)),
        tool_refs=tuple(map(tool_ref_from_proto, message.tool_refs)),
        response_schema=from_struct(message.response_schema),
        metadata=from_struct(message.metadata),
        model_options=from_struct(message.model_options),
        timeout_seconds=message.timeout_seconds,
        output_delivery=delivery,
    )


def _delivery_to(delivery: OutputDelivery) -> pb.WorkflowOutputDelivery:
    return pb.WorkflowOutputDelivery(
        target=_plugin_target_to(delivery.target),
        input_bindings=map(_binding_to, delivery.input_bindings),
        credential_mode=delivery.credential_mode,
    )


def _delivery_from(message: pb.WorkflowOutputDelivery) -> OutputDelivery:
    return OutputDelivery(
        target=_plugin_target_from(message.target),
        input_bindings=tuple(map(_binding_from, message.input_bindings)),
        credential_mode=message.credential_mode.strip().lower(),
    )


def _binding_to(binding: OutputBinding) -> pb.WorkflowOutputBinding:
    source = pb.WorkflowOutputValueSource()
    if binding.source == "literal":
        source.literal.CopyFrom(to_value(binding.value))
    elif binding.source:
        setattr(source, binding.source, binding.value)
    return pb.WorkflowOutputBinding(input_field=binding.input_field, value=source)


def _binding_from(message: pb.WorkflowOutputBinding) -> OutputBinding:
    source = message.value.WhichOneof("kind") or ""
    value: Any = None
    if source == "literal":
        value = from_value(message.value.literal)
    elif source:
        value = getattr(message.value, source)
    return OutputBinding(input_field=message.input_field.strip(), source=source, value=value)


def message_to_proto(message: AgentMessage) -> agent.AgentMessage:
    """Return the message of an agent as a message of the contract."""
    return agent.AgentMessage(
        role=message.role,
        text=message.text,
        parts=map(_part_to, message.parts),
        metadata=optional_struct(message.metadata),
    )


def message_from_proto(message: agent.AgentMessage) -> AgentMessage:
    """Return the message of an agent."""
    return AgentMessage(
        role=message.role,
        text=message.text,
        parts=tuple(map(_part_from, message.parts)),
        metadata=from_struct(message.metadata),
    )


def _part_to(part: MessagePart) -> agent.AgentMessagePart:
    result = agent.AgentMessagePart(text=part.text, json=optional_struct(part.json))
    # An unknown type travels as UNSPECIFIED with the rest kept.
    result.type = PART_TYPES.index(part.type) if part.type in PART_TYPES else 0  # type: ignore[assignment]
    call, outcome, image = part.tool_call, part.tool_result, part.image_ref
    if call is not None:
        result.tool_call.CopyFrom(
            agent.AgentMessagePartToolCall(
                id=call.get("id", ""),
                tool_id=call.get("tool_id", ""),
                arguments=optional_struct(call.get("arguments") or {}),
            )
        )
    if outcome is not None:
        result.tool_result.CopyFrom(
            agent.AgentMessagePartToolResult(
                tool_call_id=outcome.get("tool_call_id", ""),
                status=outcome.get("status", 0),
                content=outcome.get("content", ""),
                output=optional_struct(outcome.get("output") or {}),
            )
        )
    if image is not None:
        result.image_ref.CopyFrom(
            agent.AgentMessagePartImageRef(uri=image.get("uri", ""), mime_type=image.get("mime_type", ""))
        )
    return result


def _part_from(part: agent.AgentMessagePart) -> MessagePart:
    number = int(part.type)
    call = outcome = image = None
    if part.HasField("tool_call"):
        arguments = from_struct(part.tool_call.arguments)
        call = {"id": part.tool_call.id, "tool_id": part.tool_call.tool_id, "arguments": arguments}
    if part.HasField("tool_result"):
        outcome = {
            "tool_call_id": part.tool_result.tool_call_id,
            "status": part.tool_result.status,
            "content": part.tool_result.content,
            "output": from_struct(part.tool_result.output),
        }
    if part.HasField("image_ref"):
        image = {"uri": part.image_ref.uri, "mime_type": part.image_ref.mime_type}
    return MessagePart(
        type=PART_TYPES[number] if number < len(PART_TYPES) else "",
        text=part.text,
        json=from_struct(part.json),
        tool_call=call,
        tool_result=outcome,
        image_ref=image,
    )


def tool_ref_to_proto(ref: ToolRef) -> agent.AgentToolRef:
    """Return the reference to a tool as a message, without its credential mode."""
    return agent.AgentToolRef(
        plugin=ref.plugin,
        operation=ref.operation,
        connection=ref.connection,
        instance=ref.instance,
        title=ref.title,
        description=ref.description,
        system=ref.system,
    )


def tool_ref_from_proto(message: agent.AgentToolRef) -> ToolRef:
    """Return the reference to a tool."""
    return ToolRef(
        plugin=message.plugin.strip(),
        operation=message.operation.strip(),
        connection=message.connection.strip(),
        instance=message.instance.strip(),
        title=message.title.strip(),
        description=message.description.strip(),
        system=message.system.strip(),
    )
