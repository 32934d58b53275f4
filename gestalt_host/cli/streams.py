"""The standard streams of the process: open, in UTF-8, and with a plain error where output cannot be written."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from gestalt_host.cli.errors import OutputFailed


class _Checked(io.TextIOWrapper):
    """Standard output; says what hinders writing, wherever in the program something is written."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _failed(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _failed(error) from error


def _failed(error: OSError) -> OutputFailed:
    return OutputFailed(f"failed to write to standard output: {error.strerror or error}")


def prepare() -> None:
    """Open what is closed of the three streams, and set how they are written; called before anything else is opened.

    A closed one becomes ``/dev/null``: otherwise the first file or socket would get its number, and what is meant for
    the user would be written there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    # Python has None for what was closed when it began.
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    # Answers are Unicode whatever the locale says.
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")
    stdout = sys.stdout.buffer if sys.stdout else os.fdopen(1, "wb", closefd=False)
    sys.stdout = _Checked(stdout, encoding="utf-8", errors="backslashreplace", line_buffering=stdout.isatty())


def discard_stdout() -> None:
    """Give up standard output: what is still to be written, at exit too, goes nowhere."""
    _to_nowhere(sys.stdout)


def discard_stderr() -> None:
    """Give up standard error, as ``discard_stdout`` does."""
    _to_nowhere(sys.stderr)


def _to_nowhere(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
