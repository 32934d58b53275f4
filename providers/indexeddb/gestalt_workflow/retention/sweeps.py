"""Define a sweep: a pass over one kind of records, taken step by step.

A step that finds nothing to remove costs one message. What is removed is removed on the condition that it still is what
was looked at.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

BATCH = 200
"""Records that one step reads and removes."""
KEYS = 1000
"""The same where only keys are read."""
PASS_EVERY = timedelta(days=1)
"""How often a sweep begins that has to look at every record of its kind."""


class Progress(Enum):
    """What a step did."""

    DONE = "the pass is complete"
    LOOKED = "nothing to remove here; there is more to look at"
    REMOVED = "something was removed, and there may be more"


class Sweep(Protocol):
    """One kind of records."""

    async def step(self) -> Progress:
        """Go on with the pass, or begin a new one behind ``DONE``.

        Raises:
            StorageFailed: what could not be done is done by a later step or pass.
        """


class Daily:
    """Says when the next pass may begin: at once, later ``PASS_EVERY`` after the last one began."""

    def __init__(self) -> None:
        self._began: datetime | None = None

    def begins(self, now: datetime) -> bool:
        """Return whether a pass may begin now, and count it as begun."""
        if self._began is not None and timedelta() <= now - self._began < PASS_EVERY:
            return False
        self._began = now
        return True
