"""What the service asks of an engine, the storage back end that keeps one database's object stores.

``sqlite`` is the engine for one file and one process, ``postgres`` the one for any number of processes on one database.
The service speaks in stores, encoded keys and spans; an engine keeps them, runs reads on a snapshot, orders writes and
transactions, and makes them durable. Its errors are those of ``errors``.

Everything here is generic over the engine's own classes of stores and indexes. The service looks a store up, asks it
for its schema and its indexes, and hands both back to the database that they came from: to it they are ``Store`` and
``Index``, and the engine finds its own objects again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from gestalt_store.engines.limits import RECORD_OVERHEAD
from gestalt_store.values.keys import Encoded, PlainValue
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
    def index(self, name: str) -> Index:
        """Return the named index.

        Raises:
            IndexNotFound
        """


StoreT = TypeVar("StoreT", bound=Store)
IndexT = TypeVar("IndexT", bound=Index)


class WalkRow(NamedTuple):
    """One row of a walk: a record, or a record met through an index."""

    primary_key: bytes
    """Whole encoded key."""
    record: bytes | None
    """None in a walk over keys only."""
    key: Encoded | None = None
    """The index key; None in a walk over a store."""

    @property
    def size(self) -> int:
        """Return the bytes that the record, or without one the key, takes in a message."""
        return len(self.primary_key if self.record is None else self.record) + RECORD_OVERHEAD

    @property
    def position(self) -> Position:
        """Return the position behind which a walk goes on after this row."""
        return Position(b"" if self.key is None else self.key.order, self.primary_key)


@dataclass(frozen=True, slots=True)
class Walk(Generic[StoreT, IndexT]):
    """Which rows are read, in which order.

    Attributes:
        index: None for the store by primary key.
        reverse: Highest first.
        unique: One row for each index key, the first met; only with an index.
        keys_only: Leave the records out.
    """

    store: StoreT
    span: Span
    index: IndexT | None = None
    reverse: bool = False
    unique: bool = False
    keys_only: bool = False


class Position(NamedTuple):
    """Where a walk stands: the order bytes of the index key (blank without index) and the whole primary key."""

    key: bytes
    primary_key: bytes


@dataclass(slots=True)
class Write(Generic[StoreT]):
    """A put or add of one record.

    Attributes:
        primary_key: Whole encoded key.
        index_keys: The record's key in each index of the store.
        add: The key must be free.
    """

    store: StoreT
    primary_key: bytes
    record: bytes
    index_keys: IndexKeys
    add: bool = False


@dataclass(slots=True)
class Condition(Generic[StoreT]):
    """A test of one record: that it is ``absent`` (or, with False, there), or that a field of it has a value.

    Attributes:
        absent: None when the field is tested.
        value: Compared as a key is, 1 and 1.0 are not the same; None for null or an absent field.
    """

    store: StoreT
    primary_key: bytes
    absent: bool | None = None
    field: str = ""
    value: PlainValue = None


@dataclass(slots=True)
class ConditionalWrite(Generic[StoreT]):
    """One write of ``apply``: a put or add, the deletion of ``primary_key``, or neither, only to check conditions.

    Attributes:
        conditions: All must hold for the write to be executed.
        required: When it fails, none of the call's writes is executed.
    """

    store: StoreT
    primary_key: bytes
    write: Write[StoreT] | None = None
    delete: bool = False
    conditions: list[Condition[StoreT]] = field(default_factory=list)
    required: bool = False


class WriteResult(NamedTuple):
    """What became of a conditional write: gRPC code, text, and the record that stood in its way."""

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
        problem: Why it failed.
        conflicts: The duplicate keys for which it failed, some of them.
    """

    state: str
    scanned: int
    total: int
    problem: str
    conflicts: tuple[IndexConflict, ...]

    def read(self, number: int) -> Migration:
        """Return the report after ``number`` more records were looked at."""
        return replace(self, scanned=self.scanned + number)

    def ended(self, state: str, problem: str = "", conflicts: tuple[IndexConflict, ...] = ()) -> Migration:
        """Return the report of the ended migration."""
        return replace(self, state=state, problem=problem, conflicts=conflicts)


class Operations(Protocol[StoreT, IndexT]):
    """Reads and writes, alone or inside a transaction."""

    async def get(self, store: StoreT, primary_key: bytes) -> bytes | None:
        """Return the record, None when there is none."""

    async def records(self, walk: Walk[StoreT, IndexT]) -> list[bytes]:
        """Return the records of the walk.

        Raises:
            AnswerTooLarge: together they do not fit into one message.
        """
        ...

    async def keys(self, walk: Walk[StoreT, IndexT]) -> list[bytes]:
        """Return the whole primary keys of the walk, in its order.

        Raises:
            AnswerTooLarge: together they do not fit into one message.
        """
        ...

    async def first(self, walk: Walk[StoreT, IndexT]) -> WalkRow | None:
        """Return the first row of the walk, None when it has none."""

    async def count(self, walk: Walk[StoreT, IndexT]) -> int:
        """Count the rows of the walk."""
        ...

    async def write(self, write: Write[StoreT]) -> None:
        """Put or add a record.

        Raises:
            AlreadyExists, UniqueConflict: nothing is written then.
        """

    async def delete(self, store: StoreT, primary_key: bytes) -> None:
        """Delete a record; a missing one is fine."""

    async def clear(self, store: StoreT) -> None:
        """Delete every record of the store."""

    async def delete_walk(self, walk: Walk[StoreT, IndexT]) -> int:
        """Delete every record of the walk; return how many."""
        ...


