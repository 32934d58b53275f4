"""Agent runs: sessions, turns, waiting, cancelling, delivering output, and the texts of their failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode as Code

from gestalt_host.access.subjects import Ceiling, Principal
from gestalt_host.errors import (
    AuthorizationDenied,
    InvalidArgument,
    InvalidInvocation,
    OperationNotFound,
    PluginNotFound,
    ProviderRefused,
    ProviderRequired,
    ProviderUnknown,
)
from gestalt_host.hostservices.workflow_host import WorkflowHostServicer
from gestalt_host.workflows.agents.agent_client import AgentProviderClient
from gestalt_host.workflows.agents.turns import AgentTurnFailed, AgentTurns, AgentWork, signal_text
from gestalt_host.workflows.execution import RunExecutor
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.model import (
    AgentMessage,
    AgentTarget,
    OutputBinding,
    OutputDelivery,
    PluginTarget,
    ScheduleSpec,
    Signal,
    ToolRef,
)
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.signals import compact, compact_payload, compact_signal
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_sdk.gen.v1 import agent_pb2 as pb
from gestalt_sdk.gen.v1 import agent_pb2_grpc, workflow_pb2, workflow_pb2_grpc
from gestalt_sdk.transport.values import to_struct
from tests.support.rigs.host import ANN, Rig
from tests.support.rigs.links import Link, serving
from tests.support.waiting import eventually

RUNNING, SUCCEEDED, FAILED, CANCELED, WAITING = 2, 3, 4, 5, 6
HELPER = AgentTarget("helper", "large", "do it", timeout_seconds=5)


class FakeAgent(agent_pb2_grpc.AgentProviderServicer):
    """Turns end as ``statuses`` say, one for each look."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.statuses: list[int] = [SUCCEEDED]
        self.output = "done"
        self.structured: dict[str, Any] | None = None
        self.message = ""
        self.catalogue = False
        self.owner = "user:ann"
        self.failures: dict[str, list[tuple[Code, str]]] = {}
        self.sessions: dict[str, str] = {}

    def register(self, server: grpc.aio.Server) -> None:
        agent_pb2_grpc.add_AgentProviderServicer_to_server(self, server)

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.requests if isinstance(item, kind)]

    async def _enter(self, name: str, request: Any, context: Any) -> None:
        self.requests.append(request)
        if self.failures.get(name):
            await context.abort(*self.failures[name].pop(0))

    def _turn(self, turn_id: str, session_id: str = "") -> pb.AgentTurn:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        turn = pb.AgentTurn(
            id=turn_id,
            session_id=session_id,
            status=status,  # type: ignore[arg-type]
            output_text=self.output,
            status_message=self.message,
            created_by=pb.AgentActor(subject_id=self.owner),
        )
        if self.structured is not None:
            turn.structured_output.CopyFrom(to_struct(self.structured))
        return turn

    async def GetCapabilities(self, request: Any, context: Any) -> Any:
        await self._enter("GetCapabilities", request, context)
        return pb.AgentProviderCapabilities(supported_tool_sources=[2] if self.catalogue else [])  # type: ignore[list-item]

    async def CreateSession(self, request: Any, context: Any) -> Any:
        await self._enter("CreateSession", request, context)
        session = self.sessions.setdefault(request.idempotency_key, request.session_id)
        return pb.AgentSession(id=session, created_by=pb.AgentActor(subject_id=self.owner))

    async def CreateTurn(self, request: Any, context: Any) -> Any:
        await self._enter("CreateTurn", request, context)
        return self._turn(request.turn_id, request.session_id)

    async def GetTurn(self, request: Any, context: Any) -> Any:
        await self._enter("GetTurn", request, context)
        return self._turn(request.turn_id)

    async def CancelTurn(self, request: Any, context: Any) -> Any:
        await self._enter("CancelTurn", request, context)
        return pb.AgentTurn(id=request.turn_id, status=CANCELED)  # type: ignore[arg-type]


