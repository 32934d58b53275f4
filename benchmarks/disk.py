"""What a disk costs: the other floor, as everything that is acknowledged waits for one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

WRITES = 200
PAGE = b"x" * 16_384


def fsync_s(folder: Path) -> float:
    """Median seconds of an fsync after 16 KiB were appended to a file in the folder."""
    path = folder / "fsync.tmp"
    taken: list[float] = []
    with path.open("ab", buffering=0) as file:
        for _ in range(WRITES):
            file.write(PAGE)
            begin = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begin)
    path.unlink()
    return median(taken)
