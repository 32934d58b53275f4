"""Traps that a workflow provider falls into, watched through its sockets: real process, real store, scripted host.

All but those marked ``ours`` hold for any provider; ``--workflow-command`` points them at another one.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import IndexedDB
from tests.contract.workflow import conftest, test_budgets, test_recovery, test_runs, test_signals
from tests.contract.workflow.rig import FAILED, PENDING, RUNNING, SUCCEEDED, Rig, Workflow, target
from tests.contract.workflow.test_budgets import QUIET, quiet
from tests.support.waiting import eventually

rig, workflow = conftest.rig, conftest.workflow
WHOLE_PLUGIN: dict[str, Any] = {
    "plugin": {
        "pluginName": "svc",
        "operation": "run",
        "connection": "_plugin",
        "instance": "second one",
        "credentialMode": "none",
        "input": {"n": 1.5, "deep": {"list": [1, None, "x", {"y": True}]}},
    }
}
WHOLE_AGENT: dict[str, Any] = {
    "agent": {
        "providerName": "helper",
        "model": "large",
        "prompt": "do it",
        "messages": [{"role": "user", "text": " as it is ", "metadata": {"a": 1}}],
        "toolRefs": [
            {"plugin": "svc", "operation": "run", "connection": "c", "instance": "i", "title": "t", "description": "d"},
            {"system": "workflow", "operation": "schedules.list"},
        ],
        "responseSchema": {"type": "object"},
        "metadata": {"m": [1, 2]},
        "modelOptions": {"temperature": 0.5},
        "timeoutSeconds": 7,
        "outputDelivery": {
            "target": {"pluginName": "svc", "operation": "post", "connection": "c", "instance": "i", "input": {"k": 1}},
            "inputBindings": [
                {"inputField": "a", "value": {"agentOutput": "text"}},
                {"inputField": "b", "value": {"signalPayload": "x.y"}},
                {"inputField": "c", "value": {"signalMetadata": "z"}},
                {"inputField": "d", "value": {"literal": {"l": [1]}}},
            ],
            "credentialMode": "user",
        },
    }
}


def whole(fields: dict[str, Any]) -> pb.BoundWorkflowTarget:
    return json_format.ParseDict(fields, pb.BoundWorkflowTarget())


async def make_due(rig: Rig, *schedule_ids: str, missed: timedelta = timedelta(minutes=2)) -> None:
    """Set back our own record of when each of these fires next; ours."""
    slot = datetime.now(UTC).replace(second=0, microsecond=0) - missed
    async with IndexedDB.over(rig.store.channel) as db:
        schedules = db.store("wf_schedules")
        for schedule_id in schedule_ids:
            record = await schedules.get(schedule_id)
            await schedules.put({**record, "next_run_at": slot, "due_at": slot})


async def all_ended(workflow: Workflow, count: int) -> list[pb.BoundWorkflowRun]:
    async def probe() -> list[pb.BoundWorkflowRun] | None:
        runs = await workflow.list_runs()
        return runs if len(runs) >= count and all(run.status > RUNNING for run in runs) else None

    return await eventually(probe, within_s=30)


@pytest.mark.ours("workflow")
async def test_trap_01_every_way_into_the_queue_keeps_the_execution_reference(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    await workflow.upsert_schedule("s", execution_ref="by-schedule")
    await make_due(rig, "s")
    await workflow.upsert_trigger("t", execution_ref="by-event")
    await workflow.publish("e")
    await workflow.start_run(execution_ref="by-start")
    request = pb.SignalOrStartWorkflowProviderRunRequest(
        workflow_key="k", target=target(), signal=pb.WorkflowSignal(name="go"), execution_ref="by-signal"
    )
    await workflow.rpc.SignalOrStartRun(request)
    await workflow.process.start()
    await rig.host.invoked(4)
    sent = {request.execution_ref for request in rig.host.requests}
    assert sent == {"by-schedule", "by-event", "by-start", "by-signal"}
    assert {run.execution_ref for run in await workflow.list_runs()} == sent


@pytest.mark.ours("workflow")
@pytest.mark.parametrize("fields", [WHOLE_PLUGIN, WHOLE_AGENT], ids=["plugin", "agent"])
async def test_trap_02_no_field_of_a_target_is_lost_on_any_way(rig: Rig, fields: dict[str, Any]) -> None:
    wanted = whole(fields)
    workflow = await rig.provider(start=False)
    await workflow.upsert_schedule("s", target=wanted)
    await workflow.upsert_trigger("t", target=wanted)
    await workflow.put_reference("ref", target=wanted)
    await make_due(rig, "s")
    await workflow.publish("e")
    start = pb.StartWorkflowProviderRunRequest(target=wanted)
    await workflow.rpc.StartRun(start)
    signalled = pb.SignalOrStartWorkflowProviderRunRequest(
        workflow_key="k", target=wanted, signal=pb.WorkflowSignal(name="go")
    )
    await workflow.rpc.SignalOrStartRun(signalled)
    assert (await workflow.get_schedule("s")).target == wanted
    assert (await workflow.get_reference("ref")).target == wanted
    trigger = await workflow.rpc.GetEventTrigger(pb.GetWorkflowProviderEventTriggerRequest(trigger_id="t"))
    assert trigger.target == wanted
    await workflow.process.start()
    await rig.host.invoked(4)
    assert all(request.target == wanted for request in rig.host.requests)
    assert all(run.target == wanted for run in await workflow.list_runs())


async def test_trap_03_time_zones_need_no_database_of_the_machine(rig: Rig) -> None:
    rig.environ["PYTHONTZPATH"] = ""
    workflow = await rig.provider(start=False)
    made = await workflow.upsert_schedule("s", "0 9 * * *", timezone="Australia/Lord_Howe")
    assert made.timezone == "Australia/Lord_Howe"
    assert made.next_run_at.ToDatetime().hour in (22, 23)


@pytest.mark.ours("workflow")
async def test_trap_07_nothing_is_invoked_between_configure_and_start(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    await workflow.upsert_schedule("s")
    await make_due(rig, "s")
    run = await workflow.start_run()
    await quiet(counting)
    before = counting.count
    await asyncio.sleep(1.5)  # longer than any of its rounds
    assert counting.count == before, "it looks for work"
    assert rig.host.requests == []
    assert (await workflow.get_run(run.id)).status == PENDING
    await workflow.process.start()
    await rig.host.invoked(2)


@pytest.mark.ours("workflow")
async def test_trap_08_a_start_with_more_waiting_than_a_message_holds(rig: Rig) -> None:
    """70 MiB of pending runs: more than the 64 MiB that any message may have."""
    workflow = await rig.provider(start=False)
    large = target(input={"text": "x" * 2**20})
    for _ in range(70):
        await workflow.rpc.StartRun(pb.StartWorkflowProviderRunRequest(target=large))
    await workflow.process.kill()
    await workflow.process.boot()
    await rig.host.invoked(70, within_s=60)


@pytest.mark.ours("workflow")
async def test_trap_09_configure_does_no_work_that_grows_with_what_is_stored(rig: Rig) -> None:
    counting = await rig.count_messages()
    first = await rig.provider(start=False)
    await rig.provider(start=False)
    before = counting.count
    await rig.provider(start=False)
    cost = counting.count - before
    await asyncio.gather(*(first.start_run() for _ in range(300)))
    before = counting.count
    await rig.provider(start=False)
    assert counting.count - before == cost <= 3


@pytest.mark.ours("workflow")
async def test_trap_10_recovery_at_start_delays_neither_start_nor_reads(rig: Rig) -> None:
    """Ours reads claims by page: those answers are held back."""
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    run = await workflow.start_run()
    release = asyncio.Event()

    async def hold_pages(method: str) -> None:
        if method == "GetPage":
            await release.wait()

    counting.answered = hold_pages
    await asyncio.wait_for(workflow.process.start(), 5)
    assert (await workflow.get_run(run.id)).status == PENDING
    await workflow.upsert_schedule("s", "0 0 1 1 *")
    release.set()
    assert (await workflow.run_in(run.id)).status == SUCCEEDED


@pytest.mark.ours("workflow")
async def test_trap_11_a_list_holds_up_no_other_call_and_no_renewal(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(runClaimTTL="1s", runClaimRenewEvery="200ms")
    await workflow.upsert_trigger("t", operation="event")
    await workflow.publish("first")
    gate = rig.host.hold("keyed")
    keyed = (await workflow.signal_or_start("k", operation="keyed")).run
    await rig.host.invoked(2)
    release, held = asyncio.Event(), asyncio.Event()

    async def hold_pages(method: str) -> None:
        if method == "GetPage":
            held.set()
            await release.wait()

    counting.answered = hold_pages
    listing = asyncio.ensure_future(workflow.list_runs())
    await held.wait()
    before = counting.messages["Apply"]
    await workflow.publish("second")
    await workflow.signal(keyed.id)
    assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED

    async def renewed() -> bool | None:
        return True if counting.messages["Apply"] >= before + 12 else None

    await eventually(renewed)  # longer than the lease
    assert (await workflow.get_run(keyed.id)).status == RUNNING
    assert not listing.done()
    release.set()
    gate.set()
    await listing
    assert (await workflow.run_in(keyed.id)).status == SUCCEEDED


async def test_trap_12_two_processes_give_a_run_one_row_of_sequences(rig: Rig) -> None:
    first, second = await rig.provider(), await rig.provider()
    rig.host.hold("run")
    run = await first.start_run(workflow_key="k")
    sent = await asyncio.gather(*((first, second)[n % 2].signal(run.id, f"s{n}") for n in range(40)))
    assert sorted(delivery.signal.sequence for delivery in sent) == list(range(1, 41))


async def test_trap_13_the_counter_of_sequences_never_goes_back(rig: Rig, workflow: Workflow) -> None:
    """Signals keep coming while the run is claimed, completed and claimed again, and explicit sequences among them."""
    run = (await workflow.signal_or_start("k", "s1")).run
    sequences = [1]
    for number in range(60):
        delivery = await workflow.signal_or_start("k", f"n{number}", sequence=1000 if number == 30 else 0)
        if delivery.run.id != run.id:
            run, sequences = delivery.run, []
        sequences.append(delivery.signal.sequence)
        assert sequences == sorted(set(sequences)), "a sequence was given out twice, or the counter went back"
    await all_ended(workflow, 1)
    delivered = [signal.name for request in rig.host.requests for signal in request.signals]
    assert len(delivered) == 61 == len(set(delivered))


@pytest.mark.ours("workflow")
async def test_trap_14_a_new_replica_leaves_what_a_healthy_one_is_running(rig: Rig) -> None:
    first = await rig.provider()
    gate = rig.host.hold("run")
    run = await first.start_run()
    await rig.host.invoked(1)
    counting = await rig.count_messages()
    second = await rig.provider()
    await eventually_looked(counting.messages, 4)
    assert (await second.get_run(run.id)).status == RUNNING
    gate.set()
    assert (await second.run_in(run.id)).status == SUCCEEDED
    assert rig.host.run_ids() == [run.id]


async def eventually_looked(messages: Any, more: int) -> None:
    """Wait until a provider has asked its store that often again."""
    before = messages.total()

    async def looked() -> bool | None:
        return True if messages.total() >= before + more else None

    await eventually(looked)


async def test_trap_16_racing_inserts_of_one_id_all_get_the_one_that_won(rig: Rig) -> None:
    providers = [await rig.provider(), await rig.provider()]
    rig.host.hold("run")
    runs = await asyncio.gather(*(providers[n % 2].start_run(idempotency_key="i") for n in range(16)))
    assert len({run.id for run in runs}) == 1
    keyed = await providers[0].start_run(workflow_key="k")
    signals = await asyncio.gather(*(providers[n % 2].signal(keyed.id, idempotency_key="g") for n in range(16)))
    assert {(delivery.signal.id, delivery.signal.sequence) for delivery in signals} == {(signals[0].signal.id, 1)}
    references = await asyncio.gather(*(providers[n % 2].put_reference("ref") for n in range(16)))
    assert len({reference.created_at.ToNanoseconds() for reference in references}) == 1
    await providers[0].upsert_trigger("t", operation="event")
    await asyncio.gather(*(providers[n % 2].publish("e") for n in range(16)))
    assert len([run for run in await providers[0].list_runs() if run.trigger.HasField("event")]) == 1


async def test_trap_17_a_failed_agent_run_is_not_tried_again(rig: Rig, workflow: Workflow) -> None:
    rig.host.errors["helper"] = (grpc.StatusCode.UNAVAILABLE, "the agent provider went away")
    request = pb.StartWorkflowProviderRunRequest(target=whole(WHOLE_AGENT))
    run = await workflow.run_in((await workflow.rpc.StartRun(request)).id)
    assert run.status == FAILED
    other = await workflow.run_in((await workflow.start_run("other")).id)
    assert rig.host.run_ids() == [run.id, other.id]


@pytest.mark.ours("workflow")
async def test_trap_18_a_new_run_does_not_wait_for_a_sweep(rig: Rig) -> None:
    """Ours sweeps and looks for work by page: those answers are held back."""
    counting = await rig.count_messages()
    workflow = await rig.provider()
    await workflow.run_in((await workflow.start_run()).id)
    release, held = asyncio.Event(), asyncio.Event()

    async def hold_pages(method: str) -> None:
        if method == "GetPage":
            held.set()
            await release.wait()

    counting.answered = hold_pages
    await held.wait()
    assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED
    release.set()


@pytest.mark.ours("workflow")
async def test_trap_20_a_list_is_not_one_query_a_run(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False)
    await asyncio.gather(*(workflow.start_run(execution_ref=f"r{n}") for n in range(500)))
    await asyncio.gather(*(workflow.put_reference(f"r{n}") for n in range(500)))
    before = counting.count
    assert len(await workflow.list_runs()) == 500
    listed = await workflow.rpc.ListExecutionReferences(
        pb.ListWorkflowExecutionReferencesRequest(subject_id="user:alice")
    )
    assert len(listed.references) == 500
    assert counting.count - before <= 2 * (1 + 500 // 256)


async def test_trap_21_a_fresh_database_is_made_ready_by_whoever_comes_first(rig: Rig) -> None:
    started = await asyncio.gather(*(rig.provider() for _ in range(3)))
    runs = [await one.start_run() for one in started]
    assert [(await started[0].run_in(run.id)).status for run in runs] == [SUCCEEDED] * 3
    await started[1].process.configure()
    assert (await started[1].get_run(runs[0].id)).id == runs[0].id


async def test_trap_28_an_invocation_has_no_deadline(rig: Rig, workflow: Workflow) -> None:
    await workflow.run_in((await workflow.start_run()).id)
    request = pb.StartWorkflowProviderRunRequest(target=whole(WHOLE_AGENT))
    await workflow.run_in((await workflow.rpc.StartRun(request)).id)
    assert rig.host.deadlines == [None, None]


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 2 *", ", * * * *", "* * , * *"])
async def test_trap_a_an_impossible_cron_is_refused_and_nothing_loops(rig: Rig, cron: str) -> None:
    workflow = await rig.provider()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.upsert_schedule("s", cron)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith("invalid cron: ")
    assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED


@pytest.mark.parametrize("cron", ["TZ=UTC", "CRON_TZ=UTC", "TZ=", "TZ=UTC 0 0 * * *", "@", "@every", ""])
async def test_trap_b_a_zone_inside_a_cron_is_refused_and_crashes_nothing(rig: Rig, cron: str) -> None:
    workflow = await rig.provider(start=False)
    pid = workflow.process.pid
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.upsert_schedule("s", cron)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await workflow.start_run()).id
    assert workflow.process.pid == pid


async def test_trap_m_a_signal_for_a_key_of_somebody_else_reaches_neither_run_nor_owner(
    rig: Rig,
    workflow: Workflow,
) -> None:
    rig.host.hold("run")
    alice, bob = (pb.WorkflowActor(subject_id=f"user:{name}") for name in ("alice", "bob"))
    hers = await workflow.signal_or_start("order-42", "hers", created_by=alice)
    his = await workflow.signal_or_start("order-42", "his", created_by=bob)
    assert his.started_run
    assert his.run.id != hers.run.id
    assert his.signal.sequence == 1
    await rig.host.invoked(2)
    by_run = {request.run_id: [signal.name for signal in request.signals] for request in rig.host.requests}
    assert by_run == {hers.run.id: ["hers"], his.run.id: ["his"]}


@pytest.mark.ours("workflow")
async def test_trap_o_no_signal_is_stranded_by_a_kill_behind_the_claim(rig: Rig) -> None:
    """Killed when the claim with its batch is committed and the invocation has not begun."""
    counting = await rig.count_messages()
    workflow = await rig.provider(start=False, **QUIET)
    first = await workflow.signal_or_start("k", "lost?", idempotency_key="g")
    claimed = asyncio.Event()

    async def stop_at_the_claim(method: str) -> None:
        if method == "Apply" and not claimed.is_set():
            claimed.set()
            await asyncio.Event().wait()

    counting.answered = stop_at_the_claim
    await workflow.process.start()
    await claimed.wait()
    counting.answered = None
    await workflow.process.kill()
    await workflow.process.boot()
    # Whether it was invoked is not known to the next process: it ends, and its key and the signal's are free again.
    ended = await workflow.run_in(first.run.id)
    assert ended.status in (FAILED, SUCCEEDED)
    again = await workflow.signal_or_start("k", "lost?", idempotency_key="g")
    assert again.started_run == (ended.status == FAILED)
    await workflow.run_in(again.run.id)
    assert [signal.name for request in rig.host.requests for signal in request.signals] == ["lost?"]


@pytest.mark.ours("workflow")
async def test_trap_p_an_outage_of_the_store_is_met_with_patience_by_all_workers_together(rig: Rig) -> None:
    counting = await rig.count_messages()
    workflow = await rig.provider(workerCount=64)
    await workflow.run_in((await workflow.start_run()).id)
    logged = len(workflow.process.log.read_text())
    await rig.store.kill()
    before = counting.count
    await asyncio.sleep(6)
    lines = workflow.process.log.read_text()[logged:].splitlines()
    failures = [line for line in lines if re.search(r"failed|not renewed", line)]
    assert counting.count - before <= 120, "it hammers the store"
    assert len(failures) <= 20, "\n".join(failures)
    await rig.store.boot(start=False)

    async def accepted() -> pb.BoundWorkflowRun | None:
        try:
            return await workflow.start_run()
        except grpc.aio.AioRpcError:
            return None

    assert (await workflow.run_in((await eventually(accepted)).id)).status == SUCCEEDED


async def test_trap_06_and_q_a_signal_is_never_stored_on_a_run_that_just_ended(
    rig: Rig,
    workflow: Workflow,
) -> None:
    """Signals sent while their run completes: each is delivered, or refused because the run had ended."""
    accepted: list[str] = []
    for number in range(40):
        gate = rig.host.gates["run"] = asyncio.Event()
        run = await workflow.start_run(workflow_key=f"k{number}")
        await workflow.run_in(run.id, RUNNING)
        sending = [asyncio.ensure_future(workflow.signal(run.id, f"s{number}.{n}")) for n in range(4)]
        gate.set()
        for n, answer in enumerate(await asyncio.gather(*sending, return_exceptions=True)):
            if isinstance(answer, grpc.aio.AioRpcError):
                assert answer.code() is grpc.StatusCode.FAILED_PRECONDITION, answer
            else:
                assert not isinstance(answer, BaseException)
                accepted.append(f"s{number}.{n}")
        assert (await workflow.run_in(run.id)).status == SUCCEEDED, "an enqueue undid the completion"
    delivered = [signal.name for request in rig.host.requests for signal in request.signals]
    assert sorted(delivered) == sorted(accepted)


# Run by tests that stand elsewhere

test_trap_r_no_run_costs_more_for_the_history_before_it = pytest.mark.ours("workflow")(
    test_budgets.test_a_run_costs_the_same_whatever_the_history
)
test_trap_22_work_that_completes_while_closing_is_recorded = (
    test_recovery.test_sigterm_lets_running_invocations_finish_and_records_them
)
test_trap_n_a_keyed_start_runs_without_a_signal = test_runs.test_a_keyed_run_needs_no_signal_and_frees_its_key
test_trap_f_idempotency_keys_are_scoped_by_subject = test_runs.test_idempotency_is_scoped_by_owner_and_subject
test_trap_18_priority_comes_from_what_is_stored = test_runs.test_priorities_are_kept_when_one_worker_has_the_choice
test_trap_n_a_signal_that_would_never_be_delivered_is_refused = test_signals.test_a_signal_to_an_unkeyed_run_is_refused
test_trap_f_workflow_keys_are_scoped_by_subject = test_signals.test_workflow_keys_are_separate_for_each_subject
