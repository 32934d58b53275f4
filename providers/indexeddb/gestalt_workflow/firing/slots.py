"""Compute when a schedule fires: one pure function from (cron, zone, moment) to the next slot, and its inverse.

A slot is an instant at which a schedule should fire. Grammar: ``gestalt_sdk.timing.cron``. What daylight saving does
(decision 4): an expression whose hour field has a star among its items follows real time, so every instant whose local
wall time matches is a slot. Any other expression fires each matching wall time once per local day: at the first pass
of an overlap, at the first instant after a gap. Cost is bounded by the days between two slots, never by missed slots.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from gestalt_sdk.timing.cron import HORIZON_YEARS, Cron, horizon
from gestalt_sdk.timing.zones import load_zone
from gestalt_workflow.model.clock import MICROSECOND

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def next_slot(cron: Cron, zone_name: str, after: datetime) -> datetime | None:
    """Return the first slot strictly later than ``after``, UTC; None when there is none within the horizon."""
    zone = load_zone(zone_name)
    after = after.astimezone(UTC)
    local = after.astimezone(zone).date()
    day: date | None = local - _DAY  # a second pass through the hour before midnight belongs to the day before
    last = horizon(local)
    while day is not None and day <= last:
        found = _first_after(cron, zone, day, after)
        if found is not None:
            if not (_plain(zone, day) and _plain(zone, day + _DAY)):
                # The clock went back across midnight: the following day's first pass may come first.
                other = _first_after(cron, zone, day + _DAY, after) if cron.matches_day(day + _DAY) else None
                found = min(found, other) if other is not None else found
            return found
        day = cron.following_day(day, last)
    return None


def previous_slot(cron: Cron, zone_name: str, until: datetime) -> datetime | None:
    """Return the last slot not later than ``until``, UTC; None when there is none within the horizon before it."""
    zone = load_zone(zone_name)
    until = until.astimezone(UTC)
    local = until.astimezone(zone).date()
    day: date | None = local + _DAY
    first = date(max(local.year - HORIZON_YEARS, 1), 1, 1)
    while day is not None and day >= first:
        found = _last_until(cron, zone, day, until)
        if found is not None:
            if not (_plain(zone, day) and _plain(zone, day - _DAY)):
                other = _last_until(cron, zone, day - _DAY, until) if cron.matches_day(day - _DAY) else None
                found = max(found, other) if other is not None else found
            return found
        day = cron.preceding_day(day, first)
    return None


def next_slots(cron: Cron, zone_name: str, after: datetime, count: int) -> list[datetime]:
    """Return up to ``count`` slots that follow ``after``, ascending."""
    slots: list[datetime] = []
    while len(slots) < count:
        slot = next_slot(cron, zone_name, slots[-1] if slots else after)
        if slot is None:
            break
        slots.append(slot)
    return slots


def _first_after(cron: Cron, zone: ZoneInfo, day: date, after: datetime) -> datetime | None:
    if not cron.matches_day(day):
        return None
    if _plain(zone, day):
        midnight = _midnight(zone, day)
        index = bisect_right(cron.offsets, (after - midnight) // _MINUTE)
        return midnight + _MINUTE * cron.offsets[index] if index < len(cron.offsets) else None
    slots = _slots_of_changing_day(cron, zone, day)
    index = bisect_right(slots, after)
    return slots[index] if index < len(slots) else None


def _last_until(cron: Cron, zone: ZoneInfo, day: date, until: datetime) -> datetime | None:
    if not cron.matches_day(day):
        return None
    if _plain(zone, day):
        midnight = _midnight(zone, day)
        index = bisect_right(cron.offsets, (until - midnight) // _MINUTE)
        return midnight + _MINUTE * cron.offsets[index - 1] if index else None
    slots = _slots_of_changing_day(cron, zone, day)
    index = bisect_right(slots, until)
    return slots[index - 1] if index else None


@lru_cache(maxsize=8192)
def _plain(zone: ZoneInfo, day: date) -> bool:
    """Return whether the clock does not change on that local day or within two hours of it."""
    start = datetime.combine(day, time(), zone)
    moments = [start, start - timedelta(hours=2), start + timedelta(hours=12), start + timedelta(hours=26)]
    return len({moment.replace(fold=fold).utcoffset() for moment in moments for fold in (0, 1)}) == 1


@lru_cache(maxsize=8192)
def _midnight(zone: ZoneInfo, day: date) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


@lru_cache(maxsize=512)
def _slots_of_changing_day(cron: Cron, zone: ZoneInfo, day: date) -> list[datetime]:
    """Return the slots of a local day on which the clock changes, ascending, each once."""
    slots: set[datetime] = set()
    start = datetime.combine(day, time())
    for offset in cron.offsets:
        wall = start + _MINUTE * offset
        early, late = wall.replace(tzinfo=zone), wall.replace(tzinfo=zone, fold=1)
        before, after = early.utcoffset() or timedelta(), late.utcoffset() or timedelta()
        first = (wall - before).replace(tzinfo=UTC)
        if before >= after:  # an ordinary wall time, or one that the clock shows twice
            slots.add(first)
            if cron.real_time:
                slots.add((wall - after).replace(tzinfo=UTC))
        elif not cron.real_time:  # the clock skips this wall time
            slots.add(_change_between(zone, (wall - after).replace(tzinfo=UTC), first))
    return sorted(slots)


def _change_between(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Return the first instant after the clock change that lies in ``(low, high]``."""
    old = low.astimezone(zone).utcoffset()
    seconds = range(1, int((high - low).total_seconds()) + 1)
    index = bisect_left(seconds, True, key=lambda s: (low + timedelta(seconds=s)).astimezone(zone).utcoffset() != old)
    return low + timedelta(seconds=seconds[index]) if index < len(seconds) else high


