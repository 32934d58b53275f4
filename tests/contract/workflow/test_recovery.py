"""A provider that is killed: at most once, nothing acknowledged lost (semantics.md 18.6, 24; decision 6)."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections import Counter
from typing import Any

import grpc
import pytest

from gestalt_host.verification.suites.workflow.bench import INTERRUPTED
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.workflow import FAILED, PENDING, QUIET, RUNNING, SUCCEEDED, Rig, Workflow, looked_again
from tests.support.waiting import eventually, observed_for, taking


async def test_a_lease_that_is_not_renewed_ends_for_another_process(rig: Rig) -> None:
    short: dict[str, Any] = {"runClaimTTL": "1500ms", "runClaimRenewEvery": "300ms"}
    stopped = await rig.provider(**short)
    other = await rig.provider(**short)
    rig.host.hold("run")
    run = await stopped.start_run()
    await rig.host.invoked(1)
    if (await other.get_run(run.id)).status != RUNNING:
        pytest.fail("the run should be running")
    # The process lives, so its death cannot be proven; it cannot renew either.
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        await observed_for(1.6)  # the lease itself is what is awaited
        await other.process.end(signal.SIGTERM)
        await other.process.boot()  # its first sweep
        done = await other.run_in(run.id, within_s=10)
        assert (done.status, done.status_message) == (FAILED, INTERRUPTED)
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    # The one that was stopped finds out at its next renewal, and gives the call up.

    async def given_up() -> bool | None:
        return None if rig.host.active["run"] else True

    await eventually(given_up)
    assert (await stopped.get_run(run.id)).status == FAILED
    assert rig.host.run_ids() == [run.id]


async def test_leases_are_renewed_while_an_operation_takes_longer_than_one(rig: Rig) -> None:
    short: dict[str, Any] = {"runClaimTTL": "1s", "runClaimRenewEvery": "250ms"}
    workflow = await rig.provider(**short)
    gate = rig.host.hold("run")
    run = await workflow.start_run()
    await rig.host.invoked(1)
    await observed_for(2)  # two leases long
    other = await rig.provider(**short)  # its first sweep finds a renewed claim
    finished = await other.run_in((await other.start_run("other")).id)
    assert finished.status == SUCCEEDED
    assert (await other.get_run(run.id)).status == RUNNING
    gate.set()
    assert (await other.run_in(run.id)).status == SUCCEEDED


async def test_a_store_that_restarts_loses_no_result(rig: Rig, workflow: Workflow) -> None:
    gate = rig.host.hold("run")
    run = await workflow.start_run()
    await rig.host.invoked(1)
    await rig.store.kill()
    gate.set()
    await rig.store.boot(start=False)
    done = await workflow.run_in(run.id, within_s=20)
    assert (done.status, done.result_body) == (SUCCEEDED, "ok")
    assert rig.host.run_ids() == [run.id]


async def test_a_result_outlives_a_store_that_serves_before_it_is_configured(rig: Rig, workflow: Workflow) -> None:
    gate = rig.host.hold("run")
    run = await workflow.start_run()
    await rig.host.invoked(1)
    await rig.store.kill()
    await rig.store.launch()
    gate.set()

    async def refused() -> bool | None:
        return True if "not configured" in workflow.process.log.read_text() else None

    await eventually(refused)
    await rig.store.configure()
    done = await workflow.run_in(run.id, within_s=20)
    assert (done.status, done.result_body) == (SUCCEEDED, "ok")


@pytest.mark.parametrize("step", ["claim", "completion"])
async def test_killed_between_a_commit_and_its_answer(rig: Rig, step: str) -> None:
    """The store has committed, the provider never learns of it: neither repeated nor forgotten."""
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False, pollInterval="1h")
    run = await workflow.start_run()
    applied = 0

    async def kill_at_step(method: str) -> None:
        nonlocal applied
        applied += method == "Apply"
        if applied == (1 if step == "claim" else 2):
            workflow.process.send_signal(signal.SIGKILL)

    counting.answered = kill_at_step
    await workflow.process.start()
    await workflow.process.ended()
    counting.answered = None
    await workflow.process.end(signal.SIGKILL)
    await workflow.process.boot()
    done = await workflow.run_in(run.id)
    if step == "claim":
        assert (done.status, done.status_message, rig.host.requests) == (FAILED, INTERRUPTED, [])
    else:
        assert (done.status, done.result_body, rig.host.run_ids()) == (SUCCEEDED, "ok", [run.id])


KILLS = [pytest.param(4, id="some"), pytest.param(60, id="many", marks=pytest.mark.nightly)]


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.timeout(600)
async def test_killed_at_random_under_load(rig: Rig, kills: int) -> None:
    """No run is invoked twice, none that was acknowledged is lost, and every one ends."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    workflow = await rig.provider(workerCount=8)
    await workflow.upsert_trigger("a")
    await workflow.upsert_trigger("b", operation="other")
    acknowledged: set[str] = set()
    published: set[str] = set()
    signalled: set[str] = set()

    async def load() -> None:
        number = 0
        while True:
            number += 1
            try:
                acknowledged.add((await workflow.start_run(idempotency_key=f"i{number}")).id)
                await workflow.publish(f"e{number}")
                published.add(f"e{number}")
                await workflow.signal_or_start(f"k{number % 3}", f"s{number}", idempotency_key=f"g{number}")
                signalled.add(f"s{number}")
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, AttributeError, asyncio.CancelledError):
                if asyncio.current_task() in ending:
                    raise
                await taking(0.02)

    ending: set[asyncio.Task[None]] = set()
    loading = asyncio.create_task(load())
    try:
        for _ in range(kills):
            await taking(chance.uniform(0.05, 0.6))
            await workflow.process.kill()
            await workflow.process.boot()
    finally:
        ending.add(loading)
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)

    async def all_ended() -> list[Any] | None:
        runs = await workflow.list_runs()
        return runs if all(run.status not in (PENDING, RUNNING) for run in runs) else None

    runs = await eventually(all_ended, within_s=60)
    by_id = {run.id: run for run in runs}
    assert acknowledged <= by_id.keys()
    events = [
        (run.trigger.event.trigger_id, run.trigger.event.event.id) for run in runs if run.trigger.HasField("event")
    ]
    assert len(events) == len(set(events))
    assert {(trigger, event) for trigger in "ab" for event in published} <= set(events)
    unkeyed = [request.run_id for request in rig.host.requests if not by_id[request.run_id].workflow_key]
    assert len(unkeyed) == len(set(unkeyed)), "a run was invoked twice"
    delivered = Counter(signal.name for request in rig.host.requests for signal in request.signals)
    assert not [name for name, times in delivered.items() if times > 1], "a signal was delivered twice"
    failed = [run for run in runs if run.status == FAILED]
    assert all(run.status_message == INTERRUPTED for run in failed)
    if not failed:
        assert signalled <= delivered.keys()


