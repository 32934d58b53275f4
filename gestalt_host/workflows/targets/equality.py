"""Comparing targets: normalised JSON, equality and fingerprint (semantics.md 2.1).

Equality decides about authorization. Two targets are equal when their normalised forms are: key order does not matter,
an empty map or list equals an absent one where the contract says so, and every number is the double it travels as.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from gestalt_host.workflows.model import AgentMessage, AgentTarget, MessagePart, OutputDelivery, PluginTarget, Target

_EXACT_INTEGER = 2**53


def normalised(target: Target) -> bytes:
    """Return the target as JSON with sorted keys; equal targets have equal bytes."""
    kind = "plugin" if isinstance(target, PluginTarget) else "agent"
    members = _plugin(target) if isinstance(target, PluginTarget) else _agent(target)
    return orjson.dumps({kind: members}, option=orjson.OPT_SORT_KEYS)


def same_target(left: Target | None, right: Target | None) -> bool:
    if left is None or right is None:
        return left is right
    # Not ``left == right``: in Python 1 equals True.
    return left is right or normalised(left) == normalised(right)


def fingerprint(target: Target) -> str:
    """Return the hex SHA-256 of the normalised form."""
    return hashlib.sha256(normalised(target)).hexdigest()


def _plugin(target: PluginTarget) -> dict[str, Any]:
    return _present(
        plugin_name=target.plugin,
        operation=target.operation,
        connection=target.connection,
        instance=target.instance,
        credential_mode=target.credential_mode,
        input=_json(target.input),
    )


def _agent(target: AgentTarget) -> dict[str, Any]:
    return _present(
        provider_name=target.provider,
        model=target.model,
        prompt=target.prompt,
        messages=[_message(item) for item in target.messages],
        tool_refs=[
            _present(
                plugin=ref.plugin,
                operation=ref.operation,
                connection=ref.connection,
                instance=ref.instance,
                title=ref.title,
                description=ref.description,
                system=ref.system,
            )
            for ref in target.tool_refs
        ],
        response_schema=_json(target.response_schema),
        metadata=_json(target.metadata),
        model_options=_json(target.model_options),
        timeout_seconds=target.timeout_seconds,
        output_delivery=None if target.output_delivery is None else _delivery(target.output_delivery),
    )


def _delivery(delivery: OutputDelivery) -> dict[str, Any]:
    bindings = []
    for item in delivery.input_bindings:
        # A literal is kept also when it is false, 0 or empty: it is a value, not an absent member.
        value = {item.source: _json(item.value)} if item.source else {}
        bindings.append({"input_field": item.input_field, "value": value})
    target = _plugin(delivery.target)
    result = _present(input_bindings=bindings, credential_mode=delivery.credential_mode)
    result["target"] = target
    return result


def _message(message: AgentMessage) -> dict[str, Any]:
    return _present(
        role=message.role,
        text=message.text,
        parts=[_part(part) for part in message.parts],
        metadata=_json(message.metadata),
    )


def _part(part: MessagePart) -> dict[str, Any]:
    result = _present(type=part.type, text=part.text, json=_json(part.json))
    for name in ("tool_call", "tool_result", "image_ref"):
        member = getattr(part, name)
        if member is not None:
            result[name] = _present(**_json(member))
    return result


def _present(**members: Any) -> dict[str, Any]:
    return {
        name: value for name, value in members.items() if value not in ("", None, 0) and value != {} and value != []
    }


def _json(value: Any) -> Any:
    """Return the value with every number in one form: an int when the double is integral and exact, else a float."""
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        return {"$number": repr(number)}
    if number.is_integer() and abs(number) <= _EXACT_INTEGER:
        return int(number)
    return number
