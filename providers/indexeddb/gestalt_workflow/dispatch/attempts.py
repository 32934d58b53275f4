"""One attempt at a run: bounded by the timeout of its policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

from gestalt_workflow.model.objects import InvocationFailed, Outcome, Run


async def within_timeout(run: Run, invocation: Awaitable[Outcome]) -> Outcome:
    """The outcome of the invocation, which is canceled and failed when it takes longer than the run's policy allows."""
    timeout = run.policy.timeout
    if timeout is None:
        return await invocation
    limit = asyncio.timeout(timeout.total_seconds())
    try:
        async with limit:
            return await invocation
    except TimeoutError:
        if not limit.expired():
            raise
    return InvocationFailed(f"workflow run timed out after {_readable(timeout)}", timed_out=True)


def _readable(span: timedelta) -> str:
    return f"{span.total_seconds():g} s"
