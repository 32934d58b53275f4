"""Clients of the host's workflow services: WorkflowHost for workflow providers, WorkflowManagerHost for plugins.

Errors of every method: ``ServiceRefused`` with the host's code and text, ``ServiceUnavailable`` without an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import grpc

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import WORKFLOW_HOST_SOCKET, Address, service_address
from gestalt_sdk.transport.host_channels import call
from gestalt_sdk.transport.values import optional_struct
from gestalt_sdk.workflow.convert import (
    actor_to_proto,
    event_from_proto,
    event_to_proto,
    match_to_proto,
    run_from_proto,
    run_trigger_to_proto,
    schedule_from_proto,
    signal_from_proto,
    signal_to_proto,
    trigger_from_proto,
)
from gestalt_sdk.workflow.invoker import InvocationResult
from gestalt_sdk.workflow.targets import target_to_proto
from gestalt_sdk.workflow.types import (
    Actor,
    AgentTarget,
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    ManualTrigger,
    PluginTarget,
    Run,
    RunTrigger,
    Schedule,
    ScheduleTrigger,
    Signal,
    SignalResult,
    Target,
)

__all__ = [
    "Actor",
    "AgentTarget",
    "Event",
    "EventMatch",
    "EventTrigger",
    "EventTriggerInvocation",
    "ManualTrigger",
    "PluginTarget",
    "Run",
    "RunTrigger",
    "Schedule",
    "ScheduleTrigger",
    "Signal",
    "SignalResult",
    "Target",
    "WorkflowHostClient",
    "WorkflowManagerClient",
]


class WorkflowHostClient:
    """What a workflow provider dials to have a run's target invoked (contract.md 4.2)."""

    def __init__(self, channel: grpc.aio.Channel, *, owns_channel: bool = False) -> None:
        self._channel = channel
        self._owns_channel = owns_channel
        self._stub = workflow_pb2_grpc.WorkflowHostStub(channel)

    @classmethod
    def connect(cls, address: Address | None = None) -> WorkflowHostClient:
        """With a channel of its own; raises ``EnvironmentUnusable`` without an address and without the variable."""
        return cls(open_channel(address or service_address(WORKFLOW_HOST_SOCKET)), owns_channel=True)

    async def close(self) -> None:
        if self._owns_channel:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    async def invoke(
        self,
        target: Target,
        *,
        run_id: str,
        execution_ref: str,
        trigger: RunTrigger | None = None,
        input: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_by: Actor | None = None,
        published_by: Actor | None = None,
        signals: Sequence[Signal] = (),
        timeout_s: float | None,
    ) -> InvocationResult:
        """Invoke the target of a run; a status of 400 or more is a result.

        Args:
            timeout_s: How long the operation may take; None: as long as it likes.
        """
        request = pb.InvokeWorkflowOperationRequest(
            target=target_to_proto(target),
            run_id=run_id,
            trigger=None if trigger is None else run_trigger_to_proto(trigger),
            input=optional_struct(input or {}),
            metadata=optional_struct(metadata or {}),
            created_by=None if created_by is None else actor_to_proto(created_by),
            published_by=None if published_by is None else actor_to_proto(published_by),
            execution_ref=execution_ref,
            signals=[signal_to_proto(signal) for signal in signals],
        )
        response = await self.invoke_raw(request, timeout_s=timeout_s)
        return InvocationResult(response.status, response.body)

    async def invoke_raw(
        self, request: pb.InvokeWorkflowOperationRequest, *, timeout_s: float | None
    ) -> pb.InvokeWorkflowOperationResponse:
        """``invoke`` on messages. Cancelling the caller cancels the operation."""
        return await call(self._stub.InvokeOperation, request, timeout_s)


