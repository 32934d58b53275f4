"""A provider under test: launched fresh as a host does, called over its socket, and ended with all it started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message

from gestalt_host.packages.catalogue import PluginCatalogue
from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.supervisor.directories import make_directory, note_child, remove_directory
from gestalt_host.supervisor.errors import ProviderStartFailed
from gestalt_host.supervisor.groups import ProcessGroups
from gestalt_host.supervisor.launching.child import Child, dying_with_the_host
from gestalt_host.supervisor.launching.environment import provider_environment
from gestalt_host.supervisor.launching.strays import end_strays
from gestalt_host.supervisor.output import ProviderOutput
from gestalt_host.supervisor.watching.greeting import greeted
from gestalt_host.verification import stand_in
from gestalt_host.verification.frames import RECEIVED, SENT, Frames
from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.services import Conduct, HostServices, abandon_socket
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.common.process_identity import ProcessIdentity
from gestalt_sdk.gen.v1 import plugin_pb2, runtime_pb2
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import DRAIN_SECONDS, PLUGIN_SOCKET, Address
from gestalt_sdk.transport.values import to_struct

LIFECYCLE = "gestalt.provider.v1.ProviderLifecycle"
PLUGIN = "gestalt.provider.v1.IntegrationProvider"
PROTOCOL_VERSION = 3
OWN_DIRECTORY = "{dir}"
"""In texts of a configuration: an empty directory that each launch gets anew."""
NAME = "verified"
"""What the provider is told to be called."""
ATTEMPTS = 3
"""What is to be done within seconds may fail on a busy machine: it has to be done in time once in so many attempts."""
LOOK_S = 0.025
UNIMPLEMENTED, UNAVAILABLE = grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE

MessageType = TypeVar("MessageType", bound=Message)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds: as long as a host does (contract.md 1.3, 1.4, 2.4). Tests shorten it.

    Attributes:
        held_s: How long a provider may wait for a service of its host before it is looked at.
        alive_s: How long it may take for what has no limit of its own.
        rule_s: How long a whole rule may take, which waits for several of these.
    """

    serve_s: float = 45.0
    call_s: float = 30.0
    start_s: float = 120.0
    health_s: float = 2.0
    greet_s: float = 5.0
    stop_s: float = 2.0
    drain_s: float = 2.0
    orphan_s: float = 3.0
    held_s: float = 3.0
    alive_s: float = 10.0
    rule_s: float = 300.0


def kind_word(kind: ProviderKind) -> str:
    """Return the word that manifests have for a kind."""
    return "plugin" if kind is ProviderKind.INTEGRATION else kind.value


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is verified. ``config`` and ``env`` may hold secrets.

    Attributes:
        shown: How the report names it.
        store: Returns the path of the socket of an IndexedDB service that nobody else uses.
        catalogue: The operations of a plugin; None where it has to be run to tell them.
    """

    kind: ProviderKind
    command: LaunchCommand
    shown: str
    config: Mapping[str, object] = field(default_factory=dict, repr=False)
    store: Callable[[], Awaitable[str]] = field(default=lambda: _no_store(), repr=False)
    patience: Patience = field(default_factory=Patience)
    catalogue: PluginCatalogue | None = None


async def _no_store() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a unary call ended: its status, and the bytes of the message when that is OK."""

    method: str
    code: grpc.StatusCode
    details: str
    body: bytes = b""

    def __str__(self) -> str:
        return self.code.name + (f": {self.details}" if self.details else "")

    @property
    def is_ok(self) -> bool:
        return self.code is grpc.StatusCode.OK

    def require_ok(self) -> None:
        """
        Raises:
            Broken: it is an error.
        """
        if not self.is_ok:
            raise Broken(f"{self.method} to succeed", str(self))

    def read(self, kind: type[MessageType]) -> MessageType:
        """Return the message.

        Raises:
            Broken: the call failed, or its answer is no such message.
        """
        self.require_ok()
        try:
            return kind.FromString(self.body)
        except DecodeError:
            raise Broken(
                f"{self.method} to answer a {kind.DESCRIPTOR.name}", "bytes that are no such message"
            ) from None


