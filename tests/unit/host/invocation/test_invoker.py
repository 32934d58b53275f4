"""Invoking an operation: the order of the checks, credentials, chains of plugins, failures of the process."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode as Code

from gestalt_host.access.credentials.connections import Connection
from gestalt_host.access.subjects import Actor, Principal
from gestalt_host.access.tokens.invocation_tokens import CallChain, Delegation
from gestalt_host.errors import (
    AuthorizationDenied,
    CallTooDeep,
    CredentialMissing,
    HostError,
    InvalidInvocation,
    OperationAccessDenied,
    OperationNotFound,
    PlatformCredentialMissing,
    PluginNotFound,
    PluginUnavailable,
    ProviderRefused,
    RecursiveCall,
    TokenScopeDenied,
)
from gestalt_host.hostservices.faults import WORKFLOW_HOST_FAULTS, status_for
from gestalt_host.invocation.model import ConfiguredPlugin, Payload
from gestalt_host.packages.catalogue import CatalogueOperation
from gestalt_sdk.gen.v1.plugin_pb2 import CredentialContext
from tests.support.rigs.host import ANN, BOB, Rig, limited
from tests.support.waiting import one_turn

ROOT = Principal(Actor("user:root", "user", "Root", "session"))


def delegated(rig: Rig, plugin: str) -> Delegation:
    """What the plugin's last invocation passes on to those that it makes."""
    return rig.tokens.resolve(rig.plugin.requests[-1].invocation_token, plugin)


def with_operation(rig: Rig, plugin: str, operation: CatalogueOperation) -> None:
    found = rig.registry.get(plugin)
    rig.registry.add(replace(found, operations={**found.operations, operation.id: operation}))


async def failing(rig: Rig, who: Principal, plugin: str, operation: str, **options: object) -> HostError:
    with pytest.raises(HostError) as failed:
        await rig.invoker.invoke(who, plugin, operation, {}, **options)  # type: ignore[arg-type]
    return failed.value


async def test_params_travel_as_they_are(rig: Rig) -> None:
    struct = Struct()
    struct.update({"a": [1, {"b": None}]})
    payloads: list[Payload] = [{"a": [1, {"b": None}]}, struct.SerializeToString()]
    for params in payloads:
        result = await rig.invoker.invoke(ANN, "roadmap", "sync", params, idempotency_key="k", public=True)
        assert (result.status, result.body, result.content_type) == (200, '{"ok":true}', "application/json")
        seen = rig.plugin.requests[-1]
        assert MessageToDict(seen.params) == {"a": [1.0, {"b": None}]}
        assert seen.idempotency_key == "k"
        assert not seen.context.HasField("workflow")
    await rig.invoker.invoke(ANN, "roadmap", "sync", {})
    assert not rig.plugin.requests[-1].HasField("params")


async def test_public_checks_in_their_order(rig: Rig) -> None:
    with_operation(rig, "roadmap", CatalogueOperation("hidden", visible=False))
    assert isinstance(await failing(rig, BOB, "nope", "x", public=True), PluginNotFound)
    for operation in ("read", "nope"):
        error = await failing(rig, BOB, "vault", operation, public=True)
        assert isinstance(error, OperationAccessDenied)
        assert str(error) == "operation access denied"
    assert isinstance(await failing(rig, ANN, "vault", "nope", public=True), OperationNotFound)
    assert isinstance(await failing(rig, ANN, "vault", "write", public=True), OperationAccessDenied)
    hidden = await failing(rig, ANN, "roadmap", "hidden", public=True)
    assert str(hidden) == 'operation "hidden" not found on integration "roadmap"'
    assert (await rig.invoker.invoke(ANN, "roadmap", "hidden", {})).status == 200
    scoped = await failing(rig, limited(ANN, roadmap=["noop"]), "roadmap", "sync", public=True)
    assert isinstance(scoped, TokenScopeDenied)
    assert str(scoped) == "token scope denied: roadmap.sync"
    assert str(await failing(rig, limited(ANN), "roadmap", "sync", public=True)) == "token scope denied: roadmap"
    with pytest.raises(OperationAccessDenied):
        rig.invoker.require_access(BOB, "vault")
    assert rig.invoker.require_access(ANN, "vault").name == "vault"


