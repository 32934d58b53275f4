"""What this process asks of the system: open files, and memory that goes back when it is free."""

from __future__ import annotations

import asyncio
import ctypes
import resource
from collections.abc import Callable
from contextlib import suppress

OPEN_FILES_WANTED = 65_536
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of mallopt(3)."""
_OWN_MAPPING_BYTES = 256 * 1024
_KEPT_FREE_BYTES = 8 * 1024 * 1024
TRIM_EVERY_BYTES = 64 * 1024 * 1024


def raise_open_files() -> None:
    """Raise the limit of open files towards the one that the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def open_files() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES_WANTED if soft == resource.RLIM_INFINITY else soft


def _no_trim(_: int) -> int:
    return 0


def _glibc() -> Callable[[int], object]:
    """Have large pieces of memory mapped one by one, so that each goes back when it is freed; return ``malloc_trim``.

    By itself glibc stops doing so once a large piece has been freed, and keeps what comes after. With another library
    nothing is done.
    """
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
        trim: Callable[[int], object] = library.malloc_trim
    except (AttributeError, OSError):
        return _no_trim
    return trim


class FreedMemory:
    """Gives freed memory back to the system: in a thread, each time that much has been freed."""

    def __init__(self) -> None:
        self._trim = _glibc()
        self._freed = 0
        self._running: asyncio.Future[object] | None = None

    def freed(self, size: int) -> None:
        """Take in that so many bytes have been freed. On the event loop."""
        self._freed += size
        if self._freed >= TRIM_EVERY_BYTES and (self._running is None or self._running.done()):
            self._freed = 0
            self._running = asyncio.get_running_loop().run_in_executor(None, self._trim, 0)
