"""Hold pending runs back: until the moment of their next attempt, or until another run has ended.

They stand beside the queue in the store, in two parts of the same index. What this process holds back or ends it acts
upon at once; ``look`` finds what other processes left. A run enters the queue in a commit that names its revision and,
when it was blocked by another, how that one ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from heapq import heappop, heappush

import structlog

from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.beats import Beat
from gestalt_workflow.claims import transitions
from gestalt_workflow.model.clock import SLACK, Clock
from gestalt_workflow.model.errors import StorageFailed
from gestalt_workflow.model.objects import Run
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.stored.records import BLOCKED, LATER, RUNS, run_from_record, run_to_record
from gestalt_workflow.stored.storage import Condition, Storage, Write, absent, at_revision

TICK_S = 1.0
PAGE = 500
STEP = "unblock run"

log = structlog.get_logger()


class WaitingRoom:
    """Hears of runs to hold back, and tells of those that have entered the queue; ``run`` is its loop."""

    def __init__(self, storage: Storage, clock: Clock, news: RunNews) -> None:
        self._storage = storage
        self._clock = clock
        self._news = news
        news.listen(self)
        self._later: list[tuple[datetime, str]] = []
        self._held_back: dict[str, Run] = {}
        self._blocked: dict[str, dict[str, Run]] = {}
        self._ended: set[str] = set()
        self._wake = asyncio.Event()

    def pending(self, run: Run) -> None:
        """Hold the run back, unless it is in the queue."""
        if not run.held_back:
            return
        if run.not_before is not None:
            key = f"{run.id} {run.revision}"
            if key not in self._held_back:
                self._held_back[key] = run
                heappush(self._later, (run.not_before, key))
                self._wake.set()
        elif run.blocked_by:
            self._blocked.setdefault(run.blocked_by, {})[run.id] = run

    def ended(self, run_id: str) -> None:
        """Let the runs that are blocked by this one enter the queue."""
        if run_id in self._blocked:
            self._ended.add(run_id)
            self._wake.set()

    def lost(self, run_id: str) -> None:
        """Look whether the run has ended: whoever took the claim away may have ended it."""
        self.ended(run_id)

    async def run(self, beat: Beat) -> None:
        """Let runs into the queue when their time has come."""
        backoff = Backoff(first_s=0.05, limit_s=10)
        looked = False
        while True:
            beat.beat()
            try:
                if not looked:
                    await self.look()
                    looked = True
                await self._let_in_due()
                await self._let_in_unblocked()
                backoff.reset()
            except StorageFailed as error:
                log.warning("unblocking failed", event_name="waiting.failed", error=str(error))
                await backoff.wait()
                continue
            await self._sleep()

    async def look(self) -> None:
        """Find all that an earlier process, or a write whose answer was lost, has left here."""
        for run in await self.look_for_later():
            self.pending(run)
        await self.look_for_blocked()

    async def look_for_later(self) -> list[Run]:
        """Find runs whose moment has come and that this process does not know of; one message when there is none.

        Returns:
            The next ones after these, whose moment is still to come: one page at most.
        """
        now = self._clock()
        stored = await self._stored(LATER)
        due = [run for run in stored if run.not_before is not None and run.not_before <= now]
        await self._let_in([(run, []) for run in due])
        await self._bring_forward(stored, now)
        return [run for run in stored if run.not_before is not None and run.not_before > now]

    async def _bring_forward(self, runs: Sequence[Run], now: datetime) -> None:
        """Let runs wait no longer than their policy says: the clock was ahead when their attempt failed."""
        sooner = [
            transitions.held_back(run, now + retry.delay(run.attempt))
            for run in runs
            if (retry := run.policy.retry) is not None
            and run.not_before is not None
            and run.not_before - now > retry.delay(run.attempt) + SLACK
        ]
        if not sooner:
            return
        writes = [Write(RUNS, "put", run_to_record(run), conditions=[at_revision(run.revision - 1)]) for run in sooner]
        results = await self._storage.write(writes, "bring runs forward")
        for run, result in zip(sooner, results, strict=True):
            if result.ok:
                log.warning("attempt brought forward: the clock was ahead", event_name="run.forward", run_id=run.id)
                self._news.committed(run)

    async def look_for_blocked(self) -> None:
        """Find runs that are blocked by one that has ended; one message when none is blocked."""
        runs = await self._stored(BLOCKED)
        self._blocked.clear()
        for run in runs:
            self.pending(run)
        await self._unblock(list(self._blocked))

    async def _stored(self, queue: str) -> list[Run]:
        if not self._storage.batched and await self._storage.first_key(RUNS, "hot", [queue], STEP) is None:
            return []
        runs: list[Run] = []
        token = b""
        while True:
            page = await self._storage.page(RUNS, "hot", [queue], STEP, limit=PAGE, token=token)
            found = [run for _, run in self._storage.decoded(RUNS, page.records, run_from_record)]
            runs += found
            token = page.next_token
            last = found[-1].not_before if found else None
            if not token or (last is not None and last > self._clock()):
                return runs

    async def _sleep(self) -> None:
        delay_s = TICK_S
        if self._later:
            delay_s = min((self._later[0][0] - self._clock()).total_seconds(), TICK_S)
        try:
            async with asyncio.timeout(max(delay_s, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _let_in_due(self) -> None:
        due: list[Run] = []
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due.append(self._held_back.pop(heappop(self._later)[1]))
        try:
            await self._let_in([(run, []) for run in due])
        except StorageFailed:
            for run in due:
                self.pending(run)
            raise

    async def _let_in_unblocked(self) -> None:
        ended, self._ended = self._ended, set()
        try:
            await self._unblock(list(ended))
        except StorageFailed:
            self._ended |= ended
            raise

    async def _unblock(self, predecessors: Sequence[str]) -> None:
        """Let in what is blocked by those of these runs that have ended, or are gone."""
        if not predecessors:
            return
        found = await self._storage.find_many(RUNS, predecessors, run_from_record, STEP)
        free: list[tuple[Run, list[Condition]]] = []
        for run_id in predecessors:
            before = found.get(run_id)
            if before is not None and not before.status.terminal:
                continue
            condition = (
                absent(store=RUNS, id=run_id)
                if before is None
                else Condition.equals("status", int(before.status), store=RUNS, id=run_id)
            )
            free += [(run, [condition]) for run in self._blocked.get(run_id, {}).values()]
        await self._let_in(free)
        for run, _ in free:
            self._blocked.pop(run.blocked_by, None)

    async def _let_in(self, runs: Sequence[tuple[Run, list[Condition]]]) -> None:
        if not runs:
            return
        now = self._clock()
        unblocked = [transitions.unblocked(run, now) for run, _ in runs]
        writes = [
            Write(RUNS, "put", run_to_record(after), conditions=[at_revision(run.revision), *conditions])
            for (run, conditions), after in zip(runs, unblocked, strict=True)
        ]
        results = await self._storage.write(writes, STEP)
        for after, result in zip(unblocked, results, strict=True):
            if result.ok:
                self._news.committed(after)
