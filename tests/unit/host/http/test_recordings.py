"""Every recorded conversation agrees, step by step, with the API over a host in memory.

``tests/conformance`` holds the real host to the same recordings; here they hold routes, bodies and shapes alone.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gestalt_host.http.listener import Listener
from tests.support.recordings import RECORDINGS, TOOLS, as_built


@pytest.mark.parametrize("name", ["basics", "schedules", "events-runs", "deviations"])
async def test_a_recorded_conversation_agrees(name: str, listener: Listener, tmp_path: Path) -> None:
    recording = as_built(RECORDINGS / "http" / f"{name}.jsonl", tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(TOOLS / "replay_http.py"),
        f"http://127.0.0.1:{listener.port}",
        str(recording),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
