"""When a schedule fires: one pure function from (cron, zone, moment) to the next slot, and its inverse.

A slot is an instant at which a schedule should fire. Grammar: the five-field dialect of semantics.md 16. Daylight
saving: design decision 4. An entry whose hour field has a star among its items follows real time: every instant whose
local wall time matches. Any other entry fires each matching wall time once per local day: at the first pass of an
overlap, at the first instant after a gap. Cost is bounded by the days between two slots, never by missed slots.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gestalt_workflow.errors import InvalidRequest
from gestalt_workflow.zones import load_zone

HORIZON_YEARS = 5
"""A cron that has no slot up to the end of the fifth calendar year after a moment has none."""

_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_WEEKDAY_NAMES = "sun mon tue wed thu fri sat"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), 1)}
_WEEKDAYS = {name: number for number, name in enumerate(_WEEKDAY_NAMES.split())}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day-of-month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day-of-week", 0, 6, _WEEKDAYS),
)
_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression; the tuples ascend and may be empty, which means never."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    """The day-of-month field is a bare star: the weekday alone decides."""
    any_weekday: bool
    real_time: bool
    """The hour field has a star among its items: follow real time through changes of the clock."""
    offsets: tuple[int, ...]
    """Minutes after local midnight at which a matching day fires, ascending."""

    def matches_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return in_month and in_week
        return in_month or in_week


@lru_cache(maxsize=4096)
def parse_cron(expression: str) -> Cron:
    """Parse a five-field expression.

    Raises:
        InvalidRequest: ``invalid cron: ...`` naming the column (1 is the first character), field, text and reason.
    """
    fields = [(match.group(), match.start() + 1) for match in re.finditer(r"\S+", expression)]
    if fields and fields[0][0].startswith("@"):
        raise _refusal(fields[0][1], f'"{fields[0][0]}" is a descriptor, which is not supported; write five fields')
    if fields and fields[0][0].upper().startswith(("TZ=", "CRON_TZ=")):
        raise _refusal(
            fields[0][1], f'"{fields[0][0]}": a zone is not part of the expression; use the timezone of the schedule'
        )
    if len(fields) != len(_FIELDS):
        found = " ".join(text for text, _ in fields)
        raise InvalidRequest(f"invalid cron: expected exactly 5 fields, found {len(fields)}: [{found}]")
    sets: list[frozenset[int]] = []
    stars: list[bool] = []
    for (text, column), (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        values, star = _parse_field(text, column, name, low, high, names)
        sets.append(values)
        stars.append(star)
    minutes, hours = tuple(sorted(sets[0])), tuple(sorted(sets[1]))
    hour_items = [item for item in fields[1][0].split(",") if item]
    return Cron(
        minutes=minutes,
        hours=hours,
        days=sets[2],
        months=sets[3],
        weekdays=sets[4],
        any_day=stars[2],
        any_weekday=stars[4],
        real_time=any(item.partition("/")[0].partition("-")[0] in ("*", "?") for item in hour_items),
        offsets=tuple(hour * 60 + minute for hour in hours for minute in minutes),
    )


def _parse_field(
    text: str, column: int, name: str, low: int, high: int, names: dict[str, int]
) -> tuple[frozenset[int], bool]:
    values: set[int] = set()
    star = False
    position = column
    for item in text.split(","):
        if item:
            members, bare_star = _parse_item(item, position, name, low, high, names)
            values.update(members)
            star = star or bare_star
        position += len(item) + 1
    return frozenset(values), star


def _parse_item(item: str, column: int, name: str, low: int, high: int, names: dict[str, int]) -> tuple[range, bool]:
    span, *steps = item.split("/")
    if len(steps) > 1:
        raise _refusal(column, f'{name} "{item}": too many slashes')
    bounds = span.split("-")
    star = bounds[0] in ("*", "?")
    if star:
        first, last = low, high
    else:
        if len(bounds) > 2:
            raise _refusal(column, f'{name} "{item}": too many hyphens')
        first = _number(bounds[0], item, column, name, names)
        last = first if len(bounds) == 1 else _number(bounds[1], item, column, name, names)
    step = 1
    if steps:
        step = _number(steps[0], item, column, name, {})
        if step < 0:
            raise _refusal(column, f'{name} "{item}": step {step} is negative')
        if len(bounds) == 1:
            last = high
        star = star and step == 1
    if first < low:
        raise _refusal(column, f'{name} "{item}": {first} is below the minimum {low}')
    if last > high:
        raise _refusal(column, f'{name} "{item}": {last} is above the maximum {high}')
    if first > last:
        raise _refusal(column, f'{name} "{item}": the range begins at {first}, after its end {last}')
    if step == 0:
        raise _refusal(column, f'{name} "{item}": the step must not be 0')
    return range(first, last + 1, step), star


def _number(text: str, item: str, column: int, name: str, names: dict[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    value = int(text) if _NUMBER.fullmatch(text) and len(text) <= 20 else None
    if value is None or abs(value) > _LARGEST_NUMBER:
        expected = f"a number or one of {', '.join(names)}" if names else "a number"
        raise _refusal(column, f'{name} "{item}": "{text}" is not {expected}')
    return value


def _refusal(column: int, reason: str) -> InvalidRequest:
    return InvalidRequest(f"invalid cron: column {column}: {reason}")


def next_slot(cron: Cron, zone_name: str, after: datetime) -> datetime | None:
    """The first slot strictly later than ``after``; UTC. None when there is none within the horizon."""
    zone = load_zone(zone_name)
    after = after.astimezone(UTC)
    local = after.astimezone(zone).date()
    day: date | None = local - _DAY  # a second pass through the hour before midnight belongs to the day before
    last = _year_end(local.year + HORIZON_YEARS)
    while day is not None and day <= last:
        found = _first_after(cron, zone, day, after)
        if found is not None:
            if not (_plain(zone, day) and _plain(zone, day + _DAY)):
                # The clock went back across midnight: the following day's first pass may come first.
                other = _first_after(cron, zone, day + _DAY, after) if cron.matches_day(day + _DAY) else None
                found = min(found, other) if other is not None else found
            return found
        day = _following_day(cron, day, last)
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
        day = _preceding_day(cron, day, first)
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


def _year_end(year: int) -> date:
    return date(min(year, date.max.year - 1), 12, 31)


def _following_day(cron: Cron, day: date, last: date) -> date | None:
    day += _DAY
    while day <= last:
        if day.month not in cron.months:
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        elif cron.matches_day(day):
            return day
        else:
            day += _DAY
    return None


def _preceding_day(cron: Cron, day: date, first: date) -> date | None:
    day -= _DAY
    while day >= first:
        if day.month not in cron.months:
            day = day.replace(day=1) - _DAY
        elif cron.matches_day(day):
            return day
        else:
            day -= _DAY
    return None


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
