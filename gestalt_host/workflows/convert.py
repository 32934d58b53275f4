"""Workflow messages of the contract <-> the host's own model; targets are in ``target_convert``.

Names, ids and references are trimmed when they are read; prompts, message texts, event and actor fields are kept as
they come. Empty structs, lists and actors are left unset when they are written, so unset and empty mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from gestalt_host.access.subjects import NOBODY, Actor
from gestalt_host.errors import InvalidArgument
from gestalt_host.workflows.model import (
    RUN_STATUSES,
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    ExecutionReference,
    ManualTrigger,
    Permission,
    PluginTarget,
    Run,
    RunTrigger,
    Schedule,
    ScheduleTrigger,
    Signal,
)
from gestalt_host.workflows.target_convert import struct_to_proto, target_from_proto, target_to_proto
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.values import from_struct, from_timestamp, from_value, to_timestamp, to_value


class UnknownRunStatus(InvalidArgument):
    """A provider sent a status number that the contract does not have; the whole call fails (contract.md 4.1.1)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"unknown workflow run status {number}")


def _time_from(message: Any, field: str) -> datetime | None:
    return from_timestamp(getattr(message, field)) if message.HasField(field) else None


def _time_to(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else to_timestamp(moment)


# Actors ---------------------------------------------------------------------------------------------------------------


def actor_to_proto(actor: Actor) -> pb.WorkflowActor | None:
    """The actor, or None (field unset) when all four members are empty."""
    if actor == NOBODY:
        return None
    return pb.WorkflowActor(
        subject_id=actor.subject_id,
        subject_kind=actor.subject_kind,
        display_name=actor.display_name,
        auth_source=actor.auth_source,
    )


def actor_from_proto(message: pb.WorkflowActor) -> Actor:
    return Actor(message.subject_id, message.subject_kind, message.display_name, message.auth_source)


# Events and run triggers ----------------------------------------------------------------------------------------------


def event_to_proto(event: Event) -> pb.WorkflowEvent:
    return pb.WorkflowEvent(
        id=event.id,
        source=event.source,
        spec_version=event.spec_version,
        type=event.type,
        subject=event.subject,
        time=_time_to(event.time),
        datacontenttype=event.data_content_type,
        data=struct_to_proto(event.data),
        extensions={name: to_value(value) for name, value in event.extensions.items()},
    )


def event_from_proto(message: pb.WorkflowEvent) -> Event:
    return Event(
        id=message.id,
        source=message.source,
        spec_version=message.spec_version,
        type=message.type,
        subject=message.subject,
        time=_time_from(message, "time"),
        data_content_type=message.datacontenttype,
        data=from_struct(message.data),
        extensions={name: from_value(message.extensions[name]) for name in sorted(message.extensions)},
    )


def match_to_proto(match: EventMatch) -> pb.WorkflowEventMatch:
    return pb.WorkflowEventMatch(type=match.type, source=match.source, subject=match.subject)


def match_from_proto(message: pb.WorkflowEventMatch) -> EventMatch:
    return EventMatch(message.type.strip(), message.source.strip(), message.subject.strip())


def run_trigger_to_proto(trigger: RunTrigger) -> pb.WorkflowRunTrigger:
    if isinstance(trigger, ScheduleTrigger):
        schedule = pb.WorkflowScheduleTrigger(
            schedule_id=trigger.schedule_id, scheduled_for=_time_to(trigger.scheduled_for)
        )
        return pb.WorkflowRunTrigger(schedule=schedule)
    if isinstance(trigger, EventTriggerInvocation):
        event = pb.WorkflowEventTriggerInvocation(trigger_id=trigger.trigger_id, event=event_to_proto(trigger.event))
        return pb.WorkflowRunTrigger(event=event)
    return pb.WorkflowRunTrigger(manual=pb.WorkflowManualTrigger())


def run_trigger_from_proto(message: pb.WorkflowRunTrigger) -> RunTrigger | None:
    kind = message.WhichOneof("kind")
    if kind == "schedule":
        return ScheduleTrigger(message.schedule.schedule_id.strip(), _time_from(message.schedule, "scheduled_for"))
    if kind == "event":
        return EventTriggerInvocation(message.event.trigger_id.strip(), event_from_proto(message.event.event))
    return ManualTrigger() if kind == "manual" else None


# Managed objects ------------------------------------------------------------------------------------------------------


def run_to_proto(run: Run) -> pb.BoundWorkflowRun:
    return pb.BoundWorkflowRun(
        id=run.id,
        status=RUN_STATUSES.index(run.status) + 1 if run.status else 0,  # type: ignore[arg-type]
        target=None if run.target is None else target_to_proto(run.target),
        trigger=None if run.trigger is None else run_trigger_to_proto(run.trigger),
        created_at=_time_to(run.created_at),
        started_at=_time_to(run.started_at),
        completed_at=_time_to(run.completed_at),
        status_message=run.status_message,
        result_body=run.result_body,
        created_by=actor_to_proto(run.created_by),
        execution_ref=run.execution_ref,
        workflow_key=run.workflow_key,
        published_by=None if run.published_by is None else actor_to_proto(run.published_by),
    )


def run_from_proto(message: pb.BoundWorkflowRun, provider: str) -> Run:
    """The run as ``provider`` holds it.

    Raises:
        UnknownRunStatus: for a status number that the contract does not have.
    """
    publisher = actor_from_proto(message.published_by) if message.HasField("published_by") else None
    return Run(
        id=message.id.strip(),
        provider=provider,
        status=status_from_proto(int(message.status)),
        target=target_from_proto(message.target),
        trigger=run_trigger_from_proto(message.trigger),
        created_at=_time_from(message, "created_at"),
        started_at=_time_from(message, "started_at"),
        completed_at=_time_from(message, "completed_at"),
        status_message=message.status_message,
        result_body=message.result_body,
        created_by=actor_from_proto(message.created_by),
        published_by=publisher,
        execution_ref=message.execution_ref.strip(),
        workflow_key=message.workflow_key.strip(),
    )


def status_from_proto(number: int) -> str:
    if number == 0:
        return ""
    if not 1 <= number <= len(RUN_STATUSES):
        raise UnknownRunStatus(number)
    return RUN_STATUSES[number - 1]


def schedule_to_proto(schedule: Schedule) -> pb.BoundWorkflowSchedule:
    return pb.BoundWorkflowSchedule(
        id=schedule.id,
        cron=schedule.cron,
        timezone=schedule.timezone,
        target=None if schedule.target is None else target_to_proto(schedule.target),
        paused=schedule.paused,
        created_at=_time_to(schedule.created_at),
        updated_at=_time_to(schedule.updated_at),
        next_run_at=_time_to(schedule.next_run_at),
        created_by=actor_to_proto(schedule.created_by),
        execution_ref=schedule.execution_ref,
    )


def schedule_from_proto(message: pb.BoundWorkflowSchedule, provider: str) -> Schedule:
    return Schedule(
        id=message.id.strip(),
        provider=provider,
        cron=message.cron.strip(),
        timezone=message.timezone.strip(),
        target=target_from_proto(message.target),
        paused=message.paused,
        created_at=_time_from(message, "created_at"),
        updated_at=_time_from(message, "updated_at"),
        next_run_at=_time_from(message, "next_run_at"),
        created_by=actor_from_proto(message.created_by),
        execution_ref=message.execution_ref.strip(),
    )


def trigger_to_proto(trigger: EventTrigger) -> pb.BoundWorkflowEventTrigger:
    return pb.BoundWorkflowEventTrigger(
        id=trigger.id,
        match=match_to_proto(trigger.match),
        target=None if trigger.target is None else target_to_proto(trigger.target),
        paused=trigger.paused,
        created_at=_time_to(trigger.created_at),
        updated_at=_time_to(trigger.updated_at),
        created_by=actor_to_proto(trigger.created_by),
        execution_ref=trigger.execution_ref,
    )


def trigger_from_proto(message: pb.BoundWorkflowEventTrigger, provider: str) -> EventTrigger:
    return EventTrigger(
        id=message.id.strip(),
        provider=provider,
        match=match_from_proto(message.match),
        target=target_from_proto(message.target),
        paused=message.paused,
        created_at=_time_from(message, "created_at"),
        updated_at=_time_from(message, "updated_at"),
        created_by=actor_from_proto(message.created_by),
        execution_ref=message.execution_ref.strip(),
    )


# Execution references and signals -------------------------------------------------------------------------------------


def reference_to_proto(reference: ExecutionReference) -> pb.WorkflowExecutionReference:
    return pb.WorkflowExecutionReference(
        id=reference.id,
        provider_name=reference.provider,
        target=target_to_proto(reference.target),
        subject_id=reference.subject_id,
        credential_subject_id=reference.credential_subject_id,
        permissions=_permissions_to(reference.permissions),
        created_at=_time_to(reference.created_at),
        revoked_at=_time_to(reference.revoked_at),
        subject_kind=reference.subject_kind,
        display_name=reference.display_name,
        auth_source=reference.auth_source,
        caller_plugin_name=reference.caller_plugin,
        signature=reference.signature,
        signature_key_id=reference.signature_key_id,
        retired_at=_time_to(reference.retired_at),
    )


def reference_from_proto(message: pb.WorkflowExecutionReference) -> ExecutionReference:
    target = target_from_proto(message.target)
    return ExecutionReference(
        id=message.id.strip(),
        provider=message.provider_name.strip(),
        # A reference without a target allows nothing: no operation has an empty plugin name.
        target=PluginTarget("", "") if target is None else target,
        subject_id=message.subject_id.strip(),
        subject_kind=message.subject_kind.strip(),
        display_name=message.display_name.strip(),
        auth_source=message.auth_source.strip(),
        credential_subject_id=message.credential_subject_id.strip(),
        permissions=_permissions_from(message.permissions),
        caller_plugin=message.caller_plugin_name.strip(),
        created_at=_time_from(message, "created_at"),
        revoked_at=_time_from(message, "revoked_at"),
        retired_at=_time_from(message, "retired_at"),
        signature=message.signature,
        signature_key_id=message.signature_key_id,
    )


def _permissions_to(permissions: Iterable[Permission]) -> list[pb.WorkflowAccessPermission]:
    return [pb.WorkflowAccessPermission(plugin=item.plugin, operations=item.operations) for item in permissions]


def _permissions_from(messages: Iterable[pb.WorkflowAccessPermission]) -> tuple[Permission, ...]:
    return tuple(Permission(item.plugin.strip(), tuple(item.operations)) for item in messages)


def signal_to_proto(signal: Signal) -> pb.WorkflowSignal:
    return pb.WorkflowSignal(
        id=signal.id,
        name=signal.name,
        payload=struct_to_proto(signal.payload),
        metadata=struct_to_proto(signal.metadata),
        created_by=actor_to_proto(signal.created_by),
        created_at=_time_to(signal.created_at),
        idempotency_key=signal.idempotency_key,
        sequence=signal.sequence,
    )


def signal_from_proto(message: pb.WorkflowSignal) -> Signal:
    return Signal(
        id=message.id.strip(),
        name=message.name.strip(),
        payload=from_struct(message.payload),
        metadata=from_struct(message.metadata),
        created_by=actor_from_proto(message.created_by),
        created_at=_time_from(message, "created_at"),
        idempotency_key=message.idempotency_key.strip(),
        sequence=message.sequence,
    )
