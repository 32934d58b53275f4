"""Look for what other processes left in the database: at most one message a second, however much is stored.

What this process does itself it knows without looking. The rounds take turns: runs in the queue, also behind a limit,
claims whose process has gone, schedules that another process changed, events that have not reached all their triggers,
runs that are held back; and what is too old in the slot ledger, and of everything else. While runs wait for permits
that other processes hold, each second is for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import cycle

import structlog

from gestalt_sdk.common.beats import Beat
from gestalt_workflow.claims.recovery import SWEEP_EVERY, Recovery
from gestalt_workflow.dispatch.dispatcher import Dispatcher
from gestalt_workflow.dispatch.lanes import Lanes
from gestalt_workflow.dispatch.overdue import OverdueRuns
from gestalt_workflow.dispatch.waiting_room import WaitingRoom
from gestalt_workflow.events.fan_outs import FanOuts
from gestalt_workflow.firing.ledger import Ledger
from gestalt_workflow.firing.scheduler import Scheduler
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import StorageFailed
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.retention.retention import Retention

SHORTEST = timedelta(seconds=1)
RELOAD_EVERY = timedelta(seconds=30)
CLOCK_EVERY = timedelta(seconds=60)
LANES_EVERY = timedelta(seconds=30)
"""How often lanes are looked for where no limit is configured, and so nobody but another configuration made them."""
RECLAIM_EVERY = timedelta(seconds=60)
TRIM_EVERY = timedelta(minutes=15)
REMOVE_EVERY = timedelta(minutes=1)
FAN_OUTS_EVERY = timedelta(seconds=15)

log = structlog.get_logger()


class Watcher:
    """Calls one part of the engine a round; ``run`` is its loop."""

    def __init__(
        self,
        lanes: Lanes,
        dispatcher: Dispatcher,
        scheduler: Scheduler,
        recovery: Recovery,
        waiting_room: WaitingRoom,
        overdue: OverdueRuns,
        ledger: Ledger,
        retention: Retention,
        fan_outs: FanOuts,
        news: RunNews,
        every: timedelta,
        clock: Clock,
    ) -> None:
        self._lanes = lanes
        self._dispatcher = dispatcher
        self._scheduler = scheduler
        self._recovery = recovery
        self._waiting_room = waiting_room
        self._overdue_runs = overdue
        self._ledger = ledger
        self._retention = retention
        self._fan_outs = fan_outs
        self._unclear = news.unclear
        self._overdue = False
        self._bugs: set[str] = set()
        self._every_s = max(every, SHORTEST).total_seconds()
        self._clock = clock

    async def run(self, beat: Beat) -> None:
        """Take one round after the other; a round that fails is logged, and its turn comes again."""
        await self._attempt(self._sweep)
        await self._attempt(self._look_for_lanes)
        self._dispatcher.wake()
        swept = reloaded = trimmed = removed = looked = reclaimed = compared = fanned = self._clock()
        resting = False  # after a round of removing comes one of another kind
        asked = False  # asking whether permits are free waits for no other kind, and takes every second round at most
        runs = [self._look_for_runs] * 4
        if self._lanes.limits:
            runs = [self._look_for_runs, self._look_for_runs, self._look_for_lanes] * 2
        first, second = self._waiting_room.look_for_later, self._waiting_room.look_for_blocked
        rounds = cycle([*runs, first, *runs, second, self._look_for_runs_without_turns])
        pause_s = self._every_s
        while True:
            beat.rest()
            await self._sleep(pause_s)
            beat.beat()
            pause_s = SHORTEST.total_seconds()  # what else is due follows soon, however seldom this looks at all
            now = self._clock()
            stuck = self._stuck()
            asked = stuck and not asked
            if self._unclear.is_set():
                self._unclear.clear()
                if not await self._attempt(self._look_everywhere):
                    self._unclear.set()
            elif asked:
                self._lanes.look_again()
                self._dispatcher.wake()
            elif stuck and not timedelta() <= now - reclaimed < RECLAIM_EVERY:
                reclaimed = now
                await self._attempt(self._reclaim)
            elif not timedelta() <= now - swept < SWEEP_EVERY:
                swept = now
                await self._attempt(self._sweep)
            elif not timedelta() <= now - reloaded < RELOAD_EVERY:
                reloaded = now
                self._scheduler.reload()
            elif not timedelta() <= now - compared < CLOCK_EVERY:
                compared = now
                await self._attempt(self._scheduler.look_at_clock)
            elif not timedelta() <= now - trimmed < TRIM_EVERY:
                trimmed = now
                await self._attempt(self._trim)
            elif not timedelta() <= now - fanned < FAN_OUTS_EVERY:
                fanned = now
                self._fan_outs.look()
            elif not resting and (self._overdue or not timedelta() <= now - removed < REMOVE_EVERY):
                removed, resting = now, True
                await self._attempt(self._remove)
            elif not self._lanes.limits and not timedelta() <= now - looked < LANES_EVERY:
                looked = now
                await self._attempt(self._look_for_lanes)
            else:
                resting = False
                await self._attempt(next(rounds))
                if not stuck:
                    pause_s = self._every_s

    async def _sleep(self, pause_s: float) -> None:
        """Sleep that long, or until something is unclear: that is looked at soon, however long the pauses are."""
        while pause_s > 0:
            step_s = min(pause_s, SHORTEST.total_seconds())
            pause_s -= step_s
            self._overdue_runs.log()
            try:
                async with asyncio.timeout(step_s):
                    await self._unclear.wait()
            except TimeoutError:
                if self._stuck():
                    return
                continue
            await asyncio.sleep(SHORTEST.total_seconds())  # let the store come back
            return

    def _stuck(self) -> bool:
        return self._lanes.stuck(self._dispatcher.busy())

    async def _sweep(self) -> None:
        await self._dispatcher.settle_crashed()
        await self._recovery.sweep(self._dispatcher.busy)

    async def _look_everywhere(self) -> None:
        """Look for what a write did whose answer was lost: claims, pending runs, schedules that have moved."""
        await self._sweep()
        await self._look_for_runs()
        await self._look_for_runs_without_turns()
        await self._waiting_room.look()
        self._scheduler.reload()
        self._fan_outs.look()

    async def _trim(self) -> None:
        await self._ledger.trim()

    async def _remove(self) -> None:
        await self._scheduler.note_moment()
        self._overdue = await self._retention.remove_some()

    async def _reclaim(self) -> None:
        if await self._recovery.reclaim_permits():
            self._lanes.look_again()
            self._dispatcher.wake()

    async def _look_for_lanes(self) -> None:
        if await self._lanes.look():
            self._dispatcher.wake()

    async def _look_for_runs(self) -> None:
        if await self._lanes.look_for_runs(self._dispatcher.busy):
            self._dispatcher.wake()

    async def _look_for_runs_without_turns(self) -> None:
        if await self._lanes.look_for_runs_without_turns(self._dispatcher.busy):
            self._dispatcher.wake()

    async def _attempt(self, action: Callable[[], Awaitable[object]]) -> bool:
        try:
            await action()
        except StorageFailed as error:
            log.warning("looking for work failed", event_name="watcher.failed", error=str(error))
            return False
        except Exception as error:  # a bug in one round must not keep the others from having their turn
            if repr(error) not in self._bugs:
                self._bugs.add(repr(error))
                log.exception("looking for work failed", event_name="watcher.crashed", round=action.__name__)
            return False
        return True
