"""WorkflowEvents over the wire, on a real store (capability ``workflow.events``)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.extension.v1 import events_pb2 as pb
from gestalt_sdk.gen.extension.v1 import events_pb2_grpc, queries_pb2, queries_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2
from tests.support.rigs.workflow import SUCCEEDED, Rig, Workflow, actor, struct, target

pytestmark = pytest.mark.ours("workflow")

DEADLINE_S = 10.0
MATCHED, DUPLICATE, PAUSED, SOURCE_DIFFERS, SUBJECT_DIFFERS, PLUGIN_DIFFERS, TYPE_DIFFERS = range(1, 8)
STORES = pytest.mark.parametrize("extensions", [True, False], ids=["batch", "transactions"])


def events(workflow: Workflow) -> events_pb2_grpc.WorkflowEventsStub:
    return events_pb2_grpc.WorkflowEventsStub(workflow.process.channel)


async def opened(rig: Rig, extensions: bool, *, start: bool = True, **config: Any) -> Workflow:
    """A provider on a store with or without batches."""
    if rig.counting is None:
        await rig.count_messages(without_extensions=not extensions)
    return await rig.provider(start=start, **config)


async def get(workflow: Workflow, event_id: str, source: str = "s") -> pb.KeptEvent:
    return await events(workflow).GetEvent(pb.GetEventRequest(source=source, event_id=event_id), timeout=DEADLINE_S)


async def replay(workflow: Workflow, event_id: str, **fields: Any) -> pb.ReplayEventResponse:
    request = pb.ReplayEventRequest(source="s", event_id=event_id, **fields)
    return await events(workflow).ReplayEvent(request, timeout=DEADLINE_S)


async def every(workflow: Workflow, size: int = 4, **filters: Any) -> list[str]:
    """Event ids of all pages."""
    found, token = [], ""
    while True:
        request = pb.ListEventsRequest(filter=pb.EventFilter(**filters), page_size=size, page_token=token)
        page = await events(workflow).ListEvents(request, timeout=DEADLINE_S)
        found += [kept.event.id for kept in page.events]
        token = page.next_page_token
        if not token:
            return found


def kinds(answer: pb.KeptEvent | pb.ReplayEventResponse) -> dict[str, int]:
    return {verdict.trigger_id: verdict.kind for verdict in answer.verdicts}


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details() or ""


@STORES
async def test_a_published_event_says_what_became_of_it(rig: Rig, extensions: bool) -> None:
    workflow = await opened(rig, extensions)
    assert workflow.process.identity is not None
    assert "workflow.events" in workflow.process.identity.capabilities
    await workflow.upsert_trigger("a")
    await workflow.upsert_trigger("b", match=workflow_pb2.WorkflowEventMatch(type="t", source="other"))
    await workflow.upsert_trigger("c", match=workflow_pb2.WorkflowEventMatch(type="t", subject="8"))
    await workflow.upsert_trigger("d", paused=True)
    await workflow.upsert_trigger("e", target=target(plugin="mailer"))
    await workflow.upsert_trigger("f", type="another")
    event = workflow_pb2.WorkflowEvent(id="e1", type="t", source="s", subject="7", data=struct(n=1))
    request = workflow_pb2.PublishWorkflowProviderEventRequest(
        event=event, plugin_name="svc", published_by=actor("user:bob")
    )
    await workflow.rpc.PublishEvent(request, timeout=DEADLINE_S)
    kept = await get(workflow, "e1")
    assert kinds(kept) == {
        "a": MATCHED,
        "b": SOURCE_DIFFERS,
        "c": SUBJECT_DIFFERS,
        "d": PAUSED,
        "e": PLUGIN_DIFFERS,
    }
    differing = {v.trigger_id: (v.expected, v.actual) for v in kept.verdicts if v.expected or v.actual}
    assert differing == {"b": ("other", "s"), "c": ("8", "7"), "e": ("mailer", "svc")}
    assert (kept.plugin_name, kept.published_by.subject_id, kept.matched) == ("svc", "user:bob", 1)
    assert (kept.publications, kept.HasField("last_published_at"), kept.verdicts_left_out) == (1, False, 0)
    event.spec_version = "1.0"
    event.time.CopyFrom(kept.event.time)
    assert kept.event == event
    assert kept.HasField("published_at")
    run = await workflow.run_in(kept.verdicts[0].run_id)
    assert run.status == SUCCEEDED
    assert run.trigger.event.event == event
    assert await events(workflow).GetEvent(pb.GetEventRequest(id=kept.id)) == kept


@STORES
async def test_an_event_again_is_noted_and_makes_no_run_twice(rig: Rig, extensions: bool) -> None:
    workflow, other = await opened(rig, extensions, start=False), await opened(rig, extensions, start=False)
    await workflow.upsert_trigger("a")
    await asyncio.gather(*((workflow, other)[number % 2].publish("e1") for number in range(10)))
    await workflow.upsert_trigger("b")
    await other.publish("e1")
    kept = await get(workflow, "e1")
    assert (kept.publications, kept.conflicting_publications) == (11, 0)
    assert kept.HasField("last_published_at")
    assert kinds(kept) == {"a": DUPLICATE, "b": MATCHED}
    assert sorted(run.id for run in await workflow.list_runs()) == sorted(v.run_id for v in kept.verdicts)
    await other.publish("e1", type="another")
    kept = await get(workflow, "e1")
    assert (kept.conflicting_publications, kept.event.type) == (1, "t")


@STORES
async def test_events_by_page_and_filter(rig: Rig, extensions: bool) -> None:
    workflow = await opened(rig, extensions, start=False)
    for number in range(11):
        event = workflow_pb2.WorkflowEvent(
            id=f"e{number}", type=f"t{number % 2}", source=f"s{number % 3}", subject=f"u{number % 4}", data=struct(n=1)
        )
        request = workflow_pb2.PublishWorkflowProviderEventRequest(
            event=event, published_by=actor(f"user:{'ab'[number % 2]}")
        )
        await workflow.rpc.PublishEvent(request, timeout=DEADLINE_S)
    assert await every(workflow) == [f"e{number}" for number in range(10, -1, -1)]
    assert await every(workflow, type="t1") == ["e9", "e7", "e5", "e3", "e1"]
    assert await every(workflow, source="s0", published_by_subject_id="user:a") == ["e6", "e0"]
    assert await every(workflow, subject="u2") == ["e10", "e6", "e2"]
    third = (await get(workflow, "e3", "s0")).published_at
    sixth = (await get(workflow, "e6", "s0")).published_at
    assert await every(workflow, published_from=third, published_before=sixth) == ["e5", "e4", "e3"]
    assert await every(workflow, type="t1", published_from=third, published_before=sixth) == ["e5", "e3"]
    for summary in (True, False):
        page = await events(workflow).ListEvents(pb.ListEventsRequest(summary=summary))
        assert len(page.events) == 11
        assert all(kept.event.HasField("data") is not summary for kept in page.events)


@STORES
async def test_a_replay_runs_as_the_owner_of_the_trigger(rig: Rig, extensions: bool) -> None:
    workflow = await opened(rig, extensions)
    await workflow.put_reference("ref")
    await workflow.publish("e1", published_by=actor("user:bob"))
    await workflow.upsert_trigger("a", requested_by=actor("user:alice"), execution_ref="ref")
    answer = await replay(workflow, "e1", replay_id="r1", replayed_by=actor("user:carol"))
    assert kinds(answer) == {"a": MATCHED}
    assert not answer.repeated_request
    assert (answer.replay.runs, answer.replay.mode) == (1, pb.REPLAY_MODE_MISSING)
    (run_id,) = answer.replay.run_ids
    run = await workflow.run_in(run_id)
    assert (run.created_by.subject_id, run.published_by.subject_id) == ("user:alice", "user:bob")
    assert run.execution_ref == rig.host.requests[0].execution_ref == "ref"
    assert rig.host.requests[0].published_by.subject_id == "user:bob"
    queries = queries_pb2_grpc.WorkflowQueriesStub(workflow.process.channel)
    timeline = await queries.GetRunTimeline(queries_pb2.GetRunTimelineRequest(run_id=run_id))
    (asked,) = [m for m in timeline.moments if m.kind == queries_pb2.RUN_MOMENT_KIND_REPLAYED]
    assert (asked.subject_id, asked.detail) == ("user:carol", "r1")
    kept = await get(workflow, "e1")
    assert list(kept.replays) == [answer.replay]
    assert answer.replay.replayed_by.subject_id == "user:carol"
    await workflow.publish("e1")
    assert len(await workflow.list_runs()) == 1


@STORES
async def test_a_replay_is_done_once_for_its_id(rig: Rig, extensions: bool) -> None:
    workflow, other = await opened(rig, extensions, start=False), await opened(rig, extensions, start=False)
    await workflow.upsert_trigger("a")
    await workflow.publish("e1")
    forced = {"replay_id": "r1", "mode": pb.REPLAY_MODE_FORCED}
    answers = await asyncio.gather(*(replay((workflow, other)[n % 2], "e1", **forced) for n in range(8)))
    assert sum(not answer.repeated_request for answer in answers) == 1
    assert {answer.replay.run_ids[0] for answer in answers} == {answers[0].replay.run_ids[0]}
    assert len(await workflow.list_runs()) == 2
    await replay(workflow, "e1", replay_id="r2", mode=pb.REPLAY_MODE_FORCED, trigger_ids=["a"])
    assert len(await workflow.list_runs()) == 3
    code, text = await refused(replay(workflow, "e1", replay_id="r1", mode=pb.REPLAY_MODE_MISSING))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert 'replay "r1"' in text
    assert [kept.replay_id for kept in (await get(workflow, "e1")).replays] == ["r1", "r2"]


@STORES
async def test_a_dry_run_answers_and_writes_nothing(rig: Rig, extensions: bool) -> None:
    workflow = await opened(rig, extensions, start=False)
    await workflow.upsert_trigger("a")
    await workflow.publish("e1")
    await workflow.upsert_trigger("b")
    before = await get(workflow, "e1")
    assert rig.counting is not None
    written = rig.counting.writes.total()
    answer = await replay(workflow, "e1", mode=pb.REPLAY_MODE_DRY_RUN)
    assert kinds(answer) == {"a": DUPLICATE, "b": MATCHED}
    assert answer.replay.runs == 1
    assert rig.counting.writes.total() == written
    assert await get(workflow, "e1") == before
    assert len(await workflow.list_runs()) == 1


async def test_what_cannot_be_asked_is_refused_by_name(rig: Rig, workflow: Workflow) -> None:
    await workflow.publish("e1")
    service = events(workflow)
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert await refused(service.GetEvent(pb.GetEventRequest())) == (
        invalid,
        "exactly one of id and event_id is required",
    )
    assert (await refused(service.GetEvent(pb.GetEventRequest(id="x", source="s"))))[0] is invalid
    code, text = await refused(replay(workflow, "e1", mode=9))
    assert code is invalid
    assert text == "mode is 9; accepted are the numbers 1 to 3 of ReplayMode"
    code, text = await refused(replay(workflow, "e1", replay_id="x" * 201))
    assert code is invalid
    assert "201 bytes" in text
    code, text = await refused(replay(workflow, "e1", trigger_ids=[f"t{n}" for n in range(101)]))
    assert code is invalid
    assert "101 ids" in text
    assert (await refused(replay(workflow, "e1", trigger_ids=[" "])))[0] is invalid
    code, text = await refused(replay(workflow, "e1", trigger_ids=["none"]))
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, 'workflow event trigger "none" not found')
    code, text = await refused(replay(workflow, "none"))
    assert code is grpc.StatusCode.NOT_FOUND
    assert text.startswith('workflow event "published:')
    code, text = await refused(service.ListEvents(pb.ListEventsRequest(page_size=1001)))
    assert code is invalid
    assert "page_size is 1001" in text
    code, text = await refused(service.ListEvents(pb.ListEventsRequest(page_token="x")))
    assert code is invalid
    assert "page_token" in text


@STORES
async def test_events_outlive_the_process(rig: Rig, extensions: bool) -> None:
    workflow = await opened(rig, extensions, start=False)
    for number in range(5):
        await workflow.publish(f"e{number}")
    await workflow.process.kill()
    again = await opened(rig, extensions)
    assert await every(again) == ["e4", "e3", "e2", "e1", "e0"]
