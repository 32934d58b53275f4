"""Keep published events: one record each, in two indexes; small facts share one text field.

An event costs every publish one record more, so what is not indexed or compared has no field of its own, and what a
first publication does not know yet is left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gestalt_workflow.events import replays, verdicts
from gestalt_workflow.events.replays import Replay
from gestalt_workflow.events.verdicts import NONE_NEAR, Verdicts
from gestalt_workflow.model.clock import from_micros, to_micros
from gestalt_workflow.model.objects import NOBODY, Actor, Cause, Event
from gestalt_workflow.stored.records import cause, cause_fields, decoding
from gestalt_workflow.stored.storage import Condition, Record


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """A published event with what became of it.

    Attributes:
        event: As it was published first.
        published_at, published_by: The first time, on this provider's clock, and who.
        plugin: Only triggers whose target is of this plugin were asked; blank for all.
        publications, last_published_at: How often it came, and when last if that was not the only time.
        conflicts: How many later publications were another event but for source and id.
        replays, replays_left_out: The last ones, oldest first, and how many older ones there were.
        cause: Of the first publication; None when nothing caused it.
        unfinished: Publications and replays whose triggers have not all been asked (``fan_outs``).
        stamp: Random text that every write replaces: whoever knows it knows that record, and wrote or read it.
    """

    id: str
    event: Event
    published_at: datetime
    published_by: Actor = NOBODY
    plugin: str = ""
    verdicts: Verdicts = NONE_NEAR
    publications: int = 1
    last_published_at: datetime | None = None
    conflicts: int = 0
    replays: tuple[Replay, ...] = ()
    replays_left_out: int = 0
    cause: Cause | None = None
    unfinished: int = 0
    stamp: str = ""


def as_stamped(stamp: str, *, store: str = "", id: str = "") -> Condition:
    """Return the condition that the event's record (the write's own, or another) is the one with that stamp."""
    return Condition.equals("stamp", stamp, store=store, id=id)


def event_to_record(kept: KeptEvent) -> Record:
    """Return the record that keeps the event."""
    event, by = kept.event, kept.published_by
    facts = [event.source, event.id, event.subject, kept.plugin]
    if by != NOBODY:
        facts += [by.subject_id, by.subject_kind, by.display_name, by.auth_source]
    record: Record = {
        "id": kept.id,
        "type": event.type,
        "created_us": to_micros(kept.published_at),
        "data": event.data,
        "facts": _text(facts),
        "stamp": kept.stamp,
        **cause_fields(kept.cause),
    }
    if kept.verdicts.listed:
        record["verdicts"] = _text(verdicts.to_rows(kept.verdicts, event))
    if kept.replays:
        rows = [replays.to_row(replay, event) for replay in kept.replays]
        record["replays"] = _text([kept.replays_left_out, *rows])
    if kept.publications > 1:
        record["publications"] = kept.publications
    if kept.last_published_at is not None:
        record["last_us"] = to_micros(kept.last_published_at)
    if kept.conflicts:
        record["conflicts"] = kept.conflicts
    if kept.unfinished:
        record["unfinished"] = kept.unfinished
    return record


@decoding
def event_from_record(record: Record) -> KeptEvent:
    """Return the event that the record keeps; raise ``Undecodable`` when it is not one."""
    source, event_id, subject, plugin, *actor = json.loads(record["facts"])
    if not isinstance(record["data"], bytes):
        raise TypeError("data is not encoded")
    event = Event(event_id, source, record["type"], subject, record["data"])
    replays_left_out, *rows = json.loads(record.get("replays", "[0]"))
    return KeptEvent(
        id=record["id"],
        event=event,
        published_at=from_micros(record["created_us"]),
        published_by=Actor(*actor) if actor else NOBODY,
        plugin=plugin,
        verdicts=verdicts.from_rows(json.loads(record["verdicts"]), event) if "verdicts" in record else NONE_NEAR,
        publications=record.get("publications", 1),
        last_published_at=from_micros(record["last_us"]) if "last_us" in record else None,
        conflicts=record.get("conflicts", 0),
        replays=tuple(replays.from_row(row, event) for row in rows),
        replays_left_out=replays_left_out,
        cause=cause(record),
        unfinished=record.get("unfinished", 0),
        stamp=record["stamp"],
    )


def _text(rows: Sequence[object]) -> str:
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