async def test_checks_of_runs_in_their_order(rig: Rig) -> None:
    assert str(await failing(rig, limited(BOB), "vault", "nope")) == "token scope denied: vault"
    assert str(await failing(rig, limited(BOB, vault=None), "vault", "nope")) == "authorization denied: vault"
    assert isinstance(await failing(rig, ANN, "vault", "nope"), OperationNotFound)
    assert str(await failing(rig, ANN, "vault", "write")) == "authorization denied: vault.write"


async def test_internal_connections(rig: Rig) -> None:
    connections = {"default": Connection("default", internal=True), "alerts": Connection("alerts")}
    rig.registry.add(replace(rig.registry.get("roadmap"), connections=connections, default_connection="default"))
    error = await failing(rig, ANN, "roadmap", "sync", public=True)
    assert isinstance(error, AuthorizationDenied)
    assert str(error) == "authorization denied: roadmap.sync uses an internal connection"
    error = await failing(rig, ANN, "roadmap", "sync", connection="default", public=True)
    assert str(error) == 'authorization denied: roadmap connection "default" is internal'
    await rig.invoker.invoke(ANN, "roadmap", "sync", {}, connection="alerts", public=True)
    await rig.invoker.invoke(replace(ANN, internal_connections=True), "roadmap", "sync", {})


async def test_connections_and_credentials(rig: Rig) -> None:
    await rig.invoker.invoke(ANN, "billing", "bill", {})
    seen = rig.plugin.requests[-1]
    assert (seen.token, seen.context.credential.mode, seen.context.credential.connection) == (
        "s3cret",
        "platform",
        "_plugin",
    )
    await rig.invoker.invoke(ANN, "billing", "bill", {}, credential_mode="none")
    assert rig.plugin.requests[-1].token == ""
    assert isinstance(await failing(rig, ANN, "locked", "open"), PlatformCredentialMissing)
    assert isinstance(await failing(rig, ANN, "mail", "send"), CredentialMissing)
    assert isinstance(await failing(rig, ANN, "roadmap", "sync", credential_mode="user"), CredentialMissing)
    assert isinstance(await failing(rig, ANN, "roadmap", "sync", credential_mode="x"), InvalidInvocation)
    assert isinstance(await failing(rig, ANN, "mail", "send", connection="nope"), CredentialMissing)
    assert isinstance(await failing(rig, ANN, "billing", "bill", connection="nope"), PlatformCredentialMissing)
    await rig.invoker.invoke(ANN, "roadmap", "sync", {}, connection="unheard-of")
    await rig.invoker.invoke(ANN, "roadmap", "sync", {}, connection="plugin")
    assert delegated(rig, "roadmap").connection == "_plugin"


async def test_a_deployments_credential_has_no_instances(rig: Rig) -> None:
    error = await failing(rig, ANN, "billing", "bill", instance="x")
    assert isinstance(error, PlatformCredentialMissing)
    assert "admin configuration is required" in str(error)
    told = status_for(error, WORKFLOW_HOST_FAULTS)
    assert told.message == (
        'no external credential: deployment-managed connection for integration "billing" does not support instances'
    )


@pytest.mark.parametrize(
    ("modes", "error"), [(("none", "platform"), PlatformCredentialMissing), (("platform", "user"), CredentialMissing)]
)
async def test_a_name_that_is_not_declared_needs_what_the_declared_ones_need(
    rig: Rig, modes: tuple[str, ...], error: type[Exception]
) -> None:
    connections = {mode: Connection(mode, mode, token="t") for mode in modes}
    rig.registry.add(replace(rig.registry.get("roadmap"), connections=connections, default_connection=modes[0]))
    assert isinstance(await failing(rig, ANN, "roadmap", "sync", connection="nope"), error)
    await rig.invoker.invoke(ANN, "roadmap", "sync", {}, connection="plugin")


async def test_without_a_credential_its_connection_and_instance_are_empty(rig: Rig) -> None:
    for connection, instance, mode in (("", "", ""), ("alerts", "i 1", ""), ("unheard-of", "i", ""), ("", "", "none")):
        plugin, operation = ("billing", "bill") if mode else ("roadmap", "sync")
        await rig.invoker.invoke(
            ANN, plugin, operation, {}, connection=connection, instance=instance, credential_mode=mode
        )
        assert rig.plugin.requests[-1].context.credential == CredentialContext(mode="none")
        # Nested calls still inherit what was selected.
        inherited = delegated(rig, plugin)
        assert (inherited.connection, inherited.instance) == (connection or "_plugin", instance)


