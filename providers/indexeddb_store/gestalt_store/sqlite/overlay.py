"""The overlay of a read-write transaction: what it has written and not committed, and reads that see it.

Nothing here waits or locks: the transaction holds the locks of its stores, so what is committed in them stands still.
A read looks at the overlay first, then at unconfirmed writes (``unconfirmed``), then at the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gestalt_store.engines.interface import WalkRow
from gestalt_store.errors import AlreadyExists, UniqueConflict
from gestalt_store.sqlite import reads, statements
from gestalt_store.sqlite.tables import SqliteStore, SqliteWalk, SqliteWrite
from gestalt_store.sqlite.unconfirmed import Commit
from gestalt_store.values.keys import Encoded

SMALL = 256
"""Rows that are merged on the event loop."""


@dataclass(slots=True)
class SqliteStoreOverlay:
    """The writes to one store: the last one for each primary key, None for a deletion."""

    rows: dict[bytes, SqliteWrite | None] = field(default_factory=dict)
    cleared: bool = False
    """Whether everything committed is deleted; ``rows`` came after."""
    unique: dict[tuple[int, Encoded], bytes] = field(default_factory=dict)
    """The primary key that holds a unique index key by a write in ``rows``, by position of the index and index key."""
    fresh: set[bytes] = field(default_factory=set)
    """Primary keys that no committed record has, as far as a write has found out."""


class SqliteOverlay:
    """The writes of one transaction, by store."""

    def __init__(self) -> None:
        self._stores: dict[SqliteStore, SqliteStoreOverlay] = {}
        self.size = 0
        """Bytes of memory that the writes take, about."""

    @property
    def written(self) -> list[SqliteStore]:
        """Return the stores that have been written to."""
        return list(self._stores)

    @property
    def cleared(self) -> list[SqliteStore]:
        """Return the stores that were cleared, whose new state cannot be told row by row."""
        return [store for store, overlay in self._stores.items() if overlay.cleared]

    def publish(self, job: Commit) -> Callable[[], None]:
        """Show the rows as unconfirmed writes while ``job`` commits them; call what is returned when it has ended."""
        shown = [(store.unconfirmed, overlay) for store, overlay in self._stores.items() if not overlay.cleared]
        for unconfirmed, overlay in shown:
            unconfirmed.add(job, overlay.rows, overlay.unique)

        def end() -> None:
            for unconfirmed, overlay in shown:
                unconfirmed.discard(job, overlay.rows)

        return end

    @property
    def weight(self) -> int:
        """Return how many rows ``apply`` writes, about."""
        total = 0
        for overlay in self._stores.values():
            total += 1000 if overlay.cleared else 3 * len(overlay.rows)
        return total

    def needs_committed(self, write: SqliteWrite) -> bool:
        """Return whether the committed state must be read to judge the write."""
        overlay = self._stores.get(write.store)
        if overlay is not None and overlay.cleared:
            return False
        return write.add or write.store.has_unique

    # Writes. ``connection`` reads the committed state; it may be None where ``needs_committed`` says so.

    def write(self, connection: sqlite3.Connection | None, write: SqliteWrite) -> None:
        """Note a put or add.

        Raises:
            AlreadyExists, UniqueConflict: nothing is noted then.
        """
        store = write.store
        overlay = self._stores.get(store)
        if overlay is None:
            overlay = self._stores[store] = SqliteStoreOverlay()
        if write.add:
            if self._exists(connection, store, overlay, write.primary_key):
                raise AlreadyExists
            if write.primary_key not in overlay.rows:
                overlay.fresh.add(write.primary_key)
        if store.has_unique:
            self._check_unique(connection, store, overlay, write)
            self._forget_unique(store, overlay, write.primary_key)
            for position, key in enumerate(write.index_keys):
                if key is not None and store.indexes[position].schema.unique:
                    overlay.unique[position, key] = write.primary_key
        self._note(overlay, write.primary_key, write)

    def delete(self, store: SqliteStore, primary_key: bytes) -> None:
        """Note a deletion."""
        overlay = self._stores.setdefault(store, SqliteStoreOverlay())
        self._forget_unique(store, overlay, primary_key)
        self._note(overlay, primary_key, None)

    def clear(self, store: SqliteStore) -> None:
        """Note that every record is deleted."""
        before = self._stores.get(store)
        if before is not None:
            self.size -= sum(_size(key, write) for key, write in before.rows.items())
        self._stores[store] = SqliteStoreOverlay(cleared=True)

    def _note(self, overlay: SqliteStoreOverlay, primary_key: bytes, write: SqliteWrite | None) -> None:
        if primary_key in overlay.rows:
            self.size -= _size(primary_key, overlay.rows[primary_key])
        self.size += _size(primary_key, write)
        overlay.rows[primary_key] = write

    # Reads.

    def get(self, connection: sqlite3.Connection, store: SqliteStore, primary_key: bytes) -> bytes | None:
        """Return the record as the transaction sees it, None when there is none."""
        overlay = self._stores.get(store)
        if overlay is not None:
            if primary_key in overlay.rows:
                write = overlay.rows[primary_key]
                return None if write is None else write.record
            if overlay.cleared:
                return None
        unconfirmed = store.unconfirmed.rows
        if primary_key in unconfirmed:
            write = unconfirmed[primary_key]
            return None if write is None else write.record
        return reads.get(connection, store, primary_key)

    def untouched(self, store: SqliteStore) -> bool:
        """Return whether the committed rows of the store are all that the transaction sees."""
        return store not in self._stores and not store.unconfirmed.rows

    def small(self, store: SqliteStore) -> bool:
        """Return whether merging the store's rows is little work."""
        overlay = self._stores.get(store)
        return (0 if overlay is None else len(overlay.rows)) + len(store.unconfirmed.rows) <= SMALL

    def merged(self, walk: SqliteWalk) -> Callable[[sqlite3.Connection, int], list[WalkRow]]:
        """Return what reads the walk up to a limit of rows, own and unconfirmed writes included, in any thread."""
        store = walk.store
        overlay = self._stores.get(store) or _NOTHING
        rows = overlay.rows if overlay.cleared else {**store.unconfirmed.rows, **overlay.rows}
        own = _matching(rows, walk)

        def read(connection: sqlite3.Connection, limit: int) -> list[WalkRow]:
            found: list[WalkRow] = []
            if not overlay.cleared:
                wanted = limit if limit == reads.EVERY else limit + len(rows)
                found = [row for row in reads.page(connection, walk, None, wanted) if row.primary_key not in rows]
            found += own
            if walk.index is None:
                found.sort(key=_primary_order, reverse=walk.reverse)
            else:
                found.sort(key=_index_order, reverse=walk.reverse)
            return found if limit == reads.EVERY else found[:limit]

        return read

    def apply(self, connection: sqlite3.Connection) -> None:
        """Execute the writes, inside the transaction of a group commit."""
        for store, overlay in self._stores.items():
            if overlay.cleared:
                statements.clear(connection, store)
            for primary_key, write in overlay.rows.items():
                if write is None:
                    statements.delete(connection, store, primary_key)
                else:
                    statements.write(connection, write, checked=True, fresh=primary_key in overlay.fresh)

    @staticmethod
    def _exists(
        connection: sqlite3.Connection | None, store: SqliteStore, overlay: SqliteStoreOverlay, primary_key: bytes
    ) -> bool:
        if primary_key in overlay.rows:
            return overlay.rows[primary_key] is not None
        if overlay.cleared:
            return False
        unconfirmed = store.unconfirmed.rows
        if primary_key in unconfirmed:
            return unconfirmed[primary_key] is not None
        assert connection is not None
        return connection.execute(store.find_id, (primary_key,)).fetchone() is not None

    @staticmethod
    def _check_unique(
        connection: sqlite3.Connection | None, store: SqliteStore, overlay: SqliteStoreOverlay, write: SqliteWrite
    ) -> None:
        for position, key in enumerate(write.index_keys):
            index = store.indexes[position]
            if key is None or not index.schema.unique:
                continue
            holder = overlay.unique.get((position, key))
            if holder is not None and holder != write.primary_key:
                raise UniqueConflict
            if overlay.cleared:
                continue
            hidden = overlay.rows
            unconfirmed = store.unconfirmed
            holder = unconfirmed.unique.get((position, key))
            if holder is not None and holder != write.primary_key and holder not in hidden:
                raise UniqueConflict
            assert connection is not None
            for (holder,) in connection.execute(index.holders, tuple(key)).fetchall():
                if holder != write.primary_key and holder not in hidden and holder not in unconfirmed.rows:
                    raise UniqueConflict

    @staticmethod
    def _forget_unique(store: SqliteStore, overlay: SqliteStoreOverlay, primary_key: bytes) -> None:
        before = overlay.rows.get(primary_key)
        if before is None or not store.has_unique:
            return
        for position, key in enumerate(before.index_keys):
            if key is not None and overlay.unique.get((position, key)) == primary_key:
                del overlay.unique[position, key]


_NOTHING = SqliteStoreOverlay()
_ROW_BYTES = 256
"""What a write takes besides its key and its record."""


def _size(primary_key: bytes, write: SqliteWrite | None) -> int:
    return _ROW_BYTES + len(primary_key) + (0 if write is None else len(write.record))


def _matching(rows: Mapping[bytes, SqliteWrite | None], walk: SqliteWalk) -> list[WalkRow]:
    """Return the rows of the walk among the written ones, in no order."""
    span = walk.span
    found = []
    position = None if walk.index is None else walk.store.indexes.index(walk.index)
    for primary_key, write in rows.items():
        if write is None:
            continue
        record = None if walk.keys_only else write.record
        if position is None:
            if span.lower <= primary_key < span.upper:
                found.append(WalkRow(primary_key, record))
            continue
        key = write.index_keys[position]
        if key is None or not span.lower <= key.order < span.upper:
            continue
        if span.ties is None or span.ties == key.ties:
            found.append(WalkRow(primary_key, record, key))
    return found


def _primary_order(row: WalkRow) -> bytes:
    return row.primary_key


def _index_order(row: WalkRow) -> tuple[bytes, bytes]:
    assert row.key is not None
    return row.key.order, row.primary_key
