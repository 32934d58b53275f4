"""Tell the time: the clock as an argument, so that tests can set it, and moments as microseconds since 1970."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Gives the present moment as an aware UTC ``datetime``."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
"""The smallest step between two moments, here and in the store."""


def utc_now() -> datetime:
    """Return the present moment by the machine's clock."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Return the microseconds from 1970 to the moment, exactly."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the moment that many microseconds after 1970; raises ``OverflowError`` when there is no such year."""
    return EPOCH + timedelta(microseconds=micros)
