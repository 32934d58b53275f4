"""Create, change, pause, resume and delete schedules (decision 5).

Firing them is the scheduler's; it is told of every change that was committed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gestalt_sdk.common.sizes import CRON_BYTES, too_long
from gestalt_sdk.timing.cron import no_occurrence, parse_cron
from gestalt_sdk.timing.zones import normalise_zone
from gestalt_workflow.firing.latest_planned import LatestPlanned
from gestalt_workflow.firing.ledger import missed, with_ranges
from gestalt_workflow.firing.plan import following_slot, resumed, with_due_time
from gestalt_workflow.firing.slots import next_slot
from gestalt_workflow.model.clock import MICROSECOND, Clock
from gestalt_workflow.model.errors import InvalidRequest
from gestalt_workflow.model.ids import new_id
from gestalt_workflow.model.objects import CONFIG_SUBJECT, NOBODY, Actor, Schedule, SlotRange, Target
from gestalt_workflow.model.policies import PLAIN, Pause, SchedulePolicy, noted_pause, upserted_pause
from gestalt_workflow.objects.references import References
from gestalt_workflow.objects.stored_object import ANYTHING, Change, DecidedOn, StoredObjects
from gestalt_workflow.stored.records import SCHEDULES, schedule_from_record, schedule_to_record
from gestalt_workflow.stored.storage import Storage, Write, absent, at_revision, first_revision


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """What a schedule is to be.

    Attributes:
        id: Blank for a new one.
        cron, timezone, first_slot: What ``checked_timing`` returned; ``first_slot`` is the next slot at that time.
        retarget: It may take over a schedule whose target is of another plugin.
        retire: Id of the execution reference that this change replaces.
        created_at: Of a schedule that moves here from another provider; does not count when the id exists.
        decided_on: What the request was decided on.
    """

    id: str
    cron: str
    timezone: str
    target: Target
    first_slot: datetime
    paused: bool = False
    requested_by: Actor = NOBODY
    execution_ref: str = ""
    retarget: bool = False
    retire: str = ""
    created_at: datetime | None = None
    policy: SchedulePolicy = PLAIN
    pause: Pause | None = None
    decided_on: DecidedOn = ANYTHING


def checked_timing(cron: str, timezone: str, now: datetime) -> tuple[str, str, datetime]:
    """Return cron, trimmed, the normalised zone name and the next slot after ``now``.

    Raises:
        InvalidRequest: cron missing.
        ZoneInvalid: zone unknown; checked before the cron's form.
        CronInvalid: cron malformed or never firing.
    """
    cron = cron.strip()
    if not cron:
        raise InvalidRequest("cron is required")
    refusal = too_long("cron", cron, CRON_BYTES)
    if refusal:
        raise InvalidRequest(refusal)
    zone = normalise_zone(timezone)
    slot = next_slot(parse_cron(cron), zone, now)
    if slot is None:
        raise no_occurrence(cron)
    return cron, zone, slot


class Schedules(StoredObjects[Schedule]):
    """Every schedule; the scheduler fires them."""

    def __init__(
        self,
        storage: Storage,
        references: References,
        clock: Clock,
        latest: LatestPlanned,
        changed: Callable[[str, Schedule | None], None],
    ) -> None:
        """Make them.

        Args:
            latest: Raised in the commits that plan a schedule.
            changed: Called with the id and the schedule after each commit, None when it was deleted.
        """
        super().__init__("schedule", SCHEDULES, schedule_from_record, storage, references, clock)
        self._latest = latest
        self._changed = changed

    async def upsert(self, wanted: ScheduleRequest) -> Schedule:
        """Create or replace the schedule.

        ``created_at`` and ``created_by`` are kept, except that the configuration takes over what it upserts.
        ``next_run_at`` is kept when cron, zone and paused stay as they are, so that a slot missed during an outage is
        still caught up.

        Raises:
            OwnedByAnother: its target is of another plugin, and the request does not retarget.
            ObjectNotFound, RevisionConflict: it is not what the request was decided on.
        """
        return await self._upsert(wanted, lambda existing, now: self._put(*_merged(wanted, existing, now), existing))

    async def pause(self, schedule_id: str, pause: Pause | None = None, decided_on: DecidedOn = ANYTHING) -> Schedule:
        """Stop firing; ``next_run_at`` stays visible. Pausing a paused schedule succeeds.

        ``pause`` says why and until when; without it what was known of a paused one stays.
        """
        return await self._update(
            schedule_id, "pause", decided_on, lambda s, now: self._put(_paused(s, pause, now), [], s)
        )

    async def resume(self, schedule_id: str, decided_on: DecidedOn = ANYTHING) -> Schedule:
        """Fire again, from now on: what was missed while paused is not caught up."""
        return await self._update(schedule_id, "resume", decided_on, lambda s, now: self._put(*_resumed(s, now), s))

    async def delete(self, schedule_id: str, retire: str = "", decided_on: DecidedOn = ANYTHING) -> None:
        """Delete the schedule and retire the execution reference ``retire``; its runs and its ledger stay."""
        await self._delete(schedule_id, retire, decided_on, self._removal)

    def _put(self, schedule: Schedule, ranges: Sequence[SlotRange], existing: Schedule | None) -> Change[Schedule]:
        """Write the schedule, and what became of slots that will not fire because of the change."""
        if existing is None:
            condition, unchanged = absent(), []
        else:
            condition = at_revision(existing.revision)
            unchanged = [at_revision(existing.revision, store=SCHEDULES, id=schedule.id)]
            schedule = replace(schedule, revision=existing.revision + 1, edit=existing.revision + 1)
        schedule, noted = with_ranges(schedule, ranges, unchanged)
        write = Write(SCHEDULES, "put", schedule_to_record(schedule), conditions=[condition])
        now = schedule.updated_at
        return Change(
            schedule,
            [*noted, write],
            lambda: self._changed(schedule.id, schedule),
            beside=self._latest.raising(now),
            noted=lambda results: self._latest.raised_all(results, now),
        )

    def _removal(self, existing: Schedule, now: datetime) -> Change[Schedule]:
        unchanged = [at_revision(existing.revision)]
        write = Write(SCHEDULES, "delete", id=existing.id, conditions=unchanged, required=True)
        _, noted = with_ranges(existing, missed(existing, now))
        return Change(existing, [*noted, write], lambda: self._changed(existing.id, None))


def _merged(wanted: ScheduleRequest, existing: Schedule | None, now: datetime) -> tuple[Schedule, list[SlotRange]]:
    """Return the schedule as it is to be, and which of its slots will not fire because of that."""
    if existing is None:
        first = first_revision(now)
        schedule = Schedule(
            id=wanted.id or new_id(),
            cron=wanted.cron,
            timezone=wanted.timezone,
            target=wanted.target,
            created_at=wanted.created_at or now,
            updated_at=now,
            paused=wanted.paused,
            next_run_at=wanted.first_slot,
            created_by=wanted.requested_by,
            execution_ref=wanted.execution_ref,
            policy=wanted.policy,
            pause=upserted_pause(wanted.paused, wanted.pause, None, now),
            revision=first,
            edit=first,
        )
        return with_due_time(schedule), []
    unchanged = (existing.cron, existing.timezone, existing.paused) == (wanted.cron, wanted.timezone, wanted.paused)
    unchanged = unchanged and existing.next_run_at is not None
    by_config = wanted.requested_by.subject_id.strip() == CONFIG_SUBJECT
    schedule = replace(
        existing,
        cron=wanted.cron,
        timezone=wanted.timezone,
        target=wanted.target,
        paused=wanted.paused,
        updated_at=now,
        next_run_at=existing.next_run_at,
        early=existing.early if (existing.cron, existing.timezone) == (wanted.cron, wanted.timezone) else (),
        created_by=wanted.requested_by if by_config else existing.created_by,
        execution_ref=wanted.execution_ref,
        policy=wanted.policy,
        pause=upserted_pause(wanted.paused, wanted.pause, existing.pause if existing.paused else None, now),
        ended_pause=None,
    )
    if unchanged:
        return with_due_time(schedule), []
    schedule = replace(schedule, next_run_at=following_slot(schedule, wanted.first_slot - MICROSECOND))
    return with_due_time(schedule), missed(existing, now)


def _paused(schedule: Schedule, pause: Pause | None, now: datetime) -> Schedule:
    known = schedule.pause if schedule.paused else None
    following = replace(schedule, paused=True, updated_at=now, pause=noted_pause(pause, known, now), ended_pause=None)
    return with_due_time(following)


def _resumed(schedule: Schedule, now: datetime) -> tuple[Schedule, list[SlotRange]]:
    if not schedule.paused:  # a slot that is due must not be lost by resuming what runs anyway
        return replace(schedule, updated_at=now), []
    return resumed(schedule, now + MICROSECOND, now)
