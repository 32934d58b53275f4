"""Runs from their start to their end: keys, signals, claims, outcomes, and what a process left behind that died."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from gestalt_sdk.common import ProcessIdentity, cut
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import Record, Transaction
from gestalt_sdk.transport import from_timestamp, to_timestamp
from later_workflow.checks import (
    TEXT_BYTES,
    Conflict,
    Taken,
    bounded,
    checked_signal,
    checked_target,
    derived,
    given_id,
    required,
    scope,
)
from later_workflow.storage import RUNS, SIGNALS, Storage, known, message_of, now, run_record, signal_record

STORES = ("runs", "workflow_keys", "signals", "signal_keys", "claimants")
INTERRUPTED = "workflow provider restarted while run was in progress"
MOST_SIGNALS = 25
MOST_RESULT_BYTES = 1 << 20
AGENT_TIMEOUT_S, AGENT_GRACE_S = 300, 60
PENDING, RUNNING = pb.WORKFLOW_RUN_STATUS_PENDING, pb.WORKFLOW_RUN_STATUS_RUNNING
SUCCEEDED, FAILED, CANCELED = (
    pb.WORKFLOW_RUN_STATUS_SUCCEEDED,
    pb.WORKFLOW_RUN_STATUS_FAILED,
    pb.WORKFLOW_RUN_STATUS_CANCELED,
)
Starting = pb.StartWorkflowProviderRunRequest | pb.SignalOrStartWorkflowProviderRunRequest
ENDS = {SUCCEEDED: "has succeeded", FAILED: "has failed", CANCELED: "has been canceled"}


@dataclass(frozen=True)
class Claim:
    """A run that this process is to invoke, with the signals that go along."""

    id: str
    run: pb.BoundWorkflowRun
    signals: list[pb.WorkflowSignal]


class Claimant:
    """This process as others see it: while its lease lasts and it lives, the runs that name it are its own."""

    def __init__(self) -> None:
        self.id = str(uuid.uuid4())
        self._process = str(ProcessIdentity.of(os.getpid()))

    def record(self, lease: timedelta) -> Record:
        """Return what is kept of it, with a lease from now on."""
        return {"id": self.id, "process": self._process, "lease_until": now() + lease}


# Starting -------------------------------------------------------------------------------------------------------------


async def start_run(storage: Storage, request: pb.StartWorkflowProviderRunRequest) -> pb.BoundWorkflowRun:
    """Create a run, or return the one that the idempotency key has made."""
    target = checked_target(request)
    key = bounded("idempotency_key", request.idempotency_key, TEXT_BYTES)
    workflow_key = bounded("workflow_key", request.workflow_key, TEXT_BYTES)
    owner = scope(target, request.created_by)
    run = _manual_run(target, request, workflow_key)
    if key:
        run.id = f"manual:{derived(*owner, key)[:32]}"

    async def work(transaction: Transaction) -> pb.BoundWorkflowRun:
        runs = transaction.store("runs")
        if key:
            if earlier := await runs.find(run.id):
                return message_of(RUNS, earlier)
            if sent := await transaction.store("signal_keys").find(_signal_key(owner, key)):
                return message_of(RUNS, await runs.get(sent["run_id"]))
        if workflow_key:
            row = _key_row(owner, workflow_key)
            if await _holder(transaction, row):
                raise Conflict(f'workflow key "{workflow_key}" already has an active run')
            transaction.store("workflow_keys").put({"id": row, "run_id": run.id})
        runs.add(run_record(run))
        return run

    started = await storage.change(STORES, work)
    storage.runs_wait.set()
    return started


def _manual_run(target: pb.BoundWorkflowTarget, request: Starting, workflow_key: str) -> pb.BoundWorkflowRun:
    run = pb.BoundWorkflowRun(
        id=str(uuid.uuid4()),
        status=PENDING,
        target=target,
        trigger=pb.WorkflowRunTrigger(manual=pb.WorkflowManualTrigger()),
        created_at=to_timestamp(now()),
        execution_ref=bounded("execution_ref", request.execution_ref, TEXT_BYTES),
        workflow_key=workflow_key,
    )
    if request.created_by.ByteSize():
        run.created_by.CopyFrom(request.created_by)
    return run


def _key_row(owner: list[str], workflow_key: str) -> str:
    return f"workflow_key:{derived(*owner, workflow_key)}"


def _signal_key(owner: list[str], key: str) -> str:
    return f"signal_key:{derived(*owner, key)}"


async def _holder(transaction: Transaction, row: str) -> Record | None:
    """Return the active run that holds a workflow key; one whose process has gone is ended."""
    held = await transaction.store("workflow_keys").find(row)
    record = held and await transaction.store("runs").find(held["run_id"])
    if not record or message_of(RUNS, record).status in ENDS:
        return None
    if await _is_lost(transaction, record):
        await _end(transaction, record, FAILED, INTERRUPTED)
        return None
    return record


async def cancel_run(storage: Storage, request: pb.CancelWorkflowProviderRunRequest) -> pb.BoundWorkflowRun:
    """End a run that has not ended; a later outcome is dropped, since the claim is gone."""
    run_id = given_id("run_id", request.run_id)

    async def work(transaction: Transaction) -> pb.BoundWorkflowRun:
        record = known(RUNS, run_id, await transaction.store("runs").find(run_id))
        _require_active(record, "can be canceled")
        return await _end(transaction, record, CANCELED, request.reason.strip() or "canceled")

    return await storage.change(STORES, work)


def _require_active(record: Record, what: str) -> pb.BoundWorkflowRun:
    run = message_of(RUNS, record)
    if run.status in ENDS:
        raise Conflict(f'workflow run "{run.id}" {ENDS[run.status]}; only pending and running runs {what}')
    return run


async def _end(
    transaction: Transaction, record: Record, status: pb.WorkflowRunStatus, text: str = "", body: str | None = None
) -> pb.BoundWorkflowRun:
    """End a run, with all that ends with it: its claim, its key, and the signals that it has not taken."""
    run = message_of(RUNS, record)
    run.status, run.status_message = status, text
    if body is not None:
        run.result_body = body
    run.completed_at.CopyFrom(to_timestamp(now()))
    transaction.store("runs").put(run_record(run, next_sequence=record["next_sequence"]))
    if run.workflow_key:
        signals = transaction.store("signals")
        for signal in await signals.index("waiting").get_all(run.id):
            signals.put({name: value for name, value in signal.items() if name != "waits_for"})
        row = _key_row(scope(run.target, run.created_by), run.workflow_key)
        held = await transaction.store("workflow_keys").find(row)
        if held and held["run_id"] == run.id:  # by now it may be another run's
            transaction.store("workflow_keys").delete(row)
    return run


# Signals --------------------------------------------------------------------------------------------------------------


async def signal_run(storage: Storage, request: pb.SignalWorkflowProviderRunRequest) -> pb.SignalWorkflowRunResponse:
    """Add a signal to an active run that has a workflow key."""
    run_id = given_id("run_id", request.run_id)
    given = checked_signal(request, to_timestamp(now()))

    async def work(transaction: Transaction) -> pb.SignalWorkflowRunResponse:
        signal = pb.WorkflowSignal()  # a copy for each attempt, which gives it its sequence
        signal.CopyFrom(given)
        record = known(RUNS, run_id, await transaction.store("runs").find(run_id))
        run = _require_active(record, "take signals")
        if not run.workflow_key:
            raise Conflict(f'workflow run "{run_id}" has no workflow key: it takes no signals')
        owner = scope(run.target, signal.created_by)
        return await _sent(transaction, owner, signal) or await _enqueue(
            transaction, record, owner, signal, started_run=False
        )

    delivery = await storage.change(STORES, work)
    storage.runs_wait.set()
    return delivery


async def signal_or_start_run(
    storage: Storage, request: pb.SignalOrStartWorkflowProviderRunRequest
) -> pb.SignalWorkflowRunResponse:
    """Add a signal to the active run of a workflow key, or start one with it."""
    workflow_key = required("workflow_key", request.workflow_key, TEXT_BYTES)
    target = checked_target(request)
    given = checked_signal(request, to_timestamp(now()))

    async def work(transaction: Transaction) -> pb.SignalWorkflowRunResponse:
        signal = pb.WorkflowSignal()
        signal.CopyFrom(given)
        row = _key_row(scope(target, request.created_by), workflow_key)
        record = await _holder(transaction, row)
        owner = scope(target, signal.created_by)
        if sent := await _sent(transaction, owner, signal):
            if (sent.run.status, sent.run.status_message) != (FAILED, INTERRUPTED):
                return sent
            # It was lost with its run: it is sent anew, as another signal.
            signal.id = signal.id if signal.id != sent.signal.id else str(uuid.uuid4())
        started_run = record is None
        if record is None:
            run = _manual_run(target, request, workflow_key)
            transaction.store("workflow_keys").put({"id": row, "run_id": run.id})
            record = run_record(run)
        return await _enqueue(transaction, record, owner, signal, started_run=started_run)

    delivery = await storage.change(STORES, work)
    storage.runs_wait.set()
    return delivery


async def _sent(
    transaction: Transaction, owner: list[str], signal: pb.WorkflowSignal
) -> pb.SignalWorkflowRunResponse | None:
    """Return the answer that the signal's idempotency key had earlier, with the run as it is now."""
    row = signal.idempotency_key and await transaction.store("signal_keys").find(
        _signal_key(owner, signal.idempotency_key)
    )
    if not row:
        return None
    run = await transaction.store("runs").get(row["run_id"])
    return _delivery(message_of(RUNS, run), await transaction.store("signals").get(row["signal_id"]))


