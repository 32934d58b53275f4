"""Call the host's workflow services: WorkflowHost for workflow providers, WorkflowManagerHost for plugins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import grpc

from gestalt_sdk.common.sizes import too_deep
from gestalt_sdk.gen.extension.v1 import workflow_dispatch_pb2, workflow_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.host_channels import call
from gestalt_sdk.transport.streamed import STREAMED_BYTES, CallFailed, StreamedCalls, StreamUnserved
from gestalt_sdk.workflow.convert import (
    event_from_proto,
    event_to_proto,
    match_to_proto,
    run_from_proto,
    schedule_from_proto,
    signal_from_proto,
    signal_to_proto,
    trigger_from_proto,
)
from gestalt_sdk.workflow.targets import target_to_proto
from gestalt_sdk.workflow.types import (
    Event,
    EventMatch,
    EventTrigger,
    PluginTarget,
    Run,
    Schedule,
    Signal,
    SignalResult,
    Target,
)


class WorkflowHostClient:
    """Have the host run the targets of runs, as a workflow provider does (contract.md 4.2).

    Calls share one stream (extension WorkflowDispatch) with a host that serves it, and are calls of their own with any
    other.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = workflow_pb2_grpc.WorkflowHostStub(channel)
        dispatch = workflow_dispatch_pb2_grpc.WorkflowDispatchStub(channel).Dispatch
        self._stream = StreamedCalls(
            lambda: dispatch(wait_for_ready=True), workflow_dispatch_pb2.DispatchCalls, patient=True
        )

    async def invoke(self, request: pb.InvokeWorkflowOperationRequest) -> pb.InvokeWorkflowOperationResponse:
        """Have the host run the target of a run; a status of 400 or more is a result.

        Waits for the answer however long it takes; cancelling cancels the operation. A host that cannot be reached at
        this moment is waited for.

        Raises:
            CallFailed: the call ended with a gRPC status; its code, and its text as the host sent it.
        """
        if self._stream.served and request.ByteSize() <= STREAMED_BYTES:
            try:
                return await self._stream.call(request)
            except StreamUnserved:
                pass
        try:
            return await self._stub.InvokeOperation(request, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(error.code().name, error.details() or "") from error

    async def close(self) -> None:
        """End the stream; calls without an answer fail. The channel stays open."""
        await self._stream.close()


class WorkflowManagerClient:
    """Manage workflows on behalf of one call of a plugin (contract.md 4.3); made by ``Request.workflows``.

    ``provider`` names a workflow provider; empty means the default one, and for an update the present one. The
    creating methods use the call's idempotency key where none is given.

    Errors of every method: ``ServiceRefused`` with the host's code and text, ``ServiceUnavailable`` without an answer.
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
        """Create a schedule; ``cron`` has five fields, ``timezone`` is an IANA name, empty means UTC."""
        request = pb.WorkflowManagerCreateScheduleRequest(
            provider_name=provider,
            cron=cron,
            timezone=timezone,
            target=_target(target),
            paused=paused,
            invocation_token=self._token,
            idempotency_key=idempotency_key or self._idempotency_key,
        )
        return _schedule(await call(self._stub.CreateSchedule, request))

    async def get_schedule(self, schedule_id: str) -> Schedule:
        """Return a schedule of the subject."""
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
        """Replace everything of a schedule but its id."""
        request = pb.WorkflowManagerUpdateScheduleRequest(
            schedule_id=schedule_id,
            provider_name=provider,
            cron=cron,
            timezone=timezone,
            target=_target(target),
            paused=paused,
            invocation_token=self._token,
        )
        return _schedule(await call(self._stub.UpdateSchedule, request))

    async def delete_schedule(self, schedule_id: str) -> None:
        """Delete a schedule; its runs stay, and those pending still execute."""
        request = pb.WorkflowManagerDeleteScheduleRequest(schedule_id=schedule_id, invocation_token=self._token)
        await call(self._stub.DeleteSchedule, request)

    async def pause_schedule(self, schedule_id: str) -> Schedule:
        """Stop future firings; runs already pending still execute."""
        request = pb.WorkflowManagerPauseScheduleRequest(schedule_id=schedule_id, invocation_token=self._token)
        return _schedule(await call(self._stub.PauseSchedule, request))

    async def resume_schedule(self, schedule_id: str) -> Schedule:
        """Fire again from the next slot after now."""
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
        """Create a trigger that starts a run of the target for each event that matches."""
        request = pb.WorkflowManagerCreateEventTriggerRequest(
            provider_name=provider,
            match=match_to_proto(match),
            target=_target(target),
            paused=paused,
            invocation_token=self._token,
            idempotency_key=idempotency_key or self._idempotency_key,
        )
        return _trigger(await call(self._stub.CreateEventTrigger, request))

    async def get_event_trigger(self, trigger_id: str) -> EventTrigger:
        """Return a trigger of the subject."""
        request = pb.WorkflowManagerGetEventTriggerRequest(trigger_id=trigger_id, invocation_token=self._token)
        return _trigger(await call(self._stub.GetEventTrigger, request))

    async def update_event_trigger(
        self, trigger_id: str, match: EventMatch, target: Target, *, paused: bool = False, provider: str = ""
    ) -> EventTrigger:
        """Replace everything of a trigger but its id."""
        request = pb.WorkflowManagerUpdateEventTriggerRequest(
            trigger_id=trigger_id,
            provider_name=provider,
            match=match_to_proto(match),
            target=_target(target),
            paused=paused,
            invocation_token=self._token,
        )
        return _trigger(await call(self._stub.UpdateEventTrigger, request))

    async def delete_event_trigger(self, trigger_id: str) -> None:
        """Delete a trigger; its runs stay."""
        request = pb.WorkflowManagerDeleteEventTriggerRequest(trigger_id=trigger_id, invocation_token=self._token)
        await call(self._stub.DeleteEventTrigger, request)

    async def pause_event_trigger(self, trigger_id: str) -> EventTrigger:
        """Stop matching; events published meanwhile are not made up for."""
        request = pb.WorkflowManagerPauseEventTriggerRequest(trigger_id=trigger_id, invocation_token=self._token)
        return _trigger(await call(self._stub.PauseEventTrigger, request))

    async def resume_event_trigger(self, trigger_id: str) -> EventTrigger:
        """Match again, from the next event on."""
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

        Raises:
            ValueError: the data is nested too deeply, or has an integer that no double holds.
        """
        if isinstance(event, str):
            event = Event(
                event, source=source, subject=subject, data=data or {}, id=id, time=time, extensions=extensions or {}
            )
        elif source or subject or data or id or time or extensions:
            raise ValueError("an Event is given whole: its parts cannot be given beside it")
        _require_levels("data", event.data)
        request = pb.WorkflowManagerPublishEventRequest(
            event=event_to_proto(event), invocation_token=self._token, provider_name=provider
        )
        return event_from_proto(await call(self._stub.PublishEvent, request))

    async def start_run(
        self, target: Target, *, workflow_key: str = "", provider: str = "", idempotency_key: str = ""
    ) -> Run:
        """Start a run at once.

        Args:
            workflow_key: At most one active run has it; empty: none.
            idempotency_key: The same one again returns the earlier run; that of the call is not used instead.
        """
        request = pb.WorkflowManagerStartRunRequest(
            provider_name=provider,
            target=_target(target),
            idempotency_key=idempotency_key,
            workflow_key=workflow_key,
            invocation_token=self._token,
        )
        response = await call(self._stub.StartRun, request)
        return run_from_proto(response.run, response.provider_name)

    async def signal_run(self, run_id: str, signal: Signal) -> SignalResult:
        """Add a signal to an active run; return it with id and sequence filled in."""
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
            target=_target(target),
            idempotency_key=idempotency_key,
            signal=signal_to_proto(signal),
            invocation_token=self._token,
        )
        return _signal(await call(self._stub.SignalOrStartRun, request))


def _target(target: Target) -> pb.BoundWorkflowTarget:
    if isinstance(target, PluginTarget):
        _require_levels("input", target.input)
    return target_to_proto(target)


def _require_levels(name: str, value: object) -> None:
    """Refuse what the host would refuse, before protobuf refuses it in words of its own."""
    if refusal := too_deep(name, value):
        raise ValueError(refusal)


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
