"""The writes of one database transaction: judged here, one after the other, and sent together.

A writer holds the locks of its stores, so what they hold stands still. It is read in one round trip for many writes
(``Wanted``), each write is then judged against it and the writes before it, and what remains goes to the server as a
few statements over arrays, however many records there are. A write that fails is never sent, so it spoils nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gestalt_store.engines.conditions import ALREADY_EXISTS, DONE, OK, nothing_written, refused_by_conditions
from gestalt_store.engines.interface import Condition, Conditional, Outcome, Write
from gestalt_store.errors import AlreadyExists, TransactionAborted, UniqueConflict
from gestalt_store.postgres.pool import Command, Row
from gestalt_store.postgres.reads import get_command, got
from gestalt_store.postgres.tables import PgIndex, PgStore, cut, index_keys_of, kept_up, prepared
from gestalt_store.values.keys import Encoded
from gestalt_store.values.schema import IndexKeys

_KEEP_BYTES = 1024 * 1024

UniqueKey = tuple[int, Encoded]
"""An index by its position, and a key in it."""
Mark = dict["StoreChanges", tuple[dict[bytes, Write | None], dict[UniqueKey, bytes]]]


class StoreChanges:
    """What is known of one store, and what has been written to it and not been sent."""

    __slots__ = ("base", "holders", "rows", "size", "store", "unique")

    def __init__(self, store: PgStore) -> None:
        """``store`` is the one whose indexes are kept up."""
        self.store = store
        self.base: dict[bytes, bytes | None] = {}
        """Records as the database has them in this transaction, None where there is none; only those looked at."""
        self.holders: dict[UniqueKey, list[bytes]] = {}
        """Primary keys that the database has under a unique key; only those looked at."""
        self.rows: dict[bytes, Write | None] = {}
        """The last write for each primary key, None for a deletion."""
        self.unique: dict[UniqueKey, bytes] = {}
        """Primary key that holds a unique key by a write in ``rows``."""
        self.size = 0
        """Bytes of records in ``rows``, about."""

    def current(self, primary_key: bytes) -> bytes | None:
        """The record as this transaction sees it; it must have been looked at or written."""
        if primary_key in self.rows:
            write = self.rows[primary_key]
            return None if write is None else write.record
        return self.base[primary_key]

    def known(self, primary_key: bytes) -> bool:
        return primary_key in self.rows or primary_key in self.base

    def put(self, write: Write) -> None:
        """Note a put or add.

        Raises:
            AlreadyExists, UniqueConflict: nothing is noted then.
        """
        write = prepared(self.store, write)
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
        self._forget_unique(primary_key)
        self.rows[primary_key] = None

    def emptied(self) -> None:
        """The database has deleted every record."""
        self.rows.clear()
        self.unique.clear()
        self.base.clear()
        self.holders.clear()
        self.size = 0

    def moved(self, store: PgStore) -> None:
        """Keep up this one from now on. Nothing has been looked at or sent yet."""
        self.store = store
        self.rows = {key: None if write is None else prepared(store, write) for key, write in self.rows.items()}
        self.unique = {
            unique: write.primary_key
            for write in self.rows.values()
            if write is not None
            for unique in unique_keys(write)
        }

    def commands(self) -> list[Command]:
        """The statements that bring the writes to the database; with indexes every base must be known."""
        store = self.store
        commands = []
        if store.indexes:
            before = {
                key: (None,) * len(store.indexes) if (old := self.base[key]) is None else index_keys_of(store, old)
                for key in self.rows
            }
            for index in store.indexes:
                commands += self._index_commands(index, before)
        written = [(cut(key), write.record) for key, write in self.rows.items() if write is not None]
        if written:
            heads, more, rest = (list(column) for column in zip(*(piece for piece, _ in written), strict=True))
            commands.append(Command(store.upsert, [heads, more, rest, [record for _, record in written]]))
        # A record known to be absent needs no deletion.
        gone = [cut(key) for key, write in self.rows.items() if write is None and self.base.get(key, b"") is not None]
        if gone:
            commands.append(Command(store.remove, [[piece.head for piece in gone], [piece.more for piece in gone]]))
        return commands

    def sent(self) -> None:
        """What ``commands`` returned has been executed."""
        if self.size > _KEEP_BYTES:
            self.base.clear()  # looked at again if they are needed again
        else:
            for primary_key, write in self.rows.items():
                self.base[primary_key] = None if write is None else write.record
        self.rows.clear()
        self.unique.clear()
        self.holders.clear()
        self.size = 0

    def _index_commands(self, index: PgIndex, before: dict[bytes, IndexKeys]) -> list[Command]:
        """Only the rows of the index that change."""
        removed: list[tuple[bytes, ...]] = []
        added: list[tuple[bytes, ...]] = []
        for primary_key, write in self.rows.items():
            old = before[primary_key][index.position]
            new = None if write is None else write.index_keys[index.position]
            if old == new:
                continue
            if old is not None:
                removed.append(index.row(old, primary_key)[:3])
            if new is not None:
                added.append(index.row(new, primary_key))
        commands = []
        if removed:
            commands.append(Command(index.remove, [list(column) for column in zip(*removed, strict=True)]))
        if added:
            commands.append(Command(index.insert, [list(column) for column in zip(*added, strict=True)]))
        return commands

    def _forget_unique(self, primary_key: bytes) -> None:
        before = self.rows.get(primary_key)
        if before is None or not self.store.has_unique:
            return
        for key in unique_keys(before):
            if self.unique.get(key) == primary_key:
                del self.unique[key]


class Changes:
    """The writes of one transaction, by store."""

    def __init__(self) -> None:
        self._stores: dict[PgStore, StoreChanges] = {}
        self._kept: dict[PgStore, PgStore] = {}

    def kept(self, store: PgStore) -> PgStore:
        """What writes to the store keep up; the same at every call, until ``follow``, and of itself too."""
        kept = self._kept.get(store)
        if kept is None:
            kept = kept_up(store)
            self._kept[store] = self._kept[kept] = kept
        return kept

    def of(self, store: PgStore) -> StoreChanges:
        kept = self.kept(store)
        found = self._stores.get(kept)
        if found is None:
            found = self._stores[kept] = StoreChanges(kept)
        return found

    def follow(self) -> None:
        """Keep up what is to be kept up now. Only before anything has been read or sent.

        Raises:
            TransactionAborted: what has been written might violate a unique index that is new.
        """
        before, self._stores = self._stores, {}
        known, self._kept = self._kept, {}
        for store in known:  # at once, so that all of them lead to the same one
            self.kept(store)
        for former, changes in before.items():
            store = self.kept(former)
            if store is not former:
                enforced = {index.schema for index in former.indexes if index.enforced}
                if changes.rows and any(index.enforced and index.schema not in enforced for index in store.indexes):
                    raise TransactionAborted(
                        f"object store {store.name!r} has got a unique index since this began; nothing was done, "
                        "try again"
                    )
                changes.moved(store)
            self._stores[store] = changes

    @property
    def pending(self) -> bool:
        return any(changes.rows for changes in self._stores.values())

    @property
    def size(self) -> int:
        return sum(changes.size for changes in self._stores.values())

    def commands(self) -> list[Command]:
        return [command for changes in self._stores.values() if changes.rows for command in changes.commands()]

    def sent(self) -> None:
        for changes in self._stores.values():
            changes.sent()

    def bases(self, wanted: Wanted) -> None:
        """Ask for what ``commands`` will need beside what is known."""
        for store, changes in self._stores.items():
            if store.indexes:
                for primary_key in changes.rows:
                    wanted.record(store, primary_key)

    def mark(self) -> Mark:
        """The state to which ``undo`` returns."""
        return {changes: (dict(changes.rows), dict(changes.unique)) for changes in self._stores.values()}

    def undo(self, mark: Mark) -> None:
        for changes in self._stores.values():
            changes.rows, changes.unique = mark.get(changes, ({}, {}))

    def apply(self, entries: Sequence[Conditional], *, return_current: bool) -> list[Outcome]:
        """Execute conditional entries in order; a required one that fails undoes them all."""
        careful = len(entries) > 1 and any(entry.required for entry in entries)
        mark = self.mark() if careful else {}
        outcomes: list[Outcome] = []
        for position, entry in enumerate(entries):
            outcome = self._conditional(entry, return_current)
            if outcome.code != OK and entry.required:
                if careful:
                    self.undo(mark)
                return nothing_written(len(entries), position, outcome)
            outcomes.append(outcome)
        return outcomes

    def _conditional(self, entry: Conditional, return_current: bool) -> Outcome:
        refused = refused_by_conditions(entry, self._record_of, return_current=return_current)
        if refused is not None:
            return refused
        changes = self.of(entry.store)
        try:
            if entry.write is not None:
                changes.put(entry.write)
            elif entry.delete:
                changes.delete(entry.primary_key)
        except (AlreadyExists, UniqueConflict) as error:
            shown = return_current and isinstance(error, AlreadyExists)
            return Outcome(ALREADY_EXISTS, str(error), changes.current(entry.primary_key) if shown else None)
        return DONE

    def _record_of(self, condition: Condition) -> bytes | None:
        return self.of(condition.store).current(condition.primary_key)


class Wanted:
    """What must be known before writes can be judged: records, and who holds unique keys."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._records: dict[PgStore, dict[bytes, None]] = {}
        self._holders: dict[PgIndex, tuple[PgStore, dict[Encoded, None]]] = {}

    def record(self, store: PgStore, primary_key: bytes) -> None:
        changes = self._changes.of(store)
        if primary_key not in changes.base:
            self._records.setdefault(changes.store, {})[primary_key] = None

    def write(self, write: Write, *, alone: bool) -> None:
        """What judging a put or add needs.

        Args:
            alone: Also what sending it needs, so that nothing more has to be read.
        """
        changes = self._changes.of(write.store)
        store = changes.store
        if (write.add and write.primary_key not in changes.rows) or (alone and store.indexes):
            self.record(store, write.primary_key)
        if store.has_unique:
            for position, key in unique_keys(prepared(store, write)):
                if (position, key) not in changes.holders:
                    index = store.indexes[position]
                    self._holders.setdefault(index, (store, {}))[1][key] = None

    def entries(self, entries: Iterable[Conditional]) -> None:
        """What ``Changes.apply`` needs, and sending what it writes."""
        for entry in entries:
            for condition in entry.conditions:
                self.record(condition.store, condition.primary_key)
            if entry.write is not None:
                self.write(entry.write, alone=True)
            elif entry.delete:
                self.delete(entry.store, entry.primary_key)

    def delete(self, store: PgStore, primary_key: bytes) -> None:
        if self._changes.kept(store).indexes:
            self.record(store, primary_key)

    def commands(self) -> list[Command]:
        commands = [get_command(store, list(keys)) for store, keys in self._records.items()]
        for index, (_, keys) in self._holders.items():
            heads = list(dict.fromkeys(cut(key.order).head for key in keys))
            commands.append(Command(index.holders, [heads]))
        return commands

    def learn(self, results: Sequence[Sequence[Row]]) -> None:
        """Take in the rows of ``commands``."""
        answers = iter(results)
        for store, keys in self._records.items():
            found = got(next(answers))
            base = self._changes.of(store).base
            for primary_key in keys:
                base[primary_key] = found.get(primary_key)
        for index, (store, unique) in self._holders.items():
            holders = self._changes.of(store).holders
            for key in unique:
                holders[index.position, key] = []
            for head, rest, ties, pk, pk_rest in next(answers):
                held = holders.get((index.position, Encoded(head + rest, ties)))
                if held is not None:
                    held.append(pk + pk_rest)


def unique_keys(write: Write) -> list[UniqueKey]:
    """The keys of the record that no other record may have."""
    return [
        (index.position, key)
        for index, key in zip(write.store.indexes, write.index_keys, strict=True)
        if index.enforced and key is not None
    ]
