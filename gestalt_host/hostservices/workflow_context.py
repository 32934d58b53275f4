"""The ``workflow`` struct that a run's plugin or agent sees (semantics.md 12.4), built from the provider's request.

It is made struct to struct: inputs and event data are copied as they are, never taken apart.
"""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from gestalt_host.workflows.convert import actor_from_proto
from gestalt_host.workflows.model import Signal
from gestalt_host.workflows.signals import actor_members, compacted
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.values import to_value


def workflow_struct(
    request: pb.InvokeWorkflowOperationRequest, provider: str, params: Struct, signals: list[Signal]
) -> Struct:
    """The struct for one invocation; absent members are left out. ``params``: the plugin target's own input."""
    result = Struct()
    _texts(result, runId=request.run_id, provider=provider, executionRef=request.execution_ref)
    target = _inner(result, "target")
    if request.target.WhichOneof("kind") == "agent":
        _agent_target(target, request.target.agent)
    else:
        _texts(target, kind="plugin")
        source = request.target.plugin
        plugin = _inner(target, "plugin")
        _texts(
            plugin,
            pluginName=source.plugin_name,
            operation=source.operation,
            connection=source.connection,
            instance=source.instance,
        )
        _inner(plugin, "input").CopyFrom(params)
    _trigger(result, request.trigger)
    _actor(result, "createdBy", request.created_by)
    if request.HasField("published_by"):
        _actor(result, "publishedBy", request.published_by)
    if request.input.fields:
        _inner(result, "input").CopyFrom(request.input)
    if request.metadata.fields:
        _inner(result, "metadata").CopyFrom(request.metadata)
    if signals:
        result.fields["signals"].CopyFrom(to_value(compacted(signals)))
    return result


def _agent_target(target: Struct, source: pb.BoundWorkflowAgentTarget) -> None:
    _texts(target, kind="agent", agentProvider=source.provider_name, model=source.model)
    if source.tool_refs:
        tools = target.fields["tools"].list_value
        for ref in source.tool_refs:
            tool = tools.values.add().struct_value
            tool.SetInParent()
            _texts(tool, system=ref.system, plugin=ref.plugin, operation=ref.operation)
    if source.HasField("output_delivery"):
        delivery = source.output_delivery.target
        _texts(_inner(target, "outputDelivery"), plugin=delivery.plugin_name, operation=delivery.operation)


def _trigger(result: Struct, source: pb.WorkflowRunTrigger) -> None:
    kind = source.WhichOneof("kind")
    if kind is None:
        return
    trigger = _inner(result, "trigger")
    _texts(trigger, kind=kind)
    if kind == "schedule":
        _texts(trigger, scheduleId=source.schedule.schedule_id)
        if source.schedule.HasField("scheduled_for"):
            _texts(trigger, scheduledFor=nanosecond_time(source.schedule.scheduled_for))
    elif kind == "event":
        _texts(trigger, triggerId=source.event.trigger_id)
        _event(_inner(trigger, "event"), source.event.event)


def _event(event: Struct, source: pb.WorkflowEvent) -> None:
    _texts(
        event,
        id=source.id,
        source=source.source,
        specVersion=source.spec_version,
        type=source.type,
        subject=source.subject,
        dataContentType=source.datacontenttype,
    )
    if source.HasField("time"):
        _texts(event, time=nanosecond_time(source.time))
    _inner(event, "data").CopyFrom(source.data)
    if source.extensions:
        extensions = _inner(event, "extensions")
        for name in source.extensions:
            extensions.fields[name].CopyFrom(source.extensions[name])


def _actor(result: Struct, name: str, source: pb.WorkflowActor) -> None:
    members = actor_members(actor_from_proto(source))
    if members:
        _texts(_inner(result, name), **members)


def _inner(struct: Struct, name: str) -> Struct:
    inner: Struct = struct.fields[name].struct_value
    inner.SetInParent()
    return inner


def _texts(struct: Struct, **members: str) -> None:
    fields = struct.fields
    for name, text in members.items():
        if text:
            fields[name].string_value = text


def nanosecond_time(stamp: Timestamp) -> str:
    """RFC 3339 in UTC with as many digits of the fraction as it needs, up to nine."""
    moment = datetime.fromtimestamp(stamp.seconds, UTC)
    text = f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}"
    if stamp.nanos:
        text += f".{stamp.nanos:09d}".rstrip("0")
    return text + "Z"
