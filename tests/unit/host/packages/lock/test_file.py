"""Lock files: the recorded bytes, what readers overlook, what they refuse, and that writing leaves one whole."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.packages.lock import file
from gestalt_host.packages.lock.file import FILE_NAME, LockUnreadable, lock_text, read_lock, write_lock
from gestalt_host.packages.lock.model import Lock, LockEntry
from tests.support.recordings import RECORDINGS

LOCKS = sorted((RECORDINGS / "packaging" / "lock").glob(f"*/{FILE_NAME}"))
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Change], Path]:
    def write(change: Change) -> Path:
        document = json.loads(LOCKS[0].read_text())
        change(document)
        path = tmp_path / FILE_NAME
        path.write_text(json.dumps(document))
        return path

    return write


def test_there_are_recorded_locks() -> None:
    assert len(LOCKS) > 10


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_a_recorded_lock_is_written_as_it_was_read(path: Path) -> None:
    assert lock_text(read_lock(path)) == path.read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda lock: lock.update(schemaVersion=5),
        lambda lock: lock.update(revision=3),
        lambda lock: lock.update(unknown=1),
        lambda lock: lock["providers"].update(unknown={}),
        lambda lock: lock["providers"]["indexeddb"]["main"].update(unknown=1),
        lambda lock: lock["providers"]["indexeddb"]["main"].update(
            InputDigest=lock["providers"]["indexeddb"]["main"].pop("inputDigest")
        ),
    ],
)
def test_a_reader_overlooks_what_does_not_matter(changed: Callable[[Change], Path], change: Change) -> None:
    assert read_lock(changed(change)) == read_lock(LOCKS[0])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda lock: lock.update(schema="other"), "schema is 'other'"),
        (lambda lock: lock.pop("schema"), "schema is None"),
        (lambda lock: lock.update(schemaVersion=4), "schemaVersion is 4; accepted are 5 and 6"),
        (lambda lock: lock.update(schemaVersion=7), "schemaVersion is 7"),
        (lambda lock: lock.update(schemaVersion="6"), "schemaVersion is '6'"),
        (lambda lock: lock.update(providers=[]), "providers is []; accepted is an object"),
        (
            lambda lock: lock["providers"]["indexeddb"]["main"].update(version=1),
            "providers.indexeddb.main.version is 1; accepted is text",
        ),
        (
            lambda lock: lock["providers"]["indexeddb"]["main"].update(catalogOperations="x"),
            'providers.indexeddb.main.catalogOperations is "x"; accepted is a list',
        ),
    ],
)
def test_what_is_no_lock_is_refused_by_name(changed: Callable[[Change], Path], change: Change, named: str) -> None:
    path = changed(change)
    with pytest.raises(LockUnreadable) as caught:
        read_lock(path)
    assert str(path) in str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "gestaltd-provider-lock", "schemaVersion": 6} x', "[" * 9999]
)
def test_a_file_that_is_no_object_of_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)
    with pytest.raises(LockUnreadable, match=r"gestalt\.lock\.json"):
        read_lock(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockUnreadable, match=f"open {tmp_path}/{FILE_NAME}: no such file or directory"):
        read_lock(tmp_path / FILE_NAME)


def test_a_lock_is_written_for_everybody_to_read_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_lock(tmp_path / FILE_NAME, Lock())
    finally:
        os.umask(old)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o644
    assert read_lock(tmp_path / FILE_NAME) == Lock()


def test_a_lock_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("planted")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="planted"):
        write_lock(path, Lock())
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
    assert path.read_text() == "old"


def test_a_symbolic_link_to_a_lock_stays_one(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / FILE_NAME
    path.symlink_to(tmp_path / "elsewhere" / FILE_NAME)
    write_lock(path, Lock())
    assert path.is_symlink()
    assert read_lock(tmp_path / "elsewhere" / FILE_NAME) == Lock()


def test_files_that_an_editor_keeps_beside_a_lock_file_stay(tmp_path: Path) -> None:
    swap = tmp_path / f".{FILE_NAME}.swp"
    swap.write_text("of an editor")
    (tmp_path / f".{FILE_NAME}.new-abc").write_text("of a process that was killed")
    write_lock(tmp_path / FILE_NAME, read_lock(LOCKS[0]))
    assert sorted(path.name for path in tmp_path.iterdir()) == [swap.name, FILE_NAME]


def test_what_is_written_can_be_read_again_however_much_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = {"spec": {"text": "x" * 3_000_000}}
    entries = {("plugin", name): LockEntry("digest", "plugin", "executable", manifest=manifest) for name in "ab"}
    write_lock(tmp_path / FILE_NAME, Lock(entries))
    assert read_lock(tmp_path / FILE_NAME) == Lock(entries)
    monkeypatch.setattr(file, "MOST_BYTES", 1000)
    with pytest.raises(OSError, match=r"it would have 6\d+ bytes; accepted are 1000"):
        write_lock(tmp_path / FILE_NAME, Lock(entries))
    with pytest.raises(LockUnreadable, match=r"has 6\d+ bytes; accepted are 1000"):
        read_lock(tmp_path / FILE_NAME)


@pytest.mark.parametrize("levels", [201, 900, 100_000])
def test_what_is_nested_too_deeply_to_be_compared_is_refused(changed: Callable[[Change], Path], levels: int) -> None:
    path = changed(lambda lock: lock["providers"]["indexeddb"]["main"].update(manifest="@"))
    path.write_text(path.read_text().replace('"@"', '{"a":' * levels + "0" + "}" * levels))
    with pytest.raises(LockUnreadable, match=r"is nested too deeply; accepted are 200 levels"):
        read_lock(path)


def test_somebody_who_keeps_the_directory_locked_is_named_and_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "WAIT_S", 0)
    path = tmp_path / FILE_NAME
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)
    with pytest.raises(TimeoutError, match="another process has had its directory locked for 0 s"):
        write_lock(path, Lock())
    assert list(tmp_path.iterdir()) == []
    os.close(holder)
    write_lock(path, Lock())
    assert read_lock(path) == Lock()
