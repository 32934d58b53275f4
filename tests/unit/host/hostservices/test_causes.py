"""What a run publishes and starts has its cause, which the host alone sets (decision 29)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.hostservices.plugin_invoker import plugin_invoker
from gestalt_host.hostservices.workflow_manager import workflow_manager_host
from gestalt_host.invocation.model import DeclaredInvoke
from gestalt_host.workflows.model import PluginTarget
from gestalt_host.workflows.references.references import reference_for
from gestalt_sdk.gen.extension.v1 import causes_pb2
from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc, workflow_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.workflow.targets import target_to_proto
from tests.support.rigs.host import ANN, Rig
from tests.support.rigs.links import serving

SYNC = PluginTarget("roadmap", "sync", "default")
CAUSE = causes_pb2.Cause(root="schedule:s:1", chain=7)
NEXT = causes_pb2.Cause(root="schedule:s:1", chain=8)


@pytest.fixture
async def managers(rig: Rig, tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """WorkflowManagerHost as the plugins roadmap and slack dial it, and roadmap's PluginInvoker."""
    dialled: dict[str, Any] = {}
    invoker = plugin_invoker("roadmap", (DeclaredInvoke("slack", "post"),), rig.invoker, rig.tokens)
    first, second = (workflow_manager_host(name, rig.manager, rig.tokens) for name in ("roadmap", "slack"))
    async with (
        serving(first.register, tmp_path, "first") as roadmap,
        serving(second.register, tmp_path, "second") as slack,
        serving(invoker.register, tmp_path, "invoker") as invoking,
    ):
        dialled["roadmap"] = workflow_pb2_grpc.WorkflowManagerHostStub(roadmap.channel)
        dialled["slack"] = workflow_pb2_grpc.WorkflowManagerHostStub(slack.channel)
        dialled["invoker"] = plugin_pb2_grpc.PluginInvokerStub(invoking.channel)
        yield dialled


async def executed(rig: Rig, provider: str = "local", **members: Any) -> str:
    """Execute a run for the provider; return the invocation token that its plugin was given."""
    reference = reference_for(ANN, provider, SYNC, f"workflow_run:{provider}")
    await rig.references.put(rig.clients[provider], reference)
    request = pb.InvokeWorkflowOperationRequest(
        target=target_to_proto(SYNC),
        run_id="run-1",
        trigger=pb.WorkflowRunTrigger(manual=pb.WorkflowManualTrigger()),
        execution_ref=reference.id,
        **members,
    )
    await (rig.workflow_host if provider == "local" else rig.other_workflow_host).InvokeOperation(request)
    return rig.plugin.requests[-1].invocation_token


async def published(rig: Rig, manager: Any, token: str) -> pb.PublishWorkflowProviderEventRequest:
    request = pb.WorkflowManagerPublishEventRequest(event=pb.WorkflowEvent(type="a.b"), invocation_token=token)
    await manager.PublishEvent(request)
    return rig.local.events[-1]


async def test_what_a_run_publishes_and_starts_is_one_longer(rig: Rig, managers: dict[str, Any]) -> None:
    token = await executed(rig, cause=CAUSE)
    assert (await published(rig, managers["roadmap"], token)).cause == NEXT
    target = target_to_proto(SYNC)
    await managers["roadmap"].StartRun(pb.WorkflowManagerStartRunRequest(target=target, invocation_token=token))
    signal = pb.WorkflowSignal(name="go")
    await managers["roadmap"].SignalOrStartRun(
        pb.WorkflowManagerSignalOrStartRunRequest(
            workflow_key="k", target=target, signal=signal, invocation_token=token
        )
    )
    asked = dict(rig.local.requests)
    assert asked["StartRun"].cause == asked["SignalOrStartRun"].cause == NEXT


async def test_a_plugin_that_a_run_calls_has_the_cause_of_the_run(rig: Rig, managers: dict[str, Any]) -> None:
    token = await executed(rig, cause=CAUSE)
    child = plugin_pb2.ExchangeInvocationTokenRequest(parent_invocation_token=token)
    narrowed = (await managers["invoker"].ExchangeInvocationToken(child)).invocation_token
    call = plugin_pb2.PluginInvokeRequest(plugin="slack", operation="post", invocation_token=narrowed)
    await managers["invoker"].Invoke(call)
    nested = rig.plugin.requests[-1].invocation_token
    assert (await published(rig, managers["slack"], nested)).cause == NEXT


async def test_what_nobody_caused_has_no_cause(rig: Rig, managers: dict[str, Any]) -> None:
    await rig.invoker.invoke(ANN, "roadmap", "sync", {}, public=True)
    token = rig.plugin.requests[-1].invocation_token
    assert not (await published(rig, managers["roadmap"], token)).HasField("cause")


async def test_a_plugin_cannot_give_a_cause_of_its_own(rig: Rig, managers: dict[str, Any]) -> None:
    """Unknown fields, such as what the provider's request has under that number, are not passed on."""
    token = await executed(rig, cause=CAUSE)
    request = pb.WorkflowManagerPublishEventRequest(event=pb.WorkflowEvent(type="a.b"), invocation_token=token)
    forged = pb.PublishWorkflowProviderEventRequest(cause=causes_pb2.Cause(root="mine", chain=0))
    request.MergeFromString(forged.SerializeToString())
    await managers["roadmap"].PublishEvent(request)
    assert rig.local.events[-1].cause == NEXT


async def test_a_provider_without_causes_is_told_none_and_believed_none(rig: Rig, managers: dict[str, Any]) -> None:
    token = await executed(rig, "other", cause=CAUSE)
    assert (await published(rig, managers["roadmap"], token)).cause == causes_pb2.Cause(root="run-1", chain=1)
    assert not rig.other.events[-1].HasField("cause")
