"""Read durations as people write them, ``300ms`` or ``2h45m``, in the configuration of hosts and providers."""

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
MAX_NS = 2**63 - 1
"""The longest duration, some 292 years."""


_MOST_CHARACTERS = 200
"""More than any duration needs, and few enough for Python to read as an integer."""


class DurationInvalid(ValueError):
    """Refuse a text that is no duration; the message says what is accepted."""

    def __init__(self, text: str, accepted: str) -> None:
        shown = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
        super().__init__(f"{shown!r} is not a duration; accepted are {accepted}")


def parse_duration(text: str) -> timedelta:
    """Read a signed duration such as ``300ms``, ``1.5h`` or ``2h45m``; ``0`` needs no unit.

    What is below a microsecond is cut. Raises ``DurationInvalid``.
    """
    return timedelta(microseconds=nanoseconds(text, "forms such as 300ms, 1.5h and 2h45m") // 1000)


def nanoseconds(text: str, accepted: str) -> int:
    """Read what ``parse_duration`` reads, uncut, for a caller who accepts more forms and says so in ``accepted``."""
    if len(text) > _MOST_CHARACTERS:
        raise DurationInvalid(text, accepted)
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
    if not rest or total > MAX_NS:
        raise DurationInvalid(text, accepted)
    return sign * total
