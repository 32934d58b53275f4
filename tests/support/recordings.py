"""The recorded conversations, and the programs that replay them against a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT

CONFORMANCE = ROOT / "tests" / "conformance"
TOOLS = CONFORMANCE / "tools"
RECORDINGS = CONFORMANCE / "recordings"


NIGHTLY = ("firing.jsonl",)
"""Recordings that wait for minutes to pass."""


def recordings(folder: str) -> list[object]:
    """One parameter for each recording of a folder; long ones only at night."""
    found = sorted((RECORDINGS / folder).glob("*.jsonl"))
    return [
        pytest.param(path, id=f"{folder}/{path.stem}", marks=[pytest.mark.nightly] if path.name in NIGHTLY else [])
        for path in found
    ]


def replay(tool: str, *arguments: str | Path) -> None:
    """Run a tool; fail with what it printed unless every step agrees."""
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode:
        pytest.fail(f"{tool} exited with {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
