"""Define what is stored: object stores, their indexes, and the records of every object.

Targets, triggers, signals and references are one bytes field each; only what is indexed, compared or shown alone has
a field of its own. A field that has nothing to say is left out, which also keeps the record out of every index that
contains it: a run is in ``hot`` only while it is pending, in ``held`` only while it is claimed, a schedule in ``due``
only while it can fire, a signal in ``waiting`` only until it is delivered. Of the indexes that queries use, only
``status`` changes after a run was created; the others cost one row each, once.

A trigger has a row in ``TRIGGER_ROUNDS`` besides, by which triggers that ask for the same are read in turn; an event
with more matches than fit one commit has one in ``FAN_OUTS`` until all have their run.

``created_us`` repeats ``created_at`` in microseconds: bounds within a compound key cannot be times. Field names are
those of the first format, whatever the words of the code: ``owner`` is the claimant, ``target_owner`` the target's
plugin, ``waiting`` counts undelivered signals, ``story`` is the timeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from gestalt_sdk.common.texts import cut
from gestalt_sdk.indexeddb import IndexSchema, ObjectStoreSchema, Record
from gestalt_sdk.transport.values import rfc3339
from gestalt_workflow.model.clock import from_micros, to_micros
from gestalt_workflow.model.errors import Undecodable
from gestalt_workflow.model.objects import (
    NOBODY,
    Actor,
    Cause,
    EventMatch,
    EventTrigger,
    Reference,
    Run,
    RunStatus,
    RunTrigger,
    Schedule,
    Signal,
    SlotRange,
    SlotState,
    Target,
    TriggerKind,
)
from gestalt_workflow.stored.policy_records import (
    pause,
    pause_fields,
    run_policy,
    run_policy_fields,
    schedule_policy,
    schedule_policy_fields,
)

FORMAT = "wf_format"
SCHEDULES = "wf_schedules"
TRIGGERS = "wf_triggers"
TRIGGER_TYPES = "wf_trigger_types"
RUNS = "wf_runs"
RUN_KEYS = "wf_run_keys"
SIGNALS = "wf_signals"
SIGNAL_KEYS = "wf_signal_keys"
REFERENCES = "wf_references"
CLAIMANTS = "wf_owners"
SLOTS = "wf_slots"
EVENTS = "wf_events"
FAN_OUTS = "wf_fan_outs"
CAUSES = "wf_causes"
TRIGGER_ROUNDS = "wf_trigger_rounds"
PERMITS = "wf_permits"

READY = "ready"
"""First part of the ``hot`` index: where earlier versions queued runs, whoever they were of."""
LATER = "later"
"""Beside the queue, runs that are held back until a moment, in the order of the moments."""
BLOCKED = "blocked"
"""Beside the queue, runs that are held back until another has ended."""
LANE = "lane "
"""The queue, and the lanes beside it for runs that were set aside behind a limit of their target: see ``turn_key``.

