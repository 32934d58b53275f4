"""A host and providers whose log cannot be written, or a loop of which hangs: everything else goes on as before."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.process.engine.clock import SharedClock
from tests.support.rigs.clocked import CLOCKED, write_config
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.waiting import until

HANGING = (
    CLOCKED
    + """
import asyncio
from pathlib import Path

clocked, marker = provider, Path(__file__).with_name("hung")

def provider():
    made = clocked()
    add, start = made.beats.add, made.start
    made.beats.add = lambda name, *_, **limits: add(name, 4, 8)

    async def hang(*_):
        await asyncio.Future()

    async def start_once_with_a_hung_scheduler():
        if not marker.exists():
            marker.touch()
            made.engine.scheduler._load = hang
        await start()

    made.start = start_once_with_a_hung_scheduler
    return made
"""
)
Broken = tuple[int, Callable[[], None]]


@contextmanager
def gone() -> Iterator[Broken]:
    """Yield a pipe, and what makes its reader go."""
    reader, writer = os.pipe()
    yield writer, lambda: os.close(reader)
    os.close(writer)


@contextmanager
def full_pipe() -> Iterator[Broken]:
    """Yield a pipe that nobody reads, and in which nothing finds room any more."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"x" * 4096)
    yield writer, lambda: None
    os.close(writer)
    os.close(reader)


@contextmanager
def full_disk() -> Iterator[Broken]:
    """Yield a device on which there is never room."""
    writer = os.open("/dev/full", os.O_WRONLY)
    yield writer, lambda: None
    os.close(writer)


def pid_of(host: Gestaltd, name: str) -> int:
    return next((child.pid for child in host.children() if child.name == name), 0)


def has_runs(host: Gestaltd, count: int) -> bool:
    return runs_of(host) >= count


def runs_of(host: Gestaltd) -> int:
    return sum(run["status"] == "succeeded" for run in host.get("/workflow/runs"))


@pytest.mark.parametrize("outputs", [gone, full_pipe, full_disk], ids=["reader gone", "full pipe", "full disk"])
def test_nothing_stops_when_no_line_can_be_written(
    outputs: Callable[[], AbstractContextManager[Broken]], tmp_path: Path
) -> None:
    clock = SharedClock(tmp_path / "clock")
    port = free_port()
    with outputs() as (descriptor, break_it):
        host = Gestaltd([write_config(tmp_path, port)], {}, port, tmp_path, outputs=descriptor)
        try:
            host.start()
            break_it()
            made = host.post(
                "/workflow/schedules",
                {"cron": "* * * * *", "target": {"plugin": {"name": "roadmap", "operation": "noop"}}},
            )
            assert made.status_code == 201, made.text
            for fired in range(1, 4):
                clock.advance(60)
                until(partial(has_runs, host, fired), within_s=60, what=lambda: "the next run")
            answer = host.post("/roadmap/fail", {})
            assert answer.status_code == 500, answer.text
            before = pid_of(host, "roadmap")
            os.kill(before, signal.SIGKILL)
            until(lambda: pid_of(host, "roadmap") not in (0, before), within_s=60, what=lambda: "a new plugin")
            until(lambda: host.post("/roadmap/noop", {}).status_code == 200, within_s=60, what=lambda: "its answer")
            clock.advance(60)
            until(lambda: runs_of(host) >= 4, within_s=60, what=lambda: "a run after the restart")
            assert httpx.get(f"{host.url}/ready", timeout=10).status_code == 200
            if outputs is not full_pipe:
                text = httpx.get(f"{host.url}/metrics", timeout=10).text
                assert dropped(text, "log") > 0
                assert dropped(text, "console") > 0
            host.signal(signal.SIGTERM)
            assert host.wait() == 0
        finally:
            host.stop()


def dropped(metrics: str, output: str) -> float:
    start = f'gestalt_log_lines_dropped_total{{output="{output}"}} '
    (line,) = (line for line in metrics.splitlines() if line.startswith(start))
    return float(line.removeprefix(start))


def test_a_provider_with_a_hung_loop_is_started_again_and_fires_on(tmp_path: Path) -> None:
    clock = SharedClock(tmp_path / "clock")
    port = free_port()
    host = Gestaltd([write_config(tmp_path, port, HANGING)], {}, port, tmp_path)
    try:
        host.start()
        made = host.post(
            "/workflow/schedules", {"cron": "* * * * *", "target": {"plugin": {"name": "roadmap", "operation": "noop"}}}
        )
        assert made.status_code == 201, made.text
        until(lambda: "exit status 70" in host.log, within_s=60, what=lambda: host.log[-2000:])
        lines = [line for line in host.log.splitlines() if '"loop.hung"' in line]
        assert len(lines) == 1
        assert "'scheduler'" in lines[0]
        until(host._is_ready, within_s=60, what=lambda: "ready again")
        clock.advance(60)
        until(lambda: runs_of(host) >= 1, within_s=60, what=lambda: "a run after the restart")
    finally:
        host.stop()
