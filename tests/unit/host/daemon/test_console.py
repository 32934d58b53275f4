from __future__ import annotations

import io
import re

from gestalt_host.daemon.console import Console
from gestalt_host.workflows.execution import RunReport


def lines(*reports: RunReport) -> list[str]:
    out = io.StringIO()
    console = Console(out)
    for report in reports:
        console.run(report)
    return out.getvalue().splitlines()


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


def test_a_reader_that_has_gone_is_no_failure() -> None:
    out = io.StringIO()
    out.close()
    Console(out).run(report())
