"""Delete schedules and triggers that have done nothing for long: paused without an end, or without any slot to come.

They are deleted as a user would delete them: their slots that were due are noted in the ledger, their execution
reference is retired, their runs stay. What the configuration manages would come back with the next start, and stays.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import ObjectNotFound, RevisionConflict
from gestalt_workflow.model.objects import CONFIG_SUBJECT, EventTrigger, Schedule
from gestalt_workflow.objects.schedules import Schedules
from gestalt_workflow.objects.stored_object import DecidedOn
from gestalt_workflow.objects.triggers import Triggers
from gestalt_workflow.retention.sweeps import BATCH, Daily, Progress
from gestalt_workflow.stored.records import SCHEDULES, TRIGGERS, schedule_from_record, trigger_from_record
from gestalt_workflow.stored.storage import Record, Storage

log = structlog.get_logger()


class IdleObjects:
    """Deletes schedules, then triggers, that have been idle longer than ``keep_for``."""

    def __init__(
        self, storage: Storage, schedules: Schedules, triggers: Triggers, clock: Clock, keep_for: timedelta
    ) -> None:
        self._storage = storage
        self._kinds: tuple[tuple[str, Callable[[Record], Schedule | EventTrigger], Schedules | Triggers], ...] = (
            (SCHEDULES, schedule_from_record, schedules),
            (TRIGGERS, trigger_from_record, triggers),
        )
        self._clock = clock
        self._keep_for = keep_for
        self._daily = Daily()
        self._turn = len(self._kinds)
        self._token = b""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one once a day."""
        if self._turn == len(self._kinds):
            if not self._daily.begins(self._clock()):
                return Progress.DONE
            self._turn, self._token = 0, b""
        store, decode, objects = self._kinds[self._turn]
        step = "remove idle objects"
        page = await self._storage.page(store, "created", [], step, limit=BATCH, token=self._token)
        self._token = page.next_token
        if not self._token:
            self._turn += 1
        before = self._clock() - self._keep_for
        removed = 0
        for _, item in self._storage.decoded(store, page.records, decode):
            since = idle_since(item)
            if since is not None and since < before:
                try:
                    await objects.delete(item.id, item.execution_ref, DecidedOn(item.edit))
                except (ObjectNotFound, RevisionConflict):
                    continue  # somebody else was faster
                removed += 1
                log.info("idle object removed", event_name="object.removed", store=store, id=item.id)
        if self._turn == len(self._kinds):
            return Progress.DONE
        return Progress.REMOVED if removed else Progress.LOOKED


def idle_since(item: Schedule | EventTrigger) -> datetime | None:
    """Return since when nothing can come of it until somebody changes it; None when something can."""
    if item.created_by.subject_id.strip() == CONFIG_SUBJECT:
        return None
    if item.paused:
        if item.pause is not None and item.pause.until is not None:
            return None
        return item.pause.paused_at if item.pause is not None and item.pause.paused_at is not None else item.updated_at
    if isinstance(item, Schedule) and item.next_run_at is None:
        return item.updated_at
    return None
