"""What is looked at in the end: what clients were told, what the journal holds, and what the database holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import grpc
from gestalt_workflow.model.objects import Run, Signal
from gestalt_workflow.stored.records import RUN_KEYS, RUNS, SIGNALS, run_from_record, signal_from_record
from gestalt_workflow.stored.storage import Storage

from gestalt_sdk.gen.extension.v1 import slots_pb2, slots_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2, workflow_pb2_grpc
from gestalt_sdk.indexeddb import IndexedDB, Record
from gestalt_sdk.transport.values import from_timestamp
from tests.process.engine.journal import Invocation, read_journal

PAGE = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SlotSeen:
    """One entry of the slot ledger."""

    first: datetime
    last: datetime
    count: int
    state: int
    run_id: str = ""
    into: datetime | None = None


@dataclass(frozen=True, slots=True)
class ObjectSeen:
    """A schedule or trigger as far as clients decide over it."""

    paused: bool
    what: str
    """Cron and zone, or what is matched."""


@dataclass(slots=True)
class Told:
    """What clients asked for, and what they were told.

    Attributes:
        runs: Ids of runs that were acknowledged, by idempotency key; blank: those without one.
        cancellations: Runs that somebody asked to cancel; True: it was acknowledged.
        events: Events that were published, by id: type, and whether that was acknowledged.
        signals: Run, id and sequence of every signal that was acknowledged.
        signal_keys: The signals and runs that were answered for an idempotency key.
        objects: Schedules and triggers as they were acknowledged last; None: deleted.
        ended: Runs that were seen to have ended, as they were seen first.
    """

    runs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    cancellations: dict[str, bool] = field(default_factory=dict)
    events: dict[str, tuple[str, bool]] = field(default_factory=dict)
    signals: set[tuple[str, str, int]] = field(default_factory=set)
    signal_keys: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    objects: dict[str, ObjectSeen | None] = field(default_factory=dict)
    ended: dict[str, Run] = field(default_factory=dict)

    def look_at(self, runs: dict[str, Run]) -> None:
        """Remember those that have ended."""
        for id, run in runs.items():
            if run.status.terminal:
                self.ended.setdefault(id, run)


@dataclass(slots=True)
class Expected:
    """What was set up before, and what was done to the processes.

    Attributes:
        triggers: Triggers that stayed as they are throughout: id to type.
        schedules: Schedules that stayed as they are throughout, every minute: id to whether every slot has to fire.
        superseding: Schedules whose runs may be canceled by later ones.
        deaths: When processes were killed; None: claims may end without a death too.
        since, until: Slots from the one moment to the other are judged; the schedules were made at the first.
    """

    triggers: dict[str, str] = field(default_factory=dict)
    schedules: dict[str, bool] = field(default_factory=dict)
    superseding: set[str] = field(default_factory=set)
    deaths: list[datetime] | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(slots=True)
class Evidence:
    """
    Attributes:
        runs: Every stored run by id.
        signals: Stored signals of each run, by sequence.
        slots: The ledger of each schedule, oldest first.
        objects: Schedules and triggers as they are; None: there is none.
        key_rows: Workflow keys that are held.
        log: What the providers wrote.
    """

    told: Told
    expected: Expected
    journal: list[Invocation]
    runs: dict[str, Run]
    signals: dict[str, list[Signal]] = field(default_factory=dict)
    slots: dict[str, list[SlotSeen]] = field(default_factory=dict)
    objects: dict[str, ObjectSeen | None] = field(default_factory=dict)
    key_rows: list[str] = field(default_factory=list)
    log: str = ""


def schedule_seen(schedule: workflow_pb2.BoundWorkflowSchedule) -> ObjectSeen:
    return ObjectSeen(schedule.paused, f"{schedule.cron} {schedule.timezone}")


def trigger_seen(trigger: workflow_pb2.BoundWorkflowEventTrigger) -> ObjectSeen:
    return ObjectSeen(trigger.paused, f"{trigger.match.type} {trigger.match.source}")


async def all_runs(store: grpc.aio.Channel) -> dict[str, Run]:
    """Every run, straight from the store."""
    storage = Storage(IndexedDB.over(store))
    return {run.id: run async for run in _scan(storage, RUNS, "created", run_from_record)}


async def _scan(storage: Storage, store: str, index: str, decode: Callable[[Record], T]) -> AsyncIterator[T]:
    """Every object of an index, in its order, read page by page; broken records are left out."""
    token = b""
    while True:
        page = await storage.page(store, index, [], "evidence", token=token)
        for _, value in storage.decoded(store, page.records, decode):
            yield value
        token = page.next_token
        if not token:
            return


async def some_run_waits(store: grpc.aio.Channel) -> bool:
    """Whether a run has not ended; costs nothing however many have."""
    storage = Storage(IndexedDB.over(store))
    return any([await storage.first_key(RUNS, index, [], "evidence") is not None for index in ("hot", "held")])


async def ledger(provider: grpc.aio.Channel, schedule_id: str) -> list[SlotSeen]:
    """What became of the slots of a schedule, oldest first."""
    seen: list[SlotSeen] = []
    token = ""
    while True:
        request = slots_pb2.ListSlotsRequest(schedule_id=schedule_id, page_size=PAGE, page_token=token)
        page = await slots_pb2_grpc.WorkflowSlotsStub(provider).ListSlots(request, timeout=30)
        for slot in page.slots:
            into = from_timestamp(slot.collapsed_into) if slot.HasField("collapsed_into") else None
            first, last = from_timestamp(slot.first), from_timestamp(slot.last)
            seen.append(SlotSeen(first, last, slot.count, slot.state, slot.run_id, into))
        token = page.next_page_token
        if not token:
            return seen[::-1]


async def collect(
    told: Told, expected: Expected, journal: Path, store: grpc.aio.Channel, provider: grpc.aio.Channel, log: str
) -> Evidence:
    """Once every run has ended."""
    storage = Storage(IndexedDB.over(store))
    evidence = Evidence(told, expected, read_journal(journal), await all_runs(store), log=log)
    signals: dict[str, list[Signal]] = defaultdict(list)
    async for signal in _scan(storage, SIGNALS, "sequence", signal_from_record):
        signals[signal.run_id].append(signal)
    evidence.signals = dict(signals)
    evidence.key_rows = [record["run_id"] for record in await IndexedDB.over(store).store(RUN_KEYS).get_all()]
    evidence.slots = {id: await ledger(provider, id) for id in expected.schedules}
    evidence.objects = {name: await _object(provider, name) for name in told.objects}
    return evidence


async def _object(provider: grpc.aio.Channel, name: str) -> ObjectSeen | None:
    rpc = workflow_pb2_grpc.WorkflowProviderStub(provider)
    kind, _, id = name.partition("/")
    try:
        if kind == "schedule":
            asked = workflow_pb2.GetWorkflowProviderScheduleRequest(schedule_id=id)
            return schedule_seen(await rpc.GetSchedule(asked, timeout=30))
        request = workflow_pb2.GetWorkflowProviderEventTriggerRequest(trigger_id=id)
        return trigger_seen(await rpc.GetEventTrigger(request, timeout=30))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
