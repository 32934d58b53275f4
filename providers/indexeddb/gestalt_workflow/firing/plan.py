"""Decide what a due schedule does: which of its slots make runs, which do not and why, and where it stands afterwards.

Pure. The scheduler reads what an overlap policy needs to know, and writes the result in one commit that names what it
relied on. Order of the decisions: which slots are due, which of them the catch-up policy keeps, which of those the
overlap policy lets fire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gestalt_sdk.timing.cron import parse_cron
from gestalt_workflow.claims import transitions
from gestalt_workflow.firing.ledger import missed, unfired, with_ranges
from gestalt_workflow.firing.slots import last_slots, next_slot, previous_slot
from gestalt_workflow.model import ids
from gestalt_workflow.model.clock import MICROSECOND
from gestalt_workflow.model.objects import Run, Schedule, SlotRange, SlotState
from gestalt_workflow.model.policies import CatchUpMode, Overlap, slot_delay
from gestalt_workflow.stored.records import RUNS, SCHEDULES, run_to_record, schedule_to_record
from gestalt_workflow.stored.storage import Condition, Write, at_revision
from gestalt_workflow.wire.payloads import schedule_trigger

RUNS_AT_ONCE = 100
"""Of one schedule in one commit; the rest of a long catch-up follows in the next."""
SUPERSEDED = "canceled: the next slot of its schedule is due"


@dataclass(frozen=True, slots=True)
class Firing:
    """One move of a schedule.

    Attributes:
        schedule: As it was read.
        following: As it is to be.
        runs: New ones, in the order of their slots.
        canceled: Runs that make way.
        unfired: Slots that came and make no run.
        writes: Everything to write, the schedule last.
        relies: It relies on records other than the schedule, so that it may be refused although that is unchanged.
    """

    schedule: Schedule
    following: Schedule
    runs: Sequence[Run] = ()
    canceled: Sequence[Run] = ()
    writes: Sequence[Write] = ()
    relies: bool = False
    unfired: Sequence[SlotRange] = ()


def with_due_time(schedule: Schedule) -> Schedule:
    """Return the schedule with the moment to look at it next; call it after every change of its timing."""
    return replace(schedule, due_at=_due_at(schedule))


def fires_at(schedule: Schedule, slot: datetime) -> datetime:
    """Return when the schedule fires that slot: later by its jitter."""
    return slot + _delay(schedule, slot)


def resumed(schedule: Schedule, from_moment: datetime, now: datetime) -> tuple[Schedule, list[SlotRange]]:
    """Return the schedule as it fires again from that moment on, and the ranges that it missed while it was paused."""
    before = from_moment - MICROSECOND
    ranges = missed(schedule, min(before, now))
    slot = following_slot(schedule, before)
    following = replace(schedule, paused=False, pause=None, ended_pause=None, updated_at=now, next_run_at=slot)
    return with_due_time(following), ranges


def following_slot(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first slot of the schedule after that moment, passing over those that have fired early."""
    cron = parse_cron(schedule.cron, stored=True)
    slot = next_slot(cron, schedule.timezone, after)
    while slot is not None and (last := schedule.fired_early(slot)) is not None:
        slot = next_slot(cron, schedule.timezone, last)
    return slot


