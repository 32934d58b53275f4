"""What the service asks of a storage engine; ``sqlite`` is the implementation for one file and one process,
``postgres`` the one for any number of processes on one database.

The service speaks in stores, encoded keys and spans; an engine keeps them, runs reads on a snapshot, orders writes and
transactions, and makes them durable. Its errors are those of ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from gestalt_store.values.keys import Encoded
from gestalt_store.values.ranges import Span
from gestalt_store.values.schema import IndexKeys, IndexSchema, StoreSchema


class Index(Protocol):
    """An index of an open store."""

    @property
    def schema(self) -> IndexSchema: ...


class Store(Protocol):
    """An object store as it was when it was looked up; unusable once it has been deleted."""

    @property
    def name(self) -> str: ...
    @property
    def schema(self) -> StoreSchema: ...
    @property
    def indexes(self) -> Sequence[Index]: ...


class Entry(NamedTuple):
    """One row of a walk: a record, or a record met through an index."""

    primary_key: bytes
    """Whole encoded key."""
    record: bytes | None
    """None in a walk over keys only."""
    key: Encoded | None = None
    """The index key; None in a walk over a store."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Which entries, in which order.

    Attributes:
        index: None for the store by primary key.
        reverse: Highest first.
        unique: One entry for each index key, the first met; only with an index.
        keys_only: Leave the records out.
    """

    store: Any
    span: Span
    index: Any = None
    reverse: bool = False
    unique: bool = False
    keys_only: bool = False


class Position(NamedTuple):
    """Where a walk stands: the order bytes of the index key (blank without index) and the whole primary key."""

    key: bytes
    primary_key: bytes


@dataclass(slots=True)
class Write:
    """A put or add of one record.

    Attributes:
        primary_key: Whole encoded key.
        index_keys: The record's key in each index of the store.
        add: The key must be free.
    """

    store: Any
    primary_key: bytes
    record: bytes
    index_keys: IndexKeys
    add: bool = False


@dataclass(slots=True)
class Condition:
    """Holds when the record is ``absent`` (or, with False, there), or when its field has the value.

    Attributes:
        value: Compared as a key is, 1 and 1.0 are not the same; None for null or an absent field.
    """

    store: Any
    primary_key: bytes
    absent: bool | None = None
    field: str = ""
    value: Any = None


@dataclass(slots=True)
class Conditional:
    """One entry of ``apply``: a write, the deletion of ``primary_key``, or with neither a check of the conditions."""

    store: Any
    primary_key: bytes
    write: Write | None = None
    delete: bool = False
    conditions: list[Condition] = field(default_factory=list)
    required: bool = False


class Outcome(NamedTuple):
    """What became of a conditional entry: gRPC code, text, and the record that stood in its way."""

    code: int
    message: str
    current: bytes | None


class IndexConflict(NamedTuple):
    """Records that have one key in an index that shall be unique."""

    index_name: str
    key: Encoded
    primary_keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Migration:
    """How a change of a store's indexes goes or went.

    Attributes:
        state: ``running``, ``done``, ``failed``, or blank when there was none.
        scanned: Records that have been looked at, of ``total`` when it began.
    """

    state: str
    scanned: int
    total: int
    problem: str
    conflicts: tuple[IndexConflict, ...]

    def read(self, number: int) -> Migration:
        """With so many records more."""
        return replace(self, scanned=self.scanned + number)

    def ended(self, state: str, problem: str = "", conflicts: tuple[IndexConflict, ...] = ()) -> Migration:
        return replace(self, state=state, problem=problem, conflicts=conflicts)


class Operations(Protocol):
    """Reads and writes, alone or inside a transaction. Texts and codes of failures: contract.md 5.3, 5.7."""

    async def get(self, store: Any, primary_key: bytes) -> bytes | None: ...
    async def records(self, walk: Walk) -> list[bytes]: ...
    async def keys(self, walk: Walk) -> list[bytes]: ...
    async def first(self, walk: Walk) -> Entry | None: ...
    async def count(self, walk: Walk) -> int: ...
    async def write(self, write: Write) -> None: ...
    async def delete(self, store: Any, primary_key: bytes) -> None: ...
    async def clear(self, store: Any) -> None: ...
    async def delete_walk(self, walk: Walk) -> int: ...


class Transaction(Operations, Protocol):
    """An interactive transaction; ``abort`` is safe at any time, also twice."""

    on_expiry: Callable[[str], None] | None
    """Told why, when the engine ends the transaction by itself."""

    async def commit(self) -> None: ...
    def abort(self) -> None: ...


class Snapshot(Protocol):
    """A fixed state of the database. Ends by ``close`` or, left alone for too long, by itself (TransactionAborted)."""

    on_expiry: Callable[[str], None] | None

    async def page(self, walk: Walk, after: Position | None, limit: int, skip: int = 0) -> list[Entry]: ...
    def close(self) -> None: ...


class Database(Operations, Protocol):
    """One namespace of stores."""

    def store(self, name: str) -> Any:
        """The store; ``ObjectStoreNotFound`` when there is none."""

    @property
    def version(self) -> int:
        """Changes with every change of the stores by another process that was noticed."""

    async def refresh(self) -> None:
        """Look for stores that another process created or deleted."""

    async def create_store(self, name: str, schema: StoreSchema) -> None: ...
    async def delete_store(self, name: str) -> None: ...
    async def begin(self, names: Sequence[str], *, readonly: bool, relaxed: bool) -> Transaction: ...
    async def snapshot(self) -> Snapshot: ...
    async def page(self, walk: Walk, after: Position | None, limit: int, limit_bytes: int) -> tuple[list[Entry], bool]:
        """Up to ``limit`` entries behind ``after``, and whether there are more."""

    async def get_many(self, store: Any, primary_keys: Sequence[bytes]) -> list[bytes]: ...
    async def apply(self, entries: Sequence[Conditional], *, return_current: bool, relaxed: bool) -> list[Outcome]: ...
    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        """Begin to change a store's indexes in the background; see ``IndexedDBSchemas.ChangeIndexes``."""

    async def migration(self, name: str) -> Migration:
        """How the last change of the store's indexes goes or went."""

    async def check_readable(self) -> None:
        """Raise when the database cannot be read."""

    async def close(self) -> None: ...
