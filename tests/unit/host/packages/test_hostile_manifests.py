"""Manifests: the rules of both forms, and what is written to do harm, each refused with file, line and reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.packages import PackageInvalid, check_packaged, manifest_document, read_manifest
from gestalt_host.packages.digests import escaped_json
from tests.support.rigs.archives import PROGRAM, manifest_text, sha256
from tests.support.rigs.package import MANIFEST

BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))])


def edited(*path: str | int, value: object) -> str:
    """Return the text of a packaged manifest with one value at a path replaced or added."""
    document: Any = json.loads(manifest_text())
    place = document
    for part in path[:-1]:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    place[path[-1]] = value
    return json.dumps(document, indent=1)


UI = MANIFEST.replace("kind: plugin", "kind: ui")
YAML: dict[str, tuple[str, str]] = {
    "empty": ("", "m.yaml:1: parsing config YAML: the file is empty"),
    "a list": ("- a", "m.yaml:1: parsing config YAML: expected mapping document"),
    "a text": ("manifest", "expected mapping document"),
    "a duplicate key": (MANIFEST + "kind: ui", "m.yaml:6: kind: the key is already defined on line 2"),
    "a duplicate key below": (
        MANIFEST.replace("{}", "{mcp: true, mcp: false}"),
        "spec.mcp: the key is already",
    ),
    "a second document": (MANIFEST + "---\nkind: ui", "a second document begins here"),
    "an alias bomb": (MANIFEST + BOMB, "document contains excessive aliasing"),
    "an alias to itself": (MANIFEST + "a: &a [*a]", "m.yaml:6: a"),
    "deep nesting": (MANIFEST + "a: " + "[" * 200 + "]" * 200, "nested more than 100 deep"),
    "NUL": (MANIFEST + "a: \0", "#x0000 is not allowed"),
    "an escaped NUL": (MANIFEST + 'displayName: "a\\0b"', "m.yaml:6: displayName: has a NUL character"),
    "half a surrogate pair": (MANIFEST + 'displayName: "\\ud800"', "half of a surrogate pair is no character"),
    "a tag of Python": (MANIFEST + "a: !!python/object/apply:os.system [id]", "m.yaml:6: a: unknown key"),
    "a number that JSON lacks": (
        MANIFEST.replace("{}", "{connections: {a: {auth: {x: .inf}}}}"),
        "spec.connections.a.auth.x: .inf is not a number that JSON has",
    ),
    "a key that is a number": (MANIFEST + "1: 2", "key 1 is not text"),
    "a ui without files": (UI, "spec.assetRoot: is required for a ui"),
    "a ui with an entrypoint": (UI + "entrypoint: {artifactPath: x}", "entrypoint: a ui has none"),
    "a route for nobody": (
        UI.replace("{}", "{assetRoot: o, routes: [{path: /}]}"),
        "allowedRoles: is required",
    ),
    "a route without roles": (
        UI.replace("{}", "{assetRoot: o, routes: [{path: /, allowedRoles: []}]}"),
        "spec.routes[0].allowedRoles: is required",
    ),
    "a route without a path": (UI.replace("{}", "{routes: [{allowedRoles: [a]}]}"), "spec.routes[0].path: is required"),
}
JSON: dict[str, tuple[str, str]] = {
    "empty": ("", "m.json:1: not valid JSON"),
    "a list": ("[]", "m.json: expected a JSON object"),
    "YAML": ("kind: plugin", "m.json:1: not valid JSON"),
    "data behind it": (manifest_text() + "\n{}", "not valid JSON: Extra data"),
    "a byte order mark": ("\ufeff" + manifest_text(), "not valid JSON: Unexpected UTF-8 BOM"),
    "a comment": ("{} // x", "not valid JSON"),
    "NaN": (manifest_text(spec={"http": {"a": float("nan")}}), "NaN is not a number of JSON"),
    "a number beyond doubles": (
        manifest_text().replace('"spec": {}', '"spec": {"http": {"a": 1e999}}'),
        "1e999 ",
    ),
    "a number of many digits": ('{"kind": ' + "9" * 5000 + "}", "not valid JSON"),
    "deep nesting": ('{"a":' + "[" * 50_000 + "]" * 50_000 + "}", "nested more than 100 deep"),
    "many values": ('{"a": [' + ",".join("0" * 100_001) + "]}", "document has more than 100000 values"),
    "half a surrogate pair": (manifest_text(displayName="\ud800"), "half of a surrogate pair is no character"),
    "half a pair in a key": (manifest_text(**{"\udfff": 1}), "half of a surrogate pair is no character"),
    "NUL in arguments": (edited("entrypoint", "args", value=["a\0b"]), "m.json:16: entrypoint.args[0]: has a NUL"),
    "an unknown key": (edited("bogus", value=1), "m.json:17: bogus: unknown key; "),
    "an unknown key of an artifact": (edited("artifacts", 0, "size", value=1), "artifacts[0].size: unknown key; "),
    "an unknown key of the entrypoint": (edited("entrypoint", "env", value=1), "entrypoint.env: unknown key; "),
    "an unknown key of release": (edited("release", "run", value=1), "release.run: unknown key; "),
    "an unknown key of build": (edited("release", "build", "env", value=1), "release.build.env: unknown key; "),
    "an unknown key of spec": (edited("spec", "bogus", value=1), "spec.bogus: unknown key; "),
    "an unknown key of a surface": (
        edited("spec", "surfaces", "rest", "x", value=1),
        "rest.x: unknown key",
    ),
    "an unknown surface": (edited("spec", "surfaces", "soap", value={}), "spec.surfaces.soap: unknown key; "),
    "an unknown key of an operation": (
        edited("spec", "surfaces", "rest", "operations", value=[{"name": "a", "title": "b"}]),
        "spec.surfaces.rest.operations[0].title: unknown key; ",
    ),
    "an unknown key of a connection": (
        edited("spec", "connections", "c", "x", value=1),
        "connections.c.x: unknown",
    ),
    "an unknown key of pagination": (edited("spec", "pagination", "x", value=1), "spec.pagination.x: unknown key; "),
    "a kind that is none": (edited("kind", value=["plugin"]), "m.json:2: kind: must be text, not a list"),
    "a kind that is null": (edited("kind", value=None), "m.json:2: kind: is required"),
    "a number for a text": (edited("displayName", value=1), 'displayName: 1 is no text; accepted is "1"'),
    "a truth value in arguments": (
        edited("entrypoint", "args", value=["a", True]),
        'entrypoint.args: true is no text; accepted is "true"',
    ),
    "artifacts that are none": (edited("artifacts", value={}), "m.json:5: artifacts: must be a list, not a mapping"),
    "an artifact that is none": (edited("artifacts", value=["foo"]), "artifacts[0]: must be a mapping, not text"),
    "an entrypoint that is none": (edited("entrypoint", value="foo"), "entrypoint: must be a mapping, not text"),
    "arguments that are none": (edited("entrypoint", "args", value="-a"), "entrypoint.args: must be a list, not text"),
    "a spec that is none": (edited("spec", value=[]), "spec: must be a mapping, not a list"),
    "a flag that is none": (edited("spec", "mcp", value="perhaps"), "spec.mcp: must be true or false"),
    "a source with blanks": (edited("source", value=" a.b/c/d/e"), "source: ' a.b/c/d/e' is not a package address"),
    "a source with a line feed": (edited("source", value="a.b/c/d/e\n"), "is not a package address"),
    "a version with blanks": (edited("version", value="1.2.3 "), "version: '1.2.3 ' is not a semantic version"),
    "a version that is a number": (edited("version", value=1), "version: '1' is not a semantic version"),
    "a path of two platforms": (
        edited("artifacts", value=[{"os": o, "arch": "amd64", "path": "foo"} for o in ("linux", "darwin")]),
        "artifacts[1].path: 'foo' is a duplicate",
    ),
    "a platform twice": (
        edited("artifacts", value=[{"os": "linux", "arch": "amd64", "path": p} for p in ("foo", "bar")]),
        "artifacts[1]: a second artifact for linux/amd64",
    ),
    "a C library twice": (
        edited("artifacts", value=[{"os": "l", "arch": "a", "libc": "musl", "path": p} for p in ("foo", "bar")]),
        "artifacts[1]: a second artifact for l/a/musl",
    ),
    **{
        f"a path outside: {path!r}": (
            edited("entrypoint", "artifactPath", value=path),
            "is not a path inside the package",
        )
        for path in ("../foo", "/bin/sh", "./foo", "a//foo", "a/../foo", "foo/", "a\\foo", "foo ", "a\nb", "..", ".")
    },
    "a schema outside": (
        edited("spec", "configSchemaPath", value="../s"),
        "configSchemaPath: '../s' is not a path",
    ),
    "an icon outside": (edited("iconFile", value="/etc/passwd"), "iconFile: '/etc/passwd' is not a path inside"),
    "files of a ui outside": (edited("spec", "assetRoot", value=".."), "spec.assetRoot: '..' is not a path inside"),
    "a build outside": (
        edited("release", "build", value={"workdir": "..", "command": ["make"]}),
        "release.build.workdir: '..' is not a path inside",
    ),
    "a build of nothing": (edited("release", "build", value={"command": [" "]}), "release.build.command: is required"),
}


@pytest.mark.parametrize("case", YAML)
def test_hostile_yaml_is_refused_with_line_and_reason(tmp_path: Path, case: str) -> None:
    text, reason = YAML[case]
    refused(tmp_path / "m.yaml", text, reason)


@pytest.mark.parametrize("case", JSON)
def test_hostile_json_is_refused_with_line_and_reason(tmp_path: Path, case: str) -> None:
    text, reason = JSON[case]
    refused(tmp_path / "m.json", text, reason)


def refused(path: Path, text: str, reason: str) -> None:
    path.write_text(text)
    with pytest.raises(PackageInvalid) as failure:
        read_manifest(path, path.name)
    assert reason in str(failure.value)
    assert f"{path.name}:" in str(failure.value)


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageInvalid, match="is a directory; a regular file is accepted"):
        read_manifest(tmp_path)
    path = tmp_path / "m.json"
    path.write_text(manifest_text() + " " * (4 << 20))
    with pytest.raises(PackageInvalid, match=r"bytes; accepted are 4194304"):
        read_manifest(path)
    path.write_bytes(b'{"kind": "\xff"}')
    with pytest.raises(PackageInvalid, match="not UTF-8 text"):
        read_manifest(path)


def test_of_a_json_key_that_is_written_twice_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(manifest_text().replace('"version": "1.2.3"', '"version": "1.0.0",\n "version": "2.0.0"'))
    assert read_manifest(path).version == "2.0.0"


def test_every_fault_of_a_packaged_manifest_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(
        "kind: workflow\nsource: a.b/c/d/e\nversion: 1.0.0\nrelease: {build: {command: [make]}}\nartifacts:\n"
        "  - {os: darwin, arch: arm64, path: foo}\n  - os: linux\n    arch: arm64\n    path: bar\n    sha256: abc\n"
        "entrypoint:\n  artifactPath: foo\n"
    )
    with pytest.raises(PackageInvalid) as failure:
        check_packaged(read_manifest(path), "linux/arm64")
    assert str(failure.value).splitlines() == [
        "manifest: 4 problems",
        f"  {path}:4: release: belongs to source manifests; a packaged one has none",
        f"  {path}:6: artifacts[0].sha256: is required: the SHA-256 of the file, 64 hexadecimal digits",
        f"  {path}:10: artifacts[1].sha256: 'abc' is not one; accepted is the SHA-256 of the file, "
        "64 hexadecimal digits",
        f"  {path}:12: entrypoint.artifactPath: 'foo' is not the path of an artifact for linux/arm64; "
        "artifacts are there for darwin/arm64, linux/arm64",
    ]


FULL = {
    "spec": {
        "ui": {"path": "u"},
        "requires": ["x"],
        "mcp": False,
        "headers": {"b": "2", "a": "1"},
        "allowedOperations": {"z": None, "a": {"tags": ["t"], "allowedRoles": [], "alias": "b"}},
        "connections": {"b": {"auth": {"type": "none"}, "mode": "none"}, "a": {}},
        "surfaces": {
            "rest": {
                "operations": [
                    {
                        "parameters": [{"required": False, "in": "path", "type": "int", "name": "p"}],
                        "path": "/<&>{p}",
                        "method": "GET",
                        "description": "",
                        "name": "z",
                    },
                    {"path": "/a", "method": "PUT", "idempotent": True, "name": "a"},
                ],
                "baseUrl": "http://x",
            }
        },
        "configSchemaPath": "s.json",
    },
    "entrypoint": {"args": ["", " -a"], "artifactPath": "foo"},
    "artifacts": [{"path": "foo", "libc": "musl", "arch": "amd64", "os": "linux"}],
    "release": {"build": {"command": ["make"]}},
    "iconFile": "i.svg",
    "description": "",
    "displayName": " Foo ",
    "version": "1.2.3",
    "source": "a.b/c/d/e",
    "kind": " Plugin ",
}
DOCUMENT = (
    '{"kind":"plugin","source":"a.b/c/d/e","version":"1.2.3","displayName":"Foo","iconFile":"i.svg",'
    '"artifacts":[{"os":"linux","arch":"amd64","libc":"musl","path":"foo"SHA}],'
    '"entrypoint":{"artifactPath":"foo","args":[""," -a"]},'
    '"spec":{"configSchemaPath":"s.json","surfaces":{"rest":{"baseUrl":"http://x","operations":[{"name":"z",'
    '"method":"GET","path":"/\\u003c\\u0026\\u003e{p}","parameters":[{"name":"p","type":"int","in":"path"}]},'
    '{"name":"a","method":"PUT","path":"/a","idempotent":true}]}},'
    '"connections":{"a":{},"b":{"mode":"none","auth":{"type":"none"}}},"headers":{"a":"1","b":"2"},'
    '"allowedOperations":{"a":{"alias":"b","tags":["t"]},"z":null},"ui":{"path":"u"},"requires":["x"]}}'
)


def test_the_document_of_a_manifest_has_its_keys_in_order_and_nothing_empty(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(FULL))
    assert escaped_json(manifest_document(read_manifest(path))) == DOCUMENT.replace("SHA", "")
    (tmp_path / "foo").write_bytes(PROGRAM)
    named = DOCUMENT.replace("SHA", f',"sha256":"{sha256(PROGRAM)}"')
    assert escaped_json(manifest_document(read_manifest(path))) == named


def test_an_empty_spec_is_kept_and_one_that_is_not_there_is_not_invented(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(manifest_text())
    assert list(manifest_document(read_manifest(path)).items())[-1] == ("spec", {})
    path.write_text(manifest_text(spec=None))
    assert "spec" not in manifest_document(read_manifest(path))
