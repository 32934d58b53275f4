"""Put one configured workflow engine together, and begin and end its parts in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Self

import structlog

from gestalt_sdk.bases.metrics import MetricFamily, gauge
from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.common.loops import keep_running
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_workflow.claims.claimants import new_claimant
from gestalt_workflow.claims.recovery import Recovery
from gestalt_workflow.config import Config
from gestalt_workflow.dispatch.completion import Completions
from gestalt_workflow.dispatch.dispatcher import Dispatcher
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.dispatch.lanes import Lanes
from gestalt_workflow.dispatch.limits import Limits
from gestalt_workflow.dispatch.overdue import OverdueRuns
from gestalt_workflow.dispatch.permits import Permits
from gestalt_workflow.dispatch.ranks import rank_anew
from gestalt_workflow.dispatch.waiting_room import WaitingRoom
from gestalt_workflow.events.fan_outs import FanOuts
from gestalt_workflow.events.publishing import Events
from gestalt_workflow.firing.ledger import Ledger
from gestalt_workflow.firing.planning_anew import PlanningAnew
from gestalt_workflow.firing.scheduler import Scheduler
from gestalt_workflow.model.clock import Clock, WatchedClock, utc_now
from gestalt_workflow.model.errors import StorageFailed
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.objects.causes import Causes
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
COUNT_TIMEOUT_S = 1.0
"""Whoever asks for figures waits no longer for the store than that."""
WATCHER_SILENT_AFTER_S = 180.0
"""One of its rounds reads all claims, or removes what is old, page by page."""

log = structlog.get_logger()


class Engine:
    """The parts of one engine: ``open`` makes objects usable, ``start`` begins firing and dispatching."""

    def __init__(
        self,
        name: str,
        config: Config,
        db: IndexedDB,
        host: WorkflowHost,
        clock: Clock = utc_now,
        *,
        claimant: str = "",
        monotonic: Callable[[], float] | None = None,
        beats: Beats | None = None,
    ) -> None:
        """Wire the parts; nothing is connected before ``open``.

        Args:
            name: The provider's configured name; references that name no provider get it.
            claimant: Name that claims are held under; blank: a new one that names this process.
            monotonic: Seconds by which jumps of the clock are noticed; None: see ``WatchedClock``.
            beats: What the loops give their beats to; without it nobody looks.
        """
        self.name = name
        self.claimant = claimant or new_claimant()
        self.clock = clock = WatchedClock(clock, monotonic)
        news = RunNews()
        self._beats = beats or Beats()
        self.storage = Storage(db, news.unclear.set, self._beats)
        self._news = news
        self._workers = config.worker_count
        self._host = host
        self._stack = AsyncExitStack()
        self._life: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._draining = False
        self._loops: dict[str, asyncio.Task[None]] = {}
        self.references = References(self.storage)
        self.recovery = Recovery(self.storage, self.claimant, news, config.claim_ttl, clock)
        limits = Limits(config.target_limits, config.max_concurrent_per_target)
        self.lanes = Lanes(self.storage, limits, Permits(self.storage, self.claimant))
        self.dispatcher = Dispatcher(
            self.storage,
            self.lanes,
            self.references,
            self.recovery,
            Completions(self.storage, clock, config.max_result_bytes),
            host,
            self.claimant,
            news,
            config,
            clock,
        )
        self.overdue = OverdueRuns(self.lanes.queue, clock, config.overdue_after)
        self.waiting_room = WaitingRoom(self.storage, clock, news)
        self.ledger = Ledger(self.storage, clock, config.keep_slots_for)
        self.scheduler = Scheduler(
            self.storage,
            clock,
            news,
            PlanningAnew(self.storage, self.ledger),
            lambda: rank_anew(self.storage, news, clock),
        )
        self.schedules = Schedules(self.storage, self.references, clock, self.scheduler.latest, self.scheduler.changed)
        self.triggers = Triggers(self.storage, self.references, clock, most_known=2 * config.runs_per_commit)
        self.causes = Causes(self.storage, clock, config.max_chain, config.max_caused)
        self.runs = Runs(self.storage, self.recovery, news, clock, self.causes)
        self.fan_outs = FanOuts(self.storage, self.claimant, news, clock, self.causes, config.runs_per_commit)
        self.events = Events(self.storage, self.triggers, self.fan_outs, clock, config.runs_per_commit)
        self.signals = Signals(self.storage, self.runs, news, clock, self.causes)
        self.queries = Queries(self.storage)
        self.lists = Lists(self.storage, config.max_list_bytes)
        self.retention = configured_retention(self.storage, self.schedules, self.triggers, clock.proven, config)
        self._watcher = Watcher(
            self.lanes,
            self.dispatcher,
            self.scheduler,
            self.recovery,
            self.waiting_room,
            self.overdue,
            self.ledger,
            self.retention,
            self.fan_outs,
            news,
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
        if self._life is None:
            life = keep_running("engine", self._live, self._beats, may_end=lambda: self._draining)
            self._life = asyncio.create_task(life, name="engine")

    async def _live(self, beat: Beat) -> None:
        """Run the loops, and the executions that the dispatcher starts beside them, until ``close`` cancels all."""
        beat.rest()
        beats = self._beats
        async with asyncio.TaskGroup() as tasks:
            loops = {
                "scheduler": keep_running("scheduler", self.scheduler.run, beats),
                "fan-outs": keep_running("fan-outs", self.fan_outs.run, beats),
                "waiting room": keep_running("waiting room", self.waiting_room.run, beats),
                "dispatcher": keep_running(
                    "dispatcher",
                    lambda beat: self.dispatcher.run(tasks, beat),
                    beats,
                    may_end=lambda: self.dispatcher.stopping,
                ),
                "claims": keep_running("claims", self.dispatcher.renew_claims, beats),
                "watcher": keep_running("watcher", self._watcher.run, beats, silent_after_s=WATCHER_SILENT_AFTER_S),
            }
            self._loops = {name: tasks.create_task(loop, name=name) for name, loop in loops.items()}
            self._begun.set()

    async def health(self) -> None:
        """Raise ``StorageFailed`` when the store does not answer."""
        await self.storage.find_record(FORMAT, "format", "health")

    async def metrics(self) -> Sequence[MetricFamily]:
        """Return the figures of this process, and of the queue, as they are now.

        How many runs wait is left out when the store, which may have to be asked, does not answer soon.
        """
        found = [
            *self._news.metrics.families(),
            gauge("workflow_runs_running", "Runs that this process has the host execute.", self.dispatcher.invoking),
            gauge("workflow_workers", "How many runs this process has executed at once at most.", self._workers),
            gauge(
                "workflow_queue_oldest_seconds",
                "How long the run has waited that has waited longest, of those that this process has in memory.",
                self.lanes.longest_wait(self.clock()).total_seconds(),
            ),
        ]
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_S):
                count = await self.lanes.count()
        except (StorageFailed, TimeoutError):
            return found
        text = "Runs that wait for a worker or behind a limit, of all processes on the database."
        return [*found, gauge("workflow_queue_runs", text, count)]

    async def drain(self, within: timedelta = DRAIN) -> None:
        """Claim and fire no more; let what is being invoked finish and be recorded. Objects stay usable."""
        if self._life is None:
            return
        self._draining = True
        await self._stop_loops(keep={"claims", "dispatcher"})
        await self.dispatcher.finish(within)
        await self._stop_loops()
        try:
            await self.dispatcher.settle_crashed()
            await self.recovery.sweep(self.dispatcher.busy)
            await self.recovery.forget_claimant()
        except StorageFailed as error:
            log.warning("lease not removed", event_name="lease.unreleased", error=str(error))

    async def close(self) -> None:
        """End everything at once and disconnect; ``drain`` first lets what is being invoked finish."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        await self._stack.aclose()

    async def _stop_loops(self, keep: Collection[str] = ()) -> None:
        await self._begun.wait()
        ending = [loop for name, loop in self._loops.items() if name not in keep]
        for loop in ending:
            loop.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
