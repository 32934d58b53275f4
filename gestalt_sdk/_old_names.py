"""Import modules by the names that they had before the SDK got folders; goes with the first release.

An old name gives the very module of the new name, with a ``DeprecationWarning`` that says so.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # it imports what few processes need
    from importlib.abc import Loader

PACKAGE = "gestalt_sdk"
MOVED = {
    "agent_convert": "agent.convert",
    "agent_types": "agent.types",
    "backoff": "common.backoff",
    "catalogue": "plugin.catalogue",
    "channels": "transport.channels",
    "cron": "timing.cron",
    "durations": "timing.durations",
    "environment": "transport.environment",
    "faults": "transport.faults",
    "host": "transport.host_channels",
    "integration": "plugin.service",
    "invoker": "workflow.invoker",
    "lifecycle": "bases.lifecycle",
    "logs": "serving.logs",
    "operations": "plugin.operations",
    "process_identity": "common.process_identity",
    "provider": "bases.provider",
    "request": "plugin.request",
    "serve": "serving.process",
    "streamed": "transport.streamed",
    "target_convert": "workflow.targets",
    "values": "transport.values",
    "workflow_convert": "workflow.convert",
    "workflow_provider": "workflow.provider",
    "workflow_types": "workflow.types",
    "zones": "timing.zones",
}
"""Old name -> new name below the package. ``agent``, ``plugin`` and ``workflow`` are packages of that name now."""


class _Finder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != PACKAGE or name not in MOVED:
            return None
        return ModuleSpec(fullname, cast("Loader", _Loader(f"{PACKAGE}.{MOVED[name]}")))


class _Loader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        # The frames of the import system do not count: the warning points at the line that imports the old name.
        warnings.warn(f"{spec.name} has moved to {self._name}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It has been executed under its own name, and the import system has just given it the old one's spec.
        module.__spec__ = self._spec


def install() -> None:
    """Make the old names importable; idempotent."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