Earlier versions read every such value as that of a lane, keep it when they write the record again, and bring the run
back to ``READY`` when it belongs to no limit of theirs: so they can work on one database with this one.
"""
LANES_END = "lane!"
"""Greater than the keys of all turns."""

SCHEMAS: Mapping[str, ObjectStoreSchema] = {
    FORMAT: ObjectStoreSchema(),
    SCHEDULES: ObjectStoreSchema([IndexSchema("due", ["due_at"]), IndexSchema("created", ["created_at"])]),
    TRIGGERS: ObjectStoreSchema([IndexSchema("type", ["match_type"]), IndexSchema("created", ["created_at"])]),
    TRIGGER_TYPES: ObjectStoreSchema(),
    RUNS: ObjectStoreSchema(
        [
            IndexSchema("hot", ["queue", "rank_at"]),
            IndexSchema("held", ["owner", "epoch"]),
            IndexSchema("created", ["created_at"]),
            IndexSchema("slot", ["schedule_id", "slot"]),
            IndexSchema("status", ["status", "created_us"]),
            IndexSchema("subject", ["subject", "created_us"]),
            IndexSchema("target", ["target_owner", "created_us"]),
            IndexSchema("trigger", ["trigger_id", "created_us"]),
        ]
    ),
    RUN_KEYS: ObjectStoreSchema(),
    SIGNALS: ObjectStoreSchema(
        [
            IndexSchema("sequence", ["run_id", "sequence"], unique=True),
            IndexSchema("waiting", ["waiting", "sequence"]),
        ]
    ),
    SIGNAL_KEYS: ObjectStoreSchema(),
    REFERENCES: ObjectStoreSchema(
        [IndexSchema("subject", ["subject_id", "created_at"]), IndexSchema("created", ["created_at"])]
    ),
    CLAIMANTS: ObjectStoreSchema(),
    SLOTS: ObjectStoreSchema([IndexSchema("place", ["place"]), IndexSchema("last", ["last"])]),
    EVENTS: ObjectStoreSchema([IndexSchema("created", ["created_us"]), IndexSchema("type", ["type", "created_us"])]),
    PERMITS: ObjectStoreSchema(),
    TRIGGER_ROUNDS: ObjectStoreSchema(
        [IndexSchema("meets", ["meets", "place"]), IndexSchema("subject", ["type_and_subject"])]
    ),
    CAUSES: ObjectStoreSchema(),
    FAN_OUTS: ObjectStoreSchema([IndexSchema("place", ["place"])]),
}

T = TypeVar("T")


def turn_key(lane: str, subject: str) -> str:
    """Return the first part of the ``hot`` index for the runs of a subject in that lane; blank: in the queue."""
    return f"{LANE}{lane}\0{subject}"


def turn_of_key(key: str) -> tuple[str, str | None]:
    """Return lane and subject of such a key. The subject is None where an earlier version set the run aside."""
    lane, separator, subject = key.removeprefix(LANE).partition("\0")
    return lane, subject if separator else None


def turns_of(lane: str) -> tuple[str, str]:
    """Return what the keys of the turns in that lane lie between, blank: in the queue; the second is not one."""
    return f"{LANE}{lane}\0", f"{LANE}{lane}\1"


def decoding(decode: Callable[[Record], T]) -> Callable[[Record], T]:
    """Return a decoder that turns whatever a broken record raises into ``Undecodable``, which names the record."""

    def checked(record: Record) -> T:
        try:
            return decode(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Undecodable(f"record {record.get('id')!r}: {type(error).__name__}: {error}") from error

    return checked


def _compact(record: Record) -> Record:
    """Return the record without the fields that say nothing."""
    return {name: value for name, value in record.items() if value is not None and value != "" and value != ()}


def _actor_to_field(actor: Actor) -> list[str] | None:
    if actor == NOBODY:
        return None
    return [actor.subject_id, actor.subject_kind, actor.display_name, actor.auth_source]


def _actor(record: Record, name: str) -> Actor:
    value = record.get(name)
    return NOBODY if value is None else Actor(*value)


def _time(record: Record, name: str) -> datetime | None:
    value = record.get(name)
    if value is not None and not isinstance(value, datetime):
        raise TypeError(f"{name} is not a time")
    return value


def _moment(record: Record, name: str) -> datetime:
    value = record[name]
    if not isinstance(value, datetime):
        raise TypeError(f"{name} is not a time")
    return value


def _bytes(record: Record, name: str) -> bytes:
    value = record[name]
    if not isinstance(value, bytes):
        raise TypeError(f"{name} is not encoded")
    return value


def _target_fields(target: Target) -> Record:
    return {
        "target": target.data,
        "target_owner": target.plugin,
        "target_priority": target.priority or None,
        "agent_timeout_s": target.agent_timeout_s,
    }


def _target(record: Record) -> Target:
    data, plugin = _bytes(record, "target"), record["target_owner"]
    if not isinstance(plugin, str):
        raise TypeError("target_owner is not a text")
    return Target(data, plugin, record.get("target_priority") or 0, record.get("agent_timeout_s"))


def _tail_fields(tail: SlotRange | None) -> Record:
    if tail is None:
        return {}
    return {
        "tail": tail.id,
        "tail_first": tail.first,
        "tail_last": tail.last,
        "tail_count": tail.count,
        "tail_state": int(tail.state),
        "tail_run": tail.run_id,
    }


def _tail(record: Record) -> SlotRange | None:
    if "tail" not in record:
        return None
    return SlotRange(
        schedule_id=record["id"],
        first=_moment(record, "tail_first"),
        last=_moment(record, "tail_last"),
        count=record["tail_count"],
        state=SlotState(record["tail_state"]),
        recorded_at=_moment(record, "updated_at"),
        run_id=record.get("tail_run", ""),
        id=record["tail"],
    )


def _queue_fields(run: Run) -> Record:
    """Return where a pending run stands in the ``hot`` index; nothing for any other."""
    if run.rank_at is not None:
        return {"queue": turn_key(run.lane, run.subject), "rank_at": run.rank_at}
    if run.status is not RunStatus.PENDING:
        return {}
    if run.not_before is not None:
        return {"queue": LATER, "rank_at": run.not_before}
    return {"queue": BLOCKED, "rank_at": run.created_at} if run.blocked_by else {}


def schedule_to_record(schedule: Schedule) -> Record:
    """Return the record that keeps the schedule."""
    return _compact(
        {
            "id": schedule.id,
            "cron": schedule.cron,
            "timezone": schedule.timezone,
            **_target_fields(schedule.target),
            "paused": schedule.paused,
            "created_at": schedule.created_at,
            "updated_at": schedule.updated_at,
            "next_run_at": schedule.next_run_at,
            "due_at": schedule.due_at,
            "created_by": _actor_to_field(schedule.created_by),
            "execution_ref": schedule.execution_ref,
            "revision": schedule.revision,
            "edit": schedule.edit if schedule.edit != schedule.revision else None,
            **schedule_policy_fields(schedule.policy),
            **pause_fields(schedule.pause if schedule.paused else schedule.ended_pause),
            "recent": list(schedule.recent) or None,
            "ranges": schedule.ranges or None,
            **_tail_fields(schedule.tail),
            "early": [to_micros(moment) for sequence in schedule.early for moment in sequence] or None,
        }
    )


@decoding
def schedule_from_record(record: Record) -> Schedule:
    """Return the schedule that the record keeps; raise ``Undecodable`` when it is not one."""
    early = [from_micros(int(micros)) for micros in record.get("early") or ()]
    return Schedule(
        id=record["id"],
        cron=record["cron"],
        timezone=record["timezone"],
        target=_target(record),
        created_at=_moment(record, "created_at"),
        updated_at=_moment(record, "updated_at"),
        paused=record["paused"],
        next_run_at=_time(record, "next_run_at"),
        created_by=_actor(record, "created_by"),
        execution_ref=record.get("execution_ref", ""),
        revision=record["revision"],
        edit=record.get("edit") or record["revision"],
        policy=schedule_policy(record),
        pause=pause(record) if record["paused"] else None,
        ended_pause=None if record["paused"] else pause(record),
        due_at=_time(record, "due_at"),
        recent=tuple(record.get("recent") or ()),
        ranges=record.get("ranges", 0),
        tail=_tail(record),
        early=tuple(zip(early[::2], early[1::2], strict=True)),
    )


def trigger_to_record(trigger: EventTrigger) -> Record:
    """Return the record that keeps the trigger."""
    return _compact(
        {
            "id": trigger.id,
            "match_type": trigger.match.type,
            "match_source": trigger.match.source,
            "match_subject": trigger.match.subject,
            **_target_fields(trigger.target),
            "paused": trigger.paused,
            "created_at": trigger.created_at,
            "updated_at": trigger.updated_at,
            "created_by": _actor_to_field(trigger.created_by),
            "execution_ref": trigger.execution_ref,
            "revision": trigger.revision,
            **run_policy_fields(trigger.policy),
            **pause_fields(trigger.pause),
            "round": trigger.round,
        }
    )


@decoding
def trigger_from_record(record: Record) -> EventTrigger:
    """Return the trigger that the record keeps; raise ``Undecodable`` when it is not one."""
    return EventTrigger(
        id=record["id"],
        match=EventMatch(record["match_type"], record.get("match_source", ""), record.get("match_subject", "")),
        target=_target(record),
        created_at=_moment(record, "created_at"),
        updated_at=_moment(record, "updated_at"),
        paused=record["paused"],
        created_by=_actor(record, "created_by"),
        execution_ref=record.get("execution_ref", ""),
        revision=record["revision"],
        policy=run_policy(record),
        pause=pause(record),
        round=record.get("round"),
    )


def round_to_record(trigger: EventTrigger, round: int) -> Record:
    """Return the row by which the trigger is found in its turn (``TRIGGER_ROUNDS``)."""
    match = trigger.match
    return {
        "id": trigger.id,
        "meets": meets_key(match.type, match.source, match.subject),
        "place": f"{round:010d}/{trigger.id}",
        "type_and_subject": type_and_subject(match.type, trigger.created_by.subject_id),
    }


def meets_key(type: str, source: str, subject: str) -> str:
    """Return the key of all triggers that ask for the same; blank source and subject: for any."""
    return f"{type}\0{source}\0{subject}"


def type_and_subject(type: str, subject_id: str) -> str:
    """Return the key of a subject's triggers of one event type."""
    return f"{type}\0{subject_id.strip()}"