@pytest.fixture
async def agent_link(tmp_path: Path) -> AsyncIterator[tuple[FakeAgent, Link]]:
    agent = FakeAgent()
    async with serving(agent.register, tmp_path, "helper") as link:
        yield agent, link


@pytest.fixture
def agent(agent_link: tuple[FakeAgent, Link]) -> FakeAgent:
    return agent_link[0]


@pytest.fixture
def turns(rig: Rig, agent_link: tuple[FakeAgent, Link]) -> AgentTurns:
    return AgentTurns({"helper": AgentProviderClient(agent_link[1])}, rig.invoker, poll_interval_s=0.01)


def work(target: AgentTarget = HELPER, who: Principal = ANN, **members: Any) -> AgentWork:
    base: dict[str, Any] = {
        "target": target,
        "principal": who,
        "caller_plugin": "",
        "key": "workflow:local:r1",
        "run_id": "r1",
        "signals": (),
        "workflow": to_struct({"runId": "r1"}).SerializeToString(),
    }
    return AgentWork(**{**base, **members})


@pytest.mark.trap(29)
async def test_a_turn_that_is_finished_at_once_is_not_polled(turns: AgentTurns, agent: FakeAgent) -> None:
    result = await turns.run(work(replace(HELPER, metadata={"a": 1, "workflow": "mine"})))
    assert (result.status, result.body) == (200, "done")
    (session,), (turn,) = agent.of(pb.CreateAgentProviderSessionRequest), agent.of(pb.CreateAgentProviderTurnRequest)
    assert session.idempotency_key == "workflow:local:r1:session"
    assert session.model == "large"
    assert MessageToDict(session.metadata) == {"a": 1.0, "workflow": {"runId": "r1"}}
    assert (session.created_by.subject_id, session.subject.credential_subject_id) == ("user:ann", "user:ann")
    assert turn.idempotency_key == "workflow:local:r1:turn"
    assert turn.metadata == session.metadata
    assert turn.execution_ref == turn.turn_id
    assert [m.text for m in turn.messages] == ["do it"]
    assert not turn.tool_refs
    assert turn.tool_source == 0
    assert not agent.of(pb.GetAgentProviderTurnRequest)


async def test_a_running_turn_is_asked_until_it_ends(turns: AgentTurns, agent: FakeAgent) -> None:
    agent.statuses = [1, RUNNING, RUNNING, SUCCEEDED]
    assert (await turns.run(work())).body == "done"
    assert len(agent.of(pb.GetAgentProviderTurnRequest)) == 3


async def test_a_provider_that_is_away_for_a_moment_is_asked_again(turns: AgentTurns, agent: FakeAgent) -> None:
    agent.statuses = [RUNNING, SUCCEEDED]
    agent.failures["GetTurn"] = [(Code.UNAVAILABLE, "restarting")] * 2
    assert (await turns.run(work())).body == "done"


@pytest.mark.trap(29)
async def test_another_session_of_the_same_run_is_found_again(turns: AgentTurns, agent: FakeAgent) -> None:
    signal = Signal(id="s1", name="go", sequence=1)
    await turns.run(work())
    await turns.run(work(signals=(signal,)))
    first, second = agent.of(pb.CreateAgentProviderTurnRequest)
    assert first.session_id == second.session_id
    assert first.turn_id != second.turn_id
    assert second.idempotency_key.startswith("workflow:local:r1:turn:signal-batch-")
    assert MessageToDict(second.messages[-1].metadata) == {"gestalt.workflow.signal_batch": True}
    assert second.messages[-1].text.startswith('Workflow signal batch:\n{\n  "omittedSignals": 0,\n  "signals": [')


async def test_tools_come_from_the_catalogue_where_there_is_one(turns: AgentTurns, agent: FakeAgent) -> None:
    agent.catalogue = True
    await turns.run(work())
    await turns.run(work(replace(HELPER, tool_refs=(ToolRef("slack", "post"),))))
    default, own = agent.of(pb.CreateAgentProviderTurnRequest)
    assert (default.tool_source, [ref.plugin for ref in default.tool_refs]) == (2, ["*"])
    assert [(ref.plugin, ref.operation) for ref in own.tool_refs] == [("slack", "post")]


