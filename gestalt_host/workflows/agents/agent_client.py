"""The host's client of one agent provider (contract.md 4.6.1). Nothing wires this yet.

It has what workflow runs need of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from gestalt_host.access.subjects import Principal
from gestalt_host.errors import ProviderRefused, ProviderUnavailable
from gestalt_host.supervisor.errors import ProviderAway
from gestalt_host.supervisor.links import ProviderLink
from gestalt_host.workflows.model import AgentMessage, ToolRef
from gestalt_host.workflows.providers.failures import provider_away, provider_error, wait_ready
from gestalt_sdk.gen.v1 import agent_pb2 as pb
from gestalt_sdk.gen.v1 import agent_pb2_grpc
from gestalt_sdk.transport.values import from_struct, to_struct
from gestalt_sdk.workflow.targets import message_to_proto, tool_ref_to_proto

TURN_STATUSES = ("", "pending", "running", "succeeded", "failed", "canceled", "waiting_for_input")
CANCEL_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """An agent's turn. ``structured_output`` is None when the turn has none."""

    id: str
    session_id: str
    status: str
    output_text: str = ""
    structured_output: dict[str, Any] | None = None
    status_message: str = ""
    created_by: str = ""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    turn_id: str
    session_id: str
    idempotency_key: str
    model: str
    messages: Sequence[AgentMessage]
    tool_refs: Sequence[ToolRef]
    uses_catalogue: bool
    """Tools come from the MCP catalogue: the only source there is."""
    response_schema: Mapping[str, Any] = field(default_factory=dict)
    model_options: Mapping[str, Any] = field(default_factory=dict)
    metadata: Struct | None = None


class AgentProviderClient:
    """Client of one agent provider; each method takes the seconds that are left of the run's deadline."""

    def __init__(self, link: ProviderLink) -> None:
        self.name = link.name
        self._link = link
        self._stub = agent_pb2_grpc.AgentProviderStub(link.channel)

    async def supports_catalogue(self, timeout_s: float) -> bool:
        """Return whether tools can be offered from the MCP catalogue."""
        try:
            request = pb.GetAgentProviderCapabilitiesRequest()
            answer = await self._call(self._stub.GetCapabilities, request, timeout_s)
        except ProviderRefused as error:
            if error.code == "UNIMPLEMENTED":
                return False
            raise
        return pb.AGENT_TOOL_SOURCE_MODE_MCP_CATALOG in answer.supported_tool_sources

    async def create_session(
        self, who: Principal, session_id: str, model: str, metadata: Struct, idempotency_key: str, timeout_s: float
    ) -> tuple[str, str]:
        """Create the session, or find the one that the key made before; return its id and its creator's subject id."""
        request = pb.CreateAgentProviderSessionRequest(
            session_id=session_id,
            idempotency_key=idempotency_key,
            model=model,
            metadata=metadata,
            created_by=_actor(who),
            subject=_subject(who),
        )
        answer = await self._call(self._stub.CreateSession, request, timeout_s)
        return answer.id, answer.created_by.subject_id

    async def create_turn(self, who: Principal, turn: TurnRequest, timeout_s: float) -> AgentTurn:
        catalogue, unset = pb.AGENT_TOOL_SOURCE_MODE_MCP_CATALOG, pb.AGENT_TOOL_SOURCE_MODE_UNSPECIFIED
        request = pb.CreateAgentProviderTurnRequest(
            turn_id=turn.turn_id,
            session_id=turn.session_id,
            idempotency_key=turn.idempotency_key,
            model=turn.model,
            messages=map(message_to_proto, turn.messages),
            response_schema=to_struct(turn.response_schema) if turn.response_schema else None,
            metadata=turn.metadata,
            created_by=_actor(who),
            execution_ref=turn.turn_id,
            tool_refs=map(tool_ref_to_proto, turn.tool_refs),
            tool_source=catalogue if turn.uses_catalogue else unset,
            subject=_subject(who),
            model_options=to_struct(turn.model_options) if turn.model_options else None,
        )
        return _turn(await self._call(self._stub.CreateTurn, request, timeout_s))

    async def get_turn(self, who: Principal, turn_id: str, timeout_s: float) -> AgentTurn:
        request = pb.GetAgentProviderTurnRequest(turn_id=turn_id, subject=_subject(who))
        return _turn(await self._call(self._stub.GetTurn, request, timeout_s))

    async def cancel_turn(self, who: Principal, turn_id: str, reason: str) -> None:
        request = pb.CancelAgentProviderTurnRequest(turn_id=turn_id, reason=reason, subject=_subject(who))
        await self._call(self._stub.CancelTurn, request, CANCEL_DEADLINE_S)

    async def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        await wait_ready("agent", self._link, timeout_s)
        try:
            return await self._link.calls.answer(method(request, timeout=timeout_s))
        except ProviderAway as error:
            raise provider_away("agent", self.name, error) from error
        except grpc.aio.AioRpcError as error:
            failure: ProviderRefused | ProviderUnavailable = provider_error("agent", self.name, error)
            raise failure from error


def _turn(message: pb.AgentTurn) -> AgentTurn:
    number = int(message.status)
    output = from_struct(message.structured_output) if message.HasField("structured_output") else None
    return AgentTurn(
        id=message.id,
        session_id=message.session_id,
        status=TURN_STATUSES[number] if number < len(TURN_STATUSES) else f"status {number}",
        output_text=message.output_text,
        structured_output=output,
        status_message=message.status_message,
        created_by=message.created_by.subject_id,
    )


def _actor(who: Principal) -> pb.AgentActor:
    actor = who.actor
    return pb.AgentActor(
        subject_id=actor.subject_id,
        subject_kind=actor.subject_kind,
        display_name=actor.display_name,
        auth_source=actor.auth_source,
    )


def _subject(who: Principal) -> pb.AgentSubjectContext:
    actor = who.actor
    return pb.AgentSubjectContext(
        subject_id=actor.subject_id,
        subject_kind=actor.subject_kind,
        credential_subject_id=who.credential_subject_id or actor.subject_id,
        display_name=actor.display_name,
        auth_source=actor.auth_source,
    )
