"""Send signals to keyed runs (decision 8).

A signal, the run's counters and the row of its idempotency key are written in one commit that names the run's
revision, so a signal is either part of a run that will deliver it, or refused. What became of a signal follows from
its record and its run: delivered when it says so, else failed once the run has ended without it, else pending.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from gestalt_sdk.common.printable import quoted
from gestalt_workflow.claims import transitions
from gestalt_workflow.model import ids, timeline
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import ObjectNotFound, SignalExists, StateConflict, TooMuchContention
from gestalt_workflow.model.objects import NOBODY, Actor, Cause, NewSignal, Run, RunStatus, Signal, Target
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.objects.causes import Causes, counted_for
from gestalt_workflow.objects.runs import KIND, Runs
from gestalt_workflow.stored.records import (
    RUN_KEYS,
    RUNS,
    SIGNAL_KEYS,
    SIGNALS,
    run_from_record,
    run_to_record,
    signal_from_record,
    signal_to_record,
)
from gestalt_workflow.stored.storage import Condition, Record, Storage, Write, absent, at_revision
from gestalt_workflow.wire.payloads import manual_trigger, stored_signal_data

ATTEMPTS = 64


@dataclass(frozen=True, slots=True)
class SignalOrStartRequest:
    """A signal for the run that holds a workflow key, and the run to start when none does."""

    workflow_key: str
    target: Target
    signal: NewSignal
    created_by: Actor = NOBODY
    execution_ref: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A stored signal with its run; ``started_run`` as it was when the signal was stored first."""

    run: Run
    signal: Signal

    @property
    def started_run(self) -> bool:
        return self.signal.started_run