def count_slots(cron: Cron, zone_name: str, first: datetime, last: datetime) -> int:
    """Return how many slots lie from ``first`` to ``last``, both included; cost is bounded by the days between."""
    zone = load_zone(zone_name)
    first, last = first.astimezone(UTC), last.astimezone(UTC)
    if first > last:
        return 0
    end = last.astimezone(zone).date() + _DAY
    day: date | None = first.astimezone(zone).date() - 2 * _DAY
    changing: set[datetime] = set()  # two days may share an instant where the clock skips midnight
    count = 0
    while day is not None:
        day = cron.following_day(day, end)
        if day is None:
            break
        if _plain(zone, day):
            midnight = _midnight(zone, day)
            low = bisect_left(cron.offsets, _minutes_up(first - midnight))
            count += max(bisect_right(cron.offsets, (last - midnight) // _MINUTE) - low, 0)
        else:
            changing.update(slot for slot in _slots_of_changing_day(cron, zone, day) if first <= slot <= last)
    return count + len(changing)


def last_slots(cron: Cron, zone_name: str, first: datetime, last: datetime, count: int) -> list[datetime]:
    """Return the newest slots from ``first`` to ``last``, both included, at most ``count`` of them, ascending."""
    slots: list[datetime] = []
    until = last
    while len(slots) < count:
        slot = previous_slot(cron, zone_name, until)
        if slot is None or slot < first:
            break
        slots.append(slot)
        until = slot - MICROSECOND
    return slots[::-1]


class Remark(IntEnum):
    """What a change of the clock does to a slot."""

    NONE = 0
    FIRST_PASS = 1
    SECOND_PASS = 2
    SHIFTED = 3


def remark(cron: Cron, zone_name: str, slot: datetime) -> Remark:
    """Return whether the clock shows the slot's local time twice, or skips the local time that was asked for."""
    local = slot.astimezone(load_zone(zone_name))
    early, late = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    if local.second or local.hour * 60 + local.minute not in cron.offsets or not cron.matches_day(local.date()):
        return Remark.SHIFTED
    if early == late:
        return Remark.NONE
    return Remark.SECOND_PASS if local.fold else Remark.FIRST_PASS


def _minutes_up(span: timedelta) -> int:
    return -(-span // _MINUTE)
