"""The transaction stream, frame by frame (contract.md 5.7)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import Code, Service, Transaction, bounds, fields, index, record, value
from tests.support.waiting import observed_for

READONLY, READWRITE = pb.TRANSACTION_READONLY, pb.TRANSACTION_READWRITE
NOT_FOUND, ALREADY_EXISTS, INVALID, PRECONDITION, ABORTED = 5, 6, 3, 9, 10


async def aborted(transaction: Transaction) -> None:
    """The server aborts by itself, discards what follows, and ends OK when the client closes."""
    answer = await transaction.receive()
    assert answer.WhichOneof("msg") == "abort"
    assert not answer.abort.HasField("error")
    await transaction.send(pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
    await transaction.half_close()
    assert await transaction.receive() is None
    assert (await transaction.ended())[0] is Code.OK


async def test_own_writes_are_seen_inside_and_by_others_after_commit(service: Service) -> None:
    store = await service.new_store(index("g", "g"))
    await service.put(store, id="a", g=1)
    transaction = await service.transaction(store)
    await transaction.put(store, id="b", g=1)
    await transaction.put(store, id="a", g=2)
    assert [row["id"] for row in await transaction.all(store)] == ["a", "b"]
    answer = await transaction.do(index_get_all_keys=pb.IndexQueryRequest(store=store, index="g", values=[value(1)]))
    assert list(answer.keys.keys) == ["b"]
    assert fields((await transaction.do(get=pb.ObjectStoreRequest(store=store, id="a"))).record.record) == {
        "id": "a",
        "g": 2,
    }
    assert await service.get(store, "a") == {"id": "a", "g": 1}
    assert await service.keys(store) == ["a"]
    assert not (await transaction.commit()).code
    assert await transaction.receive() is None
    assert (await transaction.ended())[0] is Code.OK
    assert await service.index_keys(store, "g") == ["b", "a"]


async def test_every_operation_answers_with_its_kind(service: Service) -> None:
    store = await service.new_store(index("g", "g"))
    t = await service.transaction(store, store)
    assert (await t.do(add=pb.RecordRequest(store=store, record=record(id="a", g=1)))).WhichOneof("result") == "empty"
    assert (await t.put(store, id="b", g=1)).WhichOneof("result") == "empty"
    assert (await t.put(store, id="c", g=2)).WhichOneof("result") == "empty"
    assert (await t.do(get_key=pb.ObjectStoreRequest(store=store, id="a"))).key.key == "a"
    assert (
        len((await t.do(get_all=pb.ObjectStoreRangeRequest(store=store, range=bounds(lower="b")))).records.records) == 2
    )
    assert list((await t.do(get_all_keys=pb.ObjectStoreRangeRequest(store=store))).keys.keys) == ["a", "b", "c"]
    assert (await t.do(count=pb.ObjectStoreRangeRequest(store=store))).count.count == 3
    query = pb.IndexQueryRequest(store=store, index="g", values=[value(1)])
    assert fields((await t.do(index_get=query)).record.record)["id"] == "a"
    assert (await t.do(index_get_key=query)).key.key == "a"
    assert len((await t.do(index_get_all=query)).records.records) == 2
    assert (await t.do(index_count=query)).count.count == 2
    assert (await t.do(index_delete=query)).delete.deleted == 2
    assert (await t.do(index_count=query)).WhichOneof("result") == "count"
    assert (await t.do(delete=pb.ObjectStoreRequest(store=store, id="zz"))).WhichOneof("result") == "empty"
    every = pb.ObjectStoreRangeRequest(store=store, range=pb.KeyRange())
    assert (await t.do(delete_range=every)).delete.deleted == 1
    assert (await t.put(store, id="d", g=3)).WhichOneof("result") == "empty"
    assert (await t.do(clear=pb.ObjectStoreNameRequest(store=store))).WhichOneof("result") == "empty"
    assert (await t.do(get_all=pb.ObjectStoreRangeRequest(store=store))).WhichOneof("result") == "records"
    await t.put(store, id="e", g=4)
    assert not (await t.commit()).code
    assert await service.index_keys(store, "g") == ["e"]


FAILURES: list[tuple[str, Any, int, str]] = [
    ("get", pb.ObjectStoreRequest(id="none"), NOT_FOUND, "not found"),
    ("get_key", pb.ObjectStoreRequest(id="none"), NOT_FOUND, "not found"),
    ("add", pb.RecordRequest(record=record(id="a")), ALREADY_EXISTS, "already exists"),
    ("add", pb.RecordRequest(record=record(id="c", u=1)), ALREADY_EXISTS, "unique index conflict"),
    ("put", pb.RecordRequest(record=record(id="c", u=1)), ALREADY_EXISTS, "unique index conflict"),
    ("put", pb.RecordRequest(record=record(id="c", u="own")), ALREADY_EXISTS, "unique index conflict"),
    ("put", pb.RecordRequest(record=record(x=1)), INVALID, "record id"),
    ("index_get", pb.IndexQueryRequest(index="u", values=[value(9)]), NOT_FOUND, "record not found"),
    ("index_get_key", pb.IndexQueryRequest(index="u", values=[value(9)]), NOT_FOUND, "key not found"),
    ("index_count", pb.IndexQueryRequest(index="none"), NOT_FOUND, "index not found: none"),
]


@pytest.mark.parametrize(("kind", "request_", "code", "text"), FAILURES)
async def test_a_failed_operation_rolls_everything_back(
    service: Service, kind: str, request_: Any, code: int, text: str
) -> None:
    store = await service.new_store(index("u", "u", unique=True))
    await service.put(store, id="a", u=1)
    transaction = await service.transaction(store)
    await transaction.put(store, id="own", u="own")
    request = type(request_)()
    request.CopyFrom(request_)
    request.store = store
    answer = await transaction.do(**{kind: request})
    assert answer.error.code == code
    assert text in answer.error.message
    assert not answer.error.details
    await aborted(transaction)
    assert await service.keys(store) == ["a"]


async def test_unique_keys_may_change_hands_inside_a_transaction(service: Service) -> None:
    store = await service.new_store(index("u", "u", unique=True))
    await service.put(store, id="a", u=1)
    await service.put(store, id="b", u=2)
    transaction = await service.transaction(store)
    for row in ({"id": "a", "u": 3}, {"id": "b", "u": 1}, {"id": "a", "u": 2}):
        assert not (await transaction.put(store, **row)).error.code
    assert not (await transaction.commit()).code
    assert await service.index_keys(store, "u") == ["b", "a"]


async def test_a_key_may_be_deleted_and_added_again(service: Service) -> None:
    store = await service.new_store(index("n", "n"))
    await service.put(store, id="a", n=1)
    transaction = await service.transaction(store)
    await transaction.do(delete=pb.ObjectStoreRequest(store=store, id="a"))
    answer = await transaction.do(add=pb.RecordRequest(store=store, record=record(id="a", n=2)))
    assert not answer.error.code
    assert not (await transaction.commit()).code
    assert await service.get(store, "a") == {"id": "a", "n": 2}
    assert await service.index_keys(store, "n") == ["a"]


WRITES = [
    ("add", pb.RecordRequest(store="out of scope")),
    ("put", pb.RecordRequest(store="out of scope")),
    ("delete", pb.ObjectStoreRequest(store="out of scope")),
    ("clear", pb.ObjectStoreNameRequest(store="out of scope")),
    ("delete_range", pb.ObjectStoreRangeRequest(store="out of scope")),
    ("index_delete", pb.IndexQueryRequest(store="out of scope")),
]


@pytest.mark.parametrize(("kind", "request_"), WRITES)
@pytest.mark.parametrize("mode", [0, 7])
async def test_read_only_is_checked_before_the_scope(service: Service, kind: str, request_: Any, mode: int) -> None:
    store = await service.new_store()
    transaction = await service.transaction(store, mode=mode)
    answer = await transaction.do(**{kind: request_})
    assert (answer.error.code, answer.error.message) == (PRECONDITION, "transaction is readonly")
    await aborted(transaction)


async def test_delete_range_without_a_range(service: Service) -> None:
    """A consumer that forgot the range loses nothing: the operation fails, and with it the transaction."""
    store = await service.new_store()
    await service.put(store, id="a")
    t = await service.transaction(store)
    await t.put(store, id="b")
    answer = await t.do(delete_range=pb.ObjectStoreRangeRequest(store=store))
    if not service.needs_range:
        assert answer.delete.deleted == 2
        return
    assert (answer.error.code, answer.error.message) == (3, "key range is required for DeleteRange")
    assert (await t.receive()).WhichOneof("msg") == "abort"
    await t.half_close()
    assert await t.ended() == (Code.OK, "")
    assert await service.keys(store) == ["a"]
    t = await service.transaction(store)  # nothing is locked any more
    await t.put(store, id="c")
    assert not (await t.commit()).code


async def test_scope_and_empty_operations(service: Service) -> None:
    store, other = await service.new_store(), await service.new_store()
    for name in (other, "none"):
        transaction = await service.transaction(store)
        answer = await transaction.do(count=pb.ObjectStoreRangeRequest(store=name))
        assert answer.error.code == INVALID
        assert answer.error.message.startswith("invalid transaction: object store not in scope")
        await aborted(transaction)
    transaction = await service.transaction(store)
    answer = await transaction.do()
    assert answer.error.code == INVALID
    assert "unknown transaction operation" in answer.error.message
    await aborted(transaction)


async def test_begin_is_refused_without_stores_or_with_a_missing_one(service: Service) -> None:
    for begin, status in (
        (pb.BeginTransactionRequest(), Code.INVALID_ARGUMENT),
        (pb.BeginTransactionRequest(stores=["none"]), Code.NOT_FOUND),
    ):
        stream = service.stream("Transaction")
        await stream.send(pb.TransactionClientMessage(begin=begin))
        code, text = await stream.ended()
        assert code is status
        assert code is Code.NOT_FOUND or "invalid transaction" in text


async def test_frames_out_of_place(service: Service) -> None:
    store = await service.new_store()
    begin = pb.TransactionClientMessage(begin=pb.BeginTransactionRequest(stores=[store], mode=READWRITE))
    stream = service.stream("Transaction")
    await stream.send(pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
    assert await stream.ended() == (Code.INVALID_ARGUMENT, "first message must be BeginTransactionRequest")
    for bad in (begin, pb.TransactionClientMessage()):
        transaction = await service.transaction(store)
        await transaction.put(store, id="a")
        await transaction.send(bad)
        code, text = await transaction.ended()
        assert (code, text) == (Code.INVALID_ARGUMENT, "expected transaction operation, commit, or abort")
        assert await service.keys(store) == []


@pytest.mark.parametrize("how", ["abort", "half-close", "cancel"])
async def test_a_transaction_that_does_not_commit_leaves_nothing(service: Service, how: str) -> None:
    store = await service.new_store()
    transaction = await service.transaction(store)
    await transaction.put(store, id="a")
    if how == "abort":
        await transaction.abort()
        assert (await transaction.ended())[0] is Code.OK
    elif how == "half-close":
        await transaction.half_close()
        assert await transaction.receive() is None
        assert (await transaction.ended())[0] is Code.OK
    else:
        transaction.call.cancel()
    await service.put(store, id="b")  # waits for the lock, so the rollback has happened
    assert await service.keys(store) == ["b"]


async def test_frames_sent_ahead_are_answered_in_order(service: Service) -> None:
    store = await service.new_store()
    transaction = await service.transaction(store)
    frames = [
        transaction.operation(put=pb.RecordRequest(store=store, record=record(id=f"k{number}"))) for number in range(50)
    ]
    await transaction.send(*frames, pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
    answers = [await transaction.receive() for _ in range(51)]
    assert [answer.operation.request_id for answer in answers[:-1]] == list(range(1, 51))
    assert answers[-1].WhichOneof("msg") == "commit"
    assert len(await service.keys(store)) == 50


async def test_what_was_answered_before_a_bad_frame_arrives(service: Service) -> None:
    store = await service.new_store()
    stream = service.stream("Transaction")
    await stream.send(
        pb.TransactionClientMessage(begin=pb.BeginTransactionRequest(stores=[store], mode=READWRITE)),
        pb.TransactionClientMessage(
            operation=pb.TransactionOperation(request_id=7, count=pb.ObjectStoreRangeRequest(store=store))
        ),
        pb.TransactionClientMessage(),
    )
    assert (await stream.receive()).WhichOneof("msg") == "begin"
    assert (await stream.receive()).operation.request_id == 7
    assert (await stream.ended())[0] is Code.INVALID_ARGUMENT


async def test_large_answers_to_a_client_that_reads_late(service: Service) -> None:
    store = await service.new_store()
    await service.put(store, id="a", v=b"x" * 1_000_000)
    transaction = await service.transaction(store)
    frames = [transaction.operation(get=pb.ObjectStoreRequest(store=store, id="a")) for _ in range(40)]
    await transaction.send(*frames, pb.TransactionClientMessage(commit=pb.TransactionCommitRequest()))
    for number in range(40):
        assert (await transaction.receive()).operation.request_id == number + 1
    assert (await transaction.receive()).WhichOneof("msg") == "commit"


async def test_read_only_transactions_and_unary_reads_keep_to_one_state_and_wait_for_nobody(service: Service) -> None:
    store = await service.new_store()
    await service.put(store, id="a", n=1)
    writer = await service.transaction(store)
    await writer.put(store, id="a", n=2)
    reader = await service.transaction(store, mode=READONLY)
    assert await reader.all(store) == [{"id": "a", "n": 1}]
    assert await service.get(store, "a") == {"id": "a", "n": 1}
    assert not (await writer.commit()).code
    assert await reader.all(store) == [{"id": "a", "n": 1}]
    assert await service.get(store, "a") == {"id": "a", "n": 2}
    assert not (await reader.commit()).code


async def test_writers_of_the_same_store_take_turns_and_others_are_not_held_up(service: Service) -> None:
    store, other = await service.new_store(), await service.new_store()
    await service.put(store, id="n", n=0)
    first = await service.transaction(store)
    await first.put(store, id="n", n=1)
    second = await service.transaction(store)
    await second.send(second.operation(get=pb.ObjectStoreRequest(store=store, id="n")))
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


async def test_counters_incremented_by_many_lose_no_update(service: Service) -> None:
    store = await service.new_store()
    await service.put(store, id="n", n=0)

    async def increment() -> None:
        for _ in range(5):
            transaction = await service.transaction(store)
            answer = await transaction.do(get=pb.ObjectStoreRequest(store=store, id="n"))
            await transaction.put(store, id="n", n=fields(answer.record.record)["n"] + 1)
            assert not (await transaction.commit()).code

    await asyncio.gather(*(increment() for _ in range(10)))
    assert (await service.get(store, "n"))["n"] == 50


async def test_overlapping_scopes_do_not_deadlock(service: Service) -> None:
    stores = [await service.new_store() for _ in range(3)]

    async def work(number: int) -> None:
        for step in range(5):
            scope = [stores[(number + step) % 3], stores[(number + step + 1) % 3]]
            transaction = await service.transaction(*scope)
            for name in scope:
                assert not (await transaction.put(name, id=f"{number}-{step}")).error.code
            assert not (await transaction.commit()).code

    await asyncio.gather(*(work(number) for number in range(8)))
    assert sum([len(await service.keys(name)) for name in stores]) == 8 * 5 * 2


async def test_schema_changes_wait_for_open_transactions_and_later_ones_wait_behind_them(service: Service) -> None:
    store, doomed = await service.new_store(), await service.new_store()
    open_one = await service.transaction(store)
    await open_one.put(store, id="a")
    deletion = asyncio.ensure_future(service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=doomed)))
    await service.put(doomed, id="still there")
    late = service.stream("Transaction")
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


async def test_an_invalid_time_fails_the_operation(service: Service) -> None:
    store = await service.new_store()
    transaction = await service.transaction(store)
    broken = record(id="a")
    broken.fields["t"].time_value.seconds = 10**12
    answer = await transaction.do(put=pb.RecordRequest(store=store, record=broken))
    assert answer.error.code in (2, 3)
    await aborted(transaction)


@pytest.mark.parametrize("durability", [0, 1, 2, 9])
async def test_durability_hints_are_accepted(service: Service, durability: int) -> None:
    store = await service.new_store()
    transaction = await service.transaction(store, durability=durability)
    await transaction.put(store, id="a")
    assert not (await transaction.commit()).code
    assert await service.keys(store) == ["a"]


async def test_reads_inside_merge_own_writes_in_every_form(service: Service) -> None:
    store = await service.new_store(index("n", "n"))
    for number in range(0, 100, 2):
        await service.put(store, id=f"k{number:02d}", n=number)
    transaction = await service.transaction(store)
    for number in range(1, 100, 2):
        await transaction.put(store, id=f"k{number:02d}", n=number)
    await transaction.do(delete_range=pb.ObjectStoreRangeRequest(store=store, range=bounds("k10", "k89")))
    expected = [f"k{number:02d}" for number in (*range(10), *range(90, 100))]
    answer = await transaction.do(get_all_keys=pb.ObjectStoreRangeRequest(store=store))
    assert list(answer.keys.keys) == expected
    query = pb.IndexQueryRequest(store=store, index="n", range=bounds(lower=5))
    assert list((await transaction.do(index_get_all_keys=query)).keys.keys) == expected[5:]
    assert (await transaction.do(index_get_key=query)).key.key == "k05"
    assert (await transaction.do(count=pb.ObjectStoreRangeRequest(store=store))).count.count == 20
    assert not (await transaction.commit()).code
    assert await service.keys(store) == expected
    assert await service.index_keys(store, "n") == expected


@pytest.mark.ours("store")  # how long it waits is the store's own affair
async def test_the_second_writer_gives_up_after_a_while(service: Service) -> None:
    store = await service.new_store()
    holder = await service.transaction(store)
    await holder.put(store, id="a")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.put(store, id="b")
    assert caught.value.code() is Code.ABORTED
    assert "waited" in (caught.value.details() or "")
    assert not (await holder.commit()).code
    assert await service.keys(store) == ["a"]
