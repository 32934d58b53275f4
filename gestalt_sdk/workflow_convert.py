"""Workflow objects between generated types and ``workflow_types``; each pair of functions is inverse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from gestalt_sdk.gen.v1 import agent_pb2
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.values import from_struct, from_timestamp, from_value, to_struct, to_timestamp, to_value
from gestalt_sdk.workflow_types import (
    Actor,
    AgentMessage,
    AgentTarget,
    Event,
    EventMatch,
    EventTrigger,
    OutputBinding,
    OutputDelivery,
    PluginTarget,
    Run,
    RunTrigger,
    Schedule,
    Signal,
    Target,
    ToolRef,
)

_STATUSES = {
    pb.WORKFLOW_RUN_STATUS_PENDING: "pending",
    pb.WORKFLOW_RUN_STATUS_RUNNING: "running",
    pb.WORKFLOW_RUN_STATUS_SUCCEEDED: "succeeded",
    pb.WORKFLOW_RUN_STATUS_FAILED: "failed",
    pb.WORKFLOW_RUN_STATUS_CANCELED: "canceled",
}
_STATUS_NUMBERS = {word: number for number, word in _STATUSES.items()}


def optional_struct(value: Mapping[str, Any]) -> Struct | None:
    """Unset for an empty mapping."""
    return to_struct(value) if value else None


def optional_timestamp(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else to_timestamp(moment)


def optional_time(message: Any, name: str) -> datetime | None:
    """The named Timestamp field of the message, None when unset."""
    return from_timestamp(getattr(message, name)) if message.HasField(name) else None


def target_to_proto(target: Target) -> pb.BoundWorkflowTarget:
    if isinstance(target, PluginTarget):
        return pb.BoundWorkflowTarget(plugin=_plugin_to_proto(target))
    delivery = target.output_delivery
    return pb.BoundWorkflowTarget(
        agent=pb.BoundWorkflowAgentTarget(
            provider_name=target.provider,
            model=target.model,
            prompt=target.prompt,
            messages=[message_to_proto(message) for message in target.messages],
            tool_refs=[tool_ref_to_proto(ref) for ref in target.tool_refs],
            response_schema=optional_struct(target.response_schema),
            metadata=optional_struct(target.metadata),
            model_options=optional_struct(target.model_options),
            timeout_seconds=target.timeout_seconds,
            output_delivery=None if delivery is None else _delivery_to_proto(delivery),
        )
    )


def target_from_proto(message: pb.BoundWorkflowTarget) -> Target | None:
    """None when no kind is set."""
    kind = message.WhichOneof("kind")
    if kind == "plugin":
        return _plugin_from_proto(message.plugin)
    if kind is None:
        return None
    agent = message.agent
    return AgentTarget(
        provider=agent.provider_name,
        model=agent.model,
        prompt=agent.prompt,
        messages=tuple(message_from_proto(each) for each in agent.messages),
        tool_refs=tuple(tool_ref_from_proto(ref) for ref in agent.tool_refs),
        response_schema=from_struct(agent.response_schema),
        metadata=from_struct(agent.metadata),
        model_options=from_struct(agent.model_options),
        timeout_seconds=agent.timeout_seconds,
        output_delivery=_delivery_from_proto(agent.output_delivery) if agent.HasField("output_delivery") else None,
    )


def _plugin_to_proto(target: PluginTarget) -> pb.BoundWorkflowPluginTarget:
    return pb.BoundWorkflowPluginTarget(
        plugin_name=target.plugin,
        operation=target.operation,
        input=optional_struct(target.input),
        connection=target.connection,
        instance=target.instance,
        credential_mode=target.credential_mode,
    )


def _plugin_from_proto(message: pb.BoundWorkflowPluginTarget) -> PluginTarget:
    return PluginTarget(
        plugin=message.plugin_name,
        operation=message.operation,
        input=from_struct(message.input),
        connection=message.connection,
        instance=message.instance,
        credential_mode=message.credential_mode,
    )


def _delivery_to_proto(delivery: OutputDelivery) -> pb.WorkflowOutputDelivery:
    message = pb.WorkflowOutputDelivery(
        target=_plugin_to_proto(delivery.target), credential_mode=delivery.credential_mode
    )
    for binding in delivery.input_bindings:
        added = message.input_bindings.add(input_field=binding.input_field)
        if binding.source == "literal":
            added.value.literal.CopyFrom(to_value(binding.value))
        else:
            setattr(added.value, binding.source, binding.value)
    return message


def _delivery_from_proto(message: pb.WorkflowOutputDelivery) -> OutputDelivery:
    bindings = []
    for each in message.input_bindings:
        source: Any = each.value.WhichOneof("kind") or "literal"
        value = from_value(each.value.literal) if source == "literal" else getattr(each.value, source)
        bindings.append(OutputBinding(each.input_field, source, value))
    return OutputDelivery(_plugin_from_proto(message.target), tuple(bindings), message.credential_mode)


def message_to_proto(message: AgentMessage) -> agent_pb2.AgentMessage:
    return agent_pb2.AgentMessage(
        role=message.role,
        text=message.text,
        parts=[json_format.ParseDict(dict(part), agent_pb2.AgentMessagePart()) for part in message.parts],
        metadata=optional_struct(message.metadata),
    )


def message_from_proto(message: agent_pb2.AgentMessage) -> AgentMessage:
    parts = tuple(json_format.MessageToDict(part, preserving_proto_field_name=True) for part in message.parts)
    return AgentMessage(message.role, message.text, parts, from_struct(message.metadata))


def tool_ref_to_proto(ref: ToolRef) -> agent_pb2.AgentToolRef:
    return agent_pb2.AgentToolRef(
        plugin=ref.plugin,
        operation=ref.operation,
        connection=ref.connection,
        instance=ref.instance,
        title=ref.title,
        description=ref.description,
        system=ref.system,
    )


def tool_ref_from_proto(message: agent_pb2.AgentToolRef) -> ToolRef:
    return ToolRef(
        plugin=message.plugin,
        operation=message.operation,
        connection=message.connection,
        instance=message.instance,
        title=message.title,
        description=message.description,
        system=message.system,
    )


def actor_to_proto(actor: Actor) -> pb.WorkflowActor:
    return pb.WorkflowActor(
        subject_id=actor.subject_id,
        subject_kind=actor.subject_kind,
        display_name=actor.display_name,
        auth_source=actor.auth_source,
    )


def actor_from_proto(message: pb.WorkflowActor) -> Actor:
    return Actor(message.subject_id, message.subject_kind, message.display_name, message.auth_source)


def event_to_proto(event: Event) -> pb.WorkflowEvent:
    message = pb.WorkflowEvent(
        id=event.id,
        source=event.source,
        spec_version=event.spec_version,
        type=event.type,
        subject=event.subject,
        time=optional_timestamp(event.time),
        datacontenttype=event.data_content_type,
        data=optional_struct(event.data),
    )
    for name, value in event.extensions.items():
        message.extensions[name].CopyFrom(to_value(value))
    return message


def event_from_proto(message: pb.WorkflowEvent) -> Event:
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
    return pb.WorkflowEventMatch(type=match.type, source=match.source, subject=match.subject)


def trigger_to_proto(trigger: RunTrigger) -> pb.WorkflowRunTrigger:
    message = pb.WorkflowRunTrigger()
    if trigger.kind == "schedule":
        message.schedule.schedule_id = trigger.schedule_id
        if trigger.scheduled_for is not None:
            message.schedule.scheduled_for.CopyFrom(to_timestamp(trigger.scheduled_for))
    elif trigger.kind == "event":
        message.event.trigger_id = trigger.trigger_id
        if trigger.event is not None:
            message.event.event.CopyFrom(event_to_proto(trigger.event))
    else:
        message.manual.SetInParent()
    return message


def trigger_from_proto(message: pb.WorkflowRunTrigger) -> RunTrigger | None:
    """None when no kind is set."""
    kind = message.WhichOneof("kind")
    if kind == "schedule":
        schedule = message.schedule
        return RunTrigger(
            "schedule", schedule_id=schedule.schedule_id, scheduled_for=optional_time(schedule, "scheduled_for")
        )
    if kind == "event":
        event = event_from_proto(message.event.event) if message.event.HasField("event") else None
        return RunTrigger("event", trigger_id=message.event.trigger_id, event=event)
    return None if kind is None else RunTrigger("manual")


def schedule_from_proto(message: pb.BoundWorkflowSchedule, provider: str = "") -> Schedule:
    return Schedule(
        id=message.id,
        cron=message.cron,
        timezone=message.timezone,
        target=target_from_proto(message.target),
        paused=message.paused,
        created_at=optional_time(message, "created_at"),
        updated_at=optional_time(message, "updated_at"),
        next_run_at=optional_time(message, "next_run_at"),
        created_by=actor_from_proto(message.created_by),
        execution_ref=message.execution_ref,
        provider=provider,
    )


def event_trigger_from_proto(message: pb.BoundWorkflowEventTrigger, provider: str = "") -> EventTrigger:
    return EventTrigger(
        id=message.id,
        match=EventMatch(message.match.type, message.match.source, message.match.subject),
        target=target_from_proto(message.target),
        paused=message.paused,
        created_at=optional_time(message, "created_at"),
        updated_at=optional_time(message, "updated_at"),
        created_by=actor_from_proto(message.created_by),
        execution_ref=message.execution_ref,
        provider=provider,
    )


def run_from_proto(message: pb.BoundWorkflowRun, provider: str = "") -> Run:
    return Run(
        id=message.id,
        status=_STATUSES.get(message.status, ""),
        target=target_from_proto(message.target),
        trigger=trigger_from_proto(message.trigger),
        created_at=optional_time(message, "created_at"),
        started_at=optional_time(message, "started_at"),
        completed_at=optional_time(message, "completed_at"),
        status_message=message.status_message,
        result_body=message.result_body,
        created_by=actor_from_proto(message.created_by),
        published_by=actor_from_proto(message.published_by) if message.HasField("published_by") else None,
        execution_ref=message.execution_ref,
        workflow_key=message.workflow_key,
        provider=provider,
    )


def run_to_proto(run: Run) -> pb.BoundWorkflowRun:
    return pb.BoundWorkflowRun(
        id=run.id,
        status=_STATUS_NUMBERS.get(run.status, pb.WORKFLOW_RUN_STATUS_UNSPECIFIED),
        target=None if run.target is None else target_to_proto(run.target),
        trigger=None if run.trigger is None else trigger_to_proto(run.trigger),
        created_at=optional_timestamp(run.created_at),
        started_at=optional_timestamp(run.started_at),
        completed_at=optional_timestamp(run.completed_at),
        status_message=run.status_message,
        result_body=run.result_body,
        created_by=actor_to_proto(run.created_by),
        published_by=None if run.published_by is None else actor_to_proto(run.published_by),
        execution_ref=run.execution_ref,
        workflow_key=run.workflow_key,
    )


def signal_to_proto(signal: Signal) -> pb.WorkflowSignal:
    return pb.WorkflowSignal(
        id=signal.id,
        name=signal.name,
        payload=optional_struct(signal.payload),
        metadata=optional_struct(signal.metadata),
        created_by=None if signal.created_by == Actor() else actor_to_proto(signal.created_by),
        created_at=optional_timestamp(signal.created_at),
        idempotency_key=signal.idempotency_key,
        sequence=signal.sequence,
    )


def signal_from_proto(message: pb.WorkflowSignal) -> Signal:
    return Signal(
        id=message.id,
        name=message.name,
        payload=from_struct(message.payload),
        metadata=from_struct(message.metadata),
        created_by=actor_from_proto(message.created_by),
        created_at=optional_time(message, "created_at"),
        idempotency_key=message.idempotency_key,
        sequence=message.sequence,
    )
