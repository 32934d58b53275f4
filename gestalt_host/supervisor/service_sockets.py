"""gRPC services that the host serves to one provider, each on a socket of its own (contract.md 2.1, 2.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2

from gestalt_host.supervisor.about import SocketAbout
from gestalt_sdk.serving.process import add_health_and_reflection, bind
from gestalt_sdk.transport.channels import SERVER_OPTIONS

STOP_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class HostService:
    """One service of one provider.

    Attributes:
        variable: The environment variable that tells the provider the socket's path.
        register: Adds the servicer to a server and returns the full names of its services.
    """

    variable: str
    register: Callable[[grpc.aio.Server], Sequence[str]]


class ServiceSockets:
    """The servers of one provider's host services; they outlive restarts of its process."""

    def __init__(self, services: Sequence[HostService], directory: Path) -> None:
        self._services = services
        self._directory = directory
        self._servers: list[grpc.aio.Server] = []
        self.paths: dict[str, str] = {}
        """Variable to socket path."""
        self._names: dict[str, tuple[str, ...]] = {}

    @property
    def are_there(self) -> bool:
        """Whether every socket that was opened still has its file."""
        return all(Path(path).exists() for path in self.paths.values())

    async def start(self) -> None:
        """Open every socket; when this returns they accept connections."""
        for index, service in enumerate(self._services):
            path = self._directory / f"host-{index}.sock"
            server = grpc.aio.server(options=SERVER_OPTIONS)
            names = list(service.register(server))
            checks = health.aio.HealthServicer()
            for name in names:
                await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
            add_health_and_reflection(server, checks, names)
            bind(server, f"unix:{path}")
            await server.start()
            self._servers.append(server)
            self.paths[service.variable] = str(path)
            self._names[service.variable] = tuple(names)

    def abouts(self, user: str) -> list[SocketAbout]:
        """Return what is to be told of each socket; ``user`` is the provider that they are for."""
        return [
            SocketAbout(path, self._names[variable], "host", variable, (user,)) for variable, path in self.paths.items()
        ]

    async def restore(self) -> None:
        """Open every socket again where the file of one has been removed."""
        if not self.are_there:
            await self.stop()
            await self.start()

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop(STOP_GRACE_S) for server in self._servers))
        self._servers.clear()
