"""Wall-clock time as an argument, so that tests can set it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Gives the present moment as an aware UTC ``datetime``."""


def utc_now() -> datetime:
    return datetime.now(UTC)
