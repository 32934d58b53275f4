"""The batch extension, where our store does more than every one has to: texts, waiting, the size of pages."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from gestalt_host.verification.suites.indexeddb.client import Code
from gestalt_host.verification.suites.indexeddb.messages import index, record, value
from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import Service

pytestmark = pytest.mark.ours("store")

OK, ALREADY_EXISTS, ABORTED = 0, 6, 10


@pytest.fixture(autouse=True)
def batch(service: Service) -> None:
    if service.relayed:
        pytest.skip("a relay serves the contract alone: test_rules.py")


def put(store: str, **values: Any) -> batch_pb2.ApplyEntry:
    return batch_pb2.ApplyEntry(store=store, put=record(**values))


def when(
    entry: batch_pb2.ApplyEntry, *conditions: batch_pb2.ApplyCondition, required: bool = False
) -> batch_pb2.ApplyEntry:
    entry.conditions.extend(conditions)
    entry.required = required
    return entry


def absent(is_absent: bool = True, **other: Any) -> batch_pb2.ApplyCondition:
    return batch_pb2.ApplyCondition(absent=is_absent, **other)


def equals(field: str, native: Any, **other: Any) -> batch_pb2.ApplyCondition:
    return batch_pb2.ApplyCondition(equals=batch_pb2.FieldEquals(field=field, value=value(native)), **other)


async def apply(
    service: Service, *entries: batch_pb2.ApplyEntry, current: bool = False
) -> list[batch_pb2.ApplyOutcome]:
    request = batch_pb2.ApplyRequest(entries=entries, return_current=current)
    return list((await service.batch.Apply(request, timeout=30)).outcomes)


async def test_a_required_entry_that_fails_undoes_everything(service: Service) -> None:
    store = await service.new_store(index("n", "n"))
    await service.put(store, id="a", n=1)
    outcomes = await apply(
        service,
        put(store, id="a", n=2),
        put(store, id="b", n=2),
        when(batch_pb2.ApplyEntry(store=store, check="a"), equals("n", 1), required=True),
        put(store, id="c", n=3),
    )
    assert [outcome.code for outcome in outcomes] == [ABORTED] * 4
    assert "another value" in outcomes[2].message
    assert "required entry 2" in outcomes[0].message
    assert await service.index_keys(store, "n") == ["a"]
    assert await service.get(store, "a") == {"id": "a", "n": 1}
    outcomes = await apply(
        service,
        when(batch_pb2.ApplyEntry(store=store, check="a"), equals("n", 1), required=True),
        put(store, id="b", n=2),
    )
    assert [outcome.code for outcome in outcomes] == [OK, OK]


async def test_nothing_is_written_when_an_entry_cannot_be_understood(service: Service) -> None:
    store = await service.new_store()
    broken = put(store, id="b")
    broken.put.fields["t"].time_value.seconds = 10**12
    cases = [
        (broken, Code.INVALID_ARGUMENT, "entry 1"),
        (put(store, x=1), Code.INVALID_ARGUMENT, "record id"),
        (put("none", id="b"), Code.NOT_FOUND, "object store not found: none"),
        (batch_pb2.ApplyEntry(store=store), Code.INVALID_ARGUMENT, "an operation is required"),
        (when(put(store, id="b"), batch_pb2.ApplyCondition()), Code.INVALID_ARGUMENT, "needs a test"),
        (when(put(store, id="b"), absent(id="b")), Code.INVALID_ARGUMENT, "both store and id"),
        (when(put(store, id="b"), absent(store="none", id="b")), Code.NOT_FOUND, "none"),
    ]
    for entry, code, text in cases:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await apply(service, put(store, id="a"), entry)
        assert caught.value.code() is code
        assert text in (caught.value.details() or "")
    assert await service.keys(store) == []
    assert await apply(service) == []


async def test_apply_waits_for_a_transaction_on_its_store(service: Service) -> None:
    store = await service.new_store()
    transaction = await service.transaction(store)
    await transaction.put(store, id="a", n=1)
    waiting = asyncio.ensure_future(apply(service, when(put(store, id="a", n=2), equals("n", 1))))
    assert await service.keys(store) == []
    assert not waiting.done()
    assert not (await transaction.commit()).code
    assert [outcome.code for outcome in await waiting] == [OK]


async def pages(service: Service, **request: Any) -> list[list[pb.CursorEntry]]:
    found, token = [], b""
    while True:
        answer = await service.batch.GetPage(batch_pb2.GetPageRequest(page_token=token, **request), timeout=30)
        found.append(list(answer.entries))
        token = answer.next_page_token
        if not token:
            return found


async def test_a_page_is_cut_where_it_would_grow_large(service: Service) -> None:
    store = await service.new_store()
    for number in range(8):
        await service.put(store, id=f"k{number}", v=b"x" * 1_000_000)
    found = await pages(service, store=store)
    assert [entry.primary_key for page in found for entry in page] == [f"k{number}" for number in range(8)]
    assert len(found) >= 2
    assert all(len(page) <= 4 for page in found)
