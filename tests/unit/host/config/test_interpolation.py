from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.rigs.config import Loader

Faults = Callable[..., list[str]]
ENTRY = "plugins: {p: {source: ./m.yaml, config: {v: %s}}}"


def value(loaded: Loader, text: str, **environ: str) -> object:
    return loaded(ENTRY % text, environ=environ).plugins["p"].config["v"]


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("$A", {"A": "x"}, "x"),
        ("$AB-$A", {"A": "1", "AB": "2"}, "2-1"),
        ('"${A}"', {"A": ""}, ""),
        ('"${A:-}"', {}, ""),
        ("${A}", {"A": "12"}, 12),
        ("${A}", {"A": "{b: 1}"}, {"b": 1}),
        ("'${A}'", {"A": "$B ${C}", "B": "no"}, "$B ${C}"),
        ("'100$'", {}, "100$"),
        ("'$ a'", {}, "$ a"),
        ("'${A-x}'", {"A-x": "odd"}, "odd"),
        ("'${ A }'", {" A ": "blank"}, "blank"),
        ("'a${}b'", {}, "ab"),
        ("'$1'", {"1": "one", "10": "ten"}, "one"),
        ("'$10'", {"1": "one"}, "one0"),
    ],
)
def test_placeholders(loaded: Loader, text: str, environ: dict[str, str], expected: object) -> None:
    assert value(loaded, text, **environ) == expected


def test_file_variables_are_read_without_their_last_line_break(loaded: Loader, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from file\r\n")
    assert value(loaded, "'${A}'", A_FILE=str(secret)) == "from file"
    assert value(loaded, "'${A}'", A_FILE=str(secret), A="direct") == "direct"


def test_a_file_variable_that_cannot_be_read_is_named(faults: Faults, tmp_path: Path) -> None:
    (found,) = faults(ENTRY % "'${A}'", environ={"A_FILE": str(tmp_path / "none")})
    assert found.startswith("a.yaml:1: environment variable A_FILE names ")
    assert found.endswith("which cannot be read: No such file or directory")


def test_every_missing_variable_is_reported_with_its_place(faults: Faults) -> None:
    found = faults(
        """
        server: {encryptionKey: "${KEY}"}
        plugins:
          p:
            source: ./m.yaml
            config: {a: "${ONE} ${TWO}"}
        """
    )
    hint = 'environment variable "%s" not set; use ${%s:-} to allow an empty default'
    assert found == [
        "a.yaml:1: server.encryptionKey: " + hint % ("KEY", "KEY"),
        "a.yaml:5: plugins.p.config.a: " + hint % ("ONE", "ONE"),
        "a.yaml:5: plugins.p.config.a: " + hint % ("TWO", "TWO"),
    ]


def test_a_missing_number_is_reported_once(faults: Faults) -> None:
    (found,) = faults("server: {public: {port: ${PORT}}}")
    assert 'environment variable "PORT" not set' in found


def test_missing_variables_in_comments_and_overridden_keys_do_no_harm(loaded: Loader) -> None:
    base = "# ${NOWHERE}\nplugins: {p: {source: ./m.yaml, config: {v: '${GONE}'}}}"
    config = loaded(base, "plugins: {p: {config: {v: here}}}")
    assert config.plugins["p"].config == {"v": "here"}


def test_static_commands_take_missing_variables_as_empty(loaded: Loader, faults: Faults) -> None:
    config = loaded("server: {encryptionKey: '${KEY}'}\n" + ENTRY % "'a${X}b'", static=True)
    assert config.server.encryption_key == ""
    assert config.plugins["p"].config == {"v": "ab"}
    assert faults("server: {public: {port: ${PORT}}}", static=True) == [
        "a.yaml:1: server.public.port: must be an integer, not text"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'${A:-x}'", "only the empty default ${A:-} is supported"),
        ("'${:-}'", "invalid environment placeholder '${:-}'"),
    ],
)
def test_malformed_placeholders(faults: Faults, text: str, expected: str) -> None:
    found = faults("server: {}\n" + ENTRY % text)
    assert len(found) == 1
    assert found[0].startswith("a.yaml:2: ")
    assert expected in found[0]


def test_a_placeholder_ends_on_its_line(faults: Faults) -> None:
    (found,) = faults("server:\n  encryptionKey: ${KEY\nplugins: {}")
    assert found == "a.yaml:2: invalid environment placeholder: ${ is not closed on its line"
