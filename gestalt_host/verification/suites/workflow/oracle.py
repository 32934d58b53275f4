"""The slots of a cron expression found by trying every minute: slow, plain, and sharing nothing with the tested code.

It reads the expression, the day rule of semantics.md 16 and decision 4 by itself; of the zone it asks only what
the clock shows at an instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LIMITS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
NAMES = ["", "", "", "jan feb mar apr may jun jul aug sep oct nov dec", "sun mon tue wed thu fri sat"]


def values(field: str, place: int) -> tuple[set[int], bool]:
    """Return the numbers that a field stands for, and whether it is a bare star."""
    low, high = LIMITS[place]
    names = NAMES[place].split()

    def number(text: str) -> int:
        return names.index(text.lower()) + low if text.lower() in names else int(text)

    found: set[int] = set()
    bare = False
    for item in filter(None, field.split(",")):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        if first in ("*", "?"):
            begin, end = low, high
            bare |= step in ("", "1")
        else:
            begin = number(first)
            end = number(last) if last else high if step else begin
        found |= set(range(begin, end + 1, int(step or 1)))
    return found, bare


def day_test(expression: str) -> Callable[[date], bool]:
    _, _, days, months, weekdays = (values(field, place) for place, field in enumerate(expression.split()))

    def matches(day: date) -> bool:
        in_month, in_week = day.day in days[0], (day.weekday() + 1) % 7 in weekdays[0]
        met = in_month and in_week if days[1] or weekdays[1] else in_month or in_week
        return met and day.month in months[0]

    return matches


def slots(expression: str, zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Return every slot from ``begin`` to ``end``, both included."""
    minute, hour = expression.split()[:2]
    minutes, hours = values(minute, 0)[0], values(hour, 1)[0]
    follows_real_time = any(item[:1] in ("*", "?") for item in hour.split(","))
    day_matches = day_test(expression)

    def asked_for(wall: datetime) -> bool:
        return wall.minute in minutes and wall.hour in hours and wall.second == 0 and day_matches(wall.date())

    decided: set[datetime] = set()
    earlier: datetime | None = None
    moment = (begin.astimezone(UTC) - 2 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    while moment <= end:
        if not any(day_matches(moment.date() + n * DAY) for n in (-2, -1, 0, 1, 2)):
            moment, earlier = moment + DAY, None
            continue
        for instant in (moment + n * MINUTE for n in range(24 * 60)):
            wall = instant.astimezone(zone).replace(tzinfo=None)
            if follows_real_time:
                fires = asked_for(wall)
            else:
                fires = asked_for(wall) and wall not in decided
                decided.add(wall)
                skipped = wall if earlier is None else earlier + MINUTE
                while skipped < wall:
                    fires |= asked_for(skipped) and skipped not in decided
                    decided.add(skipped)
                    skipped += MINUTE
            if fires and begin <= instant <= end:
                yield instant
            earlier = wall
        moment += DAY


def following(expression: str, zone: ZoneInfo, after: datetime, count: int) -> list[datetime]:
    """Return the next slots, at most ``count``, up to the end of the eighth calendar year after the moment."""
    last_day = datetime(after.astimezone(zone).year + 8, 12, 31, tzinfo=zone)
    found = []
    for slot in slots(expression, zone, after + timedelta(microseconds=1), last_day + DAY):
        found.append(slot)
        if len(found) == count:
            break
    return found


def preceding(expression: str, zone: ZoneInfo, until: datetime, count: int) -> list[datetime]:
    """Return the last slots not later than the moment, the newest first, found in ever longer stretches before it."""
    days = 2
    while True:
        found = list(slots(expression, zone, until - days * DAY, until))
        if len(found) >= count or days > 8 * 366:
            return found[-count:][::-1]
        days *= 4


def crons_at_changes(zone: ZoneInfo, after: datetime) -> list[str]:
    """Return expressions whose next slot is at one of the zone's changes of the clock within a year.

    For each change they ask for a time that it skips or repeats, and for every quarter of an hour from that hour on,
    by a range of hours and, where that is midnight, also by a star.
    """
    found = []
    for change in _changes(zone, after + 2 * DAY, after + 360 * DAY):
        # The clock as it would go on without the change, and as it does: between them are the times in question.
        on, off = (change + instant.astimezone(zone).utcoffset() for instant in (change - MINUTE, change))
        asked = min(on, off) + timedelta(minutes=15)
        day = f"{asked.day} {asked.month} *"
        found += [f"{asked.minute} {asked.hour} {day}", f"*/15 {asked.hour}-{min(asked.hour + 2, 23)} {day}"]
        if asked.hour == 0:
            found.append(f"15,30 * {day}")
    return found


def _changes(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Return the first minute of each new offset from UTC, by trying every hour and then every minute."""
    moment = begin.replace(minute=0, second=0, microsecond=0)
    while moment <= end:
        following_hour = moment + 60 * MINUTE
        after = following_hour.astimezone(zone).utcoffset()
        if moment.astimezone(zone).utcoffset() != after:
            minutes = (moment + n * MINUTE for n in range(61))
            yield next(instant for instant in minutes if instant.astimezone(zone).utcoffset() == after)
        moment = following_hour


def spelled(found: list[datetime]) -> list[str]:
    return [slot.strftime("%Y-%m-%dT%H:%M:%SZ") for slot in found]
