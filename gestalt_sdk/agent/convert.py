"""Convert agent objects between generated types and ``agent.types``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gestalt_sdk.agent.types import (
    Asker,
    Capabilities,
    Interaction,
    NewSession,
    NewTurn,
    ResolvedConnection,
    Session,
    SessionStartHook,
    Tool,
    Turn,
    TurnEvent,
)
from gestalt_sdk.gen.v1 import agent_pb2 as pb
from gestalt_sdk.transport.values import from_struct, optional_struct, optional_time, optional_timestamp, to_value
from gestalt_sdk.workflow.targets import message_from_proto, message_to_proto, tool_ref_from_proto
from gestalt_sdk.workflow.types import Actor


def enum_word(enum: Any, prefix: str, number: int) -> Any:
    """Return ``running`` for AGENT_EXECUTION_STATUS_RUNNING; empty for UNSPECIFIED and unknown numbers."""
    try:
        word = enum.Name(number).removeprefix(prefix).lower()
    except ValueError:
        return ""
    return "" if word == "unspecified" else word


def enum_number(enum: Any, prefix: str, word: str) -> Any:
    """Return the number of the word; UNSPECIFIED for an empty one. Raises ``ValueError`` for one that is unknown."""
    return enum.Value(prefix + (word.upper() or "UNSPECIFIED"))


STATUS = (pb.AgentExecutionStatus, "AGENT_EXECUTION_STATUS_")
STATE = (pb.AgentSessionState, "AGENT_SESSION_STATE_")
INTERACTION_TYPE = (pb.AgentInteractionType, "AGENT_INTERACTION_TYPE_")
INTERACTION_STATE = (pb.AgentInteractionState, "AGENT_INTERACTION_STATE_")


_DISPLAY_VALUES = ("input", "output", "error")


def asker_from_proto(message: pb.AgentSubjectContext) -> Asker:
    """Return who asks."""
    return Asker(
        message.subject_id,
        message.subject_kind,
        message.credential_subject_id,
        message.display_name,
        message.auth_source,
    )


def actor_from_proto(message: pb.AgentActor) -> Actor:
    """Return what the message says of somebody who did something."""
    return Actor(message.subject_id, message.subject_kind, message.display_name, message.auth_source)


def actor_to_proto(actor: Actor) -> pb.AgentActor:
    """Return the actor as a message, also when all its members are empty."""
    return pb.AgentActor(
        subject_id=actor.subject_id,
        subject_kind=actor.subject_kind,
        display_name=actor.display_name,
        auth_source=actor.auth_source,
    )


def new_session_from_proto(message: pb.CreateAgentProviderSessionRequest) -> NewSession:
    """Return the session that the request asks for, with its hooks and its prepared workspace."""
    return NewSession(
        session_id=message.session_id,
        idempotency_key=message.idempotency_key,
        model=message.model,
        client_ref=message.client_ref,
        metadata=from_struct(message.metadata),
        created_by=actor_from_proto(message.created_by),
        asker=asker_from_proto(message.subject),
        hooks=tuple(
            SessionStartHook(
                id=hook.id,
                command=tuple(hook.command),
                type=hook.type,
                cwd=hook.cwd,
                timeout=hook.timeout,
                env=dict(hook.env),
                to_context=hook.output.additional_context,
                to_metadata=hook.output.metadata,
            )
            for hook in message.session_start.hooks
        ),
        workspace_root=message.prepared_workspace.root,
        workspace_cwd=message.prepared_workspace.cwd,
    )


def session_to_proto(session: Session, provider_name: str) -> pb.AgentSession:
    """Return the session as a message of the configured provider ``provider_name``."""
    return pb.AgentSession(
        id=session.id,
        provider_name=provider_name,
        model=session.model,
        client_ref=session.client_ref,
        state=enum_number(*STATE, session.state),
        metadata=optional_struct(session.metadata),
        created_by=actor_to_proto(session.created_by),
        created_at=optional_timestamp(session.created_at),
        updated_at=optional_timestamp(session.updated_at),
        last_turn_at=optional_timestamp(session.last_turn_at),
    )


def new_turn_from_proto(message: pb.CreateAgentProviderTurnRequest) -> NewTurn:
    """Return the turn that the request asks for."""
    return NewTurn(
        turn_id=message.turn_id,
        session_id=message.session_id,
        messages=tuple(message_from_proto(each) for each in message.messages),
        idempotency_key=message.idempotency_key,
        model=message.model,
        response_schema=from_struct(message.response_schema),
        metadata=from_struct(message.metadata),
        model_options=from_struct(message.model_options),
        created_by=actor_from_proto(message.created_by),
        asker=asker_from_proto(message.subject),
        execution_ref=message.execution_ref,
        tool_refs=tuple(tool_ref_from_proto(ref) for ref in message.tool_refs),
        mcp_catalog=message.tool_source == pb.AGENT_TOOL_SOURCE_MODE_MCP_CATALOG,
        run_grant=message.run_grant,
    )


def turn_to_proto(turn: Turn, provider_name: str) -> pb.AgentTurn:
    """Return the turn as a message of the configured provider ``provider_name``."""
    return pb.AgentTurn(
        id=turn.id,
        session_id=turn.session_id,
        provider_name=provider_name,
        model=turn.model,
        status=enum_number(*STATUS, turn.status),
        messages=[message_to_proto(message) for message in turn.messages],
        output_text=turn.output_text,
        structured_output=optional_struct(turn.structured_output),
        status_message=turn.status_message,
        created_by=actor_to_proto(turn.created_by),
        created_at=optional_timestamp(turn.created_at),
        started_at=optional_timestamp(turn.started_at),
        completed_at=optional_timestamp(turn.completed_at),
        execution_ref=turn.execution_ref,
    )


def event_to_proto(event: TurnEvent) -> pb.AgentTurnEvent:
    """Return the event of a turn as a message."""
    return pb.AgentTurnEvent(
        id=event.id,
        turn_id=event.turn_id,
        seq=event.seq,
        type=event.type,
        source=event.source,
        visibility=event.visibility,
        data=optional_struct(event.data),
        created_at=optional_timestamp(event.created_at),
        display=_display(event.display) if event.display else None,
    )


def _display(members: Mapping[str, Any]) -> pb.AgentTurnDisplay:
    fields: dict[str, Any] = {
        name: to_value(value) if name in _DISPLAY_VALUES else value for name, value in members.items()
    }
    return pb.AgentTurnDisplay(**fields)


def interaction_to_proto(interaction: Interaction) -> pb.AgentInteraction:
    """Return the question as a message."""
    return pb.AgentInteraction(
        id=interaction.id,
        type=enum_number(*INTERACTION_TYPE, interaction.type),
        state=enum_number(*INTERACTION_STATE, interaction.state),
        title=interaction.title,
        prompt=interaction.prompt,
        request=optional_struct(interaction.request),
        resolution=optional_struct(interaction.resolution),
        created_at=optional_timestamp(interaction.created_at),
        resolved_at=optional_timestamp(interaction.resolved_at),
        turn_id=interaction.turn_id,
        session_id=interaction.session_id,
    )


def capabilities_to_proto(capabilities: Capabilities) -> pb.AgentProviderCapabilities:
    """Return the capabilities as a message."""
    return pb.AgentProviderCapabilities(
        streaming_text=capabilities.streaming_text,
        tool_calls=capabilities.tool_calls,
        parallel_tool_calls=capabilities.parallel_tool_calls,
        structured_output=capabilities.structured_output,
        interactions=capabilities.interactions,
        resumable_turns=capabilities.resumable_turns,
        reasoning_summaries=capabilities.reasoning_summaries,
        bounded_list_hydration=capabilities.bounded_list_hydration,
        supported_tool_sources=[pb.AGENT_TOOL_SOURCE_MODE_MCP_CATALOG] if capabilities.mcp_catalog else [],
        supports_session_start=capabilities.supports_session_start,
        supports_prepared_workspace=capabilities.supports_prepared_workspace,
    )


def tool_from_proto(message: pb.ListedAgentTool) -> Tool:
    """Return the tool; its schemas are read from JSON, an absent one is empty."""
    return Tool(
        id=message.id,
        mcp_name=message.mcp_name,
        title=message.title,
        description=message.description,
        input_schema=orjson.loads(message.input_schema) if message.input_schema else {},
        output_schema=orjson.loads(message.output_schema) if message.output_schema else {},
        ref=tool_ref_from_proto(message.ref),
        tags=tuple(message.tags),
    )


def connection_from_proto(message: pb.ResolvedAgentConnection) -> ResolvedConnection:
    """Return the connection with the headers and parameters that its requests must carry."""
    return ResolvedConnection(
        connection_id=message.connection_id,
        connection=message.connection,
        instance=message.instance,
        mode=message.mode,
        headers=dict(message.headers),
        params=dict(message.params),
        expires_at=optional_time(message, "expires_at"),
    )