def run_to_record(run: Run) -> Record:
    """Return the record that keeps the run."""
    return _compact(
        {
            "id": run.id,
            "status": int(run.status),
            **_target_fields(run.target),
            "trigger": run.trigger.data,
            "trigger_kind": int(run.trigger.kind),
            "schedule_id": run.trigger.schedule_id,
            "slot": run.trigger.slot,
            "trigger_id": run.trigger.trigger_id,
            "subject": run.subject,
            "created_us": to_micros(run.created_at),
            "created_at": run.created_at,
            "started_at": run.started_at,
            "completed_at": run.completed_at,
            "status_message": run.status_message,
            "result_body": run.result_body,
            "created_by": _actor_to_field(run.created_by),
            "published_by": _actor_to_field(run.published_by),
            "execution_ref": run.execution_ref,
            "workflow_key": run.workflow_key,
            "key_row": run.key_row,
            "revision": run.revision,
            **_queue_fields(run),
            "owner": run.claimant,
            "epoch": run.epoch or None,
            "lease": run.lease,
            "next_sequence": run.next_sequence if run.keyed else None,
            "waiting": run.undelivered or None,
            "batch": list(run.batch) or None,
            "stale": run.stale or None,
            "denied": run.denied or None,
            **run_policy_fields(run.policy),
            "attempt": run.attempt or None,
            "not_before": run.not_before,
            "blocked_by": run.blocked_by,
            "result_truncated": run.result_truncated or None,
            "story": run.timeline,
            "permits": permits_field(run.permits),
            **cause_fields(run.cause),
        }
    )


