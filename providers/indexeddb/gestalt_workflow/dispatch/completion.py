"""Record what became of an invocation.

The record is written with the claim it belongs to. When the claim is gone, because the run was canceled or its claim
settled, the outcome is dropped. A store that does not answer is asked again until it does: a second attempt after one
that did succeed finds the claim gone and changes nothing. Only a store that refuses the content itself gets the outcome
without its body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.texts import cut
from gestalt_workflow.claims import transitions
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import ContentRefused, StorageFailed, StorageUnavailable
from gestalt_workflow.model.objects import InvocationResult, Outcome, Run, RunStatus, Signal
from gestalt_workflow.stored.records import RUNS, SIGNALS, run_from_record, run_to_record, signal_to_record
from gestalt_workflow.stored.storage import Condition, Storage, Write, at_revision

STEP = "complete run"

log = structlog.get_logger()


class Completions:
    """Writes outcomes until they are written, or their claim is gone."""

    def __init__(self, storage: Storage, clock: Clock, max_result_bytes: int) -> None:
        """``max_result_bytes``: a longer result is cut to that many bytes of UTF-8."""
        self._storage = storage
        self._clock = clock
        self._max_result_bytes = max_result_bytes

    async def record(self, run: Run, signals: Sequence[Signal], outcome: Outcome) -> Run | None:
        """Write the outcome of the claimed run; return the run as written, or None when its claim was gone."""
        claim = (run.claimant, run.epoch)
        outcome, whole_bytes = shortened(outcome, self._max_result_bytes)
        backoff = Backoff(first_s=0.05, limit_s=5)
        while True:
            try:
                after = _marked(transitions.completed(run, outcome, self._clock()), outcome, whole_bytes)
                written, current = await self._write(run, after, signals, outcome)
                if written:
                    return after
                if current is None:
                    current = await self._storage.find(RUNS, run.id, run_from_record, STEP)
            except StorageUnavailable as error:
                log.warning("outcome not stored yet", event_name="run.unrecorded", run_id=run.id, error=str(error))
                await backoff.wait()
                continue
            except StorageFailed as error:
                if isinstance(error, ContentRefused) and isinstance(outcome, InvocationResult) and outcome.body:
                    log.error("result body refused", event_name="run.body_lost", run_id=run.id, error=str(error))
                    outcome = replace(outcome, body="")
                    continue
                log.error("outcome refused", event_name="run.unrecorded", run_id=run.id, error=str(error))
                await backoff.wait()
                continue
            if current is None or current.status is not RunStatus.RUNNING or (current.claimant, current.epoch) != claim:
                log.info("outcome dropped: the claim is gone", event_name="run.outcome_dropped", run_id=run.id)
                return None
            run = current  # a signal came in meanwhile

    async def _write(
        self, run: Run, after: Run, signals: Sequence[Signal], outcome: Outcome
    ) -> tuple[bool, Run | None]:
        """Return whether it was written; if not, perhaps the record as it is."""
        writes: list[Write] = []
        if signals and isinstance(outcome, InvocationResult) and outcome.succeeded:
            now, claim = self._clock(), _claim(run, store=RUNS, id=run.id)
            for signal in signals:
                record = signal_to_record(replace(signal, delivered_at=now))
                writes.append(Write(SIGNALS, "put", record, conditions=claim))
        writes.append(Write(RUNS, "put", run_to_record(after), conditions=_claim(run)))
        results = await self._storage.write([*writes, *transitions.freeing_writes(run, after)], STEP)
        written = results[len(writes) - 1]
        if written.ok:
            return True, None
        return False, run_from_record(written.current) if written.current is not None else None


def shortened(outcome: Outcome, limit_bytes: int) -> tuple[Outcome, int]:
    """Return the outcome with its body cut at a character boundary, and how many bytes it had; 0 when it is whole."""
    if not isinstance(outcome, InvocationResult) or len(outcome.body) * 4 <= limit_bytes:
        return outcome, 0
    whole_bytes = len(outcome.body.encode())
    if whole_bytes <= limit_bytes:
        return outcome, 0
    return replace(outcome, body=cut(outcome.body, limit_bytes)), whole_bytes


def _marked(run: Run, outcome: Outcome, whole_bytes: int) -> Run:
    """Return the run after an invocation with a note when its result was cut."""
    if not whole_bytes:
        answered = isinstance(outcome, InvocationResult)
        return replace(run, result_truncated=0) if answered and run.result_truncated else run
    kept_bytes = len(run.result_body.encode())
    note = f"result cut to {kept_bytes} of {whole_bytes} bytes"
    message = f"{run.status_message}; {note}" if run.status_message else note
    return replace(run, result_truncated=whole_bytes, status_message=message)


def _claim(run: Run, store: str = "", id: str = "") -> list[Condition]:
    """Return the conditions that hold while the run is as this process claimed it; ``store`` blank: the own record."""
    return [
        at_revision(run.revision, store=store, id=id),
        Condition.equals("owner", run.claimant, store=store, id=id),
        Condition.equals("epoch", run.epoch, store=store, id=id),
    ]
