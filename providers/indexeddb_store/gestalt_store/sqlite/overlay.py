"""What a read-write transaction has written and not yet committed, and reads that see it over the committed state.

Nothing here waits or locks: the transaction holds the locks of its stores, so what is committed in them stands still.
Between the overlay and the file lie the rows of transactions whose commit is on its way to the disk (``Pending``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gestalt_store.engines.interface import Entry, Walk, Write
from gestalt_store.errors import AlreadyExists, UniqueConflict
from gestalt_store.sqlite import reads, statements
from gestalt_store.sqlite.tables import SqliteStore
from gestalt_store.sqlite.writer import Job
from gestalt_store.values.keys import Encoded

SMALL = 256
"""Rows that are merged on the event loop."""


@dataclass(slots=True)
class StoreOverlay:
    """The writes to one store: the last one for each primary key, None for a deletion."""

    rows: dict[bytes, Write | None] = field(default_factory=dict)
    cleared: bool = False
    """Everything committed is deleted; ``rows`` came after."""
    unique: dict[tuple[int, Encoded], bytes] = field(default_factory=dict)
    """Primary key that holds a unique index key by a write in ``rows``, by index position."""
    fresh: set[bytes] = field(default_factory=set)
    """Primary keys that no committed record has, as far as a write has found out."""


class Overlay:
    """The writes of one transaction, by store."""

    def __init__(self) -> None:
        self._stores: dict[SqliteStore, StoreOverlay] = {}

    @property
    def written(self) -> list[SqliteStore]:
        return list(self._stores)

    @property
    def opaque(self) -> list[SqliteStore]:
        """Stores whose new state cannot be told row by row: they were cleared."""
        return [store for store, overlay in self._stores.items() if overlay.cleared]

    def publish(self, job: Job) -> Callable[[], None]:
        """Show the rows to the next transactions while ``job`` commits them; returns what ends that."""
        shown = [(store.pending, overlay) for store, overlay in self._stores.items() if not overlay.cleared]
        for pending, overlay in shown:
            pending.add(job, overlay.rows, overlay.unique)

        def end() -> None:
            for pending, overlay in shown:
                pending.discard(job, overlay.rows)

        return end

    @property
    def weight(self) -> int:
        """Rows that applying it writes, about."""
        total = 0
        for overlay in self._stores.values():
            total += 1000 if overlay.cleared else 3 * len(overlay.rows)
        return total

    def needs_base(self, write: Write) -> bool:
        """Whether the write can be judged only with the committed state at hand."""
        overlay = self._stores.get(write.store)
        if overlay is not None and overlay.cleared:
            return False
        return write.add or write.store.has_unique

    # Writes. ``connection`` reads the committed state; it may be None where ``needs_base`` says so.

    def write(self, connection: sqlite3.Connection | None, write: Write) -> None:
        """Note a put or add.

        Raises:
            AlreadyExists, UniqueConflict: nothing is noted then.
        """
        store: SqliteStore = write.store
        overlay = self._stores.get(store)
        if overlay is None:
            overlay = self._stores[store] = StoreOverlay()
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
        overlay.rows[write.primary_key] = write

    def delete(self, store: SqliteStore, primary_key: bytes) -> None:
        overlay = self._stores.setdefault(store, StoreOverlay())
        self._forget_unique(store, overlay, primary_key)
        overlay.rows[primary_key] = None

    def clear(self, store: SqliteStore) -> None:
        self._stores[store] = StoreOverlay(cleared=True)

    # Reads.

    def get(self, connection: sqlite3.Connection, store: SqliteStore, primary_key: bytes) -> bytes | None:
        overlay = self._stores.get(store)
        if overlay is not None:
            if primary_key in overlay.rows:
                write = overlay.rows[primary_key]
                return None if write is None else write.record
            if overlay.cleared:
                return None
        pending = store.pending.rows
        if primary_key in pending:
            write = pending[primary_key]
            return None if write is None else write.record
        return reads.get(connection, store, primary_key)

    def untouched(self, store: SqliteStore) -> bool:
        """Whether reads of the store need no merging."""
        return store not in self._stores and not store.pending.rows

    def small(self, store: SqliteStore) -> bool:
        """Whether merging is little work."""
        overlay = self._stores.get(store)
        return (0 if overlay is None else len(overlay.rows)) + len(store.pending.rows) <= SMALL

    def merged(self, walk: Walk) -> Callable[[sqlite3.Connection, int], list[Entry]]:
        """What reads the walk, own and pending writes included; it may run in any thread, up to a limit of entries."""
        store: SqliteStore = walk.store
        overlay = self._stores.get(store) or _NOTHING
        rows = overlay.rows if overlay.cleared else {**store.pending.rows, **overlay.rows}
        own = _matching(rows, walk)

        def read(connection: sqlite3.Connection, limit: int) -> list[Entry]:
            found: list[Entry] = []
            if not overlay.cleared:
                wanted = limit if limit == reads.EVERY else limit + len(rows)
                found = [entry for entry in reads.page(connection, walk, None, wanted) if entry.primary_key not in rows]
            found += own
            if walk.index is None:
                found.sort(key=_primary_order, reverse=walk.reverse)
            else:
                found.sort(key=_index_order, reverse=walk.reverse)
            return found if limit == reads.EVERY else found[:limit]

        return read

    def apply(self, connection: sqlite3.Connection) -> None:
        """Write everything, inside the transaction of a group commit."""
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
        connection: sqlite3.Connection | None, store: SqliteStore, overlay: StoreOverlay, primary_key: bytes
    ) -> bool:
        if primary_key in overlay.rows:
            return overlay.rows[primary_key] is not None
        if overlay.cleared:
            return False
        pending = store.pending.rows
        if primary_key in pending:
            return pending[primary_key] is not None
        assert connection is not None
        return connection.execute(store.find_id, (primary_key,)).fetchone() is not None

    @staticmethod
    def _check_unique(
        connection: sqlite3.Connection | None, store: SqliteStore, overlay: StoreOverlay, write: Write
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
            pending = store.pending
            holder = pending.unique.get((position, key))
            if holder is not None and holder != write.primary_key and holder not in hidden:
                raise UniqueConflict
            assert connection is not None
            for (holder,) in connection.execute(index.holders, tuple(key)).fetchall():
                if holder != write.primary_key and holder not in hidden and holder not in pending.rows:
                    raise UniqueConflict

    @staticmethod
    def _forget_unique(store: SqliteStore, overlay: StoreOverlay, primary_key: bytes) -> None:
        before = overlay.rows.get(primary_key)
        if before is None or not store.has_unique:
            return
        for position, key in enumerate(before.index_keys):
            if key is not None and overlay.unique.get((position, key)) == primary_key:
                del overlay.unique[position, key]


_NOTHING = StoreOverlay()


def _matching(rows: Mapping[bytes, Write | None], walk: Walk) -> list[Entry]:
    span = walk.span
    found = []
    position = None if walk.index is None else walk.store.indexes.index(walk.index)
    for primary_key, write in rows.items():
        if write is None:
            continue
        record = None if walk.keys_only else write.record
        if position is None:
            if span.lower <= primary_key < span.upper:
                found.append(Entry(primary_key, record))
            continue
        key = write.index_keys[position]
        if key is None or not span.lower <= key.order < span.upper:
            continue
        if span.ties is None or span.ties == key.ties:
            found.append(Entry(primary_key, record, key))
    return found


def _primary_order(entry: Entry) -> bytes:
    return entry.primary_key


def _index_order(entry: Entry) -> tuple[bytes, bytes]:
    assert entry.key is not None
    return entry.key.order, entry.primary_key
