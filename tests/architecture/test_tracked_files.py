"""What the repository keeps is text that somebody wrote or generated here, in pieces that a clone does not notice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGEST_BYTES = 1024 * 1024
BUILT = {".whl", ".so", ".exe", ".zip", ".gz", ".pyc", ".db"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files are tracked")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def refused(path: Path) -> str | None:
    """Return why a file may not be tracked, or None."""
    size = path.lstat().st_size
    if size > LARGEST_BYTES:
        return f"{path.name} has {size} bytes; at most {LARGEST_BYTES} are kept in the repository"
    if path.suffix in BUILT:
        return f"{path.name} is built or packed: make it where it is needed"
    return None


def test_no_tracked_file_is_large_or_built() -> None:
    found = [reason for path in tracked_files() if path.is_file() and (reason := refused(path))]
    assert not found, "\n".join(found)


def test_a_large_file_and_a_wheel_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "vectors.jsonl"
    large.write_bytes(b"\n" * (LARGEST_BYTES + 1))
    wheel = tmp_path / "grpcio.whl"
    wheel.write_bytes(b"PK")
    assert refused(large) == "vectors.jsonl has 1048577 bytes; at most 1048576 are kept in the repository"
    assert refused(wheel) == "grpcio.whl is built or packed: make it where it is needed"
