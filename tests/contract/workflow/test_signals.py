"""Signals (semantics.md 18.3, 18.5, 19.2 to 19.4; decision 8)."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.workflow import FAILED, RUNNING, SUCCEEDED, Rig, Workflow, actor, all_ended
from tests.support.waiting import taking


async def test_thirty_signals_are_delivered_as_25_and_5_in_order_and_the_last_result_stays(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    first = await workflow.signal_or_start("k", "s1")
    assert first.started_run
    assert first.workflow_key == "k"
    assert first.signal.sequence == 1
    for number in range(2, 31):
        delivery = await workflow.signal_or_start("k", f"s{number}")
        assert (delivery.started_run, delivery.run.id, delivery.signal.sequence) == (False, first.run.id, number)
    await workflow.process.start()
    done = await workflow.run_in(first.run.id)
    assert done.status == SUCCEEDED
    batches = [[signal.name for signal in request.signals] for request in rig.host.requests]
    assert [len(batch) for batch in batches] == [25, 5]
    assert [name for batch in batches for name in batch] == [f"s{number}" for number in range(1, 31)]


async def test_a_signal_during_the_run_brings_it_back_and_none_is_lost(rig: Rig, workflow: Workflow) -> None:
    gate = rig.host.hold("run")
    run = await workflow.start_run(workflow_key="k")
    await workflow.run_in(run.id, RUNNING)
    delivery = await workflow.signal(run.id, "later")
    assert delivery.run.status == RUNNING
    assert delivery.signal.sequence == 1
    assert not delivery.started_run
    gate.set()
    assert (await workflow.run_in(run.id)).status == SUCCEEDED
    assert [[s.name for s in request.signals] for request in rig.host.requests] == [[], ["later"]]


async def test_a_signal_right_after_a_keyed_start_is_never_lost_or_refused(rig: Rig, workflow: Workflow) -> None:
    rig.host.hold("run")  # the run cannot end before its signals came
    for number in range(20):
        run = await workflow.start_run(workflow_key=f"k{number}")
        deliveries = await asyncio.gather(*(workflow.signal(run.id, f"s{i}") for i in range(3)))
        assert sorted(delivery.signal.sequence for delivery in deliveries) == [1, 2, 3]
        await workflow.cancel_run(run.id)


@pytest.mark.trap("n")
async def test_a_signal_to_an_unkeyed_run_is_refused(rig: Rig, workflow: Workflow) -> None:
    rig.host.hold("run")
    run = await workflow.start_run()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.signal(run.id)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_signal_to_an_ended_run_is_refused_also_with_a_known_key(workflow: Workflow) -> None:
    delivery = await workflow.signal_or_start("k", idempotency_key="i")
    await workflow.run_in(delivery.run.id)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.signal(delivery.run.id, idempotency_key="i")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (
        refused.value.details()
        == f'workflow run "{delivery.run.id}" has succeeded; only pending and running runs take signals'
    )


async def test_a_repeated_idempotency_key_gives_the_stored_signal(rig: Rig, workflow: Workflow) -> None:
    rig.host.hold("run")
    first = await workflow.signal_or_start("k", idempotency_key="i", created_by=actor("user:alice"))
    again = await workflow.signal_or_start("k", "other", idempotency_key="i", created_by=actor("user:alice"))
    assert again.signal == first.signal
    assert again.started_run
    direct = await workflow.signal(first.run.id, idempotency_key="i")
    assert direct.signal.id == first.signal.id
    # Another signaller with the same key makes a signal of its own.
    other = await workflow.signal(first.run.id, idempotency_key="i", created_by=actor("user:bob"))
    assert other.signal.id != first.signal.id
    assert other.signal.sequence == 2


async def test_a_finished_runs_signal_key_still_answers_with_that_run(workflow: Workflow) -> None:
    first = await workflow.signal_or_start("k", idempotency_key="i")
    await workflow.run_in(first.run.id)
    again = await workflow.signal_or_start("k", idempotency_key="i")
    assert again.run.id == first.run.id
    assert again.run.status == SUCCEEDED
    assert again.signal.id == first.signal.id


async def test_a_signal_id_belongs_to_one_run(rig: Rig, workflow: Workflow) -> None:
    rig.host.hold("run")
    first = await workflow.signal_or_start("k", id="sig")
    again = await workflow.signal(first.run.id, "other", id="sig")
    assert again.signal.name == "go"
    assert again.signal.sequence == 1
    assert again.started_run
    other = await workflow.start_run(workflow_key="k2")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.signal(other.id, id="sig")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == 'workflow signal "sig" belongs to a different run'


async def test_explicit_sequences_are_kept_and_may_not_repeat(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    first = await workflow.signal_or_start("k", "a", sequence=10)
    assert first.signal.sequence == 10
    assert (await workflow.signal(first.run.id, "b")).signal.sequence == 11
    assert (await workflow.signal(first.run.id, "c", sequence=-1)).signal.sequence == -1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.signal(first.run.id, "d", sequence=10, id="twice")
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert refused.value.details() == 'workflow signal "twice" already exists'
    await workflow.process.start()
    await workflow.run_in(first.run.id)
    assert [signal.name for signal in rig.host.requests[0].signals] == ["c", "a", "b"]


@pytest.mark.trap("f")
async def test_workflow_keys_are_separate_for_each_subject(rig: Rig, workflow: Workflow) -> None:
    rig.host.hold("run")
    mine = await workflow.signal_or_start("k", created_by=actor("user:alice"))
    theirs = await workflow.signal_or_start("k", created_by=actor("user:bob"))
    assert theirs.started_run
    assert theirs.run.id != mine.run.id


async def test_a_failed_run_frees_its_key_and_fails_its_waiting_signals(rig: Rig, workflow: Workflow) -> None:
    gate = rig.host.hold("bad")
    rig.host.answers["bad"] = (500, "")
    first = await workflow.signal_or_start("k", "one", operation="bad")
    await workflow.run_in(first.run.id, RUNNING)
    await workflow.signal(first.run.id, "two")
    gate.set()
    assert (await workflow.run_in(first.run.id)).status == FAILED
    second = await workflow.signal_or_start("k", "three", operation="bad")
    assert second.started_run
    assert second.run.id != first.run.id
    assert second.signal.sequence == 1
    await workflow.run_in(second.run.id)
    assert [s.name for s in rig.host.requests[-1].signals] == ["three"]


async def test_one_keyed_run_is_never_invoked_twice_at_once(rig: Rig) -> None:
    workflow = await rig.provider(workerCount=8)
    overlapping = 0

    async def watch(request: object) -> None:
        nonlocal overlapping
        overlapping = max(overlapping, rig.host.active["run"])
        await taking(0.005)

    rig.host.during = watch
    run = (await workflow.signal_or_start("k", "s0")).run
    runs = {run.id}
    for number in range(1, 40):
        runs.add((await workflow.signal_or_start("k", f"s{number}")).run.id)
    for run_id in runs:
        await workflow.run_in(run_id)
    delivered = [signal.name for request in rig.host.requests for signal in request.signals]
    assert delivered == [f"s{number}" for number in range(40)]
    assert overlapping == 1


async def test_signals_race_starts_and_ends_over_processes_and_none_is_lost(rig: Rig) -> None:
    """Many clients, three processes: each accepted signal is delivered once, in a sequence without gap."""
    processes = [await rig.provider(workerCount=4) for _ in range(3)]
    accepted: dict[tuple[str, int], str] = {}
    known: dict[str, str] = {}

    async def client(number: int) -> None:
        for turn in range(25):
            workflow, key, name = processes[(number + turn) % 3], f"k{turn % 3}", f"{number}.{turn}"
            try:
                if turn % 5 == 4:
                    known[key] = (await workflow.start_run(workflow_key=key)).id
                    # It may have ended by then, but the signal is never refused for any other reason.
                    delivery = await workflow.signal(known[key], name)
                elif turn % 2 and key in known:
                    delivery = await workflow.signal(known[key], name)
                else:
                    delivery = await workflow.signal_or_start(key, name)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, error.details()
                assert "already has an active run" in error.details() or "has succeeded" in error.details()
                continue
            known[key] = delivery.run.id
            assert (delivery.run.id, delivery.signal.sequence) not in accepted
            accepted[delivery.run.id, delivery.signal.sequence] = name

    await asyncio.gather(*(client(number) for number in range(10)))
    for run_id in {run_id for run_id, _ in accepted}:
        assert (await processes[0].run_in(run_id)).status == SUCCEEDED
    delivered = [(r.run_id, s.sequence, s.name) for r in rig.host.requests for s in r.signals]
    assert sorted(delivered) == sorted((run_id, number, name) for (run_id, number), name in accepted.items())
    for run_id in {run_id for run_id, _ in accepted}:
        numbers = [number for run, number, _ in delivered if run == run_id]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.trap(12)
async def test_two_processes_give_a_run_one_row_of_sequences(rig: Rig) -> None:
    first, second = await rig.provider(), await rig.provider()
    rig.host.hold("run")
    run = await first.start_run(workflow_key="k")
    sent = await asyncio.gather(*((first, second)[n % 2].signal(run.id, f"s{n}") for n in range(40)))
    assert sorted(delivery.signal.sequence for delivery in sent) == list(range(1, 41))


@pytest.mark.trap(13)
async def test_the_counter_of_sequences_never_goes_back(rig: Rig, workflow: Workflow) -> None:
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


@pytest.mark.trap("m")
async def test_a_signal_for_a_key_of_somebody_else_reaches_neither_run_nor_owner(
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


@pytest.mark.trap(6, "q")
async def test_a_signal_is_never_stored_on_a_run_that_just_ended(
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
