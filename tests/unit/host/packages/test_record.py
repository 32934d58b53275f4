"""What lies in a prepared directory against what was installed there: every change is found and named."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gestalt_host.packages import manifest_document, read_manifest
from gestalt_host.packages.installed.install import install
from gestalt_host.packages.installed.readings import Readings, state_of
from gestalt_host.packages.installed.record import FILE_NAME, Expected, faults_of, read_record
from tests.support.rigs.archives import PACKAGE, entry, manifest_text, sha256, store, written

PLUGIN = manifest_text(kind="plugin", displayName="Tasks")
DATA = store(entry("catalog.yaml", b"name: tasks\n"), entry("d/deep/file"), manifest=PLUGIN)
EXPECTED = Expected(PACKAGE, "1.2.3", "plugin", sha256(DATA), json.loads(PLUGIN), "executable")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "prepared" / "tasks"
    install(written(tmp_path / "a.tar.gz", DATA), directory, EXPECTED, "linux/amd64")
    return directory


def rewritten(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def in_manifest(**changes: object) -> Callable[[Path], object]:
    return lambda directory: rewritten(directory / "manifest.json", **changes)


def in_record(**changes: object) -> Callable[[Path], object]:
    return lambda directory: rewritten(directory / FILE_NAME, **changes)


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def whole_forged(directory: Path) -> None:
    """Replace the executable, and write manifest and record as if it had been installed so."""
    (directory / "foo").write_bytes(b"evil")
    document = json.loads((directory / "manifest.json").read_text())
    document["artifacts"][0]["sha256"] = sha256(b"evil")
    (directory / "manifest.json").write_text(json.dumps(document))
    record = json.loads((directory / FILE_NAME).read_text())
    for name in ("foo", "manifest.json"):
        data = (directory / name).read_bytes()
        record["files"][name].update(sha256=sha256(data), size=len(data))
    (directory / FILE_NAME).write_text(json.dumps(record))


def forged_record(directory: Path) -> None:
    (directory / "foo").write_bytes(b"evil")
    record = json.loads((directory / FILE_NAME).read_text())
    record["files"]["foo"].update(sha256=sha256(b"evil"), size=4)
    (directory / FILE_NAME).write_text(json.dumps(record))


FOO = "foo: its content has been changed"
MANIFEST = "manifest.json: its content has been changed"
CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda d: None, []),
    "a touched file": (lambda d: os.utime(d / "foo", (1, 1)), []),
    "modes that a volume gives": (lambda d: (d / "foo").chmod(0o775), []),
    "an empty directory": (lambda d: (d / "__pycache__").mkdir(), []),
    "an executable of the same size": (lambda d: (d / "foo").write_bytes(b"#!/bin/sh\nexit 1\n"), [FOO]),
    "an executable of another size": (lambda d: (d / "foo").write_bytes(b"x"), [FOO]),
    "no x bit": (lambda d: (d / "foo").chmod(0o644), ["foo: its mode is 0644, installed was 0755"]),
    "an x bit": (lambda d: (d / "catalog.yaml").chmod(0o755), ["catalog.yaml: its mode is 0755, installed was 0644"]),
    "a set-id bit": (lambda d: (d / "foo").chmod(0o4755), ["foo: its mode is 4755, installed was 0755"]),
    "a link": (lambda d: replaced(d / "foo", lambda p: p.symlink_to("/bin/true")), ["foo: is a link, not the file"]),
    "a link to itself elsewhere": (lambda d: replaced(d / "foo", lambda p: p.symlink_to(p)), ["foo: is a link"]),
    "a directory": (lambda d: replaced(d / "foo", Path.mkdir), ["foo: is a directory, not the file"]),
    "a pipe": (lambda d: replaced(d / "foo", os.mkfifo), ["foo: is neither a file nor a directory, not the file"]),
    "a removed file": (lambda d: (d / "catalog.yaml").unlink(), ["catalog.yaml: is missing"]),
    "a removed file below": (lambda d: (d / "d" / "deep" / "file").unlink(), ["d/deep/file: is missing"]),
    "an added file": (lambda d: (d / "extra").write_text("x"), ["extra: was added"]),
    "an added file below": (lambda d: (d / "d" / "deep" / ".x").write_text("x"), ["d/deep/.x: was added"]),
    "an added link": (lambda d: (d / "l").symlink_to("/etc"), ["l: was added"]),
    "arguments": (
        in_manifest(entrypoint={"artifactPath": "foo", "args": ["--evil"]}),
        [MANIFEST, "manifest.json: entrypoint.args is not as in the lock file"],
    ),
    "a display name": (
        in_manifest(displayName="Other"),
        [MANIFEST, "manifest.json: displayName is not as in the lock file"],
    ),
    "a kind": (
        in_manifest(kind="workflow"),
        [MANIFEST, "manifest.json: kind is workflow, that of the"],
    ),
    "a version": (in_manifest(version="9.9.9"), [MANIFEST, "manifest.json: version is 9.9.9, that of the lock file"]),
    "a source": (in_manifest(source="example.org/a/b/c"), [MANIFEST, "manifest.json: source is example.org/a/b/c"]),
    "a broken manifest": (
        lambda d: (d / "manifest.json").write_text("{"),
        [MANIFEST, "manifest.json:1: not"],
    ),
    "no manifest": (lambda d: (d / "manifest.json").unlink(), ["manifest.json: is missing", "no manifest; looked for"]),
    "another manifest before it": (
        lambda d: (d / "manifest.json").rename(d / "manifest.yaml"),
        ["manifest.yaml: was added", "manifest.json: is missing"],
    ),
    "no record": (lambda d: (d / FILE_NAME).unlink(), [f"{FILE_NAME}: no such file or directory"]),
    "a broken record": (lambda d: (d / FILE_NAME).write_text("[" * 9999), [f"{FILE_NAME}: is not the record"]),
    "a record of another form": (in_record(format=99), [f"{FILE_NAME}: is not the record of an installation"]),
    "a record with numbers that are none": (
        in_record(files={"run": {"sha256": "x", "size": 1.5, "mode": 0.5}}),
        [f"{FILE_NAME}: is not the record of an installation"],
    ),
    "a record without files": (in_record(files=[]), [f"{FILE_NAME}: is not the record of an installation"]),
    "a record that is a pipe": (lambda d: replaced(d / FILE_NAME, os.mkfifo), [f"{FILE_NAME}: is a pipe"]),
    "a record that is a link": (
        lambda d: (d / FILE_NAME).symlink_to((d / FILE_NAME).rename(d.parent / "r")),
        [f"{FILE_NAME}: is a link, not the file"],
    ),
    "another archive": (in_record(archive_sha256="0" * 64), ["installed from another archive: its sha256 is 000"]),
    "another package": (in_record(package="a.b/c/d/e"), ["installed from another release: its package is a.b/c/d/e"]),
    "a forged record": (forged_record, ["foo: its sha256 is not the one that manifest.json names"]),
    "everything forged": (whole_forged, ["manifest.json: artifacts is not as in the lock file"]),
}


@pytest.mark.parametrize("case", CHANGES)
def test_every_change_is_found_and_named(directory: Path, case: str) -> None:
    change, wanted = CHANGES[case]
    change(directory)
    faults = faults_of(directory, EXPECTED)
    for fault in wanted:
        assert any(fault in found for found in faults), faults
    assert len(faults) == len(wanted), faults


def test_a_directory_that_is_not_there_or_no_directory_is_a_fault(directory: Path, tmp_path: Path) -> None:
    assert faults_of(tmp_path / "none", EXPECTED) == [f"{tmp_path / 'none'}: no such file or directory"]
    (tmp_path / "link").symlink_to(directory)
    assert faults_of(tmp_path / "link", EXPECTED) == [f"{tmp_path / 'link'}: is a link, not a directory"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"archive_sha256": "1" * 64}, "installed from another archive: its sha256 is"),
        ({"package": "a.b/c/d/e"}, "installed from another release: its package is"),
        ({"version": "2.0.0"}, "installed from another release: its version is 1.2.3, that of the lock file 2.0.0"),
        ({"kind": "agent"}, "installed from another release: its kind is plugin, that of the lock file agent"),
        ({"runtime": "declarative"}, "manifest.json: runtime is executable, that of the lock file declarative"),
    ],
)
def test_what_the_lock_file_wants_is_compared(directory: Path, changes: dict[str, str], fault: str) -> None:
    assert any(fault in found for found in faults_of(directory, replace(EXPECTED, **changes)))  # type: ignore[arg-type]


def test_what_the_lock_file_does_not_say_is_not_compared(directory: Path) -> None:
    expected = replace(EXPECTED, archive_sha256="", manifest=None, runtime="")
    assert faults_of(directory, expected) == []


def test_manifests_are_compared_by_what_they_say_not_by_how_it_is_written(directory: Path) -> None:
    document = manifest_document(read_manifest(directory / "manifest.json"))
    upside_down = {key: document[key] for key in reversed(document)}
    assert faults_of(directory, replace(EXPECTED, manifest={**upside_down, "kind": "Plugin", "description": ""})) == []


def test_of_many_faults_the_first_are_named_and_the_others_counted(directory: Path) -> None:
    for number in range(100):
        (directory / f"{number:03}").touch()
    faults = faults_of(directory, EXPECTED)
    assert len(faults) == 21
    assert faults[0] == "000: was added"
    assert faults[-1] == "and 80 more faults"


def test_a_record_that_is_too_large_is_a_fault(directory: Path) -> None:
    with (directory / FILE_NAME).open("ab") as file:
        file.truncate((64 << 20) + 1)
    assert faults_of(directory, EXPECTED) == [f"{FILE_NAME}: has 67108865 bytes; accepted are 67108864"]


def test_what_was_read_and_is_as_installed_is_noted_unless_it_was_written_a_moment_ago(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "d" / "deep" / "file").write_text("other")
    recent, settled = Readings(), Readings()
    assert faults_of(directory, EXPECTED, recent) == ["d/deep/file: its content has been changed"]
    assert recent.take(directory) == {}
    later = time.time_ns() + 2_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    faults_of(directory, EXPECTED, settled)
    unchanged = read_record(directory).files.keys() - {"d/deep/file"}
    assert settled.take(directory) == {name: state_of((directory / name).lstat()) for name in unchanged}
