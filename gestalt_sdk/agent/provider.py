"""Write an agent provider: an ``AgentProvider`` subclass, and the client with which a turn uses its tools.

    class Parrot(AgentProvider):
        async def create_turn(self, new: NewTurn) -> Turn:
            return Turn(new.turn_id, new.session_id, "succeeded", new.created_by, new.execution_ref,
                        output_text=new.messages[-1].text)

A method that is not overridden answers UNIMPLEMENTED. Ids and ownership rules: contract.md 4.6.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import grpc

from gestalt_sdk.agent import convert
from gestalt_sdk.agent.types import (
    Asker,
    Capabilities,
    Interaction,
    NewSession,
    NewTurn,
    ResolvedConnection,
    Session,
    SessionState,
    Tool,
    Turn,
    TurnEvent,
    TurnStatus,
)
from gestalt_sdk.bases.provider import Provider, ProviderKind
from gestalt_sdk.client_faults import CLIENT_FAULTS
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.v1 import agent_pb2 as pb
from gestalt_sdk.gen.v1 import agent_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.environment import AGENT_HOST_SOCKET
from gestalt_sdk.transport.faults import Fault, FaultTable, end_call, reporting_faults
from gestalt_sdk.transport.host_channels import CALL_TIMEOUT_S, call
from gestalt_sdk.transport.values import from_struct, to_struct
from gestalt_sdk.workflow.invoker import InvocationResult

SERVICE = "gestalt.provider.v1.AgentProvider"
PAGE = 1000


class AgentObjectNotFound(GestaltError):
    """Say that there is no such session, turn or interaction, or that it is not the asker's."""


class AgentRequestInvalid(GestaltError):
    """Refuse a request that cannot be carried out; the text names the field, its value and what is accepted."""


class AgentStateConflict(GestaltError):
    """Refuse what the object's state does not allow, such as an answer to an interaction that is resolved."""


