"""When a cron expression fires in a time zone: its slots.

An expression whose hours have a star follows real time through a change of the clock; any other fires each local time
once a day, at the first pass where the clock shows it twice, and at the first instant after a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gestalt_sdk.timing import Cron, load_zone, parse_cron

DAY, MINUTE, SECOND = timedelta(days=1), timedelta(minutes=1), timedelta(seconds=1)
HORIZON_YEARS = 8
"""No further are slots looked for: leap days are eight years apart at most."""


def next_slot(expression: str, zone_name: str, after: datetime) -> datetime | None:
    """Return the first slot later than ``after``, None when there is none within the horizon."""
    cron, zone = parse_cron(expression), load_zone(zone_name)
    local = after.astimezone(zone).date()
    # Where the clock goes back across midnight, slots of two days mix: so one day more at both ends.
    day: date = local - 2 * DAY
    last = date(min(local.year + HORIZON_YEARS, date.max.year - 1), 12, 31)
    while found := cron.following_day(day, last):
        day = found
        if later := [slot for slot in _slots_around(cron, zone, day) if slot > after]:
            return min(later)
    return None


def latest_slot(expression: str, zone_name: str, until: datetime) -> datetime | None:
    """Return the last slot that is not later than ``until``, None when there is none within the horizon."""
    cron, zone = parse_cron(expression), load_zone(zone_name)
    local = until.astimezone(zone).date()
    day: date = local + 2 * DAY
    first = date(max(local.year - HORIZON_YEARS, 1), 1, 1)
    while found := cron.preceding_day(day, first):
        day = found
        if earlier := [slot for slot in _slots_around(cron, zone, day) if slot <= until]:
            return max(earlier)
    return None


def _slots_around(cron: Cron, zone: ZoneInfo, day: date) -> Iterator[datetime]:
    for near in (day - DAY, day, day + DAY):
        if cron.matches_day(near):
            yield from _slots_of_day(cron, zone, near)


@lru_cache(maxsize=1024)
def _slots_of_day(cron: Cron, zone: ZoneInfo, day: date) -> frozenset[datetime]:
    slots = set()
    for offset in cron.offsets:
        wall = datetime.combine(day, time()) + MINUTE * offset
        early, late = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        if early.astimezone(UTC) <= late.astimezone(UTC):  # an ordinary time, or one that the clock shows twice
            slots.add(early.astimezone(UTC))
            if cron.real_time:
                slots.add(late.astimezone(UTC))
        elif not cron.real_time:  # the clock skips it
            slots.add(_first_after_gap(zone, late.astimezone(UTC), early.astimezone(UTC)))
    return frozenset(slots)


def _first_after_gap(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first instant whose offset is that of ``after``; it differs from that of ``before``."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > SECOND:
        middle = before + (after - before) // (2 * SECOND) * SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
