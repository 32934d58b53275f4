"""Decide the fate of claims whose process has gone, and renew the leases that keep the others (decision 6).

A claim holds until the later of two moments: the end of the run's own lease, set when it was claimed, and the end of
its claimant's, which one small record per process renews for all of its claims. A run whose claim has ended is failed,
never invoked again: nobody knows how far it came. Every such write names the run's revision and the lease it was judged
by, so a completion or a renewal that was faster wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from gestalt_workflow.claims import transitions
from gestalt_workflow.claims.claimants import provably_dead
from gestalt_workflow.model.clock import SLACK, WatchedClock
from gestalt_workflow.model.objects import Run, RunStatus
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.stored.records import CLAIMANTS, PERMITS, RUNS, run_from_record, run_to_record
from gestalt_workflow.stored.storage import Condition, KeyRange, Record, Storage, Write, absent, at_revision

SWEEP_EVERY = timedelta(seconds=60)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ClaimEnd:
    """Why the claim of a running run has ended, and the conditions under which that stays true."""

    reason: str
    conditions: tuple[Condition, ...] = ()


class Recovery:
    """Judges claims, renews those of this process, and settles those that were lost."""

    def __init__(self, storage: Storage, claimant: str, news: RunNews, ttl: timedelta, clock: WatchedClock) -> None:
        """Take the name that this process claims under, and for how long.

        ``news`` is told of every run that is settled.
        """
        self._storage = storage
        self._claimant = claimant
        self._clock = clock
        self._news = news
        self._ttl = ttl
        self._too_late: dict[tuple[str, datetime], timedelta] = {}
        """Ends that lie further ahead than they can, because a clock was ahead, and when each was met first."""

    async def sweep(self, invoking: Callable[[], Collection[str]]) -> int:
        """Settle every claim that has ended, and return how many; one message when no other process holds a claim.

        Args:
            invoking: Gives the ids of the runs that this process has claimed or is claiming, invoking or recording. It
                is asked after the claims were read. A claim of ours beyond them comes from a write whose answer was
                lost; it never led to an invocation, so the run goes back into the queue.

        Raises:
            StorageFailed: the store failed; what was not settled is found by the next sweep.
        """
        step = "sweep claims"
        steady = self._clock.steady()
        self._too_late = {key: met for key, met in self._too_late.items() if key[1] > steady}
        token, settled = b"", 0
        while True:
            page = await self._storage.page(RUNS, "held", [], step, token=token)
            ours = invoking()
            runs = [run for _, run in self._storage.decoded(RUNS, page.records, run_from_record)]
            leases = await self._leases({run.claimant for run in runs if run.claimant != self._claimant}, step)
            ended: list[tuple[Run, ClaimEnd]] = []
            for run in runs:
                if run.claimant == self._claimant and run.id not in ours:
                    await self._unclaim(run)
                elif (end := self._judge(run, leases.get(run.claimant))) is not None:
                    ended.append((run, end))
            settled += sum(await asyncio.gather(*(self._settle(run, end) for run, end in ended)))
            token = page.next_token
            if not token:
                return settled

    async def settled_if_stale(self, run: Run) -> Run | None:
        """Return the run, failed first when its claim has ended; None when somebody changed it meanwhile."""
        step = "settle run"
        leases = await self._leases({run.claimant} - {self._claimant}, step)
        end = self._judge(run, leases.get(run.claimant))
        if end is None:
            return run
        await self._settle(run, end)
        return await self._storage.find(RUNS, run.id, run_from_record, step)

    async def settle_own(self, runs: Collection[Run]) -> None:
        """Fail runs of this process that it cannot wait for any longer."""
        await asyncio.gather(*(self._settle_claim(run) for run in runs))

    async def reclaim_permits(self) -> int:
        """Free the permits that nobody will give back, and return how many there were.

        A permit goes with the claim of its run, so there are none unless a run was removed or damaged, or was ended by
        a version that knows no permits. Of a run that cannot be read only the permit tells how long its claim holds.
        """
        step = "reclaim permits"
        page = await self._storage.page_by_id(PERMITS, KeyRange(), step)
        holders = {str(record.get("run_id")) for record in page.records}
        runs = await self._storage.find_many(RUNS, sorted(holders), run_from_record, step)
        lost: list[tuple[Record, Run | None]] = []
        for record in page.records:
            run = runs.get(str(record.get("run_id")))
            if run is None or record["id"] not in run.permits:
                lost.append((record, run))
        leases = await self._leases({str(record.get("owner")) for record, run in lost if run is None}, step)
        writes = [self._permit_removal(record, run, leases) for record, run in lost]
        results = await self._storage.write(writes, step) if writes else []
        for (record, _), result in zip(lost, results, strict=True):
            if result.ok:
                details = {"permit": record["id"], "run_id": record.get("run_id")}
                log.warning("permit without a run freed", event_name="permit.reclaimed", **details)
        return sum(result.ok for result in results)

    def _permit_removal(self, record: Record, run: Run | None, leases: Mapping[str, datetime]) -> Write:
        run_id, claimant, lease = str(record.get("run_id")), str(record.get("owner")), record.get("lease")
        conditions = [Condition.equals(name, record.get(name)) for name in ("run_id", "owner", "lease")]
        if run is not None:
            conditions.append(at_revision(run.revision, store=RUNS, id=run_id))
        elif end := self._judge_claim(
            claimant, lease if isinstance(lease, datetime) else None, leases.get(claimant), self._ttl
        ):
            conditions += end.conditions
        else:
            conditions.append(absent(store=RUNS, id=run_id))
        return Write(PERMITS, "delete", id=str(record["id"]), conditions=conditions)

    async def forget_claimant(self) -> None:
        """Remove the lease of this process, which claims nothing any more."""
        await self._storage.write([Write(CLAIMANTS, "delete", id=self._claimant)], "remove lease")

    def renewal(self, until: datetime) -> Write:
        """Return the write that lets all claims of this process hold until that moment."""
        return Write(CLAIMANTS, "put", {"id": self._claimant, "lease": until})

    async def _leases(self, claimants: Collection[str], step: str) -> dict[str, datetime]:
        living = sorted(claimant for claimant in claimants if not provably_dead(claimant))
        if not living:
            return {}
        records = await self._storage.find_many(CLAIMANTS, living, lambda record: record, step)
        return {
            claimant: record["lease"] for claimant, record in records.items() if isinstance(record["lease"], datetime)
        }

    def _judge(self, run: Run, claimant_lease: datetime | None) -> ClaimEnd | None:
        deadline, started = run.agent_deadline, run.started_at
        if deadline is not None and started is not None and self._is_over(run.id, deadline, deadline - started):
            return ClaimEnd("the agent turn did not end in time")
        ttl = run.lease - started if run.lease is not None and started is not None else self._ttl
        return self._judge_claim(run.claimant, run.lease, claimant_lease, ttl)

    def _judge_claim(
        self, claimant: str, own_lease: datetime | None, claimant_lease: datetime | None, ttl: timedelta
    ) -> ClaimEnd | None:
        if claimant == self._claimant:
            return None
        if provably_dead(claimant):
            return ClaimEnd("its process has ended")
        holding = [lease for lease in (own_lease, claimant_lease) if lease and not self._is_over(claimant, lease, ttl)]
        if holding:
            return None
        unrenewed = (
            absent(store=CLAIMANTS, id=claimant)
            if claimant_lease is None
            else Condition.equals("lease", claimant_lease, store=CLAIMANTS, id=claimant)
        )
        return ClaimEnd("its lease has ended", (unrenewed,))

    def _is_over(self, name: str, end: datetime, span: timedelta) -> bool:
        """Return whether that end of a span of time has come; ``name`` is whose it is.

        It goes by the steady clock, so that one that jumps ahead ends nothing early. An end that lies further ahead
        than the span comes, at the latest, when the span has passed since it was met here first.
        """
        if end - self._clock.steady() <= span + SLACK:
            return end <= self._clock.steady()
        met = self._too_late.setdefault((name, end), self._clock.elapsed())
        return self._clock.elapsed() >= met + span

    async def _settle(self, run: Run, end: ClaimEnd) -> bool:
        """Fail the run, or hold it back for its next attempt; False when it or its lease was changed meanwhile."""
        ended = transitions.interrupted(run, self._clock())
        conditions = [at_revision(run.revision), *end.conditions]
        write = Write(RUNS, "put", run_to_record(ended), conditions=conditions)
        results = await self._storage.write([write, *transitions.freeing_writes(run, ended)], "settle run")
        if not results[0].ok:
            return False
        log.warning("run failed", event_name="run.interrupted", run_id=run.id, claimant=run.claimant, reason=end.reason)
        self._news.metrics.lost_claims.add()
        if not ended.status.terminal:  # it is pending again, and this process may be invoking it still
            self._news.metrics.retries.add()
            self._news.lost(run.id)
        self._news.committed(ended)
        return True

    async def _settle_claim(self, run: Run) -> None:
        """Fail the run while this claim holds it, also when signals came in since it was claimed."""
        claim = (run.claimant, run.epoch)
        current: Run | None = run
        while current is not None and (current.claimant, current.epoch) == claim:
            if await self._settle(current, ClaimEnd("its process stopped waiting for it")):
                return
            current = await self._storage.find(RUNS, run.id, run_from_record, "settle run")

    async def _unclaim(self, run: Run) -> None:
        """Put a run that was claimed, but never invoked, back into the queue."""
        if run.status is not RunStatus.RUNNING:
            return
        waiting = transitions.unclaimed(run, self._clock())
        write = Write(RUNS, "put", run_to_record(waiting), conditions=[at_revision(run.revision)])
        results = await self._storage.write(
            [write, *transitions.freeing_writes(run, waiting)], "return run to the queue"
        )
        if results[0].ok:
            log.warning("claim without invocation given back", event_name="run.unclaimed", run_id=run.id)
            self._news.committed(waiting)
