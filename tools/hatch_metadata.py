"""What the distribution `gestaltd` requires: the list in pyproject.toml, and `gestaltd-sdk` of exactly its own version.

Run by hatchling when it builds or installs the distribution, whose version is known then.
"""

from __future__ import annotations

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class GestaltdRequirements(MetadataHookInterface):
    """Adds the dependencies, which a pyproject.toml cannot derive from a version."""

    def update(self, metadata: dict[str, Any]) -> None:
        metadata["dependencies"] = [f"gestaltd-sdk=={metadata['version']}", *self.config["dependencies"]]
