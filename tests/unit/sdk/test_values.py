"""Record values survive the way to the wire and back; what has no place there is refused by name."""

from __future__ import annotations

import copy
import math
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.indexeddb import (
    KeyRange,
    Nanos,
    from_key,
    from_record,
    from_typed,
    to_key,
    to_range,
    to_record,
    to_typed,
)
from gestalt_sdk.transport.values import from_struct, from_timestamp, rfc3339, to_struct, to_timestamp

times = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))
nanos = st.builds(Nanos.at, times, st.integers(0, 999))
texts = st.text(st.characters(codec="utf-8"))
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_leaves = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    json_leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=10
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary()
    | times
    | nanos
)
fields = scalars | st.lists(json_values, max_size=4) | st.dictionaries(texts, json_values, max_size=4)


@given(st.dictionaries(texts, fields, max_size=6))
def test_a_record_comes_back_as_it_went(record: dict[str, Any]) -> None:
    wire = to_record(record).SerializeToString()
    back = from_record(pb.Record.FromString(wire))
    assert back == record
    for name, value in record.items():
        if isinstance(value, float):
            assert math.copysign(1, back[name]) == math.copysign(1, value)
        if not isinstance(value, (list, dict, datetime)):
            assert type(back[name]) is type(value)


@given(st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_a_key_comes_back_as_it_went(key: Any) -> None:
    assert from_key(pb.KeyValue.FromString(to_key(key).SerializeToString())) == key


@given(st.dictionaries(texts, json_values, max_size=6))
def test_a_struct_comes_back_as_it_went(value: dict[str, Any]) -> None:
    assert from_struct(to_struct(value)) == value


def test_int_float_and_bool_are_three_kinds() -> None:
    assert [to_typed(value).WhichOneof("kind") for value in (True, 1, 1.0, None, b"", "")] == [
        "bool_value", "int_value", "float_value", "null_value", "bytes_value", "string_value",
    ]  # fmt: skip
    assert math.isnan(from_typed(to_typed(math.nan)))
    assert from_typed(to_typed(-math.inf)) == -math.inf


def test_what_the_wire_may_leave_unset_is_null() -> None:
    assert from_typed(pb.TypedValue()) is None
    assert from_typed(pb.TypedValue(json_value=Value(null_value=0))) is None  # type: ignore[arg-type]
    assert from_typed(pb.TypedValue(json_value=Value())) is None
    whole = from_typed(pb.TypedValue(json_value=Value(number_value=3)))
    assert whole == 3
    assert type(whole) is float
    assert from_typed(pb.TypedValue(json_value=Value(string_value="x"))) == "x"
    assert from_record(to_record({"a": None})) == {"a": None}
    assert from_record(to_record({})) == {}
    assert from_typed(to_typed([])) == []
    assert from_typed(to_typed({})) == {}
    assert from_typed(to_typed(datetime(1970, 1, 1, tzinfo=UTC))) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2**63, ValueError, "n is 9223372036854775808; accepted are integers of 64 bits with sign"),
        (-(2**63) - 1, ValueError, "accepted are integers of 64 bits"),
        ({1, 2}, TypeError, "n is a set; accepted are None, bool, int, float"),
        ({"at": [datetime(2026, 1, 1)]}, TypeError, r"n: at\[0\]: datetime is not a JSON value"),
        ({1: 2}, TypeError, "n: value: key 1 is not text"),
        ({"ids": [1, 2**53 + 1]}, ValueError, r"n: ids\[1\] is an integer that no double holds"),
    ],
)
def test_a_value_that_records_do_not_have_is_refused_by_name(value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        to_record({"n": value})


def test_times_of_any_zone_are_instants() -> None:
    moment = datetime(2026, 5, 1, 14, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    expected = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert from_typed(to_typed(moment)) == expected
    assert from_typed(to_typed(datetime(2026, 5, 1, 12, 0, 0, 123456))) == expected
    early = to_typed(datetime(1, 1, 1, tzinfo=UTC)).time_value
    assert (early.seconds, early.nanos) == (-62135596800, 0)
    late = pb.TypedValue(time_value=Timestamp(seconds=253402300799, nanos=999_999_999))
    assert to_typed(from_typed(late)) == late
    assert from_timestamp(to_timestamp(moment)) == expected
    assert rfc3339(moment) == "2026-05-01T12:00:00.123456Z"


def test_nanoseconds_order_and_travel() -> None:
    plain = datetime(2026, 5, 1, 12, tzinfo=UTC)
    fine, finer = Nanos.at(plain, 1), Nanos.at(plain, 2)
    assert plain < fine < finer
    assert finer > fine > plain
    assert fine <= finer
    assert finer >= plain
    assert plain <= fine
    assert fine != plain
    assert plain != fine
    assert fine != finer
    assert Nanos.at(plain, 0) == plain
    assert len({plain, Nanos.at(plain, 0), fine, finer}) == 3
    assert fine != "x"
    assert fine != 1
    assert fine < plain + timedelta(microseconds=1)
    assert sorted([finer, plain, fine]) == [plain, fine, finer]
    for same in (copy.deepcopy(fine), pickle.loads(pickle.dumps(fine))):
        assert same == fine
        assert same.nanosecond == 1
    assert (fine + timedelta(0)) == plain
    with pytest.raises(ValueError, match="nanosecond is 1000; accepted is 0 to 999"):
        Nanos(2026, 1, 1, nanosecond=1000)


def test_an_absent_bound_stays_absent() -> None:
    assert to_range(None) is None
    message = to_range(KeyRange(lower=[1, "a"], lower_open=True))
    assert message is not None
    assert message.HasField("lower")
    assert not message.HasField("upper")
    assert message.lower.WhichOneof("kind") == "json_value"
    assert message.lower_open
    assert KeyRange.only(3) == KeyRange.bound(3, 3)
