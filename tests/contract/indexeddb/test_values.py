"""Typed values, keys and their texts: what is put comes back as it was (contract.md 5.1 to 5.3)."""

from __future__ import annotations

import math
import struct
from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import Code, Json, Service, Time, bounds, fields, index, native, record, value

YEAR_1, YEAR_9999 = -62_135_596_800, 253_402_300_799

ROUND_TRIPS: list[Any] = [
    0,
    2**63 - 1,
    -(2**63),
    2**53 + 1,
    1.0,
    -0.0,
    0.1,
    math.inf,
    -math.inf,
    True,
    False,
    "",
    "a\x00b",
    "\u00e9 e\u0301 \U0001f600",
    b"",
    bytes(range(256)),
    Time(YEAR_1),
    Time(YEAR_9999, 999_999_999),
    Time(-1, 1),
    {"a": {"b": [1.0, 2.5, None, True, "x", {"c": []}]}, "": {}},
    [1.0, "a", None, [2.0]],
    [],
    {},
    None,
]


@pytest.mark.parametrize("given", ROUND_TRIPS, ids=[str(number) for number in range(len(ROUND_TRIPS))])
async def test_a_value_comes_back_with_its_type(service: Service, given: Any) -> None:
    store = await service.new_store()
    sent = record(id="a", v=given)
    await service.call("Put", pb.RecordRequest(store=store, record=sent))
    answer = (await service.call("Get", pb.ObjectStoreRequest(store=store, id="a"))).record
    assert answer == sent
    if isinstance(given, float):
        assert struct.pack("d", answer.fields["v"].float_value) == struct.pack("d", given)


async def test_nan_comes_back(service: Service) -> None:
    store = await service.new_store(index("by_v", "v"))
    await service.put(store, id="a", v=math.nan)
    assert math.isnan((await service.get(store, "a"))["v"])
    assert await service.index_keys(store, "by_v", math.nan) == ["a"]


@pytest.mark.parametrize(("given", "kind"), [("x", "string_value"), (2, "float_value"), (True, "bool_value")])
async def test_a_plain_json_value_becomes_the_plain_value(service: Service, given: Any, kind: str) -> None:
    store = await service.new_store(index("by_v", "v"))
    await service.put(store, id="a", v=Json(given))
    answer = (await service.call("Get", pb.ObjectStoreRequest(store=store, id="a"))).record
    assert answer.fields["v"].WhichOneof("kind") == kind
    assert await service.index_keys(store, "by_v", float(given) if kind == "float_value" else given) == ["a"]


@pytest.mark.parametrize("given", [pb.TypedValue(), value(Json(None)), pb.TypedValue(json_value={})])
async def test_a_value_without_kind_is_null_and_an_absent_field_stays_absent(
    service: Service, given: pb.TypedValue
) -> None:
    store = await service.new_store(index("by_v", "v"))
    await service.put(store, id="null", v=given)
    await service.put(store, id="absent")
    answer = (await service.call("Get", pb.ObjectStoreRequest(store=store, id="null"))).record
    assert answer.fields["v"].WhichOneof("kind") == "null_value"
    assert await service.get(store, "absent") == {"id": "absent"}
    assert await service.index_keys(store, "by_v") == ["null"]
    assert await service.index_keys(store, "by_v", None) == ["null"]


async def test_deeply_nested_json_is_kept_and_its_parts_are_indexed(service: Service) -> None:
    nested: Any = 1.0
    for _ in range(60):
        nested = {"d": nested}
    store = await service.new_store(index("deep", ".".join(["v"] + ["d"] * 60)))
    request = pb.RecordRequest(store=store)
    request.record.CopyFrom(record(id="a", v=nested))
    await service.call("Put", request)
    assert await service.index_keys(store, "deep", 1.0) == ["a"]


@pytest.mark.parametrize(
    "broken",
    [Time(10**12), Time(-(10**12)), Time(0, -1), Time(0, 10**9)],
    ids=["after 9999", "before 1", "negative nanos", "large nanos"],
)
async def test_an_invalid_time_is_refused_wherever_it_is(service: Service, broken: Time) -> None:
    store = await service.new_store(index("by_v", "v"))
    await service.put(store, id="a", v=1)
    code, text = await service.refused("Put", pb.RecordRequest(store=store, record=record(id="b", v=broken)))
    assert code is Code.INVALID_ARGUMENT
    assert "unmarshal record" in text
    code, text = await service.refused(
        "IndexCount", pb.IndexQueryRequest(store=store, index="by_v", values=[value(broken)])
    )
    assert code is Code.INVALID_ARGUMENT
    assert "unmarshal index values" in text
    for which in (bounds(lower=broken), bounds(upper=broken)):
        code, _ = await service.refused("Count", pb.ObjectStoreRangeRequest(store=store, range=which))
        assert code is Code.INVALID_ARGUMENT, "an invalid bound is never taken for no bound"
        code, _ = await service.refused("IndexCount", pb.IndexQueryRequest(store=store, index="by_v", range=which))
        assert code is Code.INVALID_ARGUMENT
    assert await service.keys(store) == ["a"]


