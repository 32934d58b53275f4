"""Execution references: whom a run executes as, and with which ceiling (semantics.md 7).

They are stored by the workflow provider (``store``) and signed by this host (``signing``).
"""

from __future__ import annotations

from collections.abc import Iterable

from gestalt_host.access.subjects import CONFIG_SUBJECT_ID, Actor, Principal
from gestalt_host.workflows.model import ExecutionReference, Permission, Target
from gestalt_host.workflows.targets.permissions import ceiling_of, permissions_of


def reference_for(
    who: Principal, provider: str, target: Target, reference_id: str, extra: Iterable[Permission] = ()
) -> ExecutionReference:
    """Make the reference that a caller's object executes with.

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
    """Return the identity that a run executes as."""
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
    """Return whether runs with it act as the configuration, which may use internal connections."""
    return (
        reference.auth_source == "config"
        and reference.subject_kind == "system"
        and reference.subject_id == CONFIG_SUBJECT_ID
        and reference.credential_subject_id == CONFIG_SUBJECT_ID
    )
