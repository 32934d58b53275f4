"""Unconfirmed writes: what transactions have committed to a store and the disk has not confirmed yet.

A commit takes as long as the disk does. If the next transaction on the same store waited for that, transactions on one
store would follow each other at the pace of the disk. So a transaction gives up its locks as soon as its commit is in
the writer's queue, and leaves its rows here: to the transactions that hold the store's lock next they are visible
before they are durable. To nobody else: single reads and snapshots read the file, which has them when the commit has
ended, and the client is told of its commit when that is durable.

A transaction that may have read unconfirmed writes must not outlive them: when one of their commits fails, its own
fails too (``SqliteWriteTransaction``). The writer executes commits in order, so that is known in time.

The writes of single calls, and of transactions that cleared a store, are not left here, since what they will have done
cannot be told row by row. They are counted (``unfinished``), and a transaction waits for them before its first read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeAlias

from gestalt_store.engines.interface import StoreT, Write
from gestalt_store.values.keys import Encoded

Rows: TypeAlias = Mapping[bytes, Write[StoreT] | None]
"""The last write of each primary key, None for a deletion."""
UniqueHolders: TypeAlias = Mapping[tuple[int, Encoded], bytes]
"""The primary key that holds a unique index key, by position of the index and index key."""


class Commit(Protocol):
    """A commit in the writer's queue; ``error`` says how it ended, None as long as it may succeed."""

    error: Exception | None


class Unconfirmed(Generic[StoreT]):
    """The unconfirmed writes of one store. For the event loop."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Write[StoreT] | None] = {}
        self.unique: dict[tuple[int, Encoded], bytes] = {}
        self.commits: dict[Commit, None] = {}
        """The commits that ``rows`` come from, in order."""
        self.unfinished = 0
        """Writes in the writer's queue that are not in ``rows``."""
        self._latest: dict[bytes, Commit] = {}
        """The commit that wrote each of ``rows``."""

    def add(self, commit: Commit, rows: Rows[StoreT], unique: UniqueHolders) -> None:
        """Show the writes of a commit that is in the writer's queue."""
        self.commits[commit] = None
        for key in rows:
            before = self.rows.get(key)
            if before is not None:
                self._forget(before)
            self._latest[key] = commit
        self.rows.update(rows)
        self.unique.update(unique)

    def discard(self, commit: Commit, rows: Rows[StoreT]) -> None:
        """Forget the writes of a commit that has ended: the file has them, unless a later commit has written again."""
        del self.commits[commit]
        for key in rows:
            if self._latest.get(key) is commit:
                del self._latest[key]
                write = self.rows.pop(key)
                if write is not None:
                    self._forget(write)

    def _forget(self, write: Write[StoreT]) -> None:
        for position, key in enumerate(write.index_keys):
            if key is not None and self.unique.get((position, key)) == write.primary_key:
                del self.unique[position, key]
