"""Keep what became of the slots that did not fire: ranges of consecutive slots with one outcome (decision 5).

A slot that fired is its run. The others are kept as ranges, written in the commit that moves the schedule on; as long
as nothing fires in between, the same outcome extends the range, so a month's outage or a week of overlaps is one
record. Ranges are numbered: the newest removes the one ``RANGES_KEPT`` before it without looking for it. ``trim``
removes what is older than is configured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gestalt_sdk.timing.cron import CronInvalid, parse_cron
from gestalt_sdk.timing.zones import ZoneInvalid
from gestalt_workflow.firing.slots import count_slots, next_slot, previous_slot
from gestalt_workflow.model.clock import MICROSECOND, WatchedClock, to_micros
from gestalt_workflow.model.ids import scheduled_run, scheduled_runs
from gestalt_workflow.model.objects import Run, Schedule, SlotRange, SlotState
from gestalt_workflow.stored.records import (
    RUNS,
    SCHEDULES,
    SLOTS,
    run_from_record,
    schedule_from_record,
    slot_key,
    slot_range_from_record,
    slot_range_to_record,
)
from gestalt_workflow.stored.storage import Condition, KeyRange, Storage, Write

RANGES_KEPT = 10_000
TRIMMED_AT_ONCE = 500
RANGES_AT_ONCE = 100
_MERGED = frozenset({SlotState.OVERLAP, SlotState.PAUSED, SlotState.CATCH_UP, SlotState.NEVER_LOADED})


def unfired(schedule: Schedule, first: datetime, last: datetime, state: SlotState, now: datetime) -> list[SlotRange]:
    """Return the slots of the schedule between the two moments, both included, as a range; empty when there are none.

    Slots that fired early are left out, so there may be several ranges. The slot that the schedule had noted counts
    even when its expression cannot be read any more, or when the zone's rules have changed so that it is none now.
    """
    if first > last:
        return []
    noted = [SlotRange(schedule.id, first, first, 1, state, now)] if first == schedule.next_run_at else []
    try:
        cron = parse_cron(schedule.cron, stored=True)
        oldest = next_slot(cron, schedule.timezone, first - MICROSECOND)
        newest = previous_slot(cron, schedule.timezone, last)
        if oldest is None or newest is None or newest < oldest:
            return noted
        count = count_slots(cron, schedule.timezone, oldest, newest)
    except (CronInvalid, ZoneInvalid):
        return noted
    for begin, end in schedule.early:
        if begin <= newest and end >= oldest:
            before = unfired(schedule, oldest, begin - MICROSECOND, state, now)
            return before + unfired(schedule, end + MICROSECOND, newest, state, now)
    return [SlotRange(schedule.id, oldest, newest, count, state, now)]


def missed(schedule: Schedule, now: datetime, state: SlotState | None = None) -> list[SlotRange]:
    """Return what was due before now and will not fire, because the schedule is changed, resumed or deleted."""
    if schedule.next_run_at is None or schedule.next_run_at > now:
        return []
    state = state or (SlotState.PAUSED if schedule.paused else SlotState.NEVER_LOADED)
    return unfired(schedule, schedule.next_run_at, now, state, now)


def with_ranges(
    schedule: Schedule, ranges: Sequence[SlotRange], conditions: Sequence[Condition] = (), *, fired: bool = False
) -> tuple[Schedule, list[Write]]:
    """Return the schedule with the ranges noted, and the writes of the ranges.

    Args:
        ranges: In the order of their slots.
        conditions: Of the commit that they are part of.
        fired: Slots fire as well, so that the next range begins anew.
    """
    tail, number = schedule.tail, schedule.ranges
    written: dict[str, SlotRange] = {}
    forgotten: list[str] = []
    for slots in ranges:
        if tail is not None and _continues(schedule, tail, slots):
            tail = replace(tail, last=slots.last, count=tail.count + slots.count, recorded_at=slots.recorded_at)
        else:
            tail = replace(slots, id=_range_id(schedule, number))
            if number >= RANGES_KEPT:
                forgotten.append(_range_id(schedule, number - RANGES_KEPT))
            number += 1
        written[tail.id] = tail
    writes = [Write(SLOTS, "put", slot_range_to_record(r), conditions=list(conditions)) for r in written.values()]
    writes += [Write(SLOTS, "delete", id=id, conditions=list(conditions)) for id in forgotten]
    following = schedule.next_run_at
    passed = tail is not None and any(following and tail.last < begin < following for begin, _ in schedule.early)
    if fired or passed or (tail is not None and tail.state not in _MERGED):
        tail = None
    return replace(schedule, ranges=number, tail=tail), writes


def _continues(schedule: Schedule, tail: SlotRange, slots: SlotRange) -> bool:
    if slots.state not in _MERGED or tail.state is not slots.state or tail.last >= slots.first:
        return False
    return not any(tail.last < first < slots.first for first, _ in schedule.early)


def _range_id(schedule: Schedule, number: int) -> str:
    return f"{schedule.id}:{to_micros(schedule.created_at)}:{number}"


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """A page of the ledger, newest first: runs of slots that fired, and ranges; ``following`` begins the next page."""

    slots: Sequence[Run | SlotRange]
    following: tuple[datetime, int] | None = None


class Ledger:
    """Reads the ledger, and removes what is too old."""

    def __init__(self, storage: Storage, clock: WatchedClock, keep_for: timedelta | None) -> None:
        """``keep_for``: how long a range stays after its last slot; None for ever."""
        self._storage = storage
        self._clock = clock
        self._keep_for = keep_for

    async def page(
        self,
        schedule_id: str,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        after: tuple[datetime, int] | None = None,
    ) -> LedgerPage:
        """Return what became of the slots from ``since`` to before ``until``, by first slot, newest first.

        The slots that are due but not decided yet come as a range without id: ``PAUSED``, or ``NEVER_LOADED`` for
        those that nothing has looked at yet.

        Args:
            limit: At most so many lines.
            after: Where the page before ended.
        """
        upper = after[0] + timedelta(seconds=1) if after is not None else until
        while True:
            found: list[tuple[tuple[datetime, int], Run | SlotRange]] = []
            open_range = await self._undecided(schedule_id)
            if open_range is not None and (until is None or open_range.first < until):
                found.append(((open_range.first, 1), open_range))
            found += await self._decided(schedule_id, since, upper, limit)
            if open_range is None:
                break
            now_open = await self._undecided(schedule_id)
            if now_open is not None and now_open.first == open_range.first:
                break  # what was undecided was not decided while the rest was read
        found = [(position, line) for position, line in found if after is None or position < after]
        found = [(position, line) for position, line in found if since is None or _last(line) >= since]
        found.sort(key=lambda item: item[0], reverse=True)
        page = found[:limit]
        return LedgerPage([line for _, line in page], page[-1][0] if len(found) > limit else None)

    async def _decided(
        self, schedule_id: str, since: datetime | None, upper: datetime | None, limit: int
    ) -> list[tuple[tuple[datetime, int], Run | SlotRange]]:
        found: list[tuple[tuple[datetime, int], Run | SlotRange]] = []
        for run in await self._runs(schedule_id, since, upper, limit + 2):
            if run.trigger.slot is not None:
                found.append(((run.trigger.slot, 0), run))
        found += [((r.first, 1), r) for r in await self._ranges(schedule_id, since, upper, limit + 2)]
        return found

    async def ranges_after(self, schedule_id: str, moment: datetime) -> list[SlotRange]:
        """Return every range of the schedule that ends behind the moment, the newest first."""
        found: list[SlotRange] = []
        token = b""
        within = KeyRange(f"{schedule_id}\0", f"{schedule_id}\0\U0010ffff")
        while True:
            page = await self._storage.page(
                SLOTS, "place", [], "list slots", range=within, limit=RANGES_AT_ONCE, token=token, direction="prev"
            )
            ranges = [slots for _, slots in self._storage.decoded(SLOTS, page.records, slot_range_from_record)]
            found += [slots for slots in ranges if slots.last > moment]
            token = page.next_token
            if not token or (ranges and ranges[-1].last <= moment):
                return found

    async def trim(self) -> int:
        """Remove ranges that are too old, some hundred at most; return how many."""
        if self._keep_for is None:
            return 0
        step = "trim slot ledger"
        until = self._clock.proven() - self._keep_for
        page = await self._storage.page(
            SLOTS, "last", [], step, range=KeyRange(upper=until), limit=TRIMMED_AT_ONCE, keys_only=True
        )
        old = [  # one that has grown meanwhile ends later now
            Write(SLOTS, "delete", id=row.primary_key, conditions=[Condition.equals("last", row.key[0])])
            for row in page.entries
        ]
        if old:
            await self._storage.write(old, step)
        return len(old)

    async def _undecided(self, schedule_id: str) -> SlotRange | None:
        schedule = await self._storage.find(SCHEDULES, schedule_id, schedule_from_record, "list slots")
        if schedule is None:
            return None
        now = self._clock()
        pause = schedule.pause
        if schedule.paused and pause is not None and pause.until is not None and pause.until <= now:
            now = pause.until - MICROSECOND
        return next(iter(missed(schedule, now)), None)

    async def _runs(self, schedule_id: str, since: datetime | None, until: datetime | None, limit: int) -> list[Run]:
        prefix = scheduled_runs(schedule_id)
        lower = scheduled_run(schedule_id, _whole(since)) if since is not None else prefix
        upper = scheduled_run(schedule_id, _whole(until)) if until is not None else prefix + "\U0010ffff"
        within = KeyRange(lower, upper, upper_open=True)
        found: list[Run] = []
        token = b""
        while True:
            page = await self._storage.page_by_id(RUNS, within, "list slots", limit=limit, token=token)
            for _, run in self._storage.decoded(RUNS, page.records, run_from_record):
                if run.trigger.schedule_id == schedule_id:  # an id may begin like another schedule's
                    found.append(run)
            token = page.next_token
            if not token or len(found) >= limit:
                return found

    async def _ranges(
        self, schedule_id: str, since: datetime | None, until: datetime | None, limit: int
    ) -> list[SlotRange]:
        """Return ranges that begin before ``until``, the newest first, until one ends before ``since``."""
        upper = slot_key(schedule_id, _whole(until)) if until is not None else f"{schedule_id}\0\U0010ffff"
        within = KeyRange(f"{schedule_id}\0", upper, upper_open=True)
        page = await self._storage.page(SLOTS, "place", [], "list slots", range=within, limit=limit, direction="prev")
        ranges = [slots for _, slots in self._storage.decoded(SLOTS, page.records, slot_range_from_record)]
        return [slots for slots in ranges if since is None or slots.last >= since]


def cut_before(schedule: Schedule, slots: SlotRange, moment: datetime) -> SlotRange | None:
    """Return the part of the range that lies before the moment, None when nothing does."""
    if slots.last < moment:
        return slots
    if slots.first >= moment:
        return None
    newest = previous_slot(parse_cron(schedule.cron, stored=True), schedule.timezone, moment - MICROSECOND)
    last = max(newest or slots.first, slots.first)
    count = count_slots(parse_cron(schedule.cron, stored=True), schedule.timezone, slots.first, last)
    return replace(slots, last=last, count=max(count, 1))


def _last(line: Run | SlotRange) -> datetime:
    if isinstance(line, SlotRange):
        return line.last
    assert line.trigger.slot is not None
    return line.trigger.slot


def _whole(moment: datetime) -> datetime:
    """Return the moment, or the first whole second after it: slots lie on whole seconds."""
    return moment if not moment.microsecond else moment.replace(microsecond=0) + timedelta(seconds=1)


def is_undecided(slots: SlotRange) -> bool:
    """Return whether the range is not recorded: due, but nothing has been decided yet."""
    return not slots.id
