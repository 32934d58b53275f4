"""Schedules, event triggers and execution references; firing, and publishing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import Record, Transaction
from gestalt_sdk.timing import check_cron, normalise_zone
from gestalt_sdk.transport import from_timestamp, rfc3339, to_timestamp
from later_workflow.checks import (
    TEXT_BYTES,
    Invalid,
    Taken,
    bounded,
    checked_event,
    checked_match,
    checked_target,
    derived,
    owner_of,
    required,
)
from later_workflow.slots import latest_slot, next_slot
from later_workflow.storage import (
    REFERENCES,
    SCHEDULES,
    TRIGGERS,
    Kind,
    Storage,
    known,
    message_of,
    now,
    reference_record,
    run_record,
    schedule_record,
    trigger_record,
)

CONFIGURATION = "system:config"
Cause = pb.BoundWorkflowSchedule | pb.BoundWorkflowEventTrigger
Upsert = pb.UpsertWorkflowProviderScheduleRequest | pb.UpsertWorkflowProviderEventTriggerRequest
C = TypeVar("C", pb.BoundWorkflowSchedule, pb.BoundWorkflowEventTrigger)


# Schedules and triggers -----------------------------------------------------------------------------------------------


async def upsert_schedule(
    storage: Storage, request: pb.UpsertWorkflowProviderScheduleRequest
) -> pb.BoundWorkflowSchedule:
    """Create or replace a schedule."""
    target = checked_target(request)
    cron = required("cron", request.cron, TEXT_BYTES)
    zone, moment = normalise_zone(request.timezone), now()
    check_cron(cron, moment.date())
    made = pb.BoundWorkflowSchedule(
        id=bounded("schedule_id", request.schedule_id), cron=cron, timezone=zone, target=target, paused=request.paused
    )

    def time_it(old: pb.BoundWorkflowSchedule | None) -> None:
        made.ClearField("next_run_at")  # of an earlier attempt
        if old and (old.cron, old.timezone, old.paused) == (cron, zone, request.paused):
            if old.HasField("next_run_at"):
                made.next_run_at.CopyFrom(old.next_run_at)  # a slot that is due already is not lost
        else:
            _set_next(made, moment)

    stored = await _upsert(storage, SCHEDULES, made, request, time_it)
    storage.schedules_changed.set()
    return stored


async def upsert_trigger(
    storage: Storage, request: pb.UpsertWorkflowProviderEventTriggerRequest
) -> pb.BoundWorkflowEventTrigger:
    """Create or replace an event trigger."""
    target = checked_target(request)
    match = checked_match(request)
    made = pb.BoundWorkflowEventTrigger(
        id=bounded("trigger_id", request.trigger_id), match=match, target=target, paused=request.paused
    )
    return await _upsert(storage, TRIGGERS, made, request, lambda old: None)


async def _upsert(storage: Storage, kind: Kind[C], made: C, request: Upsert, complete: Callable[[C | None], None]) -> C:
    made.id = made.id or str(uuid.uuid4())
    made.execution_ref = bounded("execution_ref", request.execution_ref, TEXT_BYTES)
    moment = to_timestamp(now())

    async def work(transaction: Transaction) -> C:
        record = await transaction.store(kind.store).find(made.id)
        old = message_of(kind, record) if record else None
        if old and owner_of(old.target) != owner_of(made.target):
            text = f'{kind.title} "{made.id}" is already owned by target owner "{owner_of(old.target)}"'
            raise Taken(text)
        complete(old)
        made.created_at.CopyFrom(old.created_at if old else moment)
        made.updated_at.CopyFrom(moment)
        creator = request.requested_by
        if old and creator.subject_id != CONFIGURATION:
            creator = old.created_by
        made.ClearField("created_by")
        if creator.ByteSize():
            made.created_by.CopyFrom(creator)
        transaction.store(kind.store).put(_cause_record(made))
        return made

    return await storage.change((kind.store,), work)


def _cause_record(made: Cause) -> Record:
    return schedule_record(made) if isinstance(made, pb.BoundWorkflowSchedule) else trigger_record(made)


async def set_paused(storage: Storage, kind: Kind[C], id: str, *, paused: bool) -> C:
    """Pause or resume; what was missed meanwhile is not made up for."""

    async def work(transaction: Transaction) -> C:
        item = message_of(kind, known(kind, id, await transaction.store(kind.store).find(id)))
        moment = now()
        if isinstance(item, pb.BoundWorkflowSchedule) and item.paused and not paused:
            _set_next(item, moment)
        item.paused = paused
        item.updated_at.CopyFrom(to_timestamp(moment))
        transaction.store(kind.store).put(_cause_record(item))
        return item

    item = await storage.change((kind.store,), work)
    storage.schedules_changed.set()
    return item


async def delete(storage: Storage, kind: Kind[C], id: str) -> Empty:
    """Remove a schedule or trigger; its runs stay."""

    async def work(transaction: Transaction) -> None:
        known(kind, id, await transaction.store(kind.store).find(id))
        transaction.store(kind.store).delete(id)

    await storage.change((kind.store,), work)
    return Empty()


def _set_next(schedule: pb.BoundWorkflowSchedule, after: datetime) -> None:
    schedule.ClearField("next_run_at")
    if slot := next_slot(schedule.cron, schedule.timezone, after):
        schedule.next_run_at.CopyFrom(to_timestamp(slot))


async def fire(storage: Storage, schedule_id: str) -> None:
    """Make the run of a schedule that is due: one, for the latest slot, however many were missed."""

    async def work(transaction: Transaction) -> None:
        schedules, runs = transaction.store("schedules"), transaction.store("runs")
        record, moment = await schedules.find(schedule_id), now()
        if record is None or "due_at" not in record or record["due_at"] > moment:
            return  # paused, changed or deleted meanwhile, or fired by another process
        schedule = message_of(SCHEDULES, record)
        due = from_timestamp(schedule.next_run_at)
        slot = max(latest_slot(schedule.cron, schedule.timezone, moment) or due, due)
        run = _new_run(f"schedule:{schedule.id}:{rfc3339(slot)}", schedule)
        run.trigger.schedule.schedule_id = schedule.id
        run.trigger.schedule.scheduled_for.CopyFrom(to_timestamp(slot))
        if await runs.find(run.id) is None:
            runs.add(run_record(run))
        _set_next(schedule, moment)
        schedule.updated_at.CopyFrom(to_timestamp(moment))
        schedules.put(schedule_record(schedule))

    await storage.change(("schedules", "runs"), work)
    storage.runs_wait.set()


# Events ---------------------------------------------------------------------------------------------------------------


async def publish_event(storage: Storage, request: pb.PublishWorkflowProviderEventRequest) -> Empty:
    """Make a run for each trigger that matches, all or none; a repetition makes none."""
    event = checked_event(request, to_timestamp(now()))

    async def work(transaction: Transaction) -> None:
        runs = transaction.store("runs")
        for record in await transaction.store("triggers").index("type").get_all(event.type):
            trigger = message_of(TRIGGERS, record)
            if not _matches(trigger, event, request.plugin_name.strip()):
                continue
            run = _new_run(f"event:{derived(trigger.id, event.source, event.id)[:32]}", trigger)
            run.trigger.event.trigger_id = trigger.id
            run.trigger.event.event.CopyFrom(event)
            if await runs.find(run.id) is None:
                runs.add(run_record(run))

    await storage.change(("triggers", "runs"), work)
    storage.runs_wait.set()
    return Empty()


def _matches(trigger: pb.BoundWorkflowEventTrigger, event: pb.WorkflowEvent, owner: str) -> bool:
    match = trigger.match
    return (
        not trigger.paused
        and owner in ("", owner_of(trigger.target))
        and match.source in ("", event.source)
        and match.subject in ("", event.subject)
    )


def _new_run(run_id: str, cause: Cause) -> pb.BoundWorkflowRun:
    """Return a pending run that executes as the owner of its schedule or trigger."""
    run = pb.BoundWorkflowRun(
        id=run_id,
        status=pb.WORKFLOW_RUN_STATUS_PENDING,
        target=cause.target,
        created_at=to_timestamp(now()),
        execution_ref=cause.execution_ref,
    )
    if cause.HasField("created_by"):
        run.created_by.CopyFrom(cause.created_by)
    return run


# Execution references -------------------------------------------------------------------------------------------------


async def put_reference(
    storage: Storage, request: pb.PutWorkflowExecutionReferenceRequest
) -> pb.WorkflowExecutionReference:
    """Create or replace a reference."""
    if not request.HasField("reference"):
        raise Invalid("reference is required")
    reference = pb.WorkflowExecutionReference()
    reference.CopyFrom(request.reference)
    reference.id = required("reference.id", reference.id, TEXT_BYTES)
    reference.subject_id = required("reference.subject_id", reference.subject_id)
    reference.target.CopyFrom(checked_target(reference))

    async def work(transaction: Transaction) -> pb.WorkflowExecutionReference:
        references = transaction.store("references")
        old = await references.find(reference.id)
        reference.provider_name = reference.provider_name.strip() or storage.provider_name
        if old:
            reference.created_at.CopyFrom(message_of(REFERENCES, old).created_at)
        elif not reference.HasField("created_at"):
            reference.created_at.CopyFrom(to_timestamp(now()))
        references.put(reference_record(reference))
        return reference

    return await storage.change(("references",), work)


async def list_references(
    storage: Storage, request: pb.ListWorkflowExecutionReferencesRequest
) -> pb.ListWorkflowExecutionReferencesResponse:
    """Return the references of a subject, or all of them."""
    if subject := request.subject_id.strip():
        found = await storage.all(REFERENCES, "subject", subject)
    else:
        found = await storage.all(REFERENCES, "created")
    return pb.ListWorkflowExecutionReferencesResponse(references=found)
