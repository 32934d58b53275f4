"""Domain errors of the host as gRPC statuses (contract.md 4.2-4.4), one table for each service that providers dial."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from google.rpc import status_pb2
from grpc import StatusCode

from gestalt_host import errors
from gestalt_host.access.tokens.invocation_tokens import InvocationTokenInvalid
from gestalt_host.errors import quoted
from gestalt_host.workflows.agents.turns import AgentTurnFailed
from gestalt_host.workflows.execution import ReferenceLookupFailed
from gestalt_sdk.common.requests import request_in_progress
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.transport.channels import ServerContext, request_id_of
from gestalt_sdk.transport.faults import Fault, FaultTable, end_call_with, status_of

log = structlog.get_logger()

# ProviderRefused has no row of its own: it keeps the code that the provider answered.
_COMMON: dict[type[GestaltError], Fault] = {
    errors.NotAuthenticated: Fault("NOT_AUTHENTICATED", StatusCode.UNAUTHENTICATED),
    errors.AuthorizationDenied: Fault("AUTHORIZATION_DENIED", StatusCode.PERMISSION_DENIED),
    errors.TokenScopeDenied: Fault("TOKEN_SCOPE_DENIED", StatusCode.PERMISSION_DENIED),
    errors.PluginNotFound: Fault("PLUGIN_NOT_FOUND", StatusCode.NOT_FOUND),
    errors.OperationNotFound: Fault("OPERATION_NOT_FOUND", StatusCode.NOT_FOUND),
    errors.WorkflowObjectNotFound: Fault("OBJECT_NOT_FOUND", StatusCode.NOT_FOUND),
    errors.RevisionMismatch: Fault("REVISION_MISMATCH", StatusCode.ABORTED),
    errors.InvalidArgument: Fault("INVALID_ARGUMENT", StatusCode.INVALID_ARGUMENT),
    errors.InvalidInvocation: Fault("INVALID_INVOCATION", StatusCode.UNKNOWN),
    errors.CredentialMissing: Fault("CREDENTIAL_MISSING", StatusCode.FAILED_PRECONDITION),
    errors.CredentialFieldUnfit: Fault("CREDENTIAL_FIELD_UNFIT", StatusCode.FAILED_PRECONDITION),
    errors.PlatformCredentialMissing: Fault("PLATFORM_CREDENTIAL_MISSING", StatusCode.FAILED_PRECONDITION),
    errors.WorkflowNotConfigured: Fault("WORKFLOW_NOT_CONFIGURED", StatusCode.FAILED_PRECONDITION),
    errors.CapabilityMissing: Fault("CAPABILITY_MISSING", StatusCode.FAILED_PRECONDITION),
    errors.ProviderRequired: Fault("PROVIDER_REQUIRED", StatusCode.INVALID_ARGUMENT),
    errors.ProviderUnknown: Fault("PROVIDER_UNKNOWN", StatusCode.NOT_FOUND),
    errors.ProviderUnavailable: Fault("PROVIDER_UNAVAILABLE", StatusCode.UNAVAILABLE),
    errors.ProviderRefused: Fault("PROVIDER_REFUSED", StatusCode.UNKNOWN),
    errors.SessionCatalogueFailed: Fault("SESSION_CATALOGUE_FAILED", StatusCode.UNAVAILABLE),
    errors.PluginUnavailable: Fault("PLUGIN_UNAVAILABLE", StatusCode.UNAVAILABLE),
    errors.UpstreamFailed: Fault("UPSTREAM_FAILED", StatusCode.UNKNOWN),
    errors.RequestImpossible: Fault("REQUEST_IMPOSSIBLE", StatusCode.FAILED_PRECONDITION),
    errors.EgressRefused: Fault("EGRESS_REFUSED", StatusCode.FAILED_PRECONDITION),
    errors.CredentialRejected: Fault("CREDENTIAL_REJECTED", StatusCode.FAILED_PRECONDITION),
    errors.ResultUnfit: Fault("RESULT_UNFIT", StatusCode.FAILED_PRECONDITION),
    errors.CallTooDeep: Fault("CALL_TOO_DEEP", StatusCode.RESOURCE_EXHAUSTED),
    errors.RecursiveCall: Fault("RECURSIVE_CALL", StatusCode.FAILED_PRECONDITION),
    InvocationTokenInvalid: Fault("INVOCATION_TOKEN_INVALID", StatusCode.FAILED_PRECONDITION),
    ReferenceLookupFailed: Fault("REFERENCE_LOOKUP_FAILED", StatusCode.INTERNAL),
    AgentTurnFailed: Fault("AGENT_TURN_FAILED", StatusCode.UNKNOWN),
}

MANAGER_FAULTS: FaultTable = _COMMON

WORKFLOW_HOST_FAULTS: FaultTable = {
    **_COMMON,
    errors.CredentialMissing: Fault("CREDENTIAL_MISSING", StatusCode.UNAUTHENTICATED),
    errors.CredentialFieldUnfit: Fault("CREDENTIAL_FIELD_UNFIT", StatusCode.UNAUTHENTICATED),
    errors.PlatformCredentialMissing: Fault("PLATFORM_CREDENTIAL_MISSING", StatusCode.UNAUTHENTICATED),
    errors.CredentialRejected: Fault("CREDENTIAL_REJECTED", StatusCode.UNAUTHENTICATED),
}

INVOKER_FAULTS: FaultTable = {
    **_COMMON,
    errors.InvalidInvocation: Fault("INVALID_INVOCATION", StatusCode.INVALID_ARGUMENT),
}


@asynccontextmanager
async def answering(context: ServerContext, table: FaultTable, prefix: str = "") -> AsyncIterator[None]:
    """End the call with the status of any error raised inside.

    Args:
        prefix: Put before the text, except before an invocation token's errors.
    """
    with request_in_progress(request_id_of(context)):
        try:
            yield
        except Exception as error:
            await end_call_with(context, status_for(error, table, prefix))


def status_for(error: Exception, table: FaultTable, prefix: str = "") -> status_pb2.Status:
    """Return the status that tells a peer of the error. One without a row is a bug: logged, and told as internal."""
    if isinstance(error, GestaltError):
        if isinstance(error, errors.ProviderRefused) and error.code in StatusCode.__members__:
            code = StatusCode[error.code]
            table = {**table, errors.ProviderRefused: Fault("PROVIDER_REFUSED", code)}
        status = status_of(error, table)
        if status is not None:
            if isinstance(error, errors.CredentialMissing):
                # How a person connects is told over HTTP alone (contract.md 4.4).
                stored = f"no external credential stored for integration {quoted(error.plugin)}"
                status.message = f"no external credential: {stored}"
            if isinstance(error, errors.PlatformCredentialMissing):
                status.message = f"no external credential: {error.reason}"
            status.message = prefix + status.message
            return status
        log.error("error without a fault row", event_name="rpc.failed", error_type=type(error).__name__, exc_info=error)
    else:
        # A bug: the log gets the traceback, the peer a text without details.
        log.error("unexpected failure", event_name="rpc.failed", exc_info=error)
    return status_pb2.Status(code=StatusCode.INTERNAL.value[0], message=f"{prefix}internal error")
