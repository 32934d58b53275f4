"""What becomes of a call to a provider that fails: the host's own errors, and no text that tells of the machine."""

from __future__ import annotations

import grpc
import structlog

from gestalt_host.errors import ProviderRefused, ProviderUnavailable, WorkflowNotConfigured, quoted
from gestalt_host.supervisor.errors import ProviderAway
from gestalt_host.supervisor.links import ProviderLink
from gestalt_host.supervisor.places import without_places
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.transport.faults import reason_of

TELLS_OF_THE_MACHINE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""Codes whose texts are not about the request: files, databases and addresses in them are for the log alone."""

log = structlog.get_logger()


class ReferenceCalls:
    """Turns UNIMPLEMENTED of the execution-reference RPCs into the error that names the gap."""

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ProviderRefused) and error.code == "UNIMPLEMENTED":
            raise WorkflowNotConfigured(
                f"workflow execution refs are not configured: workflow provider {quoted(self._provider)} "
                "does not support execution references"
            ) from error


async def wait_ready(kind: str, link: ProviderLink, timeout_s: float) -> None:
    """Wait for a provider that is starting.

    Raises:
        ProviderUnavailable: it is down, or was not ready in time.
    """
    try:
        await link.wait_ready(timeout_s)
    except ProviderAway as error:
        raise provider_away(kind, link.name, error) from error
    except (TimeoutError, GestaltError) as error:
        raise ProviderUnavailable(f"{kind} provider {quoted(link.name)} is not available; try again later") from error


def provider_away(kind: str, name: str, error: ProviderAway) -> ProviderUnavailable:
    """Return the domain error of a call to a provider that is away for now."""
    return ProviderUnavailable(f"{kind} provider {quoted(name)} is not available: {error}; try again later")


def provider_error(kind: str, name: str, error: grpc.aio.AioRpcError) -> ProviderRefused | ProviderUnavailable:
    """Return the domain error of a failed call; UNAVAILABLE means that the provider could not be asked."""
    code: grpc.StatusCode = error.code()
    text = error.details() or ""
    if code in TELLS_OF_THE_MACHINE:
        log.warning(
            "provider failed", event_name="provider.failed", provider=name, kind=kind, code=code.name, error=text
        )
        text = without_places(text)
    if code is grpc.StatusCode.UNAVAILABLE:
        if reason_of(error) is not None:
            # With a reason the text is the provider's own: something that it needs is away. Without one it is gRPC's.
            return ProviderUnavailable(text)
        return ProviderUnavailable(f"{kind} provider {quoted(name)} is not available; try again later")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ProviderRefused(code.name, f"{kind} provider {quoted(name)} did not answer in time")
    return ProviderRefused(code.name, text or f"{kind} provider {quoted(name)} answered {code.name}")