async def test_a_provider_without_capabilities_has_none(turns: AgentTurns, agent: FakeAgent) -> None:
    agent.failures["GetCapabilities"] = [(Code.UNIMPLEMENTED, "no")]
    assert (await turns.run(work())).status == 200


@pytest.mark.parametrize(
    ("status", "text", "canceled"),
    [
        (FAILED, 'workflow agent turn "ID" finished with status "failed": why', None),
        (CANCELED, 'workflow agent turn "ID" was canceled: why', None),
        (WAITING, 'workflow agent turn "ID" is waiting for input', "workflow agent turn cannot wait for input"),
    ],
)
async def test_turns_that_do_not_succeed(
    turns: AgentTurns, agent: FakeAgent, status: int, text: str, canceled: str | None
) -> None:
    agent.statuses, agent.message = [RUNNING, status], "why"
    with pytest.raises(AgentTurnFailed) as failed:
        await turns.run(work())
    (turn,) = agent.of(pb.CreateAgentProviderTurnRequest)
    assert str(failed.value) == text.replace("ID", turn.turn_id)
    reasons = [item.reason for item in agent.of(pb.CancelAgentProviderTurnRequest)]
    assert reasons == ([canceled] if canceled else [])


@pytest.mark.trap(19)
async def test_a_turn_that_never_ends_is_canceled(turns: AgentTurns, agent: FakeAgent) -> None:
    agent.statuses = [RUNNING]
    with pytest.raises(AgentTurnFailed, match="context deadline exceeded"):
        await turns.run(work(replace(HELPER, timeout_seconds=1)))
    assert [item.reason for item in agent.of(pb.CancelAgentProviderTurnRequest)] == ["context deadline exceeded"]


async def test_a_failing_poll_cancels_and_keeps_its_code(turns: AgentTurns, agent: FakeAgent) -> None:
    agent.statuses = [RUNNING]
    agent.failures["GetTurn"] = [(Code.DATA_LOSS, "gone")]
    with pytest.raises(ProviderRefused, match="gone") as refused:
        await turns.run(work())
    assert refused.value.code == "DATA_LOSS"
    assert [item.reason for item in agent.of(pb.CancelAgentProviderTurnRequest)] == ["gone"]


async def test_a_canceled_run_cancels_its_turn(turns: AgentTurns, agent: FakeAgent) -> None:
    agent.statuses = [RUNNING]
    running = asyncio.create_task(turns.run(work()))

    async def polled() -> bool | None:
        return bool(agent.of(pb.GetAgentProviderTurnRequest)) or None

    await eventually(polled)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(agent.of(pb.CancelAgentProviderTurnRequest)) == 1


async def test_somebody_elses_session_is_not_found(turns: AgentTurns, agent: FakeAgent) -> None:
    agent.owner = "user:bob"
    with pytest.raises(AgentTurnFailed, match="not found"):
        await turns.run(work())
    assert not agent.of(pb.CreateAgentProviderTurnRequest)


async def test_a_ceiling_must_name_the_agent_provider(turns: AgentTurns, agent: FakeAgent) -> None:
    def limited(**plugins: Any) -> Principal:
        return Principal(ANN.actor, ceiling=Ceiling(plugins))

    with pytest.raises(AuthorizationDenied, match="authorization denied: helper"):
        await turns.run(work(who=limited(slack=None)))
    assert agent.requests == []
    assert (await turns.run(work(who=limited(helper=None)))).status == 200


@pytest.mark.parametrize("key", ["cwd", "__gestalt.lifecycle", "__gestalt.workspace.x"])
async def test_reserved_metadata_fails_the_run(turns: AgentTurns, key: str) -> None:
    with pytest.raises(InvalidInvocation, match="reserved"):
        await turns.run(work(replace(HELPER, metadata={key: 1})))


