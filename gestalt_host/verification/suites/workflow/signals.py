"""Signals: batches, sequences, keys, and what becomes of them when their run ends."""

from __future__ import annotations

import asyncio

from gestalt_host.verification.outcomes import require, require_equal
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.workflow.bench import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    Bench,
    CallFailed,
    require_refused,
    workflow_rule,
)
from gestalt_host.verification.suites.workflow.client import FAILED, RUNNING, SUCCEEDED, actor
from gestalt_host.verification.waiting import passing
from gestalt_sdk.gen.v1 import workflow_pb2 as pb

_OPERATION_S = 0.005
"""How long an operation takes during which others might be begun."""


@workflow_rule(
    "semantics.md 18.3/batches", "Thirty signals are delivered as 25 and 5, in order, and the last result stays"
)
async def batches(bench: Bench) -> None:
    process = await bench.process(start=False)
    first = await process.signal_or_start("k", "s1")
    seen = (first.started_run, first.workflow_key, first.signal.sequence)
    require_equal((True, "k", 1), seen, "started_run, workflow_key and sequence of the first signal")
    for number in range(2, 31):
        sent = await process.signal_or_start("k", f"s{number}")
        found = (sent.started_run, sent.run.id, sent.signal.sequence)
        require_equal((False, first.run.id, number), found, "started_run, run and sequence of a further one")

    async def name_the_batch(request: pb.InvokeWorkflowOperationRequest) -> None:
        bench.host.answers["run"] = (200, f"batch of {len(request.signals)}")

    bench.host.during = name_the_batch
    await process.start()
    done = await process.run_in(first.run.id, SUCCEEDED)
    require_equal([25, 5], [len(batch) for batch in bench.host.batches()], "how many signals each invocation had")
    names = [name for batch in bench.host.batches() for name in batch]
    require_equal([f"s{number}" for number in range(1, 31)], names, "the signals in the order of their delivery")
    require_equal("batch of 5", done.result_body, "the result")


@workflow_rule("semantics.md 19.2/during-the-run", "A signal that comes during an invocation brings another one")
async def during_the_run(bench: Bench) -> None:
    process = await bench.process()
    gate = bench.host.hold()
    run = await process.start_run(workflow_key="k")
    await process.run_in(run.id, RUNNING)
    await bench.host.invoked(1)
    sent = await process.signal(run.id, "later")
    seen = (sent.run.status, sent.signal.sequence, sent.started_run)
    require_equal((RUNNING, 1, False), seen, "status, sequence and started_run of the answer")
    gate.set()
    await process.run_in(run.id, SUCCEEDED)
    require_equal([[], ["later"]], bench.host.batches(), "the signals of each invocation")


@workflow_rule(
    "semantics.md 19.3/after-a-start", "Signals right after a start are neither lost nor refused, and count from 1"
)
async def after_a_start(bench: Bench) -> None:
    process = await bench.process()
    bench.host.hold()  # the run cannot end before its signals came
    for number in range(20):
        run = await process.start_run(workflow_key=f"k{number}")
        sent = await asyncio.gather(*(process.signal(run.id, f"s{index}") for index in range(3)))
        require_equal([1, 2, 3], sorted(answer.signal.sequence for answer in sent), "the sequences of three signals")
        await process.cancel_run(run.id)


@workflow_rule("semantics.md 19.2/refused", "A run without workflow key, and one that has ended, take no signals")
async def refused(bench: Bench) -> None:
    process = await bench.process()
    bench.host.hold("hang")
    unkeyed = await process.start_run("hang")
    await require_refused(process.signal(unkeyed.id), FAILED_PRECONDITION)
    sent = await process.signal_or_start("k", idempotency_key="i")
    await process.run_in(sent.run.id)
    await require_refused(process.signal(sent.run.id), FAILED_PRECONDITION)
    await require_refused(process.signal(sent.run.id, idempotency_key="i"), FAILED_PRECONDITION)
    await require_refused(process.signal("nope"), NOT_FOUND, 'workflow run "nope" not found')


