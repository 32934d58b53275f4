"""``surfaces.rest`` of a manifest: what is read, and what is refused with its line and dotted path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.config.declared.connections import AuthMapping, ConnectionParam, MappedValue
from gestalt_host.config.declared.pagination import Pagination
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.manifests.document import manifest_document
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.reading import read_manifest
from gestalt_host.packages.manifests.rest_model import ConnectionSelector, RestParameter

HEAD = "kind: plugin\nsource: example.org/plugins/items/items\nversion: 1.0.0\nspec:\n"
SURFACE = "surfaces.rest.operations[0]"


def read(tmp_path: Path, spec: str) -> Manifest:
    path = tmp_path / "manifest.yaml"
    path.write_text(HEAD + "".join(f"  {line}\n" for line in spec.splitlines()))
    return read_manifest(path)


def refused(tmp_path: Path, spec: str) -> list[str]:
    with pytest.raises(PackageInvalid) as refusal:
        read(tmp_path, spec)
    lines = str(refusal.value).replace(f"{tmp_path}/", "").splitlines()
    return [line.removeprefix("manifest: ").strip() for line in lines if "problems" not in line]


def surface(operations: str, more: str = "", rest: str = "") -> str:
    return f"{more}surfaces:\n  rest:\n    baseUrl: https://api.example.org/v1\n{rest}    operations: {operations}\n"


def one(operation: str, more: str = "") -> str:
    return surface(f"[{{name: look, method: GET, path: /look{operation}}}]", more)


FULL = """\
defaultConnection: open
headers: {Accept: application/json, x-tenant: "<{tenant}>"}
connections:
  open: {mode: none, params: {tenant: {default: acme, description: Whose}, zone: {required: true}}}
  key:
    mode: user
    auth:
      type: manual
      credentials: [{name: name}, {name: key, label: API key}]
      authMapping:
        headers: {X-Api-Key: {valueFrom: {credentialFieldRef: {name: key}}}, X-Fixed: {value: " f"}}
        basic: {username: {valueFrom: {credentialFieldRef: {name: name}}}, password: {value: "p:w"}}
allowedOperations: {look: {paginate: true, pagination: {style: page, cursorParam: page, maxPages: 3}}}
responseMapping: {dataPath: data.items}
pagination: {style: cursor, cursorParam: after, cursor: {source: header, path: X-Next}, limitParam: n, defaultLimit: 50}
surfaces:
  rest:
    baseUrl: https://api.example.org/{zone}
    connection: open
    operations:
      - name: look
        description: Looks
        method: POST
        path: /items/{id}
        idempotent: true
        tags: [read]
        allowedRoles: [admin]
        connectionSelector: {parameter: who, default: me, values: {me: key, nobody: open, "7": plugin}}
        parameters:
          - {name: id, type: int, in: path, description: Which, required: true}
          - {name: who, in: header, internal: true}
          - {name: any, type: date, in: body}
      - {name: a blank, method: DELETE, path: items, connection: key}
