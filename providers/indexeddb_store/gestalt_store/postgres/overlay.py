"""The overlay of a transaction that writes: its writes are judged here, one after the other, and sent together.

The transaction holds the locks of its stores, so what is committed in them stands still. What must be known of it is
read in one round trip for many writes (``Wanted``). Each write is then judged against that and the writes before it,
and those that pass go to the server as a few statements (``statements``). A write that fails is never sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gestalt_store.engines.conditions import ALREADY_EXISTS, DONE, OK, nothing_written, refused_by_conditions
from gestalt_store.engines.interface import Condition, ConditionalWrite, WriteResult
from gestalt_store.errors import AlreadyExists, TransactionAborted, UniqueConflict
from gestalt_store.postgres.pool import Row, Statement
from gestalt_store.postgres.reads import get_statement, got
from gestalt_store.postgres.statements import write_statements
from gestalt_store.postgres.tables import PgIndex, PgStore, PgWrite, cut, maintained, write_for
from gestalt_store.values.keys import Encoded

_KEEP_BYTES = 1024 * 1024
"""Records that are remembered after they have been sent; more are read again if they are needed."""

_ROW_BYTES = 256
"""What a write takes besides its record."""

UniqueKey = tuple[int, Encoded]
"""An index by its position, and a key in it."""
Mark = dict["PgStoreOverlay", tuple[dict[bytes, PgWrite | None], dict[UniqueKey, bytes]]]


class PgStoreOverlay:
    """What is known of one store, and the writes to it that have not been sent."""

    __slots__ = ("base", "holders", "rows", "size", "store", "unique")

    def __init__(self, store: PgStore) -> None:
        """``store`` is the one whose indexes are maintained."""
        self.store = store
        self.base: dict[bytes, bytes | None] = {}
        """Records as the database has them in this transaction, None where there is none; only those looked at."""
        self.holders: dict[UniqueKey, list[bytes]] = {}
        """Primary keys that the database has under a unique key; only those looked at."""
        self.rows: dict[bytes, PgWrite | None] = {}
        """The last write for each primary key, None for a deletion."""
        self.unique: dict[UniqueKey, bytes] = {}
        """The primary key that holds a unique key by a write in ``rows``."""
        self.size = 0
        """Bytes of records in ``rows``, about."""

    def current(self, primary_key: bytes) -> bytes | None:
        """Return the record as this transaction sees it; it must have been looked at or written."""
        if primary_key in self.rows:
            write = self.rows[primary_key]
            return None if write is None else write.record
        return self.base[primary_key]

    def known(self, primary_key: bytes) -> bool:
        """Return whether the record has been looked at or written."""
        return primary_key in self.rows or primary_key in self.base

    def put(self, write: PgWrite) -> None:
        """Note a put or add.

        Raises:
            AlreadyExists, UniqueConflict: nothing is noted then.
        """
        write = write_for(self.store, write)
        primary_key = write.primary_key
        if write.add and self.current(primary_key) is not None:
            raise AlreadyExists
        if self.store.has_unique:
            keys = unique_keys(write)
            for key in keys:
                holder = self.unique.get(key)
                if holder is not None and holder != primary_key:
                    raise UniqueConflict
                if any(other != primary_key and other not in self.rows for other in self.holders[key]):
                    raise UniqueConflict
            self._forget_unique(primary_key)
            for key in keys:
                self.unique[key] = primary_key
        self.rows[primary_key] = write
        self.size += len(write.record)

    def delete(self, primary_key: bytes) -> None:
        """Note a deletion."""
        self._forget_unique(primary_key)
        self.rows[primary_key] = None

    def emptied(self) -> None:
        """Forget everything: the database has deleted every record."""
        self.rows.clear()
        self.unique.clear()
        self.base.clear()
        self.holders.clear()
        self.size = 0

    def moved(self, store: PgStore) -> None:
        """Maintain the indexes of another store from now on. Nothing has been looked at or sent yet."""
        self.store = store
        self.rows = {key: None if write is None else write_for(store, write) for key, write in self.rows.items()}
        self.unique = {
            unique: write.primary_key
            for write in self.rows.values()
            if write is not None
            for unique in unique_keys(write)
        }

    def statements(self) -> list[Statement]:
        """Return the statements that bring the writes to the database; with indexes every base must be known."""
        return write_statements(self.store, self.rows, self.base)

    def sent(self) -> None:
        """Take in that what ``statements`` returned has been executed."""
        if self.size > _KEEP_BYTES:
            self.base.clear()  # looked at again if they are needed again
        else:
            for primary_key, write in self.rows.items():
                self.base[primary_key] = None if write is None else write.record
        self.rows.clear()
        self.unique.clear()
        self.holders.clear()
        self.size = 0

    def _forget_unique(self, primary_key: bytes) -> None:
        before = self.rows.get(primary_key)
        if before is None or not self.store.has_unique:
            return
        for key in unique_keys(before):
            if self.unique.get(key) == primary_key:
                del self.unique[key]


class PgOverlay:
    """The writes of one transaction, and what is known of its stores."""

    def __init__(self) -> None:
        self._stores: dict[PgStore, PgStoreOverlay] = {}
        self._maintained: dict[PgStore, PgStore] = {}

    def maintained(self, store: PgStore) -> PgStore:
        """Return the store with the indexes that a write has to maintain, including those being built.

        Cached until ``follow``, for what it returns as well, so that comparing stores by identity works.
        """
        found = self._maintained.get(store)
        if found is None:
            found = maintained(store)
            self._maintained[store] = self._maintained[found] = found
        return found

    def of(self, store: PgStore) -> PgStoreOverlay:
        """Return what is known of the store and written to it."""
        store = self.maintained(store)
        found = self._stores.get(store)
        if found is None:
            found = self._stores[store] = PgStoreOverlay(store)
        return found

    def follow(self) -> None:
        """Look again which indexes writes have to maintain. Only before anything has been read or sent.

        Raises:
            TransactionAborted: what has been written might violate a new unique index.
        """
        before, self._stores = self._stores, {}
        known, self._maintained = self._maintained, {}
        for store in known:  # all at once, so that they lead to the same one even if it changes meanwhile
            self.maintained(store)
        for former, overlay in before.items():
            store = self.maintained(former)
            if store is not former:
                enforced = {index.schema for index in former.indexes if index.enforced}
                if overlay.rows and any(index.enforced and index.schema not in enforced for index in store.indexes):
                    raise TransactionAborted(
                        f"object store {store.name!r} has got a unique index since this began; nothing was done, "
                        "try again"
                    )
                overlay.moved(store)
            self._stores[store] = overlay

    @property
    def unsent(self) -> bool:
        """Return whether there are writes that have not been sent."""
        return any(overlay.rows for overlay in self._stores.values())

    @property
    def size(self) -> int:
        """Return the bytes of records that have not been sent, about."""
        return sum(overlay.size for overlay in self._stores.values())

    @property
    def held(self) -> int:
        """Return the bytes of memory that it takes, about."""
        rows = sum(len(overlay.rows) + len(overlay.base) for overlay in self._stores.values())
        return self.size + _ROW_BYTES * rows

    def statements(self) -> list[Statement]:
        """Return the statements that bring the writes to the database; see ``want_bases``."""
        return [statement for overlay in self._stores.values() if overlay.rows for statement in overlay.statements()]

    def sent(self) -> None:
        """Take in that what ``statements`` returned has been executed."""
        for overlay in self._stores.values():
            overlay.sent()

    def want_bases(self, wanted: Wanted) -> None:
        """Ask for the records that ``statements`` needs and that are not known."""
        for store, overlay in self._stores.items():
            if store.indexes:
                for primary_key in overlay.rows:
                    wanted.record(store, primary_key)

    def mark(self) -> Mark:
        """Return the state to which ``undo`` goes back."""
        return {overlay: (dict(overlay.rows), dict(overlay.unique)) for overlay in self._stores.values()}

    def undo(self, mark: Mark) -> None:
        """Forget the writes since ``mark``."""
        for overlay in self._stores.values():
            overlay.rows, overlay.unique = mark.get(overlay, ({}, {}))

    def apply(self, writes: Sequence[ConditionalWrite[PgStore]], *, return_current: bool) -> list[WriteResult]:
        """Execute conditional writes in order; a required one that fails undoes them all."""
        undoable = len(writes) > 1 and any(item.required for item in writes)
        mark = self.mark() if undoable else {}
        results: list[WriteResult] = []
        for position, item in enumerate(writes):
            result = self._conditional(item, return_current)
            if result.code != OK and item.required:
                if undoable:
                    self.undo(mark)
                return nothing_written(len(writes), position, result)
            results.append(result)
        return results

    def _conditional(self, item: ConditionalWrite[PgStore], return_current: bool) -> WriteResult:
        refused = refused_by_conditions(item, self._record_of, return_current=return_current)
        if refused is not None:
            return refused
        overlay = self.of(item.store)
        try:
            if item.write is not None:
                overlay.put(item.write)
            elif item.delete:
                overlay.delete(item.primary_key)
        except (AlreadyExists, UniqueConflict) as error:
            shown = return_current and isinstance(error, AlreadyExists)
            return WriteResult(ALREADY_EXISTS, str(error), overlay.current(item.primary_key) if shown else None)
        return DONE

    def _record_of(self, condition: Condition[PgStore]) -> bytes | None:
        return self.of(condition.store).current(condition.primary_key)


class Wanted:
    """What must be read before writes can be judged and sent: records, and who holds unique keys."""

    def __init__(self, overlay: PgOverlay) -> None:
        self._overlay = overlay
        self._records: dict[PgStore, dict[bytes, None]] = {}
        self._holders: dict[PgIndex, tuple[PgStore, dict[Encoded, None]]] = {}

    def record(self, store: PgStore, primary_key: bytes) -> None:
        """Ask for a record, unless it is known."""
        overlay = self._overlay.of(store)
        if primary_key not in overlay.base:
            self._records.setdefault(overlay.store, {})[primary_key] = None

    def write(self, write: PgWrite, *, alone: bool) -> None:
        """Ask for what judging a put or add needs.

        Args:
            alone: Also for what sending it needs, so that nothing more has to be read.
        """
        overlay = self._overlay.of(write.store)
        store = overlay.store
        if (write.add and write.primary_key not in overlay.rows) or (alone and store.indexes):
            self.record(store, write.primary_key)
        if store.has_unique:
            for position, key in unique_keys(write_for(store, write)):
                if (position, key) not in overlay.holders:
                    index = store.indexes[position]
                    self._holders.setdefault(index, (store, {}))[1][key] = None

    def conditional_writes(self, writes: Iterable[ConditionalWrite[PgStore]]) -> None:
        """Ask for what ``PgOverlay.apply`` needs, and for what sending its writes needs."""
        for item in writes:
            for condition in item.conditions:
                self.record(condition.store, condition.primary_key)
            if item.write is not None:
                self.write(item.write, alone=True)
            elif item.delete:
                self.delete(item.store, item.primary_key)

    def delete(self, store: PgStore, primary_key: bytes) -> None:
        """Ask for what sending a deletion needs."""
        if self._overlay.maintained(store).indexes:
            self.record(store, primary_key)

    def statements(self) -> list[Statement]:
        """Return the statements that read what was asked for."""
        statements = [get_statement(store, list(keys)) for store, keys in self._records.items()]
        for index, (_, keys) in self._holders.items():
            heads = list(dict.fromkeys(cut(key.order).head for key in keys))
            statements.append(Statement(index.holders, [heads]))
        return statements

    def learn(self, results: Sequence[Sequence[Row]]) -> None:
        """Take in the rows that ``statements`` returned."""
        answers = iter(results)
        for store, keys in self._records.items():
            found = got(next(answers))
            base = self._overlay.of(store).base
            for primary_key in keys:
                base[primary_key] = found.get(primary_key)
        for index, (store, unique) in self._holders.items():
            holders = self._overlay.of(store).holders
            for key in unique:
                holders[index.position, key] = []
            for head, rest, ties, pk, pk_rest in next(answers):
                held = holders.get((index.position, Encoded(head + rest, ties)))
                if held is not None:
                    held.append(pk + pk_rest)


def unique_keys(write: PgWrite) -> list[UniqueKey]:
    """Return the keys of the record that no other record may have."""
    return [
        (index.position, key)
        for index, key in zip(write.store.indexes, write.index_keys, strict=True)
        if index.enforced and key is not None
    ]
