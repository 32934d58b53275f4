"""Every error that the store raises on purpose, and the table that turns each into a gRPC status.

The texts that peers recognise by their words (contract.md 5.3 to 5.7) are kept as they stand there.
"""

from __future__ import annotations

from grpc import StatusCode

from gestalt_sdk.errors import GestaltError
from gestalt_sdk.transport.faults import Fault, FaultTable


class StoreError(GestaltError):
    """Base of the store's errors."""


class NotConfigured(StoreError):
    def __init__(self) -> None:
        super().__init__("indexeddb: provider is not configured")


class ConfigInvalid(StoreError):
    """A configuration value cannot be used; the text names the key, the value and what is accepted."""


class ScopeRefused(StoreError):
    """A scope cannot be opened as asked."""


class ScopeConflict(StoreError):
    """The socket path is open for another database or other stores."""


class DatabaseUnusable(StoreError):
    """The database file cannot be opened: in use by another process, not ours, newer than this program, corrupt."""


class ObjectStoreNotFound(StoreError):
    def __init__(self, name: str) -> None:
        super().__init__(f"object store not found: {name}")


class IndexNotFound(StoreError):
    def __init__(self, name: str) -> None:
        super().__init__(f"index not found: {name}")


class RecordNotFound(StoreError):
    """No record under that key, or none that matches."""

    def __init__(self, text: str = "not found") -> None:
        super().__init__(text)


class CursorExhausted(StoreError):
    def __init__(self) -> None:
        super().__init__("cursor is exhausted")


class AlreadyExists(StoreError):
    def __init__(self) -> None:
        super().__init__("already exists")


class UniqueConflict(StoreError):
    def __init__(self) -> None:
        super().__init__("unique index conflict")


class Invalid(StoreError):
    """The request itself is wrong."""


class Undecodable(Invalid):
    """A record, bound or index value that cannot be decoded."""


class SchemaMismatch(StoreError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f'object store "{name}" schema does not match; automatic schema upgrades are disabled, '
            "run an explicit migration before deploying this provider version"
        )


class MigrationRunning(StoreError):
    def __init__(self, name: str) -> None:
        super().__init__(f'the indexes of object store "{name}" are being changed; wait until that has ended')


class TransactionReadonly(StoreError):
    def __init__(self) -> None:
        super().__init__("transaction is readonly")


class TransactionFinished(StoreError):
    def __init__(self) -> None:
        super().__init__("transaction is already finished")


class TransactionAborted(StoreError):
    """The store ended a transaction or cursor, or a wait for a lock: try the whole of it again."""


class AnswerTooLarge(StoreError):
    """A list does not fit into one message."""


class StorageUnavailable(StoreError):
    """The engine cannot read or write now: disk full, read-only, input/output error, closing."""


class StorageCorrupt(StoreError):
    """The engine found the file damaged."""


FAULTS: FaultTable = {
    NotConfigured: Fault("STORE_NOT_CONFIGURED", StatusCode.FAILED_PRECONDITION),
    ConfigInvalid: Fault("STORE_CONFIG_INVALID", StatusCode.INVALID_ARGUMENT),
    ScopeRefused: Fault("SCOPE_REFUSED", StatusCode.INVALID_ARGUMENT),
    ScopeConflict: Fault("SCOPE_CONFLICT", StatusCode.ALREADY_EXISTS),
    DatabaseUnusable: Fault("DATABASE_UNUSABLE", StatusCode.FAILED_PRECONDITION),
    ObjectStoreNotFound: Fault("OBJECT_STORE_NOT_FOUND", StatusCode.NOT_FOUND),
    IndexNotFound: Fault("INDEX_NOT_FOUND", StatusCode.NOT_FOUND),
    RecordNotFound: Fault("RECORD_NOT_FOUND", StatusCode.NOT_FOUND),
    CursorExhausted: Fault("CURSOR_EXHAUSTED", StatusCode.NOT_FOUND),
    AlreadyExists: Fault("RECORD_EXISTS", StatusCode.ALREADY_EXISTS),
    UniqueConflict: Fault("UNIQUE_INDEX_CONFLICT", StatusCode.ALREADY_EXISTS),
    Invalid: Fault("INVALID", StatusCode.INVALID_ARGUMENT),
    SchemaMismatch: Fault("SCHEMA_MISMATCH", StatusCode.FAILED_PRECONDITION),
    MigrationRunning: Fault("MIGRATION_RUNNING", StatusCode.FAILED_PRECONDITION),
    TransactionReadonly: Fault("TRANSACTION_READONLY", StatusCode.FAILED_PRECONDITION),
    TransactionFinished: Fault("TRANSACTION_FINISHED", StatusCode.FAILED_PRECONDITION),
    TransactionAborted: Fault("TRANSACTION_ABORTED", StatusCode.ABORTED),
    AnswerTooLarge: Fault("ANSWER_TOO_LARGE", StatusCode.RESOURCE_EXHAUSTED),
    StorageUnavailable: Fault("STORAGE_UNAVAILABLE", StatusCode.UNAVAILABLE),
    StorageCorrupt: Fault("STORAGE_CORRUPT", StatusCode.DATA_LOSS),
    StoreError: Fault("STORE_ERROR", StatusCode.INTERNAL),
}
