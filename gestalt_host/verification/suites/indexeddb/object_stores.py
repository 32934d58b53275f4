"""Object stores, their schemas, and records by their primary keys (contract.md 5.3)."""

from __future__ import annotations

from google.protobuf.message import Message

from gestalt_host.verification.outcomes import require_equal
from gestalt_host.verification.suites.indexeddb.client import Code, StoreClient, fill, query
from gestalt_host.verification.suites.indexeddb.messages import bounds, index, record
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

ANY_NAMES = ("", "with space", "sch.dot", "x'; DROP TABLE stores; --", "\u00fc\x00\U0001f600", "a" * 500)
"""Names of object stores with something special about them."""
ABSENT = "none"
"""No object store has this name."""
RANGES: tuple[tuple[pb.KeyRange | None, str], ...] = (
    (None, "abcdef"),
    (bounds(), "abcdef"),
    (bounds(lower="c"), "cdef"),
    (bounds(lower="c", lower_open=True), "def"),
    (bounds(upper="c"), "abc"),
    (bounds(upper="c", upper_open=True), "ab"),
    (bounds("b", "e"), "bcde"),
    (bounds("b", "e", lower_open=True, upper_open=True), "cd"),
    (bounds("b", "b"), "b"),
    (bounds("b", "b", lower_open=True), ""),
    (bounds("e", "b"), ""),
    (bounds("bb", "dd"), "cd"),
    (bounds(None, None, lower_open=True, upper_open=True), "abcdef"),
    (pb.KeyRange(lower=pb.TypedValue(), upper=pb.TypedValue()), "abcdef"),
    (bounds(None, "b", lower_open=True), "ab"),
    (bounds(lower_open=True, upper_open=True), "abcdef"),
    (bounds(lower=1), "abcdef"),
    (bounds(upper=1), ""),
    (bounds(lower=b""), ""),
)
"""Ranges, and which of the keys ``a`` to ``f`` lie in them."""
MANY = 1000
RANGE_REQUIRED = "key range is required for DeleteRange"


def _schema(
    name: str, *indexes: pb.IndexSchema, columns: list[pb.ColumnDef] | None = None
) -> pb.CreateObjectStoreRequest:
    return pb.CreateObjectStoreRequest(name=name, schema=pb.ObjectStoreSchema(indexes=indexes, columns=columns))


@store_rule("contract.md 5.3/same-schema", "The same schema in another order is accepted, and another one is refused")
async def same_schema(store: StoreClient) -> None:
    columns = [pb.ColumnDef(name="id", type=0, primary_key=True), pb.ColumnDef(name="v", type=1)]
    retyped = [columns[0], pb.ColumnDef(name="v", type=2)]
    a, b = index("a", "x", "y"), index("b", "z", unique=True)
    name = await store.new_store(a, b, columns=columns)
    await store.put(name, id="k", x=1, y=2)
    await store.ask("CreateObjectStore", _schema(name, b, a, columns=columns[::-1]), Message)
    for other in (
        _schema(name),
        _schema(name, index("a", "y", "x"), b, columns=columns),
        _schema(name, a, index("b", "z"), columns=columns),
        _schema(name, a, index("c", "z", unique=True), columns=columns),
        _schema(name, a, b),
        _schema(name, a, b, columns=retyped),
    ):
        await store.require_refused("CreateObjectStore", other, Code.FAILED_PRECONDITION, "schema does not match")
    require_equal(["k"], await store.index_keys(name, "a", 1), "the index afterwards")


@store_rule("contract.md 5.3/odd-schema", "No schema is an empty one, and names of indexes may be doubled")
async def odd_schema(store: StoreClient) -> None:
    name = await store.new_store()
    await store.ask("CreateObjectStore", pb.CreateObjectStoreRequest(name=name), Message)
    doubled = await store.new_store(index("i", "a"), index("i", "b"))
    await store.require_refused(
        "CreateObjectStore", pb.CreateObjectStoreRequest(name=doubled), Code.FAILED_PRECONDITION
    )
    await store.put(doubled, id="k", a=1, b=2)
    require_equal(["k"], await store.index_keys(doubled, "i"), "one of the indexes with the doubled name")


