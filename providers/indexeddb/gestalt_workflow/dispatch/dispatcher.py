"""Claim runs from the queue, as many as workers are free, have the host invoke them, and have the outcome recorded.

A claim and the run's change to running are one commit, which also names the revision of the execution reference that
will travel along. A worker is free again when the invocation has ended; the outcome is written together with the next
claims.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.beats import Beat
from gestalt_workflow.claims import transitions
from gestalt_workflow.claims.recovery import Recovery
from gestalt_workflow.config import Config
from gestalt_workflow.dispatch.completion import Completions
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.dispatch.lanes import Lanes, Taken
from gestalt_workflow.dispatch.permits import permit_conditions, permit_writes
from gestalt_workflow.model.clock import WatchedClock
from gestalt_workflow.model.errors import StorageFailed, StorageUnavailable, Undecodable
from gestalt_workflow.model.objects import InvocationFailed, Outcome, Reference, Run, RunStatus, Signal
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.objects.references import References
from gestalt_workflow.stored.records import (
    REFERENCES,
    RUNS,
    SIGNALS,
    run_from_record,
    run_to_record,
    signal_from_record,
)
from gestalt_workflow.stored.storage import Condition, Record, Storage, Write, WriteResult, at_revision

SIGNALS_PER_BATCH = 25

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Execution:
    """One claimed run from its claim until its outcome is recorded.

    Attributes:
        reference: The execution reference to send along; None when the host is to look it up.
        lapses: When its claim ends unless it is renewed, by ``WatchedClock.elapsed``.
        invoking: The invocation has not ended: the execution occupies a worker.
    """

    run: Run
    signals: Sequence[Signal]
    reference: Reference | None
    lapses: timedelta
    task: asyncio.Task[None] | None = None
    invoking: bool = True


class Dispatcher:
    """Claims and executes runs; ``run`` is its loop, ``renew_claims`` keeps its claims alive beside it."""

    def __init__(
        self,
        storage: Storage,
        lanes: Lanes,
        references: References,
        recovery: Recovery,
        completions: Completions,
        host: WorkflowHost,
        claimant: str,
        news: RunNews,
        config: Config,
        clock: WatchedClock,
    ) -> None:
        self._storage = storage
        self._lanes = lanes
        self._references = references
        self._recovery = recovery
        self._completions = completions
        self._host = host
        self._claimant = claimant
        self._news = news
        news.listen(self)
        self._config = config
        self._clock = clock
        self._wake = asyncio.Event()
        self._executions: dict[str, Execution] = {}
        self._claiming: dict[str, Run] = {}
        self._free = config.worker_count
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._stopped = asyncio.Event()
        self._crashed: dict[str, Run] = {}

    # What it hears of runs

    def pending(self, run: Run) -> None:
        """Put the run into the queue, unless it is held back."""
        if run.held_back:
            return
        known = self._executions[run.id].run if run.id in self._executions else self._claiming.get(run.id)
        if known is not None and run.revision <= known.revision:
            return  # read from the store and taken up before whoever committed it had its answer
        self._requeue(run)

    def _requeue(self, run: Run) -> None:
        self._lanes.offer(run)
        self._wake.set()

    def ended(self, run_id: str) -> None:
        """Forget the run, and cancel its invocation if it is under way here: somebody else has ended the run."""
        self._lanes.forget(run_id)
        if self._lanes.freed(run_id):
            self._wake.set()
        execution = self._executions.get(run_id)
        if execution is not None and execution.invoking and execution.task is not None:
            execution.task.cancel()

    def lost(self, run_id: str) -> None:
        """Stop work whose claim is gone."""
        self.ended(run_id)

    def wake(self) -> None:
        """Look whether there is something to claim."""
        self._wake.set()

    @property
    def invoking(self) -> int:
        """How many runs it has the host execute now."""
        return self._config.worker_count - self._free

    def busy(self) -> set[str]:
        """Return the ids of the runs that this process is claiming, invoking or recording."""
        return self._claiming.keys() | self._executions.keys() | self._crashed.keys()

    async def settle_crashed(self) -> None:
        """Fail the runs whose execution met a bug or was given up: whether they were invoked is not known."""
        crashed = list(self._crashed.values())
        await self._recovery.settle_own(crashed)
        for run in crashed:
            self._crashed.pop(run.id, None)

    # Claiming

    @property
    def stopping(self) -> bool:
        """Whether it was told to claim no more."""
        return self._stopping

    async def run(self, tasks: asyncio.TaskGroup, beat: Beat) -> None:
        """Claim runs and execute them in ``tasks``, until ``finish`` is called."""
        backoff = Backoff(first_s=0.05, limit_s=10)
        while not self._stopping:
            beat.rest()
            await self._wake.wait()
            self._wake.clear()
            beat.beat()
            try:
                while self._free > 0 and not self._stopping and await self._claim_some(tasks):
                    beat.beat()
                backoff.reset()
            except StorageFailed as error:
                log.warning("claiming failed", event_name="dispatch.failed", error=str(error))
                self._lanes.suspect()
                self._wake.set()
                await backoff.wait()

        self._stopped.set()

    async def _claim_some(self, tasks: asyncio.TaskGroup) -> bool:
        """Claim and start up to as many runs as workers are free; False when no run may be claimed."""
        taken = await self._lanes.take(self._free, self.busy)
        if not taken:
            return False
        claiming = taken.touched()
        self._claiming.update(claiming)
        try:
            await self._claim(taken, tasks)
        finally:
            for run_id in claiming:
                del self._claiming[run_id]
        return True

    async def _claim(self, taken: Taken, tasks: asyncio.TaskGroup) -> None:
        await self._references.load(run.execution_ref for run, _ in taken.runs)
        now = self._clock()
        lease = now + self._config.claim_ttl
        lapses = self._clock.elapsed() + self._config.claim_ttl
        executions: list[Execution] = []
        writes: list[Write] = []
        left_out: list[Write] = []
        for run, permits in taken.runs:
            signals, undelivered, unreadable = await self._batch(run) if run.undelivered else ([], 0, [])
            batch = tuple(signal.id for signal in signals)
            claimed = transitions.claimed(
                replace(run, undelivered=undelivered), self._claimant, now, lease, batch, permits
            )
            left_out += _left_out(claimed, unreadable)
            reference = self._references.sendable(run.execution_ref)
            conditions = [at_revision(run.revision), Condition.equals("status", int(RunStatus.PENDING))]
            conditions += permit_conditions(permits)
            if reference is not None:
                conditions.append(at_revision(reference.revision, store=REFERENCES, id=reference.id))
            executions.append(Execution(claimed, signals, reference, lapses))
            writes.append(Write(RUNS, "put", run_to_record(claimed), conditions=conditions))
        writes += self._lanes.move_writes(taken)
        writes += left_out
        checked: dict[str, int] = {}
        for execution in executions:
            writes += permit_writes(execution.run)
            reference = execution.reference
            if execution.run.permits and reference is not None:  # tells which of the two a refusal was for
                checked[execution.run.id] = len(writes)
                unchanged = [at_revision(reference.revision)]
                writes.append(Write(REFERENCES, "check", id=reference.id, conditions=unchanged))
        try:
            results = await self._storage.write(writes, "claim runs")
        except StorageUnavailable:
            self._news.unclear.set()
            raise
        for (run, _), execution, result in zip(taken.runs, executions, results, strict=False):
            if result.ok:
                self._news.metrics.claimed(now - transitions.queued_since(run))
                self._start(execution, tasks)
            else:
                index = checked.get(run.id)
                self._refused(run, execution, result, index is None or not results[index].ok)
        for moved, result in zip(taken.aside, results[len(executions) :], strict=False):
            if result.ok:
                self._requeue(moved)
            else:
                self._offer_current(result)

    def _refused(self, run: Run, execution: Execution, result: WriteResult, reference_outdated: bool) -> None:
        """Try again with what is true now: somebody changed the run, revoked its reference or took its permits."""
        permits, reference = execution.run.permits, execution.reference
        self._lanes.refused(run, permits)
        if result.current is not None or not (permits or reference):
            self._offer_current(result)
            return
        # The condition that failed was not the run's own.
        if reference is not None and reference_outdated:
            self._references.forget(reference.id)
        self._requeue(run)

    def _offer_current(self, result: WriteResult) -> None:
        if result.current is None:
            return
        try:
            current = run_from_record(result.current)
        except Undecodable:
            return
        if current.status is RunStatus.PENDING:
            self._requeue(current)

    async def _batch(self, run: Run) -> tuple[list[Signal], int, list[Record]]:
        """Return the next signals of a keyed run in order, how many are undelivered, and those that cannot be read.

        The numbers hold as long as the run's revision stays. A signal that cannot be read, or is gone, must not count
        as undelivered: the run would be invoked again and again for it.
        """
        step = "read signals"
        page = await self._storage.page(SIGNALS, "waiting", [run.id], step, limit=SIGNALS_PER_BATCH)
        read = list(self._storage.decoded(SIGNALS, page.records, signal_from_record))
        readable = {str(record["id"]) for record, _ in read}
        unreadable = [record for record in page.records if str(record["id"]) not in readable]
        undelivered = run.undelivered - len(unreadable) if page.next_token else len(read)
        return [signal for _, signal in read], undelivered, unreadable

    # Invoking

    def _start(self, execution: Execution, tasks: asyncio.TaskGroup) -> None:
        run_id = execution.run.id
        self._executions[run_id] = execution
        self._free -= 1
        self._idle.clear()
        execution.task = tasks.create_task(self._execute(execution), name=f"run {run_id}")
        # A task that is canceled before it began never runs.
        execution.task.add_done_callback(lambda done: self._leave(execution))

    async def _execute(self, execution: Execution) -> None:
        try:
            await self._invoke(execution)
        except Exception:
            log.exception("run crashed", event_name="run.crashed", run_id=execution.run.id)
            self._crashed[execution.run.id] = execution.run
            self._news.unclear.set()

    async def _invoke(self, execution: Execution) -> None:
        run = execution.run
        if execution.lapses <= self._clock.elapsed():
            # The claim's answer came so late that others may have ended it: the sweep gives back what is left of it.
            self._news.unclear.set()
            return
        reference = execution.reference
        if reference is not None and self._references.sendable(run.execution_ref) is None:
            reference = None  # revoked since the claim: the host is to see that for itself
        try:
            outcome = await _within_timeout(run, self._host.invoke(run, execution.signals, reference))
        except Undecodable as error:
            outcome = InvocationFailed(f"not invoked: {error}", "INVALID_ARGUMENT")
        finally:
            self._free_worker(execution)
        after = await self._completions.record(run, execution.signals, outcome)
        self._leave(execution)
        if after is not None:
            if after.not_before is not None and not after.status.terminal:
                self._news.metrics.retries.add()
            self._news.committed(after)

    def _free_worker(self, execution: Execution) -> None:
        """Free the worker: the invocation is over, or never began."""
        if execution.invoking:
            execution.invoking = False
            self._free += 1
            self._lanes.freed(execution.run.id)  # the outcome is written before the claim of who comes next
            self._wake.set()

    def _leave(self, execution: Execution) -> None:
        """Forget the execution, which is over; calling it again changes nothing."""
        run_id = execution.run.id
        if self._executions.get(run_id) is not execution:
            return
        self._free_worker(execution)
        del self._executions[run_id]
        self._lanes.freed(run_id)
        if not self._executions:
            self._idle.set()
        self._wake.set()

    # Keeping claims

    async def renew_claims(self, beat: Beat) -> None:
        """Renew every claim of this process at once, and stop work whose claim somebody took away."""
        every_s = self._config.claim_renew_every.total_seconds()
        while True:
            beat.rest()
            await asyncio.sleep(every_s)
            beat.beat()
            held = [execution for execution in self._executions.values() if execution.invoking]
            if held:
                await self._renew(held, every_s)

    async def _renew(self, held: Sequence[Execution], every_s: float) -> None:
        writes = [self._recovery.renewal(self._clock() + self._config.claim_ttl)]
        for execution in held:
            run = execution.run
            conditions = [Condition.equals("owner", run.claimant), Condition.equals("epoch", run.epoch)]
            writes.append(Write(RUNS, "check", id=run.id, conditions=conditions))
        try:
            async with asyncio.timeout(every_s):
                results = await self._storage.write(writes, "renew claims")
        except (StorageFailed, TimeoutError) as error:
            log.warning("claims not renewed", event_name="claims.unrenewed", count=len(held), error=str(error))
            return
        for execution, result in zip(held, results[1:], strict=True):
            if not result.ok and execution.invoking:
                log.warning("claim lost", event_name="claim.lost", run_id=execution.run.id)
                self._news.lost(execution.run.id)

    # Ending

    async def finish(self, within: timedelta) -> None:
        """Claim no more and wait for what is being invoked; what does not end in time is for ``settle_crashed``."""
        self._stopping = True
        self._wake.set()
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._stopped.wait()  # a claim under way is not torn from its commit
                await self._idle.wait()
            return
        except TimeoutError:
            pass
        left = list(self._executions.values())
        for execution in left:
            if execution.task is not None:
                execution.task.cancel()
        tasks = [execution.task for execution in left if execution.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        # They count as busy until they are settled: a sweep would take them for claims that were never invoked.
        self._crashed.update((execution.run.id, execution.run) for execution in left)


async def _within_timeout(run: Run, invocation: Awaitable[Outcome]) -> Outcome:
    """Return the outcome of the invocation; cancel it and return a failure after the timeout of the run's policy."""
    timeout = run.policy.timeout
    if timeout is None:
        return await invocation
    limit = asyncio.timeout(timeout.total_seconds())
    try:
        async with limit:
            return await invocation
    except TimeoutError:
        if not limit.expired():
            raise
    return InvocationFailed(f"workflow run timed out after {timeout.total_seconds():g} s", timed_out=True)


def _left_out(claimed: Run, unreadable: Sequence[Record]) -> list[Write]:
    """Return the writes after which unreadable signals are not undelivered any more; the records stay for people."""
    conditions = [
        Condition.equals("owner", claimed.claimant, store=RUNS, id=claimed.id),
        Condition.equals("epoch", claimed.epoch, store=RUNS, id=claimed.id),
    ]
    kept = [{name: value for name, value in record.items() if name != "waiting"} for record in unreadable]
    return [Write(SIGNALS, "put", record, conditions=conditions) for record in kept]
