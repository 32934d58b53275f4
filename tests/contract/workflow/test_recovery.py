"""A provider that is killed: at most once, nothing acknowledged lost (semantics.md 18.6, 24.4; design decision 6)."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from tests.contract.workflow.rig import FAILED, PENDING, RUNNING, SUCCEEDED, Rig, Workflow
from tests.support.waiting import eventually

INTERRUPTED = "workflow provider restarted while run was in progress"


async def test_killed_before_any_claim_the_run_is_executed_after_the_restart(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    run = await workflow.start_run()
    await workflow.process.kill()
    await workflow.process.boot()
    assert (await workflow.run_in(run.id)).status == SUCCEEDED
    assert rig.host.run_ids() == [run.id]


async def test_killed_during_the_invocation_the_run_fails_at_the_next_start_and_is_not_executed_again(rig: Rig) -> None:
    workflow = await rig.provider()
    gate = rig.host.hold("run")
    run = await workflow.start_run()
    await rig.host.invoked(1)
    await workflow.process.kill()
    gate.set()
    await workflow.process.boot()
    done = await workflow.run_in(run.id, within_s=5)  # the lease has minutes to go: the owner is provably dead
    assert (done.status, done.status_message) == (FAILED, INTERRUPTED)
    other = await workflow.run_in((await workflow.start_run("other")).id)
    assert rig.host.run_ids() == [run.id, other.id]


async def test_killed_after_the_operation_but_before_its_result_was_stored_the_run_fails(rig: Rig) -> None:
    workflow = await rig.provider()

    async def kill_the_caller(request: object) -> None:
        workflow.process.send_signal(signal.SIGKILL)

    rig.host.during = kill_the_caller
    run = await workflow.start_run()
    await rig.host.invoked(1)
    rig.host.during = None
    await workflow.process.end(signal.SIGKILL)
    await workflow.process.boot()
    assert (await workflow.run_in(run.id, within_s=5)).status in (FAILED, SUCCEEDED)
    assert rig.host.run_ids() == [run.id]


async def test_a_killed_keyed_run_frees_its_key_at_once_and_its_signal_keys(rig: Rig) -> None:
    workflow = await rig.provider()
    gate = rig.host.hold("run")
    first = await workflow.signal_or_start("k", idempotency_key="i", id="sig")
    await rig.host.invoked(1)
    await workflow.process.kill()
    gate.set()
    await workflow.process.boot()
    second = await workflow.signal_or_start("k", idempotency_key="i", id="sig")
    assert second.started_run and second.run.id != first.run.id and second.signal.id != "sig"
    assert (await workflow.get_run(first.run.id)).status_message == INTERRUPTED
    assert (await workflow.run_in(second.run.id)).status == SUCCEEDED


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
        await asyncio.sleep(1.6)  # the lease itself is what is awaited
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
    await asyncio.sleep(2)  # two leases long
    other = await rig.provider(**short)  # its first sweep finds a renewed claim
    finished = await other.run_in((await other.start_run("other")).id)
    assert finished.status == SUCCEEDED
    assert (await other.get_run(run.id)).status == RUNNING
    gate.set()
    assert (await other.run_in(run.id)).status == SUCCEEDED


async def test_sigterm_lets_running_invocations_finish_and_records_them(rig: Rig) -> None:
    workflow = await rig.provider()
    gate = rig.host.hold("run")
    run = await workflow.start_run()
    await rig.host.invoked(1)
    await workflow.put_reference("ref")
    ending = asyncio.create_task(workflow.process._process.wait())  # type: ignore[union-attr]
    workflow.process.send_signal(signal.SIGTERM)
    waiting = await workflow.start_run("waiting")  # still answered, no longer dispatched
    assert (await workflow.get_reference("ref")).id == "ref"
    assert not ending.done()
    gate.set()
    assert await asyncio.wait_for(ending, 10) == 0
    await workflow.process.end()
    await workflow.process.boot(start=False)
    assert (await workflow.get_run(run.id)).status == SUCCEEDED
    assert (await workflow.get_run(waiting.id)).status == PENDING
    assert rig.host.run_ids() == [run.id]


async def test_two_processes_share_the_work_and_repeat_none_of_it(rig: Rig) -> None:
    first, second = await rig.provider(workerCount=2), await rig.provider(workerCount=2)
    runs = [await (first if number % 2 else second).start_run() for number in range(60)]
    for run in runs:
        assert (await second.run_in(run.id)).status == SUCCEEDED
    assert sorted(rig.host.run_ids()) == sorted(run.id for run in runs)


async def test_work_of_a_process_that_ended_is_taken_up_by_another(rig: Rig) -> None:
    creator, worker = await rig.provider(start=False), await rig.provider()
    run = await creator.start_run()
    await creator.process.kill()
    assert (await worker.run_in(run.id)).status == SUCCEEDED


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
