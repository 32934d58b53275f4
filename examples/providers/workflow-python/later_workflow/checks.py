"""What callers may be told, and requests made regular: names trimmed, the required ones there, none too long."""

from __future__ import annotations

import hashlib
import uuid

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from gestalt_sdk import CLIENT_FAULTS, GestaltError
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport import Fault, FaultTable

NAME_BYTES = 512
TEXT_BYTES = 1024
MOST_LEVELS = 75
"""Of messages inside each other; readers of messages accept 100, and a list of runs has some around each value."""
TARGET_NAMES = ("plugin_name", "operation", "connection", "instance", "credential_mode")
WithTarget = (
    pb.StartWorkflowProviderRunRequest
    | pb.SignalOrStartWorkflowProviderRunRequest
    | pb.UpsertWorkflowProviderScheduleRequest
    | pb.UpsertWorkflowProviderEventTriggerRequest
    | pb.WorkflowExecutionReference
)
WithSignal = pb.SignalWorkflowProviderRunRequest | pb.SignalOrStartWorkflowProviderRunRequest


class Invalid(GestaltError):
    """Say what is wrong with a request."""


class Unknown(GestaltError):
    """Say that there is no such object."""


class Conflict(GestaltError):
    """Say that the object's state does not allow the call."""


class Taken(GestaltError):
    """Say that an id belongs to somebody else."""


class TooLarge(GestaltError):
    """Say that an answer does not fit into a message."""


class NotConfigured(GestaltError):
    """Say that a call came before the configuration."""


FAULTS: FaultTable = {
    **CLIENT_FAULTS,
    Invalid: Fault("INVALID_REQUEST", StatusCode.INVALID_ARGUMENT),
    Unknown: Fault("OBJECT_UNKNOWN", StatusCode.NOT_FOUND),
    Conflict: Fault("STATE_CONFLICT", StatusCode.FAILED_PRECONDITION),
    Taken: Fault("ID_TAKEN", StatusCode.ALREADY_EXISTS),
    TooLarge: Fault("ANSWER_TOO_LARGE", StatusCode.RESOURCE_EXHAUSTED),
    NotConfigured: Fault("NOT_CONFIGURED", StatusCode.FAILED_PRECONDITION),
}


def bounded(name: str, text: str, limit: int = NAME_BYTES) -> str:
    """Return the text, trimmed. Raises ``Invalid`` when it has more bytes than the limit."""
    text = text.strip()
    if (size := len(text.encode())) > limit:
        raise Invalid(f"{name} has {size} bytes; accepted are at most {limit}")
    return text


def required(name: str, text: str, limit: int = NAME_BYTES) -> str:
    """Return the text, trimmed. Raises ``Invalid`` when it is blank or too long."""
    if not text.strip():
        raise Invalid(f"{name} is required")
    return bounded(name, text, limit)


def given_id(name: str, text: str) -> str:
    """Return the id of an object that is looked for, which may have any length. Raises ``Invalid`` when it is blank."""
    if not text.strip():
        raise Invalid(f"{name} is required")
    return text.strip()


def owner_of(target: pb.BoundWorkflowTarget) -> str:
    """Return whom the object belongs to: ids and keys are separate for each."""
    return target.plugin.plugin_name or f"agent:{target.agent.provider_name}"


def derived(*parts: str) -> str:
    """Return the SHA-256 of the parts in hex; a repetition has the same."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def scope(target: pb.BoundWorkflowTarget, creator: pb.WorkflowActor) -> list[str]:
    """Return what keys are separate by: the target's owner and the subject, where there is one."""
    return [part for part in (owner_of(target), creator.subject_id.strip()) if part]


def checked_target(request: WithTarget) -> pb.BoundWorkflowTarget:
    """Return the request's target, regular. Raises ``Invalid`` when it cannot be invoked."""
    if not request.HasField("target"):
        raise Invalid("target is required")
    target = pb.BoundWorkflowTarget()
    target.CopyFrom(request.target)
    if target.WhichOneof("kind") == "agent":
        _check_agent(target.agent)
    else:
        _check_plugin(target.plugin, "target.plugin.")
        _check_mode(target.plugin.credential_mode, "target.plugin.")
        target.plugin.input.SetInParent()  # unset and empty mean the same; the contract's answers have it
    _check_depth("target", target)
    return target


