"""Bodies: what is accepted, what is refused and how values come out, byte for byte (http-api.md 1.2)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt_host.errors import InvalidArgument
from gestalt_host.http.shapes.bodies import (
    MAX_NESTING,
    InvalidBody,
    Shape,
    anything,
    boolean,
    decode_lenient,
    decode_parameters,
    decode_strict,
    free_object,
    integer,
    list_of,
    moment,
    nested,
    optional,
    parse,
    parse_moment,
    text,
)
from gestalt_host.http.shapes.workflows import EVENT, SCHEDULE
from gestalt_sdk.common.numbers import INEXACT

WHOLE = "a whole number of 32 bits, without fraction and exponent"

INNER = Shape.of(a=text, b=text)
SHAPE = Shape.of(
    name=text,
    dataContentType=text,
    flag=boolean,
    count=integer,
    at=moment,
    input=free_object,
    value=anything,
    inner=nested(INNER),
    chosen=optional(INNER),
    items=list_of(INNER),
)


def strict(body: bytes) -> dict[str, Any]:
    return decode_strict(body, SHAPE)


def lenient(body: bytes) -> dict[str, Any]:
    return decode_lenient(body, SHAPE)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"{}", {}),
        (b"null", {}),
        (b' \t\r\n{"name":"x"} \n', {"name": "x"}),
        (b'{"NAME":"x"}', {"name": "x"}),
        (b'{"DATACONTENTTYPE":"x"}', {"dataContentType": "x"}),
        (b'{"datacontenttype":"x"}', {"dataContentType": "x"}),
        ('{"item\u017f":[]}'.encode(), {"items": []}),
        (b'{"name":"a","NAME":"b","name":"c"}', {"name": "c"}),
        (b'{"NAME":"a","name":"b"}', {"name": "b"}),
        (b'{"name":"a","name":null}', {"name": "a"}),
        (b'{"flag":true,"count":7}', {"flag": True, "count": 7}),
        (b'{"name":null,"flag":null,"count":null,"at":null,"input":null,"inner":null,"chosen":null,"items":null}', {}),
        (b'{"chosen":{}}', {"chosen": {}}),
        (b'{"chosen":{"a":"1"},"chosen":null}', {}),
        (b'{"inner":{"a":"1"},"inner":{"b":"2"}}', {"inner": {"a": "1", "b": "2"}}),
        (b'{"chosen":{"a":"1","b":"1"},"CHOSEN":{"B":"2"}}', {"chosen": {"a": "1", "b": "2"}}),
        (b'{"inner":{"a":"1"},"inner":null}', {"inner": {"a": "1"}}),
        (b'{"input":{"A":1,"a":2}}', {"input": {"A": 1, "a": 2}}),
        (b'{"input":{"a":1,"a":2}}', {"input": {"a": 2}}),
        (b'{"input":{"a":1,"c":{"x":1}},"input":{"b":2,"c":{}}}', {"input": {"a": 1, "b": 2, "c": {}}}),
        (b'{"items":[{"a":"1"},null,{}]}', {"items": [{"a": "1"}, {}, {}]}),
        (b'{"items":[{"a":"1"}],"items":[]}', {"items": []}),
        (b'{"value":false}', {"value": False}),
        (b'{"at":"2026-05-08T10:00:00+02:00"}', {"at": datetime(2026, 5, 8, 8, tzinfo=UTC)}),
        (b'{"at":"0001-01-01T00:00:00Z"}', {}),
    ],
)
def test_accepted_in_both_modes(body: bytes, fields: dict[str, Any]) -> None:
    assert strict(body) == fields
    assert lenient(body) == fields


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b'{"name"}',
        b'{"name":}',
        b'{"name":"x",}',
        b"{'name':'x'}",
        b"[]",
        b'""',
        b"5",
        b"true",
        b'\xef\xbb\xbf{"name":"x"}',
        '\ufeff{"name":"x"}'.encode("utf-16"),
        b'{"name":5}',
        b'{"name":["x"]}',
        b'{"flag":"true"}',
        b'{"flag":1}',
        b'{"count":"5"}',
        b'{"count":1.5}',
        b'{"count":1.0}',
        b'{"count":1e3}',
        b'{"count":true}',
        b'{"count":2147483648}',
        b'{"count":01}',
        b'{"input":[]}',
        b'{"input":"x"}',
        b'{"inner":[]}',
        b'{"chosen":"x"}',
        b'{"items":{}}',
        b'{"items":["x"]}',
        b'{"value":NaN}',
        b'{"value":Infinity}',
        b'{"value":-Infinity}',
        b'{"value":1e400}',
        b'{"value":-1e400}',
        b'{"value":' + b"9" * 400 + b"}",
        b'{"value":.5}',
        b'{"value":5.}',
        b'{"value":+5}',
        b'{"value":0x10}',
        b'{"name":"a\nb"}',
        b'{"name":"\\x41"}',
        b'{"name":"\\ud8"}',
        b'{"at":""}',
        b'{"at":5}',
        b'{"at":"2026-05-08"}',
        b'{"name":"x"',
        b'\xff{"name":"x"}',
        b'{"name":"x"\xff}',
    ],
)
def test_refused_in_both_modes(body: bytes) -> None:
    for decode in (strict, lenient):
        with pytest.raises(InvalidBody, match=r"^invalid JSON body: \S"):
            decode(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "it is empty; a JSON object is accepted"),
        (b" \n", "it is empty; a JSON object is accepted"),
        (b"{", "line 1, column 2: expecting property name enclosed in double quotes"),
        (b'{"name":\n "x",\n "flag" true}', "line 3, column 9: expecting ':' delimiter"),
        (b'{"name":"x', "line 1, column 9: unterminated string"),
        (b'{"name":"a\nb"}', "line 1, column 11: invalid control character"),
        (b"{} x", "line 1, column 4: text behind the JSON value"),
        (b'\xef\xbb\xbf{"name":"x"}', "it begins with a byte order mark; accepted is JSON without one"),
        (b'{"value":NaN}', "NaN is not JSON"),
        (b'{"value":1e400}', "the number 1e400 is out of the range of a double"),
        (b'{"value":' + b"9" * 400 + b"}", f"the number {'9' * 40} is out of the range of a double"),
        (b"[]", "must be an object, not a list"),
        (b'{"name":5}', "name must be a string, not a number"),
        (b'{"NAME":["s3cret"]}', "name must be a string, not a list"),
        (b'{"flag":"s3cret"}', "flag must be true or false, not a string"),
        (
            b'{"count":1.5}',
            f"count must be {WHOLE}, not the number 1.5",
        ),
        (b'{"count":true}', f"count must be {WHOLE}, not true"),
        (b'{"at":"yesterday"}', 'at must be an RFC 3339 time such as 2026-05-08T09:00:00Z, not "yesterday"'),
        (b'{"at":5}', "at must be an RFC 3339 time such as 2026-05-08T09:00:00Z, not a number"),
        (
            b'{"at":"2026-02-30T00:00:00Z"}',
            "at must be an RFC 3339 time such as 2026-05-08T09:00:00Z that exists, in the years 1 to 9999, "
            'not "2026-02-30T00:00:00Z"',
        ),
        (b'{"input":"x"}', "input must be an object, not a string"),
        (b'{"items":{}}', "items must be a list, not an object"),
        (b'{"items":[{},"x"]}', "items[1] must be an object, not a string"),
        (b'{"items":[{},{"a":1}]}', "items[1].a must be a string, not a number"),
        (b'{"inner":{"b":false}}', "inner.b must be a string, not false"),
        (b'{"inner":{"c":1}}', "inner.c is not known; accepted are a, b"),
        (b'{"inner":{"c d":1}}', 'inner["c d"] is not known; accepted are a, b'),
    ],
)
def test_a_refusal_names_the_member_what_it_is_and_what_is_accepted(body: bytes, said: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        strict(body)
    assert str(refused.value) == f"invalid JSON body: {said}"


@pytest.mark.parametrize(
    "body",
    [
        b"{} x",
        b"{}{}",
        b"null null",
        b'{"other":1}',
        b'{"inner":{"c":1}}',
        b'{"chosen":{"c":1}}',
        b'{"items":[{"c":1}]}',
        b'{"name ":"x"}',
        b"{}\x00",
        b"{}\x0b",
    ],
)
def test_refused_in_strict_mode_only(body: bytes) -> None:
    with pytest.raises(InvalidBody):
        strict(body)
    lenient(body)


def test_strings_with_invalid_unicode_are_repaired() -> None:
    assert lenient(b'{"name":"a\xffb\xe2\x82c"}') == {"name": "a\ufffdb\ufffd\ufffdc"}
    assert lenient(rb'{"name":"\ud800"}') == {"name": "\ufffd"}
    assert lenient(rb'{"name":"\udc00\ud800x"}') == {"name": "\ufffd\ufffdx"}
    assert lenient(rb'{"name":"\ud83d\ude00"}') == {"name": "\U0001f600"}
    assert lenient(rb'{"name":"\\ud800"}') == {"name": "\\ud800"}
    assert lenient(rb'{"input":{"\ud800":["\udfff",{"a":"\ud800"}]}}') == {
        "input": {"\ufffd": ["\ufffd", {"a": "\ufffd"}]}
    }
    assert lenient(rb'{"name":"\ud800","name":"\udfff!"}') == {"name": "\ufffd!"}


def test_numbers_are_what_a_double_holds() -> None:
    value = parse(b"[1, -0, 1.0, 1e6, 0.5, 9007199254740991, 9007199254740994, 18446744073709551616]", strict=True)
    assert value == [1, 0, 1.0, 1e6, 0.5, 9007199254740991, 9007199254740994.0, 2.0**64]
    assert [type(item) for item in value] == [int, int, float, float, float, int, float, float]


@pytest.mark.parametrize(
    ("body", "member"),
    [
        (b'{"input":{"value":3544790567247868102}}', "input.value"),
        (b'{"input":{"a":[1,{"id":-9007199254740993}]}}', "input.a[1].id"),
        (b'{"input":{"a b":12345678901234567890123}}', 'input["a b"]'),
        (b'{"value":9007199254740993}', "value"),
        (b'{"value":[18446744073709551615]}', "value[0]"),
    ],
)
def test_an_integer_that_no_double_holds_is_refused_by_its_member(body: bytes, member: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        lenient(body)
    assert str(refused.value) == f"invalid JSON body: {member} {INEXACT}"


def test_parameters_with_such_an_integer_are_refused_and_texts_and_doubles_are_not() -> None:
    with pytest.raises(InvalidBody, match=r"^invalid JSON body: ids\[1\] is an integer that no double holds"):
        decode_parameters(b'{"ids":[1,9007199254740993]}')
    given = b'{"a":"9007199254740993","b":9007199254740992,"c":1e300,"d":10000000000000000000000}'
    assert decode_parameters(given) == {"a": "9007199254740993", "b": 2**53, "c": 1e300, "d": 1e22}
    with pytest.raises(InvalidBody, match="out of the range of a double"):
        decode_parameters(b'{"a":' + b"9" * 400 + b"}")
    # Fields that are ignored are not looked at.
    assert lenient(b'{"unknown":9007199254740993}') == {}


def test_nesting_that_no_provider_could_read_is_refused_by_name() -> None:
    def body(levels: int, opening: bytes, closing: bytes) -> bytes:
        return b'{"value":' + opening * levels + b"1" + closing * levels + b"}"

    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        lenient(body(MAX_NESTING, opening, closing))
        for levels in (MAX_NESTING + 1, 500, 100_000):
            with pytest.raises(InvalidArgument, match=f"at most {MAX_NESTING} levels"):
                lenient(body(levels, opening, closing))
    with pytest.raises(InvalidArgument, match="levels"):
        decode_parameters(b"[" * 200_000)
    for levels in (MAX_NESTING + 1, 500, 900):  # as deep as can be parsed, with something to repair within
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            with pytest.raises(InvalidArgument, match=f"at most {MAX_NESTING} levels"):
                lenient(b'{"value":' + opening * levels + rb'"\ud800"' + closing * levels + b"}")


def test_an_object_that_is_repeated_is_not_copied_each_time() -> None:
    before = {"a": 1.0}
    assert free_object({"b": 2.0}, before, False) is before == {"a": 1.0, "b": 2.0}


def test_nesting_at_the_limit_survives_the_wire() -> None:
    from gestalt_sdk.gen.v1 import workflow_pb2
    from gestalt_sdk.transport.values import from_struct, to_struct

    data: dict[str, Any] = {}
    for _ in range(MAX_NESTING - 1):
        data = {"a": data}
    response = workflow_pb2.ListWorkflowProviderRunsResponse()
    response.runs.add().trigger.event.event.data.CopyFrom(to_struct(data))
    again = workflow_pb2.ListWorkflowProviderRunsResponse.FromString(response.SerializeToString())
    assert from_struct(again.runs[0].trigger.event.event.data) == data


@pytest.mark.parametrize(
    ("body", "parameters"),
    [(b"null", {}), (b"{} trailing", {}), (b'{"a":1,"A":2,"a":3}', {"a": 3, "A": 2}), (b'{"a":null}', {"a": None})],
)
def test_parameters_are_any_object(body: bytes, parameters: dict[str, Any]) -> None:
    assert decode_parameters(body) == parameters


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"1", b"{"])
def test_parameters_are_nothing_else(body: bytes) -> None:
    with pytest.raises(InvalidBody):
        decode_parameters(body)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-05-08T10:00:00Z", datetime(2026, 5, 8, 10, tzinfo=UTC)),
        ("2026-05-08T10:00:00.5Z", datetime(2026, 5, 8, 10, 0, 0, 500_000, UTC)),
        ("2026-05-08T10:00:00,25Z", datetime(2026, 5, 8, 10, 0, 0, 250_000, UTC)),
        ("2026-05-08T10:00:00.1234567891+02:00", datetime(2026, 5, 8, 8, 0, 0, 123_456, UTC)),
        ("2026-05-08T00:30:00-23:59", datetime(2026, 5, 9, 0, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2024-02-29T00:00:00-00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_times_that_are_read(written: str, read: datetime) -> None:
    assert parse_moment(written) == read


@pytest.mark.parametrize(
    "written",
    [
        "",
        " 2026-05-08T10:00:00Z",
        "2026-05-08T10:00:00Z\n",
        "2026-05-08T10:00:00",
        "2026-05-08t10:00:00Z",
        "2026-05-08T10:00:00z",
        "2026-05-08 10:00:00Z",
        "2026-05-08T24:00:00Z",
        "2026-05-08T10:60:00Z",
        "2026-05-08T10:00:60Z",
        "2026-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "2026-5-8T10:00:00Z",
        "2026-05-08T10:00Z",
        "2026-05-08T10:00:00.Z",
        "2026-05-08T10:00:00+0200",
        "2026-05-08T10:00:00+24:00",
        "2026-05-08T10:00:00+02:60",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢٠٢٦-05-08T10:00:00Z",
    ],
)
def test_times_that_are_refused(written: str) -> None:
    with pytest.raises(InvalidBody):
        parse_moment(written)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")))
def test_whatever_arrives_is_decoded_or_refused(body: bytes) -> None:
    for decode in (decode_strict, decode_lenient):
        for shape in (SHAPE, SCHEDULE, EVENT):
            try:
                decode(body, shape)
            except InvalidBody:
                continue
