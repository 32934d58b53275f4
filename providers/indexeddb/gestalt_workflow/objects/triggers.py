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
from gestalt_workflow.stored.records import (
    TRIGGER_ROUNDS,
    TRIGGER_TYPES,
    TRIGGERS,
    round_to_record,
    trigger_from_record,
    trigger_to_record,
    type_and_subject,
)
from gestalt_workflow.stored.storage import Condition, Storage, Write, absent, at_revision, first_revision

KNOWN_TYPES = 16_384
KNOWN_TRIGGERS = 100_000
"""Triggers kept in memory, of all event types together."""
MOST_KNOWN_BYTES = 32 * 1024 * 1024
"""Bytes of targets of one event type that are kept in memory; of a type with more, or more triggers, nothing is."""
KNOWN_BYTES = 64 * 1024 * 1024
"""The same of all event types together, with their names."""


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
    """The triggers of one event type, by creation time, then id; true while ``condition`` holds.

    Attributes:
        complete: False: there are too many to be kept in memory, and ``triggers`` is empty.
        size_bytes: Roughly what the triggers take.
    """

    triggers: Sequence[EventTrigger]
    condition: Condition
    complete: bool = True
    size_bytes: int = 0
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

    def __init__(self, storage: Storage, references: References, clock: Clock, *, most_known: int = 20_000) -> None:
        """``most_known``: triggers of one event type that are kept in memory."""
        super().__init__("event trigger", TRIGGERS, trigger_from_record, storage, references, clock)
        self._most_known = most_known
        self._known: OrderedDict[str, KnownType] = OrderedDict()
        self._known_triggers = 0
        self._known_bytes = 0
        self._loading: dict[str, asyncio.Lock] = {}

    async def upsert(self, wanted: TriggerRequest) -> EventTrigger:
        """Create or replace the trigger; ``created_at`` and ``created_by`` as for schedules.

        Raises:
            OwnedByAnother: its target is of another plugin, and the request does not retarget.
            ObjectNotFound, RevisionConflict: it is not what the request was decided on.
        """
        round = await self._next_round(wanted)

        def prepared(existing: EventTrigger | None, now: datetime) -> Change[EventTrigger]:
            return self._put(_in_round(_merged(wanted, existing, now), existing, round), existing)

        return await self._upsert(wanted, prepared)

    async def _next_round(self, wanted: TriggerRequest) -> int:
        """Return the round of a trigger that is made now. Two made at once may have the same: an order, no number."""
        subject = wanted.requested_by.subject_id.strip()
        if subject == CONFIG_SUBJECT:
            return 0
        theirs = type_and_subject(wanted.match.type, subject)
        return 1 + await self._storage.count(TRIGGER_ROUNDS, "subject", [theirs], "upsert event trigger")

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
        if trigger.round is None:  # made before rounds were kept, and neither type nor subject changes: the row stays
            return self._with_tokens(trigger, [write], types)
        row = Write(TRIGGER_ROUNDS, "put", round_to_record(trigger, trigger.round), required=True)
        return self._with_tokens(trigger, [row, write], types)

    def _removal(self, existing: EventTrigger, now: datetime) -> Change[EventTrigger]:
        unchanged = [at_revision(existing.revision)]
        write = Write(TRIGGERS, "delete", id=existing.id, conditions=unchanged, required=True)
        row = Write(TRIGGER_ROUNDS, "delete", id=existing.id, required=True)
        return self._with_tokens(existing, [row, write], {existing.match.type})

    def _with_tokens(
        self, trigger: EventTrigger, writes: Sequence[Write], types: Collection[str]
    ) -> Change[EventTrigger]:
        """Replace the token of each event type that the change touches in the same commit, and forget the old ones."""

        def committed() -> None:
            for event_type in types:
                self._forget(event_type)

        return Change(trigger, [*(_new_token(event_type) for event_type in sorted(types)), *writes], committed)

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
        triggers, complete, size_bytes = await self._read_type(event_type, step)
        condition = (
            absent(store=TRIGGER_TYPES, id=event_type)
            if token is None
            else Condition.equals("token", token, store=TRIGGER_TYPES, id=event_type)
        )
        known = KnownType(triggers, condition, complete, size_bytes)
        self._forget(event_type)
        self._known[event_type] = known
        self._known_triggers += len(triggers)
        self._known_bytes += _size_bytes(event_type, known)
        while len(self._known) > KNOWN_TYPES or (
            len(self._known) > 1 and (self._known_triggers > KNOWN_TRIGGERS or self._known_bytes > KNOWN_BYTES)
        ):
            self._forget(next(iter(self._known)))
        return known

    async def _read_type(self, event_type: str, step: str) -> tuple[list[EventTrigger], bool, int]:
        """Return the triggers of the type in order, whether that is all, and their bytes; none when too many."""
        triggers: list[EventTrigger] = []
        token, size_bytes = b"", 0
        while True:
            page = await self._storage.page(TRIGGERS, "type", [event_type], step, token=token)
            for _, trigger in self._storage.decoded(TRIGGERS, page.records, trigger_from_record):
                triggers.append(trigger)
                match = trigger.match
                size_bytes += len(trigger.target.data) + len(match.type) + len(match.source) + len(match.subject)
            if len(triggers) > self._most_known or size_bytes > MOST_KNOWN_BYTES:
                return [], False, 0
            token = page.next_token
            if not token:
                triggers.sort(key=lambda t: (t.created_at, t.id))
                return triggers, True, size_bytes

    def _forget(self, event_type: str) -> None:
        known = self._known.pop(event_type, None)
        if known is not None:
            self._known_triggers -= len(known.triggers)
            self._known_bytes -= _size_bytes(event_type, known)

    def outdated(self, event_type: str, known: KnownType) -> None:
        """Forget that knowledge: the store has refused it."""
        if self._known.get(event_type) is known:
            self._forget(event_type)


def _size_bytes(event_type: str, known: KnownType) -> int:
    return len(event_type) + known.size_bytes


def _new_token(event_type: str) -> Write:
    return Write(TRIGGER_TYPES, "put", {"id": event_type, "token": secrets.token_hex(8)}, required=True)


def _in_round(trigger: EventTrigger, existing: EventTrigger | None, next_round: int) -> EventTrigger:
    """Return the trigger with its round: it keeps the one it has while its event type and subject are the same."""
    subject = trigger.created_by.subject_id.strip()
    if subject == CONFIG_SUBJECT:
        return replace(trigger, round=0)
    same = (
        existing is not None
        and existing.match.type == trigger.match.type
        and existing.created_by.subject_id.strip() == subject
    )
    return trigger if same and trigger.round is not None else replace(trigger, round=next_round)


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
