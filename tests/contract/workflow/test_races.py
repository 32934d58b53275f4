"""Two processes, or two calls of one: nobody waits for a list or a sweep, and one of several racing inserts wins."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.rigs.workflow import RUNNING, SUCCEEDED, Rig
from tests.support.waiting import eventually


@pytest.mark.trap(11)
@pytest.mark.ours("workflow")
async def test_a_list_holds_up_no_other_call_and_no_renewal(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(runClaimTTL="1s", runClaimRenewEvery="200ms")
    await workflow.upsert_trigger("t", operation="event")
    await workflow.publish("first")
    gate = rig.host.hold("keyed")
    keyed = (await workflow.signal_or_start("k", operation="keyed")).run
    await rig.host.invoked(2)
    release, held = asyncio.Event(), asyncio.Event()

    async def hold_pages(method: str) -> None:
        if method == "GetPage":
            held.set()
            await release.wait()

    counting.answered = hold_pages
    listing = asyncio.ensure_future(workflow.list_runs())
    await held.wait()
    before = counting.messages["Apply"]
    await workflow.publish("second")
    await workflow.signal(keyed.id)
    assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED

    async def renewed() -> bool | None:
        return True if counting.messages["Apply"] >= before + 12 else None

    await eventually(renewed)  # longer than the lease
    assert (await workflow.get_run(keyed.id)).status == RUNNING
    assert not listing.done()
    release.set()
    gate.set()
    await listing
    assert (await workflow.run_in(keyed.id)).status == SUCCEEDED


@pytest.mark.trap(18)
@pytest.mark.ours("workflow")
async def test_a_new_run_does_not_wait_for_a_sweep(rig: Rig) -> None:
    """Ours sweeps and looks for work by page: those answers are held back."""
    counting = await rig.count_messages()
    workflow = await rig.provider()
    await workflow.run_in((await workflow.start_run()).id)
    release, held = asyncio.Event(), asyncio.Event()

    async def hold_pages(method: str) -> None:
        if method == "GetPage":
            held.set()
            await release.wait()

    counting.answered = hold_pages
    await held.wait()
    assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED
    release.set()
