"""Make the runs of events whose matches do not fit one commit, page by page (decision 23).

An event with a fan-out is accepted in one commit: the event, the fan-out's record and the runs of its first page. Each
further commit makes the runs of one page and moves the fan-out's place behind it; the last one deletes the record.
Every commit names the stamp of the one before, so of two processes that work on one fan-out only one goes on, and a
run's id is made of trigger and event, so nothing is run twice. It names the revisions of the triggers that it makes
runs of, too; who changes some all the time is read once more ``CHECKED`` times, and then taken as he was read.

A fan-out belongs to the process that wrote its record last. Another one takes it over when that process is gone, or has
written nothing for ``TAKEN_OVER_AFTER``; no clock is compared for that.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from gestalt_sdk.common.beats import Beat
from gestalt_workflow.claims import transitions
from gestalt_workflow.claims.claimants import provably_dead
from gestalt_workflow.events import replays
from gestalt_workflow.events.kept_events import KeptEvent, as_stamped, event_from_record, event_to_record
from gestalt_workflow.events.trigger_pages import TriggerPage, TriggerPages
from gestalt_workflow.events.verdicts import (
    OTHERS_LISTED,
    WITH_RUN_LISTED,
    Verdict,
    VerdictKind,
    Verdicts,
    adding,
    adding_runs,
    judge,
)
from gestalt_workflow.model import ids, timeline
from gestalt_workflow.model.clock import WatchedClock, from_micros, to_micros
from gestalt_workflow.model.errors import StorageFailed, StorageUnavailable
from gestalt_workflow.model.objects import NOBODY, Actor, Cause, Event, EventTrigger, Run
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.objects.causes import Causes, counted_for
from gestalt_workflow.stored.records import (
    EVENTS,
    FAN_OUTS,
    RUNS,
    TRIGGERS,
    cause,
    cause_fields,
    decoding,
    run_to_record,
)
from gestalt_workflow.stored.storage import Record, Storage, Write, WriteResult, at_revision
from gestalt_workflow.wire.payloads import event_trigger

PAGE = 1000
"""Triggers that one commit asks, where a commit may make so many runs."""
PAGE_BYTES = 8 * 1024 * 1024
LOOKED_AT = 100
"""Fan-outs that one look finds; those that have come the least far are first."""
TAKEN_OVER_AFTER = timedelta(seconds=10)
RETRY_S = 1.0
CHECKED = 4
"""How often a page that was read is written only if its triggers have not changed meanwhile."""
STEP = "fan out event"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FanOut:
    """A publication, or a replay, whose triggers have not all been asked.

    Attributes:
        event_id: Of the event's record.
        event, publisher, plugin: As they were published.
        began: When it was published or replayed.
        place: How far the triggers have been asked; blank: none was.
        met: Runs that it was to make so far.
        again: The event was published again meanwhile: the triggers are asked once more from the beginning.
        cause: Of the event; None when nothing caused it, and for replays.
        replay_id, forced, replayed_by: Of a replay; blank and false otherwise.
        claimant: The process that wrote this record.
        stamp: Random text that every write replaces.
    """

    id: str
    event_id: str
    event: Event
    publisher: Actor
    plugin: str
    began: datetime
    claimant: str
    stamp: str
    place: str = ""
    met: int = 0
    again: bool = False
    replay_id: str = ""
    forced: bool = False
    replayed_by: str = ""
    cause: Cause | None = None

    def run_id(self, trigger_id: str) -> str:
        """Return the id of the run that the trigger gets."""
        source, event_id = self.event.source, self.event.id
        if self.forced:
            return ids.replayed_run(trigger_id, source, event_id, self.replay_id)
        return ids.event_run(trigger_id, source, event_id)


def fan_out_id(event: Event, plugin: str, replay_id: str = "") -> str:
    """Return the id of the fan-out that asks the same triggers for the same event."""
    parts = (event.source, event.id, event.type, event.subject, plugin, replay_id)
    return "fan_out:" + hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def new_stamp() -> str:
    """Return a stamp that no other write has."""
    return secrets.token_hex(8)


def fan_out_to_record(fan_out: FanOut) -> Record:
    """Return the record that keeps the fan-out."""
    event, by = fan_out.event, fan_out.publisher
    facts = [
        [event.id, event.source, event.type, event.subject],
        [by.subject_id, by.subject_kind, by.display_name, by.auth_source],
        fan_out.plugin,
        [fan_out.replay_id, fan_out.forced, fan_out.replayed_by],
    ]
    return {
        "id": fan_out.id,
        "event_id": fan_out.event_id,
        "data": event.data,
        "facts": json.dumps(facts, ensure_ascii=False, separators=(",", ":")),
        "began_us": to_micros(fan_out.began),
        "place": f"+{fan_out.place}",
        "met": fan_out.met,
        "again": fan_out.again,
        "owner": fan_out.claimant,
        "stamp": fan_out.stamp,
        **cause_fields(fan_out.cause),
    }


@decoding
def fan_out_from_record(record: Record) -> FanOut:
    """Return the fan-out that the record keeps; raise ``Undecodable`` when it is not one."""
    (id, source, type, subject), publisher, plugin, (replay_id, forced, replayed_by) = json.loads(record["facts"])
    if not isinstance(record["data"], bytes):
        raise TypeError("data is not encoded")
    return FanOut(
        id=record["id"],
        event_id=record["event_id"],
        event=Event(id, source, type, subject, record["data"]),
        publisher=Actor(*publisher),
        plugin=plugin,
        began=from_micros(record["began_us"]),
        claimant=record["owner"],
        stamp=record["stamp"],
        place=record["place"].removeprefix("+"),
        met=record["met"],
        again=bool(record["again"]),
        replay_id=replay_id,
        forced=forced,
        replayed_by=replayed_by,
        cause=cause(record),
    )


def event_run(
    trigger: EventTrigger, run_id: str, event: Event, publisher: Actor, now: datetime, cause: Cause | None = None
) -> Run:
    """Return the run that the trigger makes of the event."""
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
        cause=cause,
    )


@dataclass(frozen=True, slots=True)
class AskedPage:
    """What the triggers of one page say: the runs to make, and up to ``OTHERS_LISTED`` verdicts without one."""

    page: TriggerPage
    met: Sequence[EventTrigger]
    runs: Sequence[Run]
    others: Sequence[Verdict]

    def checks(self) -> list[Write]:
        """Return the writes that let the commit fail when a trigger that makes a run has changed."""
        return [
            Write(TRIGGERS, "check", id=trigger.id, conditions=[at_revision(trigger.revision)], required=True)
            for trigger in self.met
        ]

    def writes(self) -> list[Write]:
        """Return the writes of the runs."""
        return [Write(RUNS, "add", run_to_record(run)) for run in self.runs]

    def verdicts(self, results: Sequence[WriteResult] = ()) -> list[Verdict]:
        """Return the verdicts of the page, with what became of the runs as far as it is known."""
        kinds = [VerdictKind.MATCHED if result.ok else VerdictKind.DUPLICATE for result in results]
        kinds = kinds or [VerdictKind.MATCHED] * len(self.runs)
        made = [Verdict(run.trigger.trigger_id, kind, run.id) for run, kind in zip(self.runs, kinds, strict=True)]
        return [*made, *self.others]


class FanOuts:
    """Every fan-out; ``run`` is the loop that takes them further, a page of each in turn."""

    def __init__(
        self,
        storage: Storage,
        claimant: str,
        news: RunNews,
        clock: WatchedClock,
        causes: Causes,
        runs_per_commit: int,
    ) -> None:
        """``claimant`` is the name of this process; ``runs_per_commit`` the most runs that a commit makes."""
        self._storage = storage
        self.claimant = claimant
        self._news = news
        self.causes = causes
        self.metrics = news.metrics
        self._clock = clock
        self._pages = TriggerPages(storage)
        self._page_size = min(PAGE, runs_per_commit)
        self._wake = asyncio.Event()
        self._others: dict[str, tuple[str, timedelta]] = {}
        """Stamp of each fan-out that another process works on, and since when it has been seen with that."""
        self._tried: dict[str, tuple[str, int]] = {}
        """Where a fan-out was not taken further because something had changed, and how often."""
        self._refused: dict[str, timedelta] = {}
        """When the store refused to take a fan-out further."""
        self._verdicts: dict[str, list[Verdict]] = {}
        """What the triggers asked by this process said, as far as the event's record will list it."""
        self.unfinished = 0
        """Fan-outs that were there at the last look, as far as one look sees."""

    def look(self) -> None:
        """Have the loop look for fan-outs."""
        self._wake.set()

    async def ask(self, fan_out: FanOut, had: Callable[[str], bool] = lambda _: False) -> AskedPage:
        """Ask the next triggers of the fan-out; ``had`` tells which of them have a run of another id."""
        page = await self._pages.behind(fan_out.place, fan_out.event, self._page_size, PAGE_BYTES, STEP)
        now = self._clock()
        met: list[EventTrigger] = []
        runs: list[Run] = []
        others: list[Verdict] = []
        for trigger in page.triggers:
            if had(trigger.id):
                continue
            verdict = judge(trigger, fan_out.event, fan_out.plugin, now)
            excess = self.causes.excess(fan_out.cause, counted_for(trigger.created_by.subject_id, trigger.id))
            if verdict.kind is VerdictKind.MATCHED and excess is not None and fan_out.cause is not None:
                self.causes.stop(trigger.id, fan_out.cause, excess)
                verdict = Verdict(trigger.id, VerdictKind.LOOP, "", excess.allowed, excess.actual)
            if verdict.kind is VerdictKind.MATCHED:
                met.append(trigger)
                runs.append(self._run(trigger, fan_out, now))
            elif len(others) < OTHERS_LISTED:
                others.append(verdict)
        return AskedPage(page, met, runs, others)

    def _run(self, trigger: EventTrigger, fan_out: FanOut, now: datetime) -> Run:
        run = event_run(trigger, fan_out.run_id(trigger.id), fan_out.event, fan_out.publisher, now, fan_out.cause)
        if not fan_out.replay_id:
            return run
        replayed = timeline.noted("", timeline.REPLAYED, now, detail=fan_out.replay_id, subject_id=fan_out.replayed_by)
        return replace(run, timeline=replayed)

    def begun(self, fan_out: FanOut) -> None:
        """Take note of a fan-out that this process has written; the loop goes on with it."""
        self.unfinished = max(self.unfinished, 1)
        self._wake.set()
        log.info(
            "event has more matches than one commit takes",
            event_name="fan_out.began",
            id=fan_out.event_id,
            type=fan_out.event.type,
            runs=fan_out.met,
        )

    async def run(self, beat: Beat) -> None:
        """Take fan-outs further until all are finished, then wait for the next."""
        self._wake.set()
        while True:
            if not self._wake.is_set():
                beat.rest()
            await self._wake.wait()
            self._wake.clear()
            beat.beat()
            try:
                if await self.advance(beat):
                    self._wake.set()
            except StorageFailed as error:
                log.warning("fan-outs not taken further", event_name="fan_out.failed", error=str(error))
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def advance(self, beat: Beat | None = None) -> bool:
        """Take each of the first fan-outs that are this process's one page further; return whether there was one."""
        token, seen, worked = b"", set[str](), False
        while not worked:
            page = await self._storage.page(FAN_OUTS, "place", [], STEP, limit=LOOKED_AT, token=token)
            for _, fan_out in self._storage.decoded(FAN_OUTS, page.records, fan_out_from_record):
                seen.add(fan_out.id)
                if not self._may_take(fan_out):
                    continue
                if beat is not None:
                    beat.beat()
                worked |= await self._attempt(fan_out)
            token = page.next_token
            if not token:
                break
        self.unfinished = len(seen)
        if not token:
            self._others = {id: met for id, met in self._others.items() if id in seen}
            self._tried = {id: tried for id, tried in self._tried.items() if id in seen}
            self._refused = {id: at for id, at in self._refused.items() if id in seen}
            self._verdicts = {id: listed for id, listed in self._verdicts.items() if id in seen}
        return worked

    async def _attempt(self, fan_out: FanOut) -> bool:
        """Take it further; one that the store refuses stands in the way of no other, and is tried again later."""
        try:
            await self._advance(fan_out)
        except StorageUnavailable:
            raise
        except StorageFailed as error:
            self._refused[fan_out.id] = self._clock.elapsed()
            log.warning("fan-out not taken further", event_name="fan_out.failed", id=fan_out.event_id, error=str(error))
            return False
        self._refused.pop(fan_out.id, None)
        return True

    def _may_take(self, fan_out: FanOut) -> bool:
        refused = self._refused.get(fan_out.id)
        if refused is not None and self._clock.elapsed() - refused < TAKEN_OVER_AFTER:
            return False
        if fan_out.claimant == self.claimant or provably_dead(fan_out.claimant):
            return True
        stamp, since = self._others.get(fan_out.id, ("", timedelta()))
        if stamp != fan_out.stamp:
            self._others[fan_out.id] = fan_out.stamp, self._clock.elapsed()
            return False
        return self._clock.elapsed() - since >= TAKEN_OVER_AFTER

    async def _advance(self, fan_out: FanOut) -> None:
        kept = None if fan_out.forced else await self._storage.find(EVENTS, fan_out.event_id, event_from_record, STEP)
        had = {} if kept is None else kept.verdicts.runs
        asked = await self.ask(fan_out, lambda trigger_id: trigger_id in had)
        after = replace(
            fan_out,
            place=asked.page.place,
            met=fan_out.met + len(asked.runs),
            claimant=self.claimant,
            stamp=new_stamp(),
        )
        if asked.runs or asked.page.more:
            place, tried = self._tried.get(fan_out.id, ("", 0))
            tried = tried if place == fan_out.place else 0
            unchanged = [as_stamped(fan_out.stamp)]
            moved = Write(FAN_OUTS, "put", fan_out_to_record(after), conditions=unchanged, required=True)
            checks = asked.checks() if tried < CHECKED else []
            counting = self.causes.counting(after.cause, asked.runs)
            results = await self._storage.write_alone([moved, *checks, *asked.writes(), *counting.writes], STEP)
            if not results[0].ok:  # another process goes on with it, it was published again, or a trigger has changed
                self._tried[fan_out.id] = fan_out.place, tried + 1
                return
            results = results[1 + len(checks) :]
            await self.causes.counted(counting, results[len(asked.runs) :])
            results = results[: len(asked.runs)]
            self.made(asked.runs, results)
            verdicts = asked.verdicts(results)
            self.note(after, verdicts)
            if not fan_out.replay_id:
                for verdict in verdicts:
                    self.metrics.verdicts.add(verdict.kind.name.lower())
            fan_out = after
        if not asked.page.more:
            await self._end(fan_out)

    def made(self, runs: Sequence[Run], results: Sequence[WriteResult]) -> list[Run]:
        """Tell of the runs that were written, and return them."""
        created = [run for run, result in zip(runs, results, strict=True) if result.ok]
        for run in created:
            self._news.committed(run)
        return created

    def note(self, fan_out: FanOut, verdicts: Sequence[Verdict]) -> None:
        """Keep the verdicts until the fan-out ends, as many as the event's record lists."""
        listed = self._verdicts.setdefault(fan_out.id, [])
        if len(self._verdicts) > LOOKED_AT:
            del self._verdicts[next(iter(self._verdicts))]
        listed += verdicts[: max(WITH_RUN_LISTED + OTHERS_LISTED - len(listed), 0)]

    async def _end(self, fan_out: FanOut) -> None:
        """Delete the record, and let the event's say what came of it; or begin anew when it was published again."""
        if fan_out.again:
            anew = replace(fan_out, place="", again=False, claimant=self.claimant, stamp=new_stamp())
            write = Write(FAN_OUTS, "put", fan_out_to_record(anew), conditions=[as_stamped(fan_out.stamp)])
            await self._storage.write([write], STEP)
            return
        near = await self._storage.count(TRIGGERS, "type", [fan_out.event.type], STEP)
        listed = self._verdicts.get(fan_out.id, [])
        finished = False
        while not finished:
            kept = await self._storage.find(EVENTS, fan_out.event_id, event_from_record, STEP)
            writes = [Write(FAN_OUTS, "delete", id=fan_out.id, conditions=[as_stamped(fan_out.stamp)], required=True)]
            if kept is not None:
                after = _finished(kept, fan_out, listed, near)
                same = [as_stamped(kept.stamp)]
                writes.append(Write(EVENTS, "put", event_to_record(after), conditions=same, required=True))
            finished = all(result.ok for result in await self._storage.write_alone(writes, STEP))
            if not finished and (kept is None or await self._changed(fan_out)):
                return
        self._verdicts.pop(fan_out.id, None)
        log.info(
            "event has reached all its triggers",
            event_name="fan_out.finished",
            id=fan_out.event_id,
            type=fan_out.event.type,
            runs=fan_out.met,
            seconds=round((self._clock() - fan_out.began).total_seconds(), 3),
        )

    async def _changed(self, fan_out: FanOut) -> bool:
        found = await self._storage.find(FAN_OUTS, fan_out.id, fan_out_from_record, STEP)
        return found is None or found.stamp != fan_out.stamp


def _finished(kept: KeptEvent, fan_out: FanOut, listed: Sequence[Verdict], near: int) -> KeptEvent:
    """Return the event's record when the fan-out has ended; ``near``: how many triggers its type has."""
    kept = replace(kept, unfinished=max(kept.unfinished - 1, 0), stamp=new_stamp())
    if fan_out.replay_id:
        runs = {verdict.trigger_id: verdict.run_id for verdict in listed if verdict.kind is VerdictKind.MATCHED}
        verdicts = adding_runs(kept.verdicts, runs)
        return replace(kept, verdicts=verdicts, replays=replays.finished(kept.replays, fan_out.replay_id, fan_out.met))
    verdicts = adding(kept.verdicts, listed)
    left_out = max(near - len(verdicts.listed), 0)
    return replace(kept, verdicts=Verdicts(verdicts.listed, left_out))
