"""Convert workflow messages of the contract and ``workflow.types`` into each other; targets are in ``targets``.

Names, ids and references are trimmed when they are read; prompts, message texts, event and actor fields are kept as
they come. Empty structs, lists and actors are left unset when they are written, so unset and empty mean the same.
"""

from __future__ import annotations

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.values import (
    from_struct,
    from_value,
    optional_struct,
    optional_time,
    optional_timestamp,
    to_value,
)
from gestalt_sdk.workflow.targets import target_from_proto, target_to_proto
from gestalt_sdk.workflow.types import (
    NOBODY,
    RUN_STATUSES,
    Actor,
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    ManualTrigger,
    Run,
    RunTrigger,
    Schedule,
    ScheduleTrigger,
    Signal,
)

# Actors ---------------------------------------------------------------------------------------------------------------


def actor_to_proto(actor: Actor) -> pb.WorkflowActor | None:
    """Return the actor, or None (field unset) when all four members are empty."""
    if actor == NOBODY:
        return None
    return pb.WorkflowActor(
        subject_id=actor.subject_id,
        subject_kind=actor.subject_kind,
        display_name=actor.display_name,
        auth_source=actor.auth_source,
    )


def actor_from_proto(message: pb.WorkflowActor) -> Actor:
    """Return the actor that the message describes."""
    return Actor(message.subject_id, message.subject_kind, message.display_name, message.auth_source)


# Events and run triggers ----------------------------------------------------------------------------------------------


def event_to_proto(event: Event) -> pb.WorkflowEvent:
    """Return the event as a message."""
    return pb.WorkflowEvent(
        id=event.id,
        source=event.source,
        spec_version=event.spec_version,
        type=event.type,
        subject=event.subject,
        time=optional_timestamp(event.time),
        datacontenttype=event.data_content_type,
        data=optional_struct(event.data),
        extensions={name: to_value(value) for name, value in event.extensions.items()},
    )


def event_from_proto(message: pb.WorkflowEvent) -> Event:
    """Return the event, its extensions sorted by name."""
    return Event(
        id=message.id,
        source=message.source,
        spec_version=message.spec_version,
        type=message.type,
        subject=message.subject,
        time=optional_time(message, "time"),
        data_content_type=message.datacontenttype,
        data=from_struct(message.data),
        extensions={name: from_value(message.extensions[name]) for name in sorted(message.extensions)},
    )


def match_to_proto(match: EventMatch) -> pb.WorkflowEventMatch:
    """Return the match as a message."""
    return pb.WorkflowEventMatch(type=match.type, source=match.source, subject=match.subject)


def match_from_proto(message: pb.WorkflowEventMatch) -> EventMatch:
    """Return what the trigger matches."""
    return EventMatch(message.type.strip(), message.source.strip(), message.subject.strip())


def run_trigger_to_proto(trigger: RunTrigger) -> pb.WorkflowRunTrigger:
    """Return why the run exists as a message."""
    if isinstance(trigger, ScheduleTrigger):
        schedule = pb.WorkflowScheduleTrigger(
            schedule_id=trigger.schedule_id, scheduled_for=optional_timestamp(trigger.scheduled_for)
        )
        return pb.WorkflowRunTrigger(schedule=schedule)
    if isinstance(trigger, EventTriggerInvocation):
        event = pb.WorkflowEventTriggerInvocation(trigger_id=trigger.trigger_id, event=event_to_proto(trigger.event))
        return pb.WorkflowRunTrigger(event=event)
    return pb.WorkflowRunTrigger(manual=pb.WorkflowManualTrigger())


def run_trigger_from_proto(message: pb.WorkflowRunTrigger) -> RunTrigger | None:
    """Return why the run exists, None when the message does not say."""
    kind = message.WhichOneof("kind")
    if kind == "schedule":
        return ScheduleTrigger(message.schedule.schedule_id.strip(), optional_time(message.schedule, "scheduled_for"))
    if kind == "event":
        return EventTriggerInvocation(message.event.trigger_id.strip(), event_from_proto(message.event.event))
    return ManualTrigger() if kind == "manual" else None


# Managed objects ------------------------------------------------------------------------------------------------------


def run_to_proto(run: Run) -> pb.BoundWorkflowRun:
    """Return the run as a message; a status that is empty is UNSPECIFIED."""
    return pb.BoundWorkflowRun(
        id=run.id,
        status=RUN_STATUSES.index(run.status) + 1 if run.status else 0,  # type: ignore[arg-type]
        target=None if run.target is None else target_to_proto(run.target),
        trigger=None if run.trigger is None else run_trigger_to_proto(run.trigger),
        created_at=optional_timestamp(run.created_at),
        started_at=optional_timestamp(run.started_at),
        completed_at=optional_timestamp(run.completed_at),
        status_message=run.status_message,
        result_body=run.result_body,
        result_truncated=run.result_truncated,
        created_by=actor_to_proto(run.created_by),
        execution_ref=run.execution_ref,
        workflow_key=run.workflow_key,
        published_by=None if run.published_by is None else actor_to_proto(run.published_by),
    )


