"""The calls of a workflow provider in the few shapes that rules and tests need, over whatever carries them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from gestalt_host.verification.waiting import until
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.values import to_struct

SERVICE = "gestalt.provider.v1.WorkflowProvider"
PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED = (
    pb.WORKFLOW_RUN_STATUS_PENDING,
    pb.WORKFLOW_RUN_STATUS_RUNNING,
    pb.WORKFLOW_RUN_STATUS_SUCCEEDED,
    pb.WORKFLOW_RUN_STATUS_FAILED,
    pb.WORKFLOW_RUN_STATUS_CANCELED,
)
RUN_S = 10.0
"""How long a run may take that nobody holds up, in seconds."""

MessageType = TypeVar("MessageType", bound=Message)


def made(kind: Callable[..., MessageType], /, **fields: object) -> MessageType:
    """Return a message of these fields."""
    return kind(**fields)


def target(operation: str = "run", plugin: str = "svc", **fields: object) -> pb.BoundWorkflowTarget:
    """Return a target that is an operation of a plugin."""
    operation_of = made(pb.BoundWorkflowPluginTarget, plugin_name=plugin, operation=operation, **fields)
    return pb.BoundWorkflowTarget(plugin=operation_of)


def actor(subject_id: str) -> pb.WorkflowActor:
    """Return an actor whose kind is what its id begins with."""
    return pb.WorkflowActor(subject_id=subject_id, subject_kind=subject_id.partition(":")[0])


def struct(**fields: object) -> Struct:
    """Return a JSON object."""
    return to_struct(fields)


class WorkflowClient(ABC):
    """A provider as its host calls it."""

    @abstractmethod
    async def call(self, method: str, request: Message, answers: type[MessageType]) -> MessageType:
        """Make a call of ``WorkflowProvider``; what it raises for an error is up to who carries the calls."""

    # Runs -------------------------------------------------------------------------------------------------------------

    async def start_run(self, operation: str = "run", **fields: object) -> pb.BoundWorkflowRun:
        request = made(pb.StartWorkflowProviderRunRequest, **{"target": target(operation), **fields})
        return await self.call("StartRun", request, pb.BoundWorkflowRun)

    async def get_run(self, run_id: str) -> pb.BoundWorkflowRun:
        return await self.call("GetRun", pb.GetWorkflowProviderRunRequest(run_id=run_id), pb.BoundWorkflowRun)

    async def list_runs(self) -> list[pb.BoundWorkflowRun]:
        request = pb.ListWorkflowProviderRunsRequest()
        return list((await self.call("ListRuns", request, pb.ListWorkflowProviderRunsResponse)).runs)

    async def cancel_run(self, run_id: str, reason: str = "") -> pb.BoundWorkflowRun:
        request = pb.CancelWorkflowProviderRunRequest(run_id=run_id, reason=reason)
        return await self.call("CancelRun", request, pb.BoundWorkflowRun)

    async def run_in(self, run_id: str, *statuses: int, within_s: float = RUN_S) -> pb.BoundWorkflowRun:
        """Wait until the run has one of these statuses, any terminal one by default.

        Raises:
            Broken: it has not in time.
        """
        wanted = statuses or (SUCCEEDED, FAILED, CANCELED)
        run = await self.get_run(run_id)

        async def probe() -> pb.BoundWorkflowRun | None:
            nonlocal run
            run = await self.get_run(run_id)
            return run if run.status in wanted else None

        words = " or ".join(pb.WorkflowRunStatus.Name(pb.WorkflowRunStatus.ValueType(status)) for status in wanted)
        return await until(probe, f'run "{run_id}" to become {words}', lambda: _status(run), within_s=within_s)

    async def all_ended(self, count: int, *, within_s: float = 30.0) -> list[pb.BoundWorkflowRun]:
        """Wait until there are that many runs and all have ended.

        Raises:
            Broken: they have not in time.
        """
        runs: list[pb.BoundWorkflowRun] = []

        async def probe() -> list[pb.BoundWorkflowRun] | None:
            runs[:] = await self.list_runs()
            return runs if len(runs) >= count and all(run.status > RUNNING for run in runs) else None

        return await until(probe, f"{count} runs, all ended", lambda: [*map(_status, runs)], within_s=within_s)

    # Signals ----------------------------------------------------------------------------------------------------------

    async def signal(self, run_id: str, name: str = "go", **fields: object) -> pb.SignalWorkflowRunResponse:
        signal = made(pb.WorkflowSignal, name=name, **fields)
        request = pb.SignalWorkflowProviderRunRequest(run_id=run_id, signal=signal)
        return await self.call("SignalRun", request, pb.SignalWorkflowRunResponse)

    async def signal_or_start(
        self,
        key: str,
        name: str = "go",
        *,
        operation: str = "run",
        created_by: pb.WorkflowActor | None = None,
        execution_ref: str = "",
        to: pb.BoundWorkflowTarget | None = None,
        **fields: object,
    ) -> pb.SignalWorkflowRunResponse:
        """Signal the run that holds a key, or start one.

        Args:
            to: The target in place of an operation's.
            fields: Of the signal.
        """
        request = pb.SignalOrStartWorkflowProviderRunRequest(
            workflow_key=key,
            target=to or target(operation),
            signal=made(pb.WorkflowSignal, name=name, **fields),
            created_by=created_by,
            execution_ref=execution_ref,
        )
        return await self.call("SignalOrStartRun", request, pb.SignalWorkflowRunResponse)

    # Schedules and triggers -------------------------------------------------------------------------------------------

    async def upsert_schedule(
        self, schedule_id: str, cron: str = "* * * * *", **fields: object
    ) -> pb.BoundWorkflowSchedule:
        fields = {"target": target(), **fields}
        request = made(pb.UpsertWorkflowProviderScheduleRequest, schedule_id=schedule_id, cron=cron, **fields)
        return await self.call("UpsertSchedule", request, pb.BoundWorkflowSchedule)

    async def get_schedule(self, schedule_id: str) -> pb.BoundWorkflowSchedule:
        request = pb.GetWorkflowProviderScheduleRequest(schedule_id=schedule_id)
        return await self.call("GetSchedule", request, pb.BoundWorkflowSchedule)

    async def upsert_trigger(
        self, trigger_id: str, type: str = "t", operation: str = "run", **fields: object
    ) -> pb.BoundWorkflowEventTrigger:
        fields = {"match": pb.WorkflowEventMatch(type=type), "target": target(operation), **fields}
        request = made(pb.UpsertWorkflowProviderEventTriggerRequest, trigger_id=trigger_id, **fields)
        return await self.call("UpsertEventTrigger", request, pb.BoundWorkflowEventTrigger)

    async def get_trigger(self, trigger_id: str) -> pb.BoundWorkflowEventTrigger:
        request = pb.GetWorkflowProviderEventTriggerRequest(trigger_id=trigger_id)
        return await self.call("GetEventTrigger", request, pb.BoundWorkflowEventTrigger)

    async def publish(self, event_id: str = "", type: str = "t", source: str = "s", **fields: object) -> None:
        event = pb.WorkflowEvent(id=event_id, type=type, source=source)
        await self.publish_event(event, **fields)

    async def publish_event(self, event: pb.WorkflowEvent, **fields: object) -> None:
        request = made(pb.PublishWorkflowProviderEventRequest, event=event, **fields)
        await self.call("PublishEvent", request, Empty)

    # Execution references ---------------------------------------------------------------------------------------------

    async def put_reference(self, reference_id: str, **fields: object) -> pb.WorkflowExecutionReference:
        fields = {"target": target(), "subject_id": "user:alice", **fields}
        reference = made(pb.WorkflowExecutionReference, id=reference_id, **fields)
        request = pb.PutWorkflowExecutionReferenceRequest(reference=reference)
        return await self.call("PutExecutionReference", request, pb.WorkflowExecutionReference)

    async def get_reference(self, reference_id: str) -> pb.WorkflowExecutionReference:
        request = pb.GetWorkflowExecutionReferenceRequest(id=reference_id)
        return await self.call("GetExecutionReference", request, pb.WorkflowExecutionReference)

    async def list_references(self, subject_id: str = "") -> list[pb.WorkflowExecutionReference]:
        request = pb.ListWorkflowExecutionReferencesRequest(subject_id=subject_id)
        answer = await self.call("ListExecutionReferences", request, pb.ListWorkflowExecutionReferencesResponse)
        return list(answer.references)


class Objects(ABC):
    """Schedules or event triggers, behind one set of names."""

    word: str
    """``schedule`` or ``trigger``."""
    called: str
    """How texts of errors name one."""

    def __init__(self, workflow: WorkflowClient) -> None:
        self.workflow = workflow

    @abstractmethod
    async def upsert(self, object_id: str, **fields: object) -> Stored: ...

    @abstractmethod
    async def get(self, object_id: str) -> Stored: ...

    @abstractmethod
    async def pause(self, object_id: str) -> Stored: ...

    @abstractmethod
    async def resume(self, object_id: str) -> Stored: ...

    @abstractmethod
    async def delete(self, object_id: str) -> None: ...

    @abstractmethod
    async def list(self) -> Sequence[Stored]: ...

    def each(self, object_id: str) -> Iterator[Awaitable[object]]:
        """Make the calls that name an existing one, one after the other."""
        for call in (self.get, self.pause, self.resume, self.delete):
            yield call(object_id)


Stored = pb.BoundWorkflowSchedule | pb.BoundWorkflowEventTrigger


class Schedules(Objects):
    word = called = "schedule"

    async def upsert(self, object_id: str, **fields: object) -> Stored:
        cron = fields.pop("cron", "0 3 * * *")
        assert isinstance(cron, str)
        return await self.workflow.upsert_schedule(object_id, cron, **fields)

    async def get(self, object_id: str) -> Stored:
        return await self.workflow.get_schedule(object_id)

    async def pause(self, object_id: str) -> Stored:
        request = pb.PauseWorkflowProviderScheduleRequest(schedule_id=object_id)
        return await self.workflow.call("PauseSchedule", request, pb.BoundWorkflowSchedule)

    async def resume(self, object_id: str) -> Stored:
        request = pb.ResumeWorkflowProviderScheduleRequest(schedule_id=object_id)
        return await self.workflow.call("ResumeSchedule", request, pb.BoundWorkflowSchedule)

    async def delete(self, object_id: str) -> None:
        await self.workflow.call(
            "DeleteSchedule", pb.DeleteWorkflowProviderScheduleRequest(schedule_id=object_id), Empty
        )

    async def list(self) -> Sequence[Stored]:
        request = pb.ListWorkflowProviderSchedulesRequest()
        return (await self.workflow.call("ListSchedules", request, pb.ListWorkflowProviderSchedulesResponse)).schedules


class Triggers(Objects):
    word, called = "trigger", "event trigger"

    async def upsert(self, object_id: str, **fields: object) -> Stored:
        fields = {"match": pb.WorkflowEventMatch(type="a.b"), "target": target(), **fields}
        request = made(pb.UpsertWorkflowProviderEventTriggerRequest, trigger_id=object_id, **fields)
        return await self.workflow.call("UpsertEventTrigger", request, pb.BoundWorkflowEventTrigger)

    async def get(self, object_id: str) -> Stored:
        return await self.workflow.get_trigger(object_id)

    async def pause(self, object_id: str) -> Stored:
        request = pb.PauseWorkflowProviderEventTriggerRequest(trigger_id=object_id)
        return await self.workflow.call("PauseEventTrigger", request, pb.BoundWorkflowEventTrigger)

    async def resume(self, object_id: str) -> Stored:
        request = pb.ResumeWorkflowProviderEventTriggerRequest(trigger_id=object_id)
        return await self.workflow.call("ResumeEventTrigger", request, pb.BoundWorkflowEventTrigger)

    async def delete(self, object_id: str) -> None:
        request = pb.DeleteWorkflowProviderEventTriggerRequest(trigger_id=object_id)
        await self.workflow.call("DeleteEventTrigger", request, Empty)

    async def list(self) -> Sequence[Stored]:
        request = pb.ListWorkflowProviderEventTriggersRequest()
        answer = await self.workflow.call("ListEventTriggers", request, pb.ListWorkflowProviderEventTriggersResponse)
        return answer.triggers


def both_kinds(workflow: WorkflowClient) -> tuple[Objects, Objects]:
    return Schedules(workflow), Triggers(workflow)


def _status(run: pb.BoundWorkflowRun) -> str:
    return f"{pb.WorkflowRunStatus.Name(run.status)} {run.status_message}".rstrip()
