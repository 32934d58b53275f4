"""Make a run for every schedule that is due, whatever the workers are doing.

Schedules that are due within the next minute are held in memory, the later ones are not looked at; one timer waits for
the first. What a due schedule does is decided by ``plan``. Runs, ledger and advance are one commit that names the
schedule's revision, so a schedule that was paused, changed or deleted meanwhile does not fire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush

import structlog

from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.beats import Beat
from gestalt_sdk.timing.cron import CronInvalid
from gestalt_sdk.timing.zones import ZoneInvalid
from gestalt_workflow.firing.latest_planned import LatestPlanned
from gestalt_workflow.firing.plan import Firing, fires_at, plan_firing
from gestalt_workflow.firing.planning_anew import PlanningAnew, is_ahead
from gestalt_workflow.model.clock import WatchedClock
from gestalt_workflow.model.errors import StorageFailed, Undecodable
from gestalt_workflow.model.objects import Run, Schedule
from gestalt_workflow.model.policies import Overlap
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.stored.records import (
    RUNS,
    SCHEDULES,
    run_from_record,
    schedule_from_record,
)
from gestalt_workflow.stored.storage import KeyRange, Storage, Write, WriteResult

AHEAD = timedelta(seconds=60)
"""How far ahead schedules are read."""
PAGE = 500
"""Decoding one holds up everything else in the process, so it is small: some 20 ms."""
FIRED_FIRST = 64
FIRED_AT_ONCE = 250
"""In one commit. Of many that are due at once the first commit has few, so that their runs need not wait for the rest;
each following one has twice as many."""
WRITES_AT_ONCE = 800
PLANNED_AT_ONCE = 16
"""Before others in this process have a turn."""
TICK_S = 1.0
"""The longest sleep: a clock that was set forward, or a machine that slept, is noticed within it."""

log = structlog.get_logger()


class Scheduler:
    """Fires what is due; ``run`` is its loop."""

    def __init__(
        self,
        storage: Storage,
        clock: WatchedClock,
        news: RunNews,
        planning_anew: PlanningAnew,
        set_back: Callable[[], Awaitable[None]],
    ) -> None:
        """``set_back`` is called after the clock was set back, for what else was planned ahead of it."""
        self._storage = storage
        self._clock = clock
        self._news = news
        self._planning_anew = planning_anew
        self._set_back = set_back
        self.latest = LatestPlanned(storage, clock)
        """The record of the latest planned moment; whoever plans a schedule raises it."""
        self._set_back_by = timedelta()
        self._unnoted = False
        """Somebody here planned a slot in a commit that does not say by which moment."""
        self._astray = False
        """Somebody here committed a schedule that was planned by a clock that has been set back meanwhile."""
        self._known: dict[str, Schedule] = {}
        self._due: list[tuple[datetime, str, int]] = []
        self._horizon: datetime | None = None
        self._changes: dict[str, Schedule | None] | None = None
        self._wake = asyncio.Event()
        self._broken: set[str] = set()
        self._at_once = FIRED_FIRST

    def changed(self, schedule_id: str, schedule: Schedule | None) -> None:
        """Take note of a schedule that was committed, or deleted (None)."""
        if schedule is not None:
            self._unnoted = True
            self._astray = self._astray or is_ahead(schedule, self._clock())
        if self._changes is not None:
            self._changes[schedule_id] = schedule
        self._broken.discard(schedule_id)
        self._take(schedule_id, schedule)

    def reload(self) -> None:
        """Read again what is due: other processes may have changed schedules."""
        self._horizon = None
        self._wake.set()

    async def look_at_clock(self) -> None:
        """Look whether another process has planned by a clock that is ahead of this one; one message."""
        await self.latest.read()
        if self.latest.ahead_of(self._clock()):
            self._wake.set()

    async def note_moment(self) -> None:
        """Make the record where nothing has been planned yet: the next process proves time from there on."""
        if self.latest.begun and self.latest.moment is None:
            await self.latest.raise_to(self._clock())

    async def run(self, beat: Beat) -> None:
        """Fire what is due, and read what will be; a store that fails is asked again."""
        backoff = Backoff(first_s=0.05, limit_s=10)
        while True:
            beat.beat()
            try:
                await self._check_clock()
                now = self._clock()
                due = self._pop_due(now)
                if not due and (self._horizon is None or now >= self._horizon):
                    await self._load(now)
                    due = self._pop_due(self._clock())
                if due:
                    await self._fire(due)
                    await asyncio.sleep(0)  # what fired is claimed before more is planned
                    backoff.reset()
                    self._at_once = min(2 * self._at_once, FIRED_AT_ONCE)
                    continue
                self._at_once = FIRED_FIRST
            except StorageFailed as error:
                log.warning("scheduling failed", event_name="scheduler.failed", error=str(error))
                self._horizon = None
                await backoff.wait()
                continue
            await self._sleep()

    async def _sleep(self) -> None:
        moments = [self._horizon] if self._horizon is not None else []
        if self._due:
            moments.append(self._due[0][0])
        delay_s = min((moment - self._clock()).total_seconds() for moment in moments) if moments else 0.0
        try:
            async with asyncio.timeout(min(max(delay_s, 0.0), TICK_S)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _check_clock(self) -> None:
        """Plan anew what a clock planned that was ahead: this process's own, or by what the store has, any other."""
        if not self.latest.begun:
            await self.latest.begin()
        if forward := self._clock.set_forward():
            log.warning(
                "the clock was set forward, or the machine slept",
                event_name="clock.set_forward",
                by_s=round(forward.total_seconds(), 3),
            )
        self._set_back_by += self._clock.set_back()
        now = self._clock()
        ahead = self.latest.ahead_of(now)
        if self._set_back_by or ahead or self._astray:
            self._horizon = None
            self._astray = False
            try:
                planned = await self._planning_anew.all(self._clock, self.changed)
            except StorageFailed:
                self._astray = True
                raise
            await self._set_back()
            by = max(self._set_back_by, ahead)
            if again := self._clock.set_back():
                # The clock was ahead while this planned. The record stays until all is planned by the clock as it is.
                self._set_back_by = max(by, again)
                return
            mine = bool(self._set_back_by)
            lowered = await self.latest.lower(self._clock()) if ahead else False
            self._set_back_by = timedelta()
            if mine or lowered:
                log.warning(
                    "the clock was set back: what was planned ahead of it has been planned anew",
                    event_name="clock.set_back",
                    by_s=round(by.total_seconds(), 3),
                    schedules=planned,
                )
            self._news.unclear.set()
        elif self._unnoted:
            self._unnoted = False
            try:
                await self.latest.raise_to(now)
            except StorageFailed:
                self._unnoted = True
                raise

    async def _load(self, now: datetime) -> None:
        """Read what is due until ``AHEAD`` from now, the earliest first."""
        until = now + AHEAD
        self._changes = {}
        try:
            page = await self._storage.page(
                SCHEDULES, "due", [], "read due schedules", range=KeyRange(upper=until), limit=PAGE
            )
            changes = self._changes
        finally:
            self._changes = None
        schedules = [s for _, s in self._storage.decoded(SCHEDULES, page.records, schedule_from_record)]
        self._known.clear()
        self._due.clear()
        last = schedules[-1].due_at if schedules and page.next_token else None
        self._horizon = last or until
        for schedule in schedules:
            if schedule.id not in self._broken:
                self._take(schedule.id, schedule)
        for schedule_id, changed in changes.items():
            self._take(schedule_id, changed)

    def _take(self, schedule_id: str, schedule: Schedule | None) -> None:
        known = self._known.get(schedule_id)
        if schedule is None:
            self._known.pop(schedule_id, None)
            return
        if known is not None and known.revision > schedule.revision and known.created_at == schedule.created_at:
            return
        due = schedule.due_at
        if due is None or self._horizon is None or due > self._horizon:
            self._known.pop(schedule_id, None)
            return
        self._known[schedule_id] = schedule
        heappush(self._due, (due, schedule_id, schedule.revision))
        if self._due[0][1] == schedule_id:
            self._wake.set()

    def _pop_due(self, now: datetime) -> list[Schedule]:
        due: list[Schedule] = []
        while self._due and self._due[0][0] <= now and len(due) < self._at_once:
            _, schedule_id, revision = heappop(self._due)
            schedule = self._known.get(schedule_id)
            if schedule is not None and schedule.revision == revision:
                due.append(schedule)
                del self._known[schedule_id]
        return due

    async def _fire(self, schedules: Sequence[Schedule]) -> None:
        now = self._clock()
        try:
            recent = await self._recent(schedules)
        except StorageFailed:
            for schedule in schedules:
                self._take(schedule.id, schedule)
            raise
        planned: list[Firing] = []
        writes: list[Write] = []
        for number, schedule in enumerate(schedules, 1):
            if number % PLANNED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if len(writes) >= WRITES_AT_ONCE:
                self._take(schedule.id, schedule)
                continue
            try:
                firing = plan_firing(schedule, recent, now)
            except (CronInvalid, ZoneInvalid) as error:  # written by something that accepts more than we do
                self._broken.add(schedule.id)
                log.error("schedule skipped", event_name="schedule.broken", schedule_id=schedule.id, error=str(error))
                continue
            planned.append(firing)
            writes += firing.writes
        if not writes:
            return
        noted = self.latest.raising(now)
        try:
            results = await self._storage.write([*writes, *noted], "fire schedules")
        except StorageFailed:
            for firing in planned:
                self._take(firing.schedule.id, firing.schedule)
            raise
        if noted:
            self.latest.raised(results[-1], now)
        start = 0
        for firing in planned:
            end = start + len(firing.writes)
            await self._tell(firing, results[start:end], now)
            start = end
        if noted and not results[-1].ok:
            # Another process has changed the record meanwhile. It is raised at once, or with the next look.
            self._unnoted = True
            await self.latest.raise_to(now)

    async def _recent(self, schedules: Sequence[Schedule]) -> dict[str, Run]:
        """Return the last runs of schedules whose overlap policy asks for them; one message at most."""
        wanted = {
            run_id
            for schedule in schedules
            if schedule.policy.overlap is not Overlap.ALLOW and not schedule.paused
            for run_id in schedule.recent
        }
        if not wanted:
            return {}
        return await self._storage.find_many(RUNS, sorted(wanted), run_from_record, "read last runs")

    async def _tell(self, firing: Firing, results: Sequence[WriteResult], now: datetime) -> None:
        """Tell of what was written, and go on with the schedule as it is now."""
        for run, made in zip(firing.canceled, results, strict=False):
            if made.ok:
                log.info("run canceled", event_name="run.superseded", run_id=run.id, schedule_id=firing.schedule.id)
                self._news.committed(run)
        for run, made in zip(firing.runs, results[len(firing.canceled) :], strict=False):
            if made.ok:
                assert run.trigger.slot is not None
                late_s = (now - run.trigger.slot).total_seconds()
                self._news.metrics.slots.add("fired")
                self._news.metrics.fired(now - fires_at(firing.schedule, run.trigger.slot))
                log.info(
                    "schedule fired",
                    event_name="schedule.fired",
                    schedule_id=firing.schedule.id,
                    run_id=run.id,
                    late_s=late_s,
                )
                self._news.committed(run)
        moved = results[-1]
        if not moved.ok and moved.current is None and firing.relies:
            # A run that it relied on has changed, or the schedule is gone.
            step = "read schedule"
            schedule = await self._storage.find(SCHEDULES, firing.schedule.id, schedule_from_record, step)
            self._take(firing.schedule.id, schedule)
            return
        if moved.ok:
            for slots in firing.unfired:
                self._news.metrics.slots.add(slots.state.name.lower(), count=slots.count)
        self._moved(firing.following, moved)

    def _moved(self, following: Schedule, result: WriteResult) -> None:
        if result.ok:
            self._take(following.id, following)
            return
        if result.current is None:
            return
        try:
            self._take(following.id, schedule_from_record(result.current))
        except Undecodable as error:
            log.error("schedule skipped", event_name="schedule.broken", schedule_id=following.id, error=str(error))
