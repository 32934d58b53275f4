"""When a schedule fires: one pure function from (cron, zone, moment) to the next slot, and its inverse.

A slot is an instant at which a schedule should fire. Grammar: ``gestalt_sdk.cron``. Daylight saving: design decision 4.
An entry whose hour field has a star among its items follows real time: every instant whose local wall time matches.
Any other entry fires each matching wall time once per local day: at the first pass of an overlap, at the first instant
after a gap. Cost is bounded by the days between two slots, never by missed slots.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gestalt_sdk.cron import HORIZON_YEARS, Cron, horizon
from gestalt_sdk.zones import load_zone

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def next_slot(cron: Cron, zone_name: str, after: datetime) -> datetime | None:
    """The first slot strictly later than ``after``; UTC. None when there is none within the horizon."""
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
    """The last slot not later than ``until``; UTC. None when there is none within the horizon before it."""
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
    """Up to ``count`` slots that follow ``after``, ascending."""
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
        place = bisect_right(cron.offsets, (after - midnight) // _MINUTE)
        return midnight + _MINUTE * cron.offsets[place] if place < len(cron.offsets) else None
    slots = _slots_of_changing_day(cron, zone, day)
    place = bisect_right(slots, after)
    return slots[place] if place < len(slots) else None


def _last_until(cron: Cron, zone: ZoneInfo, day: date, until: datetime) -> datetime | None:
    if not cron.matches_day(day):
        return None
    if _plain(zone, day):
        midnight = _midnight(zone, day)
        place = bisect_right(cron.offsets, (until - midnight) // _MINUTE)
        return midnight + _MINUTE * cron.offsets[place - 1] if place else None
    slots = _slots_of_changing_day(cron, zone, day)
    place = bisect_right(slots, until)
    return slots[place - 1] if place else None


@lru_cache(maxsize=8192)
def _plain(zone: ZoneInfo, day: date) -> bool:
    """Whether the clock does not change on that local day or within two hours of it."""
    start = datetime.combine(day, time(), zone)
    moments = [start, start - timedelta(hours=2), start + timedelta(hours=12), start + timedelta(hours=26)]
    return len({moment.replace(fold=fold).utcoffset() for moment in moments for fold in (0, 1)}) == 1


@lru_cache(maxsize=8192)
def _midnight(zone: ZoneInfo, day: date) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


@lru_cache(maxsize=512)
def _slots_of_changing_day(cron: Cron, zone: ZoneInfo, day: date) -> list[datetime]:
    """The slots of a local day on which the clock changes, ascending, each once."""
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
    """The first instant after the clock change that lies in ``(low, high]``."""
    old = low.astimezone(zone).utcoffset()
    seconds = range(1, int((high - low).total_seconds()) + 1)
    place = bisect_left(seconds, True, key=lambda s: (low + timedelta(seconds=s)).astimezone(zone).utcoffset() != old)
    return low + timedelta(seconds=seconds[place]) if place < len(seconds) else high
