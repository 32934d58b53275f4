"""Describe agent objects as the author of an agent provider sees them; no generated types.

Times are aware UTC ``datetime``; JSON objects are plain dicts; an absent text is ``""``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from gestalt_sdk.workflow.types import NOBODY, Actor, AgentMessage, ToolRef

_NO_REF = ToolRef()

TurnStatus: TypeAlias = Literal["", "pending", "running", "succeeded", "failed", "canceled", "waiting_for_input"]
SessionState: TypeAlias = Literal["", "active", "archived"]


@dataclass(frozen=True, slots=True)
class Asker:
    """Name who asks; ``credential_subject_id`` is whose stored credentials are used."""

    subject_id: str = ""
    subject_kind: str = ""
    credential_subject_id: str = ""
    display_name: str = ""
    auth_source: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """State what the provider can do; the host refuses requests that need more."""

    streaming_text: bool = False
    tool_calls: bool = False
    parallel_tool_calls: bool = False
    structured_output: bool = False
    interactions: bool = False
    resumable_turns: bool = False
    reasoning_summaries: bool = False
    bounded_list_hydration: bool = False
    supports_session_start: bool = False
    supports_prepared_workspace: bool = False
    mcp_catalog: bool = False
    """Turns take their tools from ``AgentHostClient.tools``."""


@dataclass(frozen=True, slots=True)
class SessionStartHook:
    """Describe a command to run when a session opens; ``timeout`` such as ``30s``, empty: the provider's default."""

    id: str
    command: Sequence[str]
    type: str = "command"
    cwd: str = ""
    timeout: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    to_context: bool = False
    to_metadata: bool = False


@dataclass(frozen=True, slots=True)
class NewSession:
    """Ask for a session; the answer has this id, or with a key seen before that of the earlier session."""

    session_id: str
    idempotency_key: str = ""
    model: str = ""
    client_ref: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_by: Actor = NOBODY
    asker: Asker = Asker()
    hooks: Sequence[SessionStartHook] = ()
    workspace_root: str = ""
    workspace_cwd: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """Describe a session; ``created_by`` is that of the ``NewSession``: the host shows it to nobody else."""

    id: str
    created_by: Actor
    model: str = ""
    client_ref: str = ""
    state: SessionState = "active"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_turn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewTurn:
    """Ask for a turn; ``run_grant`` is a secret that authorises its calls of the host."""

    turn_id: str
    session_id: str
    messages: Sequence[AgentMessage] = ()
    idempotency_key: str = ""
    model: str = ""
    response_schema: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    model_options: Mapping[str, Any] = field(default_factory=dict)
    created_by: Actor = NOBODY
    asker: Asker = Asker()
    execution_ref: str = ""
    tool_refs: Sequence[ToolRef] = ()
    mcp_catalog: bool = False
    run_grant: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """Describe a turn; ``created_by`` and ``execution_ref`` are those of the ``NewTurn``."""

    id: str
    session_id: str
    status: TurnStatus
    created_by: Actor
    execution_ref: str = ""
    model: str = ""
    messages: Sequence[AgentMessage] = ()
    output_text: str = ""
    structured_output: Mapping[str, Any] = field(default_factory=dict)
    status_message: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Tell whether the turn has not ended: it is pending, running or waiting for input."""
        return self.status in ("pending", "running", "waiting_for_input")


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """Describe what happened in a turn.

    ``seq`` ascends within the turn, from 1. ``display`` has the members of the contract's AgentTurnDisplay.
    """

    id: str
    turn_id: str
    seq: int
    type: str
    source: str = ""
    visibility: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    display: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interaction:
    """Ask people a question."""

    id: str
    turn_id: str
    session_id: str
    type: Literal["", "approval", "clarification", "input"] = "approval"
    state: Literal["", "pending", "resolved", "canceled"] = "pending"
    title: str = ""
    prompt: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    resolution: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """Describe a tool that a turn may use; ``input_schema`` and ``output_schema`` are JSON Schemas."""

    id: str
    mcp_name: str
    title: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    ref: ToolRef = _NO_REF
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ResolvedConnection:
    """Carry the headers, with secrets, and the parameters of requests over a connection."""

    connection_id: str
    connection: str
    instance: str
    mode: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None
