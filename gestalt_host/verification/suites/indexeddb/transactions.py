"""The transaction stream, frame by frame (contract.md 5.7)."""

from __future__ import annotations

import asyncio

from google.protobuf.message import Message

from gestalt_host.verification.outcomes import require, require_equal
from gestalt_host.verification.suites.indexeddb.client import READONLY, READWRITE, Code, StoreClient, fill, query
from gestalt_host.verification.suites.indexeddb.messages import bounds, fields, index, record
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

UNKNOWN_MODE = 7
SENT_AHEAD = 50
LARGE_BYTES = 1_000_000
LARGE_ANSWERS = 40
OUT_OF_SCOPE = "out of scope"
COMMIT = pb.TransactionClientMessage(commit=pb.TransactionCommitRequest())


@store_rule("contract.md 5.7/visibility", "A transaction sees its own writes; others see them when it has committed")
async def visibility(store: StoreClient) -> None:
    name = await store.new_store(index("g", "g"))
    await store.put(name, id="a", g=1)
    transaction = await store.transaction(name)
    await transaction.put(name, id="b", g=1)
    await transaction.put(name, id="a", g=2)
    own = [{"id": "a", "g": 2}, {"id": "b", "g": 1}]
    require_equal(own, await transaction.all(name), "the records inside")
    answer = await transaction.do("index_get_all_keys", query(name, "g", 1))
    require_equal(["b"], list(answer.keys.keys), "the index inside")
    require_equal(own[0], await transaction.get(name, "a"), "a record inside")
    require_equal([{"id": "a", "g": 1}], await store.rows(name), "the records outside, before the commit")
    require_equal(["a"], await store.index_keys(name, "g"), "the index outside, before the commit")
    await transaction.committed()
    require_equal(own, await store.rows(name), "the records when it has committed")
    require_equal(["b", "a"], await store.index_keys(name, "g"), "the index when it has committed")


@store_rule("contract.md 5.7/results", "Every operation answers with its member, and a store may be listed twice")
async def results(store: StoreClient) -> None:
    name = await store.new_store(index("g", "g"))
    transaction = await store.transaction(name, name)
    every = pb.ObjectStoreRangeRequest(store=name)
    one = pb.ObjectStoreRequest(store=name, id="a")
    asked = query(name, "g", 1)

    async def require_result(kind: str, request: Message, member: str, expected: object = None) -> None:
        answer = await transaction.do(kind, request)
        require_equal(member, answer.WhichOneof("result"), f"the member in which {kind} is answered")
        seen: object = None
        if member == "record":
            seen = fields(answer.record.record)["id"]
        elif member == "records":
            seen = [fields(found)["id"] for found in answer.records.records]
        elif member == "key":
            seen = answer.key.key
        elif member == "keys":
            seen = list(answer.keys.keys)
        elif member == "count":
            seen = answer.count.count
        elif member == "delete":
            seen = answer.delete.deleted
        require_equal(expected, seen, f"the answer to {kind}")

    await require_result("add", pb.RecordRequest(store=name, record=record(id="a", g=1)), "empty")
    for key, group in (("b", 1), ("c", 2)):
        await require_result("put", pb.RecordRequest(store=name, record=record(id=key, g=group)), "empty")
    await require_result("get", one, "record", "a")
    await require_result("get_key", one, "key", "a")
    some = pb.ObjectStoreRangeRequest(store=name, range=bounds(lower="b"))
    await require_result("get_all", some, "records", ["b", "c"])
    await require_result("get_all_keys", every, "keys", ["a", "b", "c"])
    await require_result("count", every, "count", 3)
    await require_result("index_get", asked, "record", "a")
    await require_result("index_get_key", asked, "key", "a")
    await require_result("index_get_all", asked, "records", ["a", "b"])
    await require_result("index_get_all_keys", asked, "keys", ["a", "b"])
    await require_result("index_count", asked, "count", 2)
    await require_result("index_delete", asked, "delete", 2)
    await require_result("index_count", asked, "count", 0)
    await require_result("delete", pb.ObjectStoreRequest(store=name, id="zz"), "empty")
    everything = pb.ObjectStoreRangeRequest(store=name, range=pb.KeyRange())
    await require_result("delete_range", everything, "delete", 1)
    await require_result("put", pb.RecordRequest(store=name, record=record(id="d", g=3)), "empty")
    await require_result("clear", pb.ObjectStoreNameRequest(store=name), "empty")
    await require_result("get_all", every, "records", [])
    await transaction.put(name, id="e", g=4)
    await transaction.committed()
    require_equal(["e"], await store.index_keys(name, "g"), "the index when it has committed")


