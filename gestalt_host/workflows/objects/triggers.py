"""The ``ObjectKind`` of event triggers."""

from __future__ import annotations

from dataclasses import replace

from gestalt_host.workflows.model import EventTrigger, EventTriggerSpec, Target
from gestalt_host.workflows.objects.managed import ObjectKind, Upsert
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.references.ids import TRIGGER_REFERENCE_PREFIX, trigger_id, trigger_reference_id
from gestalt_host.workflows.sizes import check_match


def _same(stored: EventTrigger, request: EventTriggerSpec) -> bool:
    return stored.match == request.match and stored.paused == request.paused


def _with_target(request: EventTriggerSpec, target: Target) -> EventTriggerSpec:
    return replace(request, target=target)


async def _upsert(client: WorkflowProviderClient, write: Upsert[EventTriggerSpec]) -> EventTrigger:
    request = write.request
    return await client.upsert_trigger(
        write.object_id,
        match=request.match,
        target=request.target,
        paused=request.paused,
        requested_by=write.requested_by.actor,
        execution_ref=write.reference.id,
        retarget=write.retarget,
        retire_execution_ref=write.retire,
        created_at=write.created_at,
        if_revision=write.if_revision,
        if_absent=write.if_absent,
    )


async def _delete(client: WorkflowProviderClient, object_id: str, retire: str, revision: int) -> None:
    await client.delete_trigger(object_id, retire_execution_ref=retire, if_revision=revision)


async def _pause(client: WorkflowProviderClient, object_id: str, revision: int) -> EventTrigger:
    return await client.pause_trigger(object_id, if_revision=revision)


async def _resume(client: WorkflowProviderClient, object_id: str, revision: int) -> EventTrigger:
    return await client.resume_trigger(object_id, if_revision=revision)


EVENT_TRIGGERS: ObjectKind[EventTrigger, EventTriggerSpec] = ObjectKind(
    word="trigger",
    new_id=trigger_id,
    reference_id=trigger_reference_id,
    reference_prefix=TRIGGER_REFERENCE_PREFIX,
    same=_same,
    with_target=_with_target,
    check=check_match,
    get=WorkflowProviderClient.get_trigger,
    of_subjects=WorkflowProviderClient.triggers_of,
    upsert=_upsert,
    delete=_delete,
    pause=_pause,
    resume=_resume,
)
