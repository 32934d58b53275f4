from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.packages import PackageInvalid, Workplace, prepare, read_manifest
from gestalt_host.packages.config_schema import check_config
from tests.support.rigs.package import MANIFEST, Write, entry_of

WITH_SCHEMA = MANIFEST.replace("spec: {}", "spec: {configSchemaPath: schema.yaml}")
SCHEMA = """
type: object
required: [dsn]
additionalProperties: false
properties:
  dsn: {type: string, pattern: "^sqlite://"}
  limit: {type: integer, minimum: 1}
  mode: {enum: [fast, safe]}
  nested: {$ref: "#/$defs/nested"}
  other: {$ref: "parts/other.json#/definitions/n"}
$defs: {nested: {type: object, properties: {"a/b": {type: boolean}}}}
"""


def checked(package: Write, config: dict[str, Any], schema: str = SCHEMA) -> None:
    path = package(WITH_SCHEMA, schema__yaml=schema)
    (path.parent / "parts").mkdir(exist_ok=True)
    (path.parent / "parts" / "other.json").write_text('{"definitions": {"n": {"type": "number"}}}')
    check_config(read_manifest(path), config)


def test_what_fits_is_accepted(package: Write) -> None:
    checked(package, {"dsn": "sqlite://x", "limit": 1.0, "mode": "safe", "nested": {"a/b": True}, "other": 1.5})


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({}, "- at '': 'dsn' is a required property"),
        (
            {"dsn": "sqlite://x", "colour": 1},
            "- at '': Additional properties are not allowed ('colour' was unexpected)",
        ),
        ({"dsn": 12}, "- at '/dsn': does not fit type: \"string\""),
        ({"dsn": "hunter2"}, "- at '/dsn': does not fit pattern: \"^sqlite://\""),
        ({"dsn": "sqlite://x", "limit": 0}, "- at '/limit': does not fit minimum: 1"),
        ({"dsn": "sqlite://x", "mode": "x"}, '- at \'/mode\': does not fit enum: ["fast", "safe"]'),
        ({"dsn": "sqlite://x", "nested": {"a/b": 1}}, "- at '/nested/a~1b': does not fit type: \"boolean\""),
        ({"dsn": "sqlite://x", "other": "x"}, "- at '/other': does not fit type: \"number\""),
    ],
)
def test_faults_name_the_place_and_never_the_value(package: Write, config: dict[str, Any], line: str) -> None:
    with pytest.raises(PackageInvalid) as failure:
        checked(package, config)
    assert str(failure.value).splitlines() == ["config validation failed:", line]
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ("$schema: http://example.org/draft\ntype: object", "is not a known draft of JSON Schema"),
        ("type: 12", "not a JSON Schema"),
        ("$ref: http://example.org/schema", "accepted are references inside the package"),
        ("$ref: file:///etc/hostname", "accepted are references inside the package"),
        ("$ref: ../outside.json", "accepted are references inside the package"),
        ("$ref: '#/$defs/none'", "cannot be resolved"),
        ("type: [", "parsing config YAML"),
    ],
)
def test_an_unusable_schema_is_named(package: Write, tmp_path: Path, schema: str, expected: str) -> None:
    (tmp_path / "outside.json").write_text("{}")
    with pytest.raises(PackageInvalid, match=r"schema\.yaml") as failure:
        checked(package, {}, schema)
    assert expected in str(failure.value)


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07"])
def test_older_drafts_are_known(package: Write, draft: str) -> None:
    schema = f"$schema: http://json-schema.org/{draft}/schema#\ntype: object\nrequired: [a]"
    checked(package, {"a": 1}, schema)
    with pytest.raises(PackageInvalid):
        checked(package, {}, schema)


async def test_preparing_an_entry_checks_its_config(package: Write, tmp_path: Path) -> None:
    entry = replace(entry_of(package(WITH_SCHEMA, schema__yaml=SCHEMA)), config={"dsn": 1})
    with pytest.raises(PackageInvalid) as failure:
        await prepare(entry, Workplace(tmp_path, tmp_path), {})
    assert 'provider config validation for plugin "echo": config validation failed:\n- at ' in str(failure.value)
