"""Every section of the benchmarks still runs; what it prints is not judged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.workflow.__main__ import SECTIONS
from tests.support.commands import ROOT


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the databases that the sections share."""
    return tmp_path_factory.mktemp("kept")


@pytest.mark.nightly
@pytest.mark.timeout(900)  # it builds the releases where no earlier run has left them
def test_the_benchmark_of_the_start_runs() -> None:
    command = [sys.executable, "-m", "benchmarks.start", "--repeats", "1", "--plugins", "1"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=880, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    for words in ("gestaltd --help", "imports of one plugin: ", "first start: ", "later start: ", "locked start: "):
        assert words in ended.stdout
    for words in ("installed files, ", "memory gestaltd: "):
        assert words in ended.stdout


@pytest.mark.nightly
@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_of_the_workflow_benchmark_runs(section: str, kept: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.workflow", "--tiny", "--keep", str(kept), section]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    title, figures = ended.stdout.split(f"## {section}\n")
    assert "# workflow" in title
    assert any(not line.startswith("#") for line in figures.splitlines()), ended.stdout
