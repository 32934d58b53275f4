"""Running a host until a signal of the operating system.

The first signal stops the host in order, the second at once.

`timeout` signals its child and the whole group, `make` its children, a supervisor perhaps both, so one request to end
may arrive several times. SIGINT comes from a person's keyboard, once for each time that it is meant.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Protocol

import structlog

from gestalt_host.config.model import HostConfig
from gestalt_host.daemon.console import Console
from gestalt_host.daemon.host import Host
from gestalt_host.daemon.locking.installing import Installation
from gestalt_sdk.serving.streams import flush_logs

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KILLED = 130
SAME_REQUEST_S = 2.0
"""SIGTERM and SIGHUP that follow an earlier signal within this time repeat it."""

log = structlog.get_logger()


async def run_until_stopped(
    config: HostConfig, environ: Mapping[str, str], console: Console, installation: Installation
) -> None:
    """Start the host, serve until it is told to stop, stop it.

    Args:
        installation: How the start gets at its packages.
    Raises:
        HostError: it could not be started; everything that was has been stopped again.
    """
    await serve_until_stopped(Host(config, environ, console, installation), console)


class Served(Protocol):
    """What is served until a signal comes, such as a host."""

    async def start(self) -> None:
        """Return when it is served; cancelled by a signal before."""

    async def stop(self) -> None:
        """End everything in order, whatever ``start`` did."""

    def kill(self) -> None:
        """End everything at once."""


async def serve_until_stopped(host: Served, console: Console) -> None:
    """Start it, wait for a signal, stop it.

    Raises:
        HostError: it could not be started; everything that was has been stopped again.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    asked_at = 0.0

    def on_signal(number: signal.Signals) -> None:
        nonlocal asked_at
        if not stop.is_set():
            asked_at = loop.time()
            stop.set()
            log.info("gestaltd is stopping", event_name="host.stopping", signal=number.name)
        elif number is signal.SIGINT or loop.time() - asked_at > SAME_REQUEST_S:
            host.kill()
            log.warning("a second signal ended everything at once", event_name="host.killed", signal=number.name)
            console.flush()
            flush_logs()
            os._exit(KILLED)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
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
    log.info("gestaltd has stopped", event_name="host.stopped")
