"""Workflow objects as the host's domain sees them; no generated types, no JSON shapes (semantics.md 2).

Times are aware UTC ``datetime``; JSON objects are plain dicts; an absent text is ``""``. ``provider`` on managed
objects is the configured name of the workflow provider that holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gestalt_host.access.subjects import NOBODY, Actor


@dataclass(frozen=True, slots=True)
class PluginTarget:
    plugin: str
    operation: str
    connection: str = ""
    instance: str = ""
    credential_mode: str = ""
    input: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessagePart:
    """``type`` is one of text, json, tool_call, tool_result, image_ref, or empty for an unknown one."""

    type: str = ""
    text: str = ""
    json: dict[str, Any] = field(default_factory=dict)
    tool_call: dict[str, Any] | None = None
    """``id``, ``tool_id``, ``arguments``."""
    tool_result: dict[str, Any] | None = None
    """``tool_call_id``, ``status``, ``content``, ``output``."""
    image_ref: dict[str, Any] | None = None
    """``uri``, ``mime_type``."""


@dataclass(frozen=True, slots=True)
class AgentMessage:
    role: str = ""
    text: str = ""
    parts: tuple[MessagePart, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolRef:
    plugin: str = ""
    operation: str = ""
    connection: str = ""
    instance: str = ""
    title: str = ""
    description: str = ""
    system: str = ""
    credential_mode: str = ""
    """Only checked, never stored: the wire has no field for it."""


@dataclass(frozen=True, slots=True)
class OutputBinding:
    """``source`` names the member that is set: agent_output, signal_payload, signal_metadata or literal."""

    input_field: str
    source: str
    value: Any


@dataclass(frozen=True, slots=True)
class OutputDelivery:
    target: PluginTarget
    input_bindings: tuple[OutputBinding, ...] = ()
    credential_mode: str = ""


@dataclass(frozen=True, slots=True)
class AgentTarget:
    provider: str
    model: str = ""
    prompt: str = ""
    messages: tuple[AgentMessage, ...] = ()
    tool_refs: tuple[ToolRef, ...] = ()
    response_schema: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    model_options: dict[str, Any] = field(default_factory=dict)
    timeout_seconds: int = 0
    output_delivery: OutputDelivery | None = None


Target = PluginTarget | AgentTarget


def target_owner(target: Target) -> str:
    """Owner key of a target: the plugin's name, or ``agent:`` and the agent provider's (semantics.md 3)."""
    return target.plugin if isinstance(target, PluginTarget) else f"agent:{target.provider}"


@dataclass(frozen=True, slots=True)
class Event:
    id: str = ""
    source: str = ""
    spec_version: str = ""
    type: str = ""
    subject: str = ""
    time: datetime | None = None
    data_content_type: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventMatch:
    type: str
    source: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class ManualTrigger:
    """The run was started by hand or by a plugin."""


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    schedule_id: str
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventTriggerInvocation:
    trigger_id: str
    event: Event


RunTrigger = ManualTrigger | ScheduleTrigger | EventTriggerInvocation

RUN_STATUSES = ("pending", "running", "succeeded", "failed", "canceled")


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    provider: str
    status: str
    """One of RUN_STATUSES, or empty when the provider left it unspecified."""
    target: Target | None
    trigger: RunTrigger | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    status_message: str = ""
    result_body: str = ""
    created_by: Actor = NOBODY
    published_by: Actor | None = None
    """Publisher of the event, when somebody other than the owner (design decision 3)."""
    execution_ref: str = ""
    workflow_key: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    id: str
    provider: str
    cron: str
    timezone: str
    target: Target | None
    paused: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    next_run_at: datetime | None = None
    created_by: Actor = NOBODY
    execution_ref: str = ""


@dataclass(frozen=True, slots=True)
class EventTrigger:
    id: str
    provider: str
    match: EventMatch
    target: Target | None
    paused: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    created_by: Actor = NOBODY
    execution_ref: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    id: str = ""
    name: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
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


@dataclass(frozen=True, slots=True)
class Permission:
    """One entry of an execution reference's ceiling; no operations means all of the plugin's."""

    plugin: str
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecutionReference:
    id: str
    provider: str
    target: Target
    subject_id: str
    subject_kind: str = ""
    display_name: str = ""
    auth_source: str = ""
    credential_subject_id: str = ""
    permissions: tuple[Permission, ...] = ()
    """Empty means unrestricted; "nothing at all" is one entry with the sentinel plugin (semantics.md 7.1)."""
    caller_plugin: str = ""
    created_at: datetime | None = None
    revoked_at: datetime | None = None
    retired_at: datetime | None = None
    signature: bytes = b""
    signature_key_id: str = ""


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """What a caller asks a schedule to be; ``provider`` empty selects the default (create) or current (update)."""

    cron: str
    target: Target
    timezone: str = ""
    paused: bool = False
    provider: str = ""


@dataclass(frozen=True, slots=True)
class EventTriggerRequest:
    match: EventMatch
    target: Target
    paused: bool = False
    provider: str = ""


@dataclass(frozen=True, slots=True)
class RunFilter:
    plugin: str = ""
    status: str = ""


OWNERS: Sequence[str] = ("", "config", "all")
"""Whose objects a GET asks for: the caller's, the configuration's, both (design decision 20)."""
