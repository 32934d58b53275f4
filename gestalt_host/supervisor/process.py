"""A configured provider's process: started, watched, started again when it ends, with one name and one channel."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

import grpc
import structlog

from gestalt_host.config.model import OutputLimits
from gestalt_host.errors import could_not_start, reason_of
from gestalt_host.packages.installed.readings import FileState
from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.supervisor import lifecycle
from gestalt_host.supervisor.about import SERVICES, About, AboutFile, HostAbout, SocketAbout
from gestalt_host.supervisor.child import Child
from gestalt_host.supervisor.directories import make_directory, note_child, remove_directory, restore_directory
from gestalt_host.supervisor.environment import provider_environment
from gestalt_host.supervisor.errors import FilesChanged, ProviderAway, ProviderDown, ProviderStartFailed
from gestalt_host.supervisor.greeting import greeted
from gestalt_host.supervisor.groups import ProcessGroups
from gestalt_host.supervisor.lifecycle import ProviderIdentity
from gestalt_host.supervisor.links import CallsUnderWay
from gestalt_host.supervisor.metrics_client import read_metrics
from gestalt_host.supervisor.output import ProviderOutput
from gestalt_host.supervisor.pinned import check_pinned
from gestalt_host.supervisor.places import without_places
from gestalt_host.supervisor.service_sockets import HostService, ServiceSockets
from gestalt_sdk.bases.metrics import CAPABILITY as METRICS
from gestalt_sdk.bases.metrics import MetricFamily
from gestalt_sdk.bases.provider import Notice, ProviderKind
from gestalt_sdk.common.backoff import Backoff
from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.common.loops import keep_running
from gestalt_sdk.common.process_identity import is_stopped
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import DRAIN_SECONDS, Address

BEYOND_START_S = 60.0
"""How much longer than a start may take its loop may be silent."""
LONGEST_GLANCE_S = 2.0
"""No more of the time between two looks counts as silence: who was stopped together with the host was not silent."""
END_SEEN_S = 1.0
"""How long the end of a process is waited for after a call to it broke."""
LOOP_AFTER = 3
"""A provider that has ended so many times without having been stable, or could not be started, is in a crash loop."""
RUNTIME_SESSION_ID = "GESTALT_RUNTIME_SESSION_ID"

log = structlog.get_logger()

Hook = Callable[[], Awaitable[None]]


class State(Enum):
    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    SILENT = "silent"
    """It runs, but does not answer."""
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """What to run. ``config`` and ``env`` may hold secrets.

    Attributes:
        services: Host services that get a socket in the provider's own directory.
        sockets: Further variables of the child, each the path of a socket that exists elsewhere.
        host: What the directory of its sockets says of the host that they belong to.
    """

    name: str
    kind: ProviderKind
    command: LaunchCommand
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    services: tuple[HostService, ...] = ()
    sockets: Mapping[str, str] = field(default_factory=dict)
    output: OutputLimits = field(default_factory=OutputLimits)
    host: HostAbout = field(default_factory=HostAbout)


@dataclass(frozen=True, slots=True)
class Timings:
    """Waits and limits, in seconds; tests shorten them.

    Attributes:
        start_timeout_s: Until the process serves its socket.
        start_limit_s: Until it is ready, with every call of its start.
        slow_start_s: What is still starting after that is named, and nobody waits for it any more.
        ask_every_s: Between two times that a ready process is asked for a sign of life.
        silent_after_s: One that has not answered for that long is silent.
        restart_silent_after_s: A silent one is ended, and so started again; never where it is infinite.
        drain_s: How long a workflow provider is told that it may take to finish; 0: it is told nothing.
        stable_after_s: One that has been ready for that long is in no crash loop.
    """

    start_timeout_s: float = 45.0
    start_limit_s: float = 120.0
    slow_start_s: float = 20.0
    ask_every_s: float = 3.0
    silent_after_s: float = 5.0
    restart_silent_after_s: float = 30.0
    look_s: float = 0.5
    drain_s: float = 0.0
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
        self.state = State.NEW
        self.last_error = ""
        self.notices: Sequence[Notice] = ()
        """What the provider said last that is not as it should be although it is ready."""
        """Why the provider is not ready, for people; empty when it is."""
        self.restarts = 0
        self.output = ProviderOutput(spec.name, spec.kind.value, spec.output)
        self._environ = os.environ if environ is None else environ
        self._timings = timings or Timings()
        about = About(spec.host, _word(spec.kind), spec.name)
        self._directory = make_directory(about.label)
        self._socket = self._directory / "plugin.sock"
        self.about = AboutFile(self._directory, about)
        """What the directory says of its sockets."""
        self.about.note(SocketAbout(str(self._socket), SERVICES[_word(spec.kind)]))
        self._channel = open_channel(Address(f"unix:{self._socket}"))
        added = () if services is None else services(self)
        self._services = ServiceSockets((*spec.services, *added), self._directory)
        self._backoff = Backoff(self._timings.backoff_initial_s, self._timings.backoff_cap_s)
        self._check_identity = check_identity
        self._before_ready = before_ready
        self._beats = beats or Beats()
        self._groups = groups
        self._calls = CallsUnderWay()
        self._needs: list[Callable[[], str]] = []
        self._changed = asyncio.Event()
        self._child: Child | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._stopping = False
        self._began_at = self._again_at = 0.0
        self._silent_s = 0.0
        self._unstable_ends = 0
        self._ended_because = self._failed_because = self._refused_because = ""
        self._begun = False
        self._metrics_left_out = 0
        self._lacking = 0
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
    def is_ready(self) -> bool:
        return self.state is State.READY

    @property
    def absence(self) -> str:
        """Why the provider cannot be called now and when that may change, to be put after its name; blank when it can.

        Nothing of it is the provider's own text, which is for the log alone.
        """
        now = time.monotonic()
        match self.state:
            case State.NEW | State.STARTING:
                return f"it is still starting, for {now - self._began_at:.0f} s" if self._began_at else "it starts soon"
            case State.SILENT:
                left_s = max(0.0, self._timings.restart_silent_after_s - self._silent_s)
                then = "" if math.isinf(left_s) else f" and is started again in {left_s:.0f} s"
                return f"it has not answered for {self._silent_s:.0f} s{then}"
            case State.RESTARTING if self._refused_because:
                return f"it has ended and cannot be started again: {self._refused_because}"
            case State.RESTARTING if now < self._again_at:
                return f"it has ended and is started again in {self._again_at - now:.1f} s"
            case State.RESTARTING:
                return "it has ended and is being started again"
            case State.FAILED:
                return could_not_start(self._failed_because)
            case State.STOPPED:
                return "it was stopped"
        return ""

    @property
    def lack(self) -> str:
        """What is not as it should be although the provider can be called, to be put after its name; else blank."""
        if not self.is_ready or (self._socket.exists() and self._services.are_there):
            return ""
        return "a socket of it has been removed, and nobody can connect anew until it is started again"

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
        self._began_at = time.monotonic()
        self._become(State.STARTING, "")
        try:
            await self._services.start()
            child = await self._launch()
        except BaseException as error:
            self._failed_because = reason_of(error)
            self._become(State.FAILED, str(error))
            await self._release()
            raise
        self._ready(child)
        limit_s = self._timings.start_limit_s + BEYOND_START_S
        for name, loop in ((f"provider {self.name}", self._watch), (f"answers of {self.name}", self._listen)):
            running = keep_running(name, loop, self._beats, silent_after_s=limit_s, may_end=lambda: self._stopping)
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
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    def _patience_s(self) -> float:
        """Return how long the provider is worth waiting for, as far as is known now."""
        if self.state is State.SILENT or self._unstable_ends >= LOOP_AFTER:
            return 0.0
        if self.state is State.STARTING and self.kind is ProviderKind.INTEGRATION:
            return self._began_at + self._timings.slow_start_s - time.monotonic()
        return math.inf

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
            self._let_go(self._child)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()
        self._become(State.STOPPED, "")
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
            self._let_go(child)
            if time.monotonic() - ready_at >= self._timings.stable_after_s:
                self._backoff.reset()
                self._unstable_ends = 0
            reason, self._ended_because = self._ended_because, ""
            self._lost(reason or f"process ended ({child.describe_exit()})")
            self._ready(await self._relaunch(beat))
            ready_at = time.monotonic()

    async def _relaunch(self, beat: Beat) -> Child:
        while True:
            beat.beat()
            wait_s = self._backoff.next_wait_s()
            self._again_at = time.monotonic() + wait_s
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
                self._refused_because = error.reason if isinstance(error, FilesChanged) else ""
                self._lost(str(error))

    async def _listen(self, beat: Beat) -> None:
        """Ask for a sign of life again and again while the process is there."""
        while not self._stopping:
            beat.rest()
            await asyncio.sleep(self._timings.ask_every_s)
            beat.beat()
            child = self._child
            if child is not None and self.is_ready and not self._stopping:
                self._tell_lack()
                asking = asyncio.ensure_future(greeted(self._socket))
                try:
                    await self._answered(child, asking, beat)
                finally:
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)

    async def _answered(self, child: Child, asking: asyncio.Future[None], beat: Beat) -> None:
        """Return when the process has answered or ended; one that is silent for too long is ended here."""
        silent_s, looked = 0.0, time.monotonic()
        while child.running and not self._stopping:
            await asyncio.wait((asking,), timeout=self._timings.look_s)
            beat.beat()
            # A socket whose file is gone cannot be asked; whether the process was stopped can be seen all the same.
            if asking.done() and not is_stopped(child.pid):
                asking.result()
                self._answers(child)
                return
            now = time.monotonic()
            silent_s += min(now - looked, LONGEST_GLANCE_S)
            looked = now
            if silent_s >= self._timings.silent_after_s and self._child is child:
                self._silent(child, silent_s)
            if silent_s >= self._timings.restart_silent_after_s and child.running:
                self._ended_because = f"process had not answered for {silent_s:.0f} s and was ended"
                child.kill()
                return

    def _tell_lack(self) -> None:
        """Log it when it is found the second time: one that is about to end has no socket either."""
        self._lacking = self._lacking + 1 if self.lack else 0
        if self._lacking == 2:
            log.warning(
                "socket of a provider has been removed",
                event_name="provider.socket_removed",
                provider=self.name,
                directory=str(self._directory),
            )

    def _silent(self, child: Child, silent_s: float) -> None:
        self._silent_s = silent_s
        if self.is_ready:
            self._become(State.SILENT, "it does not answer")
            log.warning("provider does not answer", event_name="provider.silent", provider=self.name, silent_s=silent_s)
        # One that is only too busy for a greeting may still answer what it works on.
        if is_stopped(child.pid):
            self._calls.give_up(self.absence)

    def _answers(self, child: Child) -> None:
        if self.state is State.SILENT and self._child is child and child.running:
            self._become(State.READY, "")
            log.info(
                "provider answers again",
                event_name="provider.answers",
                provider=self.name,
                silent_s=round(self._silent_s, 1),
            )

    async def _launch(self) -> Child:
        """Spawn, wait until it serves, configure. The child is ended again when any of it fails."""
        restore_directory(self._directory)
        await self._services.restore()
        self.about.note(*self._services.abouts(f"{_word(self.kind)}/{self.name}"))
        self._socket.unlink(missing_ok=True)
        spec = self.spec
        environment = provider_environment(
            self._environ,
            spec.command.env,
            spec.env,
            socket=self._socket,
            parent_pid=os.getpid(),
            name=spec.name,
            services={**self._services.paths, **spec.sockets, **self._runtime_session(), **self._drain_time()},
        )
        started = time.monotonic()
        try:
            await check_pinned(spec.command.pinned, spec.command.sealed, self._take_compared())
            child = self._child = await Child.spawn(spec.command.args, environment, self.output)
        except ProviderStartFailed as error:
            raise self._failure(error) from error
        try:
            if self._groups is not None:
                self._groups.hold(child.pid)
            note_child(self._directory, child.pid)
            limit_s = self._timings.start_timeout_s
            await self._unless_it_ends(child, self._connected(), limit_s, f"did not serve gRPC within {limit_s:g} s")
            limit_s = self._timings.start_limit_s
            left_s = max(0.0, started + limit_s - time.monotonic())
            missed = f"was served, but not configured, within {limit_s:g} s"
            await self._unless_it_ends(child, self._configured(), left_s, missed)
        except BaseException as error:
            await child.stop(self._timings.stop_grace_s)
            self._let_go(child)
            if isinstance(error, ProviderStartFailed):
                raise self._failure(error) from error
            raise
        self._tell_ready(child.pid, time.monotonic() - started)
        return child

    def _take_compared(self) -> Mapping[Path, FileState]:
        """Return what is known of the pinned files, once: a later start is no part of the start that looked at them."""
        compared = self.spec.command.compared
        self.spec = replace(self.spec, command=replace(self.spec.command, compared={}))
        return compared

    def _tell_ready(self, pid: int, duration_s: float) -> None:
        log.info(
            "provider is ready",
            event_name="provider.ready",
            provider=self.name,
            kind=self.kind.value,
            pid=pid,
            duration_ms=round(duration_s * 1000),
        )

    def _runtime_session(self) -> dict[str, str]:
        """Return the local runtime's id of this launch, which every plugin is given."""
        return {RUNTIME_SESSION_ID: str(uuid.uuid4())} if self.kind is ProviderKind.INTEGRATION else {}

    def _drain_time(self) -> dict[str, str]:
        is_told = self.kind is ProviderKind.WORKFLOW and self._timings.drain_s
        return {DRAIN_SECONDS: f"{self._timings.drain_s:g}"} if is_told else {}

    async def _connected(self) -> None:
        while not self._socket.exists():
            await asyncio.sleep(self._timings.poll_s)
        while self._channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            await asyncio.sleep(self._timings.poll_s)

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

    async def _unless_it_ends(self, child: Child, work: Any, timeout_s: float, missed: str) -> None:
        """Await the work; the process's end or the timeout ends it with ``ProviderStartFailed``."""
        task, ended = asyncio.ensure_future(work), asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait((task, ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and _broke(task):
                # A process that ends breaks its calls a moment before its end is seen.
                await asyncio.wait((ended,), timeout=END_SEEN_S)
            if task.done() and not (ended.done() and _broke(task)):
                await task
            elif ended.done():
                ended_how = child.describe_exit()
                raise ProviderStartFailed(
                    f"plugin process exited before serving gRPC ({ended_how})",
                    reason=f"its process ended before it could be called ({ended_how})",
                )
            else:
                raise ProviderStartFailed(missed, reason=f"it {missed}")
        finally:
            for future in (task, ended):
                future.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)

    def _let_go(self, child: Child) -> None:
        if self._groups is not None:
            self._groups.let_go(child.pid)

    def _failure(self, error: ProviderStartFailed) -> ProviderStartFailed:
        """Return the error with this provider's name and what it wrote last."""
        text = f'{_word(self.kind)} "{self.name}": {error}'
        kind = FilesChanged if isinstance(error, FilesChanged) else ProviderStartFailed
        return kind(text, self.output.last_lines, error.reason)

    def _ready(self, child: Child) -> None:
        self._child = child
        self._refused_because = ""
        self._become(State.READY, "")

    def _lost(self, reason: str) -> None:
        self._unstable_ends += 1
        self._become(State.RESTARTING, reason)
        log.warning(
            "provider is down",
            event_name="provider.down",
            provider=self.name,
            reason=reason,
            last_lines=self.output.last_lines,
        )

    def _become(self, state: State, reason: str) -> None:
        """Change the state, and wake everybody who waits for a change."""
        self.state, self.last_error = state, reason
        self._changed.set()
        self._changed = asyncio.Event()

    async def _release(self) -> None:
        self.output.recent.close()
        await self._services.stop()
        await self._channel.close()
        remove_directory(self._directory)


def _broke(task: asyncio.Future[object]) -> bool:
    """Return whether the work that is done failed because nobody answered any more."""
    cause = None if task.cancelled() or (error := task.exception()) is None else error.__cause__
    return isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNAVAILABLE


def _word(kind: ProviderKind) -> str:
    return "plugin" if kind is ProviderKind.INTEGRATION else kind.value
