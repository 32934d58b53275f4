"""Workflow messages of the contract <-> the host's own model (semantics.md 2, contract.md 4.1.1).

Names, ids and references are trimmed when they are read; prompts, message texts, event and actor fields are kept as
they come. Empty structs, lists and actors are left unset when they are written, so unset and empty mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from gestalt_host.access.subjects import NOBODY, Actor
from gestalt_host.errors import InvalidArgument
from gestalt_host.workflows.model import (
    RUN_STATUSES,
    AgentMessage,
    AgentTarget,
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    ExecutionReference,
    ManualTrigger,
    MessagePart,
    OutputBinding,
    OutputDelivery,
    Permission,
    PluginTarget,
    Run,
    RunTrigger,
    Schedule,
    ScheduleTrigger,
    Signal,
    Target,
    ToolRef,
)
from gestalt_sdk.gen.v1 import agent_pb2 as agent
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.values import from_struct, from_timestamp, from_value, to_struct, to_timestamp, to_value

PART_TYPES = ("", "text", "json", "tool_call", "tool_result", "image_ref")


class UnknownRunStatus(InvalidArgument):
    """A provider sent a status number that the contract does not have; the whole call fails (contract.md 4.1.1)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"unknown workflow run status {number}")


def _time_from(message: Any, field: str) -> datetime | None:
    return from_timestamp(getattr(message, field)) if message.HasField(field) else None


