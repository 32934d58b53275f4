"""Permission lists of execution references: what a target needs, and a caller's ceiling in the form it is stored in.

An empty list means unrestricted, in the wire format and in storage (semantics.md 7.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gestalt_host.access.subjects import Ceiling
from gestalt_host.workflows.model import AgentTarget, Permission, PluginTarget, Target

NO_PERMISSIONS_PLUGIN = "__gestalt.workflow.no_provider_permissions__"
"""Plugin of the one entry that means "nothing at all": an empty list would read back as unrestricted."""


def permission_scope(permissions: Sequence[Permission]) -> str:
    """Return the canonical text of a permission list (semantics.md 3)."""
    if not permissions:
        return "nil"
    entries = {item.plugin: item.operations for item in permissions if item.plugin != NO_PERMISSIONS_PLUGIN}
    if not entries:
        return "empty"
    text = "set\x1f"
    for plugin in sorted(entries):
        operations = "".join(f"{name}\x1d" for name in sorted(entries[plugin]))
        # Actions, which references do not carry, would follow the second separator.
        text += f"{plugin}\x1e{operations}\x1e\x1f"
    return text


def permissions_of(ceiling: Ceiling | None, extra: Iterable[Permission] = ()) -> tuple[Permission, ...]:
    """Return a ceiling as the permission list of a reference; ``extra`` widens a ceiling, never "unrestricted"."""
    if ceiling is None:
        return ()
    entries: dict[str, frozenset[str] | None] = dict(ceiling.plugins)
    for item in extra:
        present = entries.get(item.plugin, frozenset())
        if present is not None:
            entries[item.plugin] = present | frozenset(item.operations) if item.operations else None
    permissions = []
    for plugin in sorted(entries):
        operations = entries[plugin]
        if operations is None:
            permissions.append(Permission(plugin))
        elif operations:
            # An empty set allows nothing, but a stored entry without operations allows every one: it is left out.
            permissions.append(Permission(plugin, tuple(sorted(operations))))
    return tuple(permissions) or (Permission(NO_PERMISSIONS_PLUGIN),)


def ceiling_of(permissions: Sequence[Permission]) -> Ceiling | None:
    """Return the ceiling that a stored permission list means: None (unrestricted) for an empty one."""
    if not permissions:
        return None
    plugins: dict[str, frozenset[str] | None] = {}
    for item in permissions:
        if not item.plugin or item.plugin == NO_PERMISSIONS_PLUGIN:
            continue
        operations = frozenset(name for name in map(str.strip, item.operations) if name)
        if not item.operations:
            plugins[item.plugin] = None
        elif item.plugin not in plugins:
            plugins[item.plugin] = operations
        else:
            present = plugins[item.plugin]
            plugins[item.plugin] = None if present is None else present | operations
    return Ceiling(plugins)


def target_permissions(target: Target) -> tuple[Permission, ...]:
    """Return a target's own operations, merged in first-seen order: what its runs must be allowed to call.

    For an agent target: the agent provider itself (every operation: sessions and turns are not operations), each
    plugin tool, and the output delivery.
    """
    entries: list[Permission] = []
    if isinstance(target, PluginTarget):
        entries.append(Permission(target.plugin, (target.operation,)))
    elif isinstance(target, AgentTarget):
        for ref in target.tool_refs:
            if ref.plugin:
                entries.append(Permission(ref.plugin, (ref.operation,) if ref.operation else ()))
        if target.output_delivery is not None:
            delivery = target.output_delivery.target
            entries.append(Permission(delivery.plugin, (delivery.operation,)))
        if entries:
            entries.append(Permission(target.provider))
    return merge_permissions(entries)


def merge_permissions(entries: Iterable[Permission]) -> tuple[Permission, ...]:
    """Return one entry for each plugin in first-seen order, operations without duplicates; "all operations" wins."""
    merged: dict[str, list[str] | None] = {}
    for item in entries:
        present = merged.setdefault(item.plugin, [] if item.operations else None)
        if not item.operations:
            merged[item.plugin] = None
        elif present is not None:
            present.extend(name for name in item.operations if name not in present)
    return tuple(Permission(plugin, tuple(names or ())) for plugin, names in merged.items())
