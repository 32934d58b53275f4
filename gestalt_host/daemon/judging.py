"""`gestaltd validate --runtime`: providers judge their own configurations (capability ``provider.check``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gestalt_host.config.errors import Problem
from gestalt_host.config.model import HostConfig
from gestalt_host.daemon.concurrency import all_of
from gestalt_host.daemon.launchables import Launchables
from gestalt_host.packages import NOTHING_WRITTEN, Launchable
from gestalt_sdk.bases.provider import ConfigFault, ProviderKind
from gestalt_sdk.transport.environment import (
    INDEXEDDB_SOCKET,
    PLUGIN_INVOKER_SOCKET,
    WORKFLOW_HOST_SOCKET,
    WORKFLOW_MANAGER_SOCKET,
)


@dataclass(slots=True)
class Judgement:
    """Hold what providers say of their configurations; ``unchecked`` are those that say nothing, by kind and name."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


async def judge_providers(
    config: HostConfig, launchables: Launchables, environ: Mapping[str, str], scratch: Path
) -> Judgement:
    """Launch each provider, have it judge its configuration, and end it; none is configured.

    Args:
        scratch: A directory for the paths of host services that nobody serves.
    """
    from gestalt_host.supervisor import ProviderSpec, ProviderStartFailed, check_provider

    judgement = Judgement()

    async def one(launchable: Launchable, kind: ProviderKind) -> None:
        entry = launchable.entry
        sockets = dict.fromkeys(_services(config, launchable, kind), str(scratch / "unserved.sock"))
        env = {**NOTHING_WRITTEN, **entry.env}
        assert launchable.command is not None
        spec = ProviderSpec(
            entry.name, kind, launchable.command, entry.config, env, (), sockets, config.server.provider_output
        )
        try:
            faults = await check_provider(spec, environ)
        except ProviderStartFailed as error:
            judgement.problems.append(Problem(entry.place, entry.path, str(error)))
            return
        (judgement.unchecked if faults is None else judgement.checked).append(entry.path)
        for fault in faults or ():
            into = judgement.warnings if fault.is_warning else judgement.problems
            into.append(_problem(launchable, fault))

    await all_of(
        [
            *(one(item, ProviderKind.INDEXEDDB) for item in launchables.stores.values()),
            *(one(item, ProviderKind.WORKFLOW) for item in launchables.workflows.values()),
            *(one(item, ProviderKind.INTEGRATION) for item in launchables.plugins.values() if item.command is not None),
        ]
    )
    for found in (judgement.problems, judgement.warnings):
        found.sort(key=lambda problem: (problem.place.file, problem.place.line, problem.path))
    judgement.checked.sort()
    judgement.unchecked.sort()
    return judgement


def _services(config: HostConfig, launchable: Launchable, kind: ProviderKind) -> list[str]:
    """Return the variables of the host services that the provider would be given."""
    entry = launchable.entry
    services = [INDEXEDDB_SOCKET] if entry.indexeddb is not None else []
    if kind is ProviderKind.WORKFLOW:
        services.append(WORKFLOW_HOST_SOCKET)
    if kind is ProviderKind.INTEGRATION and config.providers["workflow"]:
        services.append(WORKFLOW_MANAGER_SOCKET)
    if entry.invokes:
        services.append(PLUGIN_INVOKER_SOCKET)
    return services


def _problem(launchable: Launchable, fault: ConfigFault) -> Problem:
    entry = launchable.entry
    path = f"{entry.path}.config.{fault.key}" if fault.key else f"{entry.path}.config"
    place = entry.place if entry.config_node is None else entry.config_node.place_of(fault.key)
    return Problem(place, path, fault.reason)
