"""Workflow objects of the host: those of the contract, which the SDK defines, and those that only the host has.

No generated types, no JSON shapes. Times are aware UTC ``datetime``; an absent text is ``""``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gestalt_sdk.workflow.types import (
    NOBODY,
    RUN_STATUSES,
    Actor,
    AgentMessage,
    AgentTarget,
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    ManualTrigger,
    MessagePart,
    OutputBinding,
    OutputDelivery,
    PluginTarget,
    Run,
    RunTrigger,
    Schedule,
    ScheduleTrigger,
    Signal,
    SignalResult,
    Target,
    ToolRef,
)

__all__ = [
    "CREATED_BY",
    "NOBODY",
    "RUN_STATUSES",
    "Actor",
    "AgentMessage",
    "AgentTarget",
    "Event",
    "EventMatch",
    "EventTrigger",
    "EventTriggerInvocation",
    "EventTriggerSpec",
    "ExecutionReference",
    "IfMatch",
    "ManualTrigger",
    "MessagePart",
    "OutputBinding",
    "OutputDelivery",
    "Permission",
    "PluginTarget",
    "Run",
    "RunQuery",
    "RunTrigger",
    "Schedule",
    "ScheduleSpec",
    "ScheduleTrigger",
    "Signal",
    "SignalResult",
    "Target",
    "ToolRef",
    "target_plugin",
]


def target_plugin(target: Target) -> str:
    """Return the plugin's name of a target, or ``agent:`` and the agent provider's."""
    return target.plugin if isinstance(target, PluginTarget) else f"agent:{target.provider}"


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
    """Empty means unrestricted; "nothing at all" is one entry with the sentinel plugin."""
    caller_plugin: str = ""
    created_at: datetime | None = None
    revoked_at: datetime | None = None
    retired_at: datetime | None = None
    signature: bytes = b""
    signature_key_id: str = ""


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """What a caller asks a schedule to be; ``provider`` empty selects the default (create) or current (update)."""

    cron: str
    target: Target
    timezone: str = ""
    paused: bool = False
    provider: str = ""


@dataclass(frozen=True, slots=True)
class EventTriggerSpec:
    match: EventMatch
    target: Target
    paused: bool = False
    provider: str = ""


@dataclass(frozen=True, slots=True)
class IfMatch:
    """What a caller wants an object to be when it is changed.

    Attributes:
        revisions: Those that it may be at; None: any, as long as it exists.
    """

    revisions: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class RunQuery:
    plugin: str = ""
    status: str = ""


CREATED_BY: Sequence[str] = ("", "config", "all")
"""Whose objects a reader asks for: the caller's, the configuration's, or both."""
