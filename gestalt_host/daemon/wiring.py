"""Making the host's parts: domain objects, provider processes, and the host services that each process gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog
from prometheus_client import CollectorRegistry

from gestalt_host.access.credentials.connections import Connection, internal_name
from gestalt_host.access.keys import subkey
from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.tokens.invocation_tokens import InvocationTokens
from gestalt_host.config.model import HostConfig, OutputLimits, ProviderEntry, SupervisionConfig
from gestalt_host.daemon.launchables import Launchables
from gestalt_host.daemon.plugins import declarative_plugin, process_plugin
from gestalt_host.daemon.shutdown import ShutdownPlan
from gestalt_host.errors import HostError, PluginUnavailable, could_not_start, reason_of
from gestalt_host.hostservices.indexeddb_relay import indexeddb_relay
from gestalt_host.hostservices.plugin_invoker import plugin_invoker
from gestalt_host.hostservices.workflow_host import workflow_host
from gestalt_host.hostservices.workflow_manager import workflow_manager_host
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import ConfiguredPlugin, Invocation, OperationResult
from gestalt_host.invocation.plugin_client import PluginClient
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.invocation.rest.client import large_places
from gestalt_host.invocation.rest.runner import RestRunner
from gestalt_host.packages import Launchable
from gestalt_host.supervisor import (
    BoundStore,
    HostService,
    ProcessGroups,
    ProviderDown,
    ProviderProcess,
    ProviderSpec,
    ProviderStartFailed,
    Store,
    Timings,
)
from gestalt_host.supervisor.about import HostAbout
from gestalt_host.workflows.execution import RunExecutor, RunReport
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.reconcile import Reconciliation
from gestalt_host.workflows.references.signing import ReferenceSigner
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.common.beats import Beats
from gestalt_sdk.workflow.types import PluginTarget

HOST_DATABASE = "_gestaltd"
"""Database of the host's own records in the selected IndexedDB entry; no entry can be named so that it gets it."""

log = structlog.get_logger()


@dataclass(slots=True)
class Processes:
    """Every provider process of the host, by the configured name."""

    workflows: dict[str, ProviderProcess] = field(default_factory=dict)
    plugins: dict[str, ProviderProcess] = field(default_factory=dict)


