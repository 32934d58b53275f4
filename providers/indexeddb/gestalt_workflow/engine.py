"""One configured workflow engine: its parts, wired, and the order in which they begin and end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Self

import structlog

from gestalt_sdk.indexeddb import IndexedDB
from gestalt_workflow.claims.claimants import new_owner
from gestalt_workflow.claims.recovery import Recovery
from gestalt_workflow.config import Config
from gestalt_workflow.dispatch.completion import Completions
from gestalt_workflow.dispatch.dispatcher import Dispatcher
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.dispatch.lanes import Lanes
from gestalt_workflow.dispatch.limits import Limits
from gestalt_workflow.dispatch.permits import Permits
from gestalt_workflow.dispatch.waiting_room import WaitingRoom
from gestalt_workflow.events.publishing import Events
from gestalt_workflow.firing.ledger import Ledger
from gestalt_workflow.firing.scheduler import Scheduler
from gestalt_workflow.model.clock import Clock, utc_now
from gestalt_workflow.model.errors import StorageFailed
from gestalt_workflow.model.objects import Run
from gestalt_workflow.objects.references import References
from gestalt_workflow.objects.runs import Runs
from gestalt_workflow.objects.schedules import Schedules
from gestalt_workflow.objects.signals import Signals
from gestalt_workflow.objects.triggers import Triggers
from gestalt_workflow.reading.lists import Lists
from gestalt_workflow.reading.queries import Queries
from gestalt_workflow.retention.retention import configured_retention
from gestalt_workflow.stored.format import prepare_database
from gestalt_workflow.stored.records import FORMAT
from gestalt_workflow.stored.storage import Storage
from gestalt_workflow.watcher import Watcher

DRAIN = timedelta(seconds=15)
RESTART_LIMIT_S = 10.0

log = structlog.get_logger()


class Engine:
    """``open`` makes objects usable, ``start`` begins firing and dispatching, ``drain`` ends that, ``close`` all."""

    def __init__(
        self,
        name: str,
        config: Config,
        db: IndexedDB,
        host: WorkflowHost,
        clock: Clock = utc_now,
        *,
        owner: str = "",
    ) -> None:
        """``owner`` is the identity that claims are held under; without it a new one that names this process."""
        self.name = name
        self.owner = owner or new_owner()
        self.clock = clock
        self.storage = Storage(db)
        self._host = host
        self._stack = AsyncExitStack()
        self._loops: list[asyncio.Task[None]] = []
        self._started = False
        self.references = References(self.storage)
        self.recovery = Recovery(self.storage, self.owner, clock)
        limits = Limits(config.target_limits, config.max_concurrent_per_target)
        self.lanes = Lanes(self.storage, limits, Permits(self.storage, self.owner))
        self.dispatcher = Dispatcher(
            self.storage,
            self.lanes,
            self.references,
            self.recovery,
            Completions(self.storage, clock, config.max_result_bytes, self._recorded),
            host,
            self.owner,
            config,
            clock,
        )
        self.room = WaitingRoom(self.storage, clock, self.dispatcher.offer)
        self.ledger = Ledger(self.storage, clock, config.keep_slots_for)
        self.dispatcher.withdrawn = self.room.ended
        self.storage.unanswered = self.dispatcher.settle_soon.set
        self.recovery.withdrawn = self.dispatcher.withdraw
        self.recovery.unclaimed = self._waits
        self.scheduler = Scheduler(self.storage, clock, self._waits, self.dispatcher.withdraw)
        self.schedules = Schedules(self.storage, self.references, clock, self.scheduler.changed)
        self.triggers = Triggers(self.storage, self.references, clock)
        self.runs = Runs(self.storage, self.recovery, self.dispatcher, clock)
        self.events = Events(self.storage, self.triggers, self.dispatcher, clock)
        self.signals = Signals(self.storage, self.runs, self.dispatcher, clock)
        self.queries = Queries(self.storage)
        self.lists = Lists(self.storage, config.max_list_bytes)
        self.retention = configured_retention(self.storage, self.schedules, self.triggers, clock, config)
        self._watcher = Watcher(
            self.storage,
            self.lanes,
            self.dispatcher,
            self.scheduler,
            self.recovery,
            self.room,
            self.ledger,
            self.retention,
            config.poll_interval,
            clock,
        )

    async def open(self) -> Self:
        """Connect and prepare the database.

        Raises:
            StorageFailed: the store cannot be used.
            FormatTooNew: a newer provider wrote the database.
        """
        self._stack.push_async_callback(self._host.close)
        await self._stack.enter_async_context(self.storage)
        try:
            await prepare_database(self.storage)
        except BaseException:
            await self.close()
            raise
        return self

    def start(self) -> None:
        """Begin firing and dispatching; calling it again changes nothing."""
        if self._started:
            return
        self._started = True
        parts = {
            "scheduler": self.scheduler.run,
            "waiting room": self.room.run,
            "dispatcher": self.dispatcher.run,
            "claims": self.dispatcher.renew_claims,
            "watcher": self._watcher.run,
        }
        self._loops = [asyncio.create_task(_kept_running(name, part), name=name) for name, part in parts.items()]

    def _waits(self, run: Run) -> None:
        """A run was committed as pending: in the queue, or held back."""
        if run.rank_at is None:
            self.room.put(run)
        else:
            self.dispatcher.offer(run)

    def _recorded(self, run: Run) -> None:
        """The outcome of an invocation was committed."""
        if run.status.terminal:
            self.room.ended(run.id)
        else:
            self.room.put(run)

    async def health(self) -> None:
        """Raises ``StorageFailed`` when the store does not answer."""
        await self.storage.find_record(FORMAT, "format", "health")

    async def drain(self, within: timedelta = DRAIN) -> None:
        """Claim and fire no more; let what is being invoked finish and be recorded. Objects stay usable."""
        if not self._started:
            return
        await self._stop_loops(keep={"claims", "dispatcher"})
        await self.dispatcher.finish(within)
        await self._stop_loops()
        try:
            await self.dispatcher.settle_crashed()
            await self.recovery.sweep(self.dispatcher.busy)
            await self.recovery.forget_owner()
        except StorageFailed as error:
            log.warning("lease not released", event_name="lease.unreleased", error=str(error))

    async def close(self) -> None:
        await self._stop_loops()
        await self._stack.aclose()

    async def _stop_loops(self, keep: Collection[str] = ()) -> None:
        ending = [loop for loop in self._loops if loop.get_name() not in keep]
        self._loops = [loop for loop in self._loops if loop.get_name() in keep]
        for loop in ending:
            loop.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


async def _kept_running(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """A loop that meets a bug is logged and begins anew, ever more slowly; it must not end in silence."""
    delay_s = 0.1
    while True:
        try:
            await part()
        except Exception:
            log.exception("loop failed", event_name="loop.failed", loop=name)
        else:
            return
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, RESTART_LIMIT_S)
