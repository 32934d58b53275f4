"""InvokeOperation: which references are believed, what the plugin sees, what the provider is answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode as Code

from gestalt_host.access.subjects import Actor, Principal
from gestalt_host.workflows.model import Event, Permission, PluginTarget, ScheduleSpec, Signal
from gestalt_host.workflows.providers.convert import reference_to_proto
from gestalt_host.workflows.references.references import reference_for
from gestalt_host.workflows.references.signing import ReferenceSigner
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.workflow.convert import event_to_proto
from gestalt_sdk.workflow.targets import target_to_proto
from tests.support.rigs.host import ANN, BOB, SYNC, Rig, limited, request, stored
from tests.support.waiting import eventually


async def refusal(call: Any) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), raised.value.details() or ""


# References -----------------------------------------------------------------------------------------------------------


async def test_a_signed_reference_costs_no_call_to_the_provider(rig: Rig) -> None:
    reference = await stored(rig)
    for _ in range(3):
        answer = await rig.workflow_host.InvokeOperation(request(reference))
        assert (answer.status, answer.body) == (200, '{"ok":true}')
    assert rig.local.calls == []
    assert len(rig.plugin.requests) == 3


async def test_without_a_reference_it_is_fetched_back(rig: Rig) -> None:
    reference = await stored(rig)
    await rig.workflow_host.InvokeOperation(request(reference, carried=False))
    assert rig.local.calls == ["GetExecutionReference"]


async def test_a_reference_of_an_unknown_key_is_fetched_and_signed_anew_once(rig: Rig) -> None:
    reference = await stored(rig)
    foreign = ReferenceSigner(bytes(32))
    reference.signature_key_id, reference.signature = foreign.key_id, b"?"
    await rig.workflow_host.InvokeOperation(request(reference))
    assert rig.local.calls == ["GetExecutionReference", "GetExecutionReference", "PutExecutionReference"]
    renewed = rig.local.references[reference.id]
    assert renewed.signature_key_id == rig.references.signer.key_id
    rig.local.calls.clear()
    await rig.workflow_host.InvokeOperation(request(renewed))
    assert rig.local.calls == []


async def test_a_revocation_is_not_taken_back_by_signing(rig: Rig) -> None:
    reference = await stored(rig)
    reference.ClearField("signature")
    seen = 0

    async def revoke_after_the_first_look(name: str) -> None:
        nonlocal seen
        if name == "GetExecutionReference":
            seen += 1
            if seen == 2:
                rig.local.references[reference.id].revoked_at.CopyFrom(rig.local.now())

    rig.local.before = revoke_after_the_first_look
    await rig.workflow_host.InvokeOperation(request(reference))
    assert rig.local.calls == ["GetExecutionReference", "GetExecutionReference"]
    assert rig.local.references[reference.id].HasField("revoked_at")


async def test_a_provider_without_the_capability_is_asked_and_its_copy_ignored(rig: Rig) -> None:
    reference = await stored(rig, provider="other")
    carried = pb.WorkflowExecutionReference()
    carried.CopyFrom(reference)
    reference.revoked_at.CopyFrom(rig.other.now())
    made = request(carried)
    assert await refusal(rig.other_workflow_host.InvokeOperation(made)) == (
        Code.PERMISSION_DENIED,
        'workflow invoke operation: authorization denied: workflow execution ref "workflow_run:1" is revoked',
    )
    assert rig.other.calls == ["GetExecutionReference"]


def tampered(reference: pb.WorkflowExecutionReference, **changes: Any) -> pb.WorkflowExecutionReference:
    copy = pb.WorkflowExecutionReference()
    copy.CopyFrom(reference)
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


@pytest.mark.parametrize(
    "changes",
    [
        {"subject_id": "user:bob"},
        {"subject_id": "system:config"},
        {"credential_subject_id": "user:bob"},
        {"signature": b"\0" * 32},
        {"auth_source": "config"},
    ],
)
async def test_a_wrong_signature_is_denied(rig: Rig, changes: dict[str, Any]) -> None:
    reference = tampered(await stored(rig), **changes)
    code, text = await refusal(rig.workflow_host.InvokeOperation(request(reference)))
    assert code is Code.PERMISSION_DENIED
    assert text.endswith("has a wrong signature")
    assert rig.plugin.requests == []
    assert rig.local.calls == []


async def test_wider_permissions_are_a_wrong_signature(rig: Rig) -> None:
    reference = tampered(await stored(rig, permissions=(Permission("roadmap", ("sync",)),)))
    del reference.permissions[:]
    code, _ = await refusal(rig.workflow_host.InvokeOperation(request(reference)))
    assert code is Code.PERMISSION_DENIED


async def test_a_stored_reference_with_a_wrong_signature_is_denied_too(rig: Rig) -> None:
    reference = await stored(rig)
    reference.subject_id = "user:bob"
    code, text = await refusal(rig.workflow_host.InvokeOperation(request(reference, carried=False)))
    assert code is Code.PERMISSION_DENIED
    assert "wrong signature" in text


async def test_a_signed_reference_is_good_for_its_own_target_and_id_only(rig: Rig) -> None:
    reference = await stored(rig)
    await rig.workflow_host.InvokeOperation(request(reference))
    made = request(reference)
    made.target.plugin.operation = "noop"
    code, text = await refusal(rig.workflow_host.InvokeOperation(made))
    assert code is Code.PERMISSION_DENIED
    assert text.endswith("is for another target")
    made = request(reference)
    made.execution_ref = "workflow_run:2"
    code, text = await refusal(rig.workflow_host.InvokeOperation(made))
    assert code is Code.PERMISSION_DENIED
    assert text.endswith("belongs to something else")
    assert len(rig.plugin.requests) == 1


async def test_a_reference_of_another_provider_is_denied(rig: Rig) -> None:
    made = reference_for(ANN, "other", SYNC, "workflow_run:1")
    carried = reference_to_proto(rig.references.signer.sign(made))
    code, _ = await refusal(rig.workflow_host.InvokeOperation(request(carried)))
    assert code is Code.PERMISSION_DENIED
    blank = reference_to_proto(replace(made, provider=""))
    rig.local.references[blank.id] = blank
    code, _ = await refusal(rig.workflow_host.InvokeOperation(request(blank, carried=False)))
    assert code is Code.PERMISSION_DENIED
    assert rig.plugin.requests == []


async def test_a_revoked_reference_is_denied_and_a_retired_one_works(rig: Rig) -> None:
    reference = await stored(rig)
    retired = tampered(reference)
    retired.retired_at.CopyFrom(Timestamp(seconds=1))
    for carried in (True, False):
        rig.local.references[reference.id] = retired
        await rig.workflow_host.InvokeOperation(request(retired, carried=carried))
        revoked = tampered(reference)
        revoked.revoked_at.CopyFrom(Timestamp(seconds=1))
        rig.local.references[reference.id] = revoked
        code, text = await refusal(rig.workflow_host.InvokeOperation(request(revoked, carried=carried)))
        assert code is Code.PERMISSION_DENIED
        assert text.endswith("is revoked")


async def test_missing_and_unreadable_references(rig: Rig) -> None:
    reference = await stored(rig)
    made = request(reference, carried=False)
    rig.local.references.clear()
    code, text = await refusal(rig.workflow_host.InvokeOperation(made))
    assert code is Code.PERMISSION_DENIED
    assert text.endswith("was not found")
    rig.local.failures["GetExecutionReference"] = (Code.INTERNAL, "disk")
    code, text = await refusal(rig.workflow_host.InvokeOperation(made))
    assert (code, text) == (
        Code.INTERNAL,
        "workflow invoke operation: execution reference could not be read: disk",
    )


async def test_the_provider_need_not_be_ready_to_be_asked(rig: Rig) -> None:
    """It dispatches while it is being started again: waiting for it would be waiting for ourselves."""
    reference = await stored(rig)
    rig.links["local"].ready.clear()
    async with asyncio.timeout(3):
        await rig.workflow_host.InvokeOperation(request(reference, carried=False))


async def test_roles_and_ceilings_are_checked_at_every_run(rig: Rig) -> None:
    reference = await stored(rig)
    rig.authorizer._plugin_policies["roadmap"] = "vault"
    assert await refusal(rig.workflow_host.InvokeOperation(request(reference))) == (
        Code.PERMISSION_DENIED,
        "workflow invoke operation: authorization denied: roadmap.sync",
    )
    rig.authorizer._policies["vault"].members.clear()  # type: ignore[attr-defined]
    assert await refusal(rig.workflow_host.InvokeOperation(request(reference))) == (
        Code.PERMISSION_DENIED,
        "workflow invoke operation: authorization denied: roadmap",
    )
    rig.authorizer._plugin_policies.clear()
    await rig.workflow_host.InvokeOperation(request(reference))
    narrow = await stored(rig, limited(ANN, roadmap=["noop"]))
    code, text = await refusal(rig.workflow_host.InvokeOperation(request(narrow)))
    assert (code, text) == (Code.PERMISSION_DENIED, "workflow invoke operation: token scope denied: roadmap.sync")
    nothing = await stored(rig, limited(ANN))
    code, text = await refusal(rig.workflow_host.InvokeOperation(request(nothing)))
    assert (code, text) == (Code.PERMISSION_DENIED, "workflow invoke operation: token scope denied: roadmap")


# Request checks and outcomes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (pb.InvokeWorkflowOperationRequest(), "target.plugin.plugin_name is required"),
        (
            pb.InvokeWorkflowOperationRequest(target=target_to_proto(PluginTarget("p", " "))),
            "target.plugin.operation is required",
        ),
        (
            pb.InvokeWorkflowOperationRequest(
                target=pb.BoundWorkflowTarget(agent=pb.BoundWorkflowAgentTarget(prompt="x"))
            ),
            "target.agent.provider_name is required",
        ),
        (
            pb.InvokeWorkflowOperationRequest(target=target_to_proto(SYNC), execution_ref=" "),
            "execution_ref is required",
        ),
    ],
)
async def test_incomplete_requests(rig: Rig, made: Any, text: str) -> None:
    refused = await refusal(rig.workflow_host.InvokeOperation(made))
    assert refused == (Code.INVALID_ARGUMENT, f"workflow invoke operation: {text}")


@pytest.mark.parametrize(
    ("target", "code", "text"),
    [
        (PluginTarget("gone", "x"), Code.NOT_FOUND, 'integration "gone" not found'),
        (PluginTarget("roadmap", "gone"), Code.NOT_FOUND, 'operation "gone" not found on integration "roadmap"'),
        (
            PluginTarget("mail", "send"),
            Code.UNAUTHENTICATED,
            "workflow invoke operation: no external credential: no external credential stored",
        ),
        (PluginTarget("roadmap", "sync", credential_mode="odd"), Code.UNKNOWN, "invalid invocation"),
    ],
)
async def test_invocations_that_cannot_be(rig: Rig, target: PluginTarget, code: Code, text: str) -> None:
    reference = await stored(rig, target=target)
    found, details = await refusal(rig.workflow_host.InvokeOperation(request(reference)))
    assert found is code
    assert details.startswith("workflow invoke operation: ")
    assert text in details


async def test_results_and_plugin_failures(rig: Rig) -> None:
    reference = await stored(rig)
    for status in (0, 302, 404, 500):
        rig.plugin.answer = lambda _, status=status: (status, f"body {status}")  # type: ignore[misc]
        answer = await rig.workflow_host.InvokeOperation(request(reference))
        assert (answer.status, answer.body) == (status, f"body {status}")
    rig.plugin.failure = (Code.RESOURCE_EXHAUSTED, "too much")
    refused = await refusal(rig.workflow_host.InvokeOperation(request(reference)))
    assert refused == (Code.RESOURCE_EXHAUSTED, "workflow invoke operation: too much")
    rig.plugin.failure = (Code.UNAVAILABLE, "failed to connect to all addresses; last error: unix:/tmp/x")
    code, text = await refusal(rig.workflow_host.InvokeOperation(request(reference)))
    assert (code, text) == (Code.UNAVAILABLE, 'workflow invoke operation: integration "plugin" is not available')


async def test_a_bug_is_not_told_to_the_provider(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = await stored(rig)
    monkeypatch.setattr(rig.executor, "execute", lambda *_: 1 / 0)
    refused = await refusal(rig.workflow_host.InvokeOperation(request(reference)))
    assert refused == (Code.INTERNAL, "workflow invoke operation: internal error")


async def test_a_canceled_call_cancels_the_plugins(rig: Rig) -> None:
    reference = await stored(rig)
    forever = asyncio.Event()
    rig.plugin.started = forever.wait
    call = rig.workflow_host.InvokeOperation(request(reference))
    running = asyncio.ensure_future(call)

    async def reached() -> bool | None:
        return bool(rig.plugin.requests) or None

    await eventually(reached)
    running.cancel()

    async def canceled() -> bool | None:
        return bool(rig.plugin.canceled) or None

    await eventually(canceled)
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_observers_are_told_of_every_end(rig: Rig) -> None:
    reference = await stored(rig)
    await rig.workflow_host.InvokeOperation(request(reference))
    rig.plugin.failure = (Code.INTERNAL, "boom")
    await refusal(rig.workflow_host.InvokeOperation(request(reference)))
    good, bad = rig.reports
    assert (good.provider, good.run_id, good.trigger, good.target) == ("local", "run-1", "manual", "roadmap.sync")
    assert (good.status, good.error) == (200, "")
    assert good.duration_s >= 0
    assert (bad.status, bad.error) == (None, "boom")


# What the plugin sees -------------------------------------------------------------------------------------------------


async def test_the_execute_request(rig: Rig) -> None:
    reference = await stored(rig, target=replace(SYNC, instance="i 1"))
    made = request(reference)
    made.input.update({"n": 2, "extra": [1]})
    await rig.workflow_host.InvokeOperation(made)
    (seen,) = rig.plugin.requests
    assert seen.operation == "sync"
    assert seen.invocation_id == ""
    assert MessageToDict(seen.params) == {"mode": "incremental", "n": 2.0, "extra": [1.0]}
    assert seen.idempotency_key == "workflow:local:run-1"
    context = seen.context
    assert (context.subject.id, context.subject.kind) == ("user:ann", "user")
    assert (context.subject.display_name, context.subject.auth_source) == ("Ann", "session")
    credential = context.credential
    assert (credential.mode, credential.connection, credential.instance) == ("none", "", "")
    assert not context.HasField("access")
    assert context.host.public_base_url == "https://host.example"
    delegation = rig.tokens.resolve(seen.invocation_token, "roadmap")
    assert delegation.principal.actor == ANN.actor
    assert delegation.principal.caller_plugin == "roadmap"
    assert delegation.call.chain == ("roadmap/i 1/sync",)
    assert delegation.call.depth == 0


async def test_access_is_shown_where_there_is_a_policy(rig: Rig) -> None:
    root = Principal(Actor("user:root", "user"))
    reference = await stored(rig, root, PluginTarget("vault", "write"))
    await rig.workflow_host.InvokeOperation(request(reference))
    access = rig.plugin.requests[0].context.access
    assert (access.policy, access.role) == ("vault", "admin")


async def test_the_token_of_a_limited_run_is_as_limited(rig: Rig) -> None:
    reference = await stored(rig, limited(ANN, roadmap=["sync"]))
    await rig.workflow_host.InvokeOperation(request(reference))
    delegation = rig.tokens.resolve(rig.plugin.requests[0].invocation_token, "roadmap")
    assert delegation.principal.ceiling is not None
    assert delegation.principal.ceiling.plugins == {"roadmap": frozenset({"sync"})}


async def test_the_workflow_struct_of_an_event_run(rig: Rig) -> None:
    reference = await stored(rig)
    at = datetime(2026, 5, 8, 9, tzinfo=UTC)
    event = Event("a.b", "src", "s", {}, "e1", at, "1.0", "json", {"trace": "t"})
    trigger = pb.WorkflowEventTriggerInvocation(trigger_id="t1", event=event_to_proto(event))
    trigger.event.time.nanos = 120
    made = request(reference)
    made.trigger.CopyFrom(pb.WorkflowRunTrigger(event=trigger))
    made.published_by.CopyFrom(pb.WorkflowActor(subject_id="user:bob", subject_kind="user"))
    made.metadata.update({"m": 1})
    await rig.workflow_host.InvokeOperation(made)
    assert MessageToDict(rig.plugin.requests[0].context.workflow) == {
        "runId": "run-1",
        "provider": "local",
        "executionRef": "workflow_run:1",
        "target": {
            "kind": "plugin",
            "plugin": {
                "pluginName": "roadmap",
                "operation": "sync",
                "connection": "default",
                "input": {"mode": "incremental", "n": 1.0},
            },
        },
        "trigger": {
            "kind": "event",
            "triggerId": "t1",
            "event": {
                "id": "e1",
                "source": "src",
                "specVersion": "1.0",
                "type": "a.b",
                "subject": "s",
                "time": "2026-05-08T09:00:00.00000012Z",
                "dataContentType": "json",
                "data": {},
                "extensions": {"trace": "t"},
            },
        },
        "createdBy": {
            "subjectId": "user:ann",
            "subjectKind": "user",
            "displayName": "Ann",
            "authSource": "session",
        },
        "publishedBy": {"subjectId": "user:bob", "subjectKind": "user"},
        "metadata": {"m": 1.0},
    }


async def test_the_workflow_struct_of_a_scheduled_run(rig: Rig) -> None:
    reference = await stored(rig, target=PluginTarget("roadmap", "noop"))
    made = request(reference)
    made.ClearField("created_by")
    scheduled = pb.WorkflowScheduleTrigger(schedule_id="s1", scheduled_for=Timestamp(seconds=1_778_209_200))
    made.trigger.CopyFrom(pb.WorkflowRunTrigger(schedule=scheduled))
    await rig.workflow_host.InvokeOperation(made)
    assert MessageToDict(rig.plugin.requests[0].context.workflow) == {
        "runId": "run-1",
        "provider": "local",
        "executionRef": "workflow_run:1",
        "target": {"kind": "plugin", "plugin": {"pluginName": "roadmap", "operation": "noop", "input": {}}},
        "trigger": {"kind": "schedule", "scheduleId": "s1", "scheduledFor": "2026-05-08T03:00:00Z"},
    }


async def test_signals_are_compacted_and_make_each_batch_its_own_work(rig: Rig) -> None:
    reference = await stored(rig)
    made = request(reference)
    for number in range(12):
        signal = made.signals.add(id=f"s{number}", name="go", sequence=number + 1)
        signal.payload.update({"event": "push", "big": {"x": 1}, "n": number, "payload": "dropped"})
    await rig.workflow_host.InvokeOperation(made)
    (seen,) = rig.plugin.requests
    signals = MessageToDict(seen.context.workflow)["signals"]
    assert len(signals) == 10
    assert signals[0] == {
        "id": "s0",
        "name": "go",
        "payload": {"event": "push", "fields": {"n": 0.0}, "payloadOmitted": True},
        "sequence": 1.0,
    }
    assert seen.idempotency_key.startswith("workflow:local:run-1:signal-batch-")


async def test_runs_of_the_configuration_reach_internal_connections(rig: Rig) -> None:
    from gestalt_host.access.credentials.connections import Connection

    rig.registry.get("roadmap").connections["default"] = Connection("default", internal=True)  # type: ignore[index]
    reference = await stored(rig)
    code, text = await refusal(rig.workflow_host.InvokeOperation(request(reference)))
    assert code is Code.PERMISSION_DENIED
    assert 'connection "default" is internal' in text
    config = Principal(Actor("system:config", "system", "Gestalt config", "config"), "system:config")
    await rig.workflow_host.InvokeOperation(request(await stored(rig, config)))
    delegation = rig.tokens.resolve(rig.plugin.requests[-1].invocation_token, "roadmap")
    assert delegation.principal.internal_connections


async def test_known_references_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_host.workflows.execution.CACHED_REFERENCES", 2)
    for number in range(4):
        made = reference_for(BOB, "local", SYNC, f"workflow_run:{number}")
        await rig.workflow_host.InvokeOperation(request(reference_to_proto(rig.references.signer.sign(made))))
    assert len(rig.executor._known) == 2
    assert rig.local.calls == []


@pytest.mark.trap(2)
async def test_connection_and_instance_reach_the_plugin_as_they_were_stored(rig: Rig) -> None:
    pinned = PluginTarget("roadmap", "sync", "alerts", "second one", "", {"n": 1})
    schedule = await rig.manager.schedules.create(ANN, ScheduleSpec("0 3 * * *", pinned))
    assert (schedule.target.connection, schedule.target.instance) == ("alerts", "second one")  # type: ignore[union-attr]
    reference = rig.local.references[schedule.execution_ref]
    assert reference.target == rig.local.schedules[schedule.id].target
    await rig.workflow_host.InvokeOperation(request(reference))
    assert len(rig.plugin.requests) == 1


@pytest.mark.trap(28)
async def test_a_plugin_is_called_without_a_deadline(rig: Rig) -> None:
    await rig.workflow_host.InvokeOperation(request(await stored(rig)))
    assert rig.plugin.deadlines == [None]


@pytest.mark.trap(30)
async def test_a_run_executes_as_its_reference_says_whatever_actor_is_named(rig: Rig) -> None:
    reference = await stored(rig)
    forged = request(reference)
    forged.created_by.CopyFrom(
        pb.WorkflowActor(subject_id="system:config", subject_kind="system", auth_source="config")
    )
    await rig.workflow_host.InvokeOperation(forged)
    subject = rig.plugin.requests[0].context.subject
    assert (subject.id, subject.kind) == ("user:ann", "user")


@pytest.mark.trap(25)
async def test_a_batch_that_runs_keeps_its_authorization_when_more_signals_come(rig: Rig) -> None:
    result = await rig.manager.runs.signal_or_start(ANN, "k", PluginTarget("roadmap", "sync"), Signal(name="a"))
    reference = pb.WorkflowExecutionReference()
    reference.CopyFrom(rig.local.references[result.run.execution_ref])
    for number in range(3):
        target = PluginTarget("roadmap", "sync")
        await rig.manager.runs.signal_or_start(ANN, "k", target, Signal(name=f"b{number}"))
    assert list(rig.local.references.values()) == [reference]
    await rig.workflow_host.InvokeOperation(request(reference))
