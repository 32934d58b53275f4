"""Waiting for what a provider has to do, with what is said where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gestalt_host.verification.outcomes import Broken, shown

T = TypeVar("T")

_LOOK_S = 0.02


async def until(
    probe: Callable[[], Awaitable[T | None]], expected: str, seen: Callable[[], object], *, within_s: float
) -> T:
    """Return what the probe finds at last.

    Args:
        expected: What it looks for, in words.
        seen: What there is instead, asked for where it is not found in time.
    Raises:
        Broken: it has found nothing in time.
    """
    try:
        async with asyncio.timeout(within_s):
            while (found := await probe()) is None:
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise Broken(f"{expected} within {within_s:g} s", shown(seen())) from None
    return found


async def passing(seconds: float) -> None:
    """Let time pass in which something must not happen."""
    await asyncio.sleep(seconds)
