"""Which transaction waits for which in our store (contract.md 5.7)."""

from __future__ import annotations

import asyncio

import pytest

from gestalt_host.verification.suites.indexeddb.client import Code, Refused
from gestalt_host.verification.suites.indexeddb.messages import fields
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import Service
from tests.support.waiting import observed_for

READONLY, READWRITE = pb.TRANSACTION_READONLY, pb.TRANSACTION_READWRITE


async def test_writers_of_the_same_store_take_turns_and_others_are_not_held_up(service: Service) -> None:
    store, other = await service.new_store(), await service.new_store()
    await service.put(store, id="n", n=0)
    first = await service.transaction(store)
    await first.put(store, id="n", n=1)
    second = await service.transaction(store)
    await second.send(second.operation("get", pb.ObjectStoreRequest(store=store, id="n")))
    unary = asyncio.ensure_future(service.put(store, id="later"))
    third = await service.transaction(other)
    await third.put(other, id="x")
    assert not (await third.commit()).code
    await service.put(other, id="y")
    assert not unary.done()
    assert not (await first.commit()).code
    answer = await second.receive()
    assert fields(answer.operation.record.record)["n"] == 1
    assert not unary.done(), "a write that came later waits its turn behind the second transaction"
    await second.put(store, id="n", n=2)
    assert not (await second.commit()).code
    await unary
    assert await service.get(store, "n") == {"id": "n", "n": 2}


async def test_schema_changes_wait_for_open_transactions_and_later_ones_wait_behind_them(service: Service) -> None:
    store, doomed = await service.new_store(), await service.new_store()
    open_one = await service.transaction(store)
    await open_one.put(store, id="a")
    deletion = asyncio.ensure_future(service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=doomed)))
    await service.put(doomed, id="still there")
    late = service.opening_transaction()
    await late.send(pb.TransactionClientMessage(begin=pb.BeginTransactionRequest(stores=[doomed], mode=READWRITE)))
    assert not deletion.done()
    assert not (await open_one.commit()).code
    await deletion
    assert (await late.ended())[0] is Code.NOT_FOUND


async def test_the_creation_of_a_store_waits_for_open_transactions_of_any_kind(service: Service) -> None:
    store = await service.new_store()
    reader = await service.transaction(store, mode=READONLY)
    await reader.all(store)
    creation = asyncio.ensure_future(service.new_store())
    await service.put(store, id="a")  # single calls go on
    await observed_for(0.2)
    assert not creation.done()
    assert not (await reader.commit()).code
    assert await service.keys(await creation) == []


@pytest.mark.ours("store")  # how long it waits is the store's own affair
async def test_the_second_writer_gives_up_after_a_while(service: Service) -> None:
    store = await service.new_store()
    holder = await service.transaction(store)
    await holder.put(store, id="a")
    with pytest.raises(Refused) as caught:
        await service.put(store, id="b")
    assert caught.value.code() is Code.ABORTED
    assert "waited" in (caught.value.details() or "")
    assert not (await holder.commit()).code
    assert await service.keys(store) == ["a"]
