"""The standard streams of a process: kept open, and what people are told on stderr, behind what was logged.

Imports no logging, so that a program can answer ``--help`` without it.
"""

from __future__ import annotations

import os
import sys

from gestalt_sdk.common.printable import printable
from gestalt_sdk.serving.sink import LineSink

SINKS: list[LineSink] = []
"""Where this process logs; the last one is in use."""


def log_lines_dropped() -> int:
    """Return how many lines of the log of this process could not be written so far."""
    return sum(sink.dropped for sink in SINKS)


def flush_logs() -> None:
    """Wait a moment until what was logged is written; for a process that is about to end by ``os._exit``."""
    for sink in SINKS:
        sink.flush()


def tell(text: str) -> None:
    """Print lines for people on stderr, behind what was logged; nothing happens when nobody can read them.

    What is not printable is shown as its escape: much of an error's text comes from elsewhere.
    """
    flush_logs()
    shown = "\n".join(printable(line) for line in text.split("\n"))
    try:
        sys.stderr.write(f"{shown}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # closed, broken, or there is none
        return


def standard_descriptor(number: int) -> int:
    """Return ``number``, or -1 when that descriptor was closed: the null device takes its place then."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number, inheritable=True)
            os.close(opened)
        else:
            os.set_inheritable(number, True)
        return -1
    return number
