"""Lines that `gestaltd` prints on stdout for people: one when it is ready, one for each finished run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.errors import HostError
from gestalt_sdk.common.printable import printable
from gestalt_sdk.serving.sink import LineSink

if TYPE_CHECKING:
    from gestalt_host.workflows.execution import RunReport

_MAX_ERROR = 160
_MAX_FAILURE = 1000
_STDOUT = 1


def show(text: str) -> None:
    """Print the result of a command on stdout; where that was closed nobody wants it.

    Raises:
        CommandFailed: it cannot be written.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
    except OSError as error:
        # Python would write what is left at its end, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
        raise CommandFailed(f"cannot write to standard output: {error.strerror or error}") from error


class Console:
    """Writes whole lines and neither fails nor waits: the host goes on serving when nobody reads them any more."""

    def __init__(self, descriptor: int = _STDOUT) -> None:
        self._sink = LineSink(descriptor, lambda dropped: f"({dropped} lines could not be shown)")

    @property
    def dropped(self) -> int:
        """How many lines could not be written so far."""
        return self._sink.dropped

    def flush(self) -> None:
        """Wait a moment until what was printed is written."""
        self._sink.flush()

    def say(self, text: str) -> None:
        """Print a text of one or several lines."""
        for line in text.split("\n"):
            self._sink.write(printable(line))

    def ready(self, url: str, ready: int, plugins: int, failed: Mapping[str, str], config: str) -> None:
        """Print where the API is, how many of the plugins can be called, and which could not be started and why."""
        noun = "plugin" if plugins == 1 else "plugins"
        count = f"{plugins} {noun}" if ready == plugins else f"{ready} of {plugins} {noun}"
        reasons = "".join(f"; {name} failed: {reason}" for name, reason in sorted(failed.items()))
        end = "; configured by" if failed else ","  # a path right behind a reason would read as part of it
        self._sink.write(printable(f"Gestalt API at {url}  ({count}{reasons}{end} {config})"))

    def plugin(self, name: str, state: str) -> None:
        """Print what became of a plugin that the host does not wait for."""
        self._sink.write(printable(f"plugin {name}: {state}"))

    def failure(self, name: str, error: Exception) -> None:
        """Print why a plugin could not be started, with what only the operator may see."""
        text = str(error) if isinstance(error, HostError) else f'plugin "{name}": {type(error).__name__}: {error}'
        self._sink.write(printable(_shortened(text, _MAX_FAILURE)))

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
        self._sink.write(printable(line))


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _shortened(text: str, most: int = _MAX_ERROR) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
