"""What a workflow provider refuses, asked of one provider for all of them: a refusal leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from gestalt_sdk.gen.extension.v1 import policies_pb2
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.objects import Kind, refusal
from tests.support.rigs.workflow import Workflow, open_rig, preview, seconds, target

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workflow() -> AsyncIterator[Workflow]:
    """A started provider that all tests here share."""
    async with open_rig() as rig:
        yield await rig.provider()


@pytest.mark.ours("workflow")
@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"retry": {"max_attempts": 0}}, "policy.retry.max_attempts is 0; accepted are 1 to 100"),
        ({"retry": {"max_attempts": 2, "retry_on": [0]}}, "name the failures to retry on"),
        ({"retry": {"max_attempts": 2, "retry_on": [99]}}, "policy.retry.retry_on is 99; accepted are 0 to 5"),
        ({"timeout": seconds(0)}, "policy.timeout is 0 s; accepted are 0.001 s to 604800 s"),
        (
            {"retry": {"max_attempts": 2, "initial_backoff": seconds(9), "max_backoff": seconds(1)}},
            "must not be less than initial_backoff",
        ),
    ],
)
async def test_a_policy_that_cannot_be_is_refused(workflow: Workflow, policy: dict[str, Any], text: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.start_run(policy=policies_pb2.RunPolicy(**policy))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert text in (refused.value.details() or "")


@pytest.mark.ours("workflow")
@pytest.mark.parametrize(
    ("request_fields", "code", "text"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "cron is required"),
        ({"cron": "x"}, grpc.StatusCode.INVALID_ARGUMENT, "invalid cron"),
        ({"cron": "* * * * *", "timezone": "Mars"}, grpc.StatusCode.INVALID_ARGUMENT, 'invalid timezone "Mars"'),
        (
            {"cron": "* * * * *", "count": 1001},
            grpc.StatusCode.INVALID_ARGUMENT,
            "count is 1001; accepted are 1 to 1000",
        ),
        ({"cron": "* * * * *", "schedule_id": "s"}, grpc.StatusCode.INVALID_ARGUMENT, "exclude each other"),
        ({"schedule_id": "none"}, grpc.StatusCode.NOT_FOUND, 'workflow schedule "none" not found'),
    ],
)
async def test_a_preview_that_cannot_be_is_refused(
    workflow: Workflow, request_fields: dict[str, Any], code: grpc.StatusCode, text: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await preview(workflow, **request_fields)
    assert refused.value.code() is code
    assert text in (refused.value.details() or "")


@pytest.mark.parametrize("char", ["x", "é", "%", "\x00"])
async def test_a_refusal_of_something_long_arrives_with_its_code(workflow: Workflow, char: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await workflow.get_run(char * 5000)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.upsert_schedule("s", timezone=char * 4498)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").isprintable()


@pytest.mark.ours("workflow")
async def test_a_refused_value_is_shown_escaped_and_its_beginning_where_it_is_long(workflow: Workflow) -> None:
    schedules = Kind(workflow, "schedule")
    for zone, shown in (
        ("Europe/Berlin\x00", r'"Europe/Berlin\x00"'),
        ("\x1b[2J\u202e", r'"\x1b[2J\u202e"'),
        ("é" * 1000, f'"{"é" * 256}" (cut, 2000 bytes in all)'),
    ):
        refused = (grpc.StatusCode.INVALID_ARGUMENT, f"invalid timezone {shown}")
        assert await refusal(schedules.upsert("s", timezone=zone)) == refused
    code, text = await refusal(schedules.upsert("s", cron="\x00 * * * *"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.isprintable()


LONG = 900_000


async def test_names_and_ids_that_are_too_long_are_refused_without_being_repeated(workflow: Workflow) -> None:
    schedules, triggers = Kind(workflow, "schedule"), Kind(workflow, "trigger")
    long = "x" * LONG

    def too_long(name: str, limit: int) -> tuple[grpc.StatusCode, str]:
        text = f"{name} has {LONG} bytes; accepted are at most {limit}"
        return grpc.StatusCode.INVALID_ARGUMENT, text

    for name in ("plugin_name", "operation", "connection", "instance", "credential_mode"):
        named = target()
        setattr(named.plugin, name, long)
        assert await refusal(schedules.upsert("s", target=named)) == too_long(f"target.plugin.{name}", 512)
        assert await refusal(triggers.upsert("t", target=named)) == too_long(f"target.plugin.{name}", 512)
    assert await refusal(schedules.upsert(long)) == too_long("schedule_id", 512)
    assert await refusal(triggers.upsert(long)) == too_long("trigger_id", 512)
    assert await refusal(schedules.upsert("s", cron=long)) == too_long("cron", 1024)
    for name in ("type", "source", "subject"):
        match = pb.WorkflowEventMatch(type="t")
        setattr(match, name, long)
        assert await refusal(triggers.upsert("t", match=match)) == too_long(f"match.{name}", 1024)
    for name, limit in (
        ("id", 512),
        ("spec_version", 512),
        ("datacontenttype", 512),
        ("type", 1024),
        ("source", 1024),
        ("subject", 1024),
    ):
        event = pb.WorkflowEvent(id="e", type="t", source="s")
        setattr(event, name, long)
        publish = workflow.rpc.PublishEvent(pb.PublishWorkflowProviderEventRequest(event=event), timeout=10)
        assert await refusal(publish) == too_long(f"event.{name}", limit)
    for key in ("idempotency_key", "workflow_key"):
        assert await refusal(workflow.start_run(**{key: long})) == too_long(key, 1024)
    assert await refusal(workflow.signal_or_start(long)) == too_long("workflow_key", 1024)
    assert await refusal(workflow.signal("run", long)) == too_long("signal.name", 512)
    assert await refusal(workflow.signal("run", id=long)) == too_long("signal.id", 512)
    assert await refusal(workflow.signal("run", idempotency_key=long)) == too_long("signal.idempotency_key", 1024)


async def test_names_and_ids_of_the_greatest_length_are_accepted(workflow: Workflow) -> None:
    schedules, triggers = Kind(workflow, "schedule"), Kind(workflow, "trigger")
    name, text = "\u00e9" * 256, "t" * 1024
    await schedules.upsert(name, cron=f"{'1,' * 507}1 * * * *"[:1024], target=target(name, name))
    await triggers.upsert(name, match=pb.WorkflowEventMatch(type=text, source=text, subject=text))
    event = pb.WorkflowEvent(id=name, type=text, source=text, subject=text)
    await workflow.rpc.PublishEvent(pb.PublishWorkflowProviderEventRequest(event=event), timeout=10)
    await workflow.start_run(idempotency_key=text, workflow_key=text)
    await schedules.of("Delete", name)
    await triggers.of("Delete", name)
