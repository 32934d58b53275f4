"""Durations as configuration writes them (config.md 1.5)."""

from __future__ import annotations

import re
from datetime import timedelta

_UNIT_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_ITEM = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_DAYS = re.compile(r"([0-9]+)d")
_MAX_NS = 2**63 - 1


class DurationInvalid(ValueError):
    """The text is no duration; the message says what is accepted."""

    def __init__(self, text: str, accepted: str) -> None:
        super().__init__(f"{text!r} is not a duration; accepted are {accepted}")


def parse_duration(text: str) -> timedelta:
    """A signed duration such as ``300ms``, ``1.5h`` or ``2h45m``; ``0`` needs no unit. Cut to microseconds."""
    return timedelta(microseconds=_nanoseconds(text, "forms such as 300ms, 1.5h and 2h45m") // 1000)


def parse_config_duration(text: str) -> timedelta:
    """A positive duration: as in ``parse_duration``, or a whole number of days such as ``30d``."""
    accepted = "positive ones such as 300ms, 1.5h, 2h45m and 30d"
    days = _DAYS.fullmatch(text)
    nanoseconds = int(days[1]) * 86_400 * 10**9 if days else _nanoseconds(text, accepted)
    if not 0 < nanoseconds <= _MAX_NS:
        raise DurationInvalid(text, accepted)
    return timedelta(microseconds=nanoseconds // 1000)


def _nanoseconds(text: str, accepted: str) -> int:
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, position = 0, 0
    while position < len(rest):
        item = _ITEM.match(rest, position)
        if item is None or not (item[1] or item[2]):
            raise DurationInvalid(text, accepted)
        unit, fraction = _UNIT_NS[item[3]], item[2] or ""
        total += int(item[1] or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        position = item.end()
    if not rest or total > _MAX_NS:
        raise DurationInvalid(text, accepted)
    return sign * total
