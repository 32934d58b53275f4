"""Derive identifiers, so that a repeated request meets the object it made.

``subject`` is the id of the subject that a key belongs to, blank for none; ``plugin`` is the target's plugin.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime

from gestalt_sdk.transport.values import rfc3339


def new_id() -> str:
    """Return a random identifier."""
    return str(uuid.uuid4())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _scope(plugin: str, subject: str, *rest: str) -> tuple[str, ...]:
    """Return what a key belongs to: target plugin and subject; without a subject the plugin alone (decision 8)."""
    return (plugin, subject, *rest) if subject else (plugin, *rest)


def manual_run(plugin: str, subject: str, idempotency_key: str) -> str:
    """Return the id of the run that a start with this idempotency key makes."""
    return "manual:" + _digest(*_scope(plugin, subject, idempotency_key))[:32]


def scheduled_run(schedule_id: str, slot: datetime) -> str:
    """Return the id of the run of a slot."""
    return f"{scheduled_runs(schedule_id)}{rfc3339(slot)}"


def scheduled_runs(schedule_id: str) -> str:
    """Return what the ids of all runs of a schedule begin with; those of others may begin so too."""
    return f"schedule:{schedule_id}:"


def event_run(trigger_id: str, source: str, event_id: str) -> str:
    """Return the id of the run that a trigger makes of an event."""
    return "event:" + _digest(trigger_id, source, event_id)[:32]


def replayed_run(trigger_id: str, source: str, event_id: str, replay_id: str) -> str:
    """Return the id of the run that a forced replay makes beside the one of the publish."""
    return "replay:" + _digest(trigger_id, source, event_id, replay_id)[:32]


def kept_event(source: str, event_id: str) -> str:
    """Return the id of an event's record."""
    return "published:" + _digest(source, event_id)[:32]


def key_row(plugin: str, subject: str, workflow_key: str) -> str:
    """Return the id of the row that says which run holds a workflow key."""
    return "workflow_key:" + _digest(*_scope(plugin, subject, workflow_key))


def signal_with_key(plugin: str, subject: str, run_id: str, idempotency_key: str) -> str:
    """Return the id of the signal that a run gets with this idempotency key."""
    return "workflow_signal:" + _digest(*_scope(plugin, subject, run_id, idempotency_key))


def signal_row(plugin: str, subject: str, idempotency_key: str) -> str:
    """Return the id of the row that says which signal an idempotency key made."""
    return "signal_key:" + _digest(*_scope(plugin, subject, idempotency_key))
