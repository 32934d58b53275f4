"""WorkflowManagerHost and PluginInvoker as a plugin dials them: tokens first, then fields, then codes and texts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode as Code

from gestalt_host.access.subjects import Ceiling, Principal
from gestalt_host.access.tokens.invocation_tokens import CallChain, Delegation
from gestalt_host.errors import EntryFailed, HostError, WorkflowObjectNotFound
from gestalt_host.hostservices import faults
from gestalt_host.hostservices.plugin_invoker import plugin_invoker
from gestalt_host.hostservices.workflow_host import workflow_host
from gestalt_host.hostservices.workflow_manager import workflow_manager_host
from gestalt_host.invocation.model import DeclaredInvoke, Invocation, OperationResult
from gestalt_host.workflows.model import PluginTarget
from gestalt_sdk.common.requests import current_request_id
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc, workflow_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.faults import fault_of
from gestalt_sdk.workflow.targets import target_to_proto
from tests.support.rigs.host import ANN, BOB, Rig
from tests.support.rigs.links import serving

SYNC = target_to_proto(PluginTarget("roadmap", "sync", input={"n": 1}))
INVOKES = (
    DeclaredInvoke("roadmap", "sync", credential_mode="none"),
    DeclaredInvoke("vault", "write"),
    DeclaredInvoke("mail", "send"),
    DeclaredInvoke("slack", "post"),
    DeclaredInvoke("roadmap", "gone"),
    DeclaredInvoke("graph", surface="graphql"),
)


@dataclass
class Dialled:
    manager: Any
    invoker: Any
    token: str


@pytest.fixture
async def slack(rig: Rig, tmp_path: Path) -> AsyncIterator[Dialled]:
    """What the plugin ``slack`` dials while it serves a request of Ann's."""
    manager = workflow_manager_host("slack", rig.manager, rig.tokens)
    invoker = plugin_invoker("slack", INVOKES, rig.invoker, rig.tokens)
    async with serving(manager.register, tmp_path, "manager") as first:
        async with serving(invoker.register, tmp_path, "invoker") as second:
            yield Dialled(
                workflow_pb2_grpc.WorkflowManagerHostStub(first.channel),
                plugin_pb2_grpc.PluginInvokerStub(second.channel),
                rig.tokens.mint("slack", Delegation(ANN, CallChain(chain=("slack/default/post",)))),
            )


NO_CREDENTIAL = 'no external credential: no external credential stored for integration "mail"'
"""What plugins and providers are told; over HTTP a person is told how to connect."""


async def refusal(call: Any) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), raised.value.details() or ""


def test_the_services_name_their_variables(rig: Rig) -> None:
    made = [
        workflow_manager_host("p", rig.manager, rig.tokens),
        plugin_invoker("p", (), rig.invoker, rig.tokens),
        workflow_host(rig.clients["local"], rig.executor),
    ]
    assert [item.variable for item in made] == [
        "GESTALT_WORKFLOW_MANAGER_SOCKET",
        "GESTALT_PLUGIN_INVOKER_SOCKET",
        "GESTALT_WORKFLOW_HOST_SOCKET",
    ]


# WorkflowManagerHost --------------------------------------------------------------------------------------------------


async def test_the_life_of_a_schedule(rig: Rig, slack: Dialled) -> None:
    token = slack.token
    made = await slack.manager.CreateSchedule(
        pb.WorkflowManagerCreateScheduleRequest(
            cron="0 3 * * *", target=SYNC, invocation_token=token, idempotency_key="k"
        )
    )
    assert made.provider_name == "local"
    assert made.schedule.target == SYNC
    assert rig.local.references[made.schedule.execution_ref].caller_plugin_name == "slack"
    assert rig.local.references[made.schedule.execution_ref].subject_id == "user:ann"
    again = await slack.manager.CreateSchedule(
        pb.WorkflowManagerCreateScheduleRequest(
            cron="0 3 * * *", target=SYNC, invocation_token=token, idempotency_key="k"
        )
    )
    assert again == made
    ids = {"schedule_id": made.schedule.id, "invocation_token": token}
    assert (await slack.manager.PauseSchedule(pb.WorkflowManagerPauseScheduleRequest(**ids))).schedule.paused
    assert not (await slack.manager.ResumeSchedule(pb.WorkflowManagerResumeScheduleRequest(**ids))).schedule.paused
    updated = await slack.manager.UpdateSchedule(
        pb.WorkflowManagerUpdateScheduleRequest(**ids, cron="5 3 * * *", target=SYNC)
    )
    assert updated.schedule.cron == "5 3 * * *"
    assert await slack.manager.GetSchedule(pb.WorkflowManagerGetScheduleRequest(**ids)) == updated
    await slack.manager.DeleteSchedule(pb.WorkflowManagerDeleteScheduleRequest(**ids))
    assert await refusal(slack.manager.GetSchedule(pb.WorkflowManagerGetScheduleRequest(**ids))) == (
        Code.NOT_FOUND,
        f'workflow schedule "{made.schedule.id}" not found',
    )


