"""Slots, and the life of runs over records in memory instead of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypedDict, TypeVar, Unpack, cast

import pytest
from later_workflow import objects, runs
from later_workflow.checks import Conflict, Invalid, Taken
from later_workflow.provider import LaterWorkflow
from later_workflow.slots import latest_slot, next_slot
from later_workflow.storage import RUNS, STORES, Storage

from gestalt_sdk import IndexedDB
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import CursorEntry, KeyRange, Page, Record, TransactionFailed

LEASE = timedelta(minutes=1)
T = TypeVar("T")


class Start(TypedDict, total=False):
    idempotency_key: str
    workflow_key: str


class Sent(TypedDict, total=False):
    idempotency_key: str


class Memory:
    """The calls of a database, of its object stores and of their indexes that the provider makes."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Record]] = {name: {} for name in STORES}
        self.faster: Callable[[], Awaitable[object]] | None = None
        """What another process does before the next commit, which then is in vain."""

    async def create_object_store(self, name: str, schema: object) -> None:
        assert name in self.records

    async def reachable(self, within_s: float) -> bool:
        return True

    def store(self, name: str) -> MemoryStore:
        return MemoryStore(name, self.records[name])

    @asynccontextmanager
    async def transaction(self, stores: tuple[str, ...], mode: str) -> AsyncIterator[Memory]:
        before = {name: dict(records) for name, records in self.records.items()}
        try:
            yield self
        except BaseException:
            self.records = before
            raise
        if faster := self.faster:
            self.records, self.faster = before, None
            await faster()
            raise TransactionFailed("ABORTED", "somebody was faster")


class Done(Generic[T]):
    """An operation of a transaction: done at once, whether it is awaited or not."""

    def __init__(self, result: T) -> None:
        self._result = result

    def __await__(self) -> Generator[None, None, T]:
        return self._result
        yield


class MemoryStore:
    def __init__(self, name: str, records: dict[str, Record]) -> None:
        self._name, self._records = name, records

    def find(self, id: str) -> Done[Record | None]:
        return Done(self._records.get(id))

    def get(self, id: str) -> Done[Record]:
        return Done(self._records[id])

    def put(self, record: Record) -> Done[None]:
        return Done(self._records.update({record["id"]: record}))

    def add(self, record: Record) -> Done[None]:
        assert record["id"] not in self._records
        return self.put(record)

    def delete(self, id: str) -> Done[Record | None]:
        return Done(self._records.pop(id, None))

    def get_all(self) -> Done[list[Record]]:
        return Done(list(self._records.values()))

    def index(self, name: str) -> MemoryIndex:
        (schema,) = (index for index in STORES[self._name] if index.name == name)
        return MemoryIndex(list(schema.key_path), self._records)


class MemoryIndex:
    def __init__(self, path: list[str], records: dict[str, Record]) -> None:
        self._path, self._records = path, records

    def _found(self, values: tuple[object, ...], range: KeyRange | None = None) -> list[Record]:
        keyed = [
            ([record[name] for name in self._path], record)
            for record in self._records.values()
            if all(name in record for name in self._path)
        ]
        fits = [entry for entry in keyed if tuple(entry[0][: len(values)]) == values]
        if range is not None and range.upper is not None:
            fits = [entry for entry in fits if entry[0][0] <= range.upper]
        return [record for _, record in sorted(fits, key=lambda entry: (entry[0], entry[1]["id"]))]

    def get_all(self, *values: object) -> Done[list[Record]]:
        return Done(self._found(values))

    def get_all_keys(self, *values: object) -> Done[list[str]]:
        return Done([record["id"] for record in self._found(values)])

    def count(self, *values: object) -> Done[int]:
        return Done(len(self._found(values)))

    async def page(self, *values: object, range: KeyRange | None = None, limit: int = 0, token: bytes = b"") -> Page:
        found = self._found(values, range)[:limit]
        return Page([CursorEntry(record["id"], record["id"], record) for record in found], b"")


@pytest.fixture
async def storage() -> Storage:
    made = Storage()
    await made.open(cast(IndexedDB, Memory()), "later")
    return made


