"""Serve a provider on its socket: bind, health, reflection, signals, the host's death, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gestalt_sdk.bases import metrics
from gestalt_sdk.bases.check import add_check_service
from gestalt_sdk.bases.lifecycle import LifecycleServicer, offered_capabilities
from gestalt_sdk.bases.provider import Provider, ProviderKind
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.extension.v1.metrics_pb2_grpc import add_ProviderMetricsServicer_to_server
from gestalt_sdk.gen.v1 import runtime_pb2_grpc
from gestalt_sdk.serving.event_loop import run_event_loop as run_event_loop
from gestalt_sdk.serving.logs import configure_logging
from gestalt_sdk.serving.reflection import add_reflection
from gestalt_sdk.serving.streams import tell
from gestalt_sdk.serving.watchdog import Watchdog, end_process
from gestalt_sdk.transport.channels import SERVER_OPTIONS
from gestalt_sdk.transport.environment import (
    DRAIN_SECONDS,
    PARENT_PID,
    PLUGIN_NAME,
    PLUGIN_SOCKET,
    WRITE_CATALOG,
    EnvironmentUnusable,
    parse_address,
)

LIFECYCLE_SERVICE = "gestalt.provider.v1.ProviderLifecycle"
PARENT_POLL_S = 0.5
STOP_GRACE_S = 1.5
ORPHAN_GRACE_S = 0.3

log = structlog.get_logger()


def serve(make_provider: Callable[[], Provider]) -> int:
    """Run a provider process until a signal or the host's death; return the exit status.

    ``make_provider`` is called inside the running event loop, so a constructor may use asyncio. Where
    GESTALT_PLUGIN_WRITE_CATALOG is set the plugin's catalogue is written there instead and nothing is served.
    """
    configure_logging(os.environ.get(PLUGIN_NAME) or "provider")
    catalogue_path = os.environ.get(WRITE_CATALOG, "")
    try:
        if catalogue_path:
            run_event_loop(write_catalogue(make_provider, Path(catalogue_path)))
        else:
            run_event_loop(serve_until_stopped(make_provider))
    except GestaltError as error:
        tell(f"cannot serve: {error}")
        return 1
    return 0


async def write_catalogue(make_provider: Callable[[], Provider], path: Path) -> None:
    """Write the catalogue of a plugin to ``path``.

    Raises:
        EnvironmentUnusable: the provider is no plugin, or the file cannot be written.
    """
    from gestalt_sdk.plugin import Plugin

    provider = make_provider()
    if not isinstance(provider, Plugin):
        raise EnvironmentUnusable(
            f"{WRITE_CATALOG} is set, but a provider of kind {provider.kind.value} has no catalog"
        )
    try:
        provider.catalogue().write(path)
    except OSError as error:
        raise EnvironmentUnusable(f"{WRITE_CATALOG} is {str(path)!r}: {error.strerror or error}") from error


async def serve_until_stopped(make_provider: Callable[[], Provider]) -> None:
    """Serve on the socket of the environment until SIGTERM, SIGINT or the parent's death.

    Raises:
        EnvironmentUnusable: the socket variable is missing, cannot be read, or cannot be bound.
    """
    text = os.environ.get(PLUGIN_SOCKET, "")
    if not text:
        raise EnvironmentUnusable(f"{PLUGIN_SOCKET} is not set: providers are started by a host")
    address = parse_address(text, variable=PLUGIN_SOCKET)
    stopping = _Stopping()
    provider = make_provider()
    with suppress(ValueError):
        provider.drain_s = float(os.environ.get(DRAIN_SECONDS, ""))
    server = grpc.aio.server(options=SERVER_OPTIONS)
    services = list(provider.register(server))
    if provider.kind is not ProviderKind.INTEGRATION:
        runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(LifecycleServicer(provider), server)
        services.append(LIFECYCLE_SERVICE)
    services += add_check_service(provider, server)
    if metrics.CAPABILITY in offered_capabilities(provider):
        add_ProviderMetricsServicer_to_server(metrics.MetricsServicer(provider.metrics), server)
        services.append(metrics.SERVICE)
    checks = health.aio.HealthServicer()
    add_health_and_reflection(server, checks, services)
    await _set_health(checks, services, health_pb2.HealthCheckResponse.NOT_SERVING)
    try:
        bind(server, address.target)
    except (RuntimeError, OSError) as error:
        raise EnvironmentUnusable(f"{PLUGIN_SOCKET} is {text!r}, which cannot be bound: {error}") from error
    watchdog = Watchdog(
        provider.beats,
        end_process,
        event_loop_hung_after_s=provider.event_loop_hung_after_s,
        under_way=provider.under_way,
    )
    try:
        await server.start()
        readiness = asyncio.create_task(_report_ready(provider, checks, services), name="readiness")
        try:
            await stopping.asked.wait()
        finally:
            readiness.cancel()
            watchdog.stop()
        await checks.enter_graceful_shutdown()
        await _drain(provider, stopping)
    finally:
        stopping.close()
        provider.ending_event.set()
        await server.stop(ORPHAN_GRACE_S if stopping.orphaned else STOP_GRACE_S)
        await provider.close()
        await provider.host_channels.close()
        if address.path is not None:
            address.path.unlink(missing_ok=True)


def add_health_and_reflection(server: grpc.aio.Server, checks: health.aio.HealthServicer, services: list[str]) -> None:
    """Add ``grpc.health.v1`` and server reflection for the named services."""
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    add_reflection(server, (*services, health.SERVICE_NAME))


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


async def _set_health(
    checks: health.aio.HealthServicer, services: list[str], status: health_pb2.HealthCheckResponse.ServingStatus
) -> None:
    for name in ("", *services):
        await checks.set(name, status)


async def _report_ready(provider: Provider, checks: health.aio.HealthServicer, services: list[str]) -> None:
    await provider.configured_event.wait()
    await _set_health(checks, services, health_pb2.HealthCheckResponse.SERVING)


async def _drain(provider: Provider, stopping: _Stopping) -> None:
    """Let the provider finish; cut short by a second signal, and soon when the host has gone."""
    draining = asyncio.ensure_future(provider.drain())
    hurry = asyncio.ensure_future(stopping.hurry.wait())
    limit = ORPHAN_GRACE_S if stopping.orphaned else None
    try:
        await asyncio.wait([draining, hurry], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurry.cancel()
        if not draining.done():
            draining.cancel()
    try:
        await draining
    except asyncio.CancelledError:
        log.warning("stopped before the drain ended", event_name="drain.cut")
    except Exception:
        log.exception("drain failed", event_name="drain.failed")


class _Stopping:
    """When to stop: ``asked`` by a signal or the host's death (``orphaned``), ``hurry`` from a second signal on."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        self.orphaned = False
        self._loop = asyncio.get_running_loop()
        self._pidfd = -1
        self._poll: asyncio.TimerHandle | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signalled)
        parent = os.environ.get(PARENT_PID, "")
        if parent.isdecimal():
            self._watch(int(parent))

    def _signalled(self) -> None:
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()

    def _watch(self, parent: int) -> None:
        """Wake when the parent ends: by a descriptor where the system has them, else by looking twice a second."""
        with suppress(AttributeError, OSError):
            self._pidfd = os.pidfd_open(parent)
            self._loop.add_reader(self._pidfd, self._parent_ended, parent)
        if os.getppid() != parent:
            self._parent_ended(parent)
        elif self._pidfd < 0:
            self._poll = self._loop.call_later(PARENT_POLL_S, self._watch, parent)

    def _parent_ended(self, parent: int) -> None:
        log.warning("the host has gone, stopping", event_name="parent.gone", parent_pid=parent)
        self.orphaned = True
        self._unwatch()
        self.hurry.set() if self.asked.is_set() else self.asked.set()

    def _unwatch(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def close(self) -> None:
        """No more events of the parent; signals still hurry the end."""
        self._unwatch()
