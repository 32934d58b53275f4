"""Manifests of plugins without code that are wrong or written to do harm: each refused, naming the marked line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gestalt_host.packages import PackageInvalid, read_manifest
from gestalt_host.packages.manifests.rest_model import METHODS, PLACES

MARK = "# <-"
HEAD = "kind: plugin\nsource: example.org/owner/repo/plugins/rest\nversion: 1.0.0\nspec:\n"
BASE = "baseUrl: https://api.example.org\n"
LOOK = "operations: [{name: look, method: GET, path: /look}]\n"
BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))])


def spec(text: str) -> str:
    """Return a manifest with this spec."""
    return HEAD + textwrap.indent(textwrap.dedent(text).strip("\n"), "  ") + "\n"


def surface(text: str, beside: str = "") -> str:
    """Return a manifest with this surface, and with what is beside it in the spec."""
    inner = textwrap.indent(textwrap.dedent(text).strip("\n"), "    ")
    return spec(f"{textwrap.dedent(beside)}\nsurfaces:\n  rest:\n{inner}")


def operation(text: str, beside: str = "") -> str:
    """Return a manifest with one operation."""
    inner = textwrap.indent(textwrap.dedent(text).strip("\n"), "    ").replace("    ", "  - ", 1)
    return surface(f"{BASE}operations:\n{inner}", beside)


def parameter(text: str, path: str = "/x") -> str:
    """Return a manifest with an operation of one parameter, written on one line, which is the marked one."""
    return operation(f"name: a\nmethod: GET\npath: {path}\nparameters:\n  - {text}  {MARK}")


def beside(text: str, *, params: str = "") -> str:
    """Return a manifest whose surface is right, with what is beside it."""
    return surface(BASE + LOOK, textwrap.dedent(text))


AT = "spec.surfaces.rest"
ONE = f"{AT}.operations[0]"
FIRST = f"{ONE}.parameters[0]"
CONNECTIONS = "connections: {door: {mode: none}}\n"
CASES: dict[str, tuple[str, str, str]] = {
    # The surface.
    "a surface that is a list": (spec(f"surfaces:\n  rest: [a]  {MARK}"), AT, "must be a mapping, not a list"),
    "a surface that is text": (spec(f"surfaces:\n  rest: look  {MARK}"), AT, "must be a mapping, not text"),
    "surfaces that are a list": (spec(f"surfaces: []  {MARK}"), "spec.surfaces", "must be a mapping, not a list"),
    "no operations": (surface(f"baseUrl: https://api.example.org  {MARK}"), f"{AT}.operations", "is required"),
    "an empty list of operations": (surface(f"{BASE}operations: []  {MARK}"), f"{AT}.operations", "at least one"),
    "operations as a mapping": (
        surface(f"{BASE}operations:  {MARK}\n  look: {{method: GET, path: /look}}"),
        f"{AT}.operations",
        "must be a list, not a mapping",
    ),
    "an operation that is text": (surface(f"{BASE}operations: [look]  {MARK}"), ONE, "must be a mapping, not text"),
    "an operation that is null": (surface(f"{BASE}operations: [null]  {MARK}"), ONE, ""),
    "an unknown key of the surface": (
        surface(f"{BASE}headers: {{a: b}}  {MARK}\n{LOOK}"),
        f"{AT}.headers",
        "unknown key",
    ),
    # Where it is.
    **{
        f"the base URL {url!r}": (surface(f"baseUrl: {url}  {MARK}\n{LOOK}"), f"{AT}.baseUrl", "")
        for url in (
            "/only/a/path",
            "api.example.org",
            "ftp://api.example.org",
            "file:///etc/passwd",
            "http://",
            "http:///path",
            "https://user:password@api.example.org",
            "https://api.example.org:99999",
            "https://api.example.org:port",
            "https://api.example.org/#part",
            "https://[::1",
            '"https://api.example.org\\r\\nX-Evil: 1"',
            '"https://api.example.org/a b"',
            "[https://api.example.org]",
        )
    },
    # An operation.
    "no name": (operation(f"method: GET  {MARK}\npath: /x"), f"{ONE}.name", "is required"),
    "a name that is a mapping": (operation(f"name: {{a: b}}  {MARK}\nmethod: GET\npath: /x"), f"{ONE}.name", "text"),
    "a name twice": (
        surface(
            f"{BASE}operations:\n  - {{name: a, method: GET, path: /}}\n  - {{name: a, method: PUT, path: /}}  {MARK}"
        ),
        f"{AT}.operations[1].name",
        "'a'",
    ),
    "no method": (operation(f"name: a  {MARK}\npath: /x"), f"{ONE}.method", ", ".join(METHODS)),
    **{
        f"the method {method}": (operation(f"name: a\nmethod: {method}  {MARK}\npath: /x"), f"{ONE}.method", "")
        for method in ("get", "HEAD", "CONNECT", "[GET]", '"GET /x HTTP/1.1\\r\\nX: "')
    },
    "no path": (operation(f"name: a  {MARK}\nmethod: GET"), f"{ONE}.path", "is required"),
    "a path that is a list": (operation(f"name: a\nmethod: GET\npath: [x]  {MARK}"), f"{ONE}.path", "must be text"),
    "a path with line breaks": (
        operation(f'name: a\nmethod: GET\npath: "/x HTTP/1.1\\r\\nX-Evil: 1"  {MARK}'),
        f"{ONE}.path",
        "",
    ),
    "a path with a fragment": (operation(f'name: a\nmethod: GET\npath: "/x#y"  {MARK}'), f"{ONE}.path", "#"),
    "a title": (operation(f"name: a\ntitle: A  {MARK}\nmethod: GET\npath: /x"), f"{ONE}.title", "unknown key"),
    "tags that are text": (operation(f"name: a\nmethod: GET\npath: /x\ntags: read  {MARK}"), f"{ONE}.tags", "list"),
    "an idempotence that is none": (
        operation(f"name: a\nmethod: PUT\npath: /x\nidempotent: mostly  {MARK}"),
        f"{ONE}.idempotent",
        "true or false",
    ),
    # Its parameters.
    "parameters as a mapping": (
        operation(f"name: a\nmethod: GET\npath: /x\nparameters: {{q: {{in: query}}}}  {MARK}"),
        f"{ONE}.parameters",
        "must be a list, not a mapping",
    ),
    "a parameter that is text": (parameter("q"), FIRST, "must be a mapping, not text"),
    "a parameter without a name": (parameter("{in: query}"), f"{FIRST}.name", "is required"),
    "a parameter without a place": (parameter("{name: q}"), f"{FIRST}.in", ", ".join(PLACES)),
    "a parameter in a cookie": (parameter("{name: q, in: cookie}"), f"{FIRST}.in", ", ".join(PLACES)),
    "a place in upper case": (parameter("{name: q, in: Query}"), f"{FIRST}.in", ", ".join(PLACES)),
    "a parameter twice": (
        operation(
            "name: a\nmethod: GET\npath: /x\nparameters:\n  - {name: q, in: query}\n"
            f"  - {{name: q, in: body}}  {MARK}"
        ),
        f"{ONE}.parameters[1].name",
        "'q'",
    ),
    "a path parameter without a place in the path": (parameter("{name: id, in: path}"), f"{FIRST}.name", "'id'"),
    "a path parameter whose placeholder is another": (
        parameter("{name: id, in: path}", path='"/x/{ID}"'),
        f"{FIRST}.name",
        "'id'",
    ),
    "a default": (parameter("{name: q, in: query, default: 1}"), f"{FIRST}.default", "unknown key"),
    "an enum": (parameter("{name: q, in: query, enum: [a]}"), f"{FIRST}.enum", "unknown key"),
    "a need that is none": (parameter("{name: q, in: query, required: perhaps}"), f"{FIRST}.required", "true or false"),
    "a secrecy that is none": (parameter("{name: q, in: query, internal: 3}"), f"{FIRST}.internal", "true or false"),
    **{
        f"the header {name}": (parameter(f"{{name: {name}, in: header}}"), f"{FIRST}.name", "")
        for name in ("Host", "content-length", "Transfer-Encoding", "Connection", '"x: y"', '"a\\r\\nb"', '"é"')
    },
    # Headers that always go along.
    "headers as a list": (beside(f"headers: [a]  {MARK}"), "spec.headers", "must be a mapping, not a list"),
    **{
        f"the static header {pair}": (beside(f"headers: {{{pair}}}  {MARK}"), "spec.headers", "")
        for pair in ("Host: evil", "content-length: 1", '"a b": c', '"": c', 'x: "a\\r\\nb: c"', "x: [a]")
    },
    # Connections.
    "a pinned connection that is not declared": (
        operation(f"name: a\nmethod: GET\npath: /x\nconnection: nope  {MARK}", CONNECTIONS),
        f"{ONE}.connection",
        "'nope'",
    ),
    "a surface's connection that is not declared": (
        surface(f"{BASE}connection: nope  {MARK}\n{LOOK}", CONNECTIONS),
        f"{AT}.connection",
        "'nope'",
    ),
    **{
        f"a selector {name}": (
            operation(
                f"name: a\nmethod: GET\npath: /x\n{more}connectionSelector: {text}  {MARK}\n"
                "parameters: [{name: as, in: query}]",
                CONNECTIONS,
            ),
            f"{ONE}.connectionSelector{key}",
            "",
        )
        for name, text, key, more in (
            ("that is text", "as", "", ""),
            ("without a parameter", "{values: {a: door}}", ".parameter", ""),
            ("of a parameter that is not declared", "{parameter: who, values: {a: door}}", ".parameter", ""),
            ("without values", "{parameter: as}", ".values", ""),
            ("with no values", "{parameter: as, values: {}}", ".values", ""),
            ("with a value that leads nowhere", "{parameter: as, values: {a: nope}}", ".values.a", ""),
            ("with a value of null", "{parameter: as, values: {a: null}}", ".values.a", ""),
            ("whose default is not a value", "{parameter: as, default: z, values: {a: door}}", ".default", ""),
            ("beside a pinned one", "{parameter: as, default: a, values: {a: door}}", ".default", "connection: door\n"),
            ("with a key too many", "{parameter: as, values: {a: door}, else: door}", ".else", ""),
        )
    },
    **{
        f"the mapping {name}": (
            beside(f"connections: {{c: {{mode: platform, auth: {{type: manual, authMapping: {text}}}}}}}  {MARK}"),
            "spec.connections.c.auth.authMapping",
            "",
        )
        for name, text in (
            ("that is text", "Bearer"),
            ("of a header that is the host's", "{headers: {Host: {value: x}}}"),
            ("of a header with a line break", '{headers: {"a\\r\\nb": {value: x}}}'),
            ("to a value with a line break", '{headers: {X-Key: {value: "a\\r\\nb"}}}'),
            ("without a value", "{headers: {X-Key: {}}}"),
            ("with two values", "{headers: {X-Key: {value: x, valueFrom: {credentialFieldRef: {name: k}}}}}"),
            ("without a password", "{basic: {username: {value: x}}}"),
            ("of a key that is none", "{cookies: {a: {value: x}}}"),
        )
    },
    "parameters of a connection as a list": (
        beside(f"connections: {{c: {{mode: none, params: [region]}}}}  {MARK}"),
        "spec.connections.c.params",
        "",
    ),
    # What may be called, and how its pages follow one another.
    "an operation that is allowed and not there": (
        beside(f"allowedOperations:\n  nope:  {MARK}"),
        "spec.allowedOperations.nope",
        "look",
    ),
    "nothing that is allowed": (beside(f"allowedOperations: {{}}  {MARK}"), "spec.allowedOperations", ""),
    "an alias that two have": (
        surface(
            f"{BASE}operations: [{{name: a, method: GET, path: /}}, {{name: b, method: GET, path: /}}]",
            f"allowedOperations:\n  a: {{alias: x}}\n  b: {{alias: x}}  {MARK}\n",
        ),
        "spec.allowedOperations.b.alias",
        "'x'",
    ),
    "an alias that is another's name": (
        surface(
            f"{BASE}operations: [{{name: a, method: GET, path: /}}, {{name: b, method: GET, path: /}}]",
            f"allowedOperations:\n  a: {{alias: b}}\n  b: {{}}  {MARK}\n",
        ),
        "spec.allowedOperations",
        "'b'",
    ),
    "pages that nothing tells how to turn": (
        beside(f"allowedOperations:\n  look: {{paginate: true}}  {MARK}"),
        "spec.allowedOperations.look.pagina",
        "",
    ),
    **{
        f"pagination {name}": (beside(f"pagination: {text}  {MARK}"), f"spec.pagination{key}", "")
        for name, text, key in (
            ("that is text", "cursor", ""),
            ("without a style", "{cursorParam: c}", ".style"),
            ("of a style that is none", "{style: link, cursorParam: c}", ".style"),
            ("without its parameter", "{style: offset}", ".cursorParam"),
            (
                "with a cursor from nowhere",
                "{style: cursor, cursorParam: c, cursor: {source: url, path: a}}",
                ".cursor",
            ),
            ("with a cursor without a path", "{style: cursor, cursorParam: c, cursor: {source: body}}", ".cursor"),
            ("of fewer pages than none", "{style: page, cursorParam: p, maxPages: -1}", ".maxPages"),
            ("of many pages in words", "{style: page, cursorParam: p, maxPages: many}", ".maxPages"),
            ("of less than nothing a page", "{style: page, cursorParam: p, defaultLimit: -1}", ".defaultLimit"),
        )
    },
    "a part of an answer that is no text": (
        beside(f"responseMapping: {{dataPath: [a]}}  {MARK}"),
        "spec.responseMapping.dataPath",
        "must be text",
    ),
    "a number that JSON lacks": (
        beside(f"connections: {{c: {{params: {{a: {{default: .nan}}}}}}}}  {MARK}"),
        "spec.connections.c.params.a.default",
        "",
    ),
    "an alias bomb": (beside("headers: {a: b}") + textwrap.indent(BOMB, "  ") + f"  {MARK}", "", "aliasing"),
}


def test_there_are_many() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    text, place, words = CASES[case]
    path = tmp_path / "manifest.yaml"
    path.write_text(text)
    with pytest.raises(PackageInvalid) as failure:
        read_manifest(path, path.name)
    told = str(failure.value)
    (line,) = [number for number, line in enumerate(text.splitlines(), start=1) if MARK in line]
    found = [item for item in told.splitlines() if f"manifest.yaml:{line}: {place}" in item]
    assert found or not place, told
    assert any(words in item for item in found) or words in told, told
    assert "\r" not in told


@pytest.mark.parametrize(
    "text",
    [
        beside("connections: {c: {mode: platform, auth: {type: manual, authMapping: {headers: {X: {value: y}}}}}}"),
        beside("allowedOperations: {look: {alias: see, paginate: true, pagination: {style: page, cursorParam: p}}}"),
        beside("pagination: {style: offset, cursorParam: o}\nallowedOperations: {look: {paginate: true}}"),
        parameter("{name: id, in: path}", path='"/x/{id}/y?fixed={id}"'),
        parameter("{name: X-Tenant, in: header, required: true}"),
        operation("name: a b\nmethod: GET\npath: x"),
        surface("baseUrl: https://{tenant}.example.org:{port}/v1/\n" + LOOK),
        surface("baseUrl: http://[::1]:8080\n" + LOOK),
        surface(LOOK),  # the configuration may have the base URL
    ],
)
def test_what_is_right_is_accepted(text: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(text)
    assert read_manifest(path).runtime == "declarative"
