"""Message budgets, counted between provider and store (decision 14); no clock decides over a pass.

| budget | test |
|---|---|
| idle second | `test_an_idle_second_costs_one_message_whatever_is_stored`; with held runs in `test_policy_budgets.py` |
| firing what is due | `test_policy_budgets.py` |
| publish | `test_a_publish_is_one_message_however_many_triggers_match` |
| one unkeyed run, alone | `test_a_lone_run_from_due_to_finished` |
| the same, 16 in flight | `test_sixteen_runs_in_flight_cost_six_messages_each_at_most` |
| whatever the history | `test_a_run_costs_the_same_whatever_the_history` |
| a signal batch | `test_a_signal_batch_costs_ten_messages_at_most` |
| reading one object | `test_reading_one_object_is_at_most_two_messages` |
| listing a page | `test_a_page_of_256_is_at_most_two_messages` |
| calls of a run | `test_budget_a_run_costs_two_calls` in `tests/unit/host/workflows/test_real_processes.py` |
| processes | `test_budget_of_processes_...` in `tests/process/quickstart/test_quickstart.py` |
"""

from __future__ import annotations

import asyncio

import pytest

from gestalt_sdk.gen.extension.v1 import events_pb2, events_pb2_grpc, queries_pb2, queries_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.workflow import QUIET, SUCCEEDED, CountingStore, Rig, Workflow, quiet
from tests.support.waiting import eventually, observed_for

pytestmark = pytest.mark.ours("workflow")


@pytest.mark.parametrize("schedules", [0, 200])
async def test_an_idle_second_costs_one_message_whatever_is_stored(rig: Rig, schedules: int) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider()
    for number in range(schedules):
        await workflow.upsert_schedule(f"s{number}", "0 0 1 1 *")
        await workflow.upsert_trigger(f"t{number}", type=f"t{number}")
    for _ in range(schedules):
        await workflow.start_run()
    if schedules:

        async def all_done() -> bool | None:
            return True if all(run.status == SUCCEEDED for run in await workflow.list_runs()) else None

        await eventually(all_done, within_s=20)
    await quiet(counting)
    before = counting.count
    await observed_for(5)
    assert counting.count - before <= 5 + 1  # one more: where the window begins


@pytest.mark.parametrize("matching", [0, 1, 25])
async def test_a_publish_is_one_message_however_many_triggers_match(rig: Rig, matching: int) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    for number in range(matching):
        await workflow.upsert_trigger(f"t{number}")
    await workflow.upsert_trigger("other", type="other")
    await workflow.publish("first")
    before = counting.count
    await workflow.publish("second")
    assert counting.count - before == 1
    assert len(await workflow.list_runs()) == 2 * matching
    assert counting.writes["wf_events"] == 2
    assert counting.writes["wf_runs"] == (2 if matching else 0)


