"""Create, change, pause, resume and delete event triggers, and know which of them an event meets.

What a publish needs to know of the triggers of its event type is kept in memory together with the type's token, a
random text that every change of such a trigger replaces. A publish names the token it relied on in its commit; when
another process has changed a trigger meanwhile, the commit is refused, and the triggers are read again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.ids import new_id
from gestalt_workflow.model.objects import CONFIG_SUBJECT, NOBODY, Actor, Event, EventMatch, EventTrigger, Target
from gestalt_workflow.model.policies import PLAIN_RUN, Pause, RunPolicy, noted_pause, upserted_pause
from gestalt_workflow.objects.references import References
from gestalt_workflow.objects.stored_object import ANYTHING, Change, DecidedOn, StoredObjects
from gestalt_workflow.stored.records import TRIGGER_TYPES, TRIGGERS, trigger_from_record, trigger_to_record
from gestalt_workflow.stored.storage import Condition, Storage, Write, absent, at_revision, first_revision

KNOWN_TYPES = 16_384


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """What a trigger is to be; what is not of the contract means the same as in ``ScheduleRequest``."""

    id: str
    match: EventMatch
    target: Target
    paused: bool = False
    requested_by: Actor = NOBODY
    execution_ref: str = ""
    retarget: bool = False
    retire: str = ""
    created_at: datetime | None = None
    policy: RunPolicy = PLAIN_RUN
    pause: Pause | None = None
    decided_on: DecidedOn = ANYTHING


@dataclass(frozen=True, slots=True)
class KnownType:
    """The triggers of one event type, by creation time, then id; true while ``condition`` holds."""

    triggers: Sequence[EventTrigger]
    condition: Condition
    _positions: Mapping[tuple[str, str], Sequence[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        positions: dict[tuple[str, str], list[int]] = {}
        for position, trigger in enumerate(self.triggers):
            positions.setdefault((trigger.match.source, trigger.match.subject), []).append(position)
        object.__setattr__(self, "_positions", positions)

    def fitting(self, event: Event) -> list[EventTrigger]:
        """Return those whose source and subject the event meets, paused ones too, in order; others cost nothing."""
        keys = {("", ""), (event.source, ""), ("", event.subject), (event.source, event.subject)}
        positions = sorted(position for key in keys for position in self._positions.get(key, ()))
        return [self.triggers[position] for position in positions]


class Triggers(StoredObjects[EventTrigger]):
    """Every event trigger, and what is known of each event type."""

    def __init__(self, storage: Storage, references: References, clock: Clock) -> None:
        super().__init__("event trigger", TRIGGERS, trigger_from_record, storage, references, clock)
        self._known: OrderedDict[str, KnownType] = OrderedDict()
        self._loading: dict[str, asyncio.Lock] = {}

    async def upsert(self, wanted: TriggerRequest) -> EventTrigger:
        """Create or replace the trigger; ``created_at`` and ``created_by`` as for schedules.

        Raises:
            OwnedByAnother: its target is of another plugin, and the request does not retarget.
            ObjectNotFound, RevisionConflict: it is not what the request was decided on.
        """
        return await self._upsert(wanted, lambda existing, now: self._put(_merged(wanted, existing, now), existing))

    async def get(self, trigger_id: str) -> EventTrigger:
        """Return the trigger as it is now: a pause that has expired is none. Raises ``ObjectNotFound``."""
        return (await super().get(trigger_id)).at(self._clock())

    async def pause(
        self, trigger_id: str, pause: Pause | None = None, decided_on: DecidedOn = ANYTHING
    ) -> EventTrigger:
        """Stop matching events; ``pause`` says why and until when, without it what was known of a paused one stays."""

        def paused(trigger: EventTrigger, now: datetime) -> Change[EventTrigger]:
            noted = noted_pause(pause, trigger.pause if trigger.paused else None, now)
            return self._put(replace(trigger, paused=True, pause=noted, updated_at=now), trigger)

        return await self._update(trigger_id, "pause", decided_on, paused)

    async def resume(self, trigger_id: str, decided_on: DecidedOn = ANYTHING) -> EventTrigger:
        """Match events again, from now on."""

        def resumed(trigger: EventTrigger, now: datetime) -> Change[EventTrigger]:
            return self._put(replace(trigger, paused=False, pause=None, updated_at=now), trigger)

        return await self._update(trigger_id, "resume", decided_on, resumed)

    async def delete(self, trigger_id: str, retire: str = "", decided_on: DecidedOn = ANYTHING) -> None:
        """Delete the trigger and retire the execution reference ``retire``; its runs stay."""
        await self._delete(trigger_id, retire, decided_on, self._removal)

    def _put(self, trigger: EventTrigger, existing: EventTrigger | None) -> Change[EventTrigger]:
        if existing is None:
            condition, types = absent(), {trigger.match.type}
        else:
            condition, types = at_revision(existing.revision), {trigger.match.type, existing.match.type}
            trigger = replace(trigger, revision=existing.revision + 1)
        write = Write(TRIGGERS, "put", trigger_to_record(trigger), conditions=[condition], required=True)
        return self._with_tokens(trigger, write, types)

    def _removal(self, existing: EventTrigger, now: datetime) -> Change[EventTrigger]:
        unchanged = [at_revision(existing.revision)]
        write = Write(TRIGGERS, "delete", id=existing.id, conditions=unchanged, required=True)
        return self._with_tokens(existing, write, {existing.match.type})

    def _with_tokens(self, trigger: EventTrigger, write: Write, types: Collection[str]) -> Change[EventTrigger]:
        """Replace the token of each event type that the change touches in the same commit, and forget the old ones."""

        def committed() -> None:
            for event_type in types:
                self._known.pop(event_type, None)

        return Change(trigger, [*(_new_token(event_type) for event_type in sorted(types)), write], committed)

    async def of_type(self, event_type: str) -> KnownType:
        """Return the triggers of the type, from memory when they are known."""
        known = self._known.get(event_type)
        if known is None:  # of those who ask at the same time one reads
            try:
                async with self._loading.setdefault(event_type, asyncio.Lock()):
                    known = self._known.get(event_type) or await self._load(event_type)
            finally:
                self._loading.pop(event_type, None)
        if event_type in self._known:
            self._known.move_to_end(event_type)
        return known

    async def _load(self, event_type: str) -> KnownType:
        step = "load event triggers"
        # The token first: a trigger that changes after it was read makes the token that we hold outdated.
        token = await self._storage.find(TRIGGER_TYPES, event_type, lambda record: str(record["token"]), step)
        triggers = await self._storage.find_by_index(TRIGGERS, "type", [event_type], trigger_from_record, step)
        triggers.sort(key=lambda t: (t.created_at, t.id))
        condition = (
            absent(store=TRIGGER_TYPES, id=event_type)
            if token is None
            else Condition.equals("token", token, store=TRIGGER_TYPES, id=event_type)
        )
        known = KnownType(triggers, condition)
        self._known[event_type] = known
        if len(self._known) > KNOWN_TYPES:
            self._known.popitem(last=False)
        return known

    def outdated(self, event_type: str, known: KnownType) -> None:
        """Forget that knowledge: the store has refused it."""
        if self._known.get(event_type) is known:
            del self._known[event_type]


def _new_token(event_type: str) -> Write:
    return Write(TRIGGER_TYPES, "put", {"id": event_type, "token": secrets.token_hex(8)}, required=True)


def _merged(wanted: TriggerRequest, existing: EventTrigger | None, now: datetime) -> EventTrigger:
    if existing is None:
        return EventTrigger(
            id=wanted.id or new_id(),
            match=wanted.match,
            target=wanted.target,
            created_at=wanted.created_at or now,
            updated_at=now,
            paused=wanted.paused,
            created_by=wanted.requested_by,
            execution_ref=wanted.execution_ref,
            policy=wanted.policy,
            pause=upserted_pause(wanted.paused, wanted.pause, None, now),
            revision=first_revision(now),
        )
    by_config = wanted.requested_by.subject_id.strip() == CONFIG_SUBJECT
    return replace(
        existing,
        match=wanted.match,
        target=wanted.target,
        paused=wanted.paused,
        updated_at=now,
        created_by=wanted.requested_by if by_config else existing.created_by,
        execution_ref=wanted.execution_ref,
        policy=wanted.policy,
        pause=upserted_pause(wanted.paused, wanted.pause, existing.pause if existing.paused else None, now),
    )
