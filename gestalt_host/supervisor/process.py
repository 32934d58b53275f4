"""A configured provider's process: started, watched, started again when it ends, with one name and one channel."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import grpc
import structlog

from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.supervisor import lifecycle
from gestalt_host.supervisor.about import SERVICES, About, AboutFile, SocketAbout
from gestalt_host.supervisor.directories import make_directory, remove_directory
from gestalt_host.supervisor.errors import ProviderAway, ProviderDown
from gestalt_host.supervisor.groups import ProcessGroups
from gestalt_host.supervisor.launching.child import Child
from gestalt_host.supervisor.launching.launch import Launcher
from gestalt_host.supervisor.lifecycle import ProviderIdentity
from gestalt_host.supervisor.links import CallsUnderWay
from gestalt_host.supervisor.metrics_client import read_metrics
from gestalt_host.supervisor.output import ProviderOutput
from gestalt_host.supervisor.places import without_places
from gestalt_host.supervisor.reports import ProcessReport
from gestalt_host.supervisor.service_sockets import HostService, ServiceSockets
from gestalt_host.supervisor.spec import ProviderSpec, Timings
from gestalt_host.supervisor.state import Condition, State
from gestalt_host.supervisor.watching.memory import MemoryLimit, group_memory
from gestalt_host.supervisor.watching.signs_of_life import SignsOfLife
from gestalt_sdk.bases.metrics import CAPABILITY as METRICS
from gestalt_sdk.bases.metrics import MetricFamily
from gestalt_sdk.bases.provider import Notice, ProviderKind
from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.common.loops import keep_running
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address

BEYOND_START_S = 60.0
"""How much longer than a start may take its loop may be silent."""
log = structlog.get_logger()

Hook = Callable[[], Awaitable[None]]


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
        groups: ProcessGroups | None = None,
    ) -> None:
        """Make the directory of its sockets and open its channel; nothing is started.

        Args:
            services: Makes host services, beside those of ``spec``, that need this process's channel.
            check_identity: Runs at every start between the first identity and configure; raising ends the start.
            before_ready: Work to be done at every start after configure, before the provider counts as ready.
            beats: What the loop that watches the process gives its beat to; without it nobody looks.
            groups: What ends the process's group when this host dies; without it only the process itself ends then.
        """
        self.spec = spec
        self.identity = ProviderIdentity()
        self.notices: Sequence[Notice] = ()
        """What the provider said last that is not as it should be although it is ready."""
        self.output = ProviderOutput(spec.name, spec.kind.value, spec.output)
        self._environ = os.environ if environ is None else environ
        self._timings = timings or Timings()
        about = About(spec.host, spec.word, spec.name)
        self._directory = make_directory(about.label)
        self._socket = self._directory / "plugin.sock"
        self._served = [self._socket]
        self.about = AboutFile(self._directory, about)
        """What the directory says of its sockets."""
        self.about.note(SocketAbout(str(self._socket), SERVICES.get(spec.word, ())))
        self._channel = open_channel(Address(f"unix:{self._socket}"))
        added = () if services is None else services(self)
        self._services = ServiceSockets((*spec.services, *added), self._directory)
        self._backoff = Backoff(self._timings.backoff_initial_s, self._timings.backoff_cap_s)
        self._launcher = Launcher(
            spec,
            self._timings,
            self._environ,
            self._socket,
            self._channel,
            self._services,
            self.about,
            self.output,
            groups,
        )
        self._check_identity = check_identity
        self._before_ready = before_ready
        self._beats = beats or Beats()
        self._calls = CallsUnderWay()
        self._needs: list[Callable[[], str]] = []
        self._condition = Condition(self._timings)
        limit_bytes = spec.limits.memory_bytes
        self._memory_limit = (
            None
            if limit_bytes is None
            else MemoryLimit(
                spec.name, limit_bytes, self._timings.memory_look_s, self._condition, child=lambda: self._child
            )
        )
        self._signs_of_life = SignsOfLife(
            spec.name,
            self._socket,
            self._timings,
            self._condition,
            self._calls,
            child=lambda: self._child,
            lack=lambda: self.lack,
        )
        self._loops: list[asyncio.Task[None]] = []
        self._reload: asyncio.Future[None] | None = None
        """Done when the process that was asked for is ready, or was not started."""
        self._woken = asyncio.Event()
        """Set to end the wait before the next start."""
        self._begun = False
        self._metrics_left_out = 0
        self._logged_problem = ""

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
    def calls(self) -> CallsUnderWay:
        """What is given up when the process falls silent."""
        return self._calls

    @property
    def capabilities(self) -> frozenset[str]:
        return self.identity.capabilities

    @property
    def memory_exceeded(self) -> int:
        """How often a process was ended because it used more memory than its limit."""
        return 0 if self._memory_limit is None else self._memory_limit.exceeded

    @property
    def _child(self) -> Child | None:
        return self._launcher.child

    @property
    def state(self) -> State:
        return self._condition.state

    @property
    def restarts(self) -> int:
        """Starts after the first one since the host was started."""
        return self._condition.restarts

    @property
    def last_error(self) -> str:
        """Why the provider is not ready, with its own text, for the log; blank when it is."""
        return self._condition.last_error

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY

    @property
    def is_looping(self) -> bool:
        """Whether it keeps ending, or not starting, so that nobody should wait for it."""
        return self._condition.is_looping

    @property
    def absence(self) -> str:
        """Why the provider cannot be called now and when that may change, to be put after its name; blank when it can.

        Nothing of it is the provider's own text, which is for the log alone.
        """
        return self._condition.absence

    @property
    def lack(self) -> str:
        """What is not as it should be although the provider can be called, to be put after its name; else blank."""
        if not self.is_ready or (all(path.exists() for path in self._served) and self._services.are_there):
            return ""
        return "a socket of it has been removed, and nobody can connect anew until it is started again"

    def serves(self, path: Path) -> None:
        """Note one more socket that the process serves, so that it is missed when its file is gone."""
        self._served.append(path)

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

    def report(self) -> ProcessReport:
        """Return how the process is; nothing of it is the provider's own text."""
        condition, pid = self._condition, self.pid
        return ProcessReport(
            state=(State.STARTING if self.state is State.NEW else self.state).value,
            since=condition.since,
            reason=self.absence,
            pid=pid,
            restarts=self.restarts,
            last_fault=condition.last_fault,
            memory_bytes=None if pid is None else group_memory(pid),
        )

    async def start(self) -> None:
        """Launch and configure; returns when the provider is ready.

        Raises:
            ProviderStartFailed: naming the provider and the reason; nothing of it is left running.
        """
        if self.state is not State.NEW:
            raise RuntimeError(f"provider {self.name!r} has been started already")
        self._condition.starting()
        try:
            await self._services.start()
            # Also while it starts: what it reads then may be what is too large.
            if self._memory_limit is not None:
                self._keep_running(f"memory of {self.name}", self._memory_limit.watch)
            await self._launch()
        except BaseException as error:
            await self._end_loops()
            self._condition.failed(error)
            await self._release()
            raise
        self._condition.ready()
        self._keep_running(f"provider {self.name}", self._watch)
        self._keep_running(f"answers of {self.name}", self._signs_of_life.listen)

    async def reload(self, command: LaunchCommand, config: Mapping[str, object]) -> None:
        """End the process and start it with another command and configuration, at once; return when it is ready.

        Sockets, channel and host services stay, and calls wait meanwhile. A start that fails is tried again as after
        any other end, until it succeeds or the next reload.

        Raises:
            ProviderStartFailed: it was not started at the first attempt.
            ProviderDown: there is nothing to reload: it has never been ready, or was stopped; or another reload came.
        """
        if self.state in (State.NEW, State.STARTING, State.FAILED, State.STOPPED):
            raise ProviderDown(self.absence)
        self.spec = replace(self.spec, command=command, config=config)
        self._launcher.change(self.spec)
        self._backoff.reset()
        self._condition.reloading()
        self._reloaded(ProviderDown("it is reloaded anew"))
        reload = self._reload = asyncio.get_running_loop().create_future()
        self._woken.set()
        child = self._child
        if child is not None and child.running:
            # A workflow provider may finish what it has begun, as when the host stops.
            await child.stop(max(self._timings.stop_grace_s, self._timings.drain_s))
        await reload

    def _keep_running(self, name: str, loop: Callable[[Beat], Awaitable[None]]) -> None:
        limit_s = self._timings.start_limit_s + BEYOND_START_S
        running = keep_running(
            name, loop, self._beats, silent_after_s=limit_s, may_end=lambda: self._condition.is_stopping
        )
        self._loops.append(asyncio.create_task(running, name=name))

    async def begin(self) -> None:
        """Send StartProvider, now and after every later restart. For workflow providers.

        Raises:
            ProviderStartFailed: the provider refused.
        """
        await lifecycle.start_provider(self._channel)
        self._begun = True

    def depend_on(self, absence: Callable[[], str], calls: CallsUnderWay) -> None:
        """Have calls to this process refused while what it cannot work without is away, and given up when that is.

        Args:
            absence: Why it is away, blank when it is not.
            calls: Of the process that is needed.
        """
        self._needs.append(absence)
        calls.on_give_up(lambda error: self._calls.give_up(absence() or str(error())))

    async def wait_ready(self, timeout_s: float) -> None:
        """Return at once when the provider is ready; wait while it starts, as long as that is to be expected.

        Raises:
            ProviderAway: it, or what it depends on, does not answer; it was not ready in time, is slow to start or in
                a crash loop.
            ProviderDown: it has failed for good or was stopped.
        """
        for absence in self._needs:
            if reason := absence():
                raise ProviderAway(reason)
        if self.is_ready:
            return
        deadline = time.monotonic() + timeout_s
        while not self.is_ready:
            if self.state in (State.FAILED, State.STOPPED):
                raise ProviderDown(self.absence)
            wait_s = min(deadline - time.monotonic(), self._patience_s())
            if wait_s <= 0:
                raise ProviderAway(self.absence)
            await self._condition.changed(wait_s)

    def _patience_s(self) -> float:
        # Only plugins are waited for while they start for the first time: the host itself waits for the others.
        is_awaited = self.state is State.STARTING and self.kind is not ProviderKind.INTEGRATION
        return math.inf if is_awaited else self._condition.patience_s

    async def health_problem(self) -> str | None:
        """Return None when the provider is ready and healthy, else why not, blank when it does not answer.

        Plugins have no health check.
        """
        self.notices = ()
        if self.state is not State.READY:
            return self.absence
        if self.kind is ProviderKind.INTEGRATION:
            return None
        health = await lifecycle.health(self._channel)
        self.notices = [replace(notice, text=without_places(notice.text)) for notice in health.notices]
        if health.problem and health.problem != self._logged_problem:
            self._condition.fault("its health check said that it is not ready")
            log.warning(
                "provider is not healthy", event_name="provider.unhealthy", provider=self.name, problem=health.problem
            )
        self._logged_problem = health.problem or ""
        return None if health.problem is None else without_places(health.problem)

    async def read_metrics(self) -> Sequence[MetricFamily] | None:
        """Return the figures that the provider tells of itself, none where it offers none; None: it did not answer."""
        if METRICS not in self.capabilities:
            return ()
        found = await read_metrics(self._channel, self.kind.value) if self.is_ready else None
        if found is None:
            return None
        families, left_out = found
        if left_out and not self._metrics_left_out:
            text = "metrics of a provider are left out: they break the rules of metrics.proto, or are too many"
            log.warning(text, event_name="provider.metrics_left_out", provider=self.name, samples=left_out)
        self._metrics_left_out = left_out
        return families

    async def stop(self, grace_s: float | None = None) -> None:
        """Send SIGTERM, wait, SIGKILL; close host services, channel and directory. May be called in any state."""
        self._condition.is_stopping = True
        self._reloaded(ProviderDown("it was stopped"))
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
            await self._launcher.let_go(self._child)
        await self._end_loops()
        self._condition.stopped()
        await self._release()

    async def _end_loops(self) -> None:
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()

    def kill(self) -> None:
        """Send SIGKILL at once; for a host that is told to stop a second time."""
        self._condition.is_stopping = True
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
            if self._condition.is_stopping:
                return
            # Children that the process has started are ended too, before its successor is launched.
            child.kill()
            await self._launcher.let_go(child)
            if not self._woken.is_set():
                if time.monotonic() - ready_at >= self._timings.stable_after_s:
                    self._backoff.reset()
                    self._condition.failures = 0
                self._condition.ended(child.describe_exit(), child.ended_because)
                self._tell_down()
            await self._relaunch(beat)
            self._condition.ready()
            ready_at = time.monotonic()

    async def _relaunch(self, beat: Beat) -> None:
        while True:
            beat.beat()
            if not self._woken.is_set():
                await self._wait_for_restart()
            self._woken.clear()
            self._condition.restarts += 1
            try:
                child = await self._launch()
            except Exception as error:  # also what nobody has thought of: the disk is full, a directory is gone
                if self._woken.is_set():
                    continue  # a reload has ended what was being started
                self._condition.not_restarted(error)
                self._tell_down()
                self._reloaded(error)
            else:
                if not self._woken.is_set():
                    self._reloaded(None)
                    return
                await child.stop(self._timings.stop_grace_s)  # it was started before it could be ended by the reload
                await self._launcher.let_go(child)

    def _reloaded(self, error: Exception | None) -> None:
        """Tell who asked for a reload, if somebody did, what became of it."""
        if self._reload is None or self._reload.done():
            return
        if error is None:
            self._reload.set_result(None)
        else:
            self._reload.set_exception(error)

    async def _wait_for_restart(self) -> None:
        """Wait as long as the ends before have made it; a reload ends the wait."""
        wait_s = self._backoff.next_wait_s()
        self._condition.again_in(wait_s)
        log.info(
            "provider is started again soon",
            event_name="provider.restarting",
            provider=self.name,
            wait_s=round(wait_s, 3),
            restarts=self.restarts,
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._woken.wait()

    async def _launch(self) -> Child:
        began = time.monotonic()
        child = await self._launcher.launch(self._configured)
        self._tell_ready(child.pid, time.monotonic() - began)
        return child

    def _tell_ready(self, pid: int, duration_s: float) -> None:
        log.info(
            "provider is ready",
            event_name="provider.ready",
            provider=self.name,
            kind=self.kind.value,
            pid=pid,
            duration_ms=round(duration_s * 1000),
        )

    async def _configured(self) -> None:
        spec = self.spec
        if spec.kind is ProviderKind.INTEGRATION:
            limit_s = self._timings.start_limit_s
            self.identity = await lifecycle.start_plugin(self._channel, spec.name, spec.config, limit_s)
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

    def _tell_down(self) -> None:
        log.warning(
            "provider is down",
            event_name="provider.down",
            provider=self.name,
            reason=self.last_error,
            last_lines=self.output.last_lines,
        )

    async def _release(self) -> None:
        self.output.recent.close()
        await self._services.stop()
        await self._channel.close()
        remove_directory(self._directory)
