"""Give the errors of this package's clients and parsers a status, for providers whose callers shall see them.

Merge into a provider's own table: ``FAULTS = {**CLIENT_FAULTS, MyError: Fault(...)}``.
"""

from __future__ import annotations

from grpc import StatusCode

from gestalt_sdk.errors import ServiceRefused, ServiceUnavailable
from gestalt_sdk.indexeddb.errors import (
    AlreadyExists,
    ConditionFailed,
    IndexedDBError,
    NotFound,
    StoreRefused,
    StoreUnavailable,
    TransactionFailed,
)
from gestalt_sdk.timing.cron import CronInvalid
from gestalt_sdk.timing.zones import ZoneInvalid
from gestalt_sdk.transport.environment import EnvironmentUnusable
from gestalt_sdk.transport.faults import Fault, FaultTable
from gestalt_sdk.transport.streamed import CallNumberTaken, StreamUnserved

CLIENT_FAULTS: FaultTable = {
    EnvironmentUnusable: Fault("ENVIRONMENT_UNUSABLE", StatusCode.FAILED_PRECONDITION),
    ServiceUnavailable: Fault("SERVICE_UNAVAILABLE", StatusCode.UNAVAILABLE),
    ServiceRefused: Fault("SERVICE_REFUSED", StatusCode.INTERNAL),
    StreamUnserved: Fault("STREAM_UNSERVED", StatusCode.UNIMPLEMENTED),
    CallNumberTaken: Fault("CALL_NUMBER_TAKEN", StatusCode.INVALID_ARGUMENT),
    NotFound: Fault("RECORD_NOT_FOUND", StatusCode.NOT_FOUND),
    AlreadyExists: Fault("RECORD_EXISTS", StatusCode.ALREADY_EXISTS),
    ConditionFailed: Fault("CONDITION_FAILED", StatusCode.ABORTED),
    TransactionFailed: Fault("TRANSACTION_FAILED", StatusCode.ABORTED),
    StoreUnavailable: Fault("STORE_UNAVAILABLE", StatusCode.UNAVAILABLE),
    StoreRefused: Fault("STORE_REFUSED", StatusCode.INTERNAL),
    IndexedDBError: Fault("STORE_FAILED", StatusCode.INTERNAL),
    CronInvalid: Fault("INVALID_CRON", StatusCode.INVALID_ARGUMENT),
    ZoneInvalid: Fault("INVALID_TIMEZONE", StatusCode.INVALID_ARGUMENT),
}
