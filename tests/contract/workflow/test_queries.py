"""WorkflowQueries over the wire, on a real store (capabilities ``workflow.queries`` and ``workflow.timeline``)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.extension.v1 import queries_pb2, queries_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.transport.values import from_timestamp
from tests.support.rigs.workflow import CANCELED, FAILED, PENDING, SUCCEEDED, Rig, Workflow, actor, struct, timestamp

pytestmark = pytest.mark.ours("workflow")


def queries(workflow: Workflow) -> queries_pb2_grpc.WorkflowQueriesStub:
    return queries_pb2_grpc.WorkflowQueriesStub(workflow.process.channel)


async def every(workflow: Workflow, size: int = 7, **filters: Any) -> list[str]:
    """Ids of all pages."""
    found, token = [], ""
    while True:
        request = queries_pb2.QueryRunsRequest(
            filter=queries_pb2.RunFilter(**filters), page_size=size, page_token=token
        )
        page = await queries(workflow).QueryRuns(request, timeout=10)
        found += [run.id for run in page.runs]
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("extensions", [True, False])
async def test_runs_by_page_and_filter(rig: Rig, extensions: bool) -> None:
    await rig.count_messages(without_extensions=not extensions)
    workflow = await rig.provider(start=False)
    assert {"workflow.queries", "workflow.timeline"} <= set(workflow.process.identity.capabilities)  # type: ignore[union-attr]
    await workflow.upsert_trigger("t")
    runs = []
    for number in range(20):
        run = await workflow.start_run("sync" if number % 4 else "run", created_by=actor(f"user:{'ab'[number % 2]}"))
        runs.append(run)
    await workflow.publish("e")
    for run in runs[:3]:
        await workflow.cancel_run(run.id)
    newest = [run.id for run in reversed(runs)]
    assert (await every(workflow))[1:] == newest
    assert await every(workflow, statuses=[CANCELED]) == newest[-3:]
    assert await every(workflow, statuses=[CANCELED, PENDING]) == await every(workflow)
    assert await every(workflow, owner_subject_id="user:b") == newest[::2]
    assert await every(workflow, operation="run", owner_subject_id="user:a") == newest[3::4]
    assert len(await every(workflow, trigger_id="t")) == 1
    assert len(await every(workflow, target_owner="svc")) == 21
    start, end = runs[4].created_at, runs[12].created_at
    assert await every(workflow, created_from=start, created_before=end) == newest[8:16]
    assert await every(workflow, created_from=start, created_before=end, statuses=[PENDING]) == newest[8:16]
    assert await every(workflow, created_from=start, owner_subject_id="user:b") == newest[:16:2]
    counted = await queries(workflow).CountRuns(
        queries_pb2.CountRunsRequest(filter=queries_pb2.RunFilter(created_before=end))
    )
    assert {c.status: c.count for c in counted.counts} == {1: 9, 2: 0, 3: 0, FAILED: 0, CANCELED: 3}


async def test_runs_of_a_schedule_by_slot(rig: Rig, workflow: Workflow) -> None:
    await workflow.upsert_schedule("s")
    moment = from_timestamp((await workflow.get_schedule("s")).next_run_at)
    for filters in ({}, {"slot_from": timestamp(moment - timedelta(days=1))}):
        assert await every(workflow, schedule_id="s", **filters) == []


async def test_a_summary_leaves_out_what_is_large(rig: Rig, workflow: Workflow) -> None:
    await workflow.upsert_trigger("t", target=_target_with_input())
    event = workflow_pb2.WorkflowEvent(id="e", type="t", source="s", data=struct(secret="large"))
    await workflow.rpc.PublishEvent(workflow_pb2.PublishWorkflowProviderEventRequest(event=event))
    (run_id,) = await every(workflow)
    await workflow.run_in(run_id)
    for summary in (False, True):
        page = await queries(workflow).QueryRuns(queries_pb2.QueryRunsRequest(summary=summary))
        (run,) = page.runs
        assert run.target.plugin.operation == "run"
        assert run.trigger.event.event.id == "e"
        assert bool(run.result_body) is not summary
        assert run.trigger.event.event.HasField("data") is not summary
        assert run.target.plugin.HasField("input") is not summary
        if not summary:
            assert run == await workflow.get_run(run_id)


def _target_with_input() -> workflow_pb2.BoundWorkflowTarget:
    plugin = workflow_pb2.BoundWorkflowPluginTarget(plugin_name="svc", operation="run", input=struct(a=1))
    return workflow_pb2.BoundWorkflowTarget(plugin=plugin)


async def test_a_long_result_is_cut(rig: Rig) -> None:
    workflow = await rig.provider(maxResultBytes=1000)
    rig.host.answers["run"] = (200, "ä" * 5000)
    done = await workflow.run_in((await workflow.start_run()).id)
    assert done.status == SUCCEEDED
    assert done.result_body == "ä" * 500
    assert done.result_truncated == 10_000
    assert done.status_message == "result cut to 1000 of 10000 bytes"


async def test_results_of_a_page_are_cut_when_asked(rig: Rig) -> None:
    workflow = await rig.provider(maxResultBytes=8000)
    rig.host.answers |= {"run": (200, "ä" * 5000), "sync": (200, "ok")}
    for operation in ("run", "sync"):
        await workflow.run_in((await workflow.start_run(operation)).id)
    for limit, body, size in ((0, 8000, 10_000), (8001, 8000, 10_000), (301, 300, 10_000), (1, 0, 10_000)):
        page = await queries(workflow).QueryRuns(queries_pb2.QueryRunsRequest(result_bytes=limit), timeout=10)
        short, cut = page.runs
        assert (len(cut.result_body.encode()), cut.result_truncated) == (body, size)
        assert short.result_body == "ok"[: limit or None]
    with pytest.raises(grpc.aio.AioRpcError, match="result_bytes is -1; accepted are 1 and more, and 0"):
        await queries(workflow).QueryRuns(queries_pb2.QueryRunsRequest(result_bytes=-1), timeout=10)


async def test_a_timeline_names_attempts_and_who_canceled(rig: Rig, workflow: Workflow) -> None:
    rig.host.hold("run")
    run = await workflow.start_run()
    await rig.host.invoked(1)
    request = workflow_pb2.CancelWorkflowProviderRunRequest(run_id=run.id, reason="no", canceled_by=actor("user:bob"))
    await workflow.rpc.CancelRun(request)
    answer = await queries(workflow).GetRunTimeline(queries_pb2.GetRunTimelineRequest(run_id=run.id))
    kinds = [moment.kind for moment in answer.moments]
    assert kinds == [queries_pb2.RUN_MOMENT_KIND_CREATED, 2, queries_pb2.RUN_MOMENT_KIND_CANCELED]
    assert (answer.moments[-1].detail, answer.moments[-1].subject_id) == ("no", "user:bob")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await queries(workflow).GetRunTimeline(queries_pb2.GetRunTimelineRequest(run_id="none"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_lists_beyond_the_limit_name_the_paged_way(rig: Rig) -> None:
    workflow = await rig.provider(start=False, maxListBytes=1000)
    for number in range(20):
        await workflow.start_run()
        await workflow.upsert_schedule(f"s{number}")
        await workflow.upsert_trigger(f"t{number}")
        await workflow.put_reference(f"f{number}")
    calls = [
        (workflow.rpc.ListRuns, workflow_pb2.ListWorkflowProviderRunsRequest(), "QueryRuns"),
        (workflow.rpc.ListSchedules, workflow_pb2.ListWorkflowProviderSchedulesRequest(), "QuerySchedules"),
        (workflow.rpc.ListEventTriggers, workflow_pb2.ListWorkflowProviderEventTriggersRequest(), "QueryEventTriggers"),
        (
            workflow.rpc.ListExecutionReferences,
            workflow_pb2.ListWorkflowExecutionReferencesRequest(),
            "QueryExecutionReferences",
        ),
    ]
    for call, request, paged in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(request)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"WorkflowQueries/{paged} answers them in pages" in (refused.value.details() or "")
        seen: list[str] = []
        asked: Any = queries_pb2.QueryObjectsRequest(page_size=8)
        if paged == "QueryRuns":
            assert len(await every(workflow)) == 20
            continue
        while True:
            page: Any = await getattr(queries(workflow), paged)(asked)
            items = next(value for field, value in page.ListFields() if field.name != "next_page_token")
            seen += [item.id for item in items]
            asked.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert len(seen) == 20
        assert seen[0].endswith("0")
        assert seen[-1].endswith("19")


async def test_objects_by_the_beginning_of_their_id_cost_nothing_for_the_others(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    for number in range(5):
        await workflow.upsert_schedule(f"cfg_{number}", requested_by=actor("system:config"))
        await workflow.upsert_trigger(f"cfg_{number}")
        await workflow.put_reference(f"cfg_{number}")
    for number in range(30):
        await workflow.upsert_schedule(f"a{number}")
        await workflow.upsert_schedule(f"d{number}")
    calls: list[Any] = [queries(workflow).QuerySchedules, queries(workflow).QueryEventTriggers]
    for query in [*calls, queries(workflow).QueryExecutionReferences]:
        asked = queries_pb2.QueryObjectsRequest(page_size=3, id_prefix="cfg_")
        first = await query(asked)
        other = queries_pb2.QueryObjectsRequest(page_size=3, id_prefix="a", page_token=first.next_page_token)
        with pytest.raises(grpc.aio.AioRpcError, match="another filter"):
            await query(other)
        before = counting.count
        second = await query(queries_pb2.QueryObjectsRequest(id_prefix="cfg_", page_token=first.next_page_token))
        assert counting.count - before == 1
        assert not second.next_page_token
        assert ids_of(first) + ids_of(second) == [f"cfg_{number}" for number in (4, 3, 2, 1, 0)]
    theirs = queries_pb2.QueryObjectsRequest(id_prefix="cfg_", subject_id="nobody")
    assert not ids_of(await queries(workflow).QuerySchedules(theirs))


def ids_of(page: Any) -> list[str]:
    return [item.id for field, items in page.ListFields() if field.name != "next_page_token" for item in items]


async def test_a_page_costs_one_message(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    await asyncio.gather(*(workflow.start_run() for _ in range(300)))
    before = counting.count
    page = await queries(workflow).QueryRuns(queries_pb2.QueryRunsRequest(page_size=256))
    assert (len(page.runs), counting.count - before) == (256, 1)
    before = counting.count
    counted = await queries(workflow).CountRuns(queries_pb2.CountRunsRequest())
    assert counted.counts[0].count == 300
    assert counting.count - before == 5
