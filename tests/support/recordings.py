"""The recorded conversations, and the programs that replay them against a process."""

from __future__ import annotations

import json
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


NOT_BUILT = {
    "http/basics.jsonl": (
        "events, GET falls through to the catch-all",
        "runs, POST",
        "runs/, POST",
    ),
    "http/events-runs.jsonl": ("filter: empty filters and unknown parameters",),
}
"""Steps with a deviation that is decided and not built yet; the recorded answer still is the one that they get."""


def as_built(path: Path, folder: Path) -> Path:
    """Return the recording without the deviations of ``NOT_BUILT``, written to ``folder`` where there are any.

    Raises:
        LookupError: a named step is not in the recording, or has no deviation.
    """
    missing = set(NOT_BUILT.get(f"{path.parent.name}/{path.name}", ()))
    if not missing:
        return path
    lines = []
    for line in path.read_text().splitlines():
        step = json.loads(line)
        if step.get("name") in missing and "deviation" in step:
            missing.discard(step["name"])
            step = {name: value for name, value in step.items() if name not in ("deviation", "expect")}
        lines.append(json.dumps(step, ensure_ascii=False))
    if missing:
        raise LookupError(f"{path.name} has no deviation at {', '.join(sorted(missing))}")
    written = folder / path.name
    written.write_text("\n".join(lines) + "\n")
    return written


def recordings(folder: str) -> list[object]:
    """One parameter for each recording of a folder; long ones only at night."""
    found = sorted((RECORDINGS / folder).glob("*.jsonl"))
    return [
        pytest.param(path, id=f"{folder}/{path.stem}", marks=[pytest.mark.nightly] if path.name in NIGHTLY else [])
        for path in found
    ]


def replay(tool: str, *arguments: str | Path, within_s: float = 280) -> None:
    """Run a tool; fail with what it printed unless every step agrees."""
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=within_s, check=False)
    if done.returncode:
        pytest.fail(f"{tool} exited with {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
