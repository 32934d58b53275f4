"""Claims, leases and what becomes of them, in engines on one database (semantics.md 18.3 to 18.6)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from gestalt_workflow.claims import claimants, transitions
from gestalt_workflow.claims.transitions import INTERRUPTED
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.errors import StorageUnavailable
from gestalt_workflow.model.objects import Run, RunStatus, Target
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.signals import SignalOrStartRequest
from gestalt_workflow.stored.records import CLAIMANTS, RUN_KEYS, RUNS, run_from_record, run_to_record

from tests.support.fakes.indexeddb_client import unavailable
from tests.support.rigs.driving import all_runs, scheduled, signal, upsert
from tests.support.rigs.engine import ScriptedHost, World, client_of, plugin_target
from tests.support.waiting import eventually

ELSEWHERE = "another-boot/pid:[1]/7/100/aaaa"


async def claimed_elsewhere(world: World, engine: Engine, lease: timedelta, **request: str) -> Run:
    """A run that a process of another machine holds."""
    run = await engine.runs.start(StartRequest(plugin_target(), **request))  # type: ignore[arg-type]
    now = world.clock()
    claimed = transitions.claimed(run, ELSEWHERE, now, now + lease, ())
    world.database.stores[RUNS][run.id] = run_to_record(claimed)
    return claimed


def stored(world: World, run: Run) -> Run:
    return run_from_record(world.database.stores[RUNS][run.id])


async def sweep(engine: Engine) -> int:
    return await engine.recovery.sweep(engine.dispatcher.busy)


async def test_a_claim_of_another_machine_holds_until_its_lease_ends(world: World) -> None:
    engine = await world.engine(start=False)
    run = await claimed_elsewhere(world, engine, timedelta(minutes=10))
    assert await sweep(engine) == 0
    world.clock.advance(minutes=11)
    assert await sweep(engine) == 1
    ended = stored(world, run)
    assert (ended.status, ended.status_message, ended.stale) == (RunStatus.FAILED, INTERRUPTED, True)


async def test_a_renewed_lease_counts_for_all_claims_of_its_process(world: World) -> None:
    engine = await world.engine(start=False)
    run = await claimed_elsewhere(world, engine, timedelta(minutes=10))
    world.database.stores[CLAIMANTS][ELSEWHERE] = {"id": ELSEWHERE, "lease": world.clock.now + timedelta(hours=1)}
    world.clock.advance(minutes=30)
    assert await sweep(engine) == 0
    world.clock.advance(minutes=31)
    assert await sweep(engine) == 1
    assert stored(world, run).status is RunStatus.FAILED


@pytest.mark.trap(11)
async def test_a_renewal_that_comes_between_judging_and_settling_wins(world: World) -> None:
    engine = await world.engine(start=False)
    run = await claimed_elsewhere(world, engine, timedelta(minutes=10))
    world.clock.advance(minutes=11)
    end = engine.recovery._judge(run, None)
    assert end is not None
    world.database.stores[CLAIMANTS][ELSEWHERE] = {"id": ELSEWHERE, "lease": world.clock.now + timedelta(hours=1)}
    assert not await engine.recovery._settle(run, end)
    assert stored(world, run).status is RunStatus.RUNNING


@pytest.mark.trap("h")
async def test_a_completion_that_comes_between_judging_and_settling_wins(world: World) -> None:
    """Trap h: recovery must not overwrite a result that was just committed."""
    engine = await world.engine(start=False)
    run = await claimed_elsewhere(world, engine, timedelta(minutes=10))
    world.clock.advance(minutes=11)
    end = engine.recovery._judge(run, None)
    assert end is not None
    done = replace(
        run, status=RunStatus.SUCCEEDED, revision=run.revision + 1, claimant="", result_body="late but there"
    )
    world.database.stores[RUNS][run.id] = run_to_record(done)
    assert not await engine.recovery._settle(run, end)
    assert stored(world, run).result_body == "late but there"


async def test_a_stale_holder_of_a_key_is_settled_by_whoever_wants_the_key(world: World) -> None:
    engine = await world.engine(start=False)
    run = await claimed_elsewhere(world, engine, timedelta(minutes=10), workflow_key="k")
    world.clock.advance(minutes=11)
    next_run = await engine.runs.start(StartRequest(plugin_target(), workflow_key="k"))
    assert next_run.id != run.id
    assert stored(world, run).stale
    third = await engine.signals.signal_or_start(SignalOrStartRequest("k", plugin_target(), signal("s")))
    assert third.run.id == next_run.id


@pytest.mark.trap(6)
async def test_an_old_runs_end_does_not_release_a_key_that_is_no_longer_its_own(world: World) -> None:
    """Trap 6: the row is deleted only while it names the run."""
    engine = await world.engine(start=False)
    run = await claimed_elsewhere(world, engine, timedelta(minutes=10), workflow_key="k")
    world.database.stores[RUN_KEYS][run.key_row]["run_id"] = "newer"
    await engine.runs.cancel(run.id, "")
    assert world.database.stores[RUN_KEYS][run.key_row]["run_id"] == "newer"


@pytest.mark.trap(19)
async def test_an_agent_turn_that_never_ends_is_given_up_although_its_claim_holds(world: World) -> None:
    """Trap 19."""
    engine = await world.engine()
    world.host.hold("helper")
    from gestalt_sdk.gen.v1 import workflow_pb2 as pb

    message = pb.BoundWorkflowTarget()
    message.agent.provider_name, message.agent.prompt, message.agent.timeout_seconds = "helper", "x", 30
    target = Target(message.SerializeToString(), "agent:helper", agent_timeout_s=30)
    run = await engine.runs.start(StartRequest(target))

    async def running() -> bool | None:
        return True if world.host.active else None

    await eventually(running)
    world.clock.advance(seconds=89)
    assert await sweep(engine) == 0
    world.clock.advance(seconds=2)
    assert await sweep(engine) == 1
    assert stored(world, run).status is RunStatus.FAILED

    async def call_ended() -> bool | None:
        return None if world.host.active else True

    await eventually(call_ended)


@pytest.mark.trap("h")
async def test_a_late_outcome_of_a_settled_run_is_dropped(world: World) -> None:
    engine = await world.engine()
    gate = world.host.hold("run")
    run = await engine.runs.start(StartRequest(plugin_target()))

    async def running() -> bool | None:
        return True if world.host.active else None

    await eventually(running)
    settled = transitions.interrupted(stored(world, run), world.clock())
    world.database.stores[RUNS][run.id] = run_to_record(settled)
    gate.set()

    async def recorded() -> bool | None:
        return None if engine.dispatcher.busy() else True

    await eventually(recorded)
    assert stored(world, run) == settled


@pytest.mark.trap(15)
async def test_a_claim_whose_answer_was_lost_is_found_and_the_run_executed_once(world: World) -> None:
    engine = await world.engine(start=False)
    run = await engine.runs.start(StartRequest(plugin_target()))
    client = client_of(engine)
    lost = iter([True])
    client.after = lambda name: unavailable(name) if next(lost, None) else None
    engine.start()
    done = await world.finished(engine, run.id)
    assert done.status is RunStatus.SUCCEEDED
    assert world.host.runs() == [run.id]


async def test_a_run_whose_creation_was_never_answered_does_not_wait_for_the_next_poll(world: World) -> None:
    engine = await world.engine(poll_interval=timedelta(hours=1))
    gate = world.host.hold("gate")
    await engine.runs.start(StartRequest(plugin_target("gate")))  # everything that a start reads has been read
    await eventually(lambda: _one_active(world))
    lost = iter([True])
    client_of(engine).after = lambda name: unavailable(name) if name == "apply" and next(lost, None) else None
    with pytest.raises(StorageUnavailable):
        await engine.runs.start(StartRequest(plugin_target(), idempotency_key="k"))
    run = await engine.runs.start(StartRequest(plugin_target(), idempotency_key="k"))
    assert (await world.finished(engine, run.id)).status is RunStatus.SUCCEEDED
    gate.set()


async def _one_active(world: World) -> bool | None:
    return True if world.host.active else None


async def test_a_store_that_fails_for_a_while_loses_no_result(world: World) -> None:
    engine = await world.engine()
    gate = world.host.hold("run")
    run = await engine.runs.start(StartRequest(plugin_target()))

    async def running() -> bool | None:
        return True if world.host.active else None

    await eventually(running)
    failures = iter(range(3))

    def fail(name: str) -> None:
        if name == "apply" and next(failures, None) is not None:
            unavailable(name)

    client_of(engine).before = fail
    gate.set()
    assert (await world.finished(engine, run.id)).status is RunStatus.SUCCEEDED
    assert world.host.runs() == [run.id]


@pytest.mark.trap("j")
async def test_a_broken_run_stops_no_other(world: World) -> None:
    """Trap j."""
    engine = await world.engine(start=False)
    broken = await engine.runs.start(StartRequest(plugin_target()))
    good = await engine.runs.start(StartRequest(plugin_target()))
    del world.database.stores[RUNS][broken.id]["trigger"]
    engine.lanes.suspect()
    engine.start()
    assert (await world.finished(engine, good.id)).status is RunStatus.SUCCEEDED
    assert [run.id for run in await all_runs(engine)] == [good.id]
    assert engine.storage.counters.undecodable > 0


async def test_drain_lets_invocations_end_and_then_gives_up(world: World) -> None:
    """Trap 22."""
    engine = await world.engine()
    gate = world.host.hold("soon")
    world.host.hold("never")
    soon = await engine.runs.start(StartRequest(plugin_target("soon")))
    never = await engine.runs.start(StartRequest(plugin_target("never")))

    async def both() -> bool | None:
        return True if world.host.active == 2 else None

    await eventually(both)
    draining = asyncio.create_task(engine.drain(timedelta(seconds=0.3)))
    gate.set()
    late = await engine.runs.start(StartRequest(plugin_target()))
    await draining
    assert stored(world, soon).status is RunStatus.SUCCEEDED
    assert (stored(world, never).status, stored(world, never).status_message) == (RunStatus.FAILED, INTERRUPTED)
    assert stored(world, late).status is RunStatus.PENDING
    assert world.database.stores[CLAIMANTS] == {}


async def test_a_run_whose_handling_crashed_is_failed_not_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await world.engine()

    async def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(engine.dispatcher._completions, "record", crash)
    run = await engine.runs.start(StartRequest(plugin_target()))
    done = await world.finished(engine, run.id)
    assert (done.status, done.stale) == (RunStatus.FAILED, True)
    assert world.host.runs() == [run.id]


async def test_a_backlog_larger_than_the_window_is_worked_off_in_order(world: World) -> None:
    engine = await world.engine(start=False, worker_count=1)
    runs = [await engine.runs.start(StartRequest(plugin_target())) for _ in range(1100)]
    engine.start()
    await world.finished(engine, runs[-1].id)
    assert world.host.runs() == [run.id for run in runs]


async def test_three_engines_invoke_each_run_once(world: World) -> None:
    hosts = [ScriptedHost() for _ in range(3)]
    engines = [await world.engine(host=host) for host in hosts]
    runs = [await engines[number % 3].runs.start(StartRequest(plugin_target())) for number in range(90)]
    for engine in engines:
        engine.lanes.suspect()
        engine.dispatcher.wake()
    for run in runs:
        await world.finished(engines[0], run.id)
    invoked = [run_id for host in hosts for run_id in host.runs()]
    assert sorted(invoked) == sorted(run.id for run in runs)


def test_only_the_kernel_proves_a_death() -> None:
    me = claimants.new_claimant()
    assert not claimants.provably_dead(me)
    boot, namespace, _, started, random = me.split("/", 4) if me.count("/") == 4 else ("", "", "", "", "")
    assert random
    assert claimants.provably_dead(f"{boot}/{namespace}/{os.getpid()}/{int(started) + 1}/x")  # the PID was used again
    assert claimants.provably_dead(f"{boot}/{namespace}/4194303/{started}/x")
    assert not claimants.provably_dead(f"other-boot/{namespace}/4194303/{started}/x")
    assert not claimants.provably_dead(f"{boot}/pid:[1]/4194303/{started}/x")
    assert not claimants.provably_dead("-/-/1/-/x")
    assert not claimants.provably_dead("nonsense")


@pytest.mark.trap("i")
async def test_busy_workers_do_not_stop_recovery(world: World) -> None:
    """With every worker of this process busy, the run of one whose lease has ended is settled all the same."""
    gone = await world.engine(worker_count=1)
    world.host.hold("run")
    await upsert(world, gone, "s")
    world.clock.advance(minutes=1)

    async def running() -> str | None:
        runs = [run.id for run in await scheduled(gone) if run.status is RunStatus.RUNNING]
        return runs[0] if runs else None

    lost = await eventually(running)
    await gone._stop_loops()
    other = await world.engine(worker_count=1)
    await upsert(world, other, "busy")
    world.clock.advance(minutes=1)

    async def busy() -> bool | None:
        return True if other.dispatcher.busy() else None

    await eventually(busy)
    world.clock.advance(hours=1)
    await other.recovery.sweep(other.dispatcher.busy)
    assert (await other.runs.get(lost)).status is RunStatus.FAILED


async def test_a_lease_that_was_set_by_a_clock_that_was_ahead_ends(world: World) -> None:
    engine = await world.engine(start=False)
    world.clock.jump(days=400)
    run = await claimed_elsewhere(world, engine, timedelta(minutes=10))
    world.clock.jump(days=-400)
    assert await sweep(engine) == 0
    world.clock.advance(minutes=9)
    assert await sweep(engine) == 0
    world.clock.advance(minutes=2)
    assert await sweep(engine) == 1
    assert stored(world, run).status is RunStatus.FAILED


@pytest.mark.parametrize("ahead", [timedelta(hours=3), timedelta(days=400)], ids=str)
async def test_a_clock_that_jumps_ahead_ends_no_claim(world: World, ahead: timedelta) -> None:
    """Also a machine that wakes: the processes on it were asleep as well, and renew their claims soon."""
    engine = await world.engine(start=False)
    run = await claimed_elsewhere(world, engine, timedelta(minutes=10))
    world.clock.jump(seconds=ahead.total_seconds())
    assert await sweep(engine) == 0
    world.clock.advance(minutes=11)
    assert await sweep(engine) == 1
    assert stored(world, run).status is RunStatus.FAILED


async def test_an_agent_turn_is_not_given_up_because_the_clock_jumps(world: World) -> None:
    engine = await world.engine(start=False)
    run = await engine.runs.start(StartRequest(plugin_target()))
    claimed = transitions.claimed(run, engine.claimant, world.clock(), world.clock() + timedelta(minutes=10), ())
    record = run_to_record(claimed) | {"agent_timeout_s": 30}
    world.database.stores[RUNS][run.id] = record
    engine.dispatcher._crashed[run.id] = claimed  # it counts as invoked here
    world.clock.jump(hours=3)
    assert await sweep(engine) == 0
    world.clock.advance(seconds=91)
    assert await sweep(engine) == 1
