"""Signals as plugins and agents see them: the first ten, compacted (semantics.md 12.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gestalt_host.access.subjects import NOBODY, Actor
from gestalt_host.workflows.model import Signal
from gestalt_sdk.common.texts import cut
from gestalt_sdk.transport.values import rfc3339

MAX_SIGNALS = 10
_MAX_DEPTH = 4
_MAX_ENTRIES = 20
_MAX_TEXT_BYTES = 4096

_KEPT = (
    *("delivery_id", "github_event", "github_action", "user_prompt", "payload_sha256", "payload_omitted"),
    *("deliveryId", "githubEvent", "githubAction", "userPrompt", "payloadSha256", "payloadOmitted"),
    *("event", "action", "summary"),
)
_NESTED = (
    *("agent_request", "installation", "repository", "sender", "pull_request", "agentRequest", "pullRequest"),
    *("issue", "comment", "review", "ref"),
)
_DROPPED = ("payload", "_gestalt_payload_preview_json")


def compacted(signals: Sequence[Signal]) -> list[dict[str, Any]]:
    """Return the first ten signals with camelCase keys; absent members are left out."""
    return [compact_signal(signal) for signal in signals[:MAX_SIGNALS]]


def compact_signal(signal: Signal) -> dict[str, Any]:
    members = {
        "id": signal.id,
        "name": signal.name,
        "payload": compact_payload(signal.payload) if signal.payload else None,
        "metadata": compact(signal.metadata) if signal.metadata else None,
        "createdBy": actor_members(signal.created_by),
        "createdAt": rfc3339(signal.created_at) if signal.created_at else None,
        "idempotencyKey": signal.idempotency_key,
        "sequence": signal.sequence,
    }
    return {name: value for name, value in members.items() if value}


def actor_members(actor: Actor) -> dict[str, str] | None:
    """Return the actor with camelCase keys, absent ones left out; None for nobody."""
    if actor == NOBODY:
        return None
    members = {
        "subjectId": actor.subject_id,
        "subjectKind": actor.subject_kind,
        "displayName": actor.display_name,
        "authSource": actor.auth_source,
    }
    return {name: value for name, value in members.items() if value}


def compact_payload(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return known keys in compact form, the first other scalars under ``fields``, and a mark for what is left out."""
    result: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for key in sorted(payload):
        value = payload[key]
        if key in _DROPPED:
            continue
        if key in _KEPT or key in _NESTED:
            result[key] = compact(value)
        elif not isinstance(value, (Mapping, list)) and len(fields) < _MAX_ENTRIES:
            fields[key] = compact(value)
    if fields:
        result["fields"] = fields
    result["payloadOmitted"] = True
    return result


def compact(value: Any, depth: int = 0) -> Any:
    """Return the value cut to depth 4, 20 entries and 4096 bytes of text."""
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, Mapping):
        if depth >= _MAX_DEPTH:
            return {"omitted": True}
        keys = sorted(value)
        result = {key: compact(value[key], depth + 1) for key in keys[:_MAX_ENTRIES]}
        if len(keys) > _MAX_ENTRIES:
            result["omittedFields"] = len(keys) - _MAX_ENTRIES
        return result
    if isinstance(value, (list, tuple)):
        if depth >= _MAX_DEPTH:
            return {"omitted": True}
        return [compact(item, depth + 1) for item in value[:_MAX_ENTRIES]]
    return value


def _cut(text: str) -> str:
    kept = cut(text, _MAX_TEXT_BYTES)
    return text if kept == text else f"{kept}..."


def batch_id(signals: Sequence[Signal]) -> str:
    """Return id of a batch of signals; blank for none."""
    if not signals:
        return ""
    return signal_batch_id([_signal_key(signal) for signal in signals])


def signal_batch_id(parts: Sequence[str]) -> str:
    """Return id of a batch of signals, from each signal's idempotency key, id, ``seq-<n>`` or name."""
    # Compact JSON with Go's escapes of <, > and &, as the vector of semantics.md 3 has it.
    text = orjson.dumps(list(parts))
    for char, escape in ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026")):
        text = text.replace(char, escape)
    return "signal-batch-" + hashlib.sha256(text).hexdigest()


def _signal_key(signal: Signal) -> str:
    return signal.idempotency_key or signal.id or (f"seq-{signal.sequence}" if signal.sequence else signal.name)
