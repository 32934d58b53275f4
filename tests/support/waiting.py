"""Waiting for a condition: the only place in the suite that sleeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T | None]], *, within_s: float = 10) -> T:
    """Poll until ``probe`` returns something other than None; ``TimeoutError`` after ``within_s``."""
    async with asyncio.timeout(within_s):
        while (value := await probe()) is None:
            await asyncio.sleep(0.02)
    return value


def until(probe: Callable[[], T], *, within_s: float = 10, what: Callable[[], str] = str) -> T:
    """The same without a loop: poll until ``probe`` returns something true.

    Raises:
        TimeoutError: after ``within_s``, saying ``what`` was waited for.
    """
    deadline = time.monotonic() + within_s
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:g} s: {what()}")
        time.sleep(0.05)
    return value
