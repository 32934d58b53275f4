"""Concurrent read-write transactions have a serial order; the checker itself is tested with planted anomalies."""

from __future__ import annotations

import asyncio
import random

import pytest

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.nightly import at_night
from tests.support.rigs.store import Service
from tests.support.serial_order import Committed, serial_order

CLIENTS = 12
TRANSACTIONS = at_night(200, otherwise=20)


PLANTED = {
    "lost update": [Committed(1, {"x": 0}, {"x"}), Committed(2, {"x": 0}, {"x"})],
    "write skew": [Committed(1, {"x": 0, "y": 0}, {"x"}), Committed(2, {"x": 0, "y": 0}, {"y"})],
    "read skew": [Committed(1, {"x": 0, "y": 0}, {"x", "y"}), Committed(2, {"x": 0, "y": 1}, set())],
    "aborted read": [Committed(1, {"x": 9}, set())],
}


@pytest.mark.parametrize("anomaly", PLANTED)
def test_the_checker_finds_planted_anomalies(anomaly: str) -> None:
    with pytest.raises(ValueError, match=r"an update was lost|was never committed|no serial order"):
        serial_order(PLANTED[anomaly])


def test_the_checker_accepts_a_serial_history() -> None:
    history = [Committed(2, {"x": 1}, {"x"}), Committed(1, {"x": 0, "y": 0}, {"x"}), Committed(3, {"x": 2, "y": 0})]
    assert serial_order(history) == [1, 2, 3]


async def test_concurrent_transactions_have_a_serial_order(service: Service) -> None:
    stores = [await service.new_store() for _ in range(2)]
    keys = [(store, f"k{number}") for store in stores for number in range(3)]
    for store, key in keys:
        await service.put(store, id=key, version=0)
    history: list[Committed] = []
    numbers = iter(range(1, 1_000_000))

    async def client(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(TRANSACTIONS):
            done = Committed(next(numbers))
            chosen = chance.sample(keys, chance.randint(1, 4))
            readonly = chance.random() < 0.25
            transaction = await service.transaction(*{store for store, _ in chosen}, mode=0 if readonly else 1)
            for store, key in chosen:
                answer = await transaction.attempt("get", pb.ObjectStoreRequest(store=store, id=key))
                assert not answer.error.code, answer.error
                done.read[store + key] = answer.record.record.fields["version"].int_value
            if not readonly:
                for store, key in chosen:
                    if chance.random() < 0.6:
                        await transaction.put(store, id=key, version=done.id)
                        done.wrote.add(store + key)
            if chance.random() < 0.15:
                await transaction.abort()
            else:
                assert not (await transaction.commit()).code
                history.append(done)

    await asyncio.gather(*(client(seed) for seed in range(CLIENTS)))
    assert len(history) > CLIENTS * TRANSACTIONS // 2
    order = serial_order(history)
    by_id = {transaction.id: transaction for transaction in history}
    state = {store + key: 0 for store, key in keys}
    for number in order:
        transaction = by_id[number]
        assert transaction.read == {key: state[key] for key in transaction.read}
        state.update(dict.fromkeys(transaction.wrote, number))
    for store, key in keys:
        assert (await service.get(store, key))["version"] == state[store + key]
