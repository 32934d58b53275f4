"""What a configuration says of plugins whose operations are in their manifest: connections, base URL, pages, egress."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gestalt_host.config.declared.connections import AuthMapping, ConnectionParam, MappedValue
from gestalt_host.config.declared.pagination import Pagination
from tests.support.rigs.config import MINIMAL, Loader

Faults = Callable[..., list[str]]
PLUGIN = "plugins: {p: {source: m.yaml, %s}}"
MAPPED = "authMapping: {headers: {X-Key: {value: ' k'}}, basic: {username: {value: robot}, password: {value: 'p:w'}}}"
MAPPING = AuthMapping({"X-Key": MappedValue(" k")}, (MappedValue("robot"), MappedValue("p:w")))


def test_a_mapping_of_a_shared_connection_and_of_an_inline_one(loaded: Loader) -> None:
    config = loaded(
        f"""
        connections:
          robot:
            displayName: The robot
            mode: platform
            auth: {{type: manual, {MAPPED}}}
            params: {{zone: {{default: a}}}}
          person:
            auth:
              type: manual
              credentials: [{{name: key, label: Key, description: From the page}}]
              authMapping: {{headers: {{X-Key: {{valueFrom: {{credentialFieldRef: {{name: key}}}}}}}}}}
        plugins:
          p:
            source: m.yaml
            connections:
              a: {{ref: robot}}
              b:
                mode: platform
                auth: {{type: manual, {MAPPED}}}
                params: {{zone: {{required: true, description: Where}}}}
              c: {{ref: person}}
        """
    )
    found = config.plugins["p"].connections
    assert (found["a"].ref, found["a"].mode, found["a"].display_name) == ("robot", "platform", "The robot")
    assert found["a"].auth_mapping == found["b"].auth_mapping == MAPPING
    assert found["a"].params == {"zone": ConnectionParam("zone", default="a")}
    assert found["b"].params == {"zone": ConnectionParam("zone", "Where", required=True)}
    assert found["c"].auth_mapping == AuthMapping({"X-Key": MappedValue(field="key")})
    assert (found["c"].mode, config.unprovided) == ("user", ())
    assert not [item for item in config.unused if "authMapping" in item.path or "params" in item.path]
    assert "p:w" not in repr(config)


def test_what_a_plugin_may_reach_and_where_its_operations_are(loaded: Loader) -> None:
    plugin = loaded(
        PLUGIN % "egress: {allowedHosts: [' *.example.org ', '']}, surfaces: {rest: {baseUrl: 'http://10.0.0.1/v1'}}"
    ).plugins["p"]
    assert (plugin.allowed_hosts, plugin.rest_base_url) == (("*.example.org",), "http://10.0.0.1/v1")
    plugin = loaded(PLUGIN % "surfaces: {rest: {baseUrl: ''}, openapi: {baseUrl: ''}}").plugins["p"]
    assert (plugin.allowed_hosts, plugin.rest_base_url) == ((), "")
    assert loaded("server: {egress: {defaultAction: deny}}").server.egress_deny
    assert not loaded(MINIMAL).server.egress_deny


def test_which_operations_are_fetched_to_their_last_page(loaded: Loader) -> None:
    rows = (
        loaded(
            PLUGIN % "allowedOperations: {a: {paginate: true}, b: {paginate: true, pagination: {style: offset, "
            "cursorParam: o, limitParam: n, defaultLimit: 10, resultsPath: x.y, maxPages: 2}}, c: {}}"
        )
        .plugins["p"]
        .allowed_operations
    )
    assert rows is not None
    assert [(row.paginate, row.pagination) for row in rows.values()] == [
        (True, None),
        (True, Pagination("offset", "o", limit_parameter="n", default_limit=10, results_path="x.y", max_pages=2)),
        (False, None),
    ]


ONE_FAULT = [
    (PLUGIN % "surfaces: {rest: {url: x}}", "plugins.p.surfaces.rest.url: unknown key; accepted are baseUrl"),
    (PLUGIN % "surfaces: {soap: {}}", "plugins.p.surfaces.soap: unknown key; "),
    (
        PLUGIN % "surfaces: {rest: {baseUrl: 'http://user:secret@x.org'}}",
        "plugins.p.surfaces.rest.baseUrl: cannot be used; accepted is an http or https URL without a user, a query",
    ),
    (
        PLUGIN % "allowedOperations: {a: {pagination: {style: link, cursorParam: c}}}",
        "plugins.p.allowedOperations.a.pagination.style: 'link' is not supported; accepted are cursor, offset, page",
    ),
    (
        PLUGIN
        % "connections: {c: {mode: platform, auth: {type: manual, authMapping: {headers: {'a b': {value: x}}}}}}",
        "plugins.p.connections.c.auth.authMapping.headers.a b: 'a b' cannot be set as a header; accepted are letters",
    ),
    (
        PLUGIN % 'connections: {c: {mode: platform, auth: {authMapping: {headers: {a: {value: "secret\\n"}}}}}}',
        "plugins.p.connections.c.auth.authMapping.headers.a.value: holds a line break or another control character",
    ),
    (
        "connections: {c: {mode: platform, auth: {type: manual, authMapping: {headers: {a: "
        "{valueFrom: {credentialFieldRef: {name: key}}}}}}}}",
        "connections.c.auth.authMapping.headers.a.valueFrom.credentialFieldRef.name: 'key' is not a field of",
    ),
    (
        "connections: {c: {mode: platform, auth: {type: manual, token: t, credentials: [{name: key}]}}}",
        "connections.c.auth.credentials: are what a user fills in; a connection in mode platform has none",
    ),
    ("connections: {c: {params: {zone: {value: x}}}}", "connections.c.params.zone.value: unknown key; accepted are"),
]


@pytest.mark.parametrize(("text", "said"), ONE_FAULT)
def test_what_cannot_be_used_is_named_without_its_secret(faults: Faults, text: str, said: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(f"a.yaml:1: {said}")
    assert "secret" not in fault


def test_a_platform_connection_needs_something_to_send(loaded: Loader) -> None:
    config = loaded("connections: {c: {mode: platform, auth: {type: manual}}}")
    assert [problem.path for problem in config.unprovided] == ["connections.c.auth"]
