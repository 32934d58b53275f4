"""Scopes: one socket for each binding, serving one database and some of its stores (decision 12)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2

from gestalt_sdk.serving.process import add_health_and_reflection, bind
from gestalt_sdk.transport.channels import SERVER_OPTIONS
from gestalt_store.databases import Configured, SocketAccess
from gestalt_store.edge.service import add_services
from gestalt_store.errors import NotConfigured, ScopeConflict, ScopeRefused

STOP_GRACE_S = 1.0
_LONGEST_PATH = 100


@dataclass(slots=True)
class _Scope:
    db: str
    stores: frozenset[str]
    server: grpc.aio.Server


class Scopes:
    """The open scopes by socket path. A database is opened by the first call that needs it, not by its scope."""

    def __init__(self, configured: Configured) -> None:
        self._configured = configured
        self._open: dict[str, _Scope] = {}
        self._changing = asyncio.Lock()

    async def open(self, db: str, stores: list[str], socket_path: str) -> None:
        """Listen on the path; opening the same scope again does nothing.

        Raises:
            NotConfigured, ScopeRefused, ScopeConflict
        """
        if self._configured.databases is None:
            raise NotConfigured
        if not db.strip():
            raise ScopeRefused("db is blank; the name of a database is expected")
        if not socket_path.startswith("/"):
            raise ScopeRefused(f"socket_path is {socket_path!r}; an absolute path is expected")
        if len(socket_path.encode()) > _LONGEST_PATH:
            raise ScopeRefused(f"socket_path {socket_path!r} is longer than {_LONGEST_PATH} bytes")
        if not Path(socket_path).parent.is_dir():
            raise ScopeRefused(f"socket_path {socket_path!r}: its directory does not exist")
        allowed = frozenset(stores)
        async with self._changing:
            existing = self._open.get(socket_path)
            if existing is not None:
                if existing.db == db and existing.stores == allowed:
                    return
                raise ScopeConflict(f"{socket_path} is open for database {existing.db!r} with other settings")
            self._open[socket_path] = _Scope(db, allowed, await self._listen(db, allowed, socket_path))

    async def close(self, socket_path: str) -> None:
        """Stop listening on the path; one that is not open is fine."""
        async with self._changing:
            scope = self._open.pop(socket_path, None)
            if scope is not None:
                await self._stop(socket_path, scope)

    async def close_all(self) -> None:
        """Stop listening on every path."""
        async with self._changing:
            await asyncio.gather(*(self._stop(path, scope) for path, scope in self._open.items()))
            self._open.clear()

    async def _listen(self, db: str, stores: frozenset[str], socket_path: str) -> grpc.aio.Server:
        server = grpc.aio.server(options=SERVER_OPTIONS)
        services = add_services(server, SocketAccess(self._configured, db, stores))
        checks = health.aio.HealthServicer()
        add_health_and_reflection(server, checks, services)
        for name in ("", *services):
            await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
        try:
            bind(server, f"unix:{socket_path}")
        except (RuntimeError, OSError) as error:
            raise ScopeRefused(f"cannot listen on {socket_path}: {error}") from error
        await server.start()
        return server

    @staticmethod
    async def _stop(socket_path: str, scope: _Scope) -> None:
        await scope.server.stop(STOP_GRACE_S)
        _remove_socket(socket_path)


def _remove_socket(path: str) -> None:
    Path(path).unlink(missing_ok=True)
