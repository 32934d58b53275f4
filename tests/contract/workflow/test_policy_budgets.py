"""What policies cost in messages to the store: nothing while idle, one read for an overlap policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gestalt_sdk.gen.extension.v1 import policies_pb2
from gestalt_sdk.indexeddb import IndexedDB
from tests.support.rigs.workflow import QUIET, SUCCEEDED, Rig, Workflow, quiet, seconds
from tests.support.waiting import eventually, observed_for

pytestmark = pytest.mark.ours("workflow")

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
    await quiet(counting)
    before = counting.count
    await observed_for(10)
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
    assert costs[0] <= 4
    assert costs[1] - costs[0] <= 3


async def all_succeeded(workflow: Workflow) -> None:
    async def probe() -> bool | None:
        runs = await workflow.list_runs()
        return True if len(runs) == SCHEDULES and all(run.status == SUCCEEDED for run in runs) else None

    await eventually(probe)


@pytest.mark.parametrize("overlap", ["OVERLAP_POLICY_ALLOW", "OVERLAP_POLICY_SKIP"])
async def test_firing_what_is_due_is_one_transaction_a_batch(rig: Rig, overlap: str) -> None:
    counting = await rig.count_messages()
    down = await rig.provider(start=False)
    await make_due(rig, down, policies_pb2.SchedulePolicy(overlap=overlap))
    gate = rig.host.hold("run")
    workflow = await rig.provider(start=False, workerCount=64, **QUIET)
    fired, commits = counting.writes["wf_schedules"], counting.messages["Apply"]
    await workflow.process.start()
    await rig.host.invoked(SCHEDULES)
    await quiet(counting)
    assert counting.writes["wf_schedules"] - fired == 1  # runs, ledger and the moved schedules in one commit
    assert counting.messages["Apply"] - commits == 2  # and one that claims every run
    gate.set()
    await all_succeeded(workflow)


async def test_runs_that_are_found_before_their_firing_is_answered_are_claimed_once(rig: Rig) -> None:
    """The store's answer to the firing is held back until the process has found the new runs by looking for work."""
    counting = await rig.count_messages()
    down = await rig.provider(start=False)
    await make_due(rig, down, policies_pb2.SchedulePolicy())
    gate = rig.host.hold("run")
    workflow = await rig.provider(start=False, workerCount=64)
    fired, commits = counting.writes["wf_schedules"], counting.messages["Apply"]
    held = 0

    async def hold_firing(method: str) -> None:
        nonlocal held
        if method != "Apply" or held or counting.writes["wf_schedules"] == fired:
            return
        held = counting.messages["GetPage"]

        async def looked() -> bool | None:
            return True if counting.messages["GetPage"] >= held + 4 else None

        await eventually(looked)

    counting.answered = hold_firing
    await workflow.process.start()
    await rig.host.invoked(SCHEDULES)
    await quiet(counting, less="GetPage")
    assert held
    assert counting.messages["Apply"] - commits == 2  # fired, claimed; nothing is claimed a second time
    gate.set()
    await all_succeeded(workflow)
