"""Structs written as bytes read back as what they say."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.hostservices.struct_wire import field, list_value, struct_value, text_value, texts
from gestalt_sdk.transport.values import from_struct, to_struct


@given(st.dictionaries(st.text(), st.text(max_size=300)))
def test_texts(members: dict[str, str]) -> None:
    raw = b"".join(field(name, text_value(text)) for name, text in members.items())
    assert from_struct(Struct.FromString(raw)) == members


def test_nesting_and_lengths_of_every_size() -> None:
    inner = to_struct({"n": 1, "long": "x" * 20_000, "deep": [None, {"a": True}]}).SerializeToString()
    raw = texts(a="1", b="") + field("o", struct_value(inner)) + field("l", list_value([text_value("x")] * 200))
    assert from_struct(Struct.FromString(raw)) == {
        "a": "1",
        "o": {"n": 1, "long": "x" * 20_000, "deep": [None, {"a": True}]},
        "l": ["x"] * 200,
    }
    assert from_struct(Struct.FromString(field("e", struct_value(b"")))) == {"e": {}}


def test_joined_structs_overlay() -> None:
    joined = to_struct({"a": 1, "b": {"x": 1}}).SerializeToString() + to_struct({"b": 2}).SerializeToString()
    assert from_struct(Struct.FromString(joined)) == {"a": 1, "b": 2}
