"""Schedules and their firing in one engine, on a clock that the test turns (semantics.md 16, 17; decisions 4, 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gestalt_workflow.engine import Engine
from gestalt_workflow.firing.scheduler import FIRED_FIRST
from gestalt_workflow.model.errors import ObjectNotFound, OwnedByAnother
from gestalt_workflow.model.objects import CONFIG_SUBJECT, Actor, Run, Schedule
from gestalt_workflow.objects.schedules import ScheduleRequest, checked_timing
from gestalt_workflow.reading.lists import ALL_SCHEDULES
from gestalt_workflow.stored.records import RUNS, SCHEDULES
from gestalt_workflow.wire.messages import schedule_to_proto

from gestalt_sdk.timing.cron import CronInvalid
from tests.support.fakes.indexeddb_client import unavailable
from tests.support.rigs.driving import all_runs, fire_due, scheduled
from tests.support.rigs.engine import ALICE, BOB, World, client_of, plugin_target
from tests.support.waiting import eventually

CONFIG = Actor(CONFIG_SUBJECT, "system", "Workflow Config", "config")


async def upsert(
    world: World, engine: Engine, schedule_id: str = "s", cron: str = "* * * * *", **more: Any
) -> Schedule:
    cron, zone, slot = checked_timing(cron, more.pop("timezone", ""), world.clock())
    fields = {"target": plugin_target(), "requested_by": ALICE, "execution_ref": "ref", **more}
    return await engine.schedules.upsert(ScheduleRequest(schedule_id, cron, zone, first_slot=slot, **fields))


async def fired(world: World, engine: Engine, count: int) -> list[Run]:
    """Wait until that many runs exist."""
    engine.scheduler.reload()

    async def probe() -> list[Run] | None:
        runs = await all_runs(engine)
        return runs if len(runs) >= count else None

    return await eventually(probe)


async def test_a_due_schedule_makes_one_run_that_carries_its_owner_and_reference(world: World) -> None:
    engine = await world.engine()
    schedule = await upsert(world, engine)
    slot = schedule.next_run_at
    assert slot == datetime(2026, 5, 4, 12, 1, tzinfo=UTC)
    world.clock.advance(seconds=31)
    (run,) = await fired(world, engine, 1)
    assert run.id == "schedule:s:2026-05-04T12:01:00Z"
    assert run.trigger.slot == slot
    assert (run.created_by, run.execution_ref) == (ALICE, "ref")
    moved = await engine.schedules.get("s")
    assert moved.next_run_at == slot + timedelta(minutes=1)
    assert moved.updated_at > schedule.updated_at
    await world.finished(engine, run.id)


async def test_the_slots_of_an_outage_collapse_into_one_run_for_the_latest(world: World) -> None:
    down = await world.engine(start=False)
    await upsert(world, down)
    world.clock.advance(days=400)
    engine = await world.engine()
    (run,) = await fired(world, engine, 1)
    assert run.trigger.slot == world.clock.now.replace(second=0, microsecond=0)
    assert (await engine.schedules.get("s")).next_run_at == run.trigger.slot + timedelta(minutes=1)


@pytest.mark.trap("c")
async def test_an_upsert_that_changes_no_timing_keeps_a_slot_that_is_due(world: World) -> None:
    """Trap c: a boot that upserts its configuration must not lose what was due while it was down."""
    down = await world.engine(start=False)
    schedule = await upsert(world, down, requested_by=CONFIG)
    world.clock.advance(hours=3)
    again = await upsert(world, down, requested_by=CONFIG, execution_ref="ref-2", target=plugin_target("other"))
    assert again.next_run_at == schedule.next_run_at
    engine = await world.engine()
    (run,) = await fired(world, engine, 1)
    assert run.execution_ref == "ref-2"


@pytest.mark.parametrize("change", [{"cron": "*/2 * * * *"}, {"timezone": "Asia/Kolkata"}, {"paused": True}])
async def test_an_upsert_that_changes_the_timing_counts_from_now(world: World, change: dict[str, Any]) -> None:
    engine = await world.engine(start=False)
    schedule = await upsert(world, engine)
    world.clock.advance(hours=3)
    again = await upsert(world, engine, **change)
    assert schedule.next_run_at is not None
    assert again.next_run_at is not None
    assert again.next_run_at > world.clock.now


async def test_paused_schedules_do_not_fire_and_resume_counts_from_now(world: World) -> None:
    engine = await world.engine()
    schedule = await upsert(world, engine)
    paused = await engine.schedules.pause("s")
    assert paused.next_run_at == schedule.next_run_at
    world.clock.advance(hours=1)
    await upsert(world, engine, "other")
    world.clock.advance(minutes=1)
    runs = await fired(world, engine, 1)
    assert [run.trigger.schedule_id for run in runs] == ["other"]
    resumed = await engine.schedules.resume("s")
    assert resumed.next_run_at is not None
    assert resumed.next_run_at > world.clock.now


async def test_resuming_one_that_is_not_paused_loses_no_slot(world: World) -> None:
    engine = await world.engine(start=False)
    schedule = await upsert(world, engine)
    world.clock.advance(hours=1)
    assert (await engine.schedules.resume("s")).next_run_at == schedule.next_run_at


@pytest.mark.trap("h")
async def test_firing_does_not_undo_a_change_made_elsewhere(world: World) -> None:
    """Trap h: the advance must not resurrect, resume or move back what another process has changed."""
    engine, other = await world.engine(start=False), await world.engine(start=False)
    for schedule_id in ("paused", "deleted", "changed"):
        await upsert(world, engine, schedule_id)
    await engine.scheduler._load(world.clock())  # this process knows all three
    await other.schedules.pause("paused")
    await other.schedules.delete("deleted")
    await upsert(world, other, "changed", "0 0 1 1 *")
    world.clock.advance(minutes=2)
    await engine.scheduler._fire(engine.scheduler._pop_due(world.clock()))
    assert await all_runs(engine) == []
    assert (await engine.schedules.get("paused")).paused
    assert (await engine.schedules.get("changed")).cron == "0 0 1 1 *"
    with pytest.raises(ObjectNotFound):
        await engine.schedules.get("deleted")


async def test_two_processes_fire_one_slot_once(world: World) -> None:
    first, second = await world.engine(), await world.engine()
    for number in range(20):
        await upsert(world, first, f"s{number}")
    world.clock.advance(minutes=1)
    second.scheduler.reload()
    runs = await fired(world, first, 20)
    for run in runs:
        await world.finished(second, run.id)
    assert len(await all_runs(first)) == 20
    assert sorted(world.host.runs()) == sorted(run.id for run in runs)


async def test_a_clock_set_back_fires_nothing_twice(world: World) -> None:
    engine = await world.engine()
    await upsert(world, engine)
    world.clock.advance(minutes=1)
    (run,) = await fired(world, engine, 1)
    await world.finished(engine, run.id)
    world.clock.jump(minutes=-1)
    engine.scheduler.reload()
    world.clock.advance(minutes=1)
    await upsert(world, engine, "sentinel")
    world.clock.advance(minutes=1)
    runs = await fired(world, engine, 3)
    assert len({run.id for run in runs}) == len(runs) == 3


@pytest.mark.trap("j")
async def test_a_broken_schedule_stops_no_other(world: World) -> None:
    """Trap j: a record that cannot be read, and one whose expression is none, are skipped and counted."""
    engine = await world.engine(start=False)
    await upsert(world, engine, "good")
    for schedule_id in ("no-target", "bad-cron"):
        await upsert(world, engine, schedule_id)
    del world.database.stores[SCHEDULES]["no-target"]["target"]
    world.database.stores[SCHEDULES]["bad-cron"]["cron"] = "never"
    world.clock.advance(minutes=1)
    engine.start()
    (run,) = await fired(world, engine, 1)
    assert run.trigger.schedule_id == "good"
    assert engine.storage.counters.undecodable > 0
    listed = await engine.lists.messages(ALL_SCHEDULES, schedule_to_proto)
    assert [schedule.id for schedule in listed] == ["good", "bad-cron"]


@pytest.mark.trap("i")
async def test_busy_executors_do_not_delay_firing(world: World) -> None:
    """Trap i: with every worker busy schedules still fire, and their runs wait."""
    engine = await world.engine(worker_count=1)
    world.host.hold("run")
    await upsert(world, engine)
    for minute in range(1, 4):
        world.clock.advance(minutes=1)
        await fired(world, engine, minute)
    assert world.host.active == 1


async def test_a_lost_answer_neither_repeats_nor_loses_a_slot(world: World) -> None:
    engine = await world.engine()
    await upsert(world, engine)
    client = client_of(engine)
    lost = iter([True])

    def lose_one(name: str) -> None:
        if next(lost, None):
            unavailable(name)

    client.after = lose_one
    world.clock.advance(minutes=1)
    (run,) = await fired(world, engine, 1)
    await world.finished(engine, run.id)
    assert world.host.runs() == [run.id]
    assert len(world.database.stores[RUNS]) == 1


async def test_fifty_due_schedules_are_one_commit(world: World) -> None:
    engine = await world.engine(start=False)
    for number in range(50):
        await upsert(world, engine, f"s{number}")
    await engine.scheduler._load(world.clock())
    world.clock.advance(minutes=1)
    before = client_of(engine).count
    await engine.scheduler._fire(engine.scheduler._pop_due(world.clock()))
    assert client_of(engine).count - before == 1
    assert len(world.database.stores[RUNS]) == 50


async def test_a_cron_that_never_fires_is_refused_when_written(world: World) -> None:
    with pytest.raises(CronInvalid, match="no occurrence within eight years"):
        checked_timing("0 0 31 2 *", "UTC", world.clock())


async def test_ownership_and_retargeting(world: World) -> None:
    engine = await world.engine(start=False)
    created = await upsert(world, engine)
    with pytest.raises(OwnedByAnother, match='workflow schedule "s" is already owned by target owner "svc"'):
        await upsert(world, engine, target=plugin_target(plugin="other"))
    moved = await upsert(world, engine, target=plugin_target(plugin="other"), retarget=True, requested_by=BOB)
    assert (moved.target.plugin, moved.created_by, moved.created_at) == ("other", ALICE, created.created_at)
    taken = await upsert(world, engine, target=plugin_target(plugin="other"), requested_by=CONFIG)
    assert taken.created_by == CONFIG


async def test_idle_scheduling_reads_nothing_for_schedules_far_away(world: World) -> None:
    engine = await world.engine(start=False)
    for number in range(10):
        await upsert(world, engine, f"s{number}", "0 0 1 1 *")
    await engine.scheduler._load(world.clock())
    assert engine.scheduler._due == []


async def test_of_many_that_are_due_at_once_the_first_are_invoked_before_the_others_fire(world: World) -> None:
    down = await world.engine(start=False)
    for number in range(3 * FIRED_FIRST):
        await upsert(world, down, f"s{number}")
    world.clock.advance(seconds=31)
    gate = world.host.hold("run")
    made: list[int] = []
    engine = await world.engine(start=False)
    client_of(engine).after = lambda _: made.append(len(world.database.stores[RUNS])) if not world.host.calls else None
    engine.start()
    assert len(await fired(world, engine, 3 * FIRED_FIRST)) == 3 * FIRED_FIRST
    assert made[-1] == FIRED_FIRST
    gate.set()


async def test_a_cron_that_is_refused_now_fires_as_before_until_it_is_written_again(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, "old", "* 12 * * *")
    await upsert(world, engine, "same", "* 12 * * *")
    world.database.stores[SCHEDULES]["old"]["cron"] = "*-5 ,12 * * *"
    engine = await world.engine(start=False)
    world.clock.advance(minutes=3)
    await fire_due(engine)
    slots = [run.trigger.slot for run in await scheduled(engine, "old")]
    assert slots
    assert slots == [run.trigger.slot for run in await scheduled(engine, "same")]
    assert (await engine.schedules.pause("old")).cron == "*-5 ,12 * * *"
    assert (await engine.schedules.resume("old")).next_run_at == (await engine.schedules.get("same")).next_run_at
    with pytest.raises(CronInvalid, match="column 1"):
        await upsert(world, engine, "old", "*-5 ,12 * * *")


@pytest.mark.trap("a")
async def test_a_schedule_without_a_further_slot_is_never_due_again(world: World) -> None:
    """29 February 9996 is the last one before the calendar ends."""
    world.clock.now = datetime(9996, 2, 1, tzinfo=UTC)
    engine = await world.engine(start=False)
    await upsert(world, engine, "leap", "0 0 29 2 *")
    await upsert(world, engine, "daily", "0 12 * * *")
    world.clock.now = datetime(9996, 3, 1, 13, tzinfo=UTC)
    await fire_due(engine)
    assert len(await scheduled(engine, "leap")) == len(await scheduled(engine, "daily")) == 1
    assert (await engine.schedules.get("leap")).next_run_at is None
    world.clock.now = datetime(9997, 1, 1, 13, tzinfo=UTC)
    await fire_due(engine)
    assert len(await scheduled(engine, "leap")) == 1
    assert len(await scheduled(engine, "daily")) == 2


async def test_a_schedule_of_an_earlier_build_is_at_the_revision_that_it_was_found_at(world: World) -> None:
    engine = await world.engine()
    await upsert(world, engine)
    world.clock.advance(seconds=31)
    await fired(world, engine, 1)
    record = world.database.stores[SCHEDULES]["s"]
    assert record.pop("edit") < record["revision"]
    record["revision"] += 1  # as that build did when it fired
    found = await engine.schedules.get("s")
    assert found.edit == record["revision"]
    world.clock.advance(minutes=1)
    await fired(world, engine, 2)
    later = await engine.schedules.get("s")
    assert (later.edit, later.revision > found.revision) == (found.edit, True)
