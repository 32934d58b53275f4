"""Ids of workflow objects and of their execution references (semantics.md 3)."""

from __future__ import annotations

import hashlib
import uuid

from gestalt_host.workflows.model import ExecutionReference
from gestalt_host.workflows.targets.equality import fingerprint
from gestalt_host.workflows.targets.permissions import permission_scope

CONFIG_ID_PREFIX = "cfg_"
SCHEDULE_REFERENCE_PREFIX = "workflow_schedule:"
TRIGGER_REFERENCE_PREFIX = "workflow_event_trigger:"
RUN_REFERENCE_PREFIX = "workflow_run:"


def idempotency_scope(subject_id: str, caller_plugin: str, key: str) -> str:
    return "\0".join((subject_id, caller_plugin, key))


def _uuid5(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def schedule_id(scope: str = "") -> str:
    """Make a new schedule's id: random, or derived from the idempotency scope."""
    return _uuid5(f"gestalt.workflow.schedule:{scope}") if scope else str(uuid.uuid4())


def trigger_id(scope: str = "") -> str:
    return _uuid5(f"gestalt.workflow.event-trigger:{scope}") if scope else str(uuid.uuid4())


def schedule_reference_id(object_id: str, scope: str = "") -> str:
    suffix = _uuid5(f"gestalt.workflow.schedule.ref:{object_id}:{scope}") if scope else str(uuid.uuid4())
    return f"{SCHEDULE_REFERENCE_PREFIX}{object_id}:{suffix}"


def trigger_reference_id(object_id: str, scope: str = "") -> str:
    suffix = _uuid5(f"gestalt.workflow.event-trigger.ref:{object_id}:{scope}") if scope else str(uuid.uuid4())
    return f"{TRIGGER_REFERENCE_PREFIX}{object_id}:{suffix}"


def run_reference_id() -> str:
    return f"{RUN_REFERENCE_PREFIX}{uuid.uuid4()}"


def signal_or_start_reference_id(reference: ExecutionReference, workflow_key: str) -> str:
    """Return the one id for all signals that this caller sends under the key; a derived id keeps references bounded."""
    parts = (
        "gestalt.workflow.run.signal_or_start.ref.v2",
        reference.provider,
        workflow_key,
        reference.subject_id,
        effective_credential_subject(reference),
        reference.caller_plugin,
        fingerprint(reference.target),
        permission_scope(reference.permissions),
    )
    return RUN_REFERENCE_PREFIX + _uuid5("\0".join(parts))


def config_schedule_id(key: str) -> str:
    return CONFIG_ID_PREFIX + hashlib.sha256(key.strip().encode()).hexdigest()


def config_trigger_id(key: str) -> str:
    return CONFIG_ID_PREFIX + hashlib.sha256(b"event_trigger\0" + key.strip().encode()).hexdigest()


def effective_credential_subject(reference: ExecutionReference) -> str:
    return reference.credential_subject_id or reference.subject_id
