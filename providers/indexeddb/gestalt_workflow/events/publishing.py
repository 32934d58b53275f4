"""Publish events, and replay those that are kept (decisions 3 and 14).

An event, its verdicts and its runs are one commit. The event's record comes first in it: the runs name the stamp that
it gets with this very write, so none of them is written without it, however late a write arrives. A publish that finds
the event there already is a repeat; it notes itself on the record and makes runs only for triggers that have none.
Repeats and replays of one event take turns in a process, and between processes by the record's stamp.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from gestalt_workflow.claims import transitions
from gestalt_workflow.events import replays
from gestalt_workflow.events.kept_events import KeptEvent, as_stamped, event_from_record, event_to_record
from gestalt_workflow.events.replays import Replay, ReplayMode, ReplayRequest
from gestalt_workflow.events.verdicts import adding_runs, as_duplicates, judged, with_runs
from gestalt_workflow.model import ids, timeline
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import ObjectNotFound, StateConflict, StorageFailed, TooMuchContention
from gestalt_workflow.model.objects import NOBODY, Actor, Event, EventTrigger, Run
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.objects.triggers import KnownType, Triggers
from gestalt_workflow.stored.records import EVENTS, RUNS, TRIGGERS, run_to_record, trigger_from_record
from gestalt_workflow.stored.storage import Record, Storage, Write, WriteResult
from gestalt_workflow.wire.payloads import event_trigger, same_event

KIND = "workflow event"
ATTEMPTS = 16
LOOKED_UP = 100
"""Runs whose existence one message asks for."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Events:
    """Every published event that is kept."""

    def __init__(self, storage: Storage, triggers: Triggers, news: RunNews, clock: Clock) -> None:
        self._storage = storage
        self._triggers = triggers
        self._news = news
        self._clock = clock
        self._turns: dict[str, _Turn] = {}

    async def get(self, event_id: str) -> KeptEvent:
        """Return the event by the id of its record; raise ``ObjectNotFound`` when it is not kept."""
        found = await self._storage.find(EVENTS, event_id, event_from_record, "get event")
        if found is None:
            raise ObjectNotFound(KIND, event_id)
        return found

    # Publishing

    async def publish(self, event: Event, publisher: Actor, plugin: str = "") -> list[Run]:
        """Keep the event and make one run for each trigger that it meets, all in one commit.

        Args:
            publisher: Recorded on a run when it has a subject and did not create the trigger (decision 3).
            plugin: Only triggers whose target is of this plugin are asked; blank for all.

        Returns:
            The new runs, without those that existed already.

        Raises:
            TooMuchContention: the triggers of the type changed again and again.
        """
        step = "publish event"
        for _ in range(ATTEMPTS):
            known = await self._triggers.of_type(event.type)
            now = self._clock()
            kept = KeptEvent(ids.kept_event(event.source, event.id), event, now, publisher, plugin, stamp=_new_stamp())
            kept, runs = _published(kept, event, publisher, plugin, known, now)
            write = Write(EVENTS, "add", event_to_record(kept), conditions=[known.condition])
            first, *results = await self._write(write, kept, runs, step)
            if first.ok:
                return await self._made(kept, runs, results, step)
            if first.code != "already_exists":
                self._triggers.outdated(event.type, known)
                continue
            async with self._turn(kept.id):
                made = await self._publish_again(first.current, kept.id, event, publisher, plugin, step)
            if made is not None:
                return made
        raise TooMuchContention(step)

    async def _publish_again(
        self, record: Record | None, record_id: str, event: Event, publisher: Actor, plugin: str, step: str
    ) -> list[Run] | None:
        """Return the runs made by a repeat; None when the event is not kept any more."""
        for _ in range(ATTEMPTS):
            record = record or await self._storage.find(EVENTS, record_id, lambda found: found, step)
            if record is None:
                return None
            known = await self._triggers.of_type(event.type)
            now = self._clock()
            conditions = [known.condition]
            earlier = next((kept for _, kept in self._storage.decoded(EVENTS, [record], event_from_record)), None)
            if earlier is None:  # it cannot be read; what it should say is written anew
                kept = KeptEvent(record_id, event, now, publisher, plugin, stamp=_new_stamp())
            else:
                conditions.append(as_stamped(earlier.stamp))
                kept = replace(
                    earlier,
                    publications=earlier.publications + 1,
                    last_published_at=now,
                    conflicts=earlier.conflicts + (not _same(earlier.event, event)),
                    stamp=_new_stamp(),
                )
            kept, runs = _published(kept, event, publisher, plugin, known, now)
            write = Write(EVENTS, "put", event_to_record(kept), conditions=conditions)
            first, *results = await self._write(write, kept, runs, step)
            if first.ok:
                return await self._made(kept, runs, results, step)
            record = first.current
            if record is None:  # the triggers have changed, or the event has gone
                self._triggers.outdated(event.type, known)
        raise TooMuchContention(step)

    # Replaying

    async def replay(self, wanted: ReplayRequest) -> tuple[Replay, bool]:
        """Evaluate the triggers as they are now for a kept event; return what came of it, and whether it did so before.

        Raises:
            ObjectNotFound: no such event, or a trigger that is asked for does not exist.
            StateConflict: the event had another replay of that id.
        """
        step = "replay event"
        async with self._turn(wanted.event_id):
            for _ in range(ATTEMPTS):
                kept = await self._storage.find(EVENTS, wanted.event_id, event_from_record, step)
                if kept is None:
                    raise ObjectNotFound(KIND, wanted.event_id)
                earlier = _earlier(kept, wanted)
                if earlier is not None:
                    return earlier, True
                known = await self._triggers.of_type(kept.event.type)
                replay = await self._replay(kept, wanted, known, step)
                if replay is not None:
                    return replay, False
                self._triggers.outdated(kept.event.type, known)
        raise TooMuchContention(step)

    async def _replay(self, kept: KeptEvent, wanted: ReplayRequest, known: KnownType, step: str) -> Replay | None:
        """Return what came of the replay; None when event or triggers have changed meanwhile."""
        event, now = kept.event, self._clock()
        near, fitting = known.triggers, known.fitting(event)
        if wanted.trigger_ids:
            near = await self._named(wanted.trigger_ids, known, step)
            fitting = [trigger for trigger in fitting if trigger.id in wanted.trigger_ids]
        run_ids = {trigger.id: _run_id(trigger.id, event, wanted) for trigger in fitting}
        had: dict[str, str] = {}
        if wanted.mode is not ReplayMode.FORCED:
            asked = {trigger.id for trigger in near}
            had = {trigger_id: run_id for trigger_id, run_id in kept.verdicts.runs.items() if trigger_id in asked}
        unknown = {trigger_id: run_id for trigger_id, run_id in run_ids.items() if trigger_id not in had}
        existing = await self._existing(unknown.values(), step)
        had |= {trigger_id: run_id for trigger_id, run_id in unknown.items() if run_id in existing}
        met, verdicts = judged(near, fitting, event, kept.plugin, now, had)
        replay = Replay(wanted.id, wanted.mode, now, wanted.by, wanted.trigger_ids, len(met), verdicts)
        if wanted.mode is ReplayMode.DRY_RUN:
            # What is known of the triggers has to be true at this moment, so the store is asked.
            (result,) = await self._storage.write(
                [Write(EVENTS, "check", id=kept.id, conditions=[known.condition])], step
            )
            return replay if result.ok else None
        replay = replace(replay, verdicts=with_runs(verdicts, run_ids))
        replayed = timeline.noted("", timeline.REPLAYED, now, detail=wanted.id, subject_id=wanted.by.subject_id)
        runs = [
            replace(_event_run(trigger, run_ids[trigger.id], event, kept.published_by, now), timeline=replayed)
            for trigger in met
        ]
        noted, left_out = replays.noted(kept.replays, kept.replays_left_out, replay)
        after = replace(
            kept,
            verdicts=adding_runs(kept.verdicts, {trigger.id: run_ids[trigger.id] for trigger in met}),
            replays=noted,
            replays_left_out=left_out,
            stamp=_new_stamp(),
        )
        conditions = [known.condition, as_stamped(kept.stamp)]
        write = Write(EVENTS, "put", event_to_record(after), conditions=conditions)
        first, *results = await self._write(write, after, runs, step)
        if not first.ok:
            return None
        self._offer(runs, results)
        return replay

    async def _named(self, trigger_ids: Collection[str], known: KnownType, step: str) -> Sequence[EventTrigger]:
        """Return the triggers of these ids in the order in which they are asked, those of other types last."""
        near = [trigger for trigger in known.triggers if trigger.id in trigger_ids]
        missing = sorted(set(trigger_ids) - {trigger.id for trigger in near})
        if missing:
            found = await self._storage.find_many(TRIGGERS, missing, trigger_from_record, step)
            for trigger_id in missing:
                if trigger_id not in found:
                    raise ObjectNotFound("workflow event trigger", trigger_id)
                near.append(found[trigger_id])
        return near

    async def _existing(self, run_ids: Collection[str], step: str) -> set[str]:
        wanted, found = list(run_ids), set[str]()
        for start in range(0, len(wanted), LOOKED_UP):
            part = wanted[start : start + LOOKED_UP]
            found |= (await self._storage.find_many(RUNS, part, lambda record: True, step)).keys()
        return found

    # What both have in common

    async def _write(self, write: Write, kept: KeptEvent, runs: Sequence[Run], step: str) -> list[WriteResult]:
        """Write the event's record, and the runs on condition that it is written."""
        written = [as_stamped(kept.stamp, store=EVENTS, id=kept.id)]
        writes = [write, *(Write(RUNS, "add", run_to_record(run), conditions=written) for run in runs)]
        return await self._storage.write(writes, step)

    async def _made(self, kept: KeptEvent, runs: Sequence[Run], results: Sequence[WriteResult], step: str) -> list[Run]:
        created = self._offer(runs, results)
        if len(created) < len(runs):
            # Runs are kept longer than events, so some may have been there without the record telling.
            made = {run.id for run in created}
            had = {run.trigger.trigger_id for run in runs if run.id not in made}
            known = replace(kept, verdicts=as_duplicates(kept.verdicts, had), stamp=_new_stamp())
            write = Write(EVENTS, "put", event_to_record(known), conditions=[as_stamped(kept.stamp)])
            try:
                await self._storage.write([write], step)
            except StorageFailed as error:  # the event is published all the same
                log.warning("verdicts not corrected", event_name="event.uncorrected", id=kept.id, error=str(error))
        return created

    def _offer(self, runs: Sequence[Run], results: Sequence[WriteResult]) -> list[Run]:
        created = [run for run, result in zip(runs, results, strict=True) if result.ok]
        for run in created:
            self._news.committed(run)
        return created

    @asynccontextmanager
    async def _turn(self, record_id: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(record_id, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[record_id]


def _published(
    kept: KeptEvent, event: Event, publisher: Actor, plugin: str, known: KnownType, now: datetime
) -> tuple[KeptEvent, list[Run]]:
    """Return the record with the verdicts of this publication, and the runs that it makes."""
    met, verdicts = judged(known.triggers, known.fitting(event), event, plugin, now, kept.verdicts.runs)
    runs = [
        _event_run(trigger, ids.event_run(trigger.id, event.source, event.id), event, publisher, now) for trigger in met
    ]
    verdicts = with_runs(verdicts, {run.trigger.trigger_id: run.id for run in runs})
    return replace(kept, verdicts=verdicts), runs


def _event_run(trigger: EventTrigger, run_id: str, event: Event, publisher: Actor, now: datetime) -> Run:
    by_creator = not publisher.subject_id or publisher.subject_id == trigger.created_by.subject_id
    return transitions.new_run(
        run_id,
        trigger.target,
        event_trigger(trigger.id, event),
        now,
        created_by=trigger.created_by,
        published_by=NOBODY if by_creator else publisher,
        execution_ref=trigger.execution_ref,
        policy=trigger.policy,
    )


def _run_id(trigger_id: str, event: Event, wanted: ReplayRequest) -> str:
    if wanted.mode is ReplayMode.FORCED:
        return ids.replayed_run(trigger_id, event.source, event.id, wanted.id)
    return ids.event_run(trigger_id, event.source, event.id)


def _earlier(kept: KeptEvent, wanted: ReplayRequest) -> Replay | None:
    """Return the replay of that id, None when there was none; a dry run is always a new one."""
    if wanted.mode is ReplayMode.DRY_RUN:
        return None
    for replay in kept.replays:
        if replay.id == wanted.id:
            if (replay.mode, replay.trigger_ids) != (wanted.mode, wanted.trigger_ids):
                raise StateConflict(
                    f'replay "{wanted.id}" of {KIND} "{kept.id}" was another one: '
                    f"mode {replay.mode.name}, {len(replay.trigger_ids) or 'all'} triggers"
                )
            return replay
    return None


def _new_stamp() -> str:
    return secrets.token_hex(8)


def _same(first: Event, second: Event) -> bool:
    return (first.type, first.subject) == (second.type, second.subject) and same_event(first.data, second.data)
