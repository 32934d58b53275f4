"""Limits of targets in one engine and several: what waits, in which order, what goes on when, what stays behind."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.config import read_config
from gestalt_workflow.dispatch.limits import Limit, Limits
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.errors import InvalidConfiguration
from gestalt_workflow.model.objects import InvocationResult, NewSignal, Run, RunStatus
from gestalt_workflow.model.policies import Overlap, Retry, RunPolicy, SchedulePolicy
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.stored.records import PERMITS, RUNS
from gestalt_workflow.wire.targets import describe_target

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import StoreUnavailable
from tests.support.rigs.driving import all_runs, fire_due, scheduled, upsert
from tests.support.rigs.engine import World, client_of, plugin_target
from tests.support.waiting import eventually, one_turn


async def start(engine: Engine, operation: str = "run", plugin: str = "slack", **fields: Any) -> Run:
    return await engine.runs.start(StartRequest(plugin_target(operation, plugin), **fields))


async def invoked(world: World, count: int) -> list[str]:
    """Wait for that many invocations; ids of their runs, in order."""
    await eventually(lambda: _answer(len(world.host.calls) >= count))
    return world.host.runs()


async def _answer(found: bool) -> bool | None:
    return True if found else None


async def set_aside(engine: Engine, *runs: Run, lane: str = "slack") -> None:
    """Wait until these runs wait in the lane."""

    async def probe() -> bool | None:
        found = [await engine.runs.get(run.id) for run in runs]
        return True if all((run.status, run.lane) == (RunStatus.PENDING, lane) for run in found) else None

    await eventually(probe)


def permits(world: World) -> list[str]:
    return sorted(world.database.stores[PERMITS])


# Which limits hold


def test_an_operation_counts_within_its_plugin_too_and_zero_lifts_the_default() -> None:
    limits = Limits({"slack": 2, "slack.send": 1, "free": 0, "agent:writer": 3}, 5)
    agent = pb.BoundWorkflowTarget()
    agent.agent.provider_name = "writer"
    assert limits.of(plugin_target("send", "slack")) == (Limit("slack", 2), Limit("slack.send", 1))
    assert limits.of(plugin_target("read", "slack")) == (Limit("slack", 2),)
    assert limits.of(plugin_target("run", "free")) == ()
    assert limits.of(plugin_target("run", "other")) == (Limit("other", 5),)
    assert limits.of(describe_target(agent)) == (Limit("agent:writer", 3),)
    assert limits
    assert not Limits({"free": 0})
    assert Limits({}).of(plugin_target()) == ()


def test_the_configuration_of_limits() -> None:
    config = read_config({"maxConcurrentPerTarget": 4, "targetLimits": {"slack": 2.0, "slack.chat.postMessage": 1}})
    assert config.max_concurrent_per_target == 4
    assert config.target_limits == {"slack": 2, "slack.chat.postMessage": 1}
    assert (read_config({}).max_concurrent_per_target, read_config({}).target_limits) == (None, {})


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"targetLimits": 3}, "targetLimits is 3; expected a mapping"),
        ({"targetLimits": {"slack": "two"}}, "targetLimits.slack is 'two'; expected a whole number"),
        ({"targetLimits": {"slack": 1001}}, "targetLimits.slack is 1001; expected at most 1000"),
        ({"targetLimits": {" ": 1}}, "expected names such as slack"),
        ({"maxConcurrentPerTarget": 1.5}, "maxConcurrentPerTarget is 1.5; expected a whole number"),
    ],
)
def test_a_wrong_limit_is_refused_by_name(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        read_config(config)
    assert problem in str(refused.value)


# What waits, and what goes on


async def test_runs_over_the_limit_stay_pending_and_keep_their_order(world: World) -> None:
    engine = await world.engine(start=False, target_limits={"slack": 2}, worker_count=8)
    gate = world.host.hold("run")
    runs = [await start(engine) for _ in range(6)]
    engine.start()
    await set_aside(engine, *runs[2:])
    assert world.host.active == 2
    assert len(permits(world)) == 2
    assert [(await engine.runs.get(run.id)).epoch for run in runs] == [1, 1, 0, 0, 0, 0]
    gate.set()
    for run in runs:
        await world.finished(engine, run.id)
    assert world.host.runs() == [run.id for run in runs]
    assert world.host.most_active == 2
    assert permits(world) == []


async def test_a_limited_target_holds_nobody_up_however_much_of_it_waits(world: World) -> None:
    """No head-of-line blocking: many more than the queue's window stand in front."""
    engine = await world.engine(start=False, target_limits={"slack": 1}, worker_count=2)
    gate = world.host.hold("run")
    limited = [await start(engine) for _ in range(2500)]
    other = await start(engine, "other", "mail")
    engine.start()
    await world.finished(engine, other.id)
    assert world.host.active == 1
    assert (await engine.runs.get(limited[-1].id)).lane == "slack"
    gate.set()
    calls = await invoked(world, 200)
    assert [run_id for run_id in calls if run_id != other.id] == [run.id for run in limited[: len(calls) - 1]]


