"""The batch extension: Apply, GetMany, GetPage (proto/extension/v1/batch.proto)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import Code, Service, bounds, fields, index, record, value

pytestmark = pytest.mark.ours("store")
OK, ALREADY_EXISTS, ABORTED = 0, 6, 10


@pytest.fixture(autouse=True)
async def batch(service: Service) -> None:
    if service.relayed:
        with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
            await service.batch.GetMany(batch_pb2.GetManyRequest(store="none"), timeout=10)
        pytest.skip("a relay serves the contract alone")


def put(store: str, **values: Any) -> batch_pb2.ApplyEntry:
    return batch_pb2.ApplyEntry(store=store, put=record(**values))


def add(store: str, **values: Any) -> batch_pb2.ApplyEntry:
    return batch_pb2.ApplyEntry(store=store, add=record(**values))


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


async def test_entries_run_in_order_each_with_its_outcome(service: Service) -> None:
    store = await service.new_store(index("u", "u", unique=True))
    outcomes = await apply(
        service,
        add(store, id="a", u=1),
        add(store, id="a", u=2),
        put(store, id="b", u=1),
        put(store, id="c", u=3),
        batch_pb2.ApplyEntry(store=store, delete="a"),
        put(store, id="b", u=1),
        batch_pb2.ApplyEntry(store=store, delete="none"),
        batch_pb2.ApplyEntry(store=store, check="b"),
    )
    assert [outcome.code for outcome in outcomes] == [OK, ALREADY_EXISTS, ALREADY_EXISTS, OK, OK, OK, OK, OK]
    assert outcomes[1].message == "already exists"
    assert outcomes[2].message == "unique index conflict"
    assert await service.index_keys(store, "u") == ["b", "c"]


async def test_conditions(service: Service) -> None:
    store, other = await service.new_store(), await service.new_store()
    await service.put(store, id="a", n=1, gone=None)
    await service.put(other, id="x", lease="me")
    cases = [
        (absent(False), True),
        (absent(), False),
        (equals("n", 1), True),
        (equals("n", 1.0), False),
        (equals("n", 2), False),
        (equals("gone", None), True),
        (equals("never", None), True),
        (batch_pb2.ApplyCondition(equals=batch_pb2.FieldEquals(field="never")), True),
        (equals("n", None), False),
        (equals("lease", "me", store=other, id="x"), True),
        (equals("lease", "you", store=other, id="x"), False),
        (absent(store=other, id="none"), True),
        (absent(False, store=other, id="none"), False),
        (equals("n", None, store=other, id="none"), False),
    ]
    for number, (condition, holds) in enumerate(cases):
        (outcome,) = await apply(service, when(put(store, id="a", n=1, gone=None, step=number), condition))
        assert outcome.code == (OK if holds else ABORTED), condition
        assert (await service.get(store, "a")).get("step", -1) == number or not holds
    (outcome,) = await apply(service, when(put(store, id="a"), equals("n", 1), equals("n", 2)))
    assert outcome.code == ABORTED
    (outcome,) = await apply(service, when(batch_pb2.ApplyEntry(store=store, delete="a"), equals("n", 1)))
    assert outcome.code == OK
    assert await service.keys(store) == []


async def test_the_record_that_stood_in_the_way_is_returned_when_asked_for(service: Service) -> None:
    store = await service.new_store()
    await service.put(store, id="a", n=1)
    entries = (
        add(store, id="a"),
        when(put(store, id="a"), equals("n", 2)),
        when(batch_pb2.ApplyEntry(store=store, check="a"), absent()),
        when(put(store, id="b"), absent(store=store, id="a")),
    )
    outcomes = await apply(service, *entries, current=True)
    assert [fields(outcome.current) for outcome in outcomes[:3]] == [{"id": "a", "n": 1}] * 3
    assert not outcomes[3].HasField("current")
    assert not any(outcome.HasField("current") for outcome in await apply(service, *entries))


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


async def test_claims_by_condition_have_one_winner(service: Service) -> None:
    store = await service.new_store()
    await service.put(store, id="run", owner=None)

    async def claim(number: int) -> int:
        (outcome,) = await apply(service, when(put(store, id="run", owner=f"w{number}"), equals("owner", None)))
        return outcome.code

    codes = await asyncio.gather(*(claim(number) for number in range(20)))
    assert sorted(codes) == [OK] + [ABORTED] * 19
    assert (await service.get(store, "run"))["owner"] == f"w{codes.index(OK)}"


async def test_apply_waits_for_a_transaction_on_its_store(service: Service) -> None:
    store = await service.new_store()
    transaction = await service.transaction(store)
    await transaction.put(store, id="a", n=1)
    waiting = asyncio.ensure_future(apply(service, when(put(store, id="a", n=2), equals("n", 1))))
    assert await service.keys(store) == []
    assert not waiting.done()
    assert not (await transaction.commit()).code
    assert [outcome.code for outcome in await waiting] == [OK]


async def test_get_many_answers_those_found_in_the_order_asked(service: Service) -> None:
    store = await service.new_store()
    for number in range(500):
        await apply(service, put(store, id=f"k{number}"))
    ids = [f"k{number}" for number in range(499, -1, -1)]
    answer = await service.batch.GetMany(batch_pb2.GetManyRequest(store=store, ids=["none", *ids, "k7", "k7"]))
    assert [fields(item)["id"] for item in answer.records] == [*ids, "k7", "k7"]
    assert not (await service.batch.GetMany(batch_pb2.GetManyRequest(store=store))).records


async def pages(service: Service, **request: Any) -> list[list[pb.CursorEntry]]:
    found, token = [], b""
    while True:
        answer = await service.batch.GetPage(batch_pb2.GetPageRequest(page_token=token, **request), timeout=30)
        found.append(list(answer.entries))
        token = answer.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("direction", [0, 1, 2, 3])
@pytest.mark.parametrize("limit", [1, 3, 7, 300])
async def test_pages_together_are_what_a_cursor_walks(service: Service, direction: Any, limit: int) -> None:
    store = await service.new_store(index("g", "g", "n"))
    await apply(service, *(put(store, id=f"k{number:02d}", g=number % 3, n=float(number // 9)) for number in range(30)))
    for walk in (
        {},
        {"range": bounds("k03", "k20", lower_open=True)},
        {"index": "g"},
        {"index": "g", "values": [value(1)]},
        {"index": "g", "range": bounds([0, 1], [2, 1]), "keys_only": True},
    ):
        cursor = await service.cursor(store, direction=direction, **walk)
        expected = []
        while (answer := await cursor.next()).WhichOneof("result") == "entry":
            expected.append(answer.entry)
        found = await pages(service, store=store, direction=direction, limit=limit, **walk)
        assert [entry for page in found for entry in page] == expected
        assert all(len(page) <= limit for page in found)
        assert all(found) or not expected


async def test_a_page_is_cut_where_it_would_grow_large(service: Service) -> None:
    store = await service.new_store()
    for number in range(8):
        await service.put(store, id=f"k{number}", v=b"x" * 1_000_000)
    found = await pages(service, store=store)
    assert [entry.primary_key for page in found for entry in page] == [f"k{number}" for number in range(8)]
    assert len(found) >= 2
    assert all(len(page) <= 4 for page in found)


async def test_pages_go_on_behind_deleted_and_inserted_records(service: Service) -> None:
    store = await service.new_store()
    for key in "bdfh":
        await service.put(store, id=key)
    answer = await service.batch.GetPage(batch_pb2.GetPageRequest(store=store, limit=2))
    await service.call("Delete", pb.ObjectStoreRequest(store=store, id="d"))
    await service.put(store, id="c")
    await service.put(store, id="e")
    rest = await service.batch.GetPage(batch_pb2.GetPageRequest(store=store, page_token=answer.next_page_token))
    assert [entry.primary_key for entry in rest.entries] == ["e", "f", "h"]


@pytest.mark.parametrize(
    "bad",
    [
        {"limit": -1},
        {"limit": 10_001},
        {"page_token": b"x"},
        {"page_token": b"\xff\xff\xff\xffab"},
        {"values": [value(1)]},
    ],
)
async def test_bad_pages_are_refused(service: Service, bad: dict[str, Any]) -> None:
    store = await service.new_store()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.batch.GetPage(batch_pb2.GetPageRequest(store=store, **bad))
    assert caught.value.code() is Code.INVALID_ARGUMENT
