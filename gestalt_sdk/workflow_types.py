"""Workflow objects as a provider or plugin author sees them; no generated types.

Times are aware UTC ``datetime``; JSON objects are plain dicts; an absent text is ``""``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class PluginTarget:
    """An operation of a plugin; ``input`` holds the parameters of every run."""

    plugin: str
    operation: str
    input: Mapping[str, Any] = field(default_factory=dict)
    connection: str = ""
    instance: str = ""
    credential_mode: str = ""


@dataclass(frozen=True, slots=True)
class AgentMessage:
    """``parts`` are dicts in the JSON form of the contract's AgentMessagePart, names in snake case."""

    role: str
    text: str = ""
    parts: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolRef:
    """A tool: an operation of a plugin, a whole plugin, ``*`` for all of them, or a system tool."""

    plugin: str = ""
    operation: str = ""
    connection: str = ""
    instance: str = ""
    title: str = ""
    description: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class OutputBinding:
    """Fills ``input_field``; ``source`` is agent_output, signal_payload, signal_metadata (a path) or literal."""

    input_field: str
    source: Literal["agent_output", "signal_payload", "signal_metadata", "literal"]
    value: Any


@dataclass(frozen=True, slots=True)
class OutputDelivery:
    target: PluginTarget
    input_bindings: Sequence[OutputBinding] = ()
    credential_mode: str = ""


@dataclass(frozen=True, slots=True)
class AgentTarget:
    """One turn of an agent; ``timeout_seconds`` 0 means 300."""

    provider: str
    prompt: str = ""
    model: str = ""
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
    subject_id: str = ""
    subject_kind: str = ""
    display_name: str = ""
    auth_source: str = ""


NOBODY = Actor()


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent. The host fills in ``id``, ``spec_version`` and ``time`` where they are absent."""

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
    """``source`` and ``subject`` empty: any."""

    type: str
    source: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class RunTrigger:
    """Why a run exists; which other fields are set depends on ``kind``."""

    kind: Literal["manual", "schedule", "event"] = "manual"
    schedule_id: str = ""
    scheduled_for: datetime | None = None
    trigger_id: str = ""
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
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
    """Workflow provider that keeps it; set on what the manager answers."""


@dataclass(frozen=True, slots=True)
class EventTrigger:
    id: str
    match: EventMatch
    target: Target | None
    paused: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    created_by: Actor = NOBODY
    execution_ref: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """``status`` is pending, running, succeeded, failed, canceled, or empty when unspecified."""

    id: str
    status: str
    target: Target | None = None
    trigger: RunTrigger | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    status_message: str = ""
    result_body: str = ""
    created_by: Actor = NOBODY
    published_by: Actor | None = None
    execution_ref: str = ""
    workflow_key: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
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
    run: Run
    signal: Signal
    started_run: bool
    workflow_key: str
    provider: str
