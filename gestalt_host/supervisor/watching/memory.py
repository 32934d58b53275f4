"""How much memory the processes of a group use, as Linux tells it, and what has more than its limit is ended."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from gestalt_host.supervisor.launching.child import Child
from gestalt_host.supervisor.state import Condition
from gestalt_sdk.common.beats import Beat

_GROUP_FIELD, _RESIDENT_FIELD = 2, 21
"""Of ``/proc/<pid>/stat``, counted from the field that follows the command name (proc_pid_stat(5): 5 and 24)."""
FRESH_S = 2.0
"""How old a figure may be that is only shown."""

_MIB = 1024**2

log = structlog.get_logger()

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


class MemoryLimit:
    """Looks again and again how much memory one provider's process and its group use, and ends it beyond the limit."""

    def __init__(
        self, name: str, limit_bytes: int, look_s: float, condition: Condition, child: Callable[[], Child | None]
    ) -> None:
        """Take whom to look at; ``child`` gives the process of this moment."""
        self.exceeded = 0
        """How often it was ended."""
        self._name = name
        self._limit_bytes = limit_bytes
        self._look_s = look_s
        self._condition = condition
        self._child = child

    async def watch(self, beat: Beat) -> None:
        """Look until the provider is stopped."""
        while not self._condition.is_stopping:
            beat.rest()
            await asyncio.sleep(self._look_s)
            beat.beat()
            child = self._child()
            if child is None or not child.running:
                continue
            # Some thousand processes take a moment to read.
            used = await asyncio.to_thread(group_memory, child.pid, self._look_s / 2)
            if used is not None and used > self._limit_bytes and child.running:
                self._end(child, used)

    def _end(self, child: Child, used: int) -> None:
        self.exceeded += 1
        limit = f"{self._limit_bytes / _MIB:.0f} MiB"
        reason = f"it used {math.ceil(used / _MIB)} MiB of memory, more than its limit of {limit}"
        child.end(reason)
        log.warning(
            "provider is ended: it used more memory than its limit",
            event_name="provider.memory_exceeded",
            provider=self._name,
            pid=child.pid,
            memory_bytes=used,
            limit_bytes=self._limit_bytes,
        )


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
