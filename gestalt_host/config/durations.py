"""Durations that only the host's configuration has: positive, days allowed (config.md 1.5)."""

from __future__ import annotations

import re
from datetime import timedelta

from gestalt_sdk.timing.durations import MAX_NS, DurationInvalid, nanoseconds

_DAYS = re.compile(r"([0-9]+)d")


def parse_config_duration(text: str) -> timedelta:
    """A positive duration: as in ``gestalt_sdk.timing.durations``, or a whole number of days such as ``30d``."""
    accepted = "positive ones such as 300ms, 1.5h, 2h45m and 30d"
    days = _DAYS.fullmatch(text)
    total = int(days[1]) * 86_400 * 10**9 if days else nanoseconds(text, accepted)
    if not 0 < total <= MAX_NS:
        raise DurationInvalid(text, accepted)
    return timedelta(microseconds=total // 1000)
