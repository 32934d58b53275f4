"""The databases of one configuration, opened on first use, and what each socket may see of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from gestalt_sdk.common.beats import Beats
from gestalt_store.config import StoreConfig
from gestalt_store.engines.idle import IdleWatch
from gestalt_store.engines.interface import Database, Migration, ServedDatabase, ServedTransaction, Store
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.engines.scope_use import ScopeUse
from gestalt_store.errors import NotConfigured, ObjectStoreNotFound, StorageUnavailable
from gestalt_store.sqlite.database import SqliteDatabase
from gestalt_store.sqlite.descriptors import Descriptors
from gestalt_store.sqlite.files import MemoryFolder, database_path
from gestalt_store.sqlite.tables import SqliteIndex, SqliteStore
from gestalt_store.values.schema import IndexSchema, StoreSchema
from gestalt_store.work.operations import CONSUMER_OPERATIONS, OPERATIONS, Operation

if TYPE_CHECKING:
    from gestalt_store.postgres.server import PgServer
    from gestalt_store.postgres.tables import PgIndex, PgStore


class Databases:
    """Every database of a DSN. Sockets that serve the same database share one object, and so one writer.

    For SQLite each is a file of its own beside the DSN's path, for PostgreSQL a schema.
    """

    def __init__(self, config: StoreConfig, beats: Beats | None = None) -> None:
        """Open nothing yet; the loops of what is opened give their beats to ``beats``."""
        self.config = config
        self._beats = beats or Beats()
        self.watch = IdleWatch(config.limits.idle_check_s, self._beats)
        """Of the streams that clients have open."""
        self._descriptors = Descriptors()
        self._server: PgServer | None = None
        self._memory: MemoryFolder | None = None
        if config.conninfo is not None:
            # Imported only here, so that a store on SQLite needs no PostgreSQL client.
            from gestalt_store.postgres.server import PgServer

            self._server = PgServer(config.conninfo, config.limits, self._beats)
        elif config.path is None:
            self._memory = MemoryFolder()
        self._open: dict[str, ServedDatabase] = {}
        self._opening: dict[str, asyncio.Task[ServedDatabase]] = {}
        self._closed = False

    def opened(self, db: str) -> ServedDatabase | None:
        """Return the database if it is open already."""
        return self._open.get(db)

    async def open(self, db: str) -> ServedDatabase:
        """Return the database, which is opened or created when this is its first use.

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

    async def check(self) -> None:
        """Raise a ``StoreError`` when the configured database, or one that is open, cannot be used."""
        await self.open(self.config.db)
        for database in list(self._open.values()):
            await database.check()

    async def close(self) -> None:
        """Close every database and what they share."""
        self._closed = True
        self.watch.close()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await asyncio.gather(*(database.close() for database in self._open.values()))
        self._open.clear()
        if self._memory is not None:
            self._memory.close()
        if self._server is not None:
            await self._server.close()

    async def _open_now(self, db: str) -> ServedDatabase:
        try:
            opened: Database[SqliteStore, SqliteIndex] | Database[PgStore, PgIndex]
            if self._server is not None:
                opened = await self._server.open(db)
            else:
                base = self._memory.path / "memory.db" if self._memory is not None else self.config.path
                assert base is not None
                opened = await SqliteDatabase.open(
                    database_path(base, db), db, self.config.limits, self._beats, self._descriptors
                )
            # The service hands an engine's stores back to the database that they came from (``engines.interface``).
            database = self._open[db] = cast(ServedDatabase, opened)
            return database
        finally:
            del self._opening[db]


class Configured:
    """Holds the configuration in force, which is replaced as a whole by the next one."""

    def __init__(self, freed: Callable[[int], None] | None = None) -> None:
        """``freed`` is told of each number of bytes that clients have held and hold no more."""
        self.databases: Databases | None = None
        self.freed = freed


class SocketAccess:
    """What one socket serves: one database, with all of its stores or some."""

    def __init__(self, configured: Configured, db: str | None, stores: Collection[str] = ()) -> None:
        """Serve ``db``, None for the configuration's database, and of it the named stores, without names all."""
        self._configured = configured
        self._db = db
        self._allowed = frozenset(stores)
        self._operations = OPERATIONS if db is None else CONSUMER_OPERATIONS
        self.use = ScopeUse(StoreLimits(), configured.freed)
        """What the clients of this socket hold."""

    async def view(self) -> View:
        """Return the database as this socket sees it.

        Raises:
            NotConfigured: before the first accepted configuration.
        """
        databases = self._configured.databases
        if databases is None:
            raise NotConfigured
        self.use.limits = databases.config.limits
        db = databases.config.db if self._db is None else self._db
        database = databases.opened(db)
        if database is None:
            database = await databases.open(db)
        if database.lost:
            raise StorageUnavailable(database.lost)
        return View(database, self._allowed, self._operations, databases)


class View:
    """A database of which some stores may be hidden, for the time of one call.

    Every method about a store raises ``ObjectStoreNotFound`` when it is missing or hidden.
    """

    __slots__ = ("_allowed", "database", "limits", "operations", "watch")

    def __init__(
        self,
        database: ServedDatabase,
        allowed: frozenset[str],
        operations: Mapping[str, Operation],
        databases: Databases,
    ) -> None:
        self.limits = databases.config.limits
        self.watch = databases.watch
        self.database = database
        self.operations = operations
        self._allowed = allowed

    def store(self, name: str) -> Store:
        """Return the store."""
        if self._allowed and name not in self._allowed:
            raise ObjectStoreNotFound(name)
        return self.database.store(name)

    async def changed(self, version: int) -> bool:
        """Return whether the stores were changed since ``version`` of the database was read, by other processes too."""
        await self.database.refresh()
        return self.database.version != version

    async def create_store(self, name: str, schema: StoreSchema) -> None:
        """Create the store; see ``Database``."""
        self._check(name)
        await self.database.create_store(name, schema)

    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        """Begin to change the store's indexes; see ``Database``."""
        self._check(name)
        return await self.database.change_indexes(name, add, remove)

    async def migration(self, name: str) -> Migration:
        """Report how the last change of the store's indexes goes or went."""
        self._check(name)
        return await self.database.migration(name)

    async def delete_store(self, name: str) -> None:
        """Delete the store; see ``Database``."""
        self._check(name)
        await self.database.delete_store(name)

    async def begin(self, names: Sequence[str], *, readonly: bool, relaxed: bool) -> ServedTransaction:
        """Begin a transaction on the named stores; see ``Database``."""
        for name in names:
            self._check(name)
        return await self.database.begin(names, readonly=readonly, relaxed=relaxed)

    def _check(self, name: str) -> None:
        if self._allowed and name not in self._allowed:
            raise ObjectStoreNotFound(name)
