"""The workflow manager and executor over real sockets, with providers and a plugin in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from gestalt_host.access.credentials.connections import Connection
from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.subjects import Actor, Ceiling, Principal
from gestalt_host.access.tokens.invocation_tokens import InvocationTokens
from gestalt_host.config.model import Policy
from gestalt_host.hostservices.workflow_host import WorkflowHostServicer
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import ConfiguredPlugin, DeclaredInvoke
from gestalt_host.invocation.plugin_client import PluginClient
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.packages.catalogue import CatalogueOperation
from gestalt_host.workflows.execution import RunExecutor, RunReport
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.model import PluginTarget
from gestalt_host.workflows.providers.client import (
    CAUSES,
    REFERENCE,
    RETARGET,
    RETIRE,
    REVISIONS,
    WorkflowProviderClient,
)
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.references import reference_for
from gestalt_host.workflows.references.signing import ReferenceSigner
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from tests.support.fakes.workflow_provider import FakePlugin, FakeWorkflowProvider
from tests.support.rigs.links import Link, serving

OURS = frozenset({RETARGET, RETIRE, REFERENCE, REVISIONS, CAUSES})
ANN = Principal(Actor("user:ann", "user", "Ann", "session"))
BOB = Principal(Actor("user:bob", "user", "Bob", "session"))
OPERATOR = Principal(Actor("user:op", "user", "", "env"), "user:op")
KEY = bytes(range(32))


def limited(who: Principal, **plugins: Sequence[str] | None) -> Principal:
    """The caller with a token that allows only these plugins and operations."""
    ceiling = Ceiling({name: None if held is None else frozenset(held) for name, held in plugins.items()})
    return Principal(who.actor, who.credential_subject_id, ceiling, who.caller_plugin)


@dataclass
class Rig:
    """A host without its edges: providers ``local`` (ours, the default) and ``other`` (without extensions)."""

    providers: dict[str, FakeWorkflowProvider]
    links: dict[str, Link]
    clients: dict[str, WorkflowProviderClient]
    plugin: FakePlugin
    plugin_link: Link
    registry: PluginRegistry
    references: ReferenceStore
    resolver: TargetResolver
    authorizer: Authorizer
    invoker: Invoker
    tokens: InvocationTokens
    manager: WorkflowManager
    executor: RunExecutor
    reports: list[RunReport] = field(default_factory=list)
    workflow_host: Any = None
    """Stub of WorkflowHost, as provider ``local`` dials it."""
    other_workflow_host: Any = None

    @property
    def local(self) -> FakeWorkflowProvider:
        return self.providers["local"]

    @property
    def other(self) -> FakeWorkflowProvider:
        return self.providers["other"]


def operations(*names: str, **roles: Sequence[str]) -> dict[str, CatalogueOperation]:
    return {name: CatalogueOperation(name, allowed_roles=tuple(roles.get(name, ()))) for name in names}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        providers = {
            "local": FakeWorkflowProvider("local", revisions=True),
            "other": FakeWorkflowProvider("other"),
        }
        links: dict[str, Link] = {}
        for name, provider in providers.items():
            offered = OURS if name == "local" else frozenset()
            links[name] = await stack.enter_async_context(serving(provider.register, tmp_path, name, offered))
        clients = {name: WorkflowProviderClient(link, deadline_s=5) for name, link in links.items()}
        plugin = FakePlugin()
        plugin_link = await stack.enter_async_context(serving(plugin.register, tmp_path, "plugin"))
        runner = PluginClient(plugin_link, base_url="https://host.example/")
        connections = {"default": Connection("default"), "alerts": Connection("alerts")}
        registry = PluginRegistry(
            [
                ConfiguredPlugin("roadmap", runner, operations("sync", "noop"), connections=connections),
                ConfiguredPlugin(
                    "slack",
                    runner,
                    operations("post", "search"),
                    invokes=(
                        DeclaredInvoke("roadmap", "sync", credential_mode="none"),
                        DeclaredInvoke("vault", "read"),
                    ),
                ),
                ConfiguredPlugin("vault", runner, operations("read", "write", write=["admin"])),
                ConfiguredPlugin(
                    "mail",
                    runner,
                    operations("send"),
                    connections={"default": Connection("default", "user")},
                    default_connection="default",
                ),
                ConfiguredPlugin(
                    "billing",
                    runner,
                    operations("bill"),
                    connections={"_plugin": Connection("_plugin", "platform", token="s3cret")},
                ),
                ConfiguredPlugin(
                    "locked", runner, operations("open"), connections={"_plugin": Connection("_plugin", "platform")}
                ),
            ]
        )
        policies = {"vault": Policy("vault", "deny", {"user:ann": "viewer", "user:root": "admin"})}
        authorizer = Authorizer(policies, {"vault": "vault"}, no_auth=True)
        tokens = InvocationTokens()
        invoker = Invoker(registry, authorizer, tokens)
        references = ReferenceStore(ReferenceSigner(KEY))
        resolver = TargetResolver(registry, authorizer, None)
        workflow_providers = WorkflowProviders(clients.values(), default="local")
        reports: list[RunReport] = []
        executor = RunExecutor(invoker, references, observer=reports.append)
        rig = Rig(
            providers=providers,
            links=links,
            clients=clients,
            plugin=plugin,
            plugin_link=plugin_link,
            registry=registry,
            references=references,
            resolver=resolver,
            authorizer=authorizer,
            invoker=invoker,
            tokens=tokens,
            manager=WorkflowManager(workflow_providers, references, resolver, authorizer),
            executor=executor,
            reports=reports,
        )

        async def host_of(name: str) -> Any:
            def register(server: grpc.aio.Server) -> None:
                servicer = WorkflowHostServicer(clients[name], executor)
                workflow_pb2_grpc.add_WorkflowHostServicer_to_server(servicer, server)

            link = await stack.enter_async_context(serving(register, tmp_path, f"host-{name}"))
            return workflow_pb2_grpc.WorkflowHostStub(link.channel)

        rig.workflow_host = await host_of("local")
        rig.other_workflow_host = await host_of("other")
        yield rig


SYNC = PluginTarget("roadmap", "sync", "default", "", "", {"mode": "incremental", "n": 1})


ACTOR = pb.WorkflowActor(subject_id="user:ann", subject_kind="user", display_name="Ann", auth_source="session")


async def stored(
    rig: Rig, who: Principal = ANN, target: PluginTarget = SYNC, provider: str = "local", **changes: Any
) -> pb.WorkflowExecutionReference:
    """A reference in the provider, as the manager would have put it there."""
    reference = replace(reference_for(who, provider, target, "workflow_run:1"), **changes)
    await rig.references.put(rig.clients[provider], reference)
    rig.providers[provider].calls.clear()
    return rig.providers[provider].references[reference.id]


def request(
    reference: pb.WorkflowExecutionReference, *, carried: bool = True, **members: Any
) -> pb.InvokeWorkflowOperationRequest:
    made = pb.InvokeWorkflowOperationRequest(
        target=reference.target,
        run_id="run-1",
        trigger=pb.WorkflowRunTrigger(manual=pb.WorkflowManualTrigger()),
        created_by=ACTOR,
        execution_ref=reference.id,
        **members,
    )
    if carried:
        made.reference.CopyFrom(reference)
    return made
