"""Remove what is old or too much, one kind after the other, a small batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

from gestalt_workflow.config import Config
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.objects import RunStatus
from gestalt_workflow.objects.schedules import Schedules
from gestalt_workflow.objects.triggers import Triggers
from gestalt_workflow.retention.events import EventsByAge, EventsByCount
from gestalt_workflow.retention.idle_objects import IdleObjects
from gestalt_workflow.retention.references import OldReferences
from gestalt_workflow.retention.rows import CauseRows, ClaimantRows, SignalKeyRows
from gestalt_workflow.retention.runs import RunsByAge, RunsByCount
from gestalt_workflow.retention.sweeps import Progress, Sweep
from gestalt_workflow.stored.storage import Storage

STEPS = 5
"""Steps of one call, as long as each of them removes something."""


class Retention:
    """Gives each kind of records its turn."""

    def __init__(self, sweeps: Sequence[Sweep]) -> None:
        self.sweeps = list(sweeps)
        self._turn = 0

    async def remove_some(self) -> bool:
        """Go on with one sweep; the next one has its turn when that is through, or has failed.

        Returns:
            Whether the sweep has more to do. It costs one message when there was nothing to remove.

        Raises:
            StorageFailed: the next call goes on with the next sweep.
        """
        sweep = self.sweeps[self._turn]
        try:
            for _ in range(STEPS):
                progress = await sweep.step()
                if progress is not Progress.REMOVED:
                    break
        except BaseException:
            self._next()
            raise
        if progress is Progress.DONE:
            self._next()
        return progress is not Progress.DONE

    def _next(self) -> None:
        self._turn = (self._turn + 1) % len(self.sweeps)


def configured_retention(
    storage: Storage, schedules: Schedules, triggers: Triggers, clock: Clock, config: Config
) -> Retention:
    """Return the retention with a sweep for each kind that does not stay for ever."""
    sweeps: list[Sweep] = []
    if config.keep_runs_for is not None:
        ended = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED)
        sweeps += [RunsByAge(storage, clock, status, config.keep_runs_for) for status in ended]
    if config.keep_runs is not None:
        sweeps.append(RunsByCount(storage, clock, config.keep_runs))
    if config.keep_events_for is not None:
        sweeps.append(EventsByAge(storage, clock, config.keep_events_for))
    if config.keep_events is not None:
        sweeps.append(EventsByCount(storage, config.keep_events))
    sweeps += [ClaimantRows(storage, clock), CauseRows(storage, clock), SignalKeyRows(storage, clock)]
    if config.keep_references_for is not None:
        sweeps.append(OldReferences(storage, clock, config.keep_references_for))
    if config.keep_idle_for is not None:
        sweeps.append(IdleObjects(storage, schedules, triggers, clock, config.keep_idle_for))
    return Retention(sweeps)