def permits_field(permits: tuple[str, ...]) -> str | None:
    """Return the permits of a run as its record holds them: conditions compare texts, not lists."""
    return "\n".join(permits) or None


@decoding
def run_from_record(record: Record) -> Run:
    """Return the run that the record keeps; raise ``Undecodable`` when it is not one."""
    queue = record.get("queue", READY)
    queued = queue == READY or queue.startswith(LANE)
    return Run(
        id=record["id"],
        status=RunStatus(record["status"]),
        target=_target(record),
        trigger=RunTrigger(
            TriggerKind(record["trigger_kind"]),
            _bytes(record, "trigger"),
            record.get("schedule_id", ""),
            _time(record, "slot"),
            record.get("trigger_id", ""),
        ),
        created_at=_moment(record, "created_at"),
        created_by=_actor(record, "created_by"),
        published_by=_actor(record, "published_by"),
        execution_ref=record.get("execution_ref", ""),
        started_at=_time(record, "started_at"),
        completed_at=_time(record, "completed_at"),
        status_message=record.get("status_message", ""),
        result_body=record.get("result_body", ""),
        workflow_key=record.get("workflow_key", ""),
        key_row=record.get("key_row", ""),
        revision=record["revision"],
        claimant=record.get("owner", ""),
        epoch=record.get("epoch", 0),
        lease=_time(record, "lease"),
        rank_at=_time(record, "rank_at") if queued else None,
        next_sequence=record.get("next_sequence", 1),
        undelivered=record.get("waiting", 0),
        batch=tuple(record.get("batch") or ()),
        stale=bool(record.get("stale", False)),
        denied=bool(record.get("denied", False)),
        policy=run_policy(record),
        attempt=record.get("attempt", 0),
        not_before=_time(record, "not_before"),
        blocked_by=record.get("blocked_by", ""),
        result_truncated=record.get("result_truncated", 0),
        timeline=record.get("story", ""),
        lane=turn_of_key(queue)[0] if queue.startswith(LANE) else "",
        permits=tuple(record["permits"].split("\n")) if "permits" in record else (),
        cause=cause(record),
    )


