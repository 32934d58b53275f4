"""Waiting for a condition; and the few reasons to let time pass, each with a name of its own.

The only place in the suite that sleeps: ``tests/architecture/test_tests.py`` refuses it elsewhere.
"""

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


async def observed_for(seconds: float) -> None:
    """Let time pass in which something must not happen, or that is itself what is tested: a lease that runs out."""
    await asyncio.sleep(seconds)


async def taking(seconds: float) -> None:
    """Take as long as a client, an operation or a failure of the tested installation takes; never to wait for it."""
    await asyncio.sleep(seconds)


async def one_turn() -> None:
    """Let every task that can run now have its turn once."""
    await asyncio.sleep(0)