def run_from_proto(message: pb.BoundWorkflowRun, provider: str = "") -> Run:
    """Return the run as the configured provider ``provider`` holds it; see ``status_from_proto``."""
    publisher = actor_from_proto(message.published_by) if message.HasField("published_by") else None
    return Run(
        id=message.id.strip(),
        provider=provider,
        status=status_from_proto(int(message.status)),
        target=target_from_proto(message.target),
        trigger=run_trigger_from_proto(message.trigger),
        created_at=optional_time(message, "created_at"),
        started_at=optional_time(message, "started_at"),
        completed_at=optional_time(message, "completed_at"),
        status_message=message.status_message,
        result_body=message.result_body,
        result_truncated=message.result_truncated,
        created_by=actor_from_proto(message.created_by),
        published_by=publisher,
        execution_ref=message.execution_ref.strip(),
        workflow_key=message.workflow_key.strip(),
    )


def status_from_proto(number: int) -> str:
    """Return the word, empty for UNSPECIFIED and for a number that this contract does not have."""
    return RUN_STATUSES[number - 1] if 1 <= number <= len(RUN_STATUSES) else ""


def schedule_to_proto(schedule: Schedule) -> pb.BoundWorkflowSchedule:
    """Return the schedule as a message."""
    return pb.BoundWorkflowSchedule(
        id=schedule.id,
        cron=schedule.cron,
        timezone=schedule.timezone,
        target=None if schedule.target is None else target_to_proto(schedule.target),
        paused=schedule.paused,
        created_at=optional_timestamp(schedule.created_at),
        updated_at=optional_timestamp(schedule.updated_at),
        next_run_at=optional_timestamp(schedule.next_run_at),
        created_by=actor_to_proto(schedule.created_by),
        execution_ref=schedule.execution_ref,
        revision=schedule.revision,
    )


def schedule_from_proto(message: pb.BoundWorkflowSchedule, provider: str = "") -> Schedule:
    """Return the schedule as the configured provider ``provider`` holds it."""
    return Schedule(
        id=message.id.strip(),
        provider=provider,
        cron=message.cron.strip(),
        timezone=message.timezone.strip(),
        target=target_from_proto(message.target),
        paused=message.paused,
        created_at=optional_time(message, "created_at"),
        updated_at=optional_time(message, "updated_at"),
        next_run_at=optional_time(message, "next_run_at"),
        created_by=actor_from_proto(message.created_by),
        execution_ref=message.execution_ref.strip(),
        revision=message.revision,
    )


def trigger_to_proto(trigger: EventTrigger) -> pb.BoundWorkflowEventTrigger:
    """Return the trigger as a message."""
    return pb.BoundWorkflowEventTrigger(
        id=trigger.id,
        match=match_to_proto(trigger.match),
        target=None if trigger.target is None else target_to_proto(trigger.target),
        paused=trigger.paused,
        created_at=optional_timestamp(trigger.created_at),
        updated_at=optional_timestamp(trigger.updated_at),
        created_by=actor_to_proto(trigger.created_by),
        execution_ref=trigger.execution_ref,
        revision=trigger.revision,
    )


def trigger_from_proto(message: pb.BoundWorkflowEventTrigger, provider: str = "") -> EventTrigger:
    """Return the trigger as the configured provider ``provider`` holds it."""
    return EventTrigger(
        id=message.id.strip(),
        provider=provider,
        match=match_from_proto(message.match),
        target=target_from_proto(message.target),
        paused=message.paused,
        created_at=optional_time(message, "created_at"),
        updated_at=optional_time(message, "updated_at"),
        created_by=actor_from_proto(message.created_by),
        execution_ref=message.execution_ref.strip(),
        revision=message.revision,
    )


# Signals --------------------------------------------------------------------------------------------------------------


def signal_to_proto(signal: Signal) -> pb.WorkflowSignal:
    """Return the signal as a message."""
    return pb.WorkflowSignal(
        id=signal.id,
        name=signal.name,
        payload=optional_struct(signal.payload),
        metadata=optional_struct(signal.metadata),
        created_by=actor_to_proto(signal.created_by),
        created_at=optional_timestamp(signal.created_at),
        idempotency_key=signal.idempotency_key,
        sequence=signal.sequence,
    )


def signal_from_proto(message: pb.WorkflowSignal) -> Signal:
    """Return the signal that the message describes."""
    return Signal(
        id=message.id.strip(),
        name=message.name.strip(),
        payload=from_struct(message.payload),
        metadata=from_struct(message.metadata),
        created_by=actor_from_proto(message.created_by),
        created_at=optional_time(message, "created_at"),
        idempotency_key=message.idempotency_key.strip(),
        sequence=message.sequence,
    )
