"""Integers in free-form values arrive as they were given, or are refused by name (decision 28)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt_sdk.common.numbers import INEXACT, first_inexact, is_exact
from gestalt_sdk.transport.values import from_value, to_struct, to_value


@given(st.integers(-(2**70), 2**70) | st.integers(2**53 - 4, 2**53 + 4))
def test_an_integer_is_exact_when_it_arrives_as_it_is(number: int) -> None:
    if is_exact(number):
        assert from_value(to_value(number)) == number
    else:
        assert float(number) != number
        with pytest.raises(ValueError, match=INEXACT):
            to_value(number)


@pytest.mark.parametrize("number", [0, -(2**53), 2**53, 2**53 + 2, 2**64, 10**22, 2**1023, -(2**1000)])
def test_integers_of_any_size_that_are_doubles_are_exact(number: int) -> None:
    assert is_exact(number)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 3544790567247868102, 2**64 - 1, 10**23, 2**1024, 2**1100])
def test_others_are_not(number: int) -> None:
    assert not is_exact(number)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"value": 3544790567247868102}, ("value",)),
        ({"a": [{"b": 1}, {"c d": [True, 2**53 + 1]}]}, ("a", 1, "c d", 1)),
        (2**53 + 1, ()),
        ({"a": [1.5, "9007199254740993", None, True, 2**53, float("inf")]}, None),
    ],
)
def test_the_first_inexact_integer_is_found_with_its_path(value: Any, path: tuple[str | int, ...] | None) -> None:
    assert first_inexact(value) == path


def test_a_struct_names_the_member_at_fault() -> None:
    with pytest.raises(ValueError, match=re.escape(f"items[1].id {INEXACT}")):
        to_struct({"items": [{"id": 1}, {"id": 9007199254740993}]})
    with pytest.raises(ValueError, match=f"value {INEXACT}"):
        to_value(2**2000)