async def test_what_a_plugin_asks_for_belongs_to_the_request_that_it_serves(
    rig: Rig, slack: Dialled, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def get(*_: Any, **__: Any) -> Any:
        seen.append(current_request_id())
        raise WorkflowObjectNotFound("schedule", "s")

    monkeypatch.setattr(rig.manager.schedules, "get", get)
    request = pb.WorkflowManagerGetScheduleRequest(schedule_id="s", invocation_token=slack.token)
    for given in ("req-7", "a b"):
        await refusal(slack.manager.GetSchedule(request, metadata=(("x-request-id", given),)))
    await refusal(slack.manager.GetSchedule(request))
    assert seen == ["req-7", "", ""]


async def test_the_life_of_a_trigger(rig: Rig, slack: Dialled) -> None:
    token, match = slack.token, pb.WorkflowEventMatch(type="a.b")
    made = await slack.manager.CreateEventTrigger(
        pb.WorkflowManagerCreateEventTriggerRequest(match=match, target=SYNC, invocation_token=token)
    )
    ids = {"trigger_id": made.trigger.id, "invocation_token": token}
    assert (await slack.manager.PauseEventTrigger(pb.WorkflowManagerPauseEventTriggerRequest(**ids))).trigger.paused
    resumed = await slack.manager.ResumeEventTrigger(pb.WorkflowManagerResumeEventTriggerRequest(**ids))
    assert await slack.manager.GetEventTrigger(pb.WorkflowManagerGetEventTriggerRequest(**ids)) == resumed
    updated = await slack.manager.UpdateEventTrigger(
        pb.WorkflowManagerUpdateEventTriggerRequest(
            **ids, match=pb.WorkflowEventMatch(type="c.d", source="s"), target=SYNC, provider_name="local"
        )
    )
    assert (updated.trigger.match.type, updated.trigger.match.source) == ("c.d", "s")
    await slack.manager.DeleteEventTrigger(pb.WorkflowManagerDeleteEventTriggerRequest(**ids))
    assert rig.local.triggers == {}


async def test_runs_signals_and_events(rig: Rig, slack: Dialled) -> None:
    token = slack.token
    run = await slack.manager.StartRun(pb.WorkflowManagerStartRunRequest(target=SYNC, invocation_token=token))
    assert run.provider_name == "local"
    assert run.run.status == pb.WORKFLOW_RUN_STATUS_PENDING
    signal = pb.WorkflowSignal(name="go")
    signal.payload.update({"a": 1})
    sent = await slack.manager.SignalRun(
        pb.WorkflowManagerSignalRunRequest(run_id=run.run.id, signal=signal, invocation_token=token)
    )
    assert (sent.run.id, sent.signal.sequence, sent.signal.payload) == (run.run.id, 1, signal.payload)
    started = await slack.manager.SignalOrStartRun(
        pb.WorkflowManagerSignalOrStartRunRequest(
            workflow_key="order-42", target=SYNC, signal=signal, invocation_token=token
        )
    )
    assert started.started_run
    assert started.workflow_key == "order-42"
    assert started.signal.name == "go"
    event = await slack.manager.PublishEvent(
        pb.WorkflowManagerPublishEventRequest(
            event=pb.WorkflowEvent(type=" a.b ", source="slack"), invocation_token=token
        )
    )
    assert (event.type, event.spec_version) == ("a.b", "1.0")
    assert event.id
    assert event.HasField("time")
    assert rig.local.events[0].event == event
    assert rig.local.events[0].published_by.subject_id == "user:ann"


async def test_texts_are_trimmed_before_the_manager_sees_them(rig: Rig, slack: Dialled) -> None:
    token = slack.token
    target = target_to_proto(PluginTarget(" roadmap ", " sync ", " alerts ", " i 1 ", " NONE "))
    blank = pb.WorkflowManagerCreateScheduleRequest(
        cron=" 0 3 * * * ",
        timezone=" UTC ",
        target=target,
        provider_name=" local ",
        idempotency_key=" k ",
        invocation_token=token,
    )
    made = await slack.manager.CreateSchedule(blank)
    stored = made.schedule
    assert (stored.cron, stored.timezone) == ("0 3 * * *", "UTC")
    assert stored.target == target_to_proto(PluginTarget("roadmap", "sync", "alerts", "i 1", "none"))
    blank.idempotency_key, blank.timezone = "k", ""
    assert await slack.manager.CreateSchedule(blank) == made
    ids = {"schedule_id": f" {stored.id} ", "invocation_token": token}
    assert await slack.manager.GetSchedule(pb.WorkflowManagerGetScheduleRequest(**ids)) == made
    run = await slack.manager.SignalOrStartRun(
        pb.WorkflowManagerSignalOrStartRunRequest(
            workflow_key=" order-42 ",
            target=SYNC,
            signal=pb.WorkflowSignal(name=" go "),
            provider_name=" local ",
            invocation_token=token,
        )
    )
    assert (run.workflow_key, run.signal.name) == ("order-42", "go")
    event = pb.WorkflowEvent(id=" e1 ", type=" a.b ", source=" s ", subject=" u ", datacontenttype=" json ")
    published = await slack.manager.PublishEvent(
        pb.WorkflowManagerPublishEventRequest(event=event, provider_name=" other ", invocation_token=token)
    )
    found = (published.id, published.type, published.source, published.subject, published.datacontenttype)
    assert found == ("e1", "a.b", "s", "u", "json")
    assert (len(rig.local.events), len(rig.other.events)) == (0, 1)


@pytest.mark.parametrize(
    ("method", "members", "code", "text"),
    [
        (
            "CreateEventTrigger",
            {"target": SYNC, "match": {"type": " "}},
            Code.INVALID_ARGUMENT,
            "match.type is required",
        ),
        (
            "CreateEventTrigger",
            {"target": target_to_proto(PluginTarget(" ", "x")), "match": {"type": " "}},
            Code.INVALID_ARGUMENT,
            "target.plugin.plugin_name is required",
        ),
        ("PublishEvent", {"event": {"type": "  "}}, Code.INVALID_ARGUMENT, "workflow event type is required"),
        (
            "SignalOrStartRun",
            {"workflow_key": " ", "target": SYNC, "signal": {"name": "go"}},
            Code.INVALID_ARGUMENT,
            "workflow key is required",
        ),
        (
            "SignalOrStartRun",
            {"workflow_key": "k", "target": SYNC, "signal": {"name": " "}},
            Code.INVALID_ARGUMENT,
            "workflow signal name is required",
        ),
    ],
)
async def test_blank_texts_are_refused(
    rig: Rig, slack: Dialled, method: str, members: dict[str, Any], code: Code, text: str
) -> None:
    request = getattr(pb, f"WorkflowManager{method}Request")(**members, invocation_token=slack.token)
    assert await refusal(getattr(slack.manager, method)(request)) == (code, text)
    assert rig.local.taken("UpsertEventTrigger") == 0
    assert rig.local.events == []


@pytest.mark.parametrize(
    "method",
    [
        *("StartRun", "SignalRun", "SignalOrStartRun", "PublishEvent"),
        *(
            f"{verb}{thing}"
            for verb in ("Create", "Get", "Update", "Delete", "Pause", "Resume")
            for thing in ("Schedule", "EventTrigger")
        ),
    ],
)
async def test_the_token_comes_first_everywhere(rig: Rig, slack: Dialled, method: str) -> None:
    kind = getattr(pb, f"WorkflowManager{method}Request")
    call = getattr(slack.manager, method)
    assert await refusal(call(kind())) == (Code.FAILED_PRECONDITION, "invocation token is required")
    assert await refusal(call(kind(invocation_token="x"))) == (
        Code.FAILED_PRECONDITION,
        "invocation token is invalid or expired",
    )
    foreign = rig.tokens.mint("roadmap", Delegation(ANN))
    assert await refusal(call(kind(invocation_token=foreign))) == (
        Code.FAILED_PRECONDITION,
        'plugin invocation token is not valid for "slack"',
    )
    code, text = await refusal(call(kind(invocation_token=slack.token)))
    assert code is Code.INVALID_ARGUMENT
    assert text.endswith("is required")
    assert rig.local.calls == []


@pytest.mark.parametrize(
    ("request_of", "code", "text"),
    [
        (
            lambda token: pb.WorkflowManagerCreateScheduleRequest(
                invocation_token=token, target=pb.BoundWorkflowTarget(agent=pb.BoundWorkflowAgentTarget(prompt="x"))
            ),
            Code.INVALID_ARGUMENT,
            "target.agent.provider_name is required",
        ),
        (
            lambda token: pb.WorkflowManagerCreateScheduleRequest(
                invocation_token=token, target=target_to_proto(PluginTarget("roadmap", " "))
            ),
            Code.INVALID_ARGUMENT,
            "target.plugin.operation is required",
        ),
        (
            lambda token: pb.WorkflowManagerCreateScheduleRequest(
                invocation_token=token, target=target_to_proto(PluginTarget("nope", "x"))
            ),
            Code.NOT_FOUND,
            'integration "nope" not found',
        ),
        (
            lambda token: pb.WorkflowManagerCreateScheduleRequest(
                invocation_token=token, target=target_to_proto(PluginTarget("vault", "write"))
            ),
            Code.PERMISSION_DENIED,
            "authorization denied: vault.write",
        ),
        (
            lambda token: pb.WorkflowManagerCreateScheduleRequest(
                invocation_token=token, target=target_to_proto(PluginTarget("mail", "send"))
            ),
            Code.FAILED_PRECONDITION,
            NO_CREDENTIAL,
        ),
        (
            lambda token: pb.WorkflowManagerCreateScheduleRequest(
                invocation_token=token, target=target_to_proto(PluginTarget("roadmap", "sync", credential_mode="odd"))
            ),
            Code.UNKNOWN,
            "invalid invocation: ",
        ),
        (
            lambda token: pb.WorkflowManagerCreateScheduleRequest(invocation_token=token, target=SYNC, cron="bad"),
            Code.INVALID_ARGUMENT,
            'cron "bad" is not valid',
        ),
        (
            lambda token: pb.WorkflowManagerCreateScheduleRequest(
                invocation_token=token, target=SYNC, provider_name="nope"
            ),
            Code.NOT_FOUND,
            'workflow provider "nope" is not configured',
        ),
    ],
)
async def test_refused_creations(slack: Dialled, request_of: Any, code: Code, text: str) -> None:
    found, details = await refusal(slack.manager.CreateSchedule(request_of(slack.token)))
    assert found is code
    assert text in details


async def test_a_plugin_acts_as_its_requests_subject(rig: Rig, slack: Dialled) -> None:
    run = await slack.manager.StartRun(pb.WorkflowManagerStartRunRequest(target=SYNC, invocation_token=slack.token))
    bobs = rig.tokens.mint("slack", Delegation(BOB))
    request = pb.WorkflowManagerSignalRunRequest(
        run_id=run.run.id, signal=pb.WorkflowSignal(name="go"), invocation_token=bobs
    )
    assert (await refusal(slack.manager.SignalRun(request)))[0] is Code.NOT_FOUND


async def test_ceilings_travel_through_tokens(rig: Rig, slack: Dialled) -> None:
    token = rig.tokens.mint("slack", Delegation(Principal(ANN.actor, ceiling=Ceiling({}))))
    request = pb.WorkflowManagerStartRunRequest(target=SYNC, invocation_token=token)
    assert (await refusal(slack.manager.StartRun(request)))[0] is Code.PERMISSION_DENIED


# PluginInvoker --------------------------------------------------------------------------------------------------------


def invocation(token: str, plugin: str = "roadmap", operation: str = "sync", **members: Any) -> Any:
    return plugin_pb2.PluginInvokeRequest(plugin=plugin, operation=operation, invocation_token=token, **members)


async def test_parameters_that_the_called_plugin_could_not_read_are_refused(rig: Rig, slack: Dialled) -> None:
    """Beyond this depth the stream on which all calls of the plugin travel would end."""
    value: Any = 1
    for _ in range(23):
        value = [value]
    request = invocation(slack.token, connection="alerts")
    request.params.update({"v": value})
    assert (await slack.invoker.Invoke(request)).status == 200
    request.params.update({"v": {"a": value}})
    code, text = (await refusal(slack.invoker.Invoke(request)))[:2]
    assert code is Code.INVALID_ARGUMENT
    assert text == "params is nested too deeply: at most 24 levels of objects and lists are accepted"


async def test_a_result_that_is_not_text_is_not_handed_on_changed(rig: Rig, slack: Dialled) -> None:
    class Pictures:
        async def invoke(self, invocation: Invocation) -> OperationResult:
            return OperationResult(200, "\N{REPLACEMENT CHARACTER}", "image/png", b"\x89")

    rig.invoker.plugins.add(replace(rig.invoker.plugins.get("roadmap"), runner=Pictures()))
    assert await refusal(slack.invoker.Invoke(invocation(slack.token))) == (
        Code.FAILED_PRECONDITION,
        "the result cannot be handed on: its 1 bytes (image/png) are no UTF-8 text; "
        "accepted is text, or a call over HTTP",
    )


async def test_a_declared_operation_is_invoked_as_the_subject(rig: Rig, slack: Dialled) -> None:
    request = invocation(slack.token, idempotency_key="k", instance="i", connection="alerts")
    request.params.update({"n": 1})
    rig.plugin.answer = lambda _: (503, "body")
    answer = await slack.invoker.Invoke(request)
    assert (answer.status, answer.body) == (503, "body")
    (seen,) = rig.plugin.requests
    assert MessageToDict(seen.params) == {"n": 1.0}
    assert seen.idempotency_key == "k"
    assert seen.context.subject.id == "user:ann"
    assert seen.context.credential == plugin_pb2.CredentialContext(mode="none")
    delegation = rig.tokens.resolve(seen.invocation_token, "roadmap")
    assert (delegation.connection, delegation.instance) == ("alerts", "i")
    chain = delegation.call
    assert (chain.depth, chain.chain) == (1, ("slack/default/post", "roadmap/i/sync"))


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"plugin": " "}, Code.INVALID_ARGUMENT, "plugin is required"),
        ({"operation": ""}, Code.INVALID_ARGUMENT, "operation is required"),
        ({"token": ""}, Code.FAILED_PRECONDITION, "invocation token is required"),
        ({"operation": "noop"}, Code.PERMISSION_DENIED, 'plugin "slack" may not invoke roadmap.noop'),
        ({"plugin": "nope"}, Code.PERMISSION_DENIED, 'plugin "slack" may not invoke nope.sync'),
        ({"operation": "gone"}, Code.NOT_FOUND, 'operation "gone" not found on integration "roadmap"'),
        ({"plugin": "vault", "operation": "write"}, Code.PERMISSION_DENIED, "authorization denied: vault.write"),
        ({"plugin": "mail", "operation": "send"}, Code.FAILED_PRECONDITION, NO_CREDENTIAL),
        (
            {"plugin": "slack", "operation": "post"},
            Code.FAILED_PRECONDITION,
            "recursive call detected: slack/post already in call chain",
        ),
    ],
)
async def test_refused_invocations(slack: Dialled, changes: dict[str, str], code: Code, text: str) -> None:
    arguments = {"token": slack.token, **changes}
    found, details = await refusal(slack.invoker.Invoke(invocation(**arguments)))
    assert found is code
    assert text in details


