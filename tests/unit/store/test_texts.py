"""Key values as texts and back, and JSON bytes read without the library's depth limit."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from gestalt_store.errors import Invalid, Undecodable
from gestalt_store.values import values
from gestalt_store.values.keys import MAX_DEPTH, Moment
from gestalt_store.values.rendering import BOOL, FLOAT, INT, TIME, parse, render
from google.protobuf.struct_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "<nil>"),
        (True, "true"),
        (3, "3"),
        (1.5, "1.5"),
        (3.0, "3"),
        (1e21, "1e+21"),
        (100000.0, "100000"),
        (1e6, "1e+06"),
        (9.223372036854776e18, "9.223372036854776e+18"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-0.0, "-0"),
        (math.nan, "NaN"),
        (-math.inf, "-Inf"),
        (5e-324, "5e-324"),
        (b"ab", "[97 98]"),
        ([1, "a"], "[1 a]"),
        ({"x": 1.0, "a": None}, "map[a:<nil> x:1]"),
        (Moment(1_777_636_800, 500_000_000), "2026-05-01 12:00:00.5 +0000 UTC"),
        (Moment(-62_135_596_800, 0), "0001-01-01 00:00:00 +0000 UTC"),
    ],
)
def test_rendering(value: Any, text: str) -> None:
    assert render(value) == text


@given(st.floats(allow_nan=False))
def test_a_float_can_be_sent_back_as_its_text(value: float) -> None:
    back = parse(render(value), FLOAT)
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_can_be_sent_back_as_its_text(value: int) -> None:
    assert parse(render(value), INT) == value


@given(st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999_999))
def test_a_time_can_be_sent_back_as_its_text(seconds: int, nanos: int) -> None:
    assert parse(render(Moment(seconds, nanos)), TIME) == Moment(seconds, nanos)


@pytest.mark.parametrize(
    ("text", "column"),
    [("1_000", INT), ("0x10", INT), ("\u0661", INT), ("1e400", FLOAT), ("infin", FLOAT), ("True ", BOOL), ("", BOOL)]
    + [
        (text, TIME)
        for text in ("2026-02-30T00:00:00Z", "2026-05-01T00:00:00", "2026-05-01 00:00:00Z", "26-05-01T00:00:00Z")
    ],
)
def test_what_is_none_of_the_columns_type_is_refused(text: str, column: int) -> None:
    with pytest.raises(Invalid):
        parse(text, column)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_bytes_are_read_and_written_as_the_library_does(value: Any) -> None:
    data = values.write_json(value)
    assert values.read_json(data) == value
    assert values._value(memoryview(data), 0) == value
    assert Value.FromString(data).SerializeToString(deterministic=True) == Value.FromString(
        Value.FromString(data).SerializeToString()
    ).SerializeToString(deterministic=True)


def nested(depth: int) -> bytes:
    data = values.write_json(1.0)
    for _ in range(depth):
        body = values.write_json([None])[2:]
        assert body
        out = bytearray()
        values._field(out, 0x0A, data)
        outer = bytearray()
        values._field(outer, 0x32, out)
        data = bytes(outer)
    return data


def test_json_is_read_to_the_depth_limit_and_refused_beyond() -> None:
    value: Any = values.read_json(nested(MAX_DEPTH))
    for _ in range(MAX_DEPTH):
        (value,) = value
    assert value == 1.0
    with pytest.raises(Undecodable, match="nested deeper"):
        values.read_json(nested(MAX_DEPTH + 1))


@given(st.binary(max_size=40))
def test_any_bytes_either_decode_or_are_refused(data: bytes) -> None:
    for wrapped in (data, b"\x2a" + bytes([len(data)]) + data, b"\x32" + bytes([len(data)]) + data):
        for read in (values.read_json, values.read_record):
            with contextlib.suppress(Undecodable):
                read(wrapped)
