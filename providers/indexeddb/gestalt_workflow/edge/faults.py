"""Say which gRPC status each error of this provider becomes."""

from __future__ import annotations

from grpc import StatusCode

from gestalt_sdk.client_faults import CLIENT_FAULTS
from gestalt_sdk.transport.faults import Fault, FaultTable
from gestalt_workflow.model import errors

FAULTS: FaultTable = {
    **CLIENT_FAULTS,
    errors.InvalidRequest: Fault("INVALID_REQUEST", StatusCode.INVALID_ARGUMENT),
    errors.InvalidConfiguration: Fault("INVALID_CONFIGURATION", StatusCode.INVALID_ARGUMENT),
    errors.NotConfigured: Fault("NOT_CONFIGURED", StatusCode.FAILED_PRECONDITION),
    errors.ObjectNotFound: Fault("NOT_FOUND", StatusCode.NOT_FOUND),
    errors.OwnedByAnother: Fault("OWNED_BY_ANOTHER", StatusCode.ALREADY_EXISTS),
    errors.SignalExists: Fault("SIGNAL_EXISTS", StatusCode.ALREADY_EXISTS),
    errors.StateConflict: Fault("STATE_CONFLICT", StatusCode.FAILED_PRECONDITION),
    errors.RevisionConflict: Fault("REVISION_CONFLICT", StatusCode.ABORTED),
    errors.TooMuchContention: Fault("TOO_MUCH_CONTENTION", StatusCode.ABORTED),
    errors.StorageFailed: Fault("STORE_FAILED", StatusCode.INTERNAL),
    errors.ContentRefused: Fault("STORE_REFUSED", StatusCode.INTERNAL),
    errors.StorageUnavailable: Fault("STORE_UNAVAILABLE", StatusCode.UNAVAILABLE),
    errors.AnswerTooLarge: Fault("ANSWER_TOO_LARGE", StatusCode.RESOURCE_EXHAUSTED),
    errors.FormatTooNew: Fault("FORMAT_TOO_NEW", StatusCode.FAILED_PRECONDITION),
}
