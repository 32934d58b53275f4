"""The host's services as a provider under test is given them: as they should be, or as they are on a bad day."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path

import grpc

from gestalt_host.supervisor.service_sockets import HostService, ServiceSockets
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.environment import (
    INDEXEDDB_SOCKET,
    PLUGIN_INVOKER_SOCKET,
    WORKFLOW_HOST_SOCKET,
    WORKFLOW_MANAGER_SOCKET,
)
from gestalt_sdk.transport.faults import end_call

_PACKAGE = "gestalt.provider.v1"
GIVEN: Mapping[ProviderKind, Mapping[str, str]] = {
    ProviderKind.INTEGRATION: {
        INDEXEDDB_SOCKET: f"{_PACKAGE}.IndexedDB",
        WORKFLOW_MANAGER_SOCKET: f"{_PACKAGE}.WorkflowManagerHost",
        PLUGIN_INVOKER_SOCKET: f"{_PACKAGE}.PluginInvoker",
    },
    ProviderKind.WORKFLOW: {
        INDEXEDDB_SOCKET: f"{_PACKAGE}.IndexedDB",
        WORKFLOW_HOST_SOCKET: f"{_PACKAGE}.WorkflowHost",
    },
    ProviderKind.INDEXEDDB: {},
}
"""By kind: the variable of each service of the host, and the service behind it."""
NOT_BYTES_OF_HTTP2 = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + bytes(range(256))
NO_MESSAGE = b"\xff" * 16
"""Ends within the number of its first field, so it is a message of no type."""
_RUN_RESULT = workflow_pb2.InvokeWorkflowOperationResponse(status=200, body="{}").SerializeToString()


class Conduct(Enum):
    """How the services of the host behave."""

    GOOD = "they answer as a host does"
    UNSET = "their variables are not set"
    DEAD = "nobody listens on their sockets"
    SLOW = "they accept calls and never answer"
    NOISE = "they send bytes that are not HTTP/2"
    NONSENSE = "they answer with bytes that are no message"


Answer = Callable[[str, ServerContext], Awaitable[bytes]]
"""Returns what a method, named by its path, answers, or ends the call."""
Register = Callable[[grpc.aio.Server], Sequence[str]]
"""Adds services to a server and returns their names."""


class HostServices:
    """The sockets of one launch of a provider."""

    def __init__(self, kind: ProviderKind, directory: Path) -> None:
        self.instead: dict[str, Register] = {}
        """What is served in place of the answers of ``Conduct.GOOD``, by the variable of the service."""
        self._given = GIVEN[kind]
        self._directory = directory
        self._sockets: ServiceSockets | None = None
        self._noisy: list[asyncio.Server] = []

    async def open(self, conduct: Conduct, store: str) -> Mapping[str, str]:
        """Open the sockets; return their paths by the variables that the provider is told them in.

        Args:
            store: Socket of an IndexedDB service that works, for ``Conduct.GOOD``.
        """
        if conduct is Conduct.UNSET:
            return {}
        if conduct is Conduct.DEAD:
            return {variable: self._abandoned(index) for index, variable in enumerate(self._given)}
        if conduct is Conduct.NOISE:
            return {variable: await self._noise(index) for index, variable in enumerate(self._given)}
        served = dict(self._given)
        found: dict[str, str] = {}
        if conduct is Conduct.GOOD and INDEXEDDB_SOCKET in served:
            del served[INDEXEDDB_SOCKET]
            found[INDEXEDDB_SOCKET] = store
        answer = _ANSWERS[conduct]
        instead = self.instead if conduct is Conduct.GOOD else {}
        services = [
            HostService(variable, instead.get(variable) or _register(service, answer))
            for variable, service in served.items()
        ]
        self._sockets = ServiceSockets(services, self._directory)
        await self._sockets.start()
        return {**found, **self._sockets.paths}

    async def close(self) -> None:
        for server in self._noisy:
            server.close()
        self._noisy.clear()
        if self._sockets is not None:
            await self._sockets.stop()
            self._sockets = None

    def _abandoned(self, index: int) -> str:
        path = self._directory / f"dead-{index}.sock"
        abandon_socket(path)
        return str(path)

    async def _noise(self, index: int) -> str:
        path = self._directory / f"noise-{index}.sock"
        self._noisy.append(await asyncio.start_unix_server(_make_noise, path))
        return str(path)


def abandon_socket(path: Path) -> None:
    """Leave the file of a socket on which nobody listens, as a process does that was killed."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


async def _make_noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(NOT_BYTES_OF_HTTP2)
    writer.close()


def _register(service: str, answer: Answer) -> Register:
    """Make the ``register`` of a service whose every method is answered alike, with one message."""

    def register(server: grpc.aio.Server) -> Sequence[str]:
        server.add_generic_rpc_handlers((_EveryMethod(service, answer),))
        return [service]

    return register


class _EveryMethod(grpc.GenericRpcHandler):
    def __init__(self, service: str, answer: Answer) -> None:
        self._service = service
        self._answer = answer

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        path = details.method
        if not path.startswith(f"/{self._service}/"):
            return None

        async def handle(requests: AsyncIterator[bytes], context: ServerContext) -> AsyncIterator[bytes]:
            yield await self._answer(path, context)

        return grpc.stream_stream_rpc_method_handler(handle)


async def _as_a_host(path: str, context: ServerContext) -> bytes:
    if path.endswith("/InvokeOperation"):
        return _RUN_RESULT
    await end_call(context, grpc.StatusCode.PERMISSION_DENIED, "authorization denied")


async def _never(path: str, context: ServerContext) -> bytes:
    await asyncio.Event().wait()
    return b""


async def _nonsense(path: str, context: ServerContext) -> bytes:
    return NO_MESSAGE


_ANSWERS: Mapping[Conduct, Answer] = {
    Conduct.GOOD: _as_a_host,
    Conduct.SLOW: _never,
    Conduct.NONSENSE: _nonsense,
}