# Output delivery ------------------------------------------------------------------------------------------------------


def delivering(*bindings: OutputBinding, mode: str = "") -> AgentTarget:
    target = PluginTarget("slack", "post", "", "", "", {"channel": "x", "text": "overlaid"})
    return replace(HELPER, output_delivery=OutputDelivery(target, bindings, mode))


async def test_output_is_delivered(rig: Rig, turns: AgentTurns, agent: FakeAgent) -> None:
    agent.structured = {"a": {"b": None}, "c.d": 1}
    signal = Signal(name="go", payload={"x": {"y": "deep"}}, metadata={"k.l": [1]})
    target = delivering(
        OutputBinding("text", "agent_output", "output_text"),
        OutputBinding("all", "agent_output", "structured_output"),
        OutputBinding("null", "agent_output", "structuredOutput.a.b"),
        OutputBinding("exact", "agent_output", "structured_output.c.d"),
        OutputBinding("payload", "signal_payload", "x.y"),
        OutputBinding("meta", "signal_metadata", "k.l"),
        OutputBinding("fixed", "literal", 0),
    )
    await turns.run(work(target, signals=(Signal(name="old"), signal)))
    (seen,) = rig.plugin.requests
    assert MessageToDict(seen.params) == {
        "channel": "x",
        "text": "done",
        "all": {"a": {"b": None}, "c.d": 1.0},
        "null": None,
        "exact": 1.0,
        "payload": "deep",
        "meta": [1.0],
        "fixed": 0.0,
    }
    assert seen.idempotency_key.startswith("workflow:local:r1:output:signal-batch-")
    assert MessageToDict(seen.context.workflow) == {"runId": "r1"}


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        (OutputBinding("f", "agent_output", "structured_output"), "output_delivery.f source did not resolve"),
        (OutputBinding("f", "agent_output", "structured_output.a"), "output_delivery.f source did not resolve"),
        (OutputBinding("f", "agent_output", "nonsense"), 'source "nonsense" is not supported'),
        (OutputBinding("f", "signal_payload", "a"), "output_delivery.f source did not resolve"),
        (OutputBinding("f", "signal_payload", "a..b"), "did not resolve"),
    ],
)
async def test_unresolved_bindings_fail_the_run(rig: Rig, turns: AgentTurns, binding: OutputBinding, text: str) -> None:
    with pytest.raises(InvalidInvocation) as failed:
        await turns.run(work(delivering(binding)))
    assert text in str(failed.value)
    assert rig.plugin.requests == []


async def test_paths_do_not_enter_lists_and_have_no_empty_parts(turns: AgentTurns) -> None:
    signal = Signal(name="go", payload={"a": [1]})
    with pytest.raises(InvalidInvocation, match="did not resolve"):
        await turns.run(work(delivering(OutputBinding("f", "signal_payload", "a.0")), signals=(signal,)))
    with pytest.raises(InvalidInvocation, match="empty part"):
        await turns.run(work(delivering(OutputBinding("f", "signal_payload", "a..b")), signals=(signal,)))


async def test_a_failed_delivery_fails_the_run(rig: Rig, turns: AgentTurns) -> None:
    rig.plugin.answer = lambda request: (418, "no")
    with pytest.raises(AgentTurnFailed, match="workflow agent output delivery returned status 418"):
        await turns.run(work(delivering()))


