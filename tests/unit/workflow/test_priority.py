"""Priority with ageing (semantics.md 18.2): what is urgent goes first, and nothing starves (traps 5 and 18 of 22.1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from gestalt_workflow.claims import transitions
from gestalt_workflow.model.objects import (
    NOBODY,
    Event,
    EventMatch,
    NewSignal,
    Outcome,
    Reference,
    Run,
    RunTrigger,
    Signal,
    TriggerKind,
)
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.signals import SignalOrStartRequest
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.wire.targets import describe_target

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.engine import START, ScriptedHost, World, plugin_target

STEP_S = 5.0
LONGEST = 300
"""Invocations after which a run that has not come up is taken for starved."""


class BusyHost(ScriptedHost):
    """Each invocation takes some seconds, and brings more work with it."""

    def __init__(self, world: World, more: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._world, self._more = world, more

    async def invoke(self, run: Run, signals: Sequence[Signal], reference: Reference | None) -> Outcome:
        self._world.clock.advance(seconds=STEP_S)
        if len(self.calls) < LONGEST:
            await self._more()
        return await super().invoke(run, signals, reference)


@pytest.mark.parametrize("limits", [{}, {"svc": 1}], ids=["queue", "lane"])
async def test_a_steady_stream_of_urgent_runs_starves_no_other(world: World, limits: dict[str, int]) -> None:
    engine = await world.engine(start=False, worker_count=1)
    await engine.triggers.upsert(TriggerRequest("t", EventMatch("type"), plugin_target("urgent"), False, NOBODY, ""))
    numbers = iter(range(10_000))

    async def publish() -> None:
        event = Event(f"e{next(numbers)}", "s", "type", "", b"")
        await engine.events.publish(event, NOBODY)

    host = BusyHost(world, publish)
    worker = await world.engine(start=False, worker_count=2, host=host, target_limits=limits)
    engine = worker  # what it makes itself it knows at once
    for _ in range(3):
        await publish()
    plain = await engine.runs.start(StartRequest(plugin_target("plain")))
    worker.start()
    await world.finished(worker, plain.id)
    place = host.runs().index(plain.id)
    worth = transitions.AGEING * transitions.priority(plain.target, TriggerKind.MANUAL, keyed=False)
    assert 3 <= place <= worth / timedelta(seconds=STEP_S) + 5


async def test_a_hot_key_keeps_no_other_run_waiting_for_ever(world: World) -> None:
    """A keyed run whose signals never end comes back behind what has aged meanwhile."""
    signal = NewSignal(pb.WorkflowSignal(name="more").SerializeToString())
    request = SignalOrStartRequest("hot", plugin_target("hot"), signal)
    host = BusyHost(world, lambda: worker.signals.signal_or_start(request))
    worker = await world.engine(start=False, worker_count=1, host=host)
    hot = (await worker.signals.signal_or_start(request)).run
    plain = await worker.runs.start(StartRequest(plugin_target("plain")))
    worker.start()
    await world.finished(worker, plain.id)
    place = host.runs().index(plain.id)
    assert set(host.runs()[:place]) == {hot.id}
    assert place <= transitions.AGEING * 20 / timedelta(seconds=STEP_S) + 2


async def test_a_hot_key_takes_one_worker_at_most(world: World) -> None:
    host = ScriptedHost()
    worker = await world.engine(worker_count=4, host=host)
    gate = host.hold("hot")
    signal = NewSignal(pb.WorkflowSignal(name="more").SerializeToString())
    for _ in range(60):
        await worker.signals.signal_or_start(SignalOrStartRequest("hot", plugin_target("hot"), signal))
    others = [await worker.runs.start(StartRequest(plugin_target("plain"))) for _ in range(10)]
    for run in others:
        await world.finished(worker, run.id)
    assert sum(run.target == plugin_target("hot") for run, _, _ in host.calls) == 1
    gate.set()


def _agent(priority: float | str | None = None) -> pb.BoundWorkflowTarget:
    message = pb.BoundWorkflowTarget()
    message.agent.provider_name = "writer"
    if priority is not None:
        message.agent.metadata.update({"_gestalt": {"workflow": {"dispatchPriority": priority}}})
    return message


@pytest.mark.parametrize(
    ("target", "kind", "keyed", "expected"),
    [
        (plugin_target(), TriggerKind.EVENT, False, 0),
        (describe_target(_agent(7)), TriggerKind.MANUAL, False, 7),
        (describe_target(_agent(" 3 ")), TriggerKind.EVENT, True, 3),
        (describe_target(_agent(0)), TriggerKind.MANUAL, False, 40),
        (describe_target(_agent(1.5)), TriggerKind.MANUAL, False, 40),
        (plugin_target(), TriggerKind.MANUAL, True, 10),
        (describe_target(_agent()), TriggerKind.MANUAL, True, 10),
        (plugin_target(), TriggerKind.SCHEDULE, False, 20),
        (describe_target(_agent()), TriggerKind.EVENT, False, 30),
        (describe_target(_agent()), TriggerKind.SCHEDULE, False, 40),
    ],
)
def test_the_table_of_priorities(target: object, kind: TriggerKind, keyed: bool, expected: int) -> None:
    assert transitions.priority(target, kind, keyed=keyed) == expected  # type: ignore[arg-type]
    rank = transitions.rank(target, RunTrigger(kind, b""), keyed=keyed, since=START)  # type: ignore[arg-type]
    assert rank - START == transitions.AGEING * expected
