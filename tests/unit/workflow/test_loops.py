"""Whatever a loop of the engine meets, it goes on; and one that stands still is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, cast

import pytest
from gestalt_workflow import watcher
from gestalt_workflow.config import Config
from gestalt_workflow.dispatch import dispatcher, waiting_room
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.engine import Engine
from gestalt_workflow.firing import scheduler
from gestalt_workflow.model.errors import StorageFailed
from gestalt_workflow.model.objects import RunStatus
from gestalt_workflow.stored import storage

from gestalt_sdk.common import loops
from gestalt_sdk.common.beats import Beats
from gestalt_sdk.indexeddb import IndexedDB
from tests.support.fakes.indexeddb_client import MemoryClient
from tests.support.rigs.driving import scheduled, upsert
from tests.support.rigs.engine import World
from tests.support.waiting import eventually

LOOPS: dict[str, tuple[Callable[[Engine], Any], str]] = {
    "scheduler": (lambda engine: engine.scheduler, "_load"),
    "waiting room": (lambda engine: engine.waiting_room, "look"),
    "dispatcher": (lambda engine: engine.dispatcher, "_claim_some"),
    "claims": (lambda engine: engine.dispatcher, "_renew"),
    "watcher": (lambda engine: engine._watcher, "_sweep"),
    "storage writer": (lambda engine: engine.storage, "_write_batch"),
}
"""What each loop awaits in its rounds."""


class BrokenLog:
    """A log that raises whatever it is told, as one on a full disk once did."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        return fail


@pytest.fixture
async def beats_and_engine(world: World) -> AsyncIterator[tuple[Beats, list[float], Engine]]:
    now = [0.0]
    beats = Beats(lambda: now[0])
    config = Config(worker_count=4, claim_renew_every=timedelta(milliseconds=20))
    client = cast(IndexedDB, MemoryClient(world.database))
    engine = Engine("local", config, client, cast(WorkflowHost, world.host), world.clock, beats=beats)
    async with AsyncExitStack() as stack:
        await engine.open()
        stack.push_async_callback(engine.close)
        yield beats, now, engine


def a_slot_comes(world: World, engine: Engine) -> None:
    """Let a minute pass, also for the rounds of the watcher that come once a minute."""
    world.clock.advance(seconds=61)
    engine.scheduler.reload()


@pytest.mark.parametrize("log", ["good log", "broken log"])
@pytest.mark.parametrize("error", [RuntimeError("a bug"), StorageFailed("no store")], ids=["bug", "store fails"])
@pytest.mark.parametrize("name", LOOPS)
async def test_a_loop_that_raises_goes_on(
    name: str,
    error: Exception,
    log: str,
    world: World,
    beats_and_engine: tuple[Beats, list[float], Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, _, engine = beats_and_engine
    if log == "broken log":
        for module in (scheduler, waiting_room, dispatcher, watcher, storage, loops):
            monkeypatch.setattr(module, "log", BrokenLog())
    gate = world.host.hold("run")
    await upsert(world, engine)
    part, method = LOOPS[name][0](engine), LOOPS[name][1]
    whole, calls = getattr(part, method), 0

    async def failing_once(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise error
        return await whole(*arguments)

    monkeypatch.setattr(part, method, failing_once)
    engine.start()

    async def again() -> bool | None:
        return True if calls > 1 else None

    async def succeeded() -> bool | None:
        return True if any(run.status is RunStatus.SUCCEEDED for run in await scheduled(engine)) else None

    async def held() -> bool | None:
        if not await scheduled(engine):
            a_slot_comes(world, engine)
        return True if world.host.calls else None

    await eventually(held, within_s=30)
    a_slot_comes(world, engine)
    await eventually(again, within_s=30)
    gate.set()
    await eventually(succeeded, within_s=30)


@pytest.mark.parametrize("name", LOOPS)
async def test_a_loop_that_hangs_is_named(
    name: str, world: World, beats_and_engine: tuple[Beats, list[float], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    beats, now, engine = beats_and_engine
    world.host.hold("run")
    await upsert(world, engine)
    hung = asyncio.Event()

    async def hang(*_: object) -> None:
        hung.set()
        await asyncio.Future()

    monkeypatch.setattr(LOOPS[name][0](engine), LOOPS[name][1], hang)
    engine.start()

    async def reached() -> bool | None:
        a_slot_comes(world, engine)
        return True if hung.is_set() else None

    async def named() -> bool | None:
        now[0] += 0.5  # the others make a round a second, so they are never silent for long
        silent = [beat.name for beat in beats.look()]
        assert set(silent) <= {name} or name == "storage writer"  # which the others wait for
        return True if name in silent else None

    await eventually(reached, within_s=30)
    await eventually(named, within_s=60)


async def test_loops_that_wait_for_work_are_not_silent(
    beats_and_engine: tuple[Beats, list[float], Engine],
) -> None:
    beats, now, engine = beats_and_engine
    engine.start()
    turns = 0

    async def long_after() -> bool | None:
        nonlocal turns
        turns += 1
        now[0] += 0.5
        assert beats.look() == []
        return True if turns > 400 else None

    await eventually(long_after, within_s=60)
    await engine.drain()
    now[0] += 5
    assert beats.look() == []
