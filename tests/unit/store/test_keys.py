"""The key encoding: byte order is key order, and every key comes back."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from gestalt_store.values.keys import AFTER, Encoded, Moment, decode, decode_parts, encode, encode_parts
from hypothesis import example, given
from hypothesis import strategies as st

integers = st.integers(-(2**63), 2**63 - 1)
near_limits = st.sampled_from([2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63), 2**63 - 513]).map(int)
floats = st.floats(allow_nan=True, allow_infinity=True)
numbers = integers | near_limits | near_limits.map(float) | floats
moments = st.builds(Moment, st.integers(-62_135_596_800, 253_402_300_799), st.integers(0, 999_999_999))
texts = st.text(max_size=6) | st.sampled_from(["\x00", "a\x00", "a\x00\x00b"])
scalars = st.none() | st.booleans() | numbers | moments | texts | st.binary(max_size=6)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)


def rank(value: Any) -> int:
    if value is None:
        return 0
    kinds: tuple[Any, ...] = (bool, (int, float), Moment, str, bytes, dict, list)
    for position, kind in enumerate(kinds, 1):
        if isinstance(value, kind):
            return position
    raise AssertionError(value)


def comparable(value: Any) -> Any:
    """A key whose Python order is the order that the encoding must have."""
    kind = rank(value)
    if kind == 2:
        if math.isnan(value):
            return kind, 1, 0
        return (kind, 0, value) if math.isinf(value) else (kind, 0, Fraction(value))
    if kind == 4:
        return kind, value.encode()
    if kind == 6:
        return kind, [
            (name.encode(), comparable(item)) for name, item in sorted(value.items(), key=lambda e: e[0].encode())
        ]
    if kind == 7:
        return kind, [comparable(item) for item in value]
    return kind, value


def exact(value: Any) -> Any:
    """Equal only for the same key: 1, 1.0, 0.0 and -0.0 differ."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, Moment):
        return "time", *value
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    return type(value).__name__, repr(value)


@given(values, values)
@example(2**53 + 1, float(2**53))
@example(2**63 - 1, 2.0**63)
@example("a", "a\x00")
@example([], [None])
def test_byte_order_is_key_order(left: Any, right: Any) -> None:
    a, b = comparable(left), comparable(right)
    expected = (a > b) - (a < b)
    x, y = encode(left).order, encode(right).order
    assert (x > y) - (x < y) == expected


@given(values)
@example(-0.0)
@example({"": [1, 1.0, -0.0, {"a": math.nan}]})
def test_a_key_comes_back(value: Any) -> None:
    key = encode(value)
    assert exact(decode(key.whole)) == exact(value)


@given(values, values)
def test_different_keys_differ_and_equal_ones_do_not(left: Any, right: Any) -> None:
    assert (encode(left) == encode(right)) == (exact(left) == exact(right))
    assert (encode(left).whole == encode(right).whole) == (exact(left) == exact(right))


@given(st.lists(values, max_size=4), st.lists(values, max_size=4))
def test_index_keys_are_ordered_part_by_part(left: list[Any], right: list[Any]) -> None:
    a, b = [comparable(v) for v in left], [comparable(v) for v in right]
    x, y = encode_parts(left).order, encode_parts(right).order
    assert ((x > y) - (x < y)) == ((a > b) - (a < b))
    assert exact(decode_parts(encode_parts(left))) == exact(left)


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_the_keys_that_begin_with_some_parts_are_one_span(start: list[Any], key: list[Any]) -> None:
    prefix, whole = encode_parts(start).order, encode_parts(key).order
    begins = [comparable(v) for v in key[: len(start)]] == [comparable(v) for v in start]
    assert (prefix <= whole < prefix + AFTER) == begins


@given(values, values)
def test_whole_keys_keep_the_order_of_their_order_parts(left: Any, right: Any) -> None:
    x, y = encode(left), encode(right)
    if x.order != y.order:
        assert (x.whole < y.whole) == (x.order < y.order)
    assert (x.order <= y.whole < x.order + AFTER) == (x.order == y.order)


def test_one_and_one_point_nought_compare_equal_but_are_two_keys() -> None:
    assert encode(1).order == encode(1.0).order == encode_parts([1]).order
    assert len({encode(1).whole, encode(1.0).whole, encode(0.0).whole, encode(-0.0).whole, encode(0).whole}) == 5


def test_integers_outside_64_bits_are_refused() -> None:
    with pytest.raises(OverflowError):
        encode(2**63)


def test_text_keys_are_short() -> None:
    assert encode("abc") == Encoded(b"\x07abc\x00", b"")
