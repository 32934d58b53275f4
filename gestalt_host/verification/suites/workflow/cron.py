"""Cron: the next slot, what is refused, time zones, and that schedules fire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

from gestalt_host.verification.outcomes import require, require_equal
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.workflow import oracle
from gestalt_host.verification.suites.workflow.bench import (
    INVALID_ARGUMENT,
    Bench,
    Process,
    require_refused,
    workflow_rule,
)
from gestalt_host.verification.suites.workflow.client import Schedules, actor, target
from gestalt_host.verification.suites.workflow.vectors import GIVEN, OWN, read
from gestalt_host.verification.waiting import passing
from gestalt_sdk.gen.extension.v1 import slots_pb2
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.timing.zones import load_zone
from gestalt_sdk.transport.values import from_timestamp, to_timestamp

SLOTS = "workflow.slots"
_SLOTS_SERVICE = "gestalt.extension.v1.WorkflowSlots"
_STEADY_ZONES = ("", " ", "UTC", "Asia/Kathmandu", "Asia/Tokyo", "America/Phoenix", "Africa/Lagos")
"""Whose clocks do not change, where croniter has no opinion of its own on the dialect."""
_CHANGING_ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
_MIDNIGHT_ZONES = ("Africa/Cairo", "America/Havana", "America/Santiago")
"""Whose days begin with a change twice a year."""
_CRONS = (
    "* * * * *",
    "*/7 * * * *",
    "5/15 3 * jan,jul *",
    "0 9 * * mon-fri",
    "0 9 * * MON,Wed",
    "30 2 1-7 * *",
    "0 0 13 * 5",
    "0 0 */2 * 1",
    "59 23 31 12 *",
    "0 0 29 2 *",
    "15,45 0-6/2 * * *",
    "0 12 1,15 * *",
    "0 0 * * 0",
    "0 0 1 */3 *",
    "10-20/5 22 * 6-8 6",
)
_ONE_MINUTE = timedelta(minutes=1)
_LATE_S = 5.0
"""How late a slot may fire before it is missed: providers look every second."""
_WHOLE_S = 75.0
"""Until the next slot of a schedule for every minute has fired."""


def _by_croniter(cron: str, zone: str, after: datetime) -> datetime:
    found: datetime = croniter(cron, after.astimezone(ZoneInfo(zone))).get_next(datetime)
    return found.astimezone(UTC)


def _by_trying(cron: str, zone: str, after: datetime) -> datetime:
    return oracle.following(cron, load_zone(zone), after, 1)[0]


@workflow_rule("semantics.md 16/next-slot", "next_run_at is the next slot by cron and zone, whatever the expression")
async def next_slot(bench: Bench) -> None:
    process = await bench.process(start=False)
    for zones, judge in ((_STEADY_ZONES, _by_croniter), (_CHANGING_ZONES, _by_trying)):
        for zone in zones:
            stored = zone.strip() or "UTC"
            for cron in _CRONS:
                before = datetime.now(UTC)
                schedule = await process.upsert_schedule(f"{stored} {cron}", cron, timezone=zone)
                require_equal(stored, schedule.timezone, f"the zone that is stored for {zone!r}")
                possible = sorted({judge(cron, stored, moment) for moment in (before, datetime.now(UTC))})
                seen = from_timestamp(schedule.next_run_at)
                wanted = " or ".join(moment.isoformat() for moment in possible)
                require(seen in possible, f'next_run_at of "{cron}" in {stored} to be {wanted}', f"{seen}")


@workflow_rule(
    "semantics.md 16/clock-changes",
    "next_run_at is right where the clock skips times or shows them twice, in every zone",
)
async def clock_changes(bench: Bench) -> None:
    process = await bench.process(start=False)
    for name in _MIDNIGHT_ZONES + _CHANGING_ZONES:
        for cron in oracle.crons_at_changes(load_zone(name), datetime.now(UTC)):
            schedule = await process.upsert_schedule(f"{name} {cron}", cron, timezone=name)
            wanted, seen = _by_trying(cron, name, datetime.now(UTC)), from_timestamp(schedule.next_run_at)
            require(seen == wanted, f'next_run_at of "{cron}" in {name} to be {wanted.isoformat()}', seen.isoformat())


@workflow_rule("semantics.md 16/refused", "Expressions outside the dialect, or without any slot, are refused")
async def refused(bench: Bench) -> None:
    process = await bench.process()
    crons = {vector["cron"] for name in (GIVEN, OWN) for vector in read(name) if "refused" in vector}
    impossible = {"0 0 31 2 *", "0 0 30 2 *", ", * * * *", "* * , * *"}
    zoned = {"TZ=UTC", "CRON_TZ=UTC", "TZ=", "TZ=UTC 0 0 * * *", "@", "@every", ""}
    for cron in sorted(crons | impossible | zoned):
        text = await require_refused(process.upsert_schedule("s", cron), INVALID_ARGUMENT)
        begins = "cron is required" if not cron.strip() else "invalid cron: "
        require(text.startswith(begins), f'the refusal of "{cron}" to begin with "{begins}"', text)
    require_equal([], list(await Schedules(process).list()), "the schedules after refusals")
    await process.run_in((await process.start_run()).id)


@workflow_rule(
    "semantics.md 16/vectors", "Slots are those of the vectors, over every change of a clock", capability=SLOTS
)
async def vectors(bench: Bench) -> None:
    process = await bench.process(start=False)
    for vector in (*read(GIVEN), *read(OWN)):
        if not vector.get("next"):
            continue
        request = slots_pb2.PreviewSlotsRequest(
            cron=vector["cron"],
            timezone=vector["timezone"],
            count=len(vector["next"]),
            after=to_timestamp(datetime.fromisoformat(vector["after"])),
        )
        answer = await process.ask(_SLOTS_SERVICE, "PreviewSlots", request, slots_pb2.PreviewSlotsResponse)
        seen = oracle.spelled([from_timestamp(slot.slot) for slot in answer.slots])
        what = f'the slots of "{vector["cron"]}" in {vector["timezone"]} after {vector["after"]}'
        require_equal(vector["next"], seen, what)


@workflow_rule(
    "semantics.md 16/when-computed", "The next slot is kept by a pause and by a write that changes no timing"
)
async def when_computed(bench: Bench) -> None:
    process = await bench.process(start=False)
    schedules = Schedules(process)
    first = await process.upsert_schedule("s", "0 0 1 1 *")
    require_equal(first.next_run_at, (await _paused(schedules, "s")).next_run_at, "next_run_at after a pause")
    require_equal(first.next_run_at, (await process.get_schedule("s")).next_run_at, "next_run_at that is stored")
    await schedules.resume("s")
    again = await process.upsert_schedule("s", "0 0 1 1 *", target=target("other"))
    require_equal(first.next_run_at, again.next_run_at, "next_run_at after a write of the same timing")
    changed = await process.upsert_schedule("s", "0 0 1 7 *")
    expected = _by_croniter("0 0 1 7 *", "UTC", datetime.now(UTC))
    require_equal(expected, from_timestamp(changed.next_run_at), "next_run_at after another cron")


async def _paused(schedules: Schedules, schedule_id: str) -> pb.BoundWorkflowSchedule:
    paused = await schedules.pause(schedule_id)
    assert isinstance(paused, pb.BoundWorkflowSchedule)
    return paused


@workflow_rule("semantics.md 17/fires", "A slot fires once over two processes, also one that came while none ran")
async def fires(bench: Bench) -> None:
    """Waits for the clock to pass a minute: both cases beside each other."""
    await asyncio.gather(_fires_live(bench), _fires_after_downtime(await bench.apart()))


async def _fires_live(bench: Bench) -> None:
    process, other = await bench.process(), await bench.process()
    alice = actor("user:alice")
    await process.upsert_schedule("paused", "* * * * *", target=target("paused"), paused=True)
    made = await process.upsert_schedule("s", "* * * * *", requested_by=alice, execution_ref="ref")
    slot = from_timestamp(made.next_run_at)
    await bench.host.invoked(1, within_s=_WHOLE_S)
    await passing(_LATE_S / 2)
    fired = {_slot_of(request.trigger.schedule): request for request in bench.host.requests}
    require(slot in fired, f"the slot {slot} to fire", sorted(fired))
    request = fired[slot]
    seen = (request.trigger.schedule.schedule_id, request.created_by, request.execution_ref)
    require_equal(("s", alice, "ref"), seen, "schedule_id, created_by and execution_ref at the host")
    runs = [run for run in await other.list_runs() if run.trigger.schedule.schedule_id == "s"]
    require_equal([slot], [_slot_of(run.trigger.schedule) for run in runs][:1], "scheduled_for of its run")
    require_equal(len(runs), len({_slot_of(run.trigger.schedule) for run in runs}), "how many slots its runs have")
    require("paused" not in bench.host.operations(), "a paused schedule not to fire", bench.host.operations())
    following = from_timestamp((await process.get_schedule("s")).next_run_at)
    require(following > slot, f"next_run_at to be later than {slot}", following)


async def _fires_after_downtime(bench: Bench) -> None:
    process = await bench.process(start=False)
    made = await process.upsert_schedule("s", "* * * * *")
    await process.kill()
    slot = from_timestamp(made.next_run_at)
    await passing((slot - datetime.now(UTC)).total_seconds() + 1)
    await process.restart()
    await bench.process()
    await bench.host.invoked(1)
    await passing(_LATE_S / 2)
    seen = [_slot_of(run.trigger.schedule) for run in await _runs_until(process, slot)]
    require_equal([slot], seen, "the slots that fired of those that came while it was down")


async def _runs_until(process: Process, slot: datetime) -> Sequence[pb.BoundWorkflowRun]:
    return [run for run in await process.list_runs() if _slot_of(run.trigger.schedule) <= slot]


def _slot_of(trigger: pb.WorkflowScheduleTrigger) -> datetime:
    return from_timestamp(trigger.scheduled_for)


RULES: tuple[Rule, ...] = (next_slot, clock_changes, refused, vectors, when_computed, fires)
