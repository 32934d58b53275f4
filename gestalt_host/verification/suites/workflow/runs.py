"""Runs: what reaches the host, how they end, keys, and cancelling."""

from __future__ import annotations

import grpc

from gestalt_host.verification.outcomes import NotOffered, require, require_equal
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.subject import UNIMPLEMENTED
from gestalt_host.verification.suites.workflow.bench import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    Bench,
    require_refused,
    workflow_rule,
)
from gestalt_host.verification.suites.workflow.client import (
    CANCELED,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    actor,
    struct,
    target,
)
from gestalt_host.verification.waiting import passing

_LONG_CHARS = 128 * 1024
_ROUNDS_S = 1.5
"""Longer than any round of a provider that looks for work every second."""


@workflow_rule("semantics.md 18.4/carried", "What a run was started with reaches the host, and its result comes back")
async def carried(bench: Bench) -> None:
    process = await bench.process()
    alice = actor("user:alice")
    run = await process.start_run(created_by=alice, execution_ref="workflow_run:1")
    require_equal(PENDING, run.status, "the status of a new run")
    require(run.trigger.HasField("manual"), "its trigger to be manual", run.trigger)
    done = await process.run_in(run.id)
    seen = (done.status, done.result_body, done.status_message)
    require_equal((SUCCEEDED, "ok", ""), seen, "status, result_body and status_message")
    times = (done.created_at, done.started_at, done.completed_at)
    order = [moment.ToNanoseconds() for moment in times]
    require(all(order) and order == sorted(order), "created_at, started_at and completed_at in this order", times)
    [request] = bench.host.requests
    require_equal((run.id, "workflow_run:1", alice), (request.run_id, request.execution_ref, request.created_by),
                  "run_id, execution_ref and created_by at the host")  # fmt: skip
    require_equal(target(input=struct()), request.target, "the target at the host")
    require(request.trigger.HasField("manual"), "the trigger at the host to be manual", request.trigger)
    extra = [name for name in ("input", "metadata") if request.HasField(name)]
    require_equal([], extra, "other fields of the request")


@workflow_rule("semantics.md 18.5/statuses", "Below 400 is success; from 400 on a failure that keeps its body")
async def statuses(bench: Bench) -> None:
    process = await bench.process()
    for status in (0, 200, 302, 399, 400, 404, 500, 599):
        bench.host.answers["run"] = (status, "body")
        run = await process.run_in((await process.start_run()).id)
        failed = (FAILED, "body", f"workflow operation returned status {status}")
        expected = failed if status >= 400 else (SUCCEEDED, "body", "")
        seen = (run.status, run.result_body, run.status_message)
        require_equal(expected, seen, f"status, result_body and status_message after {status}")


@workflow_rule("semantics.md 18.5/long-result", "A result of a quarter of a MiB is kept whole, of a failure too")
async def long_result(bench: Bench) -> None:
    process = await bench.process()
    body = "\u00e9" * _LONG_CHARS
    for status in (200, 500):
        bench.host.answers["run"] = (status, body)
        seen = (await process.run_in((await process.start_run()).id)).result_body
        what = f"result_body to be the {len(body)} characters of the answer with status {status}"
        require(seen == body, what, f"{len(seen)} characters")


@workflow_rule(
    "semantics.md 18.5/errors", "An error of the host fails the run with its text, and it is not invoked again"
)
async def errors(bench: Bench) -> None:
    process = await bench.process()
    bench.host.errors["denied"] = (grpc.StatusCode.PERMISSION_DENIED, "no access")
    bench.host.errors["broken"] = (grpc.StatusCode.INTERNAL, "it broke")
    for operation, text in (("denied", "no access"), ("broken", "it broke")):
        run = await process.run_in((await process.start_run(operation)).id)
        require_equal((FAILED, ""), (run.status, run.result_body), "status and result_body")
        require(text in run.status_message, f'status_message to have "{text}"', run.status_message)
    await process.run_in((await process.start_run("other")).id)
    await passing(_ROUNDS_S)
    require_equal(["denied", "broken", "other"], bench.host.operations(), "the operations that were invoked")


@workflow_rule("semantics.md 18.4/no-deadline", "An invocation has no deadline")
async def no_deadline(bench: Bench) -> None:
    process = await bench.process()
    await process.run_in((await process.start_run()).id)
    require_equal([None], bench.host.deadlines, "the seconds that the invocation was given")


@workflow_rule(
    "semantics.md 15.2/not-before-start",
    "Between ConfigureProvider and StartProvider runs are taken, and none is invoked",
)
async def not_before_start(bench: Bench) -> None:
    process = await bench.process(start=False)
    run = await process.start_run()
    await passing(_ROUNDS_S)
    early = bench.host.run_ids()
    status = (await process.get_run(run.id)).status
    if (await process.subject.start()).code is UNIMPLEMENTED:
        raise NotOffered("StartProvider")
    require_equal(([], PENDING), (early, status), "what was invoked, and the run's status, before StartProvider")
    await process.run_in(run.id, SUCCEEDED)


