"""Retention on a real store, by an engine in this process whose clock the test turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from gestalt_workflow.config import read_config
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.objects import NOBODY, Event, EventMatch, Reference
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.reading.queries import EventFilter, ObjectFilter, RunFilter
from gestalt_workflow.stored.format import VERSION
from gestalt_workflow.stored.records import CLAIMANTS, EVENTS, FORMAT
from gestalt_workflow.stored.storage import KeyRange, Write
from gestalt_workflow.wire.targets import describe_target

from gestalt_sdk.gen.v1 import datastore_pb2
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.transport.environment import Address
from tests.support.rigs.workflow import Rig, target

pytestmark = pytest.mark.ours("workflow")

STORES = pytest.mark.parametrize("extensions", [True, False], ids=["batch", "transactions"])


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


class NoHost:
    async def close(self) -> None:
        return None


@asynccontextmanager
async def engine_on(rig: Rig, extensions: bool, clock: Clock, **config: Any) -> AsyncIterator[Engine]:
    async with AsyncExitStack() as stack:
        if rig.counting is None:
            await rig.count_messages(without_extensions=not extensions)
        db = IndexedDB.connect(Address(f"unix:{rig.directory}/counting.sock"))
        engine = Engine("local", read_config(config), db, cast(WorkflowHost, NoHost()), clock)
        await engine.open()
        stack.push_async_callback(engine.close)
        yield engine


async def sweep(engine: Engine) -> None:
    for _ in engine.retention.sweeps:
        while await engine.retention.remove_some():
            pass


@STORES
async def test_what_is_old_or_too_much_goes_from_a_real_store(
    rig: Rig, extensions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt_workflow.retention.runs.BATCH", 3)
    monkeypatch.setattr("gestalt_workflow.retention.events.KEYS", 4)
    clock, plain = Clock(), describe_target(target())
    async with engine_on(rig, extensions, clock, keepEvents=10, keepRuns=12, keepIdleFor="720h") as engine:
        await engine.triggers.upsert(TriggerRequest("active", EventMatch("t"), plain, execution_ref="named"))
        await engine.triggers.upsert(TriggerRequest("idle", EventMatch("t"), plain, paused=True, execution_ref="idle"))
        for name, ended in (("named", True), ("free", True), ("idle", False), ("active", False)):
            await engine.references.put(
                Reference(name, "user:alice", b"", clock(), retired_at=clock() if ended else None)
            )
        for number in range(15):
            await engine.events.publish(Event(f"e{number}", "s", "t", "", b""), NOBODY)
            await engine.runs.cancel((await engine.runs.start(StartRequest(plain))).id, "")
        await engine.storage.write([Write(CLAIMANTS, "put", {"id": "dead", "lease": clock()})], "lease")
        await sweep(engine)
        found = await engine.queries.events(EventFilter(), 0, "")
        assert [kept.event.id for kept in found.items] == [f"e{number}" for number in range(14, 4, -1)]
        assert len((await engine.queries.runs(RunFilter(), 0, "")).items) == 30  # repeats may need them still

        clock.now += timedelta(days=8)
        await sweep(engine)
        assert (await engine.queries.events(EventFilter(), 0, "")).items == []
        runs = (await engine.queries.runs(RunFilter(), 0, "")).items
        assert len(runs) == 15
        assert not any(run.status.terminal for run in runs)
        assert (await engine.storage.page_by_id(CLAIMANTS, KeyRange(), "leases")).entries == []

        clock.now += timedelta(days=100)
        await sweep(engine)
        triggers = (await engine.queries.triggers(ObjectFilter(), 0, "")).items
        assert [trigger.id for trigger in triggers] == ["active"]
        references = (await engine.queries.references(ObjectFilter(), 0, "")).items
        assert {reference.id for reference in references} == {"named", "idle", "active"}


@STORES
async def test_a_database_of_the_second_format_is_opened(rig: Rig, extensions: bool) -> None:
    clock = Clock()
    async with engine_on(rig, extensions, clock) as engine:
        await engine.triggers.upsert(TriggerRequest("a", EventMatch("t"), describe_target(target())))
        await engine.storage.write([Write(FORMAT, "put", {"id": "format", "version": 2})], "format")
    await rig.database_store.DeleteObjectStore(datastore_pb2.DeleteObjectStoreRequest(name=EVENTS), timeout=10)
    async with engine_on(rig, extensions, clock) as engine:
        found = await engine.storage.find_record(FORMAT, "format", "format")
        assert found is not None
        assert found["version"] == VERSION
        assert len(await engine.events.publish(Event("e", "s", "t", "", b""), NOBODY)) == 1
        assert len((await engine.queries.events(EventFilter(type="t"), 0, "")).items) == 1
