"""Files that a start has compared with what was installed: what is unchanged since is not read a second time."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

FileState = tuple[int, int, int, int]
"""Inode, size in bytes, times of the last change of the content and of the inode in ns: a write changes one of them."""

_SETTLED_NS = 1_000_000_000
"""A file that was written less than this before may be written again within the same tick of its times."""


class Readings:
    """The state in which each file was when its content was found to be the installed one; any thread may note one."""

    def __init__(self) -> None:
        self._states: dict[Path, dict[str, FileState]] = {}
        self._lock = threading.Lock()

    def note(self, directory: Path, name: str, status: os.stat_result) -> None:
        """Note that the file's content was compared and right, after this status had been taken of it."""
        if time.time_ns() - status.st_ctime_ns > _SETTLED_NS:
            with self._lock:
                self._states.setdefault(directory, {})[name] = state_of(status)

    def take(self, directory: Path) -> dict[str, FileState]:
        """Return the states of the files of a prepared directory by relative path, and forget them."""
        with self._lock:
            return self._states.pop(directory, {})


def state_of(status: os.stat_result) -> FileState:
    """Return what tells whether a file has been written or replaced since."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
