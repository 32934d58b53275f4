"""Routes of schedules, event triggers, events and runs: decode, ask the manager, shape (http-api.md 8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gestalt_host.errors import InvalidArgument, ObjectNotFound, ProviderRefused, quoted
from gestalt_host.http.call import Answer, Call, error_answer, json_answer
from gestalt_host.http.faults import answer_to
from gestalt_host.http.routing import Route
from gestalt_host.http.shapes import workflows as shapes
from gestalt_host.http.shapes.bodies import decode_lenient, decode_strict
from gestalt_host.workflows.model import OWNERS, PluginTarget, RunFilter, Target

COLLECTIONS = ("workflow/schedules", "workflow/event-triggers", "workflow/runs")

SCHEDULE_FAILURE = "workflow schedule request failed"
TRIGGER_FAILURE = "workflow trigger request failed"
RUN_FAILURE = "workflow run request failed"
EVENT_FAILURE = "workflow event publish failed"

DELETED = {"status": "deleted"}


async def list_schedules(call: Call) -> Answer:
    call.failure = SCHEDULE_FAILURE
    found = await call.services.manager.list_schedules(call.who, owner=_owner(call))
    return json_answer([shapes.schedule_shape(item) for item in found])


async def create_schedule(call: Call) -> Answer:
    call.failure = SCHEDULE_FAILURE
    request = shapes.schedule_request(decode_strict(await call.body(), shapes.SCHEDULE))
    _name_target(call, request.target)
    schedule = await call.services.manager.create_schedule(call.who, request)
    return json_answer(shapes.schedule_shape(schedule), 201)


async def get_schedule(call: Call) -> Answer:
    call.failure = SCHEDULE_FAILURE
    with _as_asked(call.values[0]) as schedule_id:
        schedule = await call.services.manager.get_schedule(call.who, schedule_id, owner=_owner(call))
    return json_answer(shapes.schedule_shape(schedule))


async def update_schedule(call: Call) -> Answer:
    call.failure = SCHEDULE_FAILURE
    request = shapes.schedule_request(decode_strict(await call.body(), shapes.SCHEDULE))
    _name_target(call, request.target)
    with _as_asked(call.values[0]) as schedule_id:
        schedule = await call.services.manager.update_schedule(call.who, schedule_id, request)
    return json_answer(shapes.schedule_shape(schedule))


async def delete_schedule(call: Call) -> Answer:
    call.failure = SCHEDULE_FAILURE
    with _as_asked(call.values[0]) as schedule_id:
        await call.services.manager.delete_schedule(call.who, schedule_id)
    return json_answer(DELETED)


async def pause_schedule(call: Call) -> Answer:
    call.failure = SCHEDULE_FAILURE
    with _as_asked(call.values[0]) as schedule_id:
        schedule = await call.services.manager.pause_schedule(call.who, schedule_id)
    return json_answer(shapes.schedule_shape(schedule))


async def resume_schedule(call: Call) -> Answer:
    call.failure = SCHEDULE_FAILURE
    with _as_asked(call.values[0]) as schedule_id:
        schedule = await call.services.manager.resume_schedule(call.who, schedule_id)
    return json_answer(shapes.schedule_shape(schedule))


async def list_event_triggers(call: Call) -> Answer:
    call.failure = TRIGGER_FAILURE
    found = await call.services.manager.list_event_triggers(call.who, owner=_owner(call))
    return json_answer([shapes.event_trigger_shape(item) for item in found])


async def create_event_trigger(call: Call) -> Answer:
    call.failure = TRIGGER_FAILURE
    request = shapes.event_trigger_request(decode_strict(await call.body(), shapes.EVENT_TRIGGER))
    _name_target(call, request.target)
    trigger = await call.services.manager.create_event_trigger(call.who, request)
    return json_answer(shapes.event_trigger_shape(trigger), 201)


async def get_event_trigger(call: Call) -> Answer:
    call.failure = TRIGGER_FAILURE
    with _as_asked(call.values[0]) as trigger_id:
        trigger = await call.services.manager.get_event_trigger(call.who, trigger_id, owner=_owner(call))
    return json_answer(shapes.event_trigger_shape(trigger))


async def update_event_trigger(call: Call) -> Answer:
    call.failure = TRIGGER_FAILURE
    request = shapes.event_trigger_request(decode_strict(await call.body(), shapes.EVENT_TRIGGER))
    _name_target(call, request.target)
    with _as_asked(call.values[0]) as trigger_id:
        trigger = await call.services.manager.update_event_trigger(call.who, trigger_id, request)
    return json_answer(shapes.event_trigger_shape(trigger))


async def delete_event_trigger(call: Call) -> Answer:
    call.failure = TRIGGER_FAILURE
    with _as_asked(call.values[0]) as trigger_id:
        await call.services.manager.delete_event_trigger(call.who, trigger_id)
    return json_answer(DELETED)


async def pause_event_trigger(call: Call) -> Answer:
    call.failure = TRIGGER_FAILURE
    with _as_asked(call.values[0]) as trigger_id:
        trigger = await call.services.manager.pause_event_trigger(call.who, trigger_id)
    return json_answer(shapes.event_trigger_shape(trigger))


async def resume_event_trigger(call: Call) -> Answer:
    call.failure = TRIGGER_FAILURE
    with _as_asked(call.values[0]) as trigger_id:
        trigger = await call.services.manager.resume_event_trigger(call.who, trigger_id)
    return json_answer(shapes.event_trigger_shape(trigger))


async def publish_event(call: Call) -> Answer:
    call.failure = EVENT_FAILURE
    event = shapes.event_request(decode_lenient(await call.body(), shapes.EVENT))
    published = await call.services.manager.publish_event(call.who, event)
    return json_answer({"status": "published", "event": shapes.event_shape(published)}, 202)


async def list_runs(call: Call) -> Answer:
    call.failure = RUN_FAILURE
    query = call.query
    wanted = RunFilter(plugin=query.get("plugin", "").strip(), status=query.get("status", "").strip())
    found = await call.services.manager.list_runs(call.who, wanted, owner=_owner(call))
    return json_answer([shapes.run_shape(item) for item in found])


async def get_run(call: Call) -> Answer:
    call.failure = RUN_FAILURE
    with _as_asked(call.values[0]) as run_id:
        run = await call.services.manager.get_run(call.who, run_id, owner=_owner(call))
    return json_answer(shapes.run_shape(run))


async def cancel_run(call: Call) -> Answer:
    call.failure = RUN_FAILURE
    body = await call.body()
    reason = decode_lenient(body, shapes.CANCEL).get("reason", "").strip() if body else ""
    try:
        with _as_asked(call.values[0]) as run_id:
            run = await call.services.manager.cancel_run(call.who, run_id, reason)
    except ProviderRefused as error:
        if error.code != "FAILED_PRECONDITION":
            raise
        answer = answer_to(error, failure=call.failure, finished_run=True)
        return error_answer(answer.status, answer.text)
    return json_answer(shapes.run_shape(run))


def _owner(call: Call) -> str:
    """Return whose objects are asked for: the caller's when blank, the configuration's, or both."""
    owner = call.query.get("owner", "").strip()
    if owner not in OWNERS:
        accepted = " or ".join(f'"{name}"' for name in OWNERS if name)
        raise InvalidArgument(f"owner must be {accepted}, got {quoted(owner)}")
    return owner


def _name_target(call: Call, target: Target) -> None:
    name = target.plugin if isinstance(target, PluginTarget) else "agent"
    call.failure = f"{call.failure} for integration {quoted(name)}"


@contextmanager
def _as_asked(object_id: str) -> Iterator[str]:
    """The trimmed id to look for; a "not found" shows the id as it came, blanks included."""
    try:
        yield object_id.strip()
    except ObjectNotFound as error:
        raise ObjectNotFound(error.kind, object_id) from error


ROUTES = (
    Route("GET", "workflow/schedules", list_schedules),
    Route("POST", "workflow/schedules", create_schedule),
    Route("GET", "workflow/schedules/{id}", get_schedule),
    Route("PUT", "workflow/schedules/{id}", update_schedule),
    Route("DELETE", "workflow/schedules/{id}", delete_schedule),
    Route("POST", "workflow/schedules/{id}/pause", pause_schedule),
    Route("POST", "workflow/schedules/{id}/resume", resume_schedule),
    Route("GET", "workflow/event-triggers", list_event_triggers),
    Route("POST", "workflow/event-triggers", create_event_trigger),
    Route("GET", "workflow/event-triggers/{id}", get_event_trigger),
    Route("PUT", "workflow/event-triggers/{id}", update_event_trigger),
    Route("DELETE", "workflow/event-triggers/{id}", delete_event_trigger),
    Route("POST", "workflow/event-triggers/{id}/pause", pause_event_trigger),
    Route("POST", "workflow/event-triggers/{id}/resume", resume_event_trigger),
    Route("POST", "workflow/events", publish_event),
    Route("GET", "workflow/runs", list_runs),
    Route("GET", "workflow/runs/{id}", get_run),
    Route("POST", "workflow/runs/{id}/cancel", cancel_run),
)
