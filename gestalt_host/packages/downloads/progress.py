"""Telling whoever waits what is downloaded: a bar on a terminal, a line a provider elsewhere, events in a log."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

import structlog

from gestalt_sdk.common.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_UNITS = ("B", "KiB", "MiB", "GiB")

log = structlog.get_logger()


class Transfer:
    """One archive that comes; this one tells nobody."""

    def at(self, received: int, total: int | None) -> None:
        """Tell how many bytes there are so far, and of how many if the server says it."""

    def end(self, outcome: str) -> None:
        """Tell that it has ended and how, in words such as ``downloaded, 1.2 MiB``."""


class Progress:
    """Is told of downloads; this one keeps it to itself."""

    def begin(self, label: str, file: str) -> Transfer:
        """Tell that the archive ``file`` of an entry, such as ``indexeddb "main"``, comes now."""
        return Transfer()

    def note(self, label: str, text: str) -> None:
        """Tell what the user waits for, such as another attempt."""

    def close(self) -> None:
        """End whatever is drawn."""


class Lines(Progress):
    """Writes one line for each archive when it has come, and one for each note."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, label: str, file: str) -> Transfer:
        return _Line(self, label, file)

    def note(self, label: str, text: str) -> None:
        # Who does not read any more must not end the download.
        with suppress(OSError, ValueError):
            self._stream.write(f"{printable(f'{label}: {text}')}\n")
            self._stream.flush()


class _Line(Transfer):
    def __init__(self, progress: Progress, label: str, file: str) -> None:
        self._progress, self._label, self._file = progress, label, file

    def end(self, outcome: str) -> None:
        self._progress.note(self._label, f"{self._file}: {outcome}")


class Logged(Progress):
    """Logs when an archive begins to come, when it has come, and each note: a start may wait for it for long."""

    def begin(self, label: str, file: str) -> Transfer:
        self.note(label, f"{file}: is downloaded now")
        return _Line(self, label, file)

    def note(self, label: str, text: str) -> None:
        log.info(text, event_name="package.download", entry=label)


class Bar(Progress):
    """Draws a bar for each archive while it comes; leaves a line of it when it has come."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: Bars | None = None

    def begin(self, label: str, file: str) -> Transfer:
        return _Bar(self._drawn(), label, file)

    def note(self, label: str, text: str) -> None:
        self._drawn().console.print(printable(f"{label}: {text}"), markup=False, highlight=False)

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _drawn(self) -> Bars:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
            from rich.table import Column

            # What is too narrow shortens the name and leaves the figures.
            columns = (
                TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis", max_width=40)),
                BarColumn(),
                DownloadColumn(binary_units=True, table_column=Column(no_wrap=True)),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
            )
            self._bars = Progress(*columns, console=Console(file=self._stream))
            self._bars.start()
        return self._bars


class _Bar(Transfer):
    def __init__(self, bars: Bars, label: str, file: str) -> None:
        self._bars, self._what = bars, printable(f"{label}: {file}")
        self._task = bars.add_task(printable(label), total=None)

    def at(self, received: int, total: int | None) -> None:
        self._bars.update(self._task, completed=received, total=total)

    def end(self, outcome: str) -> None:
        self._bars.remove_task(self._task)
        self._bars.console.print(f"{self._what}: {printable(outcome)}", markup=False, highlight=False)


def progress_on(stream: TextIO | None, *, is_log: bool = False) -> Progress:
    """Return what tells a user who reads this stream; nobody reads a closed one.

    Args:
        is_log: Whether it takes the log of a host, which has nothing but events.
    """
    if stream is None or stream.closed:
        return Progress()
    if stream.isatty():
        return Bar(stream)
    return Logged() if is_log else Lines(stream)


def size_text(number: int) -> str:
    """Return a number of bytes for people, such as ``1.2 MiB``."""
    size, unit = float(number), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{number} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
