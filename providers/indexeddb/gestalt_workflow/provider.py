"""Run the provider process: identity, configuration, start, drain, close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from gestalt_sdk.bases.metrics import MetricFamily
from gestalt_sdk.bases.provider import ConfigFault, Notice
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.transport.environment import (
    INDEXEDDB_SOCKET,
    WORKFLOW_HOST_SOCKET,
    EnvironmentUnusable,
    service_address,
)
from gestalt_sdk.workflow.provider import WorkflowProvider
from gestalt_workflow.config import judge_config, read_config
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.edge.extensions import Server, add_extensions
from gestalt_workflow.edge.workflow_service import WorkflowServicer
from gestalt_workflow.engine import DRAIN, Engine
from gestalt_workflow.model.clock import Clock, utc_now
from gestalt_workflow.model.errors import NotConfigured, StorageUnavailable


class IndexedDBWorkflowProvider(WorkflowProvider):
    """Keeps schedules, event triggers and runs in the IndexedDB service that its host gives it."""

    display_name = "IndexedDB workflow provider"
    description = "Schedules, event triggers and runs, kept in an IndexedDB service"
    version = "0.1.0"
    capabilities: Sequence[str] = (
        "workflow.retarget",
        "workflow.retire",
        "workflow.reference",
        "workflow.published_by",
        "workflow.policies",
        "workflow.slots",
        "workflow.queries",
        "workflow.timeline",
        "workflow.events",
        "workflow.limits",
        "workflow.revisions",
        "workflow.causes",
        "provider.metrics",
    )
    event_loop_hung_after_s = 300.0

    def __init__(self, clock: Clock = utc_now) -> None:
        super().__init__()
        self._clock = clock
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine in force; raises ``NotConfigured`` before the first configure that succeeded."""
        if self._engine is None:
            raise NotConfigured
        return self._engine

    def servicer(self) -> WorkflowServicer:
        """Return the WorkflowProvider service."""
        return WorkflowServicer(lambda: self.engine, self._clock)

    def register(self, server: Server) -> Sequence[str]:
        """Serve WorkflowProvider and its extensions; return their full names."""
        return [*super().register(server), *add_extensions(server, lambda: self.engine)]

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        """Open the database and take the configuration into force.

        One that is refused leaves the earlier one in force; one that is accepted ends the work of the earlier one until
        ``start`` is called again.

        Raises:
            InvalidConfiguration: a value has the wrong form.
            EnvironmentUnusable: the host gives no IndexedDB service, or none that invokes runs.
            StorageFailed: the store cannot be used; one that does not answer is named with its socket.
            FormatTooNew: a newer provider wrote the database.
        """
        settings = read_config(config)
        store = service_address(INDEXEDDB_SOCKET)  # this and the host's socket are checked before anything is opened
        host = WorkflowHost(self.workflow_host())
        try:
            engine = await Engine(name, settings, IndexedDB.connect(), host, self._clock, beats=self.beats).open()
        except StorageUnavailable as error:
            raise StorageUnavailable(f"{INDEXEDDB_SOCKET} ({store.path or store.target}): {error}") from error
        earlier, self._engine = self._engine, engine
        self.warnings = list(settings.warnings)
        if earlier is not None:
            await earlier.drain()
            await earlier.close()

    async def check(self, name: str, config: Mapping[str, object]) -> Sequence[ConfigFault]:
        """Return what ``configure`` would refuse or warn of, as far as it is known without the store."""
        _, faults = judge_config(config)
        for variable, advice in ((INDEXEDDB_SOCKET, "; name a store under indexeddb"), (WORKFLOW_HOST_SOCKET, "")):
            try:
                service_address(variable)
            except EnvironmentUnusable as error:
                faults.append(ConfigFault("", f"{error}{advice}"))
        return faults

    async def start(self) -> None:
        """Begin firing and dispatching."""
        self.engine.start()

    async def health(self) -> None:
        """Raise ``StorageFailed`` when the store does not answer."""
        await self.engine.health()

    def notices(self) -> Sequence[Notice]:
        """Return what waits longer than it should, what is not through yet, and what was stopped lately."""
        engine, found = self.engine, list[Notice]()
        delay = engine.overdue.look()
        if delay is not None:
            found.append(Notice("runs_overdue", delay.describe(), delay.longest.total_seconds()))
        if engine.fan_outs.unfinished:
            text = f"{engine.fan_outs.unfinished} events have not reached all their triggers"
            found.append(Notice("events_unfinished", text, engine.fan_outs.unfinished))
        if engine.causes.stopped_lately:
            text = f"{engine.causes.stopped} triggers and starts were stopped: what caused them has gone too far"
            found.append(Notice("causes_stopped", text, engine.causes.stopped))
        return found

    async def metrics(self) -> Sequence[MetricFamily]:
        """Return the figures of the engine in force."""
        return await self.engine.metrics()

    async def drain(self) -> None:
        """Claim and fire no more, and let what is being invoked finish."""
        if self._engine is not None:
            await self._engine.drain(DRAIN if self.drain_s is None else timedelta(seconds=self.drain_s))

    async def close(self) -> None:
        """Disconnect from the store and the host."""
        if self._engine is not None:
            await self._engine.close()


provider = IndexedDBWorkflowProvider
