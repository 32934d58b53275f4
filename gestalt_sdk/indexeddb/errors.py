"""Name what a store answers with; imports neither grpc nor generated code."""

from __future__ import annotations

from gestalt_sdk.errors import GestaltError


class IndexedDBError(GestaltError):
    """Report that a store answered with an error or did not answer; the base of all others."""


class NotFound(IndexedDBError):
    """Report that there is no such record, object store or index.

    Attributes:
        reason: ErrorInfo reason of the store, None when it sent only the code NOT_FOUND.
    """

    def __init__(self, text: str, reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class AlreadyExists(IndexedDBError):
    """Report that the primary key is taken, or that a unique index has another record with the same key."""


class ConditionFailed(IndexedDBError):
    """Report that a condition of a write did not hold; raised by ``WriteResult.require`` only."""


class TransactionFailed(IndexedDBError):
    """Report that the transaction was aborted; nothing that it wrote is kept.

    Attributes:
        code: Name of the gRPC code, for example ``ABORTED``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class StoreUnavailable(IndexedDBError):
    """Report no answer before the deadline, or no connection. A write may or may not have happened."""


class StoreRefused(IndexedDBError):
    """Report that the store refused the call.

    Attributes:
        code: Name of the gRPC code, for example ``INVALID_ARGUMENT``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class MigrationsNotOffered(StoreRefused):
    """Report that the store cannot change the indexes of an existing object store; nothing was changed."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "UNIMPLEMENTED",
            "the store does not offer indexeddb.migrations, so the indexes of an existing object store stay as they "
            f"are: copy its records to a new one ({text})",
        )


class MigrationFailed(IndexedDBError):
    """Report that a change of indexes ended without effect.

    ``IndexedDB.migration`` tells more, with the records that are in the way.
    """
