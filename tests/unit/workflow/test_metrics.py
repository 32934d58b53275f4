"""Figures of the workflow provider: what they count, and what reading them costs."""

from __future__ import annotations

from datetime import timedelta

from gestalt_workflow.dispatch.run_queue import WINDOW
from gestalt_workflow.engine import Engine
from gestalt_workflow.events.verdicts import VerdictKind
from gestalt_workflow.model.metrics import VERDICTS
from gestalt_workflow.model.objects import NOBODY, Event, EventMatch, InvocationResult
from gestalt_workflow.model.policies import PLAIN_RUN, Retry, RetryOn, RunPolicy
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.triggers import TriggerRequest

from gestalt_sdk.indexeddb import IndexedDBError
from tests.support.rigs.driving import fire_due, upsert
from tests.support.rigs.engine import ALICE, World, client_of, plugin_target
from tests.support.waiting import eventually


async def figures(engine: Engine) -> dict[str, float]:
    """Every sample by name and label values; histograms by their number of observations."""
    return {
        " ".join((family.name.removeprefix("workflow_"), *sample.labels.values())): (
            sample.buckets[-1][1] if sample.buckets else sample.value
        )
        for family in await engine.metrics()
        for sample in family.samples
    }


async def start(engine: Engine, policy: RunPolicy = PLAIN_RUN) -> str:
    return (await engine.runs.start(StartRequest(plugin_target(), created_by=ALICE, policy=policy))).id


async def answer(is_so: bool) -> bool | None:
    return is_so or None


def test_every_kind_of_verdict_has_its_figure() -> None:
    assert tuple(kind.name.lower() for kind in VerdictKind) == VERDICTS


async def test_reading_the_figures_of_a_known_queue_costs_no_message(world: World) -> None:
    engine = await world.engine(worker_count=1)
    gate = world.host.hold("run")
    for _ in range(3):
        await start(engine)
    await eventually(lambda: answer(world.host.active == 1))
    before = client_of(engine).count
    found = await figures(engine)
    assert client_of(engine).count == before
    assert found["workers"] == 1
    assert (found["queue_runs"], found["runs_running"]) == (2, 1)
    gate.set()


async def test_a_queue_that_is_longer_than_the_window_is_counted_by_the_store(world: World) -> None:
    engine = await world.engine(start=False)
    for _ in range(WINDOW + 10):
        await start(engine)
    before = client_of(engine).messages["index_count"]
    assert (await figures(engine))["queue_runs"] == WINDOW + 10
    assert client_of(engine).messages["index_count"] - before <= 2


async def test_a_store_that_fails_leaves_out_the_count_of_the_queue_alone(world: World) -> None:
    engine = await world.engine(start=False)
    found = await figures(engine)

    def broken(call: str) -> None:
        raise IndexedDBError("the disk is full")

    client_of(engine).before = broken
    assert found.keys() - (await figures(engine)).keys() == {"queue_runs"}


async def test_the_oldest_is_told_by_the_clock(world: World) -> None:
    engine = await world.engine(worker_count=1)
    gate = world.host.hold("run")
    await start(engine)
    await eventually(lambda: answer(world.host.active == 1))
    await start(engine)
    world.clock.advance(seconds=90)
    await start(engine)
    assert round((await figures(engine))["queue_oldest_seconds"]) == 90
    gate.set()


async def test_lateness_is_from_the_slot_to_its_run_and_missed_slots_are_told(world: World) -> None:
    engine = await world.engine()
    await upsert(world, engine)
    world.clock.advance(minutes=3)
    await fire_due(engine)
    found = await figures(engine)
    assert (found["schedule_lateness_seconds"], found["slots fired"], found["slots collapsed"]) == (1, 1, 2)


async def test_a_failed_attempt_that_is_tried_again_is_a_retry_and_no_end(world: World) -> None:
    engine = await world.engine()
    world.host.answers["run"] = InvocationResult(503, "busy")
    retry = Retry(3, timedelta(), timedelta(minutes=5), frozenset(RetryOn))
    await world.finished(engine, await start(engine, policy=RunPolicy(retry)))
    found = await figures(engine)
    assert (found["run_retries"], found["runs_ended manual failed"], found["run_wait_seconds"]) == (2, 1, 3)


async def test_runs_are_counted_by_how_they_ended(world: World) -> None:
    engine = await world.engine()
    await world.finished(engine, await start(engine))
    world.host.fail("run", "gone")
    await world.finished(engine, await start(engine))
    gate = world.host.hold("run")
    canceled = await start(engine)
    await eventually(lambda: answer(world.host.active == 1))
    await engine.runs.cancel(canceled, "no more")
    gate.set()
    found = await figures(engine)
    ended = {name: count for name, count in found.items() if name.startswith("runs_ended") and count}
    assert ended == {"runs_ended manual succeeded": 1, "runs_ended manual failed": 1, "runs_ended manual canceled": 1}


async def test_the_rest_of_a_fan_out_counts_with_its_event(world: World) -> None:
    engine = await world.engine(runs_per_commit=10)
    for number in range(25):
        await engine.triggers.upsert(TriggerRequest(f"t{number}", EventMatch("go"), plugin_target(), False, ALICE, ""))
    await engine.events.publish(Event("e", "s", "go", "", b""), NOBODY)

    async def all_told() -> bool | None:
        return True if (await figures(engine))["runs_ended event succeeded"] == 25 else None

    await eventually(all_told)
    found = await figures(engine)
    assert (found["event_verdicts matched"], found["events_published new"]) == (25, 1)
