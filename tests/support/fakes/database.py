"""The one object store in memory: records, sparse indexes kept in order, unique ones enforced, writes undone together.

It does not know how a record is kept. ``store_engine`` keeps the wire's bytes under encoded keys and is served on a
socket, where the contract suite runs on it; ``indexeddb_client`` keeps records as Python has them, for engines in the
test's own process.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

RecordT = TypeVar("RecordT")


class Row(NamedTuple):
    """A record's place in an index.

    Attributes:
        sort: What the rows are ordered by, before ``id``.
        id: Primary key.
        key: The index key itself: two keys may sort alike and still be two, as 1 and 1.0.
    """

    sort: Any
    id: Any
    key: Any


@dataclass(frozen=True, slots=True)
class IndexRule(Generic[RecordT]):
    """Which records an index has: ``place`` gives ``(sort, key)``, None for a record that is not in it."""

    place: Callable[[RecordT], tuple[Any, Any] | None]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Change(Generic[RecordT]):
    """One record before and after a commit; None where it was absent."""

    store: str
    id: Any
    before: RecordT | None
    after: RecordT | None


class Table(Generic[RecordT]):
    """The records of one object store, and its indexes in the order in which they were given."""

    def __init__(self, rules: Sequence[IndexRule[RecordT]]) -> None:
        self.rules = tuple(rules)
        self.records: dict[Any, RecordT] = {}
        self.shared = False
        """Somebody reads it as it is now: it is copied before the next write."""
        self._rows: list[list[Row]] | None = [[] for _ in self.rules]
        self._ids: list[Any] | None = []

    def copy(self) -> Table[RecordT]:
        made = Table(self.rules)
        made.records = dict(self.records)
        made._rows = None if self._rows is None else [list(rows) for rows in self._rows]
        made._ids = None if self._ids is None else list(self._ids)
        return made

    def touched(self) -> None:
        """Forget the order of everything: the records were changed from outside."""
        self._rows = self._ids = None

    @property
    def ids(self) -> list[Any]:
        """Primary keys in order."""
        if self._ids is None:
            self._ids = sorted(self.records)
        return self._ids

    def rows(self, index: int) -> list[Row]:
        """Rows of an index in order."""
        if self._rows is None:
            self._rows = [sorted(self._rows_by(rule)) for rule in self.rules]
        return self._rows[index]

    def conflicts(self, id: Any, record: RecordT) -> bool:
        """Whether another record has the same key in a unique index."""
        for number, rule in enumerate(self.rules):
            if rule.unique and (found := rule.place(record)) is not None:
                sort, key = found
                rows = self.rows(number)
                at = bisect_left(rows, (sort,))
                while at < len(rows) and rows[at].sort == sort:
                    if rows[at].id != id and rows[at].key == key:
                        return True
                    at += 1
        return False

    def set(self, id: Any, after: RecordT | None) -> RecordT | None:
        """Put the record, or delete it (None); returns what was there before."""
        before = self.records.get(id)
        if self._rows is not None:
            for rule, rows in zip(self.rules, self._rows, strict=True):
                if before is not None and (place := rule.place(before)) is not None:
                    del rows[bisect_left(rows, (place[0], id))]
                if after is not None and (place := rule.place(after)) is not None:
                    insort(rows, Row(place[0], id, place[1]))
        if after is None:
            self.records.pop(id, None)
        else:
            self.records[id] = after
        if self._ids is not None and (before is None) != (after is None):
            if after is None:
                del self._ids[bisect_left(self._ids, id)]
            else:
                insort(self._ids, id)
        return before

    def _rows_by(self, rule: IndexRule[RecordT]) -> list[Row]:
        places = ((id, rule.place(record)) for id, record in self.records.items())
        return [Row(place[0], id, place[1]) for id, place in places if place is not None]


class MemoryDatabase(Generic[RecordT]):
    """Object stores by name. ``committed`` is told of every commit that changed something, while it is the latest."""

    def __init__(self, committed: Callable[[list[Change[RecordT]]], None] | None = None) -> None:
        self.tables: dict[str, Table[RecordT]] = {}
        self._committed = committed

    def create(self, name: str, rules: Sequence[IndexRule[RecordT]]) -> None:
        """Create the store; one that is there stays as it is."""
        if name not in self.tables:
            self.tables[name] = Table(rules)

    def snapshot(self) -> dict[str, Table[RecordT]]:
        """Return the tables as they are now, whatever is written later."""
        for table in self.tables.values():
            table.shared = True
        return dict(self.tables)

    def writable(self, name: str) -> Table[RecordT]:
        """Return the table for a write; whoever reads a snapshot keeps the old one."""
        table = self.tables[name]
        if table.shared:
            table = self.tables[name] = table.copy()
        return table

    @property
    def rows(self) -> Mapping[str, Mapping[Any, RecordT]]:
        """Return the records by store and id, only to look at."""
        return {name: table.records for name, table in self.tables.items()}

    def batch(self) -> Batch[RecordT]:
        return Batch(self)

    def commit(self, changes: list[Change[RecordT]]) -> None:
        if changes and self._committed is not None:
            self._committed(changes)


class Batch(Generic[RecordT]):
    """Writes that are undone together, or committed together."""

    def __init__(self, database: MemoryDatabase[RecordT]) -> None:
        self._database = database
        self._changes: list[Change[RecordT]] = []

    def set(self, store: str, id: Any, after: RecordT | None) -> None:
        before = self._database.writable(store).set(id, after)
        if before is not None or after is not None:
            self._changes.append(Change(store, id, before, after))

    def undo(self) -> None:
        for change in reversed(self._changes):
            self._database.writable(change.store).set(change.id, change.before)
        self._changes.clear()

    def commit(self) -> None:
        self._database.commit(self._changes)
