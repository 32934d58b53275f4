"""Object stores, records, indexes and ranges (contract.md 5.3, 5.4)."""

from __future__ import annotations

from typing import Any

import pytest

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import ANY_NAMES, Code, Service, bounds, index, record, value


def create(
    name: str, *indexes: pb.IndexSchema, columns: list[pb.ColumnDef] | None = None
) -> pb.CreateObjectStoreRequest:
    return pb.CreateObjectStoreRequest(name=name, schema=pb.ObjectStoreSchema(indexes=indexes, columns=columns))


async def test_the_same_schema_in_another_order_is_accepted_and_another_schema_is_not(service: Service) -> None:
    columns = [pb.ColumnDef(name="id", type=0, primary_key=True), pb.ColumnDef(name="v", type=1)]
    store = await service.new_store(index("a", "x", "y"), index("b", "z", unique=True), columns=columns)
    await service.put(store, id="k", x=1, y=2)
    await service.call(
        "CreateObjectStore", create(store, index("b", "z", unique=True), index("a", "x", "y"), columns=columns[::-1])
    )
    others = [
        create(store),
        create(store, index("a", "y", "x"), index("b", "z", unique=True), columns=columns),
        create(store, index("a", "x", "y"), index("b", "z"), columns=columns),
        create(store, index("a", "x", "y"), index("c", "z", unique=True), columns=columns),
        create(store, index("a", "x", "y"), index("b", "z", unique=True)),
        create(
            store,
            index("a", "x", "y"),
            index("b", "z", unique=True),
            columns=[columns[0], pb.ColumnDef(name="v", type=2)],
        ),
    ]
    for other in others:
        code, text = await service.refused("CreateObjectStore", other)
        assert code is Code.FAILED_PRECONDITION
        assert "schema does not match" in text
    assert await service.index_keys(store, "a", 1) == ["k"]


async def test_a_refusal_of_something_long_arrives_with_its_code(service: Service) -> None:
    store = await service.new_store()
    for name in ("x" * 5000, "é" * 5000):
        code, text = await service.refused("IndexCount", pb.IndexQueryRequest(store=store, index=name))
        assert (code, text[:17]) == (Code.NOT_FOUND, "index not found: ")


async def test_an_unset_schema_is_an_empty_one_and_index_names_may_be_doubled(service: Service) -> None:
    store = await service.new_store()
    await service.call("CreateObjectStore", pb.CreateObjectStoreRequest(name=store))
    doubled = await service.new_store(index("i", "a"), index("i", "b"))
    code, _ = await service.refused("CreateObjectStore", pb.CreateObjectStoreRequest(name=doubled))
    assert code is Code.FAILED_PRECONDITION
    await service.put(doubled, id="k", a=1, b=2)
    assert len(await service.index_keys(doubled, "i")) == 1


async def test_not_null_unique_and_type_of_columns_are_not_enforced(service: Service) -> None:
    columns = [
        pb.ColumnDef(name="id", type=0, primary_key=True),
        pb.ColumnDef(name="v", type=1, not_null=True, unique=True),
    ]
    store = await service.new_store(columns=columns)
    for key, v in (("a", 1), ("b", 1), ("c", None), ("d", "text")):
        await service.put(store, id=key, v=v)
    await service.put(store, id="e")
    assert await service.keys(store) == ["a", "b", "c", "d", "e"]


async def test_a_deleted_store_is_gone_and_starts_empty_with_any_schema(service: Service) -> None:
    store = await service.new_store(index("a", "x"))
    await service.put(store, id="k", x=1)
    for _ in range(2):
        await service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=store))
    code, text = await service.refused("Get", pb.ObjectStoreRequest(store=store, id="k"))
    assert code is Code.NOT_FOUND
    assert text == f"object store not found: {store}"
    await service.create(store, index("other", "y"))
    assert await service.keys(store) == []
    assert await service.index_keys(store, "other") == []