async def test_an_invalid_time_is_refused_in_streams_and_pages(service: Service) -> None:
    """In a cursor's opening and update, as a bound or value inside a transaction, and in GetPage."""
    store = await service.new_store(index("by_v", "v"))
    await service.put(store, id="a", v=1)
    broken = Time(10**12)
    openings = [
        pb.OpenCursorRequest(store=store, range=bounds(lower=broken)),
        pb.OpenCursorRequest(store=store, range=bounds(upper=broken)),
        pb.OpenCursorRequest(store=store, index="by_v", range=bounds(upper=broken)),
        pb.OpenCursorRequest(store=store, index="by_v", values=[value(broken)]),
    ]
    for opening in openings:
        stream = service.stream("OpenCursor")
        await stream.send(pb.CursorClientMessage(open=opening))
        assert (await stream.ended())[0] is Code.INVALID_ARGUMENT
    for command in (
        {"update": record(v=broken)},
        {"continue_to_key": pb.CursorKeyTarget(key=[pb.KeyValue(scalar=value(broken))])},
    ):
        cursor = await service.cursor(store)
        await cursor.next()
        await cursor.send(pb.CursorClientMessage(command=pb.CursorCommand(**command)))
        assert (await cursor.ended())[0] is Code.INVALID_ARGUMENT
    walk = pb.ObjectStoreRangeRequest(store=store, range=bounds(lower=broken))
    query = pb.IndexQueryRequest(store=store, index="by_v", range=bounds(upper=broken))
    operations: list[dict[str, Any]] = [
        {"count": walk},
        {"get_all": walk},
        {"get_all_keys": walk},
        {"delete_range": walk},
        {"index_get": query},
        {"index_get_all": query},
        {"index_count": query},
        {"index_delete": query},
    ]
    for operation in operations:
        answer = await (await service.transaction(store)).do(**operation)
        assert answer.error.code == Code.INVALID_ARGUMENT.value[0], operation
    if not service.relayed:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.batch.GetPage(batch_pb2.GetPageRequest(store=store, range=bounds(upper=broken)))
        assert refused.value.code() is Code.INVALID_ARGUMENT
    assert await service.get(store, "a") == {"id": "a", "v": 1}


@pytest.mark.parametrize("bad", [{}, {"id": ""}, {"id": " \t"}, {"id": 1}, {"id": None}])
async def test_without_columns_the_key_is_text_that_is_not_blank(service: Service, bad: dict[str, Any]) -> None:
    store = await service.new_store()
    for method in ("Put", "Add"):
        code, text = await service.refused(method, pb.RecordRequest(store=store, record=record(**bad)))
        assert code is Code.INVALID_ARGUMENT
        assert ("record id must be a non-empty string" if bad else 'record id: field "id" not found') in text
    await service.put(store, id=" a ")
    assert (await service.get(store, " a "))["id"] == " a "
    assert (await service.refused("Get", pb.ObjectStoreRequest(store=store, id="a")))[0] is Code.NOT_FOUND


STRING, INT, FLOAT, BOOL, TIME, BYTES, JSON = range(7)
TYPED_KEYS: list[tuple[int, Any, str, list[str], list[str]]] = [
    (INT, 7, "7", ["7", "+7", "007"], ["x", "7.0", "", " 7", "9223372036854775808"]),
    (INT, -(2**63), "-9223372036854775808", ["-9223372036854775808"], []),
    (FLOAT, 1.5, "1.5", ["1.5", "1.50", "15e-1", "0x1.8p0"], ["x", "", "1_5", " 1.5", "1e999"]),
    (FLOAT, 1e21, "1e+21", ["1e21", "1e+21", "1000000000000000000000"], []),
    (FLOAT, 1234567.0, "1.234567e+06", ["1234567"], []),
    (FLOAT, 0.00001, "1e-05", ["0.00001"], []),
    (FLOAT, math.inf, "+Inf", ["inf", "+Inf", "Infinity"], []),
    (BOOL, True, "true", ["true", "TRUE", "1"], ["yes", ""]),
    (BOOL, False, "false", ["false", "False", "0"], []),
    (
        TIME,
        Time(1_777_636_800, 1),
        "2026-05-01 12:00:00.000000001 +0000 UTC",
        ["2026-05-01T12:00:00.000000001Z", "2026-05-01T14:00:00.000000001+02:00", "2026-05-01 12:00:00.000000001"],
        ["2026-05-01", "x", "2026-13-01T00:00:00Z"],
    ),
    (BYTES, b"\x01\x02\x03", "[1 2 3]", ["AQID"], []),
    (BYTES, b"plain text", "[112 108 97 105 110 32 116 101 120 116]", ["plain text"], []),
    (STRING, "", "", [""], []),
    (JSON, "a", "a", ["a"], []),
]


@pytest.mark.parametrize(("column", "key", "text", "accepted", "refused"), TYPED_KEYS)
async def test_an_id_is_parsed_by_the_type_of_the_key_column(
    service: Service, column: int, key: Any, text: str, accepted: list[str], refused: list[str]
) -> None:
    store = await service.new_store(columns=[pb.ColumnDef(name="k", type=column, primary_key=True)])
    await service.put(store, k=key)
    assert await service.keys(store) == [text]
    for form in accepted:
        answer = (await service.call("Get", pb.ObjectStoreRequest(store=store, id=form))).record
        assert answer == record(k=key)
    for form in refused:
        for method in ("Get", "GetKey", "Delete"):
            code, _ = await service.refused(method, pb.ObjectStoreRequest(store=store, id=form))
            assert code is Code.INVALID_ARGUMENT
    await service.call("Delete", pb.ObjectStoreRequest(store=store, id=accepted[0]))
    assert await service.keys(store) == []


async def test_keys_of_another_type_are_records_of_their_own(service: Service) -> None:
    store = await service.new_store(columns=[pb.ColumnDef(name="k", type=INT, primary_key=True)])
    for key in ("7", 7, 7.0, None):
        await service.put(store, k=key)
    assert await service.keys(store) == ["<nil>", "7", "7", "7"]
    await service.call("Delete", pb.ObjectStoreRequest(store=store, id="7"))
    answer = await service.call("GetAll", pb.ObjectStoreRangeRequest(store=store))
    assert [native(item.fields["k"]) for item in answer.records] == [None, 7.0, "7"]
    assert answer.records[1].fields["k"].WhichOneof("kind") == "float_value"


async def test_the_last_flagged_column_is_the_key_and_without_one_it_is_id(service: Service) -> None:
    columns = [pb.ColumnDef(name=name, type=INT, primary_key=True) for name in ("a", "b")]
    store = await service.new_store(columns=columns)
    await service.put(store, a=1, b=2)
    assert await service.keys(store) == ["2"]
    code, text = await service.refused("Put", pb.RecordRequest(store=store, record=record(a=1)))
    assert code is Code.INVALID_ARGUMENT
    assert '"b"' in text
    store = await service.new_store(columns=[pb.ColumnDef(name="id", type=INT)])
    await service.put(store, id=7)
    assert await service.get(store, "007") == {"id": 7}
    store = await service.new_store(columns=[pb.ColumnDef(name="other", type=INT)])
    await service.put(store, id="7")
    assert await service.get(store, "7") == {"id": "7"}


async def test_types_follow_each_other_in_one_order(service: Service) -> None:
    ordered: list[Any] = [
        None,
        False,
        True,
        -math.inf,
        -(2**63),
        -1.5,
        0,
        2**53,
        2.0**53,
        2**53 + 1,
        2**63 - 1,
        2.0**63,
        math.inf,
        math.nan,
        Time(-5),
        Time(0, 1),
        "",
        "a",
        "a\x00",
        "ab",
        "\uffff",
        "\U0001f600",
        b"",
        b"\x00",
        b"\xff",
        {},
        {"a": 1.0},
        {"a": 1.0, "b": 0.0},
        {"b": 0.0},
        [],
        [None],
        ["a"],
        ["a", "b"],
        ["b"],
    ]
    store = await service.new_store(columns=[pb.ColumnDef(name="k", type=JSON, primary_key=True)])
    for position in sorted(range(len(ordered)), key=lambda n: (n * 7919) % 101):
        await service.put(store, k=ordered[position], position=position)
    answer = await service.call("GetAll", pb.ObjectStoreRangeRequest(store=store))
    assert [fields(item)["position"] for item in answer.records] == list(range(len(ordered)))
    cursor = await service.cursor(store, direction=pb.CURSOR_PREV, keys_only=True)
    assert len(await cursor.keys()) == len(ordered)


async def test_a_request_up_to_64_mib_is_served_and_larger_lists_name_the_paged_way(service: Service) -> None:
    store = await service.new_store(index("n", "n"))
    for number in range(4):
        await service.put(store, id=f"k{number}", n=number, v=b"x" * (20 << 20))
    answer = await service.call("GetAll", pb.ObjectStoreRangeRequest(store=store, range=bounds(upper="k2")))
    assert len(answer.records) == 3
    code, text = await service.refused("GetAll", pb.ObjectStoreRangeRequest(store=store))
    assert code is Code.RESOURCE_EXHAUSTED
    assert "GetPage" in text
    query = pb.IndexQueryRequest(store=store, index="n")
    code, text = await service.refused("IndexGetAll", query)
    assert code is Code.RESOURCE_EXHAUSTED
    assert "GetPage" in text
    for operation in ({"get_all": pb.ObjectStoreRangeRequest(store=store)}, {"index_get_all": query}):
        answer = await (await service.transaction(store, mode=0)).do(**operation)
        assert answer.error.code == Code.RESOURCE_EXHAUSTED.value[0]
        assert "GetPage" in answer.error.message
    large = record(id="large", v=b"x" * (65 << 20))
    assert (await service.refused("Put", pb.RecordRequest(store=store, record=large)))[0] is Code.RESOURCE_EXHAUSTED
    cursor = await service.cursor(store)
    assert await cursor.keys() == ["k0", "k1", "k2", "k3"]
    await service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=store))
