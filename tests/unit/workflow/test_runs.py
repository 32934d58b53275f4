"""Runs from start to end in one engine: dispatch, idempotency, workflow keys, cancel."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from gestalt_workflow.model.errors import StateConflict
from gestalt_workflow.model.objects import InvocationResult, RunStatus
from gestalt_workflow.objects.runs import StartRequest

from gestalt_sdk.indexeddb import StoreRefused, Write, WriteResult
from tests.support.rigs.engine import ALICE, BOB, World, client_of, plugin_target
from tests.support.waiting import eventually


async def test_a_started_run_is_invoked_once_and_its_result_kept(world: World) -> None:
    engine = await world.engine()
    run = await engine.runs.start(StartRequest(plugin_target(), created_by=ALICE, execution_ref="ref"))
    assert run.status is RunStatus.PENDING
    done = await world.finished(engine, run.id)
    assert (done.status, done.result_body, done.status_message) == (RunStatus.SUCCEEDED, "ok", "")
    assert done.started_at
    assert done.completed_at
    assert done.created_by == ALICE
    assert world.host.runs() == [run.id]


@pytest.mark.parametrize(("status", "ends"), [(0, "SUCCEEDED"), (-1, "SUCCEEDED"), (302, "SUCCEEDED"), (400, "FAILED")])
async def test_a_status_below_400_is_success(world: World, status: int, ends: str) -> None:
    engine = await world.engine()
    world.host.answers["run"] = InvocationResult(status, "body")
    run = await engine.runs.start(StartRequest(plugin_target()))
    done = await world.finished(engine, run.id)
    assert (done.status.name, done.result_body) == (ends, "body")
    assert done.status_message == ("workflow operation returned status 400" if ends == "FAILED" else "")


async def test_a_failed_call_fails_the_run_with_its_text(world: World) -> None:
    engine = await world.engine()
    world.host.fail("run", "rpc error: code = PermissionDenied desc = no")
    run = await engine.runs.start(StartRequest(plugin_target()))
    done = await world.finished(engine, run.id)
    assert done.status is RunStatus.FAILED
    assert done.status_message == "rpc error: code = PermissionDenied desc = no"


async def test_no_more_runs_are_claimed_than_can_be_invoked(world: World) -> None:
    engine = await world.engine(worker_count=3)
    gate = world.host.hold("run")
    runs = [await engine.runs.start(StartRequest(plugin_target())) for _ in range(10)]

    async def three_running() -> bool | None:
        return True if world.host.active == 3 else None

    await eventually(three_running)
    statuses = [(await engine.runs.get(run.id)).status for run in runs]
    assert statuses.count(RunStatus.RUNNING) == 3
    gate.set()
    for run in runs:
        await world.finished(engine, run.id)
    assert world.host.most_active == 3


async def test_an_idempotency_key_gives_the_earlier_run_whatever_else_is_asked(world: World) -> None:
    engine = await world.engine()
    first = await engine.runs.start(StartRequest(plugin_target(), idempotency_key="k", created_by=ALICE))
    await world.finished(engine, first.id)
    again = await engine.runs.start(StartRequest(plugin_target("other"), idempotency_key="k", created_by=ALICE))
    assert again.id == first.id
    assert again.status is RunStatus.SUCCEEDED


async def test_idempotency_keys_are_scoped_by_subject(world: World) -> None:
    engine = await world.engine()
    mine = await engine.runs.start(StartRequest(plugin_target(), idempotency_key="k", created_by=ALICE))
    theirs = await engine.runs.start(StartRequest(plugin_target(), idempotency_key="k", created_by=BOB))
    assert mine.id != theirs.id


async def test_without_a_subject_the_key_has_the_documented_id(world: World) -> None:
    engine = await world.engine(start=False)
    run = await engine.runs.start(StartRequest(plugin_target(plugin="github"), idempotency_key="k1"))
    assert run.id == "manual:d5e901badb5a3011691f40ed1b1490c9"


async def test_a_keyed_run_runs_without_waiting_for_a_signal(world: World) -> None:
    engine = await world.engine()
    run = await engine.runs.start(StartRequest(plugin_target(), workflow_key="order-1"))
    assert (await world.finished(engine, run.id)).status is RunStatus.SUCCEEDED


async def test_a_workflow_key_is_exclusive_until_its_run_ends(world: World) -> None:
    engine = await world.engine()
    gate = world.host.hold("run")
    first = await engine.runs.start(StartRequest(plugin_target(), workflow_key="k"))
    with pytest.raises(StateConflict, match='workflow key "k" already has an active run'):
        await engine.runs.start(StartRequest(plugin_target(), workflow_key="k"))
    gate.set()
    await world.finished(engine, first.id)
    second = await engine.runs.start(StartRequest(plugin_target(), workflow_key="k"))
    assert second.id != first.id


async def test_cancel_of_a_pending_run_keeps_it_from_running(world: World) -> None:
    engine = await world.engine(start=False)
    run = await engine.runs.start(StartRequest(plugin_target()))
    canceled = await engine.runs.cancel(run.id, " ")
    assert (canceled.status, canceled.status_message) == (RunStatus.CANCELED, "canceled")
    engine.start()
    other = await engine.runs.start(StartRequest(plugin_target()))
    await world.finished(engine, other.id)
    assert world.host.runs() == [other.id]


@pytest.mark.trap("h")
async def test_cancel_of_a_running_run_ends_it_at_once_and_cancels_the_call(world: World) -> None:
    engine = await world.engine()
    world.host.hold("run")
    run = await engine.runs.start(StartRequest(plugin_target()))

    async def running() -> bool | None:
        return True if world.host.active else None

    await eventually(running)
    canceled = await engine.runs.cancel(run.id, "no longer wanted")
    assert (canceled.status, canceled.status_message) == (RunStatus.CANCELED, "no longer wanted")

    async def call_ended() -> bool | None:
        return True if not world.host.active else None

    await eventually(call_ended)
    assert (await engine.runs.get(run.id)).status is RunStatus.CANCELED
    with pytest.raises(StateConflict, match="has been canceled"):
        await engine.runs.cancel(run.id, "again")


@pytest.mark.parametrize(
    ("code", "kept"),
    [("INTERNAL", "ok"), ("DATA_LOSS", "ok"), ("INVALID_ARGUMENT", ""), ("RESOURCE_EXHAUSTED", "")],
)
async def test_a_result_is_given_up_only_when_the_store_refuses_the_content(
    world: World, monkeypatch: pytest.MonkeyPatch, code: str, kept: str
) -> None:
    engine = await world.engine()
    client = client_of(engine)
    apply, refusals = client.apply, 0

    async def refusing(entries: Sequence[Write], *, return_current: bool = False) -> list[WriteResult]:
        nonlocal refusals
        if refusals < 3 and any((entry.record or {}).get("result_body") for entry in entries):
            refusals += 1
            raise StoreRefused(code, "not that")
        return await apply(entries, return_current=return_current)

    monkeypatch.setattr(client, "apply", refusing)
    run = await engine.runs.start(StartRequest(plugin_target()))
    done = await world.finished(engine, run.id)
    assert (done.status, done.result_body) == (RunStatus.SUCCEEDED, kept)
    assert refusals == (3 if kept else 1)
