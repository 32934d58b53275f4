"""A workflow provider that keeps its objects in memory, and a plugin that records what it is asked to do."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode as Code

from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc, workflow_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb


class FakeWorkflowProvider(workflow_pb2_grpc.WorkflowProviderServicer):
    """Stores what it is told; nothing fires.

    Attributes:
        calls: Names of the RPCs, in order.
        revisions: Objects have a revision, and writes on condition of one are honoured.
        failures: RPC name to the status that it answers; ``after`` lets the write happen first.
    """

    def __init__(self, name: str = "local", *, revisions: bool = False) -> None:
        self.name = name
        self.revisions = revisions
        self.calls: list[str] = []
        self.requests: list[tuple[str, Any]] = []
        self.failures: dict[str, tuple[Code, str]] = {}
        self.failures_after: dict[str, tuple[Code, str]] = {}
        self.before: Callable[[str], Awaitable[None]] | None = None
        self.schedules: dict[str, pb.BoundWorkflowSchedule] = {}
        self.triggers: dict[str, pb.BoundWorkflowEventTrigger] = {}
        self.runs: dict[str, pb.BoundWorkflowRun] = {}
        self.references: dict[str, pb.WorkflowExecutionReference] = {}
        self.run_keys: dict[str, str] = {}
        self.workflow_keys: dict[str, str] = {}
        self.signals: list[tuple[str, pb.WorkflowSignal]] = []
        self.events: list[pb.PublishWorkflowProviderEventRequest] = []
        self._tick = 1_700_000_000

    def register(self, server: grpc.aio.Server) -> None:
        workflow_pb2_grpc.add_WorkflowProviderServicer_to_server(self, server)

    def now(self) -> Timestamp:
        self._tick += 1
        return Timestamp(seconds=self._tick)

    def taken(self, name: str) -> int:
        return self.calls.count(name)

    async def _enter(self, name: str, request: Any, context: grpc.aio.ServicerContext) -> None:
        self.calls.append(name)
        self.requests.append((name, request))
        if self.before is not None:
            await self.before(name)
        if name in self.failures:
            await context.abort(*self.failures[name])

    async def _leave(self, name: str, context: grpc.aio.ServicerContext) -> None:
        if name in self.failures_after:
            await context.abort(*self.failures_after[name])

    async def _found(self, items: dict[str, Any], key: str, word: str, context: grpc.aio.ServicerContext) -> Any:
        if key not in items:
            await context.abort(Code.NOT_FOUND, f'workflow {word} "{key}" not found')
        return items[key]

    # Schedules and triggers -------------------------------------------------------------------------------------------

    async def UpsertSchedule(self, request: Any, context: Any) -> Any:
        await self._enter("UpsertSchedule", request, context)
        if request.cron == "bad":
            await context.abort(Code.INVALID_ARGUMENT, 'cron "bad" is not valid: five fields are needed')
        old = self.schedules.get(request.schedule_id)
        await self._as_decided_on(old, request, context)
        await self._same_owner(old, request, context)
        now = self.now()
        self.schedules[request.schedule_id] = pb.BoundWorkflowSchedule(
            id=request.schedule_id,
            cron=request.cron,
            timezone=request.timezone or "UTC",
            target=request.target,
            paused=request.paused,
            created_at=self._created(old, request, now),
            updated_at=now,
            created_by=self._creator(old, request.requested_by),
            execution_ref=request.execution_ref,
            revision=now.seconds if self.revisions else 0,
        )
        self._retire(request.retire_execution_ref)
        await self._leave("UpsertSchedule", context)
        return self.schedules[request.schedule_id]

    async def UpsertEventTrigger(self, request: Any, context: Any) -> Any:
        await self._enter("UpsertEventTrigger", request, context)
        old = self.triggers.get(request.trigger_id)
        await self._as_decided_on(old, request, context)
        await self._same_owner(old, request, context)
        now = self.now()
        self.triggers[request.trigger_id] = pb.BoundWorkflowEventTrigger(
            id=request.trigger_id,
            match=request.match,
            target=request.target,
            paused=request.paused,
            created_at=self._created(old, request, now),
            updated_at=now,
            created_by=self._creator(old, request.requested_by),
            execution_ref=request.execution_ref,
            revision=now.seconds if self.revisions else 0,
        )
        self._retire(request.retire_execution_ref)
        await self._leave("UpsertEventTrigger", context)
        return self.triggers[request.trigger_id]

    async def _as_decided_on(self, old: Any, request: Any, context: Any) -> None:
        if not self.revisions:
            return
        if request.if_revision and old is None:
            await context.abort(Code.NOT_FOUND, "not found")
        if (request.if_revision and old.revision != request.if_revision) or (
            getattr(request, "if_absent", False) and old is not None
        ):
            await context.abort(Code.ABORTED, "it has been changed meanwhile")

    async def _same_owner(self, old: Any, request: Any, context: Any) -> None:
        if old is None or request.retarget or old.target.plugin.plugin_name == request.target.plugin.plugin_name:
            return
        await context.abort(Code.ALREADY_EXISTS, "already owned by another target owner")

    def _created(self, old: Any, request: Any, now: Timestamp) -> Timestamp:
        if old is not None:
            return old.created_at
        return request.created_at if request.HasField("created_at") else now

    def _creator(self, old: Any, requested_by: pb.WorkflowActor) -> pb.WorkflowActor:
        if old is None or requested_by.subject_id == "system:config":
            return requested_by
        return old.created_by

    def _retire(self, reference_id: str) -> None:
        if reference_id in self.references:
            self.references[reference_id].retired_at.CopyFrom(self.now())

    async def GetSchedule(self, request: Any, context: Any) -> Any:
        await self._enter("GetSchedule", request, context)
        return await self._found(self.schedules, request.schedule_id, "schedule", context)

    async def GetEventTrigger(self, request: Any, context: Any) -> Any:
        await self._enter("GetEventTrigger", request, context)
        return await self._found(self.triggers, request.trigger_id, "event trigger", context)

    async def ListSchedules(self, request: Any, context: Any) -> Any:
        await self._enter("ListSchedules", request, context)
        return pb.ListWorkflowProviderSchedulesResponse(schedules=self.schedules.values())

    async def ListEventTriggers(self, request: Any, context: Any) -> Any:
        await self._enter("ListEventTriggers", request, context)
        return pb.ListWorkflowProviderEventTriggersResponse(triggers=self.triggers.values())

    async def DeleteSchedule(self, request: Any, context: Any) -> Any:
        await self._enter("DeleteSchedule", request, context)
        found = await self._found(self.schedules, request.schedule_id, "schedule", context)
        await self._as_decided_on(found, request, context)
        del self.schedules[request.schedule_id]
        self._retire(request.retire_execution_ref)
        return Empty()

    async def DeleteEventTrigger(self, request: Any, context: Any) -> Any:
        await self._enter("DeleteEventTrigger", request, context)
        found = await self._found(self.triggers, request.trigger_id, "event trigger", context)
        await self._as_decided_on(found, request, context)
        del self.triggers[request.trigger_id]
        self._retire(request.retire_execution_ref)
        return Empty()

    async def PauseSchedule(self, request: Any, context: Any) -> Any:
        await self._enter("PauseSchedule", request, context)
        return await self._set_paused(self.schedules, request.schedule_id, True, request, context)

    async def ResumeSchedule(self, request: Any, context: Any) -> Any:
        await self._enter("ResumeSchedule", request, context)
        return await self._set_paused(self.schedules, request.schedule_id, False, request, context)

    async def PauseEventTrigger(self, request: Any, context: Any) -> Any:
        await self._enter("PauseEventTrigger", request, context)
        return await self._set_paused(self.triggers, request.trigger_id, True, request, context)

    async def ResumeEventTrigger(self, request: Any, context: Any) -> Any:
        await self._enter("ResumeEventTrigger", request, context)
        return await self._set_paused(self.triggers, request.trigger_id, False, request, context)

    async def _set_paused(self, items: dict[str, Any], key: str, paused: bool, request: Any, context: Any) -> Any:
        item = await self._found(items, key, "object", context)
        await self._as_decided_on(item, request, context)
        item.paused = paused
        item.updated_at.CopyFrom(self.now())
        item.revision = item.updated_at.seconds if self.revisions else 0
        return item

    # Runs -------------------------------------------------------------------------------------------------------------

    async def StartRun(self, request: Any, context: Any) -> Any:
        await self._enter("StartRun", request, context)
        # Keys are scoped by target owner alone, as in other people's providers.
        scope = f"{request.target.plugin.plugin_name}\0{request.idempotency_key}"
        if request.idempotency_key and scope in self.run_keys:
            return self.runs[self.run_keys[scope]]
        run = self.add_run(request.target, request.execution_ref, request.created_by)
        if request.idempotency_key:
            self.run_keys[scope] = run.id
        await self._leave("StartRun", context)
        return run

    def add_run(
        self,
        target: pb.BoundWorkflowTarget,
        execution_ref: str,
        created_by: pb.WorkflowActor | None = None,
        status: int = 1,
        **members: Any,
    ) -> pb.BoundWorkflowRun:
        members.setdefault("id", str(uuid.uuid4()))
        run = pb.BoundWorkflowRun(
            status=status,  # type: ignore[arg-type]
            target=target,
            created_by=created_by,
            created_at=self.now(),
            execution_ref=execution_ref,
            trigger=members.pop("trigger", pb.WorkflowRunTrigger(manual=pb.WorkflowManualTrigger())),
            **members,
        )
        self.runs[run.id] = run
        return run

    async def GetRun(self, request: Any, context: Any) -> Any:
        await self._enter("GetRun", request, context)
        return await self._found(self.runs, request.run_id, "run", context)

    async def ListRuns(self, request: Any, context: Any) -> Any:
        await self._enter("ListRuns", request, context)
        return pb.ListWorkflowProviderRunsResponse(runs=self.runs.values())

    async def CancelRun(self, request: Any, context: Any) -> Any:
        await self._enter("CancelRun", request, context)
        run = await self._found(self.runs, request.run_id, "run", context)
        if run.status > 2:
            await context.abort(Code.FAILED_PRECONDITION, f'workflow run "{run.id}" has ended')
        run.status = pb.WORKFLOW_RUN_STATUS_CANCELED
        run.status_message = request.reason or "canceled"
        return run

    async def SignalRun(self, request: Any, context: Any) -> Any:
        await self._enter("SignalRun", request, context)
        run = await self._found(self.runs, request.run_id, "run", context)
        return self._signalled(run, request.signal, started=False)

    async def SignalOrStartRun(self, request: Any, context: Any) -> Any:
        await self._enter("SignalOrStartRun", request, context)
        started = request.workflow_key not in self.workflow_keys
        if started:
            run = self.add_run(
                request.target, request.execution_ref, request.created_by, workflow_key=request.workflow_key
            )
            self.workflow_keys[request.workflow_key] = run.id
        else:
            run = self.runs[self.workflow_keys[request.workflow_key]]
        return self._signalled(run, request.signal, started=started)

    def _signalled(self, run: pb.BoundWorkflowRun, signal: pb.WorkflowSignal, *, started: bool) -> Any:
        stored = pb.WorkflowSignal()
        stored.CopyFrom(signal)
        stored.id = stored.id or str(uuid.uuid4())
        stored.sequence = sum(run_id == run.id for run_id, _ in self.signals) + 1
        self.signals.append((run.id, stored))
        return pb.SignalWorkflowRunResponse(run=run, signal=stored, started_run=started, workflow_key=run.workflow_key)

    # Events and references --------------------------------------------------------------------------------------------

    async def PublishEvent(self, request: Any, context: Any) -> Any:
        await self._enter("PublishEvent", request, context)
        self.events.append(request)
        return Empty()

    async def PutExecutionReference(self, request: Any, context: Any) -> Any:
        await self._enter("PutExecutionReference", request, context)
        reference = request.reference
        old = self.references.get(reference.id)
        if old is not None:
            reference.created_at.CopyFrom(old.created_at)
        elif not reference.HasField("created_at"):
            reference.created_at.CopyFrom(self.now())
        self.references[reference.id] = reference
        return reference

    async def GetExecutionReference(self, request: Any, context: Any) -> Any:
        await self._enter("GetExecutionReference", request, context)
        return await self._found(self.references, request.id, "execution reference", context)

    async def ListExecutionReferences(self, request: Any, context: Any) -> Any:
        await self._enter("ListExecutionReferences", request, context)
        wanted = [item for item in self.references.values() if request.subject_id in ("", item.subject_id)]
        return pb.ListWorkflowExecutionReferencesResponse(references=wanted)


class FakePlugin(plugin_pb2_grpc.IntegrationProviderServicer):
    """Records every Execute; ``answer`` makes the results."""

    def __init__(self) -> None:
        self.requests: list[plugin_pb2.ExecuteRequest] = []
        self.deadlines: list[float | None] = []
        self.answer: Callable[[plugin_pb2.ExecuteRequest], tuple[int, str]] = lambda request: (200, '{"ok":true}')
        self.failure: tuple[Code, str] | None = None
        self.started: Callable[[], Awaitable[object]] | None = None
        self.canceled = 0
        self.session_requests: list[plugin_pb2.GetSessionCatalogRequest] = []
        self.session_catalogue = plugin_pb2.Catalog()

    def register(self, server: grpc.aio.Server) -> None:
        plugin_pb2_grpc.add_IntegrationProviderServicer_to_server(self, server)

    async def GetSessionCatalog(self, request: Any, context: Any) -> Any:
        self.session_requests.append(request)
        self.deadlines.append(context.time_remaining())
        if self.started is not None:
            await self.started()
        if self.failure is not None:
            await context.abort(*self.failure)
        return plugin_pb2.GetSessionCatalogResponse(catalog=self.session_catalogue)

    async def Execute(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.deadlines.append(context.time_remaining())
        if self.started is not None:
            try:
                await self.started()
            except BaseException:
                self.canceled += 1
                raise
        if self.failure is not None:
            await context.abort(*self.failure)
        status, body = self.answer(request)
        return plugin_pb2.OperationResult(status=status, body=body)
