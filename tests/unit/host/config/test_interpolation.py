from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.nightly import at_night
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
        ("${A}", {"A": "1.5"}, 1.5),
        ("${A}", {"A": "true"}, True),
        ("${A}", {"A": "0049123"}, "0049123"),
        ("${A}", {"A": "1.10"}, "1.10"),
        ("${A}", {"A": "1e3"}, "1e3"),
        ("${A}", {"A": "-0"}, "-0"),
        ("${A}", {"A": "True"}, "True"),
        ("${A}", {"A": ".inf"}, ".inf"),
        ("${A}", {"A": "3544790567247868102"}, "3544790567247868102"),
        ("${A}", {"A": "9" * 5000}, "9" * 5000),
        ("${A}", {"A": "null"}, "null"),
        ("${A}", {"A": "~"}, "~"),
        ("${A}", {"A": ""}, ""),
        ("${A:-}", {}, ""),
        ("${}", {}, ""),
        ("'${A}'", {"A": "12"}, "12"),
        ("!!str ${A}", {"A": "12"}, "12"),
        ("!!int ${A}", {"A": "012"}, 12),
        ("!custom ${A}", {"A": "12"}, 12),
        ("1${A}", {"A": "2"}, "12"),
        ("${A}${B}", {"A": "1", "B": "2"}, "12"),
        ("${A}", {"A": "{b: 1}"}, "{b: 1}"),
        ("[${A}, x]", {"A": "1, 2"}, ["1, 2", "x"]),
        ("{$A: 1}", {"A": "b: 2, c"}, {"b: 2, c": 1}),
        ("{$A: 1}", {"A": "12"}, {"12": 1}),
        ("{$A: {b: 1}}", {"A": "<<"}, {"<<": {"b": 1}}),
        ("a$$b", {"b": "no"}, "a$b"),
        ("'$${A}'", {"A": "no"}, "${A}"),
        ("$$$A", {"A": "x"}, "$x"),
        ("$$", {}, "$"),
        ('"\\t${A}"', {"A": "\\t"}, "\t\\t"),
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
    assert found.startswith("a.yaml:1: plugins.p.config.v: environment variable A_FILE names ")
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
    reason = "invalid environment placeholder: ${ is not closed on its line"
    assert found == f"a.yaml:2: server.encryptionKey: {reason}"


def test_a_placeholder_in_a_comment_is_a_comment(loaded: Loader, tmp_path: Path) -> None:
    text = "# ${X:-y} ${:-} ${X $$ ${NULL}\nserver: {} # ${X:-y} ${X\n" + ENTRY % "x"
    assert loaded(text, environ={"NULL_FILE": str(tmp_path / "none")}).plugins["p"].config == {"v": "x"}


def test_values_stay_values(loaded: Loader) -> None:
    """The values of the report: each changed, cut or injected something before."""
    for value_ in (
        "s3cret #2",
        "&s3 cret",
        "x\nserver: {public: {host: 0.0.0.0}}",
        "a: b",
        "*x",
        "!x",
        "'",
        '"',
        "${X}",
    ):
        config = loaded("server: {encryptionKey: ${KEY}}\n" + ENTRY % "${KEY}", environ={"KEY": value_, "X": "no"})
        assert config.server.encryption_key == value_
        assert config.server.public.host == ""
        assert config.plugins["p"].config == {"v": value_}


SECRETS = st.text(
    st.one_of(
        st.sampled_from("'\"#:-&*!|>%@`{}[],?~$\\ \t\r\n\x85\u2028\ufeff\x07\x1b0123e.<=_"),
        st.characters(codec="utf-8"),
    ),
    max_size=40,
).filter(lambda text: "\0" not in text)
TEXT = """
server: {public: {host: 127.0.0.1, port: 8080}, encryptionKey: fixed}  # $S ${S} ${S
plugins:
  p:
    source: ./m.yaml
    env: {PLAIN: %s, '%s': key}
    config:
      plain: %s
      single: '%s'
      double: "%s"
      literal: |-
        %s
      folded: >-
        %s
      flow: [%s, {in: %s, x%sx: key}]
      part: a %s b
      after: 1
"""


