"""What a process writes reaches the log line by line; too much of it is dropped and said; nobody ever waits."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gestalt_host.config.model import OutputLimits
from gestalt_host.supervisor.errors import ProviderStartFailed
from gestalt_host.supervisor.launching.child import Child
from gestalt_host.supervisor.output import ProcessOutput, ProviderOutput
from gestalt_sdk.serving.logs import write_line
from tests.support.rigs.supervisor import new_process
from tests.support.waiting import eventually, one_turn

Script = Callable[..., Any]


class Log:
    """Takes lines, or has no room for them."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.is_full = False

    def write(self, line: Mapping[str, object]) -> bool:
        if not self.is_full:
            self.lines.append(dict(line))
        return not self.is_full

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


@pytest.fixture
def log() -> Log:
    return Log()


def output_to(log: Log, **limits: int) -> ProviderOutput:
    return ProviderOutput("roadmap", "integration", OutputLimits(**limits), log.write)


async def run(output: ProviderOutput, source: str) -> int:
    child = await Child.spawn([sys.executable, "-u", "-c", source], dict(os.environ), output)
    async with asyncio.timeout(60):
        return await child.wait()


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def test_a_line_is_in_the_log_before_the_process_ends(log: Log, tmp_path: Path) -> None:
    source = f"import os, time\nprint('here')\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)"
    child = await Child.spawn([sys.executable, "-u", "-c", source], dict(os.environ), output_to(log))
    try:

        async def seen() -> bool | None:
            return True if log.lines else None

        await eventually(seen)
        assert child.running
    finally:
        (tmp_path / "go").touch()
        assert await child.wait() == 0
    (line,) = log.lines
    assert (line["event"], line["process"], line["stream"]) == ("here", "roadmap", "stdout")


async def test_both_streams_arrive_whole_with_their_names(log: Log) -> None:
    source = "import sys\nfor n in range(500): print(n, file=sys.stderr if n % 2 else sys.stdout)"
    assert await run(output_to(log), source) == 0
    for stream, first in (("stdout", 0), ("stderr", 1)):
        events = [line["event"] for line in log.lines if line["stream"] == stream]
        assert events == [str(number) for number in range(first, 500, 2)]


async def test_two_descriptors_for_a_process_and_none_afterwards(log: Log) -> None:
    before = descriptors()
    output = output_to(log)
    pipes = output.begin()
    pipes.close_writers()
    assert len(descriptors() - before) == 2
    pipes.end()
    assert descriptors() <= before
    assert await run(output, "print(1)") == 0
    with pytest.raises(ProviderStartFailed, match="cannot execute"):
        await Child.spawn(["/nonexistent/provider"], {}, output)
    assert descriptors() <= before


