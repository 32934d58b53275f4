"""Telling whoever waits what is downloaded: a bar on a terminal, a line a provider elsewhere."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from gestalt_sdk.common.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_UNITS = ("B", "KiB", "MiB", "GiB")


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
        return _Line(self, f"{label}: {file}")

    def note(self, label: str, text: str) -> None:
        # Who does not read any more must not end the download.
        with suppress(OSError, ValueError):
            self._stream.write(f"{printable(f'{label}: {text}')}\n")
            self._stream.flush()


class _Line(Transfer):
    def __init__(self, lines: Lines, label: str) -> None:
        self._lines, self._label = lines, label

    def end(self, outcome: str) -> None:
        self._lines.note(self._label, outcome)


class Bar(Progress):
    """Draws a bar for each archive while it comes; leaves a line of it when it has come."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: Bars | None = None

    def begin(self, label: str, file: str) -> Transfer:
        return _Bar(self._drawn(), f"{label}: {file}")

    def note(self, label: str, text: str) -> None:
        self._drawn().console.print(printable(f"{label}: {text}"), markup=False, highlight=False)

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _drawn(self) -> Bars:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True))
            self._bars = Progress(*columns, TransferSpeedColumn(), console=Console(file=self._stream))
            self._bars.start()
        return self._bars


class _Bar(Transfer):
    def __init__(self, bars: Bars, label: str) -> None:
        self._bars, self._label = bars, printable(label)
        self._task = bars.add_task(self._label, total=None)

    def at(self, received: int, total: int | None) -> None:
        self._bars.update(self._task, completed=received, total=total)

    def end(self, outcome: str) -> None:
        self._bars.remove_task(self._task)
        self._bars.console.print(f"{self._label}: {printable(outcome)}", markup=False, highlight=False)


def progress_on(stream: TextIO | None) -> Progress:
    """Return what tells a user who reads this stream; nobody reads a closed one."""
    if stream is None or stream.closed:
        return Progress()
    return Bar(stream) if stream.isatty() else Lines(stream)


def size_text(number: int) -> str:
    """Return a number of bytes for people, such as ``1.2 MiB``."""
    size, unit = float(number), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{number} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
