"""What the parts of one database in a schema of PostgreSQL share: connections, locks, limits and object stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gestalt_store.engines.idle import IdleWatch
from gestalt_store.engines.limits import Limits
from gestalt_store.engines.locks import LockTable
from gestalt_store.errors import ObjectStoreNotFound
from gestalt_store.postgres.catalogue import Catalogue
from gestalt_store.postgres.pool import Command, Pool, Row
from gestalt_store.postgres.reads import Run
from gestalt_store.postgres.tables import PgStore


class PgCore:
    """Used by transactions, the writer, migrations and the database itself. For the event loop."""

    def __init__(self, pool: Pool, db: str, schema_name: str, limits: Limits) -> None:
        """``db`` is the name of the database, ``schema_name`` that of its schema, quoted already."""
        self.db = db
        self.pool = pool
        self.schema_name = schema_name
        self.limits = limits
        self.locks = LockTable()
        self.catalogue = Catalogue(pool, schema_name)
        self.watch = IdleWatch(limits.idle_check_s)

    def store(self, name: str) -> PgStore:
        """Return the store as this process knows it.

        Raises:
            ObjectStoreNotFound
        """
        found = self.catalogue.stores.get(name)
        if found is None:
            raise ObjectStoreNotFound(name)
        return found

    async def follow(self, stores: Iterable[PgStore]) -> None:
        """Learn what writes to the stores must keep up, after the database has said that it is not what was thought.

        Raises:
            ObjectStoreNotFound: one of them has been deleted.
        """
        await self.catalogue.refresh()
        for store in stores:
            current = self.catalogue.stores.get(store.name)
            if current is None or current.data != store.data:
                raise ObjectStoreNotFound(store.name)

    def runner(self, store: PgStore) -> Run:
        """Return what sends statements on any connection of the pool; errors name the store."""

        async def run(commands: Sequence[Command]) -> list[list[Row]]:
            return await self.pool.run(commands, store=store.name)

        return run
