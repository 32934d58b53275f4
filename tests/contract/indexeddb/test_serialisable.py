"""Concurrent read-write transactions have a serial order; the checker itself is tested with planted anomalies."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

import pytest

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.contract.indexeddb.rig import Service, fields
from tests.support.nightly import at_night

CLIENTS = 12
TRANSACTIONS = at_night(200, otherwise=20)


@dataclass
class Committed:
    """One committed transaction: versions by key, a version being its writer's id. What it wrote it read before."""

    id: int
    read: dict[str, int] = field(default_factory=dict)
    wrote: set[str] = field(default_factory=set)


def serial_order(history: list[Committed]) -> list[int]:
    """Ids in an order in which running one by one reads the same; ``ValueError`` when there is none.

    Every writer read the version that it replaced, so the versions of a key form a chain, and each reader comes after
    the writer of what it read and before the writer of the next version.
    """
    next_writer: dict[tuple[str, int], int] = {}
    for transaction in history:
        for key in transaction.wrote:
            replaced = (key, transaction.read[key])
            if replaced in next_writer:
                raise ValueError(f"{key}: version {replaced[1]} was replaced twice: an update was lost")
            next_writer[replaced] = transaction.id
    before: dict[int, set[int]] = defaultdict(set)
    ids = {transaction.id for transaction in history}
    for transaction in history:
        before[transaction.id] |= set()
        for key, version in transaction.read.items():
            if version in ids:
                before[transaction.id].add(version)
            elif version:
                raise ValueError(f"{key}: version {version} was never committed")
            replacer = next_writer.get((key, version))
            if replacer is not None and replacer != transaction.id:
                before[replacer].add(transaction.id)
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise ValueError(f"no serial order: {error.args[1]}") from None


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
                answer = await transaction.do(get=pb.ObjectStoreRequest(store=store, id=key))
                assert not answer.error.code, answer.error
                done.read[store + key] = fields(answer.record.record)["version"]
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
