"""Waiting longer after each failure, with jitter so that many do not return at once, up to a limit."""

from __future__ import annotations

import asyncio
import random


class Backoff:
    """Delays double from ``first_s`` to ``limit_s``; each is drawn between half of it and all of it."""

    def __init__(self, first_s: float = 0.1, limit_s: float = 30.0) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._delay_s = first_s

    def reset(self) -> None:
        self._delay_s = self._first_s

    def next_wait_s(self) -> float:
        """How long to wait this time, for a caller who waits for something else as well."""
        delay_s = self._delay_s
        self._delay_s = min(delay_s * 2, self._limit_s)
        return delay_s * random.uniform(0.5, 1.0)

    async def wait(self) -> None:
        await asyncio.sleep(self.next_wait_s())