@pytest.mark.parametrize("name", ANY_NAMES)
async def test_any_text_names_a_store(service: Service, name: str) -> None:
    await service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=name))
    await service.create(name, index(name, "x"))
    await service.put(name, id="k", x=1)
    assert await service.index_keys(name, name, 1) == ["k"]
    await service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=name))


CALLS = [
    ("Get", pb.ObjectStoreRequest(store="none", id="x")),
    ("GetKey", pb.ObjectStoreRequest(store="none", id="x")),
    ("Add", pb.RecordRequest(store="none")),
    ("Put", pb.RecordRequest(store="none")),
    ("Delete", pb.ObjectStoreRequest(store="none", id="x")),
    ("Clear", pb.ObjectStoreNameRequest(store="none")),
    ("GetAll", pb.ObjectStoreRangeRequest(store="none")),
    ("GetAllKeys", pb.ObjectStoreRangeRequest(store="none")),
    ("Count", pb.ObjectStoreRangeRequest(store="none")),
    ("DeleteRange", pb.ObjectStoreRangeRequest(store="none")),
    ("IndexGet", pb.IndexQueryRequest(store="none", index="i")),
    ("IndexGetKey", pb.IndexQueryRequest(store="none", index="i")),
    ("IndexGetAll", pb.IndexQueryRequest(store="none", index="i")),
    ("IndexGetAllKeys", pb.IndexQueryRequest(store="none", index="i")),
    ("IndexCount", pb.IndexQueryRequest(store="none", index="i")),
    ("IndexDelete", pb.IndexQueryRequest(store="none", index="i")),
]


@pytest.mark.parametrize(("method", "request_"), CALLS, ids=[name for name, _ in CALLS])
async def test_a_missing_store_is_looked_at_before_anything_else(service: Service, method: str, request_: Any) -> None:
    assert await service.refused(method, request_) == (Code.NOT_FOUND, service.missing("none"))


async def test_add_refuses_a_taken_key_before_a_unique_index_and_put_replaces(service: Service) -> None:
    store = await service.new_store(index("u", "u", unique=True))
    await service.add(store, id="a", u=1, more="x")
    await service.add(store, id="b", u=2)
    for taken in (record(id="a", u=9), record(id="a", u=2)):
        assert await service.refused("Add", pb.RecordRequest(store=store, record=taken)) == (
            Code.ALREADY_EXISTS,
            "already exists",
        )
    conflict = (Code.ALREADY_EXISTS, "unique index conflict")
    assert await service.refused("Add", pb.RecordRequest(store=store, record=record(id="c", u=2))) == conflict
    assert await service.refused("Put", pb.RecordRequest(store=store, record=record(id="a", u=2))) == conflict
    assert await service.get(store, "a") == {"id": "a", "u": 1, "more": "x"}
    assert await service.index_keys(store, "u", 1) == ["a"]
    await service.put(store, id="a", u=1)
    assert await service.get(store, "a") == {"id": "a", "u": 1}
    await service.put(store, id="a", u=3)
    await service.add(store, id="c", u=1)
    assert await service.index_keys(store, "u") == ["c", "b", "a"]


async def test_uniqueness_is_by_the_exact_key_and_spares_records_that_are_not_in_the_index(service: Service) -> None:
    store = await service.new_store(index("u", "a", "b", unique=True))
    await service.put(store, id="int", a=1, b="x")
    await service.put(store, id="double", a=1.0, b="x")
    await service.put(store, id="part", a=1)
    await service.put(store, id="part too", a=1)
    await service.put(store, id="null", a=None, b=None)
    code, _ = await service.refused("Put", pb.RecordRequest(store=store, record=record(id="null too", a=None, b=None)))
    assert code is Code.ALREADY_EXISTS
    assert await service.index_keys(store, "u") == ["null", "double", "int"]