class WorkflowManagerClient:
    """The workflow manager on behalf of one call of a plugin (contract.md 4.3); get it from ``Request.workflows``.

    ``provider`` names a workflow provider; empty means the default one, and for an update the present one. The
    creating methods use the call's idempotency key where none is given.
    """

    def __init__(self, channel: grpc.aio.Channel, invocation_token: str, *, idempotency_key: str = "") -> None:
        self._stub = workflow_pb2_grpc.WorkflowManagerHostStub(channel)
        self._token = invocation_token
        self._idempotency_key = idempotency_key

    async def create_schedule(
        self,
        cron: str,
        target: Target,
        *,
        timezone: str = "",
        paused: bool = False,
        provider: str = "",
        idempotency_key: str = "",
    ) -> Schedule:
        """``cron`` has five fields; ``timezone`` is an IANA name, empty means UTC."""
        request = pb.WorkflowManagerCreateScheduleRequest(
            provider_name=provider,
            cron=cron,
            timezone=timezone,
            target=target_to_proto(target),
            paused=paused,
            invocation_token=self._token,
            idempotency_key=idempotency_key or self._idempotency_key,
        )
        return _schedule(await call(self._stub.CreateSchedule, request))

    async def get_schedule(self, schedule_id: str) -> Schedule:
        request = pb.WorkflowManagerGetScheduleRequest(schedule_id=schedule_id, invocation_token=self._token)
        return _schedule(await call(self._stub.GetSchedule, request))

    async def update_schedule(
        self,
        schedule_id: str,
        cron: str,
        target: Target,
        *,
        timezone: str = "",
        paused: bool = False,
        provider: str = "",
    ) -> Schedule:
        """Replaces everything but the id."""
        request = pb.WorkflowManagerUpdateScheduleRequest(
            schedule_id=schedule_id,
            provider_name=provider,
            cron=cron,
            timezone=timezone,
            target=target_to_proto(target),
            paused=paused,
            invocation_token=self._token,
        )
        return _schedule(await call(self._stub.UpdateSchedule, request))

    async def delete_schedule(self, schedule_id: str) -> None:
        request = pb.WorkflowManagerDeleteScheduleRequest(schedule_id=schedule_id, invocation_token=self._token)
        await call(self._stub.DeleteSchedule, request)

    async def pause_schedule(self, schedule_id: str) -> Schedule:
        request = pb.WorkflowManagerPauseScheduleRequest(schedule_id=schedule_id, invocation_token=self._token)
        return _schedule(await call(self._stub.PauseSchedule, request))

    async def resume_schedule(self, schedule_id: str) -> Schedule:
        request = pb.WorkflowManagerResumeScheduleRequest(schedule_id=schedule_id, invocation_token=self._token)
        return _schedule(await call(self._stub.ResumeSchedule, request))

    async def create_event_trigger(
        self,
        match: EventMatch,
        target: Target,
        *,
        paused: bool = False,
        provider: str = "",
        idempotency_key: str = "",
    ) -> EventTrigger:
        request = pb.WorkflowManagerCreateEventTriggerRequest(
            provider_name=provider,
            match=match_to_proto(match),
            target=target_to_proto(target),
            paused=paused,
            invocation_token=self._token,
            idempotency_key=idempotency_key or self._idempotency_key,
        )
        return _trigger(await call(self._stub.CreateEventTrigger, request))

    async def get_event_trigger(self, trigger_id: str) -> EventTrigger:
        request = pb.WorkflowManagerGetEventTriggerRequest(trigger_id=trigger_id, invocation_token=self._token)
        return _trigger(await call(self._stub.GetEventTrigger, request))

    async def update_event_trigger(
        self, trigger_id: str, match: EventMatch, target: Target, *, paused: bool = False, provider: str = ""
    ) -> EventTrigger:
        """Replaces everything but the id."""
        request = pb.WorkflowManagerUpdateEventTriggerRequest(
            trigger_id=trigger_id,
            provider_name=provider,
            match=match_to_proto(match),
            target=target_to_proto(target),
            paused=paused,
            invocation_token=self._token,
        )
        return _trigger(await call(self._stub.UpdateEventTrigger, request))

    async def delete_event_trigger(self, trigger_id: str) -> None:
        request = pb.WorkflowManagerDeleteEventTriggerRequest(trigger_id=trigger_id, invocation_token=self._token)
        await call(self._stub.DeleteEventTrigger, request)

    async def pause_event_trigger(self, trigger_id: str) -> EventTrigger:
        request = pb.WorkflowManagerPauseEventTriggerRequest(trigger_id=trigger_id, invocation_token=self._token)
        return _trigger(await call(self._stub.PauseEventTrigger, request))

    async def resume_event_trigger(self, trigger_id: str) -> EventTrigger:
        request = pb.WorkflowManagerResumeEventTriggerRequest(trigger_id=trigger_id, invocation_token=self._token)
        return _trigger(await call(self._stub.ResumeEventTrigger, request))

    async def publish_event(
        self,
        event: Event | str,
        *,
        source: str = "",
        subject: str = "",
        data: Mapping[str, Any] | None = None,
        id: str = "",
        time: datetime | None = None,
        extensions: Mapping[str, Any] | None = None,
        provider: str = "",
    ) -> Event:
        """Publish an event, given whole or as its type and parts.

        Args:
            id: A repeated id of the same source creates no further runs. Empty: the host chooses one.
            provider: Only to this workflow provider; empty: to every one.
        Returns:
            The event with id, time and version filled in.
        """
        if isinstance(event, str):
            event = Event(
                event, source=source, subject=subject, data=data or {}, id=id, time=time, extensions=extensions or {}
            )
        elif source or subject or data or id or time or extensions:
            raise ValueError("an Event is given whole: its parts cannot be given beside it")
        request = pb.WorkflowManagerPublishEventRequest(
            event=event_to_proto(event), invocation_token=self._token, provider_name=provider
        )
        return event_from_proto(await call(self._stub.PublishEvent, request))

    async def start_run(
        self, target: Target, *, workflow_key: str = "", provider: str = "", idempotency_key: str = ""
    ) -> Run:
        """``workflow_key``: at most one active run has it. An idempotency key is used only when given."""
        request = pb.WorkflowManagerStartRunRequest(
            provider_name=provider,
            target=target_to_proto(target),
            idempotency_key=idempotency_key,
            workflow_key=workflow_key,
            invocation_token=self._token,
        )
        response = await call(self._stub.StartRun, request)
        return run_from_proto(response.run, response.provider_name)

    async def signal_run(self, run_id: str, signal: Signal) -> SignalResult:
        request = pb.WorkflowManagerSignalRunRequest(
            run_id=run_id, signal=signal_to_proto(signal), invocation_token=self._token
        )
        return _signal(await call(self._stub.SignalRun, request))

    async def signal_or_start_run(
        self, workflow_key: str, target: Target, signal: Signal, *, provider: str = "", idempotency_key: str = ""
    ) -> SignalResult:
        """Signal the active run of the key, or start one with this target for it."""
        request = pb.WorkflowManagerSignalOrStartRunRequest(
            provider_name=provider,
            workflow_key=workflow_key,
            target=target_to_proto(target),
            idempotency_key=idempotency_key,
            signal=signal_to_proto(signal),
            invocation_token=self._token,
        )
        return _signal(await call(self._stub.SignalOrStartRun, request))


def _schedule(message: pb.ManagedWorkflowSchedule) -> Schedule:
    return schedule_from_proto(message.schedule, message.provider_name)


def _trigger(message: pb.ManagedWorkflowEventTrigger) -> EventTrigger:
    return trigger_from_proto(message.trigger, message.provider_name)


def _signal(message: pb.ManagedWorkflowRunSignal) -> SignalResult:
    return SignalResult(
        run=run_from_proto(message.run, message.provider_name),
        signal=signal_from_proto(message.signal),
        started_run=message.started_run,
        workflow_key=message.workflow_key,
    )
