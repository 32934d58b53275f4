"""Doing several things at once, with the error of one of them rather than a group of errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

import structlog

log = structlog.get_logger()


async def all_of(works: Iterable[Awaitable[None]]) -> None:
    """Await all; the first error cancels the others, waits for them, and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def every_one(works: Iterable[Awaitable[None]]) -> None:
    """Await all, whatever happens to some; errors are logged."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("stopping failed", event_name="host.stop_failed", exc_info=outcome)
