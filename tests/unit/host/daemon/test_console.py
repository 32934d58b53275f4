from __future__ import annotations

import os
import re

from gestalt_host.daemon.console import Console
from gestalt_host.workflows.execution import RunReport


def lines(*reports: RunReport) -> list[str]:
    reader, writer = os.pipe()
    console = Console(writer)
    for report in reports:
        console.run(report)
    console.flush()
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as read:
        return read.read().splitlines()


def report(
    status: int | None = 200, error: str = "", trigger: str = "schedule", duration_s: float = 0.0123
) -> RunReport:
    return RunReport("local", "r", trigger, "roadmap.sync", status, error, duration_s)


def test_a_run_is_one_line_of_time_trigger_target_status_and_duration() -> None:
    (line,) = lines(report())
    assert re.fullmatch(r"\d\d:\d\d:\d\d  schedule  roadmap\.sync +succeeded  12 ms", line)


def test_failures_say_why() -> None:
    by_status, by_error, manual = lines(
        report(500), report(None, "plugin\nis  gone"), report(trigger="", duration_s=61)
    )
    assert by_status.endswith("failed     12 ms  status 500")
    assert by_error.endswith("failed     12 ms  plugin is gone")
    assert "  manual    " in manual
    assert manual.endswith("succeeded  61.0 s")


def test_what_a_plugin_says_moves_no_terminal() -> None:
    (line,) = lines(report(None, "\x1b[2Jgone \x9b1A \u202e"))
    assert line.endswith("\\x1b[2Jgone \\x9b1A \\u202e")


def test_a_reader_that_has_gone_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    console = Console(writer)
    console.run(report())
    console.flush()
    assert console.dropped == 1
    os.close(writer)


def test_a_terminal_that_stands_still_delays_no_run() -> None:
    reader, writer = os.pipe()
    console = Console(writer)
    for _ in range(3000):  # far more than a pipe holds
        console.run(report())
    with os.fdopen(reader, encoding="utf-8") as read:
        assert sum(1 for _, line in zip(range(3000), read, strict=False) if "roadmap.sync" in line) == 3000
    console.flush()
    os.close(writer)