async def test_an_agent_run_from_the_provider(rig: Rig, turns: AgentTurns, agent: FakeAgent, tmp_path: Path) -> None:
    """The whole way: created through the manager, invoked by the provider with its signed reference."""
    resolver = TargetResolver(rig.registry, rig.authorizer, ["helper"], "helper")
    providers = WorkflowProviders(rig.clients.values(), "local")
    manager = WorkflowManager(providers, rig.references, resolver, rig.authorizer)
    request = ScheduleSpec("0 3 * * *", replace(HELPER, provider="", prompt=" do it "))
    schedule = await manager.schedules.create(ANN, request)
    assert schedule.target == HELPER
    executor = RunExecutor(rig.invoker, rig.references, turns)
    made = workflow_pb2.InvokeWorkflowOperationRequest(
        target=rig.local.schedules[schedule.id].target, run_id="r9", execution_ref=schedule.execution_ref
    )
    made.reference.CopyFrom(rig.local.references[schedule.execution_ref])
    servicer = WorkflowHostServicer(rig.clients["local"], executor)

    def register(server: grpc.aio.Server) -> None:
        workflow_pb2_grpc.add_WorkflowHostServicer_to_server(servicer, server)

    async with serving(register, tmp_path, "agent-host") as link:
        stub = workflow_pb2_grpc.WorkflowHostStub(link.channel)
        answer = await stub.InvokeOperation(made)
        assert (answer.status, answer.body) == (200, "done")
        agent.statuses, agent.message = [FAILED], "why"
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.InvokeOperation(made)
        assert failed.value.code() is Code.UNKNOWN
        assert (failed.value.details() or "").startswith("workflow invoke operation: workflow agent turn")
    (session, *_) = agent.of(pb.CreateAgentProviderSessionRequest)
    target = MessageToDict(session.metadata)["workflow"]["target"]
    assert target == {"kind": "agent", "agentProvider": "helper", "model": "large"}


# Targets of agents ----------------------------------------------------------------------------------------------------


async def resolved(rig: Rig, target: AgentTarget, who: Principal = ANN) -> Any:
    return await TargetResolver(rig.registry, rig.authorizer, ["helper", "second"]).resolve(who, target)


