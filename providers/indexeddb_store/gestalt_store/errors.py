"""Every error that the store raises on purpose, and the table that turns each into a gRPC status.

Peers recognise some errors by their texts, which are therefore those of the contract (contract.md 5.3 to 5.7).
"""

from __future__ import annotations

from grpc import StatusCode

from gestalt_sdk.errors import GestaltError
from gestalt_sdk.transport.faults import Fault, FaultTable


class StoreError(GestaltError):
    """Base of the store's errors; only its subclasses are raised."""


class NotConfigured(StoreError):
    """A call before the first accepted configuration."""

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
    """No object store of that name, or none that the socket serves."""

    def __init__(self, name: str) -> None:
        super().__init__(f"object store not found: {name}")


class IndexNotFound(StoreError):
    """The object store has no index of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"index not found: {name}")


class RecordNotFound(StoreError):
    """No record under that key, or none that matches."""

    def __init__(self, text: str = "not found") -> None:
        super().__init__(text)


class CursorExhausted(StoreError):
    """The cursor is before its first row or behind its last."""

    def __init__(self) -> None:
        super().__init__("cursor is exhausted")


class AlreadyExists(StoreError):
    """An add whose key is taken."""

    def __init__(self) -> None:
        super().__init__("already exists")


class UniqueConflict(StoreError):
    """Another record has the same key in a unique index."""

    def __init__(self) -> None:
        super().__init__("unique index conflict")


class Invalid(StoreError):
    """The request itself is wrong."""


class Undecodable(Invalid):
    """A record, bound or index value that cannot be decoded."""


class InvalidBound(Undecodable):
    """A bound of a key range that cannot be decoded; it is never taken for no bound."""


class SchemaMismatch(StoreError):
    """The object store exists with another schema."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'object store "{name}" schema does not match; automatic schema upgrades are disabled, '
            "run an explicit migration before deploying this provider version"
        )


class MigrationRunning(StoreError):
    """The indexes of the object store are being changed in another way."""

    def __init__(self, name: str) -> None:
        super().__init__(f'the indexes of object store "{name}" are being changed; wait until that has ended')


class TransactionReadonly(StoreError):
    """A write in a read-only transaction."""

    def __init__(self) -> None:
        super().__init__("transaction is readonly")


class TransactionFinished(StoreError):
    """An operation in a transaction that was committed or aborted."""

    def __init__(self) -> None:
        super().__init__("transaction is already finished")


class TransactionAborted(StoreError):
    """The store ended a transaction, a cursor or a wait for a lock; the client may try the whole of it again."""


class LimitReached(StoreError):
    """A scope holds as much as it may; the text names the limit, its value and its key."""


class AnswerTooLarge(StoreError):
    """A list does not fit into one message."""


class StorageUnavailable(StoreError):
    """The engine cannot read or write now: disk full, read-only, input/output error, closing."""


class StorageCorrupt(StoreError):
    """The engine found the file damaged."""


class StatementFailed(StoreError):
    """PostgreSQL refused a statement for a reason that this program does not know."""


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
    Undecodable: Fault("INVALID", StatusCode.INVALID_ARGUMENT),
    InvalidBound: Fault("INVALID", StatusCode.INVALID_ARGUMENT),
    SchemaMismatch: Fault("SCHEMA_MISMATCH", StatusCode.FAILED_PRECONDITION),
    MigrationRunning: Fault("MIGRATION_RUNNING", StatusCode.FAILED_PRECONDITION),
    TransactionReadonly: Fault("TRANSACTION_READONLY", StatusCode.FAILED_PRECONDITION),
    TransactionFinished: Fault("TRANSACTION_FINISHED", StatusCode.FAILED_PRECONDITION),
    TransactionAborted: Fault("TRANSACTION_ABORTED", StatusCode.ABORTED),
    AnswerTooLarge: Fault("ANSWER_TOO_LARGE", StatusCode.RESOURCE_EXHAUSTED),
    LimitReached: Fault("LIMIT_REACHED", StatusCode.RESOURCE_EXHAUSTED),
    StorageUnavailable: Fault("STORAGE_UNAVAILABLE", StatusCode.UNAVAILABLE),
    StorageCorrupt: Fault("STORAGE_CORRUPT", StatusCode.DATA_LOSS),
    StatementFailed: Fault("STORE_ERROR", StatusCode.INTERNAL),
}
