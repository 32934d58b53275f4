"""Trap j: one record that cannot be read is skipped, logged with its id and counted; nothing else stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import structlog
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.objects import (
    NOBODY,
    Event,
    EventMatch,
    InvocationResult,
    NewSignal,
    Reference,
    Run,
    RunStatus,
)
from gestalt_workflow.model.policies import Overlap, Retry, RunPolicy, SchedulePolicy
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.reading.lists import ALL_REFERENCES, ALL_RUNS, ALL_SCHEDULES, ALL_TRIGGERS, Listing
from gestalt_workflow.reading.queries import ObjectFilter, RunFilter
from gestalt_workflow.stored.records import REFERENCES, RUNS, SCHEDULES, SIGNALS, TRIGGERS
from gestalt_workflow.wire import messages

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.driving import ended, fire_due, scheduled, upsert
from tests.support.rigs.engine import ALICE, World, plugin_target
from tests.support.waiting import eventually

UNREADABLE: list[tuple[str, Any]] = [("target", 7), ("target", None), ("target", b"\xff\xff\xff")]
"""A field of the wrong kind, one that is missing, and contents that are no message."""
READY, HELD, LATER, BLOCKED = "ready", "held", "later", "blocked"


def damage(world: World, store: str, id: str, field: str = "target", value: Any = 7) -> None:
    row = world.database.stores[store][id]
    if value is None:
        del row[field]
    else:
        row[field] = value


async def start(engine: Engine, **fields: Any) -> Run:
    return await engine.runs.start(StartRequest(plugin_target(), created_by=ALICE, **fields))


def signal(name: str) -> NewSignal:
    return NewSignal(pb.WorkflowSignal(name=name).SerializeToString())


@pytest.mark.parametrize(("field", "value"), UNREADABLE)
async def test_a_run_in_the_queue(world: World, field: str, value: Any) -> None:
    """Loops: dispatcher and watcher; contents that only the host could read fail that run alone."""
    engine = await world.engine(start=False, target_limits={"svc.run": 3})
    broken, good = await start(engine), await start(engine)
    damage(world, RUNS, broken.id, field, value)
    engine.lanes.suspect()
    engine.start()
    assert (await world.finished(engine, good.id)).status is RunStatus.SUCCEEDED
    await engine._watcher._look_for_runs()
    late = await start(engine)
    assert (await world.finished(engine, late.id)).status is RunStatus.SUCCEEDED


async def test_a_run_behind_a_limit(world: World) -> None:
    engine = await world.engine(target_limits={"svc": 1})
    gate = world.host.hold("run")
    runs = [await start(engine) for _ in range(3)]

    async def set_aside() -> bool | None:
        return True if all([(await engine.runs.get(run.id)).lane for run in runs[1:]]) else None

    await eventually(set_aside)
    damage(world, RUNS, runs[1].id)
    engine.lanes.suspect()
    gate.set()
    assert (await world.finished(engine, runs[2].id)).status is RunStatus.SUCCEEDED


async def test_a_run_that_is_claimed(world: World) -> None:
    """Loop: recovery."""
    gone = await world.engine(claim_ttl=timedelta(seconds=30))
    world.host.hold("run")
    broken, good = await start(gone), await start(gone)
    for run in (broken, good):
        await ended(gone, run, RunStatus.RUNNING)
    await gone._stop_loops()
    damage(world, RUNS, broken.id)
    other = await world.engine(start=False)
    world.clock.advance(minutes=5)
    assert await other.recovery.sweep(other.dispatcher.busy) == 1
    assert (await other.runs.get(good.id)).stale
    assert other.storage.counters.undecodable


async def test_runs_that_are_held_back(world: World) -> None:
    """Loop: waiting room, both rooms of it."""
    engine = await world.engine(start=False)
    world.host.answers["run"] = InvocationResult(503, "")
    policy = RunPolicy(retry=Retry(2, timedelta(minutes=1)))
    later = [await start(engine, policy=policy) for _ in range(2)]
    engine.start()

    async def all_wait() -> bool | None:
        return True if all([(await engine.runs.get(run.id)).not_before for run in later]) else None

    await eventually(all_wait)
    await engine._stop_loops()
    await upsert(world, engine, policy=SchedulePolicy(overlap=Overlap.QUEUE_ONE))
    for _ in range(2):
        world.clock.advance(minutes=1)
        await fire_due(engine)
    first, blocked = await scheduled(engine)
    assert blocked.blocked_by == first.id
    damage(world, RUNS, later[0].id)
    damage(world, RUNS, first.id)
    world.clock.advance(minutes=2)
    other = await world.engine(start=False)
    await other.waiting_room.look_for_later()
    await other.waiting_room.look_for_blocked()
    assert (await other.runs.get(later[1].id)).rank_at is not None
    assert not (await other.runs.get(blocked.id)).status.terminal
    assert other.storage.counters.undecodable


async def test_a_schedule(world: World) -> None:
    """Loop: scheduler."""
    engine = await world.engine(start=False)
    await upsert(world, engine, "broken")
    await upsert(world, engine, "good")
    damage(world, SCHEDULES, "broken", "cron", None)
    world.clock.advance(minutes=1)
    await fire_due(engine)
    assert len(await scheduled(engine, "good")) == 1
    assert not await scheduled(engine, "broken")


async def test_a_trigger(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    for name in ("broken", "good"):
        await engine.triggers.upsert(TriggerRequest(name, EventMatch("t"), plugin_target(), False, NOBODY, ""))
    damage(world, TRIGGERS, "broken")
    runs = await other.events.publish(Event("e", "s", "t", "", b""), NOBODY)
    assert [run.trigger.trigger_id for run in runs] == ["good"]
    assert other.storage.counters.undecodable == 1


@pytest.mark.parametrize("how", ["data is missing", "no sequence", "removed"])
async def test_a_signal(world: World, how: str) -> None:
    """The others are delivered, and the run is not invoked for ever for one that it can never be given."""
    engine = await world.engine(start=False)
    run = await start(engine, workflow_key="k")
    stored = [(await engine.signals.signal(run.id, signal(f"s{number}"))).signal for number in range(3)]
    if how == "removed":
        del world.database.stores[SIGNALS][stored[1].id]
    else:
        damage(world, SIGNALS, stored[1].id, "data" if how.startswith("data") else "sequence", None)
    engine.start()
    assert (await world.finished(engine, run.id)).status is RunStatus.SUCCEEDED
    assert [[s.sequence for s in signals] for _, signals, _ in world.host.calls] == [[1, 3]]


async def test_more_unreadable_signals_than_a_batch_holds(world: World) -> None:
    engine = await world.engine(start=False)
    run = await start(engine, workflow_key="k")
    stored = [(await engine.signals.signal(run.id, signal("s"))).signal for _ in range(32)]
    for broken in stored[:30]:
        damage(world, SIGNALS, broken.id, "data", None)
    engine.start()
    assert (await world.finished(engine, run.id)).status is RunStatus.SUCCEEDED
    assert [[s.sequence for s in signals] for _, signals, _ in world.host.calls] == [[], [31, 32]]
    assert len(world.database.stores[SIGNALS]) == 32  # what cannot be read is left for people


async def test_a_reference(world: World) -> None:
    """The run goes out without it: the host asks, and is told."""
    engine, other = await world.engine(start=False), await world.engine(start=False)
    for name in ("broken", "good"):
        await engine.references.put(Reference(name, "user:alice", b"", world.clock(), signed=True))
    damage(world, REFERENCES, "broken", "data")
    broken, good = await start(other, execution_ref="broken"), await start(other, execution_ref="good")
    other.start()
    await world.finished(other, broken.id)
    await world.finished(other, good.id)
    assert {run.id: reference and reference.id for run, _, reference in world.host.calls} == {
        broken.id: None,
        good.id: "good",
    }


async def test_retention_goes_past_it(world: World) -> None:
    engine = await world.engine(keep_runs_for=timedelta(days=10))
    broken, good = await start(engine), await start(engine)
    for run in (broken, good):
        await world.finished(engine, run.id)
    damage(world, RUNS, broken.id)
    world.clock.advance(days=11)
    for _ in range(3):
        await engine.retention.remove_some()
    assert set(world.database.stores[RUNS]) == {broken.id}


async def _objects(world: World, engine: Engine) -> None:
    for name in ("a", "b", "c"):
        await upsert(world, engine, name)
        await engine.triggers.upsert(TriggerRequest(name, EventMatch("t"), plugin_target(), False, ALICE, ""))
        data = pb.WorkflowExecutionReference(id=name).SerializeToString()
        await engine.references.put(Reference(name, "user:alice", data, world.clock()))
        await start(engine, idempotency_key=name)


ANSWERS: list[tuple[str, Listing[Any], Any, Callable[[Engine], Awaitable[Any]]]] = [
    (RUNS, ALL_RUNS, messages.run_to_proto, lambda e: e.queries.runs(RunFilter(), 0, "")),
    (SCHEDULES, ALL_SCHEDULES, messages.schedule_to_proto, lambda e: e.queries.schedules(ObjectFilter(), 0, "")),
    (
        TRIGGERS,
        ALL_TRIGGERS,
        messages.trigger_to_proto,
        lambda e: e.queries.triggers(ObjectFilter("user:alice"), 0, ""),
    ),
    (REFERENCES, ALL_REFERENCES, messages.reference_to_proto, lambda e: e.queries.references(ObjectFilter(), 0, "")),
]


@pytest.mark.parametrize("value", [7, None, b"\xff\xff\xff"])
@pytest.mark.parametrize(("store", "listing", "show", "query"), ANSWERS, ids=[store for store, *_ in ANSWERS])
async def test_lists_and_queries_leave_it_out_log_its_id_and_count_it(
    world: World, store: str, listing: Listing[Any], show: Any, query: Callable[[Engine], Awaitable[Any]], value: Any
) -> None:
    engine = await world.engine(start=False)
    await _objects(world, engine)
    broken, *good = sorted(world.database.stores[store])
    damage(world, store, broken, "data" if store == REFERENCES else "target", value)
    with structlog.testing.capture_logs() as logs:
        listed = [message.id for message in await engine.lists.messages(listing, show)]
        found = await query(engine)
        queried = [message.id for message in engine.storage.shown(store, found.items, show)]
    assert sorted(listed) == sorted(queried) == good
    assert engine.storage.counters.undecodable == 2
    (entry,) = [log for log in logs if log.get("event_name") == "record.undecodable"]
    assert (entry["store"], entry["record_id"]) == (store, broken)
