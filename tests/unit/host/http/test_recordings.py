"""Every recorded conversation agrees, step by step, with the API over a host in memory.

``tests/conformance`` holds the real host to the same recordings; here they hold routes, bodies and shapes alone.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gestalt_host.http.listener import Listener

CONFORMANCE = Path(__file__).parents[3] / "conformance"
TOOL = CONFORMANCE / "tools" / "replay_http.py"


@pytest.mark.parametrize("name", ["basics", "schedules", "events-runs", "deviations"])
async def test_a_recorded_conversation_agrees(name: str, listener: Listener) -> None:
    recording = CONFORMANCE / "recordings" / "http" / f"{name}.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(TOOL),
        f"http://127.0.0.1:{listener.port}",
        str(recording),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
