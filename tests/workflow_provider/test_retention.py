"""Old runs go, a batch at a time; what repeats are recognised by stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.config import read_config
from gestalt_workflow.convert import signal_from_proto
from gestalt_workflow.engine import Engine
from gestalt_workflow.errors import InvalidConfiguration
from gestalt_workflow.model import Run
from gestalt_workflow.records import RUN_KEYS, RUNS, SIGNAL_KEYS, SIGNALS
from gestalt_workflow.runs import StartRequest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.workflow_provider.conftest import ALICE, World, client_of, plugin_target


async def ended(world: World, engine: Engine, count: int, **fields: Any) -> list[Run]:
    runs = [await engine.runs.start(StartRequest(plugin_target(), created_by=ALICE, **fields)) for _ in range(count)]
    return [await world.finished(engine, run.id) for run in runs]


async def sweep(engine: Engine) -> None:
    for _ in range(3):
        while await engine.retention.remove_some():
            pass


async def test_runs_go_when_their_end_is_long_ago(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_workflow.retention.BATCH", 2)
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
    assert waiting is not None and canceled.id not in world.database.stores[RUNS]
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
    assert again.id == run.id and again.created_at == run.created_at


async def test_looking_costs_one_message_and_nothing_when_runs_stay_for_ever(world: World) -> None:
    for keep, cost in ((timedelta(days=30), 1), (None, 0)):
        engine = await world.engine(start=False, keep_runs_for=keep)
        before = client_of(engine).count
        assert not await engine.retention.remove_some()
        assert client_of(engine).count - before == cost


def test_how_long_runs_stay_is_configured() -> None:
    assert read_config({}).keep_runs_for == timedelta(days=90)
    assert read_config({"keepRunsFor": "720h"}).keep_runs_for == timedelta(days=30)
    assert read_config({"keepRunsFor": "forever"}).keep_runs_for is None
    for wrong in ("90d", "24h", 30):
        with pytest.raises(InvalidConfiguration, match=f"keepRunsFor is {wrong!r}; expected .*168h"):
            read_config({"keepRunsFor": wrong})
