"""Messages typed as JSON: cut where they end, refused with line and field, shown without what is not printable."""

from __future__ import annotations

import json

import pytest
from google.protobuf import descriptor_pool, field_mask_pb2, struct_pb2, wrappers_pb2
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.provider.json_messages import JsonSplitter, JsonText, read_message, shown
from gestalt_sdk.gen.v1 import datastore_pb2, plugin_pb2

POOL = descriptor_pool.Default()


def split(*parts: bytes) -> list[JsonText]:
    splitter = JsonSplitter()
    found = [text for part in parts for text in splitter.feed(part)]
    return [*found, *splitter.finish()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t", []),
        ("{}", [("{}", 1)]),
        ('{"a":1}{"b":2}', [('{"a":1}', 1), ('{"b":2}', 1)]),
        ('\n{"a":\n1}\n\n {"b":2}', [('{"a":\n1}', 2), ('{"b":2}', 5)]),
        (r'{"a":"}\"{"}', [(r'{"a":"}\"{"}', 1)]),
        (r'{"a":"\\"} {}', [(r'{"a":"\\"}', 1), ("{}", 1)]),
        ("1 true\nnull", [("1", 1), ("true", 1), ("null", 2)]),
        ('"a b" [1, 2]', [('"a b"', 1), ("[1, 2]", 1)]),
        ("1{}", [("1", 1), ("{}", 1)]),
        ('{"a":', [('{"a":', 1)]),
        ("} {}", [("}", 1), ("{}", 1)]),
    ],
)
def test_values_are_cut_where_they_end(text: str, expected: list[tuple[str, int]]) -> None:
    assert [(item.text, item.line) for item in split(text.encode())] == expected


@given(st.lists(st.dictionaries(st.text(), st.text()), max_size=4), st.integers(1, 7))
def test_it_is_the_same_however_the_text_comes(values: list[dict[str, str]], size: int) -> None:
    data = "\n".join(json.dumps(value, ensure_ascii=False) for value in values).encode(errors="surrogatepass")
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    try:
        whole = split(data)
    except CommandFailed:
        with pytest.raises(CommandFailed):
            split(*parts)
        return
    assert split(*parts) == whole
    assert [json.loads(item.text) for item in whole] == values


def test_what_is_no_utf_8_is_refused_with_its_line() -> None:
    with pytest.raises(CommandFailed, match="line 2 is not UTF-8"):
        split(b'{"a":1}\n', b'{"\xff')


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{\n"store": }', "line 4, column 10 of the message is no JSON: Expecting value"),
        (
            '{\n"store": "a",\n"sotre": "b"}',
            "line 5 of the message does not fit: gestalt.provider.v1.ObjectStoreRangeRequest has no field sotre; "
            "it has store, range",
        ),
        ('{\n"store": 3}', "line 4 of the message does not fit: Failed to parse store field: expected string"),
        ('{"store": "a", "store": "b"}', "line 3 of the message does not fit: duplicate key store"),
        ("[]", "line 3: a message is a JSON object, in braces"),
        ("3", "line 3: a message is a JSON object, in braces"),
        ("[" * 100_000, "line 3: the message is nested too deeply"),
    ],
)
def test_what_does_not_fit_is_refused_with_line_and_field(text: str, error: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        read_message(JsonText(text, 3), datastore_pb2.ObjectStoreRangeRequest, POOL)
    assert error in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_message_is_read_by_either_name_of_its_fields() -> None:
    for text in ('{"invocation_token": "t"}', '{"invocationToken": "t"}'):
        message = read_message(JsonText(text, 1), plugin_pb2.ExecuteRequest, POOL)
        assert message == plugin_pb2.ExecuteRequest(invocation_token="t")


WRAPPED = (
    (wrappers_pb2.Int64Value, '"-5"', wrappers_pb2.Int64Value(value=-5)),
    (wrappers_pb2.BytesValue, '"AP8="', wrappers_pb2.BytesValue(value=b"\0\xff")),
    (wrappers_pb2.BoolValue, "true", wrappers_pb2.BoolValue(value=True)),
    (field_mask_pb2.FieldMask, '"a,bC"', field_mask_pb2.FieldMask(paths=["a", "b_c"])),
    (struct_pb2.Value, "null", struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)),
)


@pytest.mark.parametrize(("kind", "text", "expected"), WRAPPED)
def test_a_message_whose_json_is_no_object_is_read(kind: type[Message], text: str, expected: Message) -> None:
    assert read_message(JsonText(text, 1), kind, POOL) == expected


@pytest.mark.parametrize(
    ("kind", "text", "field"),
    [
        (datastore_pb2.TypedValue, '{"bytesValue": "***"}', "bytesValue"),
        (datastore_pb2.TypedValue, '{"bytes_value": "A"}', "bytes_value"),
        (datastore_pb2.Record, '{"fields": {"a": {"bytesValue": "A=A"}}}', "bytesValue"),
        (datastore_pb2.KeyValue, '{"array": {"elements": [{"scalar": {"bytesValue": "a b"}}]}}', "bytesValue"),
        (wrappers_pb2.BytesValue, '"*"', "the value"),
    ],
)
def test_bytes_that_are_no_base64_are_refused(kind: type[Message], text: str, field: str) -> None:
    with pytest.raises(CommandFailed, match=f"line 2 of the message does not fit: {field} is of bytes"):
        read_message(JsonText(text, 2), kind, POOL)


def test_both_alphabets_of_base64_are_read_padded_or_not() -> None:
    for text in ("_-A=", "/+A=", "_-A", "/+A"):
        message = read_message(JsonText(json.dumps({"bytesValue": text}), 1), datastore_pb2.TypedValue, POOL)
        assert message == datastore_pb2.TypedValue(bytes_value=b"\xff\xe0")


def test_control_characters_are_shown_as_escapes() -> None:
    message = plugin_pb2.OperationResult(status=200, body="\x1b[31mé\u202e\x9b")
    text = shown(message, POOL)
    assert all(line.isprintable() for line in text.split("\n"))
    assert read_message(JsonText(text, 1), plugin_pb2.OperationResult, POOL) == message
    assert "é" in text
