"""Ids of workflow objects, and execution references: who a run executes as and with which ceiling.

Ids: semantics.md 3. References: semantics.md 7; they are stored by the workflow provider and signed by ``signing``.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence

import orjson

from gestalt_host.access.subjects import CONFIG_SUBJECT_ID, Actor, Ceiling, Principal
from gestalt_host.workflows.model import AgentTarget, ExecutionReference, Permission, PluginTarget, Target
from gestalt_host.workflows.targets import fingerprint

NO_PERMISSIONS_PLUGIN = "__gestalt.workflow.no_provider_permissions__"
"""Plugin of the one entry that means "nothing at all": an empty list would read back as unrestricted."""

CONFIG_ID_PREFIX = "cfg_"
SCHEDULE_REFERENCE_PREFIX = "workflow_schedule:"
TRIGGER_REFERENCE_PREFIX = "workflow_event_trigger:"
RUN_REFERENCE_PREFIX = "workflow_run:"


def idempotency_scope(subject_id: str, caller_plugin: str, key: str) -> str:
    return "\0".join((subject_id.strip(), caller_plugin.strip(), key.strip()))


def _uuid5(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def schedule_id(scope: str = "") -> str:
    """A new schedule's id: random, or derived from the idempotency scope."""
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
    """The one id for all signals that this caller sends under the key: deterministic, so references stay bounded."""
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


def signal_batch_id(parts: Sequence[str]) -> str:
    """Id of a batch of signals, from each signal's idempotency key, id, ``seq-<n>`` or name."""
    # Compact JSON with Go's escapes of <, > and &, as the vector of semantics.md 3 has it.
    text = orjson.dumps(list(parts))
    for char, escape in ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026")):
        text = text.replace(char, escape)
    return "signal-batch-" + hashlib.sha256(text).hexdigest()


def permission_scope(permissions: Sequence[Permission]) -> str:
    """Canonical text of a permission list (semantics.md 3)."""
    if not permissions:
        return "nil"
    entries = {item.plugin: item.operations for item in permissions if item.plugin != NO_PERMISSIONS_PLUGIN}
    if not entries:
        return "empty"
    text = "set\x1f"
    for plugin in sorted(entries):
        operations = "".join(f"{name}\x1d" for name in sorted(entries[plugin]))
        # Actions, which references do not carry, would follow the second separator.
        text += f"{plugin}\x1e{operations}\x1e\x1f"
    return text


def effective_credential_subject(reference: ExecutionReference) -> str:
    return reference.credential_subject_id or reference.subject_id


def permissions_of(ceiling: Ceiling | None, extra: Iterable[Permission] = ()) -> tuple[Permission, ...]:
    """A ceiling as the permission list of a reference; ``extra`` widens a ceiling, never "unrestricted"."""
    if ceiling is None:
        return ()
    entries: dict[str, frozenset[str] | None] = dict(ceiling.plugins)
    for item in extra:
        present = entries.get(item.plugin, frozenset())
        if present is not None:
            entries[item.plugin] = present | frozenset(item.operations) if item.operations else None
    permissions = []
    for plugin in sorted(entries):
        operations = entries[plugin]
        if operations is None:
            permissions.append(Permission(plugin))
        elif operations:
            # An entry with an empty set allows nothing; written out it would read back as "every operation".
            permissions.append(Permission(plugin, tuple(sorted(operations))))
    return tuple(permissions) or (Permission(NO_PERMISSIONS_PLUGIN),)


def ceiling_of(permissions: Sequence[Permission]) -> Ceiling | None:
    """The ceiling that a stored permission list means: None (unrestricted) for an empty one."""
    if not permissions:
        return None
    plugins: dict[str, frozenset[str] | None] = {}
    for item in permissions:
        if not item.plugin or item.plugin == NO_PERMISSIONS_PLUGIN:
            continue
        operations = frozenset(name for name in map(str.strip, item.operations) if name)
        if not item.operations:
            plugins[item.plugin] = None
        elif item.plugin not in plugins:
            plugins[item.plugin] = operations
        else:
            present = plugins[item.plugin]
            plugins[item.plugin] = None if present is None else present | operations
    return Ceiling(plugins)


def reference_for(
    who: Principal, provider: str, target: Target, reference_id: str, extra: Iterable[Permission] = ()
) -> ExecutionReference:
    """The reference that a caller's object executes with (semantics.md 7.1).

    Args:
        who: Caller; its permission ceiling is copied whole.
        extra: Declared invokes of the caller's plugin that an agent target uses, added to a ceiling.
    """
    actor = who.actor
    return ExecutionReference(
        id=reference_id,
        provider=provider,
        target=target,
        subject_id=actor.subject_id,
        subject_kind=actor.subject_kind,
        display_name=actor.display_name,
        auth_source=actor.auth_source,
        credential_subject_id=who.credential_subject_id or actor.subject_id,
        permissions=permissions_of(who.ceiling, extra),
        caller_plugin=who.caller_plugin,
    )


def principal_of(reference: ExecutionReference) -> Principal:
    """The identity that a run executes as (semantics.md 7.3, 12.2)."""
    credential_subject = reference.credential_subject_id
    if not credential_subject and reference.subject_id.startswith("system:"):
        credential_subject = reference.subject_id
    return Principal(
        actor=Actor(
            reference.subject_id,
            reference.subject_kind or reference.subject_id.partition(":")[0],
            reference.display_name,
            reference.auth_source,
        ),
        credential_subject_id=credential_subject,
        ceiling=ceiling_of(reference.permissions),
        internal_connections=is_config_reference(reference),
    )


def is_config_reference(reference: ExecutionReference) -> bool:
    """Whether runs with it act as the configuration, which may use internal connections."""
    return (
        reference.auth_source == "config"
        and reference.subject_kind == "system"
        and reference.subject_id == CONFIG_SUBJECT_ID
        and reference.credential_subject_id == CONFIG_SUBJECT_ID
    )


def target_permissions(target: Target) -> tuple[Permission, ...]:
    """A target's own operations, merged in first-seen order: what its runs must be allowed to call.

    For an agent target: the agent provider itself (every operation: sessions and turns are not operations), each
    plugin tool, and the output delivery.
    """
    entries: list[Permission] = []
    if isinstance(target, PluginTarget):
        entries.append(Permission(target.plugin, (target.operation,)))
    elif isinstance(target, AgentTarget):
        for ref in target.tool_refs:
            if ref.plugin:
                entries.append(Permission(ref.plugin, (ref.operation,) if ref.operation else ()))
        if target.output_delivery is not None:
            delivery = target.output_delivery.target
            entries.append(Permission(delivery.plugin, (delivery.operation,)))
        if entries:
            entries.append(Permission(target.provider))
    return merge_permissions(entries)


def merge_permissions(entries: Iterable[Permission]) -> tuple[Permission, ...]:
    """One entry for each plugin in first-seen order, operations without duplicates; "all operations" wins."""
    merged: dict[str, list[str] | None] = {}
    for item in entries:
        present = merged.setdefault(item.plugin, [] if item.operations else None)
        if not item.operations:
            merged[item.plugin] = None
        elif present is not None:
            present.extend(name for name in item.operations if name not in present)
    return tuple(Permission(plugin, tuple(names or ())) for plugin, names in merged.items())