def checked_event(request: pb.PublishWorkflowProviderEventRequest, now: Timestamp) -> pb.WorkflowEvent:
    """Return the request's event with its defaults filled in."""
    if not request.HasField("event"):
        raise Invalid("event is required")
    event = pb.WorkflowEvent()
    event.CopyFrom(request.event)
    required("event.type", event.type, TEXT_BYTES)
    _trim(event, "event.", "id", "spec_version", "datacontenttype")
    _trim(event, "event.", "type", "source", "subject", limit=TEXT_BYTES)
    event.id = event.id or str(uuid.uuid4())
    event.spec_version = event.spec_version or "1.0"
    if not event.HasField("time"):
        event.time.CopyFrom(now)
    _check_depth("event", event)
    return event


def checked_match(request: pb.UpsertWorkflowProviderEventTriggerRequest) -> pb.WorkflowEventMatch:
    """Return what the trigger's events must be like."""
    match = pb.WorkflowEventMatch()
    match.CopyFrom(request.match)
    required("match.type", match.type, TEXT_BYTES)
    _trim(match, "match.", "type", "source", "subject", limit=TEXT_BYTES)
    return match


def checked_signal(request: WithSignal, now: Timestamp) -> pb.WorkflowSignal:
    """Return the request's signal with its time filled in; id and sequence are the run's affair."""
    if not request.HasField("signal"):
        raise Invalid("signal is required")
    signal = pb.WorkflowSignal()
    signal.CopyFrom(request.signal)
    required("signal.name", signal.name)
    _trim(signal, "signal.", "name", "id")
    _trim(signal, "signal.", "idempotency_key", limit=TEXT_BYTES)
    if not signal.HasField("created_at"):
        signal.created_at.CopyFrom(now)
    _check_depth("signal", signal)
    return signal


def _check_plugin(plugin: pb.BoundWorkflowPluginTarget, where: str) -> None:
    _trim(plugin, where, *TARGET_NAMES)
    plugin.credential_mode = plugin.credential_mode.lower()
    required(f"{where}plugin_name", plugin.plugin_name)
    required(f"{where}operation", plugin.operation)


def _check_agent(agent: pb.BoundWorkflowAgentTarget) -> None:
    where = "target.agent."
    _trim(agent, where, "provider_name", "model")
    required(f"{where}provider_name", agent.provider_name)
    if not agent.prompt.strip() and not agent.messages:
        raise Invalid(f"{where}prompt or messages is required")
    if agent.timeout_seconds < 0:
        raise Invalid(f"{where}timeout_seconds must not be negative")
    if not agent.HasField("output_delivery"):
        return
    delivery, where = agent.output_delivery, f"{where}output_delivery."
    _check_plugin(delivery.target, f"{where}target.")
    if delivery.target.credential_mode:
        raise Invalid(f'{where}target.credential_mode "{delivery.target.credential_mode}" is not supported')
    delivery.credential_mode = delivery.credential_mode.strip().lower()
    _check_mode(delivery.credential_mode, where)
    for binding in delivery.input_bindings:
        required(f"{where}input_bindings.input_field", binding.input_field)
        _trim(binding, f"{where}input_bindings.", "input_field")
        kind = binding.value.WhichOneof("kind")
        if kind is None:
            raise Invalid(f"{where}input_bindings.value is required")
        if kind != "literal":
            required(f"{where}input_bindings.value.{kind}", getattr(binding.value, kind), TEXT_BYTES)


def _check_mode(mode: str, where: str) -> None:
    if mode not in ("", "none", "user"):
        raise Invalid(f'{where}credential_mode "{mode}" is not supported')


def _trim(message: Message, where: str, *names: str, limit: int = NAME_BYTES) -> None:
    for name in names:
        setattr(message, name, bounded(where + name, getattr(message, name), limit))


def _check_depth(name: str, message: Message) -> None:
    level: list[Message] = [message]
    for _ in range(MOST_LEVELS):
        level = [inner for outer in level for inner in _inner_messages(outer)]
        if not level:
            return
    raise Invalid(f"{name} is nested too deeply: at most 24 levels of objects and lists are accepted")


def _inner_messages(message: Message) -> list[Message]:
    inner: list[Message] = []
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner += [item for item in value.values() if isinstance(item, Message)]
        else:
            inner += [value] if isinstance(value, Message) else value
    return inner
