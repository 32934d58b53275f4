"""A PostgreSQL server as a configuration names it: one pool of connections for all of its databases."""

from __future__ import annotations

from gestalt_sdk.common.beats import Beats
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.postgres.database import PostgresDatabase
from gestalt_store.postgres.pool import Pool


class PgServer:
    """One server; it is closed after its databases."""

    def __init__(self, conninfo: str, limits: StoreLimits, beats: Beats | None = None) -> None:
        """Connect to nothing yet; the loops of the databases give their beats to ``beats``."""
        self._limits = limits
        self._beats = beats or Beats()
        self._pool = Pool(
            conninfo,
            limit=limits.connections,
            wait_s=limits.lock_wait_s,
            lock_wait_s=limits.lock_wait_s,
            idle_limit_s=max(limits.transaction_idle_s, limits.snapshot_idle_s),
        )

    async def open(self, db: str) -> PostgresDatabase:
        """Open the schema of a database, which is created when this is its first use.

        Raises:
            DatabaseUnusable, StorageUnavailable
        """
        return await PostgresDatabase.open(self._pool, db, self._limits, self._beats)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