async def test_nesting_is_bounded(rig: Rig, slack: Dialled) -> None:
    deep = rig.tokens.mint("slack", Delegation(ANN, CallChain(depth=5)))
    assert (await refusal(slack.invoker.Invoke(invocation(deep))))[0] is Code.RESOURCE_EXHAUSTED


def exchange(token: str, *grants: plugin_pb2.PluginInvocationGrant, ttl: int = 0) -> Any:
    return plugin_pb2.ExchangeInvocationTokenRequest(parent_invocation_token=token, grants=grants, ttl_seconds=ttl)


GRANT = plugin_pb2.PluginInvocationGrant


async def test_exchanged_tokens_are_narrower(rig: Rig, slack: Dialled) -> None:
    grant = GRANT(plugin="mail", operations=["send"])
    child = (await slack.invoker.ExchangeInvocationToken(exchange(slack.token, grant))).invocation_token
    assert (await refusal(slack.invoker.Invoke(invocation(child)))) == (
        Code.PERMISSION_DENIED,
        'plugin "slack" may not invoke roadmap.sync',
    )
    assert (
        await refusal(
            slack.invoker.ExchangeInvocationToken(exchange(child, GRANT(plugin="vault", operations=["write"])))
        )
    ) == (
        Code.FAILED_PRECONDITION,
        "requested invocation grants exceed the parent token",
    )
    same = (await slack.invoker.ExchangeInvocationToken(exchange(slack.token))).invocation_token
    assert (await slack.invoker.Invoke(invocation(same))).status == 200
    assert rig.tokens.resolve(same, "slack").principal.actor == ANN.actor


