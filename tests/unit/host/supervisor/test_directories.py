"""Where sockets lie: somewhere that can be written to and whose path is short enough."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from gestalt_host.errors import HostError
from gestalt_host.supervisor import directories
from gestalt_host.supervisor.directories import LONGEST_BASE_BYTES, make_directory, note_child, remove_directory


def test_a_path_that_is_too_long_for_sockets_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * LONGEST_BASE_BYTES)
    long.mkdir()
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="g") as short:
        monkeypatch.setattr(directories, "base_directories", lambda: [tmp_path / "missing", long, Path(short)])
        made = make_directory()
        assert made.parent == Path(short)
        assert len(os.fsencode(made / "scope-1000000.sock")) <= 103
        remove_directory(made)


def test_a_full_disk_is_passed_over_and_nothing_is_left_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, free = (Path(name) for name in (tempfile.mkdtemp(dir="/tmp"), tempfile.mkdtemp(dir="/var/tmp")))
    write_text = Path.write_text

    def written(path: Path, text: str) -> int:
        if full in path.parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_text(path, text)

    try:
        monkeypatch.setattr(Path, "write_text", written)
        monkeypatch.setattr(directories, "base_directories", lambda: [full, free])
        made = make_directory()
        assert made.parent == free
        assert not list(full.iterdir())
        # One that was made before the disk was full keeps its provider.
        note_child(full, os.getpid())
        remove_directory(made)
        monkeypatch.setattr(directories, "base_directories", lambda: [full])
        with pytest.raises(HostError, match="no directory for sockets can be made in"):
            make_directory()
        assert not list(full.iterdir())
    finally:
        for path in (full, free):
            path.rmdir()


def test_without_any_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "base_directories", lambda: [tmp_path / "missing"])
    with pytest.raises(HostError, match=r"no directory for sockets can be made in .*missing; set TMPDIR to one"):
        make_directory()


def test_a_system_without_any_temporary_directory_still_has_places_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert Path("/var/tmp") in directories.base_directories()
