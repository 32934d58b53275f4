"""How much memory the processes of a group use, as Linux tells it; elsewhere nobody can tell."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

_GROUP_FIELD, _RESIDENT_FIELD = 2, 21
"""Of ``/proc/<pid>/stat``, counted from the field that follows the command name (proc_pid_stat(5): 5 and 24)."""
FRESH_S = 2.0
"""How old a figure may be that is only shown."""

_seen: tuple[float, Mapping[int, int]] = (-math.inf, {})


def group_memory(leader: int, fresh_s: float = FRESH_S) -> int | None:
    """Return the resident memory in bytes of the group that a process leads; None where it cannot be known.

    A page that several processes of the group share counts for each of them. What has left the group is not counted.
    One reading of ``/proc`` serves everybody who asks within ``fresh_s`` seconds, but for the group of a new process.
    """
    global _seen
    now = time.monotonic()
    if leader not in _seen[1] or now - _seen[0] >= fresh_s:
        _seen = now, _read_groups()
    return _seen[1].get(leader)


def _read_groups() -> Mapping[int, int]:
    pages: Counter[int] = Counter()
    with contextlib.suppress(FileNotFoundError), os.scandir("/proc") as entries:
        for entry in entries:
            # A process may end between the listing and the reading.
            with contextlib.suppress(OSError, IndexError):
                if entry.name.isdigit():
                    fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                    pages[int(fields[_GROUP_FIELD])] += int(fields[_RESIDENT_FIELD])
    size = os.sysconf("SC_PAGE_SIZE")
    return {group: count * size for group, count in pages.items()}