async def test_a_bound_operation_keeps_its_connection(rig: Rig) -> None:
    plugin = replace(rig.registry.get("roadmap"), operation_connections={"sync": "alerts"})
    rig.registry.add(plugin)
    await rig.invoker.invoke(ANN, "roadmap", "sync", {})
    assert delegated(rig, "roadmap").connection == "alerts"
    error = await failing(rig, ANN, "roadmap", "sync", connection="default")
    assert isinstance(error, InvalidInvocation)
    assert str(error) == (
        'invalid invocation: operation "sync" on integration "roadmap" uses connection "alerts"; '
        'omit the connection override or use that connection instead of "default"'
    )


async def test_an_alias_is_sent_as_the_plugins_own_name(rig: Rig) -> None:
    plugin: ConfiguredPlugin = replace(
        rig.registry.get("roadmap"),
        operations={"pull": CatalogueOperation("pull")},
        provider_operations={"pull": "sync"},
    )
    rig.registry.add(plugin)
    await rig.invoker.invoke(ANN, "roadmap", "pull", {})
    assert rig.plugin.requests[-1].operation == "sync"
    assert isinstance(await failing(rig, ANN, "roadmap", "sync"), OperationNotFound)


async def test_chains_end(rig: Rig) -> None:
    call = CallChain("req", 0, ("slack/default/post",))
    await rig.invoker.invoke(ANN, "roadmap", "sync", {}, call=call)
    seen = rig.plugin.requests[-1]
    delegation = rig.tokens.resolve(seen.invocation_token, "roadmap")
    assert delegation.call == CallChain("req", 1, ("slack/default/post", "roadmap/default/sync"))
    assert seen.invocation_id == "req"
    error = await failing(rig, ANN, "slack", "post", call=delegation.call)
    assert isinstance(error, RecursiveCall)
    assert str(error) == "recursive call detected: slack/post already in call chain"
    await rig.invoker.invoke(ANN, "slack", "post", {}, instance="other", call=delegation.call)
    assert isinstance(await failing(rig, ANN, "slack", "post", call=CallChain(depth=5)), CallTooDeep)
    await rig.invoker.invoke(ANN, "slack", "post", {}, call=CallChain(depth=4))


async def test_failures_of_the_process(rig: Rig) -> None:
    rig.plugin.failure = (Code.INTERNAL, "boom")
    error = await failing(rig, ANN, "roadmap", "sync")
    assert isinstance(error, ProviderRefused)
    assert (error.code, str(error)) == ("INTERNAL", "boom")
    rig.plugin.failure = (Code.UNAVAILABLE, "socket closed")
    assert isinstance(await failing(rig, ANN, "roadmap", "sync"), PluginUnavailable)
    rig.plugin_link.down = HostError("provider roadmap is failed")
    rig.plugin.failure = None
    assert isinstance(await failing(rig, ANN, "roadmap", "sync"), PluginUnavailable)


async def test_a_plugin_that_is_being_restarted_is_waited_for(rig: Rig) -> None:
    rig.plugin_link.ready.clear()
    waiting = asyncio.create_task(rig.invoker.invoke(ANN, "roadmap", "sync", {}))
    await one_turn()
    assert not waiting.done()
    assert rig.plugin.requests == []
    rig.plugin_link.ready.set()
    assert (await waiting).status == 200


async def test_the_role_decides_which_operations_are_offered_and_a_ceiling_hides_none(rig: Rig) -> None:
    vault = rig.registry.get("vault")
    assert list(await rig.invoker.operations(ANN, vault)) == []
    assert list(await rig.invoker.operations(ROOT, vault)) == ["write"]
    assert list(await rig.invoker.operations(BOB, vault)) == []
    roadmap = rig.registry.get("roadmap")
    assert list(await rig.invoker.operations(limited(ANN, roadmap=["noop"]), roadmap)) == ["sync", "noop"]
