"""Session catalogues: operations that a plugin offers to one caller, besides those of its package (contract.md 4.5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from grpc import StatusCode as Code

from gestalt_host.access.credentials.connections import Connection
from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.tokens.invocation_tokens import InvocationTokens
from gestalt_host.config.model import Policy
from gestalt_host.errors import (
    AuthorizationDenied,
    CredentialMissing,
    HostError,
    OperationNotFound,
    SessionCatalogueFailed,
)
from gestalt_host.invocation import plugin_client
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import ConfiguredPlugin
from gestalt_host.invocation.plugin_client import PluginClient
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_host.packages.inputs import InputInvalid
from gestalt_host.supervisor.lifecycle import SESSION_CATALOGUE
from gestalt_host.workflows.model import PluginTarget
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_sdk.common.requests import request_in_progress
from gestalt_sdk.gen.v1 import plugin_pb2 as pb
from gestalt_sdk.transport.values import to_value
from tests.support.fakes.workflow_provider import FakePlugin
from tests.support.rigs.host import ANN, BOB, Rig, limited
from tests.support.rigs.links import serving
from tests.support.waiting import one_turn

PERSONAL = pb.CatalogOperation(
    id="mine.read",
    title="Read mine",
    input_schema='{"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": false}',
    annotations=pb.OperationAnnotations(read_only_hint=True),
    parameters=[pb.CatalogParameter(name="n", type="integer", default=to_value(3))],
    read_only=True,
)


class Desk:
    """A plugin with the operation ``open``, and whatever its session catalogue has."""

    def __init__(self, fake: FakePlugin, client: PluginClient) -> None:
        self.fake = fake
        self.plugin = ConfiguredPlugin(
            "desk",
            client,
            {"open": CatalogueOperation("open", title="Of the package")},
            connections={"default": Connection("default")},
            default_connection="default",
            sessions=client,
        )
        self.configure(self.plugin)

    def configure(self, plugin: ConfiguredPlugin, policy: Policy | None = None) -> None:
        self.plugin = plugin
        self.registry = PluginRegistry([plugin])
        policies = {} if policy is None else {"desk": policy}
        self.authorizer = Authorizer(policies, dict.fromkeys(policies, "desk"))
        self.invoker = Invoker(self.registry, self.authorizer, InvocationTokens())
        self.resolver = TargetResolver(self.registry, self.authorizer, None)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    fake = FakePlugin()
    fake.session_catalogue.operations.append(PERSONAL)
    async with serving(fake.register, tmp_path, "desk", frozenset({SESSION_CATALOGUE})) as link:
        yield Desk(fake, PluginClient(link, base_url="https://host.example"))


async def test_a_caller_is_offered_the_package_s_operations_and_its_own(desk: Desk) -> None:
    desk.fake.session_catalogue.operations.append(pb.CatalogOperation(id="open", title="Of the session"))
    with request_in_progress("req-7"):
        found = await desk.invoker.operations(ANN, desk.plugin)
    assert sorted(found) == ["mine.read", "open"]
    assert found["open"].title == "Of the package"
    assert found["mine.read"] == CatalogueOperation(
        "mine.read",
        title="Read mine",
        input_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False},
        annotations={"readOnlyHint": True},
        parameters=(CatalogueParameter("n", "integer", default=3.0),),
        read_only=True,
        transport="plugin",
    )
    (request,) = desk.fake.session_requests
    assert request.invocation_id == "req-7"
    assert request.context.subject.id == "user:ann"
    assert request.context.credential == pb.CredentialContext(mode="none")
    assert request.context.host.public_base_url == "https://host.example"
    assert desk.fake.deadlines[-1] is not None


async def test_its_own_operation_can_be_invoked_and_be_a_target(desk: Desk) -> None:
    assert (await desk.invoker.invoke(ANN, "desk", "mine.read", {"n": 1}, public=True)).status == 200
    assert desk.fake.requests[-1].operation == "mine.read"
    target = PluginTarget("desk", "mine.read", input={"n": 1})
    assert await desk.resolver.resolve_for_later(ANN, target) == target
    with pytest.raises(InputInvalid, match="q"):
        await desk.resolver.resolve_for_later(ANN, replace(target, input={"q": 1}))
    with pytest.raises(OperationNotFound):
        await desk.invoker.invoke(ANN, "desk", "gone", {})
    with pytest.raises(OperationNotFound):
        await desk.resolver.resolve(ANN, replace(target, operation="gone"))


async def test_an_operation_of_the_package_costs_no_question(desk: Desk) -> None:
    await desk.invoker.invoke(ANN, "desk", "open", {})
    await desk.resolver.resolve(ANN, PluginTarget("desk", "open"))
    assert desk.fake.session_requests == []


async def test_who_may_not_call_asks_nothing(desk: Desk) -> None:
    with pytest.raises(HostError):
        await desk.invoker.invoke(limited(ANN, desk=["open"]), "desk", "mine.read", {}, public=True)
    desk.configure(desk.plugin, Policy("desk", "deny", {"user:ann": "viewer"}))
    with pytest.raises(AuthorizationDenied):
        await desk.invoker.invoke(BOB, "desk", "mine.read", {})
    assert await desk.invoker.operations(BOB, desk.plugin) == {}
    assert desk.fake.session_requests == []


async def test_roles_count_for_its_own_operations_too(desk: Desk) -> None:
    desk.configure(desk.plugin, Policy("desk", "deny", {"user:ann": "viewer", "user:bob": "editor"}))
    desk.fake.session_catalogue.operations[0].allowed_roles.append("editor")
    assert list(await desk.invoker.operations(ANN, desk.plugin)) == []
    assert list(await desk.invoker.operations(BOB, desk.plugin)) == ["mine.read"]
    with pytest.raises(AuthorizationDenied):
        await desk.invoker.invoke(ANN, "desk", "mine.read", {})
    with pytest.raises(AuthorizationDenied):
        await desk.resolver.resolve(ANN, PluginTarget("desk", "mine.read"))


async def test_the_credential_of_the_connection_is_sent_and_one_that_is_missing_is_said(desk: Desk) -> None:
    connections = {
        "shared": Connection("shared", "platform", token="s3cret"),
        "own": Connection("own", "user"),
        "inner": Connection("inner", internal=True),
    }
    desk.configure(replace(desk.plugin, connections=connections, default_connection="own"))
    with pytest.raises(CredentialMissing):
        await desk.invoker.operations(ANN, desk.plugin)
    with pytest.raises(CredentialMissing):
        await desk.resolver.resolve(ANN, PluginTarget("desk", "mine.read"))
    assert "mine.read" in await desk.invoker.operations(ANN, desk.plugin, connection="shared")
    assert desk.fake.session_requests[-1].token == "s3cret"
    assert desk.fake.session_requests[-1].context.credential.connection == "shared"
    assert "mine.read" not in await desk.invoker.operations(ANN, desk.plugin, connection="inner")


async def test_a_plugin_that_does_not_offer_it_is_not_asked(rig: Rig) -> None:
    client = PluginClient(rig.plugin_link)
    rig.registry.add(replace(rig.registry.get("roadmap"), sessions=client))
    with pytest.raises(OperationNotFound):
        await rig.invoker.invoke(ANN, "roadmap", "mine.read", {})
    assert list(await rig.invoker.operations(ANN, rig.registry.get("roadmap"))) == ["sync", "noop"]
    assert rig.plugin.session_requests == []


async def test_of_a_plugin_that_is_being_started_nobody_knows_yet_what_it_offers(rig: Rig) -> None:
    rig.plugin.session_catalogue.operations.append(PERSONAL)
    rig.registry.add(replace(rig.registry.get("roadmap"), sessions=PluginClient(rig.plugin_link)))
    rig.plugin_link.ready.clear()
    waiting = asyncio.create_task(rig.invoker.invoke(ANN, "roadmap", "mine.read", {}))
    await one_turn()
    assert not waiting.done()
    rig.plugin_link.capabilities = frozenset({SESSION_CATALOGUE})
    rig.plugin_link.ready.set()
    assert (await waiting).status == 200


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ([pb.CatalogOperation(id="a b")], "'a b' is not an operation id; accepted are"),
        ([pb.CatalogOperation(id="x"), pb.CatalogOperation(id="x")], "operation 'x' is there twice"),
        ([pb.CatalogOperation(id="x", input_schema="[]")], "input_schema of operation 'x' is not the text of a JSON"),
        ([pb.CatalogOperation(id="x", output_schema="{")], "output_schema of operation 'x' is not the text of a JSON"),
        ([pb.CatalogOperation(id=f"x{n}") for n in range(1001)], "it has 1001 operations; at most 1000 are accepted"),
        ([pb.CatalogOperation(id="x", description="d" * (4 << 20))], "at most 4194304 are accepted"),
    ],
)
async def test_a_catalogue_that_cannot_be_used_is_refused_whole(
    desk: Desk, operations: list[pb.CatalogOperation], text: str
) -> None:
    desk.fake.session_catalogue = pb.Catalog(operations=operations)
    with pytest.raises(SessionCatalogueFailed, match=text) as failed:
        await desk.invoker.operations(ANN, desk.plugin)
    assert str(failed.value).startswith('session catalogue of integration "desk" cannot be used: ')
    assert (await desk.invoker.invoke(ANN, "desk", "open", {})).status == 200


async def test_a_plugin_s_refusal_shows_its_code_and_never_its_text(desk: Desk) -> None:
    desk.fake.failure = (Code.UNKNOWN, "a secret of the process")
    with pytest.raises(SessionCatalogueFailed) as failed:
        await desk.invoker.operations(ANN, desk.plugin)
    assert str(failed.value) == 'session catalogue of integration "desk" cannot be used: it answered UNKNOWN'


async def test_a_plugin_that_takes_too_long_is_not_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugin_client.SESSION_CATALOGUE_TIMEOUT_S == 30
    monkeypatch.setattr(plugin_client, "SESSION_CATALOGUE_TIMEOUT_S", 0.3)

    async def hang() -> None:
        await asyncio.Event().wait()

    desk.fake.started = hang
    with pytest.raises(SessionCatalogueFailed, match=r"no answer within 0\.3 s"):
        await desk.invoker.operations(ANN, desk.plugin)