async def test_what_waits_goes_on_as_soon_as_a_run_ends_without_looking_at_the_store(world: World) -> None:
    engine = await world.engine(start=False, target_limits={"slack": 1}, poll_interval=timedelta(hours=1))
    gate = world.host.hold("run")
    first, second = await start(engine), await start(engine)
    engine.start()
    await set_aside(engine, second)
    before = client_of(engine).count
    await one_turn()
    assert client_of(engine).count == before  # nobody asks while it waits for a run of this process
    gate.set()
    await world.finished(engine, first.id)
    await world.finished(engine, second.id)


async def test_an_operation_over_its_own_limit_leaves_room_for_others_of_the_plugin(world: World) -> None:
    engine = await world.engine(start=False, target_limits={"slack": 2, "slack.send": 1}, worker_count=8)
    gates = [world.host.hold(operation) for operation in ("send", "read")]
    sends = [await start(engine, "send") for _ in range(3)]
    reads = [await start(engine, "read") for _ in range(3)]
    engine.start()
    await set_aside(engine, *sends[1:], lane="slack.send")
    await set_aside(engine, *reads[1:], lane="slack")
    assert permits(world)[0].startswith("slack#")
    assert len(permits(world)) == 3
    gates[0].set()
    for run in sends:  # one place of slack is held by a read all the time
        await world.finished(engine, run.id)
    gates[1].set()
    for run in reads:
        await world.finished(engine, run.id)
    assert world.host.most_active == 2
    assert permits(world) == []


async def test_every_target_has_the_default_limit_of_its_own(world: World) -> None:
    engine = await world.engine(start=False, max_concurrent_per_target=1, worker_count=8)
    gate = world.host.hold("run")
    runs = {plugin: [await start(engine, plugin=plugin) for _ in range(2)] for plugin in ("a", "b", "c")}
    engine.start()
    for plugin, (_, second) in runs.items():
        await set_aside(engine, second, lane=plugin)
    assert world.host.active == 3
    gate.set()
    for pair in runs.values():
        for run in pair:
            await world.finished(engine, run.id)


async def test_a_canceled_run_frees_its_place_and_one_set_aside_leaves_its_lane(world: World) -> None:
    engine = await world.engine(target_limits={"slack": 1})
    gate = world.host.hold("run")
    running = await start(engine)
    await invoked(world, 1)
    waiting, last = await start(engine), await start(engine)
    await set_aside(engine, waiting, last)
    assert (await engine.runs.cancel(waiting.id, "not this one")).lane == ""
    await engine.runs.cancel(running.id, "enough")
    assert await invoked(world, 2) == [running.id, last.id]
    gate.set()
    await world.finished(engine, last.id)
    assert permits(world) == []


