"""The provider: its configuration and its life, and which function answers which call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message

from gestalt_sdk import WorkflowProvider
from gestalt_sdk.bases import ConfigFault
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.timing import DurationInvalid, parse_duration
from gestalt_sdk.transport import ServerContext, reporting_faults
from gestalt_sdk.workflow import WorkflowProviderServicer
from later_workflow import objects, runs
from later_workflow.checks import FAULTS, given_id
from later_workflow.storage import REFERENCES, RUNS, SCHEDULES, TRIGGERS, Kind, Storage
from later_workflow.worker import Settings, Worker

DURATIONS = ("pollInterval", "runClaimTTL", "runClaimRenewEvery")
KEYS = (*DURATIONS, "workerCount")
DRAIN_S = 15.0
A = TypeVar("A")
Q = TypeVar("Q", bound=Message)
M = TypeVar("M", bound=Message)
Call = Callable[["Servicer", Q, ServerContext], Awaitable[A]]


class LaterWorkflow(WorkflowProvider):
    """Configuration: ``pollInterval``, ``workerCount``, ``runClaimTTL``, ``runClaimRenewEvery``; all optional."""

    display_name = "Later"
    description = "Keeps schedules, triggers and runs in its IndexedDB, and runs what is due."
    version = "0.1.0"

    def __init__(self) -> None:
        super().__init__()
        self.storage = Storage()
        self.worker: Worker | None = None

    def servicer(self) -> WorkflowProviderServicer:
        return Servicer(self)

    async def check(self, name: str, config: Mapping[str, object]) -> list[ConfigFault]:
        unknown = sorted(config.keys() - set(KEYS))
        faults = [ConfigFault(key, f"is not known; accepted are {', '.join(KEYS)}", is_warning=True) for key in unknown]
        for key in DURATIONS:
            try:
                _duration(config, key)
            except (DurationInvalid, TypeError):
                faults.append(ConfigFault(key, f"is {config[key]!r}; accepted is a duration such as 500ms or 1m30s"))
        try:
            _workers(config)
        except (TypeError, ValueError, OverflowError):
            text = f"is {config['workerCount']!r}; accepted is a whole number"
            faults.append(ConfigFault("workerCount", text))
        return faults

    async def configure(self, name: str, config: Mapping[str, object]) -> None:
        faults = await self.check(name, config)
        if wrong := [f"config.{fault}" for fault in faults if not fault.is_warning]:
            raise ValueError("; ".join(wrong))
        settings = _settings(config)
        await self.storage.open(self.indexeddb(), name)
        if self.worker is None:
            self.worker = Worker(self.storage, self.workflow_host(), self.beats)
        self.worker.pause(settings)
        self.warnings = [f"config.{fault}" for fault in faults]

    async def start(self) -> None:
        _ = self.storage.db  # raises where there is no configuration
        if self.worker is not None:
            self.worker.resume()

    async def health(self) -> None:
        await self.storage.db.store("claimants").find("none")

    async def drain(self) -> None:
        if self.worker is not None:
            await self.worker.drain(DRAIN_S if self.drain_s is None else self.drain_s)


def _duration(config: Mapping[str, object], key: str) -> timedelta:
    value = config.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(key)
    return parse_duration(value) if value else timedelta()


def _workers(config: Mapping[str, object]) -> int:
    """Return the number, 0 where there is none. Raises ``TypeError`` when it is no whole number."""
    value = config.get("workerCount", 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError("workerCount")
    return int(value)


def _settings(config: Mapping[str, object]) -> Settings:
    usual = Settings()
    nothing = timedelta()
    poll, lease, renewal = (_duration(config, key) for key in DURATIONS)
    lease = lease if lease > nothing else usual.lease
    return Settings(
        poll=poll if poll > nothing else usual.poll,
        workers=workers if (workers := _workers(config)) > 0 else usual.workers,
        lease=lease,
        renewal=renewal if nothing < renewal < lease else lease / 3,
    )


def answered_by(answer: Callable[[Storage, Q], Awaitable[A]]) -> Call[Q, A]:
    """Return a call of the service; errors in ``FAULTS`` become its status."""

    async def call(self: Servicer, request: Q, context: ServerContext) -> A:
        async with reporting_faults(context, FAULTS):
            return await answer(self.provider.storage, request)

    return call


def named(field: str, use: Callable[..., Awaitable[A]]) -> Call[Message, A]:
    """Return a call that names one object in that field."""

    async def answer(storage: Storage, request: Message) -> A:
        return await use(storage, id=given_id(field, getattr(request, field)))

    return answered_by(answer)


def listed(kind: Kind[M], response: Callable[..., A]) -> Call[Message, A]:
    """Return a call that lists a store, oldest first."""

    async def answer(storage: Storage, request: Message) -> A:
        return response(**{kind.store: await storage.all(kind, "created")})

    return answered_by(answer)


class Servicer(WorkflowProviderServicer):
    def __init__(self, provider: LaterWorkflow) -> None:
        self.provider = provider

    StartRun = answered_by(runs.start_run)
    GetRun = named("run_id", partial(Storage.get, kind=RUNS))
    ListRuns = listed(RUNS, pb.ListWorkflowProviderRunsResponse)
    SignalRun = answered_by(runs.signal_run)
    SignalOrStartRun = answered_by(runs.signal_or_start_run)

    async def CancelRun(
        self, request: pb.CancelWorkflowProviderRunRequest, context: ServerContext
    ) -> pb.BoundWorkflowRun:
        async with reporting_faults(context, FAULTS):
            run = await runs.cancel_run(self.provider.storage, request)
            if self.provider.worker is not None:
                self.provider.worker.give_up(run.id)
            return run

    UpsertSchedule = answered_by(objects.upsert_schedule)
    GetSchedule = named("schedule_id", partial(Storage.get, kind=SCHEDULES))
    ListSchedules = listed(SCHEDULES, pb.ListWorkflowProviderSchedulesResponse)
    DeleteSchedule = named("schedule_id", partial(objects.delete, kind=SCHEDULES))
    PauseSchedule = named("schedule_id", partial(objects.set_paused, kind=SCHEDULES, paused=True))
    ResumeSchedule = named("schedule_id", partial(objects.set_paused, kind=SCHEDULES, paused=False))

    UpsertEventTrigger = answered_by(objects.upsert_trigger)
    GetEventTrigger = named("trigger_id", partial(Storage.get, kind=TRIGGERS))
    ListEventTriggers = listed(TRIGGERS, pb.ListWorkflowProviderEventTriggersResponse)
    DeleteEventTrigger = named("trigger_id", partial(objects.delete, kind=TRIGGERS))
    PauseEventTrigger = named("trigger_id", partial(objects.set_paused, kind=TRIGGERS, paused=True))
    ResumeEventTrigger = named("trigger_id", partial(objects.set_paused, kind=TRIGGERS, paused=False))
    PublishEvent = answered_by(objects.publish_event)

    PutExecutionReference = answered_by(objects.put_reference)
    GetExecutionReference = named("id", partial(Storage.get, kind=REFERENCES))
    ListExecutionReferences = answered_by(objects.list_references)


provider = LaterWorkflow
