"""Event triggers as objects, and which of them an event meets (semantics.md 19.6, 19.7).

What a publish needs to know of the triggers of its event type is kept in memory together with the type's token, a
random text that every change of such a trigger replaces. A publish names the token it relied on in its commit; when
another process has changed a trigger meanwhile, the commit is refused, and the triggers are read again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import ObjectNotFound, OwnedByAnother, StateConflict, TooMuchContention
from gestalt_workflow.model.ids import new_id
from gestalt_workflow.model.objects import CONFIG_SUBJECT, NOBODY, Actor, Event, EventMatch, EventTrigger, Target
from gestalt_workflow.model.policies import PLAIN_RUN, Pause, RunPolicy, noted_pause, upserted_pause
from gestalt_workflow.objects.references import References
from gestalt_workflow.stored.records import TRIGGER_TYPES, TRIGGERS, trigger_from_record, trigger_to_record
from gestalt_workflow.stored.storage import Condition, Entry, Storage, absent, at_revision, first_revision

KIND = "workflow event trigger"
ATTEMPTS = 16
KNOWN_TYPES = 16_384


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """What a trigger is to be; see ``ScheduleRequest`` for the last three."""

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


@dataclass(frozen=True, slots=True)
class KnownType:
    """The triggers of one event type, by creation time, then id; true while ``condition`` holds."""

    triggers: Sequence[EventTrigger]
    condition: Condition
    _places: Mapping[tuple[str, str], Sequence[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places: dict[tuple[str, str], list[int]] = {}
        for place, trigger in enumerate(self.triggers):
            places.setdefault((trigger.match.source, trigger.match.subject), []).append(place)
        object.__setattr__(self, "_places", places)

    def fitting(self, event: Event) -> list[EventTrigger]:
        """Those whose source and subject the event meets, paused ones too, in order; costs nothing for the others."""
        keys = {("", ""), (event.source, ""), ("", event.subject), (event.source, event.subject)}
        places = sorted(place for key in keys for place in self._places.get(key, ()))
        return [self.triggers[place] for place in places]


class Triggers:
    def __init__(self, storage: Storage, references: References, clock: Clock) -> None:
        self._storage = storage
        self._references = references
        self._clock = clock
        self._known: OrderedDict[str, KnownType] = OrderedDict()
        self._loading: dict[str, asyncio.Lock] = {}

    async def upsert(self, wanted: TriggerRequest) -> EventTrigger:
        """Create or replace; ``created_at`` and ``created_by`` as for schedules."""
        step = "upsert event trigger"
        for _ in range(ATTEMPTS):
            existing = await self._find(wanted.id, step) if wanted.id else None
            if existing is not None and existing.target.owner != wanted.target.owner and not wanted.retarget:
                raise OwnedByAnother(KIND, wanted.id, existing.target.owner)
            trigger = _merged(wanted, existing, self._clock())
            if await self._put(trigger, existing, step, wanted.retire):
                return trigger
        raise TooMuchContention(step)

    async def get(self, trigger_id: str) -> EventTrigger:
        found = await self._find(trigger_id, "get event trigger")
        if found is None:
            raise ObjectNotFound(KIND, trigger_id)
        return found.at(self._clock())

    async def list_all(self) -> list[EventTrigger]:
        """All of them, by creation time, then id."""
        step, now = "list event triggers", self._clock()
        return [t.at(now) async for t in self._storage.scan(TRIGGERS, "created", [], trigger_from_record, step)]

    async def pause(self, trigger_id: str, pause: Pause | None = None) -> EventTrigger:
        """No more matches; ``pause`` says why and until when, without it what was known of a paused one stays."""
        return await self._update(
            trigger_id,
            "pause event trigger",
            lambda t: replace(t, paused=True, pause=noted_pause(pause, t.pause if t.paused else None, self._clock())),
        )

    async def resume(self, trigger_id: str) -> EventTrigger:
        return await self._update(trigger_id, "resume event trigger", lambda t: replace(t, paused=False, pause=None))

    async def delete(self, trigger_id: str, retire: str = "", *, revision: int | None = None) -> None:
        """``revision``: only while it is at that one; ``StateConflict`` when it is not."""
        step = "delete event trigger"
        for _ in range(ATTEMPTS):
            existing = await self.get(trigger_id)
            if revision not in (None, existing.revision):
                raise StateConflict(f'{KIND} "{trigger_id}" has been changed')
            conditions = [at_revision(existing.revision)]
            entry = Entry(TRIGGERS, "delete", id=trigger_id, conditions=conditions, required=True)
            if await self._commit([entry, _new_token(existing.match.type)], step, retire, self._clock()):
                self._known.pop(existing.match.type, None)
                return
        raise TooMuchContention(step)

    async def of_type(self, event_type: str) -> KnownType:
        """The triggers of the type, from memory when they are known."""
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
        """That knowledge has been refused by the store."""
        if self._known.get(event_type) is known:
            del self._known[event_type]

    async def _find(self, trigger_id: str, step: str) -> EventTrigger | None:
        return await self._storage.find(TRIGGERS, trigger_id, trigger_from_record, step)

    async def _update(self, trigger_id: str, step: str, change: Callable[[EventTrigger], EventTrigger]) -> EventTrigger:
        for _ in range(ATTEMPTS):
            existing = await self.get(trigger_id)
            trigger = replace(change(existing), updated_at=self._clock(), revision=existing.revision + 1)
            if await self._put(trigger, existing, step):
                return trigger
        raise TooMuchContention(step)

    async def _put(self, trigger: EventTrigger, existing: EventTrigger | None, step: str, retire: str = "") -> bool:
        condition = absent() if existing is None else at_revision(existing.revision)
        entry = Entry(TRIGGERS, "put", trigger_to_record(trigger), conditions=[condition], required=True)
        types = {trigger.match.type} | ({existing.match.type} if existing is not None else set())
        entries = [entry, *(_new_token(event_type) for event_type in sorted(types))]
        if not await self._commit(entries, step, retire, trigger.updated_at):
            return False
        for event_type in types:
            self._known.pop(event_type, None)
        return True

    async def _commit(self, entries: list[Entry], step: str, retire: str, now: datetime) -> bool:
        """All or nothing, in a commit of its own; False when somebody else was faster."""
        retirement = await self._references.retirement(retire, now)
        if retirement is not None:
            entries = [*entries, retirement[1]]
        outcomes = await self._storage.write_alone(entries, step)
        if not all(outcome.ok for outcome in outcomes):
            return False
        if retirement is not None:
            self._references.committed(retirement[0])
        return True


def _new_token(event_type: str) -> Entry:
    return Entry(TRIGGER_TYPES, "put", {"id": event_type, "token": secrets.token_hex(8)}, required=True)


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
        revision=existing.revision + 1,
    )
