"""Plan the next slots of all schedules anew, after the clock was set back (decision 25).

A schedule is ahead when its next slot is not the next one by the clock as it is. It is put back to the first slot
behind now that has not fired. What the ledger says of slots from there on is withdrawn: they are decided when their
time comes. Slots that have fired early keep their runs, and are passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from gestalt_sdk.timing.cron import CronInvalid, parse_cron
from gestalt_sdk.timing.zones import ZoneInvalid
from gestalt_workflow.firing.ledger import Ledger, cut_before
from gestalt_workflow.firing.plan import Firing, following_slot, last_due, with_due_time, written
from gestalt_workflow.firing.slots import next_slot
from gestalt_workflow.model.errors import Undecodable
from gestalt_workflow.model.objects import Schedule, SlotRange
from gestalt_workflow.stored.records import (
    RUNS,
    SCHEDULES,
    SLOTS,
    schedule_from_record,
    slot_range_to_record,
)
from gestalt_workflow.stored.storage import KeyRange, Storage, Write, at_revision

STEP = "plan schedules anew"
PAGE = 500
AT_ONCE = 16

log = structlog.get_logger()


class PlanningAnew:
    """Goes through all schedules, and plans those anew that are ahead."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self._storage = storage
        self._ledger = ledger

    async def all(self, clock: Callable[[], datetime], changed: Callable[[str, Schedule | None], None]) -> int:
        """Plan anew whatever is ahead of the clock, and return how many schedules that were.

        Args:
            changed: Called with id and schedule for each that was written.

        Raises:
            StorageFailed: it has to be done again; what is done stays done.
        """
        token, moved = b"", 0
        while True:
            page = await self._storage.page_by_id(SCHEDULES, KeyRange(), STEP, limit=PAGE, token=token)
            schedules = [s for _, s in self._storage.decoded(SCHEDULES, page.records, schedule_from_record)]
            ahead = [schedule for schedule in schedules if is_ahead(schedule, clock())]
            for start in range(0, len(ahead), AT_ONCE):
                part = ahead[start : start + AT_ONCE]
                moved += sum(await asyncio.gather(*(self._one(schedule, clock, changed) for schedule in part)))
            token = page.next_token
            if not token:
                return moved

    async def _one(
        self,
        schedule: Schedule,
        clock: Callable[[], datetime],
        changed: Callable[[str, Schedule | None], None],
    ) -> bool:
        """Write the schedule as it is planned anew; False when there is nothing to change, or not any more."""
        while True:
            now = clock()
            early = await self._fired_after(schedule, last_due(schedule, now) or now)
            ranges = await self._ledger.ranges_after(schedule.id, last_due(schedule, now) or now)
            move = planned_anew(schedule, early, ranges, now)
            if move is None:
                return False
            results = await self._storage.write(move.writes, STEP)
            if results[-1].ok:
                changed(schedule.id, move.following)
                return True
            if results[-1].current is None:
                return False
            try:
                schedule = schedule_from_record(results[-1].current)
            except Undecodable:
                return False
            if not is_ahead(schedule, clock()):
                return False

    async def _fired_after(self, schedule: Schedule, moment: datetime) -> list[datetime]:
        """Return the slots behind that moment that have a run, ascending; they are read newest first."""
        slots: list[datetime] = []
        token = b""
        while True:
            page = await self._storage.page(
                RUNS, "slot", [schedule.id], STEP, limit=PAGE, token=token, direction="prev", keys_only=True
            )
            found = [slot for entry in page.entries if isinstance(slot := entry.key[1], datetime)]
            slots += [slot for slot in found if slot > moment]
            token = page.next_token
            if not token or len(slots) < len(found) or (found and found[-1] <= moment):
                return slots[::-1]


def is_ahead(schedule: Schedule, now: datetime) -> bool:
    """Return whether the schedule may have been planned by a clock that was ahead of now."""
    try:
        slot = following_slot(schedule, now)
    except (CronInvalid, ZoneInvalid):
        return False
    behind = slot is not None and (schedule.next_run_at is None or schedule.next_run_at > slot)
    return behind or _pause_goes_on(schedule, now)


def planned_anew(
    schedule: Schedule, fired: Sequence[datetime], ranges: Sequence[SlotRange], now: datetime
) -> Firing | None:
    """Return the schedule as it is planned by the clock as it is, None when that changes nothing.

    Args:
        fired: Its slots behind the last one whose moment has come that have a run, ascending.
        ranges: What the ledger says of slots behind that one.
    """
    following = replace(schedule, early=_sequences(schedule, fired))
    first = following_slot(following, last_due(schedule, now) or now)
    # With jitter a slot can be over and its moment still to come. It counts if it was decided too early.
    while first is not None and first <= now and not any(r.first <= first <= r.last for r in ranges):
        first = following_slot(following, first)
    if first is None:
        return None
    paused = _pause_goes_on(schedule, now)
    if first == schedule.next_run_at and not paused:
        return None
    following = replace(following, next_run_at=first, tail=None, updated_at=now, revision=schedule.revision + 1)
    if paused:
        following = replace(following, paused=True, pause=schedule.ended_pause, ended_pause=None)
    unchanged = [at_revision(schedule.revision, store=SCHEDULES, id=schedule.id)]
    writes: list[Write] = []
    for slots in ranges:
        left = cut_before(schedule, slots, first)
        if left is None:
            writes.append(Write(SLOTS, "delete", id=slots.id, conditions=unchanged))
        elif left != slots:
            writes.append(Write(SLOTS, "put", slot_range_to_record(left), conditions=unchanged))
    return written(Firing(schedule, with_due_time(following), writes=writes), [])


def _pause_goes_on(schedule: Schedule, now: datetime) -> bool:
    """Return whether its pause ended by a clock that was ahead."""
    pause = schedule.ended_pause
    return pause is not None and pause.until is not None and pause.until > now


def _sequences(schedule: Schedule, slots: Sequence[datetime]) -> tuple[tuple[datetime, datetime], ...]:
    """Return first and last of each unbroken sequence of these slots."""
    cron = parse_cron(schedule.cron, stored=True)
    found: list[tuple[datetime, datetime]] = []
    for slot in slots:
        if found and next_slot(cron, schedule.timezone, found[-1][1]) == slot:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return tuple(found)
