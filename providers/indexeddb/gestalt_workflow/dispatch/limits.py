"""Tell how many runs of one target may run at once, as the configuration says. Pure.

A limit is named after what it holds for: a plugin (`slack`), an agent provider (`agent:writer`), or one operation of a
plugin (`slack.chat.postMessage`). A run counts within every limit that holds for its target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gestalt_workflow.model.objects import Target
from gestalt_workflow.wire.payloads import operation_of


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: at most ``runs`` at once of what it is named after."""

    name: str
    runs: int


class Limits:
    """The configured limits."""

    def __init__(self, named: Mapping[str, int], default: int | None = None) -> None:
        """Take the limits.

        Args:
            named: Runs at once by name of the limit; 0 lifts the default.
            default: For each plugin and agent provider that is not named; None: no limit.
        """
        self._named = named
        self._default = default
        self._of_plugins: dict[str, tuple[tuple[Limit, ...], bool]] = {}

    def __bool__(self) -> bool:
        return bool(self._default) or any(self._named.values())

    def of(self, target: Target) -> tuple[Limit, ...]:
        """Return the limits that apply to the target, widest first. Its runs wait in the lane of the last one."""
        known = self._of_plugins.get(target.plugin)
        if known is None:
            known = self._of_plugins[target.plugin] = self._of_plugin(target.plugin)
        limits, by_operation = known
        if by_operation:
            name = f"{target.plugin}.{operation_of(target)}"
            if self._named.get(name):
                return (*limits, Limit(name, self._named[name]))
        return limits

    def named(self, name: str) -> tuple[Limit, ...]:
        """Return the limit of that name alone, as the runs in its lane need it; empty when there is none."""
        runs = self._named.get(name, self._default)
        return (Limit(name, runs),) if runs else ()

    def _of_plugin(self, plugin: str) -> tuple[tuple[Limit, ...], bool]:
        """Return the limits of the plugin, and whether operations of it have limits of their own."""
        return self.named(plugin), any(name.startswith(f"{plugin}.") for name in self._named)
