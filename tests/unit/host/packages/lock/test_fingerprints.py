"""Input digests, against every one that was recorded, and of trees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.config.errors import Place
from gestalt_host.config.model import AllowedOperation, ProviderEntry, Source, SourceMode
from gestalt_host.packages.digests import sha256_of_text
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.lock.fingerprints import (
    catalogue_fingerprint,
    digest_name,
    input_json,
    metadata_digest,
    package_location,
    relative_path,
    tree_digest,
    tree_lines,
)
from tests.support.recordings import RECORDINGS

LOCK = RECORDINGS / "packaging" / "lock"
ROWS = [json.loads(line) for line in (LOCK / "digests.jsonl").read_text().splitlines()]
HOST = {"os": "linux", "arch": "amd64"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['case']}-{row['section']}-{row['entry']}")
def test_a_recorded_digest_is_met(row: dict[str, Any]) -> None:
    text = input_json(row["name"], source=row.get("source", ""), path=row.get("path", ""), digest=row.get("digest", ""))
    assert text == row["json"]
    assert sha256_of_text(text) == row["inputDigest"]


@pytest.mark.parametrize("row", [row for row in ROWS if "tree" in row], ids=lambda row: f"{row['case']}-{row['entry']}")
def test_the_digest_of_a_recorded_tree_is_that_of_its_lines(row: dict[str, Any]) -> None:
    digest = sha256_of_text("\n".join(row["tree"]))
    if "metadata_json" in row:
        digest = sha256_of_text(f'{{"sourceDigest":"{digest}","metadata":{row["metadata_json"]}}}')
    assert digest == row["digest"]


def test_local_metadata_outside_of_a_source_tree_counts_alone(tmp_path: Path) -> None:
    row = next(row for row in ROWS if row["case"] == "local-release" and row["entry"] == "main")
    assert metadata_digest(row["metadata_json"], tmp_path / "dist" / "provider-release.yaml") == row["digest"]


def test_the_name_of_a_ui_is_marked() -> None:
    place, source = Place("gestalt.yaml"), Source(SourceMode.URL)
    assert digest_name(ProviderEntry("ui", "site", source, place)) == "ui:site"
    assert digest_name(ProviderEntry("cache", "site", source, place)) == "site"


def test_a_package_has_one_spelling() -> None:
    row = next(row for row in ROWS if row["case"] == "package-range" and row["entry"] == "main")
    source = Source(
        SourceMode.PACKAGE,
        package="github.com/acme/providers/indexeddb/foo",
        repository="local",
        version=">=1.0.0 <1.1.0",
    )
    assert package_location(source) == row["source"]


def test_a_path_is_written_from_the_configuration_s_directory(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "etc")
    assert relative_path(tmp_path / "src" / "manifest.yaml", tmp_path / "link") == "../src/manifest.yaml"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree whose manifest names everything that a digest is taken of."""
    files = ("manifest.yaml", "bin/run", "schema.json", "openapi.yaml", "icon.svg", "out/a/b.js", "out/Z", "out/a.css")
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "manifest.yaml"


DOCUMENT = {
    "iconFile": "icon.svg",
    "artifacts": [{**HOST, "path": "bin/run"}, {"os": "plan9", "arch": "mips", "path": "bin/other"}],
    "spec": {
        "configSchemaPath": "schema.json",
        "surfaces": {"openapi": {"document": "openapi.yaml"}, "mcp": {"url": "https://example.org/mcp"}},
        "assetRoot": "out",
    },
}


def test_a_tree_s_lines_are_in_the_specified_order(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_host.packages.lock.fingerprints.host_os", lambda: HOST["os"])
    monkeypatch.setattr("gestalt_host.packages.lock.fingerprints.host_arch", lambda: HOST["arch"])
    names = ["manifest.yaml", "bin/run", "schema.json", "openapi.yaml", "icon.svg"]
    lines = [sha256_of_text(name) for name in names]
    lines += [f"{name}={sha256_of_text(f'out/{name}')}" for name in ("Z", "a/b.js", "a.css")]
    assert list(tree_lines(tree, DOCUMENT)) == lines


@pytest.mark.parametrize(
    ("file", "counts"),
    [("bin/run", True), ("schema.json", True), ("catalog.yaml", True), ("out/new", True), ("plugin.py", False)],
)
def test_what_a_manifest_names_counts_and_source_code_does_not(
    tree: Path, file: str, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt_host.packages.lock.fingerprints.host_os", lambda: HOST["os"])
    monkeypatch.setattr("gestalt_host.packages.lock.fingerprints.host_arch", lambda: HOST["arch"])
    before = tree_digest(tree, DOCUMENT)
    (tree.parent / file).write_text("changed")
    assert (tree_digest(tree, DOCUMENT) != before) is counts


def test_an_artifact_of_this_platform_that_is_missing_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_host.packages.lock.fingerprints.host_os", lambda: "plan9")
    monkeypatch.setattr("gestalt_host.packages.lock.fingerprints.host_arch", lambda: "mips")
    with pytest.raises(PackageInvalid, match="bin/other: no such file"):
        tree_digest(tree, DOCUMENT)


def test_the_fingerprint_of_a_catalogue_is_of_the_allowed_operations() -> None:
    entries = json.loads((LOCK / "plugins" / "gestalt.lock.json").read_text())["providers"]["plugin"]
    assert catalogue_fingerprint(None) == entries["tasks"]["catalogFingerprint"]
    allowed = {
        "sub.add": AllowedOperation("sub.add"),
        "list": AllowedOperation("list", "all", "every <one>", ("admin",), ("t",)),
    }
    assert catalogue_fingerprint(allowed) == entries["tasks_some"]["catalogFingerprint"]
