"""Removing runs that ended long ago, with their signals, a small batch at a time.

Runs are also what repeats are recognised by: the id of a scheduled or event run and the row of a signal's idempotency
key. So nothing is removed before ``DEDUPLICATED_FOR`` has passed, whatever is configured. Age counts from the end of a
run. Its workflow key has been free since then; its execution reference belongs to whoever made it and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle

import structlog

from gestalt_workflow import ids
from gestalt_workflow.clock import Clock
from gestalt_workflow.config import DEDUPLICATED_FOR
from gestalt_workflow.convert import signal_subject
from gestalt_workflow.model import Run, RunStatus
from gestalt_workflow.records import RUNS, SIGNAL_KEYS, SIGNALS, run_from_record, signal_from_record
from gestalt_workflow.storage import Condition, Entry, KeyRange, Storage, at_revision
from gestalt_workflow.timeline import micros

BATCH = 200
BATCHES = 5

log = structlog.get_logger()


class Retention:
    """``remove_some`` looks at one terminal status after the other, one call each: one message when nothing is old."""

    def __init__(self, storage: Storage, clock: Clock, keep_for: timedelta | None) -> None:
        """``keep_for``: how long a run stays after its end; None for ever."""
        self._storage = storage
        self._clock = clock
        self._keep_for = None if keep_for is None else max(keep_for, DEDUPLICATED_FOR)
        self._statuses = cycle([RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED])
        self._status = next(self._statuses)
        self._token = b""

    async def remove_some(self) -> bool:
        """Remove at most ``BATCHES`` batches; True when there may be more of the same at once."""
        if self._keep_for is None:
            return False
        step = "remove old runs"
        before = self._clock() - self._keep_for
        old = KeyRange(upper=[int(self._status), micros(before)], upper_open=True)
        for _ in range(BATCHES):
            page = await self._storage.page(
                RUNS, "status", [int(self._status)], step, range=old, limit=BATCH, token=self._token
            )
            decoded = self._storage.decoded(RUNS, page.records, run_from_record)
            runs = [run for _, run in decoded if run.completed_at is not None and run.completed_at < before]
            if runs:
                await self._remove(runs, step)
            if not page.next_token:
                self._token = b""
                self._status = next(self._statuses)
                return False
            if len(runs) < len(page.entries):  # what stays is not looked at again in this pass
                self._token = page.next_token
        return True

    async def _remove(self, runs: Sequence[Run], step: str) -> None:
        for run in runs:
            if run.keyed:
                await self._remove_signals(run, step)
        # The signals are gone for good before their run is: cut off half-way, the next pass finds the run again.
        entries = [Entry(RUNS, "delete", id=run.id, conditions=[at_revision(run.revision)]) for run in runs]
        outcomes = await self._storage.write(entries, step)
        removed = sum(outcome.ok for outcome in outcomes)
        log.info("old runs removed", event_name="runs.removed", count=removed, status=self._status.name.lower())

    async def _remove_signals(self, run: Run, step: str) -> None:
        token = b""
        while True:
            page = await self._storage.page(SIGNALS, "sequence", [run.id], step, limit=BATCH, token=token)
            entries = [Entry(SIGNALS, "delete", id=str(record["id"])) for record in page.records]
            for _, signal in self._storage.decoded(SIGNALS, page.records, signal_from_record):
                if signal.idempotency_key:
                    row = ids.signal_row(run.target.owner, signal_subject(signal), signal.idempotency_key)
                    named = Condition.equals("signal_id", signal.id)
                    entries.append(Entry(SIGNAL_KEYS, "delete", id=row, conditions=[named]))
            if entries:
                await self._storage.write(entries, step)
            token = page.next_token
            if not token:
                return