def with_result_cut(record: Record, limit_bytes: int) -> Record:
    """Return the record of a run with a result of at most ``limit_bytes`` bytes as UTF-8, and the whole one's size."""
    result = record.get("result_body", "")
    if not isinstance(result, str):
        return record  # It is damaged, and told as such when it is decoded.
    kept = cut(result, limit_bytes)
    if len(kept) == len(result):
        return record
    whole_bytes = record.get("result_truncated") or len(result.encode())
    return {**record, "result_body": kept, "result_truncated": whole_bytes}


def cause_fields(cause: Cause | None) -> Record:
    """Return the fields of the cause."""
    return {} if cause is None else {"root": cause.root, "chain": cause.chain}


def cause(record: Record) -> Cause | None:
    """Return the cause that the record's fields hold; None when they hold none."""
    return Cause(record["root"], record["chain"]) if "root" in record else None


def slot_range_to_record(slots: SlotRange) -> Record:
    """Return the record that keeps the range."""
    return _compact(
        {
            "id": slots.id,
            "place": slot_key(slots.schedule_id, slots.first),
            "schedule_id": slots.schedule_id,
            "first": slots.first,
            "last": slots.last,
            "count": slots.count,
            "state": int(slots.state),
            "recorded_at": slots.recorded_at,
            "into": slots.into,
            "run_id": slots.run_id,
        }
    )


@decoding
def slot_range_from_record(record: Record) -> SlotRange:
    """Return the range that the record keeps; raise ``Undecodable`` when it is not one."""
    return SlotRange(
        schedule_id=record["schedule_id"],
        first=_moment(record, "first"),
        last=_moment(record, "last"),
        count=record["count"],
        state=SlotState(record["state"]),
        recorded_at=_moment(record, "recorded_at"),
        into=_time(record, "into"),
        run_id=record.get("run_id", ""),
        id=record["id"],
    )


def slot_key(schedule_id: str, slot: datetime) -> str:
    """Return the key that orders the slots of one schedule by time; whole seconds."""
    return f"{schedule_id}\0{rfc3339(slot)}"


def signal_to_record(signal: Signal) -> Record:
    """Return the record that keeps the signal."""
    return _compact(
        {
            "id": signal.id,
            "run_id": signal.run_id,
            "workflow_key": signal.workflow_key,
            "sequence": signal.sequence,
            "data": signal.data,
            "created_at": signal.created_at,
            "idempotency_key": signal.idempotency_key,
            "started_run": signal.started_run or None,
            "delivered_at": signal.delivered_at,
            "waiting": signal.run_id if signal.delivered_at is None else None,
        }
    )


@decoding
def signal_from_record(record: Record) -> Signal:
    """Return the signal that the record keeps; raise ``Undecodable`` when it is not one."""
    return Signal(
        id=record["id"],
        run_id=record["run_id"],
        workflow_key=record["workflow_key"],
        sequence=record["sequence"],
        data=_bytes(record, "data"),
        created_at=_moment(record, "created_at"),
        idempotency_key=record.get("idempotency_key", ""),
        started_run=bool(record.get("started_run", False)),
        delivered_at=_time(record, "delivered_at"),
    )


def reference_to_record(reference: Reference) -> Record:
    """Return the record that keeps the reference."""
    return _compact(
        {
            "id": reference.id,
            "subject_id": reference.subject_id,
            "data": reference.data,
            "created_at": reference.created_at,
            "revoked_at": reference.revoked_at,
            "retired_at": reference.retired_at,
            "signed": reference.signed or None,
            "revision": reference.revision,
        }
    )


@decoding
def reference_from_record(record: Record) -> Reference:
    """Return the reference that the record keeps; raise ``Undecodable`` when it is not one."""
    return Reference(
        id=record["id"],
        subject_id=record["subject_id"],
        data=_bytes(record, "data"),
        created_at=_moment(record, "created_at"),
        revoked_at=_time(record, "revoked_at"),
        retired_at=_time(record, "retired_at"),
        signed=bool(record.get("signed", False)),
        revision=record["revision"],
    )
