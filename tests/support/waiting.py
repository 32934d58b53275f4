"""Waiting for a condition: the only place in the suite that sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T | None]], *, within_s: float = 10) -> T:
    """Poll until ``probe`` returns something other than None; ``TimeoutError`` after ``within_s``."""
    async with asyncio.timeout(within_s):
        while (value := await probe()) is None:
            await asyncio.sleep(0.02)
    return value