async def test_delete_and_clear(service: Service) -> None:
    store = await service.new_store(index("g", "g"))
    for key in "abc":
        await service.put(store, id=key, g=1)
    for _ in range(2):
        await service.call("Delete", pb.ObjectStoreRequest(store=store, id="b"))
    assert await service.index_keys(store, "g", 1) == ["a", "c"]
    for _ in range(2):
        await service.call("Clear", pb.ObjectStoreNameRequest(store=store))
    assert await service.keys(store) == []
    assert await service.index_keys(store, "g") == []
    assert await service.refused("Get", pb.ObjectStoreRequest(store=store, id="a")) == (Code.NOT_FOUND, "not found")


RANGES: list[tuple[pb.KeyRange | None, str]] = [
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
]


@pytest.mark.parametrize(("key_range", "expected"), RANGES, ids=[str(n) for n in range(len(RANGES))])
async def test_every_form_of_range(service: Service, key_range: pb.KeyRange | None, expected: str) -> None:
    store = await service.new_store(index("v", "v"))
    for key in "fbdace":
        await service.put(store, id=key, v=key)
    request = pb.ObjectStoreRangeRequest(store=store, range=key_range)
    assert await service.keys(store, key_range) == list(expected)
    assert [r.fields["id"].string_value for r in (await service.call("GetAll", request)).records] == list(expected)
    assert (await service.call("Count", request)).count == len(expected)
    assert await service.index_keys(store, "v", key_range=key_range) == list(expected)
    query = pb.IndexQueryRequest(store=store, index="v", range=key_range)
    assert (await service.call("IndexCount", query)).count == len(expected)
    if expected:
        assert (await service.call("IndexGetKey", query)).key == expected[0]
    else:
        assert await service.refused("IndexGetKey", query) == (Code.NOT_FOUND, "key not found")
        assert await service.refused("IndexGet", query) == (Code.NOT_FOUND, "record not found")
    if key_range is None and service.needs_range:
        refused = (Code.INVALID_ARGUMENT, "key range is required for DeleteRange")
        assert await service.refused("DeleteRange", request) == refused
        assert await service.keys(store) == list("abcdef")
        request.range.SetInParent()  # one without bounds
    assert (await service.call("DeleteRange", request)).deleted == len(expected)
    assert await service.keys(store) == [key for key in "abcdef" if key not in expected]
    assert await service.index_keys(store, "v") == [key for key in "abcdef" if key not in expected]


async def test_values_are_a_prefix_and_exact_at_full_length(service: Service) -> None:
    store = await service.new_store(index("gn", "g", "n"), index("n", "n"))
    rows = [("a", "x", 1), ("b", "x", 1.0), ("c", "x", 2), ("d", "xa", 1), ("e", "y", 1)]
    for key, g, n in rows:
        await service.put(store, id=key, g=g, n=n)
    await service.put(store, id="none", g="x")
    assert await service.index_keys(store, "gn") == ["a", "b", "c", "d", "e"]
    assert await service.index_keys(store, "gn", "x") == ["a", "b", "c"]
    assert await service.index_keys(store, "gn", "x", 1) == ["a"]
    assert await service.index_keys(store, "gn", "x", 1.0) == ["b"]
    assert await service.index_keys(store, "gn", "x", 1, "more") == []
    assert await service.index_keys(store, "n", 1.0) == ["b"]
    assert await service.index_keys(store, "gn", "x", key_range=bounds(["x", 2], None)) == ["c"]
    assert await service.index_keys(store, "gn", "x", key_range=bounds(upper=["x", 1])) == ["a", "b"]
    # A shorter prefix compares, it does not match exactly.
    numbers = await service.new_store(index("ng", "n", "g"))
    for key, g, n in rows:
        await service.put(numbers, id=key, g=g, n=n)
    assert await service.index_keys(numbers, "ng", 1.0) == ["a", "b", "d", "e"]