@store_rule(
    "contract.md 5.7/failed-operation", "A failed operation is answered, aborts the transaction and undoes all of it"
)
async def failed_operation(store: StoreClient) -> None:
    name = await store.new_store(index("u", "u", unique=True))
    await store.put(name, id="a", u=1)
    absent = pb.ObjectStoreRequest(store=name, id="none")

    def written(**row: object) -> pb.RecordRequest:
        return pb.RecordRequest(store=name, record=record(**row))

    failures: tuple[tuple[str, Message, Code, str], ...] = (
        ("get", absent, Code.NOT_FOUND, "not found"),
        ("get_key", absent, Code.NOT_FOUND, "not found"),
        ("add", written(id="a"), Code.ALREADY_EXISTS, "already exists"),
        ("add", written(id="c", u=1), Code.ALREADY_EXISTS, "unique index conflict"),
        ("put", written(id="c", u=1), Code.ALREADY_EXISTS, "unique index conflict"),
        ("put", written(id="c", u="own"), Code.ALREADY_EXISTS, "unique index conflict"),
        ("put", written(x=1), Code.INVALID_ARGUMENT, "record id"),
        ("index_get", query(name, "u", 9), Code.NOT_FOUND, "record not found"),
        ("index_get_key", query(name, "u", 9), Code.NOT_FOUND, "key not found"),
        ("index_count", query(name, "none"), Code.NOT_FOUND, "index not found: none"),
        ("", pb.ObjectStoreRequest(), Code.INVALID_ARGUMENT, "unknown transaction operation"),
    )
    for kind, request, code, text in failures:
        transaction = await store.transaction(name)
        await transaction.put(name, id="own", u="own")
        await transaction.require_failed(code, text, kind, request if kind else None)
        require_equal(["a"], await store.keys(name), f"the keys behind a failed {kind or 'operation without kind'}")


@store_rule("contract.md 5.7/merged-reads", "Reads inside merge what was there with what was written, in every form")
async def merged_reads(store: StoreClient) -> None:
    name = await store.new_store(index("n", "n"))
    await fill(store, name, [{"id": f"k{number:02d}", "n": number} for number in range(0, 100, 2)])
    transaction = await store.transaction(name)
    for number in range(1, 100, 2):
        await transaction.put(name, id=f"k{number:02d}", n=number)
    await transaction.do("delete_range", pb.ObjectStoreRangeRequest(store=name, range=bounds("k10", "k89")))
    expected = [f"k{number:02d}" for number in (*range(10), *range(90, 100))]
    require_equal(expected, await transaction.keys(name), "the keys inside")
    asked = query(name, "n", key_range=bounds(lower=5))
    require_equal(expected[5:], list((await transaction.do("index_get_all_keys", asked)).keys.keys), "the index inside")
    require_equal("k05", (await transaction.do("index_get_key", asked)).key.key, "the first key of the index")
    counted = await transaction.do("count", pb.ObjectStoreRangeRequest(store=name))
    require_equal(20, counted.count.count, "the count inside")
    await transaction.committed()
    require_equal(expected, await store.keys(name), "the keys when it has committed")
    require_equal(expected, await store.index_keys(name, "n"), "the index when it has committed")


@store_rule(
    "contract.md 5.7/changes-of-hands", "Unique keys may change hands, and a deleted key be added again, inside"
)
async def changes_of_hands(store: StoreClient) -> None:
    name = await store.new_store(index("u", "u", unique=True))
    await store.put(name, id="a", u=1)
    await store.put(name, id="b", u=2)
    transaction = await store.transaction(name)
    for key, unique in (("a", 3), ("b", 1), ("a", 2)):
        await transaction.put(name, id=key, u=unique)
    await transaction.committed()
    require_equal(["b", "a"], await store.index_keys(name, "u"), "the unique index when the keys changed hands")
    transaction = await store.transaction(name)
    await transaction.do("delete", pb.ObjectStoreRequest(store=name, id="a"))
    await transaction.do("add", pb.RecordRequest(store=name, record=record(id="a", u=9)))
    await transaction.committed()
    require_equal({"id": "a", "u": 9}, await store.get(name, "a"), "the record that was deleted and added")
    require_equal(["b", "a"], await store.index_keys(name, "u"), "the unique index afterwards")


