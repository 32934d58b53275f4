"""The provider: its configuration, and the file that it has open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc

from gestalt_sdk import GestaltError, Provider, ProviderKind
from gestalt_sdk.bases import ConfigFault
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from shelf_store.database import Database
from shelf_store.service import SERVICE, IndexedDBService

SQLITE = "sqlite://"
KEYS = ("dsn", "table_prefix", "prefix")


class Shelf(Provider):
    """Configuration: ``dsn``, ``sqlite://`` and the path of a file.

    A host that needs several databases runs a process for each, and sets ``table_prefix`` and ``prefix`` to a text that
    is the database's own (contract.md 5.8). Here each has a file of its own beside the one that ``dsn`` names.
    """

    kind = ProviderKind.INDEXEDDB
    display_name = "Shelf"
    description = "Keeps object stores in a file of SQLite."
    version = "0.1.0"

    def __init__(self) -> None:
        super().__init__()
        self._service = IndexedDBService()

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        datastore_pb2_grpc.add_IndexedDBServicer_to_server(self._service, server)
        return [SERVICE]

    async def check(self, name: str, config: Mapping[str, object]) -> list[ConfigFault]:
        faults = [
            ConfigFault(key, f"is not known; accepted are {', '.join(KEYS)}")
            for key in sorted(config.keys() - set(KEYS))
        ]
        dsn = config.get("dsn")
        if not isinstance(dsn, str) or not dsn.removeprefix(SQLITE) or not dsn.startswith(SQLITE):
            faults.append(ConfigFault("dsn", f"is no address of a file; accepted is {SQLITE}/path/to/file.db"))
        for key in KEYS[1:]:
            prefix = config.get(key, "")
            if not isinstance(prefix, str) or "/" in prefix or "\x00" in prefix:
                faults.append(ConfigFault(key, "cannot begin the name of a file; accepted is text without /"))
        return faults

    async def configure(self, name: str, config: Mapping[str, object]) -> None:
        if faults := await self.check(name, config):
            raise ValueError("; ".join(f"config.{fault}" for fault in faults))
        path = Path(str(config["dsn"]).removeprefix(SQLITE))
        path = path.with_name(f"{config.get('table_prefix') or config.get('prefix', '')}{path.name}")
        old = self._service.database
        if old is not None and old.path == path:
            return
        database = Database(path)
        try:
            await database.open()
        except GestaltError as error:
            await database.close()
            raise ValueError(f"config.dsn: {path}: {error}") from None
        self._service.database = database
        if old is not None:
            await old.close()

    async def close(self) -> None:
        if self._service.database is not None:
            await self._service.database.close()


provider = Shelf