@workflow_rule("semantics.md 19.2/required", "A signal needs a name, SignalOrStartRun a key, SignalRun a run")
async def required(bench: Bench) -> None:
    process = await bench.process()
    for blank in ("", "  "):
        await require_refused(process.signal_or_start("k", blank), INVALID_ARGUMENT, "signal.name is required")
        await require_refused(process.signal_or_start(blank), INVALID_ARGUMENT, "workflow_key is required")
        await require_refused(process.signal(blank), INVALID_ARGUMENT, "run_id is required")
    require_equal([], await process.list_runs(), "the runs after refusals")


@workflow_rule("semantics.md 19.2/idempotent", "An idempotency key of one signaller makes one signal")
async def idempotent(bench: Bench) -> None:
    process = await bench.process()
    bench.host.hold()
    alice = actor("user:alice")
    first = await process.signal_or_start("k", idempotency_key="i", created_by=alice)
    again = await process.signal_or_start("k", "other", idempotency_key="i", created_by=alice)
    require_equal((first.signal, True), (again.signal, again.started_run), "signal and started_run of the second call")
    direct = await process.signal(first.run.id, idempotency_key="i")
    require_equal(first.signal.id, direct.signal.id, "the signal that SignalRun answers under the same key")
    other = await process.signal(first.run.id, idempotency_key="i", created_by=actor("user:bob"))
    require(other.signal.id != first.signal.id, "another signaller's key to make another signal", other.signal.id)
    require_equal(2, other.signal.sequence, "its sequence")


@workflow_rule("semantics.md 19.4/after-its-end", "The key of a signal whose run has succeeded starts nothing")
async def after_its_end(bench: Bench) -> None:
    process = await bench.process()
    first = await process.signal_or_start("k", idempotency_key="i")
    await process.run_in(first.run.id, SUCCEEDED)
    again = await process.signal_or_start("k", idempotency_key="i")
    seen = (again.run.id, again.run.status, again.signal.id)
    require_equal((first.run.id, SUCCEEDED, first.signal.id), seen, "run, status and signal of the answer")


@workflow_rule("semantics.md 19.3/ids", "The id of a signal belongs to one run")
async def ids(bench: Bench) -> None:
    process = await bench.process()
    bench.host.hold()
    first = await process.signal_or_start("k", id="sig")
    again = await process.signal(first.run.id, "other", id="sig")
    seen = (again.signal.name, again.signal.sequence, again.started_run)
    require_equal(("go", 1, True), seen, "name, sequence and started_run of the answer")
    other = await process.start_run(workflow_key="k2")
    text = 'workflow signal "sig" belongs to a different run'
    await require_refused(process.signal(other.id, id="sig"), FAILED_PRECONDITION, text)


@workflow_rule("semantics.md 19.3/sequences", "A sequence that is given is kept, may not repeat, and moves the counter")
async def sequences(bench: Bench) -> None:
    process = await bench.process(start=False)
    first = await process.signal_or_start("k", "a", sequence=10)
    require_equal(10, first.signal.sequence, "the sequence that was given")
    require_equal(11, (await process.signal(first.run.id, "b")).signal.sequence, "the next sequence")
    require_equal(-1, (await process.signal(first.run.id, "c", sequence=-1)).signal.sequence, "one below")
    text = 'workflow signal "twice" already exists'
    await require_refused(process.signal(first.run.id, "d", sequence=10, id="twice"), ALREADY_EXISTS, text)
    await process.start()
    await process.run_in(first.run.id)
    require_equal(["c", "a", "b"], bench.host.batches()[0], "the signals by sequence")


@workflow_rule("semantics.md 19.3/counter", "The counter of sequences never goes back while runs are claimed and end")
async def counter(bench: Bench) -> None:
    process = await bench.process()
    run = (await process.signal_or_start("k", "s1")).run
    given = [1]
    for number in range(60):
        sent = await process.signal_or_start("k", f"n{number}", sequence=1000 if number == 30 else 0)
        if sent.run.id != run.id:
            run, given = sent.run, []
        given.append(sent.signal.sequence)
        require(given == sorted(set(given)), "sequences that grow", given)
    await process.all_ended(1)
    names = [name for batch in bench.host.batches() for name in batch]
    require_equal(sorted(["s1", *(f"n{number}" for number in range(60))]), sorted(names), "the signals delivered")