class Signals:
    """Every signal."""

    def __init__(self, storage: Storage, runs: Runs, news: RunNews, clock: Clock, causes: Causes) -> None:
        self._storage = storage
        self._runs = runs
        self._news = news
        self._clock = clock
        self._causes = causes

    async def signal(self, run_id: str, signal: NewSignal) -> Delivery:
        """Append a signal to a run that has not ended.

        Raises:
            ObjectNotFound: no such run.
            StateConflict: it has ended, has no workflow key, or the signal id belongs elsewhere.
        """
        step = "signal run"
        for _ in range(ATTEMPTS):
            run = await self._storage.find(RUNS, run_id, run_from_record, step)
            if run is None:
                raise ObjectNotFound(KIND, run_id)
            if run.status.terminal:
                raise StateConflict(
                    f"{KIND} {quoted(run_id)} {run.status.ended}; only pending and running runs take signals"
                )
            if not run.keyed:
                raise StateConflict(f"{KIND} {quoted(run_id)} has no workflow key: it takes no signals")
            row = _row_id(run.target.plugin, signal)
            earlier, unused = await self._earlier(row, step)
            if earlier is not None:
                return earlier
            delivery = await self._append(run, signal, row, unused, step)
            if delivery is not None:
                return delivery
        raise TooMuchContention(step)

    async def signal_or_start(self, request: SignalOrStartRequest) -> Delivery:
        """Append a signal to the run that holds the key, or start one for it.

        Raises:
            StateConflict: the signal id belongs elsewhere, or a run would be started and its cause has gone too far.
        """
        step = "signal or start run"
        plugin, subject = request.target.plugin, request.created_by.subject_id.strip()
        key_row = ids.key_row(plugin, subject, request.workflow_key)
        signal = request.signal
        row = _row_id(plugin, signal)
        for _ in range(ATTEMPTS):
            holder, held_by = await self._runs.holder(key_row, step)
            earlier, unused = await self._earlier(row, step)
            if earlier is not None:
                if not earlier.run.stale:
                    return earlier
                if signal.id == earlier.signal.id:
                    signal = replace(signal, id="")
            if holder is not None and not holder.status.terminal:
                delivery = await self._append(holder, signal, row, unused, step)
            else:
                self._causes.require(request.cause, counted_for(subject))
                delivery = await self._start(request, signal, key_row, held_by, row, unused, step)
                if delivery is not None:
                    await self._causes.started(request.cause, counted_for(subject))
            if delivery is not None:
                return delivery
        raise TooMuchContention(step)

    async def _start(
        self,
        request: SignalOrStartRequest,
        signal: NewSignal,
        key_row: str,
        held_by: Condition,
        row: str,
        unused: Condition,
        step: str,
    ) -> Delivery | None:
        run = transitions.new_run(
            ids.new_id(),
            request.target,
            manual_trigger(),
            self._clock(),
            created_by=request.created_by,
            execution_ref=request.execution_ref,
            workflow_key=request.workflow_key,
            key_row=key_row,
            cause=request.cause,
        )
        key = Write(RUN_KEYS, "put", {"id": key_row, "run_id": run.id}, conditions=[held_by], required=True)
        return await self._store(None, run, signal, row, unused, step, [key])

    async def _append(self, run: Run, signal: NewSignal, row: str, unused: Condition, step: str) -> Delivery | None:
        return await self._store(run, run, signal, row, unused, step, [])

    async def _store(
        self,
        before: Run | None,
        run: Run,
        signal: NewSignal,
        row: str,
        unused: Condition,
        step: str,
        more: list[Write],
    ) -> Delivery | None:
        """Write signal and run in one commit; None when somebody else changed the run or a key meanwhile."""
        if run.next_sequence <= 0:
            raise StateConflict(f"{KIND} {quoted(run.id)} has no valid next signal sequence")
        now = self._clock()
        stored = _stored(run, signal, now, started_run=before is None)
        after = replace(
            run,
            next_sequence=max(run.next_sequence, stored.sequence + 1),
            undelivered=run.undelivered + 1,
            revision=run.revision if before is None else run.revision + 1,
            timeline=timeline.noted(run.timeline, timeline.SIGNALED, now, detail=stored.id),
        )
        unchanged = absent() if before is None else at_revision(before.revision)
        writes = [
            Write(SIGNALS, "add", signal_to_record(stored), required=True),
            Write(RUNS, "put", run_to_record(after), conditions=[unchanged], required=True),
            *more,
        ]
        if row:
            record = {"id": row, "run_id": run.id, "signal_id": stored.id}
            writes.append(Write(SIGNAL_KEYS, "put", record, conditions=[unused], required=True))
        results = await self._storage.write_alone(writes, step)
        if all(result.ok for result in results):
            if after.status is RunStatus.PENDING:
                self._news.committed(after)
            return Delivery(after, stored)
        if results[0].code != "already_exists":
            return None
        existing = await self._storage.find(SIGNALS, stored.id, signal_from_record, step)
        if existing is not None:
            return await self._repeated(existing, run, step)
        if signal.sequence:
            raise SignalExists(stored.id)
        return None

    async def _repeated(self, existing: Signal, run: Run, step: str) -> Delivery | None:
        """Return the answer to a signal id that is taken."""
        if existing.run_id != run.id:
            raise StateConflict(f"workflow signal {quoted(existing.id)} belongs to a different run")
        if existing.workflow_key != run.workflow_key:
            raise StateConflict(f"workflow signal {quoted(existing.id)} belongs to a different workflow key")
        current = await self._storage.find(RUNS, run.id, run_from_record, step)
        return None if current is None else Delivery(current, existing)

    async def _earlier(self, row: str, step: str) -> tuple[Delivery | None, Condition]:
        """Return the signal that the idempotency key made before, with its run now, and a condition on the key's row.

        The condition holds until the key makes another signal. A write of this request whose answer was lost may still
        arrive when the run it was meant for has long ended, and must not start a second one.
        """
        found = await self._storage.find(SIGNAL_KEYS, row, _row, step) if row else None
        if found is None:
            return None, absent()
        run_id, signal_id = found
        run = await self._storage.find(RUNS, run_id, run_from_record, step)
        signal = await self._storage.find(SIGNALS, signal_id, signal_from_record, step)
        earlier = None if run is None or signal is None else Delivery(run, signal)
        return earlier, Condition.equals("signal_id", signal_id)


def _row(record: Record) -> tuple[str, str]:
    return str(record["run_id"]), str(record["signal_id"])


def _row_id(plugin: str, signal: NewSignal) -> str:
    return ids.signal_row(plugin, signal.subject_id, signal.idempotency_key) if signal.idempotency_key else ""


def _stored(run: Run, signal: NewSignal, now: datetime, *, started_run: bool) -> Signal:
    if signal.id:
        signal_id = signal.id
    elif signal.idempotency_key:
        signal_id = ids.signal_with_key(run.target.plugin, signal.subject_id, run.id, signal.idempotency_key)
    else:
        signal_id = ids.new_id()
    sequence = signal.sequence or run.next_sequence
    return Signal(
        id=signal_id,
        run_id=run.id,
        workflow_key=run.workflow_key,
        sequence=sequence,
        data=stored_signal_data(signal, signal_id, sequence, now),
        created_at=now,
        idempotency_key=signal.idempotency_key,
        started_run=started_run,
    )