async def _enqueue(
    transaction: Transaction, record: Record, owner: list[str], signal: pb.WorkflowSignal, *, started_run: bool
) -> pb.SignalWorkflowRunResponse:
    """Store a signal and its run, whose record is given as it is or as it is to be."""
    run = message_of(RUNS, record)
    signals, key = transaction.store("signals"), signal.idempotency_key
    if not signal.id:
        signal.id = f"workflow_signal:{derived(*owner, run.id, key)}" if key else str(uuid.uuid4())
    stored = await signals.find(signal.id)
    if stored and stored["run_id"] != run.id:
        raise Conflict(f'workflow signal "{signal.id}" belongs to a different run')
    if stored and signal.sequence in (0, stored["sequence"]):
        return _delivery(run, stored)
    next_sequence = record["next_sequence"]
    signal.sequence = signal.sequence or next_sequence
    if stored or await signals.index("sequence").count(run.id, signal.sequence):
        raise Taken(f'workflow signal "{signal.id}" already exists')
    made = signal_record(signal, run.id, started_run=started_run)
    signals.add(made)
    if key:
        transaction.store("signal_keys").put({"id": _signal_key(owner, key), "signal_id": signal.id, "run_id": run.id})
    transaction.store("runs").put({**record, "next_sequence": max(next_sequence, signal.sequence + 1)})
    return _delivery(run, made)


