"""A provider that is killed or told to end: nothing acknowledged is lost, nothing is invoked twice."""

from __future__ import annotations

import asyncio
import signal

from gestalt_host.verification.outcomes import require, require_equal
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.workflow.bench import INTERRUPTED, Bench, workflow_rule
from gestalt_host.verification.suites.workflow.client import FAILED, PENDING, SUCCEEDED, Schedules, Triggers
from gestalt_sdk.gen.v1 import workflow_pb2 as pb


@workflow_rule("semantics.md 21/kept", "What was acknowledged is there after SIGKILL")
async def kept(bench: Bench) -> None:
    process = await bench.process(start=False)
    schedules, triggers = Schedules(process), Triggers(process)
    await schedules.upsert("s")
    await schedules.pause("s")
    await triggers.upsert("t")
    await process.put_reference("r")
    await process.publish("e", "a.b")
    await process.signal_or_start("k", "one")
    await process.start_run(idempotency_key="i")
    await process.cancel_run((await process.start_run()).id)

    async def everything() -> list[object]:
        references = await process.list_references()
        return [*await schedules.list(), *await triggers.list(), *references, *await process.list_runs()]

    before = await everything()
    require_equal(7, len(before), "how many objects and runs there are")
    await process.kill()
    await process.restart(start=False)
    for expected, seen in zip(before, await everything(), strict=True):
        require_equal(expected, seen, "what is stored")
    await process.start()
    await bench.host.invoked(3)
    await process.all_ended(4)
    require_equal(3, len(bench.host.requests), "how many invocations there were")
    require_equal([["one"]], [batch for batch in bench.host.batches() if batch], "the signals that were delivered")


@workflow_rule(
    "semantics.md 18.6/interrupted",
    "A run whose provider is killed during its operation fails at the next start, never repeated",
)
async def interrupted(bench: Bench) -> None:
    process = await bench.process()
    gate = bench.host.hold()
    run = await process.start_run()
    await bench.host.invoked(1)
    await process.kill()
    gate.set()
    await process.restart()
    done = await process.run_in(run.id)
    require_equal((FAILED, INTERRUPTED), (done.status, done.status_message), "status and status_message")
    other = await process.run_in((await process.start_run("other")).id)
    require_equal([run.id, other.id], bench.host.run_ids(), "the runs that were invoked")


@workflow_rule("semantics.md 18.6/result-unknown", "A run whose result could not be recorded is not invoked again")
async def result_unknown(bench: Bench) -> None:
    process = await bench.process()

    async def kill_the_caller(request: pb.InvokeWorkflowOperationRequest) -> None:
        process.subject.signal(signal.SIGKILL)

    bench.host.during = kill_the_caller
    run = await process.start_run()
    await bench.host.invoked(1)
    bench.host.during = None
    await process.subject.ended_within(process.subject.patience.alive_s)
    await process.restart()
    done = await process.run_in(run.id)
    require(done.status in (FAILED, SUCCEEDED), "the run to have failed or succeeded", done)
    await process.run_in((await process.start_run("other")).id)
    require_equal(1, bench.host.run_ids().count(run.id), "how often it was invoked")


@workflow_rule("semantics.md 18.6/keyed", "A keyed run that was interrupted frees its key and the keys of its signals")
async def keyed(bench: Bench) -> None:
    process = await bench.process()
    gate = bench.host.hold()
    first = await process.signal_or_start("k", idempotency_key="i", id="sig")
    await bench.host.invoked(1)
    await process.kill()
    gate.set()
    await process.restart()
    second = await process.signal_or_start("k", idempotency_key="i", id="sig")
    require_equal(True, second.started_run, "started_run of the same signal")
    require(second.run.id != first.run.id, "another run", second.run.id)
    require(second.signal.id != "sig", "another id of the signal", second.signal.id)
    old = await process.get_run(first.run.id)
    require_equal((FAILED, INTERRUPTED), (old.status, old.status_message), "status and status_message of the first")
    await process.run_in(second.run.id, SUCCEEDED)


@workflow_rule(
    "semantics.md 15.2/drain",
    "After SIGTERM it answers, begins nothing, and records what its operations answer in time",
)
async def drain(bench: Bench) -> None:
    process = await bench.process()
    gate = bench.host.hold()
    run = await process.start_run()
    await bench.host.invoked(1)
    ending = asyncio.ensure_future(process.subject.ended_within(process.subject.patience.alive_s))
    process.subject.signal(signal.SIGTERM)
    waiting = await process.start_run("waiting")
    await process.put_reference("r")
    require(not ending.done(), "it to wait for its operation", "it has ended")
    gate.set()
    status = await ending
    require(status in (0, -signal.SIGTERM), "it to end by SIGTERM", f"exit status {status}")
    await process.restart(start=False)
    require_equal(SUCCEEDED, (await process.get_run(run.id)).status, "the status of the run that was under way")
    require_equal(PENDING, (await process.get_run(waiting.id)).status, "the status of one that came after SIGTERM")
    require_equal([run.id], bench.host.run_ids(), "the runs that were invoked")


RULES: tuple[Rule, ...] = (kept, interrupted, result_unknown, keyed, drain)
