"""Targets in JSON, both ways (http-api.md 8.2).

Decoding trims the texts that the contract trims and makes the checks that only a request body can fail: exactly one
kind of target, no credential modes on public requests. Whether a target can be used is not judged here.
"""

from __future__ import annotations

from typing import Any

from gestalt_host.access.credentials.connections import PLUGIN_CONNECTION, internal_name
from gestalt_host.errors import InvalidArgument
from gestalt_host.http.shapes import bodies
from gestalt_host.http.shapes.bodies import Shape, list_of, nested, optional
from gestalt_host.http.shapes.rendering import free_form, put_map, put_text
from gestalt_host.workflows.model import (
    AgentMessage,
    AgentTarget,
    MessagePart,
    OutputBinding,
    OutputDelivery,
    PluginTarget,
    Target,
    ToolRef,
)

Json = dict[str, Any]

PLUGIN_TARGET = Shape.of(
    name=bodies.text,
    operation=bodies.text,
    connection=bodies.text,
    instance=bodies.text,
    credentialMode=bodies.text,
    input=bodies.free_object,
)
MESSAGE_PART = Shape.of(
    type=bodies.text,
    text=bodies.text,
    json=bodies.free_object,
    toolCall=optional(Shape.of(id=bodies.text, toolId=bodies.text, arguments=bodies.free_object)),
    toolResult=optional(
        Shape.of(toolCallId=bodies.text, status=bodies.integer, content=bodies.text, output=bodies.free_object)
    ),
    imageRef=optional(Shape.of(uri=bodies.text, mimeType=bodies.text)),
)
MESSAGE = Shape.of(role=bodies.text, text=bodies.text, parts=list_of(MESSAGE_PART), metadata=bodies.free_object)
TOOL_REF = Shape.of(
    system=bodies.text,
    plugin=bodies.text,
    operation=bodies.text,
    connection=bodies.text,
    instance=bodies.text,
    credentialMode=bodies.text,
    title=bodies.text,
    description=bodies.text,
)
BINDING_VALUE = Shape.of(
    agentOutput=bodies.text, signalPayload=bodies.text, signalMetadata=bodies.text, literal=bodies.anything
)
OUTPUT_DELIVERY = Shape.of(
    target=nested(PLUGIN_TARGET),
    inputBindings=list_of(Shape.of(inputField=bodies.text, value=nested(BINDING_VALUE))),
    credentialMode=bodies.text,
)
AGENT_TARGET = Shape.of(
    provider=bodies.text,
    model=bodies.text,
    prompt=bodies.text,
    messages=list_of(MESSAGE),
    toolRefs=list_of(TOOL_REF),
    outputDelivery=optional(OUTPUT_DELIVERY),
    responseSchema=bodies.free_object,
    metadata=bodies.free_object,
    modelOptions=bodies.free_object,
    timeoutSeconds=bodies.integer,
)
TARGET = Shape.of(plugin=optional(PLUGIN_TARGET), agent=optional(AGENT_TARGET))


def target_request(body: Json) -> Target:
    """Make the target of a decoded ``TARGET``. Raises ``InvalidArgument``."""
    plugin, agent = body.get("plugin"), body.get("agent")
    if (plugin is None) == (agent is None):
        raise InvalidArgument("workflow target must set exactly one of plugin or agent")
    if plugin is not None:
        if trimmed(plugin, "credentialMode"):
            raise InvalidArgument("workflow target plugin.credentialMode is not supported on public requests")
        return _plugin_target(plugin)
    assert agent is not None
    delivery = agent.get("outputDelivery")
    if delivery is not None and trimmed(delivery.get("target", {}), "credentialMode"):
        raise InvalidArgument("workflow target agent.outputDelivery.target.credentialMode is not supported")
    return _agent_target(agent)


def target_shape(target: Target | None) -> Json:
    """Return a target as it is shown; empty for an object without one."""
    if target is None:
        return {}
    if isinstance(target, PluginTarget):
        return {"plugin": _plugin_shape(target)}
    return {"agent": _agent_shape(target)}


def public_connection(name: str) -> str:
    """Return how a connection is called outside: the implicit one ``plugin``."""
    return "plugin" if name == PLUGIN_CONNECTION else name


def trimmed(body: Json, name: str) -> str:
    """Return a text of a decoded body without blanks around it; empty when it is not set."""
    found: str = body.get(name, "")
    return found.strip()


def present(**members: Any) -> Json:
    """Return the members that are not empty."""
    return {name: value for name, value in members.items() if value}


# Requests


def _plugin_target(body: Json) -> PluginTarget:
    return PluginTarget(
        plugin=trimmed(body, "name"),
        operation=trimmed(body, "operation"),
        connection=internal_name(trimmed(body, "connection")),
        instance=trimmed(body, "instance"),
        input=body.get("input", {}),
    )


def _agent_target(body: Json) -> AgentTarget:
    delivery = body.get("outputDelivery")
    return AgentTarget(
        provider=trimmed(body, "provider"),
        model=trimmed(body, "model"),
        prompt=trimmed(body, "prompt"),
        messages=tuple(_message(item) for item in body.get("messages", ())),
        tool_refs=tuple(_tool_ref(item) for item in body.get("toolRefs", ())),
        response_schema=body.get("responseSchema", {}),
        metadata=body.get("metadata", {}),
        model_options=body.get("modelOptions", {}),
        timeout_seconds=body.get("timeoutSeconds", 0),
        output_delivery=None if delivery is None else _delivery(delivery),
    )


def _message(body: Json) -> AgentMessage:
    return AgentMessage(
        role=trimmed(body, "role"),
        text=body.get("text", ""),
        parts=tuple(_part(item) for item in body.get("parts", ())),
        metadata=body.get("metadata", {}),
    )