async def test_a_scalar_bound_of_a_compound_index_is_a_shorter_array(service: Service) -> None:
    store = await service.new_store(index("gn", "g", "n"))
    for key, g, n in (("a", "a", 1), ("b", "a", 2), ("c", "b", 1)):
        await service.put(store, id=key, g=g, n=n)
    assert await service.index_keys(store, "gn", key_range=bounds(lower="a")) == ["a", "b", "c"]
    assert await service.index_keys(store, "gn", key_range=bounds(lower="a", lower_open=True)) == ["a", "b", "c"]
    assert await service.index_keys(store, "gn", key_range=bounds(upper="b")) == ["a", "b"]
    assert await service.index_keys(store, "gn", key_range=bounds("a", "a")) == []
    assert await service.index_keys(store, "gn", key_range=bounds(["a", 1], ["a", 2], lower_open=True)) == ["b"]
    assert await service.index_keys(store, "gn", key_range=bounds(["a", 2], ["b", 1])) == ["b", "c"]


async def test_key_paths_walk_through_maps_and_lists_are_array_parts(service: Service) -> None:
    store = await service.new_store(index("deep", "p.user.id"), index("kind", "kind", "tags"), index("tags", "tags"))
    await service.put(store, id="a", p={"user": {"id": "u2"}}, kind="k", tags=["x", 1.0])
    await service.put(store, id="b", p={"user": {"id": "u1"}}, kind="k", tags="x")
    await service.put(store, id="c", p={"user": "u0"}, kind="k")
    await service.put(store, id="d", p="text")
    await service.put(store, **{"id": "e", "p.user.id": "u9"})
    assert await service.index_keys(store, "deep") == ["b", "a"]
    assert await service.index_keys(store, "kind", "k") == ["b", "a"]
    assert await service.index_keys(store, "kind", "k", ["x", 1.0]) == ["a"]
    assert await service.index_keys(store, "tags") == ["b", "a"]
    assert await service.index_keys(store, "tags", ["x", 1.0]) == []
    assert await service.index_keys(store, "tags", "x") == ["b"]


async def test_index_delete(service: Service) -> None:
    store = await service.new_store(index("g", "g"))
    for key, g in (("a", 1), ("b", 1), ("c", 2)):
        await service.put(store, id=key, g=g)
    await service.put(store, id="outside")
    request = pb.IndexQueryRequest(store=store, index="g", values=[value(1)])
    assert (await service.call("IndexDelete", request)).deleted == 2
    assert (await service.call("IndexDelete", pb.IndexQueryRequest(store=store, index="g"))).deleted == 1
    assert await service.keys(store) == ["outside"]
    answer = await service.refused("IndexDelete", pb.IndexQueryRequest(store=store, index="h"))
    assert answer == (Code.NOT_FOUND, "index not found: h")


async def test_equal_index_keys_are_ordered_by_primary_key_whatever_their_number_type(service: Service) -> None:
    store = await service.new_store(index("n", "n"))
    for key, n in (("d", 1), ("c", 1.0), ("b", 1), ("a", 1.0)):
        await service.put(store, id=key, n=n)
    assert await service.index_keys(store, "n") == ["a", "b", "c", "d"]


async def test_an_index_without_key_path_holds_every_record(service: Service) -> None:
    store = await service.new_store(index("all"))
    await service.put(store, id="a")
    await service.put(store, id="b")
    assert await service.index_keys(store, "all") == ["a", "b"]


async def test_a_store_of_thousands_is_listed_counted_and_deleted_in_order(service: Service) -> None:
    store = await service.new_store(index("n", "n"))
    names = [f"k{number:05d}" for number in range(3000)]
    begun = await service.transaction(store)
    for number, name in enumerate(names):
        await begun.send(begun.operation(put=pb.RecordRequest(store=store, record=record(id=name, n=-number))))
        await begun.receive()
    assert not (await begun.commit()).code
    assert await service.keys(store) == names
    assert await service.index_keys(store, "n") == names[::-1]
    assert len((await service.call("GetAll", pb.ObjectStoreRangeRequest(store=store))).records) == 3000
    assert (
        await service.call("DeleteRange", pb.ObjectStoreRangeRequest(store=store, range=bounds(lower="k01000")))
    ).deleted == 2000
    assert await service.keys(store) == names[:1000]
    assert await service.index_keys(store, "n") == names[:1000][::-1]
