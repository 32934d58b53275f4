"""Execution references, and targets that are carried whole."""

from __future__ import annotations

from google.protobuf import json_format

from gestalt_host.verification.outcomes import NotOffered, require_equal
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.workflow.bench import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    Bench,
    CallFailed,
    require_refused,
    workflow_rule,
)
from gestalt_host.verification.suites.workflow.client import target
from gestalt_sdk.gen.v1 import workflow_pb2 as pb

WHOLE_PLUGIN = json_format.ParseDict(
    {
        "plugin": {
            "pluginName": "svc",
            "operation": "run",
            "connection": "_plugin",
            "instance": "second one",
            "credentialMode": "none",
            "input": {"n": 1.5, "deep": {"list": [1, None, "x", {"y": True}]}},
        }
    },
    pb.BoundWorkflowTarget(),
)
"""A target that is an operation, with every field."""
WHOLE_AGENT = json_format.ParseDict(
    {
        "agent": {
            "providerName": "helper",
            "model": "large",
            "prompt": "do it",
            "messages": [{"role": "user", "text": " as it is ", "metadata": {"a": 1}}],
            "toolRefs": [
                {
                    "plugin": "svc",
                    "operation": "run",
                    "connection": "c",
                    "instance": "i",
                    "title": "t",
                    "description": "d",
                },
                {"system": "workflow", "operation": "schedules.list"},
            ],
            "responseSchema": {"type": "object"},
            "metadata": {"m": [1, 2]},
            "modelOptions": {"temperature": 0.5},
            "timeoutSeconds": 7,
            "outputDelivery": {
                "target": {
                    "pluginName": "svc",
                    "operation": "post",
                    "connection": "c",
                    "instance": "i",
                    "input": {"k": 1},
                },
                "inputBindings": [
                    {"inputField": "a", "value": {"agentOutput": "text"}},
                    {"inputField": "b", "value": {"signalPayload": "x.y"}},
                    {"inputField": "c", "value": {"signalMetadata": "z"}},
                    {"inputField": "d", "value": {"literal": {"l": [1]}}},
                ],
                "credentialMode": "user",
            },
        }
    },
    pb.BoundWorkflowTarget(),
)
"""A target that is an agent, with every field."""


@workflow_rule(
    "semantics.md 7.4/put", "A reference is written, read back as it was, written again and listed by subject"
)
async def put(bench: Bench) -> None:
    process = await bench.process(start=False)
    fields: dict[str, object] = {
        "provider_name": "verified",
        "subject_kind": "user",
        "display_name": "Alice",
        "auth_source": "session",
        "credential_subject_id": "user:other",
        "caller_plugin_name": "caller",
        "permissions": [{"plugin": "svc", "operations": ["run", "read"]}, {"plugin": "all", "operations": []}],
    }
    first = await process.put_reference("r1", **fields)
    wanted = json_format.ParseDict({**fields, "id": "r1", "subject_id": "user:alice"}, pb.WorkflowExecutionReference())
    wanted.target.CopyFrom(first.target)
    wanted.created_at.CopyFrom(first.created_at)
    require_equal(wanted, first, "the reference")
    require_equal(first, await process.get_reference("r1"), "what is stored")
    require_equal(first, await process.put_reference("r1", **fields), "the same written again")
    await process.put_reference("r2", subject_id="user:bob")
    revoked = pb.WorkflowExecutionReference().revoked_at
    revoked.FromJsonString("2026-05-04T12:00:00Z")
    ended = await process.put_reference("r1", **fields, revoked_at=revoked)
    require_equal((first.created_at, revoked), (ended.created_at, ended.revoked_at), "created_at and revoked_at")
    for subject, ids in (("user:alice", ["r1"]), ("user:bob", ["r2"]), ("user:carol", []), ("", ["r1", "r2"])):
        seen = [reference.id for reference in await process.list_references(subject)]
        require_equal(ids, seen, f'the ids of the list for subject "{subject}"')


@workflow_rule(
    "semantics.md 7.4/required", "A reference needs an id, a target and a subject; an unknown one is NOT_FOUND"
)
async def required(bench: Bench) -> None:
    process = await bench.process(start=False)
    await require_refused(process.put_reference(""), INVALID_ARGUMENT)
    await require_refused(process.put_reference("r", target=pb.BoundWorkflowTarget()), INVALID_ARGUMENT)
    await require_refused(process.put_reference("r", subject_id=""), INVALID_ARGUMENT)
    await require_refused(process.get_reference("r"), NOT_FOUND, 'workflow execution reference "r" not found')
    await require_refused(process.get_reference(" "), INVALID_ARGUMENT, "id is required")


async def _carried_whole(bench: Bench, wanted: pb.BoundWorkflowTarget) -> None:
    """Store a target by every way, and require it back from each, and at the host."""
    process = await bench.process(start=False)
    try:
        scheduled = await process.upsert_schedule("s", target=wanted, execution_ref="by-schedule")
    except CallFailed as error:
        if wanted.HasField("agent"):
            raise NotOffered("targets that are agents") from error
        raise
    require_equal(wanted, scheduled.target, "the target of a schedule")
    require_equal(wanted, (await process.get_schedule("s")).target, "the target of a schedule that is stored")
    triggered = await process.upsert_trigger("t", target=wanted, execution_ref="by-event")
    require_equal(wanted, triggered.target, "the target of a trigger")
    await process.put_reference("r", target=wanted)
    require_equal(wanted, (await process.get_reference("r")).target, "the target of a reference")
    await process.publish("e")
    await process.start_run(target=wanted, execution_ref="by-start")
    await process.signal_or_start("k", to=wanted, execution_ref="by-signal")
    await process.start()
    for request in await bench.host.invoked(3):
        require_equal(wanted, request.target, f"the target at the host of the run {request.execution_ref}")
    expected = ["by-event", "by-signal", "by-start"]
    require_equal(
        expected, sorted(request.execution_ref for request in bench.host.requests), "execution_ref at the host"
    )
    runs = await process.list_runs()
    require_equal(expected, sorted(run.execution_ref for run in runs), "execution_ref of the runs")
    for run in runs:
        require_equal(wanted, run.target, f"the target of the run {run.execution_ref}")


@workflow_rule("semantics.md 2.1/plugin-target", "No field of an operation's target is lost on any way to the host")
async def plugin_target(bench: Bench) -> None:
    await _carried_whole(bench, WHOLE_PLUGIN)


@workflow_rule("semantics.md 2.1/agent-target", "No field of an agent's target is lost on any way to the host")
async def agent_target(bench: Bench) -> None:
    await _carried_whole(bench, WHOLE_AGENT)


@workflow_rule("semantics.md 2.1/empty-input", "Numbers, empty objects and nulls of an input come back as they are")
async def empty_input(bench: Bench) -> None:
    process = await bench.process(start=False)
    for number, value in enumerate(({}, {"a": {}}, {"a": []}, {"a": None}, {"a": 0.1}, {"a": 5}, {"": "é\0"})):
        wanted = target(input=json_format.ParseDict({"x": value}, target().plugin.input))
        await process.upsert_schedule(f"s{number}", target=wanted)
        require_equal(wanted, (await process.get_schedule(f"s{number}")).target, "the target that is stored")


RULES: tuple[Rule, ...] = (put, required, plugin_target, agent_target, empty_input)
