"""JSON as it is written: numbers, order, times, empty members (http-api.md 1.2, 1.3)."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.http.shapes.rendering import document, error_document, free_form, put_time


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.0, b"1"),
        (-1.0, b"-1"),
        (0.0, b"0"),
        (1e6, b"1000000"),
        (0.5, b"0.5"),
        (1e-6, b"0.000001"),
        (1.5e-5, b"0.000015"),
        (1e-7, b"1e-7"),
        (-1.25e-9, b"-1.25e-9"),
        (1e20, b"100000000000000000000"),
        (1.2345678901234567e20, b"123456789012345670000"),
        (1e21, b"1e+21"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (5e-324, b"5e-324"),
        (2**53, b"9007199254740992"),
        (10**30, b"1e+30"),
        (True, b"true"),
        (None, b"null"),
        ("é<&>\u2028", '"é<&>\u2028"'.encode()),
    ],
)
def test_a_value_is_written_as(value: object, written: bytes) -> None:
    assert document(free_form(value)) == written + b"\n"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_read_back_unchanged(value: float) -> None:
    assert float(json.loads(document(free_form(value)))) == value


@given(st.integers(min_value=-(10**40), max_value=10**40))
def test_every_integer_is_read_back_as_its_double(value: int) -> None:
    assert math.isclose(json.loads(document(free_form(value))), value, rel_tol=1e-15)


def test_keys_of_free_form_maps_are_sorted_by_byte_order_at_every_level() -> None:
    value = {"b": {"z": 1, "Z": 2}, "é": 3, "a": [{"y": 1, "x": 2}], "<": 0}
    assert document(free_form(value)) == '{"<":0,"a":[{"x":2,"y":1}],"b":{"Z":2,"z":1},"é":3}\n'.encode()


def test_times_are_utc_and_absent_ones_left_out() -> None:
    shape: dict[str, object] = {}
    put_time(shape, "a", datetime(2026, 5, 8, 9, 0, 0, 250_000, UTC))
    put_time(shape, "b", datetime(2026, 5, 8, 11, 0, 0, 0, timezone(timedelta(hours=2))))
    put_time(shape, "c", None)
    assert shape == {"a": "2026-05-08T09:00:00.25Z", "b": "2026-05-08T09:00:00Z"}


def test_the_error_envelope_has_a_code_only_when_there_is_one() -> None:
    assert error_document("no") == b'{"error":"no"}\n'
    assert (
        error_document("no", "not_connected", "crm") == b'{"error":"no","code":"not_connected","integration":"crm"}\n'
    )