class Wiring:
    """The host's domain objects and, not started, the processes of its workflow providers; plugins are added."""

    def __init__(
        self,
        config: HostConfig,
        master_key: bytes,
        environ: Mapping[str, str],
        observer: Callable[[RunReport], None],
        workflows: Mapping[str, Launchable],
        bindings: Mapping[str, BoundStore],
        timings: Timings,
        beats: Beats,
        groups: ProcessGroups,
        about: HostAbout,
    ) -> None:
        """
        Args:
            observer: Told of every run that this host has executed.
            workflows: The prepared workflow providers by name; ``bindings`` has their parts of a store.
            timings: Of every process.
            beats: What the supervision of each process gives its beat to.
            groups: What ends the group of each process with the host.
            about: What directories of sockets say of the host.
        """
        self._config = config
        self._environ = environ
        self._timings = timings
        self._beats = beats
        self._groups = groups
        self._about = about
        self.processes = Processes()
        self.plugins = PluginRegistry()
        self._clients: dict[str, PluginClient] = {}
        self.rest_runners: dict[str, RestRunner] = {}
        """What sends the requests of the plugins without a process, by name."""
        self._large_answers = large_places()
        self.failed_plugins: dict[str, Exception] = {}
        """Why plugins could not be started, by name; one that began, and ends again and again, is not among them."""
        self.failed_since: dict[str, datetime] = {}
        """When that was found."""
        self.metrics = CollectorRegistry()
        self.authorizer = Authorizer(
            config.policies,
            {name: entry.authorization_policy for name, entry in config.plugins.items()},
            no_auth=True,
        )
        self.tokens = InvocationTokens(subkey(master_key, "gestalt invocation token"))
        self.invoker = Invoker(self.plugins, self.authorizer, self.tokens)
        self._references = ReferenceStore(ReferenceSigner(master_key))
        executor = RunExecutor(self.invoker, self._references, observer=observer)
        clients: list[WorkflowProviderClient] = []

        def dialled_by(process: ProviderProcess) -> Sequence[HostService]:
            client = WorkflowProviderClient(process)
            clients.append(client)
            return (workflow_host(client, executor),)

        for name, item in workflows.items():
            binding = bindings.get(name, BoundStore())
            spec = _spec(item, ProviderKind.WORKFLOW, binding, config.server.provider_output, about)
            self.processes.workflows[name] = ProviderProcess(
                spec, environ, timings, services=dialled_by, beats=beats, groups=groups
            )
        self._providers = WorkflowProviders(clients, config.workflow)
        resolver = TargetResolver(self.plugins, self.authorizer, agents=None)
        self.manager = WorkflowManager(self._providers, self._references, resolver, self.authorizer)

    def add_plugin(self, launchable: Launchable, binding: BoundStore) -> None:
        """Add the plugin to the registry and make its process, which is not started; a declarative one has none.

        Raises:
            HostError: the configuration does not fit the plugin.
        """
        entry, name, deny = launchable.entry, launchable.entry.name, self._config.server.egress_deny
        if launchable.command is None:
            plugin, self.rest_runners[name] = declarative_plugin(
                entry, launchable.manifest, egress_deny=deny, large=self._large_answers
            )
            self.plugins.add(plugin)
            return
        plugin = self._process_plugin(launchable)
        services: list[HostService] = []
        if self._config.providers["workflow"]:
            services.append(workflow_manager_host(name, self.manager, self.tokens))
        if plugin.invokes:
            services.append(plugin_invoker(name, plugin.invokes, self.invoker, self.tokens))
        limits = self._config.server.provider_output
        spec = _spec(launchable, ProviderKind.INTEGRATION, binding, limits, self._about, services)
        process = self.processes.plugins[name] = ProviderProcess(
            spec, self._environ, self._timings, beats=self._beats, groups=self._groups
        )
        self._clients[name] = PluginClient(process, base_url=self._config.server.public.base_url)
        self.plugins.add(self._served(plugin, launchable))

    async def reload_plugin(self, launchable: Launchable) -> None:
        """Have the plugin served from what was prepared anew: its operations at once, its process when it is ready.

        Raises:
            HostError: the configuration does not fit the plugin, which goes on as it is; ``ProviderDown`` when it has
                no process that was ever ready, ``ProviderStartFailed`` when the new one does not start.
        """
        name = launchable.entry.name
        if launchable.command is None:
            if name not in self.rest_runners:
                raise ProviderDown("it had a process, and has none now")
            runner = self.rest_runners[name]
            self.add_plugin(launchable, BoundStore())
            await runner.close()
            return
        process = self.processes.plugins.get(name)
        if process is None or name in self.failed_plugins:
            raise ProviderDown("it has no process")
        self.plugins.add(self._served(self._process_plugin(launchable), launchable))
        await process.reload(launchable.command, launchable.entry.config)

    def _process_plugin(self, launchable: Launchable) -> ConfiguredPlugin:
        assert launchable.catalogue is not None
        entry, deny = launchable.entry, self._config.server.egress_deny
        return process_plugin(entry, launchable.manifest, launchable.catalogue, _NoProcess(), egress_deny=deny)

    def _served(self, plugin: ConfiguredPlugin, launchable: Launchable) -> ConfiguredPlugin:
        """Return the plugin with its process behind it."""
        process, client = self.processes.plugins[plugin.name], self._clients[plugin.name]
        # A list of allowed operations is all that may be called: a plugin does not add to it while it runs.
        lists = (launchable.entry.allowed_operations, launchable.manifest.allowed_operations)
        sessions = client if lists == (None, None) else None
        return replace(plugin, runner=client, sessions=sessions, absence=lambda: process.absence)

    def add_failed_plugin(self, entry: ProviderEntry, error: Exception) -> None:
        """Register a plugin that has no process: calls to it are refused with why, what targets it stays configured."""
        self.plugin_failed(entry.name, error)
        absence = could_not_start(reason_of(error))
        targets = [schedule.target for schedule in self._config.schedules]
        targets += [trigger.target for trigger in self._config.event_triggers]
        named = [item.connection for item in targets if isinstance(item, PluginTarget) and item.plugin == entry.name]
        connections = {name: Connection(name) for name in map(internal_name, filter(None, named))}
        self.plugins.add(
            ConfiguredPlugin(
                name=entry.name,
                runner=_NoProcess(),
                operations={},
                display_name=entry.display_name,
                description=entry.description,
                connections=connections,
                absence=lambda: absence,
                is_known=False,
            )
        )

    def plugin_failed(self, name: str, error: Exception) -> None:
        """Note that a plugin could not be started, and log why. What nobody has thought of is logged with its place."""
        self.failed_plugins[name] = error
        self.failed_since[name] = datetime.now(UTC)
        log.error(
            "plugin is not available",
            event_name="plugin.failed",
            plugin=name,
            error=str(error),
            last_lines=error.last_lines if isinstance(error, ProviderStartFailed) else (),
            exc_info=None if isinstance(error, HostError) else error,
        )

    def reconciliation(self) -> Reconciliation:
        return Reconciliation(self._providers, self._references, self.plugins)


