"""Locks on directories: one process at a time changes what is in one, and a process that ends holds none.

Whoever may look into a directory can hold such a lock, also somebody who means no good: nobody waits without end.
"""

from __future__ import annotations

import fcntl
import time

_LOOK_EVERY_S = 0.05


def lock_directory(descriptor: int, wait_s: float) -> None:
    """Lock the open directory until its descriptor is closed.

    Raises:
        TimeoutError: another process has had it for all that time.
        OSError: its file system has no locks.
    """
    end = time.monotonic() + wait_s
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                text = f"another process has had its directory locked for {wait_s:g} s"
                raise TimeoutError(text) from None
            time.sleep(_LOOK_EVERY_S)
