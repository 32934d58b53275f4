"""Start, read and cancel runs.

Claiming, invoking and completing them is the dispatcher's.
"""

from __future__ import annotations

from dataclasses import dataclass

from gestalt_sdk.common.printable import quoted
from gestalt_workflow.claims import transitions
from gestalt_workflow.claims.recovery import Recovery
from gestalt_workflow.model import ids
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import ObjectNotFound, StateConflict, TooMuchContention
from gestalt_workflow.model.objects import NOBODY, Actor, Cause, Run, RunStatus, Target
from gestalt_workflow.model.policies import PLAIN_RUN, RunPolicy
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.objects.causes import Causes, counted_for
from gestalt_workflow.stored.records import (
    RUN_KEYS,
    RUNS,
    SIGNAL_KEYS,
    run_from_record,
    run_to_record,
)
from gestalt_workflow.stored.storage import Condition, Storage, Write, absent, at_revision
from gestalt_workflow.wire.payloads import manual_trigger

KIND = "workflow run"
ATTEMPTS = 16


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a run started by hand is to be; blank keys mean none."""

    target: Target
    idempotency_key: str = ""
    workflow_key: str = ""
    created_by: Actor = NOBODY
    execution_ref: str = ""
    policy: RunPolicy = PLAIN_RUN
    cause: Cause | None = None


class Runs:
    """Every run, as users see it."""

    def __init__(self, storage: Storage, recovery: Recovery, news: RunNews, clock: Clock, causes: Causes) -> None:
        self._storage = storage
        self._recovery = recovery
        self._news = news
        self._clock = clock
        self._causes = causes

    async def start(self, request: StartRequest) -> Run:
        """Start a run by hand; with an idempotency key that was used before return the earlier run, as it is now.

        Raises:
            StateConflict: another run that has not ended holds the workflow key, or what caused it has gone too far.
        """
        step = "create run"
        for _ in range(ATTEMPTS):
            earlier, run = await self._start_once(request, step)
            if earlier is not None:
                return earlier
            if run is not None:
                self._news.committed(run)
                await self._causes.started(request.cause, counted_for(request.created_by.subject_id))
                return run
        raise TooMuchContention(step)

    async def _start_once(self, request: StartRequest, step: str) -> tuple[Run | None, Run | None]:
        """Return the earlier run of the key, or the new one; neither when somebody else was faster."""
        plugin, subject = request.target.plugin, request.created_by.subject_id.strip()
        key_row = ids.key_row(plugin, subject, request.workflow_key) if request.workflow_key else ""
        run = transitions.new_run(
            ids.manual_run(plugin, subject, request.idempotency_key) if request.idempotency_key else ids.new_id(),
            request.target,
            manual_trigger(),
            self._clock(),
            created_by=request.created_by,
            execution_ref=request.execution_ref,
            workflow_key=request.workflow_key,
            key_row=key_row,
            policy=request.policy,
            cause=request.cause,
        )
        conditions = [absent()]
        if request.idempotency_key:
            # A signal with the same key comes first: both kinds share one key space (semantics.md 15.4).
            signal_row = ids.signal_row(plugin, subject, request.idempotency_key)
            conditions.append(absent(store=SIGNAL_KEYS, id=signal_row))
            if key_row:
                earlier = await self._earlier(run.id, signal_row, step)
                if earlier is not None:
                    return earlier, None
        if self._causes.excess(request.cause, counted_for(subject)) is not None:
            earlier = await self._earlier(run.id, signal_row, step) if request.idempotency_key else None
            if earlier is not None:
                return earlier, None
            self._causes.require(request.cause, counted_for(subject))
        write = Write(RUNS, "add", run_to_record(run), conditions=conditions)
        if not key_row:
            (result,) = await self._storage.write([write], step)
            if result.ok:
                return None, run
            if request.idempotency_key:
                return await self._earlier(run.id, signal_row, step), None
            return None, None
        holder, held_by = await self.holder(key_row, step)
        if holder is not None and not holder.status.terminal:
            raise StateConflict(f"workflow key {quoted(request.workflow_key)} already has an active run")
        writes = [
            Write(RUN_KEYS, "put", {"id": key_row, "run_id": run.id}, conditions=[held_by], required=True),
            Write(RUNS, "add", run_to_record(run), conditions=conditions, required=True),
        ]
        results = await self._storage.write_alone(writes, step)
        return None, run if all(result.ok for result in results) else None

    async def holder(self, key_row: str, step: str) -> tuple[Run | None, Condition]:
        """Return the run that the key row names, settled first when its process has gone; None when the key is free.

        The condition on the row holds as long as nobody else takes the key.
        """
        run_id = await self._storage.find(RUN_KEYS, key_row, lambda record: str(record["run_id"]), step)
        if run_id is None:
            return None, absent()
        unchanged = Condition.equals("run_id", run_id)
        run = await self._storage.find(RUNS, run_id, run_from_record, step)
        if run is not None and run.status is RunStatus.RUNNING:
            run = await self._recovery.settled_if_stale(run)
            if run is not None and run.status.terminal:
                unchanged = absent()  # settling it has freed the key
        return run, unchanged

    async def _earlier(self, run_id: str, signal_row: str, step: str) -> Run | None:
        """Return the run that the idempotency key made before, by a signal or by a start."""
        signal_run = await self._storage.find(SIGNAL_KEYS, signal_row, lambda record: str(record["run_id"]), step)
        if signal_run is not None:
            found = await self._storage.find(RUNS, signal_run, run_from_record, step)
            if found is not None:
                return found
        return await self._storage.find(RUNS, run_id, run_from_record, step)

    async def get(self, run_id: str) -> Run:
        """Return the run; raise ``ObjectNotFound`` when there is none."""
        found = await self._storage.find(RUNS, run_id, run_from_record, "get run")
        if found is None:
            raise ObjectNotFound(KIND, run_id)
        return found

    async def cancel(self, run_id: str, reason: str, by: str = "") -> Run:
        """End a run that has not ended: at once, also when it is being invoked.

        Args:
            by: Subject that asks for it, for the run's timeline; blank when not known.

        Raises:
            StateConflict: it has ended.
        """
        step = "cancel run"
        for _ in range(ATTEMPTS):
            run = await self.get(run_id)
            if run.status.terminal:
                raise StateConflict(
                    f"{KIND} {quoted(run_id)} {run.status.ended}; only pending and running runs can be canceled"
                )
            canceled = transitions.canceled(run, reason, self._clock(), by.strip())
            write = Write(RUNS, "put", run_to_record(canceled), conditions=[at_revision(run.revision)])
            results = await self._storage.write([write, *transitions.freeing_writes(run, canceled)], step)
            if results[0].ok:
                self._news.committed(canceled)
                return canceled
        raise TooMuchContention(step)