class Transaction(Operations[StoreT, IndexT], Protocol[StoreT, IndexT]):
    """An interactive transaction; a read-only one refuses writes with ``TransactionReadonly``."""

    on_expiry: Callable[[str], None] | None
    """Called with the reason when the engine ends the transaction by itself."""

    @property
    def held_bytes(self) -> int:
        """Return how much memory it takes, with its writes, about."""
        ...

    async def commit(self) -> None:
        """Make the writes durable.

        Raises:
            TransactionAborted: it was ended before, or conflicts; nothing is written then.
            StorageUnavailable: the engine failed.
        """

    def abort(self) -> None:
        """Give up the writes and release every lock; safe at any time, also twice."""


class Snapshot(Protocol[StoreT, IndexT]):
    """A fixed state of the database. Ends by ``close`` or, left idle for too long, by itself (TransactionAborted)."""

    on_expiry: Callable[[str], None] | None
    """Called with the reason when the engine ends the snapshot by itself."""

    async def page(
        self,
        walk: Walk[StoreT, IndexT],
        after: Position | None,
        limit: int,
        skip: int = 0,
        *,
        limit_bytes: int | None = None,
    ) -> list[WalkRow]:
        """Return up to ``limit`` rows behind ``after``, leaving out the first ``skip`` of them.

        The row with which the records reach ``limit_bytes``, by ``WalkRow.size``, is the last one.
        """
        ...

    @property
    def held_bytes(self) -> int:
        """Return how much memory it takes, about."""
        ...

    def close(self) -> None:
        """Release the snapshot; safe to call twice."""


class Database(Operations[StoreT, IndexT], Protocol[StoreT, IndexT]):
    """One namespace of stores."""

    def store(self, name: str) -> StoreT:
        """Return the store.

        Raises:
            ObjectStoreNotFound
        """
        ...

    @property
    def version(self) -> int:
        """Return a number that changes whenever this process has noticed a change of the stores."""
        ...

    async def refresh(self) -> None:
        """Look for stores that another process created, changed or deleted."""

    async def create_store(self, name: str, schema: StoreSchema) -> None:
        """Create the store, or find that it is there with this schema.

        Raises:
            SchemaMismatch: it is there with another one.
        """

    async def delete_store(self, name: str) -> None:
        """Delete the store with its records; a missing one is fine."""

    async def begin(self, names: Sequence[str], *, readonly: bool, relaxed: bool) -> Transaction[StoreT, IndexT]:
        """Begin a transaction on the named stores; ``relaxed``: its commit need not wait for the disk.

        Raises:
            ObjectStoreNotFound: one of them is missing.
        """
        ...

    async def snapshot(self) -> Snapshot[StoreT, IndexT]:
        """Open a snapshot of what is committed."""
        ...

    async def page(
        self, walk: Walk[StoreT, IndexT], after: Position | None, limit: int, limit_bytes: int
    ) -> tuple[list[WalkRow], bool]:
        """Return up to ``limit`` rows behind ``after``, some ``limit_bytes`` of records, and whether there are more."""
        ...

    async def get_many(self, store: StoreT, primary_keys: Sequence[bytes]) -> list[bytes]:
        """Return the records that are there, in the order of the keys, all from one snapshot.

        Raises:
            AnswerTooLarge: together they do not fit into one message.
        """
        ...

    async def apply(
        self, writes: Sequence[ConditionalWrite[StoreT]], *, return_current: bool, relaxed: bool
    ) -> list[WriteResult]:
        """Execute conditional writes in one commit; return one result for each (``IndexedDBBatch.Apply``)."""
        ...

    async def change_indexes(self, name: str, add: Sequence[IndexSchema], remove: Sequence[str]) -> Migration:
        """Begin to change a store's indexes in the background (``IndexedDBSchemas.ChangeIndexes``).

        Raises:
            ObjectStoreNotFound, Invalid, MigrationRunning
        """
        ...

    async def migration(self, name: str) -> Migration:
        """Report how the last change of the store's indexes goes or went."""
        ...

    async def check(self) -> None:
        """Raise a ``StoreError`` when the database cannot be read, or when writes fail because of its storage."""

    @property
    def lost(self) -> str:
        """Say why nothing in the database can be relied on any more, as far as is known; blank when it can."""
        ...

    async def close(self) -> None:
        """End open transactions, finish queued writes, release the database."""


ServedDatabase: TypeAlias = Database[Store, Index]
"""A database as the service has it, whichever engine keeps it."""
ServedOperations: TypeAlias = Operations[Store, Index]
"""Operations on such a database, or inside a transaction of it."""
ServedTransaction: TypeAlias = Transaction[Store, Index]
ServedSnapshot: TypeAlias = Snapshot[Store, Index]
ServedWalk: TypeAlias = Walk[Store, Index]
