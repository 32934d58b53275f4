"""Remove runs that ended long ago, or of which there are too many, with their signals.

Runs are also what repeats are recognised by: the id of a scheduled or event run, of a run with an idempotency key, and
the row of a signal's idempotency key. So nothing is removed before ``DEDUPLICATED_FOR`` has passed, whatever is
configured. Age counts from the end of a run. Its workflow key has been free since then; its execution reference
belongs to whoever made it and stays (``references``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from gestalt_workflow.config import DEDUPLICATED_FOR
from gestalt_workflow.model import ids
from gestalt_workflow.model.clock import Clock, to_micros
from gestalt_workflow.model.objects import Run, RunStatus
from gestalt_workflow.retention.sweeps import BATCH, Progress
from gestalt_workflow.stored.records import RUNS, SIGNAL_KEYS, SIGNALS, run_from_record, signal_from_record
from gestalt_workflow.stored.storage import Condition, KeyRange, Storage, Write, at_revision
from gestalt_workflow.wire.payloads import signal_subject

STEP = "remove old runs"
log = structlog.get_logger()


class RunsByAge:
    """Removes runs of one terminal status that ended longer than ``keep_for`` ago."""

    def __init__(self, storage: Storage, clock: Clock, status: RunStatus, keep_for: timedelta) -> None:
        self._storage = storage
        self._clock = clock
        self._status = status
        self._keep_for = max(keep_for, DEDUPLICATED_FOR)
        self._token = b""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one."""
        before = self._clock() - self._keep_for
        old = KeyRange(upper=[int(self._status), to_micros(before)], upper_open=True)
        page = await self._storage.page(
            RUNS, "status", [int(self._status)], STEP, range=old, limit=BATCH, token=self._token
        )
        decoded = self._storage.decoded(RUNS, page.records, run_from_record)
        runs = [run for _, run in decoded if _ended_before(run, before)]
        if runs:
            await _remove(self._storage, runs)
        if not page.next_token:
            self._token = b""
            return Progress.DONE
        if len(runs) < len(page.entries):  # what stays is not looked at again in this pass
            self._token = page.next_token
        return Progress.REMOVED if runs else Progress.LOOKED


class RunsByCount:
    """Removes the oldest runs that have ended, as long as there are more than ``limit`` in all."""

    def __init__(self, storage: Storage, clock: Clock, limit: int) -> None:
        self._storage = storage
        self._clock = clock
        self._limit = limit
        self._token = b""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one."""
        if await self._surplus() <= 0:
            self._token = b""
            return Progress.DONE
        before = self._clock() - DEDUPLICATED_FOR
        upper = KeyRange(upper=before, upper_open=True)
        page = await self._storage.page(RUNS, "created", [], STEP, range=upper, limit=BATCH, token=self._token)
        decoded = self._storage.decoded(RUNS, page.records, run_from_record)
        # Counted behind the page: what another process removed in between is not removed a second time from the rest.
        runs = [run for _, run in decoded if _ended_before(run, before)][: max(await self._surplus(), 0)]
        if runs:
            await _remove(self._storage, runs)
        if not page.next_token:
            self._token = b""
            return Progress.DONE
        if len(runs) < len(page.entries):
            self._token = page.next_token
        return Progress.REMOVED if runs else Progress.LOOKED

    async def _surplus(self) -> int:
        return await self._storage.count(RUNS, "created", [], STEP) - self._limit


def _ended_before(run: Run, moment: datetime) -> bool:
    return run.status.terminal and run.completed_at is not None and run.completed_at < moment


async def _remove(storage: Storage, runs: Sequence[Run]) -> None:
    for run in runs:
        if run.keyed:
            await _remove_signals(storage, run)
    # The signals are gone for good before their run is: cut off half-way, the next pass finds the run again.
    writes = [Write(RUNS, "delete", id=run.id, conditions=[at_revision(run.revision)]) for run in runs]
    results = await storage.write(writes, STEP)
    log.info("old runs removed", event_name="runs.removed", count=sum(result.ok for result in results))


async def _remove_signals(storage: Storage, run: Run) -> None:
    token = b""
    while True:
        page = await storage.page(SIGNALS, "sequence", [run.id], STEP, limit=BATCH, token=token)
        writes = [Write(SIGNALS, "delete", id=str(record["id"])) for record in page.records]
        for _, signal in storage.decoded(SIGNALS, page.records, signal_from_record):
            if signal.idempotency_key:
                row = ids.signal_row(run.target.plugin, signal_subject(signal), signal.idempotency_key)
                named = Condition.equals("signal_id", signal.id)
                writes.append(Write(SIGNAL_KEYS, "delete", id=row, conditions=[named]))
        if writes:
            await storage.write(writes, STEP)
        token = page.next_token
        if not token:
            return
