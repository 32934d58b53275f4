"""What a caller gets for every kind of answer that a service may give: each page of `tools/upstream.py`, asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.recordings import TOOLS
from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.upstream import serving_plugins, upstream

MIB = 1 << 20
LIMIT = 50 * MIB
JSON, TEXT = "application/json", "text/plain; charset=utf-8"
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Page:
    """A page of the service and what comes of it.

    Attributes:
        body: The bytes, or text that follows ``error``'s words up to the colon, or a test of the answer's JSON.
        type: Content type.
        plugin: Which of the plugins below asks for it.
    """

    path: str
    status: int
    body: bytes | str | Callable[[Any], bool]
    type: str = JSON
    method: str = "GET"
    plugin: str = "pages"
    idempotent: bool = False

    @property
    def name(self) -> str:
        words = re.sub(r"[^A-Za-z0-9]+", "-", self.path).strip("-")
        return f"{self.method.lower()}-{words}{'-again' if self.idempotent else ''}"


def sent(**members: object) -> Callable[[Any], bool]:
    """Return a test of an echo: these members are as given."""
    return lambda answer: {name: answer.get(name) for name in members} == members


UNREACHABLE, UNREADABLE = "failed to reach upstream service", "failed to read upstream response"
PAGES = (
    # Bodies and content types.
    Page("/text", 200, "plain text, é and ☃\n".encode(), TEXT),
    Page("/latin", 200, b"caf\xe9", "text/plain; charset=iso-8859-1"),
    Page("/html", 200, b"<p>hi</p>", "text/html; charset=utf-8"),
    Page("/binary", 200, bytes(range(256)), "application/octet-stream"),
    Page("/empty", 200, b""),
    Page("/no-type", 200, b"no content type"),
    Page("/bad-json", 200, b'{"a": '),
    Page("/spaced-json", 200, b' {"b": 1,\n "a": 1.0, "big": 12345678901234567890}\n'),
    Page("/bom", 200, b'\xef\xbb\xbf{"a": 1}'),
    Page("/gzip", 200, b'{"packed": true}'),
    Page("/chunked", 200, b'{"pieces": [1,2]}'),
    Page("/headers", 200, b"{}", "application/vnd.rig+json; v=2"),
    Page("/large/1000000", 200, b"begin" + b" " * 999_992 + b"end", TEXT),
    Page(f"/large/{LIMIT + 1}", 502, UNREADABLE),
    # What it saw.
    Page("/echo/a", 200, sent(method="GET", host="main", path="/base/echo/a", query=[])),
    Page("/echo/a", 200, sent(method="POST", json={}, path="/base/echo/a"), method="POST"),
    Page("/echo/a", 200, sent(method="PUT", json={}), method="PUT"),
    Page("/echo/a", 200, sent(method="PATCH", json={}), method="PATCH"),
    Page("/echo/a", 200, sent(method="DELETE", headers={}), method="DELETE"),
    Page("/", 200, sent(method="GET", path="/base/")),
    Page("/target", 200, sent(target="/base/target", body="")),
    Page("/size", 200, sent(bytes=2), method="POST"),
    Page("/nowhere", 404, sent(error="no such page")),
    Page("/pages", 200, sent(items=[0, 1, 2], more=True, next="3")),
    # Statuses.
    *(
        Page(f"/status/{status}", status, sent(status=status, method="GET"))
        for status in (
            200,
            201,
            202,
            203,
            300,
            400,
            403,
            404,
            405,
            406,
            409,
            410,
            418,
            422,
            451,
            500,
            501,
            502,
            504,
            599,
        )
    ),
    Page("/status/204", 204, b""),
    Page("/status/304", 304, b""),
    Page("/status/401", 401, sent(status=401)),
    Page("/status/401", 412, sent(code="reconnect_required", integration="keyed"), plugin="keyed"),
    Page("/error/text", 400, b"bad in words\n", TEXT),
    Page("/error/empty", 500, b""),
    Page("/error/html", 502, b"<h1>Bad Gateway</h1>", "text/html"),
    Page("/error/login", 401, b"who are you", TEXT),
    Page("/error/login", 412, sent(code="reconnect_required"), plugin="keyed"),
    Page("/error/teapot", 418, b'{"teapot": true}', "application/problem+json"),
    # Asked again where that is asked for and harmless.
    Page("/count/get-500/500", 500, sent(hits=1)),
    Page("/count/get-503/503", 503, sent(hits=4)),
    Page("/count/get-429/429", 429, sent(hits=4)),
    Page("/count/post-503/503", 503, sent(hits=1), method="POST"),
    Page("/count/again-503/503", 503, sent(hits=4), method="POST", idempotent=True),
    Page("/count/put-429/429", 429, sent(hits=1), method="PUT"),
    Page("/hits/nobody", 200, sent(hits=0)),
    # Redirects.
    *(
        Page(f"/redirect/{status}/same", 200, sent(method="GET", path="/echo/arrived", query=[["via", str(status)]]))
        for status in (301, 302, 303, 307, 308)
    ),
    *(
        Page(
            f"/redirect/{status}/same",
            200,
            lambda seen: (seen["method"], "json" in seen) == ("GET", False),
            method="POST",
        )
        for status in (301, 302, 303)
    ),
    *(Page(f"/redirect/{status}/same", 200, sent(method="POST", json={}), method="POST") for status in (307, 308)),
    Page("/redirect/307/same", 200, sent(method="DELETE"), method="DELETE"),
    Page("/redirect/302/relative", 200, sent(path="/base/echo/arrived")),
    Page("/redirect/302/gone", 404, sent(status=404)),
    Page("/redirect/302/refused", 401, sent(status=401)),
    Page("/redirect/302/refused", 412, sent(code="reconnect_required"), plugin="keyed"),
    Page("/redirect/302/nowhere", 302, b"moved", TEXT),
    Page("/redirect/302/loop", 502, UNREACHABLE),
    Page("/redirect/302/scheme", 502, UNREACHABLE),
    Page("/redirect/302/other", 200, sent(host="other", headers={}), plugin="roaming"),
    Page("/chain/9", 200, sent(path="/echo/end")),
    Page("/chain/10", 502, UNREACHABLE),
    # Slow and cut.
    Page("/slow/200", 200, sent(slept=200)),
    Page("/drip/300", 200, b"0123456789", "text/plain"),
    Page("/cut/before", 502, UNREACHABLE),
    Page("/cut/head", 502, UNREACHABLE),
    Page("/cut/mail", 502, UNREACHABLE),
    Page("/cut/length", 502, UNREADABLE),
    Page("/cut/chunk", 502, UNREADABLE),
    Page("/cut/error", 502, UNREADABLE),
    Page("/cut/close", 200, b"until the end", "text/plain"),
)
COUNT, HITS = Page("/count/refused/200", 200, b""), Page("/hits/refused", 200, b"")
ECHO, OTHER = Page("/echo/a", 200, b""), Page("/redirect/302/other", 200, b"")
AT_NIGHT = (
    Page(f"/large/{LIMIT}", 200, b"begin" + b" " * (LIMIT - 8) + b"end", TEXT),
    Page("/slow/40000", 502, "upstream service timed out"),
    Page("/drip/40000", 502, UNREADABLE),
)


def manifest(port: int) -> str:
    """Return a manifest with an operation for each page."""
    pages = {page.name: page for page in (*PAGES, *AT_NIGHT, COUNT, HITS)}
    operations = [
        {"name": name, "method": page.method, "path": page.path} | ({"idempotent": True} if page.idempotent else {})
        for name, page in pages.items()
    ]
    spec = {"surfaces": {"rest": {"baseUrl": f"http://127.0.0.1:{port}/base", "operations": operations}}}
    document = {"kind": "plugin", "source": "example.org/tests/plugins/pages", "version": "1.0.0", "spec": spec}
    return json.dumps(document)  # which is YAML


PLUGINS = """\
plugins:
  pages: {source: {path: ./pages/manifest.yaml}}
  keyed:
    source: {path: ./pages/manifest.yaml}
    connections: {default: {mode: platform, auth: {type: bearer, token: a-secret-token}}}
  roaming:
    source: {path: ./pages/manifest.yaml}
    connections: {default: {mode: platform, auth: {type: bearer, token: a-secret-token}}}
    egress: {allowedHosts: [127.0.0.0/8]}
  fenced:
    source: {path: ./pages/manifest.yaml}
    egress: {allowedHosts: [example.com]}
  mapped:
    source: {path: ./pages/manifest.yaml}
    connections:
      default:
        mode: platform
        auth: {type: manual, authMapping: {headers: {X-Api-Key: {value: a-secret-key}}}}
    egress: {allowedHosts: [127.0.0.1, 127.0.0.2]}
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with upstream() as port:
        yield port


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Gestaltd]:
    with serving_plugins(tmp_path_factory.mktemp("pages"), PLUGINS, {"pages": manifest(port)}) as served:
        yield served