class Subject:
    """One rule's own process of the provider, or several after one another; ``close`` leaves nothing of them."""

    def __init__(self, candidate: Candidate, environ: Mapping[str, str], groups: ProcessGroups) -> None:
        self.candidate = candidate
        self.kind = candidate.kind
        self.patience = candidate.patience
        self.frames = Frames()
        self.directory = make_directory("verify")
        self.socket = self.directory / "plugin.sock"
        self._environ = environ
        self._groups = groups
        self.host_services = HostServices(candidate.kind, self.directory)
        self._output = ProviderOutput(NAME, self.word, write=lambda line: True)
        self._child: Child | None = None
        self._channel: grpc.aio.Channel | None = None
        self._launches = 0
        self._store = ""
        self._beside: list[Subject] = []

    @property
    def word(self) -> str:
        """The kind in words: ``plugin``, ``workflow``, ``indexeddb``."""
        return kind_word(self.kind)

    @property
    def is_plugin(self) -> bool:
        return self.kind is ProviderKind.INTEGRATION

    @property
    def last_lines(self) -> Sequence[str]:
        """What the latest process wrote last."""
        return self._output.last_lines

    @property
    def config(self) -> Mapping[str, object]:
        """The configuration for the latest launch."""
        found = placed(self.candidate.config, str(self.directory / f"own-{self._launches}"))
        assert isinstance(found, dict)
        return found

    @property
    def is_running(self) -> bool:
        """Whether it has been launched, and its process runs."""
        return self._child is not None and self._child.running

    @property
    def child(self) -> Child:
        assert self._child is not None, "launch it first"
        return self._child

    @property
    def channel(self) -> grpc.aio.Channel:
        assert self._channel is not None, "launch it first"
        return self._channel

    # Life of the process ----------------------------------------------------------------------------------------------

    async def launch(self, conduct: Conduct = Conduct.GOOD) -> None:
        """Start a process and wait until it serves; an earlier one is ended first.

        Raises:
            Broken: it does not serve in time.
        """
        await self._launch(await self.environment(conduct))

    async def relaunch(self) -> None:
        """Start another process where the last one left off: with its directory and its IndexedDB service.

        Raises:
            Broken: it does not serve in time.
        """
        await self.end()
        await self._launch(await self._environment(Conduct.GOOD))

    async def _launch(self, environment: Mapping[str, str]) -> None:
        await self.spawn(environment)
        await self.served()
        self._channel = open_channel(Address(f"unix:{self.socket}"))

    async def environment(self, conduct: Conduct = Conduct.GOOD) -> dict[str, str]:
        """Return the variables of the next process; the services that they name are there, after an end of the last."""
        await self.end()
        self._launches += 1
        (self.directory / f"own-{self._launches}").mkdir()
        self._store = await self.candidate.store() if conduct is Conduct.GOOD else ""
        return await self._environment(conduct)

    async def _environment(self, conduct: Conduct) -> dict[str, str]:
        services = dict(await self.host_services.open(conduct, self._store))
        if self.kind is ProviderKind.WORKFLOW:
            services[DRAIN_SECONDS] = f"{self.patience.drain_s:g}"
        return provider_environment(
            self._environ,
            self.candidate.command.env,
            {},
            socket=self.socket,
            parent_pid=os.getpid(),
            name=NAME,
            services=services,
        )

    async def spawn(self, environment: Mapping[str, str]) -> None:
        """Start a process and wait for nothing.

        Raises:
            Broken: it cannot be executed.
        """
        self.socket.unlink(missing_ok=True)
        await self._spawn(environment)

    async def spawn_beside_stale_socket(self, environment: Mapping[str, str]) -> None:
        """Start a process where the socket of one that was killed still lies; raises as ``spawn`` does."""
        abandon_socket(self.socket)
        await self._spawn(environment)

    async def _spawn(self, environment: Mapping[str, str]) -> None:
        try:
            self._child = await Child.spawn(self.candidate.command.args, environment, self._output)
        except ProviderStartFailed as error:
            raise Broken("its program to be executed", str(error)) from error
        self._groups.hold(self._child.pid)
        note_child(self.directory, self._child.pid)

    async def served(self) -> None:
        """Wait until the process serves.

        Raises:
            Broken: it ends before, or does not in time.
        """
        limit_s = self.patience.serve_s
        expected = f"it to serve HTTP/2 on the socket of {PLUGIN_SOCKET} within {limit_s:g} s"
        serving = asyncio.ensure_future(self._serving())
        ended = asyncio.ensure_future(self.child.wait())
        try:
            await asyncio.wait((serving, ended), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise Broken(expected, f"its process ended: {self.child.describe_exit()}")
            if not serving.done():
                raise Broken(expected, "it greets nobody there" if self.socket.exists() else "no socket is there")
        finally:
            serving.cancel()
            ended.cancel()
            await asyncio.gather(serving, ended, return_exceptions=True)

    async def _serving(self) -> None:
        while not (self.socket.exists() or self.socket.is_symlink()):
            await asyncio.sleep(LOOK_S)
        await greeted(self.socket)

    async def greets(self) -> bool:
        """Tell whether it greets a new connection in time (contract.md 2.4)."""
        try:
            async with asyncio.timeout(self.patience.greet_s):
                await greeted(self.socket)
        except TimeoutError:
            return False
        return self.socket.exists()

    def signal(self, number: signal.Signals) -> None:
        self.frames.note(SENT, "signal", number.name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child.pid, number)

    async def ended_within(self, limit_s: float) -> int | None:
        """Return the exit status, negative for a signal; None when the process still runs after the time."""
        try:
            async with asyncio.timeout(limit_s):
                status = await self.child.wait()
        except TimeoutError:
            return None
        self.frames.note(RECEIVED, "end", self.child.describe_exit())
        return status

    async def orphan(self) -> ProcessIdentity:
        """Start a process as child of a stand-in for the host, wait until it serves, and kill the stand-in.

        Raises:
            Broken: it does not serve in time.
        """
        environment = await self.environment()
        self.socket.unlink(missing_ok=True)
        order = json.dumps({"args": [*dying_with_the_host(self.candidate.command.args)], "env": environment})
        host = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(stand_in.__file__))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={},
            start_new_session=True,
        )
        assert host.stdin is not None
        assert host.stdout is not None
        try:
            host.stdin.write(order.encode() + b"\n")
            pid = int(await host.stdout.readline() or b"0")
            if not pid:
                raise Broken("its program to be executed", "it cannot be")
            self._groups.hold(pid)
            note_child(self.directory, pid)
            process = ProcessIdentity.of(pid)
            try:
                async with asyncio.timeout(self.patience.serve_s):
                    await self._serving()
            except TimeoutError:
                raise Broken(f"it to serve HTTP/2 within {self.patience.serve_s:g} s", "it greets nobody") from None
        finally:
            host.kill()
            await host.wait()
            self.frames.note(SENT, "signal", "SIGKILL to its host")
        return process

    async def end(self) -> None:
        """End what runs, however it is, and the services that it was given."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
        if self._child is not None:
            self._child.kill()
            await self._child.wait()
            self._groups.let_go(self._child.pid)
            self._child = None
        await asyncio.to_thread(end_strays, self.directory)
        await self.host_services.close()

    def beside(self) -> Subject:
        """Return another process that is closed with this one.

        ``relaunch`` starts it with the IndexedDB service of this one, ``launch`` with one of its own.
        """
        other = Subject(self.candidate, self._environ, self._groups)
        other.frames, other._store = self.frames, self._store
        other.host_services.instead = dict(self.host_services.instead)
        (other.directory / "own-0").mkdir()
        self._beside.append(other)
        return other

    async def close(self) -> None:
        """End what runs, here and beside it, and remove its directory."""
        for other in self._beside:
            await other.close()
        await self.end()
        remove_directory(self.directory)

    # Calls ------------------------------------------------------------------------------------------------------------

    async def call(
        self,
        service: str,
        method: str,
        request: Message | bytes,
        *,
        answers: type[Message] | None = None,
        timeout_s: float | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """Make a unary call; an error is an answer too.

        Args:
            request: The message, or bytes to send in place of one.
            answers: What the answer is shown as among the frames.
        """
        name = f"{service.rpartition('.')[2]}.{method}"
        self.frames.note(SENT, name, request)
        data = request if isinstance(request, bytes) else request.SerializeToString()
        limit_s = self.patience.call_s if timeout_s is None else timeout_s
        try:
            body: bytes = await self.channel.unary_unary(f"/{service}/{method}")(
                data, timeout=limit_s, metadata=tuple(metadata)
            )
        except grpc.aio.AioRpcError as error:
            answer = Answer(name, error.code(), error.details() or "")
            self.frames.note(RECEIVED, name, str(answer))
            return answer
        self.frames.note(RECEIVED, name, _decoded(body, answers))
        return Answer(name, grpc.StatusCode.OK, "", body)

    async def ask(self, timeout_s: float | None = None, metadata: Sequence[tuple[str, str]] = ()) -> Answer:
        """Make the call that any provider answers at any time: for its identity, of a plugin for its metadata."""
        service, method, answers = (
            (PLUGIN, "GetMetadata", plugin_pb2.ProviderMetadata)
            if self.is_plugin
            else (LIFECYCLE, "GetProviderIdentity", runtime_pb2.ProviderIdentity)
        )
        return await self.call(service, method, Empty(), answers=answers, timeout_s=timeout_s, metadata=metadata)

    async def require_answering(self, after: str) -> None:
        """Require that the process runs and answers.

        Args:
            after: What it has been through.
        Raises:
            Broken: it does not.
        """
        answer = await self.ask(timeout_s=self.patience.alive_s)
        if not self.child.running:
            raise Broken(f"its process to run {after}", f"it ended: {self.child.describe_exit()}")
        if not (answer.is_ok or (self.is_plugin and answer.code is UNIMPLEMENTED)):
            raise Broken(f"{answer.method} to be answered {after}", str(answer))

    async def identity(self) -> runtime_pb2.ProviderIdentity:
        """Return the identity of a provider that is no plugin.

        Raises:
            Broken: there is none.
        """
        return (await self.ask()).read(runtime_pb2.ProviderIdentity)

    async def require_capability(self, name: str) -> None:
        """
        Raises:
            NotOffered: the provider does not name it.
        """
        if name not in (await self.identity()).capabilities:
            raise NotOffered(f"the capability {name}")

    async def configure(
        self,
        config: Mapping[str, object] | None = None,
        version: int = PROTOCOL_VERSION,
        unknown: bytes = b"",
        timeout_s: float | None = None,
    ) -> Answer:
        """Send the configuration, with which a plugin is started.

        Args:
            config: In place of the one that it is verified with.
            unknown: Encoded fields behind it that no message has.
        """
        values = self.config if config is None else config
        kind = plugin_pb2.StartProviderRequest if self.is_plugin else runtime_pb2.ConfigureProviderRequest
        request = kind(name=NAME, protocol_version=version)
        if values:
            request.config.CopyFrom(to_struct(values))
        if unknown:
            request.MergeFromString(unknown)
        if self.is_plugin:
            limit_s = self.patience.start_s if timeout_s is None else timeout_s
            shown = plugin_pb2.StartProviderResponse
            return await self.call(PLUGIN, "StartProvider", request, answers=shown, timeout_s=limit_s)
        answers = runtime_pb2.ConfigureProviderResponse
        return await self.call(LIFECYCLE, "ConfigureProvider", request, answers=answers, timeout_s=timeout_s)

    async def require_configured(self) -> None:
        """Bring it to where it serves its callers, as a host does: identity, configuration, start.

        Raises:
            Broken: it refuses a step.
        """
        await self.require_first_answer()
        answer = await self.configure()
        if not (self.is_plugin and answer.code is UNIMPLEMENTED):
            answer.require_ok()
        if self.kind is ProviderKind.WORKFLOW:
            started = await self.start()
            if started.code is not UNIMPLEMENTED:
                started.require_ok()

    async def require_first_answer(self) -> None:
        """Make the first call of a host: for the identity; of a plugin for its metadata, until it has any.

        Raises:
            Broken: it is not answered.
        """
        try:
            async with asyncio.timeout(self.patience.serve_s):
                while (answer := await self.ask()).code is UNAVAILABLE and self.is_plugin:
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise Broken(f"GetMetadata to be answered within {self.patience.serve_s:g} s", "UNAVAILABLE") from None
        if not (self.is_plugin and answer.code is UNIMPLEMENTED):
            answer.require_ok()

    async def start(self) -> Answer:
        """Tell a provider that is no plugin to begin its background work."""
        return await self.call(
            LIFECYCLE,
            "StartProvider",
            Empty(),
            answers=runtime_pb2.StartRuntimeProviderResponse,
            timeout_s=self.patience.start_s,
        )

    async def connect(self) -> asyncio.StreamWriter:
        """Open a connection of its own to the provider's socket and send nothing.

        Raises:
            Broken: nobody takes it.
        """
        try:
            return (await asyncio.open_unix_connection(self.socket))[1]
        except OSError as error:
            raise Broken("a connection to its socket to be taken", error.strerror or str(error)) from error

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes over a connection of their own, and read until it is closed or nothing comes any more."""
        self.frames.note(SENT, "bytes", data)
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_unix_connection(self.socket)
            try:
                writer.write(data)
                await writer.drain()
                async with asyncio.timeout(LOOK_S):
                    self.frames.note(RECEIVED, "bytes", await reader.read(4096))
            finally:
                writer.close()

    def socket_status(self) -> os.stat_result | None:
        """Return what lies where its socket is to be, None when nothing does."""
        try:
            return self.socket.lstat()
        except FileNotFoundError:
            return None

    @property
    def is_socket(self) -> bool:
        status = self.socket_status()
        return status is not None and stat.S_ISSOCK(status.st_mode)


def _decoded(body: bytes, kind: type[Message] | None) -> Message | bytes:
    if kind is not None:
        with contextlib.suppress(DecodeError):
            return kind.FromString(body)
    return body


def placed(value: object, directory: str) -> object:
    """Return a configuration with a directory in place of ``OWN_DIRECTORY`` in each of its texts."""
    if isinstance(value, str):
        return value.replace(OWN_DIRECTORY, directory)
    if isinstance(value, Mapping):
        return {key: placed(item, directory) for key, item in value.items()}
    if isinstance(value, list):
        return [placed(item, directory) for item in value]
    return value


async def until_ended(process: ProcessIdentity, limit_s: float) -> bool:
    """Wait for the end of a process that is not ours; tell whether it came in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not process.has_ended():
                await asyncio.sleep(LOOK_S)
    return process.has_ended()


async def in_time(attempt: Callable[[], Awaitable[T | None]]) -> T | None:
    """Return what the first attempt that succeeds gives, None when none of ``ATTEMPTS`` does."""
    for _ in range(ATTEMPTS):
        if (found := await attempt()) is not None:
            return found
    return None
