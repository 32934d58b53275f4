"""The program that ends process groups which a host has started when that host has gone, however it went.

It is told of groups on standard input, ``+4711`` and ``-4711`` on lines of their own, and holds them until the input
ends: the kernel closes the pipe when the host dies. It runs from its file, by any Python, with nothing but the standard
library, so that it is small and starts at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import BinaryIO

GRACE_S = 3.0
_POLL_S = 0.05


def held_at_the_end(lines: BinaryIO) -> set[int]:
    """Read until the input ends; return the groups that are held then."""
    held: set[int] = set()
    for line in lines:
        with contextlib.suppress(ValueError):
            number = int(line)
            if number > 0:
                held.add(number)
            else:
                held.discard(-number)
    return held


def end_groups(groups: set[int], grace_s: float = GRACE_S) -> None:
    """Ask each group's leader to stop; kill the rest of its group as soon as it has, or after the grace."""
    for leader in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(leader, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while groups:
        late = time.monotonic() >= deadline
        for leader in [leader for leader in groups if late or not _is_there(leader)]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
            groups.discard(leader)
        time.sleep(_POLL_S)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main() -> None:
    """Hold groups until the host has gone; signals that are meant for the host do not end this process."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_groups(held_at_the_end(sys.stdin.buffer))


if __name__ == "__main__":
    main()
