"""Agent providers in Python's own types, and the host's tools on behalf of a turn."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import grpc
import pytest

from gestalt_sdk.agent import convert
from gestalt_sdk.agent.provider import AgentObjectNotFound, AgentProvider, AgentStateConflict
from gestalt_sdk.agent.types import (
    Asker,
    Capabilities,
    Interaction,
    NewSession,
    NewTurn,
    Session,
    Turn,
    TurnEvent,
    TurnStatus,
)
from gestalt_sdk.errors import ServiceRefused
from gestalt_sdk.gen.v1 import agent_pb2 as pb
from gestalt_sdk.gen.v1 import agent_pb2_grpc
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address
from gestalt_sdk.transport.values import to_struct
from gestalt_sdk.workflow.types import Actor, AgentMessage

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Parrot(AgentProvider):
    agent_capabilities = Capabilities(tool_calls=True, mcp_catalog=True, bounded_list_hydration=True)

    def __init__(self) -> None:
        super().__init__()
        self.name = "parrot"
        self.sessions: dict[str, Session] = {}
        self.turns: dict[str, Turn] = {}

    async def create_session(self, new: NewSession) -> Session:
        session = Session(new.session_id, new.created_by, metadata=new.metadata, created_at=NOON)
        self.sessions[session.id] = session
        return session

    async def get_session(self, session_id: str, asker: Asker) -> Session:
        session = self.sessions.get(session_id)
        if session is None or session.created_by.subject_id != asker.subject_id:
            raise AgentObjectNotFound(f"no session {session_id!r}")
        return session

    async def list_sessions(self, asker: Asker, **filters: Any) -> list[Session]:
        assert filters == {"session_ids": [], "state": "archived", "limit": 5, "summary_only": True}
        return list(self.sessions.values())

    async def update_session(self, session_id: str, asker: Asker, **changes: Any) -> Session:
        assert changes == {"client_ref": "", "state": "", "metadata": {}}
        return await self.get_session(session_id, asker)

    async def create_turn(self, new: NewTurn) -> Turn:
        host = self.agent_host(new)
        tools = [tool.mcp_name async for tool in host.tools()]
        result = await host.execute("id-1", {"a": 1}, tool_call_id="c1")
        text = f"{new.messages[-1].text} {tools} {result.status} {result.body}"
        turn = Turn(
            new.turn_id,
            new.session_id,
            "succeeded",
            new.created_by,
            new.execution_ref,
            messages=new.messages,
            output_text=text,
        )
        self.turns[turn.id] = turn
        return turn

    async def list_turn_events(self, turn_id: str, asker: Asker, *, after_seq: int, limit: int) -> list[TurnEvent]:
        display = {"kind": "tool", "phase": "started", "input": {"a": [1]}}
        return [TurnEvent("e", turn_id, after_seq + 1, "tool.started", data={"x": 1}, display=display, created_at=NOON)]

    async def resolve_interaction(
        self, interaction_id: str, resolution: Mapping[str, Any], asker: Asker
    ) -> Interaction:
        if interaction_id == "done":
            raise AgentStateConflict("interaction 'done' is resolved; only a pending one can be")
        return Interaction(interaction_id, "t", "s", "input", "resolved", resolution=resolution)

    async def get_turn(self, turn_id: str, asker: Asker) -> Turn:
        raise KeyError("a secret detail")

    async def list_turns(self, session_id: str, asker: Asker, **filters: Any) -> list[Turn]:
        assert filters == {"turn_ids": ["t"], "status": "running", "limit": 2, "summary_only": False}
        return [Turn("t", session_id, "running", Actor(asker.subject_id), started_at=NOON)]

    async def cancel_turn(self, turn_id: str, reason: str, asker: Asker) -> Turn:
        return Turn(turn_id, "s", "canceled", Actor(asker.subject_id), status_message=reason)

    async def get_interaction(self, interaction_id: str, asker: Asker) -> Interaction:
        return Interaction(interaction_id, "t", "s", prompt=f"May {asker.subject_id}?", request={"amount": 3})

    async def list_interactions(self, turn_id: str, asker: Asker) -> list[Interaction]:
        return [Interaction("i", turn_id, "s", "clarification")]


class Host(agent_pb2_grpc.AgentHostServicer):
    async def ListTools(self, request: pb.ListAgentToolsRequest, context: Any) -> pb.ListAgentToolsResponse:
        if request.run_grant != "grant":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "authorization denied: agent run grant is required")
        tool = pb.ListedAgentTool(id="id-1", mcp_name=f"tool{request.page_token}", input_schema='{"type":"object"}')
        return pb.ListAgentToolsResponse(tools=[tool], next_page_token="" if request.page_token else "2")

    async def ExecuteTool(self, request: pb.ExecuteAgentToolRequest, context: Any) -> pb.ExecuteAgentToolResponse:
        return pb.ExecuteAgentToolResponse(status=201, body=f"{request.tool_id}/{request.session_id}/{request.turn_id}")

    async def ResolveConnection(
        self, request: pb.ResolveAgentConnectionRequest, context: Any
    ) -> pb.ResolvedAgentConnection:
        return pb.ResolvedAgentConnection(connection=request.connection, headers={"Authorization": "Bearer x"})


@asynccontextmanager
async def served(provider: AgentProvider, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    server = grpc.aio.server()
    assert list(provider.register(server)) == ["gestalt.provider.v1.AgentProvider"]
    agent_pb2_grpc.add_AgentHostServicer_to_server(Host(), server)
    server.add_insecure_port(f"unix:{folder / 'a'}")
    await server.start()
    monkeypatch.setenv("GESTALT_AGENT_HOST_SOCKET", str(folder / "a"))
    async with open_channel(Address(f"unix:{folder / 'a'}")) as channel:
        yield agent_pb2_grpc.AgentProviderStub(channel)
    await provider.host_channels.close()
    await server.stop(0)


ME = pb.AgentActor(subject_id="user:1")
ASKING = pb.AgentSubjectContext(subject_id="user:1")


async def test_sessions_turns_and_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(Parrot(), tmp_path, monkeypatch) as stub:
        session = await stub.CreateSession(
            pb.CreateAgentProviderSessionRequest(session_id="s", created_by=ME, metadata=to_struct({"a": 1})), timeout=5
        )
        assert (session.id, session.provider_name, session.created_by) == ("s", "parrot", ME)
        assert session.state == pb.AGENT_SESSION_STATE_ACTIVE
        assert session.HasField("created_at")
        again = await stub.GetSession(pb.GetAgentProviderSessionRequest(session_id="s", subject=ASKING), timeout=5)
        assert again == session
        listed = await stub.ListSessions(
            pb.ListAgentProviderSessionsRequest(state=pb.AGENT_SESSION_STATE_ARCHIVED, limit=5, summary_only=True),
            timeout=5,
        )
        assert list(listed.sessions) == [session]
        update = pb.UpdateAgentProviderSessionRequest(session_id="s", subject=ASKING, metadata=to_struct({}))
        assert await stub.UpdateSession(update, timeout=5) == session

        turn = await stub.CreateTurn(
            pb.CreateAgentProviderTurnRequest(
                turn_id="t",
                session_id="s",
                messages=[pb.AgentMessage(role="user", text="hello")],
                created_by=ME,
                execution_ref="t",
                run_grant="grant",
            ),
            timeout=5,
        )
        assert turn.output_text == "hello ['tool', 'tool2'] 201 id-1/s/t"
        assert (turn.status, turn.execution_ref) == (pb.AGENT_EXECUTION_STATUS_SUCCEEDED, "t")
        events = await stub.ListTurnEvents(pb.ListAgentProviderTurnEventsRequest(turn_id="t", after_seq=4), timeout=5)
        assert events.events[0].seq == 5
        assert events.events[0].display.kind == "tool"
        assert events.events[0].display.input.struct_value == to_struct({"a": [1]})
        capabilities = await stub.GetCapabilities(pb.GetAgentProviderCapabilitiesRequest(), timeout=5)
        assert list(capabilities.supported_tool_sources) == [pb.AGENT_TOOL_SOURCE_MODE_MCP_CATALOG]
        resolved = await stub.ResolveInteraction(
            pb.ResolveAgentProviderInteractionRequest(interaction_id="i", resolution=to_struct({"ok": True})), timeout=5
        )
        assert resolved.state == pb.AGENT_INTERACTION_STATE_RESOLVED
        assert resolved.turn_id == "t"


async def test_turns_and_interactions_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(Parrot(), tmp_path, monkeypatch) as stub:
        listed = await stub.ListTurns(
            pb.ListAgentProviderTurnsRequest(
                session_id="s", subject=ASKING, turn_ids=["t"], status=pb.AGENT_EXECUTION_STATUS_RUNNING, limit=2
            ),
            timeout=5,
        )
        assert [(turn.id, turn.session_id, turn.provider_name) for turn in listed.turns] == [("t", "s", "parrot")]
        assert listed.turns[0].status == pb.AGENT_EXECUTION_STATUS_RUNNING
        canceled = await stub.CancelTurn(
            pb.CancelAgentProviderTurnRequest(turn_id="t", reason="enough", subject=ASKING), timeout=5
        )
        assert (canceled.status, canceled.status_message) == (pb.AGENT_EXECUTION_STATUS_CANCELED, "enough")
        question = await stub.GetInteraction(
            pb.GetAgentProviderInteractionRequest(interaction_id="i", subject=ASKING), timeout=5
        )
        assert (question.type, question.state) == (
            pb.AGENT_INTERACTION_TYPE_APPROVAL,
            pb.AGENT_INTERACTION_STATE_PENDING,
        )
        assert (question.prompt, question.request) == ("May user:1?", to_struct({"amount": 3}))
        questions = await stub.ListInteractions(pb.ListAgentProviderInteractionsRequest(turn_id="t"), timeout=5)
        assert [each.type for each in questions.interactions] == [pb.AGENT_INTERACTION_TYPE_CLARIFICATION]


BARE_REQUESTS = {
    "CreateSession": pb.CreateAgentProviderSessionRequest(),
    "GetSession": pb.GetAgentProviderSessionRequest(),
    "ListSessions": pb.ListAgentProviderSessionsRequest(),
    "UpdateSession": pb.UpdateAgentProviderSessionRequest(),
    "CreateTurn": pb.CreateAgentProviderTurnRequest(),
    "GetTurn": pb.GetAgentProviderTurnRequest(),
    "ListTurns": pb.ListAgentProviderTurnsRequest(),
    "CancelTurn": pb.CancelAgentProviderTurnRequest(),
    "ListTurnEvents": pb.ListAgentProviderTurnEventsRequest(),
    "GetInteraction": pb.GetAgentProviderInteractionRequest(),
    "ListInteractions": pb.ListAgentProviderInteractionsRequest(),
    "ResolveInteraction": pb.ResolveAgentProviderInteractionRequest(),
}


async def test_a_provider_that_overrides_nothing_offers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(AgentProvider(), tmp_path, monkeypatch) as stub:
        for method, request in BARE_REQUESTS.items():
            with pytest.raises(grpc.aio.AioRpcError, match="this agent provider does not offer that") as failed:
                await getattr(stub, method)(request, timeout=5)
            assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED, method
        capabilities = await stub.GetCapabilities(pb.GetAgentProviderCapabilitiesRequest(), timeout=5)
        assert capabilities == pb.AgentProviderCapabilities()


def test_a_turn_is_live_until_it_has_ended() -> None:
    live = {status for status in get_args(TurnStatus) if Turn("t", "s", status, Actor()).live}
    assert live == {"pending", "running", "waiting_for_input"}


def test_an_unknown_word_has_no_number_and_an_unknown_number_no_word() -> None:
    assert convert.enum_word(*convert.STATE, pb.AGENT_SESSION_STATE_ARCHIVED) == "archived"
    assert convert.enum_word(*convert.STATE, 99) == ""
    assert convert.enum_number(*convert.STATE, "") == pb.AGENT_SESSION_STATE_UNSPECIFIED
    with pytest.raises(ValueError, match="SLEEPING"):
        convert.enum_number(*convert.STATE, "sleeping")


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        ("GetSession", pb.GetAgentProviderSessionRequest(session_id="x"), "NOT_FOUND", "no session 'x'"),
        (
            "ResolveInteraction",
            pb.ResolveAgentProviderInteractionRequest(interaction_id="done"),
            "FAILED_PRECONDITION",
            "interaction 'done' is resolved; only a pending one can be",
        ),
        ("GetTurn", pb.GetAgentProviderTurnRequest(), "INTERNAL", "internal error"),
    ],
)
async def test_failures_have_their_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, request_: Any, code: str, text: str
) -> None:
    async with served(Parrot(), tmp_path, monkeypatch) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await getattr(stub, method)(request_, timeout=5)
        assert (failed.value.code().name, failed.value.details()) == (code, text)


async def test_the_host_client_speaks_for_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Parrot()
    async with served(provider, tmp_path, monkeypatch):
        connection = await provider.agent_host(NewTurn("t", "s", run_grant="grant")).connection("main")
        assert connection.connection == "main"
        assert connection.headers == {"Authorization": "Bearer x"}
        assert "Bearer" not in repr(connection)
        turn = NewTurn("t", "s", (AgentMessage("user", "x"),), created_by=Actor("user:1"), run_grant="other")
        assert "other" not in repr(turn)
        with pytest.raises(ServiceRefused, match="run grant is required"):
            _ = [tool async for tool in provider.agent_host(turn).tools()]
