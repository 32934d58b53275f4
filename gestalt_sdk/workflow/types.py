"""Describe workflow objects as hosts, providers and plugins see them (semantics.md 2).

Times are aware UTC ``datetime``; JSON objects are plain dicts; an absent text is ``""``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class PluginTarget:
    """Name an operation of a plugin; ``input`` holds the parameters of every run."""

    plugin: str
    operation: str
    connection: str = ""
    instance: str = ""
    credential_mode: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessagePart:
    """Hold one part of a message; ``type`` is one of PART_TYPES, empty for an unknown one."""

    type: str = ""
    text: str = ""
    json: Mapping[str, Any] = field(default_factory=dict)
    tool_call: Mapping[str, Any] | None = None
    """``id``, ``tool_id``, ``arguments``."""
    tool_result: Mapping[str, Any] | None = None
    """``tool_call_id``, ``status``, ``content``, ``output``."""
    image_ref: Mapping[str, Any] | None = None
    """``uri``, ``mime_type``."""


PART_TYPES = ("", "text", "json", "tool_call", "tool_result", "image_ref")
"""In the order of the contract's enum."""


@dataclass(frozen=True, slots=True)
class AgentMessage:
    """Hold a message of a conversation with an agent; ``role`` such as user or assistant."""

    role: str = ""
    text: str = ""
    parts: Sequence[MessagePart] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolRef:
    """Name a tool: an operation of a plugin, a whole plugin, ``*`` for all of them, or a system tool."""

    plugin: str = ""
    operation: str = ""
    connection: str = ""
    instance: str = ""
    title: str = ""
    description: str = ""
    system: str = ""
    credential_mode: str = ""
    """Only checked where a target is written, never stored: the wire has no field for it."""


@dataclass(frozen=True, slots=True)
class OutputBinding:
    """Fill the parameter ``input_field`` of a delivery.

    ``source`` is agent_output, signal_payload or signal_metadata, with a path as ``value``, or literal, with any JSON
    value; empty when the wire names none.
    """

    input_field: str
    source: str
    value: Any


@dataclass(frozen=True, slots=True)
class OutputDelivery:
    """Invoke an operation with an agent's output; ``input_bindings`` fill parameters over the target's input."""

    target: PluginTarget
    input_bindings: Sequence[OutputBinding] = ()
    credential_mode: str = ""


@dataclass(frozen=True, slots=True)
class AgentTarget:
    """Ask for one turn of an agent; ``timeout_seconds`` 0 means 300."""

    provider: str
    model: str = ""
    prompt: str = ""
    messages: Sequence[AgentMessage] = ()
    tool_refs: Sequence[ToolRef] = ()
    response_schema: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    model_options: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: int = 0
    output_delivery: OutputDelivery | None = None


Target: TypeAlias = PluginTarget | AgentTarget


@dataclass(frozen=True, slots=True)
class Actor:
    """Record who did something; every member may be empty."""

    subject_id: str = ""
    subject_kind: str = ""
    display_name: str = ""
    auth_source: str = ""


NOBODY = Actor()


@dataclass(frozen=True, slots=True)
class Event:
    """Hold a CloudEvent; the host fills in ``id``, ``spec_version`` and ``time`` where they are absent."""

    type: str
    source: str = ""
    subject: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    time: datetime | None = None
    spec_version: str = ""
    data_content_type: str = ""
    extensions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventMatch:
    """Match events by type, source and subject; an empty ``source`` or ``subject`` matches any."""

    type: str
    source: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class ManualTrigger:
    """Say that the run was started by hand or by a plugin."""


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    """Say that the run was fired by a schedule, for the slot ``scheduled_for``."""

    schedule_id: str
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventTriggerInvocation:
    """Say that the run was fired by an event that a trigger matched."""

    trigger_id: str
    event: Event


RunTrigger: TypeAlias = ManualTrigger | ScheduleTrigger | EventTriggerInvocation
"""Why a run exists."""

RUN_STATUSES = ("pending", "running", "succeeded", "failed", "canceled")
"""In the order of the contract's enum, which starts with UNSPECIFIED."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Fire a target at the slots of ``cron`` in ``timezone``; ``next_run_at`` is the next one, kept while paused."""

    id: str
    cron: str
    timezone: str
    target: Target | None
    paused: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    next_run_at: datetime | None = None
    created_by: Actor = NOBODY
    execution_ref: str = ""
    provider: str = ""
    """Configured name of the workflow provider that holds it; empty where only that provider is concerned."""
    revision: int = 0
    """Changes with every upsert, pause and resume; 0 where the provider does not tell it."""


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """Fire a target for each event that matches."""

    id: str
    match: EventMatch
    target: Target | None
    paused: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    created_by: Actor = NOBODY
    execution_ref: str = ""
    provider: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Describe one execution; ``status`` is one of RUN_STATUSES, or empty when the provider left it unspecified."""

    id: str
    status: str
    target: Target | None = None
    trigger: RunTrigger | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    status_message: str = ""
    result_body: str = ""
    result_truncated: int = 0
    """Size in bytes of the whole result, where ``result_body`` is only its beginning; 0 when it is whole."""
    created_by: Actor = NOBODY
    published_by: Actor | None = None
    """Publisher of the event, when somebody other than who created the trigger (decision 3)."""
    execution_ref: str = ""
    workflow_key: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a message to a run; ``sequence`` is its position in the run, from 1; 0 when it is sent: the next."""

    name: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    created_by: Actor = NOBODY
    created_at: datetime | None = None
    idempotency_key: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class SignalResult:
    """Tell what became of a signal: the run that got it, and whether that was started for it."""

    run: Run
    signal: Signal
    started_run: bool
    workflow_key: str
