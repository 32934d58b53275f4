"""Retire old execution references that nothing names any more, and remove those that ended long ago.

A host makes a reference for each run that is started, and never revokes it, so one that is old and that no schedule,
trigger or run names is retired: it can still be used, as the host may be about to, and is removed when it has been
retired for as long again. One that is put anew meanwhile has another revision, and stays.

Nothing tells which runs name a reference, so a pass collects candidates, and then reads every schedule, trigger and
run, a page a step, and crosses out what they name. Schedules and triggers come first and last: an ended reference gets
no new ones, but what exists may make runs. Without old references a pass is one look at them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

import structlog

from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.objects import Reference
from gestalt_workflow.retention.sweeps import BATCH, Daily, Progress
from gestalt_workflow.stored.records import (
    REFERENCES,
    RUNS,
    SCHEDULES,
    TRIGGERS,
    reference_from_record,
    reference_to_record,
)
from gestalt_workflow.stored.storage import KeyRange, Storage, Write, at_revision

STEP = "remove old execution references"
CANDIDATES = 10_000
"""References that one pass deals with at most."""
PAGE = 500
_NAMED_BY = (SCHEDULES, TRIGGERS, RUNS, SCHEDULES, TRIGGERS)
log = structlog.get_logger()


class OldReferences:
    """Deals with references that are older, or ended longer ago, than ``keep_for``."""

    def __init__(self, storage: Storage, clock: Clock, keep_for: timedelta) -> None:
        self._storage = storage
        self._clock = clock
        self._keep_for = keep_for
        self._daily = Daily()
        self._candidates: dict[str, Reference] = {}
        self._token = b""
        self._collected = b""
        """Where a pass that had enough candidates stopped collecting: the next one goes on from there."""
        self._phase = -2
        """-2: no pass; -1: collects; then the place in ``_NAMED_BY``; behind it: removes."""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one once a day."""
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
            end = _end(reference)
            if end is None or end < before:
                self._candidates[reference.id] = reference
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
        batch = list(islice(self._candidates.values(), BATCH))
        results = await self._storage.write([self._ending(reference) for reference in batch], STEP)
        removed = sum(
            result.ok and _end(reference) is not None for reference, result in zip(batch, results, strict=True)
        )
        retired = sum(result.ok for result in results) - removed
        log.info("old execution references removed", event_name="references.removed", count=removed, retired=retired)
        for reference in batch:
            del self._candidates[reference.id]
        return Progress.REMOVED if self._unless_none_are_left() is Progress.LOOKED else Progress.DONE

    def _ending(self, reference: Reference) -> Write:
        unchanged = [at_revision(reference.revision)]
        if _end(reference) is not None:
            return Write(REFERENCES, "delete", id=reference.id, conditions=unchanged)
        retired = replace(reference, retired_at=self._clock(), revision=reference.revision + 1)
        return Write(REFERENCES, "put", reference_to_record(retired), conditions=unchanged)


def _end(reference: Reference) -> datetime | None:
    """Return when it was revoked or retired, whichever came last; None while it is active."""
    ends = [end for end in (reference.revoked_at, reference.retired_at) if end is not None]
    return max(ends) if ends else None
