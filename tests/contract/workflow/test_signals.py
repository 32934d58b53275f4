"""Signals (semantics.md 18.3, 18.5, 19.2 to 19.4; decision 8)."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.support.rigs.workflow import SUCCEEDED, Rig, Workflow


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