async def test_a_keyed_run_that_is_set_aside_takes_signals_and_delivers_them(world: World) -> None:
    engine = await world.engine(target_limits={"slack": 1})
    gate = world.host.hold("run")
    running = await start(engine)
    await invoked(world, 1)
    keyed = await start(engine, workflow_key="k")
    await set_aside(engine, keyed)
    for name in ("one", "two"):
        delivery = await engine.signals.signal(keyed.id, NewSignal(pb.WorkflowSignal(name=name).SerializeToString()))
        assert delivery.run.lane == "slack"
    gate.set()
    await world.finished(engine, running.id)
    assert (await world.finished(engine, keyed.id)).status is RunStatus.SUCCEEDED
    assert [[signal.sequence for signal in signals] for _, signals, _ in world.host.calls] == [[], [1, 2]]


async def test_a_run_that_waits_for_its_next_attempt_holds_no_place(world: World) -> None:
    engine = await world.engine(target_limits={"slack": 1})
    world.host.answers["flaky"] = InvocationResult(503, "")
    retried = await start(engine, "flaky", policy=RunPolicy(retry=Retry(2, timedelta(hours=1))))
    other = await start(engine)
    assert (await world.finished(engine, other.id)).status is RunStatus.SUCCEEDED
    assert (await engine.runs.get(retried.id)).not_before is not None
    assert permits(world) == []


async def test_higher_priority_goes_first_among_those_set_aside(world: World) -> None:
    """Ageing orders a lane as it does the queue: keyed runs (10) before plain ones (20) of the same age."""
    engine = await world.engine(start=False, target_limits={"slack": 1})
    gate = world.host.hold("run")
    first, plain, keyed = await start(engine), await start(engine), await start(engine, workflow_key="k")
    world.clock.advance(seconds=150)  # older by more than what its priority is worth
    late_keyed = await start(engine, workflow_key="k2")
    engine.start()
    calls = [keyed, first, plain, late_keyed]
    await set_aside(engine, first, plain, late_keyed)
    gate.set()
    for run in calls:
        await world.finished(engine, run.id)
    assert world.host.runs() == [run.id for run in calls]


async def test_a_run_that_makes_way_for_the_next_slot_gives_up_its_place_to_it(world: World) -> None:
    engine = await world.engine(target_limits={"svc": 1})
    world.host.hold("run")
    await upsert(world, engine, policy=SchedulePolicy(overlap=Overlap.CANCEL_PREVIOUS))
    for number in (1, 2):
        world.clock.advance(minutes=1)
        await fire_due(engine)
        await invoked(world, number)
    first, second = await scheduled(engine)
    assert (first.status, second.status) == (RunStatus.CANCELED, RunStatus.RUNNING)
    assert [record["run_id"] for record in world.database.stores[PERMITS].values()] == [second.id]


# Configurations that change


@pytest.mark.parametrize("limits", [{}, {"slack": 5}, {"slack": 0, "slack.run": 5}])
async def test_what_was_set_aside_goes_on_under_another_configuration(world: World, limits: dict[str, int]) -> None:
    before = await world.engine(start=False, target_limits={"slack": 1}, worker_count=8)
    gate = world.host.hold("run")
    runs = [await start(before) for _ in range(4)]
    before.start()
    await set_aside(before, *runs[1:])
    drained = asyncio.create_task(before.drain())
    gate.set()
    await drained
    left = [run.id for run in await all_runs(before) if not run.status.terminal]
    after = await world.engine(target_limits=limits, worker_count=8)
    for run_id in left:
        await world.finished(after, run_id)
    assert len(left) >= 2
    assert permits(world) == []


async def test_a_lower_limit_counts_what_runs_already(world: World) -> None:
    gate = world.host.hold("run")
    before = await world.engine(target_limits={"slack": 3}, worker_count=8)
    running = [await start(before) for _ in range(3)]
    await invoked(world, 3)
    after = await world.engine(target_limits={"slack": 2}, worker_count=8)
    waiting = await start(after)
    await set_aside(after, waiting)
    gate.set()
    for run in (*running, waiting):
        await world.finished(after, run.id)


# Several processes, and what they leave behind