@given(secret=SECRETS, overlay=st.booleans(), form=st.sampled_from(["${S}", "$S", "${S:-}", "${S_FROM}"]))
@settings(
    max_examples=at_night(2000, otherwise=60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_value_arrives_unchanged_and_changes_nothing_else(
    loaded: Loader, tmp_path: Path, secret: str, overlay: bool, form: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(secret.encode())
    if form == "${S_FROM}":  # what a file holds loses the line breaks at its end alone
        secret = secret.rstrip("\r\n")
    form = "${S}x" if form == "$S" else form  # a bare name would go on with what follows
    expected = f"{secret}x" if form == "${S}x" else secret
    text = TEXT % ((form,) * 11)
    layers = (text, text) if overlay else (text,)
    config = loaded(*layers, environ={"S": secret, "S_FROM_FILE": str(file)})
    assert (config.server.public.host, config.server.public.port) == ("127.0.0.1", 8080)
    assert config.server.encryption_key == "fixed"
    assert config.plugins.keys() == {"p"}
    entry = config.plugins["p"]
    assert entry.env == ({"PLAIN": expected, expected: "key"} if expected != "PLAIN" else entry.env)
    plain = entry.config["plain"]
    assert plain == expected or (isinstance(plain, int | float) and json.dumps(plain) == expected)
    item, mapping = entry.config["flow"]
    assert item == plain
    assert mapping == {"in": plain, f"x{expected}x": "key"}
    quoted = {key: entry.config[key] for key in ("single", "double", "literal", "folded")}
    assert quoted == dict.fromkeys(quoted, expected)
    assert entry.config["part"] == f"a {expected} b"
    assert entry.config["after"] == 1
    assert entry.config.keys() == {"plain", *quoted, "flow", "part", "after"}


def test_layers_keep_their_own_values_and_names(loaded: Loader) -> None:
    config = loaded(
        ENTRY % "{${K}: ${A}, b: ${A}}",
        "plugins: {p: {config: {v: {${K}: '${B} #'}}}}",
        environ={"K": "k: 1", "A": "1 # x", "B": "{}"},
    )
    assert config.plugins["p"].config == {"v": {"k: 1": "{} #", "b": "1 # x"}}


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("server: ${V}", "server", "a mapping"),
        ("server: {public: {port: ${V}}}", "server.public.port", "an integer"),
        ("plugins: {p: {source: ./m.yaml, config: ${V}}}", "plugins.p.config", "a mapping"),
        ("plugins: {p: {source: ./m.yaml, invokes: ${V}}}", "plugins.p.invokes", "a list"),
        ("providers: {workflow: {w: {source: ./m.yaml, default: '${V}'}}}", "providers.workflow.w.default", "true or"),
    ],
)
def test_where_structure_is_wanted_the_error_says_that_variables_insert_none(
    faults: Faults, text: str, path: str, wanted: str
) -> None:
    found = faults(text, environ={"V": "{public: s3cret}"})
    assert len(found) == 1
    assert found[0].startswith(f"a.yaml:1: {path}: must be {wanted}")
    assert found[0].endswith("not the text of a variable: variables do not insert structure")
    assert "s3cret" not in found[0]


def test_an_empty_variable_leaves_the_default(loaded: Loader) -> None:
    text = "server: {public: {port: ${PORT:-}}, supervision: ${NONE:-}}\n" + ENTRY % "x"
    assert loaded(text).server.public.port == 8080
    assert loaded(text, environ={"PORT": "9090"}).server.public.port == 9090


def test_a_text_keeps_what_a_variable_spells_like_a_number(loaded: Loader) -> None:
    text = "server: {encryptionKey: ${V}}\nplugins: {p: {source: ./m.yaml, displayName: ${V}, env: {E: $V}}}"
    for value_ in ("12", "true", "1.10", "0049123"):
        config = loaded(text, environ={"V": value_})
        assert config.server.encryption_key == value_
        assert config.plugins["p"].display_name == value_
        assert config.plugins["p"].env == {"E": value_}


def test_two_keys_that_become_one_are_refused(faults: Faults) -> None:
    (found,) = faults("plugins:\n  p: {source: ./m.yaml}\n  ${P}: {source: ./n.yaml}", environ={"P": "p"})
    assert found == "a.yaml:3: plugins.p: the key is already defined on line 2"


def test_a_base_url_with_a_line_break_is_none(faults: Faults) -> None:
    (found,) = faults("server: {baseUrl: ${URL}}", environ={"URL": "http://a.example\n.evil.example"})
    assert found == "a.yaml:1: server.baseUrl: must be an absolute http or https URL"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"a\0b", "holds a NUL character; accepted is text without one"), (b"\xff", "not UTF-8 text: ")],
)
def test_values_that_are_no_text_are_refused(faults: Faults, tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    (found,) = faults(ENTRY % "${A}", environ={"A_FILE": str(tmp_path / "secret")})
    assert found.startswith("a.yaml:1: plugins.p.config.v: environment variable A_FILE names ")
    assert reason in found


def test_a_variable_that_is_not_utf8_is_refused(faults: Faults) -> None:
    (found,) = faults(ENTRY % "${A}", environ={"A": "x\udcff"})
    assert found == 'a.yaml:1: plugins.p.config.v: environment variable "A" is not UTF-8 text'


def test_messages_show_placeholders_as_they_are_written(faults: Faults) -> None:
    (found,) = faults("a: *${A}\n", environ={"A": "s3cret"})
    assert "${A}" in found
    assert "s3cret" not in found
    (found,) = faults(ENTRY % "!!int ${A}", environ={"A": "s3cret"})
    assert (
        found == "a.yaml:1: plugins.p.config.v: '${A}' is not of the type that its tag says, or too long for a number"
    )
    found = faults("plugins: {'${NAME}': {source: ./m.yaml, sauce: x}}")[0]
    assert found.startswith("a.yaml:1: plugins.${NAME}")
