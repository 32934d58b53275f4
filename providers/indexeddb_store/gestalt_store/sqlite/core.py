"""What the parts of one database on SQLite share: its file, connections, locks, limits and object stores."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gestalt_sdk.common.beats import Beats
from gestalt_store.engines.idle import IdleWatch
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.engines.locks import LockTable
from gestalt_store.engines.write_trouble import WriteTrouble
from gestalt_store.errors import ObjectStoreNotFound
from gestalt_store.sqlite import reads
from gestalt_store.sqlite.descriptors import Descriptors
from gestalt_store.sqlite.failures import translated
from gestalt_store.sqlite.files_in_use import FilesInUse
from gestalt_store.sqlite.snapshots import Readers
from gestalt_store.sqlite.tables import SqliteStore, SqliteWalk
from gestalt_store.sqlite.writer import SqliteWriter


class SqliteCore:
    """Used by transactions, migrations and the database itself. For the event loop.

    Attributes:
        stores: Every object store by name.
        version: Grows when a migration has replaced a store.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        stores: dict[str, SqliteStore],
        limits: StoreLimits,
        beats: Beats,
        descriptors: Descriptors,
    ) -> None:
        """``connection`` is the one that writes; loops give their beats to ``beats``."""
        self.beats = beats
        self.path = path
        self.limits = limits
        self.stores = stores
        self.version = 0
        self.locks = LockTable()
        self.readers = Readers(path, descriptors)
        self.files = FilesInUse(path)
        self.trouble = WriteTrouble()
        self.writer = SqliteWriter(connection, path, beats, self.files, self.trouble)
        self.watch = IdleWatch(limits.idle_check_s, beats)

    def store(self, name: str) -> SqliteStore:
        """Return the store.

        Raises:
            ObjectStoreNotFound
        """
        found = self.stores.get(name)
        if found is None:
            raise ObjectStoreNotFound(name)
        return found

    def replace(self, store: SqliteStore, successor: SqliteStore) -> None:
        """Put the successor in the store's place for whoever looks it up from now on: a migration has ended."""
        self.stores[store.name] = successor
        self.version += 1

    async def records(self, walk: SqliteWalk) -> list[bytes]:
        """Return the committed records of the walk.

        Raises:
            AnswerTooLarge
        """
        with translated(self.path, walk.store.name):
            found = reads.few(self.readers.main, walk, "values")
            return await self.readers.scan(lambda c: reads.values(c, walk)) if found is None else found

    async def keys(self, walk: SqliteWalk) -> list[bytes]:
        """Return the committed whole primary keys of the walk.

        Raises:
            AnswerTooLarge
        """
        with translated(self.path, walk.store.name):
            found = reads.few(self.readers.main, walk, "primary_keys")
            return await self.readers.scan(lambda c: reads.primary_keys(c, walk)) if found is None else found