FAULTS: FaultTable = {
    **CLIENT_FAULTS,
    AgentObjectNotFound: Fault("AGENT_OBJECT_NOT_FOUND", grpc.StatusCode.NOT_FOUND),
    AgentRequestInvalid: Fault("AGENT_REQUEST_INVALID", grpc.StatusCode.INVALID_ARGUMENT),
    AgentStateConflict: Fault("AGENT_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION),
}


class AgentProvider(Provider):
    """Answer the host's calls of an agent; the base of agent providers.

    Lists hold only what belongs to the asker, the newest when ``limit`` (0: none) cuts them. Methods may raise
    ``AgentObjectNotFound``, ``AgentRequestInvalid`` and ``AgentStateConflict``.
    """

    kind: ClassVar[ProviderKind] = ProviderKind.AGENT
    agent_capabilities: Capabilities = Capabilities()

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Add the AgentProvider service; return its name."""
        agent_pb2_grpc.add_AgentProviderServicer_to_server(_Servicer(self), server)
        return [SERVICE]

    def agent_host(self, turn: NewTurn) -> AgentHostClient:
        """Return a client of the host's tools for this turn.

        The turn must be known to ``get_turn``, and live, before the client is used.

        Raises:
            EnvironmentUnusable: the host does not give this process the service.
        """
        return AgentHostClient(self.host_channels.channel(AGENT_HOST_SOCKET), turn)

    async def create_session(self, new: NewSession) -> Session:
        """Open a session under ``new.session_id``; a key seen before may answer with the earlier session."""
        raise NotImplementedError

    async def get_session(self, session_id: str, asker: Asker) -> Session:
        """Return one session of the asker."""
        raise NotImplementedError

    async def list_sessions(
        self, asker: Asker, *, session_ids: Sequence[str], state: SessionState, limit: int, summary_only: bool
    ) -> Sequence[Session]:
        """Return the newest sessions of the asker that fit.

        Args:
            session_ids: Only these; empty: any.
            state: Only those in it; empty: any.
            limit: At most this many; 0: all.
            summary_only: The caller reads neither metadata nor texts.
        """
        raise NotImplementedError

    async def update_session(
        self,
        session_id: str,
        asker: Asker,
        *,
        client_ref: str,
        state: SessionState,
        metadata: Mapping[str, Any] | None,
    ) -> Session:
        """Change what is given; blank ``client_ref`` and ``state``, and None as ``metadata``, mean keep."""
        raise NotImplementedError

    async def create_turn(self, new: NewTurn) -> Turn:
        """Begin a turn and answer without waiting for its end; from then on it may use ``agent_host``."""
        raise NotImplementedError

    async def get_turn(self, turn_id: str, asker: Asker) -> Turn:
        """Return one turn of the asker; asked every second while somebody waits for its end."""
        raise NotImplementedError

    async def list_turns(
        self,
        session_id: str,
        asker: Asker,
        *,
        turn_ids: Sequence[str],
        status: TurnStatus,
        limit: int,
        summary_only: bool,
    ) -> Sequence[Turn]:
        """Return the newest turns of a session that fit.

        Args:
            turn_ids: Only these; empty: any.
            status: Only those in it; empty: any.
            limit: At most this many; 0: all.
            summary_only: The caller reads neither messages nor output.
        """
        raise NotImplementedError

    async def cancel_turn(self, turn_id: str, reason: str, asker: Asker) -> Turn:
        """End a turn; the answer must not be live any more."""
        raise NotImplementedError

    async def list_turn_events(self, turn_id: str, asker: Asker, *, after_seq: int, limit: int) -> Sequence[TurnEvent]:
        """Return up to ``limit`` (0: all) events of a turn behind ``after_seq``, in the order of ``seq``."""
        raise NotImplementedError

    async def get_interaction(self, interaction_id: str, asker: Asker) -> Interaction:
        """Return one question of the asker."""
        raise NotImplementedError

    async def list_interactions(self, turn_id: str, asker: Asker) -> Sequence[Interaction]:
        """Return the questions of a turn."""
        raise NotImplementedError

    async def resolve_interaction(
        self, interaction_id: str, resolution: Mapping[str, Any], asker: Asker
    ) -> Interaction:
        """Answer a question; the turn goes on."""
        raise NotImplementedError


class AgentHostClient:
    """Call the host's tools on behalf of one turn (contract.md 4.6.2).

    Errors of every method: ``ServiceRefused``, and ``ServiceUnavailable`` without an answer.
    """

    def __init__(self, channel: grpc.aio.Channel, turn: NewTurn) -> None:
        self._stub = agent_pb2_grpc.AgentHostStub(channel)
        self._scope = {"session_id": turn.session_id, "turn_id": turn.turn_id, "run_grant": turn.run_grant}

    async def tools(self, query: str = "") -> AsyncIterator[Tool]:
        """Iterate over the tools that the turn may use, by name, or by relevance to ``query``."""
        token = ""
        while True:
            request = pb.ListAgentToolsRequest(page_size=PAGE, page_token=token, query=query, **self._scope)
            response = await call(self._stub.ListTools, request)
            for tool in response.tools:
                yield convert.tool_from_proto(tool)
            token = response.next_page_token
            if not token:
                return

    async def execute(
        self,
        tool_id: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        tool_call_id: str = "",
        idempotency_key: str = "",
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> InvocationResult:
        """Execute a tool as the turn's subject; a status of 400 or more is a result.

        Args:
            arguments: A JSON object; None: no arguments.
            tool_call_id: Identifies the call; this or ``idempotency_key`` is needed.
            timeout_s: Longest wait for the answer; None: as long as it takes.
        """
        request = pb.ExecuteAgentToolRequest(
            tool_id=tool_id,
            tool_call_id=tool_call_id,
            idempotency_key=idempotency_key,
            arguments=to_struct(arguments) if arguments else None,
            **self._scope,
        )
        response = await call(self._stub.ExecuteTool, request, timeout_s)
        return InvocationResult(response.status or 200, response.body)

    async def connection(self, name: str, *, instance: str = "") -> ResolvedConnection:
        """Return a connection of the agent's own configuration, with what its requests must carry."""
        request = pb.ResolveAgentConnectionRequest(connection=name, instance=instance, **self._scope)
        return convert.connection_from_proto(await call(self._stub.ResolveConnection, request))


@asynccontextmanager
async def _reporting(context: ServerContext) -> AsyncIterator[None]:
    async with reporting_faults(context, FAULTS):
        try:
            yield
        except NotImplementedError:
            await end_call(context, grpc.StatusCode.UNIMPLEMENTED, "this agent provider does not offer that")


class _Servicer(agent_pb2_grpc.AgentProviderServicer):
    def __init__(self, provider: AgentProvider) -> None:
        self._provider = provider

    async def CreateSession(
        self, request: pb.CreateAgentProviderSessionRequest, context: ServerContext
    ) -> pb.AgentSession:
        async with _reporting(context):
            session = await self._provider.create_session(convert.new_session_from_proto(request))
        return convert.session_to_proto(session, self._provider.name)

    async def GetSession(self, request: pb.GetAgentProviderSessionRequest, context: ServerContext) -> pb.AgentSession:
        async with _reporting(context):
            session = await self._provider.get_session(request.session_id, convert.asker_from_proto(request.subject))
        return convert.session_to_proto(session, self._provider.name)

    async def ListSessions(
        self, request: pb.ListAgentProviderSessionsRequest, context: ServerContext
    ) -> pb.ListAgentProviderSessionsResponse:
        async with _reporting(context):
            sessions = await self._provider.list_sessions(
                convert.asker_from_proto(request.subject),
                session_ids=list(request.session_ids),
                state=convert.enum_word(*convert.STATE, request.state),
                limit=request.limit,
                summary_only=request.summary_only,
            )
        name = self._provider.name
        return pb.ListAgentProviderSessionsResponse(
            sessions=[convert.session_to_proto(session, name) for session in sessions]
        )

    async def UpdateSession(
        self, request: pb.UpdateAgentProviderSessionRequest, context: ServerContext
    ) -> pb.AgentSession:
        async with _reporting(context):
            session = await self._provider.update_session(
                request.session_id,
                convert.asker_from_proto(request.subject),
                client_ref=request.client_ref,
                state=convert.enum_word(*convert.STATE, request.state),
                metadata=from_struct(request.metadata) if request.HasField("metadata") else None,
            )
        return convert.session_to_proto(session, self._provider.name)

    async def CreateTurn(self, request: pb.CreateAgentProviderTurnRequest, context: ServerContext) -> pb.AgentTurn:
        async with _reporting(context):
            turn = await self._provider.create_turn(convert.new_turn_from_proto(request))
        return convert.turn_to_proto(turn, self._provider.name)

    async def GetTurn(self, request: pb.GetAgentProviderTurnRequest, context: ServerContext) -> pb.AgentTurn:
        async with _reporting(context):
            turn = await self._provider.get_turn(request.turn_id, convert.asker_from_proto(request.subject))
        return convert.turn_to_proto(turn, self._provider.name)

    async def ListTurns(
        self, request: pb.ListAgentProviderTurnsRequest, context: ServerContext
    ) -> pb.ListAgentProviderTurnsResponse:
        async with _reporting(context):
            turns = await self._provider.list_turns(
                request.session_id,
                convert.asker_from_proto(request.subject),
                turn_ids=list(request.turn_ids),
                status=convert.enum_word(*convert.STATUS, request.status),
                limit=request.limit,
                summary_only=request.summary_only,
            )
        name = self._provider.name
        return pb.ListAgentProviderTurnsResponse(turns=[convert.turn_to_proto(turn, name) for turn in turns])

    async def CancelTurn(self, request: pb.CancelAgentProviderTurnRequest, context: ServerContext) -> pb.AgentTurn:
        async with _reporting(context):
            asker = convert.asker_from_proto(request.subject)
            turn = await self._provider.cancel_turn(request.turn_id, request.reason, asker)
        return convert.turn_to_proto(turn, self._provider.name)

    async def ListTurnEvents(
        self, request: pb.ListAgentProviderTurnEventsRequest, context: ServerContext
    ) -> pb.ListAgentProviderTurnEventsResponse:
        async with _reporting(context):
            events = await self._provider.list_turn_events(
                request.turn_id,
                convert.asker_from_proto(request.subject),
                after_seq=request.after_seq,
                limit=request.limit,
            )
        return pb.ListAgentProviderTurnEventsResponse(events=[convert.event_to_proto(event) for event in events])

    async def GetInteraction(
        self, request: pb.GetAgentProviderInteractionRequest, context: ServerContext
    ) -> pb.AgentInteraction:
        async with _reporting(context):
            asker = convert.asker_from_proto(request.subject)
            interaction = await self._provider.get_interaction(request.interaction_id, asker)
        return convert.interaction_to_proto(interaction)

    async def ListInteractions(
        self, request: pb.ListAgentProviderInteractionsRequest, context: ServerContext
    ) -> pb.ListAgentProviderInteractionsResponse:
        async with _reporting(context):
            asker = convert.asker_from_proto(request.subject)
            interactions = await self._provider.list_interactions(request.turn_id, asker)
        return pb.ListAgentProviderInteractionsResponse(
            interactions=[convert.interaction_to_proto(interaction) for interaction in interactions]
        )

    async def ResolveInteraction(
        self, request: pb.ResolveAgentProviderInteractionRequest, context: ServerContext
    ) -> pb.AgentInteraction:
        async with _reporting(context):
            asker = convert.asker_from_proto(request.subject)
            resolution = from_struct(request.resolution)
            interaction = await self._provider.resolve_interaction(request.interaction_id, resolution, asker)
        return convert.interaction_to_proto(interaction)

    async def GetCapabilities(
        self, request: pb.GetAgentProviderCapabilitiesRequest, context: ServerContext
    ) -> pb.AgentProviderCapabilities:
        return convert.capabilities_to_proto(self._provider.agent_capabilities)
