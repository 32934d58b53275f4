"""What policies cost in messages to the store (design 4): nothing while idle, one read for an overlap policy."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gestalt_sdk.gen.extension.v1 import policies_pb2
from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.indexeddb import IndexedDB
from tests.contract.workflow.rig import SUCCEEDED, Rig, Workflow
from tests.contract.workflow.test_budgets import QUIET, quiet
from tests.contract.workflow.test_policies import seconds
from tests.support.waiting import eventually

SCHEDULES = 50


def retries(attempts: int, backoff_s: float) -> policies_pb2.RunPolicy:
    retry = policies_pb2.RetryPolicy(
        max_attempts=attempts, initial_backoff=seconds(backoff_s), max_backoff=seconds(3600)
    )
    return policies_pb2.RunPolicy(retry=retry)


async def make_due(rig: Rig, workflow: Workflow, policy: policies_pb2.SchedulePolicy) -> None:
    """Schedules of which every slot of the last hour is due."""
    missed = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    async with IndexedDB.over(rig.store.channel) as db:
        for number in range(SCHEDULES):
            await workflow.upsert_schedule(f"s{number}", "0 * * * *", policy=policy)
            record = await db.store("wf_schedules").get(f"s{number}")
            await db.store("wf_schedules").put({**record, "next_run_at": missed, "due_at": missed})


async def test_runs_that_are_held_back_cost_an_idle_second_nothing(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider()
    rig.host.answers["run"] = (503, "")
    for _ in range(20):
        await workflow.start_run(policy=retries(2, 3600))

    async def all_wait() -> bool | None:
        return True if all(run.HasField("not_before") for run in await workflow.list_runs()) else None

    await eventually(all_wait)
    await asyncio.sleep(1)
    before = counting.count
    await asyncio.sleep(10)
    assert counting.count - before <= 10 + 1


async def test_an_attempt_more_costs_three_messages(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(**QUIET)
    costs: list[int] = []
    for attempts in (1, 2):
        rig.host.answers["run"] = (503, "")
        await quiet(counting)
        before = counting.count
        run = await workflow.start_run(policy=retries(attempts, 0))
        await quiet(counting)
        costs.append(counting.count - before)
        assert (await workflow.get_run(run.id)).attempt == attempts
    assert costs[0] <= 4 and costs[1] - costs[0] <= 3  # released, claimed, recorded


@pytest.mark.parametrize("overlap", ["OVERLAP_POLICY_ALLOW", "OVERLAP_POLICY_SKIP"])
async def test_firing_what_is_due_is_one_transaction_a_batch(rig: Rig, overlap: str) -> None:
    counting = await rig.count_messages()
    down = await rig.provider(start=False)
    await make_due(rig, down, policies_pb2.SchedulePolicy(overlap=overlap))
    gate = rig.host.hold("run")
    workflow = await rig.provider(start=False, workerCount=64, **QUIET)
    before = counting.writes["wf_schedules"]
    await workflow.process.start()
    await rig.host.invoked(SCHEDULES)
    await quiet(counting)
    assert counting.writes["wf_schedules"] - before == 1  # runs, ledger and the moved schedules in one commit
    gate.set()

    async def all_done() -> bool | None:
        runs = (await workflow.rpc.ListRuns(workflow_pb2.ListWorkflowProviderRunsRequest())).runs
        return True if len(runs) == SCHEDULES and all(run.status == SUCCEEDED for run in runs) else None

    await eventually(all_done)
