"""Say which runs wait longer for a place than they should: to the log, and to whoever asks for the provider's health.

A run that waits for its moment, for another run or behind a limit of its target is not meant: it says itself what it
waits for. Looked at is what the process has in memory, so nothing is read for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from gestalt_workflow.claims.transitions import queued_since
from gestalt_workflow.dispatch.turns import Turns
from gestalt_workflow.model.clock import Clock

LOGGED_EVERY = timedelta(minutes=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Delay:
    """Runs that wait too long.

    Attributes:
        subjects: How many subjects have one.
        kinds: What kind of subjects these are, such as ``user``; in order, and without a blank one.
        longest: How long the first of them has waited.
    """

    subjects: int
    kinds: tuple[str, ...]
    longest: timedelta

    def describe(self) -> str:
        """Say it in a sentence that names nobody."""
        kinds = f" ({', '.join(self.kinds)})" if self.kinds else ""
        subjects = f"{self.subjects} subject{'s' if self.subjects > 1 else ''}{kinds}"
        return f"runs of {subjects} wait for a free worker, the longest for {self.longest.total_seconds():.0f} s"


class OverdueRuns:
    """Looks at the first run of each subject in the queue."""

    def __init__(self, queue: Turns, clock: Clock, after: timedelta) -> None:
        """Take the queue, and how long a run may wait there."""
        self._queue = queue
        self._clock = clock
        self._after = after
        self._logged_at: datetime | None = None

    def look(self) -> Delay | None:
        """Return what waits too long, None when nothing does."""
        now = self._clock()
        waits: list[timedelta] = []
        kinds: set[str] = set()
        for queue in self._queue:
            if len(queue) and (waited := now - queued_since(queue.first)) > self._after:
                waits.append(waited)
                kinds.add(queue.first.created_by.subject_kind)
        return Delay(len(waits), tuple(sorted(kinds - {""})), max(waits)) if waits else None

    def log(self) -> None:
        """Log what waits too long, once a minute, and once that nothing does any more."""
        delay, now = self.look(), self._clock()
        if delay is None:
            if self._logged_at is not None:
                self._logged_at = None
                log.info("runs are claimed in time again", event_name="runs.in_time")
        elif self._logged_at is None or not timedelta() <= now - self._logged_at < LOGGED_EVERY:
            self._logged_at = now
            log.warning(
                "runs wait long for a free worker",
                event_name="runs.overdue",
                subjects=delay.subjects,
                subject_kinds=delay.kinds,
                longest_s=round(delay.longest.total_seconds(), 3),
            )
