"""The ``workflow`` struct that a run's plugin or agent sees (semantics.md 12.4), built from the provider's request.

It is written in wire form (``invocation.struct_wire``): inputs and event data are copied as they are.
"""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from gestalt_host.hostservices.struct_wire import field, list_value, struct_value, text_value, texts
from gestalt_host.workflows.model import Signal
from gestalt_host.workflows.signals import compacted
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.values import to_value


def workflow_struct(request: pb.InvokeWorkflowOperationRequest, provider: str, signals: list[Signal]) -> bytes:
    """Encode the ``workflow`` struct of one execution; absent members are left out."""
    parts = [
        texts(runId=request.run_id, provider=provider, executionRef=request.execution_ref),
        field("target", struct_value(_target(request.target))),
        _trigger(request.trigger),
        _actor("createdBy", request.created_by),
    ]
    if request.HasField("published_by"):
        parts.append(_actor("publishedBy", request.published_by))
    for name in ("input", "metadata"):
        content = getattr(request, name).SerializeToString()
        if content:
            parts.append(field(name, struct_value(content)))
    if signals:
        values = [to_value(signal).SerializeToString() for signal in compacted(signals)]
        parts.append(field("signals", list_value(values)))
    return b"".join(parts)


def _target(source: pb.BoundWorkflowTarget) -> bytes:
    if source.WhichOneof("kind") == "agent":
        return _agent_target(source.agent)
    plugin = source.plugin
    members = texts(
        pluginName=plugin.plugin_name,
        operation=plugin.operation,
        connection=plugin.connection,
        instance=plugin.instance,
    )
    own_input = field("input", struct_value(plugin.input.SerializeToString()))
    return _KIND_PLUGIN + field("plugin", struct_value(members + own_input))


def _agent_target(source: pb.BoundWorkflowAgentTarget) -> bytes:
    parts = [texts(kind="agent", agentProvider=source.provider_name, model=source.model)]
    if source.tool_refs:
        tools = [texts(system=ref.system, plugin=ref.plugin, operation=ref.operation) for ref in source.tool_refs]
        parts.append(field("tools", list_value([struct_value(tool) for tool in tools])))
    if source.HasField("output_delivery"):
        delivery = source.output_delivery.target
        members = texts(plugin=delivery.plugin_name, operation=delivery.operation)
        parts.append(field("outputDelivery", struct_value(members)))
    return b"".join(parts)


def _trigger(source: pb.WorkflowRunTrigger) -> bytes:
    kind = source.WhichOneof("kind")
    if kind is None:
        return b""
    members = texts(kind=kind)
    if kind == "schedule":
        schedule = source.schedule
        slot = nanosecond_time(schedule.scheduled_for) if schedule.HasField("scheduled_for") else ""
        members += texts(scheduleId=schedule.schedule_id, scheduledFor=slot)
    elif kind == "event":
        members += texts(triggerId=source.event.trigger_id)
        members += field("event", struct_value(_event(source.event.event)))
    return field("trigger", struct_value(members))


def _event(source: pb.WorkflowEvent) -> bytes:
    members = texts(
        id=source.id,
        source=source.source,
        specVersion=source.spec_version,
        type=source.type,
        subject=source.subject,
        time=nanosecond_time(source.time) if source.HasField("time") else "",
        dataContentType=source.datacontenttype,
    )
    members += field("data", struct_value(source.data.SerializeToString()))
    if source.extensions:
        names = source.extensions
        extensions = b"".join([field(name, names[name].SerializeToString()) for name in names])
        members += field("extensions", struct_value(extensions))
    return members


def _actor(name: str, source: pb.WorkflowActor) -> bytes:
    members = texts(
        subjectId=source.subject_id,
        subjectKind=source.subject_kind,
        displayName=source.display_name,
        authSource=source.auth_source,
    )
    return field(name, struct_value(members)) if members else b""


_KIND_PLUGIN = field("kind", text_value("plugin"))


def nanosecond_time(stamp: Timestamp) -> str:
    """Write the time as RFC 3339 in UTC with as many digits of the fraction as it needs, up to nine."""
    text = datetime.fromtimestamp(stamp.seconds, UTC).isoformat().removesuffix("+00:00")
    if stamp.nanos:
        text += f".{stamp.nanos:09d}".rstrip("0")
    return text + "Z"
