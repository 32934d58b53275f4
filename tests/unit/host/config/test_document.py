from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.config import document
from gestalt_host.config.document import parse_yaml
from gestalt_host.config.errors import Faults
from gestalt_host.config.json_tree import parse_json
from gestalt_sdk.gen.v1 import runtime_pb2
from gestalt_sdk.transport.values import from_struct, to_struct
from tests.support.rigs.config import MINIMAL, Loader


def plain(text: str) -> Any:
    faults = Faults()
    node = parse_yaml(text, "f.yaml", faults)
    assert not faults.problems
    assert node is not None
    return node.plain()


def problems(text: str) -> list[str]:
    faults = Faults()
    parse_yaml(text, "f.yaml", faults)
    return [str(problem) for problem in faults.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("~", None),
        ("null", None),
        ("", None),
        ("12", 12),
        ("-12", -12),
        ("0x10", 16),
        ("0o17", 15),
        ("010", 10),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("2026-01-01", "2026-01-01"),
        ("12:30:45", "12:30:45"),
        ('"12"', "12"),
        ("!custom 12", 12),
        ("!!str 12", "12"),
        ("[1, a]", [1, "a"]),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert plain(f"key: {text}") == {"key": value}


def test_escapes_of_half_a_character_are_refused() -> None:
    assert plain(r'{"\ud83d\ude00": "\ud83d\ude00"}') == {"\U0001f600": "\U0001f600"}
    for text in (r'a: "\ud83d"', r'{"\ud83d": 1}'):
        (found,) = problems(text)
        assert found.endswith("parsing config YAML: half of a surrogate pair is no character")


def test_anchors_aliases_and_merge_keys_are_expanded() -> None:
    text = """
base: &base {a: 1, b: 2}
other: &other {b: 3, c: 4}
merged: {<<: [*base, *other], a: 0}
alias: *base
"""
    assert plain(text)["merged"] == {"a": 0, "b": 2, "c": 4}
    assert plain(text)["alias"] == {"a": 1, "b": 2}


def test_a_file_is_one_document() -> None:
    assert plain("\ufeffa: 1\r\nb: 2\r\n") == {"a": 1, "b": 2}
    assert plain("%YAML 1.2\n---\na: 1\n...\n") == {"a": 1}


@pytest.mark.parametrize("text", ["a: 1\n---\na: [", "a: 1\n---\n", "a: 1\n---\nserver: {}\n---\n"])
def test_a_second_document_is_refused_with_its_line(text: str) -> None:
    expected = "f.yaml:2: parsing config YAML: a second document begins here; accepted is one in each file"
    assert problems(text) == [expected]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "\ufeff"])
def test_an_empty_file_is_refused(text: str) -> None:
    assert problems(text) == ["f.yaml:1: parsing config YAML: the file is empty; expected mapping document"]


DEEP = "mappings and lists are nested more than 100 deep"


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 3000 + "]" * 3000,
        "a: " + "{b: " * 3000 + "}" * 3000,
        "a: " + "[" * 3000,
        "\n".join(f"{' ' * depth}a:" for depth in range(3000)),
        "a:\n" + "- " * 3000 + "x",
        "a0: &a0 [x]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 300)),
        "a0: &a0 {b: x}\n" + "\n".join(f"a{i}: &a{i} {{<<: *a{i - 1}, b{i}: *a{i - 1}}}" for i in range(1, 300)),
    ],
    ids=["lists", "mappings", "unclosed", "block mappings", "block lists", "aliases", "merge keys"],
)
def test_deep_nesting_is_refused(text: str) -> None:
    found = problems(text)
    assert found
    assert DEEP in found[0] or "excessive aliasing" in found[0]
    assert found[0].startswith("f.yaml:")


def test_a_hundred_levels_are_read() -> None:
    text = "a: " + "[" * 99 + "]" * 99
    assert str(plain(text)["a"]) == "[" * 99 + "]" * 99
    assert DEEP in problems("a: " + "[" * 100 + "]" * 100)[0]