"""


def test_everything_that_a_surface_can_say_is_read(tmp_path: Path) -> None:
    manifest = read(tmp_path, FULL)
    rest = manifest.rest
    assert rest is not None
    assert (rest.base_url, rest.connection) == ("https://api.example.org/{zone}", "open")
    assert rest.headers == {"Accept": "application/json", "x-tenant": "<{tenant}>"}
    look, blank = rest.operations["look"], rest.operations["a blank"]
    assert (look.method, look.path, look.description) == ("POST", "/items/{id}", "Looks")
    assert (look.tags, look.allowed_roles, look.idempotent) == (("read",), ("admin",), True)
    assert look.data_path == blank.data_path == "data.items"
    assert look.selector == ConnectionSelector("who", {"me": "key", "nobody": "open", "7": "plugin"}, "me")
    assert look.parameters == (
        RestParameter("id", "path", "int", "Which", required=True),
        RestParameter("who", "header", internal=True),
        RestParameter("any", "body", "date"),
    )
    assert (blank.connection, blank.path, blank.idempotent, blank.parameters) == ("key", "items", False, ())
    assert manifest.pagination == Pagination("cursor", "after", "header", "X-Next", "n", 50, max_pages=100)
    assert manifest.allowed_operations is not None
    row = manifest.allowed_operations["look"]
    assert (row.paginate, row.pagination) == (True, Pagination("page", "page", max_pages=3))
    assert manifest.connections["open"].params == {
        "tenant": ConnectionParam("tenant", "Whose", "acme"),
        "zone": ConnectionParam("zone", required=True),
    }
    assert manifest.connections["key"].auth_mapping == AuthMapping(
        {"X-Api-Key": MappedValue(field="key"), "X-Fixed": MappedValue(" f")},
        (MappedValue(field="name"), MappedValue("p:w")),
    )


def test_what_a_lock_file_holds_of_it_is_what_was_written(tmp_path: Path) -> None:
    document = json.loads(json.dumps(manifest_document(read(tmp_path, FULL))))
    operation: dict[str, Any] = document["spec"]["surfaces"]["rest"]["operations"][0]
    assert list(operation)[:6] == ["name", "description", "method", "path", "idempotent", "tags"]
    assert "idempotent" not in document["spec"]["surfaces"]["rest"]["operations"][1]
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(document))
    again = read_manifest(path)
    assert again.rest == read(tmp_path, FULL).rest


def test_a_base_url_may_be_left_to_the_configuration(tmp_path: Path) -> None:
    manifest = read(tmp_path, one("").replace("    baseUrl: https://api.example.org/v1\n", ""))
    assert manifest.rest is not None
    assert manifest.rest.base_url == ""
    assert manifest.is_declarative


@pytest.mark.parametrize("more", ["openapi: {document: a.yaml}", "mcp: {url: 'https://x.org'}", "graphql: {url: x}"])
def test_a_surface_of_another_kind_beside_it_is_not_without_a_process(tmp_path: Path, more: str) -> None:
    assert not read(tmp_path, f"{one('')}  {more}\n").is_declarative


REFUSED = {
    "a place that is none": (
        one(", parameters: [{name: h, in: cookie}]"),
        f"spec.{SURFACE}.parameters[0].in: 'cookie' is not a place of a parameter; "
        "accepted are path, query, header, body",
    ),
    "no place": (one(", parameters: [{name: h}]"), f"spec.{SURFACE}.parameters[0].in: is required; accepted are path"),
    "a default": (
        one(", parameters: [{name: h, in: query, default: 1}]"),
        f"spec.{SURFACE}.parameters[0].default: unknown key; ",
    ),
    "a title": (one(", title: Look"), f"spec.{SURFACE}.title: unknown key; "),
    "headers of the surface": (
        surface("[{name: a, method: GET, path: /}]", rest="    headers: {a: b}\n"),
        "spec.surfaces.rest.headers: unknown key; ",
    ),
    "a method in lower case": (
        surface("[{name: look, method: get, path: /}]"),
        f"spec.{SURFACE}.method: 'get' is not a method of an operation; accepted are GET, POST, PUT, PATCH, DELETE",
    ),
    "another method": (surface("[{name: look, method: HEAD, path: /}]"), f"spec.{SURFACE}.method: 'HEAD' is not a"),
    "no method": (surface("[{name: look, path: /}]"), f"spec.{SURFACE}.method: is required; accepted are GET"),
    "no path": (surface("[{name: look, method: GET}]"), f"spec.{SURFACE}.path: is required"),
    "no name": (surface("[{method: GET, path: /}]"), f"spec.{SURFACE}.name: is required"),
    "one name twice": (
        surface("[{name: look, method: GET, path: /}, {name: look, method: PUT, path: /}]"),
        "spec.surfaces.rest.operations[1].name: 'look' is already the name of another operation",
    ),
    "one parameter twice": (
        one(", parameters: [{name: h, in: query}, {name: h, in: body}]"),
        f"spec.{SURFACE}.parameters[1].name: 'h' is already the name of another parameter",
    ),
    "a parameter without a name": (
        one(", parameters: [{in: query}]"),
        f"spec.{SURFACE}.parameters[0].name: is required",
    ),
    "a path parameter without its placeholder": (
        surface("[{name: look, method: GET, path: '/x/{a}', parameters: [{name: h, in: path}]}]"),
        f"spec.{SURFACE}.parameters[0].name: 'h' is a path parameter without a placeholder: '/x/{{a}}' has {{a}}",
    ),
    "a header that is the client's own": (
        one(", parameters: [{name: Host, in: header}]"),
        f"spec.{SURFACE}.parameters[0].name: 'Host' cannot be set as a header; accepted are letters",
    ),
    "a header with a blank": (one("", "headers: {'a b': c}\n"), "spec.headers.a b: 'a b' cannot be set as a header"),
    "a header with a line break": (
        one("", 'headers: {a: "secret\\nb"}\n'),
        "spec.headers.a: holds a line break or another control character, which no header can",
    ),
    "no operations": (surface("[]"), "spec.surfaces.rest.operations: is required: a surface has at least one"),
    "a base URL of another scheme": (
        one("").replace("https://api.example.org/v1", "ftp://user:secret@x.org"),
        "spec.surfaces.rest.baseUrl: cannot be used; accepted is an http or https URL without a user",
    ),
    "an undeclared connection": (
        one(", connection: nope", "connections: {b: {}, a: {}}\n"),
        f"spec.{SURFACE}.connection: references undeclared connection 'nope'; declared are a, b, plugin",
    ),
    "an undeclared connection of the surface": (
        surface("[{name: a, method: GET, path: /}]", rest="    connection: nope\n"),
        "spec.surfaces.rest.connection: references undeclared connection 'nope'; declared are plugin",
    ),
    "a selector of no parameter": (
        one(", connectionSelector: {parameter: p, values: {a: plugin}}"),
        f"spec.{SURFACE}.connectionSelector.parameter: 'p' is not one of the operation's parameters; declared are none",
    ),
    "a selector's default that is no value": (
        one(
            ", parameters: [{name: p, in: query}], connectionSelector: {parameter: p, default: z, values: {a: plugin}}"
        ),
        f"spec.{SURFACE}.connectionSelector.default: 'z' is not one of the values; accepted are a",
    ),
    "a selector without values": (
        one(", parameters: [{name: p, in: query}], connectionSelector: {parameter: p}"),
        f"spec.{SURFACE}.connectionSelector.values: is required: the values of the parameter",
    ),
    "a selector of an undeclared connection": (
        one(", parameters: [{name: p, in: query}], connectionSelector: {parameter: p, values: {a: nope}}"),
        f"spec.{SURFACE}.connectionSelector.values.a: references undeclared connection 'nope'; declared are plugin",
    ),
    "a selector's default beside a connection": (
        one(
            ", connection: plugin, parameters: [{name: p, in: query}],"
            " connectionSelector: {parameter: p, default: a, values: {a: plugin}}"
        ),
        f"spec.{SURFACE}.connectionSelector.default: cannot be combined with the operation's connection",
    ),
    "allowed operations that allow none": (
        one("", "allowedOperations: {}\n"),
        "spec.allowedOperations: is empty, so nothing could be called; leave it out to allow every operation",
    ),
    "an allowed operation that is none": (
        one("", "allowedOperations: {nope: {}}\n"),
        "spec.allowedOperations.nope: is not one of the surface's operations; accepted are look",
    ),
    "two operations of one name": (
        surface(
            "[{name: look, method: GET, path: /}, {name: send, method: PUT, path: /}]",
            "allowedOperations: {look: {alias: x}, send: {alias: x}}\n",
        ),
        "spec.allowedOperations.send.alias: 'x' is already what 'look' is offered as",
    ),
    "pages of an unknown style": (
        one("", "pagination: {style: link, cursorParam: c}\n"),
        "spec.pagination.style: 'link' is not supported; accepted are cursor, offset, page",
    ),
    "pages without a style": (
        one("", "pagination: {cursorParam: c}\n"),
        "spec.pagination.style: is required; accepted",
    ),
    "pages without a parameter": (one("", "pagination: {style: page}\n"), "spec.pagination.cursorParam: is required"),
    "a cursor from nowhere": (
        one("", "pagination: {style: cursor, cursorParam: c}\n"),
        "spec.pagination.cursor.path: is required: where the next cursor is",
    ),
    "no pages": (
        one("", "pagination: {style: page, cursorParam: c, maxPages: 0}\n"),
        "spec.pagination.maxPages: 0 is out of range; accepted are integers at least 1",
    ),
    "fields of a deployment's credential": (
        one("", "connections: {c: {mode: platform, auth: {type: manual, credentials: [{name: key}]}}}\n"),
        "spec.connections.c.auth.credentials: are what a user fills in; a connection in mode platform has none",
    ),
    "a mapping of a field that is not declared": (
        one(
            "",
            "connections: {c: {auth: {type: manual, authMapping: {headers:"
            " {k: {valueFrom: {credentialFieldRef: {name: key}}}}}}}}\n",
        ),
        "spec.connections.c.auth.authMapping.headers.k.valueFrom.credentialFieldRef.name: "
        "'key' is not a field of credentials; declared are none",
    ),
    "a mapping of nothing": (
        one("", "connections: {c: {auth: {type: manual, authMapping: {headers: {k: {}}}}}}\n"),
        "spec.connections.c.auth.authMapping.headers.k: exactly one of value and valueFrom is required",
    ),
    "an authentication of no kind": (
        one("", "connections: {c: {auth: {type: beerer}}}\n"),
        "spec.connections.c.auth.type: 'beerer' is not supported; accepted are oauth2",
    ),
    "an empty mapping": (
        one("", "connections: {c: {auth: {type: manual, authMapping: {}}}}\n"),
        "spec.connections.c.auth.authMapping: is empty; accepted are headers, basic or both",
    ),
    "a name without a password": (
        one("", "connections: {c: {auth: {authMapping: {basic: {username: {value: a}}}}}}\n"),
        "spec.connections.c.auth.authMapping.basic.password: is required: {value: ",
    ),
}


@pytest.mark.parametrize(("spec", "said"), REFUSED.values(), ids=REFUSED)
def test_what_no_request_could_be_made_of_is_refused(tmp_path: Path, spec: str, said: str) -> None:
    (line,) = refused(tmp_path, spec)
    place, _, text = line.partition(": ")
    assert text.startswith(said)
    file, _, number = place.partition(":")
    assert (file, int(number) > 4) == ("manifest.yaml", True)


def test_a_refusal_shows_no_secret(tmp_path: Path) -> None:
    with_secret = [spec for spec, _ in REFUSED.values() if "secret" in spec]
    assert len(with_secret) == 2
    for spec in with_secret:
        assert all("secret" not in line for line in refused(tmp_path, spec))