def _delivery(run: pb.BoundWorkflowRun, signal: Record) -> pb.SignalWorkflowRunResponse:
    return pb.SignalWorkflowRunResponse(
        run=run,
        signal=message_of(SIGNALS, signal),
        started_run=signal["started_run"],
        workflow_key=run.workflow_key,
    )


# Claims ---------------------------------------------------------------------------------------------------------------


async def claim(storage: Storage, claimant: Claimant, lease: timedelta, count: int) -> list[Claim]:
    """Take up to ``count`` of the runs that wait, for this process alone."""
    waiting = await storage.first("runs", "queue", count)

    async def work(transaction: Transaction) -> list[Claim]:
        claims = []
        transaction.store("claimants").put(claimant.record(lease))
        for id in (record["id"] for record in waiting):
            record = await transaction.store("runs").find(id)
            if record is None or "rank_at" not in record:
                continue  # another process was faster, or it was canceled
            run = message_of(RUNS, record)
            run.status, run.status_message = RUNNING, ""
            run.ClearField("completed_at")
            run.started_at.CopyFrom(to_timestamp(now()))
            claim_id = str(uuid.uuid4())
            made = run_record(run, next_sequence=record["next_sequence"], claimant=claimant.id, claim=claim_id)
            transaction.store("runs").put(made)
            batch = await transaction.store("signals").index("waiting").get_all(id) if run.workflow_key else []
            claims.append(Claim(claim_id, run, [message_of(SIGNALS, signal) for signal in batch[:MOST_SIGNALS]]))
        return claims

    return await storage.change(STORES, work) if waiting else []


