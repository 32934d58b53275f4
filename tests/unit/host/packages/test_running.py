from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gestalt_host.packages.running import KEPT_BYTES, run_program
from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import alive
from tests.support.waiting import until


async def test_what_a_program_writes_and_how_it_ends_is_told() -> None:
    script = "echo out; echo err >&2; exit 3"
    ended = await run_program(("/bin/sh", "-c", script), {}, limit_s=60, output_bytes=2)
    assert (ended.status, ended.output, ended.errors) == (3, "t\n", "err\n")
    ended = await run_program(("/bin/sh", "-c", f"{script[:-6]}kill -9 $$"), {}, limit_s=60)
    assert (ended.status, ended.output) == (-9, "")
    ended = await run_program((sys.executable, "-c", "print('x' * 10_000_000)"), {}, limit_s=60, output_bytes=10)
    assert ended.output == f"{'x' * 9}\n"
    assert KEPT_BYTES < 1_000_000


async def test_a_program_that_cannot_be_executed_leaves_no_descriptor_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            await run_program(("/nonexistent/program",), {}, limit_s=60)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_somebody_who_holds_the_output_is_not_waited_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"setsid sleep 600 & echo $! > {pid}; while ! pgrep -s $! >/dev/null; do :; done; echo done"
    ended = await run_program(("/bin/sh", "-c", script), dict(os.environ), limit_s=60, output_bytes=100)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert ended.status == 0


def test_a_program_ends_with_a_host_that_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    host = f"""
import asyncio
from gestalt_host.packages.running import run_program
asyncio.run(run_program(("/bin/sh", "-c", "trap '' TERM; sleep 600 & echo $! > {pid}; wait"), {{}}, limit_s=600))
"""
    process = subprocess.Popen([sys.executable, "-c", host], cwd=ROOT)
    try:
        until(lambda: pid.exists() and pid.read_text(), within_s=60)
    finally:
        process.kill()
        process.wait()
    started = int(pid.read_text())
    until(lambda: not alive(started), within_s=30)
