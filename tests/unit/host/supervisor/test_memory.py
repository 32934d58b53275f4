"""Memory of a provider's process and its group: what is told of it, and what happens beyond a limit."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gestalt_host.config.model import ProviderLimits
from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import ProviderProcess, ProviderStartFailed, State
from gestalt_host.supervisor.launching.launch import OOM_SCORE
from gestalt_host.supervisor.output.recent import Ended
from gestalt_host.supervisor.watching.memory import group_memory
from tests.support.rigs.supervisor import QUICK, WORKFLOW, new_process
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")

Launch = Callable[..., Awaitable[ProviderProcess]]
Script = Callable[..., LaunchCommand]
LIMIT = ProviderLimits(memory_bytes=150 * 1024**2)
HOARD = "import time\nhoard = b'x' * 300_000_000\ntime.sleep(600)\n"
OFTEN = replace(QUICK, memory_look_s=0.05)


def test_memory_of_this_group_is_known_and_that_of_no_group_is_not() -> None:
    used = group_memory(os.getpgrp(), 0)
    assert used is not None
    assert used > 10_000_000
    assert group_memory(2**30) is None


async def test_one_that_uses_too_much_while_it_starts_says_so(script: Script) -> None:
    process = new_process(script(HOARD), timings=OFTEN, limits=LIMIT)
    with pytest.raises(ProviderStartFailed, match=r"it used \d+ MiB of memory, more than its limit of 150 MiB"):
        await process.start()
    assert "more than its limit of 150 MiB" in process.absence
    assert process.state is State.FAILED
    assert process.memory_exceeded == 1
    (how,) = [entry.what.how for entry in process.output.recent.kept if isinstance(entry.what, Ended)]
    assert how.startswith("signal SIGKILL: it used ")


async def test_what_a_provider_has_started_counts_too(launched: Launch, script: Script) -> None:
    starting_another = WORKFLOW.replace(
        "async def configure(self, name, config):",
        "async def configure(self, name, config):\n"
        "            import subprocess\n"
        f"            if not (pathlib.Path(__file__).parent / 'done').exists():\n"
        f"                (pathlib.Path(__file__).parent / 'done').touch()\n"
        f"                subprocess.Popen([sys.executable, '-c', {HOARD!r}])",
    )
    process = await launched(script(starting_another), timings=OFTEN, limits=LIMIT)

    async def started_again() -> bool | None:
        return True if process.restarts == 1 and process.is_ready else None

    await eventually(started_again, within_s=60)
    fault = process.report().last_fault
    assert fault is not None
    assert fault.text.startswith("it used ")
    assert fault.text.endswith(" MiB of memory, more than its limit of 150 MiB")
    assert process.memory_exceeded == 1


async def test_providers_go_before_the_host_when_the_machine_has_no_memory(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW))
    own = int(Path("/proc/self/oom_score_adj").read_text())
    score = int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())
    assert score == min(own + OOM_SCORE, 1000)
