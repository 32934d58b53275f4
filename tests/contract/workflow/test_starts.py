"""Before, at and shortly after a start: nothing runs too early, and nothing waits for what is already stored."""

from __future__ import annotations

import asyncio

import pytest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.workflow import PENDING, SUCCEEDED, Rig, make_due, quiet, target
from tests.support.waiting import observed_for


@pytest.mark.trap(7)
@pytest.mark.ours("workflow")
async def test_nothing_is_invoked_between_configure_and_start(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    await workflow.upsert_schedule("s")
    await make_due(rig, "s")
    run = await workflow.start_run()
    await quiet(counting)
    before = counting.count
    await observed_for(1.5)  # longer than any of its rounds
    assert counting.count == before, "it looks for work"
    assert rig.host.requests == []
    assert (await workflow.get_run(run.id)).status == PENDING
    await workflow.process.start()
    await rig.host.invoked(2)


@pytest.mark.trap(8)
@pytest.mark.ours("workflow")
async def test_a_start_with_more_waiting_than_a_message_holds(rig: Rig) -> None:
    """70 MiB of pending runs: more than the 64 MiB that any message may have."""
    workflow = await rig.provider(start=False)
    large = target(input={"text": "x" * 2**20})
    for _ in range(70):
        await workflow.rpc.StartRun(pb.StartWorkflowProviderRunRequest(target=large))
    await workflow.process.kill()
    await workflow.process.boot()
    await rig.host.invoked(70, within_s=60)


@pytest.mark.trap(9)
@pytest.mark.ours("workflow")
async def test_configure_does_no_work_that_grows_with_what_is_stored(rig: Rig) -> None:
    counting = await rig.count_messages()
    first = await rig.provider(start=False)
    await rig.provider(start=False)
    before = counting.count
    await rig.provider(start=False)
    cost = counting.count - before
    await asyncio.gather(*(first.start_run() for _ in range(300)))
    before = counting.count
    await rig.provider(start=False)
    assert counting.count - before == cost <= 3


@pytest.mark.trap(10)
@pytest.mark.ours("workflow")
async def test_recovery_at_start_delays_neither_start_nor_reads(rig: Rig) -> None:
    """Ours reads claims by page: those answers are held back."""
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    run = await workflow.start_run()
    release = asyncio.Event()

    async def hold_pages(method: str) -> None:
        if method == "GetPage":
            await release.wait()

    counting.answered = hold_pages
    await asyncio.wait_for(workflow.process.start(), 5)
    assert (await workflow.get_run(run.id)).status == PENDING
    await workflow.upsert_schedule("s", "0 0 1 1 *")
    release.set()
    assert (await workflow.run_in(run.id)).status == SUCCEEDED
