"""What is told of a provider's process: its state since when, its number, its memory, and what was wrong last."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import ProviderProcess, ProviderStartFailed
from tests.support.rigs.supervisor import WORKFLOW, new_process
from tests.support.waiting import eventually

Launch = Callable[..., Awaitable[ProviderProcess]]
Script = Callable[..., LaunchCommand]
LEAST_BYTES = 10_000_000
"""A Python process with gRPC uses more."""


async def restarted(process: ProviderProcess, times: int = 1) -> None:
    async def is_so() -> bool | None:
        return True if process.restarts >= times and process.is_ready else None

    await eventually(is_so, within_s=30)


async def test_a_process_is_starting_until_it_is_ready(script: Script) -> None:
    before = datetime.now(UTC)
    process = new_process(script(WORKFLOW))
    report = process.report()
    assert (report.state, report.reason, report.pid, report.memory_bytes) == ("starting", "it starts soon", None, None)
    assert before <= report.since <= datetime.now(UTC)
    await process.start()
    try:
        ready = process.report()
        assert (ready.state, ready.reason, ready.restarts, ready.last_fault) == ("ready", "", 0, None)
        assert ready.pid == process.pid
        assert ready.since > report.since
        if sys.platform == "linux":
            assert ready.memory_bytes is not None
            assert ready.memory_bytes > LEAST_BYTES
        assert process.report().since == ready.since
    finally:
        await process.stop(1)
    stopped = process.report()
    assert (stopped.state, stopped.reason, stopped.pid, stopped.memory_bytes) == (
        "stopped",
        "it was stopped",
        None,
        None,
    )


async def test_the_last_fault_stays_when_the_process_is_well_again(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW))
    ready_since = process.report().since
    os.kill(process.pid or 0, signal.SIGKILL)
    await restarted(process)
    report = process.report()
    assert (report.state, report.reason, report.restarts) == ("ready", "", 1)
    assert report.last_fault is not None
    assert report.last_fault.text == "process ended (signal SIGKILL)"
    assert ready_since < report.last_fault.at < report.since


async def test_a_fault_of_a_failed_start_is_not_told_in_the_providers_words(script: Script) -> None:
    process = new_process(script(WORKFLOW), config={"refuse": "the password hunter2 is wrong"})
    with pytest.raises(ProviderStartFailed, match="hunter2"):
        await process.start()
    report = process.report()
    assert report.state == "failed"
    assert report.reason.startswith("it could not be started: ")
    assert report.last_fault is not None
    assert report.last_fault.text == report.reason
    assert "hunter2" not in str(report)


async def test_a_fault_of_a_later_start_is_not_told_in_the_providers_words(launched: Launch, script: Script) -> None:
    command = script(WORKFLOW)
    process = await launched(command)
    refusing = 'async def configure(self, name, config):\n        raise ValueError("hunter2")'
    program = Path(command.args[1])
    source = program.read_text()
    program.write_text(source.replace("async def configure(self, name, config):", refusing, 1))
    os.kill(process.pid or 0, signal.SIGKILL)

    async def refused() -> bool | None:
        return True if "hunter2" in process.last_error else None

    await eventually(refused, within_s=30)
    fault = process.report().last_fault
    assert fault is not None
    assert fault.text.startswith("it could not be started: ")
    assert "hunter2" not in str(process.report())
    program.write_text(source)
    await restarted(process, 2)
    assert process.report().last_fault is not None


async def test_a_problem_of_health_is_a_fault_too(launched: Launch, script: Script) -> None:
    ill = "async def health(self):\n            raise RuntimeError('hunter2')\n\n        async def drain"
    process = await launched(script(WORKFLOW.replace("async def drain", ill)))
    assert await process.health_problem() == "hunter2"
    fault = process.report().last_fault
    assert fault is not None
    assert fault.text == "its health check said that it is not ready"
