"""How JSON values are written in requests (packaging.md 4.2, decision 32)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.invocation.rest.values import Unwritable, json_body, json_text, number_text, text_of

# What ECMAScript's Number::toString gives.
NUMBERS = {
    "0": [0, 0.0, -0.0],
    "-1": [-1, -1.0],
    "1000000": [1e6, 1_000_000],
    "1234567": [1234567.0],
    "2.5": [2.5],
    "0.1": [0.1],
    "0.30000000000000004": [0.1 + 0.2],
    "4.35": [4.35],
    "123456.789": [123456.789],
    "9007199254740991": [2**53 - 1, 2.0**53 - 1],
    "9007199254740992": [2**53, 2.0**53],
    "1152921504606847000": [2**60, 2.0**60],
    "10000000000000000": [1e16],
    "12345678901234567000": [12345678901234567168, 12345678901234567890.0],
    "100000000000000000000": [1e20, 10**20],
    "123456789012345680000": [123456789012345680000.0],
    "1e+21": [1e21, 10**21],
    "-1e+21": [-1e21],
    "1.5e+300": [1.5e300],
    "1.7976931348623157e+308": [1.7976931348623157e308],
    "0.00001": [1e-5],
    "0.000001": [1e-6],
    "0.0000012": [1.2e-6],
    "1e-7": [1e-7],
    "-1.5e-7": [-1.5e-7],
    "2.2250738585072014e-308": [2.2250738585072014e-308],
    "5e-324": [5e-324],
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(("text", "number"), [(text, one) for text, many in NUMBERS.items() for one in many])
def test_numbers_are_written_as_ecmascript_does(text: str, number: float) -> None:
    assert number_text(number) == text
    assert text_of(number) == text
    assert json_text([number]) == f"[{text}]"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_as_the_same_double(number: float) -> None:
    text = number_text(number)
    assert float(text) == number
    assert "e" not in text or abs(number) >= 1e21 or abs(number) < 1e-6
    assert not text.endswith(".0")


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 10**400])
def test_a_number_that_json_does_not_have_is_refused(number: float) -> None:
    with pytest.raises(Unwritable, match="accepted is a finite one"):
        text_of({"n": [number]})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("", ""),
        ("3", "3"),
        ('a "b"', 'a "b"'),
        ([], "[]"),
        ({}, "{}"),
        ({"b": [1.0, None, "é"], "a": {"z": True, "y": ""}}, '{"a":{"y":"","z":true},"b":[1,null,"é"]}'),
    ],
)
def test_other_values_are_compact_json(value: object, text: str) -> None:
    assert text_of(value) == text


def test_the_bytes_of_a_body_are_those_that_were_recorded() -> None:
    body = json_body({"b": 1, "a": "<é&☃>\u2028", "c": {"z": 1.0, "y": []}})
    assert body.decode() == '{"a":"\\u003cé\\u0026☃\\u003e\\u2028","b":1,"c":{"y":[],"z":1}}'


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_a_body_reads_as_what_was_given(params: dict[str, Any]) -> None:
    body = json_body(params)
    assert json.loads(body, parse_int=float) == params
    assert not set(b"<>&") & set(body)


@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"k": "\ud800"}, {"\ud800": 1}])
def test_half_of_a_surrogate_pair_is_refused(value: object) -> None:
    with pytest.raises(Unwritable, match="surrogate"):
        text_of(value)


def test_what_is_no_json_value_is_a_mistake_of_the_host() -> None:
    with pytest.raises(TypeError, match="bytes"):
        text_of([b""])