def _time_to(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else to_timestamp(moment)


def _struct_to(mapping: Mapping[str, Any]) -> Struct | None:
    return to_struct(mapping) if mapping else None


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


# Targets --------------------------------------------------------------------------------------------------------------


def target_to_proto(target: Target) -> pb.BoundWorkflowTarget:
    if isinstance(target, PluginTarget):
        return pb.BoundWorkflowTarget(plugin=_plugin_target_to(target))
    return pb.BoundWorkflowTarget(agent=_agent_target_to(target))


def target_from_proto(message: pb.BoundWorkflowTarget) -> Target | None:
    """The target, or None when neither kind is set."""
    kind = message.WhichOneof("kind")
    if kind == "plugin":
        return _plugin_target_from(message.plugin)
    if kind == "agent":
        return _agent_target_from(message.agent)
    return None


def _plugin_target_to(target: PluginTarget) -> pb.BoundWorkflowPluginTarget:
    return pb.BoundWorkflowPluginTarget(
        plugin_name=target.plugin,
        operation=target.operation,
        input=_struct_to(target.input),
        connection=target.connection,
        instance=target.instance,
        credential_mode=target.credential_mode,
    )


def _plugin_target_from(message: pb.BoundWorkflowPluginTarget) -> PluginTarget:
    return PluginTarget(
        plugin=message.plugin_name.strip(),
        operation=message.operation.strip(),
        connection=message.connection.strip(),
        instance=message.instance.strip(),
        credential_mode=message.credential_mode.strip().lower(),
        input=from_struct(message.input),
    )


def _agent_target_to(target: AgentTarget) -> pb.BoundWorkflowAgentTarget:
    return pb.BoundWorkflowAgentTarget(
        provider_name=target.provider,
        model=target.model,
        prompt=target.prompt,
        messages=map(message_to_proto, target.messages),
        tool_refs=map(tool_ref_to_proto, target.tool_refs),
        response_schema=_struct_to(target.response_schema),
        metadata=_struct_to(target.metadata),
        timeout_seconds=target.timeout_seconds,
        output_delivery=None if target.output_delivery is None else _delivery_to(target.output_delivery),
        model_options=_struct_to(target.model_options),
    )


def _agent_target_from(message: pb.BoundWorkflowAgentTarget) -> AgentTarget:
    delivery = _delivery_from(message.output_delivery) if message.HasField("output_delivery") else None
    return AgentTarget(
        provider=message.provider_name.strip(),
        model=message.model.strip(),
        prompt=message.prompt,
        messages=tuple(map(message_from_proto, message.messages)),
        tool_refs=tuple(map(tool_ref_from_proto, message.tool_refs)),
        response_schema=from_struct(message.response_schema),
        metadata=from_struct(message.metadata),
        model_options=from_struct(message.model_options),
        timeout_seconds=message.timeout_seconds,
        output_delivery=delivery,
    )


def _delivery_to(delivery: OutputDelivery) -> pb.WorkflowOutputDelivery:
    return pb.WorkflowOutputDelivery(
        target=_plugin_target_to(delivery.target),
        input_bindings=map(_binding_to, delivery.input_bindings),
        credential_mode=delivery.credential_mode,
    )


def _delivery_from(message: pb.WorkflowOutputDelivery) -> OutputDelivery:
    return OutputDelivery(
        target=_plugin_target_from(message.target),
        input_bindings=tuple(map(_binding_from, message.input_bindings)),
        credential_mode=message.credential_mode.strip().lower(),
    )


def _binding_to(binding: OutputBinding) -> pb.WorkflowOutputBinding:
    source = pb.WorkflowOutputValueSource()
    if binding.source == "literal":
        source.literal.CopyFrom(to_value(binding.value))
    elif binding.source:
        setattr(source, binding.source, binding.value)
    return pb.WorkflowOutputBinding(input_field=binding.input_field, value=source)


def _binding_from(message: pb.WorkflowOutputBinding) -> OutputBinding:
    source = message.value.WhichOneof("kind") or ""
    value: Any = None
    if source == "literal":
        value = from_value(message.value.literal)
    elif source:
        value = getattr(message.value, source)
    return OutputBinding(input_field=message.input_field.strip(), source=source, value=value)


def message_to_proto(message: AgentMessage) -> agent.AgentMessage:
    return agent.AgentMessage(
        role=message.role,
        text=message.text,
        parts=map(_part_to, message.parts),
        metadata=_struct_to(message.metadata),
    )


def message_from_proto(message: agent.AgentMessage) -> AgentMessage:
    return AgentMessage(
        role=message.role,
        text=message.text,
        parts=tuple(map(_part_from, message.parts)),
        metadata=from_struct(message.metadata),
    )


def _part_to(part: MessagePart) -> agent.AgentMessagePart:
    result = agent.AgentMessagePart(text=part.text, json=_struct_to(part.json))
    # An unknown type travels as UNSPECIFIED with the rest kept (contract.md 4.6.1).
    result.type = PART_TYPES.index(part.type) if part.type in PART_TYPES else 0  # type: ignore[assignment]
    call, outcome, image = part.tool_call, part.tool_result, part.image_ref
    if call is not None:
        result.tool_call.CopyFrom(
            agent.AgentMessagePartToolCall(
                id=call.get("id", ""),
                tool_id=call.get("tool_id", ""),
                arguments=_struct_to(call.get("arguments") or {}),
            )
        )
    if outcome is not None:
        result.tool_result.CopyFrom(
            agent.AgentMessagePartToolResult(
                tool_call_id=outcome.get("tool_call_id", ""),
                status=outcome.get("status", 0),
                content=outcome.get("content", ""),
                output=_struct_to(outcome.get("output") or {}),
            )
        )
    if image is not None:
        result.image_ref.CopyFrom(
            agent.AgentMessagePartImageRef(uri=image.get("uri", ""), mime_type=image.get("mime_type", ""))
        )
    return result


def _part_from(part: agent.AgentMessagePart) -> MessagePart:
    number = int(part.type)
    call = outcome = image = None
    if part.HasField("tool_call"):
        arguments = from_struct(part.tool_call.arguments)
        call = {"id": part.tool_call.id, "tool_id": part.tool_call.tool_id, "arguments": arguments}
    if part.HasField("tool_result"):
        outcome = {
            "tool_call_id": part.tool_result.tool_call_id,
            "status": part.tool_result.status,
            "content": part.tool_result.content,
            "output": from_struct(part.tool_result.output),
        }
    if part.HasField("image_ref"):
        image = {"uri": part.image_ref.uri, "mime_type": part.image_ref.mime_type}
    return MessagePart(
        type=PART_TYPES[number] if number < len(PART_TYPES) else "",
        text=part.text,
        json=from_struct(part.json),
        tool_call=call,
        tool_result=outcome,
        image_ref=image,
    )


def tool_ref_to_proto(ref: ToolRef) -> agent.AgentToolRef:
    return agent.AgentToolRef(
        plugin=ref.plugin,
        operation=ref.operation,
        connection=ref.connection,
        instance=ref.instance,
        title=ref.title,
        description=ref.description,
        system=ref.system,
    )


def tool_ref_from_proto(message: agent.AgentToolRef) -> ToolRef:
    return ToolRef(
        plugin=message.plugin.strip(),
        operation=message.operation.strip(),
        connection=message.connection.strip(),
        instance=message.instance.strip(),
        title=message.title.strip(),
        description=message.description.strip(),
        system=message.system.strip(),
    )


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
        data=_struct_to(event.data),
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
        payload=_struct_to(signal.payload),
        metadata=_struct_to(signal.metadata),
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
