"""Two hosts on one database: the HTTP API of each, with a workflow provider process of its own behind it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.subjects import Actor, Principal
from gestalt_host.access.tokens.invocation_tokens import InvocationTokens
from gestalt_host.hostservices.indexeddb_relay import indexeddb_relay
from gestalt_host.hostservices.workflow_host import workflow_host
from gestalt_host.http.app import create_app
from gestalt_host.http.services import HttpServices
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import ConfiguredPlugin
from gestalt_host.invocation.plugin_client import PluginClient
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.packages import bundled, find_manifest, read_manifest
from gestalt_host.packages.languages.python import launch_command
from gestalt_host.supervisor import HostService, ProviderProcess, ProviderSpec, Store
from gestalt_host.workflows.execution import RunExecutor
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.signing import ReferenceSigner
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_sdk.bases.provider import ProviderKind
from tests.support.fakes.workflow_provider import FakePlugin
from tests.support.rigs.host import KEY, operations
from tests.support.rigs.links import serving


async def _spec(name: str, source: str, kind: ProviderKind, **members: Any) -> ProviderSpec:
    manifest = read_manifest(find_manifest(bundled(source)))
    return ProviderSpec(name=name, kind=kind, command=await launch_command(manifest, os.environ), **members)


@asynccontextmanager
async def two_hosts(folder: Path, dsn: str, database: str) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
    """The APIs of two hosts; ``X-User`` of a request says as whom it is made.

    Args:
        dsn: Of the store. With PostgreSQL each host has a store process, a SQLite file has one for both.
        database: Name of the workflow provider's database.
    """
    async with AsyncExitStack() as stack:
        stores = []
        for _ in range(1 if dsn.startswith("sqlite:") else 2):
            store = Store(
                await _spec("state", "indexeddb_store", ProviderKind.INDEXEDDB, config={"dsn": dsn}),
                "",
                indexeddb_relay,
            )
            await store.start()
            stack.push_async_callback(store.stop)
            stores.append(store)
        plugin_link = await stack.enter_async_context(serving(FakePlugin().register, folder, "plugin"))
        registry = PluginRegistry([ConfiguredPlugin("roadmap", PluginClient(plugin_link), operations("sync", "noop"))])
        authorizer = Authorizer(no_auth=True)
        invoker = Invoker(registry, authorizer, InvocationTokens())
        first = await stores[0].bind(database)
        second = first if len(stores) == 1 else await stores[1].bind(database)
        doors = []
        for binding in (first, second):
            references = ReferenceStore(ReferenceSigner(KEY))
            clients: list[WorkflowProviderClient] = []

            def dialled_by(
                process: ProviderProcess,
                clients: list[WorkflowProviderClient] = clients,
                references: ReferenceStore = references,
            ) -> list[HostService]:
                clients.append(WorkflowProviderClient(process))
                return [workflow_host(clients[-1], RunExecutor(invoker, references))]

            spec = await _spec("local", "indexeddb", ProviderKind.WORKFLOW, sockets=binding.sockets)
            process = ProviderProcess(spec, services=dialled_by)
            await process.start()
            stack.push_async_callback(process.stop, 5)
            manager = WorkflowManager(
                WorkflowProviders(clients, "local"), references, TargetResolver(registry, authorizer, None), authorizer
            )

            async def authenticate(headers: Any) -> Any:
                return Principal(Actor(f"user:{headers['x-user']}", "user"))

            services = HttpServices(manager, invoker, registry, authenticate, readiness=lambda: None)
            transport = httpx.ASGITransport(create_app(services))
            doors.append(
                await stack.enter_async_context(
                    httpx.AsyncClient(transport=transport, base_url="http://gestalt.test", timeout=60)
                )
            )
        yield doors
