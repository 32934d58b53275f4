"""One clock for all processes of a test: real time, plus what the test has added to it so far.

A schedule fires once a minute at most, so a test that wants hundreds of slots moves the clock of the whole
installation forward, as a machine does that was suspended. Nothing else of the provider is changed.
"""

from __future__ import annotations

import mmap
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

VARIABLE = "GESTALT_TEST_CLOCK"
"""File that holds how far the clock is ahead: one float64, seconds."""
_SECONDS = struct.Struct("=d")


class SharedClock:
    """Gives the present moment; what ``advance`` adds is seen by every process that opened the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(_SECONDS.pack(0.0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SECONDS.size)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead_s)

    def advance(self, seconds: float) -> None:
        self._memory[:] = _SECONDS.pack(self._ahead_s + seconds)

    @property
    def _ahead_s(self) -> float:
        return float(_SECONDS.unpack(self._memory[:])[0])


def provider() -> object:
    """The workflow provider on the clock that the environment names: target of ``gestalt_sdk.run``."""
    from gestalt_workflow.provider import IndexedDBWorkflowProvider

    return IndexedDBWorkflowProvider(SharedClock(Path(os.environ[VARIABLE])))
