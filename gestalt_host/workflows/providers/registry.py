"""The configured workflow providers: by name, the default one, all of them in order (semantics.md 6.2)."""

from __future__ import annotations

from collections.abc import Iterable

from gestalt_host.errors import ProviderRequired, ProviderUnknown, quoted
from gestalt_host.workflows.providers.client import WorkflowProviderClient


class WorkflowProviders:
    def __init__(self, clients: Iterable[WorkflowProviderClient] = (), default: str = "") -> None:
        self._clients = {client.name: client for client in sorted(clients, key=lambda item: item.name)}
        self._default = default

    def all(self) -> list[WorkflowProviderClient]:
        """Return every provider, by ascending name."""
        return list(self._clients.values())

    def select(self, name: str = "") -> WorkflowProviderClient:
        """Return the named provider, or the default one for a blank name.

        Raises:
            ProviderUnknown, ProviderRequired: the texts list the configured names.
        """
        configured = ", ".join(self._clients) or "none"
        name = name or self._default
        if not name:
            raise ProviderRequired(f"workflow provider is required; configured: {configured}")
        client = self._clients.get(name)
        if client is None:
            raise ProviderUnknown(f"workflow provider {quoted(name)} is not configured; configured: {configured}")
        return client