@pytest.mark.trap(14)
@pytest.mark.ours("workflow")
async def test_a_new_replica_leaves_what_a_healthy_one_is_running(rig: Rig) -> None:
    first = await rig.provider()
    gate = rig.host.hold("run")
    run = await first.start_run()
    await rig.host.invoked(1)
    counting = await rig.count_messages()
    second = await rig.provider()
    await looked_again(counting, 4)
    assert (await second.get_run(run.id)).status == RUNNING
    gate.set()
    assert (await second.run_in(run.id)).status == SUCCEEDED
    assert rig.host.run_ids() == [run.id]


@pytest.mark.trap("o")
@pytest.mark.ours("workflow")
async def test_no_signal_is_stranded_by_a_kill_behind_the_claim(rig: Rig) -> None:
    """Killed when the claim with its batch is committed and the invocation has not begun."""
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False, **QUIET)
    first = await workflow.signal_or_start("k", "lost?", idempotency_key="g")
    claimed = asyncio.Event()

    async def stop_at_the_claim(method: str) -> None:
        if method == "Apply" and not claimed.is_set():
            claimed.set()
            await asyncio.Event().wait()

    counting.answered = stop_at_the_claim
    await workflow.process.start()
    await claimed.wait()
    counting.answered = None
    await workflow.process.kill()
    await workflow.process.boot()
    # Whether it was invoked is not known to the next process: it ends, and its key and the signal's are free again.
    ended = await workflow.run_in(first.run.id)
    assert ended.status in (FAILED, SUCCEEDED)
    again = await workflow.signal_or_start("k", "lost?", idempotency_key="g")
    assert again.started_run == (ended.status == FAILED)
    await workflow.run_in(again.run.id)
    assert [signal.name for request in rig.host.requests for signal in request.signals] == ["lost?"]


@pytest.mark.trap("p")
@pytest.mark.ours("workflow")
async def test_an_outage_of_the_store_is_met_with_patience_by_all_workers_together(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(workerCount=64)
    await workflow.run_in((await workflow.start_run()).id)
    logged = len(workflow.process.log.read_text())
    await rig.store.kill()
    before = counting.count
    await observed_for(6)
    lines = workflow.process.log.read_text()[logged:].splitlines()
    failures = [line for line in lines if re.search(r"failed|not renewed", line)]
    assert counting.count - before <= 120, "it hammers the store"
    assert len(failures) <= 20, "\n".join(failures)
    await rig.store.boot(start=False)

    async def accepted() -> pb.BoundWorkflowRun | None:
        try:
            return await workflow.start_run()
        except grpc.aio.AioRpcError:
            return None

    assert (await workflow.run_in((await eventually(accepted)).id)).status == SUCCEEDED
