"""Running a host until a signal of the operating system: the first stops it in order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping

import structlog

from gestalt_host.config.model import HostConfig
from gestalt_host.daemon.console import Console
from gestalt_host.daemon.host import Host
from gestalt_sdk.serving.logs import flush_logs

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KILLED = 130

log = structlog.get_logger()


async def run_until_stopped(config: HostConfig, environ: Mapping[str, str], console: Console) -> None:
    """Start the host, serve until it is told to stop, stop it.

    Raises:
        HostError: it could not be started; everything that was has been stopped again.
    """
    host, stop = Host(config, environ, console), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            host.kill()
            console.flush()
            flush_logs()
            os._exit(KILLED)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    starting = asyncio.create_task(host.start(), name="start")
    stopped = asyncio.create_task(stop.wait(), name="stop signal")
    try:
        await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            await stopped
        else:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
    finally:
        stopped.cancel()
        await host.stop()
