"""Keep the latest moment by which a slot was planned, in one small record.

It is raised in the commits that fire schedules, so it costs no message of its own. A clock that is behind it was set
back, or those of two processes differ: that is how it is noticed after a restart, and by other processes. Beside it
stands the proven time of that moment, from which deletions of the next process go on: the moment itself may be one of
a clock that was ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from gestalt_workflow.model.clock import SLACK, WatchedClock
from gestalt_workflow.stored.records import FORMAT
from gestalt_workflow.stored.storage import Condition, Record, Storage, Write, WriteResult, absent

_ROW = "clock"
_FIELD = "latest"
_PROVEN = "proven"


class LatestPlanned:
    """The record as this process knows it. Every write names what was known, so it never goes down by mistake."""

    def __init__(self, storage: Storage, clock: WatchedClock) -> None:
        self._storage = storage
        self._clock = clock
        self.moment: datetime | None = None
        """None: nothing was planned yet, as far as is known."""
        self.begun = False
        """Whether the record has been read."""

    async def begin(self) -> None:
        """Read the record for the first time, and have the clock prove time from there on."""
        record = await self._storage.find_record(FORMAT, _ROW, "read latest planned moment")
        self._know(record)
        proven = record.get(_PROVEN) if record is not None else None
        self._clock.remember(proven if isinstance(proven, datetime) else self.moment or self._clock())
        self.begun = True

    async def read(self) -> None:
        """Read the record again; one message."""
        self._know(await self._storage.find_record(FORMAT, _ROW, "read latest planned moment"))

    def ahead_of(self, now: datetime) -> timedelta:
        """Return by how much the clock has fallen behind what was planned; zero where that is within the slack."""
        ahead = self.moment - now if self.moment is not None else timedelta()
        return ahead if ahead > SLACK else timedelta()

    def raising(self, now: datetime) -> list[Write]:
        """Return the write to put into a commit that plans by that moment.

        None when the record says it already, and before the record was read: then there is no proven time to write.
        """
        if not self.begun or (self.moment is not None and now - self.moment < SLACK / 2):
            return []
        return [self._write(now)]

    def raised(self, result: WriteResult, now: datetime) -> None:
        """Take note of what became of such a write."""
        if result.ok:
            self.moment = now
        else:
            self._know(result.current)

    def raised_all(self, results: Sequence[WriteResult], now: datetime) -> None:
        """Do the same for each of the writes, of which there may be none."""
        for result in results:
            self.raised(result, now)

    async def lower(self, now: datetime) -> bool:
        """Bring the record down to that moment, because all that was planned behind it has been planned anew.

        Returns:
            False when another process has changed it meanwhile.
        """
        (result,) = await self._storage.write([self._write(now)], "note that the clock was set back")
        self.raised(result, now)
        return result.ok

    async def raise_to(self, now: datetime) -> None:
        """Raise the record in a commit of its own, whatever other processes make of it meanwhile."""
        while writes := self.raising(now):
            (result,) = await self._storage.write(writes, "note latest planned moment")
            self.raised(result, now)

    def _write(self, moment: datetime) -> Write:
        known = absent() if self.moment is None else Condition.equals(_FIELD, self.moment)
        record = {"id": _ROW, _FIELD: moment, _PROVEN: self._clock.proven()}
        return Write(FORMAT, "put", record, conditions=[known])

    def _know(self, record: Record | None) -> None:
        value = record.get(_FIELD) if record is not None else None
        self.moment = value if isinstance(value, datetime) else None
