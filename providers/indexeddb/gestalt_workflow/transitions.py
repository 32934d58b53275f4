"""How a run moves from state to state: pure functions, and the store entries that every end of a run has in common.

pending -> running -> succeeded | failed | canceled, and back to pending for a keyed run with more signals
(semantics.md 5.1). Each function gives the next record, one revision on; writing it is the caller's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from gestalt_workflow.model import InvocationFailed, Outcome, Run, RunStatus, RunTrigger, Target, TriggerKind
from gestalt_workflow.records import RUN_KEYS, RUNS
from gestalt_workflow.storage import Condition, Entry

INTERRUPTED = "workflow provider restarted while run was in progress"
DEFAULT_CANCEL_REASON = "canceled"
AGEING = timedelta(seconds=10)
"""A run of priority n waits as long as one of priority 0 that came n times this later: none starves."""

_KEYED, _PLUGIN, _EVENT_AGENT, _AGENT = 10, 20, 30, 40


def priority(target: Target, trigger: TriggerKind, *, keyed: bool) -> int:
    """Dispatch priority, lower first (semantics.md 18.2)."""
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
    """Place in the queue of a run that waits since then."""
    try:
        return since + AGEING * priority(target, trigger.kind, keyed=keyed)
    except OverflowError:
        return datetime.max.replace(tzinfo=since.tzinfo)


def claimed(run: Run, owner: str, now: datetime, lease: datetime, batch: tuple[str, ...]) -> Run:
    return replace(
        run,
        status=RunStatus.RUNNING,
        owner=owner,
        epoch=run.epoch + 1,
        lease=lease,
        started_at=now,
        completed_at=None,
        status_message="",
        rank_at=None,
        batch=batch,
        revision=run.revision + 1,
    )


def unclaimed(run: Run, now: datetime) -> Run:
    """Back in the queue: its claim never led to an invocation."""
    return replace(
        _without_claim(run),
        status=RunStatus.PENDING,
        started_at=None,
        rank_at=rank(run.target, run.trigger, keyed=run.keyed, since=now),
    )


def completed(run: Run, outcome: Outcome, now: datetime) -> Run:
    """After an invocation: semantics.md 18.5."""
    if isinstance(outcome, InvocationFailed):
        return _ended(run, RunStatus.FAILED, now, outcome.message)
    if not outcome.succeeded:
        message = f"workflow operation returned status {outcome.status}"
        return replace(_ended(run, RunStatus.FAILED, now, message), result_body=outcome.body)
    waiting = run.waiting - len(run.batch)
    if waiting > 0:
        return replace(
            _without_claim(run),
            status=RunStatus.PENDING,
            completed_at=None,
            status_message="",
            result_body=outcome.body,
            waiting=waiting,
            rank_at=rank(run.target, run.trigger, keyed=run.keyed, since=now),
        )
    return replace(_ended(run, RunStatus.SUCCEEDED, now, ""), result_body=outcome.body, waiting=0)


def interrupted(run: Run, now: datetime) -> Run:
    """Its process has gone, nobody knows how far it came: it is never executed again."""
    return replace(_ended(run, RunStatus.FAILED, now, INTERRUPTED), stale=True)


def canceled(run: Run, reason: str, now: datetime) -> Run:
    return _ended(run, RunStatus.CANCELED, now, reason.strip() or DEFAULT_CANCEL_REASON)


def key_release(run: Run) -> list[Entry]:
    """Gives up the workflow key of a run that has ended. Put it behind the entry that writes the run.

    The row is deleted only while it names this run, and only when the run has in fact ended.
    """
    if not run.key_row or not run.status.terminal:
        return []
    conditions = [
        Condition.equals("run_id", run.id),
        Condition.equals("status", int(run.status), store=RUNS, id=run.id),
    ]
    return [Entry(RUN_KEYS, "delete", id=run.key_row, conditions=conditions)]


def _ended(run: Run, status: RunStatus, now: datetime, message: str) -> Run:
    return replace(_without_claim(run), status=status, completed_at=now, status_message=message)


def _without_claim(run: Run) -> Run:
    return replace(run, owner="", lease=None, rank_at=None, batch=(), revision=run.revision + 1)
