"""Lines that `gestaltd` prints on stdout for people: one when it is ready, one for each finished run."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TextIO

from gestalt_host.workflows.execution import RunReport

_MAX_ERROR = 160


class Console:
    """Writes whole lines and never fails: the host goes on serving when nobody reads them any more."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stdout if out is None else out

    def ready(self, url: str, plugins: int, config: str) -> None:
        noun = "plugin" if plugins == 1 else "plugins"
        self._line(f"Gestalt API at {url}  ({plugins} {noun}, {config})")

    def run(self, report: RunReport) -> None:
        """Print ``HH:MM:SS  trigger  target  status  duration``, local time; a failure's reason follows."""
        failed = bool(report.error) or (report.status or 0) >= 400
        now = datetime.now().strftime("%H:%M:%S")
        word = "failed" if failed else "succeeded"
        line = f"{now}  {report.trigger or 'manual':<8}  {report.target:<28}  {word:<9}  {_duration(report.duration_s)}"
        if report.error:
            line += f"  {_shortened(report.error)}"
        elif failed:
            line += f"  status {report.status}"
        self._line(line)

    def _line(self, text: str) -> None:
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except (OSError, ValueError):
            pass


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_ERROR else line[: _MAX_ERROR - 1] + "…"
