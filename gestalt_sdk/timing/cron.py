"""Parse cron expressions: five fields into sets of numbers (semantics.md 16).

Pure: no clock, no zone. The host checks configuration with it, the workflow provider computes slots from it, so both
refuse the same texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from gestalt_sdk.common.printable import printable
from gestalt_sdk.errors import GestaltError

HORIZON_YEARS = 8
"""A cron that has no slot up to the end of the eighth calendar year after a moment has none: between two leap days lie
eight years at most."""

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
_DAY_OF_MONTH = 2
_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DAY = timedelta(days=1)
_LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cron:
    """Hold a parsed expression; the tuples ascend. One of a stored expression may be empty, which means never."""

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
        """Tell whether the expression fires on that day, if it has an hour and a minute at all."""
        if day.month not in self.months:
            return False
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return in_month and in_week
        return in_month or in_week

    def following_day(self, day: date, last: date) -> date | None:
        """Return the first matching day after ``day``, None when there is none up to and with ``last``."""
        day += _DAY
        while day <= last:
            if day.month not in self.months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            elif self.matches_day(day):
                return day
            else:
                day += _DAY
        return None

    def preceding_day(self, day: date, first: date) -> date | None:
        """Return the last matching day before ``day``, None when there is none back to and with ``first``."""
        day -= _DAY
        while day >= first:
            if day.month not in self.months:
                day = day.replace(day=1) - _DAY
            elif self.matches_day(day):
                return day
            else:
                day -= _DAY
        return None


class CronInvalid(GestaltError):
    """Refuse an expression.

    Attributes:
        reason: Column (1 is the first character), field, text and what is wrong with it; of an expression with too
            many or too few fields it shows all of them instead.
        column: Where it goes wrong: the first field too many, or where the first missing one would begin.
    """

    def __init__(self, reason: str, column: int) -> None:
        super().__init__(f"invalid cron: {reason}")
        self.reason = reason
        self.column = column


def check_cron(expression: str, today: date) -> None:
    """Accept an expression that parses and has a matching time from ``today`` on; a provider accepts the same ones.

    Raises:
        CronInvalid: for anything else.
    """
    cron = parse_cron(expression)
    if cron.following_day(today - _DAY, horizon(today)) is None:
        raise no_occurrence(expression)


def no_occurrence(expression: str) -> CronInvalid:
    """Return the refusal of an expression that parses and never fires, which is because of its day of the month."""
    text, column = _fields(expression)[_DAY_OF_MONTH]
    return _refusal(column, f'day-of-month "{text}": "{expression.strip()}" has no occurrence within eight years')


def horizon(day: date) -> date:
    """Return the last day on which an occurrence after ``day`` is looked for."""
    return date(min(day.year + HORIZON_YEARS, date.max.year - 1), 12, 31)


@lru_cache(maxsize=4096)
def parse_cron(expression: str, *, stored: bool = False) -> Cron:
    """Parse a five-field expression.

    Args:
        stored: It was accepted when it was written, perhaps by an earlier version: empty items are skipped, and what
            follows the hyphen of a star (``*-5``) is ignored, as was done then.

    Raises:
        CronInvalid: naming the column (1 is the first character), field, text and reason.
    """
    fields = _fields(expression)
    if fields and fields[0][0].startswith("@"):
        raise _refusal(fields[0][1], f'"{fields[0][0]}" is a descriptor, which is not supported; write five fields')
    if fields and fields[0][0].upper().startswith(("TZ=", "CRON_TZ=")):
        raise _refusal(
            fields[0][1], f'"{fields[0][0]}": a zone is not part of the expression; use the timezone of the schedule'
        )
    if len(fields) != len(_FIELDS):
        found = " ".join(text for text, _ in fields)
        column = fields[len(_FIELDS)][1] if len(fields) > len(_FIELDS) else len(expression.rstrip()) + 1
        raise CronInvalid(f"expected exactly 5 fields, found {len(fields)}: [{found}]", column)
    parsed = [
        _parse_field(text, column, *limits, stored) for (text, column), limits in zip(fields, _FIELDS, strict=True)
    ]
    sets, stars = [values for values, _ in parsed], [star for _, star in parsed]
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


def _fields(expression: str) -> list[tuple[str, int]]:
    """Each field with its column."""
    return [(match.group(), match.start() + 1) for match in re.finditer(r"\S+", expression)]


def _parse_field(
    text: str, column: int, name: str, low: int, high: int, names: dict[str, int], stored: bool
) -> tuple[frozenset[int], bool]:
    """Return the values of a field, and whether it is a bare star."""
    values: set[int] = set()
    star = False
    position = column
    for item in text.split(","):
        if item:
            members, bare_star = _parse_item(item, position, name, low, high, names, stored)
            values.update(members)
            star = star or bare_star
        elif not stored:
            raise _refusal(position, f'{name} "{text}": an item of the list is empty')
        position += len(item) + 1
    return frozenset(values), star


def _parse_item(
    item: str, column: int, name: str, low: int, high: int, names: dict[str, int], stored: bool
) -> tuple[range, bool]:
    span, *steps = item.split("/")
    if len(steps) > 1:
        raise _refusal(column, f'{name} "{item}": too many slashes')
    bounds = span.split("-")
    star = bounds[0] in ("*", "?")
    if star:
        if len(bounds) > 1 and not stored:
            raise _refusal(
                column, f'{name} "{item}": a star has no range; write {low}-N, or a step as in {bounds[0]}/5'
            )
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
    sunday = "; Sunday is 0" if names is _WEEKDAYS and (7 in (first, last) or last == 0) else ""
    if last > high:
        raise _refusal(column, f'{name} "{item}": {last} is above the maximum {high}{sunday}')
    if first > last:
        raise _refusal(column, f'{name} "{item}": the range begins at {first}, after its end {last}{sunday}')
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


def _refusal(column: int, reason: str) -> CronInvalid:
    return CronInvalid(f"column {column}: {printable(reason)}", column)
