"""Recording what became of an invocation (semantics.md 18.5).

The record is written with the claim it belongs to. When the claim is gone - the run was canceled, or declared lost -
the outcome is dropped. A store that does not answer is asked again until it does: a second attempt after one that did
succeed finds the claim gone and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from gestalt_sdk.backoff import Backoff
from gestalt_workflow import transitions
from gestalt_workflow.clock import Clock
from gestalt_workflow.errors import StorageFailed, StorageUnavailable
from gestalt_workflow.model import InvocationResult, Outcome, Run, RunStatus, Signal
from gestalt_workflow.records import RUNS, SIGNALS, run_from_record, run_to_record, signal_to_record
from gestalt_workflow.storage import Condition, Entry, Storage, at_revision

STEP = "complete run"

log = structlog.get_logger()


class Completions:
    """``recorded`` is called with each run as it was written."""

    def __init__(self, storage: Storage, clock: Clock, recorded: Callable[[Run], None] = lambda run: None) -> None:
        self._storage = storage
        self._recorded = recorded
        self._clock = clock

    async def record(self, run: Run, signals: Sequence[Signal], outcome: Outcome) -> Run | None:
        """Write the outcome of the claimed run; the run as written, or None when its claim was gone."""
        claim = (run.owner, run.epoch)
        backoff = Backoff(first_s=0.05, limit_s=5)
        while True:
            try:
                after = transitions.completed(run, outcome, self._clock())
                written, current = await self._write(run, after, signals, outcome)
                if written:
                    self._recorded(after)
                    return after
                if current is None:
                    current = await self._storage.find(RUNS, run.id, run_from_record, STEP)
            except StorageUnavailable as error:
                log.warning("outcome not stored yet", event_name="run.unrecorded", run_id=run.id, error=str(error))
                await backoff.wait()
                continue
            except StorageFailed as error:
                if isinstance(outcome, InvocationResult) and outcome.body:
                    log.error("result body refused", event_name="run.body_lost", run_id=run.id, error=str(error))
                    outcome = replace(outcome, body="")
                    continue
                log.error("outcome refused", event_name="run.unrecorded", run_id=run.id, error=str(error))
                await backoff.wait()
                continue
            if current is None or current.status is not RunStatus.RUNNING or (current.owner, current.epoch) != claim:
                log.info("outcome dropped: the claim is gone", event_name="run.outcome_dropped", run_id=run.id)
                return None
            run = current  # a signal came in meanwhile

    async def _write(
        self, run: Run, after: Run, signals: Sequence[Signal], outcome: Outcome
    ) -> tuple[bool, Run | None]:
        """Whether it was written; if not, perhaps the record as it is."""
        entries: list[Entry] = []
        if signals and isinstance(outcome, InvocationResult) and outcome.succeeded:
            now, claim = self._clock(), _claim(run, store=RUNS, id=run.id)
            for signal in signals:
                record = signal_to_record(replace(signal, delivered_at=now))
                entries.append(Entry(SIGNALS, "put", record, conditions=claim))
        entries.append(Entry(RUNS, "put", run_to_record(after), conditions=_claim(run)))
        outcomes = await self._storage.write([*entries, *transitions.key_release(after)], STEP)
        written = outcomes[len(entries) - 1]
        if written.ok:
            return True, None
        return False, run_from_record(written.current) if written.current is not None else None


def _claim(run: Run, store: str = "", id: str = "") -> list[Condition]:
    """Holds while the run (the entry's own record, or another) is as this process claimed it."""
    return [
        at_revision(run.revision, store=store, id=id),
        Condition.equals("owner", run.owner, store=store, id=id),
        Condition.equals("epoch", run.epoch, store=store, id=id),
    ]