def _part(body: Json) -> MessagePart:
    call, result, image = body.get("toolCall"), body.get("toolResult"), body.get("imageRef")
    return MessagePart(
        type=trimmed(body, "type"),
        text=body.get("text", ""),
        json=body.get("json", {}),
        tool_call=None
        if call is None
        else {
            "id": call.get("id", ""),
            "tool_id": call.get("toolId", ""),
            "arguments": call.get("arguments", {}),
        },
        tool_result=None
        if result is None
        else {
            "tool_call_id": result.get("toolCallId", ""),
            "status": result.get("status", 0),
            "content": result.get("content", ""),
            "output": result.get("output", {}),
        },
        image_ref=None if image is None else {"uri": image.get("uri", ""), "mime_type": image.get("mimeType", "")},
    )


def _tool_ref(body: Json) -> ToolRef:
    return ToolRef(
        plugin=trimmed(body, "plugin"),
        operation=trimmed(body, "operation"),
        connection=internal_name(trimmed(body, "connection")),
        instance=trimmed(body, "instance"),
        title=trimmed(body, "title"),
        description=trimmed(body, "description"),
        system=trimmed(body, "system"),
        credential_mode=trimmed(body, "credentialMode"),
    )


def _delivery(body: Json) -> OutputDelivery:
    return OutputDelivery(
        target=_plugin_target(body.get("target", {})),
        input_bindings=tuple(_binding(item) for item in body.get("inputBindings", ())),
        credential_mode=trimmed(body, "credentialMode").lower(),
    )


_BINDING_TEXTS = {
    "agentOutput": "agent_output",
    "signalPayload": "signal_payload",
    "signalMetadata": "signal_metadata",
}


def _binding(body: Json) -> OutputBinding:
    """Make a binding; with no source or several, ``source`` is empty, which the manager refuses."""
    value = body.get("value", {})
    sources = [(source, trimmed(value, name)) for name, source in _BINDING_TEXTS.items() if trimmed(value, name)]
    if "literal" in value:
        sources.append(("literal", value["literal"]))
    source, chosen = sources[0] if len(sources) == 1 else ("", None)
    return OutputBinding(trimmed(body, "inputField"), source, chosen)


# Answers


def _plugin_shape(target: PluginTarget, *, credential_mode: bool = True) -> Json:
    shape: Json = {"name": target.plugin, "operation": target.operation}
    put_text(shape, "connection", public_connection(target.connection))
    put_text(shape, "instance", target.instance)
    if credential_mode:
        put_text(shape, "credentialMode", target.credential_mode)
    put_map(shape, "input", target.input)
    return shape


def _agent_shape(target: AgentTarget) -> Json:
    shape: Json = {}
    put_text(shape, "provider", target.provider)
    put_text(shape, "model", target.model)
    put_text(shape, "prompt", target.prompt)
    if target.messages:
        shape["messages"] = [_message_shape(item) for item in target.messages]
    if target.tool_refs:
        shape["toolRefs"] = [_tool_ref_shape(item) for item in target.tool_refs]
    if target.output_delivery is not None:
        shape["outputDelivery"] = _delivery_shape(target.output_delivery)
    put_map(shape, "responseSchema", target.response_schema)
    put_map(shape, "metadata", target.metadata)
    put_map(shape, "modelOptions", target.model_options)
    if target.timeout_seconds:
        shape["timeoutSeconds"] = target.timeout_seconds
    return shape


def _message_shape(message: AgentMessage) -> Json:
    shape: Json = {}
    put_text(shape, "role", message.role)
    put_text(shape, "text", message.text)
    if message.parts:
        shape["parts"] = [_part_shape(part) for part in message.parts]
    put_map(shape, "metadata", message.metadata)
    return shape


def _part_shape(part: MessagePart) -> Json:
    shape: Json = {}
    put_text(shape, "type", part.type)
    put_text(shape, "text", part.text)
    put_map(shape, "json", part.json)
    if part.tool_call is not None:
        shape["toolCall"] = present(
            id=part.tool_call.get("id"),
            toolId=part.tool_call.get("tool_id"),
            arguments=free_form(part.tool_call.get("arguments")),
        )
    if part.tool_result is not None:
        shape["toolResult"] = present(
            toolCallId=part.tool_result.get("tool_call_id"),
            status=part.tool_result.get("status"),
            content=part.tool_result.get("content"),
            output=free_form(part.tool_result.get("output")),
        )
    if part.image_ref is not None:
        shape["imageRef"] = present(uri=part.image_ref.get("uri"), mimeType=part.image_ref.get("mime_type"))
    return shape


def _tool_ref_shape(ref: ToolRef) -> Json:
    return present(
        system=ref.system,
        plugin=ref.plugin,
        operation=ref.operation,
        connection=public_connection(ref.connection),
        instance=ref.instance,
        title=ref.title,
        description=ref.description,
    )


def _delivery_shape(delivery: OutputDelivery) -> Json:
    shape: Json = {"target": _plugin_shape(delivery.target, credential_mode=False)}
    if delivery.input_bindings:
        shape["inputBindings"] = [
            {"inputField": item.input_field, "value": _binding_shape(item)} for item in delivery.input_bindings
        ]
    put_text(shape, "credentialMode", delivery.credential_mode)
    return shape


def _binding_shape(binding: OutputBinding) -> Json:
    for name, source in _BINDING_TEXTS.items():
        if binding.source == source:
            return present(**{name: binding.value})
    if binding.source == "literal" and binding.value is not None:
        return {"literal": free_form(binding.value)}
    return {}
