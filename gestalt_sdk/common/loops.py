"""Keep a loop running whatever it meets, and let it beat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.beats import SILENT_AFTER_S, Beat, Beats

RESTART_FIRST_S = 0.1
RESTART_LIMIT_S = 10.0

log = structlog.get_logger()


async def keep_running(
    name: str,
    loop: Callable[[Beat], Awaitable[None]],
    beats: Beats,
    *,
    silent_after_s: float = SILENT_AFTER_S,
    may_end: Callable[[], bool] = lambda: False,
) -> None:
    """Run the loop, and begin it anew, ever more slowly, when it raises or ends; a failure that repeats is logged once.

    Args:
        loop: Called with the beat that it has to give.
        silent_after_s: How long a round may take.
        may_end: Whether the loop has ended as it should; asked when it has returned.
    """
    beat = beats.add(name, silent_after_s)
    backoff = Backoff(RESTART_FIRST_S, RESTART_LIMIT_S)
    logged = ""
    try:
        while True:
            beat.beat()
            began = asyncio.get_running_loop().time()
            failure: Exception | None = None
            try:
                await loop(beat)
                if may_end():
                    return
            except Exception as error:
                failure = error
            if asyncio.get_running_loop().time() - began > RESTART_LIMIT_S:
                backoff.reset()
                logged = ""
            text = repr(failure)
            if text != logged:
                logged = text
                with suppress(Exception):  # whatever the log does, the loop goes on
                    log.error(
                        "loop failed and begins anew",
                        event_name="loop.failed",
                        loop=name,
                        exc_info=failure,
                    )
            beat.rest()
            await backoff.wait()
    finally:
        beats.remove(beat)
