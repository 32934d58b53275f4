"""The judge: what must hold after any number of kills. Pure, so that it can itself be held against planted wrongs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeAlias

from gestalt_workflow.claims.transitions import INTERRUPTED
from gestalt_workflow.model.objects import Run, RunStatus, TriggerKind
from gestalt_workflow.model.policies import RetryOn

from gestalt_sdk.gen.extension.v1.slots_pb2 import (
    SLOT_STATE_COLLAPSED,
    SLOT_STATE_DUE,
    SLOT_STATE_FIRED,
)
from gestalt_sdk.gen.v1 import workflow_pb2
from tests.process.engine.evidence import Evidence, SlotSeen
from tests.process.engine.journal import Invocation

Violation: TypeAlias = tuple[str, str]
"""The rule, and what broke it."""

MINUTE = timedelta(minutes=1)
BUGS = ("loop.failed", "run.crashed", "storage.batch_failed", "record.undecodable", "run.body_lost")
"""Log events that say that an engine met something it did not expect."""


def violations(evidence: Evidence) -> list[Violation]:
    """Everything that is wrong."""
    by_run: dict[str, list[Invocation]] = defaultdict(list)
    for invocation in evidence.journal:
        by_run[invocation.run_id].append(invocation)
    return [
        *_acknowledged(evidence),
        *_invoked(evidence, by_run),
        *_ended(evidence, by_run),
        *_keys(evidence),
        *_signals(evidence, by_run),
        *_events(evidence),
        *_slots(evidence),
        *(("no engine meets a bug", name) for name in BUGS if f'"{name}"' in evidence.log),
    ]


def _acknowledged(evidence: Evidence) -> Iterator[Violation]:
    rule = "nothing acknowledged is lost"
    told, runs = evidence.told, evidence.runs
    for key, ids in told.runs.items():
        if key and len(ids) > 1:
            yield "an idempotency key gives one run", f"{key}: {sorted(ids)}"
        for id in ids - runs.keys():
            yield rule, f"run {id}"
    for id, answered in told.cancellations.items():
        if answered and (id not in runs or runs[id].status is not RunStatus.CANCELED):
            yield rule, f"the cancellation of {id}"
    for name, wanted in told.objects.items():
        if evidence.objects.get(name) != wanted:
            yield rule, f"{name} is {evidence.objects.get(name)}, acknowledged was {wanted}"
    for id, seen in told.ended.items():
        if runs.get(id) != seen:
            yield "a run that has ended stays as it is", f"{id} was {seen.status.name}, is now {runs.get(id)}"
    for run_id, id, sequence in told.signals:
        stored = [(signal.id, signal.sequence) for signal in evidence.signals.get(run_id, [])]
        if (id, sequence) not in stored:
            yield rule, f"signal {id} of {run_id}"


def _invoked(evidence: Evidence, by_run: dict[str, list[Invocation]]) -> Iterator[Violation]:
    twice = "no run is invoked twice"
    for run_id, invocations in by_run.items():
        run = evidence.runs.get(run_id)
        if run is None:
            yield "nothing is invoked that is not stored", run_id
            continue
        for earlier, later in pairwise(invocations):
            if earlier.ended is None or earlier.ended > later.began:
                yield "leases are exclusive", f"{run_id}: {earlier.number} goes on while {later.number} begins"
            if run.keyed:
                if not later.signals:
                    yield twice, f"{run_id}: {later.number} again without signals"
                if earlier.status != 200:
                    yield twice, f"{run_id}: {later.number} after {earlier.number}, which did not succeed"
            elif not _may_follow(run, earlier, later):
                yield twice, f"{run_id}: {later.number} after {earlier.number}"


def _may_follow(run: Run, earlier: Invocation, later: Invocation) -> bool:
    """Whether the retry policy asks for it."""
    retry = run.policy.retry
    if retry is None or later.attempt > retry.max_attempts or later.attempt <= earlier.attempt:
        return False
    if RetryOn.INTERRUPTED in retry.retry_on:
        return True
    return RetryOn.SERVER_ERROR in retry.retry_on and earlier.status is not None and earlier.status >= 500


def _ended(evidence: Evidence, by_run: dict[str, list[Invocation]]) -> Iterator[Violation]:
    answers = "an outcome is what the host answered"
    for run in evidence.runs.values():
        last = by_run[run.id][-1] if run.id in by_run else None
        if not run.status.terminal:
            yield "every run ends", f"{run.id} is {run.status.name}"
        elif run.status is RunStatus.CANCELED:
            if (
                run.id not in evidence.told.cancellations
                and run.trigger.schedule_id not in evidence.expected.superseding
            ):
                yield "only what somebody cancels is canceled", run.id
        elif run.status_message.startswith(INTERRUPTED):
            yield from _interrupted(evidence, run)
        elif last is None or last.status is None:
            yield answers, f"{run.id} is {run.status.name} without an answer"
        elif (run.status is RunStatus.SUCCEEDED, run.result_body) != (last.status == 200, last.body):
            yield answers, f"{run.id}: {run.status.name} {run.result_body!r} after {last.status} {last.body!r}"


def _interrupted(evidence: Evidence, run: Run) -> Iterator[Violation]:
    deaths = evidence.expected.deaths
    if deaths is None:
        return
    assert run.started_at is not None
    assert run.completed_at is not None
    if not any(run.started_at <= death <= run.completed_at for death in deaths):
        yield "only a death interrupts a run", f"{run.id}, claimed at {run.started_at}, given up at {run.completed_at}"


def _keys(evidence: Evidence) -> Iterator[Violation]:
    rule = "a workflow key has one run at a time"
    holders: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs.values():
        if run.key_row:
            holders[run.key_row].append(run)
    for runs in holders.values():
        runs.sort(key=lambda run: run.created_at)
        for earlier, later in pairwise(runs):
            if earlier.completed_at is None or earlier.completed_at > later.created_at:
                yield rule, f"{later.id} was started before {earlier.id} had ended"
    for run_id in evidence.key_rows:
        if run_id not in evidence.runs or evidence.runs[run_id].status.terminal:
            yield "a run that has ended gives up its key", run_id


def _signals(evidence: Evidence, by_run: dict[str, list[Invocation]]) -> Iterator[Violation]:
    for key, made in evidence.told.signal_keys.items():
        lasting = {id for run_id, id in made if run_id in evidence.runs and not evidence.runs[run_id].stale}
        if len(lasting) > 1:
            yield "an idempotency key gives one signal", f"{key}: {sorted(lasting)}"
    for run_id in evidence.signals.keys() - evidence.runs.keys():
        yield "every signal has its run", run_id
    for run in evidence.runs.values():
        stored = sorted(evidence.signals.get(run.id, []), key=lambda signal: signal.sequence)
        sequences = [signal.sequence for signal in stored]
        if sequences != list(range(1, len(stored) + 1)) or (run.keyed and run.next_sequence != len(stored) + 1):
            yield "sequences have no gap", f"{run.id}: {sequences}, next {run.next_sequence}"
        delivered = [signal for invocation in by_run.get(run.id, []) for signal in invocation.signals]
        if delivered != [(signal.id, signal.sequence) for signal in stored[: len(delivered)]]:
            yield "each signal is delivered once, in its order", f"{run.id}: {delivered}"
        if run.status is RunStatus.SUCCEEDED and len(delivered) < len(stored):
            yield "a signal is delivered, or its run says that it was not", f"{run.id}: {len(delivered)}, {sequences}"
        marked = [signal.sequence for signal in stored if signal.delivered_at is not None]
        if marked != sequences[: len(marked)] or len(marked) > len(delivered):
            yield "only what was delivered says so", f"{run.id}: {marked} of {len(delivered)}"


def _events(evidence: Evidence) -> Iterator[Violation]:
    made: dict[str, list[str]] = defaultdict(list)
    for run in evidence.runs.values():
        if run.trigger.kind is TriggerKind.EVENT:
            event = workflow_pb2.WorkflowRunTrigger.FromString(run.trigger.data).event
            if event.event.id not in evidence.told.events:
                yield "only a publish makes a run of an event", f"{run.id} of {event.event.id}"
            made[event.event.id].append(event.trigger_id)
    for event_id, (type, answered) in evidence.told.events.items():
        wanted = sorted(id for id, matched in evidence.expected.triggers.items() if matched == type)
        found = sorted(id for id in made[event_id] if id in evidence.expected.triggers)
        if found != wanted and (answered or found):
            rule = "a publish makes one run for each match, or none at all"
            yield rule, f"{event_id} of type {type}: {found}, acknowledged: {answered}"


def _slots(evidence: Evidence) -> Iterator[Violation]:
    for schedule_id, each_fires in evidence.expected.schedules.items():
        fired: dict[datetime | None, str] = {}
        for run in evidence.runs.values():
            if run.trigger.schedule_id == schedule_id:
                if run.trigger.slot in fired:
                    yield "a slot fires once", f"{run.id} and {fired[run.trigger.slot]}"
                fired[run.trigger.slot] = run.id
        seen = evidence.slots.get(schedule_id, [])
        for slot in seen:
            yield from _slot(evidence, schedule_id, slot, fired, each_fires=each_fires)
        for earlier, later in pairwise(seen):
            if later.first != earlier.last + MINUTE:
                gap = f"{schedule_id}: nothing, or too much, between {earlier.last} and {later.first}"
                yield "every slot has one outcome", gap
        since, until = evidence.expected.since, evidence.expected.until
        if since is not None and seen and seen[0].first > since + MINUTE:
            yield "every slot has one outcome", f"{schedule_id}: none before {seen[0].first}"
        if until is not None and (not seen or seen[-1].last < until - MINUTE):
            yield (
                "every slot has one outcome",
                f"{schedule_id}: none after {seen[-1].last if seen else 'the beginning'}",
            )
        shown = {slot.run_id for slot in seen if slot.state == SLOT_STATE_FIRED}
        for run_id in set(fired.values()) - shown:
            yield "a slot fires once", f"{run_id} is not in the ledger"


def _slot(
    evidence: Evidence, schedule_id: str, slot: SlotSeen, fired: dict[datetime | None, str], *, each_fires: bool
) -> Iterator[Violation]:
    where = f"{schedule_id}: {slot}"
    if slot.count != (slot.last - slot.first) // MINUTE + 1:
        yield "every slot has one outcome", f"wrong count: {where}"
    if slot.state == SLOT_STATE_FIRED:
        if fired.get(slot.first) != slot.run_id:
            yield "a slot fires once", f"{where}, its run is {fired.get(slot.first)}"
    elif any(slot.first <= moment <= slot.last for moment in fired if moment is not None):
        yield "a slot fires once", f"{where} though it has a run"
    elif slot.state == SLOT_STATE_COLLAPSED and not (slot.into in fired and slot.into and slot.into > slot.last):
        yield "every slot has one outcome", f"collapsed into nothing: {where}"
    if slot.state == SLOT_STATE_DUE and evidence.expected.until and slot.first <= evidence.expected.until:
        yield "every slot has one outcome", f"due for ever: {where}"
    if each_fires and slot.state not in (SLOT_STATE_FIRED, SLOT_STATE_DUE):
        yield "a policy that wants every slot gets it", where
