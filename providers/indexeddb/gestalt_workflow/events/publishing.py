"""Publish events, and replay those that are kept (decisions 3 and 14).

An event, its verdicts and its runs are one commit. The event's record comes first in it: the runs name the stamp that
it gets with this very write, so none of them is written without it, however late a write arrives. A publish that finds
the event there already is a repeat; it notes itself on the record and makes runs only for triggers that have none.
Repeats and replays of one event take turns in a process, and between processes by the record's stamp.

Where the runs do not fit one commit, or there are too many triggers to know them, the commit makes the first runs and a
fan-out the others (``fan_outs``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from gestalt_sdk.common.printable import quoted
from gestalt_workflow.events import replays
from gestalt_workflow.events.fan_outs import (
    CHECKED,
    AskedPage,
    FanOut,
    FanOuts,
    event_run,
    fan_out_from_record,
    fan_out_id,
    fan_out_to_record,
    new_stamp,
)
from gestalt_workflow.events.kept_events import KeptEvent, as_stamped, event_from_record, event_to_record
from gestalt_workflow.events.replays import Replay, ReplayMode, ReplayRequest
from gestalt_workflow.events.verdicts import (
    NONE_NEAR,
    VerdictKind,
    adding,
    adding_runs,
    as_duplicates,
    fits,
    judged,
    stopped,
    with_runs,
)
from gestalt_workflow.model import ids, timeline
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import ObjectNotFound, StateConflict, StorageFailed, TooMuchContention
from gestalt_workflow.model.metrics import UNLISTED
from gestalt_workflow.model.objects import Actor, Cause, Event, EventTrigger, Run
from gestalt_workflow.objects.causes import Counting, Excess, counted_for
from gestalt_workflow.objects.triggers import KnownType, Triggers
from gestalt_workflow.stored.records import EVENTS, FAN_OUTS, RUNS, TRIGGERS, run_to_record, trigger_from_record
from gestalt_workflow.stored.storage import Condition, Record, Storage, Write, WriteResult, absent
from gestalt_workflow.wire.payloads import same_event

KIND = "workflow event"
ATTEMPTS = 16
ATTEMPTS_AT_ONCE = 4
"""How often a publish is tried with all triggers in one commit, while others change them each time."""
COMMIT_BYTES = 32 * 1024 * 1024
"""Bytes of the runs that one commit makes; about half of what a message carries."""
RUN_BYTES = 1024
"""Bytes that a run takes besides its target and its event, about."""
LOOKED_UP = 100
"""Runs whose existence one message asks for."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Events:
    """Every published event that is kept."""

    def __init__(
        self, storage: Storage, triggers: Triggers, fan_outs: FanOuts, clock: Clock, runs_per_commit: int
    ) -> None:
        self._storage = storage
        self._triggers = triggers
        self._fan_outs = fan_outs
        self._causes = fan_outs.causes
        self._clock = clock
        self._runs_per_commit = runs_per_commit
        self._turns: dict[str, _Turn] = {}

    async def get(self, event_id: str) -> KeptEvent:
        """Return the event by the id of its record; raise ``ObjectNotFound`` when it is not kept."""
        found = await self._storage.find(EVENTS, event_id, event_from_record, "get event")
        if found is None:
            raise ObjectNotFound(KIND, event_id)
        return found

    # Publishing

    async def publish(self, event: Event, publisher: Actor, plugin: str = "", cause: Cause | None = None) -> list[Run]:
        """Keep the event and make one run for each trigger that it meets, all in one commit if that takes them.

        Args:
            publisher: Recorded on a run when it has a subject and did not create the trigger (decision 3).
            plugin: Only triggers whose target is of this plugin are asked; blank for all.
            cause: What the event goes back to. When that has gone too far, no trigger is run.

        Returns:
            The new runs, without those that existed already; where there are more than one commit takes, the first.

        Raises:
            TooMuchContention: the same event was published or replayed again and again.
        """
        step = "publish event"
        for _ in range(ATTEMPTS_AT_ONCE):
            known = await self._triggers.of_type(event.type)
            if not known.complete:
                break
            now = self._clock()
            record_id = ids.kept_event(event.source, event.id)
            kept = KeptEvent(record_id, event, now, publisher, plugin, cause=cause, stamp=new_stamp())
            met, kept = self._published(kept, event, plugin, known, now, cause)
            if not self._fit(event, met):
                break
            runs = _event_runs(met, event, publisher, now, cause)
            write = Write(EVENTS, "add", event_to_record(kept), conditions=[known.condition])
            first, *results = await self._write(write, kept, runs, step, cause)
            if first.ok:
                self._count(kept)
                return await self._made(kept, runs, results, step)
            if first.code != "already_exists":
                self._triggers.outdated(event.type, known)
                continue
            async with self._turn(kept.id):
                made = await self._publish_again(first.current, kept.id, event, publisher, plugin, cause, step)
            if made is not None:
                return made
        return await self._publish_in_parts(event, publisher, plugin, cause, step)

    async def _publish_again(
        self,
        record: Record | None,
        record_id: str,
        event: Event,
        publisher: Actor,
        plugin: str,
        cause: Cause | None,
        step: str,
    ) -> list[Run] | None:
        """Return the runs made by a repeat; None when the event is not kept any more, or the runs do not fit."""
        for _ in range(ATTEMPTS_AT_ONCE):
            record = record or await self._storage.find(EVENTS, record_id, lambda found: found, step)
            if record is None:
                return None
            known = await self._triggers.of_type(event.type)
            if not known.complete:
                return None
            now = self._clock()
            conditions = [known.condition]
            earlier = next((kept for _, kept in self._storage.decoded(EVENTS, [record], event_from_record)), None)
            if earlier is None:  # it cannot be read; what it should say is written anew
                kept = KeptEvent(record_id, event, now, publisher, plugin, cause=cause, stamp=new_stamp())
            else:
                conditions.append(as_stamped(earlier.stamp))
                kept = _repeated(earlier, event, now)
            met, kept = self._published(kept, event, plugin, known, now, cause)
            if not self._fit(event, met):
                return None
            runs = _event_runs(met, event, publisher, now, cause)
            write = Write(EVENTS, "put", event_to_record(kept), conditions=conditions)
            first, *results = await self._write(write, kept, runs, step, cause)
            if first.ok:
                self._count(kept)
                return await self._made(kept, runs, results, step)
            record = first.current
            if record is None:  # the triggers have changed, or the event has gone
                self._triggers.outdated(event.type, known)
        return None

    async def _publish_in_parts(
        self, event: Event, publisher: Actor, plugin: str, cause: Cause | None, step: str
    ) -> list[Run]:
        """Keep the event with the runs of the first triggers, and leave the others to a fan-out if there are any.

        The triggers are read for this, so whoever changes them meanwhile makes nothing fail.
        """
        record_id = ids.kept_event(event.source, event.id)
        async with self._turn(record_id):
            for attempt in range(ATTEMPTS):
                record = await self._storage.find(EVENTS, record_id, lambda found: found, step)
                now = self._clock()
                kept = KeptEvent(record_id, event, now, publisher, plugin, cause=cause, stamp=new_stamp())
                conditions = [absent()] if record is None else []
                for _, earlier in self._storage.decoded(EVENTS, [record] if record else [], event_from_record):
                    kept, conditions = _repeated(earlier, event, now), [as_stamped(earlier.stamp)]
                fan_out = FanOut(
                    fan_out_id(event, plugin),
                    record_id,
                    event,
                    publisher,
                    plugin,
                    now,
                    self._fan_outs.claimant,
                    new_stamp(),
                    cause=cause,
                )
                checked = attempt < CHECKED
                written = await self._write_in_parts(kept, conditions, fan_out, _with_verdicts, step, checked=checked)
                if written is not None:
                    self._count(written[0])
                    return written[1]
        raise TooMuchContention(step)

    def _count(self, kept: KeptEvent) -> None:
        """Count a publication and what the triggers said to it."""
        metrics = self._fan_outs.metrics
        metrics.events.add("new" if kept.publications == 1 else "repeated")
        for verdict in kept.verdicts.listed:
            metrics.verdicts.add(verdict.kind.name.lower())
        if kept.verdicts.left_out:
            metrics.verdicts.add(UNLISTED, count=kept.verdicts.left_out)

    async def _write_in_parts(
        self,
        kept: KeptEvent,
        conditions: Sequence[Condition],
        fan_out: FanOut,
        noted: Callable[[KeptEvent, AskedPage], KeptEvent],
        step: str,
        *,
        checked: bool,
    ) -> tuple[KeptEvent, list[Run]] | None:
        """Write the event's record with the first runs and, if there are more, the fan-out.

        A fan-out that asks the same and is under way asks all triggers once more when it has come to its end.

        Args:
            noted: Gives the record with what the first triggers say.
            checked: Write only if none of the first triggers has changed since it was read.

        Returns:
            The record and the runs as they were written; None when somebody else has changed something.
        """
        record = await self._storage.find(FAN_OUTS, fan_out.id, fan_out_from_record, step)
        if record is not None:
            again = replace(record, again=True, stamp=new_stamp())
            write = Write(EVENTS, "put", event_to_record(kept), conditions=conditions, required=True)
            same = [as_stamped(record.stamp)]
            marked = Write(FAN_OUTS, "put", fan_out_to_record(again), conditions=same, required=True)
            results = await self._storage.write_alone([write, marked], step)
            return (kept, []) if all(result.ok for result in results) else None
        had = {} if fan_out.forced else kept.verdicts.runs
        asked = await self._fan_outs.ask(fan_out, lambda trigger_id: trigger_id in had)
        kept = noted(kept, asked)
        checks = asked.checks() if checked else []
        counting = self._causes.counting(fan_out.cause, asked.runs)
        if not asked.page.more:
            write = Write(EVENTS, "put", event_to_record(kept), conditions=conditions, required=True)
            first, *results = await self._storage.write_alone([write, *checks, *asked.writes(), *counting.writes], step)
            if not first.ok:
                return None
            results = await self._counted(counting, asked.runs, results[len(checks) :])
            return kept, await self._made(kept, asked.runs, results, step)
        kept = replace(kept, unfinished=kept.unfinished + 1)
        write = Write(EVENTS, "put", event_to_record(kept), conditions=conditions, required=True)
        fan_out = replace(fan_out, place=asked.page.place, met=len(asked.runs))
        begun = Write(FAN_OUTS, "put", fan_out_to_record(fan_out), conditions=[absent()], required=True)
        first, *results = await self._storage.write_alone(
            [write, begun, *checks, *asked.writes(), *counting.writes], step
        )
        if not first.ok:
            return None
        results = await self._counted(counting, asked.runs, results[1 + len(checks) :])
        made = await self._made(kept, asked.runs, results, step)
        self._fan_outs.begun(fan_out)
        return kept, made

    def _fit(self, event: Event, met: Sequence[EventTrigger]) -> bool:
        """Return whether one commit takes the runs of these triggers beside the event."""
        size_bytes = len(met) * (len(event.data) + RUN_BYTES) + sum(len(trigger.target.data) for trigger in met)
        return len(met) <= self._runs_per_commit and (size_bytes <= COMMIT_BYTES or len(met) == 1)

    # Replaying

    async def replay(self, wanted: ReplayRequest) -> tuple[Replay, bool]:
        """Evaluate the triggers as they are now for a kept event; return what came of it, and whether it did so before.

        Raises:
            ObjectNotFound: no such event, or a trigger that is asked for does not exist.
            StateConflict: the event had another replay of that id.
        """
        step = "replay event"
        async with self._turn(wanted.event_id):
            for attempt in range(ATTEMPTS):
                kept = await self._storage.find(EVENTS, wanted.event_id, event_from_record, step)
                if kept is None:
                    raise ObjectNotFound(KIND, wanted.event_id)
                earlier = _earlier(kept, wanted)
                if earlier is not None:
                    return earlier, True
                known = await self._triggers.of_type(kept.event.type)
                if not wanted.trigger_ids and not (known.complete and self._fit(kept.event, known.fitting(kept.event))):
                    replay = await self._replay_in_parts(kept, wanted, step, checked=attempt < CHECKED)
                else:
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
            fitting = [trigger for trigger in near if fits(trigger, event)]
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
            replace(event_run(trigger, run_ids[trigger.id], event, kept.published_by, now), timeline=replayed)
            for trigger in met
        ]
        noted, left_out = replays.noted(kept.replays, kept.replays_left_out, replay)
        after = replace(
            kept,
            verdicts=adding_runs(kept.verdicts, {trigger.id: run_ids[trigger.id] for trigger in met}),
            replays=noted,
            replays_left_out=left_out,
            stamp=new_stamp(),
        )
        conditions = [known.condition, as_stamped(kept.stamp)]
        write = Write(EVENTS, "put", event_to_record(after), conditions=conditions)
        first, *results = await self._write(write, after, runs, step)
        if not first.ok:
            return None
        self._fan_outs.made(runs, results)
        return replay

    async def _replay_in_parts(
        self, kept: KeptEvent, wanted: ReplayRequest, step: str, *, checked: bool
    ) -> Replay | None:
        """Return what came of the first triggers, the others are left to a fan-out; None when the event has changed."""
        now = self._clock()
        fan_out = FanOut(
            fan_out_id(kept.event, kept.plugin, wanted.id),
            kept.id,
            kept.event,
            kept.published_by,
            kept.plugin,
            now,
            self._fan_outs.claimant,
            new_stamp(),
            replay_id=wanted.id,
            forced=wanted.mode is ReplayMode.FORCED,
            replayed_by=wanted.by.subject_id,
        )
        if wanted.mode is ReplayMode.DRY_RUN:
            return await self._rehearsed(kept, wanted, fan_out, step)

        def noted(event: KeptEvent, asked: AskedPage) -> KeptEvent:
            found = adding(NONE_NEAR, asked.verdicts())
            replay = Replay(
                wanted.id, wanted.mode, now, wanted.by, (), len(asked.runs), found, unfinished=asked.page.more
            )
            with_this, left_out = replays.noted(event.replays, event.replays_left_out, replay)
            return replace(
                event,
                verdicts=adding_runs(event.verdicts, {run.trigger.trigger_id: run.id for run in asked.runs}),
                replays=with_this,
                replays_left_out=left_out,
                stamp=new_stamp(),
            )

        same = [as_stamped(kept.stamp)]
        written = await self._write_in_parts(kept, same, fan_out, noted, step, checked=checked)
        return None if written is None else written[0].replays[-1]

    async def _rehearsed(self, kept: KeptEvent, wanted: ReplayRequest, fan_out: FanOut, step: str) -> Replay:
        """Return what a replay of missing runs would do, page by page, without a write."""
        had, runs, found = kept.verdicts.runs, 0, NONE_NEAR
        while True:
            asked = await self._fan_outs.ask(fan_out, lambda trigger_id: trigger_id in had)
            existing = await self._existing([run.id for run in asked.runs], step)
            verdicts = [
                replace(verdict, kind=VerdictKind.DUPLICATE)
                if verdict.run_id in existing
                else replace(verdict, run_id="")
                for verdict in asked.verdicts()
            ]
            runs += sum(verdict.kind is VerdictKind.MATCHED for verdict in verdicts)
            found = adding(found, verdicts)
            if not asked.page.more:
                return Replay(wanted.id, wanted.mode, fan_out.began, wanted.by, (), runs, found)
            fan_out = replace(fan_out, place=asked.page.place)

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

    async def _write(
        self, write: Write, kept: KeptEvent, runs: Sequence[Run], step: str, cause: Cause | None = None
    ) -> list[WriteResult]:
        """Write the event's record, and the runs on condition that it is written; return their results."""
        written = [as_stamped(kept.stamp, store=EVENTS, id=kept.id)]
        counting = self._causes.counting(cause, runs, written)
        writes = [
            write,
            *(Write(RUNS, "add", run_to_record(run), conditions=written) for run in runs),
            *counting.writes,
        ]
        first, *results = await self._storage.write(writes, step)
        return [first, *(await self._counted(counting, runs, results) if first.ok else results[: len(runs)])]

    async def _counted(
        self, counting: Counting, runs: Sequence[Run], results: Sequence[WriteResult]
    ) -> list[WriteResult]:
        """Count the runs by their cause; ``results`` are those of the runs, which are returned, and of the counting."""
        await self._causes.counted(counting, results[len(runs) :])
        return list(results[: len(runs)])

    def _published(
        self, kept: KeptEvent, event: Event, plugin: str, known: KnownType, now: datetime, cause: Cause | None
    ) -> tuple[list[EventTrigger], KeptEvent]:
        """Return the triggers that get a run of this publication, and the record with its verdicts."""
        met, verdicts = judged(known.triggers, known.fitting(event), event, plugin, now, kept.verdicts.runs)
        excesses: dict[str, Excess] = {}
        for trigger in met if cause is not None else ():
            excess = self._causes.excess(cause, counted_for(trigger.created_by.subject_id, trigger.id))
            if cause is not None and excess is not None:
                excesses[trigger.id] = excess
                self._causes.stop(trigger.id, cause, excess)
        if excesses:
            met = [trigger for trigger in met if trigger.id not in excesses]
            verdicts = stopped(verdicts, {id: (excess.allowed, excess.actual) for id, excess in excesses.items()})
        run_ids = {trigger.id: ids.event_run(trigger.id, event.source, event.id) for trigger in met}
        return met, replace(kept, verdicts=with_runs(verdicts, run_ids))

    async def _made(self, kept: KeptEvent, runs: Sequence[Run], results: Sequence[WriteResult], step: str) -> list[Run]:
        created = self._fan_outs.made(runs, results)
        if len(created) < len(runs):
            # Runs are kept longer than events, so some may have been there without the record telling.
            made = {run.id for run in created}
            had = {run.trigger.trigger_id for run in runs if run.id not in made}
            known = replace(kept, verdicts=as_duplicates(kept.verdicts, had), stamp=new_stamp())
            write = Write(EVENTS, "put", event_to_record(known), conditions=[as_stamped(kept.stamp)])
            try:
                await self._storage.write([write], step)
            except StorageFailed as error:  # the event is published all the same
                log.warning("verdicts not corrected", event_name="event.uncorrected", id=kept.id, error=str(error))
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


def _event_runs(
    met: Sequence[EventTrigger], event: Event, publisher: Actor, now: datetime, cause: Cause | None
) -> list[Run]:
    return [event_run(t, ids.event_run(t.id, event.source, event.id), event, publisher, now, cause) for t in met]


def _repeated(earlier: KeptEvent, event: Event, now: datetime) -> KeptEvent:
    """Return the record of an event that was published again."""
    return replace(
        earlier,
        publications=earlier.publications + 1,
        last_published_at=now,
        conflicts=earlier.conflicts + (not _same(earlier.event, event)),
        stamp=new_stamp(),
    )


def _with_verdicts(kept: KeptEvent, asked: AskedPage) -> KeptEvent:
    return replace(kept, verdicts=adding(kept.verdicts, asked.verdicts()))


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
                    f"replay {quoted(wanted.id)} of {KIND} {quoted(kept.id)} was another one: "
                    f"mode {replay.mode.name}, {len(replay.trigger_ids) or 'all'} triggers"
                )
            return replay
    return None


def _same(first: Event, second: Event) -> bool:
    return (first.type, first.subject) == (second.type, second.subject) and same_event(first.data, second.data)