def target(operation: str = "run", plugin: str = "svc") -> pb.BoundWorkflowTarget:
    return pb.BoundWorkflowTarget(plugin=pb.BoundWorkflowPluginTarget(plugin_name=plugin, operation=operation))


def start(**fields: Unpack[Start]) -> pb.StartWorkflowProviderRunRequest:
    return pb.StartWorkflowProviderRunRequest(target=target(), **fields)


def signal(name: str, **fields: Unpack[Sent]) -> pb.SignalOrStartWorkflowProviderRunRequest:
    return pb.SignalOrStartWorkflowProviderRunRequest(
        workflow_key="order-1", target=target(), signal=pb.WorkflowSignal(name=name, **fields)
    )


@pytest.mark.parametrize(
    ("cron", "zone", "after", "slots"),
    [
        ("30 2 * * *", "America/New_York", "2026-03-07T17:00:00Z", ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]),
        ("0 * * * *", "America/New_York", "2026-03-08T06:30:00Z", ["2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T16:00:00Z", ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 0 31 2 *", "UTC", "2026-01-01T00:00:00Z", []),
    ],
)
def test_slots_follow_the_clock_of_the_zone(cron: str, zone: str, after: str, slots: list[str]) -> None:
    moment: datetime = datetime.fromisoformat(after)
    for wanted in map(datetime.fromisoformat, slots):
        found = next_slot(cron, zone, moment)
        assert found == wanted
        assert latest_slot(cron, zone, wanted + timedelta(seconds=59)) == wanted
        moment = found
    assert slots or next_slot(cron, zone, moment) is None


async def test_a_run_is_claimed_once_and_ends_with_its_result(storage: Storage) -> None:
    run = await runs.start_run(storage, start(idempotency_key="k"))
    assert (await runs.start_run(storage, start(idempotency_key="k"))).id == run.id
    mine, other = runs.Claimant(), runs.Claimant()
    (claim,) = await runs.claim(storage, mine, LEASE, 4)
    assert (claim.run.id, claim.run.status) == (run.id, runs.RUNNING)
    assert await runs.claim(storage, other, LEASE, 4) == []
    await runs.complete(storage, replace(claim, id="another"), 500, "", "")  # not its run
    await runs.complete(storage, claim, 200, "done", "")
    ended = await storage.get(RUNS, run.id)
    assert (ended.status, ended.result_body) == (runs.SUCCEEDED, "done")


async def test_signals_go_along_in_order_and_the_key_is_free_at_the_end(storage: Storage) -> None:
    first = await runs.signal_or_start_run(storage, signal("s1"))
    for number in range(2, 31):
        assert (await runs.signal_or_start_run(storage, signal(f"s{number}"))).run.id == first.run.id
    with pytest.raises(Conflict, match="already has an active run"):
        await runs.start_run(storage, start(workflow_key="order-1"))
    claimant, names = runs.Claimant(), []
    while claims := await runs.claim(storage, claimant, LEASE, 1):
        names.append([sent.name for sent in claims[0].signals])
        await runs.complete(storage, claims[0], 200, "", "")
    assert [len(batch) for batch in names] == [25, 5]
    assert [name for batch in names for name in batch] == [f"s{number}" for number in range(1, 31)]
    assert (await storage.get(RUNS, first.run.id)).status == runs.SUCCEEDED
    assert (await runs.start_run(storage, start(workflow_key="order-1"))).id != first.run.id


async def test_an_outcome_that_is_recorded_again_leaves_the_next_invocation_alone(storage: Storage) -> None:
    run = (await runs.signal_or_start_run(storage, signal("s1"))).run
    claimant = runs.Claimant()
    (first,) = await runs.claim(storage, claimant, LEASE, 1)
    await runs.signal_or_start_run(storage, signal("s2"))
    await runs.complete(storage, first, 200, "first", "")  # the answer to it is lost, say
    (second,) = await runs.claim(storage, claimant, LEASE, 1)
    await runs.complete(storage, first, 200, "first", "")
    assert (await storage.get(RUNS, run.id)).status == runs.RUNNING
    assert await runs.claim(storage, claimant, LEASE, 1) == []
    await runs.complete(storage, second, 200, "second", "")
    ended = await storage.get(RUNS, run.id)
    assert (ended.status, ended.result_body) == (runs.SUCCEEDED, "second")


async def test_a_signal_that_another_process_was_faster_than_gets_the_next_place(storage: Storage) -> None:
    run = (await runs.signal_or_start_run(storage, signal("s1"))).run
    cast(Memory, storage.db).faster = lambda: runs.signal_or_start_run(storage, signal("s2"))
    request = pb.SignalWorkflowProviderRunRequest(run_id=run.id, signal=pb.WorkflowSignal(name="s3"))
    assert (await runs.signal_run(storage, request)).signal.sequence == 3


async def test_the_run_of_a_process_that_is_gone_fails_and_its_key_is_free(storage: Storage) -> None:
    lost = await runs.signal_or_start_run(storage, signal("go", idempotency_key="i"))
    await runs.claim(storage, runs.Claimant(), -LEASE, 1)  # its lease has ended
    await runs.recover(storage, runs.Claimant())
    ended = await storage.get(RUNS, lost.run.id)
    assert (ended.status, ended.status_message) == (runs.FAILED, runs.INTERRUPTED)
    again = await runs.signal_or_start_run(storage, signal("go", idempotency_key="i"))
    assert again.started_run
    assert again.run.id != lost.run.id


async def test_an_event_makes_one_run_for_each_trigger_that_matches(storage: Storage) -> None:
    for id, match in (("all", {}), ("mine", {"source": "me"}), ("theirs", {"source": "them"})):
        request = pb.UpsertWorkflowProviderEventTriggerRequest(
            trigger_id=id, match=pb.WorkflowEventMatch(type="t", **match), target=target(id), execution_ref=f"ref-{id}"
        )
        await objects.upsert_trigger(storage, request)
    publish = pb.PublishWorkflowProviderEventRequest(event=pb.WorkflowEvent(id="e", type="t", source="me"))
    for _ in range(2):
        await objects.publish_event(storage, publish)
    made = await storage.all(RUNS, "created")
    assert sorted(run.execution_ref for run in made) == ["ref-all", "ref-mine"]


async def test_missed_slots_become_one_run_for_the_latest(storage: Storage) -> None:
    request = pb.UpsertWorkflowProviderScheduleRequest(schedule_id="s", cron="* * * * *", target=target())
    made = await objects.upsert_schedule(storage, request)
    await objects.fire(storage, "s")
    assert await storage.all(RUNS, "created") == []  # not due yet
    record = cast(Memory, storage.db).records["schedules"]["s"]
    long_ago = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    made.next_run_at.FromDatetime(long_ago)
    record.update({"due_at": long_ago, "message": made.SerializeToString()})
    for _ in range(2):
        await objects.fire(storage, "s")
    (run,) = await storage.all(RUNS, "created")
    slot = run.trigger.schedule.scheduled_for.ToDatetime(UTC)
    assert slot > long_ago + timedelta(minutes=55)
    assert run.id == f"schedule:s:{slot:%Y-%m-%dT%H:%M:%SZ}"
    request.target.CopyFrom(target(plugin="other"))
    with pytest.raises(Taken, match='"s" is already owned by target owner "svc"'):
        await objects.upsert_schedule(storage, request)


async def test_what_cannot_be_used_is_refused_by_name(storage: Storage) -> None:
    with pytest.raises(Invalid, match=r"target.plugin.operation is required"):
        await runs.start_run(storage, pb.StartWorkflowProviderRunRequest(target=target("")))
    with pytest.raises(Invalid, match="workflow_key has 2000 bytes; accepted are at most 1024"):
        await runs.start_run(storage, start(workflow_key="x" * 2000))


@pytest.mark.parametrize("config", [{"pollInterval": 5}, {"runClaimTTL": "soon"}, {"workerCount": "4"}])
async def test_a_configuration_that_cannot_be_used_names_the_key(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=rf"config\.{next(iter(config))} is .*accepted is"):
        await LaterWorkflow().configure("later", config)
