"""Serving a provider on its socket: bind, health, reflection, signals, the host's death, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gestalt_sdk.channels import SERVER_OPTIONS
from gestalt_sdk.environment import PARENT_PID, PLUGIN_NAME, PLUGIN_SOCKET, EnvironmentUnusable, parse_address
from gestalt_sdk.gen.v1 import runtime_pb2_grpc
from gestalt_sdk.lifecycle import LifecycleServicer
from gestalt_sdk.logs import configure_logging
from gestalt_sdk.provider import Provider, ProviderKind

LIFECYCLE_SERVICE = "gestalt.provider.v1.ProviderLifecycle"
PARENT_POLL_S = 0.5
STOP_GRACE_S = 1.5
T = TypeVar("T")

log = structlog.get_logger()


def serve(make_provider: Callable[[], Provider]) -> int:
    """Run a provider process until a signal or the host's death; returns the exit status.

    ``make_provider`` is called inside the running event loop, so a constructor may use asyncio.
    """
    configure_logging(os.environ.get(PLUGIN_NAME) or "provider")
    try:
        run_event_loop(serve_until_stopped(make_provider))
    except EnvironmentUnusable as error:
        print(f"cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


def run_event_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


async def serve_until_stopped(make_provider: Callable[[], Provider]) -> None:
    """Serve on the socket of the environment until SIGTERM, SIGINT or the parent's death.

    Raises:
        EnvironmentUnusable: the socket variable is missing or cannot be read.
    """
    text = os.environ.get(PLUGIN_SOCKET, "")
    if not text:
        raise EnvironmentUnusable(f"{PLUGIN_SOCKET} is not set: providers are started by a host")
    address = parse_address(text, variable=PLUGIN_SOCKET)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watcher = asyncio.create_task(_watch_parent(stop), name="parent watcher")
    configured = asyncio.Event()
    provider = make_provider()
    server = grpc.aio.server(options=SERVER_OPTIONS)
    services = list(provider.register(server))
    if provider.kind is not ProviderKind.INTEGRATION:
        runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(LifecycleServicer(provider, configured), server)
        services.append(LIFECYCLE_SERVICE)
    else:
        configured.set()
    checks = health.aio.HealthServicer()
    add_health_and_reflection(server, checks, services)
    readiness = asyncio.create_task(_report_ready(checks, configured, services), name="readiness")
    bind(server, address.target)
    await server.start()
    try:
        await stop.wait()
        await checks.enter_graceful_shutdown()
        await provider.drain()
    finally:
        watcher.cancel()
        readiness.cancel()
        await server.stop(STOP_GRACE_S)
        await provider.close()
        if address.path is not None:
            address.path.unlink(missing_ok=True)


def add_health_and_reflection(server: grpc.aio.Server, checks: health.aio.HealthServicer, services: list[str]) -> None:
    """Add ``grpc.health.v1`` and server reflection for the named services."""
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)


def bind(server: grpc.aio.Server, target: str) -> None:
    """Bind the server; a unix socket replaces a stale file and is readable by this user only."""
    if not target.startswith("unix:"):
        server.add_insecure_port(target)
        return
    path = Path(target.removeprefix("unix:"))
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    before = os.umask(0o177)
    try:
        server.add_insecure_port(target)
    finally:
        os.umask(before)


async def _report_ready(checks: health.aio.HealthServicer, configured: asyncio.Event, services: list[str]) -> None:
    for name in ("", *services):
        await checks.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
    await configured.wait()
    for name in ("", *services):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)


async def _watch_parent(stop: asyncio.Event) -> None:
    parent = os.environ.get(PARENT_PID, "")
    if not parent.isdecimal():
        return
    while os.getppid() == int(parent):
        await asyncio.sleep(PARENT_POLL_S)
    log.warning("the host has gone, stopping", event_name="parent.gone", parent_pid=int(parent))
    stop.set()
