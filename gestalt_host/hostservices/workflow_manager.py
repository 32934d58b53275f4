"""WorkflowManagerHost: the workflow manager for the requests that one plugin serves.

Order of checks and error codes: contract.md 4.3, semantics.md 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import grpc
from google.protobuf.empty_pb2 import Empty

from gestalt_host.access.subjects import Principal
from gestalt_host.access.tokens.invocation_tokens import InvocationTokens
from gestalt_host.errors import InvalidArgument
from gestalt_host.hostservices.faults import MANAGER_FAULTS, answering
from gestalt_host.supervisor.service_sockets import HostService
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.model import (
    Event,
    EventTrigger,
    EventTriggerSpec,
    Run,
    Schedule,
    ScheduleSpec,
    SignalResult,
    Target,
)
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.environment import WORKFLOW_MANAGER_SOCKET
from gestalt_sdk.workflow import convert as workflow_convert
from gestalt_sdk.workflow.targets import target_from_proto

SERVICE = "gestalt.provider.v1.WorkflowManagerHost"


def workflow_manager_host(plugin: str, manager: WorkflowManager, tokens: InvocationTokens) -> HostService:
    """Make the service for one plugin; its name is the caller plugin of everything done through it."""

    def register(server: grpc.aio.Server) -> Sequence[str]:
        servicer = WorkflowManagerServicer(plugin, manager, tokens)
        workflow_pb2_grpc.add_WorkflowManagerHostServicer_to_server(servicer, server)
        return [SERVICE]

    return HostService(WORKFLOW_MANAGER_SOCKET, register)


class WorkflowManagerServicer(workflow_pb2_grpc.WorkflowManagerHostServicer):
    def __init__(self, plugin: str, manager: WorkflowManager, tokens: InvocationTokens) -> None:
        self._plugin = plugin
        self._manager = manager
        self._tokens = tokens

    def _caller(self, token: str) -> Principal:
        """Return the subject of the request that the plugin serves; checked before anything else of the message."""
        return self._tokens.resolve(token, self._plugin).principal

    # Runs -------------------------------------------------------------------------------------------------------------

    async def StartRun(
        self, request: pb.WorkflowManagerStartRunRequest, context: ServerContext
    ) -> pb.ManagedWorkflowRun:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            run = await self._manager.runs.start(
                who,
                _target(request.target),
                provider=request.provider_name.strip(),
                idempotency_key=request.idempotency_key.strip(),
                workflow_key=request.workflow_key.strip(),
            )
        return _managed_run(run)

    async def SignalRun(
        self, request: pb.WorkflowManagerSignalRunRequest, context: ServerContext
    ) -> pb.ManagedWorkflowRunSignal:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            run_id = _required(request.run_id, "run_id")
            result = await self._manager.runs.signal(who, run_id, workflow_convert.signal_from_proto(request.signal))
        return _managed_signal(result)

    async def SignalOrStartRun(
        self, request: pb.WorkflowManagerSignalOrStartRunRequest, context: ServerContext
    ) -> pb.ManagedWorkflowRunSignal:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            result = await self._manager.runs.signal_or_start(
                who,
                request.workflow_key.strip(),
                _target(request.target),
                workflow_convert.signal_from_proto(request.signal),
                provider=request.provider_name.strip(),
                idempotency_key=request.idempotency_key.strip(),
            )
        return _managed_signal(result)

    # Schedules --------------------------------------------------------------------------------------------------------

    async def CreateSchedule(
        self, request: pb.WorkflowManagerCreateScheduleRequest, context: ServerContext
    ) -> pb.ManagedWorkflowSchedule:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            schedule = await self._manager.schedules.create(
                who, _schedule_request(request), idempotency_key=request.idempotency_key.strip()
            )
        return _managed_schedule(schedule)

    async def GetSchedule(
        self, request: pb.WorkflowManagerGetScheduleRequest, context: ServerContext
    ) -> pb.ManagedWorkflowSchedule:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            schedule = await self._manager.schedules.get(who, _required(request.schedule_id, "schedule_id"))
        return _managed_schedule(schedule)

    async def UpdateSchedule(
        self, request: pb.WorkflowManagerUpdateScheduleRequest, context: ServerContext
    ) -> pb.ManagedWorkflowSchedule:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            schedule_id = _required(request.schedule_id, "schedule_id")
            schedule = await self._manager.schedules.update(who, schedule_id, _schedule_request(request))
        return _managed_schedule(schedule)

    async def DeleteSchedule(self, request: pb.WorkflowManagerDeleteScheduleRequest, context: ServerContext) -> Empty:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            await self._manager.schedules.delete(who, _required(request.schedule_id, "schedule_id"))
        return Empty()

    async def PauseSchedule(
        self, request: pb.WorkflowManagerPauseScheduleRequest, context: ServerContext
    ) -> pb.ManagedWorkflowSchedule:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            schedule = await self._manager.schedules.pause(who, _required(request.schedule_id, "schedule_id"))
        return _managed_schedule(schedule)

    async def ResumeSchedule(
        self, request: pb.WorkflowManagerResumeScheduleRequest, context: ServerContext
    ) -> pb.ManagedWorkflowSchedule:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            schedule = await self._manager.schedules.resume(who, _required(request.schedule_id, "schedule_id"))
        return _managed_schedule(schedule)

    # Event triggers ---------------------------------------------------------------------------------------------------

    async def CreateEventTrigger(
        self, request: pb.WorkflowManagerCreateEventTriggerRequest, context: ServerContext
    ) -> pb.ManagedWorkflowEventTrigger:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            trigger = await self._manager.triggers.create(
                who, _trigger_request(request), idempotency_key=request.idempotency_key.strip()
            )
        return _managed_trigger(trigger)

    async def GetEventTrigger(
        self, request: pb.WorkflowManagerGetEventTriggerRequest, context: ServerContext
    ) -> pb.ManagedWorkflowEventTrigger:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            trigger = await self._manager.triggers.get(who, _required(request.trigger_id, "trigger_id"))
        return _managed_trigger(trigger)

    async def UpdateEventTrigger(
        self, request: pb.WorkflowManagerUpdateEventTriggerRequest, context: ServerContext
    ) -> pb.ManagedWorkflowEventTrigger:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            trigger_id = _required(request.trigger_id, "trigger_id")
            trigger = await self._manager.triggers.update(who, trigger_id, _trigger_request(request))
        return _managed_trigger(trigger)

    async def DeleteEventTrigger(
        self, request: pb.WorkflowManagerDeleteEventTriggerRequest, context: ServerContext
    ) -> Empty:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            await self._manager.triggers.delete(who, _required(request.trigger_id, "trigger_id"))
        return Empty()

    async def PauseEventTrigger(
        self, request: pb.WorkflowManagerPauseEventTriggerRequest, context: ServerContext
    ) -> pb.ManagedWorkflowEventTrigger:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            trigger = await self._manager.triggers.pause(who, _required(request.trigger_id, "trigger_id"))
        return _managed_trigger(trigger)

    async def ResumeEventTrigger(
        self, request: pb.WorkflowManagerResumeEventTriggerRequest, context: ServerContext
    ) -> pb.ManagedWorkflowEventTrigger:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            trigger = await self._manager.triggers.resume(who, _required(request.trigger_id, "trigger_id"))
        return _managed_trigger(trigger)

    # Events -----------------------------------------------------------------------------------------------------------

    async def PublishEvent(
        self, request: pb.WorkflowManagerPublishEventRequest, context: ServerContext
    ) -> pb.WorkflowEvent:
        async with answering(context, MANAGER_FAULTS):
            who = self._caller(request.invocation_token)
            event = await self._manager.events.publish(
                who, _event(request.event), provider=request.provider_name.strip()
            )
        return workflow_convert.event_to_proto(event)


def _required(text: str, field: str) -> str:
    if not text.strip():
        raise InvalidArgument(f"{field} is required")
    return text


def _target(message: pb.BoundWorkflowTarget) -> Target:
    """Convert the target; unlike over HTTP nothing of it has a default here."""
    target = target_from_proto(message)
    if message.WhichOneof("kind") == "agent":
        _required(message.agent.provider_name, "target.agent.provider_name")
    else:
        _required(message.plugin.plugin_name, "target.plugin.plugin_name")
        _required(message.plugin.operation, "target.plugin.operation")
    assert target is not None
    return target


def _schedule_request(
    request: pb.WorkflowManagerCreateScheduleRequest | pb.WorkflowManagerUpdateScheduleRequest,
) -> ScheduleSpec:
    return ScheduleSpec(
        cron=request.cron.strip(),
        target=_target(request.target),
        timezone=request.timezone.strip(),
        paused=request.paused,
        provider=request.provider_name.strip(),
    )


def _trigger_request(
    request: pb.WorkflowManagerCreateEventTriggerRequest | pb.WorkflowManagerUpdateEventTriggerRequest,
) -> EventTriggerSpec:
    target = _target(request.target)
    _required(request.match.type, "match.type")
    return EventTriggerSpec(
        match=workflow_convert.match_from_proto(request.match),
        target=target,
        paused=request.paused,
        provider=request.provider_name.strip(),
    )


def _event(message: pb.WorkflowEvent) -> Event:
    """Convert the event, its texts trimmed; what else it lacks is filled in when it is published."""
    event = workflow_convert.event_from_proto(message)
    if not event.type.strip():
        raise InvalidArgument("workflow event type is required")
    return replace(
        event,
        id=event.id.strip(),
        source=event.source.strip(),
        spec_version=event.spec_version.strip(),
        type=event.type.strip(),
        subject=event.subject.strip(),
        data_content_type=event.data_content_type.strip(),
    )


def _managed_run(run: Run) -> pb.ManagedWorkflowRun:
    return pb.ManagedWorkflowRun(provider_name=run.provider, run=workflow_convert.run_to_proto(run))


def _managed_signal(result: SignalResult) -> pb.ManagedWorkflowRunSignal:
    return pb.ManagedWorkflowRunSignal(
        provider_name=result.run.provider,
        run=workflow_convert.run_to_proto(result.run),
        signal=workflow_convert.signal_to_proto(result.signal),
        started_run=result.started_run,
        workflow_key=result.workflow_key,
    )


def _managed_schedule(schedule: Schedule) -> pb.ManagedWorkflowSchedule:
    return pb.ManagedWorkflowSchedule(
        provider_name=schedule.provider, schedule=workflow_convert.schedule_to_proto(schedule)
    )


def _managed_trigger(trigger: EventTrigger) -> pb.ManagedWorkflowEventTrigger:
    return pb.ManagedWorkflowEventTrigger(
        provider_name=trigger.provider, trigger=workflow_convert.trigger_to_proto(trigger)
    )
