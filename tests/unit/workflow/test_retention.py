"""What is old or too much goes, a batch at a time; what repeats are recognised by stays."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.config import read_config
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.clock import BELIEVED_AFTER
from gestalt_workflow.model.errors import InvalidConfiguration, StorageFailed
from gestalt_workflow.model.objects import Actor, Reference, Run
from gestalt_workflow.model.policies import Pause
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.reading.queries import EventFilter
from gestalt_workflow.retention.references import OldReferences
from gestalt_workflow.stored.records import (
    CLAIMANTS,
    EVENTS,
    FORMAT,
    REFERENCES,
    RUN_KEYS,
    RUNS,
    SCHEDULES,
    SIGNAL_KEYS,
    SIGNALS,
    TRIGGERS,
)
from gestalt_workflow.wire.messages import signal_from_proto

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.driving import all_runs, event, fire_due, publish, trigger, upsert
from tests.support.rigs.engine import ALICE, World, client_of, plugin_target
from tests.support.waiting import eventually


async def ended(world: World, engine: Engine, count: int, **fields: Any) -> list[Run]:
    runs = [await engine.runs.start(StartRequest(plugin_target(), created_by=ALICE, **fields)) for _ in range(count)]
    return [await world.finished(engine, run.id) for run in runs]


async def sweep(engine: Engine) -> None:
    """Every kind to the end of its pass."""
    for _ in engine.retention.sweeps:
        while await engine.retention.remove_some():
            pass


async def daily(world: World, engine: Engine) -> None:
    """The same, passes that begin once a day included."""
    world.clock.advance(days=1)
    await sweep(engine)


@pytest.mark.trap("r")
async def test_runs_go_when_their_end_is_long_ago(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_workflow.retention.runs.BATCH", 2)
    engine = await world.engine(keep_runs_for=timedelta(days=30))
    await ended(world, engine, 7)
    waiting = (await engine.runs.start(StartRequest(plugin_target("held")))) if world.host.hold("held") else None
    canceled = await engine.runs.cancel((await engine.runs.start(StartRequest(plugin_target("held")))).id, "")
    world.clock.advance(days=29)
    recent = await ended(world, engine, 2)
    await sweep(engine)
    assert len(world.database.stores[RUNS]) == 11
    world.clock.advance(days=2)
    await sweep(engine)
    assert waiting is not None
    assert canceled.id not in world.database.stores[RUNS]
    assert set(world.database.stores[RUNS]) == {waiting.id, *(run.id for run in recent)}


async def test_a_run_that_took_long_counts_from_its_end(world: World) -> None:
    engine = await world.engine(keep_runs_for=timedelta(days=30))
    gate = world.host.hold("run")
    run = await engine.runs.start(StartRequest(plugin_target()))
    world.clock.advance(days=40)
    gate.set()
    await world.finished(engine, run.id)
    await sweep(engine)
    assert run.id in world.database.stores[RUNS]


async def test_signals_and_their_keys_go_with_their_run(world: World) -> None:
    engine = await world.engine(keep_runs_for=timedelta(days=30))
    gate = world.host.hold("run")
    run = await engine.runs.start(StartRequest(plugin_target(), workflow_key="k", created_by=ALICE))
    for number in range(3):
        message = pb.WorkflowSignal(name="go", idempotency_key=f"i{number}")
        message.created_by.subject_id = "user:alice"
        await engine.signals.signal(run.id, signal_from_proto(message, present=True))
    gate.set()
    await world.finished(engine, run.id)
    assert len(world.database.stores[SIGNAL_KEYS]) == len(world.database.stores[SIGNALS]) == 3
    world.clock.advance(days=31)
    await sweep(engine)
    for store in (RUNS, SIGNALS, SIGNAL_KEYS, RUN_KEYS):
        assert world.database.stores[store] == {}, store


async def test_an_idempotency_key_holds_at_least_for_its_window(world: World) -> None:
    engine = await world.engine(keep_runs_for=timedelta(seconds=1))
    (run,) = await ended(world, engine, 1, idempotency_key="once")
    world.clock.advance(days=6.9)
    await sweep(engine)
    again = await engine.runs.start(StartRequest(plugin_target(), created_by=ALICE, idempotency_key="once"))
    assert again.id == run.id
    assert again.created_at == run.created_at


async def test_looking_costs_one_message_at_most(world: World) -> None:
    everything = {"keep_runs": 5, "keep_idle_for": timedelta(days=30)}
    nothing: dict[str, Any] = dict.fromkeys(("keep_runs_for", "keep_events_for", "keep_events", "keep_references_for"))
    for config in (everything, nothing):
        engine = await world.engine(start=False, **config)
        await engine.references.put(Reference("r", "user:alice", b"", world.clock()))
        world.clock.advance(days=10)
        for _ in range(3 * len(engine.retention.sweeps)):
            before = client_of(engine).count
            await engine.retention.remove_some()
            assert client_of(engine).count - before <= 1
    assert len(engine.retention.sweeps) == 3  # leases, counts of causes and signal keys


async def test_the_oldest_runs_go_when_there_are_too_many_but_none_that_repeats_may_need(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt_workflow.retention.runs.BATCH", 3)
    engine = await world.engine(keep_runs=4)
    world.host.hold("held")
    waiting = await engine.runs.start(StartRequest(plugin_target("held")))
    old = await ended(world, engine, 8)
    world.clock.advance(days=6)
    recent = await ended(world, engine, 2)
    await sweep(engine)
    assert len(world.database.stores[RUNS]) == 11
    world.clock.advance(days=2)
    await sweep(engine)
    assert set(world.database.stores[RUNS]) == {run.id for run in (waiting, old[-1], *recent)}
    world.database.stores[RUNS].pop(old[-1].id)
    await ended(world, engine, 6)
    await sweep(engine)
    assert len(world.database.stores[RUNS]) == 9  # too many, but none of them long enough ago


async def test_several_processes_remove_no_more_than_what_is_too_much(world: World) -> None:
    engines = [await world.engine(start=False, keep_events=30, keep_runs=20) for _ in range(3)]
    worker = await world.engine()
    await ended(world, worker, 40)
    world.clock.advance(days=8)
    for number in range(50):
        await publish(worker, event(f"e{number}"))
    for _ in range(4 * len(engines[0].retention.sweeps)):
        await asyncio.gather(*(engine.retention.remove_some() for engine in engines))
    assert len(world.database.stores[RUNS]) == 20
    assert [record["facts"].split('"')[3] for record in world.database.stores[EVENTS].values()] == [
        f"e{number}" for number in range(20, 50)
    ]


async def test_a_record_that_cannot_be_read_keeps_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_workflow.retention.runs.BATCH", 2)
    engine = await world.engine(keep_runs_for=timedelta(days=30))
    runs = await ended(world, engine, 6)
    for run in runs[:3]:
        del world.database.stores[RUNS][run.id]["target"]
    world.clock.advance(days=31)
    await sweep(engine)
    assert set(world.database.stores[RUNS]) == {run.id for run in runs[:3]}


async def test_a_kind_that_fails_does_not_stop_the_others(world: World) -> None:
    engine = await world.engine(start=False)
    await publish(engine, event())
    world.clock.advance(days=8)
    rows = world.database.stores.pop(RUNS)
    for _ in engine.retention.sweeps:
        with suppress(StorageFailed):
            await engine.retention.remove_some()
    assert world.database.stores[EVENTS] == {}
    world.database.stores[RUNS] = rows


async def test_old_events_go_and_their_runs_are_recognised_still(world: World) -> None:
    engine = await world.engine(start=False, keep_events_for=timedelta(days=3))
    await trigger(engine, "a")
    await publish(engine, event("old"))
    world.clock.advance(days=2)
    await publish(engine, event("new"))
    world.clock.advance(days=1)
    await sweep(engine)
    assert [found.event.id for found in (await engine.queries.events(EventFilter(), 0, "")).items] == ["new"]
    assert await publish(engine, event("old")) == []
    assert len(world.database.stores[RUNS]) == 2


async def test_an_event_that_is_published_anew_while_the_old_one_goes_stays(world: World) -> None:
    engine = await world.engine(start=False, keep_events_for=timedelta(days=3))
    await publish(engine, event())
    world.clock.advance(days=4)
    stale = dict(world.database.stores[EVENTS])

    def replaced(call: str) -> None:
        if call == "apply":
            client_of(engine).before = None
            for record in world.database.stores[EVENTS].values():
                record["created_us"] += 1

    client_of(engine).before = replaced
    await engine.retention.remove_some()
    while client_of(engine).before is not None:
        await engine.retention.remove_some()
    assert world.database.stores[EVENTS].keys() == stale.keys()


async def test_leases_of_processes_that_died_go(world: World) -> None:
    engine, dead = await world.engine(), await world.engine()
    for owner in (engine, dead):
        entry = owner.recovery.renewal(world.clock() + timedelta(minutes=10))
        await owner.storage.write([entry], "renew")
    world.database.stores[CLAIMANTS]["broken"] = {"id": "broken", "lease": "soon"}
    await sweep(engine)
    assert len(world.database.stores[CLAIMANTS]) == 3
    world.clock.advance(days=2)
    await engine.storage.write([engine.recovery.renewal(world.clock() + timedelta(minutes=10))], "renew")
    await sweep(engine)
    assert set(world.database.stores[CLAIMANTS]) == {engine.claimant, "broken"}


async def test_keys_of_signals_that_could_not_be_read_go_after_their_run(world: World) -> None:
    engine = await world.engine(keep_runs_for=timedelta(days=30))
    gate = world.host.hold("run")
    run = await engine.runs.start(StartRequest(plugin_target(), workflow_key="k", created_by=ALICE))
    message = pb.WorkflowSignal(name="go", idempotency_key="i")
    await engine.signals.signal(run.id, signal_from_proto(message, present=True))
    gate.set()
    await world.finished(engine, run.id)
    for record in world.database.stores[SIGNALS].values():
        del record["data"]
    await daily(world, engine)
    assert len(world.database.stores[SIGNAL_KEYS]) == 1
    world.clock.advance(days=31)
    await sweep(engine)
    assert world.database.stores[RUNS] == world.database.stores[SIGNALS] == {}
    await daily(world, engine)
    assert world.database.stores[SIGNAL_KEYS] == {}


# Execution references


async def reference(world: World, engine: Engine, name: str, **ends: Any) -> Reference:
    return await engine.references.put(Reference(name, "user:alice", b"", world.clock(), **ends))


async def test_references_go_when_they_ended_long_ago_and_nothing_names_them(world: World) -> None:
    engine = await world.engine(keep_references_for=timedelta(days=90), keep_runs_for=None)
    now = world.clock()
    for name in ("active", "started"):
        await reference(world, engine, name)
    await ended(world, engine, 1, execution_ref="active")
    for name in ("schedule", "trigger", "waiting", "run", "broken", "free"):
        await reference(world, engine, name, retired_at=now)
    await reference(world, engine, "revoked", revoked_at=now)
    await upsert(world, engine, "s", execution_ref="schedule")
    await trigger(engine, "t", execution_ref="trigger")
    world.host.hold("held")
    await engine.runs.start(StartRequest(plugin_target("held"), execution_ref="waiting"))
    await ended(world, engine, 1, execution_ref="run")
    await ended(world, engine, 1, execution_ref="broken")
    for record in world.database.stores[RUNS].values():
        if record.get("execution_ref") == "broken":
            del record["target"]
    world.clock.advance(days=60)
    await reference(world, engine, "later", retired_at=now, revoked_at=world.clock())
    await sweep(engine)
    assert len(world.database.stores[REFERENCES]) == 10
    world.clock.advance(days=31)
    await sweep(engine)
    kept = {"active", "started", "schedule", "trigger", "waiting", "run", "broken", "later"}
    assert set(world.database.stores[REFERENCES]) == kept
    await engine.triggers.delete("t")
    await daily(world, engine)
    assert set(world.database.stores[REFERENCES]) == kept - {"trigger"}


async def test_an_old_reference_that_nothing_names_is_retired_first_and_removed_when_nobody_took_it_up(
    world: World,
) -> None:
    engine = await world.engine(start=False)
    names = ("unused", "taken up", "put anew")
    for name in names:
        await reference(world, engine, name)
    await sweep(engine)
    assert [(await engine.references.get(name)).retired_at for name in names] == [None] * 3
    world.clock.advance(days=91)
    await daily(world, engine)
    assert None not in [(await engine.references.get(name)).retired_at for name in names]
    await reference(world, engine, "put anew")  # as a host does before it uses one that has ended
    assert (await engine.references.get("put anew")).retired_at is None
    await engine.runs.start(StartRequest(plugin_target(), execution_ref="taken up"))
    world.clock.advance(days=91)
    await daily(world, engine)
    assert set(world.database.stores[REFERENCES]) == {"taken up", "put anew"}


async def test_a_reference_that_is_put_anew_while_others_are_looked_at_stays(world: World) -> None:
    engine = await world.engine(start=False)
    old = await reference(world, engine, "again", retired_at=world.clock())
    await reference(world, engine, "gone", retired_at=world.clock())
    world.clock.advance(days=91)

    def looked(call: str) -> None:
        (found,) = [s for s in engine.retention.sweeps if isinstance(s, OldReferences)]
        if call == "page" and len(found._candidates) == 2:
            client_of(engine).before = None
            record = world.database.stores[REFERENCES]["again"]
            del record["retired_at"]
            record["revision"] += 1

    client_of(engine).before = looked
    await sweep(engine)
    assert old.id in world.database.stores[REFERENCES]
    assert "gone" not in world.database.stores[REFERENCES]
    assert client_of(engine).before is None


async def test_references_that_are_named_for_ever_keep_no_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_workflow.retention.references.CANDIDATES", 2)
    monkeypatch.setattr("gestalt_workflow.retention.references.PAGE", 2)
    engine = await world.engine(start=False)
    for number in range(6):
        await reference(world, engine, f"r{number}", retired_at=world.clock())
    for number in range(4):
        await trigger(engine, f"t{number}", execution_ref=f"r{number}")
    world.clock.advance(days=91)
    for _ in range(3):
        await daily(world, engine)
    assert set(world.database.stores[REFERENCES]) == {"r0", "r1", "r2", "r3"}


# Schedules and triggers


async def test_objects_of_which_nothing_comes_go_when_that_is_configured(world: World) -> None:
    engine = await world.engine(keep_idle_for=timedelta(days=30))
    plain = await world.engine(start=False)
    config = Actor("system:config")
    for name in ("paused", "until", "active", "resumed"):
        await reference(world, engine, f"ref-{name}")
        await upsert(world, engine, name, execution_ref=f"ref-{name}")
        await trigger(engine, name)
    await upsert(world, engine, "config", requested_by=config, paused=True)
    await trigger(engine, "config", requested_by=config, paused=True)
    for objects in (engine.schedules, engine.triggers):
        await objects.pause("paused")
        await objects.pause("resumed")
        await objects.pause("until", Pause(until=world.clock() + timedelta(days=60)))
    world.clock.advance(days=29)
    await sweep(engine)
    for objects in (engine.schedules, engine.triggers):
        await objects.resume("resumed")
    world.clock.advance(days=2)
    await daily(world, plain)
    assert len(world.database.stores[SCHEDULES]) == len(world.database.stores[TRIGGERS]) == 5
    await daily(world, engine)
    for store in (SCHEDULES, TRIGGERS):
        assert set(world.database.stores[store]) == {"until", "active", "resumed", "config"}
    assert (await engine.references.get("ref-paused")).retired_at is not None
    assert (await engine.references.get("ref-active")).retired_at is None


async def test_an_object_that_is_resumed_at_that_moment_stays(world: World) -> None:
    engine = await world.engine(start=False, keep_idle_for=timedelta(days=30))
    await trigger(engine, "a", paused=True)
    world.clock.advance(days=31)

    def resumed(call: str) -> None:
        if call == "get" and world.database.stores[TRIGGERS]["a"]["paused"]:
            world.database.stores[TRIGGERS]["a"] |= {"paused": False, "revision": 2}

    client_of(engine).before = resumed
    await sweep(engine)
    assert world.database.stores[TRIGGERS]["a"]["paused"] is False


def test_how_long_runs_stay_is_configured() -> None:
    assert read_config({}).keep_runs_for == timedelta(days=90)
    assert read_config({"keepRunsFor": "720h"}).keep_runs_for == timedelta(days=30)
    assert read_config({"keepRunsFor": "forever"}).keep_runs_for is None
    for wrong in ("90d", "24h", 30):
        with pytest.raises(InvalidConfiguration, match=f"keepRunsFor is {wrong!r}; expected .*168h"):
            read_config({"keepRunsFor": wrong})


def test_what_else_stays_is_configured() -> None:
    default = read_config({})
    assert (default.keep_events_for, default.keep_events) == (timedelta(days=7), 100_000)
    assert (default.keep_runs, default.keep_idle_for) == (None, None)
    assert default.keep_slots_for == default.keep_references_for == timedelta(days=90)
    config = read_config(
        {
            "keepRuns": 5,
            "keepEventsFor": "1h",
            "keepEvents": "unlimited",
            "keepSlotsFor": "forever",
            "keepReferencesFor": "200h",
            "keepIdleFor": "720h",
        }
    )
    assert (config.keep_runs, config.keep_events, config.keep_slots_for) == (5, None, None)
    assert (config.keep_events_for, config.keep_references_for) == (timedelta(hours=1), timedelta(hours=200))
    assert config.keep_idle_for == timedelta(days=30)
    assert not config.warnings
    assert read_config({"keepEvents": 0, "keepEventsFor": "0s", "keepRuns": -1}) == default
    for key, wrong, accepted in (
        ("keepEvents", "many", "a whole number such as 100000, or unlimited"),
        ("keepRuns", 1.5, "a whole number"),
        ("keepEventsFor", "1s", "at least 1m"),
        ("keepIdleFor", "24h", "at least 168h"),
        ("keepReferencesFor", "never", "a duration such as 720h, at least 168h, or forever"),
        ("keepSlotsFor", 7, "a duration"),
    ):
        with pytest.raises(InvalidConfiguration, match=f"{key} is {wrong!r}; expected {accepted}"):
            read_config({key: wrong})


@pytest.mark.parametrize("scheduled", [True, False])
@pytest.mark.parametrize("restarts", [0, 1, 2])
async def test_nothing_is_removed_too_early_because_the_clock_was_ahead(
    world: World, restarts: int, scheduled: bool
) -> None:
    engine = await world.engine(keep_runs_for=timedelta(days=30))
    if scheduled:
        await upsert(world, engine)
    await ended(world, engine, 3)

    async def noted() -> bool | None:
        await engine.scheduler.note_moment()
        return True if "clock" in world.database.stores[FORMAT] else None

    await eventually(noted)
    if restarts:
        await engine.close()
    world.clock.jump(days=400)
    for _ in range(restarts):
        engine = await world.engine(start=False, keep_runs_for=timedelta(days=30))
        await fire_due(engine)
        world.clock.advance(minutes=1)  # the schedule fires in each life, and notes by which moment
    await fire_due(engine)
    before = len(await all_runs(engine))
    await sweep(engine)
    assert len(await all_runs(engine)) == before >= 3
    world.clock.advance(seconds=BELIEVED_AFTER.total_seconds() + 1)
    await sweep(engine)
    assert len(await all_runs(engine)) < before
