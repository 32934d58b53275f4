"""Keep records in an IndexedDB service.

async with IndexedDB.connect() as db:
    await db.create_object_store("items", ObjectStoreSchema([IndexSchema("by_kind", ["kind"])]))
    await db.store("items").put({"id": "a", "kind": "note", "n": 1})
"""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.indexeddb.client import DEFAULT_TIMEOUT_S as DEFAULT_TIMEOUT_S
    from gestalt_sdk.indexeddb.client import Index as Index
    from gestalt_sdk.indexeddb.client import IndexedDB as IndexedDB
    from gestalt_sdk.indexeddb.client import ObjectStore as ObjectStore
    from gestalt_sdk.indexeddb.cursor import Cursor as Cursor
    from gestalt_sdk.indexeddb.errors import AlreadyExists as AlreadyExists
    from gestalt_sdk.indexeddb.errors import ConditionFailed as ConditionFailed
    from gestalt_sdk.indexeddb.errors import IndexedDBError as IndexedDBError
    from gestalt_sdk.indexeddb.errors import MigrationFailed as MigrationFailed
    from gestalt_sdk.indexeddb.errors import MigrationsNotOffered as MigrationsNotOffered
    from gestalt_sdk.indexeddb.errors import NotFound as NotFound
    from gestalt_sdk.indexeddb.errors import StoreRefused as StoreRefused
    from gestalt_sdk.indexeddb.errors import StoreUnavailable as StoreUnavailable
    from gestalt_sdk.indexeddb.errors import TransactionFailed as TransactionFailed
    from gestalt_sdk.indexeddb.migrations import IndexConflict as IndexConflict
    from gestalt_sdk.indexeddb.migrations import Migration as Migration
    from gestalt_sdk.indexeddb.schema import Column as Column
    from gestalt_sdk.indexeddb.schema import ColumnType as ColumnType
    from gestalt_sdk.indexeddb.schema import Condition as Condition
    from gestalt_sdk.indexeddb.schema import CursorEntry as CursorEntry
    from gestalt_sdk.indexeddb.schema import FieldValue as FieldValue
    from gestalt_sdk.indexeddb.schema import IndexSchema as IndexSchema
    from gestalt_sdk.indexeddb.schema import KeyRange as KeyRange
    from gestalt_sdk.indexeddb.schema import ObjectStoreSchema as ObjectStoreSchema
    from gestalt_sdk.indexeddb.schema import Page as Page
    from gestalt_sdk.indexeddb.schema import Record as Record
    from gestalt_sdk.indexeddb.schema import Write as Write
    from gestalt_sdk.indexeddb.schema import WriteResult as WriteResult
    from gestalt_sdk.indexeddb.transaction import Transaction as Transaction
    from gestalt_sdk.indexeddb.transaction import TransactionIndex as TransactionIndex
    from gestalt_sdk.indexeddb.transaction import TransactionStore as TransactionStore
    from gestalt_sdk.indexeddb.values import Nanos as Nanos
    from gestalt_sdk.indexeddb.values import from_key as from_key
    from gestalt_sdk.indexeddb.values import from_record as from_record
    from gestalt_sdk.indexeddb.values import from_typed as from_typed
    from gestalt_sdk.indexeddb.values import to_key as to_key
    from gestalt_sdk.indexeddb.values import to_range as to_range
    from gestalt_sdk.indexeddb.values import to_record as to_record
    from gestalt_sdk.indexeddb.values import to_typed as to_typed
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "client": "DEFAULT_TIMEOUT_S Index IndexedDB ObjectStore",
            "cursor": "Cursor",
            "errors": (
                "AlreadyExists ConditionFailed IndexedDBError MigrationFailed MigrationsNotOffered NotFound "
                "StoreRefused StoreUnavailable TransactionFailed"
            ),
            "migrations": "IndexConflict Migration",
            "schema": (
                "Column ColumnType Condition CursorEntry FieldValue IndexSchema KeyRange ObjectStoreSchema "
                "Page Record Write WriteResult"
            ),
            "transaction": "Transaction TransactionIndex TransactionStore",
            "values": "Nanos from_key from_record from_typed to_key to_range to_record to_typed",
        },
    )