async def test_an_event_again_costs_one_commit_more(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    await workflow.upsert_trigger("a")
    await workflow.publish("first")
    before = counting.count
    await workflow.publish("first")
    assert counting.count - before == 2  # it is there already; so it is noted


async def test_a_replay_costs_three_messages_however_many_runs_it_makes(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    await workflow.publish("e")
    for number in range(25):
        await workflow.upsert_trigger(f"t{number}")
    await workflow.publish("warm")
    stub = events_pb2_grpc.WorkflowEventsStub(workflow.process.channel)
    before = counting.count
    answer = await stub.ReplayEvent(events_pb2.ReplayEventRequest(source="s", event_id="e"))
    assert answer.replay.runs == 25
    assert counting.count - before == 3  # the event, whether there are runs, the commit


async def test_a_trigger_that_changed_costs_one_publish_its_reload(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow, other = await rig.provider(start=False), await rig.provider(start=False)
    await workflow.upsert_trigger("a")
    await workflow.publish("first")
    await other.upsert_trigger("b")
    before = counting.count
    await workflow.publish("second")
    assert counting.count - before == 4  # refused, token, triggers, accepted
    assert len(await workflow.list_runs()) == 3


async def test_publishes_that_arrive_together_read_the_triggers_of_their_type_once(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    await workflow.upsert_trigger("a")
    await workflow.publish("connects")
    await workflow.upsert_trigger("b")
    before = counting.messages.copy()
    await asyncio.gather(*(workflow.publish(f"e{number}") for number in range(16)))
    assert (counting.messages - before)["GetPage"] == 1
    assert len(await workflow.list_runs()) == 1 + 2 * 16


@pytest.mark.parametrize(("extensions", "allowed"), [(True, 4), (False, 9)])
async def test_a_lone_run_from_due_to_finished(rig: Rig, extensions: bool, allowed: int) -> None:
    counting = await rig.count_messages(without_extensions=not extensions)
    workflow = await rig.provider(**QUIET)
    await workflow.put_reference("ref", signature=b"s", signature_key_id="k")
    for number in range(1, 4):
        gate = rig.host.gates["run"] = asyncio.Event()
        before = counting.count
        run = await workflow.start_run(execution_ref="ref")
        await rig.host.invoked(number)
        gate.set()
        await quiet(counting)
        cost = counting.count - before
        assert (await workflow.get_run(run.id)).status == SUCCEEDED
    assert rig.host.requests[-1].reference.id == "ref"
    # Without batches the insertion is counted too: what it takes is begin, read, put and commit.
    assert cost - (0 if extensions else 4) <= allowed


@pytest.mark.parametrize("extensions", [True, False])
async def test_sixteen_runs_in_flight_cost_six_messages_each_at_most(rig: Rig, extensions: bool) -> None:
    counting = await rig.count_messages(without_extensions=not extensions)
    workflow = await rig.provider(workerCount=16, start=False, **QUIET)
    await workflow.put_reference("ref", signature=b"s", signature_key_id="k")
    runs = 160
    await asyncio.gather(*(workflow.start_run(execution_ref="ref") for _ in range(runs)))
    before = counting.count
    await workflow.process.start()
    await rig.host.invoked(runs)
    await quiet(counting)
    assert (counting.count - before) / runs <= 6


async def lone_run(rig: Rig, workflow: Workflow, counting: CountingStore) -> int:
    """Messages of one run that is invoked while nothing else happens."""
    await quiet(counting)
    rig.host.requests.clear()
    gate = rig.host.gates["run"] = asyncio.Event()
    before = counting.count
    run = await workflow.start_run()
    await rig.host.invoked(1)
    gate.set()
    await quiet(counting)
    assert (await workflow.get_run(run.id)).status == SUCCEEDED
    return counting.count - before


@pytest.mark.trap("r")
async def test_a_run_costs_the_same_whatever_the_history(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(workerCount=16, **QUIET)
    await lone_run(rig, workflow, counting)  # the first look into the queue is not a run's
    cost = await lone_run(rig, workflow, counting)
    rig.host.gates.clear()
    rig.host.requests.clear()
    await asyncio.gather(*(workflow.start_run() for _ in range(500)))
    await rig.host.invoked(500, within_s=30)
    await lone_run(rig, workflow, counting)
    assert await lone_run(rig, workflow, counting) == cost <= 4


@pytest.mark.parametrize(
    ("call", "field"), [("QueryRuns", "runs"), ("QuerySchedules", "schedules"), ("QueryEventTriggers", "triggers")]
)
async def test_a_page_of_256_is_at_most_two_messages(rig: Rig, call: str, field: str) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    make = {
        "runs": lambda _: workflow.start_run(),
        "schedules": lambda number: workflow.upsert_schedule(f"s{number}", "0 0 1 1 *"),
        "triggers": lambda number: workflow.upsert_trigger(f"t{number}"),
    }[field]
    await asyncio.gather(*(make(number) for number in range(260)))
    request = queries_pb2.QueryRunsRequest if field == "runs" else queries_pb2.QueryObjectsRequest
    before = counting.count
    stub = queries_pb2_grpc.WorkflowQueriesStub(workflow.process.channel)
    page = await getattr(stub, call)(request(page_size=256))
    assert len(getattr(page, field)) == 256
    assert counting.count - before <= 1 + 256 / 256


async def test_reading_one_object_is_at_most_two_messages(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    run = await workflow.start_run()
    await workflow.upsert_schedule("s")
    await workflow.put_reference("ref")
    for read in (workflow.get_run(run.id), workflow.get_schedule("s"), workflow.get_reference("ref")):
        before = counting.count
        await read
        assert counting.count - before <= 2


async def test_a_signal_batch_costs_ten_messages_at_most(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(**QUIET)
    gate = rig.host.hold("run")
    run = await workflow.start_run(workflow_key="k")
    await rig.host.invoked(1)
    for number in range(25):
        await workflow.signal(run.id, f"s{number}")
    await quiet(counting)
    before = counting.count
    gate.set()
    await rig.host.invoked(2)
    await quiet(counting)
    assert len(rig.host.requests[1].signals) == 25
    assert (await workflow.get_run(run.id)).status == SUCCEEDED
    assert counting.count - before - 1 <= 10


@pytest.mark.trap(20)
async def test_a_list_is_not_one_query_a_run(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    await asyncio.gather(*(workflow.start_run(execution_ref=f"r{n}") for n in range(500)))
    await asyncio.gather(*(workflow.put_reference(f"r{n}") for n in range(500)))
    before = counting.count
    assert len(await workflow.list_runs()) == 500
    listed = await workflow.rpc.ListExecutionReferences(
        pb.ListWorkflowExecutionReferencesRequest(subject_id="user:alice")
    )
    assert len(listed.references) == 500
    assert counting.count - before <= 2 * (1 + 500 // 256)
