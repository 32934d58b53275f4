"""``key=value`` and ``key:=json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.cli.errors import CliError
from gestalt_host.cli.parameters import gather, input_of, merged, parse_pair
from tests.support.rigs.cli import Gestalt, Server

texts = st.text(st.characters(exclude_categories=["Cs"]))
keys = texts.filter(lambda key: key and "=" not in key)
finite = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    finite | texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)


@given(keys.filter(lambda key: not key.endswith(":")), texts)
def test_the_string_form_keeps_key_and_value_as_they_are(key: str, value: str) -> None:
    assert parse_pair(f"{key}={value}") == (key, value)


@given(keys.filter(lambda key: not key.endswith(":")), documents, st.sampled_from(["", " ", "\t", "\n "]))
def test_the_json_form_gives_the_json_value(key: str, value: Any, blank: str) -> None:
    assert parse_pair(f"{key}:={blank}{json.dumps(value)}{blank}") == (key, value)


@given(texts)
def test_any_text_is_a_pair_or_refused_in_words_that_name_it(text: str) -> None:
    try:
        key, _ = parse_pair(text)
    except ValueError as error:
        refused = str(error)
    else:
        assert key
        assert text.startswith(key)
        return
    assert f"'{text}'" in refused


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("a=b:=c", "a", "b:=c"),
        ("a:b=c", "a:b", "c"),
        (" a.b =c", " a.b ", "c"),
        ("key=@x", "key", "@x"),
        ("n:= 5 ", "n", 5),
        ("n:=1.50", "n", 1.5),
        ("n:=1180591620717411303424", "n", 2.0**70),
        ("n:=9007199254740994", "n", 2**53 + 2),
        ("n:=12345678901234567890123.0", "n", 1.2345678901234568e22),
    ],
)
def test_the_form_is_the_one_whose_separator_starts_first(text: str, key: str, value: Any) -> None:
    parsed = parse_pair(text)
    assert parsed == (key, value)
    assert type(parsed[1]) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("abc", "no '=' or ':=' found in 'abc'"),
        ("=v", "empty key in '=v'"),
        (":=1", "empty key in ':=1'"),
        ("n:=x", "invalid JSON in 'n:=x'"),
        ("n:=", "invalid JSON in 'n:='"),
        ("n:=NaN", "invalid JSON in 'n:=NaN'"),
    ],
)
def test_a_malformed_pair_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^invalid") as caught:
        parse_pair(text)
    assert reason in str(caught.value)


@given(st.lists(st.tuples(st.sampled_from("abc"), documents)))
def test_repeated_keys_become_an_array_in_order(pairs: list[tuple[str, Any]]) -> None:
    result = merged(gather(pairs))
    for key in {key for key, _ in pairs}:
        values = [value for name, value in pairs if name == key]
        assert result[key] == (values if len(values) > 1 else values[0])


def test_an_array_parameter_is_wrapped_and_a_scalar_one_not_repeated() -> None:
    types = {"tags": "array", "n": "integer"}
    assert merged({"tags": ["a"]}, types) == {"tags": ["a"]}
    assert merged({"tags": [["a"]]}, types) == {"tags": ["a"]}
    assert merged({"tags": ["a", "b"]}, types) == {"tags": ["a", "b"]}
    with pytest.raises(CliError, match="'n' is not an array type but was specified multiple times"):
        merged({"n": [1, 2]}, types)


def test_flags_override_members_of_the_file_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_text('{"o": {"a": 1}, "k": "file"}')
    assert input_of([("o", {"b": 2})], str(file)) == {"o": {"b": 2}, "k": "file"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[]", "must contain a JSON object"),
        (b"{", "failed to parse input file"),
        (b"\xff", "failed to parse input file"),
    ],
)
def test_a_file_that_holds_no_object_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "in.json").write_bytes(content)
    with pytest.raises(CliError, match=reason):
        input_of([], str(tmp_path / "in.json"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"failed to read input file '.*no\.json': No such file"):
        input_of([], str(tmp_path / "no.json"))


# --- integers that would arrive as others -----------------------------------------------------------------------------

INEXACT = [
    "9007199254740993",
    "-3544790567247868102",
    "18446744073709551615",
    "12345678901234567890123",
    "1" + "0" * 400,
    "9" * 5000,
]
EXACT = [
    "9007199254740992",
    "-9007199254740994",
    "18446744073709551616",
    str(2**70),
    "1" + "0" * 22,
    "9007199254740993.0",
    '"9007199254740993"',
]


@pytest.mark.parametrize("number", INEXACT)
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("invoke", "demo", "echo"), "--param"),
        (("workflow", "schedules", "create", "--cron=x", "--plugin=p", "--operation=o"), "--param"),
        (("workflow", "schedules", "update", "x"), "--param"),
        (("workflow", "triggers", "create", "--type=x", "--plugin=p", "--operation=o"), "--param"),
        (("workflow", "triggers", "update", "x"), "--param"),
        (("workflow", "events", "publish", "--type=x"), "--data"),
        (("workflow", "events", "publish", "--type=x"), "--extension"),
    ],
)
def test_an_integer_that_would_arrive_changed_is_refused(
    gestalt: Gestalt, server: Server, command: tuple[str, ...], option: str, number: str
) -> None:
    result = gestalt(*command, option, f"n:={number}")
    assert (result.code, result.out, server.asked) == (2, "", [])
    assert f"invalid number in 'n:={number}': n: the integer {number[:20]}" in result.err
    assert "would arrive changed" in result.err
    assert "send it as text" in result.err
    nested = gestalt(*command, option, f'n:={{"a.b": [1, {{"c": {number}}}]}}')
    assert ": n.a.b[1].c: the integer " in nested.err


@pytest.mark.parametrize("place", ["file", "-"])
@pytest.mark.parametrize("number", INEXACT)
def test_an_integer_of_a_file_that_would_arrive_changed_is_refused(
    gestalt: Gestalt, server: Server, place: str, number: str
) -> None:
    server.on("GET", "/api/v1/integrations/demo/operations", [{"id": "echo"}])
    server.on(
        "GET", "/api/v1/workflow/schedules/x", {"cron": "x", "target": {"plugin": {"name": "p", "operation": "o"}}}
    )
    document = f'{{"ok": 1, "items": [{{"id": {number}}}]}}'
    (gestalt.work / "file").write_text(document)
    for command in (
        ("invoke", "demo", "echo", "--input-file", place),
        ("workflow", "schedules", "create", "--cron=x", "--plugin=p", "--operation=o", "--input-file", place),
        ("workflow", "schedules", "update", "x", "--input-file", place),
        ("workflow", "events", "publish", "--type=x", "--data-file", place),
    ):
        result = gestalt(*command, stdin=document)
        assert (result.code, result.out) == (2, "")
        assert "items[0].id: the integer " in result.err
        assert "send it as text" in result.err
    assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_is_told_as_that(gestalt: Gestalt, encoding: str) -> None:
    (gestalt.work / "file").write_text("\ufeff" * (encoding != "utf-16") + "{}", encoding=encoding)
    result = gestalt("workflow", "events", "publish", "--type=x", "--data-file", "file")
    assert (result.code, result.out) == (1, "")
    assert "it is UTF-16, as some shells write into files; accepted is UTF-8" in result.err


@pytest.mark.parametrize("number", EXACT)
def test_numbers_that_arrive_as_they_are_pass(gestalt: Gestalt, server: Server, number: str) -> None:
    assert gestalt("workflow", "events", "publish", "--type=x", "-p", f"n:={number}").code == 0
    assert float(server.requests[-1].body["data"]["n"]) == float(json.loads(number))
    (gestalt.work / "file").write_text(f'{{"n": {number}}}')
    assert gestalt("workflow", "events", "publish", "--type=x", "--data-file", "file").code == 0
    assert float(server.requests[-1].body["data"]["n"]) == float(json.loads(number))


@given(st.integers())
def test_exactly_the_integers_that_are_no_doubles_are_refused(number: int) -> None:
    try:
        parsed = parse_pair(f"n:={number}")[1]
    except ValueError:
        assert int(float(number)) != number
    else:
        assert parsed == number


def test_a_file_may_begin_with_a_byte_order_mark(gestalt: Gestalt, server: Server) -> None:
    (gestalt.work / "in.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    for file in ("in.json", "-"):
        assert (
            gestalt("workflow", "events", "publish", "--type=x", "--data-file", file, stdin='\ufeff{"a": 1}').code == 0
        )
        assert server.requests[-1].body["data"] == {"a": 1}
