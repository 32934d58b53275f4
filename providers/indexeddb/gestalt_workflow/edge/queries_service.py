"""Serve WorkflowQueries: convert, ask, convert."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from gestalt_sdk.gen.extension.v1 import queries_pb2 as pb
from gestalt_sdk.gen.extension.v1 import queries_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import reporting_faults
from gestalt_sdk.transport.values import from_timestamp, to_timestamp
from gestalt_workflow.edge.faults import FAULTS
from gestalt_workflow.engine import Engine
from gestalt_workflow.model import timeline
from gestalt_workflow.model.errors import InvalidRequest
from gestalt_workflow.model.objects import Run, RunStatus
from gestalt_workflow.reading.queries import ObjectFilter, RunFilter
from gestalt_workflow.stored.records import REFERENCES, RUNS, SCHEDULES, TRIGGERS
from gestalt_workflow.wire import messages

SERVICE = "gestalt.extension.v1.WorkflowQueries"
T = TypeVar("T")
M = TypeVar("M")


class QueryServicer(queries_pb2_grpc.WorkflowQueriesServicer):
    """WorkflowQueries of the configured engine."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """``engine`` gives the configured engine, or raises ``NotConfigured``."""
        self._engine = engine

    def _shown(self, store: str, items: Iterable[T], show: Callable[[T], M]) -> Iterator[M]:
        return self._engine().storage.shown(store, items, show)

    async def QueryRuns(self, request: pb.QueryRunsRequest, context: ServerContext) -> pb.QueryRunsResponse:
        async with reporting_faults(context, FAULTS):
            wanted = _filter(request.filter)
            found = await self._engine().queries.runs(
                wanted, request.page_size, request.page_token, request.result_bytes
            )
            to_proto = _summary if request.summary else messages.run_to_proto
            return pb.QueryRunsResponse(runs=self._shown(RUNS, found.items, to_proto), next_page_token=found.next_token)

    async def CountRuns(self, request: pb.CountRunsRequest, context: ServerContext) -> pb.CountRunsResponse:
        async with reporting_faults(context, FAULTS):
            counts = await self._engine().queries.count(_filter(request.filter))
            response = pb.CountRunsResponse(incomplete=counts.incomplete)
            for status, count in counts.by_status.items():
                response.counts.add(status=status.wire_name, count=count)
            return response

    async def GetRunTimeline(
        self, request: pb.GetRunTimelineRequest, context: ServerContext
    ) -> pb.GetRunTimelineResponse:
        async with reporting_faults(context, FAULTS):
            run_id = request.run_id.strip()
            if not run_id:
                raise InvalidRequest("run_id is required")
            found = timeline.read(await self._engine().runs.get(run_id))
            return pb.GetRunTimelineResponse(moments=map(_moment, found.moments), left_out=found.left_out)

    async def QuerySchedules(
        self, request: pb.QueryObjectsRequest, context: ServerContext
    ) -> pb.QuerySchedulesResponse:
        async with reporting_faults(context, FAULTS):
            found = await self._engine().queries.schedules(*_page(request))
            schedules = self._shown(SCHEDULES, found.items, messages.schedule_to_proto)
            return pb.QuerySchedulesResponse(schedules=schedules, next_page_token=found.next_token)

    async def QueryEventTriggers(
        self, request: pb.QueryObjectsRequest, context: ServerContext
    ) -> pb.QueryEventTriggersResponse:
        async with reporting_faults(context, FAULTS):
            found = await self._engine().queries.triggers(*_page(request))
            triggers = self._shown(TRIGGERS, found.items, messages.trigger_to_proto)
            return pb.QueryEventTriggersResponse(triggers=triggers, next_page_token=found.next_token)

    async def QueryExecutionReferences(
        self, request: pb.QueryObjectsRequest, context: ServerContext
    ) -> pb.QueryExecutionReferencesResponse:
        async with reporting_faults(context, FAULTS):
            found = await self._engine().queries.references(*_page(request))
            references = self._shown(REFERENCES, found.items, messages.reference_to_proto)
            return pb.QueryExecutionReferencesResponse(references=references, next_page_token=found.next_token)


def _page(request: pb.QueryObjectsRequest) -> tuple[ObjectFilter, int, str]:
    return ObjectFilter(request.subject_id.strip(), request.id_prefix), request.page_size, request.page_token


def _filter(message: pb.RunFilter) -> RunFilter:
    statuses = set()
    for number in message.statuses:
        try:
            statuses.add(RunStatus(number))
        except ValueError:
            raise InvalidRequest(
                f"filter.statuses has {number}; accepted are the numbers 1 to 5 of WorkflowRunStatus"
            ) from None
    return RunFilter(
        statuses=frozenset(statuses),
        target_owner=message.target_owner.strip(),
        operation=message.operation.strip(),
        schedule_id=message.schedule_id.strip(),
        trigger_id=message.trigger_id.strip(),
        subject_id=message.owner_subject_id.strip(),
        created_from=_time(message, "created_from"),
        created_before=_time(message, "created_before"),
        slot_from=_time(message, "slot_from"),
        slot_before=_time(message, "slot_before"),
    )


def _time(message: pb.RunFilter, name: str) -> datetime | None:
    return from_timestamp(getattr(message, name)) if message.HasField(name) else None


def _summary(run: Run) -> workflow_pb2.BoundWorkflowRun:
    """Return the run without what can be large."""
    message = messages.run_to_proto(run)
    message.ClearField("result_body")
    target = workflow_pb2.BoundWorkflowTarget()
    if message.target.HasField("plugin"):
        full = message.target.plugin
        target.plugin.plugin_name, target.plugin.operation = full.plugin_name, full.operation
    else:
        target.agent.provider_name = message.target.agent.provider_name
        target.agent.model = message.target.agent.model
    message.target.CopyFrom(target)
    if message.trigger.HasField("event"):
        message.trigger.event.event.ClearField("data")
        message.trigger.event.event.ClearField("extensions")
    return message


def _moment(moment: timeline.Moment) -> pb.RunMoment:
    return pb.RunMoment(
        at=to_timestamp(moment.at),
        kind=moment.kind,  # type: ignore[arg-type]
        attempt=moment.attempt,
        status=moment.status,  # type: ignore[arg-type]
        detail=moment.detail,
        subject_id=moment.subject_id,
    )