@store_rule("contract.md 5.3/not-enforced", "Columns that are typed, unique or not null refuse no record")
async def not_enforced(store: StoreClient) -> None:
    flagged = pb.ColumnDef(name="v", type=1, not_null=True, unique=True)
    name = await store.new_store(columns=[pb.ColumnDef(name="id", type=0, primary_key=True), flagged])
    await fill(store, name, [{"id": key, "v": v} for key, v in (("a", 1), ("b", 1), ("c", None), ("d", "text"))])
    await store.put(name, id="e")
    require_equal(["a", "b", "c", "d", "e"], await store.keys(name), "the keys")


@store_rule("contract.md 5.3/delete-store", "A store that was deleted is gone, and starts empty with any schema")
async def delete_store(store: StoreClient) -> None:
    name = await store.new_store(index("a", "x"))
    await store.put(name, id="k", x=1)
    for _ in range(2):
        await store.delete_store(name)
    await store.require_refused(
        "Get", pb.ObjectStoreRequest(store=name, id="k"), Code.NOT_FOUND, f"object store not found: {name}"
    )
    await store.create(name, index("other", "y"))
    require_equal([], await store.keys(name), "the keys of the store that was made again")
    require_equal([], await store.index_keys(name, "other"), "its index")


@store_rule("contract.md 5.3/any-name", "Every text names a store and an index")
async def any_name(store: StoreClient) -> None:
    for name in ANY_NAMES:
        await store.delete_store(name)
        await store.create(name, index(name, "x"))
        await store.put(name, id="k", x=1)
        require_equal(["k"], await store.index_keys(name, name, 1), f"the index of the store {name!r}")
        await store.delete_store(name)


@store_rule("contract.md 5.3/missing-store", "A store that does not exist is looked at before anything else")
async def missing_store(store: StoreClient) -> None:
    one, some = pb.ObjectStoreRequest(store=ABSENT, id="x"), pb.ObjectStoreRangeRequest(store=ABSENT)
    calls: dict[str, Message] = {
        **dict.fromkeys(("Get", "GetKey", "Delete"), one),
        **dict.fromkeys(("Add", "Put"), pb.RecordRequest(store=ABSENT)),
        **dict.fromkeys(("GetAll", "GetAllKeys", "Count", "DeleteRange"), some),
        **dict.fromkeys(
            ("IndexGet", "IndexGetKey", "IndexGetAll", "IndexGetAllKeys", "IndexCount", "IndexDelete"),
            query(ABSENT, "i"),
        ),
        "Clear": pb.ObjectStoreNameRequest(store=ABSENT),
    }
    for method, request in calls.items():
        await store.require_refused(method, request, Code.NOT_FOUND, store.missing(ABSENT))


@store_rule("contract.md 5.3/missing-record", "A record, key or index that is not there is NOT_FOUND, with its text")
async def missing_record(store: StoreClient) -> None:
    name = await store.new_store(index("i", "i"))
    for method in ("Get", "GetKey"):
        await store.require_refused(method, pb.ObjectStoreRequest(store=name, id="a"), Code.NOT_FOUND, "not found")
    await store.require_refused("IndexGet", query(name, "i"), Code.NOT_FOUND, "record not found")
    await store.require_refused("IndexGetKey", query(name, "i"), Code.NOT_FOUND, "key not found")
    for method in ("IndexGet", "IndexGetKey", "IndexGetAll", "IndexGetAllKeys", "IndexCount", "IndexDelete"):
        await store.require_refused(method, query(name, "none"), Code.NOT_FOUND, "index not found: none")


@store_rule("contract.md 5.3/add-and-put", "Add refuses a key that is taken, Put replaces, and unique indexes hold")
async def add_and_put(store: StoreClient) -> None:
    name = await store.new_store(index("u", "u", unique=True))
    await store.add(name, id="a", u=1, more="x")
    await store.add(name, id="b", u=2)
    taken = Code.ALREADY_EXISTS
    for row in (record(id="a", u=9), record(id="a", u=2)):
        await store.require_refused("Add", pb.RecordRequest(store=name, record=row), taken, "already exists")
    for method, row in (("Add", record(id="c", u=2)), ("Put", record(id="a", u=2))):
        await store.require_refused(method, pb.RecordRequest(store=name, record=row), taken, "unique index conflict")
    require_equal({"id": "a", "u": 1, "more": "x"}, await store.get(name, "a"), "the record after the refusals")
    require_equal(["a"], await store.index_keys(name, "u", 1), "its index entry")
    await store.put(name, id="a", u=1)
    require_equal({"id": "a", "u": 1}, await store.get(name, "a"), "the record that Put replaced as a whole")
    await store.put(name, id="a", u=3)
    await store.add(name, id="c", u=1)
    require_equal(["c", "b", "a"], await store.index_keys(name, "u"), "the index when the keys were freed")


