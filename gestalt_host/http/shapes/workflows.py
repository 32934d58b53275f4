"""Schedules, event triggers, events and runs in JSON (http-api.md 8.3-8.7); targets are in ``targets``.

Decoding trims the texts that the contract trims and requires an event type; the rest is not judged here.
"""

from __future__ import annotations

from gestalt_host.access.subjects import Actor
from gestalt_host.errors import InvalidArgument
from gestalt_host.http.shapes import bodies
from gestalt_host.http.shapes.bodies import Shape, nested
from gestalt_host.http.shapes.rendering import put_map, put_text, put_time
from gestalt_host.http.shapes.targets import TARGET, Json, present, target_request, target_shape, trimmed
from gestalt_host.workflows.model import (
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    EventTriggerSpec,
    ManualTrigger,
    Run,
    RunTrigger,
    Schedule,
    ScheduleSpec,
    ScheduleTrigger,
)

SCHEDULE = Shape.of(
    provider=bodies.text, cron=bodies.text, timezone=bodies.text, target=nested(TARGET), paused=bodies.boolean
)
EVENT_TRIGGER = Shape.of(
    provider=bodies.text,
    match=nested(Shape.of(type=bodies.text, source=bodies.text, subject=bodies.text)),
    target=nested(TARGET),
    paused=bodies.boolean,
)
EVENT = Shape.of(
    id=bodies.text,
    source=bodies.text,
    specVersion=bodies.text,
    type=bodies.text,
    subject=bodies.text,
    time=bodies.moment,
    dataContentType=bodies.text,
    data=bodies.free_object,
    extensions=bodies.free_object,
)
CANCEL = Shape.of(reason=bodies.text)


def schedule_request(body: Json) -> ScheduleSpec:
    """Make the request of a decoded ``SCHEDULE``. Raises ``InvalidArgument``."""
    return ScheduleSpec(
        cron=trimmed(body, "cron"),
        target=target_request(body.get("target", {})),
        timezone=trimmed(body, "timezone"),
        paused=body.get("paused", False),
        provider=trimmed(body, "provider"),
    )


def event_trigger_request(body: Json) -> EventTriggerSpec:
    """Make the request of a decoded ``EVENT_TRIGGER``. Raises ``InvalidArgument``."""
    target = target_request(body.get("target", {}))
    match = body.get("match", {})
    event_type = trimmed(match, "type")
    if not event_type:
        raise InvalidArgument("workflow trigger match.type is required")
    return EventTriggerSpec(
        match=EventMatch(event_type, trimmed(match, "source"), trimmed(match, "subject")),
        target=target,
        paused=body.get("paused", False),
        provider=trimmed(body, "provider"),
    )


def event_request(body: Json) -> Event:
    """Make the event of a decoded ``EVENT``; what it lacks is filled in when published. Raises ``InvalidArgument``."""
    event_type = trimmed(body, "type")
    if not event_type:
        raise InvalidArgument("workflow event type is required")
    return Event(
        id=trimmed(body, "id"),
        source=trimmed(body, "source"),
        spec_version=trimmed(body, "specVersion"),
        type=event_type,
        subject=trimmed(body, "subject"),
        time=body.get("time"),
        data_content_type=trimmed(body, "dataContentType"),
        data=body.get("data", {}),
        extensions=body.get("extensions", {}),
    )


def schedule_shape(schedule: Schedule) -> Json:
    shape: Json = {"id": schedule.id, "provider": schedule.provider, "cron": schedule.cron}
    put_text(shape, "timezone", schedule.timezone)
    shape["target"] = target_shape(schedule.target)
    shape["paused"] = schedule.paused
    put_time(shape, "createdAt", schedule.created_at)
    put_time(shape, "updatedAt", schedule.updated_at)
    put_time(shape, "nextRunAt", schedule.next_run_at)
    return shape


def event_trigger_shape(trigger: EventTrigger) -> Json:
    match: Json = {"type": trigger.match.type}
    put_text(match, "source", trigger.match.source)
    put_text(match, "subject", trigger.match.subject)
    shape: Json = {
        "id": trigger.id,
        "provider": trigger.provider,
        "match": match,
        "target": target_shape(trigger.target),
        "paused": trigger.paused,
    }
    put_time(shape, "createdAt", trigger.created_at)
    put_time(shape, "updatedAt", trigger.updated_at)
    return shape


def event_shape(event: Event) -> Json:
    shape: Json = {}
    put_text(shape, "id", event.id)
    put_text(shape, "source", event.source)
    put_text(shape, "specVersion", event.spec_version)
    put_text(shape, "type", event.type)
    put_text(shape, "subject", event.subject)
    put_time(shape, "time", event.time)
    put_text(shape, "dataContentType", event.data_content_type)
    put_map(shape, "data", event.data)
    put_map(shape, "extensions", event.extensions)
    return shape


def run_shape(run: Run) -> Json:
    shape: Json = {"id": run.id, "provider": run.provider}
    put_text(shape, "status", run.status)
    shape["target"] = target_shape(run.target)
    if run.trigger is not None:
        shape["trigger"] = _trigger_shape(run.trigger)
    _put_actor(shape, "createdBy", run.created_by)
    if run.published_by is not None:
        _put_actor(shape, "publishedBy", run.published_by)
    put_time(shape, "createdAt", run.created_at)
    put_time(shape, "startedAt", run.started_at)
    put_time(shape, "completedAt", run.completed_at)
    put_text(shape, "statusMessage", run.status_message)
    put_text(shape, "resultBody", run.result_body)
    if run.result_truncated:
        shape["resultTruncated"] = True
    return shape


def _trigger_shape(trigger: RunTrigger) -> Json:
    if isinstance(trigger, ManualTrigger):
        return {"kind": "manual"}
    if isinstance(trigger, ScheduleTrigger):
        shape: Json = {"kind": "schedule"}
        put_text(shape, "scheduleId", trigger.schedule_id)
        put_time(shape, "scheduledFor", trigger.scheduled_for)
        return shape
    assert isinstance(trigger, EventTriggerInvocation)
    shape = {"kind": "event"}
    put_text(shape, "triggerId", trigger.trigger_id)
    shape["event"] = event_shape(trigger.event)
    return shape


def _put_actor(shape: Json, key: str, actor: Actor) -> None:
    members = present(
        subjectId=actor.subject_id,
        subjectKind=actor.subject_kind,
        displayName=actor.display_name,
        authSource=actor.auth_source,
    )
    if members:
        shape[key] = members