@workflow_rule("semantics.md 19.4/keys-of-subjects", "The workflow key of another subject is another key")
async def keys_of_subjects(bench: Bench) -> None:
    process = await bench.process()
    bench.host.hold()
    hers = await process.signal_or_start("order-42", "hers", created_by=actor("user:alice"))
    his = await process.signal_or_start("order-42", "his", created_by=actor("user:bob"))
    require(his.run.id != hers.run.id, "a run for each", his.run.id)
    require_equal((True, 1), (his.started_run, his.signal.sequence), "started_run and sequence of the second subject's")
    await bench.host.invoked(2)
    seen = {request.run_id: [signal.name for signal in request.signals] for request in bench.host.requests}
    require_equal({hers.run.id: ["hers"], his.run.id: ["his"]}, seen, "the signals of each run")


@workflow_rule("semantics.md 18.5/failed-run", "A run that fails frees its key, and its waiting signals fail with it")
async def failed_run(bench: Bench) -> None:
    process = await bench.process()
    gate = bench.host.hold("bad")
    bench.host.answers["bad"] = (500, "")
    first = await process.signal_or_start("k", "one", operation="bad")
    await process.run_in(first.run.id, RUNNING)
    await process.signal(first.run.id, "two")
    gate.set()
    await process.run_in(first.run.id, FAILED)
    second = await process.signal_or_start("k", "three", operation="bad")
    require_equal(
        (True, 1), (second.started_run, second.signal.sequence), "started_run and sequence of the next signal"
    )
    require(second.run.id != first.run.id, "another run", second.run.id)
    await process.run_in(second.run.id)
    require_equal(["three"], bench.host.batches()[-1], "its signals")


@workflow_rule("semantics.md 18.7/one-at-a-time", "A keyed run is never invoked twice at once, and no signal is lost")
async def one_at_a_time(bench: Bench) -> None:
    process = await bench.process()
    most = 0

    async def watch(request: pb.InvokeWorkflowOperationRequest) -> None:
        nonlocal most
        most = max(most, bench.host.active["run"])
        await passing(_OPERATION_S)

    bench.host.during = watch
    runs = [(await process.signal_or_start("k", f"s{number}")).run.id for number in range(40)]
    for run_id in dict.fromkeys(runs):
        await process.run_in(run_id)
    names = [name for batch in bench.host.batches() for name in batch]
    require_equal([f"s{number}" for number in range(40)], names, "the signals in the order of their delivery")
    require_equal(1, most, "the most invocations at once")


@workflow_rule(
    "semantics.md 19.3/at-the-end", "A signal at the end of its run is delivered, or refused because it has ended"
)
async def at_the_end(bench: Bench) -> None:
    process = await bench.process()
    accepted: list[str] = []
    for number in range(30):
        gate = bench.host.gates["run"] = asyncio.Event()
        run = await process.start_run(workflow_key=f"k{number}")
        await process.run_in(run.id, RUNNING)
        sending = [asyncio.ensure_future(process.signal(run.id, f"s{number}.{index}")) for index in range(4)]
        gate.set()
        for index, answer in enumerate(await asyncio.gather(*sending, return_exceptions=True)):
            if isinstance(answer, CallFailed):
                require_equal(FAILED_PRECONDITION, answer.answer.code, "the code of a refusal")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                accepted.append(f"s{number}.{index}")
        await process.run_in(run.id, SUCCEEDED)
    names = [name for batch in bench.host.batches() for name in batch]
    require_equal(sorted(accepted), sorted(names), "the signals that were delivered, of those that were accepted")


RULES: tuple[Rule, ...] = (
    batches,
    during_the_run,
    after_a_start,
    refused,
    required,
    idempotent,
    after_its_end,
    ids,
    sequences,
    counter,
    keys_of_subjects,
    failed_run,
    one_at_a_time,
    at_the_end,
)
