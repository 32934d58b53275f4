"""The client of a running host's HostControl."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from grpc import StatusCode

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.provider.hosts import Provider, RunningHost, with_providers
from gestalt_host.supervisor.about import DECLARATIVE
from gestalt_sdk.gen.extension.v1 import control_pb2 as pb
from gestalt_sdk.gen.extension.v1.control_pb2_grpc import HostControlStub
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address

TIMEOUT_S = 10.0
END_SEEN_S = 2.0
LOOK_S = 0.05
_BROKEN = frozenset((StatusCode.UNAVAILABLE, StatusCode.UNKNOWN, StatusCode.CANCELLED, StatusCode.INTERNAL))
"""Codes that gRPC itself gives a call whose server has gone."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a provider wrote, or what became of its process.

    Attributes:
        stream: ``stdout`` or ``stderr`` of a line; blank where the host says what happened.
        text: The line as it was written, or what happened.
    """

    at: datetime
    pid: int
    stream: str
    text: bytes
    is_cut: bool = False


class Control:
    """Calls to one host."""

    def __init__(self, host: RunningHost, channel: grpc.aio.Channel) -> None:
        self._host = host
        self._stub = HostControlStub(channel)

    async def with_all_providers(self) -> RunningHost:
        """Return the host with those of its providers too that have no process.

        Raises:
            CommandFailed: it does not answer.
        """
        try:
            answer = await self._stub.ListProviders(pb.ListProvidersRequest(), timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise await _failed(self._host, error) from error
        others = (Provider(item.kind, item.name, reason=_why(item)) for item in answer.providers)
        return with_providers(self._host, others)

    async def token(self, plugin: str) -> str:
        """Return a token with which ``plugin`` may call its host services for a minute.

        Raises:
            CommandFailed: the host refuses, or does not answer.
        """
        request = pb.IssueInvocationTokenRequest(plugin=plugin)
        try:
            answer = await self._stub.IssueInvocationToken(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise await _failed(self._host, error) from error
        return str(answer.invocation_token)

    async def log(self, kind: str, name: str, lines: int, follow: bool) -> AsyncIterator[LogEntry]:
        """Yield what the provider wrote last, and with ``follow`` what it writes from now on.

        Raises:
            CommandFailed: the host refuses, or it ended while it was followed.
        """
        request = pb.StreamLogRequest(kind=kind, name=name, lines=lines, follow=follow)
        try:
            async for entry in self._stub.StreamLog(request):
                yield _entry(entry)
        except grpc.aio.AioRpcError as error:
            raise await _failed(self._host, error) from error


async def all_providers(hosts: Sequence[RunningHost]) -> list[RunningHost]:
    """Return the hosts with those of their providers too that have no process; a host that does not answer as it is."""

    async def known(host: RunningHost) -> RunningHost:
        with suppress(CommandFailed):
            async with control_of(host) as control:
                return await control.with_all_providers()
        return host

    return await asyncio.gather(*map(known, hosts))


@asynccontextmanager
async def control_of(host: RunningHost) -> AsyncIterator[Control]:
    """Open a channel to the host.

    Raises:
        CommandFailed: it has no control socket.
    """
    if host.control is None:
        raise CommandFailed(f"{host} has no control socket: it has only just been started, or is stopping")
    channel = open_channel(Address(f"unix:{host.control}"))
    try:
        yield Control(host, channel)
    finally:
        await channel.close()


async def _failed(host: RunningHost, error: grpc.aio.AioRpcError) -> CommandFailed:
    """Return what the host said; where the call broke instead, that the host has ended, if it has."""
    if error.code() in _BROKEN:
        # A connection ends a moment before its process is gone.
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SEEN_S):
                while host.about.is_running:
                    await asyncio.sleep(LOOK_S)
            return CommandFailed(f"the host {host} has ended")
    return CommandFailed(error.details() or error.code().name)


def _why(item: pb.ProviderSummary) -> str:
    """Return why a provider has no socket."""
    if item.runtime == "declarative":
        return DECLARATIVE
    return item.reason or f"it is {item.state}"


def _entry(entry: pb.LogEntry) -> LogEntry:
    at = entry.time.ToDatetime(UTC)
    match entry.WhichOneof("what"):
        case "line":
            return LogEntry(at, entry.pid, entry.line.stream, entry.line.text, entry.line.is_cut)
        case "started":
            text = f"process {entry.pid} was started"
        case "ended":
            text = f"process {entry.pid} ended ({entry.ended.how})"
        case "left_out":
            text = f"{entry.left_out.lines} lines are missing here"
        case _:
            text = "something that this version does not know"
    return LogEntry(at, entry.pid, "", text.encode())
