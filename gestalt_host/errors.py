"""Errors that the host raises on purpose. HTTP statuses and gRPC codes are in ``faults.py`` of each edge.

The texts are the contract's (http-api.md 7.4 and 8, contract.md 4); quoting of names follows http-api.md 1.1.
"""

from __future__ import annotations

from gestalt_sdk.common.printable import quoted as quoted
from gestalt_sdk.errors import GestaltError


class HostError(GestaltError):
    """Base of the host's own errors."""


class EntryFailed(HostError):
    """A configured provider cannot be used. The text names files and values: it is for the log and the operator.

    Attributes:
        reason: Why, for everybody who may call the provider: no path, no value and nothing that it wrote itself.
    """

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason or UNTOLD


UNTOLD = "the log of the host says why"
"""Reason of what failed without one that callers may read."""


def reason_of(error: BaseException) -> str:
    """Return why an entry failed, for callers."""
    return error.reason if isinstance(error, EntryFailed) else UNTOLD


def could_not_start(reason: str) -> str:
    """Return that an entry could not be started and why, to be put after its name."""
    return f"it could not be started: {reason}"


class NotAuthenticated(HostError):
    """No subject, or the caller could not be authenticated."""


class AuthorizationDenied(HostError):
    """A policy or ceiling forbids it. ``detail`` names what, where the caller may know."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"authorization denied: {detail}" if detail else "authorization denied")


class OperationAccessDenied(AuthorizationDenied):
    """A policy denies a public request; the text does not say whether plugin or operation (http-api.md 7.4)."""

    def __init__(self) -> None:
        super().__init__()
        self.args = ("operation access denied",)


class TokenScopeDenied(HostError):
    """The permission ceiling lacks the plugin or operation."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"token scope denied: {detail}")


class PluginNotFound(HostError):
    def __init__(self, plugin: str) -> None:
        super().__init__(f"integration {quoted(plugin)} not found")
        self.plugin = plugin


class OperationNotFound(HostError):
    def __init__(self, plugin: str, operation: str) -> None:
        super().__init__(f"operation {quoted(operation)} not found on integration {quoted(plugin)}")
        self.plugin = plugin
        self.operation = operation


class InvalidInvocation(HostError):
    """The request asks for something that can't be. The text starts with ``invalid invocation``."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid invocation: {reason}")


class InvalidArgument(HostError):
    """A field is missing or malformed; the text names it and what is accepted."""


class CredentialMissing(HostError):
    def __init__(self, plugin: str) -> None:
        super().__init__(f"no external credential stored for integration {quoted(plugin)}; connect via OAuth first")
        self.plugin = plugin


class PlatformCredentialMissing(HostError):
    """The deployment has set no credential for the connection. ``reason`` says more, for peers and runs."""

    def __init__(self, plugin: str, reason: str = "") -> None:
        super().__init__(f"deployment/admin configuration is required for integration {quoted(plugin)}")
        self.plugin = plugin
        self.reason = reason or str(self)


class CredentialFieldUnfit(HostError):
    """The stored credential lacks a field that the connection sends, or has one that cannot be sent."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"field {quoted(name)} of the stored credential {reason}; connect again")


class WorkflowObjectNotFound(HostError):
    """A schedule, trigger or run that does not exist or is not the caller's. ``kind`` is the word of the text."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"workflow {kind} {quoted(object_id)} not found")
        self.kind = kind
        self.object_id = object_id


class RevisionMismatch(HostError):
    """A schedule or trigger is not at the revision that the caller named: somebody has changed it."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(
            f"workflow {kind} {quoted(object_id)} has been changed since its ETag in If-Match was read; read it again"
        )


class WorkflowNotConfigured(HostError):
    """The host has no workflow subsystem, or a provider lacks what the request needs."""


class AgentsNotAvailable(WorkflowNotConfigured):
    """An agent target on a host that was built without agents."""

    def __init__(self) -> None:
        super().__init__("agents are not configured")


class ProviderRequired(HostError):
    """No workflow (or agent) provider was named and none is the default."""


class ProviderUnknown(HostError):
    """The request names a provider that is not configured; the text lists the configured names."""


class ProviderUnavailable(HostError):
    """The provider is configured but down; safe to retry."""


class CapabilityMissing(HostError):
    """The provider does not offer the extension that the request needs; the text names both."""


class ProviderRefused(HostError):
    """A provider answered with an error. ``code`` is the gRPC status name; the text is the provider's own."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ChangedMeanwhile(ProviderRefused):
    """A write was not made, because the object is no longer what the write was decided on."""


class PluginUnavailable(HostError):
    """The plugin's process is not running or the call to it broke."""


class PluginAway(PluginUnavailable):
    """The plugin cannot be called now: it could not be started, does not answer, or is started again.

    The text names it and says which, and when that may change.
    """

    def __init__(self, plugin: str, absence: str) -> None:
        super().__init__(f"integration {quoted(plugin)} is not available: {absence}")


class SessionCatalogueFailed(PluginUnavailable):
    """The plugin did not say which operations it offers to the caller, or nothing that can be used."""

    def __init__(self, plugin: str, reason: str) -> None:
        super().__init__(f"session catalogue of integration {quoted(plugin)} cannot be used: {reason}")


class CallTooDeep(HostError):
    """Plugins invoke one another deeper than is allowed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"plugin invocations are nested deeper than {limit}")


class RecursiveCall(HostError):
    """A plugin's operation is invoked while it is in the chain of callers."""

    def __init__(self, plugin: str, operation: str) -> None:
        super().__init__(f"recursive call detected: {plugin}/{operation} already in call chain")


class UpstreamFailed(HostError):
    """The service behind a declarative plugin was not asked, or did not answer so that its answer can be used.

    The text begins with the words of http-api.md 7.4, and names the request by its template and the cause.

    Args:
        request: Method and URL without the values of its placeholders and without a query.
    """

    words = "upstream operation failed"
    outcome = "failed"
    """The metric's label."""

    def __init__(self, request: str, cause: str) -> None:
        super().__init__(f"{self.words}: {request}: {cause}")


class RequestImpossible(UpstreamFailed):
    """Manifest, configuration and connection make no request that could be sent, whatever a caller gives."""

    words, outcome = "operation failed", "refused"


class UpstreamTimeout(UpstreamFailed):
    """No answer began within the time of the operation."""

    words, outcome = "upstream service timed out", "timeout"


class UpstreamUnreachable(UpstreamFailed):
    """No connection came about, or it ended before an answer began; or redirects lead nowhere."""

    words, outcome = "failed to reach upstream service", "unreachable"


class EgressRefused(UpstreamUnreachable):
    """The plugin may not send requests to that host or address."""

    outcome = "egress_refused"


class UpstreamUnreadable(UpstreamFailed):
    """An answer began, and its body did not come whole, is too large, or cannot be unpacked."""

    words, outcome = "failed to read upstream response", "unreadable"


class UpstreamInvalid(UpstreamFailed):
    """An answer came whole, and has not the form that the manifest says."""

    words, outcome = "upstream service returned an invalid response", "invalid"


class CredentialRejected(HostError):
    """The service behind a plugin answered 401 although a credential was sent."""

    def __init__(self, plugin: str) -> None:
        super().__init__(f"stored credential for integration {quoted(plugin)} was rejected by upstream; reconnect it")
        self.plugin = plugin


class ResultUnfit(HostError):
    """The result of an operation cannot be handed on: it is not text, or too large for a run."""
