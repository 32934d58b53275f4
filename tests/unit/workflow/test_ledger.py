"""The slot ledger: every slot that was due has one outcome, whatever became of the schedule (decision 5)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from gestalt_workflow.edge.slots_service import SlotsServicer
from gestalt_workflow.firing import ledger as ledger_module
from gestalt_workflow.firing.slots import Remark, count_slots, last_slots, next_slot, next_slots, remark
from gestalt_workflow.model.objects import Run, SlotRange, SlotState
from gestalt_workflow.model.policies import CatchUp, CatchUpMode, Overlap, Pause, SchedulePolicy
from gestalt_workflow.stored.records import SCHEDULES, SLOTS

from gestalt_sdk.gen.extension.v1 import slots_pb2
from gestalt_sdk.timing.cron import parse_cron
from gestalt_sdk.transport.values import from_timestamp
from tests.support.rigs.driving import fire_due, ledger, minutes, scheduled, upsert
from tests.support.rigs.engine import START, World, client_of, plugin_target
from tests.support.waiting import eventually


def only_range(entries: list[Run | SlotRange]) -> SlotRange:
    (found,) = [entry for entry in entries if isinstance(entry, SlotRange)]
    return found


async def test_a_months_outage_is_one_row(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    world.clock.advance(days=30)
    await fire_due(engine)
    outage, run = await ledger(engine)
    assert isinstance(outage, SlotRange)
    assert isinstance(run, Run)
    assert outage.state is SlotState.COLLAPSED
    assert outage.into == run.trigger.slot
    assert outage.count == 30 * 24 * 60 - 1
    assert outage.into is not None
    assert (outage.first, outage.last) == (START.replace(minute=1, second=0), outage.into - timedelta(minutes=1))
    assert len(world.database.stores[SLOTS]) == 1


async def test_the_row_is_written_in_the_commit_that_fires(world: World) -> None:
    engine = await world.engine(start=False)
    for number in range(50):
        await upsert(world, engine, f"s{number}")
    world.clock.advance(minutes=10)
    await engine.scheduler._load(world.clock())
    before = client_of(engine).count
    await engine.scheduler._fire(engine.scheduler._pop_due(world.clock()))
    assert client_of(engine).count - before == 1
    assert len(world.database.stores[SLOTS]) == 50


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE_ONE, Overlap.CANCEL_PREVIOUS])
async def test_an_overlap_policy_costs_one_read_a_batch(world: World, overlap: Overlap) -> None:
    engine = await world.engine(start=False)
    for number in range(50):
        await upsert(world, engine, f"s{number}", policy=SchedulePolicy(overlap=overlap))
    for _ in range(2):
        world.clock.advance(minutes=1)
        await engine.scheduler._load(world.clock())
        before = client_of(engine).count
        await engine.scheduler._fire(engine.scheduler._pop_due(world.clock()))
        cost = client_of(engine).count - before
    assert cost == 2


async def test_a_week_of_overlaps_is_one_row_until_something_fires(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine, policy=SchedulePolicy(overlap=Overlap.SKIP))
    for _ in range(30):
        world.clock.advance(minutes=1)
        await fire_due(engine)
    skipped = only_range(await ledger(engine))
    assert (skipped.state, skipped.count) == (SlotState.OVERLAP, 29)
    (run,) = await scheduled(engine)
    await engine.runs.cancel(run.id, "")
    for _ in range(3):
        world.clock.advance(minutes=1)
        await fire_due(engine)
    kinds = [(entry.count if isinstance(entry, SlotRange) else 0) for entry in await ledger(engine)]
    assert kinds == [0, 29, 0, 2]


async def test_slots_missed_while_paused_are_noted_on_resume_and_seen_before(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    await engine.schedules.pause("s")
    world.clock.advance(minutes=5)
    seen = only_range(await ledger(engine))
    assert (seen.state, seen.count, seen.id) == (SlotState.PAUSED, 5, "")
    await engine.schedules.resume("s")
    noted = only_range(await ledger(engine))
    assert (noted.state, noted.count) == (SlotState.PAUSED, 5)
    assert noted.id
    await engine.schedules.pause("s")
    world.clock.advance(minutes=5)
    await engine.schedules.resume("s")
    assert only_range(await ledger(engine)).count == 10


@pytest.mark.parametrize("change", ["cron", "pause", "delete"])
async def test_slots_that_nothing_looked_at_are_noted_when_the_schedule_changes(world: World, change: str) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    world.clock.advance(minutes=4)
    due = only_range(await ledger(engine))
    assert (due.state, due.count, due.id) == (SlotState.NEVER_LOADED, 4, "")
    if change == "cron":
        await upsert(world, engine, cron="0 0 * * *")
    elif change == "pause":
        await upsert(world, engine, paused=True)
    else:
        await engine.schedules.delete("s")
    noted = only_range(await ledger(engine))
    assert (noted.state, noted.count) == (SlotState.NEVER_LOADED, 4)
    assert noted.id


async def test_an_upsert_that_keeps_the_timing_notes_nothing(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    world.clock.advance(minutes=4)
    await upsert(world, engine, target=plugin_target("other"))
    assert world.database.stores[SLOTS] == {}


async def test_a_schedule_whose_expression_became_unreadable_loses_no_slot(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    world.database.stores[SCHEDULES]["s"]["cron"] = "never"
    world.clock.advance(minutes=4)
    await fire_due(engine)
    await upsert(world, engine)
    assert only_range(await ledger(engine)).state is SlotState.NEVER_LOADED


async def test_a_clock_set_back_fires_nothing_twice_and_slots_that_were_collapsed_in_their_time(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    world.clock.jump(minutes=5)
    await fire_due(engine)
    world.clock.jump(minutes=-5)
    await fire_due(engine)
    for _ in range(6):
        world.clock.advance(minutes=1)
        await fire_due(engine)
    entries = await ledger(engine)
    assert minutes([entry for entry in entries if isinstance(entry, Run)]) == [1, 2, 3, 4, 5, 6]
    assert len(entries) == 6


async def test_a_clock_set_back_and_a_resume_do_not_repeat_a_run(world: World) -> None:
    engine = await world.engine()
    await upsert(world, engine)
    world.clock.advance(minutes=1)
    await fire_due(engine)
    (run,) = await scheduled(engine)
    await world.finished(engine, run.id)
    world.clock.jump(minutes=-1)
    await engine.schedules.pause("s")
    await engine.schedules.resume("s")
    world.clock.advance(minutes=1)
    await fire_due(engine)
    assert world.host.runs() == [run.id]
    assert (await engine.schedules.get("s")).next_run_at == run.trigger.slot + timedelta(minutes=1)  # type: ignore[operator]


@pytest.mark.parametrize("hours", [3, 24 * 30])
async def test_a_clock_set_forward_or_a_suspended_machine_is_an_outage(world: World, hours: int) -> None:
    """The process goes on as before; all it sees is that much later it is."""
    engine = await world.engine()
    await upsert(world, engine)
    world.clock.advance(hours=hours)

    async def noticed() -> list[Run] | None:
        return await scheduled(engine) or None

    (run,) = await eventually(noticed)
    outage, fired = await ledger(engine)
    assert isinstance(outage, SlotRange)
    assert isinstance(fired, Run)
    assert fired.id == run.id
    assert (outage.state, outage.count, outage.into) == (SlotState.COLLAPSED, hours * 60 - 1, run.trigger.slot)
    await world.finished(engine, run.id)
    assert world.host.runs() == [run.id]


async def test_firing_after_half_a_century_is_one_run_and_one_row(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    world.clock.advance(days=50 * 365)
    await fire_due(engine)
    outage, run = await ledger(engine)
    assert isinstance(outage, SlotRange)
    assert isinstance(run, Run)
    assert outage.count == 50 * 365 * 24 * 60 - 1


@pytest.mark.parametrize("jitter_s", [0, 200])
@pytest.mark.parametrize(
    ("cron", "zone", "begin"),
    [
        ("*/20 1-3 * * *", "Europe/Berlin", datetime(2026, 10, 24, 20, tzinfo=UTC)),
        ("*/20 * * * *", "Europe/Berlin", datetime(2026, 3, 28, 23, 30, tzinfo=UTC)),
        ("15,45 1,2 * * *", "Australia/Lord_Howe", datetime(2026, 4, 3, 12, tzinfo=UTC)),
        ("0 0,12 * * *", "Africa/Cairo", datetime(2026, 4, 22, tzinfo=UTC)),
        ("0 0 29 2 *", "UTC", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
async def test_what_the_preview_shows_is_what_fires(
    world: World, cron: str, zone: str, begin: datetime, jitter_s: int
) -> None:
    world.clock.now = begin
    engine = await world.engine(start=False)
    policy = SchedulePolicy(jitter=timedelta(seconds=jitter_s))
    await upsert(world, engine, cron=cron, timezone=zone, policy=policy)
    slots_service = SlotsServicer(lambda: engine)
    request = slots_pb2.PreviewSlotsRequest(schedule_id="s", count=2 if "29" in cron else 12)
    shown = (await slots_service.PreviewSlots(request, cast(Any, None))).slots
    for upcoming in shown:
        fires_at = from_timestamp(upcoming.fires_at)
        world.clock.now = fires_at - timedelta(seconds=1)
        await fire_due(engine)
        world.clock.now = fires_at
        await fire_due(engine)
    runs = await scheduled(engine)
    assert [run.trigger.slot for run in runs] == [from_timestamp(upcoming.slot) for upcoming in shown]
    lateness = [run.created_at - from_timestamp(upcoming.fires_at) for run, upcoming in zip(runs, shown, strict=True)]
    assert all(timedelta() <= late < timedelta(seconds=1) for late in lateness)
    assert all(isinstance(entry, Run) for entry in await ledger(engine))


async def test_pages_meet_and_time_ranges_cut(world: World) -> None:
    engine = await world.engine(start=False)
    await upsert(world, engine)
    await upsert(world, engine, "s2")
    for number in range(12):
        world.clock.advance(minutes=1 + number % 3)
        await fire_due(engine)
    whole = await ledger(engine)
    assert len(whole) == 20
    for limit in (1, 2, 3, 7):
        assert await ledger(engine, limit=limit) == whole
    first, last = whole[5], whole[12]
    since = first.last if isinstance(first, SlotRange) else first.trigger.slot
    until = last.first if isinstance(last, SlotRange) else last.trigger.slot
    page = await engine.ledger.page("s", since, until, 100)
    assert list(page.slots)[::-1] == whole[5:12]
    assert page.following is None
    assert (await engine.ledger.page("unknown", None, None, 10)).slots == []


async def test_the_ledger_is_bounded_by_count_and_age(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "RANGES_KEPT", 5)
    engine = await world.engine(start=False)
    await upsert(world, engine)
    for _ in range(9):
        world.clock.advance(minutes=2)
        await fire_due(engine)
    ranges = [entry for entry in await ledger(engine) if isinstance(entry, SlotRange)]
    assert len(ranges) == 5
    assert ranges[-1].last.minute == 17
    world.clock.advance(days=89)
    assert await engine.ledger.trim() == 0
    world.clock.advance(days=2)
    assert await engine.ledger.trim() == 5
    assert world.database.stores[SLOTS] == {}


async def test_how_long_ranges_stay_is_configured_and_one_that_grows_meanwhile_stays(world: World) -> None:
    engine = await world.engine(start=False, keep_slots_for=timedelta(days=10))
    for_ever = await world.engine(start=False, keep_slots_for=None)
    await upsert(world, engine)
    world.clock.advance(minutes=5)
    await fire_due(engine)
    world.clock.advance(days=11)
    assert await for_ever.ledger.trim() == 0
    (noted,) = world.database.stores[SLOTS].values()

    def grown(call: str) -> None:
        if call == "apply":
            noted["last"] += timedelta(days=11)

    client_of(engine).before = grown
    await engine.ledger.trim()
    assert len(world.database.stores[SLOTS]) == 1
    noted["last"] -= timedelta(days=11)
    client_of(engine).before = None
    await engine.ledger.trim()
    assert world.database.stores[SLOTS] == {}


def slots_between(cron: str, begin: datetime, end: datetime) -> list[datetime]:
    slots: list[datetime] = []
    slot = next_slot(parse_cron(cron), "Europe/Berlin", begin)
    while slot is not None and slot <= end:
        slots.append(slot)
        slot = next_slot(parse_cron(cron), "Europe/Berlin", slot)
    return slots


@pytest.mark.parametrize("seed", range(25))
async def test_every_slot_has_exactly_one_outcome(world: World, seed: int) -> None:
    """Outages, pauses, endings and policies at random: the ledger covers every slot since the schedule began, once."""
    rng = random.Random(seed)
    engines = [await world.engine(start=False) for _ in range(2)]
    cron = rng.choice(["* * * * *", "*/7 * * * *", "30 1,2 * * *"])
    policy = SchedulePolicy(
        CatchUp(rng.choice(list(CatchUpMode)), rng.choice([None, timedelta(minutes=4)]), rng.choice([3, 500])),
        rng.choice(list(Overlap)),
        rng.choice([timedelta(), timedelta(minutes=3)]),
    )
    begin = world.clock.now
    timing: dict[str, Any] = {"cron": cron, "timezone": "Europe/Berlin", "policy": policy}
    await upsert(world, engines[0], **timing)
    for _ in range(40):
        engine = rng.choice(engines)
        world.clock.advance(minutes=rng.choice([0, 1, 1, 2, 9, 600]), seconds=rng.randrange(50))
        action = rng.randrange(8)
        if action == 0:
            until = rng.choice([None, world.clock.now + timedelta(minutes=30)])
            await engine.schedules.pause("s", Pause(until=until))
        elif action == 1:
            await engine.schedules.resume("s")
        elif action == 2:
            await upsert(world, engine, **timing, paused=rng.random() < 0.3)
        elif action == 3:
            for run in await scheduled(engine):
                if not run.status.terminal and rng.random() < 0.5:
                    await engine.runs.cancel(run.id, "")
        else:
            await fire_due(engine)
    expected = slots_between(cron, begin, world.clock.now)
    found: list[datetime] = []
    for entry in await ledger(engines[0]):
        if isinstance(entry, Run):
            assert entry.trigger.slot is not None
            found.append(entry.trigger.slot)
        else:
            inside = [slot for slot in expected if entry.first <= slot <= entry.last]
            assert len(inside) == entry.count
            assert inside[0] == entry.first
            assert inside[-1] == entry.last
            found += inside
    assert found == expected


# Counting and remarks


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Africa/Cairo"])
@pytest.mark.parametrize("cron", ["* * * * *", "*/20 1-3 * * *", "30 2 * * *", "0 0 13 * 5", "15 * * * *", "0 0 * * *"])
def test_counting_agrees_with_enumerating(zone: str, cron: str) -> None:
    rng = random.Random(f"{zone}{cron}")
    parsed = parse_cron(cron)
    for start in (datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)):
        slots = next_slots(parsed, zone, start, 3000)
        for _ in range(30):
            low, high = sorted(rng.choices(range(len(slots)), k=2))
            first, last = slots[low], slots[high]
            assert count_slots(parsed, zone, first, last) == high - low + 1
            shifted = first - timedelta(seconds=rng.randrange(30)), last + timedelta(seconds=rng.randrange(30))
            assert count_slots(parsed, zone, *shifted) == high - low + 1
            assert last_slots(parsed, zone, first, last, 5) == slots[max(low, high - 4) : high + 1]


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=UTC), [Remark.SHIFTED, Remark.NONE]),
        ("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC), [Remark.FIRST_PASS, Remark.NONE]),
        (
            "30 * * * *",
            datetime(2026, 10, 24, 23, 59, tzinfo=UTC),
            [Remark.FIRST_PASS, Remark.SECOND_PASS],
        ),
    ],
)
def test_remarks_name_what_the_clock_does(cron: str, after: datetime, expected: list[Remark]) -> None:
    parsed = parse_cron(cron)
    slots = next_slots(parsed, "Europe/Berlin", after, len(expected))
    assert [remark(parsed, "Europe/Berlin", slot) for slot in slots] == expected
