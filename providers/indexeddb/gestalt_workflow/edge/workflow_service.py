"""Serve WorkflowProvider: convert, call, convert. Requests are checked before the engine is asked for."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.common.sizes import KEY_BYTES
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import reporting_faults
from gestalt_sdk.workflow.provider import WorkflowProviderServicer
from gestalt_workflow.edge.faults import FAULTS
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import InvalidRequest
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.schedules import ScheduleRequest, checked_timing
from gestalt_workflow.objects.signals import Delivery, SignalOrStartRequest
from gestalt_workflow.objects.stored_object import DecidedOn
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.reading.lists import ALL_REFERENCES, ALL_RUNS, ALL_SCHEDULES, ALL_TRIGGERS, REFERENCES_OF
from gestalt_workflow.wire import messages, payloads
from gestalt_workflow.wire.policies import pause_from_proto, run_policy_from_proto, schedule_policy_from_proto
from gestalt_workflow.wire.sizes import named
from gestalt_workflow.wire.targets import target_from_proto


class WorkflowServicer(WorkflowProviderServicer):
    """WorkflowProvider of the configured engine."""

    def __init__(self, engine: Callable[[], Engine], clock: Clock) -> None:
        """``engine`` gives the configured engine or raises ``NotConfigured``; ``clock`` is the one it works by."""
        self._engine = engine
        self._clock = clock

    # Runs

    async def StartRun(
        self, request: pb.StartWorkflowProviderRunRequest, context: ServerContext
    ) -> pb.BoundWorkflowRun:
        async with reporting_faults(context, FAULTS):
            wanted = StartRequest(
                target=target_from_proto(request.target, present=request.HasField("target")),
                idempotency_key=named("idempotency_key", request.idempotency_key, KEY_BYTES),
                workflow_key=named("workflow_key", request.workflow_key, KEY_BYTES),
                created_by=messages.actor_from_proto(request.created_by),
                execution_ref=request.execution_ref.strip(),
                policy=run_policy_from_proto(request.policy, present=request.HasField("policy")),
                cause=messages.cause_from_proto(request.cause, present=request.HasField("cause")),
            )
            return messages.run_to_proto(await self._engine().runs.start(wanted))

    async def GetRun(self, request: pb.GetWorkflowProviderRunRequest, context: ServerContext) -> pb.BoundWorkflowRun:
        async with reporting_faults(context, FAULTS):
            run_id = _required(request.run_id, "run_id")
            return messages.run_to_proto(await self._engine().runs.get(run_id))

    async def ListRuns(
        self, request: pb.ListWorkflowProviderRunsRequest, context: ServerContext
    ) -> pb.ListWorkflowProviderRunsResponse:
        async with reporting_faults(context, FAULTS):
            runs = await self._engine().lists.messages(ALL_RUNS, messages.run_to_proto)
            return pb.ListWorkflowProviderRunsResponse(runs=runs)

    async def CancelRun(
        self, request: pb.CancelWorkflowProviderRunRequest, context: ServerContext
    ) -> pb.BoundWorkflowRun:
        async with reporting_faults(context, FAULTS):
            run_id = _required(request.run_id, "run_id")
            by = request.canceled_by.subject_id
            return messages.run_to_proto(await self._engine().runs.cancel(run_id, request.reason, by))

    # Signals

    async def SignalRun(
        self, request: pb.SignalWorkflowProviderRunRequest, context: ServerContext
    ) -> pb.SignalWorkflowRunResponse:
        async with reporting_faults(context, FAULTS):
            run_id = _required(request.run_id, "run_id")
            signal = messages.signal_from_proto(request.signal, present=request.HasField("signal"))
            return _delivery(await self._engine().signals.signal(run_id, signal))

    async def SignalOrStartRun(
        self, request: pb.SignalOrStartWorkflowProviderRunRequest, context: ServerContext
    ) -> pb.SignalWorkflowRunResponse:
        async with reporting_faults(context, FAULTS):
            wanted = SignalOrStartRequest(
                workflow_key=named("workflow_key", _required(request.workflow_key, "workflow_key"), KEY_BYTES),
                target=target_from_proto(request.target, present=request.HasField("target")),
                signal=messages.signal_from_proto(request.signal, present=request.HasField("signal")),
                created_by=messages.actor_from_proto(request.created_by),
                execution_ref=request.execution_ref.strip(),
                cause=messages.cause_from_proto(request.cause, present=request.HasField("cause")),
            )
            return _delivery(await self._engine().signals.signal_or_start(wanted))

    # Schedules

    async def UpsertSchedule(
        self, request: pb.UpsertWorkflowProviderScheduleRequest, context: ServerContext
    ) -> pb.BoundWorkflowSchedule:
        async with reporting_faults(context, FAULTS):
            target = target_from_proto(request.target, present=request.HasField("target"))
            cron, timezone, first_slot = checked_timing(request.cron, request.timezone, self._clock())
            wanted = ScheduleRequest(
                id=named("schedule_id", request.schedule_id),
                cron=cron,
                timezone=timezone,
                target=target,
                first_slot=first_slot,
                paused=request.paused,
                requested_by=messages.actor_from_proto(request.requested_by),
                execution_ref=request.execution_ref.strip(),
                retarget=request.retarget,
                retire=request.retire_execution_ref.strip(),
                created_at=messages.moved_from_proto(request),
                policy=schedule_policy_from_proto(request.policy, present=request.HasField("policy")),
                pause=pause_from_proto(request.pause, present=request.HasField("pause")),
                decided_on=DecidedOn(request.if_revision, absent=request.if_absent),
            )
            return messages.schedule_to_proto(await self._engine().schedules.upsert(wanted))

    async def GetSchedule(
        self, request: pb.GetWorkflowProviderScheduleRequest, context: ServerContext
    ) -> pb.BoundWorkflowSchedule:
        async with reporting_faults(context, FAULTS):
            schedule_id = _required(request.schedule_id, "schedule_id")
            return messages.schedule_to_proto(await self._engine().schedules.get(schedule_id))

    async def ListSchedules(
        self, request: pb.ListWorkflowProviderSchedulesRequest, context: ServerContext
    ) -> pb.ListWorkflowProviderSchedulesResponse:
        async with reporting_faults(context, FAULTS):
            schedules = await self._engine().lists.messages(ALL_SCHEDULES, messages.schedule_to_proto)
            return pb.ListWorkflowProviderSchedulesResponse(schedules=schedules)

    async def DeleteSchedule(self, request: pb.DeleteWorkflowProviderScheduleRequest, context: ServerContext) -> Empty:
        async with reporting_faults(context, FAULTS):
            schedule_id = _required(request.schedule_id, "schedule_id")
            await self._engine().schedules.delete(
                schedule_id, request.retire_execution_ref.strip(), DecidedOn(request.if_revision)
            )
            return Empty()

    async def PauseSchedule(
        self, request: pb.PauseWorkflowProviderScheduleRequest, context: ServerContext
    ) -> pb.BoundWorkflowSchedule:
        async with reporting_faults(context, FAULTS):
            schedule_id = _required(request.schedule_id, "schedule_id")
            pause = pause_from_proto(request.pause, present=request.HasField("pause"))
            decided_on = DecidedOn(request.if_revision)
            return messages.schedule_to_proto(await self._engine().schedules.pause(schedule_id, pause, decided_on))

    async def ResumeSchedule(
        self, request: pb.ResumeWorkflowProviderScheduleRequest, context: ServerContext
    ) -> pb.BoundWorkflowSchedule:
        async with reporting_faults(context, FAULTS):
            schedule_id = _required(request.schedule_id, "schedule_id")
            decided_on = DecidedOn(request.if_revision)
            return messages.schedule_to_proto(await self._engine().schedules.resume(schedule_id, decided_on))

    # Event triggers

    async def UpsertEventTrigger(
        self, request: pb.UpsertWorkflowProviderEventTriggerRequest, context: ServerContext
    ) -> pb.BoundWorkflowEventTrigger:
        async with reporting_faults(context, FAULTS):
            wanted = TriggerRequest(
                id=named("trigger_id", request.trigger_id),
                target=target_from_proto(request.target, present=request.HasField("target")),
                match=messages.match_from_proto(request.match),
                paused=request.paused,
                requested_by=messages.actor_from_proto(request.requested_by),
                execution_ref=request.execution_ref.strip(),
                retarget=request.retarget,
                retire=request.retire_execution_ref.strip(),
                created_at=messages.moved_from_proto(request),
                policy=run_policy_from_proto(request.policy, present=request.HasField("policy")),
                pause=pause_from_proto(request.pause, present=request.HasField("pause")),
                decided_on=DecidedOn(request.if_revision, absent=request.if_absent),
            )
            return messages.trigger_to_proto(await self._engine().triggers.upsert(wanted))

    async def GetEventTrigger(
        self, request: pb.GetWorkflowProviderEventTriggerRequest, context: ServerContext
    ) -> pb.BoundWorkflowEventTrigger:
        async with reporting_faults(context, FAULTS):
            trigger_id = _required(request.trigger_id, "trigger_id")
            return messages.trigger_to_proto(await self._engine().triggers.get(trigger_id))

    async def ListEventTriggers(
        self, request: pb.ListWorkflowProviderEventTriggersRequest, context: ServerContext
    ) -> pb.ListWorkflowProviderEventTriggersResponse:
        async with reporting_faults(context, FAULTS):
            triggers = await self._engine().lists.messages(ALL_TRIGGERS, messages.trigger_to_proto)
            return pb.ListWorkflowProviderEventTriggersResponse(triggers=triggers)

    async def DeleteEventTrigger(
        self, request: pb.DeleteWorkflowProviderEventTriggerRequest, context: ServerContext
    ) -> Empty:
        async with reporting_faults(context, FAULTS):
            trigger_id = _required(request.trigger_id, "trigger_id")
            await self._engine().triggers.delete(
                trigger_id, request.retire_execution_ref.strip(), DecidedOn(request.if_revision)
            )
            return Empty()

    async def PauseEventTrigger(
        self, request: pb.PauseWorkflowProviderEventTriggerRequest, context: ServerContext
    ) -> pb.BoundWorkflowEventTrigger:
        async with reporting_faults(context, FAULTS):
            trigger_id = _required(request.trigger_id, "trigger_id")
            pause = pause_from_proto(request.pause, present=request.HasField("pause"))
            decided_on = DecidedOn(request.if_revision)
            return messages.trigger_to_proto(await self._engine().triggers.pause(trigger_id, pause, decided_on))

    async def ResumeEventTrigger(
        self, request: pb.ResumeWorkflowProviderEventTriggerRequest, context: ServerContext
    ) -> pb.BoundWorkflowEventTrigger:
        async with reporting_faults(context, FAULTS):
            trigger_id = _required(request.trigger_id, "trigger_id")
            decided_on = DecidedOn(request.if_revision)
            return messages.trigger_to_proto(await self._engine().triggers.resume(trigger_id, decided_on))

    # Execution references

    async def PutExecutionReference(
        self, request: pb.PutWorkflowExecutionReferenceRequest, context: ServerContext
    ) -> pb.WorkflowExecutionReference:
        async with reporting_faults(context, FAULTS):
            if not request.HasField("reference"):
                raise InvalidRequest("reference is required")
            wanted = messages.reference_from_proto(request.reference, self._clock())
            engine = self._engine()
            stored = await engine.references.put(payloads.named_reference(wanted, engine.name))
            return messages.reference_to_proto(stored)

    async def GetExecutionReference(
        self, request: pb.GetWorkflowExecutionReferenceRequest, context: ServerContext
    ) -> pb.WorkflowExecutionReference:
        async with reporting_faults(context, FAULTS):
            reference_id = _required(request.id, "id")
            return messages.reference_to_proto(await self._engine().references.get(reference_id))

    async def ListExecutionReferences(
        self, request: pb.ListWorkflowExecutionReferencesRequest, context: ServerContext
    ) -> pb.ListWorkflowExecutionReferencesResponse:
        async with reporting_faults(context, FAULTS):
            subject_id = request.subject_id.strip()
            listing, values = (REFERENCES_OF, [subject_id]) if subject_id else (ALL_REFERENCES, [])
            references = await self._engine().lists.messages(listing, messages.reference_to_proto, values)
            return pb.ListWorkflowExecutionReferencesResponse(references=references)

    # Events

    async def PublishEvent(self, request: pb.PublishWorkflowProviderEventRequest, context: ServerContext) -> Empty:
        async with reporting_faults(context, FAULTS):
            event = messages.event_from_proto(request, self._clock())
            publisher = messages.actor_from_proto(request.published_by)
            cause = messages.cause_from_proto(request.cause, present=request.HasField("cause"))
            await self._engine().events.publish(event, publisher, request.plugin_name.strip(), cause)
            return Empty()


def _required(value: str, name: str) -> str:
    trimmed = value.strip()
    if not trimmed:
        raise InvalidRequest(f"{name} is required")
    return trimmed


def _delivery(delivery: Delivery) -> pb.SignalWorkflowRunResponse:
    return pb.SignalWorkflowRunResponse(
        run=messages.run_to_proto(delivery.run),
        signal=messages.signal_to_proto(delivery.signal),
        started_run=delivery.started_run,
        workflow_key=delivery.run.workflow_key,
    )
