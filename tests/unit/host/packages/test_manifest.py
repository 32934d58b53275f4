from __future__ import annotations

import json
from pathlib import Path

import pytest

from gestalt_host.packages import PackageInvalid, bundled, bundled_names, find_manifest, read_manifest
from tests.support.rigs.package import MANIFEST, Write

FULL = """
kind: Plugin
source: example.org/owner/repo/plugins/echo
version: 1.2.3-alpha.4+build.5
displayName: Echo
description: Says it again.
iconFile: icon.svg
release: {build: {workdir: src, command: [make, all]}}
artifacts:
  - {os: linux, arch: amd64, path: bin/echo, sha256: abc}
  - {os: darwin, arch: arm64, path: bin/echo-mac}
entrypoint: {artifactPath: bin/echo, args: [--fast]}
spec:
  configSchemaPath: schema.yaml
  defaultConnection: main
  connections:
    main: {displayName: Main, auth: {type: oauth2}}
    open: {}
    secret: {mode: platform, exposure: internal}
  allowedOperations: {say: {alias: speak, allowedRoles: [admin]}}
"""


def test_a_manifest_is_read_whole(package: Write) -> None:
    path = package(FULL)
    manifest = read_manifest(path)
    assert (manifest.kind, manifest.version) == ("plugin", "1.2.3-alpha.4+build.5")
    assert (manifest.display_name, manifest.description) == ("Echo", "Says it again.")
    assert manifest.icon_file == path.parent / "icon.svg"
    assert manifest.config_schema == path.parent / "schema.yaml"
    assert [artifact.path for artifact in manifest.artifacts] == ["bin/echo", "bin/echo-mac"]
    assert manifest.entrypoint is not None
    assert manifest.entrypoint.args == ("--fast",)
    assert manifest.release_command == ("make", "all")
    modes = {name: (item.mode, item.exposure) for name, item in manifest.connections.items()}
    assert modes == {"main": ("user", "user"), "open": ("none", "user"), "secret": ("platform", "internal")}
    assert manifest.default_connection == "main"
    assert manifest.allowed_operations is not None
    assert manifest.allowed_operations["say"].alias == "speak"


def test_json_manifests_carry_the_same(package: Write) -> None:
    text = json.dumps({"kind": "workflow", "source": "a.org/b/c/d", "version": "0.0.1", "spec": {}}, indent="\t")
    manifest = read_manifest(package(text, name="manifest.json"))
    assert manifest.kind == "workflow"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("kind: plugin", "kind: gadget"), "kind: 'gadget' is not a kind; accepted are plugin"),
        (("kind: plugin", ""), "kind: is required"),
        (
            ("example.org/owner/repo/plugins/echo", "localhost/a/b/c"),
            "source: 'localhost/a/b/c' is not a package address",
        ),
        (
            ("example.org/owner/repo/plugins/echo", "example.org/a/b"),
            "source: 'example.org/a/b' is not a package address",
        ),
        (("1.2.3", "v1.2.3"), "version: 'v1.2.3' is not a semantic version"),
        (("1.2.3", "1.2"), "version: '1.2' is not a semantic version"),
        (("1.2.3", "1.02.3"), "version: '1.02.3' is not a semantic version"),
        (("spec: {}", ""), "spec: is required for a plugin"),
        (("spec: {}", "spec: {colour: red}"), "spec.colour: unknown key"),
        (("spec: {}", "spec: {}\nextra: 1"), "extra: unknown key"),
        (
            ("spec: {}", "spec: {configSchemaPath: ../x}"),
            "spec.configSchemaPath: '../x' is not a path inside the package",
        ),
        (("spec: {}", "spec: {configSchemaPath: /x}"), "'/x' is not a path inside the package"),
        (("spec: {}", "spec: {}\nrelease: {build: {workdir: x}}"), "release.build.command: is required"),
        (
            ("spec: {}", "spec: {}\nentrypoint: {artifactPath: bin/x}"),
            "entrypoint.artifactPath: 'bin/x' is not the path of an artifact",
        ),
        (
            ("spec: {}", "spec: {}\nartifacts: [{os: a, arch: b, path: x}, {os: a, arch: b, path: x}]"),
            "artifacts[1].path: 'x' is a duplicate",
        ),
        (("spec: {}", "spec: {connections: {c: {mode: maybe}}}"), "spec.connections.c.mode: 'maybe' is not supported"),
    ],
)
def test_faults_name_file_line_and_path(package: Write, change: tuple[str, str], expected: str) -> None:
    path = package(MANIFEST.replace(*change))
    with pytest.raises(PackageInvalid) as failure:
        read_manifest(path)
    assert expected in str(failure.value)
    assert f"{path}:" in str(failure.value)


def test_file_names_are_tried_in_order(package: Write, tmp_path: Path) -> None:
    package(name="manifest.yml")
    assert find_manifest(tmp_path / "echo").name == "manifest.yml"
    package(name="manifest.yaml")
    package(name="manifest.json")
    assert find_manifest(tmp_path / "echo").name == "manifest.json"
    with pytest.raises(PackageInvalid, match=r"no manifest; looked for manifest.json, manifest.yaml, manifest.yml"):
        find_manifest(tmp_path)


def test_an_unreadable_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageInvalid, match=r"none.yaml: no such file or directory"):
        read_manifest(tmp_path / "none.yaml")


def test_bundled_providers_are_found_and_their_manifests_are_valid() -> None:
    assert {"crossref", "indexeddb", "indexeddb_store", "roadmap", "search", "slack"} <= set(bundled_names())
    for name in bundled_names():
        assert read_manifest(find_manifest(bundled(name))).version
    with pytest.raises(PackageInvalid, match=r'no builtin provider "nope"; there are crossref, indexeddb, '):
        bundled("nope")
    with pytest.raises(PackageInvalid):
        bundled("../providers/indexeddb")