@store_rule("contract.md 5.7/read-only", "A write in a read-only transaction is refused, before its scope is looked at")
async def read_only(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="a")
    writes: tuple[tuple[str, Message], ...] = (
        ("add", pb.RecordRequest(store=OUT_OF_SCOPE)),
        ("put", pb.RecordRequest(store=OUT_OF_SCOPE)),
        ("delete", pb.ObjectStoreRequest(store=OUT_OF_SCOPE)),
        ("clear", pb.ObjectStoreNameRequest(store=OUT_OF_SCOPE)),
        ("delete_range", pb.ObjectStoreRangeRequest(store=OUT_OF_SCOPE)),
        ("index_delete", pb.IndexQueryRequest(store=OUT_OF_SCOPE)),
    )
    for mode in (READONLY, UNKNOWN_MODE):
        for kind, request in writes:
            transaction = await store.transaction(name, mode=mode)
            await transaction.require_failed(Code.FAILED_PRECONDITION, "transaction is readonly", kind, request)
        transaction = await store.transaction(name, mode=mode)
        request = pb.RecordRequest(store=name, record=record(id="b"))
        await transaction.require_failed(Code.FAILED_PRECONDITION, "transaction is readonly", "put", request)
    require_equal(["a"], await store.keys(name), "the keys afterwards")


@store_rule("contract.md 5.7/scope", "An operation on a store that was not named at the beginning fails")
async def scope(store: StoreClient) -> None:
    name, other = await store.new_store(), await store.new_store()
    for outside in (other, "none"):
        transaction = await store.transaction(name)
        request = pb.ObjectStoreRangeRequest(store=outside)
        text = "invalid transaction: object store not in scope"
        await transaction.require_failed(Code.INVALID_ARGUMENT, text, "count", request)


@store_rule("contract.md 5.7/begin", "A transaction without stores, or on one that does not exist, is refused")
async def begin(store: StoreClient) -> None:
    for request, code, text in (
        (pb.BeginTransactionRequest(), Code.INVALID_ARGUMENT, "invalid transaction"),
        (pb.BeginTransactionRequest(stores=["none"]), Code.NOT_FOUND, ""),
    ):
        transaction = store.opening_transaction()
        await transaction.send(pb.TransactionClientMessage(begin=request))
        await transaction.require_refused(code, text)


@store_rule(
    "contract.md 5.7/frames", "Frames out of place end the stream, undo its writes, and what was answered arrives"
)
async def frames(store: StoreClient) -> None:
    name = await store.new_store()
    opening = pb.TransactionClientMessage(begin=pb.BeginTransactionRequest(stores=[name], mode=READWRITE))
    transaction = store.opening_transaction()
    await transaction.send(COMMIT)
    await transaction.require_refused(Code.INVALID_ARGUMENT, "first message must be BeginTransactionRequest")
    for bad in (opening, pb.TransactionClientMessage()):
        transaction = await store.transaction(name)
        await transaction.put(name, id="a")
        await transaction.send(bad)
        text = "expected transaction operation, commit, or abort"
        await transaction.require_refused(Code.INVALID_ARGUMENT, text)
        require_equal([], await store.keys(name), "the keys afterwards")
    transaction = store.opening_transaction()
    counting = transaction.operation("count", pb.ObjectStoreRangeRequest(store=name))
    await transaction.send(opening, counting, pb.TransactionClientMessage())
    for expected in ("begin", "operation"):
        require_equal(expected, (await transaction.receive()).WhichOneof("msg"), "the answer before the bad frame")
    await transaction.require_refused(Code.INVALID_ARGUMENT)


@store_rule(
    "contract.md 5.7/not-committed", "A transaction that is aborted, left or lost leaves nothing, and holds nothing up"
)
async def not_committed(store: StoreClient) -> None:
    name = await store.new_store()
    for how in ("abort", "half-close", "cancel"):
        transaction = await store.transaction(name)
        await transaction.put(name, id="a")
        if how == "abort":
            await transaction.abort()
            await transaction.require_end()
        elif how == "half-close":
            await transaction.half_close()
            await transaction.require_end()
        else:
            transaction.call.cancel()
        await store.put(name, id="b")  # waits for the transaction's end
        require_equal(["b"], await store.keys(name), f"the keys behind {how}")
        await store.clear(name)


@store_rule("contract.md 5.7/sent-ahead", "Frames that are sent ahead are answered in order")
async def sent_ahead(store: StoreClient) -> None:
    name = await store.new_store()
    transaction = await store.transaction(name)
    frames = [
        transaction.operation("put", pb.RecordRequest(store=name, record=record(id=f"k{number:02}")))
        for number in range(SENT_AHEAD)
    ]
    await transaction.send(*frames, COMMIT)
    seen = [(await transaction.receive()).operation.request_id for _ in frames]
    require_equal(list(range(1, SENT_AHEAD + 1)), seen, "the numbers of the answers")
    require_equal("commit", (await transaction.receive()).WhichOneof("msg"), "the last answer")
    require_equal(SENT_AHEAD, len(await store.keys(name)), "the number of records")


