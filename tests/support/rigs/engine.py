"""An engine over a database in memory, a host that answers by script, and a clock that tests turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from gestalt_workflow.config import Config
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.objects import (
    Actor,
    InvocationFailed,
    InvocationResult,
    Outcome,
    Reference,
    Run,
    Signal,
    Target,
)
from gestalt_workflow.wire.targets import describe_target

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import IndexedDB
from tests.support.fakes.indexeddb_client import MemoryClient, RecordDatabase
from tests.support.waiting import eventually, one_turn

START = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)
ALICE = Actor("user:alice", "user", "Alice", "session")
BOB = Actor("user:bob", "user", "Bob", "session")


class FakeClock:
    """Stands still but for a microsecond a reading, so that no two moments are equal.

    ``advance`` lets time pass; ``jump`` sets the clock.
    """

    def __init__(self) -> None:
        self.now = START
        self.set_by = timedelta()

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def jump(self, **delta: float) -> None:
        self.set_by += timedelta(**delta)
        self.now += timedelta(**delta)

    def monotonic(self) -> float:
        return (self.now - self.set_by).timestamp()


class ScriptedHost:
    """Answers 200 ``ok`` unless told otherwise; keeps every invocation."""

    def __init__(self) -> None:
        self.calls: list[tuple[Run, Sequence[Signal], Reference | None]] = []
        self.answers: dict[str, Outcome] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.active = 0
        self.most_active = 0

    def hold(self, operation: str) -> asyncio.Event:
        """Invocations of the operation wait until the event is set."""
        return self.gates.setdefault(operation, asyncio.Event())

    def fail(self, operation: str, message: str) -> None:
        self.answers[operation] = InvocationFailed(message)

    async def invoke(self, run: Run, signals: Sequence[Signal], reference: Reference | None) -> Outcome:
        message = pb.BoundWorkflowTarget.FromString(run.target.data)
        operation = message.plugin.operation or message.agent.provider_name
        self.calls.append((run, signals, reference))
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await one_turn()
            if operation in self.gates:
                await self.gates[operation].wait()
            return self.answers.get(operation, InvocationResult(200, "ok"))
        finally:
            self.active -= 1

    async def close(self) -> None:
        return None

    def runs(self) -> list[str]:
        return [run.id for run, _, _ in self.calls]


class World:
    """One database and any number of engines on it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.database = RecordDatabase()
        self.clock = FakeClock()
        self.host = ScriptedHost()
        self._stack = stack

    async def engine(self, *, start: bool = True, host: ScriptedHost | None = None, **config: Any) -> Engine:
        client = MemoryClient(self.database)
        settings = Config(**{"worker_count": 4, **config})
        engine = Engine(
            "local",
            settings,
            cast(IndexedDB, client),
            cast(WorkflowHost, host or self.host),
            clock=self.clock,
            monotonic=self.clock.monotonic,
        )
        await engine.open()
        self._stack.push_async_callback(engine.close)
        if start:
            engine.start()
        return engine

    async def finished(self, engine: Engine, run_id: str) -> Run:
        async def probe() -> Run | None:
            run = await engine.runs.get(run_id)
            return run if run.status.terminal else None

        return await eventually(probe)


def client_of(engine: Engine) -> MemoryClient:
    return cast(MemoryClient, engine.storage._db)


def plugin_target(operation: str = "run", plugin: str = "svc") -> Target:
    message = pb.BoundWorkflowTarget()
    message.plugin.plugin_name = plugin
    message.plugin.operation = operation
    return describe_target(message)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)
