"""What a provider says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """The answer of GetProviderIdentity after configuring; all empty for an integration, which is never asked."""

    display_name: str = ""
    version: str = ""
    description: str = ""
    warnings: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
