"""The provider: lifecycle, configuration, and the services on its socket."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from gestalt_sdk.bases.provider import ConfigFault, Provider, ProviderKind
from gestalt_sdk.common.open_files import raise_open_files
from gestalt_store import __version__
from gestalt_store.config import judge_config, read_config
from gestalt_store.databases import Configured, Databases, SocketAccess
from gestalt_store.edge.scopes import Scopes
from gestalt_store.edge.scopes_service import add_scopes_service
from gestalt_store.edge.service import add_services
from gestalt_store.errors import NotConfigured
from gestalt_store.process import FreedMemory
from gestalt_store.sqlite.files import database_path, why_unusable

SWITCH_INTERVAL_S = 0.0005
"""Seconds after which the event loop lets the writer's thread have the interpreter; it mostly waits for the disk."""


class StoreProvider(Provider):
    """The object store provider, on SQLite or PostgreSQL; the configured ``dsn`` chooses."""

    kind = ProviderKind.INDEXEDDB
    display_name = "IndexedDB store"
    description = "Object stores, indexes, cursors and transactions on SQLite or PostgreSQL."
    version = __version__
    capabilities: Sequence[str] = ("indexeddb.scopes", "indexeddb.batch", "indexeddb.prefetch", "indexeddb.migrations")
    event_loop_hung_after_s = 300.0

    def __init__(self) -> None:
        super().__init__()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        raise_open_files()
        self._configured = Configured(FreedMemory().freed)
        self._scopes = Scopes(self._configured)

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        services = add_services(server, SocketAccess(self._configured, None))
        return [*services, *add_scopes_service(server, self._scopes)]

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        accepted, warnings = read_config(config)
        current = self._configured.databases
        if current is not None and current.config == accepted:
            self.warnings = warnings
            return
        if current is not None and current.config.path == accepted.path and accepted.path is not None:
            await self._replace_in_place(current, Databases(accepted, self.beats))
        else:
            databases = Databases(accepted, self.beats)
            try:
                await databases.open(accepted.db)
            except BaseException:
                await databases.close()
                raise
            self._configured.databases = databases
            if current is not None:
                await current.close()
        self.warnings = warnings

    async def check(self, name: str, config: Mapping[str, object]) -> Sequence[ConfigFault]:
        """Return what ``configure`` would refuse or warn of; no file is opened and no server is called."""
        accepted, faults = judge_config(config)
        if accepted.path is not None:
            path = database_path(accepted.path, accepted.db)
            if reason := await asyncio.to_thread(why_unusable, path):
                faults.append(ConfigFault("dsn", f"names {path}, which cannot be used: {reason}"))
        return faults

    async def _replace_in_place(self, current: Databases, databases: Databases) -> None:
        """Open the same files with other settings; they must be closed first."""
        await current.close()
        try:
            await databases.open(databases.config.db)
        except BaseException:
            await databases.close()
            # The earlier configuration stays in force; its files open again with the next call.
            self._configured.databases = Databases(current.config, self.beats)
            raise
        self._configured.databases = databases

    async def health(self) -> None:
        databases = self._configured.databases
        if databases is None:
            raise NotConfigured
        await databases.check()

    async def close(self) -> None:
        await self._scopes.close_all()
        databases, self._configured.databases = self._configured.databases, None
        if databases is not None:
            await databases.close()


def provider() -> StoreProvider:
    """Return the provider that ``gestalt_sdk.run`` serves."""
    return StoreProvider()
