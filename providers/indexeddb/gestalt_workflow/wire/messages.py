"""Convert messages of calls to this provider's own types and back; what travels unchanged stays encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from google.protobuf.message import DecodeError

from gestalt_sdk.common.sizes import EVENT_TEXT_BYTES, KEY_BYTES, NAME_BYTES
from gestalt_sdk.gen.extension.v1 import causes_pb2
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.values import from_timestamp, to_timestamp
from gestalt_workflow.model.errors import InvalidRequest, Undecodable
from gestalt_workflow.model.ids import kept_event, new_id
from gestalt_workflow.model.objects import (
    NOBODY,
    Actor,
    Cause,
    Event,
    EventMatch,
    EventTrigger,
    NewSignal,
    Reference,
    Run,
    Schedule,
    Signal,
)
from gestalt_workflow.wire.policies import pause_to_proto, run_policy_to_proto, schedule_policy_to_proto
from gestalt_workflow.wire.sizes import bounded, named
from gestalt_workflow.wire.targets import target_from_proto


def actor_from_proto(message: pb.WorkflowActor) -> Actor:
    """Return the actor as sent, untrimmed."""
    return Actor(message.subject_id, message.subject_kind, message.display_name, message.auth_source)


P = ParamSpec("P")
R = TypeVar("R")


def readable(convert: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return a converter that turns encoded contents of a record that are no message into ``Undecodable``."""

    @wraps(convert)
    def checked(item: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return convert(item, *args, **kwargs)
        except DecodeError as error:
            raise Undecodable(f"record {item.id!r}: {error}", item.id) from error

    return checked


def actor_to_proto(actor: Actor) -> pb.WorkflowActor | None:
    """Return the actor; None for nobody, so that the field stays unset."""
    if actor == NOBODY:
        return None
    return pb.WorkflowActor(
        subject_id=actor.subject_id,
        subject_kind=actor.subject_kind,
        display_name=actor.display_name,
        auth_source=actor.auth_source,
    )


def target_to_proto(data: bytes) -> pb.BoundWorkflowTarget:
    """Return the target that was kept encoded."""
    return pb.BoundWorkflowTarget.FromString(data)


_EVENT_TEXTS = ("type", "source", "subject")


def match_from_proto(message: pb.WorkflowEventMatch) -> EventMatch:
    """Return the match, trimmed; raise ``InvalidRequest`` without a type, or when a text is too long."""
    texts = (named(f"match.{name}", getattr(message, name), EVENT_TEXT_BYTES) for name in _EVENT_TEXTS)
    match = EventMatch(*texts)
    if not match.type:
        raise InvalidRequest("match.type is required")
    return match


def event_from_proto(request: pb.PublishWorkflowProviderEventRequest, now: datetime) -> Event:
    """Return the event normalised as the host does it: trimmed, id, version and time filled in.

    Raises:
        InvalidRequest: there is none, it has no type, or one of its texts is too long.
    """
    if not request.HasField("event"):
        raise InvalidRequest("event is required")
    event = pb.WorkflowEvent()
    event.CopyFrom(request.event)
    for name in ("id", "spec_version", "datacontenttype", *_EVENT_TEXTS):
        value = getattr(event, name)
        trimmed = named(f"event.{name}", value, EVENT_TEXT_BYTES if name in _EVENT_TEXTS else NAME_BYTES)
        if value != trimmed:
            setattr(event, name, trimmed)
    if not event.type:
        raise InvalidRequest("event.type is required")
    event.id = event.id or new_id()
    event.spec_version = event.spec_version or "1.0"
    if not event.HasField("time"):
        event.time.CopyFrom(to_timestamp(now))
    data = bounded("event", event.SerializeToString(deterministic=True))
    return Event(event.id, event.source, event.type, event.subject, data)


@readable
def schedule_to_proto(schedule: Schedule) -> pb.BoundWorkflowSchedule:
    """Return the schedule as a message."""
    return pb.BoundWorkflowSchedule(
        id=schedule.id,
        cron=schedule.cron,
        timezone=schedule.timezone,
        target=target_to_proto(schedule.target.data),
        paused=schedule.paused,
        created_at=to_timestamp(schedule.created_at),
        updated_at=to_timestamp(schedule.updated_at),
        next_run_at=to_timestamp(schedule.next_run_at) if schedule.next_run_at else None,
        created_by=actor_to_proto(schedule.created_by),
        execution_ref=schedule.execution_ref,
        policy=schedule_policy_to_proto(schedule.policy),
        revision=schedule.edit,
        pause=pause_to_proto(schedule.pause),
    )


def moved_from_proto(
    request: pb.UpsertWorkflowProviderScheduleRequest | pb.UpsertWorkflowProviderEventTriggerRequest,
) -> datetime | None:
    """Return the creation time of an object that moves here from another provider, None for any other."""
    return from_timestamp(request.created_at) if request.HasField("created_at") else None


@readable
def trigger_to_proto(trigger: EventTrigger) -> pb.BoundWorkflowEventTrigger:
    """Return the trigger as a message."""
    match = trigger.match
    return pb.BoundWorkflowEventTrigger(
        id=trigger.id,
        match=pb.WorkflowEventMatch(type=match.type, source=match.source, subject=match.subject),
        target=target_to_proto(trigger.target.data),
        paused=trigger.paused,
        created_at=to_timestamp(trigger.created_at),
        updated_at=to_timestamp(trigger.updated_at),
        created_by=actor_to_proto(trigger.created_by),
        execution_ref=trigger.execution_ref,
        policy=run_policy_to_proto(trigger.policy),
        revision=trigger.edit,
        pause=pause_to_proto(trigger.pause),
    )


@readable
def run_to_proto(run: Run) -> pb.BoundWorkflowRun:
    """Return the run as a message."""
    return pb.BoundWorkflowRun(
        id=run.id,
        status=run.status.wire_name,
        target=target_to_proto(run.target.data),
        trigger=pb.WorkflowRunTrigger.FromString(run.trigger.data),
        created_at=to_timestamp(run.created_at),
        started_at=to_timestamp(run.started_at) if run.started_at else None,
        completed_at=to_timestamp(run.completed_at) if run.completed_at else None,
        status_message=run.status_message,
        result_body=run.result_body,
        created_by=actor_to_proto(run.created_by),
        execution_ref=run.execution_ref,
        workflow_key=run.workflow_key,
        published_by=actor_to_proto(run.published_by),
        attempt=run.attempt,
        policy=run_policy_to_proto(run.policy),
        not_before=to_timestamp(run.not_before) if run.not_before else None,
        waits_for_run_id=run.blocked_by,
        result_truncated=run.result_truncated,
        waits_for_limit=run.lane,
        cause=cause_to_proto(run.cause) if run.cause is not None else None,
    )


def cause_to_proto(cause: Cause) -> causes_pb2.Cause:
    """Return the cause as a message."""
    return causes_pb2.Cause(root=cause.root, chain=cause.chain)


def cause_from_proto(message: causes_pb2.Cause, *, present: bool) -> Cause | None:
    """Return the cause; raise ``InvalidRequest`` when it cannot be one."""
    if not present:
        return None
    if not message.root or message.chain < 0:
        raise InvalidRequest(
            f"cause has root {message.root!r} and chain {message.chain}; "
            "accepted are the id of a run or event, and a number from 0"
        )
    return Cause(message.root, message.chain)


def signal_from_proto(message: pb.WorkflowSignal, *, present: bool) -> NewSignal:
    """Return the signal, trimmed; raise ``InvalidRequest`` when there is none or it has no name."""
    if not present:
        raise InvalidRequest("signal is required")
    signal = pb.WorkflowSignal()
    signal.CopyFrom(message)
    for name, limit in (("id", NAME_BYTES), ("name", NAME_BYTES), ("idempotency_key", KEY_BYTES)):
        setattr(signal, name, named(f"signal.{name}", getattr(signal, name), limit))
    if not signal.name:
        raise InvalidRequest("signal.name is required")
    return NewSignal(
        data=bounded("signal", signal.SerializeToString(deterministic=True)),
        id=signal.id,
        idempotency_key=signal.idempotency_key,
        sequence=signal.sequence,
        subject_id=signal.created_by.subject_id.strip(),
    )


@readable
def signal_to_proto(signal: Signal) -> pb.WorkflowSignal:
    """Return the signal as it is kept."""
    return pb.WorkflowSignal.FromString(signal.data)


def reference_from_proto(message: pb.WorkflowExecutionReference, now: datetime) -> Reference:
    """Return the checked reference; ``created_at`` is ``now`` when it has none.

    Raises:
        InvalidRequest: id, subject or a valid target is missing.
    """
    reference = pb.WorkflowExecutionReference()
    reference.CopyFrom(message)
    for name in ("id", "provider_name", "subject_id", "credential_subject_id", "subject_kind", "auth_source"):
        setattr(reference, name, getattr(reference, name).strip())
    if not reference.id:
        raise InvalidRequest("id is required")
    target = target_from_proto(reference.target, present=reference.HasField("target"))
    if not reference.subject_id:
        raise InvalidRequest("subject_id is required")
    reference.target.ParseFromString(target.data)
    permissions = [permission for permission in message.permissions if permission.plugin.strip()]
    del reference.permissions[:]
    for permission in permissions:
        reference.permissions.add(plugin=permission.plugin.strip(), operations=permission.operations)
    created_at, revoked_at, retired_at = (
        from_timestamp(getattr(reference, name)) if reference.HasField(name) else None for name in _REFERENCE_TIMES
    )
    for name in _REFERENCE_TIMES:
        reference.ClearField(name)
    return Reference(
        id=reference.id,
        subject_id=reference.subject_id,
        data=bounded("reference", reference.SerializeToString(deterministic=True)),
        created_at=created_at or now,
        revoked_at=revoked_at,
        retired_at=retired_at,
        signed=bool(reference.signature),
    )


_REFERENCE_TIMES = ("created_at", "revoked_at", "retired_at")


@readable
def reference_to_proto(reference: Reference) -> pb.WorkflowExecutionReference:
    """Return the reference as a message."""
    message = pb.WorkflowExecutionReference.FromString(reference.data)
    message.created_at.CopyFrom(to_timestamp(reference.created_at))
    if reference.revoked_at is not None:
        message.revoked_at.CopyFrom(to_timestamp(reference.revoked_at))
    if reference.retired_at is not None:
        message.retired_at.CopyFrom(to_timestamp(reference.retired_at))
    return message


@readable
def invocation_to_proto(
    run: Run, signals: Sequence[Signal], reference: Reference | None
) -> pb.InvokeWorkflowOperationRequest:
    """Return the request that has the host invoke the run."""
    request = pb.InvokeWorkflowOperationRequest(
        run_id=run.id,
        created_by=actor_to_proto(run.created_by),
        execution_ref=run.execution_ref,
        signals=[signal_to_proto(signal) for signal in signals],
        published_by=actor_to_proto(run.published_by),
        reference=reference_to_proto(reference) if reference is not None else None,
        attempt=run.attempt,
    )
    request.target.MergeFromString(run.target.data)
    request.trigger.MergeFromString(run.trigger.data)
    request.cause.CopyFrom(cause_to_proto(run.cause or _own_cause(run, request.trigger)))
    return request


def _own_cause(run: Run, trigger: pb.WorkflowRunTrigger) -> Cause:
    """Return the root that a run without a cause is, or comes from: the event that made it, else itself."""
    if not trigger.HasField("event"):
        return Cause(run.id)
    return Cause(kept_event(trigger.event.event.source, trigger.event.event.id))
