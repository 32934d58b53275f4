"""Client of the IndexedDB service: what a provider keeps its records in.

async with IndexedDB.connect() as db:
    await db.create_object_store("items", ObjectStoreSchema([IndexSchema("by_kind", ["kind"])]))
    await db.store("items").put({"id": "a", "kind": "note", "n": 1})
"""

from gestalt_sdk.indexeddb.client import DEFAULT_TIMEOUT_S, Index, IndexedDB, ObjectStore
from gestalt_sdk.indexeddb.cursor import Cursor
from gestalt_sdk.indexeddb.errors import (
    AlreadyExists,
    ConditionFailed,
    IndexedDBError,
    MigrationFailed,
    MigrationsNotOffered,
    NotFound,
    StoreRefused,
    StoreUnavailable,
    TransactionFailed,
)
from gestalt_sdk.indexeddb.migrations import IndexConflict, Migration
from gestalt_sdk.indexeddb.schema import (
    Column,
    ColumnType,
    Condition,
    CursorEntry,
    Entry,
    FieldValue,
    IndexSchema,
    KeyRange,
    ObjectStoreSchema,
    Outcome,
    Page,
    Record,
)
from gestalt_sdk.indexeddb.transaction import Transaction, TransactionIndex, TransactionStore
from gestalt_sdk.indexeddb.values import (
    Nanos,
    from_key,
    from_record,
    from_typed,
    to_key,
    to_range,
    to_record,
    to_typed,
)

__all__ = [
    "DEFAULT_TIMEOUT_S",
    "AlreadyExists",
    "Column",
    "ColumnType",
    "Condition",
    "ConditionFailed",
    "Cursor",
    "CursorEntry",
    "Entry",
    "FieldValue",
    "Index",
    "IndexConflict",
    "IndexSchema",
    "IndexedDB",
    "IndexedDBError",
    "KeyRange",
    "Migration",
    "MigrationFailed",
    "MigrationsNotOffered",
    "Nanos",
    "NotFound",
    "ObjectStore",
    "ObjectStoreSchema",
    "Outcome",
    "Page",
    "Record",
    "StoreRefused",
    "StoreUnavailable",
    "Transaction",
    "TransactionFailed",
    "TransactionIndex",
    "TransactionStore",
    "from_key",
    "from_record",
    "from_typed",
    "to_key",
    "to_range",
    "to_record",
    "to_typed",
]
