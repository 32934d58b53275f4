"""Indexes: what is in them, and what values and ranges find (contract.md 5.4)."""

from __future__ import annotations

from gestalt_host.verification.outcomes import require_equal
from gestalt_host.verification.suites.indexeddb.client import Code, StoreClient, fill, query
from gestalt_host.verification.suites.indexeddb.messages import bounds, fields, index, record
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

ROWS: tuple[tuple[str, str, object], ...] = (
    ("a", "x", 1),
    ("b", "x", 1.0),
    ("c", "x", 2),
    ("d", "xa", 1),
    ("e", "y", 1),
)


@store_rule("contract.md 5.4/values", "Values are a prefix of the key: exact at full length, compared when shorter")
async def values(store: StoreClient) -> None:
    name = await store.new_store(index("gn", "g", "n"), index("n", "n"), index("ng", "n", "g"))
    await fill(store, name, [{"id": key, "g": g, "n": n} for key, g, n in ROWS])
    await store.put(name, id="none", g="x")
    expected: tuple[tuple[str, tuple[object, ...], str], ...] = (
        ("gn", (), "abcde"),
        ("gn", ("x",), "abc"),
        ("gn", ("x", 1), "a"),
        ("gn", ("x", 1.0), "b"),
        ("gn", ("x", 1, "more"), ""),
        ("n", (1.0,), "b"),
        ("ng", (1.0,), "abde"),
        ("ng", (1,), "abde"),
    )
    for which, given, keys in expected:
        found = await store.index_keys(name, which, *given)
        require_equal(list(keys), found, f"what the index {which} finds for {given!r}")
    found = await store.index_keys(name, "gn", "x", key_range=bounds(["x", 2], None))
    require_equal(["c"], found, "what a value and a lower bound find together")
    found = await store.index_keys(name, "gn", "x", key_range=bounds(upper=["x", 1]))
    require_equal(["a", "b"], found, "what a value and an upper bound find together")


@store_rule(
    "contract.md 5.4/compound-bounds", "A bound of a compound index is compared as an array, also a shorter one"
)
async def compound_bounds(store: StoreClient) -> None:
    name = await store.new_store(index("gn", "g", "n"))
    await fill(
        store, name, [{"id": key, "g": g, "n": n} for key, g, n in (("a", "a", 1), ("b", "a", 2), ("c", "b", 1))]
    )
    for key_range, keys in (
        (bounds(lower="a"), "abc"),
        (bounds(lower="a", lower_open=True), "abc"),
        (bounds(upper="b"), "ab"),
        (bounds("a", "a"), ""),
        (bounds(["a", 1], ["a", 2], lower_open=True), "b"),
        (bounds(["a", 2], ["b", 1]), "bc"),
    ):
        found = await store.index_keys(name, "gn", key_range=key_range)
        require_equal(list(keys), found, f"the index in {key_range!s}".replace("\n", " "))


@store_rule("contract.md 5.4/key-path", "Key paths walk through maps, lists are parts, and a missing part leaves out")
async def key_path(store: StoreClient) -> None:
    name = await store.new_store(
        index("deep", "p.user.id"), index("kind", "kind", "tags"), index("tags", "tags"), index("all")
    )
    await store.put(name, id="a", p={"user": {"id": "u2"}}, kind="k", tags=["x", 1.0])
    await store.put(name, id="b", p={"user": {"id": "u1"}}, kind="k", tags="x")
    await store.put(name, id="c", p={"user": "u0"}, kind="k")
    await store.put(name, id="d", p="text")
    await store.put(name, **{"id": "e", "p.user.id": "u9"})
    expected: tuple[tuple[str, tuple[object, ...], str], ...] = (
        ("deep", (), "ba"),
        ("kind", ("k",), "ba"),
        ("kind", ("k", ["x", 1.0]), "a"),
        ("tags", (), "ba"),
        ("tags", (["x", 1.0],), ""),
        ("tags", ("x",), "b"),
        ("all", (), "abcde"),
    )
    for which, given, keys in expected:
        found = await store.index_keys(name, which, *given)
        require_equal(list(keys), found, f"what the index {which} finds for {given!r}")


@store_rule("contract.md 5.4/unique", "Uniqueness is by the exact key, and spares what is not in the index")
async def unique(store: StoreClient) -> None:
    name = await store.new_store(index("u", "a", "b", unique=True))
    await store.put(name, id="int", a=1, b="x")
    await store.put(name, id="double", a=1.0, b="x")
    await store.put(name, id="part", a=1)
    await store.put(name, id="part too", a=1)
    await store.put(name, id="null", a=None, b=None)
    request = pb.RecordRequest(store=name, record=record(id="null too", a=None, b=None))
    await store.require_refused("Put", request, Code.ALREADY_EXISTS, "unique index conflict")
    require_equal(["null", "double", "int"], await store.index_keys(name, "u"), "the index")


@store_rule("contract.md 5.4/index-reads", "IndexGet, IndexGetKey, IndexGetAll and IndexCount agree on what they find")
async def index_reads(store: StoreClient) -> None:
    name = await store.new_store(index("g", "g"))
    await fill(store, name, [{"id": key, "g": g} for key, g in (("c", 1), ("a", 1), ("b", 2))])
    asked = query(name, "g", 1)
    require_equal("a", fields((await store.ask("IndexGet", asked, pb.RecordResponse)).record)["id"], "IndexGet")
    require_equal("a", (await store.ask("IndexGetKey", asked, pb.KeyResponse)).key, "IndexGetKey")
    records = (await store.ask("IndexGetAll", asked, pb.RecordsResponse)).records
    require_equal([{"id": "a", "g": 1}, {"id": "c", "g": 1}], [fields(found) for found in records], "IndexGetAll")
    require_equal(["a", "c"], await store.index_keys(name, "g", 1), "IndexGetAllKeys")
    require_equal(2, (await store.ask("IndexCount", asked, pb.CountResponse)).count, "IndexCount")


@store_rule(
    "contract.md 5.4/index-delete", "IndexDelete deletes what it finds, without values all that is in the index"
)
async def index_delete(store: StoreClient) -> None:
    name = await store.new_store(index("g", "g"))
    await fill(store, name, [{"id": key, "g": g} for key, g in (("a", 1), ("b", 1), ("c", 2))])
    await store.put(name, id="outside")
    answer = await store.ask("IndexDelete", query(name, "g", 1), pb.DeleteResponse)
    require_equal(2, answer.deleted, "what IndexDelete says for a value")
    answer = await store.ask("IndexDelete", query(name, "g"), pb.DeleteResponse)
    require_equal(1, answer.deleted, "what IndexDelete says for the rest of the index")
    require_equal(["outside"], await store.keys(name), "the keys that are left")


RULES: tuple[StoreRule, ...] = (values, compound_bounds, key_path, unique, index_reads, index_delete)
