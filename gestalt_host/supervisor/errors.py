"""Errors between the host and a provider's process."""

from __future__ import annotations

from gestalt_host.errors import HostError, ProviderUnavailable


class ProviderStartFailed(HostError):
    """The provider's process did not come up, or refused its configuration; the text says which and why."""


class ProviderDown(ProviderUnavailable):
    """The provider has failed for good or was stopped."""
