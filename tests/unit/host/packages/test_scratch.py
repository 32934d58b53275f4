"""Scratch directories: private, removed at the end, and after a kill by the next one that is made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gestalt_host.packages.scratch import scratch_directory
from tests.support.waiting import until

HOLDER = """
import time
from gestalt_host.packages.scratch import scratch_directory
with scratch_directory("x") as directory:
    (directory / "f").touch()
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_gone_at_the_end(temporary: Path) -> None:
    def fail() -> None:
        with scratch_directory("x") as directory:
            assert directory.stat().st_mode & 0o777 == 0o700
            (directory / "f").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(temporary.iterdir()) == []


def test_one_in_use_stays_and_one_of_a_process_that_was_killed_goes(temporary: Path) -> None:
    other = temporary / "gestaltd-x-other"
    other.symlink_to("/etc")
    process = subprocess.Popen([sys.executable, "-c", HOLDER], env={**os.environ, "TMPDIR": str(temporary)})
    try:
        until(lambda: any(temporary.glob("gestaltd-x-*/f")) or None, within_s=30)
        (held,) = [path for path in temporary.glob("gestaltd-x-*") if path != other]
        with scratch_directory("x"):
            assert (held / "f").exists()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with scratch_directory("y"):
        assert held.exists()
    with scratch_directory("x"):
        assert not held.exists()
    assert list(temporary.iterdir()) == [other]
