"""Compute how a run moves from state to state: pure functions, and the writes that every end of a run has in common.

pending -> running -> succeeded | failed | canceled, and back to pending for a keyed run with more signals, or until the
next attempt. Each function returns the next record, one revision on; writing it is the caller's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from gestalt_workflow.model import timeline
from gestalt_workflow.model.objects import (
    NOBODY,
    Actor,
    Cause,
    InvocationFailed,
    Outcome,
    Run,
    RunStatus,
    RunTrigger,
    Target,
    TriggerKind,
)
from gestalt_workflow.model.policies import PLAIN_RUN, RetryOn, RunPolicy
from gestalt_workflow.stored.records import PERMITS, RUN_KEYS, RUNS
from gestalt_workflow.stored.storage import Condition, Write

INTERRUPTED = "workflow provider restarted while run was in progress"
DEFAULT_CANCEL_REASON = "canceled"
AGEING = timedelta(seconds=10)
"""How much waiting outweighs one step of priority, so that no run starves: a run of priority n is claimed like one of
priority 0 that came n times this later."""

REFUSALS = frozenset(
    {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "FAILED_PRECONDITION",
        "UNIMPLEMENTED",
    }
)
"""Status codes of calls that are never retried."""

DENIED = "PERMISSION_DENIED"

_KEYED, _PLUGIN, _EVENT_AGENT, _AGENT = 10, 20, 30, 40


def priority(target: Target, trigger: TriggerKind, *, keyed: bool) -> int:
    """Return the dispatch priority of a run, lower first.

    It is 0 for a plugin that an event started, else what the target asks for, else 10 for a keyed run, 20 for a plugin,
    30 for an agent that an event started and 40 for another agent.
    """
    if trigger is TriggerKind.EVENT and not target.is_agent:
        return 0
    if target.priority:
        return target.priority
    if keyed:
        return _KEYED
    if not target.is_agent:
        return _PLUGIN
    return _EVENT_AGENT if trigger is TriggerKind.EVENT else _AGENT


def rank(target: Target, trigger: RunTrigger, *, keyed: bool, since: datetime) -> datetime:
    """Return the rank of a run that is in the queue since that moment: it is claimed in the order of the ranks."""
    try:
        return since + AGEING * priority(target, trigger.kind, keyed=keyed)
    except OverflowError:
        return datetime.max.replace(tzinfo=since.tzinfo)


def queued_since(run: Run) -> datetime:
    """Return since when the run is in the queue; it must be there."""
    assert run.rank_at is not None
    try:
        return run.rank_at - AGEING * priority(run.target, run.trigger.kind, keyed=run.keyed)
    except OverflowError:
        return run.created_at


def new_run(
    run_id: str,
    target: Target,
    trigger: RunTrigger,
    now: datetime,
    *,
    created_by: Actor,
    execution_ref: str,
    published_by: Actor = NOBODY,
    workflow_key: str = "",
    key_row: str = "",
    policy: RunPolicy = PLAIN_RUN,
    cause: Cause | None = None,
) -> Run:
    """Return a pending run that is in the queue since ``now``."""
    return Run(
        id=run_id,
        status=RunStatus.PENDING,
        target=target,
        trigger=trigger,
        created_at=now,
        created_by=created_by,
        published_by=published_by,
        execution_ref=execution_ref,
        workflow_key=workflow_key,
        key_row=key_row,
        rank_at=rank(target, trigger, keyed=bool(workflow_key), since=now),
        policy=policy,
        cause=cause,
    )


def claimed(
    run: Run, claimant: str, now: datetime, lease: datetime, batch: tuple[str, ...], permits: tuple[str, ...] = ()
) -> Run:
    """Return the run as running under a new claim.

    Args:
        lease: Until when the claim holds without a renewal.
        batch: Ids of the signals that the invocation delivers.
        permits: Permits of its target's limits that the claim takes.
    """
    return replace(
        run,
        status=RunStatus.RUNNING,
        claimant=claimant,
        epoch=run.epoch + 1,
        lease=lease,
        started_at=now,
        completed_at=None,
        status_message="",
        rank_at=None,
        batch=batch,
        lane="",
        permits=permits,
        attempt=run.attempt + 1,
        revision=run.revision + 1,
        timeline=timeline.noted(run.timeline, timeline.CLAIMED, now, attempt=run.epoch + 1, detail=claimant),
    )


def unclaimed(run: Run, now: datetime) -> Run:
    """Return the run as it goes back into the queue, because its claim never led to an invocation."""
    return replace(
        _without_claim(run),
        status=RunStatus.PENDING,
        started_at=None,
        attempt=max(run.attempt - 1, 0),
        rank_at=rank(run.target, run.trigger, keyed=run.keyed, since=now),
        timeline=timeline.noted(run.timeline, timeline.RETURNED, now, attempt=run.epoch),
    )


def unblocked(run: Run, now: datetime) -> Run:
    """Return the run as it enters the queue, because what it was held back for has come."""
    return replace(
        run,
        not_before=None,
        blocked_by="",
        rank_at=rank(run.target, run.trigger, keyed=run.keyed, since=now),
        revision=run.revision + 1,
    )


def held_back(run: Run, until: datetime) -> Run:
    """Return the run, which waits for its next attempt, as it waits until another moment."""
    return replace(run, not_before=until, revision=run.revision + 1)


def moved(run: Run, lane: str) -> Run:
    """Return the run as it is set aside in that lane, or back in the queue when ``lane`` is blank; its rank stays."""
    return replace(run, lane=lane, revision=run.revision + 1)


def completed(run: Run, outcome: Outcome, now: datetime) -> Run:
    """Return the run after its invocation: ended, in the queue for more signals, or held back for its next attempt."""
    if isinstance(outcome, InvocationFailed):
        after = _failed(run, outcome.message, _kind(outcome), now)
        return replace(after, denied=outcome.code == DENIED)
    if not outcome.succeeded:
        message = f"workflow operation returned status {outcome.status}"
        return replace(_failed(run, message, _kind(outcome), now), result_body=outcome.body)
    undelivered = run.undelivered - len(run.batch)
    if undelivered > 0:
        return replace(
            _without_claim(run),
            status=RunStatus.PENDING,
            completed_at=None,
            status_message="",
            result_body=outcome.body,
            undelivered=undelivered,
            attempt=0,
            rank_at=rank(run.target, run.trigger, keyed=run.keyed, since=now),
            timeline=timeline.noted(run.timeline, timeline.ENDED, now, attempt=run.epoch, status=RunStatus.PENDING),
        )
    return replace(_ended(run, RunStatus.SUCCEEDED, now, ""), result_body=outcome.body, undelivered=0)


def interrupted(run: Run, now: datetime) -> Run:
    """Return the run after its process has gone: failed, unless its policy retries interrupted attempts.

    Nobody knows how far the invocation came, so it is not repeated on the engine's own account.
    """
    after = _failed(run, INTERRUPTED, RetryOn.INTERRUPTED, now)
    return replace(after, stale=True) if after.status.terminal else after


def canceled(run: Run, reason: str, now: datetime, by: str = "") -> Run:
    """Return the run as canceled; ``by`` is the subject that asked for it, blank when nobody did."""
    message = reason.strip() or DEFAULT_CANCEL_REASON
    ended = replace(_without_claim(run), status=RunStatus.CANCELED, completed_at=now, status_message=message)
    return replace(ended, timeline=timeline.noted(run.timeline, timeline.CANCELED, now, detail=message, subject_id=by))


def freeing_writes(before: Run, after: Run) -> list[Write]:
    """Return the writes that free what the run held: the permits of its claim and, once it has ended, its workflow key.

    Put them behind the write that writes ``after``. A row is deleted only while it names this run, and only when the
    run is in fact what ``after`` says: one that is running keeps both.
    """
    held = [(PERMITS, permit) for permit in before.permits]
    if after.key_row and after.status.terminal:
        held.append((RUN_KEYS, after.key_row))
    conditions = [
        Condition.equals("run_id", after.id),
        Condition.equals("status", int(after.status), store=RUNS, id=after.id),
    ]
    return [Write(store, "delete", id=row, conditions=conditions) for store, row in held]


def _failed(run: Run, message: str, kind: RetryOn | None, now: datetime) -> Run:
    """Return the run as failed for good, or as held back until its next attempt."""
    retry = run.policy.retry
    if retry is None or kind not in retry.retry_on or run.attempt >= retry.max_attempts:
        if retry is not None and run.attempt > 1:
            message = f"{message} (attempt {run.attempt} of {retry.max_attempts})"
        return _ended(run, RunStatus.FAILED, now, message)
    message = f"{message} (attempt {run.attempt} of {retry.max_attempts})"
    return replace(
        _without_claim(run),
        status=RunStatus.PENDING,
        completed_at=None,
        status_message=message,
        not_before=now + retry.delay(run.attempt),
        timeline=timeline.noted(
            run.timeline, timeline.ENDED, now, attempt=run.epoch, status=RunStatus.PENDING, detail=message
        ),
    )


def _kind(outcome: Outcome) -> RetryOn | None:
    """Return which kind of failure that is, None for a refusal: asking again would not help."""
    if isinstance(outcome, InvocationFailed):
        if outcome.timed_out:
            return RetryOn.TIMEOUT
        return None if outcome.code in REFUSALS else RetryOn.CALL_FAILED
    return RetryOn.SERVER_ERROR if outcome.status >= 500 or outcome.status in (408, 429) else RetryOn.CLIENT_ERROR


def _ended(run: Run, status: RunStatus, now: datetime, message: str) -> Run:
    lines = timeline.noted(run.timeline, timeline.ENDED, now, attempt=run.epoch, status=status, detail=message)
    return replace(_without_claim(run), status=status, completed_at=now, status_message=message, timeline=lines)


def _without_claim(run: Run) -> Run:
    return replace(
        run,
        claimant="",
        lease=None,
        rank_at=None,
        not_before=None,
        blocked_by="",
        batch=(),
        lane="",
        permits=(),
        revision=run.revision + 1,
    )
