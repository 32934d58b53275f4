"""The ``ObjectKind`` of schedules."""

from __future__ import annotations

from dataclasses import replace

from gestalt_host.workflows.model import Schedule, ScheduleSpec, Target
from gestalt_host.workflows.objects.managed import ObjectKind, Upsert
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.references.ids import SCHEDULE_REFERENCE_PREFIX, schedule_id, schedule_reference_id
from gestalt_host.workflows.sizes import check_timing


def _same(stored: Schedule, request: ScheduleSpec) -> bool:
    # A blank time zone is stored as UTC.
    zones = (stored.timezone or "UTC", request.timezone or "UTC")
    return stored.cron == request.cron and zones[0] == zones[1] and stored.paused == request.paused


def _with_target(request: ScheduleSpec, target: Target) -> ScheduleSpec:
    return replace(request, target=target)


async def _upsert(client: WorkflowProviderClient, write: Upsert[ScheduleSpec]) -> Schedule:
    request = write.request
    return await client.upsert_schedule(
        write.object_id,
        cron=request.cron,
        timezone=request.timezone,
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
    await client.delete_schedule(object_id, retire_execution_ref=retire, if_revision=revision)


async def _pause(client: WorkflowProviderClient, object_id: str, revision: int) -> Schedule:
    return await client.pause_schedule(object_id, if_revision=revision)


async def _resume(client: WorkflowProviderClient, object_id: str, revision: int) -> Schedule:
    return await client.resume_schedule(object_id, if_revision=revision)


SCHEDULES: ObjectKind[Schedule, ScheduleSpec] = ObjectKind(
    word="schedule",
    new_id=schedule_id,
    reference_id=schedule_reference_id,
    reference_prefix=SCHEDULE_REFERENCE_PREFIX,
    same=_same,
    with_target=_with_target,
    check=check_timing,
    get=WorkflowProviderClient.get_schedule,
    of_subjects=WorkflowProviderClient.schedules_of,
    upsert=_upsert,
    delete=_delete,
    pause=_pause,
    resume=_resume,
)
