"""Wait longer after each failure, up to a limit, with jitter so that many do not return at once."""

from __future__ import annotations

import asyncio
import random


class Backoff:
    """Double the delay from ``first_s`` to ``limit_s``; each wait is drawn between half of it and all of it."""

    def __init__(self, first_s: float = 0.1, limit_s: float = 30.0) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._delay_s = first_s

    def reset(self) -> None:
        """Begin again with the first delay."""
        self._delay_s = self._first_s

    def next_wait_s(self) -> float:
        """Return how many seconds to wait this time, for a caller who waits for something else as well."""
        delay_s = self._delay_s
        self._delay_s = min(delay_s * 2, self._limit_s)
        return delay_s * random.uniform(0.5, 1.0)

    async def wait(self) -> None:
        """Sleep for the next delay."""
        await asyncio.sleep(self.next_wait_s())
