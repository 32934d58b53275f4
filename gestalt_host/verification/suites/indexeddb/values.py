"""Typed values: what is put comes back as it was (contract.md 5.1)."""

from __future__ import annotations

import math
import struct

from google.protobuf.message import Message

from gestalt_host.verification.outcomes import require, require_equal
from gestalt_host.verification.suites.indexeddb.client import Code, StoreClient, query
from gestalt_host.verification.suites.indexeddb.messages import Json, Time, bounds, index, native, record, value
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

YEAR_1, YEAR_9999 = -62_135_596_800, 253_402_300_799
ROUND_TRIPS: tuple[object, ...] = (
    *(0, 2**63 - 1, -(2**63), 2**53 + 1),
    *(1.0, -0.0, 0.1, 5e-324, math.inf, -math.inf, math.nan),
    *(True, False, None),
    *("", "a\x00b", "\u00e9 e\u0301 \U0001f600", b"", bytes(range(256))),
    *(Time(0), Time(-1, 1), Time(YEAR_1), Time(YEAR_9999, 999_999_999)),
    {"a": {"b": [1.0, 2.5, None, True, "x", {"c": []}]}, "": {}},
    *([1.0, "a", None, [2.0]], [], {}),
)
INVALID_TIMES = (Time(10**12), Time(-(10**12)), Time(0, -1), Time(0, 10**9))
LEVELS = 25
"""Protobuf decodes 100, of which each takes three."""


@store_rule("contract.md 5.1/round-trip", "Every value comes back with its type and to the last bit")
async def round_trip(store: StoreClient) -> None:
    name = await store.new_store()
    for number, given in enumerate(ROUND_TRIPS):
        sent = record(id=f"k{number}", v=given)
        await store.ask("Put", pb.RecordRequest(store=name, record=sent), Message)
        answer = await store.get_record(name, f"k{number}")
        if isinstance(given, float):
            found = answer.fields["v"]
            require_equal("float_value", found.WhichOneof("kind"), f"the kind of {given!r}")
            require(
                math.isnan(given) is math.isnan(found.float_value)
                and (math.isnan(given) or struct.pack("d", given) == struct.pack("d", found.float_value)),
                f"{given!r} to come back with every bit",
                found.float_value,
            )
        else:
            require_equal(sent, answer, f"the record with {given!r}")
    rows = await store.rows(name)
    require_equal(len(ROUND_TRIPS), len(rows), "the number of records")
    require(
        all(isinstance(row["v"], bool) == isinstance(ROUND_TRIPS[int(str(row["id"])[1:])], bool) for row in rows),
        "a boolean of GetAll to be one",
        rows,
    )


@store_rule("contract.md 5.1/nan", "NaN comes back, and an index finds it")
async def nan(store: StoreClient) -> None:
    name = await store.new_store(index("v", "v"))
    await store.put(name, id="number", v=1.0)
    await store.put(name, id="nan", v=math.nan)
    found = (await store.get(name, "nan"))["v"]
    require(isinstance(found, float) and math.isnan(found), "NaN", found)
    require_equal(["nan"], await store.index_keys(name, "v", math.nan), "what the index finds for NaN")
    require_equal(["number", "nan"], await store.index_keys(name, "v"), "the index, in which NaN is the last number")


@store_rule("contract.md 5.1/plain-json", "A text, number, boolean or null that is sent as json is the plain value")
async def plain_json(store: StoreClient) -> None:
    name = await store.new_store(index("v", "v"))
    plain: tuple[object, ...] = ("x", 2.0, True, None)
    for given in plain:
        await store.put(name, id="a", v=Json(given))
        require_equal(given, (await store.get(name, "a"))["v"], "the value that was sent as json")
        require_equal(["a"], await store.index_keys(name, "v", given), f"what the index finds for {given!r}")


