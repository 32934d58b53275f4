"""Attempts and timeouts: opt-in, counted, held back in the store, at most once without them (decision 6)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.claims import transitions
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.objects import (
    NOBODY,
    InvocationFailed,
    InvocationResult,
    NewSignal,
    Outcome,
    Run,
    RunStatus,
)
from gestalt_workflow.model.policies import Retry, RetryOn, RunPolicy
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.wire.payloads import manual_trigger

from tests.support.rigs.engine import START, World, plugin_target
from tests.support.waiting import eventually

EVERY = frozenset(RetryOn)
NO_WAIT = timedelta()


def retrying(attempts: int = 3, backoff: timedelta = NO_WAIT, on: frozenset[RetryOn] = EVERY) -> RunPolicy:
    return RunPolicy(Retry(attempts, backoff, max(backoff, timedelta(minutes=5)), on))


async def start(engine: Engine, policy: RunPolicy, **fields: Any) -> Run:
    return await engine.runs.start(StartRequest(plugin_target(), policy=policy, **fields))


async def held_back(engine: Engine, run: Run) -> Run:
    async def probe() -> Run | None:
        found = await engine.runs.get(run.id)
        return found if found.not_before is not None else None

    return await eventually(probe)


async def test_without_a_policy_a_failure_is_final(world: World) -> None:
    engine = await world.engine()
    world.host.answers["run"] = InvocationResult(503, "busy")
    run = await world.finished(engine, (await start(engine, RunPolicy())).id)
    assert (run.status, run.attempt, len(world.host.calls)) == (RunStatus.FAILED, 1, 1)
    assert run.status_message == "workflow operation returned status 503"


async def test_attempts_go_on_until_they_are_used_up(world: World) -> None:
    engine = await world.engine()
    world.host.answers["run"] = InvocationResult(503, "busy")
    run = await world.finished(engine, (await start(engine, retrying())).id)
    assert (run.status, run.attempt, run.result_body) == (RunStatus.FAILED, 3, "busy")
    assert run.status_message == "workflow operation returned status 503 (attempt 3 of 3)"
    assert [call.attempt for call, _, _ in world.host.calls] == [1, 2, 3]


async def test_a_run_waits_for_its_next_attempt_and_then_succeeds(world: World) -> None:
    engine = await world.engine()
    world.host.fail("run", "rpc error: code = Unavailable desc = gone")
    run = await held_back(engine, await start(engine, retrying(backoff=timedelta(minutes=1))))
    assert (run.status, run.attempt) == (RunStatus.PENDING, 1)
    assert run.status_message == "rpc error: code = Unavailable desc = gone (attempt 1 of 3)"
    assert len(world.host.calls) == 1
    del world.host.answers["run"]
    world.clock.advance(minutes=1)
    finished = await world.finished(engine, run.id)
    assert (finished.status, finished.attempt, finished.status_message) == (RunStatus.SUCCEEDED, 2, "")


async def test_an_attempt_that_waits_survives_its_process(world: World) -> None:
    first = await world.engine()
    world.host.answers["run"] = InvocationResult(500, "")
    run = await held_back(first, await start(first, retrying(backoff=timedelta(minutes=1))))
    await first.close()
    world.host.answers.clear()
    world.clock.advance(minutes=2)
    second = await world.engine()
    assert (await world.finished(second, run.id)).attempt == 2


async def test_an_attempt_that_is_still_to_come_at_a_restart_is_not_left_to_the_next_poll(world: World) -> None:
    first = await world.engine()
    world.host.answers["run"] = InvocationResult(500, "")
    run = await held_back(first, await start(first, retrying(backoff=timedelta(minutes=1))))
    await first.close()
    world.host.answers.clear()
    second = await world.engine(poll_interval=timedelta(hours=1))

    async def while_time_goes_on() -> Run | None:
        world.clock.advance(seconds=5)
        current = await second.runs.get(run.id)
        return current if current.status.terminal else None

    finished = await eventually(while_time_goes_on)
    assert (finished.status, finished.attempt) == (RunStatus.SUCCEEDED, 2)


async def test_a_run_that_waits_can_be_canceled(world: World) -> None:
    engine = await world.engine()
    world.host.answers["run"] = InvocationResult(500, "")
    run = await held_back(engine, await start(engine, retrying(backoff=timedelta(minutes=1))))
    canceled = await engine.runs.cancel(run.id, "enough")
    assert canceled.status is RunStatus.CANCELED
    assert canceled.not_before is None
    world.clock.advance(minutes=2)
    await engine.waiting_room.look_for_later()
    assert len(world.host.calls) == 1


def test_backoff_doubles_up_to_its_limit() -> None:
    retry = Retry(9, timedelta(seconds=2), timedelta(seconds=20))
    assert [retry.delay(attempt).total_seconds() for attempt in (1, 2, 3, 4, 5, 99)] == [2, 4, 8, 16, 20, 20]


@pytest.mark.parametrize(
    ("outcome", "on"),
    [
        (InvocationResult(500, ""), RetryOn.SERVER_ERROR),
        (InvocationResult(429, ""), RetryOn.SERVER_ERROR),
        (InvocationResult(408, ""), RetryOn.SERVER_ERROR),
        (InvocationResult(404, ""), RetryOn.CLIENT_ERROR),
        (InvocationFailed("m", "UNAVAILABLE"), RetryOn.CALL_FAILED),
        (InvocationFailed("m", timed_out=True), RetryOn.TIMEOUT),
        (InvocationFailed("m", "PERMISSION_DENIED"), None),
        (InvocationFailed("m", "NOT_FOUND"), None),
    ],
)
@pytest.mark.parametrize("asked", list(RetryOn))
def test_only_failures_that_were_asked_for_are_retried(outcome: Outcome, on: RetryOn | None, asked: RetryOn) -> None:
    policy = retrying(on=frozenset({asked}))
    pending = Run("r", RunStatus.PENDING, plugin_target(), manual_trigger(), START, policy=policy)
    run = transitions.claimed(pending, "me", START, START, ())
    after = transitions.completed(run, outcome, START)
    assert after.status is (RunStatus.PENDING if asked is on else RunStatus.FAILED)


async def test_an_interrupted_run_is_retried_only_when_that_was_asked_for(world: World) -> None:
    dead = await world.engine()
    gate = world.host.hold("run")
    plain = await start(dead, retrying(on=frozenset({RetryOn.SERVER_ERROR})))
    again = await start(dead, retrying(on=frozenset({RetryOn.INTERRUPTED})))

    async def both() -> bool | None:
        return True if len(world.host.calls) == 2 else None

    await eventually(both)
    await dead.close()
    world.clock.advance(minutes=20)
    gate.set()
    engine = await world.engine()
    finished = await world.finished(engine, again.id)
    assert (finished.status, finished.attempt, finished.stale) == (RunStatus.SUCCEEDED, 2, False)
    failed = await world.finished(engine, plain.id)
    assert (failed.status, failed.status_message) == (RunStatus.FAILED, transitions.INTERRUPTED)


async def test_a_timeout_cancels_the_invocation_and_fails_the_run(world: World) -> None:
    engine = await world.engine()
    world.host.hold("run")
    run = await start(engine, RunPolicy(timeout=timedelta(milliseconds=50)))
    finished = await world.finished(engine, run.id)
    assert (finished.status, finished.status_message) == (RunStatus.FAILED, "workflow run timed out after 0.05 s")
    assert world.host.active == 0


async def test_each_attempt_has_the_whole_timeout(world: World) -> None:
    engine = await world.engine()
    world.host.hold("run")
    policy = RunPolicy(retrying(2).retry, timedelta(milliseconds=50))
    finished = await world.finished(engine, (await start(engine, policy)).id)
    assert (finished.attempt, len(world.host.calls)) == (2, 2)
    assert finished.status_message == "workflow run timed out after 0.05 s (attempt 2 of 2)"


async def test_a_keyed_run_keeps_its_signals_for_the_next_attempt(world: World) -> None:
    engine = await world.engine(start=False)
    run = await start(engine, retrying(2), workflow_key="k")
    await engine.signals.signal(run.id, NewSignal(b"", id="g"))
    world.host.answers["run"] = InvocationResult(500, "")
    engine.start()
    finished = await world.finished(engine, run.id)
    assert [[s.id for s in signals] for _, signals, _ in world.host.calls] == [["g"], ["g"]]
    assert finished.status is RunStatus.FAILED
    assert finished.created_by == NOBODY


async def test_an_attempt_waits_no_longer_than_its_policy_says(world: World) -> None:
    engine = await world.engine()
    world.host.answers["run"] = InvocationResult(503, "busy")
    world.clock.jump(days=400)
    run = await held_back(engine, await start(engine, retrying(backoff=timedelta(seconds=30))))
    world.clock.jump(days=-400)
    world.host.answers.clear()
    await engine.waiting_room.look_for_later()
    waiting = await engine.runs.get(run.id)
    assert waiting.not_before is not None
    assert waiting.not_before - world.clock.now < timedelta(seconds=31)
    world.clock.advance(seconds=31)
    assert (await world.finished(engine, run.id)).status is RunStatus.SUCCEEDED