@pytest.mark.parametrize("depth", [101, 900, 100_000])
def test_deep_json_is_refused(depth: int) -> None:
    faults = Faults()
    assert parse_json('{"a":' + "[" * depth + "]" * depth + "}", "m.json", faults) is None
    assert [str(problem) for problem in faults.problems] == [f"m.json: {DEEP}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", "f.yaml:4: b.c: the key is already defined on line 3"),
        ("a:\n  123: x", "f.yaml:2: a: key 123 is not text; quote it to use it as a key"),
        ("a:\n  true: x", "f.yaml:2: a: key true is not text; quote it to use it as a key"),
        ("- a", "f.yaml:1: parsing config YAML: expected mapping document"),
        ("null", "f.yaml:1: parsing config YAML: expected mapping document"),
        ("a: &x {b: *x}", "f.yaml:1: a.b: parsing config YAML: an anchor contains itself"),
        ("a: *nowhere", "f.yaml:1: parsing config YAML: found undefined alias 'nowhere'"),
        ("a: 1\nb: [1,", "f.yaml:2: parsing config YAML: while parsing a flow node, "),
        ("a: 1\nb: \x07", "f.yaml:2: parsing config YAML: the character #x0007 is not allowed"),
        ("a: {<<: [1]}", "f.yaml:1: a: parsing config YAML: map merge requires a mapping"),
    ],
)
def test_faults_name_file_line_and_path(text: str, expected: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_aliases_cannot_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    found = problems("\n".join(lines))
    assert len(found) == 1
    assert "document contains excessive aliasing: more than 100000 values when it is expanded" in found[0]


def test_of_a_document_with_too_many_values_no_more_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 100)
    found = problems("a:\n" + "- x\n" * 100_000)
    assert found == ["f.yaml:199: parsing config YAML: document has more than 100 values"]


def test_merge_keys_cannot_explode() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{i}: x" for i in range(10)) + "}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 9)]
    found = problems("\n".join(lines))
    assert len(found) == 1
    assert "document contains excessive aliasing" in found[0]


def test_json_documents_keep_their_values() -> None:
    faults = Faults()
    node = parse_json('{"a":\t{"b": [1, 1.5, null, true, "t"]}}', "m.json", faults)
    assert node is not None
    assert node.plain() == {"a": {"b": [1, 1.5, None, True, "t"]}}
    assert parse_json("{", "m.json", faults) is None
    assert str(faults.problems[0]).startswith("m.json:1: not valid JSON")


def test_text_fields_take_numbers_as_they_are_written(loaded: Loader) -> None:
    config = loaded(MINIMAL + "  v: {source: ./m.yaml, displayName: 1.10, env: {A: 0x10, B: true, C: 2026-01-01}}")
    assert config.plugins["v"].display_name == "1.10"
    assert config.plugins["v"].env == {"A": "0x10", "B": "true", "C": "2026-01-01"}


def test_dates_inside_config_stay_text(loaded: Loader) -> None:
    config = loaded(MINIMAL + "  v: {source: ./m.yaml, config: {since: 2026-01-01}}")
    assert config.plugins["v"].config == {"since": "2026-01-01"}


def test_typed_scalars_are_strict(faults: Callable[..., list[str]]) -> None:
    found = faults(
        """
        server:
          public: {port: "8080"}
        providers:
          workflow:
            w: {source: ./m.yaml, default: "true"}
            x: {source: ./m.yaml, default: 1}
        """
    )
    assert found == [
        "a.yaml:2: server.public.port: must be an integer, not text",
        "a.yaml:5: providers.workflow.w.default: must be true or false, not text",
        "a.yaml:6: providers.workflow.x.default: must be true or false, not 1",
    ]


def test_integral_floats_and_old_booleans_are_accepted(loaded: Loader) -> None:
    config = loaded(
        """
        server: {public: {port: 8080.0}}
        providers: {workflow: {w: {source: ./m.yaml, default: yes}}}
        """
    )
    assert config.server.public.port == 8080
    assert config.providers["workflow"]["w"].default


def test_paths_start_from_the_file_that_declares_them(tmp_path: Path) -> None:
    from gestalt_host.config import load

    (tmp_path / "over").mkdir()
    (tmp_path / "base.yaml").write_text("plugins: {a: {source: ./a/manifest.yaml}, b: {source: {path: b.yaml}}}")
    (tmp_path / "over" / "o.yaml").write_text("plugins: {b: {source: {path: b.yaml}}}\nserver: {artifactsDir: arts}")
    config = load([tmp_path / "base.yaml", tmp_path / "over" / "o.yaml"], {})
    assert config.plugins["a"].source.path == tmp_path / "a" / "manifest.yaml"
    assert config.plugins["b"].source.path == tmp_path / "over" / "b.yaml"
    assert config.artifacts_dir == tmp_path / "over" / "arts"
    assert config.directory == tmp_path


def test_free_form_values_are_as_deep_as_a_message_carries(loaded: Loader, faults: Callable[..., list[str]]) -> None:
    entry = "plugins: {p: {source: ./m.yaml, config: %s}}"
    deep = "{k: " * 24 + "x" + "}" * 24
    config = loaded(entry % deep).plugins["p"].config
    message = runtime_pb2.ConfigureProviderRequest(config=to_struct(config))
    assert from_struct(runtime_pb2.ConfigureProviderRequest.FromString(message.SerializeToString()).config) == config
    for text in ("{k: " * 25 + "x" + "}" * 25, "{k: " + "[" * 24 + "]" * 24 + "}"):
        (found,) = faults(entry % text)
        assert found.startswith("a.yaml:1: plugins.p.config.k")
        assert found.endswith("is nested too deeply: at most 24 levels of mappings and lists reach a provider")
