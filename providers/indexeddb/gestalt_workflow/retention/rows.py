"""Remove small rows that outlive what they were for.

They are leases of processes that died, counts of what a root caused, and keys of signals that have gone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from gestalt_workflow.model.clock import Clock, to_micros
from gestalt_workflow.objects.causes import COUNTED_FOR
from gestalt_workflow.retention.sweeps import BATCH, Daily, Progress
from gestalt_workflow.stored.records import CAUSES, CLAIMANTS, RUNS, SIGNAL_KEYS
from gestalt_workflow.stored.storage import Condition, KeyRange, Record, Storage, Write

CLAIMANT_KEPT = timedelta(days=1)
"""How long ago the lease of a process has ended. Its claims are settled within a minute while any process runs."""
_EVERYTHING = KeyRange()
log = structlog.get_logger()


class ClaimantRows:
    """Removes leases that ended long ago. A process that ends by itself removes its own."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._token = b""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one."""
        step = "remove old leases"
        page = await self._storage.page_by_id(CLAIMANTS, _EVERYTHING, step, limit=BATCH, token=self._token)
        before = self._clock() - CLAIMANT_KEPT
        writes = []
        for record in page.records:
            lease = record.get("lease")
            if isinstance(lease, datetime) and lease < before:
                unrenewed = Condition.equals("lease", lease)
                writes.append(Write(CLAIMANTS, "delete", id=str(record["id"]), conditions=[unrenewed]))
        if writes:
            await self._storage.write(writes, step)
            log.info("old leases removed", event_name="leases.removed", count=len(writes))
        self._token = page.next_token
        if not self._token:
            return Progress.DONE
        return Progress.REMOVED if writes else Progress.LOOKED


class CauseRows:
    """Removes counts of what a root has caused, once nobody compares them any more."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._token = b""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one."""
        step = "remove old counts of causes"
        page = await self._storage.page_by_id(CAUSES, _EVERYTHING, step, limit=BATCH, token=self._token)
        before = to_micros(self._clock() - COUNTED_FOR)
        writes = [
            Write(CAUSES, "delete", id=str(record["id"]), conditions=[Condition.equals("stamp", record["stamp"])])
            for record in page.records
            if record.get("since_us", 0) < before
        ]
        if writes:
            await self._storage.write(writes, step)
            log.info("old counts of causes removed", event_name="causes.removed", count=len(writes))
        self._token = page.next_token
        if not self._token:
            return Progress.DONE
        return Progress.REMOVED if writes else Progress.LOOKED


class SignalKeyRows:
    """Removes idempotency rows of signals whose run has been removed.

    They go with the run, unless the signal could not be read. A run is not removed before repeats of its signals need
    no longer be recognised.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._daily = Daily()
        self._under_way = False
        self._token = b""
        self._rows: list[Record] = []

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one once a day."""
        step = "remove old signal keys"
        if not self._under_way:
            if not self._daily.begins(self._clock()):
                return Progress.DONE
            self._under_way, self._token, self._rows = True, b"", []
        if self._rows:
            return await self._check(step)
        page = await self._storage.page_by_id(SIGNAL_KEYS, _EVERYTHING, step, limit=BATCH, token=self._token)
        self._rows = page.records
        self._token = page.next_token
        return Progress.LOOKED if self._rows else self._next()

    async def _check(self, step: str) -> Progress:
        rows, self._rows = self._rows, []
        wanted = {str(row.get("run_id")) for row in rows}
        found = await self._storage.find_many(RUNS, wanted, lambda record: True, step)
        writes = [
            Write(SIGNAL_KEYS, "delete", id=str(row["id"]), conditions=[Condition.equals("run_id", row["run_id"])])
            for row in rows
            if "run_id" in row and row["run_id"] not in found
        ]
        if writes:
            await self._storage.write(writes, step)
            log.info("old signal keys removed", event_name="signal_keys.removed", count=len(writes))
        return self._next()

    def _next(self) -> Progress:
        self._under_way = bool(self._token)
        return Progress.LOOKED if self._under_way else Progress.DONE
