"""Catch-up, overlap, jitter and pauses, on a clock that the test turns; nothing set means the plain behaviour."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from gestalt_workflow.engine import Engine
from gestalt_workflow.firing import plan
from gestalt_workflow.model.objects import NOBODY, Event, EventMatch, RunStatus, SlotRange, SlotState
from gestalt_workflow.model.policies import CatchUp, CatchUpMode, Overlap, Pause, SchedulePolicy, slot_delay
from gestalt_workflow.objects.triggers import TriggerRequest

from tests.support.rigs.driving import all_runs, ended, fire_due, ledger, minutes, scheduled, upsert
from tests.support.rigs.engine import START, World, client_of, plugin_target
from tests.support.waiting import eventually

ALL = CatchUp(CatchUpMode.ALL)


def overlapping(overlap: Overlap, catchup: CatchUp | None = None) -> SchedulePolicy:
    return SchedulePolicy(overlap=overlap, catchup=catchup or CatchUp())


# Catch-up


async def test_all_missed_slots_fire_in_order(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(catchup=ALL))
    world.clock.advance(minutes=7)
    await fire_due(engine)
    runs = await scheduled(engine)
    assert minutes(runs) == [1, 2, 3, 4, 5, 6, 7]
    assert [run.id for run in await all_runs(engine)] == [run.id for run in runs]
    assert (await engine.schedules.get("s")).next_run_at == datetime(2026, 5, 4, 12, 8, tzinfo=UTC)
    engine.start()
    await ended(engine, runs[-1])
    assert world.host.runs() == [run.id for run in runs]


async def test_of_more_missed_slots_than_the_cap_the_newest_fire(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(catchup=CatchUp(CatchUpMode.ALL, cap=3)))
    world.clock.advance(minutes=10)
    await fire_due(engine)
    assert minutes(await scheduled(engine)) == [8, 9, 10]
    skipped = (await ledger(engine))[0]
    assert isinstance(skipped, SlotRange)
    assert (skipped.state, skipped.first.minute, skipped.last.minute, skipped.count) == (SlotState.CATCH_UP, 1, 7, 7)


async def test_a_long_catch_up_goes_in_several_commits_and_repeats_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "RUNS_AT_ONCE", 10)
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(catchup=CatchUp(CatchUpMode.ALL, cap=35)))
    world.clock.advance(minutes=50)
    await fire_due(engine)
    assert minutes(await scheduled(engine)) == list(range(16, 51))
    assert [type(entry).__name__ for entry in await ledger(engine)] == ["SlotRange"] + ["Run"] * 35


@pytest.mark.parametrize(
    ("catchup", "fires"),
    [
        (CatchUp(), True),
        (CatchUp(window=timedelta(minutes=5)), True),
        (CatchUp(window=timedelta(seconds=20)), False),
        (CatchUp(CatchUpMode.NONE), True),
        (CatchUp(CatchUpMode.NONE, timedelta(seconds=20)), False),
        (CatchUp(CatchUpMode.ALL, timedelta(seconds=20)), False),
    ],
)
async def test_a_slot_later_than_the_window_does_not_fire(world: World, catchup: CatchUp, fires: bool) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, cron="*/10 * * * *", policy=SchedulePolicy(catchup=catchup))
    world.clock.advance(minutes=30)  # 12:30:30: the latest slot is 30 s late
    await fire_due(engine)
    assert minutes(await scheduled(engine)) == ([30] if fires else [])
    assert (await engine.schedules.get("s")).next_run_at == datetime(2026, 5, 4, 12, 40, tzinfo=UTC)
    entries = [entry for entry in await ledger(engine) if isinstance(entry, SlotRange)]
    assert sum(entry.count for entry in entries) == (2 if fires else 3)


async def test_a_window_splits_what_collapses_from_what_is_too_late(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(catchup=CatchUp(window=timedelta(minutes=3))))
    world.clock.advance(minutes=10)
    await fire_due(engine)
    late, collapsed, run = await ledger(engine)
    assert isinstance(late, SlotRange)
    assert isinstance(collapsed, SlotRange)
    assert (late.state, late.count, collapsed.state, collapsed.count) == (SlotState.CATCH_UP, 7, SlotState.COLLAPSED, 2)
    assert collapsed.into == datetime(2026, 5, 4, 12, 10, tzinfo=UTC)
    assert not isinstance(run, SlotRange)
    assert run.trigger.slot == collapsed.into


# Overlap


async def step(world: World, engine: Engine, count: int = 1) -> None:
    for _ in range(count):
        world.clock.advance(minutes=1)
        await fire_due(engine)


async def active(world: World, count: int) -> None:
    async def probe() -> bool | None:
        return True if world.host.active == count else None

    await eventually(probe)


async def test_without_a_policy_runs_overlap(world: World) -> None:
    engine = await world.engine()
    world.host.hold("run")
    await upsert(world, engine)
    await step(world, engine, 3)
    await active(world, 3)


async def test_skip_drops_slots_while_a_run_has_not_ended(world: World) -> None:
    engine = await world.engine()
    gate = world.host.hold("run")
    await upsert(world, engine, policy=overlapping(Overlap.SKIP))
    await step(world, engine, 4)
    (run,) = await scheduled(engine)
    gate.set()
    await ended(engine, run)
    await step(world, engine)
    assert minutes(await scheduled(engine)) == [1, 5]
    skipped = (await ledger(engine))[1]
    assert isinstance(skipped, SlotRange)
    assert (skipped.state, skipped.first.minute, skipped.last.minute, skipped.count, skipped.run_id) == (
        SlotState.OVERLAP,
        2,
        4,
        3,
        run.id,
    )


async def test_queue_one_holds_one_run_back_until_the_other_has_ended(world: World) -> None:
    engine = await world.engine()
    gate = world.host.hold("run")
    await upsert(world, engine, policy=overlapping(Overlap.QUEUE_ONE))
    await step(world, engine, 4)
    first, second = await scheduled(engine)
    assert minutes([first, second]) == [1, 2]
    assert (second.status, second.blocked_by, second.rank_at) == (RunStatus.PENDING, first.id, None)
    assert world.host.runs() == [first.id]
    gate.set()
    await ended(engine, first)
    assert (await ended(engine, second)).blocked_by == ""
    assert world.host.runs() == [first.id, second.id]
    assert world.host.most_active == 1
    await step(world, engine)
    assert minutes(await scheduled(engine)) == [1, 2, 5]


async def test_canceling_the_queued_run_does_not_let_the_next_overlap(world: World) -> None:
    engine = await world.engine()
    world.host.hold("run")
    await upsert(world, engine, policy=overlapping(Overlap.QUEUE_ONE))
    await step(world, engine, 2)
    _, queued = await scheduled(engine)
    await engine.runs.cancel(queued.id, "")
    await step(world, engine)
    runs = await scheduled(engine)
    assert [run.status for run in runs] == [RunStatus.RUNNING, RunStatus.CANCELED, RunStatus.PENDING]
    assert runs[2].blocked_by == runs[0].id
    assert world.host.active == 1


async def test_a_queued_run_is_released_by_another_process_when_its_own_is_gone(world: World) -> None:
    down = await world.engine(start=False)
    await upsert(world, down, policy=overlapping(Overlap.QUEUE_ONE))
    await step(world, down, 2)
    first, second = await scheduled(down)
    await down.close()
    engine = await world.engine()
    await ended(engine, first)
    await ended(engine, second)
    assert world.host.runs() == [first.id, second.id]


async def test_cancel_previous_ends_the_run_in_the_commit_that_fires(world: World) -> None:
    engine = await world.engine()
    world.host.hold("run")
    await upsert(world, engine, policy=overlapping(Overlap.CANCEL_PREVIOUS))
    await step(world, engine)
    await active(world, 1)
    commits = engine.storage.counters.commits
    world.clock.advance(minutes=1)
    await fire_due(engine)
    assert engine.storage.counters.commits - commits <= 2  # the firing, and perhaps the claim behind it
    first, second = await scheduled(engine)
    assert (first.status, first.status_message) == (
        RunStatus.CANCELED,
        plan.SUPERSEDED,
    )
    assert second.status is not RunStatus.CANCELED
    await active(world, 1)
    assert world.host.runs() == [first.id, second.id]


@pytest.mark.parametrize(
    ("overlap", "fired", "blocked", "skipped"),
    [
        (Overlap.SKIP, [1], [False], (SlotState.OVERLAP, 4)),
        (Overlap.QUEUE_ONE, [1, 2], [False, True], (SlotState.OVERLAP, 3)),
        (Overlap.CANCEL_PREVIOUS, [5], [False], (SlotState.COLLAPSED, 4)),
    ],
)
async def test_catch_up_of_all_keeps_to_the_overlap_policy(
    world: World, overlap: Overlap, fired: list[int], blocked: list[bool], skipped: tuple[SlotState, int]
) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=overlapping(overlap, ALL))
    world.clock.advance(minutes=5)
    await fire_due(engine)
    runs = await scheduled(engine)
    assert minutes(runs) == fired
    assert [bool(run.blocked_by) for run in runs] == blocked
    (entry,) = [entry for entry in await ledger(engine) if isinstance(entry, SlotRange)]
    assert (entry.state, entry.count) == skipped


@pytest.mark.parametrize("overlap", list(Overlap))
async def test_replicas_that_fire_the_same_slot_decide_once(world: World, overlap: Overlap) -> None:
    engines = [await world.engine(start=False) for _ in range(3)]
    await upsert(world, engines[0], policy=overlapping(overlap))
    for _ in range(3):
        world.clock.advance(minutes=1)
        for engine in engines:
            await engine.scheduler._load(world.clock())
        for engine in engines:
            await engine.scheduler._fire(engine.scheduler._pop_due(world.clock()))
    runs = await scheduled(engines[0])
    assert minutes(runs) == {Overlap.SKIP: [1], Overlap.QUEUE_ONE: [1, 2]}.get(overlap, [1, 2, 3])
    if overlap is Overlap.CANCEL_PREVIOUS:
        assert Counter(run.status for run in runs) == {RunStatus.CANCELED: 2, RunStatus.PENDING: 1}
    assert len([e for e in await ledger(engines[0]) if isinstance(e, SlotRange)]) == (
        1 if overlap in (Overlap.SKIP, Overlap.QUEUE_ONE) else 0
    )


async def test_a_run_that_ends_between_the_look_and_the_commit_does_not_lose_the_slot(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=overlapping(Overlap.SKIP))
    await step(world, engine)
    (run,) = await scheduled(engine)
    world.clock.advance(minutes=1)
    await engine.scheduler._load(world.clock())
    client = client_of(engine)
    rival = await world.engine(start=False)

    def end_it(name: str) -> None:
        if name == "apply":
            client.before = None
            record = world.database.stores["wf_runs"][run.id]
            record["status"], record["revision"] = int(RunStatus.CANCELED), record["revision"] + 1
            del record["queue"], record["rank_at"]

    client.before = end_it
    await fire_due(engine)
    assert minutes(await scheduled(rival)) == [1, 2]


# Jitter


def test_jitter_is_the_same_every_time_spread_out_and_before_the_next_slot() -> None:
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    delays = [slot_delay(f"s{number}", START, hour, START + minute) for number in range(500)]
    assert delays == [slot_delay(f"s{number}", START, hour, START + minute) for number in range(500)]
    assert all(timedelta() <= delay < minute for delay in delays)
    assert len(set(delays)) > 450
    assert max(delays) > minute * 0.9
    assert min(delays) < minute * 0.1
    assert slot_delay("s", START, timedelta(), None) == timedelta()


async def test_a_schedule_with_jitter_fires_later_by_its_delay_and_keeps_its_slot(world: World) -> None:
    engine = await world.engine(start=False)
    schedule = await upsert(world, engine, cron="*/10 * * * *", policy=SchedulePolicy(jitter=timedelta(minutes=5)))
    slot = datetime(2026, 5, 4, 12, 10, tzinfo=UTC)
    assert schedule.next_run_at == slot
    assert schedule.due_at is not None
    assert timedelta() < schedule.due_at - slot < timedelta(minutes=5)
    world.clock.now = schedule.due_at - timedelta(seconds=1)
    await fire_due(engine)
    assert await scheduled(engine) == []
    world.clock.now = schedule.due_at
    await fire_due(engine)
    (run,) = await scheduled(engine)
    assert run.trigger.slot == slot
    assert run.created_at >= schedule.due_at
    assert (await engine.schedules.get("s")).next_run_at == slot + timedelta(minutes=10)


async def test_an_outage_with_jitter_fires_no_slot_before_its_moment(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, cron="*/10 * * * *", policy=SchedulePolicy(jitter=timedelta(minutes=10)))
    slot = datetime(2026, 5, 4, 15, 0, tzinfo=UTC)
    world.clock.now = slot + timedelta(microseconds=1)
    await fire_due(engine)
    assert (await scheduled(engine))[0].trigger.slot == slot - timedelta(minutes=10)
    assert (await engine.schedules.get("s")).next_run_at == slot


# Pauses


async def test_a_pause_keeps_note_and_actor_and_ends_by_itself(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    until = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    paused = await engine.schedules.pause("s", Pause("holiday", "user:alice", "Alice", until))
    assert paused.pause is not None
    assert paused.pause.note == "holiday"
    assert paused.pause.paused_at is not None
    assert (await engine.schedules.pause("s")).pause == paused.pause
    world.clock.advance(minutes=20)
    await fire_due(engine)
    assert await scheduled(engine) == []
    world.clock.now = until + timedelta(seconds=1)
    await fire_due(engine)
    resumed = await engine.schedules.get("s")
    assert not resumed.paused
    assert resumed.pause is None
    assert minutes(await scheduled(engine)) == [30]  # the moment of its end belongs to the time after it
    skipped = (await ledger(engine))[0]
    assert isinstance(skipped, SlotRange)
    assert (skipped.state, skipped.first.minute, skipped.last.minute, skipped.count) == (SlotState.PAUSED, 1, 29, 29)


async def test_a_pause_that_ended_during_an_outage_is_caught_up_from_its_end(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(catchup=ALL))
    await engine.schedules.pause("s", Pause(until=datetime(2026, 5, 4, 12, 30, tzinfo=UTC)))
    world.clock.advance(minutes=32)
    await fire_due(engine)
    assert minutes(await scheduled(engine)) == [30, 31, 32]


async def test_an_upsert_without_policies_removes_them(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=overlapping(Overlap.SKIP), paused=True, pause=Pause("n"))
    again = await upsert(world, engine, paused=True)
    assert again.policy == SchedulePolicy()
    assert again.pause is not None
    assert again.pause.note == ""
    assert (await upsert(world, engine)).pause is None


async def test_a_trigger_matches_again_when_its_pause_has_expired(world: World) -> None:
    engine = await world.engine(start=False)
    await engine.triggers.upsert(TriggerRequest("t", EventMatch("x"), plugin_target()))
    await engine.triggers.pause("t", Pause("n", until=START + timedelta(minutes=5)))
    event = [Event(f"e{number}", "s", "x", "", b"") for number in range(2)]
    assert await engine.events.publish(event[0], NOBODY) == []
    assert (await engine.triggers.get("t")).paused
    world.clock.advance(minutes=5)
    assert len(await engine.events.publish(event[1], NOBODY)) == 1
    assert not (await engine.triggers.get("t")).paused


async def test_a_pause_until_a_moment_that_has_gone_by_makes_no_old_slot_due(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(catchup=ALL))
    await engine.schedules.pause("s", Pause(until=START - timedelta(hours=2)))
    world.clock.advance(minutes=2)
    await fire_due(engine)
    assert minutes(await scheduled(engine)) == [1, 2]
    assert not any(isinstance(entry, SlotRange) for entry in await ledger(engine))


@pytest.mark.trap(17)
@pytest.mark.parametrize("mode", list(CatchUpMode))
async def test_catching_up_makes_no_slot_twice(world: World, mode: CatchUpMode) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(CatchUp(mode)))
    world.clock.advance(minutes=7)
    await other.scheduler._load(world.clock())
    await fire_due(engine)
    await other.scheduler._fire(other.scheduler._pop_due(world.clock()))
    runs = await scheduled(engine)
    assert len({run.id for run in runs}) == len(runs) == {1: 1, 2: 7, 3: 1}[mode]
