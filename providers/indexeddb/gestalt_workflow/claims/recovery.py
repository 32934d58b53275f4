"""Claims whose process has gone, and the leases that keep the others (semantics.md 18.6, decision 6).

A claim holds until the later of the run's own lease, set when it was claimed, and its owner's, which one small record
per process renews for all of its claims. A run whose claim has ended is failed, never invoked again: nobody knows how
far it came. Every such write names the run's revision and the lease it was judged by, so a completion or a renewal
that was faster wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from gestalt_workflow.claims import transitions
from gestalt_workflow.claims.claimants import provably_dead
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.objects import Run, RunStatus
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.stored.records import OWNERS, PERMITS, RUNS, run_from_record, run_to_record
from gestalt_workflow.stored.storage import Condition, KeyRange, Record, Storage, Write, absent, at_revision

SWEEP_EVERY = timedelta(seconds=60)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a running run's claim has ended, and the condition under which that stays true."""

    reason: str
    conditions: tuple[Condition, ...] = ()


class Recovery:
    """Judges claims, renews those of this process, and decides the fate of those that were lost."""

    def __init__(self, storage: Storage, owner: str, news: RunNews, clock: Clock) -> None:
        self._storage = storage
        self._owner = owner
        self._clock = clock
        self._news = news

    async def sweep(self, invoking: Callable[[], Collection[str]]) -> int:
        """Settle every claim that has ended; returns how many. One message when nothing is claimed elsewhere.

        ``invoking`` gives the runs that this process has claimed or is claiming, invoking or recording: asked after
        the claims were read. A claim of ours beyond them comes from a write whose answer was lost; it never led to
        an invocation, so the run goes back into the queue.
        """
        step = "sweep claims"
        token, settled = b"", 0
        while True:
            page = await self._storage.page(RUNS, "held", [], step, token=token)
            ours = invoking()
            runs = [run for _, run in self._storage.decoded(RUNS, page.records, run_from_record)]
            leases = await self._leases({run.owner for run in runs if run.owner != self._owner}, step)
            ended: list[tuple[Run, Verdict]] = []
            for run in runs:
                if run.owner == self._owner and run.id not in ours:
                    await self._unclaim(run)
                elif (verdict := self._judge(run, leases.get(run.owner))) is not None:
                    ended.append((run, verdict))
            settled += sum(await asyncio.gather(*(self._settle(run, verdict) for run, verdict in ended)))
            token = page.next_token
            if not token:
                return settled

    async def settled_if_stale(self, run: Run) -> Run | None:
        """The run, failed first when its claim has ended; None when somebody changed it meanwhile."""
        step = "settle run"
        leases = await self._leases({run.owner} - {self._owner}, step)
        verdict = self._judge(run, leases.get(run.owner))
        if verdict is None:
            return run
        await self._settle(run, verdict)
        return await self._storage.find(RUNS, run.id, run_from_record, step)

    async def settle_own(self, runs: Collection[Run]) -> None:
        """Fail runs of this process that it cannot wait for any longer."""
        await asyncio.gather(*(self._settle_claim(run) for run in runs))

    async def reclaim_permits(self) -> int:
        """Free the permits that nobody will give back; returns how many.

        A permit goes with the claim of its run, so there are none unless a run was removed or damaged, or ended by
        something that knows of no permits. Of a run that cannot be read only the permit tells how long its claim holds.
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
        run_id, owner, lease = str(record.get("run_id")), str(record.get("owner")), record.get("lease")
        conditions = [Condition.equals(name, record.get(name)) for name in ("run_id", "owner", "lease")]
        if run is not None:
            conditions.append(at_revision(run.revision, store=RUNS, id=run_id))
        elif verdict := self._judge_claim(owner, lease if isinstance(lease, datetime) else None, leases.get(owner)):
            conditions += verdict.conditions
        else:
            conditions.append(absent(store=RUNS, id=run_id))
        return Write(PERMITS, "delete", id=str(record["id"]), conditions=conditions)

    async def forget_owner(self) -> None:
        """This process claims nothing any more."""
        await self._storage.write([Write(OWNERS, "delete", id=self._owner)], "release lease")

    def renewal(self, until: datetime) -> Write:
        """The write that lets all claims of this process hold until then."""
        return Write(OWNERS, "put", {"id": self._owner, "lease": until})

    async def _leases(self, owners: Collection[str], step: str) -> dict[str, datetime]:
        living = sorted(owner for owner in owners if not provably_dead(owner))
        if not living:
            return {}
        records = await self._storage.find_many(OWNERS, living, lambda record: record, step)
        return {owner: record["lease"] for owner, record in records.items() if isinstance(record["lease"], datetime)}

    def _judge(self, run: Run, owner_lease: datetime | None) -> Verdict | None:
        now = self._clock()
        deadline = run.agent_deadline
        if deadline is not None and deadline <= now:
            return Verdict("the agent turn did not end in time")
        return self._judge_claim(run.owner, run.lease, owner_lease)

    def _judge_claim(self, owner: str, own_lease: datetime | None, owner_lease: datetime | None) -> Verdict | None:
        if owner == self._owner:
            return None
        if provably_dead(owner):
            return Verdict("its process has ended")
        lease = max((moment for moment in (own_lease, owner_lease) if moment is not None), default=None)
        if lease is not None and lease > self._clock():
            return None
        unrenewed = (
            absent(store=OWNERS, id=owner)
            if owner_lease is None
            else Condition.equals("lease", owner_lease, store=OWNERS, id=owner)
        )
        return Verdict("its lease has ended", (unrenewed,))

    async def _settle(self, run: Run, verdict: Verdict) -> bool:
        ended = transitions.interrupted(run, self._clock())
        conditions = [at_revision(run.revision), *verdict.conditions]
        write = Write(RUNS, "put", run_to_record(ended), conditions=conditions)
        results = await self._storage.write([write, *transitions.releases(run, ended)], "settle run")
        if not results[0].ok:
            return False
        log.warning("run failed", event_name="run.interrupted", run_id=run.id, owner=run.owner, reason=verdict.reason)
        if not ended.status.terminal:  # it is pending again, and this process may be invoking it still
            self._news.lost(run.id)
        self._news.committed(ended)
        return True

    async def _settle_claim(self, run: Run) -> None:
        """Fail the run while this claim holds it, also when signals came in since it was claimed."""
        claim = (run.owner, run.epoch)
        current: Run | None = run
        while current is not None and (current.owner, current.epoch) == claim:
            if await self._settle(current, Verdict("its process stopped waiting for it")):
                return
            current = await self._storage.find(RUNS, run.id, run_from_record, "settle run")

    async def _unclaim(self, run: Run) -> None:
        if run.status is not RunStatus.RUNNING:
            return
        waiting = transitions.unclaimed(run, self._clock())
        write = Write(RUNS, "put", run_to_record(waiting), conditions=[at_revision(run.revision)])
        results = await self._storage.write([write, *transitions.releases(run, waiting)], "return run to the queue")
        if results[0].ok:
            log.warning("claim without invocation given back", event_name="run.unclaimed", run_id=run.id)
            self._news.committed(waiting)
