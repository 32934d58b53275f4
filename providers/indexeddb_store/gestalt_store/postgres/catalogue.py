"""The object stores of a schema: what this process knows of them, and how they are created, deleted and swept up.

Any process may change them, so what is known here may be old. That is never silent: statements on a deleted store fail
(``layout``), and a name that is not known, or whose store is gone, is looked up again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg
import structlog

from gestalt_store.errors import SchemaMismatch
from gestalt_store.postgres.failures import translate
from gestalt_store.postgres.pool import COMMIT, Command, Pool
from gestalt_store.postgres.tables import PgStore, drop_statement
from gestalt_store.schema import StoreSchema

SWEEP_LOCK_MS = 50
SWEEP_EVERY_S = 30.0
_BEGIN = Command("BEGIN", prepare=False)

log = structlog.get_logger()


class Catalogue:
    """The stores of one schema by name."""

    def __init__(self, pool: Pool, schema_name: str) -> None:
        """``schema_name`` is quoted already."""
        self._pool = pool
        self._schema = schema_name
        self._sweeper: asyncio.Task[None] | None = None
        self.stores: dict[str, PgStore] = {}
        self.version = 0

    async def refresh(self) -> None:
        """Look at the database; ``version`` counts the times that something was different."""
        rows = (await self._pool.run([Command(f"SELECT id, name, schema FROM {self._schema}.stores ORDER BY id")]))[0]
        current: dict[str, PgStore] = {}
        for number, raw, schema in rows:
            name = raw.decode()
            known = self.stores.get(name)
            if known is None or known.number != number:
                known = PgStore(self._schema, number, name, StoreSchema.from_bytes(schema))
            current[name] = known
        if current != self.stores:
            self.version += 1
            self.stores = current

    async def create(self, name: str, schema: StoreSchema) -> None:
        """Create the store, or find that it is there with this schema.

        Raises:
            SchemaMismatch: it is there with another one.
        """
        connection = await self._pool.take()
        try:
            await connection.run([_BEGIN, self._alone()])
            # READ COMMITTED: what is seen from here on is what the lock protects.
            found = (await connection.run([self._find(name)]))[0]
            if found:
                number, data = found[0]
                store = PgStore(self._schema, number, name, StoreSchema.from_bytes(data))
                if not store.schema.matches(schema):
                    raise SchemaMismatch(name)
            else:
                insert = f"INSERT INTO {self._schema}.stores (name, schema) VALUES ($1, $2) RETURNING id"
                rows = await connection.run([Command(insert, [name.encode(), schema.to_bytes()], prepare=False)])
                store = PgStore(self._schema, rows[0][0][0], name, schema)
                await connection.run([*(Command(sql, prepare=False) for sql in store.create), COMMIT])
            if self.stores.get(name) is None or self.stores[name].number != store.number:
                self.stores = {**self.stores, name: store}
        except psycopg.Error as error:
            raise translate(error, self._pool.where) from error
        finally:
            self._pool.give_back(connection)

    async def delete(self, name: str) -> None:
        """Delete the store; a missing one is fine. It waits for writers, not for readers, who keep their snapshot."""
        connection = await self._pool.take()
        try:
            await connection.run([_BEGIN, self._alone()])
            found = (await connection.run([self._find(name)]))[0]
            if found:
                number, data = found[0]
                store = PgStore(self._schema, number, name, StoreSchema.from_bytes(data))
                note = f"INSERT INTO {self._schema}.dropped VALUES ($1, $2)"
                # Alone: the library forgets what it has prepared after it, and within a batch it does so too late.
                await connection.run([Command(f"DROP TABLE {store.lock_table}", prepare=False)])
                await connection.run(
                    [
                        Command(f"DELETE FROM {self._schema}.stores WHERE id = $1", [number], prepare=False),
                        Command(note, [number, len(store.indexes)], prepare=False),
                        COMMIT,
                    ]
                )
            self.stores = {known: other for known, other in self.stores.items() if known != name}
        except psycopg.Error as error:
            raise translate(error, self._pool.where) from error
        finally:
            self._pool.give_back(connection)
        if found:
            self.sweep()

    def sweep(self) -> None:
        """Remove the data of deleted stores in the background, as soon as no snapshot looks at it."""
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep(), name="sweep deleted stores")

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper

    async def _sweep(self) -> None:
        while True:
            try:
                if not await self._sweep_once():
                    return
            except Exception as error:
                log.warning("deleted stores stay for now", event_name="store.sweep_failed", reason=str(error))
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _sweep_once(self) -> bool:
        """Drop the tables that nobody uses; whether some are left."""
        rows = (await self._pool.run([Command(f"SELECT id, indexes FROM {self._schema}.dropped", prepare=False)]))[0]
        left = False
        for number, indexes in rows:
            connection = await self._pool.take()
            try:
                await connection.run(
                    [
                        _BEGIN,
                        Command(f"SET LOCAL lock_timeout = {SWEEP_LOCK_MS}", prepare=False),
                    ]
                )
                await connection.run([Command(drop_statement(self._schema, number, indexes), prepare=False)])
                await connection.run(
                    [
                        Command(f"DELETE FROM {self._schema}.dropped WHERE id = $1", [number], prepare=False),
                        COMMIT,
                    ]
                )
            except psycopg.Error:
                left = True
            finally:
                self._pool.give_back(connection)
        return left

    def _alone(self) -> Command:
        return Command(f"LOCK TABLE {self._schema}.stores IN SHARE ROW EXCLUSIVE MODE", prepare=False)

    def _find(self, name: str) -> Command:
        return Command(f"SELECT id, schema FROM {self._schema}.stores WHERE name = $1", [name.encode()], prepare=False)
