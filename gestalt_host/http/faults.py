"""Domain errors as HTTP answers: status, text, and the ``code`` of the typed errors (http-api.md 7.4, 8.11).

A provider's error keeps its text when its code tells a caller what to do (decision 10). Any other provider error, and
every error that was not raised on purpose, is a generic 500.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gestalt_host import errors
from gestalt_host.http.origins import BrowserRefused
from gestalt_host.http.shapes.bodies import BodyLate, BodyTooLarge


@dataclass(frozen=True, slots=True)
class HttpFault:
    """One row: status; ``code`` of a typed error; ``text`` where it is fixed instead of the error's own."""

    status: int
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    status: int
    text: str
    code: str = ""
    plugin: str = ""
    detail_hidden: bool = False
    """The error says more than the answer does, so it belongs in the log."""


HTTP_FAULTS: Mapping[type[errors.HostError], HttpFault] = {
    errors.NotAuthenticated: HttpFault(401),
    errors.AuthorizationDenied: HttpFault(403),
    errors.TokenScopeDenied: HttpFault(403),
    BrowserRefused: HttpFault(403),
    errors.PluginNotFound: HttpFault(404),
    errors.OperationNotFound: HttpFault(404),
    errors.WorkflowObjectNotFound: HttpFault(404),
    errors.ProviderUnknown: HttpFault(404),
    errors.InvalidInvocation: HttpFault(400),
    errors.InvalidArgument: HttpFault(400),
    errors.ProviderRequired: HttpFault(400),
    BodyLate: HttpFault(408),
    BodyTooLarge: HttpFault(413),
    errors.CredentialMissing: HttpFault(412, code="not_connected"),
    errors.CredentialFieldUnfit: HttpFault(412, code="reconnect_required"),
    errors.PlatformCredentialMissing: HttpFault(412, code="admin_configuration_required"),
    errors.WorkflowNotConfigured: HttpFault(412),
    errors.CapabilityMissing: HttpFault(412),
    errors.RevisionMismatch: HttpFault(412, code="revision_mismatch"),
    errors.CallTooDeep: HttpFault(400),
    errors.RecursiveCall: HttpFault(400),
    errors.ProviderUnavailable: HttpFault(503),
    errors.PluginUnavailable: HttpFault(502, text="integration unavailable"),
    errors.PluginAway: HttpFault(503),
    errors.SessionCatalogueFailed: HttpFault(502),
    errors.UpstreamFailed: HttpFault(502),
    errors.CredentialRejected: HttpFault(412, code="reconnect_required"),
    errors.ResultUnfit: HttpFault(502),
    # For codes that ``PROVIDER_STATUS`` does not have.
    errors.ProviderRefused: HttpFault(500),
}

PROVIDER_STATUS: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 412,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""gRPC status that a provider answered -> HTTP status."""


def fault_of(error: BaseException) -> HttpFault | None:
    """Return the row of the error's class or of the nearest base class that has one."""
    for cls in type(error).__mro__:
        row = HTTP_FAULTS.get(cls)
        if row is not None:
            return row
    return None


def answer_to(error: errors.HostError, *, failure: str, finished_run: bool = False) -> ErrorAnswer:
    """Return the answer to a domain error.

    Args:
        failure: Generic text of the route, for what must not leak.
        finished_run: FAILED_PRECONDITION means that the run to cancel has ended: a conflict.
    """
    row = fault_of(error)
    if isinstance(error, errors.ProviderRefused):
        status = PROVIDER_STATUS.get(error.code)
        if status is None:
            return ErrorAnswer(500, failure, detail_hidden=True)
        if finished_run and error.code == "FAILED_PRECONDITION":
            status = 409
        return ErrorAnswer(status, str(error) or failure)
    if row is None:
        return ErrorAnswer(500, failure, detail_hidden=True)
    text = row.text or str(error)
    if isinstance(error, errors.NotAuthenticated):
        text = text or "not authenticated"
    plugin = getattr(error, "plugin", "") if row.code else ""
    return ErrorAnswer(row.status, text or failure, row.code, plugin, detail_hidden=bool(row.text))


def answer_to_invocation(error: errors.HostError) -> ErrorAnswer:
    """Return the answer to a failed invocation; what the plugin's process said is not shown to the caller."""
    if isinstance(error, errors.ProviderRefused):
        text = {"UNAVAILABLE": "integration unavailable", "DEADLINE_EXCEEDED": "operation timed out"}
        return ErrorAnswer(502, text.get(error.code, "operation failed"), detail_hidden=True)
    return answer_to(error, failure="internal error")