class _NoProcess:
    """Stands where the runner of a plugin is, which has none or not yet."""

    async def invoke(self, invocation: Invocation) -> OperationResult:
        raise PluginUnavailable("the plugin has no process")


def timings_of(config: SupervisionConfig, shutdown: ShutdownPlan) -> Timings:
    """Return the waits and limits of every provider process."""
    silent = config.restart_silent
    return Timings(
        drain_s=shutdown.drain_s,
        start_timeout_s=min(Timings().start_timeout_s, config.start_timeout.total_seconds()),
        start_limit_s=config.start_timeout.total_seconds(),
        slow_start_s=config.slow_start.total_seconds(),
        restart_silent_after_s=math.inf if silent is None else silent.total_seconds(),
    )


def make_store(
    launchable: Launchable,
    config: HostConfig,
    environ: Mapping[str, str],
    timings: Timings,
    beats: Beats,
    groups: ProcessGroups,
    about: HostAbout,
) -> Store:
    """Return the store of an IndexedDB entry, not started."""
    spec = _spec(launchable, ProviderKind.INDEXEDDB, BoundStore(), config.server.provider_output, about)
    return Store(spec, launchable.manifest.source, indexeddb_relay, environ, timings, beats, groups)


def _spec(
    launchable: Launchable,
    kind: ProviderKind,
    binding: BoundStore,
    output: OutputLimits,
    about: HostAbout,
    services: Sequence[HostService] = (),
) -> ProviderSpec:
    assert launchable.command is not None
    return ProviderSpec(
        name=launchable.entry.name,
        kind=kind,
        command=launchable.command,
        config=launchable.entry.config,
        env=launchable.entry.env,
        services=(*binding.services, *services),
        sockets=binding.sockets,
        output=output,
        limits=launchable.entry.limits,
        host=about,
    )


def add_plugins(wiring: Wiring, launchables: Launchables, bindings: Mapping[str, BoundStore | HostError]) -> None:
    """Add every configured plugin, those that cannot run included; one failure does not touch the others."""
    for entry, failure in launchables.failed_plugins.values():
        wiring.add_failed_plugin(entry, failure)
    for name, launchable in launchables.plugins.items():
        binding = bindings.get(name, BoundStore())
        try:
            if isinstance(binding, HostError):
                raise binding
            wiring.add_plugin(launchable, binding)
        except Exception as error:  # also what nobody has thought of: the disk is full
            wiring.add_failed_plugin(launchable.entry, error)