@pytest.mark.parametrize(
    ("grant", "code", "text"),
    [
        (GRANT(operations=["x"]), Code.INVALID_ARGUMENT, "invocation grant plugin is required"),
        (
            GRANT(plugin="X", operations=[" "]),
            Code.INVALID_ARGUMENT,
            'invocation grant for plugin "X" must set all_operations, operations, or surfaces',
        ),
        (
            GRANT(plugin="roadmap", operations=["sync", "noop"]),
            Code.PERMISSION_DENIED,
            "requested invocation grants exceed the plugin's declared invokes",
        ),
        (
            GRANT(plugin="roadmap", all_operations=True),
            Code.PERMISSION_DENIED,
            "requested invocation grants exceed the plugin's declared invokes",
        ),
    ],
)
async def test_grants_are_checked_before_the_token(slack: Dialled, grant: Any, code: Code, text: str) -> None:
    assert await refusal(slack.invoker.ExchangeInvocationToken(exchange("", grant))) == (code, text)


async def test_a_good_grant_still_needs_a_token(slack: Dialled) -> None:
    grant = GRANT(plugin="roadmap", operations=["sync"])
    assert await refusal(slack.invoker.ExchangeInvocationToken(exchange("", grant))) == (
        Code.FAILED_PRECONDITION,
        "invocation token is required",
    )


