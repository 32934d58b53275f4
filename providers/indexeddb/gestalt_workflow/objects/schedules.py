"""Schedules as objects: create, change, pause, resume, delete (semantics.md 15.5, 19.7, decision 5).

Firing them is the scheduler's; it is told of every change that was committed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gestalt_sdk.timing.cron import no_occurrence, parse_cron
from gestalt_sdk.timing.zones import normalise_zone
from gestalt_workflow.firing.ledger import missed, with_ranges
from gestalt_workflow.firing.plan import resumed, with_due_time
from gestalt_workflow.firing.slots import next_slot
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import (
    InvalidRequest,
    ObjectNotFound,
    OwnedByAnother,
    StateConflict,
    TooMuchContention,
)
from gestalt_workflow.model.ids import new_id
from gestalt_workflow.model.objects import CONFIG_SUBJECT, NOBODY, Actor, Schedule, SlotRange, Target
from gestalt_workflow.model.policies import PLAIN, Pause, SchedulePolicy, noted_pause, upserted_pause
from gestalt_workflow.objects.references import References
from gestalt_workflow.stored.records import SCHEDULES, schedule_from_record, schedule_to_record
from gestalt_workflow.stored.storage import Entry, Storage, absent, at_revision, first_revision

KIND = "workflow schedule"
ATTEMPTS = 16


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """What a schedule is to be. Made by ``schedule_request``, which checks it.

    Attributes:
        first_slot: Its next slot at the time of the request.
        retarget: It may take over a schedule whose target has another owner.
        retire: Id of the execution reference that this change replaces.
        created_at: Of a schedule that moves here from another provider; does not count when the id exists.
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


def checked_timing(cron: str, timezone: str, now: datetime) -> tuple[str, str, datetime]:
    """Trimmed cron, zone name and next slot.

    Raises:
        InvalidRequest: cron missing.
        ZoneInvalid: zone unknown; checked before the cron's form.
        CronInvalid: cron malformed or never firing.
    """
    cron = cron.strip()
    if not cron:
        raise InvalidRequest("cron is required")
    zone = normalise_zone(timezone)
    slot = next_slot(parse_cron(cron), zone, now)
    if slot is None:
        raise no_occurrence(cron)
    return cron, zone, slot


