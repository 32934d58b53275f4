"""What a program in Python wrote when it failed, in one line: its error, and where in the package it was raised."""

from __future__ import annotations

import re
from pathlib import Path

from gestalt_sdk.common.printable import printable

SHOWN_CHARS = 1000
_FRAME = re.compile(r'^[ |]*File "(.+)", line ([0-9]+)', re.MULTILINE)
"""A line of a traceback of Python."""


def reason_in(written: str, root: Path) -> str:
    """Return the last line that it wrote, after a colon; of a traceback also where in ``root`` it happened."""
    lines = [line for line in written.splitlines() if line.strip()]
    if not lines:
        return ""
    frames = _FRAME.findall(written)
    inside = [(file, line) for file, line in frames if Path(file).is_relative_to(root.resolve())]
    own = [(file, line) for file, line in inside if "site-packages" not in Path(file).parts]
    place = " ({}:{})".format(*(own or frames)[-1]) if frames else ""
    return f": {printable(lines[-1])[:SHOWN_CHARS]}{printable(place)[:SHOWN_CHARS]}"
