"""Errors of the IndexedDB client; imports neither grpc nor generated code."""

from __future__ import annotations

from gestalt_sdk.errors import GestaltError


class IndexedDBError(GestaltError):
    """Base of everything that the store answers with or fails to answer."""


class NotFound(IndexedDBError):
    """There is no such record, object store or index.

    Attributes:
        reason: ErrorInfo reason of the store, None when it sent only the code NOT_FOUND.
    """

    def __init__(self, text: str, reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class AlreadyExists(IndexedDBError):
    """The primary key is taken, or a unique index has an entry of another record with the same key."""


class ConditionFailed(IndexedDBError):
    """A condition of an ``apply`` entry did not hold; raised by ``Outcome.require`` only."""


class TransactionFailed(IndexedDBError):
    """The transaction was aborted; nothing that it wrote is kept.

    Attributes:
        code: Name of the gRPC code, for example ``ABORTED``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class StoreUnavailable(IndexedDBError):
    """No answer before the deadline, or no connection. A write may or may not have happened."""


class StoreRefused(IndexedDBError):
    """The store refused the call.

    Attributes:
        code: Name of the gRPC code, for example ``INVALID_ARGUMENT``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class MigrationsNotOffered(StoreRefused):
    """The store cannot change the indexes of an object store that exists; nothing was changed."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "UNIMPLEMENTED",
            "the store does not offer indexeddb.migrations, so the indexes of an existing object store stay as they "
            f"are: copy its records to a new one ({text})",
        )


class MigrationFailed(IndexedDBError):
    """A change of indexes ended without effect; ``IndexedDB.migration`` tells more, with the records in the way."""