POST = PluginTarget("slack", "post")


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        (replace(HELPER, provider=""), ProviderRequired, "configured: helper, second"),
        (
            replace(HELPER, provider="x", prompt=""),
            ProviderUnknown,
            '"x" is not configured; configured: helper, second',
        ),
        (replace(HELPER, prompt=" "), InvalidArgument, "workflow agent target prompt or messages is required"),
        (replace(HELPER, timeout_seconds=-1), InvalidArgument, "timeout_seconds must not be negative"),
        (
            replace(HELPER, tool_refs=(ToolRef("slack", system="workflow"),)),
            InvalidInvocation,
            "tool_refs[0] must set exactly one of plugin or system",
        ),
        (replace(HELPER, tool_refs=(ToolRef(system="x"),)), InvalidInvocation, 'tool_refs[0].system "x"'),
        (
            replace(HELPER, tool_refs=(ToolRef(system="workflow"),)),
            OperationNotFound,
            'operation "turn" not found on integration "agent"',
        ),
        (
            replace(HELPER, tool_refs=(ToolRef(system="workflow", operation="o", credential_mode="none"),)),
            InvalidInvocation,
            "system refs cannot include connection, instance, or credential mode",
        ),
        (
            replace(HELPER, tool_refs=(ToolRef(system="workflow", operation="o"), ToolRef("slack"))),
            InvalidInvocation,
            "tool_refs[1] must be an exact plugin operation",
        ),
        (
            replace(HELPER, output_delivery=OutputDelivery(PluginTarget("", "x"))),
            PluginNotFound,
            'integration "agent" not found',
        ),
        (
            replace(HELPER, output_delivery=OutputDelivery(PluginTarget("x", ""))),
            OperationNotFound,
            'operation "turn" not found on integration "agent"',
        ),
        (
            replace(HELPER, output_delivery=OutputDelivery(POST, credential_mode="none")),
            AuthorizationDenied,
            "output_delivery.credential_mode requires a caller plugin declaration",
        ),
        (
            replace(HELPER, output_delivery=OutputDelivery(POST, (OutputBinding("", "literal", 1),))),
            InvalidInvocation,
            "input_bindings[0].input_field is required",
        ),
        (
            replace(HELPER, output_delivery=OutputDelivery(POST, (OutputBinding("f", "literal", None),))),
            InvalidInvocation,
            "input_bindings[0].value must set exactly one source",
        ),
        (
            replace(HELPER, output_delivery=OutputDelivery(POST, (OutputBinding("f", "agent_output", " "),))),
            InvalidInvocation,
            "input_bindings[0].value must set exactly one source",
        ),
    ],
)
async def test_agent_targets_that_are_refused(rig: Rig, target: AgentTarget, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        await resolved(rig, target)
    assert text in str(raised.value)


async def test_tools_are_not_looked_up_at_creation_and_decide_visibility(rig: Rig) -> None:
    resolver = TargetResolver(rig.registry, rig.authorizer, ["helper"])
    target = replace(HELPER, tool_refs=(ToolRef("vault", "read"), ToolRef()))
    assert await resolver.resolve(ANN, replace(HELPER, tool_refs=(ToolRef("nope", "x"), ToolRef()))) is not None
    assert resolver.allows(ANN, target)
    bob = Principal(replace(ANN.actor, subject_id="user:bob"))
    assert await resolver.resolve(bob, target) is not None
    assert not resolver.allows(bob, target)


async def test_a_delivery_inherits_the_declared_mode(rig: Rig) -> None:
    slack = Principal(ANN.actor, caller_plugin="slack")
    target = await resolved(
        rig, replace(HELPER, output_delivery=OutputDelivery(PluginTarget("roadmap", "sync"))), slack
    )
    assert target.output_delivery.credential_mode == "none"
    wanted = 'output_delivery.credential_mode "user" requires that plugin "slack" declares it .* it declares "none"'
    with pytest.raises(AuthorizationDenied, match=wanted):
        await resolved(
            rig,
            replace(HELPER, output_delivery=OutputDelivery(PluginTarget("roadmap", "sync"), (), "user")),
            slack,
        )


# Signals --------------------------------------------------------------------------------------------------------------


def test_payloads_are_compacted() -> None:
    payload = {
        "event": "push",
        "user_prompt": "é" * 3000,
        "repository": {"owner": {"a": {"b": {"c": {"d": 1}}}}},
        "sender": {f"k{n:02}": n for n in range(25)},
        "other": {"big": 1},
        "payload": "dropped",
        **{f"z{n:02}": n for n in range(30)},
    }
    made = compact_payload(payload)
    assert made["event"] == "push"
    assert made["payloadOmitted"] is True
    assert "other" not in made
    assert len(made["user_prompt"].encode()) == 4096 + 3
    assert made["user_prompt"].endswith("é...")
    assert made["repository"] == {"owner": {"a": {"b": {"c": {"omitted": True}}}}}
    assert made["sender"]["omittedFields"] == 5
    assert len(made["sender"]) == 21
    assert list(made["fields"]) == [f"z{n:02}" for n in range(20)]


@pytest.mark.parametrize(("value", "limit"), [([1] * 30, 20), ([], 0)])
def test_lists_are_cut(value: list[int], limit: int) -> None:
    assert len(compact(value)) == limit


def test_absent_members_are_left_out() -> None:
    assert compact_signal(Signal(name="go")) == {"name": "go"}


def test_the_text_for_agents_is_bounded_and_escaped() -> None:
    signals = [Signal(name="<go>&", metadata={"a": "x" * 4000}) for _ in range(12)]
    text = signal_text(signals)
    assert '"omittedSignals": 2' in text
    assert "\\u003cgo\\u003e\\u0026" in text
    assert "<" not in text
    many = [Signal(name="n", metadata={f"k{n}": "x" * 4096 for n in range(20)}) for _ in range(10)]
    assert len(signal_text(many).encode()) <= 64 * 1024


async def test_messages_come_before_the_prompt(turns: AgentTurns, agent: FakeAgent) -> None:
    await turns.run(work(replace(HELPER, messages=(AgentMessage("system", "first"),))))
    (turn,) = agent.of(pb.CreateAgentProviderTurnRequest)
    assert [(m.role, m.text) for m in turn.messages] == [("system", "first"), ("user", "do it")]
