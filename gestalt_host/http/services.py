"""The host's parts behind the HTTP API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gestalt_host.access.subjects import Principal
from gestalt_host.http.origins import AllowedHosts
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.supervisor.reports import ProviderReport
from gestalt_host.workflows.manager import WorkflowManager


async def _nothing_to_read() -> None:
    """Return at once: the registry has everything."""


@dataclass(frozen=True, slots=True)
class HttpServices:
    """The parts of the host that routes use.

    Attributes:
        authenticate: Caller of a request, from its headers (names in any letter case). Raises ``NotAuthenticated``
            with the text of http-api.md 2.1.
        readiness: Why the host is not ready yet, None when it is.
        shortcomings: What does not work although the host is ready, one text for each, with its name first.
        providers: What is known of every configured provider, sorted by kind and name; asks none of them.
        base_url: Public base URL of the server.
        hosts: Values of Host that are answered to; None where authentication tells callers apart, and on a listener
            for management alone.
        agents_available: Whether an agent provider can be used.
        metrics: Registry behind ``/metrics``; None where metrics are disabled.
        read_metrics: Asks for what the registry does not have by itself; awaited before it is read.
    """

    manager: WorkflowManager
    invoker: Invoker
    plugins: PluginRegistry
    authenticate: Callable[[Mapping[str, str]], Awaitable[Principal]]
    readiness: Callable[[], str | None]
    shortcomings: Callable[[], Sequence[str]] = tuple
    providers: Callable[[], Sequence[ProviderReport]] = tuple
    base_url: str = ""
    hosts: AllowedHosts | None = None
    agents_available: bool = False
    metrics: CollectorRegistry | None = None
    read_metrics: Callable[[], Awaitable[None]] = _nothing_to_read