class Schedules:
    def __init__(
        self, storage: Storage, references: References, clock: Clock, changed: Callable[[str, Schedule | None], None]
    ) -> None:
        """``changed`` is called with the id and the schedule after each commit, None when it was deleted."""
        self._storage = storage
        self._references = references
        self._clock = clock
        self._changed = changed

    async def upsert(self, wanted: ScheduleRequest) -> Schedule:
        """Create or replace.

        ``created_at`` and ``created_by`` are kept, except that the configuration takes over what it upserts.
        ``next_run_at`` is kept when cron, zone and paused stay as they are, so that a slot missed during an outage is
        still caught up.
        """
        step = "upsert schedule"
        for _ in range(ATTEMPTS):
            now = self._clock()
            existing = await self._find(wanted.id, step) if wanted.id else None
            if existing is not None and existing.target.owner != wanted.target.owner and not wanted.retarget:
                raise OwnedByAnother(KIND, wanted.id, existing.target.owner)
            schedule, ranges = _merged(wanted, existing, now)
            if await self._put(schedule, existing, step, ranges, wanted.retire):
                return schedule
        raise TooMuchContention(step)

    async def get(self, schedule_id: str) -> Schedule:
        found = await self._find(schedule_id, "get schedule")
        if found is None:
            raise ObjectNotFound(KIND, schedule_id)
        return found

    async def list_all(self) -> list[Schedule]:
        """All of them, by creation time, then id."""
        return [s async for s in self._storage.scan(SCHEDULES, "created", [], schedule_from_record, "list schedules")]

    async def pause(self, schedule_id: str, pause: Pause | None = None) -> Schedule:
        """No more firings; ``next_run_at`` stays visible. Pausing a paused one succeeds.

        ``pause`` says why and until when; without it what was known of a paused one stays.
        """
        return await self._update(schedule_id, "pause schedule", lambda s, now: (_paused(s, pause, now), []))

    async def resume(self, schedule_id: str) -> Schedule:
        """Fire again, from now on: what was missed while paused is not caught up."""
        return await self._update(schedule_id, "resume schedule", _resumed)

    async def delete(self, schedule_id: str, retire: str = "", *, revision: int | None = None) -> None:
        """``revision``: only while it is at that one; ``StateConflict`` when it is not."""
        step = "delete schedule"
        for _ in range(ATTEMPTS):
            existing = await self.get(schedule_id)
            if revision not in (None, existing.revision):
                raise StateConflict(f'{KIND} "{schedule_id}" has been changed')
            retirement = await self._references.retirement(retire, self._clock())
            entries = [
                Entry(SCHEDULES, "delete", id=schedule_id, conditions=[at_revision(existing.revision)], required=True)
            ]
            if retirement is not None:
                entries.append(retirement[1])
            entries += with_ranges(existing, missed(existing, self._clock()))[1]
            outcomes = await self._storage.write_alone(entries, step)
            if all(outcome.ok for outcome in outcomes):
                if retirement is not None:
                    self._references.committed(retirement[0])
                self._changed(schedule_id, None)
                return
        raise TooMuchContention(step)

    async def _find(self, schedule_id: str, step: str) -> Schedule | None:
        return await self._storage.find(SCHEDULES, schedule_id, schedule_from_record, step)

    async def _update(
        self, schedule_id: str, step: str, change: Callable[[Schedule, datetime], tuple[Schedule, list[SlotRange]]]
    ) -> Schedule:
        for _ in range(ATTEMPTS):
            existing = await self.get(schedule_id)
            schedule, ranges = change(existing, self._clock())
            schedule = replace(schedule, revision=existing.revision + 1)
            if await self._put(schedule, existing, step, ranges):
                return schedule
        raise TooMuchContention(step)

    async def _put(
        self, schedule: Schedule, existing: Schedule | None, step: str, ranges: Sequence[SlotRange], retire: str = ""
    ) -> bool:
        """Write it, and what became of slots that will not fire, unless somebody else was faster; False then."""
        unchanged = [] if existing is None else [at_revision(existing.revision, store=SCHEDULES, id=schedule.id)]
        schedule, noted = with_ranges(schedule, ranges, unchanged)
        condition = absent() if existing is None else at_revision(existing.revision)
        entry = Entry(SCHEDULES, "put", schedule_to_record(schedule), conditions=[condition])
        retirement = await self._references.retirement(retire, schedule.updated_at)
        if retirement is None:
            outcomes = await self._storage.write([*noted, entry], step)
        else:
            outcomes = await self._storage.write_alone([*noted, replace(entry, required=True), retirement[1]], step)
        if not all(outcome.ok for outcome in outcomes):
            return False
        if retirement is not None:
            self._references.committed(retirement[0])
        self._changed(schedule.id, schedule)
        return True


def _merged(wanted: ScheduleRequest, existing: Schedule | None, now: datetime) -> tuple[Schedule, list[SlotRange]]:
    """The schedule as it is to be, and which of its slots will not fire because of that."""
    if existing is None:
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
            revision=first_revision(now),
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
        next_run_at=existing.next_run_at if unchanged else wanted.first_slot,
        created_by=wanted.requested_by if by_config else existing.created_by,
        execution_ref=wanted.execution_ref,
        policy=wanted.policy,
        pause=upserted_pause(wanted.paused, wanted.pause, existing.pause if existing.paused else None, now),
        revision=existing.revision + 1,
    )
    return with_due_time(schedule), [] if unchanged else missed(existing, now)


def _paused(schedule: Schedule, pause: Pause | None, now: datetime) -> Schedule:
    known = schedule.pause if schedule.paused else None
    return with_due_time(replace(schedule, paused=True, updated_at=now, pause=noted_pause(pause, known, now)))


def _resumed(schedule: Schedule, now: datetime) -> tuple[Schedule, list[SlotRange]]:
    if not schedule.paused:  # a slot that is due must not be lost by resuming what runs anyway
        return replace(schedule, updated_at=now), []
    return resumed(schedule, now + timedelta(microseconds=1), now)
