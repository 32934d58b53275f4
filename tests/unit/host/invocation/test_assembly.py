"""Plugins from configuration, manifest and catalogue: operations under their aliases, connections and the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gestalt_host.config.errors import Place
from gestalt_host.config.model import (
    AllowedOperation,
    ConnectionConfig,
    InvokeConfig,
    ProviderEntry,
    Source,
    SourceMode,
)
from gestalt_host.invocation.assembly import OperationsUnfit, connections_of, make_plugin
from gestalt_host.invocation.model import Invocation, OperationResult
from gestalt_host.packages.catalogue import CatalogueOperation, PluginCatalogue
from gestalt_host.packages.manifests.model import Manifest, ManifestConnection

CATALOGUE = PluginCatalogue(
    "roadmap",
    "Road map",
    operations={"sync": CatalogueOperation("sync", tags=("a",)), "noop": CatalogueOperation("noop")},
)


class Runner:
    async def invoke(self, invocation: Invocation) -> OperationResult:
        raise NotImplementedError


def entry(**members: Any) -> ProviderEntry:
    place = Place("gestalt.yaml", 1)
    source = Source(SourceMode.BUILTIN, builtin="roadmap")
    return ProviderEntry(kind="plugins", name="roadmap", source=source, place=place, **members)


def manifest(**members: Any) -> Manifest:
    return Manifest(Path("manifest.yaml"), "plugin", "x", "1.0.0", **members)


def test_names_fall_back_to_manifest_and_catalogue() -> None:
    assert make_plugin(entry(), manifest(), CATALOGUE, Runner()).display_name == "Road map"
    assert make_plugin(entry(), manifest(display_name="M"), CATALOGUE, Runner()).display_name == "M"
    assert make_plugin(entry(display_name="E"), manifest(display_name="M"), CATALOGUE, Runner()).display_name == "E"


def test_allowed_operations_rename_and_restrict() -> None:
    allowed = {"sync": AllowedOperation("sync", "pull", "Pulls", ("admin",), ("b",))}
    plugin = make_plugin(entry(allowed_operations=allowed), manifest(), CATALOGUE, Runner())
    assert list(plugin.operations) == ["pull"]
    assert plugin.provider_operations == {"pull": "sync"}
    operation = plugin.operations["pull"]
    assert (operation.description, operation.allowed_roles, operation.tags) == ("Pulls", ("admin",), ("a", "b"))
    kept = {"sync": AllowedOperation("sync")}
    plugin = make_plugin(entry(), manifest(allowed_operations=kept), CATALOGUE, Runner())
    assert list(plugin.operations) == ["sync"]
    assert plugin.operations["sync"].tags == ("a",)


@pytest.mark.parametrize(
    ("allowed", "text"),
    [
        ({"gone": AllowedOperation("gone")}, r"plugins\.roadmap\.allowedOperations\.gone: .*known: sync, noop"),
        (
            {"sync": AllowedOperation("sync", "noop"), "noop": AllowedOperation("noop")},
            r"plugins\.roadmap\.allowedOperations\.noop\.alias: 'noop' is taken",
        ),
    ],
)
def test_allowed_operations_that_do_not_fit(allowed: dict[str, AllowedOperation], text: str) -> None:
    with pytest.raises(OperationsUnfit, match=text):
        make_plugin(entry(allowed_operations=allowed), manifest(), CATALOGUE, Runner())


@pytest.mark.parametrize(
    ("names", "declared", "default"),
    [
        ((), "", "_plugin"),
        (("one",), "", "one"),
        (("one", "two"), "", "_plugin"),
        (("one", "default"), "", "default"),
        (("one", "default"), "one", "one"),
        (("one",), "plugin", "_plugin"),
    ],
)
def test_the_default_connection(names: tuple[str, ...], declared: str, default: str) -> None:
    found = manifest(connections={name: ManifestConnection(name) for name in names}, default_connection=declared)
    assert connections_of(entry(), found)[1] == default


def test_the_configuration_speaks_last_and_never_opens_what_is_internal() -> None:
    declared = {
        "a": ManifestConnection("a", "user", "A"),
        "b": ManifestConnection("b", "none", exposure="internal"),
    }
    configured = {
        "a": ConnectionConfig("a", "platform", token="t"),
        "b": ConnectionConfig("b", exposure="user"),
        "c": ConnectionConfig("c", exposure="internal"),
        "plugin": ConnectionConfig("plugin", "platform", token="x"),
    }
    found, _ = connections_of(entry(connections=configured), manifest(connections=declared))
    assert (found["a"].mode, found["a"].token, found["a"].display_name) == ("platform", "t", "A")
    assert found["b"].internal
    assert found["c"].internal
    assert found["c"].mode == "none"
    assert found["_plugin"].token == "x"
    assert "plugin" not in found


def test_declared_invokes() -> None:
    invokes = (InvokeConfig("slack", "post", credential_mode="none"), InvokeConfig("graph", surface="graphql"))
    plugin = make_plugin(entry(invokes=invokes), manifest(), CATALOGUE, Runner())
    declared = plugin.declared_invoke("slack", "post")
    assert declared is not None
    assert declared.credential_mode == "none"
    assert plugin.declared_invoke("graph", "") is None
    assert plugin.declared_invoke("slack", "search") is None