@store_rule("contract.md 5.1/null", "A value without a kind is null, and a field that is absent stays absent")
async def null(store: StoreClient) -> None:
    name = await store.new_store(index("v", "v"))
    await store.put(name, id="absent")
    for given in (pb.TypedValue(), value(Json(None)), pb.TypedValue(json_value={}), value(None)):
        await store.put(name, id="null", v=given)
        answer = await store.get_record(name, "null")
        require("v" in answer.fields and native(answer.fields["v"]) is None, "a field that is null", answer)
        require_equal({"id": "absent"}, await store.get(name, "absent"), "a record without the field")
        for wanted in ((), (None,), (pb.TypedValue(),)):
            require_equal(["null"], await store.index_keys(name, "v", *wanted), "the index")


@store_rule("contract.md 5.1/nested", "Deeply nested maps are kept, and an index reaches into them")
async def nested(store: StoreClient) -> None:
    made: object = 1.0
    for _ in range(LEVELS):
        made = {"d": made}
    name = await store.new_store(index("deep", ".".join(["v"] + ["d"] * LEVELS)))
    await store.put(name, id="a", v=made)
    require_equal({"id": "a", "v": made}, await store.get(name, "a"), f"a record of {LEVELS} levels")
    require_equal(["a"], await store.index_keys(name, "deep", 1.0), "what the index finds in the last level")


@store_rule("contract.md 5.1/invalid-time", "A time that is none is refused, in records, values and bounds")
async def invalid_time(store: StoreClient) -> None:
    name = await store.new_store(index("v", "v"))
    await store.put(name, id="a", v=1)
    invalid = Code.INVALID_ARGUMENT
    for broken in INVALID_TIMES:
        await store.require_refused(
            "Put", pb.RecordRequest(store=name, record=record(id="b", v=broken)), invalid, "unmarshal record"
        )
        await store.require_refused("IndexCount", query(name, "v", broken), invalid, "unmarshal index values")
        for limits in (bounds(lower=broken), bounds(upper=broken)):
            await store.require_refused("Count", pb.ObjectStoreRangeRequest(store=name, range=limits), invalid)
            await store.require_refused("IndexCount", query(name, "v", key_range=limits), invalid)
    require_equal(["a"], await store.keys(name), "the keys afterwards")


@store_rule("contract.md 5.1/invalid-time-in-streams", "A time that is none is refused in cursors and transactions")
async def invalid_time_in_streams(store: StoreClient) -> None:
    name = await store.new_store(index("v", "v"))
    await store.put(name, id="a", v=1)
    broken = INVALID_TIMES[0]
    for opening in (
        pb.OpenCursorRequest(store=name, range=bounds(lower=broken)),
        pb.OpenCursorRequest(store=name, index="v", range=bounds(upper=broken)),
        pb.OpenCursorRequest(store=name, index="v", values=[value(broken)]),
    ):
        opened = store.opening_cursor()
        await opened.send(pb.CursorClientMessage(open=opening))
        await opened.require_refused(Code.INVALID_ARGUMENT)
    target = pb.CursorKeyTarget(key=[pb.KeyValue(scalar=value(broken))])
    for command in (pb.CursorCommand(update=record(v=broken)), pb.CursorCommand(continue_to_key=target)):
        cursor = await store.cursor(name)
        await cursor.next()
        await cursor.send(pb.CursorClientMessage(command=command))
        await cursor.require_refused(Code.INVALID_ARGUMENT)
    walk = pb.ObjectStoreRangeRequest(store=name, range=bounds(lower=broken))
    by_index = query(name, "v", key_range=bounds(upper=broken))
    for kind in ("count", "get_all", "get_all_keys", "delete_range"):
        await (await store.transaction(name)).require_failed(Code.INVALID_ARGUMENT, "", kind, walk)
    for kind in ("index_get", "index_get_all", "index_count", "index_delete"):
        await (await store.transaction(name)).require_failed(Code.INVALID_ARGUMENT, "", kind, by_index)
    transaction = await store.transaction(name)
    answer = await transaction.attempt("put", pb.RecordRequest(store=name, record=record(id="b", v=broken)))
    require(answer.error.code in (2, 3), "a put of it in a transaction to fail with code 2 or 3", answer)
    await transaction.require_aborted()
    require_equal({"id": "a", "v": 1}, await store.get(name, "a"), "the record afterwards")


RULES: tuple[StoreRule, ...] = (
    round_trip,
    nan,
    plain_json,
    null,
    nested,
    invalid_time,
    invalid_time_in_streams,
)
