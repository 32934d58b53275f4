"""One start of a provider's process: from its files and sockets to the moment when it can be called."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import grpc
import structlog

from gestalt_host.errors import HostError
from gestalt_host.packages.installed.readings import FileState
from gestalt_host.supervisor.about import AboutFile
from gestalt_host.supervisor.directories import note_child, restore_directory
from gestalt_host.supervisor.errors import FilesChanged, ProviderStartFailed
from gestalt_host.supervisor.groups import ProcessGroups
from gestalt_host.supervisor.launching.child import Child
from gestalt_host.supervisor.launching.environment import provider_environment
from gestalt_host.supervisor.launching.pinned import check_pinned
from gestalt_host.supervisor.launching.strays import end_strays
from gestalt_host.supervisor.output import ProviderOutput
from gestalt_host.supervisor.service_sockets import ServiceSockets
from gestalt_host.supervisor.spec import ProviderSpec, Timings
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.transport.environment import DRAIN_SECONDS

END_SEEN_S = 1.0
"""How long the end of a process is waited for after a call to it broke."""
OOM_SCORE, MOST_OOM_SCORE = 200, 1000
"""A process counts as if it used so many thousandths of the memory more than it does (proc_pid_oom_score_adj(5))."""
RUNTIME_SESSION_ID = "GESTALT_RUNTIME_SESSION_ID"


log = structlog.get_logger()


class Launcher:
    """Starts the processes of one provider, one after the other, on the same sockets."""

    def __init__(
        self,
        spec: ProviderSpec,
        timings: Timings,
        environ: Mapping[str, str],
        socket: Path,
        channel: grpc.aio.Channel,
        services: ServiceSockets,
        about: AboutFile,
        output: ProviderOutput,
        groups: ProcessGroups | None,
    ) -> None:
        """Take what to start.

        Args:
            environ: The host's own, of which the process gets a little.
            socket: Where the process has to serve; it lies in the provider's directory.
            channel: To that socket.
        """
        self._spec = spec
        self._timings = timings
        self._environ = environ
        self._socket = socket
        self._directory = socket.parent
        self._channel = channel
        self._services = services
        self._about = about
        self._output = output
        self._groups = groups
        self.child: Child | None = None
        """The latest process, whether it runs or has ended."""

    def change(self, spec: ProviderSpec) -> None:
        """Take what later processes are started from."""
        self._spec = spec

    async def launch(self, configure: Callable[[], Awaitable[None]]) -> Child:
        """Spawn, wait until it serves, configure. The child is ended again when any of it fails.

        Raises:
            ProviderStartFailed: naming the provider, and what was missed or refused.
        """
        spec = self._spec
        try:
            await self._make_sockets()
        except (HostError, OSError) as error:
            cause = (isinstance(error, OSError) and error.strerror) or "their directory is not this host's any more"
            text = "its sockets cannot be made: "
            raise self._failure(ProviderStartFailed(f"{text}{error}", reason=f"{text}{cause}")) from error
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
            child = self.child = await Child.spawn(spec.command.args, environment, self._output)
        except ProviderStartFailed as error:
            raise self._failure(error) from error
        try:
            if self._groups is not None:
                self._groups.hold(child.pid)
            note_child(self._directory, child.pid)
            go_before_the_host(child.pid)
            limit_s = self._timings.start_timeout_s
            await _unless_it_ends(child, self._connected(), limit_s, f"did not serve gRPC within {limit_s:g} s")
            limit_s = self._timings.start_limit_s
            left_s = max(0.0, started + limit_s - time.monotonic())
            missed = f"was served, but not configured, within {limit_s:g} s"
            await _unless_it_ends(child, configure(), left_s, missed)
        except BaseException as error:
            await child.stop(self._timings.stop_grace_s)
            await self.let_go(child)
            if isinstance(error, ProviderStartFailed):
                raise self._failure(error) from error
            raise
        return child

    async def _make_sockets(self) -> None:
        """Make those of the host anew where they are missed, and make room for the provider's own one."""
        restore_directory(self._directory)
        await self._services.restore()
        self._about.note(*self._services.abouts(f"{self._spec.word}/{self._spec.name}"))
        _remove(self._socket)

    def _take_compared(self) -> Mapping[Path, FileState]:
        """Return what is known of the pinned files, once: a later start is no part of the start that looked at them."""
        compared = self._spec.command.compared
        self._spec = replace(self._spec, command=replace(self._spec.command, compared={}))
        return compared

    def _runtime_session(self) -> dict[str, str]:
        """Return the local runtime's id of this launch, which every plugin is given."""
        return {RUNTIME_SESSION_ID: str(uuid.uuid4())} if self._spec.kind is ProviderKind.INTEGRATION else {}

    def _drain_time(self) -> dict[str, str]:
        is_told = self._spec.kind is ProviderKind.WORKFLOW and self._timings.drain_s
        return {DRAIN_SECONDS: f"{self._timings.drain_s:g}"} if is_told else {}

    async def _connected(self) -> None:
        while not self._socket.exists():
            await asyncio.sleep(self._timings.poll_s)
        while self._channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            await asyncio.sleep(self._timings.poll_s)

    async def let_go(self, child: Child) -> None:
        """End what a process that has ended, with its group, has started elsewhere, and forget the group."""
        # In a thread: with thousands of processes on the machine the search takes a moment.
        if strays := await asyncio.to_thread(end_strays, self._directory):
            log.warning(
                "processes that a provider had started were ended",
                event_name="provider.strays_ended",
                provider=self._spec.name,
                pids=strays,
            )
        if self._groups is not None:
            self._groups.let_go(child.pid)

    def _failure(self, error: ProviderStartFailed) -> ProviderStartFailed:
        """Return the error with this provider's name and what it wrote last."""
        text = f'{self._spec.word} "{self._spec.name}": {error}'
        kind = FilesChanged if isinstance(error, FilesChanged) else ProviderStartFailed
        return kind(text, self._output.last_lines, error.reason)


async def _unless_it_ends(child: Child, work: Awaitable[None], timeout_s: float, missed: str) -> None:
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
            ended_how = child.ended_because or child.describe_exit()
            raise ProviderStartFailed(
                f"plugin process exited before serving gRPC ({ended_how})",
                reason=child.ended_because or f"its process ended before it could be called ({ended_how})",
            )
        else:
            raise ProviderStartFailed(missed, reason=f"it {missed}")
    finally:
        for future in (task, ended):
            future.cancel()
        await asyncio.gather(task, ended, return_exceptions=True)


def go_before_the_host(pid: int) -> None:
    """Have Linux end this process, or what it starts, rather than the host when the machine is out of memory."""
    with contextlib.suppress(OSError, ValueError):
        own = int(Path("/proc/self/oom_score_adj").read_text())
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(min(own + OOM_SCORE, MOST_OOM_SCORE)))


def _remove(path: Path) -> None:
    """Remove whatever an earlier process has left where the socket goes; a link is not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _broke(task: asyncio.Future[None]) -> bool:
    """Return whether the work that is done failed because nobody answered any more."""
    cause = None if task.cancelled() or (error := task.exception()) is None else error.__cause__
    return isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNAVAILABLE
