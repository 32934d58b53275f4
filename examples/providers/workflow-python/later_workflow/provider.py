"""The provider: its configuration and its life, and which function answers which call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from gestalt_sdk import WorkflowProvider
from gestalt_sdk.bases import ConfigFault
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.timing import DurationInvalid, parse_duration
from gestalt_sdk.transport import ServerContext, reporting_faults
from gestalt_sdk.workflow import WorkflowProviderServicer
from later_workflow import objects, runs
from later_workflow.checks import FAULTS, given_id
from later_workflow.storage import Storage
from later_workflow.worker import Settings, Worker

DURATIONS = ("pollInterval", "runClaimTTL", "runClaimRenewEvery")
KEYS = (*DURATIONS, "workerCount")
DRAIN_S = 15.0


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
        count = config.get("workerCount", 0)
        if isinstance(count, bool) or not isinstance(count, int | float) or count != int(count):
            faults.append(ConfigFault("workerCount", f"is {count!r}; accepted is a whole number"))
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


def _settings(config: Mapping[str, Any]) -> Settings:
    usual = Settings()
    nothing = timedelta()
    poll, lease, renewal = (_duration(config, key) for key in DURATIONS)
    lease = lease if lease > nothing else usual.lease
    return Settings(
        poll=poll if poll > nothing else usual.poll,
        workers=int(config.get("workerCount", 0)) if config.get("workerCount", 0) > 0 else usual.workers,
        lease=lease,
        renewal=renewal if nothing < renewal < lease else lease / 3,
    )


def answered_by(answer: Callable[[Storage, Any], Awaitable[Any]]) -> Any:
    """Return a call of the service; errors in ``FAULTS`` become its status."""

    async def call(self: Servicer, request: Any, context: ServerContext) -> Any:
        async with reporting_faults(context, FAULTS):
            return await answer(self.provider.storage, request)

    return call


def named(field: str, use: Callable[..., Awaitable[Any]]) -> Any:
    """Return a call that names one object in that field."""

    async def answer(storage: Storage, request: Any) -> Any:
        return await use(storage, id=given_id(field, getattr(request, field)))

    return answered_by(answer)


def listed(store: str, response: Any) -> Any:
    """Return a call that lists a store, oldest first."""

    async def answer(storage: Storage, request: Any) -> Any:
        return response(**{store: await storage.all(store, "created")})

    return answered_by(answer)


class Servicer(WorkflowProviderServicer):
    def __init__(self, provider: LaterWorkflow) -> None:
        self.provider = provider

    StartRun = answered_by(runs.start_run)
    GetRun = named("run_id", partial(Storage.get, store="runs"))
    ListRuns = listed("runs", pb.ListWorkflowProviderRunsResponse)
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
    GetSchedule = named("schedule_id", partial(Storage.get, store="schedules"))
    ListSchedules = listed("schedules", pb.ListWorkflowProviderSchedulesResponse)
    DeleteSchedule = named("schedule_id", partial(objects.delete, store="schedules"))
    PauseSchedule = named("schedule_id", partial(objects.set_paused, store="schedules", paused=True))
    ResumeSchedule = named("schedule_id", partial(objects.set_paused, store="schedules", paused=False))

    UpsertEventTrigger = answered_by(objects.upsert_trigger)
    GetEventTrigger = named("trigger_id", partial(Storage.get, store="triggers"))
    ListEventTriggers = listed("triggers", pb.ListWorkflowProviderEventTriggersResponse)
    DeleteEventTrigger = named("trigger_id", partial(objects.delete, store="triggers"))
    PauseEventTrigger = named("trigger_id", partial(objects.set_paused, store="triggers", paused=True))
    ResumeEventTrigger = named("trigger_id", partial(objects.set_paused, store="triggers", paused=False))
    PublishEvent = answered_by(objects.publish_event)

    PutExecutionReference = answered_by(objects.put_reference)
    GetExecutionReference = named("id", partial(Storage.get, store="references"))
    ListExecutionReferences = answered_by(objects.list_references)


provider = LaterWorkflow
