"""Running the work of a command that ends by itself, until a signal of the operating system."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine

from gestalt_host.daemon.errors import CommandFailed


async def run_or_stop(work: Coroutine[object, object, None]) -> None:
    """Run the work of a command; SIGTERM and SIGHUP end it with what it has started, as SIGINT does by itself.

    Raises:
        CommandFailed: a signal came first.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    signals: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        signals.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await task
    except asyncio.CancelledError:
        if not signals:
            raise
        raise CommandFailed(f"stopped by {signals[0].name}") from None
