"""Policies and the slot ledger over sockets, on a real store (capabilities workflow.policies and workflow.slots)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.extension.v1 import policies_pb2, slots_pb2
from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.transport.values import from_timestamp
from tests.support.rigs.workflow import FAILED, SUCCEEDED, Rig, Workflow, preview, seconds, slots_of, target, timestamp
from tests.support.waiting import eventually

pytestmark = pytest.mark.ours("workflow")

DEADLINE_S = 10


async def list_slots(workflow: Workflow, **fields: Any) -> slots_pb2.ListSlotsResponse:
    return await slots_of(workflow).ListSlots(slots_pb2.ListSlotsRequest(**fields), timeout=DEADLINE_S)


async def test_the_capabilities_are_named(workflow: Workflow) -> None:
    identity = workflow.process.identity
    assert identity is not None
    assert {"workflow.policies", "workflow.slots"} <= set(identity.capabilities)


async def test_policies_and_pauses_come_back_as_they_were_sent(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    run = policies_pb2.RunPolicy(
        retry=policies_pb2.RetryPolicy(
            max_attempts=3,
            initial_backoff=seconds(1),
            max_backoff=seconds(60),
            retry_on=["RETRY_ON_SERVER_ERROR", "RETRY_ON_TIMEOUT"],
        ),
        timeout=seconds(2.5),
    )
    policy = policies_pb2.SchedulePolicy(
        catchup=policies_pb2.CatchUp(mode="CATCH_UP_MODE_ALL", window=seconds(3600), cap=7),
        overlap="OVERLAP_POLICY_QUEUE_ONE",
        jitter=seconds(30),
        run=run,
    )
    until = datetime(2100, 1, 1, tzinfo=UTC)
    pause = policies_pb2.Pause(note="n", subject_id="user:a", display_name="A", until=timestamp(until))
    stored = await workflow.upsert_schedule("s", policy=policy, pause=pause, paused=True)
    assert stored.policy == policy
    assert stored.pause.note == "n"
    assert from_timestamp(stored.pause.until) == until
    assert stored.pause.HasField("paused_at")
    assert (await workflow.get_schedule("s")) == stored
    trigger = await workflow.upsert_trigger("t", policy=run)
    request = workflow_pb2.PauseWorkflowProviderEventTriggerRequest(trigger_id="t", pause=pause)
    paused = await workflow.rpc.PauseEventTrigger(request, timeout=DEADLINE_S)
    assert trigger.policy == run
    assert paused.policy == run
    assert paused.paused
    assert paused.pause.note == "n"
    started = await workflow.start_run(policy=run)
    assert (await workflow.get_run(started.id)).policy == run
    assert started.attempt == 0
    plain = await workflow.upsert_schedule("s")
    assert not plain.HasField("policy")
    assert not plain.HasField("pause")


async def test_retries_reach_the_host_with_their_attempt(rig: Rig, workflow: Workflow) -> None:
    rig.host.answers["run"] = (503, "busy")
    retry = policies_pb2.RetryPolicy(max_attempts=3, initial_backoff=seconds(0.01))
    run = await workflow.start_run(policy=policies_pb2.RunPolicy(retry=retry))
    finished = await workflow.run_in(run.id)
    assert (finished.status, finished.attempt) == (FAILED, 3)
    assert [request.attempt for request in rig.host.requests] == [1, 2, 3]
    assert {request.run_id for request in rig.host.requests} == {run.id}


async def test_a_refused_call_is_not_retried(rig: Rig, workflow: Workflow) -> None:
    rig.host.errors["run"] = (grpc.StatusCode.PERMISSION_DENIED, "no")
    retry = policies_pb2.RetryPolicy(max_attempts=3, initial_backoff=seconds(0.01))
    run = await workflow.start_run(policy=policies_pb2.RunPolicy(retry=retry))
    assert (await workflow.run_in(run.id)).attempt == 1


async def test_a_timeout_cancels_the_call_of_the_host(rig: Rig, workflow: Workflow) -> None:
    rig.host.hold("run")
    run = await workflow.start_run(policy=policies_pb2.RunPolicy(timeout=seconds(0.3)))
    finished = await workflow.run_in(run.id)
    assert (finished.status, finished.status_message) == (FAILED, "workflow run timed out after 0.3 s")

    async def canceled() -> bool | None:
        return True if rig.host.active["run"] == 0 else None

    await eventually(canceled)


async def test_an_attempt_that_waits_survives_a_kill(rig: Rig, workflow: Workflow) -> None:
    rig.host.answers["run"] = (503, "busy")
    retry = policies_pb2.RetryPolicy(max_attempts=2, initial_backoff=seconds(1.5))
    run = await workflow.start_run(policy=policies_pb2.RunPolicy(retry=retry))

    async def waits() -> bool | None:
        return True if (await workflow.get_run(run.id)).HasField("not_before") else None

    await eventually(waits)
    await workflow.process.kill()
    rig.host.answers.clear()
    await workflow.process.boot()
    finished = await workflow.run_in(run.id, within_s=15)
    assert (finished.status, finished.attempt) == (SUCCEEDED, 2)


async def test_a_preview_shows_local_times_and_what_the_clock_does(workflow: Workflow) -> None:
    after = timestamp(datetime(2026, 10, 24, 22, 59, tzinfo=UTC))
    answer = await preview(workflow, cron="30 * * * *", timezone="Europe/Berlin", count=4, after=after)
    assert [(s.local_time, s.utc_offset_seconds, s.remark) for s in answer.slots] == [
        ("2026-10-25T01:30:00", 7200, slots_pb2.SLOT_REMARK_UNSPECIFIED),
        ("2026-10-25T02:30:00", 7200, slots_pb2.SLOT_REMARK_FIRST_PASS),
        ("2026-10-25T02:30:00", 3600, slots_pb2.SLOT_REMARK_SECOND_PASS),
        ("2026-10-25T03:30:00", 3600, slots_pb2.SLOT_REMARK_UNSPECIFIED),
    ]
    assert all(slot.fires_at == slot.slot for slot in answer.slots)


async def test_a_preview_of_a_schedule_begins_with_its_next_slot(workflow: Workflow) -> None:
    policy = policies_pb2.SchedulePolicy(jitter=seconds(600))
    stored = await workflow.upsert_schedule("s", cron="0 0 1 1 *", timezone="Asia/Kolkata", policy=policy)
    answer = await preview(workflow, schedule_id="s", count=2)
    assert answer.slots[0].slot == stored.next_run_at
    assert answer.timezone == "Asia/Kolkata"
    assert not answer.paused
    for slot in answer.slots:
        assert timedelta() <= from_timestamp(slot.fires_at) - from_timestamp(slot.slot) < timedelta(minutes=10)


async def test_the_ledger_of_an_outage_over_the_wire(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    await workflow.upsert_schedule("s")
    missed = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    async with IndexedDB.over(rig.store.channel) as db:
        record = await db.store("wf_schedules").get("s")
        await db.store("wf_schedules").put({**record, "next_run_at": missed, "due_at": missed})
    (due,) = (await list_slots(workflow, schedule_id="s")).slots
    assert due.state == slots_pb2.SLOT_STATE_DUE
    assert due.count in (121, 122)
    assert not due.HasField("recorded_at")
    await workflow.process.start()

    async def fired() -> slots_pb2.ListSlotsResponse | None:
        answer = await list_slots(workflow, schedule_id="s")
        return answer if any(slot.state == slots_pb2.SLOT_STATE_FIRED for slot in answer.slots) else None

    answer = await eventually(fired, within_s=15)
    newest = answer.slots[0]
    assert newest.state == slots_pb2.SLOT_STATE_FIRED
    assert newest.count == 1
    assert newest.lateness.seconds < 120
    assert newest.run_id in rig.host.run_ids() or (await workflow.run_in(newest.run_id)).status == SUCCEEDED
    collapsed = answer.slots[1]
    assert collapsed.state == slots_pb2.SLOT_STATE_COLLAPSED
    assert collapsed.collapsed_into == newest.first
    assert collapsed.count in (120, 121)
    assert collapsed.HasField("recorded_at")
    first = await list_slots(workflow, schedule_id="s", page_size=1)
    second = await list_slots(workflow, schedule_id="s", page_size=1, page_token=first.next_page_token)
    assert [*first.slots, *second.slots] == [newest, collapsed]
    with pytest.raises(grpc.aio.AioRpcError, match="page_token"):
        await list_slots(workflow, schedule_id="s", page_token="???")
    with pytest.raises(grpc.aio.AioRpcError, match="schedule_id is required"):
        await list_slots(workflow)


async def test_a_slot_whose_run_the_host_refused_is_denied(rig: Rig) -> None:
    rig.host.errors["forbidden"] = (grpc.StatusCode.PERMISSION_DENIED, "authorization denied: svc")
    rig.host.errors["broken"] = (grpc.StatusCode.UNAVAILABLE, "no plugin")
    workflow = await rig.provider(start=False)
    missed = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    async with IndexedDB.over(rig.store.channel) as db:
        for name in ("forbidden", "broken"):
            await workflow.upsert_schedule(name, target=target(name))
            record = await db.store("wf_schedules").get(name)
            await db.store("wf_schedules").put({**record, "next_run_at": missed, "due_at": missed})
    await workflow.process.start()
    await rig.host.invoked(2)
    states = {}
    for request in list(rig.host.requests):
        run = await workflow.run_in(request.run_id)
        name = request.target.plugin.operation
        slots = {slot.run_id: slot for slot in (await list_slots(workflow, schedule_id=name)).slots}
        assert run.status == FAILED
        assert slots[run.id].lateness.seconds < 120
        states[name] = slots[run.id].state
    assert states == {"forbidden": slots_pb2.SLOT_STATE_DENIED, "broken": slots_pb2.SLOT_STATE_FIRED}


async def test_a_trigger_with_retries_gives_them_to_its_runs(rig: Rig, workflow: Workflow) -> None:
    rig.host.answers["flaky"] = (500, "")
    policy = policies_pb2.RunPolicy(retry=policies_pb2.RetryPolicy(max_attempts=2, initial_backoff=seconds(0)))
    await workflow.upsert_trigger("t", target=target("flaky"), policy=policy)
    await workflow.publish("e")
    await rig.host.invoked(2)
    (run,) = await workflow.list_runs()
    assert (await workflow.run_in(run.id)).attempt == 2
