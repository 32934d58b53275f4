"""A declarative plugin as callers see it: its catalogue, its connections, its surface and what it may reach."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.access.credentials.connections import credential_for
from gestalt_host.config.declared.connections import AuthMapping, ConnectionParam, MappedValue
from gestalt_host.config.declared.pagination import Pagination
from gestalt_host.config.errors import Place
from gestalt_host.config.model import AllowedOperation, ConnectionConfig, ProviderEntry, Source, SourceMode
from gestalt_host.errors import InvalidInvocation, PlatformCredentialMissing
from gestalt_host.invocation.assembly import EntryUnfit, make_plugin
from gestalt_host.invocation.connections import connection_for
from gestalt_host.invocation.model import ConfiguredPlugin, Invocation, OperationResult
from gestalt_host.invocation.rest.catalogue import catalogue_of
from gestalt_host.invocation.rest.egress import EgressRules
from gestalt_host.invocation.rest.surface import require_no_list, rules_of, surface_of
from gestalt_host.packages.manifests.model import Manifest, ManifestConnection
from gestalt_host.packages.manifests.rest_model import (
    ConnectionSelector,
    RestOperation,
    RestParameter,
    RestSurface,
)
from gestalt_sdk.transport.values import to_struct

URL = "https://api.example.org/v1"
WHO = RestParameter("who", "query")
CHOICES = {"robot": "token", "nobody": "open", "7": "plugin"}
OPERATIONS = (
    RestOperation("free", "GET", "/free"),
    RestOperation("pinned", "POST", "/pinned", connection="token"),
    RestOperation("chosen", "GET", "/chosen", selector=ConnectionSelector("who", CHOICES), parameters=(WHO,)),
    RestOperation("default", "GET", "/chosen", selector=ConnectionSelector("who", CHOICES, "robot"), parameters=(WHO,)),
)
CONNECTIONS = {
    "open": ManifestConnection("open", params={"zone": ConnectionParam("zone", "Where", "north")}),
    "token": ManifestConnection("token", "platform", auth_type="bearer"),
}
PAGES = Pagination("page", "page")


class Runner:
    async def invoke(self, invocation: Invocation) -> OperationResult:
        raise NotImplementedError


def manifest(surface: RestSurface | None = None, **members: Any) -> Manifest:
    given = surface or RestSurface(URL, {item.name: item for item in OPERATIONS})
    members = {"connections": CONNECTIONS, "default_connection": "open", **members}
    return Manifest(Path("manifest.yaml"), "plugin", "x", "1.0.0", rest=given, surfaces={"rest": {"a": 1}}, **members)


def entry(source: Source | None = None, **members: Any) -> ProviderEntry:
    source = source or Source(SourceMode.MANIFEST, path=Path("manifest.yaml"))
    return ProviderEntry("plugins", "items", source, Place("gestalt.yaml", 7), **members)


def plugin(item: ProviderEntry | None = None, package: Manifest | None = None) -> ConfiguredPlugin:
    item, package = item or entry(), package or manifest()
    return make_plugin(item, package, catalogue_of(package), Runner(), surface_of(item, package))


# Catalogue ------------------------------------------------------------------------------------------------------------


def test_the_catalogue_has_types_as_written_and_a_schema_of_json_types() -> None:
    parameters = (
        RestParameter("n", "query", "int", "How many", required=True),
        RestParameter("any", "body", "date"),
        RestParameter("none", "header"),
        RestParameter("hidden", "query", "string", internal=True, required=True),
    )
    operation = RestOperation("a b", "POST", "/x", "Does", ("t",), ("admin",), parameters=parameters, idempotent=True)
    found = catalogue_of(manifest(RestSurface(URL, {"a b": operation}), display_name="Items", description="All"))
    assert (found.display_name, found.description, list(found.operations)) == ("Items", "All", ["a b"])
    row = found.operations["a b"]
    assert row.input_schema == {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": "How many"}, "any": {}, "none": {}},
        "required": ["n"],
    }
    assert [(item.name, item.type, item.location, item.internal) for item in row.parameters] == [
        ("n", "int", "query", False),
        ("any", "date", "body", False),
        ("none", "", "header", False),
        ("hidden", "string", "query", True),
    ]
    assert (row.method, row.path, row.transport, row.tags, row.allowed_roles) == (
        *("POST", "/x", "rest"),
        *(("t",), ("admin",)),
    )
    assert row.annotations == {"idempotentHint": True, "openWorldHint": True}
    removal = catalogue_of(manifest(RestSurface(URL, {"d": RestOperation("d", "DELETE", "/", idempotent=True)})))
    assert removal.operations["d"].annotations == {
        "destructiveHint": True,
        "idempotentHint": True,
        "openWorldHint": True,
    }


def test_choices_are_sorted_and_operations_without_parameters_have_no_schema() -> None:
    operations = catalogue_of(manifest()).operations
    assert operations["free"].input_schema is None
    schema = operations["chosen"].input_schema
    assert schema == {"type": "object", "properties": {"who": {"enum": ["7", "nobody", "robot"]}}}


# Connections ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "requested", "params", "used"),
    [
        ("free", "", {}, "open"),
        ("free", "token", {}, "token"),
        ("pinned", "", {}, "token"),
        ("pinned", "token", {}, "token"),
        ("chosen", "", {"who": "robot"}, "token"),
        ("chosen", "", {"who": " robot "}, "token"),
        ("chosen", "", {"who": 7}, "_plugin"),
        ("chosen", "", {"who": 7.0}, "_plugin"),
        ("chosen", "", {"who": None}, "open"),
        ("chosen", "", {"who": ""}, "open"),
        ("chosen", "token", {}, "token"),
        ("default", "", {}, "token"),
        ("default", "", {"who": "nobody"}, "open"),
    ],
)
def test_which_connection_an_operation_uses(
    operation: str, requested: str, params: dict[str, object], used: str
) -> None:
    assert connection_for(plugin(), operation, requested, params).name == used
    assert connection_for(plugin(), operation, requested, to_struct(params).SerializeToString()).name == used


@pytest.mark.parametrize(
    ("operation", "requested", "params", "said"),
    [
        ("pinned", "open", {}, 'uses connection "token"; omit the connection override or use that'),
        ("chosen", "open", {"who": "robot"}, 'uses connection "token"; omit the connection override or use that'),
        ("chosen", "", {"who": "else"}, '"else" is none of "7", "nobody", "robot"'),
        ("chosen", "", {"who": ["robot"]}, '"[\\"robot\\"]" is none of "7", "nobody", "robot"'),
        ("default", "", {"who": True}, '"true" is none of "7", "nobody", "robot"'),
        ("chosen", "", {"who": "x" * 5000}, "xxx"),
        ("chosen", "", {"who": "\\ud800"}, 'parameter "who" '),
    ],
)
def test_a_connection_that_is_not_the_operations(
    operation: str, requested: str, params: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidInvocation, match=re.escape(said)) as refusal:
        connection_for(plugin(), operation, requested, params)
    assert len(str(refusal.value)) < 400


def test_an_alias_is_bound_as_the_operation_is() -> None:
    rows = {
        "pinned": AllowedOperation("pinned", "free"),
        "default": AllowedOperation("default", "d"),
    }
    found = plugin(entry(allowed_operations=rows))
    assert connection_for(found, "free").name == "token"
    assert connection_for(found, "d").name == "token"
    assert list(found.operations) == ["free", "d"]


def test_the_surface_has_a_connection_before_the_default_one() -> None:
    surface = replace(manifest().rest or RestSurface("", {}), connection="plugin")
    found = plugin(package=manifest(surface))
    assert found.default_connection == "_plugin"
    assert connection_for(found, "free").name == "_plugin"
    assert connection_for(found, "free", "token").name == "token"
    assert connection_for(found, "pinned").name == "token"


MAPPING = AuthMapping({"X-Key": MappedValue("k")})
FIELDS = AuthMapping({"X-Key": MappedValue(field="key")})


@pytest.mark.parametrize(
    ("declared", "configured", "mapping"),
    [
        (MAPPING, ConnectionConfig("token"), MAPPING),
        (MAPPING, ConnectionConfig("token", "platform", auth_type="manual", token="t"), MAPPING),
        (MAPPING, ConnectionConfig("token", "platform", auth_type="bearer", token="t"), None),
        (FIELDS, ConnectionConfig("token", "platform", token="t"), None),
        (FIELDS, ConnectionConfig("token", auth_mapping=MAPPING), MAPPING),
        (None, ConnectionConfig("token", "platform", auth_type="manual", auth_mapping=MAPPING), MAPPING),
    ],
)
def test_whose_mapping_counts(
    declared: AuthMapping | None, configured: ConnectionConfig, mapping: AuthMapping | None
) -> None:
    package = manifest(
        connections={
            **CONNECTIONS,
            "token": ManifestConnection("token", "platform", "", "user", "manual", {}, declared),
        }
    )
    found = plugin(entry(connections={"token": configured}), package).connections["token"]
    assert found.auth_mapping == mapping


def test_a_platform_connection_with_a_mapping_needs_no_token() -> None:
    mapped = plugin(entry(connections={"token": ConnectionConfig("token", "platform", auth_mapping=MAPPING)}))
    credential = credential_for("items", mapped.connections["token"])
    assert (credential.mode, credential.mapping, credential.token) == ("platform", MAPPING, "")
    with pytest.raises(PlatformCredentialMissing):
        credential_for("items", plugin().connections["token"])


def test_parameters_of_a_connection_have_the_configurations_defaults() -> None:
    params = {"zone": ConnectionParam("zone", default="south"), "more": ConnectionParam("more", default="1")}
    found = plugin(entry(connections={"open": ConnectionConfig("open", params=params)})).connections["open"]
    assert found.declared_params["zone"] == ConnectionParam("zone", "Where", "south")
    assert credential_for("items", found).params == {"zone": "south", "more": "1"}
    assert credential_for("items", plugin().connections["open"]).params == {"zone": "north"}


# Surface --------------------------------------------------------------------------------------------------------------


def test_the_configurations_base_url_counts() -> None:
    assert surface_of(entry(rest_base_url="http://10.0.0.1/x"), manifest()).base_url == "http://10.0.0.1/x"
    assert surface_of(entry(), manifest()).base_url == URL
    without = manifest(RestSurface("", {"a": OPERATIONS[0]}))
    assert surface_of(entry(rest_base_url=URL), without).base_url == URL
    with pytest.raises(
        EntryUnfit, match=r"^gestalt.yaml:7: plugins.items.surfaces.rest.baseUrl: is required: "
    ) as said:
        surface_of(entry(), without)
    assert said.value.reason == "it has no base URL"


def test_pages_are_followed_where_it_is_asked_for() -> None:
    place = Place("gestalt.yaml", 9)
    row = AllowedOperation("free", "alias", place=place, paginate=True)
    surface = surface_of(entry(allowed_operations={"free": row}), manifest(pagination=PAGES))
    assert {name: item.pagination for name, item in surface.operations.items() if item.pagination} == {"free": PAGES}
    own = replace(row, pagination=replace(PAGES, max_pages=2))
    surface = surface_of(entry(allowed_operations={"free": own}), manifest(pagination=PAGES))
    assert surface.operations["free"].pagination == own.pagination
    assert surface_of(entry(), manifest(pagination=PAGES)).operations["free"].pagination is None
    by_package = {"free": AllowedOperation("free", paginate=True)}
    surface = surface_of(entry(), manifest(pagination=PAGES, allowed_operations=by_package))
    assert surface.operations["free"].pagination == PAGES
    with pytest.raises(EntryUnfit, match=r"^gestalt.yaml:9: plugins.items.allowedOperations.free.paginate: needs to"):
        surface_of(entry(allowed_operations={"free": row}), manifest())
    with pytest.raises(EntryUnfit, match=r"^manifest.yaml: spec.allowedOperations.free.paginate: needs to know"):
        surface_of(entry(), manifest(allowed_operations=by_package))


# Egress ---------------------------------------------------------------------------------------------------------------

RELEASE = Source(SourceMode.URL, url="https://example.org/release.yaml")


@pytest.mark.parametrize(
    ("source", "base_url", "override", "named"),
    [
        (None, "http://127.0.0.1:8080/x", "", {"127.0.0.1"}),
        (None, "http://[::1]:8080/x", "", {"::1"}),
        (None, "http://localhost/", "", {"localhost"}),
        (None, "http://api.internal/", "", set()),
        (None, "http://{zone}.internal/", "", set()),
        (RELEASE, "http://127.0.0.1/", "", set()),
        (RELEASE, "http://127.0.0.1/", "http://10.0.0.1/", {"10.0.0.1"}),
        (RELEASE, "http://127.0.0.1/", "http://api.internal", {"api.internal"}),
        (RELEASE, "http://127.0.0.1/", "http://{zone}.internal", set()),
    ],
)
def test_which_private_hosts_are_named(source: Source | None, base_url: str, override: str, named: set[str]) -> None:
    item, package = entry(source, rest_base_url=override), manifest(RestSurface(base_url, {"a": OPERATIONS[0]}))
    assert rules_of(item, surface_of(item, package), default_deny=False).named == named


def test_the_list_of_hosts_and_the_default() -> None:
    item = entry(allowed_hosts=("*.example.org", "10.0.0.0/8"))
    rules = rules_of(item, surface_of(item, manifest()), default_deny=True)
    assert rules == EgressRules(("*.example.org", "10.0.0.0/8"), default_deny=True)
    item = entry(allowed_hosts=("ok.example.org", "a b"))
    with pytest.raises(EntryUnfit, match=r"plugins.items.egress.allowedHosts\[1\]: 'a b' cannot be used; accepted are"):
        rules_of(item, surface_of(item, manifest()), default_deny=False)


def test_no_process_is_said_to_be_kept_to_a_list() -> None:
    require_no_list(entry(), default_deny=False)
    for item, deny in ((entry(allowed_hosts=("x",)), False), (entry(), True)):
        with pytest.raises(EntryUnfit, match="cannot be held") as said:
            require_no_list(item, default_deny=deny)
        assert said.value.reason == "it is a process, which cannot be kept to a list of hosts"
    with pytest.raises(EntryUnfit, match="the plugin has no REST surface"):
        require_no_list(entry(rest_base_url="http://x"), default_deny=False)
