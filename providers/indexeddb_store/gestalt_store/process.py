"""What this process asks of the system: that memory goes back when it is free."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of mallopt(3)."""
_OWN_MAPPING_BYTES = 256 * 1024
_KEPT_FREE_BYTES = 8 * 1024 * 1024
TRIM_EVERY_BYTES = 64 * 1024 * 1024


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
