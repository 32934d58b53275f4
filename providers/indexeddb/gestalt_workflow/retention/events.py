"""Remove kept events that are old, or too many. Repeats are recognised by their runs, so nothing depends on them.

Only keys are read. An event that was published anew under the same id meanwhile has another creation time, and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog

from gestalt_sdk.indexeddb import CursorEntry
from gestalt_workflow.model.clock import Clock, to_micros
from gestalt_workflow.retention.sweeps import KEYS, Progress
from gestalt_workflow.stored.records import EVENTS
from gestalt_workflow.stored.storage import Condition, KeyRange, Storage, Write

STEP = "remove old events"
log = structlog.get_logger()


class EventsByAge:
    """Removes events that were published first longer than ``keep_for`` ago."""

    def __init__(self, storage: Storage, clock: Clock, keep_for: timedelta) -> None:
        self._storage = storage
        self._clock = clock
        self._keep_for = keep_for

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one."""
        old = KeyRange(upper=to_micros(self._clock() - self._keep_for), upper_open=True)
        page = await self._storage.page(EVENTS, "created", [], STEP, range=old, limit=KEYS, keys_only=True)
        if page.entries:
            await _remove(self._storage, page.entries)
        return Progress.REMOVED if page.next_token else Progress.DONE


class EventsByCount:
    """Removes the oldest events, as long as there are more than ``limit``."""

    def __init__(self, storage: Storage, limit: int) -> None:
        self._storage = storage
        self._limit = limit

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one."""
        if await self._surplus() <= 0:
            return Progress.DONE
        page = await self._storage.page(EVENTS, "created", [], STEP, limit=KEYS, keys_only=True)
        # Counted behind the page: of these keys exactly the first ones are too many, whoever else removes some.
        surplus = await self._surplus()
        if surplus > 0:
            await _remove(self._storage, page.entries[:surplus])
        return Progress.REMOVED if surplus > len(page.entries) else Progress.DONE

    async def _surplus(self) -> int:
        return await self._storage.count(EVENTS, "created", [], STEP) - self._limit


async def _remove(storage: Storage, rows: Sequence[CursorEntry]) -> None:
    deletions = [
        Write(EVENTS, "delete", id=row.primary_key, conditions=[Condition.equals("created_us", row.key[0])])
        for row in rows
    ]
    results = await storage.write(deletions, STEP)
    log.info("old events removed", event_name="events.removed", count=sum(result.ok for result in results))