async def test_without_descriptors_the_start_fails_and_none_is_lost(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    before, make, made = descriptors(), os.pipe, 0

    def pipe_once() -> tuple[int, int]:
        nonlocal made
        made += 1
        if made > 1:
            raise OSError(24, os.strerror(24))
        return make()

    monkeypatch.setattr(os, "pipe", pipe_once)
    with pytest.raises(ProviderStartFailed, match="cannot execute provider: Too many open files"):
        await Child.spawn(["provider"], {}, output_to(log))
    assert descriptors() <= before


async def test_a_flood_is_cut_to_the_budget_and_counted_to_the_line(log: Log) -> None:
    output = output_to(log, bytes_per_second=1024, burst_bytes=128 * 1024)
    with capture_logs() as said:
        assert await run(output, "for n in range(20000): print('a line of the flood', n)\nprint('last')") == 0
    flood = [event for event in log.events if event.startswith("a line of the flood")]
    assert flood[0] == "a line of the flood 0"
    assert len(log.events) + output.dropped_lines == 20001
    notices = [line for line in said if line["event_name"] == "provider.output_dropped"]
    assert sum(notice["lines"] for notice in notices) == output.dropped_lines > 15000
    assert sum(notice["bytes"] for notice in notices) == output.dropped_bytes
    assert all((notice["provider"], notice["kind"]) == ("roadmap", "integration") for notice in notices)
    assert sum(len(event) for event in log.events) <= 128 * 1024 + 60 * 1024


async def test_after_a_flood_lines_are_written_again(log: Log) -> None:
    output = output_to(log, bytes_per_second=64 * 1024, burst_bytes=128 * 1024)
    pipes = output.begin()
    stdout, _ = pipes.writers
    pipes.started(os.getpid())
    try:
        with capture_logs() as said:
            for _ in range(20):
                await write(stdout, b"x" * 8191 + b"\n")

            async def resumed() -> bool | None:
                return True if output.dropped_lines and not output.is_dropping else None

            await eventually(resumed)
        assert [line["lines"] for line in said] == [output.dropped_lines]
        os.write(stdout, b"after it\n")

        async def arrived() -> bool | None:
            return True if "after it" in log.events else None

        await eventually(arrived)
    finally:
        pipes.close_writers()
        pipes.end()


async def write(descriptor: int, data: bytes) -> None:
    """Write to a pipe that this event loop reads."""
    os.set_blocking(descriptor, False)
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            await one_turn()


async def test_a_line_that_is_cut_costs_no_other_line(log: Log) -> None:
    output = output_to(log, line_bytes=256)
    with capture_logs() as said:
        assert await run(output, "print('x' * 10_000_000)\nprint('next')") == 0
    assert log.events == ["x" * 256, "next"]
    assert log.lines[0]["cut_after_bytes"] == 256
    assert (output.dropped_lines, output.dropped_bytes) == (0, 10_000_000 - 256)
    assert sum(line["bytes"] for line in said) == output.dropped_bytes


async def test_a_log_without_room_delays_no_process(log: Log) -> None:
    log.is_full = True
    output = output_to(log)
    with capture_logs():
        assert await run(output, "for n in range(3000): print(n)") == 0
    assert output.dropped_lines == 3000


async def test_the_event_loop_goes_on_during_a_flood(log: Log) -> None:
    """While the process writes, the loop makes as many turns as there were reads, and more."""
    turns, done = 0, False

    async def turn() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await one_turn()

    turning = asyncio.create_task(turn())
    with capture_logs():
        assert await run(output_to(log), "import os\nfor _ in range(300): os.write(1, b'x' * 99_999 + b'\\n')") == 0
    done = True
    await turning
    assert turns > 300


async def test_a_descendant_that_keeps_the_outputs_holds_up_nothing(log: Log) -> None:
    source = """
import subprocess, sys
held = subprocess.Popen([sys.executable, "-c", "while True: print('x' * 1000)"], start_new_session=True)
print("pid", held.pid, flush=True)
raise SystemExit(3)
"""
    before = descriptors()
    with capture_logs():
        assert await run(output_to(log), source) == 3
    assert descriptors() <= before
    pid = int(next(event for event in log.events if event.startswith("pid")).split()[1])

    async def ended() -> bool | None:
        stat = Path(f"/proc/{pid}/stat")
        return None if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z" else True

    await eventually(ended)  # its writes fail, now that nobody reads them


async def test_the_last_lines_are_kept_whatever_was_dropped(log: Log) -> None:
    log.is_full = True
    output = output_to(log)
    source = "import sys\nfor n in range(50000): print(n)\nsys.exit('the \\x1b[31mreason')"
    with capture_logs():
        assert await run(output, source) == 1
        assert output.last_lines == ["the \\x1b[31mreason"]
        assert await run(output, "for n in range(50000): print(n)") == 0
    assert output.last_lines == [str(number) for number in range(49990, 50000)]
    assert await run(output, "pass") == 0
    assert output.last_lines == []


async def test_a_failed_start_has_the_last_lines_but_not_in_its_text(script: Script) -> None:
    process = new_process(script("raise RuntimeError('no licence found')"))
    with pytest.raises(ProviderStartFailed) as failure:
        await process.start()
    assert failure.value.last_lines[-1] == "RuntimeError: no licence found"
    assert "licence" not in str(failure.value)
    assert "licence" not in process.last_error


async def test_one_provider_s_flood_takes_nothing_from_another(log: Log) -> None:
    flooding, other = output_to(log), ProviderOutput("other", "workflow", write=log.write)
    with capture_logs():
        await asyncio.gather(
            run(flooding, "import os\nfor _ in range(300): os.write(1, b'flood\\n' * 9000)"),
            run(other, "for n in range(200): print(n)"),
        )
    assert [line["event"] for line in log.lines if line["process"] == "other"] == [str(n) for n in range(200)]
    assert other.dropped_lines == 0
    assert flooding.dropped_lines > 0


def test_a_process_output_is_closed_twice_without_harm(log: Log) -> None:
    async def twice() -> None:
        pipes = ProcessOutput(output_to(log))
        pipes.close_writers()
        pipes.close_writers()
        pipes.end()
        pipes.end()

    asyncio.run(twice())


async def test_no_line_stops_the_reading(log: Log) -> None:
    """Whatever a line does to the log; a structured one may be nested deeper than anything can write."""
    nested = 1000
    fields = '{"event": "x", "level": "info", "timestamp": "t", "deep": ' + "[" * nested + "]" * nested + "}"
    assert await run(output_to(log), f"print('{fields}')\nprint('next')") == 0
    assert log.events == ["x", "next"]
    assert write_line(log.lines[0]) in (True, False)

    def refuse(line: Mapping[str, object]) -> bool:
        if line["event"] == "bad":
            raise ValueError("bad")
        return log.write(line)

    output = ProviderOutput("roadmap", "integration", write=refuse)
    source = "import os\nfor n in range(20000): print('x' * 99)"
    with capture_logs():
        assert await run(output, f"print('bad')\n{source}") == 0
    assert output.dropped_lines + len(log.events) - 2 == 20001
    assert await run(output, "print('good')") == 0
    assert log.events[-1] == "good"
