"""Tell the time: the clock as an argument, so that tests can set it, and moments as microseconds since 1970."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Gives the present moment as an aware UTC ``datetime``."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
"""The smallest step between two moments, here and in the store."""


SLACK = timedelta(seconds=5)
"""By so much clocks of machines that keep the same time may differ, and a clock may be corrected unnoticed."""
BELIEVED_AFTER = timedelta(hours=1)
"""How long a clock has to stay ahead of what it showed before until leases and retention go by it."""


def utc_now() -> datetime:
    """Return the present moment by the machine's clock."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Return the microseconds from 1970 to the moment, exactly."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the moment that many microseconds after 1970; raises ``OverflowError`` when there is no such year."""
    return EPOCH + timedelta(microseconds=micros)


class WatchedClock:
    """The wall clock, compared with one that nobody sets; calling it gives the present moment, as a ``Clock`` does.

    A machine's clock may be wrong for a while, and jumps when it is set and when the machine has slept. What was
    planned by it is planned anew when it goes back (``set_back``). What cannot be taken back goes by ``steady``, the
    ends of claims, and ``proven``, deletions.
    """

    def __init__(self, clock: Clock = utc_now, monotonic: Callable[[], float] | None = None) -> None:
        """Take the wall clock and the seconds of another one.

        Args:
            monotonic: None takes the machine's for the machine's wall clock; any other clock is its own, and never
                jumps.
        """
        if monotonic is None:
            monotonic = time.monotonic if clock is utc_now else lambda: clock().timestamp()
        self._clock = clock
        self._monotonic = monotonic
        self._began = monotonic()
        self._origin = self._read()
        self._earlier: deque[tuple[float, datetime]] = deque()
        self._remembered: datetime | None = None
        self._back = self._forward = timedelta()

    def __call__(self) -> datetime:
        """Return the present moment as the wall clock has it."""
        return self._clock()

    def elapsed(self) -> timedelta:
        """Return the time since this object was made, whatever happened to the wall clock."""
        return timedelta(seconds=self._monotonic() - self._began)

    def set_back(self) -> timedelta:
        """Return by how much the clock was set back since this was asked last; zero when it was not."""
        self._look()
        found, self._back = self._back, timedelta()
        return found

    def set_forward(self) -> timedelta:
        """Return by how much the clock was set forward, or the machine slept, since this was asked last."""
        self._look()
        found, self._forward = self._forward, timedelta()
        return found

    def steady(self) -> datetime:
        """Return the present moment, but for ``BELIEVED_AFTER`` without what the clock was set forward by."""
        self._look()
        return self._time_by(min([self._origin, *(origin for _, origin in self._earlier)]))

    def remember(self, moment: datetime) -> None:
        """Take note of the latest moment that processes before this one have proven."""
        origin = moment - self.elapsed()
        if self._remembered is None or origin < self._remembered:
            self._remembered = origin

    def proven(self) -> datetime:
        """Return ``steady``, but since the start for ``BELIEVED_AFTER`` not later than what is remembered goes on.

        As long as nothing was remembered it is 1970: no time is proven that anything could be deleted by.
        """
        steady = self.steady()
        if self.elapsed() >= BELIEVED_AFTER:
            return steady
        return min(steady, self._time_by(self._remembered)) if self._remembered is not None else EPOCH

    def _time_by(self, origin: datetime) -> datetime:
        return self._clock() if origin is self._origin else origin + self.elapsed()

    def _read(self) -> datetime:
        """Return what the wall clock would have shown when this object was made, had it gone on as it goes now."""
        return self._clock() - self.elapsed()

    def _look(self) -> None:
        origin = self._read()
        jump = origin - self._origin
        elapsed = self.elapsed().total_seconds()
        if abs(jump) > SLACK:
            self._earlier.append((elapsed + BELIEVED_AFTER.total_seconds(), self._origin))
            if jump > timedelta():
                self._forward += jump
            else:
                self._back -= jump
        self._origin = origin
        while self._earlier and self._earlier[0][0] <= elapsed:
            self._earlier.popleft()