async def test_several_engines_never_exceed_a_limit_together(world: World) -> None:
    engines = [await world.engine(target_limits={"slack": 2}, worker_count=4) for _ in range(3)]
    runs = [await start(engines[number % 3], "run") for number in range(60)]
    others = [await start(engines[number % 3], "other", "mail") for number in range(30)]
    most = 0

    async def all_done() -> bool | None:
        nonlocal most
        rows = [record for record in world.database.stores[RUNS].values() if record["target_owner"] == "slack"]
        most = max(most, sum(record["status"] == RunStatus.RUNNING for record in rows))
        return True if all(record["status"] >= RunStatus.SUCCEEDED for record in rows) else None

    await eventually(all_done, within_s=30)
    for run in others:
        await world.finished(engines[0], run.id)
    assert most <= 2
    assert permits(world) == []
    assert sorted(set(world.host.runs())) == sorted(run.id for run in (*runs, *others))
    assert len(world.host.calls) == 90


async def test_a_claim_whose_answer_was_lost_keeps_no_place(world: World) -> None:
    engine = await world.engine(start=False, target_limits={"slack": 1})
    client = client_of(engine)
    run = await start(engine)
    lost: list[str] = []

    def lose_the_claim(call: str) -> None:
        if not lost and permits(world):
            lost.append(call)
            raise StoreUnavailable("no answer")

    client.after = lose_the_claim
    engine.start()
    assert (await world.finished(engine, run.id)).status is RunStatus.SUCCEEDED
    assert lost == ["apply"]
    assert permits(world) == []


async def test_a_place_of_a_process_that_has_gone_is_free_when_its_claim_is_settled(world: World) -> None:
    gone = await world.engine(target_limits={"slack": 1}, claim_ttl=timedelta(seconds=30))
    world.host.hold("run")
    lost = await start(gone)
    await invoked(world, 1)
    await gone._stop_loops()
    other = await world.engine(target_limits={"slack": 1})
    waiting = await start(other, "next")
    await set_aside(other, waiting)
    world.clock.advance(minutes=2)
    await other.recovery.sweep(other.dispatcher.busy)
    assert (await world.finished(other, waiting.id)).status is RunStatus.SUCCEEDED
    assert (await other.runs.get(lost.id)).stale


@pytest.mark.parametrize("damage", ["unreadable", "removed", "ended by something that knows of no permits"])
async def test_a_place_that_nobody_will_give_back_is_reclaimed(world: World, damage: str) -> None:
    engine = await world.engine(start=False, target_limits={"slack": 1})
    waiting = await start(engine)
    rows = world.database.stores[RUNS]
    held = {"id": "slack#0", "run_id": "lost", "owner": "boot/1/2/3", "lease": world.clock()}
    world.database.stores[PERMITS]["slack#0"] = held
    if damage != "removed":
        rows["lost"] = {**rows[waiting.id], "id": "lost", "status": int(RunStatus.SUCCEEDED)}
        del rows["lost"]["queue"]
    if damage == "unreadable":
        rows["lost"] |= {"status": int(RunStatus.RUNNING), "trigger": None}
    engine.start()
    await set_aside(engine, waiting)
    await eventually(lambda: _answer(engine.lanes.stuck(engine.dispatcher.busy())))
    world.clock.advance(minutes=2)
    assert (await world.finished(engine, waiting.id)).status is RunStatus.SUCCEEDED


async def test_a_place_of_an_unreadable_run_stays_while_its_claim_may_hold(world: World) -> None:
    engine = await world.engine(start=False, target_limits={"slack": 1})
    rows = world.database.stores[RUNS]
    waiting = await start(engine)
    rows["lost"] = {**rows[waiting.id], "id": "lost", "trigger": None}
    lease = world.clock() + timedelta(minutes=5)
    world.database.stores[PERMITS]["slack#0"] = {"id": "slack#0", "run_id": "lost", "owner": "b/1/2/3", "lease": lease}
    assert await engine.recovery.reclaim_permits() == 0
    world.clock.advance(minutes=6)
    assert await engine.recovery.reclaim_permits() == 1
