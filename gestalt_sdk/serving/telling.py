"""What a program tells people on stderr, in the right order with its log. Imports nothing that takes time."""

from __future__ import annotations

import sys

from gestalt_sdk.common.printable import printable
from gestalt_sdk.serving.sink import LineSink

log_sinks: list[LineSink] = []
"""Where the lines of this process's log go; of several the last."""


def flush_logs() -> None:
    """Wait a moment until what was logged is written; for a process that is about to end by ``os._exit``."""
    for sink in log_sinks:
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
