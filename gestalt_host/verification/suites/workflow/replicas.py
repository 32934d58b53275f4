"""Several processes of one provider on one database: they share the work and repeat none of it."""

from __future__ import annotations

import asyncio

from gestalt_host.verification.outcomes import require_equal
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.workflow.bench import Bench, workflow_rule
from gestalt_host.verification.suites.workflow.client import SUCCEEDED
from gestalt_sdk.gen.v1 import workflow_pb2 as pb


@workflow_rule("semantics.md 20/fresh-database", "A fresh database is made ready by whichever process comes first")
async def fresh_database(bench: Bench) -> None:
    processes = [await bench.process(configure=False) for _ in range(3)]
    await asyncio.gather(*(process.configure() for process in processes))
    for process in processes:
        await process.start()
    runs = [await process.start_run() for process in processes]
    for run in runs:
        await processes[0].run_in(run.id, SUCCEEDED)
    await processes[1].configure()
    require_equal(runs[0].id, (await processes[1].get_run(runs[0].id)).id, "the run after it was configured again")


@workflow_rule("semantics.md 20/shared-work", "Two processes share the runs and invoke each once")
async def shared_work(bench: Bench) -> None:
    first, second = await bench.process(), await bench.process()
    runs = [await (first if number % 2 else second).start_run() for number in range(60)]
    await second.all_ended(60)
    require_equal(sorted(run.id for run in runs), sorted(bench.host.run_ids()), "the runs that were invoked")


@workflow_rule("semantics.md 20/taken-up", "What a process leaves that has ended is taken up by another")
async def taken_up(bench: Bench) -> None:
    creator = await bench.process(start=False)
    worker = await bench.process()
    run = await creator.start_run()
    await creator.kill()
    await worker.run_in(run.id, SUCCEEDED)


@workflow_rule("semantics.md 19.1/racing", "Of calls that race under one key or id, all get what the fastest made")
async def racing(bench: Bench) -> None:
    processes = [await bench.process(), await bench.process()]
    bench.host.hold()
    runs = await asyncio.gather(*(processes[n % 2].start_run(idempotency_key="i") for n in range(16)))
    require_equal(1, len({run.id for run in runs}), "how many runs one idempotency key makes")
    keyed = await processes[0].start_run(workflow_key="k")
    sent = await asyncio.gather(*(processes[n % 2].signal(keyed.id, idempotency_key="g") for n in range(16)))
    seen = {(answer.signal.id, answer.signal.sequence) for answer in sent}
    require_equal({(sent[0].signal.id, 1)}, seen, "the signals that one idempotency key makes")
    references = await asyncio.gather(*(processes[n % 2].put_reference("ref") for n in range(16)))
    require_equal(1, len({each.created_at.ToNanoseconds() for each in references}), "how many references one id makes")
    await processes[0].upsert_trigger("t", operation="event")
    await asyncio.gather(*(processes[n % 2].publish("e") for n in range(16)))
    events = [run for run in await processes[0].list_runs() if run.trigger.HasField("event")]
    require_equal(1, len(events), "how many runs one event makes for a trigger")


@workflow_rule("semantics.md 19.3/one-row", "Two processes give the signals of a run one row of sequences, without gap")
async def one_row(bench: Bench) -> None:
    processes = [await bench.process(), await bench.process()]
    bench.host.hold()
    run = await processes[0].start_run(workflow_key="k")
    sent = await asyncio.gather(*(processes[n % 2].signal(run.id, f"s{n}") for n in range(40)))
    require_equal(list(range(1, 41)), sorted(answer.signal.sequence for answer in sent), "the sequences")


@workflow_rule("semantics.md 18.7/one-of-many", "A keyed run is invoked by one process at a time, signals in sequence")
async def one_of_many(bench: Bench) -> None:
    processes = [await bench.process(), await bench.process()]
    most = 0

    async def watch(request: pb.InvokeWorkflowOperationRequest) -> None:
        nonlocal most
        most = max(most, bench.host.active["run"])

    bench.host.during = watch
    sent = [await processes[number % 2].signal_or_start("k", f"s{number}") for number in range(30)]
    for run_id in dict.fromkeys(answer.run.id for answer in sent):
        await processes[0].run_in(run_id, SUCCEEDED)
    names = [name for batch in bench.host.batches() for name in batch]
    require_equal([f"s{number}" for number in range(30)], names, "the signals in the order of their delivery")
    require_equal(1, most, "the most invocations at once")


RULES: tuple[Rule, ...] = (fresh_database, shared_work, taken_up, racing, one_row, one_of_many)
