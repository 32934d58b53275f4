"""Figures of this process since it began: how runs ended, how late schedules fired, what triggers said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import IntEnum

from gestalt_sdk.bases.metrics import Counter, Histogram, MetricFamily
from gestalt_workflow.model.objects import Run, RunStatus, SlotState, TriggerKind

VERDICTS = (
    "matched",
    "duplicate",
    "paused",
    "source_differs",
    "subject_differs",
    "plugin_differs",
    "type_differs",
    "loop",
)
"""Names of all kinds of verdicts."""
UNLISTED = "unlisted"
LATENESS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


def _names(kinds: type[IntEnum]) -> list[str]:
    return [kind.name.lower() for kind in kinds]


class Metrics:
    """Counts what the parts of an engine tell; nothing is read or written for it."""

    def __init__(self) -> None:
        self.slots = Counter(
            "workflow_slots",
            "Slots of schedules that came, by what became of them: fired, collapsed into a later one, or skipped by an "
            "overlap or catch_up policy.",
            outcome=["fired", *_names(SlotState)],
        )
        self.events = Counter(
            "workflow_events_published", "Events that were published.", publication=["new", "repeated"]
        )
        self.verdicts = Counter(
            "workflow_event_verdicts",
            "What triggers of its type said to each published event; unlisted: more than an event's record lists.",
            verdict=[*VERDICTS, UNLISTED],
        )
        self.retries = Counter("workflow_run_retries", "Attempts of runs that failed and are to be tried again.")
        self.lost_claims = Counter("workflow_claims_lost", "Claims on runs that were settled because they were lost.")
        self._ended = Counter(
            "workflow_runs_ended",
            "Runs that ended, by what fired them and how they ended.",
            trigger=_names(TriggerKind),
            outcome=[name for name in _names(RunStatus) if RunStatus[name.upper()].terminal],
        )
        self._lateness = Histogram(
            "workflow_schedule_lateness_seconds",
            "From the moment at which a schedule should have fired, jitter included, to its run.",
            LATENESS_S,
        )
        self._wait = Histogram(
            "workflow_run_wait_seconds", "From a run's entry into the queue to its claim by a worker.", LATENESS_S
        )

    def ended(self, run: Run) -> None:
        """Count a run that has ended."""
        self._ended.add(run.trigger.kind.name.lower(), run.status.name.lower())

    def fired(self, late: timedelta) -> None:
        """Count how late a schedule fired."""
        self._lateness.observe(max(late.total_seconds(), 0.0))

    def claimed(self, waited: timedelta) -> None:
        """Count how long a run waited for its claim."""
        self._wait.observe(max(waited.total_seconds(), 0.0))

    def families(self) -> Sequence[MetricFamily]:
        """Return all of them as they are now."""
        found = (
            self._ended,
            self._lateness,
            self._wait,
            self.slots,
            self.events,
            self.verdicts,
            self.retries,
            self.lost_claims,
        )
        return [item.family() for item in found]
