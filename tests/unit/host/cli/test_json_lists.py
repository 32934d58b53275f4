"""A JSON list read item by item: as a whole parse reads it, however it is cut, and held no longer than needed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.cli.json_lists import NotAList, items_of

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def in_parts(document: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(document), size):
        yield document[start : start + size]


@given(items=st.lists(VALUES, max_size=5), size=st.integers(1, 20), indent=st.booleans())
def test_it_is_what_a_whole_parse_gives(items: list[Any], size: int, indent: bool) -> None:
    document = orjson.dumps(items, option=orjson.OPT_INDENT_2 if indent else None) + b"\n"
    assert list(items_of(in_parts(document, size))) == orjson.loads(document)


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("number", ["12345678901234567890123", "1e400", "-0", "1E+2", "123456789"])
def test_numbers_are_those_of_a_whole_parse(number: str, size: int) -> None:
    document = f"[{number},{number}]".encode()
    try:
        expected = orjson.loads(document)
    except ValueError:
        expected = None
    if expected is not None:
        assert list(items_of(in_parts(document, size))) == expected


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    "document",
    ["", " ", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "[1] x", "[NaN]", '["a', "[{]", '{"a":', '["\x01"]'],
)
def test_what_is_no_json_is_refused(document: str, size: int) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        list(items_of(in_parts(document.encode(), size)))
    assert not isinstance(refused.value, NotAList)


def test_broken_utf_8_is_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        list(items_of([b'["\xff"]']))


@pytest.mark.parametrize("size", [1, 100])
def test_another_document_comes_whole(size: int) -> None:
    with pytest.raises(NotAList) as found:
        list(items_of(in_parts(b' {"error": [1]}\n', size)))
    assert found.value.value == {"error": [1]}


def test_items_before_a_fault_come() -> None:
    items = items_of([b'[{"a":1},{"b"', b":"])
    assert next(items) == {"a": 1}
    with pytest.raises(ValueError, match="Expecting"):
        next(items)


def test_a_long_list_is_not_held() -> None:
    item = orjson.dumps({"body": "x" * 60_000})

    def chunks() -> Iterator[bytes]:
        yield b"["
        for _ in range(500):
            yield item
            yield b","
        yield b"1]"

    tracemalloc.start()
    try:
        assert sum(1 for _ in items_of(chunks())) == 501
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
