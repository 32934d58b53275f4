"""Traps that need a clock that is turned by hand, or a store that fails on demand: the engine without its process."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gestalt_workflow.model.objects import RunStatus
from gestalt_workflow.model.policies import CatchUp, CatchUpMode, SchedulePolicy

from tests.support.waiting import eventually
from tests.unit.workflow import (
    conftest,
    test_events,
    test_recovery,
    test_retention,
    test_runs,
    test_schedules,
    test_signals,
)
from tests.unit.workflow.conftest import World
from tests.unit.workflow.driving import fire_due, scheduled, upsert

world = conftest.world


async def test_trap_a_a_schedule_without_a_further_slot_is_never_due_again(world: World) -> None:
    """29 February 2096 is the last one for eight years, further than anybody looks."""
    world.clock.now = datetime(2096, 2, 1, tzinfo=UTC)
    engine = await world.engine(start=False)
    await upsert(world, engine, "leap", "0 0 29 2 *")
    await upsert(world, engine, "daily", "0 12 * * *")
    world.clock.now = datetime(2096, 3, 1, 13, tzinfo=UTC)
    await fire_due(engine)
    assert len(await scheduled(engine, "leap")) == len(await scheduled(engine, "daily")) == 1
    assert (await engine.schedules.get("leap")).next_run_at is None
    world.clock.now = datetime(2097, 1, 1, 13, tzinfo=UTC)
    await fire_due(engine)
    assert len(await scheduled(engine, "leap")) == 1
    assert len(await scheduled(engine, "daily")) == 2


async def test_trap_i_busy_workers_do_not_stop_recovery(world: World) -> None:
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


@pytest.mark.parametrize("mode", list(CatchUpMode))
async def test_trap_17_catching_up_makes_no_slot_twice(world: World, mode: CatchUpMode) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(CatchUp(mode)))
    world.clock.advance(minutes=7)
    await other.scheduler._load(world.clock())
    await fire_due(engine)
    await other.scheduler._fire(other.scheduler._pop_due(world.clock()))
    runs = await scheduled(engine)
    assert len({run.id for run in runs}) == len(runs) == {1: 1, 2: 7, 3: 1}[mode]


# Run by tests that stand elsewhere

test_trap_j_a_poison_trigger_stops_no_other = test_events.test_a_broken_trigger_hides_no_other
test_trap_j_a_poison_run_stops_no_other = test_recovery.test_a_broken_run_stops_no_other
test_trap_15_a_claim_without_an_invocation_is_no_dead_end = (
    test_recovery.test_a_claim_whose_answer_was_lost_is_found_and_the_run_executed_once
)
test_trap_h_recovery_does_not_overwrite_a_completion = (
    test_recovery.test_a_completion_that_comes_between_judging_and_settling_wins
)
test_trap_h_a_late_completion_does_not_overwrite_what_was_settled = (
    test_recovery.test_a_late_outcome_of_a_settled_run_is_dropped
)
test_trap_11_a_late_renewal_is_no_false_stale_failure = (
    test_recovery.test_a_renewal_that_comes_between_judging_and_settling_wins
)
test_trap_19_an_agent_turn_has_a_hard_deadline = (
    test_recovery.test_an_agent_turn_that_never_ends_is_given_up_although_its_claim_holds
)
test_trap_06_an_old_run_does_not_release_the_newer_ones_key = (
    test_recovery.test_an_old_runs_end_does_not_release_a_key_that_is_no_longer_its_own
)
test_trap_r_history_does_not_grow_without_end = test_retention.test_runs_go_when_their_end_is_long_ago
test_trap_h_a_cancel_is_not_overwritten_by_the_completion = (
    test_runs.test_cancel_of_a_running_run_ends_it_at_once_and_cancels_the_call
)
test_trap_j_a_poison_schedule_stops_no_other = test_schedules.test_a_broken_schedule_stops_no_other
test_trap_c_an_upsert_at_boot_keeps_the_tick_that_is_due = (
    test_schedules.test_an_upsert_that_changes_no_timing_keeps_a_slot_that_is_due
)
test_trap_i_busy_workers_do_not_stop_scheduling = test_schedules.test_busy_executors_do_not_delay_firing
test_trap_h_firing_does_not_overwrite_a_change = test_schedules.test_firing_does_not_undo_a_change_made_elsewhere
test_trap_05_one_busy_key_does_not_starve_the_others = test_signals.test_a_busy_key_does_not_keep_others_waiting
test_trap_04_signals_are_read_by_their_run_alone = test_signals.test_signals_of_other_runs_cost_nothing
