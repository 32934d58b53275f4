"""The order of keys, primary keys of every type, and their texts (contract.md 5.2, 5.3)."""

from __future__ import annotations

import math

from gestalt_host.verification.outcomes import require_equal
from gestalt_host.verification.suites.indexeddb.client import Code, StoreClient
from gestalt_host.verification.suites.indexeddb.messages import Time, fields, index, key_column, record
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

STRING, INT, FLOAT, BOOL, TIME, BYTES, JSON = range(7)
ORDERED: tuple[object, ...] = (
    *(None, False, True),
    *(-math.inf, -(2**63), -1.5, 0, 2**53, 2.0**53, 2**53 + 1, 2**63 - 1, 2.0**63, math.inf, math.nan),
    *(Time(-5), Time(0, 1)),
    *("", "a", "a\x00", "ab", "\uffff", "\U0001f600"),
    *(b"", b"\x00", b"\xff"),
    *({}, {"a": 1.0}, {"a": 1.0, "b": 0.0}, {"b": 0.0}),
    *([], [None], ["a"], ["a", "b"], ["b"]),
)
TYPED_KEYS: tuple[tuple[int, object, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (INT, 7, "7", ("7", "+7", "007"), ("x", "7.0", "", " 7", "9223372036854775808")),
    (INT, -(2**63), "-9223372036854775808", ("-9223372036854775808",), ()),
    (FLOAT, 1.5, "1.5", ("1.5", "1.50", "15e-1"), ("x", "")),
    (FLOAT, 1e21, "1e+21", ("1e21", "1e+21", "1000000000000000000000"), ()),
    (FLOAT, 1234567.0, "1.234567e+06", ("1234567",), ()),
    (FLOAT, 0.00001, "1e-05", ("0.00001",), ()),
    (FLOAT, math.inf, "+Inf", ("inf", "+Inf", "Infinity"), ()),
    (BOOL, True, "true", ("true", "TRUE", "1"), ("yes", "")),
    (BOOL, False, "false", ("false", "False", "0"), ()),
    (
        TIME,
        Time(1_777_636_800, 1),
        "2026-05-01 12:00:00.000000001 +0000 UTC",
        (
            "2026-05-01T12:00:00.000000001Z",
            "2026-05-01T14:00:00.000000001+02:00",
            "2026-05-01 12:00:00.000000001",
            "2026-05-01 12:00:00.000000001 +0000 UTC",
        ),
        ("2026-05-01", "x", "2026-13-01T00:00:00Z"),
    ),
    (BYTES, b"\x01\x02\x03", "[1 2 3]", ("AQID",), ()),
    (BYTES, b"plain text", "[112 108 97 105 110 32 116 101 120 116]", ("plain text",), ()),
    (STRING, "", "", ("",), ()),
    (JSON, "a", "a", ("a",), ()),
)
"""Type of the key column, a key, its text in answers, ids that mean it, and ids that mean nothing."""


@store_rule("contract.md 5.2/order", "Keys of all types follow each other in one order, both ways")
async def order(store: StoreClient) -> None:
    name = await store.new_store(columns=[key_column(JSON)])
    for position in sorted(range(len(ORDERED)), key=lambda number: (number * 7919) % 101):
        await store.put(name, k=ORDERED[position], position=position)
    expected = list(range(len(ORDERED)))
    require_equal(expected, [row["position"] for row in await store.rows(name)], "the positions of GetAll")
    cursor = await store.cursor(name, pb.OpenCursorRequest(direction=pb.CURSOR_PREV))
    backwards = [fields(entry.record)["position"] for entry in await cursor.entries()]
    require_equal(expected[::-1], backwards, "the positions of a cursor that goes back")


@store_rule("contract.md 5.2/index-order", "An index has the same order, and equal numbers follow their primary keys")
async def index_order(store: StoreClient) -> None:
    name = await store.new_store(index("v", "v"))
    given = [item for item in ORDERED if not isinstance(item, list)]
    for position in sorted(range(len(given)), key=lambda number: (number * 7919) % 101):
        await store.put(name, id=f"k{position:02}", v=given[position])
    expected = [f"k{position:02}" for position in range(len(given))]
    require_equal(expected, await store.index_keys(name, "v"), "the index over values of all types")
    numbers = await store.new_store(index("n", "n"))
    for key, number in (("d", 1), ("c", 1.0), ("b", 1), ("a", 1.0)):
        await store.put(numbers, id=key, n=number)
    require_equal(["a", "b", "c", "d"], await store.index_keys(numbers, "n"), "the index over 1 and 1.0")


@store_rule("contract.md 5.3/text-key", "Without columns the key is the field id, a text that is not blank")
async def text_key(store: StoreClient) -> None:
    name = await store.new_store()
    bad: tuple[dict[str, object], ...] = ({}, {"id": ""}, {"id": " \t"}, {"id": 1}, {"id": None})
    for row in bad:
        text = "record id must be a non-empty string" if row else 'record id: field "id" not found'
        for method in ("Put", "Add"):
            request = pb.RecordRequest(store=name, record=record(**row))
            await store.require_refused(method, request, Code.INVALID_ARGUMENT, text)
    await store.put(name, id=" a ")
    require_equal({"id": " a "}, await store.get(name, " a "), "a record whose key has blanks at its ends")
    await store.require_refused("Get", pb.ObjectStoreRequest(store=name, id="a"), Code.NOT_FOUND)


@store_rule("contract.md 5.3/typed-key", "With a key column an id is read by its type, and what cannot be is refused")
async def typed_key(store: StoreClient) -> None:
    for type, key, text, accepted, refused in TYPED_KEYS:
        name = await store.new_store(columns=[key_column(type)])
        await store.put(name, k=key)
        require_equal([text], await store.keys(name), f"the text of the key {key!r}")
        for form in accepted:
            require_equal(record(k=key), await store.get_record(name, form), f"what Get finds for {form!r}")
            answer = await store.ask("GetKey", pb.ObjectStoreRequest(store=name, id=form), pb.KeyResponse)
            require_equal(text, answer.key, f"what GetKey finds for {form!r}")
        for form in refused:
            for method in ("Get", "GetKey", "Delete"):
                request = pb.ObjectStoreRequest(store=name, id=form)
                await store.require_refused(method, request, Code.INVALID_ARGUMENT)
        await store.delete(name, accepted[0])
        require_equal([], await store.keys(name), f"the keys when {accepted[0]!r} was deleted")


@store_rule("contract.md 5.3/keys-of-other-types", "Keys of another type than the column are records of their own")
async def keys_of_other_types(store: StoreClient) -> None:
    name = await store.new_store(columns=[key_column(INT)])
    for key in ("7", 7, 7.0, None):
        await store.put(name, k=key)
    require_equal(["<nil>", "7", "7", "7"], await store.keys(name), 'the texts of null, 7, 7.0 and "7"')
    await store.delete(name, "7")
    kept = [(row["k"], type(row["k"])) for row in await store.rows(name)]
    require_equal([(None, type(None)), (7.0, float), ("7", str)], kept, "what is left when 7 was deleted")


@store_rule("contract.md 5.3/key-column", "The last column that is flagged is the key, and without one it is id")
async def which_column(store: StoreClient) -> None:
    name = await store.new_store(columns=[key_column(INT, "a"), key_column(INT, "b")])
    await store.put(name, a=1, b=2)
    require_equal(["2"], await store.keys(name), "the keys by the last flagged column")
    await store.require_refused("Put", pb.RecordRequest(store=name, record=record(a=1)), Code.INVALID_ARGUMENT, '"b"')
    name = await store.new_store(columns=[pb.ColumnDef(name="id", type=INT)])
    await store.put(name, id=7)
    require_equal({"id": 7}, await store.get(name, "007"), "the record by the type of the column id")
    name = await store.new_store(columns=[pb.ColumnDef(name="other", type=INT)])
    await store.put(name, id="7")
    require_equal({"id": "7"}, await store.get(name, "7"), "the record by a text when there is no column id")


RULES: tuple[StoreRule, ...] = (order, index_order, text_key, typed_key, keys_of_other_types, which_column)
