"""Read and write the messages that stored objects carry as bytes: targets, events, triggers, signals, references.

Pure functions between bytes and the types of ``model``; the messages of calls are in ``messages``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from google.protobuf.message import DecodeError

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.values import to_timestamp
from gestalt_workflow.model.objects import Event, NewSignal, Reference, RunTrigger, Signal, Target, TriggerKind


def operation_of(target: Target) -> str:
    """Return the operation of a plugin target, blank for an agent, or when the target cannot be read."""
    try:
        return "" if target.is_agent else pb.BoundWorkflowTarget.FromString(target.data).plugin.operation
    except DecodeError:
        return ""


def same_event(first: bytes, second: bytes) -> bool:
    """Return whether two encoded events are one but for their time, which is filled in where a publisher gives none."""
    if first == second:
        return True
    messages = [pb.WorkflowEvent.FromString(data) for data in (first, second)]
    for message in messages:
        message.ClearField("time")
    return messages[0] == messages[1]


_MANUAL = RunTrigger(TriggerKind.MANUAL, pb.WorkflowRunTrigger(manual=pb.WorkflowManualTrigger()).SerializeToString())


def manual_trigger() -> RunTrigger:
    """Return what marks a run as started by hand."""
    return _MANUAL


def schedule_trigger(schedule_id: str, slot: datetime) -> RunTrigger:
    """Return what marks a run as made by a slot of a schedule."""
    message = pb.WorkflowRunTrigger(
        schedule=pb.WorkflowScheduleTrigger(schedule_id=schedule_id, scheduled_for=to_timestamp(slot))
    )
    return RunTrigger(TriggerKind.SCHEDULE, message.SerializeToString(), schedule_id=schedule_id, slot=slot)


def event_trigger(trigger_id: str, event: Event) -> RunTrigger:
    """Return what marks a run as made by an event that met a trigger."""
    message = pb.WorkflowRunTrigger()
    message.event.trigger_id = trigger_id
    message.event.event.MergeFromString(event.data)
    return RunTrigger(TriggerKind.EVENT, message.SerializeToString(deterministic=True), trigger_id=trigger_id)


def stored_signal_data(signal: NewSignal, signal_id: str, sequence: int, now: datetime) -> bytes:
    """Return the signal as it is kept and answered: with its id, sequence and, when it had none, creation time."""
    message = pb.WorkflowSignal.FromString(signal.data)
    message.id = signal_id
    message.sequence = sequence
    if not message.HasField("created_at"):
        message.created_at.CopyFrom(to_timestamp(now))
    return message.SerializeToString(deterministic=True)


def signal_subject(signal: Signal) -> str:
    """Return the subject that the signal's idempotency key is scoped by."""
    return pb.WorkflowSignal.FromString(signal.data).created_by.subject_id.strip()


def named_reference(reference: Reference, own_name: str) -> Reference:
    """Return the reference with a provider name, the own one when it came without."""
    message = pb.WorkflowExecutionReference.FromString(reference.data)
    if message.provider_name:
        return reference
    message.provider_name = own_name
    return replace(reference, data=message.SerializeToString(deterministic=True))