async def test_surfaces(slack: Dialled) -> None:
    def graphql(**members: Any) -> Any:
        return slack.invoker.InvokeGraphQL(plugin_pb2.PluginInvokeGraphQLRequest(**members))

    assert await refusal(graphql()) == (Code.INVALID_ARGUMENT, "plugin is required")
    assert await refusal(graphql(plugin="x")) == (Code.INVALID_ARGUMENT, "document is required")
    assert await refusal(graphql(plugin="x", document="{a}")) == (
        Code.FAILED_PRECONDITION,
        "invocation token is required",
    )
    assert await refusal(graphql(plugin="x", document="{a}", invocation_token=slack.token)) == (
        Code.PERMISSION_DENIED,
        'plugin "slack" may not invoke x surface "graphql"',
    )
    code, text = await refusal(graphql(plugin="graph", document="{a}", invocation_token=slack.token))
    assert code is Code.INVALID_ARGUMENT
    assert 'integration "graph" has no graphql surface' in text


# Fault tables ---------------------------------------------------------------------------------------------------------


def subclasses(of: type[GestaltError]) -> set[type[GestaltError]]:
    found = set()
    for cls in of.__subclasses__():
        found |= {cls} | subclasses(cls)
    return found


@pytest.mark.parametrize("table", ["MANAGER_FAULTS", "WORKFLOW_HOST_FAULTS", "INVOKER_FAULTS"])
def test_every_error_of_the_domain_has_a_row(table: str) -> None:
    rows = getattr(faults, table)
    packages = ("gestalt_host.errors", "gestalt_host.workflows", "gestalt_host.invocation", "gestalt_host.access")
    start_up = {"ReconciliationFailed", "UserCredentialNeeded", "OperationsUnfit"}
    missing = [
        cls.__name__
        for cls in subclasses(HostError)
        if cls.__module__.startswith(packages)
        and cls.__name__ not in start_up
        and not issubclass(cls, EntryFailed)
        and fault_of(cls.__new__(cls), rows) is None
    ]
    assert missing == []
