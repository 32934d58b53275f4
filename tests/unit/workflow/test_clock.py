"""A clock that was ahead and is set back, in the process that saw it, after a restart and in other processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from gestalt_workflow.engine import Engine
from gestalt_workflow.firing import plan, scheduler
from gestalt_workflow.model.clock import BELIEVED_AFTER, WatchedClock
from gestalt_workflow.model.objects import CONFIG_SUBJECT, Actor, Run, SlotRange
from gestalt_workflow.model.policies import CatchUp, CatchUpMode, Overlap, Pause, SchedulePolicy
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.stored.records import FORMAT, LANE, RUNS, SCHEDULES

from tests.support.rigs.driving import all_runs, fire_due, ledger, scheduled, upsert
from tests.support.rigs.engine import START, FakeClock, World, client_of, plugin_target
from tests.support.waiting import eventually

HOURLY = "0 * * * *"
CONFIG = Actor(CONFIG_SUBJECT, "system", "Workflow Config", "config")
AHEAD = [timedelta(hours=3), timedelta(days=400)]


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 5, 4, hour, minute, tzinfo=UTC)


def set_clock(world: World, moment: datetime) -> None:
    """Set the clock, as somebody does who sets a clock."""
    world.clock.jump(seconds=(moment - world.clock.now).total_seconds())


async def pass_until(world: World, engine: Engine, moment: datetime) -> None:
    """Let time pass, minute by minute, and fire what is due in each."""
    while world.clock.now < moment:
        world.clock.advance(seconds=min(60.0, (moment - world.clock.now).total_seconds()))
        await fire_due(engine)


def outcomes(entries: list[Run | SlotRange]) -> list[str]:
    """What became of each slot: the hour, and what it did; two lines of one slot would contradict each other."""
    lines = []
    for entry in entries:
        if isinstance(entry, Run):
            assert entry.trigger.slot is not None
            lines.append(f"{entry.trigger.slot:%H} ran")
        else:
            into = f" {entry.into:%H}" if entry.into else ""
            lines.append(f"{entry.first:%H}-{entry.last:%H} {entry.count} {entry.state.name}{into}")
    return lines


async def jump_of_the_example(world: World, engine: Engine, **policy: object) -> None:
    """From 10:05 to 13:20, where the hourly schedule fires, and back to 10:06."""
    set_clock(world, at(10, 5))
    await upsert(world, engine, cron=HOURLY, **policy)  # type: ignore[arg-type]
    await fire_due(engine)
    set_clock(world, at(13, 20))
    await fire_due(engine)
    set_clock(world, at(10, 6))


async def test_an_hourly_schedule_runs_each_slot_once_in_its_time(world: World) -> None:
    engine = await world.engine(start=False)
    await jump_of_the_example(world, engine)
    assert outcomes(await ledger(engine)) == ["11-12 2 COLLAPSED 13", "13 ran"]
    await fire_due(engine)
    assert outcomes(await ledger(engine)) == ["13 ran"]
    assert (await engine.schedules.get("s")).next_run_at == at(11)
    await pass_until(world, engine, at(12, 30))
    assert (await engine.schedules.get("s")).next_run_at == at(14)
    await pass_until(world, engine, at(14, 1))
    assert outcomes(await ledger(engine)) == ["11 ran", "12 ran", "13 ran", "14 ran"]
    made = {run.trigger.slot: run.created_at for run in await scheduled(engine)}
    assert [(made[at(hour)] - at(hour)).total_seconds() < 61 for hour in (11, 12, 14)] == [True] * 3


@pytest.mark.parametrize("ahead", AHEAD, ids=str)
@pytest.mark.parametrize("created_by", [{}, {"requested_by": CONFIG}], ids=["user's", "configured"])
async def test_a_schedule_of_every_minute_is_not_silent(
    world: World, monkeypatch: pytest.MonkeyPatch, ahead: timedelta, created_by: dict[str, Any]
) -> None:
    monkeypatch.setattr(scheduler, "TICK_S", 0.02)
    engine = await world.engine()
    await upsert(world, engine, **created_by)
    await _runs_exist(world, engine, 1, world.clock.jump, ahead)
    world.clock.jump(seconds=60 - ahead.total_seconds())
    await _runs_exist(world, engine, 2, world.clock.advance, timedelta(seconds=60))
    assert next(run.trigger.slot for run in await scheduled(engine)) == START.replace(second=0, minute=2)


async def _runs_exist(world: World, engine: Engine, count: int, move: object, by: timedelta) -> None:
    """Wait until the engine has looked at its clock, let it move on, and wait for that many runs."""
    looked = world.clock.now

    async def has_looked() -> bool | None:
        return True if world.clock.now > looked + timedelta(microseconds=20) else None

    await eventually(has_looked)
    move(seconds=by.total_seconds())  # type: ignore[operator]

    async def made() -> bool | None:
        return True if len(await scheduled(engine)) >= count else None

    await eventually(made)


@pytest.mark.parametrize("ahead", AHEAD, ids=str)
async def test_it_is_noticed_after_a_restart(world: World, ahead: timedelta) -> None:
    down = await world.engine(start=False)
    await upsert(world, down)
    set_clock(world, world.clock.now + ahead)
    await fire_due(down)
    await down.close()
    set_clock(world, world.clock.now - ahead)
    engine = await world.engine(start=False)
    with structlog.testing.capture_logs() as logs:
        await fire_due(engine)
        await pass_until(world, engine, START + timedelta(minutes=3))
    assert [run.trigger.slot for run in await scheduled(engine)][:3] == [
        START.replace(second=0, minute=minute) for minute in (1, 2, 3)
    ]
    (said,) = [line for line in logs if line["event_name"] == "clock.set_back"]
    assert said["by_s"] == pytest.approx(ahead.total_seconds(), abs=1)


async def test_another_process_whose_clock_was_right_all_the_time_notices_it(world: World) -> None:
    wrong = await world.engine(start=False)
    await upsert(world, wrong, cron=HOURLY)
    right = FakeClock()
    world.clock, ahead = right, world.clock
    engine = await world.engine(start=False)
    await fire_due(engine)
    ahead.jump(hours=3)
    await fire_due(wrong)
    await engine.scheduler.look_at_clock()
    await pass_until(world, engine, START + timedelta(hours=2))
    assert outcomes(await ledger(engine)) == ["13 ran", "14 ran", "15 ran"]


async def test_a_jump_is_logged_once_with_its_size(world: World) -> None:
    engine = await world.engine(start=False)
    with structlog.testing.capture_logs() as logs:
        await jump_of_the_example(world, engine)
        await pass_until(world, engine, at(10, 20))
    said = [(line["event_name"], line["by_s"], line.get("schedules")) for line in logs if "by_s" in line]
    forward, back = said[-2:]
    assert (forward[0], forward[1]) == ("clock.set_forward", pytest.approx(3 * 3600 + 900, abs=1))
    assert back == ("clock.set_back", pytest.approx(3 * 3600 + 840, abs=1), 1)
    assert [line[0] for line in said].count("clock.set_back") == 2  # one of them is the test's own, to 10:05


async def test_a_schedule_made_or_changed_while_the_clock_was_ahead_counts_from_now(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, "changed", cron="0 0 * * *")
    set_clock(world, at(15, 20))
    await upsert(world, engine, "made", cron=HOURLY)
    await upsert(world, engine, "changed", cron=HOURLY)
    await fire_due(engine)
    await engine.close()
    set_clock(world, at(12, 20))
    engine = await world.engine(start=False)
    await pass_until(world, engine, at(13, 1))
    assert sorted(run.id for run in await all_runs(engine)) == [
        "schedule:changed:2026-05-04T13:00:00Z",
        "schedule:made:2026-05-04T13:00:00Z",
    ]


async def test_a_slot_that_fell_behind_while_the_clock_was_ahead_stays_collapsed(world: World) -> None:
    engine = await world.engine(start=False)
    await jump_of_the_example(world, engine)
    set_clock(world, at(11, 30))
    await pass_until(world, engine, at(14, 1))
    assert outcomes(await ledger(engine)) == ["11-11 1 COLLAPSED 13", "12 ran", "13 ran", "14 ran"]


@pytest.mark.parametrize("mode", list(CatchUpMode))
@pytest.mark.parametrize("overlap", list(Overlap))
async def test_downtime_over_a_slot_that_fired_early_gives_each_slot_one_outcome(
    world: World, mode: CatchUpMode, overlap: Overlap
) -> None:
    engine = await world.engine(start=False)
    await jump_of_the_example(world, engine, policy=SchedulePolicy(CatchUp(mode), overlap))
    await fire_due(engine)
    for early in await scheduled(engine):
        await engine.runs.cancel(early.id, "")
    world.clock.advance(hours=5)
    await fire_due(engine)
    seen: list[datetime] = []
    for entry in await ledger(engine):
        if isinstance(entry, Run):
            assert entry.trigger.slot is not None
            seen.append(entry.trigger.slot)
        else:
            slots = [at(hour) for hour in range(entry.first.hour, entry.last.hour + 1)]
            assert len(slots) == entry.count
            seen += slots
    assert sorted(seen) == [at(hour) for hour in range(11, 16)]


async def test_down_until_a_slot_that_fired_early_collapses_the_others_into_it(world: World) -> None:
    engine = await world.engine(start=False)
    await jump_of_the_example(world, engine)
    await fire_due(engine)
    set_clock(world, at(10, 7))
    world.clock.advance(hours=3)
    await fire_due(engine)
    assert outcomes(await ledger(engine)) == ["11-12 2 COLLAPSED 13", "13 ran"]
    assert (await engine.schedules.get("s")).next_run_at == at(14)


async def test_overlaps_before_and_behind_an_early_slot_are_two_ranges(world: World) -> None:
    engine = await world.engine(start=False)
    await jump_of_the_example(world, engine, policy=SchedulePolicy(overlap=Overlap.SKIP))
    await pass_until(world, engine, at(15, 1))
    assert outcomes(await ledger(engine)) == ["11-12 2 OVERLAP", "13 ran", "14-15 2 OVERLAP"]


async def test_a_slot_that_waits_for_its_jitter_is_planned_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "slot_delay", lambda *_: timedelta(minutes=7))
    engine = await world.engine(start=False)
    set_clock(world, at(10, 5))
    await upsert(world, engine, cron=HOURLY, policy=SchedulePolicy(jitter=timedelta(minutes=10)))
    set_clock(world, at(11, 3))
    await fire_due(engine)
    set_clock(world, at(13, 20))
    await fire_due(engine)
    set_clock(world, at(11, 4))
    await fire_due(engine)
    assert (await engine.schedules.get("s")).next_run_at == at(11)
    await pass_until(world, engine, at(14, 8))
    assert outcomes(await ledger(engine)) == ["11 ran", "12 ran", "13 ran", "14 ran"]
    made = {run.trigger.slot: run.created_at for run in await scheduled(engine)}
    assert at(11, 7) <= made[at(11)] < at(11, 9)


async def test_a_pause_that_ended_early_is_in_force_again(world: World) -> None:
    engine = await world.engine(start=False)
    set_clock(world, at(10, 5))
    await upsert(world, engine, cron=HOURLY)
    await engine.schedules.pause("s", Pause(note="holiday", until=at(12, 30)))
    set_clock(world, at(13, 20))
    await fire_due(engine)
    assert not (await engine.schedules.get("s")).paused
    set_clock(world, at(10, 6))
    await fire_due(engine)
    again = await engine.schedules.get("s")
    assert again.paused
    assert again.pause is not None
    assert (again.pause.note, again.pause.until) == ("holiday", at(12, 30))
    await pass_until(world, engine, at(14, 1))
    assert outcomes(await ledger(engine)) == ["11-12 2 PAUSED", "13 ran", "14 ran"]


async def test_a_jump_is_found_by_one_message_and_firing_pays_none(world: World) -> None:
    engine = await world.engine(start=False)
    for number in range(50):
        await upsert(world, engine, f"s{number}")
    world.clock.advance(minutes=1)
    await fire_due(engine)
    world.clock.advance(minutes=1)
    await engine.scheduler._load(world.clock())
    before = client_of(engine).count
    await engine.scheduler._fire(engine.scheduler._pop_due(world.clock()))
    assert client_of(engine).count - before == 1
    assert world.database.stores[FORMAT]["clock"]["latest"] > world.clock.now - timedelta(seconds=3)
    before = client_of(engine).count
    await engine.scheduler.look_at_clock()
    await engine.scheduler._check_clock()
    assert client_of(engine).count - before == 1


async def test_a_jump_cut_off_by_the_store_is_finished_later(world: World) -> None:
    engine = await world.engine(start=False)
    await jump_of_the_example(world, engine)
    kept = dict(world.database.stores[SCHEDULES])
    world.database.stores[SCHEDULES].clear()
    await fire_due(engine)  # the pass finds nothing, as one that is cut off
    world.database.stores[SCHEDULES].update(kept)
    world.database.stores[FORMAT]["clock"]["latest"] = at(13, 20)
    again = await world.engine(start=False)
    await pass_until(world, again, at(11, 1))
    assert "11 ran" in outcomes(await ledger(again))


def test_the_watched_clock_tells_jumps_from_time_that_passes() -> None:
    clock = FakeClock()
    watched = WatchedClock(clock, clock.monotonic)
    clock.advance(days=3)
    assert (watched.set_back(), watched.set_forward()) == (timedelta(), timedelta())
    clock.jump(hours=3)
    assert watched.set_forward() == timedelta(hours=3)
    assert watched() - watched.steady() >= timedelta(hours=3) - timedelta(seconds=1)
    clock.jump(hours=-2)
    assert watched.set_back() == timedelta(hours=2)
    assert watched.set_back() == timedelta()
    clock.advance(seconds=BELIEVED_AFTER.total_seconds() + 1)
    assert abs(watched() - watched.steady()) < timedelta(seconds=1)


def test_corrections_within_the_slack_are_no_jumps() -> None:
    clock = FakeClock()
    watched = WatchedClock(clock, clock.monotonic)
    for _ in range(100):
        clock.jump(seconds=-2)
        assert watched.set_back() == timedelta()
    assert abs(watched() - watched.steady()) < timedelta(seconds=1)


async def test_a_run_that_came_while_the_clock_was_ahead_has_its_turn(world: World) -> None:
    engine = await world.engine(start=False, max_concurrent_per_target=1)
    lane = "svc"
    world.clock.jump(days=400)
    early = await engine.runs.start(StartRequest(plugin_target()))
    aside = await engine.runs.start(StartRequest(plugin_target()))
    world.database.stores[RUNS][aside.id] |= {"queue": f"{LANE}{lane}"}
    await fire_due(engine)
    world.clock.jump(days=-400)
    await fire_due(engine)
    world.clock.advance(seconds=1)
    late = await engine.runs.start(StartRequest(plugin_target()))
    ranks = [(await engine.runs.get(run.id)).rank_at for run in (early, aside, late)]
    assert None not in ranks
    assert max(ranks[:2]) < ranks[2]  # type: ignore[type-var, operator]
    assert (await engine.runs.get(aside.id)).lane == lane


async def test_a_schedule_that_was_paused_meanwhile_is_planned_anew_too(world: World) -> None:
    """Its ledger says of slots to come that they were collapsed into one that fired early."""
    engine = await world.engine(start=False)
    await upsert(world, engine)
    world.clock.jump(days=72)
    await fire_due(engine)
    await engine.schedules.pause("s")
    world.clock.jump(days=-72)
    await fire_due(engine)
    await engine.schedules.resume("s")
    world.clock.advance(minutes=2)
    await fire_due(engine)
    slots = [run.trigger.slot for run in await scheduled(engine) if run.trigger.slot is not None]
    assert min(slots) < START + timedelta(minutes=3)
    ranges = [item for item in await ledger(engine) if isinstance(item, SlotRange)]
    assert not [slot for slot in slots if any(r.first <= slot <= r.last for r in ranges)]


async def test_what_was_planned_is_noted_at_once_also_when_another_process_has_noted_something_else(
    world: World,
) -> None:
    """Else nobody would know of the jump when the process dies before it looks at its clock again."""
    engine, other = await world.engine(start=False), await world.engine(start=False)
    set_clock(world, at(10, 5))
    await upsert(world, engine, cron=HOURLY)
    await fire_due(engine)
    await other.scheduler.latest.read()
    await other.scheduler.latest.lower(at(10, 1))
    set_clock(world, at(13, 20))
    await fire_due(engine)
    set_clock(world, at(10, 6))
    await fire_due(await world.engine(start=False))
    assert (await other.schedules.get("s")).next_run_at == at(11)


async def test_a_schedule_made_while_the_clock_was_ahead_is_noted_whatever_others_have_noted(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    set_clock(world, at(10, 5))
    await upsert(world, engine, cron=HOURLY)
    await fire_due(engine)
    await other.scheduler.latest.read()
    await other.scheduler.latest.lower(at(10, 1))
    set_clock(world, at(13, 20))
    await upsert(world, engine, "made", cron=HOURLY)
    await engine.scheduler._check_clock()
    await other.scheduler.latest.read()
    noted = other.scheduler.latest.moment
    assert noted is not None
    assert noted >= at(13, 20)
