"""Which gRPC status each error of this provider becomes."""

from __future__ import annotations

from grpc import StatusCode

from gestalt_sdk.client_faults import CLIENT_FAULTS
from gestalt_sdk.transport.faults import Fault, FaultTable
from gestalt_workflow.model import errors

FAULTS: FaultTable = {
    **CLIENT_FAULTS,
    errors.InvalidRequest: Fault("INVALID_REQUEST", StatusCode.INVALID_ARGUMENT, 400),
    errors.InvalidConfiguration: Fault("INVALID_CONFIGURATION", StatusCode.INVALID_ARGUMENT, 400),
    errors.NotConfigured: Fault("NOT_CONFIGURED", StatusCode.FAILED_PRECONDITION, 412),
    errors.ObjectNotFound: Fault("NOT_FOUND", StatusCode.NOT_FOUND, 404),
    errors.OwnedByAnother: Fault("OWNED_BY_ANOTHER", StatusCode.ALREADY_EXISTS, 409),
    errors.SignalExists: Fault("SIGNAL_EXISTS", StatusCode.ALREADY_EXISTS, 409),
    errors.StateConflict: Fault("STATE_CONFLICT", StatusCode.FAILED_PRECONDITION, 412),
    errors.TooMuchContention: Fault("TOO_MUCH_CONTENTION", StatusCode.ABORTED, 409),
    errors.StorageFailed: Fault("STORE_FAILED", StatusCode.INTERNAL, 500),
    errors.ContentRefused: Fault("STORE_REFUSED", StatusCode.INTERNAL, 500),
    errors.StorageUnavailable: Fault("STORE_UNAVAILABLE", StatusCode.UNAVAILABLE, 503),
    errors.AnswerTooLarge: Fault("ANSWER_TOO_LARGE", StatusCode.RESOURCE_EXHAUSTED, 500),
    errors.FormatTooNew: Fault("FORMAT_TOO_NEW", StatusCode.FAILED_PRECONDITION, 412),
}