def last_due(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the last slot whose moment, later by its jitter, has come; None when there is none."""
    cron = parse_cron(schedule.cron, stored=True)
    latest = previous_slot(cron, schedule.timezone, now)
    while latest is not None and fires_at(schedule, latest) > now:
        latest = previous_slot(cron, schedule.timezone, latest - MICROSECOND)
    return latest


def plan_firing(schedule: Schedule, recent: Mapping[str, Run], now: datetime) -> Firing:
    """Return what the schedule does now.

    Args:
        schedule: One that is due.
        recent: Its last runs by id, as far as they exist; needed with an overlap policy only.

    Raises:
        CronInvalid, ZoneInvalid: written by something that accepts more than we do.
    """
    unchanged = at_revision(schedule.revision, store=SCHEDULES, id=schedule.id)
    if schedule.paused:
        assert schedule.pause is not None
        assert schedule.pause.until is not None
        # Slots before the one that was noted when it was paused were decided then.
        since = max(schedule.pause.until, schedule.next_run_at or schedule.pause.until)
        following, ranges = resumed(schedule, since, now)
        following = replace(following, ended_pause=schedule.pause, revision=schedule.revision + 1)
        following, writes = with_ranges(following, ranges, [unchanged])
        return written(Firing(schedule, following, writes=writes), [])
    assert schedule.next_run_at is not None
    decision = _decide(schedule, recent, now)
    relied = [Condition.equals("status", int(run.status), store=RUNS, id=run.id) for run in decision.active]
    following = replace(
        schedule,
        next_run_at=decision.next_slot,
        updated_at=now,
        revision=schedule.revision + 1,
        recent=_still_recent(schedule, decision),
        early=tuple((begin, end) for begin, end in schedule.early if end >= schedule.next_run_at),
    )
    following, noted = with_ranges(following, decision.ranges, [unchanged, *relied], fired=bool(decision.runs))
    writes = [
        Write(RUNS, "put", run_to_record(run), conditions=[at_revision(run.revision - 1), unchanged])
        for run in decision.canceled
    ]
    writes += [Write(RUNS, "add", run_to_record(run), conditions=[unchanged, *relied]) for run in decision.runs]
    freed = [write for run in decision.canceled for write in transitions.freeing_writes(recent[run.id], run)]
    firing = Firing(
        schedule,
        with_due_time(following),
        decision.runs,
        decision.canceled,
        [*writes, *freed, *noted],
        bool(relied),
        decision.ranges,
    )
    return written(firing, relied)


def written(firing: Firing, relied: Sequence[Condition]) -> Firing:
    """Return the move with the write of the schedule behind the others."""
    own = [at_revision(firing.schedule.revision), *relied]
    move = Write(SCHEDULES, "put", schedule_to_record(firing.following), conditions=own)
    return replace(firing, writes=[*firing.writes, move])


@dataclass(slots=True)
class _Decision:
    """What becomes of the slots that are due."""

    next_slot: datetime | None
    active: list[Run] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    canceled: list[Run] = field(default_factory=list)
    ranges: list[SlotRange] = field(default_factory=list)


def _decide(schedule: Schedule, recent: Mapping[str, Run], now: datetime) -> _Decision:
    cron, zone, catchup = parse_cron(schedule.cron, stored=True), schedule.timezone, schedule.policy.catchup
    first = schedule.next_run_at
    assert first is not None
    latest = max(first, last_due(schedule, now) or first)
    decision = _Decision(following_slot(schedule, latest))
    oldest = first
    if catchup.reach is not None:
        # A slot of a schedule with jitter is late only from the moment at which it should have fired.
        oldest = max(first, now - catchup.reach - _delay(schedule, latest))
    chosen = last_slots(cron, zone, oldest, latest, catchup.cap) if catchup.mode is CatchUpMode.ALL else []
    if not chosen and latest >= oldest:
        chosen = [latest]
    if catchup.mode is not CatchUpMode.ALL and chosen and schedule.fired_early(latest):
        decision.ranges += unfired(schedule, first, oldest - MICROSECOND, SlotState.CATCH_UP, now)
        collapsed = unfired(schedule, oldest, latest, SlotState.COLLAPSED, now)
        decision.ranges += [replace(slots, into=latest) for slots in collapsed]
        return decision
    chosen = [slot for slot in chosen if not schedule.fired_early(slot)]
    if len(chosen) > RUNS_AT_ONCE and schedule.policy.overlap is Overlap.ALLOW:
        decision.next_slot = chosen[RUNS_AT_ONCE]
        del chosen[RUNS_AT_ONCE:]
    if not chosen:
        decision.ranges += unfired(schedule, first, latest, SlotState.CATCH_UP, now)
        return decision
    collapses = catchup.mode is not CatchUpMode.ALL
    dropped_until = min(oldest, chosen[0]) if collapses else chosen[0]
    decision.ranges += unfired(schedule, first, dropped_until - MICROSECOND, SlotState.CATCH_UP, now)
    collapsed = unfired(schedule, dropped_until, chosen[0] - MICROSECOND, SlotState.COLLAPSED, now) if collapses else []
    _overlap(schedule, chosen, collapsed, recent, now, decision)
    return decision


def _overlap(
    schedule: Schedule,
    chosen: Sequence[datetime],
    collapsed: Sequence[SlotRange],
    recent: Mapping[str, Run],
    now: datetime,
    decision: _Decision,
) -> None:
    """Let those of the chosen slots fire that the overlap policy lets; note what becomes of the others."""
    overlap = schedule.policy.overlap
    if overlap is not Overlap.ALLOW:
        runs = (recent[run_id] for run_id in schedule.recent if run_id in recent)
        decision.active = [run for run in runs if not run.status.terminal]
    active = decision.active
    blocking = active[0].id if active else ids.scheduled_run(schedule.id, chosen[0])
    firing, skipped = list(chosen), list(chosen[:0])
    if overlap is Overlap.CANCEL_PREVIOUS:
        decision.canceled = [transitions.canceled(run, SUPERSEDED, now) for run in active]
        decision.active = list(decision.canceled)
        firing = [chosen[-1]]
        earlier = unfired(schedule, chosen[0], chosen[-1] - MICROSECOND, SlotState.COLLAPSED, now)
        collapsed = [*collapsed, *earlier]
    elif overlap is Overlap.SKIP:
        firing, skipped = ([], list(chosen)) if active else ([chosen[0]], list(chosen[1:]))
    elif overlap is Overlap.QUEUE_ONE:
        free = 0 if any(run.blocked_by for run in active) else 1 if active else 2
        firing, skipped = list(chosen[:free]), list(chosen[free:])
    if firing:
        decision.ranges += [replace(slots, into=firing[0]) for slots in collapsed]
    else:  # ranges that would collapse into a slot that does not fire are skipped like that slot
        decision.ranges += [replace(slots, state=SlotState.OVERLAP, run_id=blocking) for slots in collapsed]
    before = active[-1].id if active and overlap is Overlap.QUEUE_ONE else ""
    for slot in firing:
        run = _run(schedule, slot, now)
        if before:
            run = replace(run, rank_at=None, blocked_by=before)
        decision.runs.append(run)
        before = run.id if overlap is Overlap.QUEUE_ONE else ""
    if skipped:
        skips = unfired(schedule, skipped[0], skipped[-1], SlotState.OVERLAP, now)
        decision.ranges += [replace(slots, run_id=blocking) for slots in skips]


def _run(schedule: Schedule, slot: datetime, now: datetime) -> Run:
    return transitions.new_run(
        ids.scheduled_run(schedule.id, slot),
        schedule.target,
        schedule_trigger(schedule.id, slot),
        now,
        created_by=schedule.created_by,
        execution_ref=schedule.execution_ref,
        policy=schedule.policy.run,
    )


def _still_recent(schedule: Schedule, decision: _Decision) -> tuple[str, ...]:
    """Return the ids of the runs that may be in the way of the next slot."""
    active = [run.id for run in decision.active if not run.status.terminal]
    new = [run.id for run in decision.runs]
    return tuple([*active, *new][-2:]) or schedule.recent


def _due_at(schedule: Schedule) -> datetime | None:
    if schedule.paused:
        return schedule.pause.until if schedule.pause is not None else None
    if schedule.next_run_at is None:
        return None
    return fires_at(schedule, schedule.next_run_at)


def _delay(schedule: Schedule, slot: datetime) -> timedelta:
    jitter = schedule.policy.jitter
    if not jitter:
        return timedelta()
    following = next_slot(parse_cron(schedule.cron, stored=True), schedule.timezone, slot)
    return slot_delay(schedule.id, slot, jitter, following)
