"""The databases of one configuration, opened on first use, and what each socket may see of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from gestalt_store.config import StoreConfig
from gestalt_store.engines.interface import Database, Migration
from gestalt_store.errors import NotConfigured, ObjectStoreNotFound, StorageUnavailable
from gestalt_store.sqlite.database import SqliteDatabase
from gestalt_store.sqlite.files import MemoryFolder, database_path
from gestalt_store.values.schema import IndexSchema, StoreSchema

if TYPE_CHECKING:
    from gestalt_store.postgres.server import Server


class Databases:
    """Every database of a DSN; bindings with one db share one object and so one writer.

    For SQLite each is a file of its own beside the DSN's path, for PostgreSQL a schema.
    """

    def __init__(self, config: StoreConfig) -> None:
        self.config = config
        self._server: Server | None = None
        self._memory: MemoryFolder | None = None
        if config.conninfo is not None:
            # Imported when it is wanted: a store on SQLite needs no PostgreSQL client.
            from gestalt_store.postgres.server import Server

            self._server = Server(config.conninfo, config.limits)
        elif config.path is None:
            self._memory = MemoryFolder()
        self._open: dict[str, Database] = {}
        self._opening: dict[str, asyncio.Task[Database]] = {}
        self._closed = False

    def opened(self, db: str) -> Database | None:
        """The database if it is open already."""
        return self._open.get(db)

    async def open(self, db: str) -> Database:
        """The database, opened or created when this is its first use.

        Raises:
            DatabaseUnusable, StorageCorrupt, StorageUnavailable
        """
        found = self._open.get(db)
        if found is not None:
            return found
        if self._closed:
            raise StorageUnavailable("the store is closing")
        task = self._opening.get(db)
        if task is None:
            task = self._opening[db] = asyncio.create_task(self._open_now(db), name=f"open database {db!r}")
        # Shared by all who wait for it, so that one caller's cancellation does not end it.
        return await asyncio.shield(task)

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await asyncio.gather(*(database.close() for database in self._open.values()))
        self._open.clear()
        if self._memory is not None:
            self._memory.close()
        if self._server is not None:
            await self._server.close()

    async def _open_now(self, db: str) -> Database:
        try:
            database: Database
            if self._server is not None:
                database = await self._server.open(db)
            else:
                base = self._memory.path / "memory.db" if self._memory is not None else self.config.path
                assert base is not None
                database = await SqliteDatabase.open(database_path(base, db), db, self.config.limits)
            self._open[db] = database
            return database
        finally:
            del self._opening[db]


class Configured:
    """The configuration in force; replaced as a whole by the next one."""

    def __init__(self) -> None:
        self.databases: Databases | None = None


class Access:
    """What one socket serves: a database and, of it, all stores or some."""

    def __init__(self, configured: Configured, db: str | None, stores: Collection[str] = ()) -> None:
        """``db`` None means the one that the configuration names."""
        self._configured = configured
        self._db = db
        self._allowed = frozenset(stores)

    async def view(self) -> View:
        """The database as this socket sees it.

        Raises:
            NotConfigured: before the first accepted configuration.
        """
        databases = self._configured.databases
        if databases is None:
            raise NotConfigured
        db = databases.config.db if self._db is None else self._db
        database = databases.opened(db)
        if database is None:
            database = await databases.open(db)
        return View(database, self._allowed)


class View:
    """A database of which some stores may be hidden; for the time of one call."""

    __slots__ = ("_allowed", "database")

    def __init__(self, database: Database, allowed: frozenset[str]) -> None:
        self.database = database
        self._allowed = allowed

    def store(self, name: str) -> Any:
        """The store; ``ObjectStoreNotFound`` when it is missing or hidden."""
        if self._allowed and name not in self._allowed:
            raise ObjectStoreNotFound(name)
        return self.database.store(name)

    async def changed(self, version: int) -> bool:
        """Whether other processes have changed the stores since ``version`` of the database was read."""
        await self.database.refresh()
        return self.database.version != version

    async def create_store(self, name: str, schema: StoreSchema) -> None:
        self._check(name)
        await self.database.create_store(name, schema)

    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        self._check(name)
        return await self.database.change_indexes(name, add, remove)

    async def migration(self, name: str) -> Migration:
        self._check(name)
        return await self.database.migration(name)

    async def delete_store(self, name: str) -> None:
        self._check(name)
        await self.database.delete_store(name)

    async def begin(self, names: Sequence[str], *, readonly: bool, relaxed: bool) -> Any:
        for name in names:
            self._check(name)
        return await self.database.begin(names, readonly=readonly, relaxed=relaxed)

    def _check(self, name: str) -> None:
        if self._allowed and name not in self._allowed:
            raise ObjectStoreNotFound(name)