@store_rule(
    "contract.md 5.3/delete-and-clear", "Delete and Clear take the index entries with them, and may be repeated"
)
async def delete_and_clear(store: StoreClient) -> None:
    name = await store.new_store(index("g", "g"))
    await fill(store, name, [{"id": key, "g": 1} for key in "abc"])
    for _ in range(2):
        await store.delete(name, "b")
    require_equal(["a", "c"], await store.index_keys(name, "g", 1), "the index when b was deleted")
    for _ in range(2):
        await store.clear(name)
    require_equal([], await store.keys(name), "the keys of the store that was cleared")
    require_equal([], await store.index_keys(name, "g"), "its index")
    await store.require_refused("Get", pb.ObjectStoreRequest(store=name, id="a"), Code.NOT_FOUND, "not found")
    await store.put(name, id="a", g=1)
    require_equal(["a"], await store.index_keys(name, "g", 1), "the index, which is still there")


@store_rule("contract.md 5.3/ranges", "Every form of range, on keys and on an index, in reads, counts and deletions")
async def ranges(store: StoreClient) -> None:
    name = await store.new_store(index("v", "v"))
    for key_range, expected in RANGES:
        await fill(store, name, [{"id": key, "v": key} for key in "fbdace"])
        about = f"the range {key_range!s}".replace("\n", " ")
        inside, outside = list(expected), [key for key in "abcdef" if key not in expected]
        require_equal(inside, await store.keys(name, key_range), f"the keys in {about}")
        require_equal(inside, [row["id"] for row in await store.rows(name, key_range)], f"the records in {about}")
        require_equal(len(expected), await store.count(name, key_range), f"the count of {about}")
        require_equal(inside, await store.index_keys(name, "v", key_range=key_range), f"the index in {about}")
        asked = query(name, "v", key_range=key_range)
        counted = await store.ask("IndexCount", asked, pb.CountResponse)
        require_equal(len(expected), counted.count, f"the count of the index in {about}")
        if expected:
            first = await store.ask("IndexGetKey", asked, pb.KeyResponse)
            require_equal(expected[0], first.key, f"the first key of the index in {about}")
        else:
            await store.require_refused("IndexGetKey", asked, Code.NOT_FOUND, "key not found")
            await store.require_refused("IndexGet", asked, Code.NOT_FOUND, "record not found")
        if key_range is None and store.needs_range:
            request = pb.ObjectStoreRangeRequest(store=name)
            await store.require_refused("DeleteRange", request, Code.INVALID_ARGUMENT, RANGE_REQUIRED)
            require_equal(list("abcdef"), await store.keys(name), "the keys after the refusal")
            key_range = pb.KeyRange()
        require_equal(len(expected), await store.delete_range(name, key_range), f"what DeleteRange says of {about}")
        require_equal(outside, await store.keys(name), f"the keys outside of {about}")
        require_equal(outside, await store.index_keys(name, "v"), f"the index outside of {about}")


@store_rule("contract.md 5.3/many-records", "A store of many records is listed, counted and deleted in order")
async def many_records(store: StoreClient) -> None:
    name = await store.new_store(index("n", "n"))
    names = [f"k{number:05d}" for number in range(MANY)]
    transaction = await store.transaction(name)
    for number, key in enumerate(names):
        await transaction.put(name, id=key, n=-number)
    await transaction.committed()
    require_equal(names, await store.keys(name), "the keys")
    require_equal(names[::-1], await store.index_keys(name, "n"), "the index")
    require_equal(names, [row["id"] for row in await store.rows(name)], "the records")
    require_equal(names, await (await store.cursor(name)).keys(), "the records of a cursor")
    kept = MANY // 3
    require_equal(MANY - kept, await store.delete_range(name, bounds(lower=names[kept])), "what was deleted")
    require_equal(names[:kept], await store.keys(name), "the keys that are left")
    require_equal(names[:kept][::-1], await store.index_keys(name, "n"), "the index that is left")


RULES: tuple[StoreRule, ...] = (
    same_schema,
    odd_schema,
    not_enforced,
    delete_store,
    any_name,
    missing_store,
    missing_record,
    add_and_put,
    delete_and_clear,
    ranges,
    many_records,
)
