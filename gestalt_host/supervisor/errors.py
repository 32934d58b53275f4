"""Errors between the host and a provider's process."""

from __future__ import annotations

from collections.abc import Sequence

from gestalt_host.errors import EntryFailed, ProviderUnavailable


class ProviderStartFailed(EntryFailed):
    """The provider's process did not come up, or refused its configuration; the text says which and why.

    What it wrote last is for the log alone, and not part of the text.
    """

    def __init__(self, text: str, last_lines: Sequence[str] = (), reason: str = "") -> None:
        super().__init__(text, reason)
        self.last_lines = tuple(last_lines)


class FilesChanged(ProviderStartFailed):
    """Files of the installed provider are not those that were installed, so it is not started."""


class ProviderDown(ProviderUnavailable):
    """The provider has failed for good or was stopped. The text, put after its name, says why."""


class ProviderAway(ProviderDown):
    """The provider is away for now. The text, put after its name, says why and when it is tried again."""
