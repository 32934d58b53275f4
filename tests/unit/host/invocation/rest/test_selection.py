"""Parts of JSON answers, as the other side wrote them."""

from __future__ import annotations

import asyncio

import pytest

from gestalt_host.invocation.rest import selection
from gestalt_host.invocation.rest.selection import Document, Unselectable, read
from tests.support.waiting import one_turn

DOCUMENT = (
    b'\xef\xbb\xbf {"a": {"b\\u0031": [1, {"c": 1.0}, 12345678901234567890.10]}, '
    b'"n": null, "a b": "\xc3\xa9", "d": 1, "d": 2}\n'
)


def select(data: bytes, path: str) -> bytes:
    document = Document(data)
    return document.text(document.part(path)).encode()


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("a.b1", b'[1, {"c": 1.0}, 12345678901234567890.10]'),
        ("a.b1.2", b"12345678901234567890.10"),
        ("a.b1.1.c", b"1.0"),
        ("n", b"null"),
        ("a b", b'"\xc3\xa9"'),
        ("d", b"2"),
        ("", DOCUMENT.strip(b"\xef\xbb\xbf \n")),
    ],
)
def test_a_part_is_as_it_was_written(path: str, part: bytes) -> None:
    assert select(DOCUMENT, path) == part


@pytest.mark.parametrize("path", ["x", "a.x", "a.b1.3", "a.b1.-1", "a.b1.x", "n.x", "d.x", "a..b1", "."])
def test_a_part_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(Unselectable) as caught:
        select(DOCUMENT, path)
    assert str(caught.value) == f"the answer has no {path}"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the answer is no JSON at character 0"),
        (b'{"a": ', "no JSON"),
        (b'{"a": 1} x', "goes on behind its end"),
        (b'{"a": 1,}', "no JSON"),
        (b"{'a': 1}", "no JSON"),
        (b'{"a" 1}', "no JSON"),
        (b'{"a": NaN}', "the answer is no JSON: it has NaN"),
        (b"<html>", "no JSON"),
        (b'{"a": "caf\xe9"}', "no UTF-8 text"),
        (b"[" * 100_000, "too deep inside each other"),
        (b'{"a":' * 100_000, "too deep inside each other"),
    ],
)
def test_what_is_no_json_is_refused_without_its_values(data: bytes, reason: str) -> None:
    with pytest.raises(Unselectable) as caught:
        select(data, "a")
    assert reason in str(caught.value)


def test_a_number_of_any_length_goes_through() -> None:
    digits = b"1" * 10_000
    assert select(b'{"a": [' + digits + b", 1e999]}", "a.0") == digits


def test_items_are_those_of_a_list() -> None:
    document = Document(b' [ 1 , {"a": [2, 3]},"x,]" ] ')
    assert [document.text(item) for item in document.items(document.part(""))] == ["1", '{"a": [2, 3]}', '"x,]"']
    assert Document(b"[]").items((0, 2)) == []
    with pytest.raises(Unselectable, match="what should be the list of items is none"):
        document.items(Document(b'{"a": 1}').part(""))


async def test_others_have_their_turn_while_a_long_document_is_read() -> None:
    data = b'{"a": [' + b",".join(b'{"n": %d}' % number for number in range(100_000)) + b"]}"
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await one_turn()

    busy = asyncio.create_task(others())
    assert len(await read(data, lambda document: document.items(document.part("a")))) == 100_000
    busy.cancel()
    assert turns > 1


@pytest.mark.parametrize(
    ("data", "path"), [(b"[" + b"1," * 50_000 + b"1]", "50000"), (b"{" + b'"a":1,' * 50_000 + b'"b":1}', "b")], ids=len
)
async def test_a_document_that_takes_too_long_is_told_so(data: bytes, path: str) -> None:
    with pytest.raises(Unselectable, match="takes longer to read than its operation has time"):
        Document(data, until=0).part(path)
    with pytest.raises(Unselectable, match="takes longer to read than its operation has time"):
        await read(data, lambda document: document.part(path), within_s=0)


def test_no_more_items_are_taken_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_ITEMS", 3)
    document = Document(b"[1,2,3,4]")
    with pytest.raises(Unselectable, match="no more are taken"):
        document.items(document.part(""))
    assert document.text(document.part("3")) == "4"
    short = Document(b"[1,2,3]")
    assert len(short.items(short.part(""))) == 3
