"""Execution references that were revoked or retired long ago and that nothing names any more.

Nothing tells which runs name a reference, so a pass collects those that have ended, and then reads every schedule,
trigger and run, a page a step, and crosses out what they name. Schedules and triggers come first and last: a reference
that has ended gets no new ones, but what exists may make runs. One that is put anew meanwhile, as the host does before
it uses it again, has another revision, and stays. Without references that ended long ago a pass is one look at them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

import structlog

from gestalt_workflow.clock import Clock
from gestalt_workflow.model import Reference
from gestalt_workflow.records import REFERENCES, RUNS, SCHEDULES, TRIGGERS, reference_from_record
from gestalt_workflow.storage import Entry, KeyRange, Storage, at_revision
from gestalt_workflow.sweeps import BATCH, Daily, Progress

STEP = "remove old execution references"
CANDIDATES = 10_000
"""References that one pass removes at most."""
PAGE = 500
_NAMED_BY = (SCHEDULES, TRIGGERS, RUNS, SCHEDULES, TRIGGERS)
log = structlog.get_logger()


class OldReferences:
    def __init__(self, storage: Storage, clock: Clock, keep_for: timedelta) -> None:
        self._storage = storage
        self._clock = clock
        self._keep_for = keep_for
        self._daily = Daily()
        self._candidates: dict[str, int] = {}
        """Revision of each by its id."""
        self._token = b""
        self._collected = b""
        """Where a pass that had enough candidates stopped collecting: the next one goes on from there."""
        self._phase = -2
        """-2: no pass; -1: collects; then the place in ``_NAMED_BY``; behind it: removes."""

    async def step(self) -> Progress:
        if self._phase == -2:
            if not self._daily.begins(self._clock()):
                return Progress.DONE
            self._candidates, self._phase = {}, -1
            self._token, self._collected = self._collected, b""
        try:
            if self._phase == -1:
                return await self._collect()
            if self._phase < len(_NAMED_BY):
                return await self._cross_out(_NAMED_BY[self._phase])
            return await self._remove()
        except BaseException:
            self._phase = -2
            raise

    async def _collect(self) -> Progress:
        before = self._clock() - self._keep_for
        old = KeyRange(upper=before, upper_open=True)
        page = await self._storage.page(REFERENCES, "created", [], STEP, range=old, limit=PAGE, token=self._token)
        for _, reference in self._storage.decoded(REFERENCES, page.records, reference_from_record):
            if _ended_before(reference, before):
                self._candidates[reference.id] = reference.revision
        self._token = page.next_token
        if not self._token or len(self._candidates) >= CANDIDATES:
            self._collected, self._token, self._phase = self._token, b"", 0
            return self._unless_none_are_left()
        return Progress.LOOKED

    async def _cross_out(self, store: str) -> Progress:
        page = await self._storage.page(store, "created", [], STEP, limit=PAGE, token=self._token)
        for record in page.records:  # also of those that cannot be decoded otherwise
            self._candidates.pop(str(record.get("execution_ref")), None)
        self._token = page.next_token
        if not self._token:
            self._phase += 1
        return self._unless_none_are_left()

    def _unless_none_are_left(self) -> Progress:
        if self._candidates:
            return Progress.LOOKED
        self._phase = -2
        return Progress.DONE

    async def _remove(self) -> Progress:
        batch = list(islice(self._candidates.items(), BATCH))
        entries = [Entry(REFERENCES, "delete", id=id, conditions=[at_revision(revision)]) for id, revision in batch]
        outcomes = await self._storage.write(entries, STEP)
        count = sum(outcome.ok for outcome in outcomes)
        log.info("old execution references removed", event_name="references.removed", count=count)
        for reference_id, _ in batch:
            del self._candidates[reference_id]
        return Progress.REMOVED if self._unless_none_are_left() is Progress.LOOKED else Progress.DONE


def _ended_before(reference: Reference, moment: datetime) -> bool:
    ends = [end for end in (reference.revoked_at, reference.retired_at) if end is not None]
    return bool(ends) and max(ends) < moment
