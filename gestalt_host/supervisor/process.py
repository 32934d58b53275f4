"""A configured provider's process: started, watched, started again when it ends, with one name and one channel."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import grpc
import structlog

from gestalt_host.config.model import OutputLimits
from gestalt_host.packages.commands import LaunchCommand
from gestalt_host.supervisor import lifecycle
from gestalt_host.supervisor.child import Child
from gestalt_host.supervisor.directories import make_directory, note_child, remove_directory
from gestalt_host.supervisor.environment import provider_environment
from gestalt_host.supervisor.errors import ProviderDown, ProviderStartFailed
from gestalt_host.supervisor.lifecycle import ProviderIdentity
from gestalt_host.supervisor.output import ProviderOutput
from gestalt_host.supervisor.service_sockets import HostService, ServiceSockets
from gestalt_sdk.bases.provider import Notice, ProviderKind
from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.common.loops import keep_running
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address

RELAUNCH_LIMIT_S = 300.0
"""Longer than one attempt to start a provider takes with all its calls, each of which has a deadline."""
RUNTIME_SESSION_ID = "GESTALT_RUNTIME_SESSION_ID"

log = structlog.get_logger()

Hook = Callable[[], Awaitable[None]]


class State(Enum):
    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """What to run. ``config`` and ``env`` may hold secrets.

    Attributes:
        services: Host services that get a socket in the provider's own directory.
        sockets: Further variables of the child, each the path of a socket that exists elsewhere.
    """

    name: str
    kind: ProviderKind
    command: LaunchCommand
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    services: tuple[HostService, ...] = ()
    sockets: Mapping[str, str] = field(default_factory=dict)
    output: OutputLimits = field(default_factory=OutputLimits)


@dataclass(frozen=True, slots=True)
class Timings:
    """Waits and limits, in seconds; tests shorten them."""

    start_timeout_s: float = 45.0
    poll_s: float = 0.025
    stop_grace_s: float = 2.0
    backoff_initial_s: float = 0.1
    backoff_cap_s: float = 30.0
    stable_after_s: float = 30.0


class ProviderProcess:
    """Starts the process, watches it, starts it again when it ends, and stops it.

    The socket's path and the channel stay the same across restarts. A first start that fails is final (contract.md
    1.3); later ones are retried with a growing wait.
    """

    def __init__(
        self,
        spec: ProviderSpec,
        environ: Mapping[str, str] | None = None,
        timings: Timings | None = None,
        *,
        services: Callable[[ProviderProcess], Sequence[HostService]] | None = None,
        check_identity: Callable[[ProviderIdentity], None] | None = None,
        before_ready: Hook | None = None,
        beats: Beats | None = None,
    ) -> None:
        """Make the directory of its sockets and open its channel; nothing is started.

        Args:
            services: Makes host services, beside those of ``spec``, that need this process's channel.
            check_identity: Runs at every start between the first identity and configure; raising ends the start.
            before_ready: Work to be done at every start after configure, before the provider counts as ready.
            beats: What the loop that watches the process gives its beat to; without it nobody looks.
        """
        self.spec = spec
        self.identity = ProviderIdentity()
        self.state = State.NEW
        self.last_error = ""
        self.notices: Sequence[Notice] = ()
        """What the provider said last that is not as it should be although it is ready."""
        """Why the provider is not ready, for people; empty when it is."""
        self.restarts = 0
        self.output = ProviderOutput(spec.name, spec.kind.value, spec.output)
        self._environ = os.environ if environ is None else environ
        self._timings = timings or Timings()
        self._directory = make_directory()
        self._socket = self._directory / "plugin.sock"
        self._channel = open_channel(Address(f"unix:{self._socket}"))
        added = () if services is None else services(self)
        self._services = ServiceSockets((*spec.services, *added), self._directory)
        self._backoff = Backoff(self._timings.backoff_initial_s, self._timings.backoff_cap_s)
        self._check_identity = check_identity
        self._before_ready = before_ready
        self._beats = beats or Beats()
        self._settled = asyncio.Event()
        self._child: Child | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False
        self._begun = False

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def kind(self) -> ProviderKind:
        return self.spec.kind

    @property
    def channel(self) -> grpc.aio.Channel:
        return self._channel

    @property
    def capabilities(self) -> frozenset[str]:
        return self.identity.capabilities

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY

    @property
    def directory(self) -> Path:
        """The temporary directory of its sockets; it stays until ``stop``."""
        return self._directory

    @property
    def socket(self) -> Path:
        return self._socket

    @property
    def pid(self) -> int | None:
        """The process's number while there is one."""
        return self._child.pid if self._child is not None and self._child.running else None

    async def start(self) -> None:
        """Launch and configure; returns when the provider is ready.

        Raises:
            ProviderStartFailed: naming the provider and the reason; nothing of it is left running.
        """
        if self.state is not State.NEW:
            raise RuntimeError(f"provider {self.name!r} has been started already")
        self.state = State.STARTING
        try:
            await self._services.start()
            child = await self._launch()
        except BaseException as error:
            self._settle(State.FAILED, str(error))
            await self._release()
            raise
        self._ready(child)
        name = f"provider {self.name}"
        watching = keep_running(
            name, self._watch, self._beats, silent_after_s=RELAUNCH_LIMIT_S, may_end=lambda: self._stopping
        )
        self._watcher = asyncio.create_task(watching, name=name)

    async def begin(self) -> None:
        """Send StartProvider, now and after every later restart. For workflow providers.

        Raises:
            ProviderStartFailed: the provider refused.
        """
        await lifecycle.start_provider(self._channel)
        self._begun = True

    async def wait_ready(self, timeout_s: float) -> None:
        """Return at once when the provider is ready, else wait for it.

        Raises:
            TimeoutError: it is still starting.
            ProviderDown: it has failed for good or was stopped.
        """
        if self.is_ready:
            return
        async with asyncio.timeout(timeout_s):
            await self._settled.wait()
        if not self.is_ready:
            reason = f": {self.last_error}" if self.last_error else ""
            raise ProviderDown(f"provider {self.name} is {self.state.value}{reason}")

    async def health_problem(self) -> str | None:
        """Return None when the provider is ready and healthy, else why not, blank when it does not answer.

        Plugins have no health check.
        """
        self.notices = ()
        if self.state is not State.READY:
            return self.last_error
        if self.kind is ProviderKind.INTEGRATION:
            return None
        health = await lifecycle.health(self._channel)
        self.notices = health.notices
        return health.problem

    async def stop(self, grace_s: float | None = None) -> None:
        """Send SIGTERM, wait, SIGKILL; close host services, channel and directory. May be called in any state."""
        self._stopping = True
        if self._child is not None and self._child.running:
            grace_s = self._timings.stop_grace_s if grace_s is None else grace_s
            code = await self._child.stop(grace_s)
            if code > 0 or code == -signal.SIGKILL:
                log.warning(
                    "provider did not end well",
                    event_name="provider.close_error",
                    provider=self.name,
                    ended=self._child.describe_exit(),
                    grace_s=grace_s,
                )
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        self._settle(State.STOPPED, "")
        await self._release()

    def kill(self) -> None:
        """Send SIGKILL at once; for a host that is told to stop a second time."""
        self._stopping = True
        if self._child is not None:
            self._child.kill()
        remove_directory(self._directory)

    async def _watch(self, beat: Beat) -> None:
        ready_at = time.monotonic()
        while True:
            child = self._child
            assert child is not None
            beat.rest()
            await child.wait()
            beat.beat()
            if self._stopping:
                return
            # Children that the process has started are ended too, before its successor is launched.
            child.kill()
            self._lost(f"process ended ({child.describe_exit()})")
            if time.monotonic() - ready_at >= self._timings.stable_after_s:
                self._backoff.reset()
            self._ready(await self._relaunch(beat))
            ready_at = time.monotonic()

    async def _relaunch(self, beat: Beat) -> Child:
        while True:
            beat.beat()
            wait_s = self._backoff.next_wait_s()
            log.info(
                "provider is started again soon",
                event_name="provider.restarting",
                provider=self.name,
                wait_s=round(wait_s, 3),
                restarts=self.restarts,
            )
            await asyncio.sleep(wait_s)
            self.restarts += 1
            try:
                return await self._launch()
            except Exception as error:  # also what nobody has thought of: the disk is full, a directory is gone
                self._lost(str(error))

    async def _launch(self) -> Child:
        """Spawn, wait until it serves, configure. The child is ended again when any of it fails."""
        self._socket.unlink(missing_ok=True)
        spec = self.spec
        environment = provider_environment(
            self._environ,
            spec.command.env,
            spec.env,
            socket=self._socket,
            parent_pid=os.getpid(),
            name=spec.name,
            services={**self._services.paths, **spec.sockets, **self._runtime_session()},
        )
        started = time.monotonic()
        try:
            child = self._child = await Child.spawn(spec.command.args, environment, self.output)
        except ProviderStartFailed as error:
            raise self._failure(str(error)) from error
        try:
            note_child(self._directory, child.pid)
            await self._unless_it_ends(child, self._connected(), self._timings.start_timeout_s)
            await self._unless_it_ends(child, self._configured(), None)
        except BaseException as error:
            await child.stop(self._timings.stop_grace_s)
            if isinstance(error, ProviderStartFailed):
                raise self._failure(str(error)) from error
            raise
        log.info(
            "provider is ready",
            event_name="provider.ready",
            provider=spec.name,
            kind=spec.kind.value,
            pid=child.pid,
            duration_ms=round((time.monotonic() - started) * 1000),
        )
        return child

    def _runtime_session(self) -> dict[str, str]:
        """Return the local runtime's id of this launch, which every plugin is given."""
        return {RUNTIME_SESSION_ID: str(uuid.uuid4())} if self.kind is ProviderKind.INTEGRATION else {}

    async def _connected(self) -> None:
        while not self._socket.exists():
            await asyncio.sleep(self._timings.poll_s)
        while self._channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            await asyncio.sleep(self._timings.poll_s)

    async def _configured(self) -> None:
        spec = self.spec
        if spec.kind is ProviderKind.INTEGRATION:
            await lifecycle.start_plugin(self._channel, spec.name, spec.config)
        else:
            identity = await lifecycle.identify(self._channel, spec.kind)
            if self._check_identity is not None:
                self._check_identity(identity)
            self.identity = await lifecycle.configure(self._channel, spec.name, spec.config)
            for warning in self.identity.warnings:
                log.warning(warning, event_name="provider.warning", provider=spec.name)
        if self._before_ready is not None:
            await self._before_ready()
        if self._begun:
            await lifecycle.start_provider(self._channel)

    async def _unless_it_ends(self, child: Child, work: Any, timeout_s: float | None) -> None:
        """Await the work; the process's end or the timeout ends it with ``ProviderStartFailed``."""
        task, ended = asyncio.ensure_future(work), asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait((task, ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            elif ended.done():
                raise ProviderStartFailed(f"plugin process exited before serving gRPC ({child.describe_exit()})")
            else:
                raise ProviderStartFailed(f"did not serve gRPC within {timeout_s:g} s")
        finally:
            for future in (task, ended):
                future.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)

    def _failure(self, reason: str) -> ProviderStartFailed:
        return ProviderStartFailed(f'{_word(self.kind)} "{self.name}": {reason}', self.output.last_lines)

    def _ready(self, child: Child) -> None:
        self._child = child
        self._settle(State.READY, "")

    def _lost(self, reason: str) -> None:
        self.state, self.last_error = State.RESTARTING, reason
        self._settled.clear()
        log.warning(
            "provider is down",
            event_name="provider.down",
            provider=self.name,
            reason=reason,
            last_lines=self.output.last_lines,
        )

    def _settle(self, state: State, reason: str) -> None:
        self.state, self.last_error = state, reason
        self._settled.set()

    async def _release(self) -> None:
        await self._services.stop()
        await self._channel.close()
        remove_directory(self._directory)


def _word(kind: ProviderKind) -> str:
    return "plugin" if kind is ProviderKind.INTEGRATION else kind.value
