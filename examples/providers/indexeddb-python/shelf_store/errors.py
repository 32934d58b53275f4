"""What callers are told, and as which status of gRPC."""

from __future__ import annotations

import grpc

from gestalt_sdk import GestaltError
from gestalt_sdk.transport import Fault, FaultTable


class NotFound(GestaltError):
    """There is no such object store, index or record."""


class AlreadyExists(GestaltError):
    """The primary key, or a key of a unique index, is taken."""


class Invalid(GestaltError):
    """The request makes no sense, whatever is stored."""


class NotPossible(GestaltError):
    """The request cannot be carried out as things are."""


class TryAgain(GestaltError):
    """Somebody else was in the way; the whole transaction may be tried again."""


class TooLarge(GestaltError):
    """The answer does not fit one message."""


class Unavailable(GestaltError):
    """The file cannot be read or written."""


class Damaged(GestaltError):
    """The file is no database any more."""


Code = grpc.StatusCode
FAULTS: FaultTable = {
    NotFound: Fault("NOT_FOUND", Code.NOT_FOUND),
    AlreadyExists: Fault("ALREADY_EXISTS", Code.ALREADY_EXISTS),
    Invalid: Fault("INVALID", Code.INVALID_ARGUMENT),
    NotPossible: Fault("NOT_POSSIBLE", Code.FAILED_PRECONDITION),
    TryAgain: Fault("TRY_AGAIN", Code.ABORTED),
    TooLarge: Fault("TOO_LARGE", Code.RESOURCE_EXHAUSTED),
    Unavailable: Fault("UNAVAILABLE", Code.UNAVAILABLE),
    Damaged: Fault("DAMAGED", Code.DATA_LOSS),
}