@store_rule("contract.md 5.7/late-reader", "A client that reads its large answers late gets all of them")
async def late_reader(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="a", v=b"x" * LARGE_BYTES)
    transaction = await store.transaction(name)
    asked = pb.ObjectStoreRequest(store=name, id="a")
    await transaction.send(*(transaction.operation("get", asked) for _ in range(LARGE_ANSWERS)), COMMIT)
    for number in range(LARGE_ANSWERS):
        answer = (await transaction.receive()).operation
        require_equal(number + 1, answer.request_id, "the number of the answer")
        require_equal(LARGE_BYTES, len(answer.record.record.fields["v"].bytes_value), "the size of the value")
    require_equal("commit", (await transaction.receive()).WhichOneof("msg"), "the last answer")


@store_rule(
    "contract.md 5.7/snapshot", "Read-only transactions keep to one state, and they and plain reads wait for nobody"
)
async def snapshot(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="a", n=1)
    writer = await store.transaction(name)
    await writer.put(name, id="a", n=2)
    reader = await store.transaction(name, mode=READONLY)
    before, after = {"id": "a", "n": 1}, {"id": "a", "n": 2}
    require_equal([before], await reader.all(name), "what a read-only transaction sees while another one writes")
    require_equal(before, await store.get(name, "a"), "what a plain read sees while a transaction writes")
    await writer.committed()
    require_equal([before], await reader.all(name), "what the read-only transaction sees when the other has committed")
    require_equal(after, await store.get(name, "a"), "what a plain read sees then")
    await reader.committed()


@store_rule("contract.md 5.7/durability", "Hints of durability are taken, also ones that nobody knows")
async def durability(store: StoreClient) -> None:
    name = await store.new_store()
    for hint in (0, 1, 2, 9):
        transaction = await store.transaction(name, durability=hint)
        await transaction.put(name, id=f"k{hint}")
        await transaction.committed()
    require_equal(["k0", "k1", "k2", "k9"], await store.keys(name), "the keys")


@store_rule(
    "contract.md 5.7/delete-range", "DeleteRange without a range deletes all, or is refused where a consumer is served"
)
async def delete_range(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="a")
    transaction = await store.transaction(name)
    await transaction.put(name, id="b")
    request = pb.ObjectStoreRangeRequest(store=name)
    if not store.needs_range:
        answer = await transaction.do("delete_range", request)
        require_equal(2, answer.delete.deleted, "what was deleted")
        return
    text = "key range is required for DeleteRange"
    await transaction.require_failed(Code.INVALID_ARGUMENT, text, "delete_range", request)
    require_equal(["a"], await store.keys(name), "the keys afterwards")
    transaction = await store.transaction(name)  # nothing is locked any more
    await transaction.put(name, id="c")
    await transaction.committed()


@store_rule("contract.md 5.7/many-open", "Many transactions and cursors at once are served or refused, and calls go on")
async def many_open(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="a")
    opening = pb.TransactionClientMessage(begin=pb.BeginTransactionRequest(stores=[name]))
    readers = [store.opening_transaction() for _ in range(40)]
    await asyncio.gather(*(reader.send(opening) for reader in readers))
    cursors = [store.opening_cursor() for _ in range(40)]
    walk = pb.CursorClientMessage(open=pb.OpenCursorRequest(store=name))
    await asyncio.gather(*(cursor.send(walk) for cursor in cursors))
    await store.put(name, id="b")
    require_equal(["a", "b"], await store.keys(name), "the keys while the streams are open")
    await asyncio.gather(*(reader.half_close() for reader in readers), *(cursor.half_close() for cursor in cursors))
    ends = await asyncio.gather(*(reader.ended() for reader in readers), *(cursor.ended() for cursor in cursors))
    refusals = {code.name for code, _ in ends if code is not Code.OK}
    require(refusals <= {"RESOURCE_EXHAUSTED", "ABORTED"}, "OK, RESOURCE_EXHAUSTED or ABORTED", refusals)


RULES: tuple[StoreRule, ...] = (
    visibility,
    results,
    failed_operation,
    merged_reads,
    changes_of_hands,
    read_only,
    scope,
    begin,
    frames,
    not_committed,
    sent_ahead,
    late_reader,
    snapshot,
    durability,
    delete_range,
    many_open,
)
