"""Whoever makes any number of triggers, schedules or events makes nothing of another fail (decision 23).

At night with the figures that once silenced an event type for everybody.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gestalt_sdk.gen.extension.v1 import events_pb2, events_pb2_grpc, queries_pb2, queries_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.nightly import at_night
from tests.support.rigs.workflow import BOTH_ENGINES, DEADLINE_S, Rig, Workflow, quiet
from tests.support.waiting import eventually

pytestmark = [pytest.mark.ours("workflow"), BOTH_ENGINES]

TRIGGERS = at_night(18_000, otherwise=60)
SETTINGS: dict[str, Any] = at_night({}, otherwise={"runsPerCommit": 20})
TYPE = "roadmap.sync.completed"
CONFIG = pb.WorkflowActor(subject_id="system:config", subject_kind="system")
MALLORY = pb.WorkflowActor(subject_id="user:mallory", subject_kind="user")
BOB = pb.WorkflowActor(subject_id="user:bob", subject_kind="user")
TOGETHER = 50
WITHIN_S = at_night(600.0, otherwise=60.0)


async def triggers(workflow: Workflow, name: str, count: int, by: pb.WorkflowActor) -> None:
    """Make as many triggers of the type."""
    for start in range(0, count, TOGETHER):
        numbers = range(start, min(start + TOGETHER, count))
        await asyncio.gather(
            *(workflow.upsert_trigger(f"{name}{number}", TYPE, name, requested_by=by) for number in numbers)
        )


async def kept(workflow: Workflow, event_id: str) -> events_pb2.KeptEvent:
    stub = events_pb2_grpc.WorkflowEventsStub(workflow.process.channel)
    return await stub.GetEvent(events_pb2.GetEventRequest(source="s", event_id=event_id), timeout=DEADLINE_S)


async def runs_of(workflow: Workflow, subject: str) -> list[str]:
    """Return the trigger of each run of the subject, read by page."""
    stub = queries_pb2_grpc.WorkflowQueriesStub(workflow.process.channel)
    request = queries_pb2.QueryRunsRequest(page_size=1000, summary=True)
    request.filter.owner_subject_id = subject
    found: list[str] = []
    while True:
        page = await stub.QueryRuns(request, timeout=DEADLINE_S)
        found += [run.trigger.event.trigger_id for run in page.runs]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


@pytest.mark.timeout(1800)
async def test_an_event_reaches_every_trigger_however_many_one_user_has(rig: Rig) -> None:
    workflow = await rig.provider(**SETTINGS)
    await triggers(workflow, "mallory", TRIGGERS, MALLORY)
    await triggers(workflow, "config", 2, CONFIG)
    await triggers(workflow, "bob", 3, BOB)
    await workflow.publish("e1", TYPE)

    async def all_made() -> bool | None:
        return None if (await kept(workflow, "e1")).unfinished else True

    await eventually(all_made, within_s=WITHIN_S)
    assert sorted(await runs_of(workflow, "system:config")) == ["config0", "config1"]
    assert sorted(await runs_of(workflow, "user:bob")) == ["bob0", "bob1", "bob2"]
    made = await runs_of(workflow, "user:mallory")
    assert len(made) == len(set(made)) == TRIGGERS


@pytest.mark.timeout(1800)
async def test_a_fan_out_is_taken_over_by_another_process_when_its_own_is_killed(rig: Rig) -> None:
    settings: dict[str, Any] = {"runsPerCommit": at_night(50, otherwise=2)}
    first = await rig.provider(**settings)
    await triggers(first, "mallory", TRIGGERS, MALLORY)
    gate = rig.host.hold("mallory")
    await first.publish("e1", TYPE)
    assert (await kept(first, "e1")).unfinished == 1
    await first.process.kill()
    second = await rig.provider(**settings)

    async def all_made() -> bool | None:
        return None if (await kept(second, "e1")).unfinished else True

    await eventually(all_made, within_s=WITHIN_S)
    gate.set()
    made = await runs_of(second, "user:mallory")
    assert len(made) == len(set(made)) == TRIGGERS


@pytest.mark.timeout(1800)
async def test_a_start_up_does_not_grow_with_what_somebody_has_made(rig: Rig) -> None:
    """Ten times as many schedules and triggers cost a start the same messages."""
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    costs = []
    for count in (TRIGGERS // 10, TRIGGERS):
        await triggers(workflow, "mallory", count, MALLORY)
        for start in range(0, count, TOGETHER):
            numbers = range(start, min(start + TOGETHER, count))
            schedule = "0 0 1 1 *"
            await asyncio.gather(*(workflow.upsert_schedule(f"s{number}", schedule) for number in numbers))
        before = counting.count
        other = await rig.provider(pollInterval="1h")
        await other.start_run("ready")
        await quiet(counting)
        costs.append(counting.count - before)
        await other.process.end()
    assert costs[1] <= costs[0] + 2