def asked(host: Gestaltd, page: Page, plugin: str = "") -> httpx.Response:
    answer = httpx.post(f"{host.url}/api/v1/{plugin or page.plugin}/{page.name}", json={}, timeout=60)
    assert "Traceback" not in answer.text
    return answer


@pytest.mark.parametrize(
    "page",
    [
        *(pytest.param(page, id=f"{page.plugin}-{page.name}") for page in PAGES),
        *(pytest.param(page, id=page.name, marks=pytest.mark.nightly) for page in AT_NIGHT),
    ],
)
def test_every_page_becomes_the_answer_that_is_promised(host: Gestaltd, port: int, page: Page) -> None:
    answer = asked(host, page)
    assert answer.status_code == page.status, answer.text[:500]
    if isinstance(page.body, bytes):
        assert answer.content == page.body
        assert answer.headers.get("content-type", "") == page.type
    elif isinstance(page.body, str):
        # The words that are promised, what was asked, and the cause in words of our own.
        error = answer.json()["error"]
        assert error.startswith(f"{page.body}: {page.method} http://127.0.0.1:{port}/base{page.path}: "), error
        assert not re.search(r"httpx|httpcore|h11|Errno|Exception|Error\b|<[a-z]|\bb'", error), error
        assert set(answer.json()) == {"error"}
    else:
        assert answer.headers["content-type"] == page.type
        assert page.body(answer.json()), answer.text
    gone = {
        "x-custom",
        "set-cookie",
        "cache-control",
        "etag",
        "location",
        "www-authenticate",
        "retry-after",
        "x-reason",
    }
    assert gone.isdisjoint(answer.headers) or answer.headers.keys() & gone <= {"cache-control"}


