"""Release metadata and indexes: what is accepted, and a corpus of what is not (packaging.md 7, 9)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import yaml

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.github import GitHubAsset
from gestalt_host.packages.releases.index import MOST_BYTES as MOST_INDEX_BYTES
from gestalt_host.packages.releases.index import read_index
from gestalt_host.packages.releases.metadata import MOST_BYTES, metadata_json, read_metadata, render_metadata

Document = dict[str, object]
METADATA: Document = {
    "schema": "gestaltd-provider-release",
    "schemaVersion": 1,
    "package": "github.com/acme/providers/indexeddb/foo",
    "kind": "indexeddb",
    "version": "1.2.3",
    "runtime": "executable",
    "artifacts": {"linux/amd64": {"path": "archive.tar.gz", "sha256": "ab" * 32}},
}
VERSION: Document = {"metadata": "foo/provider-release.yaml", "kind": "indexeddb", "runtime": "executable"}
ADDRESS = "github.com/acme/providers/indexeddb/foo"
INDEX: Document = {
    "schema": "gestaltd-provider-index",
    "schemaVersion": 1,
    "packages": {ADDRESS: {"displayName": "Foo", "description": "A store", "versions": {"1.2.3": VERSION}}},
}
READERS: dict[str, tuple[Callable[[bytes, str], object], Document, int]] = {
    "metadata": (read_metadata, METADATA, MOST_BYTES),
    "index": (read_index, INDEX, MOST_INDEX_BYTES),
}


def text_of(document: Document, **changes: object) -> bytes:
    return yaml.safe_dump({**document, **changes}, sort_keys=False).encode()


def refusal(read: Callable[[bytes, str], object], data: bytes) -> str:
    with pytest.raises(PackageInvalid) as failed:
        read(data, "where")
    return str(failed.value)


def test_metadata_is_read_and_written_again() -> None:
    release = read_metadata(text_of(METADATA), "where")
    assert (release.package, release.kind, release.version, release.runtime) == tuple(
        METADATA[key] for key in ("package", "kind", "version", "runtime")
    )
    assert read_metadata(render_metadata(release), "again") == release
    assert render_metadata(release) == render_metadata(release)


def test_json_a_byte_order_mark_comments_and_other_spellings_of_a_kind_are_accepted() -> None:
    release = read_metadata(text_of(METADATA), "where")
    assert read_metadata(json.dumps(METADATA, indent=2).encode(), "where") == release
    assert read_metadata(b"\xef\xbb\xbf# a comment\n" + text_of(METADATA, kind=" IndexedDB "), "where") == release


def test_documents_behind_the_first_are_not_read() -> None:
    release = read_metadata(text_of(METADATA), "where")
    assert read_metadata(text_of(METADATA) + b"---\nschema: other\n", "where") == release


def test_the_digest_of_local_metadata_is_taken_of_one_text() -> None:
    # Written down from what another host recorded.
    recorded = (
        '{"Schema":"gestaltd-provider-release","SchemaVersion":1,"Package":"github.com/acme/providers/indexeddb/foo",'
        '"Kind":"indexeddb","Version":"1.2.3","Runtime":"executable","Artifacts":{"darwin/arm64":{"Path":"a\\u003cb\\u003e",'
        '"SHA256":"00"},"linux/amd64":{"Path":"archive.tar.gz","SHA256":"' + "ab" * 32 + '"}}}'
    )
    artifacts = {"linux/amd64": {"path": "archive.tar.gz", "sha256": f" {'ab' * 32} "}}
    artifacts["darwin/arm64"] = {"path": "a<b>", "sha256": "00"}
    assert metadata_json(read_metadata(text_of(METADATA, artifacts=artifacts), "where")) == recorded


def test_an_index_is_read_with_its_places() -> None:
    versions = {"1.2.3": {**VERSION, "platforms": ["linux/amd64"], "yanked": True}, "2.0.0-rc.1": VERSION}
    (package,) = read_index(text_of(INDEX, packages={ADDRESS: {"versions": versions}}), "where").values()
    assert [str(one.version) for one in package.versions.values()] == ["1.2.3", "2.0.0-rc.1"]
    assert (package.versions["1.2.3"].yanked, package.versions["1.2.3"].platforms) == (True, ("linux/amd64",))
    assert read_index(text_of({"schema": "gestaltd-provider-index", "schemaVersion": 1}), "where") == {}


# What is refused ------------------------------------------------------------------------------------------------------

ARTIFACT = {"path": "a", "sha256": "b"}
WRONG_METADATA: dict[str, tuple[Document, str]] = {
    "no schema": ({"schema": None}, "schema: '' is not supported; accepted is gestaltd-provider-release"),
    "schema": ({"schema": "gestaltd-provider-index"}, "schema: 'gestaltd-provider-index' is not supported"),
    "schema version": ({"schemaVersion": 2}, "schemaVersion: 2 is not supported; accepted is 1"),
    "no schema version": ({"schemaVersion": None}, "schemaVersion: is required; accepted is 1"),
    "schema version as text": ({"schemaVersion": "1"}, "schemaVersion: must be an integer"),
    "package": ({"package": "acme/foo"}, "package: 'acme/foo' is not a package address"),
    "package in capitals": ({"package": "github.com/Acme/p/foo"}, "is not a package address"),
    "blanks around the package": ({"package": f" {ADDRESS}"}, "is not a package address"),
    "host without dot": ({"package": "localhost/a/b/c"}, "is not a package address"),
    "no package": ({"package": None}, "package: '' is not a package address"),
    "package as list": ({"package": [ADDRESS]}, "package: must be text, not"),
    "kind": ({"kind": "widget"}, "kind: 'widget' is not a kind; accepted are plugin"),
    "no kind": ({"kind": ""}, "kind: is required"),
    "version": ({"version": "v1.2.3"}, "version: 'v1.2.3' is not a semantic version"),
    "version as number": ({"version": 1.2}, "version: '1.2' is not a semantic version"),
    "blanks around the version": ({"version": " 1.2.3"}, "version: ' 1.2.3' is not a semantic version"),
    "runtime": ({"runtime": "Executable"}, "runtime: 'Executable' is not supported"),
    "no runtime": ({"runtime": None}, "runtime: is required"),
    "a blank before the runtime": ({"runtime": " executable"}, "runtime: ' executable' is not supported"),
    "a blank before the schema": (
        {"schema": " gestaltd-provider-release"},
        "schema: ' gestaltd-provider-release' is not",
    ),
    "runtime of another kind": ({"runtime": "ui"}, "runtime: 'ui' does not fit kind indexeddb; accepted is executable"),
    "declarative store": ({"runtime": "declarative"}, "'declarative' does not fit kind indexeddb"),
    "executable ui": ({"kind": "ui"}, "runtime: 'executable' does not fit kind ui; accepted is ui"),
    "ui plugin": ({"kind": "plugin", "runtime": "ui"}, "accepted is executable or declarative"),
    "no artifacts": ({"artifacts": {}}, "artifacts: is required"),
    "artifacts as list": ({"artifacts": [ARTIFACT]}, "artifacts: must be a mapping"),
    "artifacts as text": ({"artifacts": "x"}, "artifacts: must be a mapping"),
    "artifact as text": ({"artifacts": {"linux/amd64": "x"}}, "artifacts.linux/amd64: must be a mapping"),
    "empty artifact": ({"artifacts": {"linux/amd64": None}}, "artifacts.linux/amd64.path: is required"),
    "no digest": ({"artifacts": {"linux/amd64": {"path": "a"}}}, "sha256: is required"),
    "unknown key of an artifact": ({"artifacts": {"linux/amd64": {**ARTIFACT, "size": 1}}}, "size: unknown key"),
    "platform of one part": ({"artifacts": {"linux": ARTIFACT}}, "'linux' is not a platform; accepted are os/arch"),
    "platform of three parts": ({"artifacts": {"linux/amd64/musl": ARTIFACT}}, "is not a platform"),
    "blank platform": ({"artifacts": {"": ARTIFACT}}, "'' is not a platform"),
    "unknown key": ({"artefacts": {}}, "artefacts: unknown key; did you mean 'artifacts'?"),
}
WRONG_INDEX: dict[str, tuple[Document, str]] = {
    "schema": ({"schema": "gestaltd-provider-release"}, "accepted is gestaltd-provider-index"),
    "schema version": ({"schemaVersion": True}, "schemaVersion: must be an integer"),
    "packages as list": ({"packages": [1]}, "packages: must be a mapping"),
    "address": ({"packages": {"../../etc": {"versions": {"1.0.0": VERSION}}}}, "'../../etc' is not a package address"),
    "no versions": ({"packages": {ADDRESS: {"displayName": "Foo"}}}, "versions: is required: at least one version"),
    "version": ({"packages": {ADDRESS: {"versions": {"1.0": VERSION}}}}, "'1.0' is not a semantic version"),
    "no metadata": (
        {"packages": {ADDRESS: {"versions": {"1.0.0": {"kind": "ui", "runtime": "ui"}}}}},
        "metadata: is required",
    ),
    "no kind": (
        {"packages": {ADDRESS: {"versions": {"1.0.0": {"metadata": "x", "runtime": "ui"}}}}},
        "kind: is required",
    ),
    "no runtime": (
        {"packages": {ADDRESS: {"versions": {"1.0.0": {"metadata": "x", "kind": "ui"}}}}},
        "runtime: is required",
    ),
    "yanked": (
        {"packages": {ADDRESS: {"versions": {"1.0.0": {**VERSION, "yanked": "maybe"}}}}},
        "must be true or false",
    ),
    "platforms": ({"packages": {ADDRESS: {"versions": {"1.0.0": {**VERSION, "platforms": "all"}}}}}, "must be a list"),
    "unknown key": ({"packages": {ADDRESS: {"versions": {"1.0.0": VERSION}, "x": 1}}}, "x: unknown key"),
}


@pytest.mark.parametrize("case", WRONG_METADATA)
def test_metadata_with_a_fault_is_refused_with_its_line_and_path(case: str) -> None:
    changes, says = WRONG_METADATA[case]
    text = refusal(read_metadata, text_of(METADATA, **changes))
    assert text.startswith("release metadata: ")
    assert "where:" in text
    assert says in text


@pytest.mark.parametrize("case", WRONG_INDEX)
def test_an_index_with_a_fault_is_refused_with_its_line_and_path(case: str) -> None:
    changes, says = WRONG_INDEX[case]
    text = refusal(read_index, text_of(INDEX, **changes))
    assert text.startswith("provider index: ")
    assert says in text


def test_every_fault_is_told_at_once() -> None:
    text = refusal(read_metadata, text_of(METADATA, package="x", version="x", kind="x"))
    assert text.count("where:") == 3


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(f'*{old}' for _ in range(9))}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
RUBBISH: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the file is empty"),
    "blank": (b"\n \n", "the file is empty"),
    "text": (b"not found", "expected mapping document"),
    "a list": (b"- a", "expected mapping document"),
    "random bytes": (bytes(range(256)), "not UTF-8 text"),
    "Latin-1": ("displayName: caf\u00e9\n".encode("latin-1"), "where:1: not UTF-8 text"),
    "UTF-16": ("schema: x".encode("utf-16"), "the text is UTF-16; accepted is UTF-8"),
    "UTF-32": ("schema: x".encode("utf-32"), "the text is UTF-32; accepted is UTF-8"),
    "control characters": (b"schema: \x00", "the character #x0000 is not allowed"),
    "a page": (b"\n<!doctype html><title>Sign in</title>", "this is an HTML page"),
    "XML": (b"<?xml version='1.0'?><Error/>", "this is an HTML page"),
    "broken YAML": (b"schema: [", "where:1: while parsing a flow"),
    "tabs": (b"schema:\n\tx: 1", "cannot start any token"),
    "duplicate key": (b"schema: x\nschema: x\n", "where:2: schema: the key is already defined on line 1"),
    "deep nesting": (b"schema: " + b"[" * 10_000 + b"]" * 10_000, "nested more than 100 deep"),
    "deep mappings": (b"{a: " * 5000 + b"1" + b"}" * 5000, "nested more than 100 deep"),
    "aliases of aliases": (BOMB.encode(), "excessive aliasing"),
    "an anchor in itself": (b"schema: &a [*a]", "an anchor contains itself"),
    "a key that is no text": (b"1: x", "key 1 is not text"),
    "a tag of Python": (b"schema: !!python/object/apply:os.system [id]", "schema: must be text, not"),
    "a huge number": (b"schemaVersion: " + b"9" * 10_000, "too long for a number"),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("case", RUBBISH)
def test_rubbish_is_refused_with_its_reason(kind: str, case: str) -> None:
    read, _, _ = READERS[kind]
    data, says = RUBBISH[case]
    assert says in refusal(read, data)


@pytest.mark.parametrize("kind", READERS)
def test_a_document_over_its_limit_is_refused_unread(kind: str) -> None:
    read, document, most = READERS[kind]
    data = text_of(document)
    data += b"#" * (most + 1 - len(data))
    assert f"has {most + 1} bytes; accepted are {most}" in refusal(read, data)


def test_an_asset_on_github_has_one_canonical_location() -> None:
    asset = GitHubAsset("Acme/prov", "indexeddb/foo/v1.0.0", "provider-release.yaml")
    location = "github-release://github.com/Acme/prov?asset=provider-release.yaml&tag=indexeddb%2Ffoo%2Fv1.0.0"
    assert str(asset) == location
    assert GitHubAsset.parse(location) == asset


NO_ASSETS = ["https://github.com/a/b?asset=x&tag=y", "github-release://evil/a/b?asset=x&tag=y", "x", "", "http://["]
NO_ASSETS += ["github-release://github.com/a?asset=x&tag=y", "github-release://github.com/a/b?tag=y"]


@pytest.mark.parametrize("location", NO_ASSETS)
def test_what_is_no_asset_on_github_is_none(location: str) -> None:
    assert GitHubAsset.parse(location) is None


@pytest.mark.parametrize("name", READERS)
def test_of_a_document_that_is_full_of_faults_the_first_ones_are_told(name: str) -> None:
    read, document, _ = READERS[name]
    with pytest.raises(PackageInvalid) as caught:
        read(text_of(document, **{f"key{number}": 1 for number in range(500)}), "x.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 102
    assert "key0" in lines[1]
    assert lines[-1].strip() == "and 400 more"