async def complete(storage: Storage, claimed: Claim, status: int, body: str, error: str) -> None:
    """Record how an invocation went, unless the run was canceled or given up meanwhile.

    Repeating it changes nothing, also when the run is being invoked anew by then, for signals that came later.

    Args:
        error: Why there is no answer; blank when there is one.
    """

    async def work(transaction: Transaction) -> None:
        record = await transaction.store("runs").find(claimed.run.id)
        if record is None or record.get("claim") != claimed.id:
            return
        result, note = cut(body, MOST_RESULT_BYTES), ""
        if result != body:
            note = f"result_body has the first {len(result.encode())} of {len(body.encode())} bytes"
        if error:
            await _end(transaction, record, FAILED, error, "")
        elif status >= 400:
            text = f"workflow operation returned status {status}"
            await _end(transaction, record, FAILED, f"{text}; {note}" if note else text, result)
        else:
            signals = transaction.store("signals")
            for signal in claimed.signals:
                taken = await signals.get(signal.id)
                signals.put({name: value for name, value in taken.items() if name != "waits_for"})
            if not claimed.run.workflow_key or not await signals.index("waiting").count(claimed.run.id):
                await _end(transaction, record, SUCCEEDED, note, result)
                return
            run = message_of(RUNS, record)
            run.status, run.status_message, run.result_body = PENDING, note, result
            transaction.store("runs").put(run_record(run, next_sequence=record["next_sequence"]))

    await storage.change(STORES, work)


async def put_back(storage: Storage, claimant: Claimant, run_id: str) -> None:
    """Let a run wait again that was claimed without this process knowing it: the answer to the claim was lost."""

    async def work(transaction: Transaction) -> None:
        record = await transaction.store("runs").find(run_id)
        if record and record.get("claimant") == claimant.id:
            run = message_of(RUNS, record)
            run.status = PENDING
            transaction.store("runs").put(run_record(run, next_sequence=record["next_sequence"]))

    await storage.change(STORES, work)


async def renew(storage: Storage, claimant: Claimant, lease: timedelta) -> set[str]:
    """Renew the lease; return the runs that still name this process."""

    async def work(transaction: Transaction) -> set[str]:
        transaction.store("claimants").put(claimant.record(lease))
        return set(await transaction.store("runs").index("held").get_all_keys(claimant.id))

    return await storage.change(("runs", "claimants"), work)


async def recover(storage: Storage, claimant: Claimant) -> None:
    """End the runs whose claim is lost; nobody invokes them again, since what they did is not known."""
    for record in await storage.first("runs", "held", 1000):
        await storage.change(STORES, partial(_end_if_lost, run_id=record["id"], claimant=claimant))

    async def forget(transaction: Transaction) -> None:
        claimants = transaction.store("claimants")
        for row in await claimants.get_all():
            held = await transaction.store("runs").index("held").count(row["id"])
            if row["id"] != claimant.id and row["lease_until"] < now() and not held:
                claimants.delete(row["id"])

    await storage.change(("runs", "claimants"), forget)


async def _end_if_lost(transaction: Transaction, run_id: str, claimant: Claimant) -> None:
    record = await transaction.store("runs").find(run_id)
    if record and "claimant" in record and await _is_lost(transaction, record, claimant.id):
        await _end(transaction, record, FAILED, INTERRUPTED)


async def _is_lost(transaction: Transaction, record: Record, own: str = "") -> bool:
    """Return whether nobody is invoking the run any more, or an agent has had all its time."""
    if "claimant" not in record:
        return False
    run = message_of(RUNS, record)
    if run.target.HasField("agent") and _agent_ends(run) < now():
        return True
    row = await transaction.store("claimants").find(record["claimant"])
    if row is None:
        return True
    process = ProcessIdentity.parse(row["process"])
    return row["id"] != own and bool(row["lease_until"] < now() or (process and process.has_ended()))


def _agent_ends(run: pb.BoundWorkflowRun) -> datetime:
    patience = (run.target.agent.timeout_seconds or AGENT_TIMEOUT_S) + AGENT_GRACE_S
    return from_timestamp(run.started_at) + timedelta(seconds=patience)
