"""Tell those parts of this process that keep runs in memory what was committed about runs.

Whoever commits a run is given the engine's ``RunNews`` and tells it; the dispatcher and the waiting room listen.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from gestalt_workflow.model.metrics import Metrics
from gestalt_workflow.model.objects import Run


class RunListener(Protocol):
    """What a part that keeps runs in memory is told. It must not wait: it notes the news and wakes its loop."""

    def pending(self, run: Run) -> None:
        """Take note of a run that was committed as pending; it replaces an older record of the same run."""

    def ended(self, run_id: str) -> None:
        """Take note that a run was committed as ended, whoever ended it."""

    def lost(self, run_id: str) -> None:
        """Take note that this process no longer holds its claim; the run may have ended, or be pending again."""


class RunNews:
    """Tells every listener, in the order in which they came, before the call returns."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        """What those who tell count besides."""
        self._listeners: list[RunListener] = []
        self.unclear = asyncio.Event()
        """Set when this process may not know all that it has written or claimed, because the answer of a write was
        lost or an execution met a bug. The watcher then looks at everything, and clears it."""

    def listen(self, listener: RunListener) -> None:
        """Tell the listener from now on."""
        self._listeners.append(listener)

    def committed(self, run: Run) -> None:
        """Tell of a run that was committed as pending or as ended; no claim holds it."""
        if run.status.terminal:
            self.metrics.ended(run)
        for listener in self._listeners:
            if run.status.terminal:
                listener.ended(run.id)
            else:
                listener.pending(run)

    def lost(self, run_id: str) -> None:
        """Tell of a run whose claim this process has lost."""
        for listener in self._listeners:
            listener.lost(run_id)