def error_of(host: Gestaltd, page: Page, plugin: str) -> str:
    answer = asked(host, page, plugin)
    assert answer.status_code == 502, answer.text
    error: str = answer.json()["error"]
    return error


def test_what_is_not_on_the_list_is_not_asked(host: Gestaltd) -> None:
    error = error_of(host, COUNT, "fenced")
    assert "127.0.0.1" in error
    assert "egress.allowedHosts" in error
    assert asked(host, HITS, "pages").json() == {"hits": 0}


def test_a_redirect_to_a_private_address_that_nobody_named_is_refused(host: Gestaltd) -> None:
    for plugin in ("pages", "keyed"):
        error = error_of(host, OTHER, plugin)
        assert "127.0.0.2" in error
        assert "secret" not in error


def test_a_credential_goes_to_its_own_origin_alone(host: Gestaltd) -> None:
    seen = {plugin: asked(host, ECHO, plugin).json()["headers"] for plugin in ("pages", "keyed", "mapped")}
    assert seen == {
        "pages": {},
        "keyed": {"authorization": "Bearer a-secret-token"},
        "mapped": {"x-api-key": "a-secret-key"},
    }
    for plugin in ("roaming", "mapped"):
        answer = asked(host, OTHER, plugin).json()
        assert (answer["host"], answer["headers"]) == ("other", {}), plugin


def test_no_secret_and_no_page_is_in_the_log(host: Gestaltd) -> None:
    for page in (ECHO, OTHER, Page("/cut/before", 502, ""), Page("/status/401", 412, "")):
        for plugin in ("keyed", "mapped"):
            asked(host, page, plugin)
    assert "a-secret" not in host.log
    assert "Traceback" not in host.log


def test_the_pages_are_all_that_the_service_has() -> None:
    source = (TOOLS / "upstream.py").read_text()
    handlers = {name.replace("_", "-") for name in re.findall(r"def on_(\w+)", source)} - {"unknown"}
    in_pages = {page.path.split("/")[1] or "echo" for page in (*PAGES, *AT_NIGHT)}
    assert handlers - in_pages == set()
    for kind in re.findall(r'case "(\w+)"', source):
        assert any(page.path.endswith(f"/{kind}") for page in PAGES), kind
    (table,) = re.findall(r"location = \{(.*?)\}\.get", source, re.DOTALL)
    for kind in re.findall(r'"(\w+)": [f"s]', table):
        assert any(page.path.endswith(f"/{kind}") for page in PAGES), kind
