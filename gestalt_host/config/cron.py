"""The grammar of cron expressions, for checking them before anything starts (semantics.md 16, design decision 4).

Pure: no clock, no zone. The workflow provider computes slots and checks again; this module only refuses what it
would refuse, so that an operator reads the fault with its line.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass

_MONTHS = dict(jan=1, feb=2, mar=3, apr=4, may=5, jun=6, jul=7, aug=8, sep=9, oct=10, nov=11, dec=12)  # noqa: C408
_DAYS = dict(sun=0, mon=1, tue=2, wed=3, thu=4, fri=5, sat=6)  # noqa: C408


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


class CronInvalid(ValueError):
    """The expression is refused; the message names the field, the item and what is accepted."""


def check_cron(expression: str) -> None:
    """Accept a five-field expression that occurs at least once in five years.

    Raises:
        CronInvalid: for anything else.
    """
    text = expression.strip()
    if text.startswith(("TZ=", "CRON_TZ=")):
        raise CronInvalid("a time zone prefix is not supported; set the timezone beside it")
    if text.startswith("@"):
        raise CronInvalid(f"descriptors such as {text.split()[0]} are not supported; write five fields")
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise CronInvalid(f"expected exactly 5 fields, found {len(parts)}: [{text}]")
    values = [_values(field, part) for field, part in zip(_FIELDS, parts, strict=True)]
    minutes, hours, days, months, weekdays = values
    if not (minutes and hours and months and _some_day(parts, days, months, weekdays)):
        raise CronInvalid("it has no occurrence within five years")


def _values(field: _Field, text: str) -> set[int]:
    values: set[int] = set()
    for item in text.split(","):
        if item:
            values.update(_item(field, item))
    return values


def _item(field: _Field, item: str) -> range:
    bounds, slash, step_text = item.partition("/")
    if "/" in step_text:
        raise CronInvalid(f"{field.name}: too many slashes: {item}")
    ends = bounds.split("-")
    if ends[0] in ("*", "?"):
        # What follows a hyphen after a star has never counted.
        low, high = field.low, field.high
    else:
        if len(ends) > 2:
            raise CronInvalid(f"{field.name}: too many hyphens: {item}")
        low = _number(field, ends[0], item)
        high = _number(field, ends[1], item) if len(ends) == 2 else (field.high if slash else low)
    step = _plain_number(field, step_text, item) if slash else 1
    if low < field.low:
        raise CronInvalid(f"{field.name}: beginning of range ({low}) below minimum ({field.low}): {item}")
    if high > field.high:
        raise CronInvalid(f"{field.name}: end of range ({high}) above maximum ({field.high}): {item}")
    if low > high:
        raise CronInvalid(f"{field.name}: beginning of range ({low}) beyond end of range ({high}): {item}")
    if step == 0:
        raise CronInvalid(f"{field.name}: step of range should be a positive number: {item}")
    return range(low, high + 1, step)


def _number(field: _Field, text: str, item: str) -> int:
    named = field.names.get(text.lower())
    return named if named is not None else _plain_number(field, text, item)


def _plain_number(field: _Field, text: str, item: str) -> int:
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
        accepted = f"{field.low}-{field.high}"
        if field.names:
            accepted += f" and {', '.join(field.names)}"
        raise CronInvalid(f"{field.name}: {text!r} in {item!r} is not a number; accepted are {accepted}")
    return int(digits)


def _some_day(parts: list[str], days: set[int], months: set[int], weekdays: set[int]) -> bool:
    if _has_bare_star(parts[2]) or _has_bare_star(parts[4]):
        return bool(weekdays) and _some_date(days, months)
    return bool(weekdays) or _some_date(days, months)


def _some_date(days: set[int], months: set[int]) -> bool:
    return any(day <= calendar.monthrange(2024, month)[1] for month in months for day in days)


def _has_bare_star(text: str) -> bool:
    for item in text.split(","):
        bounds, _, step = item.partition("/")
        if bounds.split("-")[0] in ("*", "?") and step.lstrip("+0") in ("", "1"):
            return True
    return False
