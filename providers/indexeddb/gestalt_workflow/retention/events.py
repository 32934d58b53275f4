"""Remove kept events that are old, or too many. Repeats are recognised by their runs, so nothing depends on them.

Only keys are read. An event that was published anew under the same id meanwhile has another creation time, and stays.
So does one that has not reached all its triggers.
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
ATTEMPTS = 8
"""How often one step looks behind events that have to stay."""
log = structlog.get_logger()


class EventsByAge:
    """Removes events that were published first longer than ``keep_for`` ago."""

    def __init__(self, storage: Storage, clock: Clock, keep_for: timedelta) -> None:
        self._storage = storage
        self._clock = clock
        self._keep_for = keep_for
        self._token = b""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one."""
        old = KeyRange(upper=to_micros(self._clock() - self._keep_for), upper_open=True)
        page = await self._storage.page(
            EVENTS, "created", [], STEP, range=old, limit=KEYS, token=self._token, keys_only=True
        )
        staying = await _remove(self._storage, page.entries)
        if not page.next_token:
            self._token = b""
            return Progress.DONE
        if staying:  # what stays is not looked at again in this pass
            self._token = page.next_token
        return Progress.REMOVED


class EventsByCount:
    """Removes the oldest events, as long as there are more than ``limit``."""

    def __init__(self, storage: Storage, limit: int) -> None:
        self._storage = storage
        self._limit = limit
        self._token = b""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one."""
        if await self._surplus() <= 0:
            self._token = b""
            return Progress.DONE
        page = await self._storage.page(EVENTS, "created", [], STEP, limit=KEYS, token=self._token, keys_only=True)
        # Counted behind the page: of these keys exactly the first ones are too many, whoever else removes some.
        surplus = await self._surplus()
        more, passed = surplus > len(page.entries), 0
        for _ in range(ATTEMPTS):  # where some stay because they have not reached all their triggers, younger ones go
            old = page.entries[passed : passed + max(surplus, 0)]
            surplus = await _remove(self._storage, old)
            passed += len(old)
        through = passed == len(page.entries)
        self._token = page.next_token if through and surplus > 0 else b""
        return Progress.REMOVED if more or self._token else Progress.DONE

    async def _surplus(self) -> int:
        return await self._storage.count(EVENTS, "created", [], STEP) - self._limit


async def _remove(storage: Storage, rows: Sequence[CursorEntry]) -> int:
    """Remove the events of these rows, but for those that have not reached all their triggers; return how many stay."""
    if not rows:
        return 0
    finished = Condition.equals("unfinished", None)
    deletions = [
        Write(EVENTS, "delete", id=row.primary_key, conditions=[Condition.equals("created_us", row.key[0]), finished])
        for row in rows
    ]
    results = await storage.write(deletions, STEP)
    log.info("old events removed", event_name="events.removed", count=sum(result.ok for result in results))
    # One that another process has removed is not there any more.
    return sum(not result.ok and result.current is not None for result in results)