@workflow_rule("semantics.md 19.1/idempotent-start", "An idempotency key of one subject starts one run")
async def idempotent_start(bench: Bench) -> None:
    process = await bench.process()
    alice, bob = actor("user:alice"), actor("user:bob")
    first = await process.start_run(idempotency_key="k", created_by=alice)
    again = await process.start_run("other", idempotency_key="k", created_by=alice, execution_ref="x")
    seen = (again.id, again.target.plugin.operation, again.execution_ref)
    require_equal((first.id, "run", ""), seen, "id, operation and execution_ref of the answer to the second call")
    theirs = await process.start_run(idempotency_key="k", created_by=bob)
    require(theirs.id != first.id, "another subject's key to start another run", theirs.id)
    elsewhere = await process.start_run(idempotency_key="k", created_by=alice, target=target(plugin="other"))
    require(elsewhere.id != first.id, "the key for another plugin to start another run", elsewhere.id)
    done = await process.run_in(first.id)
    later = await process.start_run(idempotency_key="k", created_by=alice)
    require_equal((done.id, done.status), (later.id, later.status), "id and status of the answer after its end")


@workflow_rule(
    "semantics.md 19.1/workflow-key", "A workflow key has one active run, which needs no signal and frees it"
)
async def workflow_key(bench: Bench) -> None:
    process = await bench.process()
    gate = bench.host.hold()
    run = await process.start_run(workflow_key="k")
    text = 'workflow key "k" already has an active run'
    await require_refused(process.start_run(workflow_key="k"), FAILED_PRECONDITION, text)
    gate.set()
    await process.run_in(run.id, SUCCEEDED)
    require((await process.start_run(workflow_key="k")).id != run.id, "another run after its end", run.id)


@workflow_rule(
    "semantics.md 19.5/cancel", "A running run can be cancelled, which cancels the call; one that ended cannot"
)
async def cancel(bench: Bench) -> None:
    process = await bench.process()
    gate = bench.host.hold("hang")
    running = await process.start_run("hang")
    await process.run_in(running.id, RUNNING)
    canceled = await process.cancel_run(running.id, "enough")
    seen = (canceled.status, canceled.status_message)
    require_equal((CANCELED, "enough"), seen, "status and status_message of the answer")
    await bench.host.given_up("hang")
    gate.set()
    done = await process.run_in((await process.start_run()).id)
    require_equal(CANCELED, (await process.get_run(running.id)).status, "the status later on")
    for ended in (done.id, running.id):
        await require_refused(process.cancel_run(ended), FAILED_PRECONDITION)
    require_equal(SUCCEEDED, (await process.get_run(done.id)).status, "the status after the refusal")


@workflow_rule("semantics.md 19.5/cancel-pending", "A run that is cancelled before it is invoked never is")
async def cancel_pending(bench: Bench) -> None:
    process = await bench.process(start=False)
    run = await process.start_run()
    canceled = await process.cancel_run(run.id, "  ")
    seen = (canceled.status, canceled.status_message)
    require_equal((CANCELED, "canceled"), seen, "status and status_message without a reason")
    await process.start()
    other = await process.run_in((await process.start_run("other")).id)
    require_equal([other.id], bench.host.run_ids(), "the runs that were invoked")


@workflow_rule("semantics.md 18.8/lists", "Runs are listed by creation, all of them")
async def lists(bench: Bench) -> None:
    process = await bench.process()
    started = [(await process.start_run()).id for _ in range(30)]
    require_equal(started, [run.id for run in await process.list_runs()], "the ids of the runs")


@workflow_rule(
    "semantics.md 19/run-ids", "GetRun and CancelRun refuse ids that are blank or unknown, however they look"
)
async def run_ids(bench: Bench) -> None:
    process = await bench.process(start=False)
    for call in (process.get_run, process.cancel_run):
        await require_refused(call("nope"), NOT_FOUND, 'workflow run "nope" not found')
        await require_refused(call(" "), INVALID_ARGUMENT, "run_id is required")
    for char in ("x", "é", "%", "\0"):
        await require_refused(process.get_run(char * 5000), NOT_FOUND)


@workflow_rule(
    "semantics.md 15.2/not-configured", "Before ConfigureProvider every call of its service is FAILED_PRECONDITION"
)
async def not_configured(bench: Bench) -> None:
    process = await bench.process(configure=False)
    for call in (process.start_run(), process.get_run("x"), process.list_runs(), process.publish("e")):
        await require_refused(call, FAILED_PRECONDITION)


RULES: tuple[Rule, ...] = (
    not_configured,
    not_before_start,
    carried,
    statuses,
    long_result,
    errors,
    no_deadline,
    idempotent_start,
    workflow_key,
    cancel,
    cancel_pending,
    lists,
    run_ids,
)
