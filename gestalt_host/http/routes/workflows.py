"""Routes of schedules, event triggers, events and runs: decode, ask the manager, shape (http-api.md 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from gestalt_host.errors import InvalidArgument, ProviderRefused, quoted
from gestalt_host.http.call import Answer, Call, error_answer, json_answer, list_answer
from gestalt_host.http.faults import answer_to
from gestalt_host.http.preconditions import etag, if_match
from gestalt_host.http.routing import Route
from gestalt_host.http.shapes import workflows as shapes
from gestalt_host.http.shapes.bodies import Shape, decode_lenient, decode_strict
from gestalt_host.http.shapes.targets import Json
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.model import CREATED_BY, RUN_STATUSES, PluginTarget, RunQuery
from gestalt_host.workflows.objects.managed import Managed, ManagedObjects, Request

RUN_FAILURE = "workflow run request failed"
EVENT_FAILURE = "workflow event publish failed"

DELETED = {"status": "deleted"}


@dataclass(frozen=True, slots=True)
class Collection(Generic[Managed, Request]):
    """The seven routes that schedules and event triggers have alike.

    Attributes:
        path: Below ``/api/v1``.
        failure: What an answer says when something fails that the caller must not read about.
        body: Shape of a request's body; ``request`` makes the manager's request of a decoded one.
        shape: An object as JSON.
    """

    path: str
    failure: str
    objects: Callable[[WorkflowManager], ManagedObjects[Managed, Request]]
    body: Shape
    request: Callable[[Json], Request]
    shape: Callable[[Managed], Json]

    async def list(self, call: Call) -> Answer:
        """Answer GET of the collection."""
        found = await self._of(call).list(call.who, created_by=_created_by(call))
        return json_answer([self.shape(item) for item in found])

    async def create(self, call: Call) -> Answer:
        """Answer POST to the collection."""
        objects = self._of(call)
        made = await objects.create(call.who, await self._requested(call))
        return self._one(made, 201)

    async def get(self, call: Call) -> Answer:
        """Answer GET of one object."""
        objects = self._of(call)
        wanted = if_match(call.headers)
        found = await objects.get(call.who, call.values[0], created_by=_created_by(call), if_match=wanted)
        return self._one(found)

    async def update(self, call: Call) -> Answer:
        """Answer PUT of one object."""
        objects = self._of(call)
        wanted = if_match(call.headers)
        updated = await objects.update(call.who, call.values[0], await self._requested(call), if_match=wanted)
        return self._one(updated)

    async def delete(self, call: Call) -> Answer:
        """Answer DELETE of one object."""
        await self._of(call).delete(call.who, call.values[0], if_match=if_match(call.headers))
        return json_answer(DELETED)

    async def pause(self, call: Call) -> Answer:
        """Answer POST to ``pause`` of one object."""
        return self._one(await self._of(call).pause(call.who, call.values[0], if_match=if_match(call.headers)))

    async def resume(self, call: Call) -> Answer:
        """Answer POST to ``resume`` of one object."""
        return self._one(await self._of(call).resume(call.who, call.values[0], if_match=if_match(call.headers)))

    def routes(self) -> tuple[Route, ...]:
        """Return the collection's routes."""
        one = f"{self.path}/{{id}}"
        return (
            Route("GET", self.path, self.list),
            Route("POST", self.path, self.create),
            Route("GET", one, self.get),
            Route("PUT", one, self.update),
            Route("DELETE", one, self.delete),
            Route("POST", f"{one}/pause", self.pause),
            Route("POST", f"{one}/resume", self.resume),
        )

    def _one(self, item: Managed, status: int = 200) -> Answer:
        return json_answer(self.shape(item), status, etag(item.revision))

    def _of(self, call: Call) -> ManagedObjects[Managed, Request]:
        call.failure = self.failure
        return self.objects(call.services.manager)

    async def _requested(self, call: Call) -> Request:
        request = self.request(decode_strict(await call.body(), self.body))
        name = request.target.plugin if isinstance(request.target, PluginTarget) else "agent"
        call.failure = f"{self.failure} for integration {quoted(name)}"
        return request


SCHEDULES = Collection(
    path="workflow/schedules",
    failure="workflow schedule request failed",
    objects=lambda manager: manager.schedules,
    body=shapes.SCHEDULE,
    request=shapes.schedule_request,
    shape=shapes.schedule_shape,
)
EVENT_TRIGGERS = Collection(
    path="workflow/event-triggers",
    failure="workflow trigger request failed",
    objects=lambda manager: manager.triggers,
    body=shapes.EVENT_TRIGGER,
    request=shapes.event_trigger_request,
    shape=shapes.event_trigger_shape,
)


async def publish_event(call: Call) -> Answer:
    """Answer POST of an event, once every workflow provider has it."""
    call.failure = EVENT_FAILURE
    event = shapes.event_request(decode_lenient(await call.body(), shapes.EVENT))
    published = await call.services.manager.events.publish(call.who, event)
    return json_answer({"status": "published", "event": shapes.event_shape(published)}, 202)


async def list_runs(call: Call) -> Answer:
    """Answer GET of the runs, newest first, with the filters ``plugin`` and ``status``; long results are cut."""
    call.failure = RUN_FAILURE
    wanted = RunQuery(plugin=call.query.get("plugin", "").strip(), status=_status(call))
    found = call.services.manager.runs.list(call.who, wanted, created_by=_created_by(call))
    return await list_answer(shapes.run_shape(item) async for item in found)


async def get_run(call: Call) -> Answer:
    """Answer GET of one run."""
    call.failure = RUN_FAILURE
    run = await call.services.manager.runs.get(call.who, call.values[0], created_by=_created_by(call))
    return json_answer(shapes.run_shape(run))


async def cancel_run(call: Call) -> Answer:
    """Answer POST to ``cancel`` of one run; a run that has ended is a conflict."""
    call.failure = RUN_FAILURE
    body = await call.body()
    reason = decode_lenient(body, shapes.CANCEL).get("reason", "").strip() if body else ""
    try:
        run = await call.services.manager.runs.cancel(call.who, call.values[0], reason)
    except ProviderRefused as error:
        if error.code != "FAILED_PRECONDITION":
            raise
        answer = answer_to(error, failure=call.failure, finished_run=True)
        return error_answer(answer.status, answer.text)
    return json_answer(shapes.run_shape(run))


def _status(call: Call) -> str:
    """Return which state of runs the query's ``status`` asks for; empty: any."""
    status = call.query.get("status", "").strip()
    if status and status not in RUN_STATUSES:
        *most, last = RUN_STATUSES
        raise InvalidArgument(f"status must be {', '.join(most)} or {last}, not {quoted(status)}")
    return status


def _created_by(call: Call) -> str:
    """Return whose objects the query's ``owner`` asks for, one of ``CREATED_BY``."""
    owner = call.query.get("owner", "").strip()
    if owner not in CREATED_BY:
        accepted = " or ".join(f'"{name}"' for name in CREATED_BY if name)
        raise InvalidArgument(f"owner must be {accepted}, got {quoted(owner)}")
    return owner


ROUTES = (
    *SCHEDULES.routes(),
    *EVENT_TRIGGERS.routes(),
    Route("POST", "workflow/events", publish_event),
    Route("GET", "workflow/runs", list_runs),
    Route("GET", "workflow/runs/{id}", get_run),
    Route("POST", "workflow/runs/{id}/cancel", cancel_run),
)
COLLECTIONS = (SCHEDULES.path, EVENT_TRIGGERS.path, "workflow/runs")
