"""What the parts of one database in a schema of PostgreSQL share: connections, locks, limits and object stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg

from gestalt_sdk.common.beats import Beats
from gestalt_store.engines.idle import IdleWatch
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.engines.locks import LockTable
from gestalt_store.engines.write_trouble import WriteTrouble
from gestalt_store.errors import ObjectStoreNotFound, StoreError
from gestalt_store.postgres.catalogue import PgCatalogue
from gestalt_store.postgres.failures import refused_by_storage, translate
from gestalt_store.postgres.pool import Pool, Row, Statement
from gestalt_store.postgres.reads import Run
from gestalt_store.postgres.schema import Schema
from gestalt_store.postgres.tables import PgStore


class PgCore:
    """Used by transactions, the writer, migrations and the database itself. For the event loop."""

    def __init__(self, pool: Pool, db: str, schema: Schema, limits: StoreLimits, beats: Beats) -> None:
        """``db`` is the name of the database; loops give their beats to ``beats``."""
        self.beats = beats
        self.db = db
        self.pool = pool
        self.schema = schema
        self.limits = limits
        self.locks = LockTable()
        self.catalogue = PgCatalogue(pool, schema, beats)
        self.watch = IdleWatch(limits.idle_check_s, beats)
        self.trouble = WriteTrouble()

    def translate(self, error: psycopg.Error, store: str | None = None) -> StoreError:
        """Return the error to raise for a failed write; see ``failures.translate``. Health is told of trouble."""
        translated = translate(error, self.pool.where, store)
        if refused_by_storage(error):
            self.trouble.failed(str(translated))
        return translated

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
        """Look up again which indexes writes to the stores have to maintain, when a write has found no lock table.

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

        async def run(statements: Sequence[Statement]) -> list[list[Row]]:
            return await self.pool.run(statements, store=store.name)

        return run
